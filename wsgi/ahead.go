package wsgi

// Answers that an application gives faster than its client takes them.

import (
	"errors"
	"io"
	"time"

	"gowsgi/cmd/failure"
)

// offerer is an Exchange that can tell a quick client from a slow one.
type offerer interface {
	// Offers says whether this one can.
	Offers() bool
	// Offer is Write and Flush, except that it waits for the client no longer than
	// patience. It returns how many bytes of p were taken; the rest has to follow,
	// by Write, before anything else.
	Offer(p []byte, patience time.Duration) (int, error)
}

// A client is waited for, with the worker waiting, for as long as a fast network
// takes for what it has been given: one that is as fast as the application is best
// served from the ring, everything else copies once more. Each slow one costs its
// worker the least of that.
const (
	leastGrace = time.Millisecond
	mostGrace  = 50 * time.Millisecond // at a time
	quickRate  = 64 << 20              // bytes a second
)

// grace is what is left to wait for a client that has been given so many bytes
// since a time.
func grace(since time.Time, given int64) time.Duration {
	allowed := leastGrace + time.Duration(float64(given)/quickRate*float64(time.Second))
	return min(max(allowed-time.Since(since), 0), mostGrace)
}

// ended says how far the application has come with an answer.
type ended uint8

const (
	notEnded ended = iota // and the client has all there was so far
	short                 // without the length it announced, if it did
	whole                 // with the length it announced, and nothing more
)

// passAhead brings an answer out of the worker as fast as that gives it, and to
// the client as fast as that takes it, until the answer has ended or the client has
// caught up. passed bytes of it have gone before; how many have afterwards is
// returned, and whether that was all.
func (r *run) passAhead(length, passed int64) (_ int64, over bool) {
	o := &r.gateway.options
	ahead := newSpool(o.ResponseBuffer, o.TempDir, func(err error) {
		o.Log.Error("an answer cannot be buffered in a file; its worker waits for the client", failure.Key, failure.NoRoomForAnswer,
			"request", requestLine(r.request), "id", r.id(), "directory", o.TempDir, "error", err)
	})
	sent := make(chan error, 1)
	go func() { sent <- ahead.sendTo(r.exchange) }()
	passed, how, failed := r.fill(ahead, length, passed)
	ahead.end()
	gone := <-sent
	if err := ahead.close(); err != nil {
		o.Log.Error("a buffered answer was not cleaned up", failure.Key, failure.NoRoomForAnswer, "error", err)
	}
	switch {
	case gone != nil:
		r.clientGone(gone)
	case failed != nil:
		r.exchange.Abort()
	case how == notEnded:
		return passed, false
	case how == whole:
		r.complete = r.finish()
	default:
		r.finishShort()
	}
	return passed, true
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

// fill moves the answer to the spool until the application has come to its end,
// which gives the seat back, or the client has caught up. failed is why the answer
// is broken; that has been logged then.
func (r *run) fill(ahead *spool, length, passed int64) (_ int64, how ended, failed error) {
	for {
		p, err := r.call.Body()
		switch {
		case passed == length:
			return passed, r.afterLength(p, err, length), nil
		case errors.Is(err, io.EOF):
			return passed, short, nil
		case err != nil:
			_, _, _ = r.diagnose(err)
			return passed, short, err
		case r.offers != nil && ahead.idle():
			return passed, notEnded, nil
		}
		n := len(p)
		over := length >= 0 && passed+int64(n) > length
		if over {
			p = p[:length-passed]
		}
		if ahead.put(p) != nil {
			return passed, short, nil // the sender says it
		}
		r.call.Consumed(len(p))
		passed += int64(len(p))
		if over {
			r.cutOff(length)
			return passed, short, nil
		}
	}
}

// afterLength looks at what an application does whose answer is complete: nothing,
// if all is well.
func (r *run) afterLength(p []byte, err error, length int64) ended {
	var raised *ApplicationError
	switch {
	case errors.As(err, &raised):
		r.logFailure(failure.AfterwardsFailed, FailedAfterwards, raised.Traceback)
	case err == nil && len(p) > 0:
		r.cutOff(length)
		return short
	}
	return whole
}
