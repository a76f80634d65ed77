package workers

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"gowsgi/embed/channel/channeltest"
	"gowsgi/wsgi"
)

func TestDispatcher_PrefersAnIdleThread(t *testing.T) {
	sizes := small
	sizes.Threads, sizes.Slots = 2, 4
	s := newStage(t, sizes, 3)
	var calls []*asked
	var acts []*act
	perWorker := map[*fakeWorker]int{}
	for _, name := range names("call", 1, 6) { // as many as there are threads
		calls = append(calls, s.ask(name))
		a := s.next()
		perWorker[a.by]++
		acts = append(acts, a)
	}
	for _, f := range s.cast {
		if perWorker[f] != 2 {
			t.Errorf("worker %d runs %d calls, want 2: one on each thread", f.worker.id, perWorker[f])
		}
	}
	for i, a := range acts {
		a.answer()
		s.expect(calls[i], a.name)
	}
}

func TestDispatcher_LaysOutAheadThenQueues(t *testing.T) {
	sizes := small
	sizes.Slots = 3
	s := newStage(t, sizes, 1)
	var calls []*asked
	for _, name := range names("call", 1, 6) {
		calls = append(calls, s.ask(name))
	}
	counts := locked(s.dispatcher, func() [2]int { return [2]int{s.cast[0].worker.taken(), s.queue.length} })
	if counts != [2]int{3, 3} {
		t.Errorf("%d calls laid out and %d queued, want 3 and 3", counts[0], counts[1])
	}
	for i, name := range names("call", 1, 6) {
		a := s.next()
		if a.name != name {
			t.Errorf("call %d to run is %q, want %q: the oldest first", i, a.name, name)
		}
		s.nothingBegins() // on the only thread
		a.answer()
		s.expect(calls[i], name)
	}
}

func TestDispatcher_TakesBackForAThreadThatGoesIdle(t *testing.T) {
	s := newStage(t, small, 2)
	slow, quick := s.ask("slow"), s.ask("quick")
	acts := []*act{s.next(), s.next()}
	slices.SortFunc(acts, func(a, b *act) int { return len(a.name) - len(b.name) }) // slow, quick
	if acts[0].by == acts[1].by {
		t.Fatal("both calls run on one worker, want one on each")
	}
	// ahead has a seat in either worker: make it the slow one's
	ahead := s.ask("ahead")
	behind := acts[0]
	if ahead.seat.Load().worker != behind.by.worker {
		acts[0], acts[1] = acts[1], acts[0]
		slow, quick = quick, slow
	}
	acts[1].answer()
	s.expect(quick, acts[1].name)
	a := s.next()
	if a.name != "ahead" || a.by != acts[1].by {
		t.Errorf("worker %d begins %q, want the idle worker %d to begin the call laid out ahead", a.by.worker.id, a.name, acts[1].by.worker.id)
	}
	a.answer()
	s.expect(ahead, "ahead")
	acts[0].answer()
	s.expect(slow, acts[0].name)
}

// TestDispatcher_TakesAnOverdueCallBack: a call laid out behind a slow one must
// not be passed for ever by calls that come later, though nobody goes idle.
func TestDispatcher_TakesAnOverdueCallBack(t *testing.T) {
	for name, queued := range map[string]int{"while others queue": 4, "with an empty queue": 0} {
		t.Run(name, func(t *testing.T) { takesAnOverdueCallBack(t, queued) })
	}
}

func takesAnOverdueCallBack(t *testing.T, queued int) {
	t.Helper()
	s := newStage(t, small, 2)
	calls := map[string]*asked{}
	ask := func(name string) { calls[name] = s.ask(name) }
	ask("first")
	slow := s.next()
	ask("second")
	other := s.next()
	ask("third")
	ask("fourth")
	var stuck string
	for _, name := range []string{"third", "fourth"} {
		if calls[name].seat.Load().worker == slow.by.worker {
			stuck = name
		}
	}
	if stuck == "" {
		t.Fatal("neither call is laid out behind the first, want one in each worker")
	}
	for _, name := range names("load", 1, queued) {
		ask(name)
	}
	passed := 0
	for other.name != stuck {
		if passed++; passed > 3*overdueFactor*s.seats {
			t.Fatalf("%d calls have passed %q, which waits behind a slow call, want at most about %d", passed, stuck, overdueFactor*s.seats)
		}
		other.answer()
		s.expect(calls[other.name], other.name)
		other = s.next()
		ask(fmt.Sprint("more", passed)) // one at least is left, so nobody goes idle
	}
	if passed < overdueFactor {
		t.Errorf("the call was taken back after %d others, want some patience", passed)
	}
	for left := len(calls) - passed - 1; left > 0; left-- {
		other.answer()
		s.expect(calls[other.name], other.name)
		if left > 1 {
			other = s.next()
		}
	}
	slow.answer()
	s.expect(calls["first"], "first")
}

