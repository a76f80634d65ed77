package workers

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"gowsgi/embed/channel"
	"gowsgi/embed/channel/channeltest"
	"gowsgi/environ"
	"gowsgi/wsgi"
)

// clock moves the watch's time on as the test says: nothing here waits.
type clock struct {
	*stage
	now time.Time
}

const (
	testTimeout      = time.Minute
	testQueueTimeout = time.Hour
)

func newClock(t *testing.T, workers int) *clock {
	t.Helper()
	s := newStage(t, small, workers)
	s.limits = limits{timeout: testTimeout, queueTimeout: testQueueTimeout}
	return &clock{s, time.Now()}
}

// later has the watch look so much later.
func (c *clock) later(d time.Duration) {
	c.now = c.now.Add(d)
	c.look(c.now)
}

// pass lets d pass in steps that the watch looks at.
func (c *clock) pass(d time.Duration) {
	for ; d > 0; d -= testTimeout / 4 {
		c.later(min(d, testTimeout/4))
	}
}

// none checks that nothing was told.
func none[T any](t *testing.T, told <-chan T, what string) {
	t.Helper()
	select {
	case v := <-told:
		t.Errorf("%s is told of %v, want of nothing", what, v)
	default:
	}
}

func packed(target string) []byte {
	return environ.Append(nil, &environ.Request{
		Method: []byte("POST"), Target: []byte(target), Path: []byte(target), Proto: []byte("HTTP/1.1"),
		RequestID: []byte("0123456789abcdef"), ContentLength: -1,
	})
}

func TestWatch_FailsACallThatWorksTooLong(t *testing.T) {
	s := newClock(t, 1)
	c, a := s.start(wsgi.Request{Environ: packed("/slow?x=1")})
	s.later(0)
	s.pass(testTimeout - time.Second)
	none(t, s.expired, "expired")
	s.later(time.Second)
	got := await(t, s.expired, "the expiry is told")
	want := casualty{request: "POST /slow?x=1", id: "0123456789abcdef", elapsed: testTimeout}
	if got.worker != a.by.worker || !slices.Equal(got.calls, []casualty{want}) {
		t.Errorf("expired(%d, %+v), want worker 1 and %+v", got.worker.id, got.calls, want)
	}
	_, _, _, err := c.Head(nil)
	var late *wsgi.TimeoutError
	if !errors.As(err, &late) || *late != (wsgi.TimeoutError{Worker: 1, Elapsed: testTimeout}) {
		t.Errorf("Head() = %v, want a TimeoutError of worker 1 after %s", err, testTimeout)
	}
	if _, again := c.End(); again {
		t.Error("End() = true, want false: the thread is still at it")
	}
	s.later(10 * testTimeout)
	none(t, s.expired, "expired")
	if n := locked(s.dispatcher, a.by.worker.taken); n != 1 {
		t.Errorf("%d seats are taken, want the one the thread is busy with", n)
	}
	a.let(func(x *channeltest.Exchange) {
		if !x.Aborted() {
			t.Error("the application is not told to stop")
		}
		x.Finish(channeltest.Dropped, "")
	})
	close(a.do)
	s.vacated(a.by)
	if n := locked(s.dispatcher, func() int { return a.by.worker.expired }); n != 0 {
		t.Errorf("%d calls count as expired, want none: it has ended after all", n)
	}
	next := s.ask("next")
	s.next().answer()
	s.expect(next, "next")
}

func TestWatch_WakesWhoWaitsForACallThatWorksTooLong(t *testing.T) {
	s := newClock(t, 1)
	c := s.ask("slow")
	a := s.next()
	until(t, "the connection sleeps", a.Awaited)
	s.later(0)
	s.later(testTimeout)
	var late *wsgi.TimeoutError
	if got := await(t, c.answered, "the connection is told"); !errors.As(got.err, &late) {
		t.Errorf("the call ended with %+v, want a TimeoutError", got)
	}
	a.finish(func(x *channeltest.Exchange) { x.Finish(channeltest.Dropped, "") })
}

// What is out cannot be taken back: the connection breaks behind it.
func TestWatch_FailsAnAnswerThatStops(t *testing.T) {
	s := newClock(t, 1)
	c, a := s.start(wsgi.Request{Environ: []byte("stream")})
	a.let(func(x *channeltest.Exchange) { x.Begin(head200, []byte("half"), -1) })
	s.later(0)
	s.later(testTimeout)
	body, err := readAnswer(c)
	var late *wsgi.TimeoutError
	if body != "half" || !errors.As(err, &late) {
		t.Errorf("the answer = %q, %v, want its half and a TimeoutError", body, err)
	}
	c.End()
	a.finish(func(x *channeltest.Exchange) { x.Finish(channeltest.Dropped, "") })
}

