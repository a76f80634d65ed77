package http1

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"gowsgi/environ"
	"gowsgi/wsgi/secure/securetest"
)

// other stands for the engine of HTTP/2: it notes what it is handed and says hello.
type other struct {
	conns  chan handed
	parted chan struct{}
	away   chan struct{}
}

type handed struct {
	first  string
	common environ.Request
}

func newOther() *other {
	return &other{conns: make(chan handed, 1), parted: make(chan struct{}), away: make(chan struct{}, 1)}
}

func (o *other) ServeConn(nc net.Conn, first []byte, common environ.Request) {
	o.conns <- handed{string(first), common}
	_, _ = io.WriteString(nc, "hello\n")
}

func (o *other) Part() { close(o.parted) }

func (o *other) GoAway() {
	select {
	case o.away <- struct{}{}:
	default: // told before
	}
}

// secured makes a server's listener speak TLS, and gives what a client needs.
func secured(t *testing.T, o Options, protocols ...string) (addr string, client *tls.Config) {
	t.Helper()
	ca := securetest.NewAuthority(t, "tests")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(o)
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(tls.NewListener(l, &tls.Config{
			Certificates: []tls.Certificate{ca.Server(t, "127.0.0.1").Pair(t)}, NextProtos: protocols,
		}))
	}()
	t.Cleanup(func() { s.Close(); <-served })
	return l.Addr().String(), &tls.Config{RootCAs: ca.Pool()}
}

func dialTLS(t *testing.T, addr string, config *tls.Config) *client {
	t.Helper()
	c := dial(t, addr)
	config = config.Clone()
	config.ServerName = "127.0.0.1"
	c.Conn = tls.Client(c.Conn, config)
	c.r.Reset(c.Conn)
	return c
}

func TestTLS_ServesHTTP1(t *testing.T) {
	body := strings.Repeat("0123456789", 10000)
	o := Options{
		Timeouts: Timeouts{KeepAlive: time.Minute},
		Variables: func(tls.ConnectionState) []byte {
			return environ.AppendVariable(nil, "HTTPS", "on")
		},
		Handler: handlerFunc(func(x *Exchange) {
			if x.Request.Scheme != "https" || len(x.Request.Connection) == 0 {
				t.Errorf("Scheme, Connection = %q, %q, want https and variables", x.Request.Scheme, x.Request.Connection)
			}
			length := int64(-1)
			if string(x.Request.Path) == "/counted" {
				length = int64(len(body))
			}
			_ = x.WriteHead(200, nil, nil, length)
			_, _ = x.Write([]byte(body[:10]))
			_, _ = x.Write([]byte(body[10:]))
			_ = x.Finish()
		}),
	}
	addr, config := secured(t, o)
	c := dialTLS(t, addr, config)
	for _, path := range []string{"/counted", "/chunked", "/counted"} {
		c.send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, got := c.answer("GET"); got != body {
			t.Errorf("GET %s = %d bytes, want the %d sent", path, len(got), len(body))
		}
	}
}

func TestTLS_HandshakeThatTakesTooLong(t *testing.T) {
	addr, _ := secured(t, Options{Timeouts: Timeouts{Header: 20 * time.Millisecond}, Handler: handlerFunc(func(*Exchange) {})})
	dial(t, addr).expectClosed()
}

func TestTLS_ALPNChoosesTheEngine(t *testing.T) {
	engine := newOther()
	addr, config := secured(t, Options{HTTP2: engine, Handler: handlerFunc(func(x *Exchange) { _ = reply(x, "one") })}, "h2", "http/1.1")
	config.NextProtos = []string{"http/1.1"}
	c := dialTLS(t, addr, config)
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, got := c.answer("GET"); got != "one" {
		t.Errorf("answer = %q, want that of HTTP/1.1", got)
	}
	config.NextProtos = []string{"h2", "http/1.1"}
	if got := dialTLS(t, addr, config).rest(); got != "hello\n" {
		t.Errorf("answer = %q, want that of the other engine", got)
	}
	if got := <-engine.conns; got.first != "" || got.common.Scheme != "https" || got.common.RemoteAddr != "127.0.0.1" {
		t.Errorf("handed over %+v, want nothing read, https and addresses", got)
	}
}