func TestDispatcher_QueuesUntilAWorkerJoins(t *testing.T) {
	s := newStage(t, small, 0)
	one, two := s.ask("one"), s.ask("two")
	s.nothingBegins()
	s.enter()
	s.next().answer()
	s.expect(one, "one")
	s.next().answer()
	s.expect(two, "two")
}

func TestDispatcher_RefusesCallsWhenStopped(t *testing.T) {
	s := newStage(t, small, 1)
	running, ahead, queued := s.ask("running"), s.ask("ahead"), s.ask("queued")
	s.stop()
	c := s.newCall()
	if err := c.Begin(wsgi.Request{Environ: []byte("late")}); !errors.Is(err, wsgi.ErrStopped) {
		t.Errorf("Begin() = %v after stop, want ErrStopped", err)
	}
	if traceback, again := c.End(); traceback != "" || !again {
		t.Errorf("End() = %q, %v of a refused call, want nothing, true", traceback, again)
	}
	for _, c := range []*asked{running, ahead, queued} { // what had begun goes on
		a := s.next()
		a.answer()
		s.expect(c, a.name)
	}
}

func TestDispatcher_RetireMovesWhatIsNotBegun(t *testing.T) {
	sizes := small
	sizes.Slots = 3
	s := newStage(t, sizes, 1)
	old := s.cast[0]
	calls := map[string]*asked{}
	for _, name := range names("call", 1, 6) {
		calls[name] = s.ask(name)
	}
	running := s.next()
	s.retire(old.worker)
	if n := locked(s.dispatcher, func() int { return old.worker.taken() }); n != 1 {
		t.Errorf("the retired worker has %d calls, want the one it runs", n)
	}
	select {
	case <-s.emptied:
		t.Error("emptied is told while a call runs, want afterwards")
	default:
	}
	young := s.enter()
	for _, name := range names("call", 2, 6) {
		a := s.next()
		if a.name != name || a.by != young {
			t.Errorf("worker %d begins %q, want the new one to begin %q: in the order of age", a.by.worker.id, a.name, name)
		}
		a.answer()
		s.expect(calls[a.name], a.name)
	}
	running.answer()
	s.expect(calls["call1"], "call1")
	if w := await(t, s.emptied, "emptied is told"); w != old.worker {
		t.Errorf("emptied was told of worker %d, want the retired one", w.id)
	}
	s.nothingBegins()
}

func TestDispatcher_RetireOfAnIdleWorkerEmptiesAtOnce(t *testing.T) {
	s := newStage(t, small, 1)
	s.retire(s.cast[0].worker)
	select {
	case <-s.emptied:
	default:
		t.Error("emptied is not told of a worker without calls")
	}
	c := s.ask("call")
	s.nothingBegins()
	s.enter()
	s.next().answer()
	s.expect(c, "call")
	if len(s.emptied) != 0 {
		t.Error("emptied is told twice")
	}
}

// The last worker of a pool that shrinks to none may be given a call at the very
// moment it is retired.
func TestDispatcher_RetireOfTheLastWorkerTellsOfWhatWaits(t *testing.T) {
	s := newStage(t, small, 1)
	running, waits := s.ask("running"), s.ask("waits")
	a := s.next()
	s.retire(s.cast[0].worker)
	select {
	case <-s.starved:
	default:
		t.Error("starved is not told of a call that was taken back from the last worker")
	}
	a.answer()
	s.expect(running, "running")
	s.enter()
	s.next().answer()
	s.expect(waits, "waits")
}

func TestDispatcher_LoseFailsWhatRanAndMovesTheRest(t *testing.T) {
	sizes := small
	sizes.Slots = 3
	s := newStage(t, sizes, 1)
	calls := map[string]*asked{}
	for _, name := range names("call", 1, 5) {
		calls[name] = s.ask(name)
	}
	s.next()
	s.cast[0].die("killed by SIGSEGV")
	s.expectLost(calls["call1"], "killed by SIGSEGV")
	s.enter()
	for _, name := range names("call", 2, 5) {
		a := s.next()
		if a.name != name {
			t.Errorf("%q is begun, want %q: in the order of age", a.name, name)
		}
		a.answer()
		s.expect(calls[a.name], a.name)
	}
}

