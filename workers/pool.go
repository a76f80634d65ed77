package workers

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"gowsgi/cmd/failure"
	"gowsgi/embed/channel"
	"gowsgi/environ"
	"gowsgi/wsgi"
)

// Options says what a pool is made of.
type Options struct {
	Plan   // of the first generation
	Limits // until Limit is called
	// Patient: a first generation that cannot start does not end the pool. Calls
	// then queue until a Reload has brought up one that can.
	Patient bool
	// Occupied, if not nil, says whether a worker, by process id, may take as long
	// as it likes to leave after a reload: a person is at work in it.
	Occupied func(pid int) bool
	Log      *slog.Logger
	// Output takes what zygote and workers write to standard error, in whole
	// lines. It is called from one goroutine for each process.
	Output func(lines []byte)
}

// Limits are those of single calls; 0: no limit.
type Limits struct {
	// Timeout is how long an application may work on a request without taking
	// a piece of its body or giving a piece of the answer, QueueTimeout how long
	// a request may wait to be begun, MaxQueue how many may wait without a place
	// in a worker, AfterResponseTimeout how long what it runs after the response
	// may take.
	Timeout              time.Duration
	QueueTimeout         time.Duration
	MaxQueue             int
	AfterResponseTimeout time.Duration
}

func (l Limits) ofCalls() limits {
	return limits{timeout: l.Timeout, afterTimeout: l.AfterResponseTimeout, queueTimeout: l.QueueTimeout, maxQueue: l.MaxQueue}
}

// Pool is a set of worker processes that serve one application. It implements
// wsgi.Backend.
type Pool struct {
	options    Options
	dispatcher dispatcher
	lookout    *lookout
	supervisor *supervisor
	finished   chan struct{} // closed when every process is gone
	owned      processes
}

// BootError is returned by Start when the application or the interpreter could
// not be started. The reason has gone to Output already.
type BootError struct {
	Code   int // exit code of the zygote or worker, see package embed
	Reason string
	// Failure is the code where more is known than the exit code tells; else 0.
	Failure failure.Code
}

func (e *BootError) Error() string { return "workers: cannot start: " + e.Reason }

// Start starts the zygote and all workers, and returns when they serve.
//
// If one of them cannot, nothing is left running and the error is a
// *BootError; a patient pool is returned together with that. ctx ends the
// attempt; it has no part in what comes after.
func Start(ctx context.Context, o Options) (*Pool, error) {
	p := &Pool{
		options:  o,
		finished: make(chan struct{}),
		lookout:  newLookout(),
	}
	p.supervisor = newSupervisor(p)
	p.dispatcher.emptied = p.tell((*supervisor).emptied)
	p.dispatcher.stuck = p.tell((*supervisor).stuck)
	p.dispatcher.deaf = p.tell((*supervisor).deaf)
	p.dispatcher.worn = p.tell((*supervisor).worn)
	p.dispatcher.expired = func(w *worker, calls []casualty) {
		p.supervisor.posts.post(func() { p.supervisor.expired(w, calls) })
	}
	p.dispatcher.starved = func() { p.supervisor.posts.post(p.supervisor.starved) }
	p.dispatcher.complain = p.complain
	p.dispatcher.overloaded = p.overloaded
	p.dispatcher.limits = o.ofCalls()
	go p.dispatcher.watch(p.finished)
	started := make(chan error, 1)
	go p.supervisor.run(o.Plan, func(err error) { started <- err })
	select {
	case err := <-started:
		if err != nil && !o.Patient {
			<-p.finished
			return nil, err
		}
		return p, err
	case <-ctx.Done():
		p.Kill()
		<-p.finished
		return nil, ctx.Err()
	}
}

// tell makes a callback of the dispatcher's, which must not wait, into a post to
// the supervisor.
func (p *Pool) tell(what func(*supervisor, *worker)) func(*worker) {
	s := p.supervisor
	return func(w *worker) { s.posts.post(func() { what(s, w) }) }
}

// BeginReload brings up a new generation by plan. When all of it serves, it takes
// over and the old one finishes its last requests; then the function that is
// returned returns nil, without waiting for those. If the new one cannot start, the
// old one goes on and the error is a *BootError. Of two reloads the one that was
// begun later counts: wait of the earlier returns ErrSuperseded.
func (p *Pool) BeginReload(plan Plan) (wait func() error) {
	plan.Sizes = p.sizes(plan)
	reply := make(chan error, 1)
	p.supervisor.posts.post(func() { p.supervisor.bringUp(plan, func(err error) { reply <- err }) })
	return func() error {
		select {
		case err := <-reply:
			return err
		case <-p.finished:
			return wsgi.ErrStopped
		}
	}
}

