// This file shows a stream to its handler, and reads the request's body for it.

package http2

import (
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2/hpack"

	"gowsgi/environ"
	"gowsgi/wsgi/http1"
)

// Exchange is one request and its answer. Nothing of it may be kept beyond ServeExchange.
//
// The methods that read the body may run in one goroutine while those that write the answer run in
// another; InterruptBody may be called from any. Errors are those of package http1.
type Exchange struct {
	// Request is what the client asked. Chunked means here that the body's length was not announced.
	Request environ.Request

	st *stream
	answer
	pace    http1.Pace  // of the goroutine that reads the body
	expects atomic.Bool // the client waits for "100 Continue" and has not got it
}

// ExpectsContinue tells whether the client waits for "100 Continue" before it sends its body. The first
// ReadBody that has to wait sends that.
func (x *Exchange) ExpectsContinue() bool { return x.expects.Load() }

// Buffered gives nothing: what has come of a body has to be taken off its flow-control window, by ReadBody.
func (x *Exchange) Buffered() []byte { return nil }

// ReadBody reads up to len(p) bytes of the body. Like an io.Reader it returns what there is rather than
// waiting for more; at the end 0 and io.EOF. Other errors stay.
func (x *Exchange) ReadBody(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	st, t := x.st, &x.st.c.srv.rules.Load().Timeouts
	var late <-chan time.Time
	began, paced := time.Now(), false
	for {
		n, err := st.takeBody(p)
		if n > 0 {
			x.pace.Note(n, began, t)
			// Failing to grant the client more means that the connection is gone: the next call tells.
			_ = st.c.consumed(st, int64(n))
			return n, nil
		}
		if err != nil {
			return 0, err
		}
		if late == nil {
			if err := x.sendContinue(); err != nil {
				return 0, err
			}
			var d time.Duration
			if d, paced = x.pace.Patience(t); d > 0 {
				timer := time.NewTimer(d)
				defer timer.Stop()
				late = timer.C
			}
		}
		select {
		case <-st.arrived:
		case <-late:
			if paced {
				st.fail(http1.ErrBodyTooSlow)
			} else {
				st.fail(http1.ErrBodyTimeout)
			}
		}
	}
}

// takeBody reads what has come. Nothing and no error: more may come.
func (st *stream) takeBody(p []byte) (int, error) {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case st.at < len(st.body):
		n := copy(p, st.body[st.at:])
		if st.at += n; st.at == len(st.body) {
			st.body, st.at = st.body[:0], 0
		}
		return n, nil
	case st.failed != nil:
		return 0, st.failed
	case st.ended:
		return 0, io.EOF
	case st.interrupted:
		return 0, http1.ErrInterrupted
	}
	return 0, nil
}

func (st *stream) fail(err error) {
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	if st.failed == nil {
		st.failed = err
	}
}

// sendContinue sends "100 Continue" if the client waits for it and has no final answer.
func (x *Exchange) sendContinue() error {
	if !x.expects.Load() {
		return nil
	}
	st := x.st
	p := &st.c.pen
	if err := p.take(); err != nil {
		return http1.ErrClientGone
	}
	var err error
	if x.expects.Swap(false) && !st.closed {
		err = p.headers(st.id, continueHead, false)
	}
	if p.put(true, err) != nil {
		return http1.ErrClientGone
	}
	return nil
}

var continueHead = []hpack.HeaderField{{Name: ":status", Value: "100"}}

// InterruptBody makes a ReadBody that waits for the client, and every later one that would have to,
// return http1.ErrInterrupted.
func (x *Exchange) InterruptBody() {
	c := x.st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	x.st.interrupted = true
	x.st.wakeReader()
}
