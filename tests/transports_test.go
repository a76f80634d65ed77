package tests

// What must be the same whatever carries a request: HTTP/1.1 in clear text is
// the other tests'; here are TLS, and HTTP/2 with and without it.

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gowsgi/wsgi/secure/securetest"
)

// A transport is a way to reach an application.
type transport struct {
	name     string
	scheme   string
	protocol string // SERVER_PROTOCOL
	args     []string
	client   *http.Client
}

// eachTransport runs test with a server of app for each transport.
func eachTransport(t *testing.T, app string, test func(t *testing.T, s *Server, by transport), args ...string) {
	ca := securetest.NewAuthority(t, "tests")
	certFile, keyFile := ca.Server(t, "127.0.0.1", "localhost").Write(t, t.TempDir(), "server")
	certified := []string{"--certfile", certFile, "--keyfile", keyFile}
	config := func() *tls.Config { return &tls.Config{RootCAs: ca.Pool()} }
	var only1, only2 http.Protocols
	only1.SetHTTP1(true)
	only2.SetUnencryptedHTTP2(true)
	for _, by := range []transport{
		{"HTTP/1.1 under TLS", "https", "HTTP/1.1", certified, &http.Client{Transport: &http.Transport{TLSClientConfig: config(), Protocols: &only1}}},
		{"HTTP/2 under TLS", "https", "HTTP/2.0", certified, &http.Client{Transport: &http.Transport{TLSClientConfig: config(), ForceAttemptHTTP2: true}}},
		{"HTTP/2 in clear text", "http", "HTTP/2.0", nil, &http.Client{Transport: &http.Transport{Protocols: &only2}}},
	} {
		t.Run(by.name, func(t *testing.T) {
			by.client.Timeout = patience
			by.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			t.Cleanup(by.client.CloseIdleConnections)
			test(t, Start(t, app, append(append([]string{}, by.args...), args...)...), by)
		})
	}
}

// told is an answer, read to its end or to where it broke.
type told struct {
	*http.Response
	body   string
	broken error
}

// ask sends a request and reads its answer.
func (by *transport) ask(t *testing.T, s *Server, method, path string, body io.Reader, fields ...string) told {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL(path), body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	response, err := by.client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return told{response, string(text), err}
}

// object is an answer in JSON.
func (a told) object(t *testing.T) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(a.body), &object); err != nil {
		t.Fatalf("answer = %s %.300q, want a JSON object", a.Status, a.body)
	}
	return object
}

// unannounced hides the length of a body: it comes chunked, or in DATA without
// a Content-Length.
type unannounced struct{ io.Reader }

func TestTransports_Environ(t *testing.T) {
	eachTransport(t, validated("echo"), func(t *testing.T, s *Server, by transport) {
		address := strings.TrimPrefix(s.Binds[0], by.scheme+"://")
		host, port, _ := net.SplitHostPort(address)
		answer := by.ask(t, s, "GET", "/caf%C3%A9?q=1", nil, "Cookie", "a=1", "X-Two", "one", "X-Two", "two", "X_Under", "no",
			"HTTPS", "forged", "SSL-CLIENT-VERIFY", "forged")
		if got := fmt.Sprintf("HTTP/%d.%d", answer.ProtoMajor, answer.ProtoMinor); got != by.protocol {
			t.Fatalf("answered by %s, want %s", got, by.protocol)
		}
		got := answer.object(t)["environ"].(map[string]any)
		want := map[string]any{
			"wsgi.url_scheme": by.scheme, "SERVER_PROTOCOL": by.protocol, "HTTP_HOST": address, "SERVER_NAME": host, "SERVER_PORT": port,
			"PATH_INFO": "/caf\u00c3\u00a9", "QUERY_STRING": "q=1", "HTTP_COOKIE": "a=1", "HTTP_X_TWO": "one, two", "HTTP_X_UNDER": nil,
			"REMOTE_ADDR": "127.0.0.1", "CONTENT_LENGTH": nil, "HTTPS": nil, "SSL_CLIENT_VERIFY": nil,
			"HTTP_HTTPS": "forged", "HTTP_SSL_CLIENT_VERIFY": "forged",
		}
		if by.scheme == "https" {
			want["HTTPS"], want["SSL_PROTOCOL"], want["SSL_CLIENT_VERIFY"] = "on", "TLSv1.3", "NONE"
		}
		wantEnviron(t, got, want)
	})
}

func TestTransports_Bodies(t *testing.T) {
	eachTransport(t, "upload", func(t *testing.T, s *Server, by transport) {
		for _, size := range []int{0, 1, 65536, 300 << 10, 8 << 20} {
			for _, body := range []io.Reader{strings.NewReader(strings.Repeat("b", size)), unannounced{strings.NewReader(strings.Repeat("b", size))}} {
				answer := by.ask(t, s, "POST", "/", body)
				if got := answer.object(t)["length"]; got != float64(size) {
					t.Errorf("POST of %d bytes (%T): the application has read %v", size, body, got)
				}
			}
		}
		// A body nobody reads does not spoil what comes after.
		if answer := by.ask(t, s, "POST", "/?how=none", strings.NewReader(strings.Repeat("b", 1<<20))); answer.StatusCode != 200 {
			t.Errorf("POST unread = %s, want 200", answer.Status)
		}
		if answer := by.ask(t, s, "POST", "/", strings.NewReader("b")); answer.object(t)["length"] != 1.0 {
			t.Errorf("POST after an unread one = %q, want length 1", answer.body)
		}
	})
}

