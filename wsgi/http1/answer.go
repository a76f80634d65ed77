// This file writes the answer to a request: its head, whatever the handler says, and its framing, which
// is ours to say.

package http1

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"gowsgi/environ"
)

const (
	// outSize is what is collected of an answer before it is sent.
	outSize = 8 << 10
	// copyLimit is the size from which on a block is sent from where it is instead of being copied.
	copyLimit = 4 << 10
	// chunkOverhead is the room a chunk takes beside its data: 16 digits and two CRLF.
	chunkOverhead = 20
)

// outBuffer collects the head and small blocks.
type outBuffer struct{ b []byte }

// outBuffers holds empty ones. Connections have one only while they answer.
var outBuffers = sync.Pool{New: func() any { return &outBuffer{make([]byte, 0, outSize)} }}

// bodyMode says how the end of an answer is told to the client (RFC 9112 §6.3).
type bodyMode uint8

const (
	noAnswer   bodyMode = iota // no final head yet
	noBody                     // HEAD, 204, 205, 304: blocks are dropped
	counted                    // Content-Length
	chunked                    // Transfer-Encoding: chunked
	untilClose                 // the connection's end: HTTP/1.0 with unknown length
)

// answer is how far the current answer was written.
type answer struct {
	mode    bodyMode
	status  int
	left    int64 // bytes to come in mode counted
	owed    int   // bytes to come of a block that was offered, whose framing is written
	written int64
	sent    bool // some of it has left
	ended   bool // by Finish or Abort
	aborted bool
}

// Status gives the status of the final head, 0 before there is one.
func (x *Exchange) Status() int { return x.status }

// Written gives the number of body bytes the handler has written, those included that were dropped
// because the answer must have no body.
func (x *Exchange) Written() int64 { return x.written }

// WriteHead writes status line and fields. length is the number of body bytes that will follow if the
// handler knows it, else -1. Nothing is sent yet: Write, Flush or Finish do that.
//
// The framing is the engine's: it adds Content-Length, Transfer-Encoding and Connection itself and
// leaves out such fields of the handler's, as it does with Keep-Alive, Proxy-Connection, TE, Trailer and
// Upgrade, which are between two hops (RFC 9110 §7.6.1). Date and Server are added unless given. 204 has
// no Content-Length, 304 and answers to HEAD have that of the body they stand for.
//
// A status of 102 to 199 writes an interim answer (RFC 9110 §15.2), which is sent at once and dropped for
// HTTP/1.0 clients; a final head must follow. 100 and 101 are the engine's own business.
//
// ErrBadHead says that status, reason, a name or a value must not go on the wire (RFC 9112 §4, §5);
// nothing was written then and another head may be tried.
func (x *Exchange) WriteHead(status int, reason []byte, fields []environ.Header, length int64) error {
	switch {
	case x.ended:
		return ErrEnded
	case x.mode != noAnswer:
		return ErrHeadWritten
	case status < 102 || status > 999:
		return fmt.Errorf("%w: status %d", ErrBadHead, status)
	case !isValue(reason):
		return fmt.Errorf("%w: control character in reason %q", ErrBadHead, reason)
	}
	x.continueMu.Lock()
	defer x.continueMu.Unlock()
	return x.writeHeadLocked(status, reason, fields, length)
}

// writeHeadLocked is WriteHead with continueMu held: no "100 Continue" can be on its way any more.
func (x *Exchange) writeHeadLocked(status int, reason []byte, fields []environ.Header, length int64) error {
	if x.c.out == nil {
		x.c.out = outBuffers.Get().(*outBuffer)
	}
	b := appendStatus(x.c.out.b[:0], status, reason)
	b, given, err := appendFields(b, fields)
	if err != nil {
		return err
	}
	if status < 200 {
		if x.http10 {
			return nil
		}
		x.c.out.b = append(b, '\r', '\n')
		return x.flush()
	}
	x.status = status
	b = x.appendOwnFields(b, given)
	b = x.appendFraming(b, length)
	b = x.appendConnection(b)
	x.c.out.b = append(b, '\r', '\n')
	return nil
}

