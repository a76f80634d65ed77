// This file reads a request's body for the handler: counted or chunked, sending "100 Continue" when the
// client waits for it.

package http1

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"gowsgi/environ"
)

// body is how far the current request's body was read. Only the goroutine that reads it uses it, but
// for interrupted.
type body struct {
	left        int64 // bytes to come of a counted body
	total       int64 // bytes read of a chunked one
	chunked     bool
	ended       bool  // all of it was read, framing included
	err         error // what ended the reading early, for good
	chunks      chunkDecoder
	pace        Pace
	interrupted atomic.Bool
	// manageable: read to its end, or so small that what is left of it can be dropped. The answering
	// goroutine asks, while another may be reading.
	manageable atomic.Bool
}

func (b *body) begin(r *environ.Request) {
	b.left, b.total, b.chunked = max(r.ContentLength, 0), 0, r.Chunked
	b.ended = !b.chunked && b.left == 0
	b.err = nil
	b.chunks = chunkDecoder{}
	b.interrupted.Store(false)
	b.manageable.Store(!b.chunked && b.left <= drainLimit)
}

func (b *body) end() {
	b.ended = true
	b.manageable.Store(true)
}

// Buffered gives the bytes of a counted body that have arrived already and ReadBody has not given yet,
// without consuming them; nothing of a chunked body. When they are the whole body, there is no need to
// read it: the engine drops what is left unread. They are valid until the next ReadBody.
func (x *Exchange) Buffered() []byte {
	if x.body.chunked || x.body.err != nil {
		return nil
	}
	have := x.c.buf[x.c.r:x.c.w]
	return have[:min(int64(len(have)), x.body.left)]
}

// ReadBody reads up to len(p) decoded bytes of the body into p. Like an io.Reader it returns what there
// is rather than waiting for more; at the end 0 and io.EOF, at once when there is no body. Any other
// error is one of this package's, see there, and stays.
//
// When the client expects it and no final head was written, the first call that has to wait for the
// client sends "100 Continue".
func (x *Exchange) ReadBody(p []byte) (int, error) {
	b := &x.body
	switch {
	case b.err != nil:
		return 0, b.err
	case b.ended:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	var n int
	if b.chunked {
		n, b.err = x.readChunked(p)
	} else {
		n, b.err = x.readCounted(p)
	}
	if n > 0 || b.err != nil {
		return n, b.err
	}
	return 0, io.EOF
}

// readCounted reads of a body of known length. It never takes bytes of the next request off the socket:
// they would have to be kept somewhere.
func (x *Exchange) readCounted(p []byte) (n int, err error) {
	b, c := &x.body, x.c
	p = p[:min(int64(len(p)), b.left)]
	if c.r < c.w {
		n = copy(p, c.buf[c.r:c.w])
		c.r += n
	} else if n, err = x.receive(p); err != nil {
		return 0, err
	}
	b.left -= int64(n)
	if b.left == 0 {
		b.end()
	}
	return n, nil
}

// readChunked reads of a chunked body. 0 and no error is its end.
func (x *Exchange) readChunked(p []byte) (n int, err error) {
	b, c := &x.body, x.c
	for n == 0 && !b.ended {
		if c.r == c.w {
			if b.chunks.state == inData && len(p) >= leastRoom {
				return x.receiveData(p)
			}
			if err := x.fill(); err != nil {
				return 0, err
			}
		}
		written, read, ok := b.chunks.decode(p, c.buf[c.r:c.w])
		c.r += read
		n += written
		b.total += int64(written)
		if !ok {
			return 0, ErrBadBody
		}
		if x.tooLarge() {
			return 0, ErrBodyTooLarge
		}
		if b.chunks.done() {
			b.end()
		}
	}
	return n, nil
}

// tooLarge tells whether a chunked body is, or with its current chunk will be, over the limit.
func (x *Exchange) tooLarge() bool {
	b, limit := &x.body, x.c.rules.Limits.Body
	if limit <= 0 {
		return false
	}
	coming := int64(0)
	if b.chunks.state == inData {
		coming = b.chunks.left
	}
	return coming > limit-b.total
}

// receiveData reads data of the current chunk straight into p.
func (x *Exchange) receiveData(p []byte) (int, error) {
	b := &x.body
	n, err := x.receive(p[:min(int64(len(p)), b.chunks.left)])
	if err != nil {
		return 0, err
	}
	b.chunks.take(n)
	b.total += int64(n)
	return n, nil
}

// fill reads coded bytes into the connection's empty buffer, behind the head.
func (x *Exchange) fill() error {
	c := x.c
	c.roomForBody(x.headEnd)
	n, err := x.receive(c.buf[c.w:])
	c.w += n
	return err
}

// receive reads at least one byte from the client.
func (x *Exchange) receive(p []byte) (int, error) {
	if err := x.sendContinue(); err != nil {
		return 0, ErrClientGone
	}
	t := &x.c.rules.Timeouts
	wait, paced := x.body.pace.Patience(t)
	began := x.c.setReadDeadline(wait)
	if x.body.interrupted.Load() {
		return 0, ErrInterrupted
	}
	n, err := x.c.wire.read(p)
	switch {
	case n > 0:
		x.body.pace.Note(n, began, t)
		return n, nil
	case isTimeout(err) && x.body.interrupted.Load():
		return 0, ErrInterrupted
	case isTimeout(err) && paced:
		return 0, ErrBodyTooSlow
	case isTimeout(err):
		return 0, ErrBodyTimeout
	}
	return 0, ErrClientGone
}

// sendContinue sends "100 Continue" if the client still waits for it. The lock is held while sending, so
// that no head gets between.
func (x *Exchange) sendContinue() error {
	x.continueMu.Lock()
	defer x.continueMu.Unlock()
	if !x.expects {
		return nil
	}
	x.expects = false
	return x.c.send(continueLine, nil, nil)
}

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// InterruptBody makes a ReadBody that waits for the client, and every later one that would have to,
// return ErrInterrupted. A handler calls it when it no longer wants the body while another goroutine is
// reading it.
func (x *Exchange) InterruptBody() {
	x.body.interrupted.Store(true)
	_ = x.c.nc.SetReadDeadline(longAgo)
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// drain reads and drops what is left of the body, if that is little. It tells whether the connection is
// now at the next request.
func (x *Exchange) drain() bool {
	b := &x.body
	if b.interrupted.Swap(false) && errors.Is(b.err, ErrInterrupted) {
		b.err = nil
	}
	switch {
	case b.err != nil:
		return false
	case x.skipBuffered():
		return true
	case b.left > drainLimit:
		return false
	}
	scratch := largeBuffers.Get().(*[largeBuffer]byte)
	defer largeBuffers.Put(scratch)
	for dropped := 0; dropped <= drainLimit; {
		n, err := x.ReadBody(scratch[:])
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		dropped += n
	}
	return false
}

// bodyHere tells whether the whole of a counted body has arrived already.
func (x *Exchange) bodyHere() bool {
	return !x.body.chunked && x.body.left <= int64(x.c.w-x.c.r)
}

// skipBuffered ends a counted body that has arrived as a whole.
func (x *Exchange) skipBuffered() bool {
	b, c := &x.body, x.c
	if !x.bodyHere() {
		return false
	}
	c.r += int(b.left)
	b.left = 0
	b.end()
	return true
}