func TestWatch_RestartsTheClockWithEachPiece(t *testing.T) {
	s := newClock(t, 1)
	c, a := s.start(wsgi.Request{Environ: []byte("stream"), Body: bytes.Repeat([]byte("b"), 30), BodyLength: 30})
	a.let(func(x *channeltest.Exchange) {
		for range 3 {
			s.later(testTimeout - time.Second)
			if n, err := x.Read(make([]byte, 10)); n != 10 || err != nil {
				t.Errorf("Read() = %d, %v, want 10 bytes of the body", n, err)
			}
		}
		s.later(testTimeout - time.Second)
		x.Begin(head200, nil, -1)
		for range 3 {
			s.later(testTimeout - time.Second)
			_, _ = x.Write([]byte("block"))
		}
		s.later(testTimeout - time.Second)
	})
	none(t, s.expired, "expired")
	a.finish(func(x *channeltest.Exchange) { x.Finish(channeltest.Complete, "") })
	if body, err := readAnswer(c); body != "blockblockblock" || err != nil {
		t.Errorf("the answer = %q, %v, want three blocks", body, err)
	}
	s.end(c, "")
}

func TestWatch_StopsTheClockWhileTheClientIsSlow(t *testing.T) {
	t.Run("to send", func(t *testing.T) {
		s := newClock(t, 1)
		c, a := s.start(wsgi.Request{BodyMore: true, BodyLength: -1})
		s.later(0)
		a.do <- func(x *channeltest.Exchange) { _, _ = x.Read(make([]byte, 10)) }
		until(t, "the application waits", a.seat(s.stage).slot.WaitsForClient)
		s.pass(3 * testTimeout)
		none(t, s.expired, "expired")
		room, err := c.Room()
		if err != nil {
			t.Fatalf("Room() = %v", err)
		}
		c.Filled(copy(room, "body"))
		<-a.did
		s.later(0)
		s.later(testTimeout)
		await(t, s.expired, "the application has the body and works too long")
		c.End()
		a.finish(func(x *channeltest.Exchange) { x.Finish(channeltest.Dropped, "") })
	})
	t.Run("to take", func(t *testing.T) {
		s := newClock(t, 1)
		c, a := s.start(wsgi.Request{})
		s.later(0)
		a.do <- func(x *channeltest.Exchange) {
			x.Begin(head200, nil, -1)
			_, _ = x.Write(make([]byte, 2*small.Reply))
		}
		until(t, "the application waits", a.seat(s.stage).slot.WaitsForClient)
		s.pass(3 * testTimeout)
		none(t, s.expired, "expired")
		if _, _, _, err := c.Head(nil); err != nil {
			t.Errorf("Head() = %v", err)
		}
		for total := 0; total < 2*small.Reply; {
			p, err := c.Body()
			if err != nil {
				t.Fatalf("Body() = %v", err)
			}
			c.Consumed(len(p))
			total += len(p)
		}
		<-a.did
		s.later(0)
		s.later(testTimeout)
		await(t, s.expired, "the client has all and the application works too long")
		c.End()
		a.finish(func(x *channeltest.Exchange) { x.Finish(channeltest.Dropped, "") })
	})
}

// seat is where the exchange is laid out.
func (a *act) seat(s *stage) *seat { return &a.by.worker.seats[a.Index] }

// Nobody waits for a call whose client has its answer, or has gone; its thread
// is no less stuck.
func TestWatch_TellsOfCallsNobodyWaitsFor(t *testing.T) {
	for name, leave := range map[string]func(*Call) (string, bool){"detached": (*Call).Detach, "aborted": (*Call).End} {
		t.Run(name, func(t *testing.T) {
			s := newClock(t, 1)
			c, a := s.start(wsgi.Request{Environ: packed("/close")})
			a.let(func(x *channeltest.Exchange) { x.Begin(head200, nil, -1) })
			if _, _, _, err := c.Head(nil); err != nil {
				t.Fatal(err)
			}
			s.later(0)
			if _, again := leave(c); again {
				t.Error("the call ends with true, want false: its thread is still at it")
			}
			s.later(testTimeout)
			if got := await(t, s.expired, "the expiry is told"); len(got.calls) != 1 || got.calls[0].request != "POST /close" {
				t.Errorf("expired(%+v), want the one call", got.calls)
			}
			a.finish(func(x *channeltest.Exchange) { x.Finish(channeltest.Complete, "") })
			s.vacated(a.by)
		})
	}
}

