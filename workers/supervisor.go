package workers

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"gowsgi/embed/channel"
	"gowsgi/wsgi"
)

// supervisor owns the processes of a pool: one goroutine, one select.
type supervisor struct {
	pool    *Pool
	zygote  *zygote
	workers map[uint32]*worker
	nextID  uint32
	wanted  int  // workers to have
	booted  bool // the zygote forks
	loaded  bool // a worker has served: the application can be imported
	served  bool // the pool has been complete once
	ending  bool // told to leave or to die
	started chan<- error
	failure error // why the pool could not start
	outputs sync.WaitGroup

	youngDeaths backoff
	respawn     <-chan time.Time
	zygoteAgain <-chan time.Time
	oom         oomCounter

	statuses chan *worker // a worker whose status has changed
	emptied  chan *worker // a retiring worker that has run its last call
}

func newSupervisor(p *Pool) *supervisor {
	s := &supervisor{
		pool:     p,
		workers:  make(map[uint32]*worker),
		wanted:   p.options.Workers,
		statuses: make(chan *worker),
		emptied:  make(chan *worker, 1024),
		oom:      oomCounter{path: "/proc/vmstat"},
	}
	s.oom.struck() // what happened before us is not ours
	return s
}

// tellEmptied is called with the dispatcher's mutex held: the channel has room
// for every worker there can be, so it never waits.
func (s *supervisor) tellEmptied(w *worker) { s.emptied <- w }

// run is the supervisor's goroutine. It stays on one thread for good, because
// the kernel ties the zygote's life to the thread that started it.
func (s *supervisor) run(started chan<- error) {
	runtime.LockOSThread()
	defer close(s.pool.finished)
	s.started = started
	if err := s.startZygote(); err != nil {
		s.fail(err)
	}
	for !s.ending || len(s.workers) > 0 {
		s.step()
	}
	s.endZygote()
	s.drainOutputs()
	if s.started != nil {
		if s.failure == nil {
			s.failure = wsgi.ErrStopped // killed before it could serve
		}
		s.started <- s.failure
	}
}

// drainOutputs waits until all that the processes have written is passed on:
// the reason why they ended is among it. A program that the application has
// started may keep the pipe open, so not for ever.
func (s *supervisor) drainOutputs() {
	drained := make(chan struct{})
	go func() {
		s.outputs.Wait()
		close(drained)
	}()
	select {
	case <-drained:
	case <-time.After(outputPatience):
	}
}

// outputPatience is how long lines of processes that have ended are waited for.
const outputPatience = time.Second

// step waits for one thing to happen and deals with it.
func (s *supervisor) step() {
	select {
	case r, ok := <-s.reports():
		if ok {
			s.heard(r)
		} else {
			s.zygoteLost()
		}
	case w := <-s.statuses:
		s.statusChanged(w)
	case w := <-s.emptied:
		if s.workers[w.id] == w { // it has not died meanwhile
			w.segment.Leave()
		}
	case <-s.respawn:
		s.respawn = nil
		s.fill()
	case <-s.zygoteAgain:
		s.zygoteAgain = nil
		s.reviveZygote()
	case c := <-s.pool.commands:
		s.obey(c)
	}
}

// reports is nil, and so never ready, while there is no zygote.
func (s *supervisor) reports() <-chan channel.Report {
	if s.zygote == nil {
		return nil
	}
	return s.zygote.reports
}

// output passes on what a process writes to r, in a goroutine, and closes r.
func (s *supervisor) output(r io.ReadCloser) {
	s.outputs.Go(func() {
		copyLines(r, s.pool.options.Output)
		_ = r.Close() // only read
	})
}

func (s *supervisor) startZygote() error {
	z, err := startZygote(s.pool.options.Zygote, s.output)
	if err != nil {
		return err
	}
	s.zygote, s.booted = z, false
	s.pool.zygotePID.Store(int64(z.process.Process.Pid))
	return nil
}

// fail ends the attempt to start: everything goes, then Start returns err.
func (s *supervisor) fail(err error) {
	if s.failure == nil {
		s.failure = err
	}
	s.ending = true
	if s.zygote != nil {
		s.zygote.kill()
	}
}

