package tests

// HTTP/1.1 from end to end, over real sockets (RFC 9110, RFC 9112). What a
// single message may look like is tested beside the parser; here it is what
// becomes of it with an application behind.

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestHTTP_ServesHello(t *testing.T) {
	twice(t, "hello", func(t *testing.T, s *Server) {
		r := s.Ask("/")
		if r.Line() != "200 OK" || r.Body != "Hello, World!\n" || r.Framing != Length {
			t.Errorf("GET / = %s %q (%s), want 200 OK Hello, World! (Content-Length)", r.Line(), r.Body, r.Framing)
		}
	})
}

// RFC 9112 §9.3: connections persist by default.
func TestHTTP_KeepsConnections(t *testing.T) {
	s := Shared(t, "hello")
	c := s.Dial()
	for i := range 50 {
		if r := c.Get("/"); r.Body != "Hello, World!\n" || r.Values("Connection") != nil {
			t.Fatalf("response %d = %s %q, Connection %q; want Hello, World! and no Connection", i, r.Line(), r.Body, r.Value("Connection"))
		}
	}
	if r := c.Get("/", "Connection: close"); r.Value("Connection") != "close" {
		t.Errorf("Connection = %q, want close", r.Value("Connection"))
	}
	c.WantEOF()
}

// RFC 9112 §9.3.2: pipelined requests are answered in order, though the second
// could be ready before the first.
func TestHTTP_AnswersPipelinedRequestsInOrder(t *testing.T) {
	s := Shared(t, "stream", "-w", "2", "--threads", "2")
	c := s.Dial()
	var requests string
	for i := range 20 {
		if i%5 == 0 {
			requests += head(fmt.Sprintf("GET /?blocks=3&size=%d&delay=0.01", 10+i), "Host: tests")
		} else {
			requests += head(fmt.Sprintf("GET /?blocks=1&length=1&size=%d", 10+i), "Host: tests")
		}
	}
	c.Send(requests)
	for i := range 20 {
		want := 10 + i
		if i%5 == 0 {
			want *= 3
		}
		if r := c.Read("GET"); len(r.Body) != want || r.Broken != nil {
			t.Fatalf("response %d: %d bytes, %v; want %d", i, len(r.Body), r.Broken, want)
		}
	}
}

// RFC 9110 §2.5, RFC 9112 §9.3: HTTP/1.0 clients know neither chunks nor, unless
// they ask, connections that stay.
func TestHTTP_ServesHTTP10(t *testing.T) {
	s := Shared(t, "stream")
	ask := func(target string, fields ...string) (*Conn, *Response) {
		c := s.Dial()
		c.Send("GET " + target + " HTTP/1.0\r\n" + strings.Join(append(fields, "\r\n"), "\r\n"))
		return c, c.Read("GET")
	}
	_, r := ask("/?blocks=3&size=10")
	if r.Framing != UntilClose || len(r.Body) != 30 || r.Broken != nil {
		t.Errorf("unknown length: %d bytes (%s) %v, want 30 until close", len(r.Body), r.Framing, r.Broken)
	}
	c, r := ask("/?blocks=3&size=10&length=1")
	if r.Framing != Length || len(r.Body) != 30 {
		t.Errorf("known length: %d bytes (%s), want 30 by Content-Length", len(r.Body), r.Framing)
	}
	c.WantEOF()
	c, r = ask("/?blocks=3&size=10&length=1", "Connection: keep-alive")
	if r.Value("Connection") != "keep-alive" || len(r.Body) != 30 {
		t.Errorf("keep-alive: Connection = %q, %d bytes; want keep-alive, 30", r.Value("Connection"), len(r.Body))
	}
	if r := c.Get("/?blocks=1&size=5&length=1"); len(r.Body) != 5 {
		t.Errorf("second request: %d bytes, want 5", len(r.Body))
	}
	c, r = ask("/?blocks=3&size=10", "Connection: keep-alive")
	if r.Framing != UntilClose || len(r.Body) != 30 {
		t.Errorf("keep-alive, unknown length: %d bytes (%s), want 30 until close", len(r.Body), r.Framing)
	}
	c.WantEOF()
}