func TestWatch_TellsWhenARetiredWorkerIsStuck(t *testing.T) {
	sizes := small
	sizes.Threads, sizes.Slots = 2, 3
	s := newStage(t, sizes, 1)
	s.limits.timeout = testTimeout
	clock := &clock{s, time.Now()}
	hung, good := s.ask("hung"), (*asked)(nil)
	a := s.next()
	clock.later(0)
	clock.later(testTimeout / 2)
	good = s.ask("good")
	b := s.next()
	clock.later(testTimeout / 2)
	if got := await(t, s.expired, "the expiry is told"); len(got.calls) != 1 {
		t.Errorf("expired(%+v), want one call", got.calls)
	}
	await(t, hung.answered, "the connection is told")
	none(t, s.stuck, "stuck")
	s.retire(a.by.worker)
	none(t, s.stuck, "stuck") // the other request comes to its end first
	b.answer()
	s.expect(good, "good")
	if w := await(t, s.stuck, "stuck is told"); w != a.by.worker {
		t.Errorf("stuck(%d), want the retired worker", w.id)
	}
	none(t, s.emptied, "emptied")
	a.finish(func(x *channeltest.Exchange) { x.Finish(channeltest.Dropped, "") })
	await(t, s.emptied, "it has ended after all")
	none(t, s.stuck, "stuck")
}

func TestWatch_TellsAtOnceWhenAStuckWorkerIsRetired(t *testing.T) {
	for _, first := range []string{"expires", "retires"} {
		t.Run(first+" first", func(t *testing.T) {
			s := newClock(t, 1)
			c := s.ask("hung")
			a := s.next()
			s.later(0)
			if first == "retires" {
				s.retire(a.by.worker)
				none(t, s.stuck, "stuck")
			}
			s.later(testTimeout)
			if first == "expires" {
				none(t, s.stuck, "stuck")
				s.retire(a.by.worker)
			}
			if len(s.stuck) != 1 {
				t.Errorf("stuck is told %d times, want once", len(s.stuck))
			}
			await(t, c.answered, "the connection is told")
			a.by.die("killed by SIGKILL")
		})
	}
}

// asleep joins a worker none of whose threads ever does anything.
func (s *stage) asleep() *worker {
	s.Helper()
	segment, err := channel.Create(s.sizes)
	if err != nil {
		s.Fatal(err)
	}
	w := newWorker(99, segment)
	w.holders.Store(1) // nobody listens
	s.join(w)
	return w
}

func TestWatch_TellsOfAWorkerThatBeginsNothing(t *testing.T) {
	s := newClock(t, 0)
	w := s.asleep()
	c := s.ask("call")
	s.later(0)
	s.later(testTimeout/silencePart - time.Second)
	none(t, s.deaf, "deaf")
	s.later(time.Second)
	if got := await(t, s.deaf, "deaf is told"); got != w {
		t.Errorf("deaf(%d), want the worker that sleeps", got.id)
	}
	s.later(testTimeout)
	none(t, s.deaf, "deaf")
	s.retire(w)
	s.enter()
	s.next().answer()
	s.expect(c, "call")
	s.lose(w, lostTo(w.id, "the test is over"))
}

// A worker whose threads all work need not begin anything, and one that begins
// something is awake.
func TestWatch_SaysNothingOfABusyWorker(t *testing.T) {
	s := newClock(t, 1)
	calls := []*asked{s.ask("one"), s.ask("two"), s.ask("three")}
	s.later(0)
	for _, c := range calls {
		a := s.next()
		s.later(0)
		s.pass(testTimeout - time.Second)
		a.answer()
		s.expect(c, a.name)
	}
	none(t, s.deaf, "deaf")
}

func TestWatch_TurnsAwayWhatWaitsTooLong(t *testing.T) {
	s := newClock(t, 1)
	s.limits.timeout = 0
	running := s.ask("running")
	a := s.next()
	ahead, queued := s.ask("ahead"), s.ask("queued")
	s.later(testQueueTimeout / 2)
	s.begin(s.newCall(), wsgi.Request{Environ: []byte("unread")})
	if n := locked(s.dispatcher, func() int { return s.queue.length }); n != 2 {
		t.Fatalf("%d calls are queued, want 2", n)
	}
	s.later(testQueueTimeout)
	for name, c := range map[string]*asked{"laid out ahead": ahead, "queued": queued} {
		got := await(t, c.answered, "the connection is told")
		if !errors.Is(got.err, wsgi.ErrQueuedTooLong) || !got.again {
			t.Errorf("the call %s ended with %+v, want ErrQueuedTooLong, and usable again", name, got)
		}
	}
	s.nothingBegins()
	if late := locked(s.dispatcher, func() int { return s.watched.late }); late != 3 {
		t.Errorf("%d calls count as late, want 3", late)
	}
	a.answer()
	s.expect(running, "running")
	last := s.ask("last")
	s.next().answer()
	s.expect(last, "last")
}

