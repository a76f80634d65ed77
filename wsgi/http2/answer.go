// This file writes the answer to a request: HEADERS, then DATA as far as the client's windows allow.

package http2

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gowsgi/environ"
	"gowsgi/wsgi/http1"
)

// bodyMode says what bytes may follow the head.
type bodyMode uint8

const (
	noAnswer bodyMode = iota // no final head yet
	noBody                   // HEAD, 204, 205, 304: blocks are dropped
	counted                  // as many as announced
	open                     // any number
)

// answer is how far the current answer was written.
type answer struct {
	mode    bodyMode
	status  int
	left    int64 // bytes to come in mode counted
	written int64
	head    []hpack.HeaderField // encoded with the first bytes that leave
	pending bool                // head is not written yet
	ended   bool                // by Finish or Abort
	aborted bool
}

// Status gives the status of the final head, 0 before there is one.
func (x *Exchange) Status() int { return x.status }

// Written gives the number of body bytes the handler has written, those included that were dropped
// because the answer must have no body.
func (x *Exchange) Written() int64 { return x.written }

// WriteHead takes status and fields; length is the number of body bytes that will follow if the handler
// knows it, else -1. The reason has no place in HTTP/2. Nothing is sent yet: Write, Flush or Finish do that.
//
// What http1 says of fields that are the engine's, of Date and Server, of interim answers and of errors
// holds here too.
func (x *Exchange) WriteHead(status int, reason []byte, fields []environ.Header, length int64) error {
	switch {
	case x.ended:
		return http1.ErrEnded
	case x.mode != noAnswer:
		return http1.ErrHeadWritten
	case status < 102 || status > 999:
		return fmt.Errorf("%w: status %d", http1.ErrBadHead, status)
	case !http1.IsValue(reason):
		return fmt.Errorf("%w: control character in reason %q", http1.ErrBadHead, reason)
	}
	x.head = append(x.head[:0], hpack.HeaderField{Name: ":status", Value: strconv.Itoa(status)})
	dated, signed := false, x.st.c.srv.o.Server == ""
	for i := range fields {
		name, value := fields[i].Name, fields[i].Value
		if !http1.IsToken(name) || !http1.IsValue(value) {
			return fmt.Errorf("%w: field %q with value %q", http1.ErrBadHead, name, value)
		}
		if http1.IsHopField(name) {
			continue
		}
		lower := strings.ToLower(string(name))
		dated, signed = dated || lower == "date", signed || lower == "server"
		x.add(lower, string(trim(value)))
	}
	if status < 200 {
		return x.interim()
	}
	if !dated {
		x.add("date", http1.Date(time.Now()))
	}
	if !signed {
		x.add("server", x.st.c.srv.o.Server)
	}
	x.status, x.pending = status, true
	x.frame(length)
	return nil
}

func (x *Exchange) add(name, value string) {
	x.head = append(x.head, hpack.HeaderField{Name: name, Value: value})
}

// interim sends a head that is not the last.
func (x *Exchange) interim() error {
	p := &x.st.c.pen
	if p.take() != nil {
		return http1.ErrClientGone
	}
	var err error
	if !x.st.closed {
		err = p.headers(x.st.id, x.head, false)
	}
	if p.put(true, err) != nil {
		return http1.ErrClientGone
	}
	return nil
}

// frame decides what may follow the head, and announces how much where that is known.
func (x *Exchange) frame(length int64) {
	switch {
	case x.status == 204:
		x.mode, length = noBody, -1
	case x.status == 205:
		x.mode, length = noBody, 0
	case x.status == 304:
		x.mode = noBody
		if length == 0 {
			length = -1 // of the empty body here, not of what a 200 would have had
		}
	case string(x.Request.Method) == "HEAD":
		x.mode = noBody
	case length >= 0:
		x.mode, x.left = counted, length
	default:
		x.mode = open
	}
	if length >= 0 {
		x.add("content-length", strconv.FormatInt(length, 10))
	}
}

