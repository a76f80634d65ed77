package workers

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gowsgi/cmd/failure"
	"gowsgi/embed/channel"
	"gowsgi/wsgi"
)

// dispatcher decides which thread runs which call.
//
// One queue for all workers. A call goes to a worker with an idle thread if
// there is one, else it is laid out ahead in a worker with a free seat, so that
// the next request is there the moment a thread ends one, else it queues. A
// call laid out ahead is not stuck there: when a thread of another worker goes
// idle and nothing is queued, or when the call has been passed by many others,
// it is taken back and given to that thread. So no call waits behind a slow
// request while any thread is idle.
type dispatcher struct {
	mu        sync.Mutex
	limits    limits
	workers   []*worker // that are given calls
	leavers   []*worker // retired, and not gone yet
	queue     queue
	ticket    uint32
	crowdedAt time.Time // when calls overlapped last
	lookedAt  uint32    // the ticket at which overdue calls were looked for last
	seats     int       // in reach of all workers together
	pace      pace
	peak      int // most calls under way at once since load was asked for
	stopped   bool
	watched   watched
	// emptied is told of a leaving worker that has run its last call; it is
	// called with mu held and must not wait.
	emptied func(*worker)
	// stuck is told, like emptied, of a leaving worker whose calls have all
	// worked too long: it will not come to its end by itself.
	stuck func(*worker)
	// expired is told, like emptied, of calls that have worked too long. They
	// keep their seats until they end after all, or the worker is lost.
	expired func(*worker, []casualty)
	// deaf is told once, like emptied, of a worker that does not begin what is
	// laid out for it, though it could.
	deaf func(*worker)
	// worn is told once, like emptied, of a worker that has served its limit.
	worn func(*worker)
	// starved is told, like emptied, that a call queues and nobody serves.
	starved func()
	// overloaded is told now and then, without mu, how many calls were refused
	// because the queue was full, and because they had waited too long.
	overloaded func(full, late int)
	// complain is told what is wrong with a call nobody waits for any more:
	// its packed environ, lent, what is wrong, with its code, and a traceback or nothing.
	complain func(environ []byte, code failure.Code, what, traceback string)
	// leftovers counts detached calls that a thread still runs.
	leftovers atomic.Int32
	calls     sync.Pool // of *Call
}

// limits of a dispatcher; 0 means none.
type limits struct {
	timeout      time.Duration // that a call may work without giving anything
	afterTimeout time.Duration // that functions may run after the response
	queueTimeout time.Duration // that a call may wait to be begun
	maxQueue     int           // calls in the queue
}

// overdueFactor: a call laid out ahead is overdue once this many times as many
// calls as there are seats were dispatched after it: in turn it would have been
// begun about when as many as there are seats were. Counted, not timed: no
// clock is read, and a slow application has slower calls to wait for.
const overdueFactor = 2

// begin gives the call a ticket and a seat or a place in the queue.
func (d *dispatcher) begin(c *Call) error {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return wsgi.ErrStopped
	}
	d.watched.wakeLocked()
	w, others := d.roomiestLocked()
	queues := w == nil || d.queue.length > 0
	if queues && d.limits.maxQueue > 0 && d.queue.length >= d.limits.maxQueue {
		d.watched.full++
		return wsgi.ErrQueueFull
	}
	d.ticket++
	c.ticket, c.asked = d.ticket, now
	if d.pace.count(now, len(d.workers)) {
		d.reachLocked()
	}
	d.peak = max(d.peak, others+d.queue.length+1)
	if queues {
		d.queue.push(c)
		d.tellIfStarvedLocked()
		return nil
	}
	c.spin = d.aloneLocked(others, now)
	d.placeLocked(c, w, c.spin)
	return nil
}

// serves tells whether there is a worker to give a call to.
func (d *dispatcher) serves() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.stopped && len(d.workers) > 0
}

// tellIfStarvedLocked tells that calls queue and nobody serves, if so it is.
func (d *dispatcher) tellIfStarvedLocked() {
	if d.queue.length > 0 && len(d.workers) == 0 && d.starved != nil {
		d.starved()
	}
}