// Where only the end of the connection ends the body, a broken body has to end
// in a reset: a plain end would look complete.
func TestHTTP_ResetsBrokenHTTP10Response(t *testing.T) {
	s := Shared(t, "misbehave.raising")
	c := s.Dial()
	c.Send("GET /after HTTP/1.0\r\n\r\n")
	if r := c.Read("GET"); r.Broken == nil {
		t.Errorf("GET /after = %s %q (%s), complete; want a reset", r.Line(), r.Body, r.Framing)
	}
}

// RFC 9112 §7.1: chunks are decoded, whatever their shape, and the application
// learns the length if the body is small.
func TestHTTP_DecodesChunkedRequests(t *testing.T) {
	twice(t, "echo", func(t *testing.T, s *Server) {
		c := s.Dial()
		for _, body := range []string{
			"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\n\r\n",
			"000B;x\r\nhello world\r\n0\r\nX-Trailer: dropped\r\n\r\n",
			"1\r\nh\r\n1\r\ne\r\n9\r\nllo world\r\n00\r\n\r\n",
		} {
			c.Send(head("POST /", "Host: tests", "Transfer-Encoding: chunked") + body)
			told := s.object(c.Read("POST"))
			environ := told["environ"].(map[string]any)
			if got := told["body"].(map[string]any); got["hex"] != fmt.Sprintf("%x", "hello world") {
				t.Errorf("body %q = %v, want hello world", body, got)
			}
			if environ["CONTENT_LENGTH"] != "11" || environ["HTTP_X_TRAILER"] != nil {
				t.Errorf("CONTENT_LENGTH, HTTP_X_TRAILER = %v, %v; want 11 and none", environ["CONTENT_LENGTH"], environ["HTTP_X_TRAILER"])
			}
		}
	})
}

// Bodies larger than any buffer stream in and out.
func TestHTTP_StreamsLargeBodies(t *testing.T) {
	const size = 32 << 20
	s := Shared(t, "upload")
	pattern := strings.Repeat("0123456789abcdef", 4096) // 64 KiB
	want := sha256of(strings.Repeat(pattern, size/len(pattern)))
	for name, request := range map[string]func(*http.Request){
		"Content-Length": func(r *http.Request) { r.ContentLength = size },
		"chunked":        func(r *http.Request) { r.ContentLength = -1 },
	} {
		reader, writer := io.Pipe()
		go func() {
			for range size / len(pattern) {
				if _, err := io.WriteString(writer, pattern); err != nil {
					return
				}
			}
			_ = writer.Close()
		}()
		r, err := http.NewRequest("POST", s.URL("/?how=read-n"), reader)
		if err != nil {
			t.Fatal(err)
		}
		request(r)
		told := s.object(do(t, s.Client(), r))
		if told["length"] != float64(size) || told["sha256"] != want {
			t.Errorf("%s: %v, want %d bytes %s", name, told, size, want)
		}
	}
	s = Shared(t, "stream")
	for _, path := range []string{"/?blocks=512&size=65536", "/?blocks=512&size=65536&length=1"} {
		if r := s.Ask(path); len(r.Body) != size || r.Broken != nil {
			t.Errorf("GET %s: %d bytes, %v; want %d", path, len(r.Body), r.Broken, size)
		}
	}
}

// Without buffering a body is passed on while it arrives: it need not be here for the application
// to begin, and what the application sends need not wait for its end.
func TestHTTP_StreamsWhileTheBodyArrives(t *testing.T) {
	s := Shared(t, "misbehave.reading", "--request-buffering=off")
	mark := newMarkFile(t)
	c := s.Dial()
	const size = 600_000 // more than is gathered before the call
	c.Send(head("POST /marks?mark="+url.QueryEscape(mark.path), "Host: tests", fmt.Sprintf("Content-Length: %d", size)))
	c.Send(strings.Repeat("m", 300_000))
	mark.await("block 1000")
	c.Send(strings.Repeat("m", 300_000))
	if told := s.object(c.Read("POST")); told["length"] != float64(size) {
		t.Errorf("length = %v, want %d", told["length"], size)
	}
}

