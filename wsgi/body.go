package wsgi

// The request body, on its way from the client to the application.

import (
	"errors"
	"io"
	"os"
	"sync"
)

const (
	// smallBody is the longest body the gateway keeps for a sender that is not
	// done yet when it does not buffer, in bytes: with many slow senders it is what
	// each costs.
	smallBody = 256 << 10
	// memoryBody is the longest body it keeps in memory when it does; a longer one
	// goes to a file.
	memoryBody = 1 << 20
	// firstBody is what room for a body of unknown length begins with.
	firstBody = 4 << 10
)

// gather reads the request body before the call: then a slow sender occupies a
// goroutine, not a worker. What of it is there, and how, is said in asked.
//
// Without buffering that holds for small bodies only: of a longer one the rest
// follows the call, and a client that waits for "100 Continue" is only asked once
// the application reads. With buffering it is asked here: it could be as slow as
// any other.
func (r *run) gather() error {
	buffers := r.gateway.options.RequestBuffering
	limit := min(r.call.BodyLimit(), smallBody)
	if buffers {
		limit = min(r.call.BodyLimit(), memoryBody)
	}
	length := r.request.ContentLength
	r.asked = Request{}
	switch {
	case length == 0 && !r.request.Chunked:
		return nil
	case !buffers && r.exchange.ExpectsContinue():
		r.asked.BodyMore = true
		return nil
	case length >= 0 && int64(len(r.exchange.Buffered())) == length && length <= int64(limit):
		r.asked.Body = r.exchange.Buffered()
		return nil
	case length > int64(limit):
		r.body = r.body[:0]
	default:
		ended, err := r.gatherSmall(limit)
		if ended || err != nil {
			return err
		}
	}
	if buffers {
		return r.gatherLarge()
	}
	r.asked.Body, r.asked.BodyMore = r.body, true
	return nil
}

// gatherSmall reads a body that may end within limit, and tells whether it did.
// Of a chunked one the length is known then, so that frameworks which look for
// CONTENT_LENGTH only (Django) find the body. Room is made for what comes, not for
// what is announced.
func (r *run) gatherSmall(limit int) (ended bool, err error) {
	length := int(r.request.ContentLength)
	if length >= 0 {
		limit = length
	}
	body := r.body[:0]
	for len(body) < limit {
		if len(body) == cap(body) {
			grown := make([]byte, len(body), min(max(2*cap(body), firstBody), limit))
			copy(grown, body)
			body = grown
		}
		n, err := r.exchange.ReadBody(body[len(body):min(cap(body), limit)])
		body = body[:len(body)+n]
		r.body = body
		if errors.Is(err, io.EOF) {
			ended = true
			break
		}
		if err != nil {
			return false, err
		}
	}
	if len(body) != length && !ended {
		return false, nil
	}
	r.request.ContentLength = int64(len(body))
	r.asked.Body = body
	return true, nil
}

// gatherLarge moves the body to a file: what is read of it, and the rest.
func (r *run) gatherLarge() error {
	file, err := OpenTemp(r.gateway.options.TempDir)
	if err != nil {
		return &noRoomError{err}
	}
	length, err := r.moveBody(file)
	if err != nil {
		_ = file.Close() // nobody will read it
		return err
	}
	r.request.ContentLength = length
	r.asked.File = file
	return nil
}

// pieces holds buffers for bodies on their way to and from files.
var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

const pieceSize = 32 << 10

func (r *run) moveBody(file *os.File) (length int64, err error) {
	piece := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(piece)
	for part := r.body; ; {
		if len(part) > 0 {
			if _, err := file.Write(part); err != nil {
				return 0, &noRoomError{err}
			}
			length += int64(len(part))
		}
		if length == r.request.ContentLength {
			return length, nil
		}
		n, err := r.exchange.ReadBody(piece[:])
		if errors.Is(err, io.EOF) {
			return length, nil
		}
		if err != nil {
			return 0, err
		}
		part = piece[:n]
	}
}

// noRoomError says that a body cannot be kept.
type noRoomError struct{ err error }

func (e *noRoomError) Error() string { return "wsgi: buffer a request body: " + e.err.Error() }
func (e *noRoomError) Unwrap() error { return e.err }

// carrier brings the rest of a request body to the application, in a
// goroutine of its own, because the answer may begin before the body ends.
type carrier struct {
	running bool
	done    chan struct{}
	err     error // why the body ended early, if it did; valid after done
}

func (c *carrier) start(r *run) {
	c.running, c.err = r.asked.BodyMore, nil
	if !c.running {
		return
	}
	c.done = make(chan struct{})
	go c.carry(r.exchange, r.call)
}

func (c *carrier) carry(x Exchange, call Call) {
	defer close(c.done)
	if x.ExpectsContinue() && call.Wanted() != nil {
		return
	}
	for {
		room, err := call.Room()
		if err != nil {
			return // nobody reads any more
		}
		n, err := x.ReadBody(room)
		call.Filled(n)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				c.err = err
			}
			call.EndBody(c.err == nil)
			return
		}
	}
}

// stop ends the goroutine: the application has answered, and what it did not
// read it will not. If its answer could not be used it may run still, and would
// keep the goroutine waiting for it: the call is aborted, which does nothing to
// one that has ended.
func (c *carrier) stop(x Exchange, call Call) {
	if c.running {
		call.Abort()
		x.InterruptBody()
		<-c.done
		c.running = false
	}
}

// failed reports whether the body broke off before the application failed: it
// is asked once the call has ended, when EndBody has long been called.
func (c *carrier) failed() bool {
	if c.done == nil {
		return false
	}
	select {
	case <-c.done:
		return c.err != nil
	default:
		return false
	}
}
