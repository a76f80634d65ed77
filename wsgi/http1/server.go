// This file accepts connections, knows which are open, and ends them.

package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gowsgi/cmd/failure"
	"gowsgi/environ"
)

// Timeouts holds the timers of a connection. Zero means no limit, but for KeepAlive and RateGrace. To spare the system
// timer, a timer may run up to a quarter of its value, at most a second, longer than said.
type Timeouts struct {
	Header    time.Duration // first byte of a request to the end of its head; then 408. Also for a TLS handshake
	Body      time.Duration // between bytes of a body; ReadBody then returns ErrBodyTimeout
	Send      time.Duration // between bytes the client takes of an answer; then the answer is aborted
	KeepAlive time.Duration // to the first byte of a request; then the connection is closed. Zero: one request per connection

	// MinRate is the least rate at which a head, and then a body, must come, in bytes per second; beneath it 408. Only
	// time that is spent waiting for the client counts, and RateGrace of it is granted before: with too little of
	// that no request would do. Zero: any rate will do.
	MinRate   int
	RateGrace time.Duration
}

// Options says how a Server behaves. Only Handler is required.
type Options struct {
	Limits
	Timeouts
	Admission
	Handler Handler
	// Server is the value of the Server field of answers; empty leaves the field out.
	Server string
	// Log takes what no client is told: accept failures and panics of the handler as errors, refused
	// requests as debug messages. nil drops it.
	Log *slog.Logger
	// ServerName and ServerPort replace what the environ would get from the listener's address. On a
	// unix socket that is "localhost" and "80": PEP 3333 wants both non-empty.
	ServerName, ServerPort string
	// HTTP2, if not nil, serves connections whose client has chosen HTTP/2: by ALPN on a *tls.Conn, by
	// prior knowledge, which is to start with its preface, on any other.
	HTTP2 HTTP2
	// OnlyHTTP2 refuses to speak HTTP/1: a client that has not chosen HTTP/2 is cut off.
	OnlyHTTP2 bool
	// Variables packs what applications may know of a TLS connection, for environ.Request.Connection.
	// It is called once for each.
	Variables func(tls.ConnectionState) []byte
}

// HTTP2 is the engine of the other version. Package http2 has it.
type HTTP2 interface {
	// ServeConn serves nc until it ends. first was read of it already; common holds what all its
	// requests have in common.
	ServeConn(nc net.Conn, first []byte, common environ.Request)
	// Part makes the connections it has end when their requests are served; others may come. It does not wait.
	Part()
	// GoAway does the same with those that come later, too.
	GoAway()
}

// Handler answers requests.
type Handler interface {
	// ServeExchange answers one request. It must end the exchange with Finish, Refuse or Abort; the
	// engine aborts one that is left open, or whose handler panicked. x and everything it lent are
	// invalid once ServeExchange has returned: no goroutine may be reading or writing any more.
	ServeExchange(x *Exchange)
}

// Server serves HTTP/1 on any number of listeners.
type Server struct {
	o       Options // but for what is in rules
	rules   atomic.Pointer[rules]
	log     *slog.Logger
	parting atomic.Bool // every answer is its connection's last
	closing atomic.Bool // no new connections
	hasty   atomic.Bool // connections end where they would wait for another request

	dismissing atomic.Int32 // connections that are turned away just now

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	held      held
	closed    bool          // Close was called
	drained   chan struct{} // made by the first Shutdown or Drain, closed with the last connection
}