// A client that goes away in the middle of its body: an application that has
// begun gets an exception, no quiet end.
func TestHTTP_BodyBrokenOffIsAnError(t *testing.T) {
	s := Shared(t, "misbehave.reading", "--request-buffering=off")
	for _, framing := range []string{"Content-Length: 600000", "Transfer-Encoding: chunked"} {
		mark := newMarkFile(t)
		c := s.Dial()
		c.Send(head("POST /marks?mark="+url.QueryEscape(mark.path), "Host: tests", framing))
		body := strings.Repeat("m", 300_000)
		if framing != "Content-Length: 600000" {
			body = fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
		}
		c.Send(body)
		mark.await("block 1000")
		_ = c.Close()
		got := mark.await("raised")
		if !strings.HasPrefix(got, "raised ConnectionResetError ") {
			t.Errorf("%s: %q, want ConnectionResetError", framing, got)
		}
	}
	// A small body is gathered first: then the application is not called at all.
	mark := newMarkFile(t)
	c := s.Dial()
	c.Send(head("POST /marks?mark="+url.QueryEscape(mark.path), "Host: tests", "Content-Length: 10") + "12345")
	_ = c.Close()
	s.Ask("/ignored")
	if got := mark.lines(); got != nil {
		t.Errorf("marks = %q, want none: the body never came", got)
	}
}

// RFC 9110 §9.3.2: HEAD is answered like GET, without the body.
func TestHTTP_HeadHasNoBody(t *testing.T) {
	for path, want := range map[string]string{
		"/?blocks=3&size=10&length=1": "30",
		"/?blocks=3&size=10":          "",
	} {
		twice(t, "stream", func(t *testing.T, s *Server) {
			c := s.Dial()
			for range 2 { // the second proves that the first had no body
				c.Send(head("HEAD "+path, "Host: tests"))
				if r := c.Read("HEAD"); r.Line() != "200 OK" || r.Value("Content-Length") != want {
					t.Errorf("HEAD %s = %s, Content-Length %q; want 200 OK, %q", path, r.Line(), r.Value("Content-Length"), want)
				}
			}
		})
	}
	s := Shared(t, "misbehave.raising")
	c := s.Dial()
	for range 2 {
		c.Send(head("HEAD /app", "Host: tests"))
		if r := c.Read("HEAD"); r.Status != 500 {
			t.Errorf("HEAD /app = %s, want 500", r.Line())
		}
	}
}

// RFC 9110 §15: statuses that have no body have none, whatever the application
// yields; 1xx are not the application's to send.
func TestHTTP_StatusesWithoutBody(t *testing.T) {
	s := Shared(t, "misbehave.lengths")
	for _, code := range []int{204, 304} {
		for _, more := range []string{"", "&blocks=1", "&length=8", "&length=8&blocks=1"} {
			c := s.Dial()
			for range 2 {
				path := fmt.Sprintf("/status?code=%d%s", code, more)
				r := c.Get(path)
				if r.Status != code {
					t.Errorf("GET %s = %s, want %d", path, r.Line(), code)
				}
				if code == 304 && more == "&length=8" && r.Value("Content-Length") != "8" {
					t.Errorf("GET %s: Content-Length = %q, want 8: that of the 200 it stands for", path, r.Value("Content-Length"))
				}
			}
		}
	}
	r := s.Ask("/status?code=205&blocks=1")
	if r.Status != 205 || r.Body != "" || r.Broken != nil {
		t.Errorf("205 = %s %q %v, want an empty body", r.Line(), r.Body, r.Broken)
	}
	for _, code := range []string{"100", "101", "103", "199"} {
		if r := s.Ask("/status?code=" + code); r.Status != 500 {
			t.Errorf("status %s from the application = %s, want 500", code, r.Line())
		}
	}
	for _, code := range []string{"200", "404", "599"} {
		if r := s.Ask("/status?code=" + code + "&blocks=1"); r.Body != "one\none\n" {
			t.Errorf("status %s = %q, want one, one", code, r.Body)
		}
	}
}

