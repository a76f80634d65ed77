package tests

// Behind others, without them: what trusted peers may say in fields and PROXY
// headers, and what becomes of it in the environ, the answer and the logs.

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gowsgi/wsgi/secure/securetest"
)

// forwardedFields say that a client at 192.0.2.1 has asked for
// https://site.example:8443/shop.
var forwardedFields = []string{
	"X-Forwarded-For: 203.0.113.9, 192.0.2.1:4711, 127.0.0.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: site.example",
	"X-Forwarded-Port: 8443", "X-Forwarded-Prefix: /shop", "X-Request-ID: from-the-proxy",
}

func TestPeers_FieldsOfATrustedPeerAreBelieved(t *testing.T) {
	s := Shared(t, "echo")
	r := s.Ask("/path?q", forwardedFields...)
	told := s.object(r)
	wantEnviron(t, told["environ"].(map[string]any), map[string]any{
		"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "4711", "wsgi.url_scheme": "https",
		"HTTP_HOST": "site.example:8443", "SERVER_NAME": "site.example", "SERVER_PORT": "8443",
		"SCRIPT_NAME": "/shop", "PATH_INFO": "/path", "REQUEST_URI": "/path?q",
		"gowsgi.request_id": "from-the-proxy", "HTTP_X_REQUEST_ID": "from-the-proxy",
		"HTTP_X_FORWARDED_PROTO": "https",
	})
	if want := "https://site.example:8443/shop/path?q"; told["url"] != want || r.Value("X-Request-ID") != "from-the-proxy" {
		t.Errorf("url, id = %v, %q; want %s, from-the-proxy", told["url"], r.Value("X-Request-ID"), want)
	}
	// nothing of it is left for the next request on the connection
	c := s.Dial()
	c.Get("/", forwardedFields...)
	wantEnviron(t, s.object(c.Get("/"))["environ"].(map[string]any), map[string]any{
		"REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http", "HTTP_HOST": "tests", "SCRIPT_NAME": "", "SERVER_NAME": "127.0.0.1",
	})
}

func TestPeers_ForwardedIsBelieved(t *testing.T) {
	s := Shared(t, "echo")
	told := s.object(s.Ask("/", `Forwarded: for="[2001:db8::1]:4711";proto=https;host=site.example, for=127.0.0.2;by=_x`))
	wantEnviron(t, told["environ"].(map[string]any), map[string]any{
		"REMOTE_ADDR": "2001:db8::1", "REMOTE_PORT": "4711", "wsgi.url_scheme": "https", "HTTP_HOST": "site.example", "SERVER_PORT": "443",
	})
	if told["url"] != "https://site.example/" {
		t.Errorf("url = %v, want https://site.example/", told["url"])
	}
	// malformed: as if it were not there
	wantEnviron(t, s.object(s.Ask("/", `Forwarded: for="192.0.2.1;proto=https`))["environ"].(map[string]any), map[string]any{
		"REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http",
	})
}

func TestPeers_FieldsOfOthersAreRemoved(t *testing.T) {
	s := Start(t, "echo", "--forwarded-allow-ips", "192.0.2.0/24")
	r := s.Ask("/path", append([]string{"Forwarded: for=192.0.2.1", "X-Real-IP: 192.0.2.1", "X-Forwarded-Ssl: on"}, forwardedFields...)...)
	told := s.object(r)
	environ := told["environ"].(map[string]any)
	for key := range environ {
		if strings.Contains(key, "FORWARDED") || key == "HTTP_X_REAL_IP" {
			t.Errorf("environ[%q] = %q, want it removed", key, environ[key])
		}
	}
	id := r.Value("X-Request-ID")
	wantEnviron(t, environ, map[string]any{
		"REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http", "HTTP_HOST": s.Host(), "SCRIPT_NAME": "",
		"gowsgi.request_id": id, "HTTP_X_REQUEST_ID": id,
	})
	if !regexp.MustCompile("^[0-9a-f]{16}$").MatchString(id) {
		t.Errorf("id = %q, want one of our own", id)
	}
	if want := s.URL("/path"); told["url"] != want {
		t.Errorf("url = %v, want %s", told["url"], want)
	}
}

// The client's address and the request's id are what both logs speak of.
func TestPeers_LogsNameTheClientAndTheID(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access")
	s := Start(t, "misbehave.raising", "--access-logfile", file, "--request-id-header", "X-Trace")
	r := s.Ask("/app", "X-Forwarded-For: 192.0.2.1", "X-Trace: id/1", "X-Request-ID: another")
	if r.Status != 500 || r.Value("X-Trace") != "id/1" || r.Value("X-Request-ID") != "" {
		t.Errorf("answer = %s with X-Trace %q, X-Request-ID %q; want 500 with id/1 and none", r.Line(), r.Value("X-Trace"), r.Value("X-Request-ID"))
	}
	s.WaitFor("id=id/1")
	if line := newLogFile(t, file).await("192.0.2.1 - - ["); !strings.HasSuffix(line, ` id/1`) {
		t.Errorf("access log = %q, want id/1 at its end", line)
	}
}

