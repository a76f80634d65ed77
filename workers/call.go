package workers

// Call, from the perspective of the connection whose request it runs.

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"gowsgi/cmd/failure"
	"gowsgi/embed/channel"
	"gowsgi/environ"
	"gowsgi/wsgi"
)

// Call implements wsgi.Call on a worker's slot.
type Call struct {
	dispatcher *dispatcher
	limits     channel.Sizes
	lookout    *lookout

	request channel.Request
	hints   func([]environ.Header) // nil: early hints are of no use
	ticket  uint32
	spin    bool // Begin found an idle thread: look for the answer for a moment

	// guarded by the dispatcher's mutex
	next, previous *Call // in the queue
	queued         bool
	asked          time.Time // when it was begun

	seat      atomic.Pointer[seat]           // where it is laid out, nil while queued
	lost      atomic.Pointer[wsgi.LostError] // its worker is gone
	verdict   atomic.Pointer[verdict]        // the watch has failed it
	abandoned atomic.Bool                    // nobody waits any more; the bell's listener cleans up
	detached  atomic.Bool                    // abandoned with its answer complete, and counted as such
	news      chan struct{}
	roomNews  chan struct{}
	replyFile chan *os.File // what the worker has passed for the answer; room for one

	file    *wsgi.BodyFile // the answer's body, until somebody takes it
	settled bool           // the exchange is read out; what follows holds the rest
	held    bool           // but the seat is not given back yet
	after   bool           // nor has the worker finished: it runs functions after the response
	outcome channel.Outcome
	fault   string
	told    int    // bytes of the slot's fault that are in fault, or were
	buffer  []byte // copied head and rest of the body
	rest    []byte // part of buffer
}

// verdict is why a call fails though its worker lives.
type verdict struct{ err error }

// fate is the error of a call that gets nothing more than what is published;
// nil while there is hope. What the watch has decided comes first: the worker
// may have been killed for it.
func (c *Call) fate() error {
	if v := c.verdict.Load(); v != nil {
		return v.err
	}
	if lost := c.lost.Load(); lost != nil {
		return lost
	}
	return nil
}

// condemn makes the call fail with err, and tells whoever waits for it.
func (c *Call) condemn(err error) {
	c.verdict.Store(&verdict{err})
	c.wake()
}

// reset makes the call ready for Begin.
func (c *Call) reset() {
	c.seat.Store(nil)
	c.lost.Store(nil)
	c.verdict.Store(nil)
	c.settled, c.held, c.after, c.spin = false, false, false, false
	c.outcome, c.fault, c.told = channel.Complete, "", 0
	c.buffer, c.rest = c.buffer[:0], nil
	c.closeFile()
	c.dropFiles()
	c.request, c.hints = channel.Request{}, nil
}

// closeFile: nothing of the worker's can ask for the body file any more, the call
// has no seat.
func (c *Call) closeFile() {
	if c.request.File != nil {
		_ = c.request.File.Close() // it has no name and nobody will read it again
		c.request.File = nil
	}
}

// Begin implements wsgi.Call.
func (c *Call) Begin(r wsgi.Request) error {
	if len(r.Environ) > c.limits.Environ || len(r.Body) > c.limits.Body {
		c.request.File = r.File // for End to close
		c.settled = true
		return wsgi.ErrTooLarge
	}
	c.hints = r.EarlyHints
	c.request = channel.Request{Environ: r.Environ, Body: r.Body, BodyMore: r.BodyMore, File: r.File, BodyLength: r.BodyLength}
	if err := c.dispatcher.begin(c); err != nil {
		c.settled = true
		return err
	}
	return nil
}

// BodyLimit implements wsgi.Call.
func (c *Call) BodyLimit() int { return c.limits.Body }

// rung is called by the worker's listener when the slot has news.
func (c *Call) rung(s *seat) {
	if c.abandoned.Load() {
		c.sweep(s)
		return
	}
	c.wake()
}

func (c *Call) wake() {
	select {
	case c.news <- struct{}{}:
	default: // it has been told already and will look at everything
	}
	select {
	case c.roomNews <- struct{}{}:
	default:
	}
}

// mine returns the slot if a thread has begun this call on it.
func (c *Call) mine() (*channel.Slot, channel.State) {
	s := c.seat.Load()
	if s == nil {
		return nil, channel.Free
	}
	state, ticket := s.slot.State()
	if ticket != c.ticket || state < channel.Running {
		return nil, state
	}
	return s.slot, state
}