// PEP 3333 §HTTP 1.1 Expect/Continue, third way: 100 Continue is sent when the
// application first reads.
func TestHTTP_Sends100ContinueWhenTheBodyIsRead(t *testing.T) {
	s := Shared(t, "upload", "--request-buffering=off")
	for _, how := range []string{"read", "read-n", "readline", "iter"} {
		c := s.Dial()
		c.Send(head("POST /?how="+how, "Host: tests", "Content-Length: 5", "Expect: 100-continue"))
		if r := c.ReadHead("POST"); r.Line() != "100 Continue" || len(r.Fields) > 0 {
			t.Fatalf("%s: %s %v, want 100 Continue alone", how, r.Line(), r.Fields)
		}
		c.Send("12345")
		if told := s.object(c.Read("POST")); told["length"] != 5.0 {
			t.Errorf("%s: %v, want length 5", how, told)
		}
		if r := c.Get("/"); r.Status != 200 {
			t.Errorf("the connection's next request = %s, want 200", r.Line())
		}
	}
}

// …and not at all when it answers without reading. The client may send the body
// or not then, so the connection ends (RFC 9110 §10.1.1).
func TestHTTP_NoContinueWithoutReading(t *testing.T) {
	s := Shared(t, "misbehave.reading", "--request-buffering=off")
	c := s.Dial()
	c.Send(head("POST /ignored", "Host: tests", "Content-Length: 5", "Expect: 100-continue"))
	if r := c.Read("POST"); r.Line() != "200 OK" || r.Value("Connection") != "close" {
		t.Errorf("response = %s, Connection %q; want 200 OK, close", r.Line(), r.Value("Connection"))
	}
	c.WantEOF()
}

// An HTTP/1.0 client cannot know interim responses.
func TestHTTP_NoContinueForHTTP10(t *testing.T) {
	s := Shared(t, "upload")
	c := s.Dial()
	c.Send("POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n12345")
	if r := c.Read("POST"); r.Status != 200 {
		t.Errorf("response = %s, want 200", r.Line())
	}
}

// A body that comes without waiting needs no 100 Continue.
func TestHTTP_NoContinueWhenTheBodyIsHere(t *testing.T) {
	s := Shared(t, "upload")
	c := s.Dial()
	c.Send(head("POST /", "Host: tests", "Content-Length: 5", "Expect: 100-continue") + "12345")
	if r := c.ReadHead("POST"); r.Status == 200 {
		c.ReadBody(r)
	} else if r.Status != 100 || c.Read("POST").Status != 200 {
		// The head may have been read before the body: then 100 is right, too.
		t.Errorf("response = %s, want 200, or 100 and then 200", r.Line())
	}
}

// RFC 9110 §6.6.1, §10.2.4.
func TestHTTP_AddsDateAndServer(t *testing.T) {
	s := Shared(t, "hello")
	before := time.Now().Truncate(time.Second)
	r := s.Ask("/")
	date, err := time.Parse(http.TimeFormat, r.Value("Date"))
	if err != nil || date.Before(before.Add(-time.Second)) || date.After(time.Now().Add(time.Second)) {
		t.Errorf("Date = %q (%v), want now", r.Value("Date"), err)
	}
	if got := r.Values("Server"); len(got) != 1 || got[0] != "gowsgi" {
		t.Errorf("Server = %q, want gowsgi", got)
	}
}