// New makes a server. It starts nothing. It panics when Options.Server cannot be a field value.
func New(o Options) *Server {
	if !isValue([]byte(o.Server)) {
		panic("http1: control character in Options.Server")
	}
	s := &Server{o: o, log: o.Log, listeners: map[net.Listener]struct{}{}, conns: map[*conn]struct{}{}}
	s.Adjust(o.Limits, o.Timeouts, o.Admission)
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Serve accepts connections of l, which may be *tls.Conn, until Shutdown, Drain or Close, then returns
// ErrClosed; it closes l. When accepting fails because something is used up (descriptors, memory), it tries
// again after a while, with one line in the log per shortage.
func (s *Server) Serve(l net.Listener) error {
	if !s.addListener(l) {
		_ = l.Close()
		return ErrClosed
	}
	defer s.removeListener(l)
	var wait time.Duration
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			wait = 0
			s.start(c)
		case s.closing.Load():
			return ErrClosed
		case !isShortage(err):
			return err
		default:
			if wait == 0 {
				s.log.Error("cannot accept connections, trying again", failure.Key, failure.CannotAccept, "listener", l.Addr().String(), "error", err)
			}
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			time.Sleep(wait)
		}
	}
}

// isShortage tells errors of accept that pass: the process or the machine is out of something, or the
// client has gone before it was accepted.
func isShortage(err error) bool {
	for _, e := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EPROTO,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) removeListener(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
	_ = l.Close()
	s.checkDrained()
}

// start serves a connection in a goroutine of its own, or turns it away.
func (s *Server) start(nc net.Conn) {
	peer, ok := s.admit(nc)
	if !ok {
		return
	}
	c := newConn(s, nc)
	c.peer = peer
	s.mu.Lock()
	if s.closed {
		s.held.leave(peer)
		s.mu.Unlock()
		_ = nc.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	go c.serve()
}

// forget drops a connection that has ended.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.held.leave(c.peer)
	s.checkDrained()
}

// checkDrained tells Shutdown and Drain when no connection is left, nor a Serve that may just have
// accepted one. s.mu is held.
func (s *Server) checkDrained() {
	if s.drained == nil || len(s.conns) > 0 || len(s.listeners) > 0 {
		return
	}
	select {
	case <-s.drained:
	default:
		close(s.drained)
	}
}

// Shutdown closes the listeners and idle connections at once, lets running exchanges finish, each with
// Connection: close, and returns when none is left. When ctx ends first it returns ctx.Err() and leaves
// the rest open; Close ends them.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.hasty.Store(true)
	s.stop()
	for c := range s.conns {
		c.closeIdle()
	}
	drained := s.awaitDrained()
	s.mu.Unlock()
	return await(ctx, drained)
}

// Part asks clients to go elsewhere while they still can be served here: every answer from now on is the last on
// its connection, and says so. New connections are accepted on. It does not wait. A connection on which
// nothing comes stays open.
func (s *Server) Part() {
	s.parting.Store(true)
	if s.o.HTTP2 != nil {
		s.o.HTTP2.Part()
	}
}

// Drain is Shutdown for a server whose listening sockets another process accepts from already: no client
// may notice. Idle connections stay open, for a request can be on its way on any of them; the next one is
// answered with Connection: close, and without one the connection's own timer ends it. What was accepted
// before the listeners were closed is served. When ctx ends first Drain returns ctx.Err(); Shutdown may
// follow.
func (s *Server) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.stop()
	drained := s.awaitDrained()
	s.mu.Unlock()
	return await(ctx, drained)
}

// awaitDrained gives the channel that is closed when no connection is left. s.mu is held.
func (s *Server) awaitDrained() <-chan struct{} {
	if s.drained == nil {
		s.drained = make(chan struct{})
	}
	s.checkDrained()
	return s.drained
}

func await(ctx context.Context, drained <-chan struct{}) error {
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close closes the listeners and all connections now, whatever runs on them.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.hasty.Store(true)
	s.stop()
	for c := range s.conns {
		c.cut()
	}
}

// stop closes the listeners. s.mu is held.
func (s *Server) stop() {
	s.parting.Store(true)
	s.closing.Store(true)
	for l := range s.listeners {
		_ = l.Close()
	}
	if s.o.HTTP2 != nil {
		s.o.HTTP2.GoAway()
	}
}
