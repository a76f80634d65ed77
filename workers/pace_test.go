package workers

import (
	"testing"
	"time"
)

func TestPace_LaysMoreAheadForQuickApplications(t *testing.T) {
	for _, c := range []struct {
		name    string
		every   time.Duration // between two calls
		workers int
		want    int
	}{
		{"hello", 15 * time.Microsecond, 1, MostAhead},
		{"a page in 200 µs", 200 * time.Microsecond, 1, 10},
		{"the same on two workers", 100 * time.Microsecond, 2, 10},
		{"a slow application", 50 * time.Millisecond, 4, leastAhead},
		{"a clock that stands still", 0, 1, MostAhead},
		{"nobody serves", time.Microsecond, 0, usualAhead},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p pace
			now := time.Unix(1, 0)
			for range 2 * paceCalls {
				p.count(now, c.workers)
				now = now.Add(c.every)
			}
			if got := p.laidAhead(); got != c.want {
				t.Errorf("laid ahead with a call every %s for %d workers = %d, want %d", c.every, c.workers, got, c.want)
			}
		})
	}
}

func TestPace_IsUsualBeforeItIsKnown(t *testing.T) {
	var p pace
	for range paceCalls {
		if p.count(time.Unix(1, 0), 1) || p.laidAhead() != usualAhead {
			t.Fatalf("laid ahead with %d calls counted = %d, want %d", p.calls, p.laidAhead(), usualAhead)
		}
	}
}

// Calls that come slowly must not need many of them to be noticed.
func TestPace_SeesWithinASpanThatCallsHaveBecomeSlow(t *testing.T) {
	var p pace
	now := time.Unix(1, 0)
	for range 2 * paceCalls {
		p.count(now, 2)
		now = now.Add(10 * time.Microsecond)
	}
	if got := p.laidAhead(); got != MostAhead {
		t.Fatalf("laid ahead at a call every 10 µs = %d, want %d", got, MostAhead)
	}
	slow := paceSpan / 2
	for range 2 {
		now = now.Add(slow)
		p.count(now, 2)
	}
	if got := p.laidAhead(); got != leastAhead {
		t.Errorf("laid ahead after 2 calls in %s = %d, want %d", 2*slow, got, leastAhead)
	}
}

// A night without requests must not be counted into the morning's pace for long.
func TestPace_FollowsAChange(t *testing.T) {
	var p pace
	now := time.Unix(1, 0)
	for range paceCalls + 1 {
		p.count(now, 1)
		now = now.Add(time.Second)
	}
	if got := p.laidAhead(); got != leastAhead {
		t.Fatalf("laid ahead at a call a second = %d, want %d", got, leastAhead)
	}
	changed := 0
	for range 2 * paceCalls {
		if p.count(now, 1) {
			changed++
		}
		now = now.Add(10 * time.Microsecond)
	}
	if got := p.laidAhead(); got != MostAhead || changed != 1 {
		t.Errorf("laid ahead once calls come quickly = %d after %d changes, want %d after 1", got, changed, MostAhead)
	}
}

// What a worker is given follows the pace, and what it has already stays.
func TestDispatcher_LaysOutAsFarAheadAsThePaceSays(t *testing.T) {
	sizes := small
	sizes.Slots = sizes.Threads + MostAhead
	s := newStage(t, sizes, 1)
	w := s.cast[0].worker
	calls := map[string]*asked{}
	for _, name := range names("call", 1, 2*sizes.Slots) {
		calls[name] = s.ask(name)
	}
	taken := func() int { return locked(s.dispatcher, w.taken) }
	pace := func(ahead int) {
		locked(s.dispatcher, func() bool {
			s.pace.ahead = ahead
			s.reachLocked()
			return true
		})
	}
	answer := func() {
		a := s.next()
		a.answer()
		s.expect(calls[a.name], a.name)
		delete(calls, a.name)
	}

	if got, want := taken(), sizes.Threads+usualAhead; got != want {
		t.Errorf("a worker whose pace is not known has %d calls, want %d", got, want)
	}
	pace(leastAhead)
	for range usualAhead + 1 {
		answer()
	}
	until(t, "fewer calls in the slow worker", func() bool { return taken() == sizes.Threads+leastAhead })
	pace(MostAhead)
	answer()
	until(t, "more calls in the quick worker", func() bool { return taken() == sizes.Slots })
	for len(calls) > 0 {
		answer()
	}
}