// What cannot be served is refused by the front, and the application never sees it.
func TestHTTP_RefusesBadRequests(t *testing.T) {
	s := Shared(t, "hello", "--limit-request-line", "200", "--limit-request-fields", "20", "--limit-request-field-size", "300", "--max-body-size", "1K")
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"no request":       {"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400},
		"no host":          {"GET / HTTP/1.1\r\n\r\n", 400},
		"two hosts":        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		"bare LF":          {"GET / HTTP/1.1\nHost: a\n\n", 400},
		"space in name":    {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
		"both lengths":     {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		"two lengths":      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
		"HTTP/2.0":         {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
		"coding":           {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
		"long line":        {"GET /" + strings.Repeat("l", 300) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
		"many fields":      {head("GET /", append([]string{"Host: a"}, strings.Fields(strings.Repeat("X:y ", 30))...)...), 431},
		"long field":       {head("GET /", "Host: a", "X: "+strings.Repeat("f", 400)), 431},
		"large body":       {head("POST /", "Host: a", "Content-Length: 2000") + strings.Repeat("b", 2000), 413},
		"large chunk":      {head("POST /", "Host: a", "Transfer-Encoding: chunked") + "800\r\n" + strings.Repeat("b", 2048) + "\r\n0\r\n\r\n", 413},
		"bad chunk":        {head("POST /", "Host: a", "Transfer-Encoding: chunked") + "x\r\n", 400},
		"bad chunk's end":  {head("POST /", "Host: a", "Transfer-Encoding: chunked") + "1\r\nabc\r\n0\r\n\r\n", 400},
		"unknown Expect":   {head("POST /", "Host: a", "Expect: miracles", "Content-Length: 0"), 417},
		"escape in path":   {"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"fragment in path": {"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	} {
		conn := s.Dial()
		conn.Send(c.request)
		r := conn.Read("GET")
		if r.Status != c.status || r.Value("Connection") != "close" {
			t.Errorf("%s: %s, Connection %q; want %d, close", name, r.Line(), r.Value("Connection"), c.status)
		}
		conn.WantEOF()
	}
}

// --keep-alive bounds how long a connection may be idle; 0 keeps none.
func TestHTTP_ClosesIdleConnections(t *testing.T) {
	s := Start(t, "hello", "--keep-alive", "100ms")
	c := s.Dial()
	c.Get("/")
	c.WantEOF()
	s = Start(t, "hello", "--keep-alive", "0")
	c = s.Dial()
	if r := c.Get("/"); r.Value("Connection") != "close" {
		t.Errorf("Connection = %q, want close", r.Value("Connection"))
	}
	c.WantEOF()
}

// Requests on many connections at once each get their own answer.
func TestHTTP_ServesManyClientsAtOnce(t *testing.T) {
	s := Shared(t, "echo", "-w", "2", "--threads", "2")
	client := s.Client()
	var clients sync.WaitGroup
	for i := range 32 {
		clients.Go(func() {
			for j := range 20 {
				body := strings.Repeat(fmt.Sprintf("%d-%d ", i, j), 1+j*50)
				r, err := http.NewRequest("POST", s.URL(fmt.Sprintf("/%d/%d", i, j)), strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				text, err := io.ReadAll(got.Body)
				_ = got.Body.Close()
				if err != nil || !strings.Contains(string(text), sha256of(body)) || !strings.Contains(string(text), fmt.Sprintf(`"PATH_INFO": "/%d/%d"`, i, j)) {
					t.Errorf("POST /%d/%d: answer %.200q (%v) is not its own", i, j, text, err)
					return
				}
			}
		})
	}
	clients.Wait()
}

// --- Listening -------------------------------------------------------------

func TestHTTP_ListensOnUnixSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := StartWith(t, Options{App: "echo", Args: []string{"--bind", "unix:" + path}})
	if got, want := s.Binds[0], "unix:"+path; got != want {
		t.Errorf("announced %q, want %q", got, want)
	}
	environ := s.object(dial(t, "unix", path).Get("/"))["environ"].(map[string]any)
	if environ["REMOTE_ADDR"] != "" || environ["SERVER_NAME"] == "" || environ["SERVER_PORT"] == "" {
		t.Errorf("REMOTE_ADDR, SERVER_NAME, SERVER_PORT = %q, %q, %q; want empty, and two that are not",
			environ["REMOTE_ADDR"], environ["SERVER_NAME"], environ["SERVER_PORT"])
	}
	s.Stop()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("Lstat(%q) = %v after the server has stopped, want no such file", path, err)
	}
}

// A socket left behind by a server that was killed is replaced.
func TestHTTP_ReplacesStaleUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	Start(t, "hello", "-b", "unix:"+path)
	if r := dial(t, "unix", path).Get("/"); r.Status != 200 {
		t.Errorf("GET / = %s, want 200", r.Line())
	}
}

func TestHTTP_ListensOnAbstractSockets(t *testing.T) {
	name := fmt.Sprintf("@gowsgi-tests-%d", os.Getpid())
	Start(t, "hello", "-b", "unix:"+name)
	if r := dial(t, "unix", name).Get("/"); r.Status != 200 {
		t.Errorf("GET / = %s, want 200", r.Line())
	}
}

func TestHTTP_ListensOnIPv6(t *testing.T) {
	s := Start(t, "echo", "-b", "[::1]:0")
	environ := s.object(s.Ask("/"))["environ"].(map[string]any)
	if environ["REMOTE_ADDR"] != "::1" || environ["SERVER_NAME"] != "[::1]" {
		t.Errorf("REMOTE_ADDR, SERVER_NAME = %q, %q; want ::1, [::1]", environ["REMOTE_ADDR"], environ["SERVER_NAME"])
	}
}

func TestHTTP_ListensOnSeveralAddresses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := Start(t, "hello", "-b", "127.0.0.1:0", "--bind", "[::1]:0", "-b", "unix:"+path)
	if len(s.Binds) != 3 {
		t.Fatalf("announced %q, want three addresses", s.Binds)
	}
	for _, bind := range s.Binds {
		network, address := dialable(bind)
		if r := dial(t, network, address).Get("/"); r.Body != "Hello, World!\n" {
			t.Errorf("GET / at %s = %s %q, want Hello, World!", bind, r.Line(), r.Body)
		}
	}
}

// fd://N is a listening socket handed down, as by systemd or a test. Giving it
// to gowsgi must not make it blocking for whoever shares it.
func TestHTTP_ListensOnInheritedSocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s := StartWith(t, Options{App: "hello", Args: []string{"-b", "fd://3"}, Files: []*os.File{file}})
	if got, want := s.Host(), l.Addr().String(); got != want {
		t.Errorf("announced %s, want %s", got, want)
	}
	if r := s.Ask("/"); r.Body != "Hello, World!\n" {
		t.Errorf("GET / = %s %q, want Hello, World!", r.Line(), r.Body)
	}
	s.Stop()
	// The socket is still ours: a connection now waits for us to accept it.
	if err := l.(*net.TCPListener).SetDeadline(deadline()); err != nil {
		t.Fatal(err)
	}
	c := dial(t, "tcp", l.Addr().String())
	got, err := l.Accept()
	if err != nil {
		t.Fatalf("Accept after gowsgi has left: %v", err)
	}
	_ = got.Close()
	c.WantEOF()
}

// --backlog reaches listen(2).
func TestHTTP_BacklogIsTheKernels(t *testing.T) {
	s := Start(t, "hello", "--backlog", "7")
	_, port, _ := net.SplitHostPort(s.Host())
	for _, line := range listening(t, port) {
		if queue := strings.Fields(line)[2]; queue != "7" {
			t.Errorf("Send-Q of the listening socket = %s, want 7", queue)
		}
	}
}

// listening gives ss's lines for a port that is listened on.
func listening(t *testing.T, port string) []string {
	t.Helper()
	lines := output(t, "ss", "-Hltn", "sport", "=", ":"+port)
	if len(lines) == 0 {
		t.Fatalf("ss knows no socket that listens on %s", port)
	}
	return lines
}

// do sends a request by net/http and returns what came as a Response.
func do(t testing.TB, client *http.Client, r *http.Request) *Response {
	t.Helper()
	got, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &Response{Status: got.StatusCode, Reason: strings.TrimPrefix(got.Status, fmt.Sprint(got.StatusCode, " ")), Body: string(body)}
}

// A client that stops reading holds up nobody but itself, and the worker's
// memory does not grow by what is not taken.
func TestHTTP_SlowReaderHoldsUpOnlyItself(t *testing.T) {
	s := Shared(t, "stream", "--threads", "2")
	c := s.Dial()
	c.Send(head("GET /?blocks=400&size=65536", "Host: tests"))
	r := c.ReadHead("GET")
	c.ReadBlock(r)
	before := residentOf(t, s.Workers()[0].PID)
	for range 20 {
		if r := s.Ask("/?blocks=2&size=100"); len(r.Body) != 200 {
			t.Fatalf("another request: %d bytes, want 200", len(r.Body))
		}
	}
	if grown := residentOf(t, s.Workers()[0].PID) - before; grown > 8<<20 {
		t.Errorf("the worker has grown by %d bytes, want less than 8 MiB", grown)
	}
	c.ReadBody(r)
	if len(r.Body) != 400*65536 || r.Broken != nil {
		t.Errorf("slow reader: %d bytes, %v; want %d", len(r.Body), r.Broken, 400*65536)
	}
}

// residentOf is a process's resident memory in bytes.
func residentOf(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, resident int
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * unix.Getpagesize()
}