// crowdWindow: with requests that overlapped this lately, nobody among them
// should keep the processor to look out for its answer.
const crowdWindow = 200 * time.Microsecond

// aloneLocked says that a call about to begin has the pool for itself: no other
// is under way, and none has been for a while.
func (d *dispatcher) aloneLocked(others int, now time.Time) bool {
	if others > 0 {
		d.crowdedAt = now
	}
	return now.Sub(d.crowdedAt) >= crowdWindow
}

// roomiestLocked returns the worker with an idle thread, or else with a free
// seat, that has the least to do for its threads; nil if every seat is taken.
// It also returns how many calls have a seat; one whose client has its answer
// already does not count.
func (d *dispatcher) roomiestLocked() (best *worker, seated int) {
	seated = -int(d.leftovers.Load())
	for _, w := range d.workers {
		seated += w.taken()
		if !w.roomLocked() {
			continue
		}
		if best == nil || w.taken()*best.threads < best.taken()*w.threads {
			best = w
		}
	}
	return best, seated
}

// placeLocked gives the call a seat. awake says that its goroutine will look
// for the answer itself for a moment, and need not be rung for until it says so.
func (d *dispatcher) placeLocked(c *Call, w *worker, awake bool) {
	i := w.vacant[len(w.vacant)-1]
	w.vacant = w.vacant[:len(w.vacant)-1]
	s := &w.seats[i]
	waits := channel.WaitReply
	if awake {
		waits = 0
	}
	c.request.Alone = awake
	s.call.Store(c)
	c.seat.Store(s)
	s.slot.Offer(c.request, c.ticket, waits)
}

// vacateLocked takes the call off its seat; the slot is Free already.
func (d *dispatcher) vacateLocked(s *seat) {
	w := s.worker
	s.call.Store(nil)
	if s.stint.expired {
		w.expired--
	}
	s.stint.known, s.stint.expired = false, false
	w.vacant = append(w.vacant, s.slot.Index())
}

// release ends the use of a seat whose exchange is Done, or lost, and gives
// the worker something else to do.
func (d *dispatcher) release(s *seat) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := s.worker
	s.slot.Release()
	w.served++
	d.vacateLocked(s)
	if w.served == w.limit && !w.leaving && d.worn != nil {
		d.worn(w)
	}
	d.settleLocked(w)
}

// settleLocked feeds a worker, or lets go of one that leaves or is gone.
func (d *dispatcher) settleLocked(w *worker) {
	switch {
	case w.gone:
		if w.taken() == 0 {
			w.letGo()
		}
	case w.leaving:
		d.seeOffLocked(w)
	default:
		d.feedLocked(w)
	}
}

// seeOffLocked tells when a leaving worker is through with its calls, or never
// will be.
func (d *dispatcher) seeOffLocked(w *worker) {
	switch {
	case w.taken() == 0:
		if d.emptied != nil {
			d.emptied(w)
		}
	case w.taken() == w.expired && !w.stuck && d.stuck != nil:
		w.stuck = true
		d.stuck(w)
	}
}

// feedLocked gives waiting calls to a worker that has room.
func (d *dispatcher) feedLocked(w *worker) {
	for w.roomLocked() {
		c := d.nextLocked(w)
		if c == nil {
			return
		}
		d.placeLocked(c, w, false)
	}
}

// nextLocked picks what w should run next: the head of the queue, or a call
// that another worker is not getting to: any for an idle thread when nothing
// is queued, else one that is overdue, also when nothing is queued. The overdue
// are looked for once in so many calls as there are seats, which is what looking
// at each seat costs; looking at each chance, two busy workers would take the
// same call from each other again and again.
func (d *dispatcher) nextLocked(w *worker) *Call {
	if d.queue.length == 0 && w.idleLocked() {
		return d.stealLocked(w, 0)
	}
	if d.ticket-d.lookedAt >= uint32(d.seats) {
		d.lookedAt = d.ticket
		if c := d.stealLocked(w, uint32(overdueFactor*d.seats)); c != nil {
			return c
		}
	}
	return d.queue.pop()
}