// Prepare starts a zygote ahead for the next Reload: one by the very same plan
// finds it booted. It replaces what was prepared before.
func (p *Pool) Prepare(plan Plan) {
	plan.Sizes = p.sizes(plan)
	p.supervisor.posts.post(func() { p.supervisor.prepare(plan) })
}

// sizes are those a generation may have after the first.
func (p *Pool) sizes(plan Plan) channel.Sizes {
	sizes := p.options.Sizes
	sizes.Threads, sizes.Slots = plan.Sizes.Threads, plan.Sizes.Slots
	return sizes
}

// Limit puts other limits in force at once, for calls that wait or work already
// as for those to come.
func (p *Pool) Limit(l Limits) { p.dispatcher.change(l.ofCalls()) }

// Resize asks for some workers more, or less if by is negative.
func (p *Pool) Resize(by int) {
	p.supervisor.posts.post(func() { p.supervisor.resize(by) })
}

// complain logs what is wrong with a call that nobody waits for any more.
func (p *Pool) complain(packed []byte, code failure.Code, what, traceback string) {
	line, id := nameOf(packed)
	attrs := []any{failure.Key, code, "request", line, "id", id}
	if traceback != "" {
		attrs = append(attrs, "traceback", traceback)
	}
	p.options.Log.Error(what, attrs...)
}

// overloaded logs how many requests were refused of late. One line for each
// would make an overload worse.
func (p *Pool) overloaded(full, late int) {
	if full > 0 {
		p.options.Log.Warn("requests refused: the queue is full (--max-queue)", failure.Key, failure.QueueFull, "requests", full)
	}
	if late > 0 {
		p.options.Log.Warn("requests refused: no worker was free for them in time (--queue-timeout)", failure.Key, failure.QueuedTooLong, "requests", late)
	}
}

// nameOf names a request by its packed environ, as far as that is whole: it
// lies in memory that the worker can write to.
func nameOf(packed []byte) (line, id string) {
	var method, uri string
	vars, err := environ.Unpack(packed)
	if err != nil {
		return "unknown", "unknown"
	}
	for _, v := range vars {
		switch v.Key {
		case "REQUEST_METHOD":
			method = v.Value
		case "REQUEST_URI":
			uri = v.Value
		case "gowsgi.request_id":
			id = v.Value
		}
	}
	return method + " " + uri, id
}

// NewCall implements wsgi.Backend.
func (p *Pool) NewCall() wsgi.Call {
	if c, ok := p.dispatcher.calls.Get().(*Call); ok {
		return c
	}
	return &Call{
		dispatcher: &p.dispatcher,
		limits:     p.options.Sizes,
		lookout:    p.lookout,
		news:       make(chan struct{}, 1),
		roomNews:   make(chan struct{}, 1),
		replyFile:  make(chan *os.File, 1),
	}
}

// Stop refuses new calls, lets every worker finish what it runs and shut
// Python down, and kills what is left when ctx ends. It returns when every
// process is gone: nil, or ctx's error if some had to be killed.
func (p *Pool) Stop(ctx context.Context) error {
	p.dispatcher.stop()
	p.supervisor.posts.post(p.supervisor.leave)
	select {
	case <-p.finished:
		return nil
	case <-ctx.Done():
		p.Kill()
		<-p.finished
		return fmt.Errorf("workers: stop: %w", ctx.Err())
	}
}

// Kill ends every process at once.
func (p *Pool) Kill() {
	p.dispatcher.stop()
	p.supervisor.posts.post(p.supervisor.kill)
}

// Finished is closed when every process of the pool is gone.
func (p *Pool) Finished() <-chan struct{} { return p.finished }

// Serves tells whether a worker takes calls just now.
func (p *Pool) Serves() bool { return p.dispatcher.serves() }

// PIDs returns the process ids of the workers that serve, for status and
// tests; nil once the pool has finished.
func (p *Pool) PIDs() []int {
	reply := make(chan []int, 1)
	p.supervisor.posts.post(func() { reply <- p.supervisor.pids() })
	select {
	case pids := <-reply:
		return pids
	case <-p.finished:
		return nil
	}
}

// Owns says whether pid is a child of this process that the pool waits for.
func (p *Pool) Owns(pid int) bool { return p.owned.has(pid) }

// processes is a set of process ids.
type processes struct{ pids sync.Map }

func (p *processes) add(pid int)      { p.pids.Store(pid, nil) }
func (p *processes) remove(pid int)   { p.pids.Delete(pid) }
func (p *processes) has(pid int) bool { _, ok := p.pids.Load(pid); return ok }

// zygotePatience is how long a zygote may take to end once its control socket
// is closed.
const zygotePatience = time.Second
