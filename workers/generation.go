package workers

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"gowsgi/cmd/failure"
	"gowsgi/embed/channel"
	"gowsgi/wsgi"
)

// generation is one zygote and the workers it has forked: one state of the
// application's code. It belongs to the supervisor's goroutine.
type generation struct {
	supervisor *supervisor
	plan       Plan
	first      int     // workers to have before it is ready
	zygote     *zygote // nil when it is gone
	workers    map[uint32]*worker
	dead       []uint32 // workers that died and have no successor yet
	booted     bool     // the zygote forks
	loaded     bool     // a worker has served: the application can be imported
	leaving    bool     // old, failed, or the server stops: no more workers
	held       bool     // a spare: it has to wait for its plan to be asked for
	late       string   // what was killed for not being ready in time
	ready      func(error)

	youngDeaths backoff
	paused      bool // the next worker waits for a while, see retryLater
}

// start starts the zygote. The plan's startup timeout runs until it has booted.
func (g *generation) start() error {
	z, err := startZygote(g.plan.Zygote, g.supervisor.output)
	if err != nil {
		return err
	}
	g.zygote, g.booted = z, false
	g.supervisor.pool.owned.add(z.pid)
	go z.listen(
		func(r channel.Report) { g.supervisor.posts.post(func() { g.heard(z, r) }) },
		func(err error) { g.supervisor.posts.post(func() { g.zygoteLost(z, err) }) },
	)
	g.bound("the zygote", func() bool { return g.zygote == z && !g.booted }, func() {
		z.late = true
		z.showStacks()
		g.supervisor.after(stacksPatience, z.kill)
	})
	return nil
}

// bound kills what is not ready after the startup timeout. The timer is nil
// without one.
func (g *generation) bound(what string, late func() bool, kill func()) *time.Timer {
	limit := g.plan.StartupTimeout
	if limit == 0 {
		return nil
	}
	return g.supervisor.after(limit, func() {
		if !late() {
			return
		}
		g.late = fmt.Sprintf("%s was not ready within %v (--startup-timeout)", what, limit)
		g.supervisor.pool.options.Log.Error(g.late+"; killing it", failure.Key, failure.NotReadyInTime)
		kill()
	})
}

// heard deals with what the zygote tells. One that is to be killed for being late
// gets no orders any more: its workers would be given requests, and die with it.
func (g *generation) heard(z *zygote, r channel.Report) {
	if g.zygote != z || z.late {
		return
	}
	switch r.Kind {
	case channel.Booted:
		g.booted, z.booted = true, time.Now()
		if g.held {
			g.supervisor.pool.options.Log.Debug("a zygote has booted ahead", "pid", z.pid)
		}
		g.fill()
		g.supervisor.readyPerhaps(g)
	case channel.Forked:
		g.forked(r)
	case channel.ForkFailed:
		g.forkFailed(r)
	case channel.Exited:
		if w := g.workers[r.Worker]; w != nil {
			g.workerExited(w, r)
		}
	}
}

// wanted is how many workers are to be there: as many as the pool's size and
// successors of those that are to be replaced. Until one of them has served,
// it goes alone: an application that cannot be imported then says so once.
func (g *generation) wanted() int {
	size := g.supervisor.size
	if g != g.supervisor.current {
		size = g.first
	}
	if !g.loaded {
		return min(size, 1)
	}
	outgoing := 0
	for _, w := range g.workers {
		if w.state == serving && w.outgoing != "" {
			outgoing++
		}
	}
	if !g.plan.Preload {
		outgoing = min(outgoing, max(1, size/importShare))
	}
	return size + outgoing
}

// importShare: at most this part of the workers is replaced at a time when each
// has to import the application for itself.
const importShare = 4

// fill orders as many workers as are missing.
func (g *generation) fill() {
	if g.leaving || g.held || !g.booted || g.paused {
		return
	}
	for g.count(func(w *worker) bool { return w.state != leaving }) < g.wanted() {
		if err := g.fork(); err != nil {
			g.supervisor.pool.options.Log.Error("cannot start a worker", failure.Key, failure.WorkerNotStarted, "error", err)
			// The broken pipe of a zygote that has ended says less than zygoteLost will.
			if errors.Is(err, unix.EPIPE) || !g.failed(&BootError{Code: 1, Reason: err.Error(), Failure: failure.WorkerNotStarted}) {
				g.retryLater(backoffMost)
			}
			return
		}
	}
	g.dead = nil // all have successors, or the pool has become smaller
}

func (g *generation) count(is func(*worker) bool) int {
	n := 0
	for _, w := range g.workers {
		if is(w) {
			n++
		}
	}
	return n
}

func (g *generation) serving() int {
	return g.count(func(w *worker) bool { return w.state == serving })
}

