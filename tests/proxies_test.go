package tests

// Behind Debian's nginx and HAProxy, set up by the samples in the folder deploy.

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A proxied server is one that is reached through a proxy on loopback. Its
// clients have another address than the proxy itself.
type proxied struct {
	*Server
	port   int
	socket string // of the server, empty where it listens on TCP
	id     bool   // the proxy makes the requests' ids
}

const (
	clientAddress = "127.0.0.2"
	spoofed       = "203.0.113.9"
)

// behind lists the ways to stand behind a proxy.
var behind = []struct {
	name  string
	start func(t *testing.T) *proxied
}{
	{"nginx", behindNginx},
	{"HAProxy, fields", behindHAProxy},
	{"HAProxy, PROXY 1", func(t *testing.T) *proxied { return behindPROXY(t, "send-proxy") }},
	{"HAProxy, PROXY 2", func(t *testing.T) *proxied { return behindPROXY(t, "send-proxy-v2") }},
}

// onSocket starts a server on a unix socket that trusts nobody else.
func onSocket(t *testing.T, more ...string) *proxied {
	t.Helper()
	// t.TempDir makes paths too long for a socket.
	folder, err := os.MkdirTemp("", "gowsgi-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	socket := filepath.Join(folder, "site.sock")
	s := Start(t, "collection", append([]string{"-b", "unix:" + socket, "--forwarded-allow-ips", "192.0.2.1"}, more...)...)
	return &proxied{Server: s, port: freePort(t), socket: socket, id: true}
}

func behindNginx(t *testing.T) *proxied {
	t.Helper()
	return runNginx(t, onSocket(t))
}

// runNginx puts the sample into a whole configuration, as /etc/nginx/nginx.conf
// includes it. changes are further words to replace.
func runNginx(t *testing.T, p *proxied, changes ...string) *proxied {
	t.Helper()
	folder := t.TempDir()
	var paths strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&paths, "%s_temp_path %s/%s;\n", kind, folder, kind)
	}
	changes = append(changes, "listen 80;", fmt.Sprintf("listen 127.0.0.1:%d;", p.port), "server unix:/run/gowsgi/site.sock;", "server unix:"+p.socket+";")
	text := "daemon off;\nmaster_process off;\npid " + folder + "/pid;\nerror_log stderr warn;\nevents {}\nhttp {\naccess_log off;\n" +
		paths.String() + sample(t, "nginx/gowsgi.conf", changes...) + "}\n"
	file := filepath.Join(folder, "nginx.conf")
	writeFile(t, file, text)
	runProxy(t, p.port, "nginx", "-p", folder, "-e", "stderr", "-c", file)
	return p
}

func behindHAProxy(t *testing.T) *proxied {
	t.Helper()
	p := onSocket(t)
	runHAProxy(t, p, "bind :80\n", fmt.Sprintf("bind 127.0.0.1:%d\n", p.port), "unix@/run/gowsgi/site.sock", "unix@"+p.socket,
		"bind :8080\n", fmt.Sprintf("bind 127.0.0.1:%d\n", freePort(t)))
	return p
}

func behindPROXY(t *testing.T, version string) *proxied {
	t.Helper()
	s := Start(t, "collection", "--proxy-protocol", "--proxy-allow-from", "127.0.0.1", "--forwarded-allow-ips", "192.0.2.1")
	p := &proxied{Server: s, port: freePort(t)}
	runHAProxy(t, p, "bind :80\n", fmt.Sprintf("bind 127.0.0.1:%d\n", freePort(t)),
		"bind :8080\n", fmt.Sprintf("bind 127.0.0.1:%d\n", p.port), "server site 127.0.0.1:8000 send-proxy-v2\n", "server site "+s.Host()+" "+version+"\n")
	return p
}

func runHAProxy(t *testing.T, p *proxied, changes ...string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	writeFile(t, file, sample(t, "haproxy/haproxy.cfg", changes...))
	runProxy(t, p.port, "haproxy", "-db", "-f", file)
}