func TestDispatcher_LoseGivesCallsToWorkersThatHaveRoom(t *testing.T) {
	s := newStage(t, small, 2)
	calls := map[string]*asked{"one": s.ask("one"), "two": s.ask("two")}
	victim, other := s.next(), s.next()
	ahead := s.ask("ahead")
	if ahead.seat.Load().worker != victim.by.worker {
		victim, other = other, victim
	}
	victim.by.die("killed by SIGKILL")
	s.expectLost(calls[victim.name], "killed by SIGKILL")
	if w := ahead.seat.Load().worker; w != other.by.worker {
		t.Errorf("the call laid out ahead is with worker %d, want %d", w.id, other.by.worker.id)
	}
	other.answer()
	s.expect(calls[other.name], other.name)
	a := s.next()
	if a.name != "ahead" {
		t.Errorf("%q is begun, want ahead", a.name)
	}
	a.answer()
	s.expect(ahead, "ahead")
}

func TestDispatcher_LoseDeliversWhatWasComplete(t *testing.T) {
	s := newStage(t, small, 1)
	c := s.newCall()
	if err := c.Begin(wsgi.Request{Environ: []byte("call")}); err != nil {
		t.Fatal(err)
	}
	s.next().answer() // and nobody reads it before the worker dies
	s.cast[0].die("killed by SIGKILL")
	if body, err := readAnswer(c); body != "[call]" || err != nil {
		t.Errorf("the answer of a dead worker = %q, %v, want it whole", body, err)
	}
	if _, again := c.End(); !again {
		t.Error("End() = false, want the call usable again")
	}
}

func TestDispatcher_LoseDeliversWhatWasPublished(t *testing.T) {
	s := newStage(t, small, 1)
	c := s.newCall()
	if err := c.Begin(wsgi.Request{Environ: []byte("call")}); err != nil {
		t.Fatal(err)
	}
	s.next().let(func(x *channeltest.Exchange) { x.Begin(head200, []byte("first"), -1) })
	s.cast[0].die("killed by SIGABRT")
	body, err := readAnswer(c)
	var lost *wsgi.LostError
	if body != "first" || !errors.As(err, &lost) {
		t.Errorf("the answer of a dead worker = %q, %v, want the first block and a LostError: it must not look complete", body, err)
	}
	if _, again := c.End(); !again {
		t.Error("End() = false, want the call usable again")
	}
}

func TestDispatcher_LoseCountsWhatWasServed(t *testing.T) {
	s := newStage(t, small, 1)
	for _, name := range names("call", 1, 3) {
		c := s.ask(name)
		s.next().answer()
		s.expect(c, name)
	}
	if n := s.cast[0].die("told to"); n != 3 {
		t.Errorf("lose() = %d, want the 3 calls it answered", n)
	}
}

func TestDispatcher_WithdrawnCallsAreNeverBegun(t *testing.T) {
	s := newStage(t, small, 1)
	running := s.ask("running")
	act := s.next()
	for _, where := range []string{"laid out ahead", "queued"} {
		filler := (*asked)(nil)
		if where == "queued" {
			filler = s.ask("filler")
		}
		c := s.newCall()
		if err := c.Begin(wsgi.Request{Environ: []byte(where)}); err != nil {
			t.Fatal(err)
		}
		if queued := locked(s.dispatcher, func() bool { return c.queued }); queued != (where == "queued") {
			t.Fatalf("the call is queued: %v, want it %s", queued, where)
		}
		if traceback, again := c.End(); traceback != "" || !again {
			t.Errorf("End() of a call %s = %q, %v, want nothing, true", where, traceback, again)
		}
		if filler != nil {
			act.answer()
			s.expect(running, "running")
			s.next().answer()
			s.expect(filler, "filler")
		}
	}
	last := s.ask("last")
	if a := s.next(); a.name != "last" {
		t.Errorf("%q is begun, want only the call that was not withdrawn", a.name)
	} else {
		a.answer()
	}
	s.expect(last, "last")
}

func TestDispatcher_TicketsWrapAround(t *testing.T) {
	sizes := small
	sizes.Slots = 3
	s := newStage(t, sizes, 0)
	s.ticket = 1<<32 - 3
	calls := map[string]*asked{}
	for _, name := range names("call", 1, 6) {
		calls[name] = s.ask(name)
	}
	old := s.enter()
	running := s.next()
	s.retire(old.worker) // call2 and call3 go back into the queue
	s.enter()
	for _, name := range names("call", 2, 6) {
		a := s.next()
		if a.name != name {
			t.Errorf("%q is begun, want %q", a.name, name)
		}
		a.answer()
		s.expect(calls[a.name], a.name)
	}
	running.answer()
	s.expect(calls["call1"], "call1")
}
