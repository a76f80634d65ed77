package workers

// Generations whose zygote is a socket: what they order is not carried out, and
// the test tells what became of it.

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
	"weak"

	"golang.org/x/sys/unix"

	"gowsgi/embed/channel"
)

// nursery is a supervisor whose goroutine is the test's.
type nursery struct {
	*testing.T
	*supervisor
	orders *os.File   // the zygote's end of the newest generation's control socket
	ends   []*os.File // of all
}

// newNursery makes a supervisor whose current generation has no worker yet.
func newNursery(t *testing.T, plan Plan) *nursery {
	t.Helper()
	plan.Sizes = small
	pool := &Pool{
		options:  Options{Plan: plan, Log: slog.New(slog.DiscardHandler), Output: func([]byte) {}},
		finished: make(chan struct{}),
		lookout:  newLookout(),
	}
	pool.supervisor = newSupervisor(pool)
	n := &nursery{T: t, supervisor: pool.supervisor}
	n.current = n.generation(plan)
	t.Cleanup(func() {
		n.each(func(g *generation) { n.loseAll(g) })
		for _, end := range n.ends { // standard error of workers is in them
			_ = end.Close()
		}
		n.outputs.Wait()
	})
	return n
}

// generation makes one whose zygote has booted.
func (n *nursery) generation(plan Plan) *generation {
	n.Helper()
	control, orders, err := channel.Pair()
	if err != nil {
		n.Fatal(err)
	}
	n.orders, n.ends = orders, append(n.ends, orders)
	n.Cleanup(func() { _, _ = control.Close(), orders.Close() })
	return &generation{
		supervisor: n.supervisor, plan: plan, zygote: &zygote{control: control},
		workers: make(map[uint32]*worker), booted: true, loaded: true,
		ready: func(error) {},
	}
}

func (n *nursery) loseAll(g *generation) {
	for _, w := range g.workers {
		g.forget(w, "the test is over")
	}
	if g.zygote != nil {
		_, _ = g.zygote.control.Close(), n.orders.Close()
	}
}

// forked has the zygote tell that it has forked w.
func (n *nursery) forked(w *worker) {
	g := w.generation
	g.heard(g.zygote, channel.Report{Kind: channel.Forked, Worker: w.id, PID: os.Getpid()})
}

// serves has w come to serve.
func (n *nursery) serves(w *worker) {
	n.forked(w)
	w.generation.statusChanged(w)
}

// one is the generation's only worker in a state.
func (n *nursery) one(g *generation, state workerState) *worker {
	n.Helper()
	var found []*worker
	for _, w := range g.workers {
		if w.state == state {
			found = append(found, w)
		}
	}
	if len(found) != 1 {
		n.Fatalf("%d workers are in state %d, want one", len(found), state)
	}
	return found[0]
}

// posted does what was posted to the supervisor, once something was.
func (n *nursery) posted() {
	n.Helper()
	took := make(chan []func(), 1)
	go func() { took <- n.posts.take() }()
	for _, what := range await(n.T, took, "something is posted") {
		what()
	}
}

func TestGeneration_TimersDoNotKeepDeadWorkers(t *testing.T) {
	n := newNursery(t, Plan{StartupTimeout: time.Hour, MaxLifetime: time.Hour, GracefulTimeout: time.Hour})
	n.size = 1
	g := n.current
	g.fill()
	w := n.one(g, forking)
	n.serves(w)
	g.retire(w, "the test says so")
	held := weak.Make(w.segment)
	g.forget(w, "it has ended")
	w = nil
	for deadline := time.Now().Add(patience); held.Value() != nil; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("the shared memory of a worker that has ended stays mapped")
		}
	}
}

// hungUp says that the front has closed its end of the control socket, which is
// how a zygote is told to go.
func (n *nursery) hungUp() bool {
	n.Helper()
	polled := []unix.PollFd{{Fd: int32(n.orders.Fd()), Events: unix.POLLRDHUP}}
	if _, err := unix.Poll(polled, 0); err != nil {
		n.Fatal(err)
	}
	return polled[0].Revents&unix.POLLRDHUP != 0
}

func TestGeneration_EndsWhenItsLastForkFails(t *testing.T) {
	n := newNursery(t, Plan{})
	n.size = 1
	g := n.current
	g.fill()
	w := n.one(g, forking)
	g.leave("the test says so")
	if n.hungUp() {
		t.Fatal("the zygote is told to go while a fork of it is under way")
	}
	g.heard(g.zygote, channel.Report{Kind: channel.ForkFailed, Worker: w.id, Status: int(unix.EAGAIN)})
	if !n.hungUp() {
		t.Error("the zygote is not told to go: its generation would stay for ever")
	}
}