func TestWatch_TurnsAwayACallWhoseBodyIsOnItsWay(t *testing.T) {
	s := newClock(t, 0)
	c := s.newCall()
	s.begin(c, wsgi.Request{BodyMore: true, BodyLength: -1})
	room := make(chan error)
	go func() { _, err := c.Room(); room <- err }()
	s.later(testQueueTimeout + time.Second)
	if err := await(t, room, "Room returns"); err == nil {
		t.Error("Room() = nil of a call that was turned away, want io.EOF")
	}
	if _, _, _, err := c.Head(nil); !errors.Is(err, wsgi.ErrQueuedTooLong) {
		t.Errorf("Head() = %v, want ErrQueuedTooLong", err)
	}
	s.end(c, "")
}

func TestDispatcher_RefusesCallsWhenTheQueueIsFull(t *testing.T) {
	s := newStage(t, small, 1)
	s.limits.maxQueue = 3
	var calls []*asked
	for _, name := range names("call", 1, small.Slots+3) {
		calls = append(calls, s.ask(name))
	}
	for range 2 {
		c := s.newCall()
		if err := c.Begin(wsgi.Request{}); !errors.Is(err, wsgi.ErrQueueFull) {
			t.Errorf("Begin() = %v with a full queue, want ErrQueueFull", err)
		}
		s.end(c, "")
	}
	for i, name := range names("call", 1, small.Slots+3) {
		s.next().answer()
		s.expect(calls[i], name)
	}
	var told [2]int
	s.overloaded = func(full, late int) { told = [2]int{full, late} }
	now := time.Now()
	s.tellRefused(now)
	if told != [2]int{2, 0} {
		t.Errorf("overloaded%v, want 2 refused and none late", told)
	}
	s.watched.full = 5
	s.tellRefused(now.Add(toldEvery - 1))
	if told != [2]int{2, 0} {
		t.Errorf("overloaded%v within a second of the last time, want it later", told)
	}
	s.tellRefused(now.Add(toldEvery))
	if told != [2]int{5, 0} {
		t.Errorf("overloaded%v a second after the last time, want the 5 since", told)
	}
}

func TestDispatcher_TellsOfAWornWorkerOnce(t *testing.T) {
	s := newStage(t, small, 0)
	f := s.enter()
	locked(s.dispatcher, func() any { f.worker.limit = 2; return nil })
	for i, name := range names("call", 1, 4) {
		c := s.ask(name)
		s.next().answer()
		s.expect(c, name)
		if want := map[bool]int{false: 0, true: 1}[i >= 1]; len(s.worn) != want {
			t.Errorf("worn is told %d times after %d calls, want %d", len(s.worn), i+1, want)
		}
	}
}

func TestDispatcher_TellsThatNobodyServes(t *testing.T) {
	s := newStage(t, small, 0)
	c := s.ask("call")
	if len(s.starved) != 1 {
		t.Errorf("starved is told %d times, want once", len(s.starved))
	}
	s.enter()
	s.next().answer()
	s.expect(c, "call")
	rest := []*asked{s.ask("one"), s.ask("two"), s.ask("three")}
	if len(s.starved) != 1 {
		t.Error("starved is told while a worker serves")
	}
	for _, c := range rest {
		a := s.next()
		a.answer()
		s.expect(c, a.name)
	}
}