// over says that nothing follows what is published, although the worker may
// still have functions to run.
func over(s *channel.Slot, state channel.State) bool {
	return state == channel.Done || s.Answered()
}

// await waits until the answer is over (true), or something is published, or
// nothing more will be.
//
// The worker rings only for who has announced to sleep, and the announcement
// is followed by another look: see Slot.Wait. A call that is moved to another
// worker is announced there by the dispatcher.
func (c *Call) await(published func(*channel.Slot) bool) (complete bool) {
	looks, looked := 0, false
	if c.spin {
		looks = c.lookout.begin()
		looked = looks > 0
		c.spin = false // later waits of the same exchange sleep at once
	}
	announced := (*seat)(nil)
	for {
		if slot, state := c.mine(); slot != nil {
			if complete = over(slot, state); complete || published(slot) {
				if looked {
					c.lookout.ended(looks > 0)
				}
				return complete
			}
		}
		if c.fate() != nil {
			return false
		}
		if looks > 0 {
			looks--
			pause()
			continue
		}
		if s := c.seat.Load(); s != announced && s != nil {
			s.slot.Wait(channel.WaitReply)
			announced = s
			continue
		}
		<-c.news
		announced = nil
	}
}

func hasHead(s *channel.Slot) bool {
	head, _, err := s.Head()
	return head != nil || err != nil
}

// hasNews: a head, or a hint before it.
func hasNews(s *channel.Slot) bool {
	_, size, err := s.Hint()
	return size > 0 || err != nil || hasHead(s)
}

func hasBody(s *channel.Slot) bool {
	p, err := s.Published()
	return len(p) > 0 || err != nil
}

// settle copies what is left of an exchange that is over and gives the seat
// back, so that the worker can go on while the client is still reading. While a
// request body may still be on its way into the slot, End gives the seat back
// instead. A worker that has functions to run after the response keeps it.
func (c *Call) settle() error {
	s := c.seat.Load()
	c.outcome = s.slot.Outcome()
	c.fault = s.slot.Fault()
	c.told = len(c.fault)
	from := len(c.buffer)
	var err error
	for err == nil {
		var p []byte
		p, err = s.slot.Published()
		if len(p) == 0 {
			break
		}
		c.buffer = append(c.buffer, p...)
		s.slot.Consumed(len(p))
	}
	c.rest = c.buffer[from:]
	c.settled = true
	if state, _ := s.slot.State(); state != channel.Done {
		c.after = true
		return err
	}
	if c.request.BodyMore {
		c.held = true // another goroutine may be filling the body ring
		return err
	}
	c.dispatcher.release(s)
	return err
}

// awaitHead waits for the head, or for the end without one, and passes on the
// hints that come before. The error is that of a call that gets neither.
func (c *Call) awaitHead() (done bool, err error) {
	for {
		done = c.await(hasNews)
		if fate := c.fate(); fate != nil && !done && !c.published(hasNews) {
			return false, fate
		}
		slot := c.seat.Load().slot
		hint, size, err := slot.Hint()
		if err == nil && size > 0 {
			err = c.passHint(hint)
			slot.Consumed(size)
		}
		if err != nil {
			return done, c.damaged(err)
		}
		if size == 0 {
			return done, nil
		}
	}
}

func (c *Call) passHint(hint channel.HeadReader) error {
	fields, err := unpackFields(hint, nil)
	if err == nil && c.hints != nil {
		c.hints(fields)
	}
	return err
}

// Head implements wsgi.Call.
func (c *Call) Head(fields []environ.Header) ([]byte, []environ.Header, int64, error) {
	done, err := c.awaitHead()
	if err != nil {
		return nil, fields, -1, err
	}
	slot := c.seat.Load().slot
	head, length, err := slot.Head()
	size := len(head)
	if offset, named := slot.ReplyFile(); err == nil && size > 0 && named {
		// before the seat is given back: the file finds its call by it
		if err := c.awaitFile(offset); err != nil {
			return nil, fields, -1, err
		}
	}
	switch {
	case err != nil:
	case done:
		err = c.settle()
		if err == nil && size == 0 {
			return nil, fields, -1, c.failure()
		}
		if err == nil && size > len(c.rest) {
			err = channel.ErrDamaged
		}
	default:
		c.buffer = append(c.buffer, head...)
		slot.Consumed(size)
	}
	if err != nil {
		return nil, fields, -1, c.damaged(err)
	}
	if done {
		c.rest = c.rest[size:]
	}
	status, fields, err := unpackHead(c.buffer[:size:size], fields)
	if err != nil {
		return nil, fields, -1, c.damaged(err)
	}
	return status, fields, length, nil
}

