package workers

// How one generation follows another.

import (
	"errors"
	"reflect"
	"slices"

	"gowsgi/wsgi"
)

// ErrSuperseded is what a reload ends with when a later one has taken its place.
var ErrSuperseded = errors.New("workers: another reload has begun")

// bringUp starts a generation beside the current one, if there is one. ready is
// told once when it serves, or why it cannot; what was being brought up before
// is given up.
func (s *supervisor) bringUp(plan Plan, ready func(error)) {
	if s.ending {
		ready(wsgi.ErrStopped)
		return
	}
	if s.next != nil {
		s.bringUpFailed(ErrSuperseded)
	}
	if g := s.spare; g != nil && reflect.DeepEqual(g.plan, plan) {
		s.spare, s.next = nil, g
		g.first, g.ready, g.held = s.firstWorkers(&plan), ready, false
		g.fill()
		return
	}
	s.dropSpare()
	g := s.newGeneration(plan)
	g.first, g.ready = s.firstWorkers(&plan), ready
	s.next = g
	if err := g.start(); err != nil {
		s.bringUpFailed(err)
	}
}

func (s *supervisor) newGeneration(plan Plan) *generation {
	return &generation{supervisor: s, plan: plan, workers: make(map[uint32]*worker)}
}

// prepare boots a zygote for a generation to come, which takes it if its plan is
// the same. It forks nothing before.
func (s *supervisor) prepare(plan Plan) {
	s.dropSpare()
	if s.ending {
		return
	}
	g := s.newGeneration(plan)
	g.held = true
	if err := g.start(); err != nil {
		s.pool.options.Log.Debug("cannot start a zygote ahead", "error", err)
		return
	}
	s.spare = g
}

// dropSpare ends what was prepared and is not wanted any more.
func (s *supervisor) dropSpare() {
	g := s.spare
	if g == nil {
		return
	}
	s.spare, s.old = nil, append(s.old, g)
	g.kill()
}

// firstWorkers is how many workers a new generation has when it takes over: as
// many as the load has made of the one before. At least one then, which shows
// that the new code can be imported.
func (s *supervisor) firstWorkers(plan *Plan) int {
	if s.current == nil || !plan.resizable() {
		return plan.Workers
	}
	return max(1, plan.clamp(s.size))
}

// readyPerhaps hands over to a generation once it is complete.
func (s *supervisor) readyPerhaps(g *generation) {
	if s.next != g || !g.complete() {
		return
	}
	before := s.current
	s.next, s.current = nil, g
	s.size = g.first
	for _, w := range g.workers {
		if w.state == serving {
			s.pool.dispatcher.join(w)
		}
	}
	if before != nil {
		s.old = append(s.old, before)
		before.leave("a new generation serves")
	}
	g.shrink("fewer are wanted by now") // see resize
	s.scale = scale{}
	g.ready(nil)
}

// resize changes how many workers a generation takes over with, because the size
// of the pool has changed while it is brought up.
func (g *generation) resize(by int) {
	g.first = min(max(g.first+by, 1), mostWorkers)
	if g.plan.resizable() {
		g.first = max(g.plan.clamp(g.first), 1)
	}
	g.fill()
	g.supervisor.readyPerhaps(g)
}

// bringUpFailed gives up what was being brought up. Without a current generation
// there is nothing to go on with: the pool ends, and says why when all that its
// processes have written is out; a patient one waits for better code.
func (s *supervisor) bringUpFailed(err error) {
	g := s.next
	s.next = nil
	s.old = append(s.old, g)
	g.kill()
	if !g.alive() {
		s.gone(g)
	}
	if s.current == nil && !s.pool.options.Patient && !errors.Is(err, ErrSuperseded) {
		s.ending = true
		s.ended = func() { g.ready(err) }
		return
	}
	g.ready(err)
}

// gone forgets an old generation whose processes have all ended.
func (s *supervisor) gone(g *generation) {
	s.old = slices.DeleteFunc(s.old, func(o *generation) bool { return o == g })
}
