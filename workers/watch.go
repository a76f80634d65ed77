package workers

// The dispatcher from the perspective of the clock: calls that wait too long to
// be begun, and calls that work too long.

import (
	"time"

	"gowsgi/embed/channel"
	"gowsgi/wsgi"
)

// watched is what the watch keeps in the dispatcher, guarded by its mutex.
type watched struct {
	at         time.Time // of the last look
	full, late int       // calls refused that overloaded was not told of
	toldAt     time.Time // when it was told last
	asleep     bool      // the watch rests until it is woken
	woken      chan struct{}
}

// wakeLocked is called when there is something to watch again.
func (w *watched) wakeLocked() {
	if w.asleep {
		w.asleep = false
		w.woken <- struct{}{} // has room: one for each time it falls asleep
	}
}

// stint is what the watch knows of the call on a seat.
//
// The time a call may take is the time the application may work without taking
// or giving anything: the clock starts when a thread begins the call, restarts
// with each piece of request body it reads and each piece of answer it gives,
// and stands still while it waits for the client to send or to take. What runs
// after the response has a limit of its own, for all functions together.
type stint struct {
	known    bool      // the watch has seen a thread at it; what follows holds
	expired  bool      // it has worked too long, and that was told
	after    bool      // it runs functions after the response, since since
	began    time.Time // when the watch saw it first
	since    time.Time // when it took or gave something last
	progress uint64
}

// silence is what the watch knows of a worker that does not begin a call though
// a thread of it has nothing to do: it is stopped, or something holds the GIL.
type silence struct {
	known  bool
	told   bool
	ticket uint32    // of the oldest call laid out, which a thread would begin first
	since  time.Time // when the watch saw that first
}

// silencePart: so much of the timeout makes silence deafness. A thread begins a
// call in microseconds, and the call should reach another worker before it has
// waited too long itself.
const silencePart = 2

// The watch looks this often: a twentieth of the shortest limit, within reason.
const (
	tickLeast = 5 * time.Millisecond
	tickMost  = 100 * time.Millisecond
	tickPart  = 20
)

// restAfter: a watch that has seen no call so many times sleeps until there is one.
const restAfter = 10

// toldEvery: refusals are told of together, once in so long.
const toldEvery = time.Second

func (l limits) tick() time.Duration {
	tick := tickMost
	for _, limit := range []time.Duration{l.timeout, l.afterTimeout, l.queueTimeout} {
		if limit > 0 {
			tick = min(tick, limit/tickPart)
		}
	}
	return max(tick, tickLeast)
}

// watch looks at every call now and then until stop is closed. Everything that
// has to do with time is done here, so that calls themselves pay nothing for it.
func (d *dispatcher) watch(stop <-chan struct{}) {
	defer d.tellRefused(time.Time{})
	woken := make(chan struct{}, 1)
	d.mu.Lock()
	d.watched.woken = woken
	d.mu.Unlock()
	tick := d.tick()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	idle := 0
	for {
		select {
		case <-stop:
			return
		case <-woken:
			tick = d.tick()
			ticker.Reset(tick)
			continue
		case <-ticker.C:
		}
		now := time.Now()
		d.tellRefused(now)
		if changed := d.tick(); changed != tick {
			tick = changed
			ticker.Reset(tick)
		}
		if d.look(now) {
			idle = 0
		} else if idle++; idle >= restAfter && d.rest() {
			ticker.Stop()
			idle = 0
		}
	}
}

func (d *dispatcher) tick() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.limits.tick()
}

// change puts other limits in force, for calls that are under way as well.
func (d *dispatcher) change(l limits) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limits = l
}

// rest reports whether there is nothing to watch; begin wakes the watch then.
func (d *dispatcher) rest() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watched.asleep = !d.busyLocked()
	return d.watched.asleep
}

// busyLocked says that there is a call, or something to tell of one.
func (d *dispatcher) busyLocked() bool {
	if d.queue.length > 0 || d.watched.full > 0 || d.watched.late > 0 {
		return true
	}
	for _, some := range [][]*worker{d.workers, d.leavers} {
		for _, w := range some {
			if w.taken() > 0 {
				return true
			}
		}
	}
	return false
}

// tellRefused tells how many calls were refused, if it is time for that. The
// zero time tells at once.
func (d *dispatcher) tellRefused(now time.Time) {
	d.mu.Lock()
	full, late := d.watched.full, d.watched.late
	if full+late == 0 || !now.IsZero() && now.Sub(d.watched.toldAt) < toldEvery {
		d.mu.Unlock()
		return
	}
	d.watched.full, d.watched.late, d.watched.toldAt = 0, 0, now
	d.mu.Unlock()
	if d.overloaded != nil {
		d.overloaded(full, late)
	}
}

// look fails the calls whose time is over at now, and reports whether there is
// any call.
func (d *dispatcher) look(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.queue.length > 0 && d.waitedTooLong(d.queue.head, now) {
		d.turnAwayLocked(d.queue.pop())
	}
	for _, some := range [][]*worker{d.workers, d.leavers} {
		for _, w := range some {
			d.lookAtLocked(w, now)
		}
	}
	d.watched.at = now
	return d.busyLocked()
}