// published looks at the slot of a call that gets nothing more: what was
// published before is still there.
func (c *Call) published(has func(*channel.Slot) bool) bool {
	slot, _ := c.mine()
	return slot != nil && has(slot)
}

func unpackHead(head []byte, fields []environ.Header) ([]byte, []environ.Header, error) {
	status, rest, err := channel.ReadHead(head)
	if err == nil {
		fields, err = unpackFields(rest, fields)
	}
	return status, fields, err
}

func unpackFields(rest channel.HeadReader, fields []environ.Header) ([]environ.Header, error) {
	for {
		name, value, ok, err := rest.Next()
		if !ok || err != nil {
			return fields, err
		}
		fields = append(fields, environ.Header{Name: name, Value: value})
	}
}

// failure is the error of an exchange that ended without a complete answer.
func (c *Call) failure() error {
	traceback := c.fault
	c.fault = "" // reported here, not by End again
	if traceback == "" {
		traceback = "the application ended without an answer\n"
	}
	return &wsgi.ApplicationError{Traceback: traceback}
}

func (c *Call) damaged(err error) error {
	return fmt.Errorf("workers: %w", err)
}

// Body implements wsgi.Call.
func (c *Call) Body() ([]byte, error) {
	if !c.settled {
		done := c.await(hasBody)
		slot := c.seat.Load().slot
		switch p, err := slot.Published(); {
		case err != nil:
			return nil, c.damaged(err)
		case done:
			if err := c.settle(); err != nil {
				return nil, c.damaged(err)
			}
		case len(p) > 0:
			return p, nil
		default:
			return nil, c.fate()
		}
	}
	switch {
	case len(c.rest) > 0:
		return c.rest, nil
	case c.outcome == channel.Complete:
		return nil, io.EOF
	default:
		return nil, c.failure()
	}
}

// Lingers implements wsgi.Call.
func (c *Call) Lingers() bool { return c.after }

// Settled implements wsgi.Call.
func (c *Call) Settled() bool { return c.settled && !c.after && !c.held }

// Consumed implements wsgi.Call.
func (c *Call) Consumed(n int) {
	if c.settled {
		c.rest = c.rest[n:]
		return
	}
	c.seat.Load().slot.Consumed(n)
}

// awaitReader waits, for the goroutine that brings the request body, until
// ready says so; false when the application no longer reads.
func (c *Call) awaitReader(ready func(*channel.Slot) bool) bool {
	announced := (*seat)(nil)
	for {
		if slot, state := c.mine(); slot != nil {
			if over(slot, state) || state == channel.Aborted {
				return false
			}
			if ready(slot) {
				return true
			}
		}
		if c.fate() != nil {
			return false
		}
		if s := c.seat.Load(); s != announced && s != nil {
			s.slot.Wait(channel.WaitRoom)
			announced = s
			continue
		}
		<-c.roomNews
		announced = nil
	}
}

func hasRoom(s *channel.Slot) bool {
	p, err := s.Room()
	return len(p) > 0 || err != nil
}

// Room implements wsgi.Call.
func (c *Call) Room() ([]byte, error) {
	if !c.awaitReader(hasRoom) {
		return nil, io.EOF
	}
	p, err := c.seat.Load().slot.Room()
	if err != nil {
		return nil, c.damaged(err)
	}
	return p, nil
}

// Wanted implements wsgi.Call.
func (c *Call) Wanted() error {
	if !c.awaitReader((*channel.Slot).BodyWanted) {
		return io.EOF
	}
	return nil
}

// Filled implements wsgi.Call.
func (c *Call) Filled(n int) { c.seat.Load().slot.Filled(n) }

// EndBody implements wsgi.Call.
func (c *Call) EndBody(complete bool) {
	if slot, _ := c.mine(); slot != nil {
		slot.EndBody(complete)
	}
}

// Abort implements wsgi.Call. Whoever brings the body need not wait for the
// application to notice.
func (c *Call) Abort() {
	if slot, _ := c.mine(); slot != nil && !c.settled {
		slot.Abort()
		c.wake()
	}
}

// End implements wsgi.Call.
func (c *Call) End() (traceback string, again bool) {
	switch {
	case c.after:
		return c.leave()
	case c.settled || c.dispatcher.withdraw(c) || c.abandon((*channel.Slot).Abort):
		return c.ended()
	}
	return "", false
}

