// This file drives one connection: one request after the other, in order, between its timers.

package http1

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gowsgi/cmd/failure"
	"gowsgi/environ"
)

const (
	// smallBuffer is what a connection reads into. It holds nearly every head.
	smallBuffer = 4 << 10
	// largeBuffer is what heads and coded bodies that do not fit borrow for the time of an exchange.
	largeBuffer = 16 << 10
	// leastRoom is the least a read of coded body bytes is done with.
	leastRoom = 2 << 10
	// usualFields is how many header fields room is made for at first.
	usualFields = 16
	// manyFields is how many header fields room is kept for between requests.
	manyFields = 64
	// drainLimit is how much of an unread body is read and dropped to keep a connection.
	drainLimit = 64 << 10
	// A client that still sends while it should read its answer is read from until it has been silent
	// for lingerIdle, and for lingerTime and lingerLimit bytes at most: enough for an upload that was
	// refused, so that the client sees why.
	lingerIdle  = time.Second
	lingerTime  = 10 * time.Second
	lingerLimit = 64 << 20
)

// reader is what reading a head takes: a buffer, and room for the fields found in it. A connection has
// one but while it waits for a request: of ten thousand connections most do.
type reader struct {
	bytes  [smallBuffer]byte
	usual  [usualFields]environ.Header
	fields []environ.Header // all of it is zero; usual, or more
}

var readers = sync.Pool{New: func() any {
	r := new(reader)
	r.fields = r.usual[:]
	return r
}}

// largeBuffers holds read buffers of largeBuffer bytes.
var largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

// States of a connection, for Shutdown to tell whether it may close it.
const (
	connIdle   = iota // waiting for the first byte of a request
	connBusy          // from there to the end of the exchange
	connClosed        // closed while idle
)

// conn is one connection. The goroutine in serve owns it; while a handler runs, its reading and its
// writing half may be used by two goroutines.
type conn struct {
	nc    net.Conn
	wire  wire
	srv   *Server
	ends  ends
	state atomic.Int32

	secured bool       // by TLS
	fresh   bool       // no request was read yet
	rules   *rules     // for the current request
	served  int        // requests so far
	peer    netip.Addr // whose share of Admission.ConnectionsPerIP it takes; not valid: nobody's

	// Reading half. buf[r:w] is what has arrived and is not consumed. The head of the current request
	// stays where it was parsed, in buf or in a buffer that buf has replaced.
	buf    []byte
	small  *reader            // what buf is to begin with, nil while nothing has arrived
	large  *[largeBuffer]byte // the pooled one, nil when there is none
	r, w   int                // bounds of the unconsumed bytes
	readBy time.Time          // the deadline that is set for reads; zero: none

	// Writing half.
	out     *outBuffer // head and small blocks that are not sent yet; nil outside an answer
	writeBy time.Time  // the deadline that is set for writes; zero: none
	vec     [3][]byte  // blocks of the write in progress
	bufs    net.Buffers

	x Exchange
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{nc: nc, srv: s, rules: s.rules.Load()}
	c.fresh = true
	c.x.c = c
	c.wire.open(nc)
	c.wire.awaits = c.arrived
	return c
}

// know notes the addresses of both ends. It waits for the handshake: only then a listener that reads them
// off the connection has done so.
func (c *conn) know() {
	s, nc, e := c.srv, c.nc, &c.ends
	e.scheme = "http"
	if c.secured {
		e.scheme = "https"
	}
	e.remoteAddr, e.remotePort = splitAddr(nc.RemoteAddr())
	e.serverName, e.serverPort = splitAddr(nc.LocalAddr())
	switch {
	case e.serverName == "":
		e.serverName, e.serverPort = "localhost", "80"
		if c.secured {
			e.serverPort = "443"
		}
	case strings.Contains(e.serverName, ":"):
		e.serverName = "[" + e.serverName + "]" // as in a URL (RFC 3875 §4.1.14)
	}
	if s.o.ServerName != "" {
		e.serverName = s.o.ServerName
	}
	if s.o.ServerPort != "" {
		e.serverPort = s.o.ServerPort
	}
}

// ends holds what a connection says of its two ends: addresses as text, and variables about TLS.
type ends struct {
	scheme, remoteAddr, remotePort, serverName, serverPort string

	variables []byte
}

// tell puts into a request what all requests of the connection have in common. A handler may have changed
// that for the last one, by what a trusted proxy said, say.
func (e *ends) tell(r *environ.Request) {
	r.Scheme = e.scheme
	r.Connection = e.variables
	r.RemoteAddr, r.RemotePort = e.remoteAddr, e.remotePort
	r.ServerName, r.ServerPort = e.serverName, e.serverPort
	r.ScriptName, r.RequestID = "", nil
}

// splitAddr gives address and port of a TCP address, nothing of any other.
func splitAddr(a net.Addr) (addr, port string) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return "", ""
	}
	ap := tcp.AddrPort()
	return ap.Addr().Unmap().WithZone("").String(), strconv.Itoa(int(ap.Port()))
}

