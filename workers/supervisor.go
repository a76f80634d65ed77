package workers

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"gowsgi/cmd/failure"
	"gowsgi/embed/channel"
	"gowsgi/wsgi"
)

// supervisor owns the processes of a pool. Everything it has belongs to one
// goroutine, which runs what others post to its mailbox.
//
// Workers come in generations: one zygote and what it has forked. The current
// generation serves; a reload brings up the next beside it, and when that is
// ready the current one becomes old: it runs its last requests and goes.
type supervisor struct {
	pool    *Pool
	posts   *mailbox
	current *generation   // nil until the first is ready
	next    *generation   // being brought up
	spare   *generation   // its zygote has booted, or will have; see prepare
	old     []*generation // finishing their last requests
	nextID  uint32        // of workers; never used twice
	size    int           // workers to have now
	ending  bool          // told to leave or to die
	ended   func()        // tells why the pool could not start; nil if it did
	outputs sync.WaitGroup
	oom     oomCounter
	scale   scale
}

func newSupervisor(p *Pool) *supervisor {
	s := &supervisor{
		pool:  p,
		posts: newMailbox(),
		oom:   oomCounter{path: "/proc/vmstat"},
	}
	s.oom.struck() // what happened before us is not ours
	return s
}

// run is the supervisor's goroutine. It stays on one thread for good, because
// the kernel ties the zygotes' lives to the thread that started them.
func (s *supervisor) run(plan Plan, started func(error)) {
	runtime.LockOSThread()
	defer close(s.pool.finished)
	s.bringUp(plan, started)
	s.after(watchEvery, s.look)
	for !s.ending || s.generations() > 0 {
		for _, happened := range s.posts.take() {
			happened()
		}
	}
	s.drainOutputs()
	if s.ended != nil {
		s.ended()
	}
}

// after runs what in the supervisor's goroutine, some time from now.
func (s *supervisor) after(wait time.Duration, what func()) *time.Timer {
	return time.AfterFunc(wait, func() { s.posts.post(what) })
}

// watchEvery is how often the supervisor looks at the pool of itself.
const watchEvery = 100 * time.Millisecond

// look is done every now and then: sizes and memory are not told, but seen.
func (s *supervisor) look() {
	if s.ending {
		return
	}
	if g := s.current; g != nil {
		s.weigh(g)
		s.resizeByLoad(g)
	}
	for _, g := range s.old {
		s.weigh(g)
	}
	s.after(watchEvery, s.look)
}

// generations counts those whose processes are not all gone.
func (s *supervisor) generations() int {
	n := 0
	s.each(func(g *generation) {
		if g.alive() {
			n++
		}
	})
	return n
}

// each calls what for every generation there is.
func (s *supervisor) each(what func(*generation)) {
	for _, g := range append([]*generation{s.current, s.next, s.spare}, s.old...) {
		if g != nil {
			what(g)
		}
	}
}

// output passes on what a process writes to r, in a goroutine, and closes r.
func (s *supervisor) output(r io.ReadCloser) {
	s.outputs.Go(func() {
		copyLines(r, s.pool.options.Output)
		_ = r.Close() // only read
	})
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

// leave lets every worker finish what it runs.
func (s *supervisor) leave() {
	s.end(func(g *generation) { g.leave("the server stops") })
}

// kill ends every process at once; the kernel takes the workers along with
// their zygote.
func (s *supervisor) kill() {
	s.end(func(g *generation) { g.kill() })
}

func (s *supervisor) end(how func(*generation)) {
	s.ending = true
	if s.next != nil {
		s.bringUpFailed(wsgi.ErrStopped)
	}
	s.each(how)
}

// resize asks for some workers more or less, as SIGTTIN and SIGTTOU do. Where the
// size follows the load it stays within its limits.
func (s *supervisor) resize(by int) {
	g := s.current
	if g == nil || s.ending {
		return
	}
	size := min(max(s.size+by, 1), mostWorkers)
	if g.plan.resizable() {
		size = g.plan.clamp(s.size + by)
	}
	s.setSize(g, size, "asked by signal", slog.LevelInfo)
}

// setSize makes the pool larger or smaller.
func (s *supervisor) setSize(g *generation, size int, why string, level slog.Level) {
	if size == s.size {
		return
	}
	s.pool.options.Log.Log(context.Background(), level, "number of workers changes", "from", s.size, "to", size, "reason", why)
	by := size - s.size
	s.size = size
	g.fill()
	g.shrink(why)
	if s.next != nil {
		s.next.resize(by)
	}
}

// mostWorkers bounds what signals can ask for, as the command line is bound.
const mostWorkers = 1024

// pids are the process ids of the workers that serve.
func (s *supervisor) pids() []int {
	var pids []int
	if s.current != nil {
		for _, w := range s.current.workers {
			if w.state == serving {
				pids = append(pids, w.pid)
			}
		}
	}
	return pids
}

// expired: requests on w have taken too long and were answered for, or what they
// run after the response has. Their threads cannot be stopped, so the whole
// process is replaced; what else it runs is let finish.
func (s *supervisor) expired(w *worker, stuck []casualty) {
	g := w.generation
	if g.workers[w.id] != w || w.state != serving && w.state != leaving {
		return
	}
	why := channel.WhyAfter
	for _, c := range stuck {
		code, what := failure.AfterwardsTooLong, "after_response has taken too long; its worker is replaced (--after-response-timeout)"
		if !c.after {
			code, what, why = failure.RequestTooLong, "a request has taken too long; its worker is replaced (--timeout)", channel.WhyRequest
		}
		attrs := append([]any{failure.Key, code, "worker", w.id, "pid", w.pid}, c.describe()...)
		s.pool.options.Log.Error(what, attrs...)
	}
	g.showStacks(w, why)
	if w.state == serving {
		g.retire(w, "a request has taken too long")
		g.fill()
	}
}

// deaf: w does not begin its requests. It is stopped, or something in it holds
// the GIL; others take the requests.
func (s *supervisor) deaf(w *worker) {
	g := w.generation
	if g.workers[w.id] != w || w.state != serving {
		return
	}
	s.pool.options.Log.Error("a worker does not begin the requests it was given; it is replaced (--timeout)", failure.Key, failure.WorkerDeaf, "worker", w.id, "pid", w.pid)
	w.deaf = true
	g.showStacks(w, channel.WhyRequest)
	g.retire(w, "it does not begin its requests")
	g.fill()
}

// stuck: w is leaving and has nothing left but requests that took too long.
func (s *supervisor) stuck(w *worker) {
	w.generation.killAfterStacks(w)
}

// worn: w has begun as many requests as it may.
func (s *supervisor) worn(w *worker) {
	w.generation.replace(w, fmt.Sprintf("it has served %d requests", w.limit))
}

// emptied: w is leaving and has nothing left to run.
func (s *supervisor) emptied(w *worker) {
	if w.generation.workers[w.id] != w {
		return // it has died meanwhile
	}
	w.segment.Leave()
	if w.deaf { // it may not hear that either
		s.after(deafPatience, func() { w.generation.killAfterStacks(w) })
	}
}

// deafPatience is how long a worker that did not begin its requests may take to
// leave when it is told to.
const deafPatience = 2 * time.Second
