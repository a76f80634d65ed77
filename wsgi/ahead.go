package wsgi

// Answers that an application gives faster than its client takes them.

import (
	"errors"
	"io"
	"time"
)

// offerer is an Exchange that can tell a quick client from a slow one.
type offerer interface {
	// Offer is Write and Flush, except that it waits for the client no longer than
	// patience. It returns how many bytes of p were taken; the rest has to follow,
	// by Write, before anything else.
	Offer(p []byte, patience time.Duration) (int, error)
}

// A client is quick as long as it has not been waited for longer than this: a
// moment, in which nothing is lost, and the time that a fast network takes for
// what it has been given. One that is as fast as the application is best left to
// the ring: everything else copies once more.
const (
	firstPatience = 20 * time.Millisecond
	quickRate     = 64 << 20 // bytes a second
)

// grace is what is left to wait for a client that has been given so many bytes
// since a time.
func grace(since time.Time, given int64) time.Duration {
	allowed := firstPatience + time.Duration(given)*time.Second/quickRate
	return max(allowed-time.Since(since), 0)
}

// passAhead brings the rest of an answer out of the worker as fast as that gives
// it, and to the client as fast as that takes it. passed bytes have gone already;
// -1 for a length that nobody knows.
func (r *run) passAhead(length, passed int64) {
	o := &r.gateway.options
	ahead := newSpool(o.ResponseBuffer, o.TempDir, firstPatience, func(err error) {
		o.Log.Error("an answer cannot be buffered in a file; its worker waits for the client",
			"request", requestLine(r.request), "id", r.id(), "directory", o.TempDir, "error", err)
	})
	sent := make(chan error, 1)
	go func() { sent <- ahead.sendTo(r.exchange) }()
	whole, failed := r.fill(ahead, length, passed)
	ahead.end()
	gone := <-sent
	if err := ahead.close(); err != nil {
		o.Log.Error("a buffered answer was not cleaned up", "error", err)
	}
	switch {
	case gone != nil:
		r.clientGone(gone)
	case failed != nil:
		r.exchange.Abort()
	case whole:
		r.complete = r.finish()
	default:
		r.finishShort()
	}
}

// sendTo writes what the spool gives, each piece at once, until it gives no more.
func (s *spool) sendTo(x Exchange) error {
	for {
		p, err := s.take()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			s.complain(err)
		} else {
			_, err = x.Write(p)
		}
		if err == nil {
			err = x.Flush()
		}
		if err != nil {
			s.fail(err)
			return err
		}
	}
}

// fill moves the answer to the spool until the application has come to its end;
// that gives the seat back. whole says that as much came as was announced, and
// nothing more; failed why the answer is broken, which has been logged then.
func (r *run) fill(ahead *spool, length, passed int64) (whole bool, failed error) {
	for {
		p, err := r.call.Body()
		switch {
		case passed == length:
			return r.afterLength(p, err), nil
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil:
			_, _, _ = r.diagnose(err)
			return false, err
		}
		n := len(p)
		over := length >= 0 && passed+int64(n) > length
		if over {
			p = p[:length-passed]
		}
		if ahead.put(p) != nil {
			return false, nil // the sender says it
		}
		if over {
			r.cutOff(length)
			return false, nil
		}
		r.call.Consumed(n)
		passed += int64(n)
	}
}

// afterLength looks at what an application does whose answer is complete: nothing,
// if all is well.
func (r *run) afterLength(p []byte, err error) bool {
	var raised *ApplicationError
	switch {
	case errors.As(err, &raised):
		r.logFailure(FailedAfterwards, raised.Traceback)
	case err == nil && len(p) > 0:
		r.cutOff(-1)
		return false
	}
	return true
}