func TestTransports_Streaming(t *testing.T) {
	eachTransport(t, validated("stream"), func(t *testing.T, s *Server, by transport) {
		file := filepath.Join(t.TempDir(), "release")
		response, err := by.client.Get(s.URL("/sync?file=" + url.QueryEscape(file)))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		block := make([]byte, len("first\n"))
		if _, err := io.ReadFull(response.Body, block); err != nil || string(block) != "first\n" {
			t.Fatalf("first block = %q, %v, want first", block, err)
		}
		touch(t, file)
		if rest, err := io.ReadAll(response.Body); err != nil || string(rest) != "second\n" {
			t.Errorf("then %q, %v, want second", rest, err)
		}
		for _, announced := range []string{"", "&length=1"} {
			if a := by.ask(t, s, "GET", "/?blocks=512&size=65536"+announced, nil); len(a.body) != 32<<20 || a.broken != nil {
				t.Errorf("32 MiB%s: %d bytes, %v", announced, len(a.body), a.broken)
			}
		}
	})
}

// The application is told that its client has gone, by close().
func TestTransports_ClientThatLeaves(t *testing.T) {
	eachTransport(t, "stream", func(t *testing.T, s *Server, by transport) {
		mark := newMarkFile(t)
		ctx, leave := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, "GET", s.URL("/?blocks=1000000&size=65536&mark="+url.QueryEscape(mark.path)), nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := by.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(response.Body, make([]byte, 100000)); err != nil {
			t.Fatal(err)
		}
		leave()
		response.Body.Close()
		mark.await("closed")
	})
}

// An answer that breaks off looks broken, and one that failed before it began
// is a 500. The next request is none the worse for it.
func TestTransports_Failures(t *testing.T) {
	eachTransport(t, "misbehave.raising", func(t *testing.T, s *Server, by transport) {
		for path, want := range map[string]string{"/app": "500", "/started": "500", "/first": "500", "/written": "sent\n", "/after": "sent\n"} {
			a := by.ask(t, s, "GET", path, nil)
			if want == "500" && (a.StatusCode != 500 || a.broken != nil) ||
				want != "500" && (a.StatusCode != 200 || a.body != want || a.broken == nil) {
				t.Errorf("GET %s = %s %q, %v, want %q", path, a.Status, a.body, a.broken, want)
			}
		}
	})
	eachTransport(t, "misbehave.lengths", func(t *testing.T, s *Server, by transport) {
		for path, want := range map[string]string{"/cut": "one\n", "/cut-blocks": "one\n", "/cut-write": "one\n", "/zero": ""} {
			if a := by.ask(t, s, "GET", path, nil); a.StatusCode != 200 || a.body != want || a.broken != nil {
				t.Errorf("GET %s = %s %q, %v, want %q", path, a.Status, a.body, a.broken, want)
			}
		}
		if a := by.ask(t, s, "GET", "/short", nil); a.broken == nil {
			t.Errorf("GET /short = %s %q, complete; want it broken", a.Status, a.body)
		}
		for _, c := range []struct{ method, code, length string }{{"HEAD", "200", "4"}, {"GET", "204", ""}, {"GET", "304", ""}} {
			a := by.ask(t, s, c.method, "/status?blocks=1&code="+c.code+"&length="+c.length, nil)
			if fmt.Sprint(a.StatusCode) != c.code || a.body != "" || a.broken != nil {
				t.Errorf("%s /status?code=%s = %s %q, %v, want it without a body", c.method, c.code, a.Status, a.body, a.broken)
			}
		}
	})
	eachTransport(t, "misbehave.dying", func(t *testing.T, s *Server, by transport) {
		if a := by.ask(t, s, "POST", "/kill", nil); a.StatusCode != 502 {
			t.Errorf("POST /kill = %s, want 502", a.Status)
		}
		if a := by.ask(t, s, "GET", "/kill?when=block", nil); a.broken == nil || a.body != "sent\n" {
			t.Errorf("GET /kill?when=block = %s %q, %v, want it broken after sent", a.Status, a.body, a.broken)
		}
	})
}

// Many requests at a time, over as few connections as the client likes.
func TestTransports_ManyAtOnce(t *testing.T) {
	eachTransport(t, "echo", func(t *testing.T, s *Server, by transport) {
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() {
				for j := range 10 {
					want := fmt.Sprintf("/%d/%d", i, j)
					response, err := by.client.Post(s.URL(want), "text/plain", strings.NewReader(strings.Repeat("x", 1000*j)))
					if err != nil {
						t.Errorf("POST %s: %v", want, err)
						return
					}
					text, err := io.ReadAll(response.Body)
					response.Body.Close()
					if err != nil || !strings.Contains(string(text), `"PATH_INFO": "`+want+`"`) {
						t.Errorf("POST %s = %.200s, %v", want, text, err)
					}
				}
			})
		}
		all.Wait()
	}, "-w2", "--threads", "4")
}

// A server that is told to stop serves what has begun; a connection of HTTP/2
// that is kept is no reason to wait.
func TestTransports_StopWaitsForRequestsOnly(t *testing.T) {
	eachTransport(t, "stream", func(t *testing.T, s *Server, by transport) {
		file := filepath.Join(t.TempDir(), "release")
		response, err := by.client.Get(s.URL("/sync?file=" + url.QueryEscape(file)))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		s.Signal(15)
		s.WaitFor("stopping")
		touch(t, file)
		if text, err := io.ReadAll(response.Body); err != nil || string(text) != "first\nsecond\n" {
			t.Errorf("body = %q, %v, want first, second", text, err)
		}
		if code := s.ExitCode(stopPatience); code != 0 {
			t.Errorf("exit code = %d, want 0", code)
		}
	}, "--keep-alive", "1h")
}
