package http1

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gowsgi/environ"
)

func TestConn_SlowHeadGets408AndAnIdleConnectionNothing(t *testing.T) {
	_, addr := serve(t, Options{Handler: echo, Timeouts: Timeouts{Header: 40 * time.Millisecond, KeepAlive: 40 * time.Millisecond}})
	for _, start := range []string{"G", "GET / HTTP/1.1\r\nHost", "\r\n", get + "GET / HT"} {
		c := dial(t, addr)
		c.send(start)
		if strings.HasPrefix(start, get) {
			c.answer("GET")
		}
		if resp, _ := c.answer("GET"); resp.StatusCode != 408 || !resp.Close {
			t.Errorf("answer to %q and silence = %d, close: %t, want 408 and close", start, resp.StatusCode, resp.Close)
		}
		c.expectClosed()
	}
	dial(t, addr).expectClosed()
	c := dial(t, addr)
	c.send(get)
	c.answer("GET")
	c.expectClosed()
}

func TestConn_HeaderTimerRunsFromTheFirstByteNotTheLast(t *testing.T) {
	_, addr := serve(t, Options{Handler: echo, Timeouts: Timeouts{Header: 60 * time.Millisecond}})
	c := dial(t, addr)
	// One byte at a time, each well before the timer: only their sum is too slow.
	ticks := time.NewTicker(10 * time.Millisecond)
	defer ticks.Stop()
	done := make(chan string, 1)
	go func() { done <- c.rest() }()
	for {
		select {
		case got := <-done:
			if !strings.HasPrefix(got, "HTTP/1.1 408 ") {
				t.Errorf("answer to a trickle = %q, want 408", got)
			}
			return
		case <-ticks.C:
			_, _ = c.Write([]byte("x"))
		}
	}
}

func TestConn_WithoutKeepAliveServesOneRequest(t *testing.T) {
	_, addr := serve(t, Options{Handler: echo, Timeouts: Timeouts{Header: time.Minute}})
	c := dial(t, addr)
	c.send(get)
	if resp, _ := c.answer("GET"); !resp.Close {
		t.Errorf("answer says close: false, want true")
	}
	c.expectClosed()
}

func TestConn_GivesLargeBuffersBackBeforeItIdles(t *testing.T) {
	sizes := make(chan int, 1)
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		sizes <- len(x.c.buf)
		_ = reply(x, "ok")
	})})
	c := dial(t, addr)
	huge := "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: "+string(makeText(8000))+"\r\n", 5) + "\r\n"
	for _, raw := range []string{huge, get, "GET / HTTP/1.1\r\nHost: a\r\nX: " + string(makeText(5000)) + "\r\n\r\n", get} {
		c.send(raw)
		if got := <-sizes; got < len(raw) || raw == get && got != smallBuffer {
			t.Errorf("buffer for a head of %d bytes has %d", len(raw), got)
		}
		c.answer("GET")
	}
}