// serve runs the connection until it ends.
func (c *conn) serve() {
	defer c.end()
	if !c.secure() {
		return
	}
	c.know()
	if c.chooseHTTP2() {
		return
	}
	for c.awaitHead() {
		c.srv.o.Handler.ServeExchange(&c.x)
		if !c.x.settle() {
			return
		}
	}
}

// end closes the connection whatever became of it.
func (c *conn) end() {
	if p := recover(); p != nil {
		c.srv.log.Error("handler panicked", failure.Key, failure.HandlerPanicked, "panic", p, "stack", string(debug.Stack()))
		c.x.Abort()
	}
	_ = c.nc.Close()
	c.dropOut()
	c.dropLarge()
	c.dropSmall()
	c.srv.forget(c)
}

// closeIdle closes the connection unless a request is being read or served.
func (c *conn) closeIdle() {
	if c.state.CompareAndSwap(connIdle, connClosed) {
		_ = c.nc.Close()
	}
}

// awaitHead waits for a request and reads its head into the exchange. It gives false when there is none
// to serve: the connection is then ready to be closed, the client has its refusal if it is due one.
func (c *conn) awaitHead() bool {
	c.rewind()
	if c.r == c.w && !c.awaitByte() {
		return false
	}
	c.state.Store(connBusy)
	if c.fresh && c.startsHTTP2() {
		return false
	}
	c.rules = c.srv.rules.Load()
	var began time.Time
	seen := c.r // up to here no line end is new
	for {
		if c.worthParsing(seen) {
			n, f, err := parseHead(c.buf[c.r:c.w], &c.rules.Limits, &c.x.Request)
			if err != nil {
				c.refuse(err)
				return false
			}
			if n > 0 {
				c.r += n
				c.x.begin(f)
				return true
			}
		}
		pending := c.w - c.r
		if began.IsZero() {
			began = time.Now()
		}
		left, ok := c.rules.leftForHead(time.Since(began), pending)
		if ok {
			c.setReadDeadline(left)
			err := c.readMore()
			if err != nil && !isTimeout(err) {
				return false
			}
			ok = err == nil
		}
		if !ok {
			c.refuse(refuse(408, "the request's head did not arrive in time"))
			return false
		}
		seen = c.r + pending
	}
}

// worthParsing tells whether the bytes from seen on can decide anything: end a line, or make one too
// long. It keeps a client that sends byte by byte from having the whole head parsed again each time.
func (c *conn) worthParsing(seen int) bool {
	fresh := c.buf[seen:c.w]
	if seen == c.r && class[fresh[0]]&tokenByte == 0 {
		return true // not HTTP at all: TLS, say
	}
	if bytes.IndexByte(fresh, '\n') >= 0 || bytes.IndexByte(fresh, '\r') >= 0 {
		return true
	}
	tail := c.w - c.r - 1 - bytes.LastIndexByte(c.buf[c.r:c.w], '\n')
	return tail > min(c.rules.RequestLine, c.rules.FieldSize)
}

// awaitByte waits, idle, for the first bytes of a request.
func (c *conn) awaitByte() bool {
	c.state.Store(connIdle)
	// Shutdown first says it is hasty and then looks at the state; this looks in the opposite order,
	// so one of the two sees the other.
	if c.srv.hasty.Load() {
		return false
	}
	t := &c.srv.rules.Load().Timeouts
	wait := t.KeepAlive
	if wait <= 0 {
		wait = t.Header // for the only request
	}
	c.setReadDeadline(wait)
	n, err := c.readFirst()
	c.w = n
	return err == nil && n > 0 && c.state.CompareAndSwap(connIdle, connBusy)
}

// readFirst reads the first bytes of a request. As long as none are there, the connection has no buffer.
func (c *conn) readFirst() (int, error) {
	if c.wire.raw == nil { // TLS: what has arrived may not be for us
		c.takeSmall()
		return c.wire.read(c.buf)
	}
	return c.wire.await()
}

// arrived tries to read the first bytes of a request; false: nothing has arrived.
func (c *conn) arrived(fd uintptr) bool {
	c.takeSmall()
	n, err := rawIO(syscall.SYS_READ, fd, c.buf)
	if err == syscall.EAGAIN {
		c.dropSmall()
		return false
	}
	c.wire.got, c.wire.readErr = n, err
	return true
}

// takeSmall makes the small buffer the one to read into, taking one if there is none.
func (c *conn) takeSmall() {
	if c.small == nil {
		c.small = readers.Get().(*reader)
		c.x.Request.Headers = c.small.fields[:0]
	}
	c.buf = c.small.bytes[:]
}

// dropSmall gives the small buffer back, and everything that points into it or belongs to it. Nothing
// unconsumed is in it.
func (c *conn) dropSmall() {
	if c.small == nil {
		return
	}
	fields := c.x.Request.Headers[:cap(c.x.Request.Headers)]
	clear(fields)
	c.small.fields = fields
	c.x.Request = environ.Request{}
	readers.Put(c.small)
	c.small, c.buf = nil, nil
}