func (s *supervisor) heard(r channel.Report) {
	switch r.Kind {
	case channel.Booted:
		s.booted = true
		s.fill()
	case channel.Forked:
		s.forked(r)
	case channel.ForkFailed:
		s.forkFailed(r)
	case channel.Exited:
		if w := s.workers[r.Worker]; w != nil {
			s.workerExited(w, r)
		}
	}
}

// fill orders as many workers as are missing. The very first one goes alone:
// an application that cannot be imported then says so once, not once for each
// worker.
func (s *supervisor) fill() {
	if s.ending || !s.booted || s.respawn != nil {
		return
	}
	wanted := s.wanted
	if !s.loaded {
		wanted = 1
	}
	for s.present() < wanted {
		if err := s.fork(); err != nil {
			s.pool.options.Log.Error("cannot start a worker", "error", err)
			s.retryLater(backoffMost)
			return
		}
	}
}

// present counts the workers that serve or will.
func (s *supervisor) present() int {
	n := 0
	for _, w := range s.workers {
		if w.state != leaving {
			n++
		}
	}
	return n
}

func (s *supervisor) fork() error {
	s.nextID++
	w, err := s.zygote.fork(s.nextID, s.pool.options.Sizes, s.output)
	if err != nil {
		return err
	}
	w.started = time.Now()
	s.workers[w.id] = w
	go s.listen(w)
	return nil
}

// listen is the goroutine that hears a worker's bell.
func (s *supervisor) listen(w *worker) {
	defer w.letGo()
	last := channel.Booting
	err := w.segment.Listen(func(slot int) {
		if last == channel.Booting {
			if last = w.segment.Status(); last != channel.Booting {
				s.tellStatus(w)
			}
		}
		w.rung(slot)
	})
	if !errors.Is(err, channel.ErrClosed) {
		s.pool.options.Log.Error("cannot hear a worker any more", "worker", w.id, "error", err)
	}
}

func (s *supervisor) tellStatus(w *worker) {
	select {
	case s.statuses <- w:
	case <-s.pool.finished:
	}
}

// forked: a worker may be ready before the zygote has told that it exists.
func (s *supervisor) forked(r channel.Report) {
	w := s.workers[r.Worker]
	if w == nil {
		return
	}
	w.pid = r.PID
	if w.state == forking {
		w.state = booting
	}
	if w.segment.Status() == channel.Serving {
		s.statusChanged(w)
	}
}

func (s *supervisor) statusChanged(w *worker) {
	if s.workers[w.id] != w || w.state != booting {
		return // it has died meanwhile, was told to leave, or was heard of
	}
	w.state = serving
	s.pool.options.Log.Info("worker serves", "worker", w.id, "pid", w.pid, "after", time.Since(w.started).Round(100*time.Microsecond))
	s.pool.dispatcher.join(w)
	if !s.loaded {
		s.loaded = true
		s.fill()
	}
	if s.started != nil && s.serving() >= s.wanted {
		s.started <- nil
		s.started = nil
		s.served = true
	}
}

func (s *supervisor) serving() int {
	n := 0
	for _, w := range s.workers {
		if w.state == serving {
			n++
		}
	}
	return n
}

func (s *supervisor) forkFailed(r channel.Report) {
	w := s.workers[r.Worker]
	if w == nil {
		return
	}
	_, _ = s.forget(w, "the fork failed")
	err := fmt.Errorf("fork: %w", unix.Errno(r.Status))
	s.pool.options.Log.Error("cannot start a worker", "error", err)
	if !s.served {
		s.fail(&BootError{Code: 1, Reason: err.Error()})
		return
	}
	s.retryLater(backoffMost)
}