func TestServer_ShutdownClosesIdleConnectionsAndLetsExchangesFinish(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		if string(x.Request.Path) == "/busy" {
			entered <- struct{}{}
			<-leave
		}
		_ = reply(x, "done")
	})})
	fresh, idle, busy := dial(t, addr), dial(t, addr), dial(t, addr)
	idle.send(get)
	idle.answer("GET")
	busy.send("GET /busy HTTP/1.1\r\nHost: a\r\n\r\n")
	<-entered

	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ended); err != context.Canceled {
		t.Errorf("Shutdown with a busy connection and an ended context = %v, want context.Canceled", err)
	}
	idle.expectClosed()
	if got := fresh.rest(); got != "" && !strings.Contains(got, "reset") {
		t.Errorf("a connection without a request got %q, want it closed", got)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		_ = c.Close()
		t.Errorf("connecting after Shutdown = nil, want it refused")
	}
	finished := make(chan error, 1)
	go func() { finished <- s.Shutdown(context.Background()) }()
	close(leave)
	if resp, body := busy.answer("GET"); body != "done" || !resp.Close {
		t.Errorf("answer during Shutdown = %q, close: %t, want done and close", body, resp.Close)
	}
	busy.expectClosed()
	_ = busy.Close() // the engine waits for that, for a while
	if err := <-finished; err != nil {
		t.Errorf("Shutdown = %v, want nil", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(l); err != ErrClosed {
		t.Errorf("Serve after Shutdown = %v, want ErrClosed", err)
	}
}

func TestServer_PartAnswersOneMoreRequestOnEachConnectionAndTakesNewOnes(t *testing.T) {
	engine := newOther()
	s, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: echo, HTTP2: engine})
	idle := dial(t, addr)
	idle.send(get)
	idle.answer("GET")
	s.Part()
	<-engine.parted
	for name, c := range map[string]*client{"old": idle, "new": dial(t, addr)} {
		c.send(get)
		if resp, _ := c.answer("GET"); !resp.Close {
			t.Errorf("answer on a connection that is %s after Part says close: false, want true", name)
		}
		c.expectClosed()
	}
}

func TestServer_DrainAnswersOneMoreRequestOnIdleConnections(t *testing.T) {
	s, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: echo})
	fresh, idle := dial(t, addr), dial(t, addr)
	idle.send(get)
	idle.answer("GET")
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Drain(ended); err != context.Canceled {
		t.Errorf("Drain with open connections and an ended context = %v, want context.Canceled", err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		_ = c.Close()
		t.Errorf("connecting after Drain = nil, want it refused")
	}
	finished := make(chan error, 1)
	go func() { finished <- s.Drain(context.Background()) }()
	for name, c := range map[string]*client{"fresh": fresh, "idle": idle} {
		c.send(get)
		if resp, _ := c.answer("GET"); !resp.Close {
			t.Errorf("answer on a %s connection during Drain says close: false, want true", name)
		}
		c.expectClosed()
		_ = c.Close()
	}
	if err := <-finished; err != nil {
		t.Errorf("Drain = %v, want nil", err)
	}
}

func TestServer_ShutdownAfterDrainClosesIdleConnections(t *testing.T) {
	s, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: echo})
	idle := dial(t, addr)
	idle.send(get)
	idle.answer("GET")
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Drain(ended)
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown after Drain = %v, want nil", err)
	}
	idle.expectClosed()
}

func TestServer_CloseEndsRunningExchanges(t *testing.T) {
	entered, failed := make(chan struct{}), make(chan error, 1)
	s, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		close(entered)
		_, err := readAll(x)
		failed <- err
	})})
	c := dial(t, addr)
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
	<-entered
	s.Close()
	if err := <-failed; err != ErrClientGone {
		t.Errorf("ReadBody during Close = %v, want ErrClientGone", err)
	}
	if got := c.rest(); got != "" && !strings.Contains(got, "reset") {
		t.Errorf("client got %q, want the connection closed", got)
	}
}

// shortListener fails to accept with each error once, then works.
type shortListener struct {
	net.Listener
	errs []error
}

func (l *shortListener) Accept() (net.Conn, error) {
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, &net.OpError{Op: "accept", Err: err}
	}
	return l.Listener.Accept()
}

func TestServer_AcceptsAgainAfterAShortageWithOneLogLine(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	s := New(Options{Handler: echo, Log: slog.New(slog.NewTextHandler(&log, nil))})
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(&shortListener{l, []error{syscall.EMFILE, syscall.EMFILE, syscall.ENFILE}})
	}()
	c := dial(t, l.Addr().String())
	c.send(get)
	c.answer("GET")
	s.Close()
	if err := <-served; err != ErrClosed {
		t.Errorf("Serve = %v, want ErrClosed", err)
	}
	if n := strings.Count(log.String(), "cannot accept"); n != 1 {
		t.Errorf("log has %d lines about accepting, want 1: %s", n, log.String())
	}
}

func TestServer_ServeReturnsOtherAcceptErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := New(Options{Handler: echo}).Serve(&shortListener{l, []error{syscall.EINVAL}}); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Serve = %v, want EINVAL", err)
	}
}

func TestServer_AddressesComeFromTheConnectionUnlessSaid(t *testing.T) {
	type addresses struct{ remote, remotePort, name, port string }
	got := make(chan addresses, 1)
	see := handlerFunc(func(x *Exchange) {
		r := &x.Request
		got <- addresses{r.RemoteAddr, r.RemotePort, r.ServerName, r.ServerPort}
		_ = reply(x, "ok")
	})
	ask := func(network, addr string, o Options) (addresses, net.Addr, net.Addr) {
		l, err := net.Listen(network, addr)
		if err != nil {
			t.Fatalf("listen on %s %s: %v", network, addr, err)
		}
		o.Handler = see
		s := New(o)
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		nc, err := net.Dial(network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = nc.Close()
			s.Close()
			<-served
		}()
		_, _ = nc.Write([]byte(get))
		return <-got, nc.LocalAddr(), nc.RemoteAddr()
	}
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		a, local, remote := ask("tcp", addr, Options{})
		if net.JoinHostPort(a.remote, a.remotePort) != local.String() || a.name+":"+a.port != remote.String() {
			t.Errorf("addresses = %+v, want client %v and server %v", a, local, remote)
		}
	}
	socket := filepath.Join(t.TempDir(), "s")
	if a, _, _ := ask("unix", socket, Options{}); a != (addresses{"", "", "localhost", "80"}) {
		t.Errorf("addresses on a unix socket = %+v, want no client and localhost:80", a)
	}
	if a, _, _ := ask("unix", socket+"2", Options{ServerName: "a.example", ServerPort: "443"}); a != (addresses{"", "", "a.example", "443"}) {
		t.Errorf("addresses as said = %+v, want no client and a.example:443", a)
	}
}

func TestServer_ServesManyConnectionsAtOnce(t *testing.T) {
	var running, most atomic.Int32
	all := make(chan struct{})
	const conns = 50
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		if n := running.Add(1); n == conns {
			most.Store(n)
			close(all)
		}
		<-all
		_ = reply(x, string(x.Request.Path))
	})})
	var clients []*client
	for range conns {
		c := dial(t, addr)
		c.send(get)
		clients = append(clients, c)
	}
	for _, c := range clients {
		if _, body := c.answer("GET"); body != "/" {
			t.Errorf("answer = %q, want /", body)
		}
	}
	if most.Load() != conns {
		t.Errorf("%d exchanges ran at once, want %d", most.Load(), conns)
	}
}

func TestServer_WhatAHandlerChangesInARequestDoesNotReachTheNext(t *testing.T) {
	got := make(chan environ.Request, 2)
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		r := &x.Request
		got <- environ.Request{Scheme: r.Scheme, RemoteAddr: r.RemoteAddr, RemotePort: r.RemotePort, ServerName: r.ServerName,
			ServerPort: r.ServerPort, ScriptName: r.ScriptName, RequestID: r.RequestID, ContentLength: r.ContentLength}
		*r = environ.Request{Scheme: "https", RemoteAddr: "x", RemotePort: "x", ServerName: "x", ServerPort: "x",
			ScriptName: "x", RequestID: []byte("x"), ContentLength: 9, Chunked: true, Headers: r.Headers}
		_ = reply(x, "ok")
	})})
	c := dial(t, addr)
	c.send(get + get)
	if first, second := <-got, <-got; !reflect.DeepEqual(first, second) || first.Scheme != "http" || first.RemoteAddr != "127.0.0.1" {
		t.Errorf("requests on one connection = %+v, %+v, want both the same", first, second)
	}
}

func TestNew_PanicsOnAServerNameThatWouldSplitTheHead(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("New with CRLF in Options.Server = a server, want a panic")
		}
	}()
	New(Options{Handler: echo, Server: "a\r\nX: y"})
}