// stealLocked takes back the oldest call that is laid out in a worker with no
// idle thread, if it has been passed by that many others.
func (d *dispatcher) stealLocked(thief *worker, passed uint32) *Call {
	var from *seat
	var oldest uint32
	for _, v := range d.workers {
		if v == thief || v.taken() <= v.threads {
			continue
		}
		for i := range v.seats {
			state, ticket := v.seats[i].slot.State()
			if state == channel.Ready && (from == nil || older(ticket, oldest)) {
				from, oldest = &v.seats[i], ticket
			}
		}
	}
	if from == nil || d.ticket-oldest < passed {
		return nil
	}
	c := from.call.Load()
	if c == nil || !from.slot.TakeBack() {
		return nil // begun at this very moment: just as good
	}
	d.vacateLocked(from)
	return c
}

// join adds a worker that serves, and gives it what waits.
func (d *dispatcher) join(w *worker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.workers = append(d.workers, w)
	d.reachLocked()
	d.feedLocked(w)
}

// retire gives a worker no more calls; what it has not begun goes to others.
// emptied is called when the rest is done, at once if there is nothing.
func (d *dispatcher) retire(w *worker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dropLocked(w)
	d.leavers = append(d.leavers, w)
	w.leaving = true
	d.takeAllBackLocked(w)
	d.settleLocked(w)
	d.feedAllLocked()
	d.tellIfStarvedLocked() // a call may have come just before the last worker goes
}

// lose takes a worker off whose process has ended. Calls it had not begun go
// to others; calls it ran fail with reason, unless their answer was complete.
// It returns how many calls the worker had answered, and what it was running.
func (d *dispatcher) lose(w *worker, reason *wsgi.LostError) (served int, ran []casualty) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dropLocked(w)
	served = w.served
	w.leaving, w.gone = true, true
	w.segment.Hush()
	d.takeAllBackLocked(w)
	for i := range w.seats {
		s := &w.seats[i]
		c := s.call.Load()
		if c == nil {
			continue
		}
		if !c.doneLocked(s) {
			ran = append(ran, d.casualtyLocked(s, now))
		}
		c.lost.Store(reason)
		if c.abandoned.CompareAndSwap(true, false) { // see Call.abandon
			c.forgetDetached()
			s.slot.Release()
			d.vacateLocked(s)
			c.closeFile()
			c.dropFiles()
			continue
		}
		c.wake()
	}
	d.settleLocked(w)
	d.feedAllLocked()
	return served, ran
}

// reachLocked says anew how many seats each worker may use.
func (d *dispatcher) reachLocked() {
	d.seats = 0
	for _, w := range d.workers {
		w.reach = min(w.threads+d.pace.laidAhead(), len(w.seats))
		d.seats += w.reach
	}
}

func (d *dispatcher) dropLocked(w *worker) {
	if i := slices.Index(d.workers, w); i >= 0 {
		d.workers = slices.Delete(d.workers, i, i+1)
		d.reachLocked()
	}
	if i := slices.Index(d.leavers, w); i >= 0 {
		d.leavers = slices.Delete(d.leavers, i, i+1)
	}
}

// takeAllBackLocked queues what a worker has not begun, where it belongs by age.
func (d *dispatcher) takeAllBackLocked(w *worker) {
	for i := range w.seats {
		s := &w.seats[i]
		c := s.call.Load()
		if c == nil || !s.slot.TakeBack() {
			continue
		}
		d.vacateLocked(s)
		c.seat.Store(nil)
		d.queue.pushInOrder(c)
		c.wake() // it may be spinning on the old seat, or about to sleep on it
	}
}

func (d *dispatcher) feedAllLocked() {
	for d.queue.length > 0 {
		w, _ := d.roomiestLocked()
		if w == nil {
			return
		}
		c := d.queue.pop()
		d.placeLocked(c, w, false)
	}
}

// withdraw takes a call off that has not begun, unless the watch has done so.
// It returns false if a thread has begun it.
func (d *dispatcher) withdraw(c *Call) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.queued {
		d.queue.remove(c)
		return true
	}
	s := c.seat.Load()
	if s == nil {
		return true
	}
	if !s.slot.TakeBack() {
		return false
	}
	d.vacateLocked(s)
	d.settleLocked(s.worker)
	return true
}

// stop refuses calls from now on; calls that have begun go on.
func (d *dispatcher) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
}