func (g *generation) fork() error {
	s := g.supervisor
	s.nextID++
	w, err := g.zygote.fork(s.nextID, g.plan.Sizes, s.output)
	if err != nil {
		return err
	}
	w.generation = g
	w.started = time.Now()
	w.limit = g.plan.requests()
	if len(g.dead) > 0 {
		w.replaces, g.dead = g.dead[0], g.dead[1:]
	}
	g.workers[w.id] = w
	go g.listen(w)
	go g.pass(w)
	w.keep(g.bound(fmt.Sprintf("worker %d", w.id),
		func() bool { return g.workers[w.id] == w && (w.state == forking || w.state == booting) },
		func() { g.killLate(w) }))
	return nil
}

// killLate kills a worker that was not ready in time. If it was not even forked
// it is the zygote that does not do its work: it is stopped, or a fork hook of the
// application waits for ever. Nobody else could fork or kill a worker, or tell that
// one has ended, and so the zygote is killed, and its workers with it.
func (g *generation) killLate(w *worker) {
	w.late = true
	if w.state == forking {
		g.supervisor.pool.options.Log.Error("the zygote does not fork; killing it, and its workers with it", failure.Key, failure.ZygoteStuck, "pid", g.zygote.pid)
		g.zygote.kill()
		return
	}
	g.showStacks(w, channel.WhyStart)
	g.killAfterStacks(w)
}

// listen is the goroutine that hears a worker's bell.
func (g *generation) listen(w *worker) {
	defer w.letGo()
	last := channel.Booting
	err := w.segment.Listen(func(slot int) {
		if last == channel.Booting {
			if last = w.segment.Status(); last != channel.Booting {
				g.supervisor.posts.post(func() { g.statusChanged(w) })
			}
		}
		w.rung(slot)
	})
	if !errors.Is(err, channel.ErrClosed) {
		g.supervisor.pool.options.Log.Error("cannot hear a worker any more; killing it", failure.Key, failure.ChannelBroken, "worker", w.id, "error", err)
		g.supervisor.posts.post(func() { g.signal(w, unix.SIGKILL) })
	}
}

// pass is the goroutine that gives a worker the body files it asks for, and takes
// those it has for answers.
func (g *generation) pass(w *worker) {
	pool := g.supervisor.pool
	err := w.segment.Pass(passer{&pool.dispatcher, w})
	if !errors.Is(err, channel.ErrClosed) {
		pool.options.Log.Error("cannot pass files to a worker any more", failure.Key, failure.ChannelBroken, "worker", w.id, "error", err)
	}
}

// signal sends a worker a signal; a zygote that is gone took the worker along.
func (g *generation) signal(w *worker, sig unix.Signal) {
	if g.zygote != nil {
		g.zygote.signal(w, sig)
	}
}

// forked: a worker may be ready before the zygote has told that it exists.
func (g *generation) forked(r channel.Report) {
	w := g.workers[r.Worker]
	if w == nil {
		return
	}
	w.pid = r.PID
	if w.state == forking {
		w.state = booting
	}
	if w.segment.Status() == channel.Serving {
		g.statusChanged(w)
	}
}

// statusChanged: a worker has the application and waits for requests. Those of
// a generation that is brought up get none before all of it is ready.
func (g *generation) statusChanged(w *worker) {
	if g.workers[w.id] != w || w.state != booting || w.late {
		return // it has died meanwhile, was told to leave, was heard of, or is about to be killed
	}
	w.state = serving
	s := g.supervisor
	attrs := []any{"worker", w.id, "pid", w.pid, "after", time.Since(w.started).Round(100 * time.Microsecond)}
	if w.replaces != 0 {
		attrs = append(attrs, "replaces", w.replaces)
	}
	s.pool.options.Log.Info("worker serves", attrs...)
	if lifetime := g.plan.lifetime(); lifetime > 0 {
		w.keep(s.after(lifetime, func() { g.replace(w, fmt.Sprintf("it has lived for %v", lifetime)) }))
	}
	g.weighFirst(w)
	if g == s.current {
		s.pool.dispatcher.join(w)
	}
	if !g.loaded {
		g.loaded = true
		g.fill()
	}
	g.retireOutgoing()
	s.readyPerhaps(g)
	if g == s.current { // the pool may have become smaller while it booted
		g.shrink("fewer are wanted by now")
	}
}

// complete says that everything of a generation that was ordered is there.
func (g *generation) complete() bool {
	return g.booted && g.serving() >= g.first
}