func TestGeneration_IsForgottenIfItsZygoteDiedBefore(t *testing.T) {
	n := newNursery(t, Plan{})
	old := n.current
	n.zygoteDies(old)
	next := n.generation(Plan{})
	n.next = next
	n.readyPerhaps(next)
	if n.current != next || len(n.old) != 0 {
		t.Errorf("%d old generations are kept, want none: nothing is left of it that could end", len(n.old))
	}
}

// zygoteDies has g learn that its zygote is gone.
func (n *nursery) zygoteDies(g *generation) {
	_, _ = g.zygote.control.Close(), n.orders.Close()
	g.zygoteLost(g.zygote, nil)
}

func TestGeneration_AWorkerThatIsNotWantedAnyMoreLeaves(t *testing.T) {
	n := newNursery(t, Plan{})
	n.size = 1
	g := n.current
	g.fill()
	first := n.one(g, forking)
	n.serves(first)
	n.resize(+1)
	second := n.one(g, forking)
	n.resize(-1)
	n.serves(second)
	if first.state != serving || second.state != leaving {
		t.Errorf("with one worker wanted the states are %d and %d, want %d and %d: the second one leaves",
			first.state, second.state, serving, leaving)
	}
}

// Between the end of the startup timeout and its death a worker writes its
// stacks. If it comes to serve then, it must not get requests: they would be lost.
func TestGeneration_AWorkerThatIsKilledForBeingLateGetsNoRequests(t *testing.T) {
	n := newNursery(t, Plan{StartupTimeout: time.Nanosecond})
	n.size = 1
	g := n.current
	g.fill()
	w := n.one(g, forking)
	n.forked(w)
	n.posted() // its time is over
	g.statusChanged(w)
	if w.state != booting || len(n.pool.dispatcher.workers) != 0 {
		t.Errorf("the worker is in state %d and the dispatcher knows %d workers, want %d and none: it is about to be killed",
			w.state, len(n.pool.dispatcher.workers), booting)
	}
}

func TestMemory_TheHardLimitHoldsForOldGenerations(t *testing.T) {
	n := newNursery(t, Plan{MemoryHard: 1})
	n.size = 1
	g := n.current
	g.fill()
	w := n.one(g, forking)
	n.serves(w) // as this process, which has more than a byte
	if _, err := n.orders.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	n.current, n.old = nil, []*generation{g}
	g.leave("the test says so")
	n.look()
	if !n.hasOrders() {
		t.Error("a worker of an old generation that has too much memory is not killed")
	}
}

// hasOrders says that something was ordered and not read.
func (n *nursery) hasOrders() bool {
	n.Helper()
	polled := []unix.PollFd{{Fd: int32(n.orders.Fd()), Events: unix.POLLIN}}
	if _, err := unix.Poll(polled, 0); err != nil {
		n.Fatal(err)
	}
	return polled[0].Revents&unix.POLLIN != 0
}

func TestGeneration_AZygoteThatWasOfUseIsReplacedAtOnce(t *testing.T) {
	n := newNursery(t, Plan{})
	g := n.current
	for range 10 { // over months, say
		n.zygoteDies(g)
		again := n.generation(Plan{})
		g.zygote, g.booted = again.zygote, true
	}
	if got := g.youngDeaths.failed(backoffMost); got != 0 {
		t.Errorf("after ten zygotes that lived for long the next one waits %v, want 0", got)
	}
}

func TestGeneration_ThatCannotHaveItsWorkersFails(t *testing.T) {
	n := newNursery(t, Plan{})
	hangs := exec.Command("/bin/cat")
	if _, err := hangs.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := hangs.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = hangs.Process.Kill(), hangs.Wait() }()
	ready := make(chan error, 1)
	next := n.generation(Plan{}) // of no size: there is no shared memory for its workers
	next.first, next.ready, next.zygote.process = 1, func(err error) { ready <- err }, hangs
	n.next = next
	next.fill()
	var boot *BootError
	if err := await(t, ready, "the reload ends"); !errors.As(err, &boot) || n.next != nil {
		t.Errorf("a generation without workers = %v, want a *BootError", err)
	}
}

func TestGeneration_TakesOverWithTheSizeOfThePoolByThen(t *testing.T) {
	for by, want := range map[int]int{+1: 3, -1: 1} {
		n := newNursery(t, Plan{})
		n.size = 2
		n.current.fill()
		for _, w := range n.current.workers {
			n.serves(w)
		}
		next := n.generation(n.current.plan)
		next.first = 2
		n.next = next
		next.fill()
		n.resize(by)
		for len(next.workers) > 0 && next.count(func(w *worker) bool { return w.state == forking }) > 0 {
			for _, w := range next.workers {
				if w.state == forking {
					n.serves(w)
				}
			}
		}
		if n.current != next || next.serving() != want || n.size != want {
			t.Errorf("two workers and %+d during a reload: %d serve of %d wanted, want %d", by, next.serving(), n.size, want)
		}
	}
}