// Files have ids, too, and are found below the mount point.
func TestPeers_StaticFilesAreMountedAndNamed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := Start(t, "hello", "--static", "/static="+dir, "--root-path", "/shop")
	for _, target := range []string{"/shop/static/a.txt", "/static/a.txt"} {
		if r := s.Ask(target, "X-Request-ID: given"); r.Status != 200 || r.Body != "file\n" || r.Value("X-Request-ID") != "given" {
			t.Errorf("GET %s = %s %q, id %q; want the file, given", target, r.Line(), r.Body, r.Value("X-Request-ID"))
		}
	}
	if r := s.Ask("/static/none"); r.Status != 404 || len(r.Value("X-Request-ID")) != 16 {
		t.Errorf("GET /static/none = %s, id %q; want 404 and one of our own", r.Line(), r.Value("X-Request-ID"))
	}
}

func TestPeers_RequestIDCanBeKeptToOneself(t *testing.T) {
	s := Start(t, "echo", "--request-id-header", "none")
	r := s.Ask("/", "X-Request-ID: theirs")
	environ := s.object(r)["environ"].(map[string]any)
	if r.Value("X-Request-ID") != "" || environ["HTTP_X_REQUEST_ID"] != "theirs" || len(environ["gowsgi.request_id"].(string)) != 16 {
		t.Errorf("answered %q, environ has %v and %v; want none, theirs, our own",
			r.Value("X-Request-ID"), environ["HTTP_X_REQUEST_ID"], environ["gowsgi.request_id"])
	}
}

// PEP 3333, URL Reconstruction: what the application makes of its environ is
// what the client has asked for, however the prefix got lost or not.
func TestPeers_URLsAreReconstructed(t *testing.T) {
	plain := Shared(t, "echo")
	mounted := StartWith(t, Options{App: "echo", Args: []string{"-b", "127.0.0.1:0", "--root-path", "/sh\u00f6p/"}})
	variable := StartWith(t, Options{App: "echo", Env: []string{"SCRIPT_NAME=/shop"}})
	for _, c := range []struct {
		s                     *Server
		target, field         string
		want, script, pathOut string
	}{
		{plain, "/a%20b/%C3%A9?q=1", "", "http://a.example/a%20b/%C3%A9?q=1", "", "/a b/\u00c3\u00a9"},
		{plain, "/", "X-Forwarded-Prefix: /shop", "http://a.example/shop/", "/shop", "/"},
		{plain, "/shop", "X-Forwarded-Prefix: /shop", "http://a.example/shop", "/shop", ""},
		{plain, "/shop/a", "X-Forwarded-Prefix: /shop", "http://a.example/shop/a", "/shop", "/a"},
		{plain, "/shopping", "X-Forwarded-Prefix: /shop", "http://a.example/shop/shopping", "/shop", "/shopping"},
		{plain, "/a", "X-Forwarded-Proto: https", "https://a.example/a", "", "/a"},
		{plain, "/a", "X-Forwarded-Port: 81", "http://a.example:81/a", "", "/a"},
		{plain, "/a", "X-Forwarded-Host: [2001:db8::1]:81", "http://[2001:db8::1]:81/a", "", "/a"},
		{mounted, "/a", "", "http://a.example/sh%C3%B6p/a", "/sh\u00c3\u00b6p", "/a"},
		{mounted, "/sh%c3%b6p/a", "", "http://a.example/sh%C3%B6p/a", "/sh\u00c3\u00b6p", "/a"},
		{mounted, "/sh%c3%b6p", "", "http://a.example/sh%C3%B6p", "/sh\u00c3\u00b6p", ""},
		{mounted, "/a", "X-Forwarded-Prefix: /other", "http://a.example/other/a", "/other", "/a"},
		{mounted, "/a", "X-Forwarded-Prefix: //evil", "http://a.example/sh%C3%B6p/a", "/sh\u00c3\u00b6p", "/a"},
		{variable, "/shop/a", "", "http://a.example/shop/a", "/shop", "/a"},
		{variable, "http://b.example/shop/a", "", "http://b.example/shop/a", "/shop", "/a"},
	} {
		fields := []string{"Host: a.example"}
		if c.field != "" {
			fields = append(fields, c.field)
		}
		conn := c.s.Dial()
		conn.Send(head("GET "+c.target, fields...))
		told := c.s.object(conn.Read("GET"))
		if told["url"] != c.want {
			t.Errorf("url of %s with %q = %v, want %s", c.target, c.field, told["url"], c.want)
		}
		wantEnviron(t, told["environ"].(map[string]any), map[string]any{"SCRIPT_NAME": c.script, "PATH_INFO": c.pathOut})
	}
	// Without a Host it is made of SERVER_NAME and SERVER_PORT.
	six := Start(t, "echo", "-b", "[::1]:0")
	for request, want := range map[string]string{
		"GET /a HTTP/1.0\r\n\r\n":                             six.URL("/a"),
		"GET /a HTTP/1.0\r\nX-Forwarded-Proto: https\r\n\r\n": "https://[::1]/a",
	} {
		c := six.Dial()
		c.Send(request)
		if told := six.object(c.Read("GET")); told["url"] != want {
			t.Errorf("url of %q = %v, want %s", request, told["url"], want)
		}
	}
}

