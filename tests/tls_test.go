package tests

// Certificates of the server and of its clients, addresses with and without
// TLS, and the way from http to https.

import (
	"bufio"
	"crypto/tls"
	"crypto/x509/pkix"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gowsgi/wsgi/secure/securetest"
)

// shake shakes hands with the first bind and returns the connection.
func (s *Server) shake(config *tls.Config) (*tls.Conn, error) {
	network, address := s.Address()
	return tls.DialWithDialer(&net.Dialer{Timeout: patience}, network, address, config)
}

// servedName is the name in the certificate that a client gets who asks for a host.
func (s *Server) servedName(host string) string {
	s.T.Helper()
	c, err := s.shake(&tls.Config{ServerName: host, InsecureSkipVerify: true})
	if err != nil {
		s.T.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestTLS_CertificatesByNameAndReplacedWhileServing(t *testing.T) {
	ca, dir := securetest.NewAuthority(t, "tests"), t.TempDir()
	one, oneKey := ca.Server(t, "one.example").Write(t, dir, "one")
	two := ca.Server(t, "two.example")
	both := filepath.Join(dir, "both.pem")
	securetest.Write(t, both, append(two.PEM, two.Key...))
	s := Start(t, "hello", "--certfile", one, "--keyfile", oneKey, "--certfile", both, "--keyfile", both)
	for host, want := range map[string]string{"one.example": "one.example", "two.example": "two.example", "three.example": "one.example"} {
		if got := s.servedName(host); got != want {
			t.Errorf("certificate for %s = %s, want %s", host, got, want)
		}
	}
	kept, err := s.shake(&tls.Config{ServerName: "one.example", RootCAs: ca.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()

	mark := s.Mark()
	ca.Server(t, "three.example").Write(t, dir, "one")
	s.WaitForSince(mark, "certificates loaded") // by itself
	if got := s.servedName("three.example"); got != "three.example" {
		t.Errorf("certificate after a change = %s, want three.example", got)
	}

	mark = s.Mark()
	if err := os.Remove(oneKey); err != nil {
		t.Fatal(err)
	}
	s.Signal(unix.SIGHUP)
	s.WaitForSince(mark, "the old ones stay in force")
	s.WaitForSince(mark, "reloaded")
	if got := s.servedName("three.example"); got != "three.example" {
		t.Errorf("certificate after a bad change = %s, want three.example", got)
	}
	// A connection that was there all the time has not noticed.
	_ = kept.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(kept, head("GET /", "Host: one.example", "Connection: close")); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(kept); err != nil || !strings.HasSuffix(string(answer), "Hello, World!\n") {
		t.Errorf("answer on the kept connection = %q, %v", answer, err)
	}
}

// What cannot be used is said in one line, and the exit code is that of an
// address that cannot be listened on.
func TestTLS_UnusableFilesEndTheStart(t *testing.T) {
	ca, dir := securetest.NewAuthority(t, "tests"), t.TempDir()
	cert, _ := ca.Server(t, "one.example").Write(t, dir, "one")
	_, otherKey := ca.Server(t, "two.example").Write(t, dir, "two")
	missing := filepath.Join(dir, "missing.pem")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--certfile", missing}, missing},
		{[]string{"--certfile", cert, "--keyfile", otherKey}, otherKey},
		{[]string{"--certfile", otherKey}, otherKey},
	} {
		r, err := launch(Options{App: "hello", Args: c.args})
		if err != nil {
			t.Fatal(err)
		}
		code, err := r.exitCode(patience)
		log := r.log.text(0)
		_, last, _ := strings.Cut(log, "gowsgi: error: ")
		if err != nil || code != 5 || !strings.HasPrefix(last, "TLS: ") || !strings.Contains(last, c.want) || !strings.Contains(last, " [GW080]\ngowsgi: help: ") || strings.Count(log, "error") > 1 {
			t.Errorf("gowsgi %v = %d, %v, log %q, want 5, one error with %s, and what to do", c.args, code, err, log, c.want)
		}
	}
}

func TestTLS_ClientCertificates(t *testing.T) {
	ca, stranger, dir := securetest.NewAuthority(t, "tests"), securetest.NewAuthority(t, "stranger"), t.TempDir()
	cert, key := ca.Server(t, "127.0.0.1").Write(t, dir, "server")
	trusted := filepath.Join(dir, "clients.pem")
	securetest.Write(t, trusted, ca.PEM)
	anna := pkix.Name{CommonName: "anna", Organization: []string{"Müller, Ltd"}}
	for _, reqs := range []string{"optional", "2"} {
		s := Start(t, validated("echo"), "--certfile", cert, "--keyfile", key, "--ca-certs", trusted, "--cert-reqs", reqs)
		for _, protocol := range []string{"http/1.1", "h2"} {
			ask := func(certificates ...tls.Certificate) (map[string]any, error) {
				config := &tls.Config{RootCAs: ca.Pool(), NextProtos: []string{protocol}}
				if len(certificates) > 0 { // whoever the server says it trusts
					config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificates[0], nil }
				}
				client := &http.Client{Timeout: patience, Transport: &http.Transport{
					TLSClientConfig:   config,
					ForceAttemptHTTP2: protocol == "h2",
				}}
				defer client.CloseIdleConnections()
				request, err := http.NewRequestWithContext(t.Context(), "GET", s.URL("/"), nil)
				if err != nil {
					return nil, err
				}
				request.Header["SSL_CLIENT_S_DN"] = []string{"CN=root"}
				request.Header["Ssl-Client-Verify"] = []string{"SUCCESS"}
				response, err := client.Do(request)
				if err != nil {
					return nil, err
				}
				defer response.Body.Close()
				text, err := io.ReadAll(response.Body)
				return told{response, string(text), err}.object(t)["environ"].(map[string]any), err
			}
			got, err := ask(ca.Client(t, anna).Pair(t))
			if err != nil {
				t.Fatal(err)
			}
			wantEnviron(t, got, map[string]any{
				"SSL_CLIENT_VERIFY": "SUCCESS", "SSL_CLIENT_S_DN_CN": "anna", "SSL_CLIENT_I_DN": "CN=tests",
				// UTF-8, each byte a character
				"SSL_CLIENT_S_DN": "CN=anna,O=M\u00c3\u00bcller\\, Ltd", "wsgi.url_scheme": "https",
			})
			if pem, _ := got["SSL_CLIENT_CERT"].(string); !strings.HasPrefix(pem, "-----BEGIN CERTIFICATE-----\n") {
				t.Errorf("SSL_CLIENT_CERT = %.100q, want a certificate", pem)
			}
			if _, err := ask(stranger.Client(t, anna).Pair(t)); err == nil {
				t.Errorf("%s, %s: a certificate of a stranger is taken", reqs, protocol)
			}
			got, err = ask()
			if reqs == "optional" && err == nil {
				wantEnviron(t, got, map[string]any{"SSL_CLIENT_VERIFY": "NONE", "SSL_CLIENT_S_DN": nil, "HTTP_SSL_CLIENT_VERIFY": "SUCCESS"})
			} else if reqs == "optional" || err == nil {
				t.Errorf("%s, %s: without a certificate: %v, %v", reqs, protocol, got, err)
			}
		}
	}
}

// A bare TCP address is under TLS, a unix socket is not, and either can be said.
func TestTLS_AddressesWithAndWithout(t *testing.T) {
	ca, dir := securetest.NewAuthority(t, "tests"), t.TempDir()
	cert, key := ca.Server(t, "127.0.0.1").Write(t, dir, "server")
	plain, covered := filepath.Join(dir, "plain"), filepath.Join(dir, "covered")
	s := Start(t, "hello", "--certfile", cert, "--keyfile", key, "-b", "127.0.0.1:0", "-b", "http://127.0.0.1:0",
		"-b", "https://127.0.0.1:0", "-b", "unix:"+plain, "-b", "https://unix:"+covered)
	want := regexp.MustCompile(`^https://127.0.0.1:\d+ http://127.0.0.1:\d+ https://127.0.0.1:\d+ unix:\S+ https://unix:\S+$`)
	if got := strings.Join(s.Binds, " "); !want.MatchString(got) {
		t.Fatalf("announced %s, want %s", got, want)
	}
	for _, bind := range s.Binds {
		network, address := dialable(strings.Replace(bind, "https://unix:", "unix:", 1))
		c, err := net.DialTimeout(network, address, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		if strings.HasPrefix(bind, "https") {
			c = tls.Client(c, &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"})
		}
		if _, err := io.WriteString(c, head("GET /", "Host: a", "Connection: close")); err != nil {
			t.Errorf("%s: %v", bind, err)
		}
		if answer, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(answer), "Hello, World!\n") {
			t.Errorf("%s: answer %q, %v", bind, answer, err)
		}
	}
}

func TestTLS_PlainHTTPIsToldSo(t *testing.T) {
	ca := securetest.NewAuthority(t, "tests")
	cert, key := ca.Server(t, "127.0.0.1").Write(t, t.TempDir(), "server")
	s := Start(t, "hello", "--certfile", cert, "--keyfile", key, "--log-level", "debug")
	c := s.Dial()
	c.Send(head("GET /", "Host: a"))
	if r := c.Read("GET"); r.Status != 400 || !strings.Contains(r.Body, "https") {
		t.Errorf("answer = %s %q, want 400 and a word about https", r.Line(), r.Body)
	}
	c.WantEOF()
	raw := s.Dial()
	raw.Send("\x16\x03\x01\x00\x05hello")
	if left, err := io.ReadAll(raw.Conn); len(left) > 7 {
		t.Errorf("answer to garbage = %q, %v, want at most an alert", left, err)
	}
	s.WaitFor("TLS handshake failed")
}

// Applications see nothing of a redirect; method and body survive it.
func TestTLS_RedirectsToHTTPS(t *testing.T) {
	ca := securetest.NewAuthority(t, "tests")
	cert, key := ca.Server(t, "127.0.0.1").Write(t, t.TempDir(), "server")
	s := Start(t, "upload", "--certfile", cert, "--keyfile", key, "--redirect-http", "127.0.0.1:0", "--access-logfile", "-")
	from := regexp.MustCompile(`http://\S+`).FindString(s.WaitFor("redirecting from"))
	client := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}}
	defer client.CloseIdleConnections()
	response, err := client.Post(from+"/x?how=read", "text/plain", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(text), `"length": 4`) {
		t.Errorf("answer after the redirect = %q, %v, want length 4", text, err)
	}
	if got, want := response.Request.URL.String(), s.URL("/x?how=read"); got != want {
		t.Errorf("redirected to %s, want %s", got, want)
	}
	c := dial(t, "tcp", strings.TrimPrefix(from, "http://"))
	c.Send("GET / HTTP/1.0\r\n\r\n")
	if r := c.Read("GET"); r.Status != 400 {
		t.Errorf("without a host: %s, want 400", r.Line())
	}
	s.Stop()
	if log := strings.Join(s.Output(), "\n"); !strings.Contains(log, `"POST /x?how=read HTTP/1.1" 308 `) {
		t.Errorf("access log = %s, want the redirect in it", log)
	}
}

// A client that never shakes hands is not waited for when the server stops, and
// one that breaks off in the middle of an answer sees that it does: no
// close_notify comes.
func TestTLS_BrokenAnswersHaveNoCloseNotify(t *testing.T) {
	ca := securetest.NewAuthority(t, "tests")
	cert, key := ca.Server(t, "127.0.0.1").Write(t, t.TempDir(), "server")
	s := Start(t, "misbehave.raising", "--certfile", cert, "--keyfile", key)
	silent := s.Dial()
	c, err := s.shake(&tls.Config{RootCAs: ca.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "GET /after HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(bufio.NewReader(c))
	if !strings.HasSuffix(string(got), "sent\n") || err == nil || errors.Is(err, io.EOF) {
		t.Errorf("answer = %q, %v, want sent and a broken connection", got, err)
	}
	s.Stop()
	silent.WantEOF()
}
