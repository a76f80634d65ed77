// This file drives one connection: it reads frames, keeps the streams, and ends it all.

package http2

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gowsgi/environ"
)

const (
	// readSize is the buffer a connection reads into.
	readSize = 4 << 10
	// What clients may send before it was read, per stream and per connection. A connection never holds
	// more than its window of bodies, however many streams it has.
	streamWindow     = 256 << 10
	connectionWindow = 1 << 20
	// protocolWindow is what both windows are before anything was said (RFC 9113 §6.9.2).
	protocolWindow = 65535
	// maxWindow is what no window may exceed (RFC 9113 §6.9.1).
	maxWindow = 1<<31 - 1
	// noStream is higher than any stream of a client that it may use.
	noStream = 1<<31 - 1
	// goodbyeTime is how long a client has to answer the PING that goes with a goodbye.
	goodbyeTime = time.Second
	// lingerTime is how long a client has to take what was sent before the connection closes, and
	// lingerBytes what it may still send meanwhile.
	lingerTime  = time.Second
	lingerBytes = 4 << 20
)

// goodbye is the payload of that PING.
var goodbye = [8]byte{'g', 'o', 'o', 'd', 'b', 'y', 'e'}

// errDone ends the reading of a connection whose end has been settled.
var errDone = errors.New("http2: the connection has ended")

// conn is one connection. The goroutine in serve reads; handlers run in theirs.
type conn struct {
	srv    *Server
	nc     net.Conn
	common environ.Request
	pen    pen
	patience

	// The reading half.
	reader  *bufio.Reader
	framer  *h2.Framer
	greeted bool // the client's first SETTINGS have come
	timed   bool // a deadline is set for reads

	handlers sync.WaitGroup

	mu      sync.Mutex
	streams map[uint32]*stream // until their handlers have returned
	last    uint32             // the highest stream the client has begun
	begun   int                // streams, ever
	final   uint32             // the highest that will be served
	said    bool               // the client knows final
	leaving bool               // goodbye was said, or is to be
	open    bool               // SETTINGS were sent: other frames may follow
	over    bool               // nothing more will be sent
	idle    *time.Timer        // runs while there is no stream
	send    int64              // bytes of bodies that the client takes
	initial int64              // the same for a new stream
	receive int64              // bytes of bodies that the client may send
	used    int64              // of those that came, what was read and not granted anew
}

func newConn(s *Server, nc net.Conn, first []byte, common environ.Request) *conn {
	c := &conn{srv: s, nc: nc, common: common, streams: map[uint32]*stream{}, final: noStream}
	c.send, c.initial, c.receive = protocolWindow, protocolWindow, connectionWindow
	c.pen.open(nc, s.rules.Load().Send)
	c.reader = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(first), nc), readSize)
	c.framer = h2.NewFramer(nil, c.reader)
	c.framer.SetMaxReadFrameSize(frameSize)
	c.framer.SetReuseFrames()
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framer.MaxHeaderListSize = c.headerListSize()
	return c
}

// headerListSize is the most that a head within the limits can need, as RFC 9113 §6.5.2 counts it.
func (c *conn) headerListSize() uint32 {
	l := c.srv.rules.Load().Limits
	return uint32(l.HeadRoom() + 32*(l.Fields+5))
}

// serve runs the connection until it and all its handlers have ended.
func (c *conn) serve() {
	defer c.close()
	c.idle = time.AfterFunc(c.patienceBefore(), c.closeIdle)
	if c.awaitPreface() != nil || c.introduce() != nil {
		return
	}
	for {
		err := c.next()
		var broken h2.ConnectionError
		var reset h2.StreamError
		switch {
		case err == nil:
			continue
		case errors.As(err, &reset):
			err = c.resetStream(reset.StreamID, reset.Code)
			if err == nil {
				continue
			}
			errors.As(err, &broken)
		case errors.As(err, &broken):
		case errors.Is(err, h2.ErrFrameTooLarge):
			broken = h2.ConnectionError(h2.ErrCodeFrameSize)
		}
		if broken != 0 {
			c.breakOff(h2.ErrCode(broken))
		}
		return
	}
}

// patienceBefore is how long a client may take to its first request.
func (c *conn) patienceBefore() time.Duration {
	if c.srv.rules.Load().Header > 0 {
		return c.srv.rules.Load().Header
	}
	return 24 * time.Hour
}

// awaitPreface reads what every client starts with (RFC 9113 §3.4).
func (c *conn) awaitPreface() error {
	c.setDeadline(c.srv.rules.Load().Header)
	start, err := c.reader.Peek(len(h2.ClientPreface))
	if err != nil {
		return err
	}
	if string(start) != h2.ClientPreface {
		return errDone // it speaks something else: no frame would tell it anything
	}
	_, err = c.reader.Discard(len(h2.ClientPreface))
	return err
}

// introduce says what the client may do.
func (c *conn) introduce() error {
	err := c.pen.settings(
		h2.Setting{ID: h2.SettingMaxConcurrentStreams, Val: uint32(c.srv.o.Streams)},
		h2.Setting{ID: h2.SettingInitialWindowSize, Val: streamWindow},
		h2.Setting{ID: h2.SettingMaxHeaderListSize, Val: c.headerListSize()},
	)
	if err != nil {
		return err
	}
	if err := c.pen.windowUpdates(connectionWindow-protocolWindow, 0, 0); err != nil {
		return err
	}
	c.mu.Lock()
	c.open = true
	leaving := c.leaving
	c.mu.Unlock()
	if leaving {
		c.writeGoodbye()
	}
	return nil
}