func (d *dispatcher) waitedTooLong(c *Call, now time.Time) bool {
	return d.limits.queueTimeout > 0 && now.Sub(c.asked) >= d.limits.queueTimeout
}

// turnAwayLocked fails a call that has neither seat nor place in the queue.
func (d *dispatcher) turnAwayLocked(c *Call) {
	c.seat.Store(nil)
	d.watched.late++
	c.condemn(wsgi.ErrQueuedTooLong)
}

// lookAtLocked looks at every call of a worker.
func (d *dispatcher) lookAtLocked(w *worker, now time.Time) {
	var expired []casualty
	var oldest *Call // that is not begun
	freed, running := false, 0
	for i := range w.seats {
		s := &w.seats[i]
		c := s.call.Load()
		if c == nil || c.doneLocked(s) {
			continue
		}
		if state, _ := s.slot.State(); state == channel.Ready {
			if d.waitedTooLong(c, now) && s.slot.TakeBack() {
				d.vacateLocked(s)
				d.turnAwayLocked(c)
				freed = true
			} else if oldest == nil || older(c.ticket, oldest.ticket) {
				oldest = c
			}
			continue
		}
		running++
		if d.worksTooLongLocked(s, now) {
			expired = append(expired, d.expireLocked(s, now))
		}
	}
	if freed {
		d.settleLocked(w)
	}
	if d.silentTooLongLocked(w, oldest, running, now) && d.deaf != nil {
		d.deaf(w)
	}
	if len(expired) == 0 {
		return
	}
	if d.expired != nil {
		d.expired(w, expired)
	}
	if w.leaving {
		d.seeOffLocked(w)
	}
}

// doneLocked says that the call on s is at its end and only has to be read. Any
// other state that a thread can be in counts as running, damaged ones as well:
// nothing would come of such a call otherwise.
func (c *Call) doneLocked(s *seat) bool {
	state, ticket := s.slot.State()
	return state == channel.Done && ticket == c.ticket
}

// worksTooLongLocked keeps the clock of the call on s, which a thread is at. It
// is true once.
func (d *dispatcher) worksTooLongLocked(s *seat, now time.Time) bool {
	progress := s.slot.Progress()
	state, _ := s.slot.State()
	after, limit := s.slot.AfterResponse(), d.limits.timeout
	if after {
		limit = d.limits.afterTimeout
	}
	switch t := &s.stint; {
	case t.expired:
		return false
	case !t.known:
		*t = stint{known: true, after: after, began: now, since: now, progress: progress}
	case t.after != after:
		t.after, t.progress, t.since = after, progress, now
	case t.progress != progress, state != channel.Aborted && s.slot.WaitsForClient():
		t.progress, t.since = progress, now
	}
	return limit > 0 && now.Sub(s.stint.since) >= limit
}

// silentTooLongLocked keeps the clock of a worker that has begun so many calls,
// but not the oldest of the others. It is true once.
func (d *dispatcher) silentTooLongLocked(w *worker, oldest *Call, running int, now time.Time) bool {
	s := &w.silence
	switch {
	case oldest == nil || running >= w.threads || d.limits.timeout == 0:
		s.known = false
	case !s.known || s.ticket != oldest.ticket:
		s.known, s.ticket, s.since = true, oldest.ticket, now
	case !s.told && now.Sub(s.since) >= d.limits.timeout/silencePart:
		s.told = true
		return true
	}
	return false
}

// expireLocked fails the call on s, if anybody waits for it; the seat stays
// taken, because the thread is.
func (d *dispatcher) expireLocked(s *seat, now time.Time) casualty {
	s.stint.expired = true
	s.worker.expired++
	victim := d.casualtyLocked(s, now)
	if c := s.call.Load(); !c.abandoned.Load() {
		c.condemn(&wsgi.TimeoutError{Worker: s.worker.id, Elapsed: victim.elapsed})
	}
	return victim
}

// load is what there is to do, and how many there are to do it.
type load struct {
	queued int           // calls without a seat
	ahead  int           // calls laid out in a worker, but not begun
	oldest time.Duration // how long the oldest of both has waited
	peak   int           // most calls at once since load was asked for last, those without a seat too
	idle   int           // workers without any call
}

// load says how much there is to do. A call whose client has its answer does
// not count for the peak.
func (d *dispatcher) load() load {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	l := load{queued: d.queue.length, peak: d.peak}
	waits := func(c *Call) { l.oldest = max(l.oldest, now.Sub(c.asked)) }
	if d.queue.head != nil {
		waits(d.queue.head)
	}
	for _, w := range d.workers {
		if w.taken() == 0 {
			l.idle++
		}
		for i := range w.seats {
			c := w.seats[i].call.Load()
			if c == nil {
				continue
			}
			if state, _ := w.seats[i].slot.State(); state == channel.Ready {
				l.ahead++
				waits(c)
			}
		}
	}
	_, seated := d.roomiestLocked()
	d.peak = seated + d.queue.length
	return l
}
