// This file says how a server behaves and knows which connections are open.

package http2

import (
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"gowsgi/environ"
	"gowsgi/wsgi/http1"
)

// Options says how a Server behaves. Only Handler is required.
type Options struct {
	// Limits are those of http1, with the same statuses. A field line counts as its name and value with
	// two bytes between, a request line as method, target and version with blanks between.
	http1.Limits
	// Timeouts are those of http1. KeepAlive is how long a connection may be without a stream; zero means
	// that a connection serves one stream. Header bounds the time until the first frame, and from a
	// frame's first byte to its last, CONTINUATION frames included; MinRate is for bodies alone.
	http1.Timeouts
	// Streams is how many requests of one connection are served at a time; default 100. More are refused
	// unserved, which clients know how to repeat (RFC 9113 §8.7).
	Streams int
	Handler Handler
	// Server is the value of the Server field of answers; empty leaves the field out.
	Server string
	// Log takes panics of the handler as errors, and connections that break the protocol as debug
	// messages. nil drops it.
	Log *slog.Logger
}

// Handler answers requests.
type Handler interface {
	// ServeExchange answers one request, as http1.Handler does: it must end the exchange, and keep
	// nothing of it. It runs in a goroutine of its own, beside those of the connection's other streams.
	ServeExchange(x *Exchange)
}

// Server serves HTTP/2 on connections that are handed to it.
type Server struct {
	o     Options // but for what is in rules
	rules atomic.Pointer[rules]
	log   *slog.Logger

	mu      sync.Mutex
	leaving bool
	conns   map[*conn]struct{}
}

// New makes a server. It starts nothing.
func New(o Options) *Server {
	if o.Streams <= 0 {
		o.Streams = 100
	}
	s := &Server{o: o, log: o.Log, conns: map[*conn]struct{}{}}
	s.Adjust(o.Limits, o.Timeouts)
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// rules is what Adjust can change.
type rules struct {
	http1.Limits
	http1.Timeouts
}

// Adjust changes limits and timers, for requests whose heads come from now on. What clients are told when
// they connect, the most a head may have, and the time for sending stay as they are on connections that are
// open.
func (s *Server) Adjust(l http1.Limits, t http1.Timeouts) {
	s.rules.Store(&rules{l.WithDefaults(), t})
}

// ServeConn serves a connection until it has ended and every handler that ran for it has returned. first
// is what has been read of it already, from the client's preface on. common holds what all requests of the
// connection have in common: scheme, addresses, Connection.
func (s *Server) ServeConn(nc net.Conn, first []byte, common environ.Request) {
	c := newConn(s, nc, first, common)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	leaving := s.leaving
	s.mu.Unlock()
	if leaving {
		c.sayGoodbye()
	}
	c.serve()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// GoAway tells all clients that their connections end: requests on their way are served, then the
// connections are closed (RFC 9113 §6.8). It does not wait for that. Connections that come later are told
// at once.
func (s *Server) GoAway() {
	s.mu.Lock()
	s.leaving = true
	s.mu.Unlock()
	s.Part()
}

// Part tells the clients of the connections there are that these end, as GoAway does. Connections that come later
// are served as ever: a client that was told at once would come again, and again.
func (s *Server) Part() {
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		go c.sayGoodbye() // a client that does not read must not hold up the others
	}
}
