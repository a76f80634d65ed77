package workers

// The supervisor at its worst moments: whatever happens, in whatever order, what
// is left when nothing more happens is what was asked for.

import (
	"errors"
	"math/rand/v2"
	"net"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gowsgi/embed/channel"
)

// fate is a supervisor to which everything happens by chance.
type fate struct {
	*nursery
	random *rand.Rand
	plan   Plan
	asked  int // reloads that were asked for
	told   int // reloads that were told what became of them
	killed []*generation
}

func newFate(t *testing.T, seed uint64, gone *exec.Cmd) *fate {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, seed))
	plan := Plan{Preload: random.IntN(2) == 0, GracefulTimeout: time.Hour, Workers: 1 + random.IntN(4), Sizes: small}
	f := &fate{nursery: newNursery(t, plan), random: random, plan: plan}
	f.pool.dispatcher.emptied = f.pool.tell((*supervisor).emptied)
	f.pool.dispatcher.stuck = f.pool.tell((*supervisor).stuck)
	f.size = plan.Workers
	f.attend(f.current, gone)
	f.current.fill()
	return f
}

// attend gives g a zygote that takes its orders and does nothing, and whose
// process has ended, so that killing it does no harm.
func (f *fate) attend(g *generation, gone *exec.Cmd) {
	f.Helper()
	control, orders, err := channel.Pair()
	if err != nil {
		f.Fatal(err)
	}
	g.zygote, g.booted = &zygote{control: control, process: gone}, true
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		for n, err := 1, error(nil); n > 0 && err == nil; { // descriptors that come along are dropped
			n, err = orders.Read(make([]byte, 64))
		}
	}()
	f.Cleanup(func() {
		_ = control.Close()
		await(f.T, taken, "the control socket ends")
		_ = orders.Close()
	})
}

// someone is a worker of any generation that is as wanted, or nil.
func (f *fate) someone(is func(*worker) bool) *worker {
	var found []*worker
	f.each(func(g *generation) {
		for _, w := range g.workers {
			if is(w) {
				found = append(found, w)
			}
		}
	})
	if len(found) == 0 {
		return nil
	}
	slices.SortFunc(found, func(a, b *worker) int { return int(a.id) - int(b.id) })
	return found[f.random.IntN(len(found))]
}

func in(states ...workerState) func(*worker) bool {
	return func(w *worker) bool { return slices.Contains(states, w.state) }
}

// with does what to a worker that is in one of the states, if there is one.
func (f *fate) with(what func(*worker), states ...workerState) bool {
	w := f.someone(in(states...))
	if w != nil {
		what(w)
	}
	return w != nil
}

// exits has w end; one that was told to leave before it was forked may not have been.
func (f *fate) exits(w *worker) {
	if w.pid == 0 && f.random.IntN(2) == 0 {
		f.forkFails(w)
		return
	}
	r := channel.Report{Kind: channel.Exited, Worker: w.id, PID: w.pid}
	if f.random.IntN(2) == 0 {
		r.Signal = unix.SIGSEGV
	}
	w.generation.heard(w.generation.zygote, r)
}

func (f *fate) forkFails(w *worker) {
	w.generation.heard(w.generation.zygote, channel.Report{Kind: channel.ForkFailed, Worker: w.id, Status: int(unix.EAGAIN)})
}

// reload is bringUp with a zygote that has booted at once.
func (f *fate) reload(gone *exec.Cmd) {
	if f.next != nil {
		f.bringUpFailed(ErrSuperseded)
	}
	f.asked++
	g := &generation{
		supervisor: f.supervisor, plan: f.plan, first: f.firstWorkers(&f.plan),
		workers: make(map[uint32]*worker),
	}
	g.ready = func(err error) {
		f.told++
		if err != nil {
			f.killed = append(f.killed, g)
		}
	}
	f.next = g
	f.attend(g, gone)
	g.fill()
}