// appendStatus writes the status line. It says HTTP/1.1 to HTTP/1.0 clients too: the version is the
// server's own (RFC 9110 §6.2).
func appendStatus(b []byte, status int, reason []byte) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = append(b, byte('0'+status/100), byte('0'+status/10%10), byte('0'+status%10), ' ')
	b = append(b, reason...)
	return append(b, '\r', '\n')
}

// Fields the handler may give and that are then not added.
const (
	givenDate = 1 << iota
	givenServer
)

// appendFields writes the handler's fields and tells which of Date and Server are among them.
func appendFields(b []byte, fields []environ.Header) (longer []byte, given int, err error) {
	for i := range fields {
		name, value := fields[i].Name, fields[i].Value
		if !isToken(name) || !isValue(value) {
			return b, given, fmt.Errorf("%w: field %q with value %q", ErrBadHead, name, value)
		}
		switch len(name) {
		case 4:
			if equalsLower(name, "date") {
				given |= givenDate
			}
		case 6:
			if equalsLower(name, "server") {
				given |= givenServer
			}
		}
		if isHopField(name) {
			continue
		}
		b = append(b, name...)
		b = append(b, ':', ' ')
		b = append(b, value...)
		b = append(b, '\r', '\n')
	}
	return b, given, nil
}

// isHopField tells the fields that say how this connection is used.
func isHopField(name []byte) bool {
	switch len(name) {
	case 2:
		return equalsLower(name, "te")
	case 7:
		return equalsLower(name, "trailer") || equalsLower(name, "upgrade")
	case 10:
		return equalsLower(name, "connection") || equalsLower(name, "keep-alive")
	case 14:
		return equalsLower(name, "content-length")
	case 16:
		return equalsLower(name, "proxy-connection")
	case 17:
		return equalsLower(name, "transfer-encoding")
	}
	return false
}

// appendOwnFields writes Date and Server.
func (x *Exchange) appendOwnFields(b []byte, given int) []byte {
	if given&givenDate == 0 {
		b = appendDate(b, time.Now())
	}
	if server := x.c.srv.o.Server; server != "" && given&givenServer == 0 {
		b = append(b, "Server: "...)
		b = append(b, server...)
		b = append(b, '\r', '\n')
	}
	return b
}

