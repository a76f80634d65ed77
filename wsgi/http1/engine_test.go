package http1

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"gowsgi/environ"
)

// handlerFunc makes a function a Handler.
type handlerFunc func(x *Exchange)

func (f handlerFunc) ServeExchange(x *Exchange) { f(x) }

// patience bounds every wait of a test for something that must happen.
const patience = 5 * time.Second

// serve runs a server on a loopback port until the test ends and gives it with its address.
func serve(t testing.TB, o Options) (*Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(o)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != ErrClosed {
			t.Errorf("Serve = %v, want ErrClosed", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown after Close = %v, want every connection gone", err)
		}
	})
	return s, l.Addr().String()
}

// client is a connection that a test speaks raw bytes on.
type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return adopt(t, c)
}

// adopt makes a connection one that a test speaks on, until it ends.
func adopt(t testing.TB, c net.Conn) *client {
	t.Helper()
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &client{t, c, bufio.NewReader(c)}
}

// eventually waits for something that no event tells of.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("after %s still not: %s", patience, what)
		}
		runtime.Gosched()
	}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatalf("send %q: %v", s, err)
	}
}

// answer reads one answer to a request of that method and gives it with its body.
func (c *client) answer(method string) (*http.Response, string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("read answer: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("read body after %d bytes, %.100q: %v", len(body), body, err)
	}
	return resp, string(body)
}

// rest reads until the connection ends. An error other than the end comes back as its text.
func (c *client) rest() string {
	b, err := io.ReadAll(c.r)
	if err != nil {
		return string(b) + "!" + err.Error()
	}
	return string(b)
}

// expectClosed fails unless the server has closed the connection without another byte.
func (c *client) expectClosed() {
	c.t.Helper()
	if got := c.rest(); got != "" {
		c.t.Errorf("after the answer came %q, want the connection closed", got)
	}
}

var textPlain = []environ.Header{{Name: []byte("Content-Type"), Value: []byte("text/plain")}}

// reply answers 200 with a text of known length.
func reply(x *Exchange, text string) error {
	if err := x.WriteHead(200, []byte("OK"), textPlain, int64(len(text))); err != nil {
		return err
	}
	if _, err := x.Write([]byte(text)); err != nil {
		return err
	}
	return x.Finish()
}

// readAll reads the whole body.
func readAll(x *Exchange) (string, error) {
	var all strings.Builder
	p := make([]byte, 1000)
	for {
		n, err := x.ReadBody(p)
		all.Write(p[:n])
		if err == io.EOF {
			return all.String(), nil
		}
		if err != nil {
			return all.String(), err
		}
	}
}

// echo answers with method, target and body.
var echo = handlerFunc(func(x *Exchange) {
	body, err := readAll(x)
	if err != nil {
		_ = x.Refuse(400, err.Error())
		return
	}
	_ = reply(x, string(x.Request.Method)+" "+string(x.Request.Target)+" "+body)
})

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

var okReason = []byte("OK")

// defaultTimeouts are those the program runs with.
var defaultTimeouts = Timeouts{Header: 15 * time.Second, Body: 60 * time.Second, Send: 60 * time.Second, KeepAlive: 5 * time.Second}

// makeText gives n bytes fit for a field value.
func makeText(n int) []byte {
	text := make([]byte, n)
	for i := range text {
		text[i] = 'a' + byte(i%26)
	}
	return text
}
