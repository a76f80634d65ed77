// This file follows one stream, from the frame that begins it to the end of its handler.

package http2

import (
	"runtime/debug"

	h2 "golang.org/x/net/http2"

	"gowsgi/cmd/failure"
	"gowsgi/environ"
	"gowsgi/wsgi/http1"
)

// Why a stream breaks, as ReadBody says it.
var (
	errGone      = http1.ErrClientGone
	errMalformed = http1.ErrBadBody
)

// stream is one request and its answer. It is not used again: frames on their way may still find it.
type stream struct {
	c  *conn
	id uint32
	x  Exchange

	head    []byte // what Request's slices point into
	arrived chan struct{}
	room    chan struct{}

	closed bool // guarded by the pen: END_STREAM or RST_STREAM was written

	// Guarded by c.mu.
	send        int64 // bytes that the client takes
	receive     int64 // bytes that it may send
	used        int64 // of those that came, what was read and not granted anew
	declared    int64 // Content-Length, -1 without
	got         int64
	body        []byte // what has come and was not read begins at body[at]
	at          int
	ended       bool  // the client has sent all
	answered    bool  // END_STREAM is written, or about to be
	gone        bool  // reset, or the connection has ended
	failed      error // why the body breaks off
	interrupted bool
}

// begin starts the stream whose head has come.
func (c *conn) begin(f *h2.MetaHeadersFrame) error {
	st := c.newStream(f)
	status, why, err := st.readHead(f)
	c.mu.Lock()
	switch {
	case st.id > c.final: // since it was read
		c.mu.Unlock()
		return nil
	case err == nil && (len(c.streams) >= c.srv.o.Streams || c.over):
		// Streams count until their handlers have returned, not until the client has reset them.
		err = h2.StreamError{StreamID: st.id, Code: h2.ErrCodeRefusedStream}
	}
	c.last = st.id
	c.begun++
	r := c.srv.rules.Load()
	lastOne := r.KeepAlive <= 0 || r.Requests > 0 && c.begun >= r.Requests
	if err != nil {
		c.mu.Unlock()
		return err
	}
	st.send = c.initial
	c.idle.Stop()
	c.streams[st.id] = st
	c.handlers.Add(1)
	go st.run(status, why)
	c.mu.Unlock()
	if lastOne {
		c.lastCall()
	}
	return nil
}

func (c *conn) newStream(f *h2.MetaHeadersFrame) *stream {
	st := &stream{
		c: c, id: f.StreamID, ended: f.StreamEnded(), receive: streamWindow, declared: -1,
		arrived: make(chan struct{}, 1), room: make(chan struct{}, 1),
	}
	st.x.st = st
	st.x.pace.Begin(&c.srv.rules.Load().Timeouts)
	st.x.Request = c.common
	st.x.Request.Headers = make([]environ.Header, 0, len(f.Fields))
	return st
}

// run answers the request: by the handler, or with a refusal when its head has asked for that.
func (st *stream) run(status int, why string) {
	defer st.end()
	if status != 0 {
		st.c.srv.log.Debug("request refused", "status", status, "why", why, "client", st.c.common.RemoteAddr)
		_ = st.x.Refuse(status, why) // the client may have gone
		return
	}
	st.c.srv.o.Handler.ServeExchange(&st.x)
}

// end settles the stream after its handler.
func (st *stream) end() {
	c := st.c
	if p := recover(); p != nil {
		c.srv.log.Error("handler panicked", failure.Key, failure.HandlerPanicked, "panic", p, "stack", string(debug.Stack()))
	}
	if !st.x.ended {
		st.x.Abort()
	}
	c.mu.Lock()
	delete(c.streams, st.id)
	unread := int64(len(st.body) - st.at)
	upload := !st.ended && !st.gone
	st.gone = true
	done := len(c.streams) == 0
	if done && c.final == noStream && !c.over {
		c.idle.Reset(c.srv.rules.Load().KeepAlive)
	}
	done = done && c.said
	c.mu.Unlock()
	if !st.x.aborted {
		c.served()
	}
	if upload {
		// The answer is complete; the client need not send the rest (RFC 9113 §8.1).
		_ = c.pen.resetUnknown(st.id, h2.ErrCodeNo)
	}
	if unread > 0 {
		_ = c.consumed(nil, unread)
	}
	if done {
		c.finish()
	}
	c.handlers.Done()
}

// find gives the stream that a frame belongs to: nil when it was never begun or is closed on both sides, even if
// its handler has not returned; c.mu is held.
func (c *conn) find(id uint32) *stream {
	st := c.streams[id]
	if st != nil && st.ended && st.answered {
		return nil
	}
	return st
}

// answeredAll notes that the answer is about to end.
func (st *stream) answeredAll() {
	st.c.mu.Lock()
	st.answered = true
	st.c.mu.Unlock()
}

// breakLocked ends the stream from the client's side; c.mu is held.
func (st *stream) breakLocked(why error) {
	st.gone = true
	if !st.ended && st.failed == nil {
		st.failed = why
	}
	st.wakeReader()
	st.wakeWriter()
}

// endLocked notes the end of the request's body; c.mu is held.
func (st *stream) endLocked() error {
	if st.declared >= 0 && st.got != st.declared {
		return h2.StreamError{StreamID: st.id, Code: h2.ErrCodeProtocol} // RFC 9113 §8.1.1
	}
	st.ended = true
	st.wakeReader()
	return nil
}

// putLocked keeps bytes of the body until they are read; c.mu is held. It tells whether anybody will.
func (st *stream) putLocked(data []byte) bool {
	st.got += int64(len(data))
	if st.failed != nil || st.tooLong() {
		return false
	}
	if limit := st.c.srv.rules.Load().Limits.Body; limit > 0 && st.got > limit {
		st.failed = http1.ErrBodyTooLarge
		st.wakeReader()
		return false
	}
	if st.at > 0 && len(st.body)+len(data) > cap(st.body) {
		st.body = st.body[:copy(st.body, st.body[st.at:])]
		st.at = 0
	}
	st.body = append(st.body, data...)
	st.wakeReader()
	return true
}

// tooLong tells whether more came than was announced; c.mu is held.
func (st *stream) tooLong() bool { return st.declared >= 0 && st.got > st.declared }

// writeReset resets the stream, unless that or its end was written.
func (st *stream) writeReset(code h2.ErrCode) error {
	p := &st.c.pen
	if err := p.take(); err != nil {
		return err
	}
	var err error
	if !st.closed {
		st.closed = true
		err = p.framer.WriteRSTStream(st.id, code)
	}
	return p.put(true, err)
}

func (st *stream) wakeReader() { wake(st.arrived) }
func (st *stream) wakeWriter() { wake(st.room) }

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