// rewind makes room for the next request: unconsumed bytes move to the front of the connection's own
// buffer when they fit, and borrowed ones go back. What an unusual request has made grow is let go.
func (c *conn) rewind() {
	if cap(c.x.Request.Headers) > manyFields {
		c.x.Request.Headers = nil
	}
	if c.large == nil && len(c.buf) <= smallBuffer {
		if c.r == c.w {
			c.r, c.w = 0, 0
		}
		return
	}
	if c.w-c.r > smallBuffer {
		return
	}
	c.w = copy(c.small.bytes[:], c.buf[c.r:c.w])
	c.r = 0
	c.buf = c.small.bytes[:]
	c.dropLarge()
}

// readMore reads behind what is there, moving or growing the buffer when it is full.
func (c *conn) readMore() error {
	if c.w == len(c.buf) {
		c.makeRoom()
	}
	n, err := c.wire.read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	return err
}

// makeRoom gives a head that is not complete yet more room. Nothing points into the buffer then.
func (c *conn) makeRoom() {
	if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
		return
	}
	if c.large == nil && len(c.buf) < largeBuffer {
		c.large = largeBuffers.Get().(*[largeBuffer]byte)
		copy(c.large[:], c.buf)
		c.buf = c.large[:]
		return
	}
	c.buf = append(make([]byte, 0, 2*len(c.buf)), c.buf...)[:2*len(c.buf)]
}

// roomForBody gives the reading of coded body bytes an empty buffer of leastRoom bytes or more. The head
// stays untouched: its slices are lent to the handler.
func (c *conn) roomForBody(headEnd int) {
	if len(c.buf)-headEnd >= leastRoom {
		c.r, c.w = headEnd, headEnd
		return
	}
	if c.large == nil {
		c.large = largeBuffers.Get().(*[largeBuffer]byte)
		c.buf = c.large[:]
	} else {
		c.buf = make([]byte, largeBuffer) // a head of nearly 16 KiB and a chunked body: rare
	}
	c.r, c.w = 0, 0
	c.x.headEnd = 0
}

// dropLarge gives the pooled buffer back.
func (c *conn) dropLarge() {
	if c.large != nil {
		largeBuffers.Put(c.large)
		c.large = nil
	}
}

// setReadDeadline makes reads fail that take longer than d, 0 for never, and gives the time it is.
//
// Setting a deadline costs as much as parsing a request, so one is set a little later than wanted and
// then stands for all that want no later one: on a busy connection, for about a second.
func (c *conn) setReadDeadline(d time.Duration) (now time.Time) {
	now = time.Now()
	by, ok := coarseDeadline(c.readBy, now, d)
	if ok {
		return now
	}
	c.readBy = by
	_ = c.nc.SetReadDeadline(by) // fails only on a closed connection, and so will the read
	return now
}

// setWriteDeadline is setReadDeadline for writes.
func (c *conn) setWriteDeadline(d time.Duration) {
	by, ok := coarseDeadline(c.writeBy, time.Now(), d)
	if ok {
		return
	}
	c.writeBy = by
	_ = c.nc.SetWriteDeadline(by)
}

// coarseDeadline tells whether the deadline that is set does for a timeout of d from now, and else which
// to set.
func coarseDeadline(set, now time.Time, d time.Duration) (by time.Time, ok bool) {
	if d == 0 {
		return time.Time{}, set.IsZero()
	}
	slack := min(d/4, time.Second)
	wanted := now.Add(d)
	latest := wanted.Add(slack)
	if !set.Before(wanted) && !set.After(latest) {
		return set, true
	}
	return latest, false
}

// refuse answers a request that never became an exchange, and logs why.
func (c *conn) refuse(err error) {
	var p *ParseError
	if !errors.As(err, &p) {
		return
	}
	c.srv.log.Debug("request refused", "status", p.Status, "why", p.Why, "client", c.ends.remoteAddr)
	c.x.begin(0)
	c.x.keep = false
	c.x.Request.Method = nil
	if c.x.page(p.Status, p.Why, nil) == nil {
		c.linger()
	}
}

// linger lets the client take its answer before the connection goes. Closing a socket with unread input
// sends a reset, which may overtake the answer (RFC 9112 §9.6); so only the sending side is closed, and
// what still comes in is dropped, for a while.
func (c *conn) linger() {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if c.buf == nil { // no request was read at all
		c.takeSmall()
	}
	began := time.Now()
	for dropped := 0; dropped < lingerLimit && time.Since(began) < lingerTime; {
		_ = c.nc.SetReadDeadline(time.Now().Add(lingerIdle)) // fails only on a closed connection
		n, err := c.wire.read(c.buf)
		if err != nil {
			return
		}
		dropped += n
	}
}

// reset makes closing the connection tell the client that something went wrong. Other than TCP there is
// no way to: closing has to do.
func (c *conn) reset() {
	if tcp, ok := under(c.nc).(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0)
	}
}

// isTimeout tells a deadline that passed from a connection that broke.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