// zygoteEnds ends the zygote of some generation, and all of its workers.
func (f *fate) zygoteEnds(g *generation) {
	if g.zygote != nil {
		_ = g.zygote.control.Close()
		g.zygoteLost(g.zygote, nil)
	}
}

// happens is one thing that may happen at any time.
func (f *fate) happens(gone *exec.Cmd) {
	switch f.random.IntN(12) {
	case 0:
		f.with(f.forked, forking)
	case 1, 2:
		f.with(func(w *worker) { w.generation.statusChanged(w) }, booting)
	case 3:
		f.with(f.exits, booting, serving)
	case 4:
		f.with(func(w *worker) { w.generation.replace(w, "it is time") }, serving)
	case 5, 6:
		f.resize(f.random.IntN(3) - 1)
	case 7:
		f.with(func(w *worker) { f.expired(w, nil) }, serving)
	case 8:
		f.with(f.forkFails, forking)
	case 9:
		f.with(f.exits, leaving)
	case 10:
		if f.random.IntN(5) == 0 {
			f.reload(gone)
		}
	case 11:
		if f.random.IntN(5) == 0 {
			f.each(func(g *generation) {
				if f.random.IntN(3) == 0 {
					f.zygoteEnds(g)
				}
			})
		}
	}
}

// toldToGo says that the front has closed the control socket.
func toldToGo(g *generation) bool {
	return g.zygote != nil && errors.Is(g.zygote.control.Signal(0, 0), net.ErrClosed)
}

// calm lets everything that is under way come to its end.
func (f *fate) calm(gone *exec.Cmd) {
	f.Helper()
	for range 1000 {
		f.each(func(g *generation) {
			switch {
			case g.zygote == nil && g == f.current: // the pause is over
				f.attend(g, gone)
			case slices.Contains(f.killed, g) || toldToGo(g):
				f.zygoteEnds(g)
			}
			g.paused = false
			g.fill()
		})
		if f.with(f.exits, leaving) || f.with(f.forked, forking) ||
			f.with(func(w *worker) { w.generation.statusChanged(w) }, booting) {
			continue
		}
		if len(f.old) == 0 && f.next == nil {
			return
		}
	}
	f.Fatalf("it does not come to rest: %d old generations, another one is brought up: %t", len(f.old), f.next != nil)
}

// check says what is not as asked for, in a pool at rest.
func (f *fate) check(seed uint64) {
	f.Helper()
	outgoing := f.current.count(func(w *worker) bool { return w.outgoing != "" })
	if serve, all, known := f.current.serving(), len(f.current.workers), len(f.pool.dispatcher.workers); serve != f.size || all != f.size || known != f.size || outgoing > 0 {
		f.Errorf("seed %d: %d workers of %d serve, the dispatcher knows %d, %d are to be replaced; want %d, none to be replaced",
			seed, serve, all, known, outgoing, f.size)
	}
	if f.told != f.asked {
		f.Errorf("seed %d: %d reloads were told what became of them, want all of %d", seed, f.told, f.asked)
	}
}

func TestSupervisor_ComesToRestAfterAnything(t *testing.T) {
	gone := exec.Command("/bin/true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(100) {
		f := newFate(t, seed, gone)
		for range 80 {
			f.happens(gone)
		}
		f.calm(gone)
		f.check(seed)
		for range f.random.IntN(20) {
			f.happens(gone)
		}
		f.leave()
		for range 1000 {
			if !f.with(f.exits, booting, serving, leaving) && !f.with(f.forkFails, forking) {
				break
			}
		}
		f.each(func(g *generation) {
			if slices.Contains(f.killed, g) || toldToGo(g) {
				f.zygoteEnds(g)
			}
		})
		if n := f.generations(); n > 0 || f.told != f.asked {
			t.Errorf("seed %d: at the end %d generations are left and %d of %d reloads were told", seed, n, f.told, f.asked)
		}
	}
}
