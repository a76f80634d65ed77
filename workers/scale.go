package workers

import (
	"fmt"
	"log/slog"
	"time"
)

// scale decides how many workers there should be, from what it sees at each
// look. It grows at once when requests wait and one more worker would help, and shrinks only by what was not needed for all of the idle timeout:
// so it cannot flap.
type scale struct {
	needed []time.Time // [n]: when more than n workers were needed last
	cpu    cpuMeter
	work   workMeter
}

// pressing: a request that waits so long for a thread is more than part of a
// burst.
const pressing = 50 * time.Millisecond

// resizeByLoad lets the number of workers follow the load.
func (s *supervisor) resizeByLoad(g *generation) {
	if !g.plan.resizable() || g.paused {
		return
	}
	starting := g.count(func(w *worker) bool { return w.state == forking || w.state == booting })
	now := time.Now()
	free := s.scale.mayGrow(s.pids(), now)
	size, why := s.scale.judge(now, s.size, starting, free, &g.plan, s.pool.dispatcher.load())
	s.setSize(g, size, why, slog.LevelDebug)
}

// starved: a call waits, and there is no worker at all.
func (s *supervisor) starved() {
	if g := s.current; g != nil && !s.ending && s.size == 0 && g.plan.MaxWorkers > 0 {
		s.scale.needs(time.Now(), 1)
		s.setSize(g, 1, "the first request", slog.LevelDebug)
	}
}

// mostlyWaiting: workers that use less than this part of a processor each wait
// for something else, and so would more of them.
const mostlyWaiting = 0.5

// mayGrow says that one more worker would help: a processor is free, or the
// workers there are do not use the ones they have.
func (s *scale) mayGrow(pids []int, now time.Time) bool {
	waiting := s.work.share(pids, now) < mostlyWaiting
	return s.cpu.free() || waiting
}

// judge returns the size to have from now on, and why. starting workers are part
// of size already; free is what mayGrow says.
func (s *scale) judge(now time.Time, size, starting int, free bool, plan *Plan, l load) (int, string) {
	s.needs(now, (l.peak+plan.Sizes.Threads-1)/plan.Sizes.Threads)
	switch {
	case l.oldest >= pressing && starting == 0 && free && size < plan.MaxWorkers:
		s.needs(now, size+1)
		return size + 1, fmt.Sprintf("%d requests wait, the oldest for %v", l.queued+l.ahead, l.oldest.Round(time.Millisecond))
	case size > plan.MinWorkers && now.Sub(s.last(now, size-1)) >= plan.WorkerIdleTimeout:
		return size - 1, fmt.Sprintf("%d were enough for %v", size-1, plan.WorkerIdleTimeout)
	}
	return size, ""
}

// needs notes that n workers are needed now.
func (s *scale) needs(now time.Time, n int) {
	for len(s.needed) < n {
		s.needed = append(s.needed, now)
	}
	for i := range n {
		s.needed[i] = now
	}
}

// last is when more than n workers were needed last; if never, it is now, from
// when on it counts.
func (s *scale) last(now time.Time, n int) time.Time {
	for len(s.needed) <= n {
		s.needed = append(s.needed, now)
	}
	return s.needed[n]
}
