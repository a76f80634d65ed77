package workers

import (
	"testing"
	"time"

	"gowsgi/embed/channel"
)

func elastic(least, most int) *Plan {
	return &Plan{MinWorkers: least, MaxWorkers: most, WorkerIdleTimeout: time.Minute, Sizes: channel.Sizes{Threads: 2}}
}

var pressed = load{queued: 3, oldest: pressing}

func TestScale_GrowsOnlyWhenRequestsWaitAndAProcessorIsFree(t *testing.T) {
	for name, c := range map[string]struct {
		size, starting int
		free           bool
		load           load
		want           int
	}{
		"requests wait":              {2, 0, true, pressed, 3},
		"laid out ahead and waiting": {2, 0, true, load{ahead: 1, oldest: time.Second}, 3},
		"no processor is free":       {2, 0, false, pressed, 2},
		"a burst":                    {2, 0, true, load{queued: 9, oldest: pressing - 1}, 2},
		"one is starting":            {2, 1, true, pressed, 2},
		"as many as there may be":    {4, 0, true, pressed, 4},
	} {
		var s scale
		if got, why := s.judge(time.Now(), c.size, c.starting, c.free, elastic(1, 4), c.load); got != c.want {
			t.Errorf("%s: judge(%+v) = %d (%s), want %d", name, c, got, why, c.want)
		}
	}
}

// TestScale_ShrinksByWhatWasNotNeeded: six calls at once need three workers of
// two threads; a fourth may go after a minute, the third when there were fewer.
func TestScale_ShrinksByWhatWasNotNeeded(t *testing.T) {
	var s scale
	now, size := time.Now(), 4
	look := func(after time.Duration, peak, want int) {
		t.Helper()
		now = now.Add(after)
		var why string
		if size, why = s.judge(now, size, 0, true, elastic(1, 4), load{peak: peak}); size != want {
			t.Errorf("after %v with a peak of %d: judge() = %d (%s), want %d", after, peak, size, why, want)
		}
	}
	look(0, 8, 4)
	look(30*time.Second, 6, 4)
	look(30*time.Second, 6, 3)
	look(time.Hour, 5, 3)
	look(59*time.Second, 1, 3)
	look(time.Second, 1, 2)
	look(0, 1, 1)
	look(time.Hour, 0, 1) // as few as there may be
}

func TestScale_GoesDownToNone(t *testing.T) {
	var s scale
	now := time.Now()
	s.needs(now, 1)
	if got, _ := s.judge(now.Add(59*time.Second), 1, 0, true, elastic(0, 4), load{}); got != 1 {
		t.Errorf("judge(59 s after the last request) = %d, want 1", got)
	}
	if got, _ := s.judge(now.Add(time.Minute), 1, 0, true, elastic(0, 4), load{}); got != 0 {
		t.Errorf("judge(a minute after the last request) = %d, want 0", got)
	}
}

// TestScale_DoesNotFlap: load that needs a third worker every half minute keeps it.
func TestScale_DoesNotFlap(t *testing.T) {
	var s scale
	now, size, changes := time.Now(), 1, 0
	for i := range 1000 {
		l := load{peak: 2}
		if i%5 == 0 {
			l = load{peak: 5, queued: 1, oldest: pressing}
		}
		got, _ := s.judge(now, size, 0, true, elastic(1, 3), l)
		if got != size {
			changes++
		}
		size, now = got, now.Add(6*time.Second)
	}
	if size != 3 || changes != 2 {
		t.Errorf("size = %d after %d changes, want 3 after 2", size, changes)
	}
}