func TestHTTP2_PriorKnowledgeChoosesTheEngine(t *testing.T) {
	engine := newOther()
	_, addr := serve(t, Options{HTTP2: engine, Handler: handlerFunc(func(x *Exchange) { _ = reply(x, string(x.Request.Method)) })})
	for _, pieces := range [][]string{{preface + "rest"}, {preface[:1], preface[1:18], preface[18:]}} {
		c := dial(t, addr)
		for _, piece := range pieces {
			c.send(piece)
		}
		if got := c.rest(); got != "hello\n" {
			t.Errorf("answer = %q, want that of the other engine", got)
		}
		if got := <-engine.conns; !strings.HasPrefix(got.first, preface) || got.common.Scheme != "http" {
			t.Errorf("handed over %q, %q, want the preface and http", got.first, got.common.Scheme)
		}
	}
	// What only begins like it is HTTP/1.1 as ever.
	for _, method := range []string{"P", "PRI", "PROPFIND"} {
		c := dial(t, addr)
		c.send(method[:1])
		c.send(method[1:] + " / HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, got := c.answer("GET"); got != method {
			t.Errorf("%s: answer = %q, want the method", method, got)
		}
	}
	c := dial(t, addr)
	c.send("PRI * HTTP/2.0\r\n\r\nXX")
	if r, _ := c.answer("GET"); r.StatusCode != 505 {
		t.Errorf("half a preface: %d, want 505", r.StatusCode)
	}
}

func TestHTTP2_OnlyHTTP2CutsOthersOff(t *testing.T) {
	engine := newOther()
	o := Options{HTTP2: engine, OnlyHTTP2: true, Handler: handlerFunc(func(*Exchange) { t.Error("handler called") })}
	_, addr := serve(t, o)
	if got := dial(t, addr).rest(); got != "hello\n" {
		t.Errorf("answer = %q, want that of the other engine", got)
	}
	addr, config := secured(t, o, "h2")
	if got := dialTLS(t, addr, config).rest(); got != "" {
		t.Errorf("without ALPN: answer = %q, want the connection closed", got)
	}
}

func TestShutdown_TellsTheOtherEngine(t *testing.T) {
	engine := newOther()
	s, _ := serve(t, Options{HTTP2: engine, Handler: handlerFunc(func(*Exchange) {})})
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	<-engine.away
}

// An answer that breaks off must not end like one that is complete.
func TestTLS_AbortSendsNoCloseNotify(t *testing.T) {
	addr, config := secured(t, Options{Handler: handlerFunc(func(x *Exchange) {
		_ = x.WriteHead(200, nil, nil, -1)
		_, _ = x.Write([]byte("half"))
		_ = x.Flush()
		x.Abort()
	})})
	c := dialTLS(t, addr, config)
	c.send("GET / HTTP/1.0\r\n\r\n")
	if got := c.rest(); !strings.Contains(got, "half!") {
		t.Errorf("answer = %q, want it to end in an error", got)
	}
}

// A stranger to the certificate is no reason to say more than a debug line.
func TestTLS_FailedHandshakeHarmsNobody(t *testing.T) {
	addr, config := secured(t, Options{Handler: handlerFunc(func(x *Exchange) { _ = reply(x, "fine") })})
	if got := dialTLS(t, addr, &tls.Config{RootCAs: x509.NewCertPool()}).rest(); got == "" {
		t.Error("handshake without trust succeeded")
	}
	c := dialTLS(t, addr, config)
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, got := c.answer("GET"); got != "fine" {
		t.Errorf("answer = %q, want fine", got)
	}
}