// sample is a file of the folder deploy with words replaced, pairwise.
func sample(t *testing.T, name string, changes ...string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(repository, "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for i := 0; i < len(changes); i += 2 {
		if strings.Count(text, changes[i]) != 1 {
			t.Fatalf("deploy/%s has %q %d times, want once", name, changes[i], strings.Count(text, changes[i]))
		}
		text = strings.Replace(text, changes[i], changes[i+1], 1)
	}
	return text
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// runProxy runs a program until the test ends, and waits until it listens.
func runProxy(t *testing.T, port int, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path = "/usr/sbin/" + name // where Debian has it, and not every PATH looks
	}
	cmd := exec.Command(path, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v; make need-test installs it", name, err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		select {
		case <-ended:
		case <-time.After(stopPatience):
			_ = cmd.Process.Kill()
			<-ended
			t.Errorf("%s has not ended %s after SIGTERM", name, stopPatience)
		}
		if t.Failed() {
			t.Logf("%s says:\n%s", name, said.String())
		}
	})
	await(t, name, func() bool {
		select {
		case <-ended:
			t.Fatalf("%s has ended: %s", name, said.String())
		default:
		}
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// dial connects to the proxy as a client from elsewhere.
func (p *proxied) dial() net.Conn {
	p.T.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientAddress)}, Timeout: patience}
	c, err := dialer.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
	if err != nil {
		p.T.Fatal(err)
	}
	_ = c.SetDeadline(deadline())
	return c
}

// host is what the client's Host field says.
func (p *proxied) host() string { return fmt.Sprintf("site.example:%d", p.port) }

// exchange sends a request through the proxy on a connection of its own.
func (p *proxied) exchange(request *http.Request) (status int, fields http.Header, body string) {
	p.T.Helper()
	request.Host = p.host()
	transport := &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return p.dial(), nil },
		DisableKeepAlives: true,
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		p.T.Fatalf("%s %s through the proxy: %v", request.Method, request.URL, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.T.Fatalf("body of %s %s through the proxy: %v", request.Method, request.URL, err)
	}
	return response.StatusCode, response.Header, string(text)
}

func (p *proxied) request(method, target string, body io.Reader) *http.Request {
	p.T.Helper()
	request, err := http.NewRequest(method, "http://proxy"+target, body)
	if err != nil {
		p.T.Fatal(err)
	}
	return request
}

func TestProxies(t *testing.T) {
	for _, b := range behind {
		t.Run(b.name, func(t *testing.T) {
			p := b.start(t)
			t.Run("client", p.showsTheClient)
			t.Run("streamed", p.streams)
			t.Run("upload", p.takesUploads)
			if p.socket != "" {
				t.Run("keep-alive", p.keepsConnections)
			}
		})
	}
}

// showsTheClient: what the client says of itself in fields is not believed, and
// what the proxy says is.
func (p *proxied) showsTheClient(t *testing.T) {
	p.T = t
	request := p.request("GET", "/echo/a%20b?c=d", nil)
	for name, value := range map[string]string{
		"X-Forwarded-For": spoofed, "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "X-Forwarded-Port": "1",
		"X-Forwarded-Prefix": "/evil", "Forwarded": "for=" + spoofed + ";host=evil.example;proto=https", "X-Real-Ip": spoofed, "X-Request-Id": "evil",
	} {
		request.Header.Set(name, value)
	}
	status, fields, body := p.exchange(request)
	told := p.object(&Response{Body: body, Status: status})
	environ := told["environ"].(map[string]any)
	id := fields.Get("X-Request-ID")
	wantEnviron(t, environ, map[string]any{
		"REMOTE_ADDR": clientAddress, "wsgi.url_scheme": "http", "HTTP_HOST": p.host(), "SERVER_PORT": fmt.Sprint(p.port),
		"SCRIPT_NAME": "/echo", "PATH_INFO": "/a b", "HTTP_FORWARDED": nil, "HTTP_X_FORWARDED_PREFIX": nil,
		"gowsgi.request_id": id, "HTTP_X_REQUEST_ID": id,
	})
	if realIP := environ["HTTP_X_REAL_IP"]; realIP == spoofed {
		t.Errorf("HTTP_X_REAL_IP = %q, want it replaced or removed", realIP)
	}
	if want := "http://" + p.host() + "/echo/a%20b?c=d"; told["url"] != want {
		t.Errorf("url = %v, want %s", told["url"], want)
	}
	if id == "" || id == "evil" || p.id == (len(id) == 16) {
		t.Errorf("id = %q, want one made by the proxy: %v", id, p.id)
	}
}