func (g *generation) forkFailed(r channel.Report) {
	w := g.workers[r.Worker]
	if w == nil {
		return
	}
	g.forget(w, "the fork failed")
	if g.letGoIfEmpty() {
		return
	}
	err := fmt.Errorf("fork: %w", unix.Errno(r.Status))
	g.supervisor.pool.options.Log.Error("cannot start a worker", failure.Key, failure.WorkerNotStarted, "error", err)
	if g.failed(&BootError{Code: 1, Reason: err.Error(), Failure: failure.WorkerNotStarted}) {
		return
	}
	g.retryLater(backoffMost)
}

func (g *generation) workerExited(w *worker, r channel.Report) {
	expected := w.state == leaving || w.killed || g.leaving
	oom := r.Signal == unix.SIGKILL && g.supervisor.oom.struck()
	reason := reasonOf(r, oom)
	useful, ran := g.forget(w, reason)
	log := g.supervisor.pool.options.Log
	switch {
	case expected:
		log.Debug("worker has left", "worker", w.id, "pid", r.PID, "reason", reason)
	case g.failed(&BootError{Code: bootCode(r), Reason: fmt.Sprintf("a worker ended before it could serve: %s", reason)}):
		return
	default:
		attrs := []any{failure.Key, deathCode(oom), "worker", w.id, "pid", r.PID, "reason", reason, "age", time.Since(w.started).Round(time.Millisecond)}
		g.dead = append(g.dead, w.id)
		log.Error("worker died", append(attrs, describeRunning(ran)...)...)
	}
	if g.letGoIfEmpty() {
		return
	}
	if expected || useful {
		g.youngDeaths.succeeded()
		g.fill()
		return
	}
	limit := backoffMost
	if w.state == serving {
		limit = crashMost
	}
	g.retryLater(limit)
}

// failed ends a generation that is being brought up; false if it is not.
func (g *generation) failed(err error) bool {
	if g.supervisor.next != g {
		return false
	}
	if g.late != "" {
		err = &BootError{Code: 1, Reason: g.late, Failure: failure.NotReadyInTime}
	}
	g.supervisor.bringUpFailed(err)
	return true
}

// bootCode is the exit code that tells the operator why nothing could start.
func bootCode(r channel.Report) int {
	if r.Signal != 0 || r.Status == 0 {
		return 1
	}
	return r.Status
}

// oldEnough: a worker, or a zygote that has booted, that lived this long is not
// part of a boot loop.
const oldEnough = time.Second

// forget takes a dead worker off everything. It reports whether the worker was
// of use, having answered something or lived for a while, and what it was
// running.
func (g *generation) forget(w *worker, reason string) (useful bool, ran []casualty) {
	delete(g.workers, w.id)
	w.stopTimers()
	served, ran := g.supervisor.pool.dispatcher.lose(w, &wsgi.LostError{Worker: w.id, Reason: reason, Overdue: w.killed})
	return served > 0 || time.Since(w.started) >= oldEnough, ran
}

// retryLater fills the generation again after a pause that grows with each
// failure.
func (g *generation) retryLater(limit time.Duration) {
	wait := g.youngDeaths.failed(limit)
	if wait == 0 {
		g.fill()
		return
	}
	if g.paused {
		return
	}
	g.supervisor.pool.options.Log.Warn("workers keep dying young; waiting before the next", failure.Key, failure.WorkersDieYoung, "wait", wait, "failures", g.youngDeaths.failures)
	g.paused = true
	g.supervisor.after(wait, func() {
		g.paused = false
		g.fill()
	})
}

// zygoteLost is called when the process is gone; its workers die with it.
func (g *generation) zygoteLost(z *zygote, err error) {
	s := g.supervisor
	s.pool.owned.remove(z.pid)
	useful := g.booted && time.Since(z.booted) >= oldEnough
	g.zygote, g.booted = nil, false
	if g == s.spare {
		s.spare = nil // nobody waits for it
		return
	}
	for _, w := range g.workers {
		served, _ := g.forget(w, "its zygote died")
		useful = useful || served
	}
	if useful {
		g.youngDeaths.succeeded()
	}
	code := zygoteCode(exitCode(err))
	if g.leaving || g.failed(&BootError{Code: max(exitCode(err), 1), Reason: fmt.Sprintf("the zygote ended: %v", err), Failure: code}) {
		s.gone(g)
		return
	}
	wait := g.youngDeaths.failed(backoffMost)
	s.pool.options.Log.Error("zygote died, its workers with it; starting another", failure.Key, code, "error", err, "wait", wait)
	s.after(wait, g.revive)
}

// revive starts the zygote of the current generation again.
func (g *generation) revive() {
	if g.leaving {
		return
	}
	if err := g.start(); err != nil {
		wait := max(g.youngDeaths.failed(backoffMost), backoffFirst)
		g.supervisor.pool.options.Log.Error("cannot start a zygote", failure.Key, failure.WorkerNotStarted, "error", err, "wait", wait)
		g.supervisor.after(wait, g.revive)
	}
}