// appendFraming decides how the body is delimited and writes the field that says so.
func (x *Exchange) appendFraming(b []byte, length int64) []byte {
	switch {
	case x.status == 204:
		x.mode = noBody
		return b
	case x.status == 205: // must be empty, and say so (RFC 9110 §15.3.6)
		x.mode, length = noBody, 0
	case x.status == 304:
		// 0 is what is known of the empty body here, not the length that a 200 would have had, and
		// that is what the field would say (RFC 9110 §8.6).
		x.mode = noBody
		if length == 0 {
			return b
		}
	case string(x.Request.Method) == "HEAD":
		x.mode = noBody
	case length >= 0:
		x.mode, x.left = counted, length
	case x.http10:
		x.mode, x.keep = untilClose, false
	default:
		x.mode = chunked
		return append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	if length < 0 {
		return b
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, length, 10)
	return append(b, '\r', '\n')
}

// appendConnection decides whether the connection can live on and says what the client cannot assume.
// A client that waits for "100 Continue" and gets a final answer instead may or may not send its body:
// where its next request would start cannot be told (RFC 9110 §10.1.1). And a body that nobody may read is
// too much to drop when it is large: better said now than found out by the next request.
func (x *Exchange) appendConnection(b []byte) []byte {
	if x.c.srv.parting.Load() || x.expects || !x.body.manageable.Load() {
		x.keep, x.expects = false, false
	}
	switch {
	case !x.keep:
		return append(b, "Connection: close\r\n"...)
	case x.http10:
		return append(b, "Connection: keep-alive\r\n"...)
	}
	return b
}

// Write adds bytes to the body. Small blocks are collected until Flush, Finish or enough of them; large
// ones are sent from p, which is the caller's again when Write returns. p may be empty.
//
// Bytes beyond the announced length are not sent: Write then returns how many were, and ErrTooMuch.
func (x *Exchange) Write(p []byte) (n int, err error) {
	switch {
	case x.ended:
		return 0, ErrEnded
	case x.mode == noAnswer:
		return 0, ErrNoHead
	case x.mode == noBody:
		x.written += int64(len(p))
		return len(p), nil
	case x.mode == counted && int64(len(p)) > x.left:
		p = p[:x.left]
		err = ErrTooMuch
	}
	if len(p) == 0 {
		return 0, err // and no chunk: an empty one would end the body
	}
	if failed := x.writeBlock(p); failed != nil {
		return 0, failed
	}
	x.left -= int64(len(p))
	x.written += int64(len(p))
	return len(p), err
}

// writeBlock puts a block into the buffer or sends it, buffer first.
func (x *Exchange) writeBlock(p []byte) error {
	out := x.c.out
	if x.owed > 0 {
		k := min(len(p), x.owed)
		if err := x.writeOwed(p[:k]); err != nil || k == len(p) {
			return err
		}
		p = p[k:]
	}
	if len(p) < copyLimit {
		if len(out.b)+len(p)+chunkOverhead > outSize {
			if err := x.flush(); err != nil {
				return err
			}
		}
		out.b = x.appendBlock(out.b, p)
		return nil
	}
	var tail []byte
	if x.mode == chunked {
		out.b = appendChunkSize(out.b, len(p))
		tail = crlf
	}
	return x.send(out.b, p, tail)
}

// writeOwed sends more of a block whose framing has begun.
func (x *Exchange) writeOwed(p []byte) error {
	if err := x.send(x.c.out.b, p, nil); err != nil {
		return err
	}
	if x.owed -= len(p); x.owed == 0 && x.mode == chunked {
		x.c.out.b = append(x.c.out.b, crlf...)
	}
	return nil
}

// Offers tells whether Offer ever takes anything: over TLS it does not, an encrypted record cannot be sent
// in part.
func (x *Exchange) Offers() bool { return x.c.wire.offers() }

// Offer is Write and Flush, except that it waits for the client no longer than patience. It returns how
// many bytes of p were taken. The rest has to follow, by Write, before anything else.
//
// Like Write it returns ErrTooMuch when p is longer than was announced, having taken no more than that.
func (x *Exchange) Offer(p []byte, patience time.Duration) (n int, err error) {
	switch {
	case x.ended:
		return 0, ErrEnded
	case x.mode == noAnswer:
		return 0, ErrNoHead
	case x.mode == noBody || len(p) == 0:
		n, err = x.Write(p)
		if err == nil {
			err = x.flush()
		}
		return n, err
	case x.owed > 0 || !x.c.wire.offers():
		return 0, nil
	case x.mode == counted && int64(len(p)) > x.left:
		p = p[:x.left]
		err = ErrTooMuch
	}
	if n, failed := x.offerBlock(p, patience); failed != nil {
		return n, failed
	}
	n = len(p) - x.owed
	x.left -= int64(n)
	x.written += int64(n)
	return n, err
}

// offerBlock sends a block with its framing as far as the client takes it, and
// keeps what is left of the framing.
func (x *Exchange) offerBlock(p []byte, patience time.Duration) (int, error) {
	out := x.c.out
	var tail []byte
	if x.mode == chunked {
		out.b = appendChunkSize(out.b, len(p))
		tail = crlf
	}
	x.sent = true
	n, err := x.c.offer(out.b, p, tail, patience)
	if err != nil {
		x.Abort()
		return 0, ErrClientGone
	}
	k := min(n, len(out.b))
	out.b = out.b[:copy(out.b, out.b[k:])]
	n -= k
	k = min(n, len(p))
	x.owed = len(p) - k
	if x.owed == 0 {
		out.b = append(out.b, tail[min(n-k, len(tail)):]...)
	}
	return k, nil
}

var crlf = []byte("\r\n")

// appendBlock copies a block, as a chunk where the mode wants it.
func (x *Exchange) appendBlock(b, p []byte) []byte {
	if x.mode != chunked {
		return append(b, p...)
	}
	b = appendChunkSize(b, len(p))
	b = append(b, p...)
	return append(b, '\r', '\n')
}

func appendChunkSize(b []byte, n int) []byte {
	b = strconv.AppendUint(b, uint64(n), 16)
	return append(b, '\r', '\n')
}

// Flush sends what was collected, the head included.
func (x *Exchange) Flush() error {
	switch {
	case x.ended:
		return ErrEnded
	case x.mode == noAnswer:
		return ErrNoHead
	}
	return x.flush()
}

func (x *Exchange) flush() error {
	if len(x.c.out.b) == 0 {
		return nil
	}
	return x.send(x.c.out.b, nil, nil)
}

// send sends blocks, the first of which may be the buffer. When that fails the exchange is aborted.
func (x *Exchange) send(a, b, d []byte) error {
	x.sent = true
	err := x.c.send(a, b, d)
	if err != nil {
		x.Abort()
		if isTimeout(err) {
			return ErrSendTimeout
		}
		return ErrClientGone
	}
	x.c.out.b = x.c.out.b[:0]
	return nil
}

// Finish ends the answer and sends what is left of it. Without a final head, or with fewer bytes than
// announced, it aborts the exchange instead.
func (x *Exchange) Finish() error {
	switch {
	case x.ended:
		return ErrEnded
	case x.mode == noAnswer:
		x.Abort()
		return ErrNoHead
	case x.mode == counted && x.left > 0, x.owed > 0:
		x.Abort()
		return ErrTooLittle
	case x.mode == chunked:
		x.c.out.b = append(x.c.out.b, "0\r\n\r\n"...)
	}
	if err := x.flush(); err != nil {
		return err
	}
	x.ended = true
	x.c.dropOut()
	return nil
}

// Abort ends the exchange by closing the connection, so that the client sees a broken answer: a head that
// never comes, fewer bytes than announced, chunks without the last one. Where only the connection's end
// ends the answer, a TCP client gets a reset. Blocks that were not sent are dropped. After Finish it does
// nothing.
//
// It belongs to the goroutine that answers. A ReadBody that waits in another returns ErrClientGone.
func (x *Exchange) Abort() {
	if x.ended {
		return
	}
	x.ended, x.aborted, x.keep = true, true, false
	if x.mode == untilClose && x.sent {
		x.c.reset()
	}
	x.c.cut()
	x.c.dropOut()
}

// dropOut gives the answer's buffer back, unless a huge head has made it grow.
func (c *conn) dropOut() {
	if c.out == nil {
		return
	}
	if cap(c.out.b) <= 2*outSize {
		c.out.b = c.out.b[:0]
		outBuffers.Put(c.out)
	}
	c.out = nil
}

// send sends blocks as one. The timer is for idleness: a client that has taken some of them in time gets
// the same time again for the rest.
func (c *conn) send(a, b, d []byte) error {
	if len(b) == 0 {
		return c.sendOne(a)
	}
	if c.secured {
		return c.sendRecords(a, b, d)
	}
	c.vec = [3][]byte{a, b, d}
	c.bufs = c.vec[:]
	for {
		c.setWriteDeadline(c.rules.Send)
		n, err := c.bufs.WriteTo(c.nc)
		if err == nil || n == 0 || !isTimeout(err) {
			c.vec = [3][]byte{}
			return err
		}
	}
}

// offer sends what the client takes of three blocks within patience. The deadline
// is set for who has to wait only.
func (c *conn) offer(a, b, d []byte, patience time.Duration) (int, error) {
	c.setWriteDeadline(c.rules.Send)
	n, err := c.wire.offer(a, b, d, false)
	if err != nil || patience <= 0 || n == len(a)+len(b)+len(d) {
		return n, err
	}
	skip := func(p []byte) []byte {
		k := min(n, len(p))
		n -= k
		return p[k:]
	}
	sent := n
	a, b, d = skip(a), skip(b), skip(d)
	c.writeBy = time.Now().Add(patience)
	_ = c.nc.SetWriteDeadline(c.writeBy) // fails only on a closed connection
	n, err = c.wire.offer(a, b, d, true)
	if isTimeout(err) {
		err = nil
	}
	return sent + n, err
}

// sendOne sends a single block.
func (c *conn) sendOne(p []byte) error {
	for {
		c.setWriteDeadline(c.rules.Send)
		n, err := c.wire.write(p)
		if err == nil || n == 0 || !isTimeout(err) {
			return err
		}
		p = p[n:]
	}
}