// proxyHeader is a header of version 2 for TCP over IPv4, with one TLV.
func proxyHeader(client, server [4]byte, clientPort, serverPort uint16) string {
	ports := []byte{byte(clientPort >> 8), byte(clientPort), byte(serverPort >> 8), byte(serverPort)}
	return "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x13" + string(client[:]) + string(server[:]) + string(ports) + "\x04\x00\x04noop"
}

func TestPeers_PROXYHeaderNamesTheClient(t *testing.T) {
	s := Start(t, "echo", "--proxy-protocol")
	for name, header := range map[string]string{
		"1": "PROXY TCP4 192.0.2.1 198.51.100.2 4711 81\r\n",
		"2": proxyHeader([4]byte{192, 0, 2, 1}, [4]byte{198, 51, 100, 2}, 4711, 81),
	} {
		c := s.Dial()
		c.Send(header + head("GET /first", "Host: a", "X-Forwarded-For: 203.0.113.9"))
		want := map[string]any{
			"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "4711", "SERVER_NAME": "198.51.100.2", "SERVER_PORT": "81",
			// the client's own word: the proxy has not looked at it
			"HTTP_X_FORWARDED_FOR": nil,
		}
		wantEnviron(t, s.object(c.Read("GET"))["environ"].(map[string]any), want)
		// and of every later request, with a body and without
		c.Send(head("POST /second", "Host: a", "Content-Length: 3") + "abc")
		told := s.object(c.Read("POST"))
		wantEnviron(t, told["environ"].(map[string]any), want)
		if got := told["body"].(map[string]any)["length"]; got != 3.0 {
			t.Errorf("version %s: body of %v bytes, want 3", name, got)
		}
	}
	c := s.Dial()
	c.Send("PROXY UNKNOWN\r\nGET /a HTTP/1.0\r\n\r\n")
	told := s.object(c.Read("GET"))
	wantEnviron(t, told["environ"].(map[string]any), map[string]any{"REMOTE_ADDR": "127.0.0.1"})
	if told["url"] != s.URL("/a") {
		t.Errorf("url = %v, want %s", told["url"], s.URL("/a"))
	}
}

// Every protocol brings requests before the same eyes.
func TestPeers_FieldsAreBelievedOverEveryTransport(t *testing.T) {
	eachTransport(t, "echo", func(t *testing.T, s *Server, by transport) {
		answer := by.ask(t, s, "GET", "/shop/path", nil, "X-Forwarded-For", "192.0.2.1", "X-Forwarded-Proto", "https",
			"X-Forwarded-Host", "site.example", "X-Forwarded-Prefix", "/shop", "X-Request-ID", "given")
		told := answer.object(t)
		wantEnviron(t, told["environ"].(map[string]any), map[string]any{
			"REMOTE_ADDR": "192.0.2.1", "HTTP_HOST": "site.example", "HTTP_X_REQUEST_ID": "given", "SCRIPT_NAME": "/shop",
		})
		if want := "https://site.example/shop/path"; told["url"] != want || answer.Header.Get("X-Request-ID") != "given" {
			t.Errorf("url, id = %v, %q; want %s, given", told["url"], answer.Header.Get("X-Request-ID"), want)
		}
		// the next request of the connection says nothing of that kind
		wantEnviron(t, by.ask(t, s, "GET", "/", nil).object(t)["environ"].(map[string]any), map[string]any{
			"REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": by.scheme, "SCRIPT_NAME": "", "SERVER_NAME": "127.0.0.1",
		})
	})
}