func (s *supervisor) workerExited(w *worker, r channel.Report) {
	expected := w.state == leaving || w.killed || s.ending
	reason := reasonOf(r, r.Signal == unix.SIGKILL && s.oom.struck())
	useful, ran := s.forget(w, reason)
	log := s.pool.options.Log
	switch {
	case expected:
		log.Debug("worker has left", "worker", w.id, "pid", r.PID, "reason", reason)
	case !s.served:
		s.fail(&BootError{Code: bootCode(r), Reason: fmt.Sprintf("a worker ended before it could serve: %s", reason)})
		return
	default:
		attrs := []any{"worker", w.id, "pid", r.PID, "reason", reason, "age", time.Since(w.started).Round(time.Millisecond)}
		log.Error("worker died", append(attrs, describeRunning(ran)...)...)
	}
	if expected || useful {
		s.youngDeaths.succeeded()
		s.fill()
		return
	}
	limit := backoffMost
	if w.state == serving {
		limit = crashMost
	}
	s.retryLater(limit)
}

// bootCode is the exit code that tells the operator why nothing could start.
func bootCode(r channel.Report) int {
	if r.Signal != 0 || r.Status == 0 {
		return 1
	}
	return r.Status
}

// oldEnough: a worker that lived this long is not part of a boot loop.
const oldEnough = time.Second

// forget takes a dead worker off everything. It reports whether the worker was
// of use, having answered something or lived for a while, and what it was running.
func (s *supervisor) forget(w *worker, reason string) (useful bool, ran []casualty) {
	delete(s.workers, w.id)
	served, ran := s.pool.dispatcher.lose(w, &wsgi.LostError{Worker: w.id, Reason: reason})
	return served > 0 || time.Since(w.started) >= oldEnough, ran
}

// retryLater fills the pool again after a pause that grows with each failure.
func (s *supervisor) retryLater(limit time.Duration) {
	wait := s.youngDeaths.failed(limit)
	if wait == 0 {
		s.fill()
		return
	}
	if s.respawn == nil {
		s.pool.options.Log.Warn("workers keep dying young; waiting before the next", "wait", wait, "failures", s.youngDeaths.failures)
		s.respawn = time.After(wait)
	}
}

// zygoteLost is called when the control socket has ended: the process is gone
// or soon will be, and its workers die with it.
func (s *supervisor) zygoteLost() {
	err := <-s.zygote.exited
	_ = s.zygote.control.Close() // only frees the descriptor
	s.zygote, s.booted = nil, false
	for _, w := range s.workers {
		_, _ = s.forget(w, "its zygote died")
	}
	switch {
	case s.ending:
	case !s.served:
		s.fail(&BootError{Code: max(exitCode(err), 1), Reason: fmt.Sprintf("the zygote ended: %v", err)})
	default:
		wait := s.youngDeaths.failed(backoffMost)
		s.pool.options.Log.Error("zygote died, its workers with it; starting another", "error", err, "wait", wait)
		s.zygoteAgain = time.After(wait)
	}
}

func (s *supervisor) reviveZygote() {
	if s.ending {
		return
	}
	if err := s.startZygote(); err != nil {
		wait := max(s.youngDeaths.failed(backoffMost), backoffFirst)
		s.pool.options.Log.Error("cannot start a zygote", "error", err, "wait", wait)
		s.zygoteAgain = time.After(wait)
	}
}

func (s *supervisor) obey(c command) {
	switch c.kind {
	case commandPIDs:
		var pids []int
		for _, w := range s.workers {
			if w.state == serving {
				pids = append(pids, w.pid)
			}
		}
		c.pids <- pids
	case commandLeave:
		s.ending = true
		for _, w := range s.workers {
			s.retire(w)
		}
	case commandKill:
		s.ending = true
		if s.zygote != nil {
			s.zygote.kill() // its workers get SIGKILL from the kernel
		}
	}
}

// retire tells a worker to finish and leave.
func (s *supervisor) retire(w *worker) {
	switch w.state {
	case serving:
		w.state = leaving
		s.pool.dispatcher.retire(w)
	case forking, booting: // importing; there is nothing to finish
		w.state, w.killed = leaving, true
		s.zygote.signal(w, unix.SIGKILL)
	}
}

// endZygote lets the zygote go, by closing its control socket.
func (s *supervisor) endZygote() {
	if s.zygote == nil {
		return
	}
	_ = s.zygote.control.Close()
	select {
	case <-s.zygote.exited:
	case <-time.After(zygotePatience):
		s.zygote.kill()
		<-s.zygote.exited
	}
}