// next reads a frame and does what it says.
func (c *conn) next() error {
	if err := c.awaitFrame(); err != nil {
		return err
	}
	f, err := c.framer.ReadFrame()
	if err != nil {
		c.noteMalformed(err)
		return err
	}
	return c.process(f)
}

// awaitFrame waits for a frame to begin, as long as that takes, and bounds the time to its end.
func (c *conn) awaitFrame() error {
	if c.reader.Buffered() == 0 && c.timed {
		c.setDeadline(0)
	}
	if _, err := c.reader.Peek(1); err != nil {
		return err
	}
	if !c.timed && !c.frameHere() {
		c.setDeadline(c.srv.rules.Load().Header)
	}
	return nil
}

// frameHere tells whether the next frame can be read without waiting.
func (c *conn) frameHere() bool {
	have := c.reader.Buffered()
	if have < 9 {
		return false
	}
	head, _ := c.reader.Peek(9) // cannot fail
	size := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	unfinished := h2.FrameType(head[3]) == h2.FrameHeaders && !h2.Flags(head[4]).Has(h2.FlagHeadersEndHeaders)
	return have >= 9+size && !unfinished
}

// setDeadline bounds reads by d from now, 0 for not at all. Once the connection is over, that has set its
// own.
func (c *conn) setDeadline(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.timed = d > 0
	by := time.Time{}
	if c.timed {
		by = time.Now().Add(d)
	}
	_ = c.nc.SetReadDeadline(by) // fails only on a closed connection, and so will the read
}

// noteMalformed marks a stream as used whose first frame had a malformed head.
func (c *conn) noteMalformed(err error) {
	var reset h2.StreamError
	if !errors.As(err, &reset) || reset.Code != h2.ErrCodeProtocol {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if reset.StreamID%2 == 1 && reset.StreamID > c.last {
		c.last = reset.StreamID
	}
}

// resetStream ends a stream whose client broke the rules. The error is that of a connection, when it did so
// too often.
func (c *conn) resetStream(id uint32, code h2.ErrCode) error {
	if c.patience.reset() {
		return h2.ConnectionError(h2.ErrCodeEnhanceYourCalm)
	}
	c.mu.Lock()
	st := c.find(id)
	if st != nil {
		st.breakLocked(errMalformed)
	}
	c.mu.Unlock()
	if st != nil {
		return st.writeReset(code)
	}
	return c.pen.resetUnknown(id, code)
}

// breakOff ends the connection because of what the client did.
func (c *conn) breakOff(code h2.ErrCode) {
	c.srv.log.Debug("HTTP/2 connection broken off", "why", code.String(), "client", c.common.RemoteAddr)
	c.mu.Lock()
	last := c.last
	c.mu.Unlock()
	if c.pen.goAway(last, code) == nil {
		c.finish()
		_, _ = io.CopyN(io.Discard, c.reader, lingerBytes) // to its end or to the deadline
	}
}

// sayGoodbye asks the client to begin no more streams, and waits a round trip for those on their way.
func (c *conn) sayGoodbye() {
	c.mu.Lock()
	now := c.open && !c.leaving
	c.leaving = true
	c.mu.Unlock()
	if now {
		c.writeGoodbye()
	}
}

func (c *conn) writeGoodbye() {
	if c.pen.goAway(noStream, h2.ErrCodeNo) == nil && c.pen.ping(false, goodbye) == nil {
		time.AfterFunc(goodbyeTime, c.lastCall)
	}
}

// closeIdle ends a connection that has had no stream for a while.
func (c *conn) closeIdle() {
	c.mu.Lock()
	idle := len(c.streams) == 0
	c.mu.Unlock()
	if idle {
		c.lastCall()
	}
}

// lastCall serves no stream that has not begun, and closes the connection after those that have.
func (c *conn) lastCall() {
	c.mu.Lock()
	if c.final != noStream {
		c.mu.Unlock()
		return
	}
	c.final = c.last
	c.mu.Unlock()
	if c.pen.goAway(c.final, h2.ErrCodeNo) != nil {
		return
	}
	c.mu.Lock()
	c.said = true
	done := len(c.streams) == 0
	c.mu.Unlock()
	if done {
		c.finish()
	}
}

// finish ends the sending half; the reading half follows when the client has seen that. Closing at once
// could reset the connection and take back what was sent last.
func (c *conn) finish() {
	c.mu.Lock()
	over := c.over
	c.over = true
	c.mu.Unlock()
	if over {
		return
	}
	c.pen.snap(errDone)
	_ = c.nc.SetReadDeadline(time.Now().Add(lingerTime)) // fails only on a closed connection
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		_ = c.nc.Close()
	}
}

// close ends what is left of the connection and waits for the handlers.
func (c *conn) close() {
	c.idle.Stop()
	_ = c.nc.Close()
	c.pen.snap(errDone)
	c.mu.Lock()
	c.over = true
	for _, st := range c.streams {
		st.breakLocked(errGone)
	}
	c.mu.Unlock()
	c.handlers.Wait()
}