// replace has a worker make place for a successor, once that serves.
func (g *generation) replace(w *worker, why string) {
	if g.workers[w.id] != w || w.state != serving || w.outgoing != "" {
		return
	}
	g.supervisor.pool.options.Log.Info("worker will be replaced", "worker", w.id, "pid", w.pid, "reason", why)
	w.outgoing = why
	g.fill()
	g.retireOutgoing()
}

// retireOutgoing retires workers whose successors serve, the oldest first.
func (g *generation) retireOutgoing() {
	if g != g.supervisor.current {
		return
	}
	for g.serving() > g.supervisor.size {
		oldest := g.foremost(func(w, than *worker) bool { return w.id < than.id },
			func(w *worker) bool { return w.outgoing != "" })
		if oldest == nil {
			return
		}
		g.retire(oldest, oldest.outgoing)
		g.fill() // for the next that waits for a successor
	}
}

// shrink retires the youngest workers that are more than wanted.
func (g *generation) shrink(why string) {
	for g.serving() > g.supervisor.size {
		youngest := g.foremost(func(w, than *worker) bool { return w.id > than.id },
			func(*worker) bool { return true })
		g.retire(youngest, why)
	}
}

// foremost is the one that comes before all others of the workers that serve and
// are meant; nil if none is.
func (g *generation) foremost(before func(w, than *worker) bool, meant func(*worker) bool) *worker {
	var first *worker
	for _, w := range g.workers {
		if w.state == serving && meant(w) && (first == nil || before(w, first)) {
			first = w
		}
	}
	return first
}

// retire tells a worker to finish and leave, and kills it if it does not.
func (g *generation) retire(w *worker, why string) {
	switch w.state {
	case serving:
		w.state = leaving
		g.supervisor.pool.dispatcher.retire(w)
		g.bury(w, why)
	case forking, booting: // importing; there is nothing to finish
		w.state, w.killed = leaving, true
		g.signal(w, unix.SIGKILL)
	}
}

// bury kills a worker that has not left by itself in time. When the whole
// server stops, its own clock counts.
func (g *generation) bury(w *worker, why string) {
	s := g.supervisor
	if s.ending {
		return
	}
	w.keep(s.after(max(g.plan.GracefulTimeout, leastGrace), func() {
		if g.workers[w.id] != w || s.ending {
			return
		}
		if occupied := s.pool.options.Occupied; occupied != nil && occupied(w.pid) {
			g.bury(w, why)
			return
		}
		s.pool.options.Log.Warn("worker has not finished in time; killing it (--graceful-timeout)", failure.Key, failure.WorkerNotFinished, "worker", w.id, "pid", w.pid, "leaving_because", why)
		g.showStacks(w, channel.WhyLeave)
		g.killAfterStacks(w)
	}))
}

// leastGrace is what Python has to shut down even if requests have no time to
// finish.
const leastGrace = 100 * time.Millisecond

// showStacks has a worker write down what its Python threads do.
func (g *generation) showStacks(w *worker, why channel.Why) {
	if g.zygote != nil {
		g.zygote.dumpStacks(w, why)
	}
	w.shown = time.Now()
}

// killAfterStacks kills a worker once it has had time to write its stacks.
func (g *generation) killAfterStacks(w *worker) {
	w.killed = w.state != booting && w.state != forking
	g.supervisor.after(time.Until(w.shown.Add(stacksPatience)), func() {
		if g.workers[w.id] == w {
			g.signal(w, unix.SIGKILL)
		}
	})
}

// stacksPatience is how long a worker may take to write its stacks. It does so
// in a signal handler, once the kernel has given it a processor.
const stacksPatience = 500 * time.Millisecond

// leave lets all workers finish, and then the zygote.
func (g *generation) leave(why string) {
	g.leaving = true
	for _, w := range g.workers {
		g.retire(w, why)
	}
	g.letGoIfEmpty()
}

// kill ends the generation at once: its workers get SIGKILL from the kernel.
func (g *generation) kill() {
	g.leaving = true
	if g.zygote != nil {
		g.zygote.kill()
	}
}

// alive says that processes may be left.
func (g *generation) alive() bool { return g.zygote != nil || len(g.workers) > 0 }

// letGoIfEmpty ends the zygote of a generation that is to leave once its last
// worker has. The rest is zygoteLost's, unless the zygote died before.
func (g *generation) letGoIfEmpty() bool {
	if !g.leaving || len(g.workers) > 0 {
		return false
	}
	if z := g.zygote; z == nil {
		g.supervisor.gone(g)
	} else {
		_ = z.control.Close() // that it ends is how a zygote is told to go
		g.supervisor.after(zygotePatience, func() {
			if g.zygote == z {
				z.kill()
			}
		})
	}
	return true
}