// Write adds bytes to the body; p is the caller's again when it returns. It waits while the client's
// window is closed, for Timeouts.Send at most.
//
// Bytes beyond the announced length are not sent: Write then returns how many were, and http1.ErrTooMuch.
func (x *Exchange) Write(p []byte) (n int, err error) {
	switch {
	case x.ended:
		return 0, http1.ErrEnded
	case x.mode == noAnswer:
		return 0, http1.ErrNoHead
	case x.mode == noBody:
		x.written += int64(len(p))
		return len(p), nil
	case x.mode == counted && int64(len(p)) > x.left:
		p, err = p[:x.left], http1.ErrTooMuch
	}
	for n < len(p) {
		part, failed := x.st.reserve(len(p) - n)
		if failed == nil {
			last := x.mode == counted && int64(part) == x.left
			failed = x.send(p[n:n+part], last, false)
		}
		if failed != nil {
			x.Abort()
			return n, failed
		}
		n += part
		x.left -= int64(part)
		x.written += int64(part)
	}
	return n, err
}

// send writes the head if that is still to do, then a DATA frame; end says that nothing follows. now says
// that it has to leave.
func (x *Exchange) send(data []byte, end, now bool) error {
	st := x.st
	p := &st.c.pen
	if end {
		st.answeredAll()
	}
	if p.take() != nil {
		return http1.ErrClientGone
	}
	var err error
	if !st.closed {
		err = x.writeFrames(data, end)
	}
	gone := st.closed && !end && len(data) > 0
	st.closed = st.closed || end
	if p.put(now, err) != nil || gone {
		return http1.ErrClientGone
	}
	if len(data) > 0 {
		st.c.moved()
	}
	return nil
}

// writeFrames is send with the pen in hand.
func (x *Exchange) writeFrames(data []byte, end bool) error {
	st := x.st
	p := &st.c.pen
	if x.pending {
		x.pending = false
		x.expects.Store(false)
		if err := p.headers(st.id, x.head, end && len(data) == 0); err != nil {
			return err
		}
		end = end && len(data) > 0
	}
	if len(data) == 0 && !end {
		return nil
	}
	return p.framer.WriteData(st.id, end, data)
}

// flush sends what was written; of a stream whose client waits for it.
func (st *stream) flush() error {
	x := &st.x
	return x.send(nil, false, true)
}

// Flush sends what was written, the head included. One that no body may follow is complete with it.
func (x *Exchange) Flush() error {
	switch {
	case x.ended:
		return http1.ErrEnded
	case x.mode == noAnswer:
		return http1.ErrNoHead
	}
	if err := x.send(nil, x.mode == noBody && x.pending, true); err != nil {
		x.Abort()
		return err
	}
	return nil
}

// Finish ends the answer and sends what is left of it. Without a final head, or with fewer bytes than
// announced, it aborts the exchange instead.
func (x *Exchange) Finish() error {
	switch {
	case x.ended:
		return http1.ErrEnded
	case x.mode == noAnswer:
		x.Abort()
		return http1.ErrNoHead
	case x.mode == counted && x.left > 0:
		x.Abort()
		return http1.ErrTooLittle
	}
	if err := x.send(nil, true, true); err != nil {
		x.Abort()
		return err
	}
	x.ended = true
	return nil
}

// Abort resets the stream, so that the client sees a broken answer, whatever it has got of it. After Finish
// it does nothing. It belongs to the goroutine that answers.
func (x *Exchange) Abort() {
	if x.ended {
		return
	}
	x.ended, x.aborted = true, true
	st := x.st
	_ = st.writeReset(h2.ErrCodeInternal) // a broken connection says it as well
	st.c.mu.Lock()
	st.breakLocked(errGone)
	st.c.mu.Unlock()
}

// Refuse answers with a small text/plain page, a status and one line of why, and ends the exchange. It can
// be used until WriteHead has been; fields, such as Retry-After, are added.
func (x *Exchange) Refuse(status int, why string, fields ...environ.Header) error {
	text, described := http1.Page(status, why)
	if err := x.WriteHead(status, nil, append(described, fields...), int64(len(text))); err != nil {
		return err
	}
	if _, err := x.Write(text); err != nil {
		return err
	}
	return x.Finish()
}