// Detach implements wsgi.Call.
func (c *Call) Detach() (traceback string, again bool) {
	if c.settled {
		if len(c.rest) > 0 {
			c.dispatcher.complain(c.request.Environ, failure.AnswerTooLong, wsgi.CutOff, "")
		}
		if !c.after {
			return c.ended()
		}
	}
	return c.leave()
}

// leave leaves the thread to what it still does for a call whose client has
// the whole answer.
func (c *Call) leave() (traceback string, again bool) {
	traceback = c.fault // from abandon on, the call may be another's
	c.detached.Store(true)
	c.dispatcher.leftovers.Add(1)
	if c.abandon((*channel.Slot).Sent) {
		return c.ended()
	}
	return traceback, false
}

// ended gives back what is held and makes the call ready for Begin.
func (c *Call) ended() (traceback string, again bool) {
	if c.held {
		c.dispatcher.release(c.seat.Load())
	}
	traceback = c.fault
	c.reset()
	return traceback, true
}

// abandon leaves a call that a thread has begun to the bell's listener,
// which gives the seat back later: the Call cannot be used again then, and the
// result is false. It is true if the worker is lost and the seat given back. tell
// tells the application why: it is to stop, or its client has the answer.
//
// From abandoned on, the listener or the loss of the worker may free the seat
// as soon as it has the dispatcher's mutex. Without it, tell could reach the
// next call on that seat, or memory that is gone.
func (c *Call) abandon(tell func(*channel.Slot)) bool {
	d, s := c.dispatcher, c.seat.Load()
	d.mu.Lock()
	if c.lost.Load() != nil {
		d.mu.Unlock()
		c.forgetDetached()
		d.release(s)
		return true
	}
	c.abandoned.Store(true)
	tell(s.slot)
	end := c.lookLocked(s) // it may have finished before it could know whom to tell
	d.mu.Unlock()
	end()
	return false
}

// sweep looks after an abandoned call: it gives the seat back once the thread
// has finished, and stops an application that goes on sending what nobody
// takes. It is called by whoever may be the last to see that, and acts once.
func (c *Call) sweep(s *seat) {
	c.dispatcher.mu.Lock()
	end := c.lookLocked(s)
	c.dispatcher.mu.Unlock()
	end()
}

// lookLocked finds out what has become of an abandoned call, and returns what
// is to be done about it without the mutex.
func (c *Call) lookLocked(s *seat) func() {
	if s.call.Load() != c || !c.abandoned.Load() {
		return nothing // somebody else has looked after it
	}
	s.slot.Wait(channel.WaitReply) // the bell may have been for something else
	if state, _ := s.slot.State(); state != channel.Done {
		return c.stopExcessLocked(s)
	}
	c.abandoned.Store(false) // so the seat is for clear
	return func() { c.clear(s) }
}

func nothing() {}

// clear gives back the seat of an abandoned call that has finished.
func (c *Call) clear(s *seat) {
	if p, err := s.slot.Published(); c.forgetDetached() && (len(p) > 0 || err != nil) {
		c.dispatcher.complain(s.slot.Environ(), failure.AnswerTooLong, wsgi.CutOff, "")
	}
	if fault := c.untold(s.slot); fault != "" {
		c.dispatcher.complain(s.slot.Environ(), failure.AfterwardsFailed, wsgi.FailedAfterwards, fault)
	}
	c.dispatcher.release(s)
	c.reset()
	c.dispatcher.calls.Put(c)
}

// untold is what a finished exchange complains about and nobody was told. That
// the application choked on being stopped is of no interest; what it says of
// functions it ran after the response is.
func (c *Call) untold(slot *channel.Slot) string {
	if slot.Outcome() == channel.Dropped && !slot.Answered() {
		return ""
	}
	fault := slot.Fault()
	return fault[min(c.told, len(fault)):]
}

// stopExcessLocked: a detached call has given all its Content-Length allows.
func (c *Call) stopExcessLocked(s *seat) func() {
	if p, err := s.slot.Published(); len(p) == 0 && err == nil || !c.detached.CompareAndSwap(true, false) {
		return nothing
	}
	c.dispatcher.leftovers.Add(-1)
	environ := bytes.Clone(s.slot.Environ()) // the slot may be another's by then
	s.slot.Abort()
	return func() { c.dispatcher.complain(environ, failure.AnswerTooLong, wsgi.CutOff, "") }
}

// forgetDetached reports whether the call still counted as detached.
func (c *Call) forgetDetached() bool {
	was := c.detached.CompareAndSwap(true, false)
	if was {
		c.dispatcher.leftovers.Add(-1)
	}
	return was
}