func TestDispatcher_LoadSaysWhatThereIsToDo(t *testing.T) {
	s := newStage(t, small, 1)
	s.enter()
	if got := s.load(); got != (load{idle: 2}) {
		t.Errorf("load() = %+v of an idle pool, want two idle workers", got)
	}
	calls := map[string]*asked{}
	for _, name := range names("call", 1, 5) {
		calls[name] = s.ask(name)
	}
	acts := []*act{s.next(), s.next()}
	got := s.load()
	if got.oldest <= 0 {
		t.Errorf("load() = %+v, want to see how long the oldest call has waited", got)
	}
	got.oldest = 0
	if got != (load{queued: 1, ahead: 2, peak: 5}) {
		t.Errorf("load() = %+v, want 1 queued, 2 laid out ahead, 5 at most", got)
	}
	for i := range 5 {
		if i >= len(acts) {
			acts = append(acts, s.next())
		}
		acts[i].answer()
		s.expect(calls[acts[i].name], acts[i].name)
	}
	if got := s.load(); got.peak != 5 || got.idle != 2 || got.oldest != 0 {
		t.Errorf("load() = %+v, want the peak of 5 since the last one, and nothing to do", got)
	}
	if got := s.load(); got.peak != 0 {
		t.Errorf("load() = %+v, want no peak: there was no call since", got)
	}
}

func TestDispatcher_LoseTellsWhatTheWorkerRan(t *testing.T) {
	sizes := small
	sizes.Threads, sizes.Slots = 2, 4
	s := newStage(t, sizes, 1)
	done, a := s.start(wsgi.Request{Environ: packed("/done")})
	a.answer() // and nobody reads it
	left, b := s.start(wsgi.Request{Environ: packed("/left")})
	left.End()
	runs, _ := s.start(wsgi.Request{Environ: packed("/runs")})
	ahead := s.newCall()
	s.begin(ahead, wsgi.Request{Environ: packed("/ahead")})
	f := b.by
	f.die("killed by SIGSEGV")
	var got []string
	for _, c := range f.ran {
		got = append(got, c.request)
		if c.id != "0123456789abcdef" || c.elapsed < 0 || c.elapsed > patience {
			t.Errorf("lose() tells of %+v, want its id and how long it has run", c)
		}
	}
	slices.Sort(got)
	equal(t, "the dead worker ran", got, []string{"POST /left", "POST /runs"})
	s.end(runs, "")
	s.end(ahead, "")
	if body, err := readAnswer(done); !strings.Contains(body, "/done") || err != nil {
		t.Errorf("the answer that was complete = %q, %v", body, err)
	}
	s.end(done, "")
}

// TestWatch_RestsAndWakes runs the watch itself, with its own clock.
func TestWatch_RestsAndWakes(t *testing.T) {
	s := newStage(t, small, 1)
	s.limits.timeout = 20 * tickLeast
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { s.watch(stop); close(stopped) }()
	for range 2 {
		until(t, "the watch rests", func() bool { return locked(s.dispatcher, func() bool { return s.watched.asleep }) })
		c := s.ask("slow")
		a := s.next()
		var late *wsgi.TimeoutError
		if got := await(t, c.answered, "the call fails"); !errors.As(got.err, &late) || late.Elapsed < s.limits.timeout {
			t.Errorf("the call ended with %+v, want a TimeoutError after %s or more", got, s.limits.timeout)
		}
		a.finish(func(x *channeltest.Exchange) { x.Finish(channeltest.Dropped, "") })
		await(t, s.expired, "the expiry is told")
	}
	close(stop)
	await(t, stopped, "the watch ends")
}

// TestWatch_TakesOverChangedLimits: a call that works already is held to them.
func TestWatch_TakesOverChangedLimits(t *testing.T) {
	s := newStage(t, small, 1)
	s.limits.timeout = time.Hour
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { s.watch(stop); close(stopped) }()
	c := s.ask("slow")
	a := s.next()
	s.change(Limits{Timeout: tickLeast}.ofCalls())
	var late *wsgi.TimeoutError
	if got := await(t, c.answered, "the call fails"); !errors.As(got.err, &late) {
		t.Errorf("the call ended with %+v, want a TimeoutError", got)
	}
	a.finish(func(x *channeltest.Exchange) { x.Finish(channeltest.Dropped, "") })
	await(t, s.expired, "the expiry is told")
	close(stop)
	await(t, stopped, "the watch ends")
}

func TestWatch_TicksAsOftenAsItsLimitsNeed(t *testing.T) {
	for _, c := range []struct {
		limits limits
		want   time.Duration
	}{
		{limits{}, tickMost},
		{limits{timeout: 30 * time.Second, queueTimeout: 30 * time.Second}, tickMost},
		{limits{timeout: time.Second}, 50 * time.Millisecond},
		{limits{timeout: time.Second, queueTimeout: 400 * time.Millisecond}, 20 * time.Millisecond},
		{limits{timeout: time.Millisecond}, tickLeast},
	} {
		if got := c.limits.tick(); got != c.want {
			t.Errorf("%+v.tick() = %s, want %s", c.limits, got, c.want)
		}
	}
}