func TestPeers_PROXYHeaderStandsBeforeTLS(t *testing.T) {
	ca := securetest.NewAuthority(t, "tests")
	cert, key := ca.Server(t, "127.0.0.1").Write(t, t.TempDir(), "server")
	s := Start(t, "echo", "--proxy-protocol", "--certfile", cert, "--keyfile", key)
	for _, protocol := range []string{"http/1.1", "h2"} {
		transport := &http.Transport{
			ForceAttemptHTTP2: protocol == "h2",
			TLSClientConfig:   &tls.Config{RootCAs: ca.Pool(), NextProtos: []string{protocol}},
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				c := s.Dial()
				c.Send(proxyHeader([4]byte{192, 0, 2, 1}, [4]byte{198, 51, 100, 2}, 4711, 443))
				return c.Conn, nil
			},
		}
		t.Cleanup(transport.CloseIdleConnections)
		by := transportOver(transport)
		for range 2 {
			answer := by.ask(t, s, "GET", "/", nil)
			wantEnviron(t, answer.object(t)["environ"].(map[string]any), map[string]any{
				"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "4711", "SERVER_NAME": "198.51.100.2", "SERVER_PORT": "443", "wsgi.url_scheme": "https",
			})
			if answer.ProtoMajor == 2 != (protocol == "h2") {
				t.Errorf("answered by %s, want %s", answer.Proto, protocol)
			}
		}
	}
}

// transportOver is a transport for ask.
func transportOver(t *http.Transport) *transport {
	return &transport{client: &http.Client{Transport: t, Timeout: patience}}
}

func TestPeers_PROXYHeaderIsDemandedWhereAllowedOnly(t *testing.T) {
	s := Start(t, "echo", "--proxy-protocol")
	c := s.Dial()
	c.Send(head("GET /", "Host: a"))
	c.WantClosed()
	s.WaitFor("does not begin with a PROXY header")
	others := Start(t, "echo", "--proxy-protocol", "--proxy-allow-from", "192.0.2.1")
	if r := others.Ask("/"); r.Status != 200 {
		t.Errorf("GET / from elsewhere = %s, want 200", r.Line())
	}
	for _, header := range []string{"PROXY TCP4 192.0.2.1 198.51.100.2 4711 81\r\n", proxyHeader([4]byte{192, 0, 2, 1}, [4]byte{}, 1, 2)} {
		c := others.Dial()
		c.Send(header + head("GET /", "Host: a"))
		if r := c.Read("GET"); r.Status != 400 {
			t.Errorf("%q from elsewhere = %s, want 400", header, r.Line())
		}
	}
}

func TestPeers_UnixSocketsAreTrustedAndHaveTheirModeAndOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	group := os.Getegid()
	s := Start(t, "echo", "-b", "unix:"+path, "--socket-mode", "620", "--socket-owner", ":"+strconv.Itoa(group), "--forwarded-allow-ips", "192.0.2.1")
	var info unix.Stat_t
	if err := unix.Lstat(path, &info); err != nil || info.Mode&0o777 != 0o620 || int(info.Gid) != group {
		t.Errorf("socket = %o, group %d, %v; want 620, %d", info.Mode&0o777, info.Gid, err, group)
	}
	wantEnviron(t, s.object(s.Ask("/", "X-Forwarded-For: 203.0.113.9, 198.51.100.1, 192.0.2.1"))["environ"].(map[string]any), map[string]any{
		"REMOTE_ADDR": "198.51.100.1",
	})
	refused(t, Options{App: "echo", Args: []string{"-b", "unix:" + path}}, 5, "another server accepts connections there")
	if r := s.Ask("/"); r.Status != 200 {
		t.Errorf("GET / afterwards = %s, want 200", r.Line())
	}
	nobody := Start(t, "echo", "-b", "unix:"+path+"2", "--forwarded-allow-ips", "none")
	wantEnviron(t, nobody.object(nobody.Ask("/", "X-Forwarded-For: 192.0.2.1"))["environ"].(map[string]any), map[string]any{
		"REMOTE_ADDR": "", "HTTP_X_FORWARDED_FOR": nil,
	})
}

// Of servers that start at the same time, one takes a dead server's socket.
func TestPeers_OneOfTwoServersGetsTheSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close()
	var runs []*run
	for range 2 {
		r, err := launch(Options{App: "hello", Args: []string{"-b", "unix:" + path}})
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r)
		t.Cleanup(func() { _ = r.stop() })
	}
	serving := 0
	for _, r := range runs {
		if _, err := r.awaitReady(); err == nil {
			serving++
		} else if code, err := r.exitCode(patience); code != 5 || err != nil {
			t.Errorf("the server that does not serve has ended with %d, %v, want 5", code, err)
		}
	}
	if serving != 1 {
		t.Fatalf("%d of 2 servers serve, want 1", serving)
	}
	if r := dial(t, "unix", path).Get("/"); r.Status != 200 {
		t.Errorf("GET / = %s, want 200", r.Line())
	}
}