// Below a path: nginx takes the prefix off and says so, or leaves it on.
func TestProxies_PrefixIsTheMountPoint(t *testing.T) {
	for name, changes := range map[string][]string{
		"taken off, in a field": {"proxy_pass http://gowsgi;", "proxy_pass http://gowsgi/;", `X-Forwarded-Prefix "";`, "X-Forwarded-Prefix /shop;"},
		"left on, in a field":   {`X-Forwarded-Prefix "";`, "X-Forwarded-Prefix /shop;"},
		"taken off, by setting": {"proxy_pass http://gowsgi;", "proxy_pass http://gowsgi/;"},
		"left on, by setting":   {},
	} {
		t.Run(name, func(t *testing.T) {
			var flags []string
			if strings.HasSuffix(name, "setting") {
				flags = []string{"--root-path", "/shop"}
			}
			p := runNginx(t, onSocket(t, flags...), append(changes, "location / {", "location /shop/ {")...)
			status, _, body := p.exchange(p.request("GET", "/shop/echo/a?b", nil))
			told := p.object(&Response{Body: body, Status: status})
			wantEnviron(t, told["environ"].(map[string]any), map[string]any{"SCRIPT_NAME": "/shop/echo", "PATH_INFO": "/a"})
			if want := "http://" + p.host() + "/shop/echo/a?b"; told["url"] != want {
				t.Errorf("url = %v, want %s", told["url"], want)
			}
		})
	}
}

// streams: a block is with the client before the next one is made.
func (p *proxied) streams(t *testing.T) {
	p.T = t
	signal := filepath.Join(t.TempDir(), "signal")
	c := p.dial()
	defer c.Close()
	conn := dialled(t, c)
	conn.Send(head("GET /stream/sync?file="+url.QueryEscape(signal), "Host: "+p.host()))
	r := conn.ReadHead("GET")
	if block, _ := conn.ReadBlock(r); block != "first\n" {
		t.Errorf("first block = %q, want it before the second is made", block)
	}
	touch(t, signal)
	if conn.ReadBody(r); r.Body != "first\nsecond\n" || r.Broken != nil {
		t.Errorf("body = %q, %v, want both blocks", r.Body, r.Broken)
	}
}

// takesUploads, with a length and in chunks.
func (p *proxied) takesUploads(t *testing.T) {
	p.T = t
	upload := strings.Repeat("0123456789abcdef", 3<<16) // 3 MiB
	for _, body := range []io.Reader{strings.NewReader(upload), io.MultiReader(strings.NewReader(upload))} {
		status, _, answer := p.exchange(p.request("POST", "/upload/", body))
		if status != 200 || !strings.Contains(answer, sha256of(upload)) {
			t.Errorf("POST of %d bytes = %d %.200q, want 200 and their digest", len(upload), status, answer)
		}
	}
}

// keepsConnections: one connection of the proxy to the server serves all
// requests of one client's connection.
func (p *proxied) keepsConnections(t *testing.T) {
	p.T = t
	c := p.dial()
	defer c.Close()
	conn := dialled(t, c)
	conn.Get("/echo")
	first := connected(t, p.socket)
	if len(first) == 0 {
		t.Fatal("no connection of the proxy is open, want one that is kept")
	}
	for range 3 {
		conn.Get("/echo")
		now := connected(t, p.socket)
		if len(now) == 0 {
			t.Error("no connection of the proxy is open any more, want the first one")
		}
		for inode := range now {
			if !first[inode] { // those of other clients may go
				t.Errorf("connection %s is new, want only those of the first request: %v", inode, first)
			}
		}
	}
}

// connected gives the inodes of the accepted connections on a unix socket.
func connected(t *testing.T, path string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		t.Fatal(err)
	}
	const established = "03"
	inodes := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 8 && f[5] == established && f[7] == path {
			inodes[f[6]] = true
		}
	}
	return inodes
}
