package wsgi

// The request body, on its way from the client to the application.

import (
	"errors"
	"io"
)

// smallBody is the longest body the gateway keeps for a sender that is not done
// yet, in bytes: with many slow senders it is what each costs.
const smallBody = 256 << 10

// gather reads the request body before the call as far as it is small: then a
// slow sender occupies a goroutine, not a worker. A body that fits is complete
// in body; of a longer one, more says that the rest has to follow. A client
// that waits for "100 Continue" is only asked once the application reads.
func (r *run) gather() (body []byte, more bool, err error) {
	limit := min(r.call.BodyLimit(), smallBody)
	length := r.request.ContentLength
	switch {
	case length == 0 && !r.request.Chunked:
		return nil, false, nil
	case r.exchange.ExpectsContinue():
		return nil, true, nil
	case length >= 0 && int64(len(r.exchange.Buffered())) == length && length <= int64(limit):
		return r.exchange.Buffered(), false, nil
	case length > int64(limit):
		return nil, true, nil
	case length >= 0:
		return r.gatherCounted(int(length))
	default:
		return r.gatherChunked(limit)
	}
}

func (r *run) gatherCounted(length int) ([]byte, bool, error) {
	if cap(r.body) < length {
		r.body = make([]byte, length)
	}
	body := r.body[:length]
	for got := 0; got < length; {
		n, err := r.exchange.ReadBody(body[got:])
		if err != nil {
			return nil, false, err
		}
		got += n
	}
	return body, false, nil
}

// gatherChunked learns the length of a body that ends within limit, so that
// frameworks which look for CONTENT_LENGTH only (Django) find the body.
func (r *run) gatherChunked(limit int) ([]byte, bool, error) {
	body := r.body[:0]
	for {
		if len(body) == cap(body) {
			grown := make([]byte, len(body), min(max(2*cap(body), 4096), limit))
			copy(grown, body)
			body = grown
		}
		n, err := r.exchange.ReadBody(body[len(body):cap(body)])
		body = body[:len(body)+n]
		r.body = body
		if errors.Is(err, io.EOF) {
			r.request.ContentLength = int64(len(body))
			return body, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		if len(body) == limit {
			return body, true, nil
		}
	}
}

// carrier brings the rest of a request body to the application, in a
// goroutine of its own, because the answer may begin before the body ends.
type carrier struct {
	running bool
	done    chan struct{}
	err     error // why the body ended early, if it did; valid after done
}

func (c *carrier) start(r *run, more bool) {
	c.running, c.err = more, nil
	if !more {
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
