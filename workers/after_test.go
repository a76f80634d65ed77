package workers

// Functions after the response: the answer is over, its thread is not free.

import (
	"errors"
	"testing"

	"gowsgi/embed/channel/channeltest"
	"gowsgi/wsgi"
)

// afterwards has the thread wait until the client has the answer, and finish
// once the test says so; the result is closed when the functions would run.
func (a *act) afterwards(fault string, proceed <-chan struct{}) <-chan struct{} {
	runs := make(chan struct{})
	go a.finish(func(x *channeltest.Exchange) {
		x.AwaitSent()
		close(runs)
		select {
		case <-proceed:
			x.FinishAfter(fault)
		case <-a.by.dead:
		}
	})
	return runs
}

func never(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
		t.Error(what)
	default:
	}
}

func TestAfter_TheAnswerIsOverBeforeTheFunctionsRun(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(*channeltest.Exchange)
		body   string
		fails  bool
		leave  func(*Call) (string, bool)
		told   string // what leave returns
		added  string // what the functions complain about
	}{
		"blocks": {func(x *channeltest.Exchange) {
			x.Begin(head200, []byte("whole"), -1)
			x.Answered(channeltest.Complete, "")
		}, "whole", false, (*Call).End, "", ""},
		"a list of one": {func(x *channeltest.Exchange) {
			x.Begin(head200, []byte("whole"), 5)
			x.Answered(channeltest.Complete, "")
		}, "whole", false, (*Call).Detach, "", ""},
		"close() fails, and a function": {func(x *channeltest.Exchange) {
			x.Begin(head200, []byte("whole"), -1)
			x.Answered(channeltest.Complete, "Traceback: close")
		}, "whole", false, (*Call).Detach, "Traceback: close", "Traceback: function"},
		"the application fails": {func(x *channeltest.Exchange) {
			x.Answered(channeltest.Raised, "Traceback: application")
		}, "", true, (*Call).End, "", "Traceback: function"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, small, 1)
			call, a := s.start(wsgi.Request{Environ: []byte("asked")})
			a.let(c.answer)
			proceed := make(chan struct{})
			runs := a.afterwards(c.added, proceed)
			body, err := readAnswer(call)
			var failed *wsgi.ApplicationError
			if body != c.body || errors.As(err, &failed) != c.fails || !c.fails && err != nil {
				t.Errorf("the answer = %q, %v, want %q", body, err, c.body)
			}
			never(t, runs, "the functions run before the client has everything")
			if traceback, again := c.leave(call); traceback != c.told || again {
				t.Errorf("leaving the call = %q, %v, want %q, false", traceback, again, c.told)
			}
			await(t, runs, "the functions run")
			next := s.ask("next")
			s.nothingBegins() // the thread is busy
			close(proceed)
			s.next().answer()
			s.expect(next, "next")
			s.vacated(a.by)
			if c.added != "" {
				if got := await(t, s.complaints, "the function's traceback is told"); got != c.added {
					t.Errorf("complain(%q), want %q", got, c.added)
				}
			}
			if len(s.complaints) != 0 {
				t.Errorf("complain(%q), want nothing more", <-s.complaints)
			}
			if n := s.leftovers.Load(); n != 0 {
				t.Errorf("%d leftovers are counted, want 0", n)
			}
		})
	}
}

// The client has the answer by its length before the application is through.
func TestAfter_FunctionsOfADetachedCallRunAtOnce(t *testing.T) {
	s := newStage(t, small, 1)
	c, a := s.answered("whole")
	if _, again := c.Detach(); again {
		t.Error("Detach() = true of a running call, want false")
	}
	a.let(func(x *channeltest.Exchange) { x.Answered(channeltest.Complete, "Traceback: close\n") })
	proceed := make(chan struct{})
	await(t, a.afterwards("Traceback: function\n", proceed), "the functions run")
	close(proceed)
	s.vacated(a.by)
	if got := await(t, s.complaints, "both are told"); got != "Traceback: close\nTraceback: function\n" {
		t.Errorf("complain(%q), want both tracebacks", got)
	}
}

func TestAfter_FunctionsRunForAClientThatLeft(t *testing.T) {
	s := newStage(t, small, 1)
	c, a := s.start(wsgi.Request{Environ: []byte("asked")})
	if _, again := c.End(); again {
		t.Error("End() = true of a running call, want false")
	}
	a.let(func(x *channeltest.Exchange) { x.Answered(channeltest.Dropped, "") })
	proceed := make(chan struct{})
	await(t, a.afterwards("Traceback: function", proceed), "the functions run")
	close(proceed)
	s.vacated(a.by)
	if got := await(t, s.complaints, "the traceback is told"); got != "Traceback: function" {
		t.Errorf("complain(%q), want the function's traceback", got)
	}
}

// Whoever carries the request body must not wait for the functions.
func TestAfter_NobodyReadsTheRequestBody(t *testing.T) {
	s := newStage(t, small, 1)
	c, a := s.start(wsgi.Request{Environ: []byte("asked"), BodyMore: true, BodyLength: 9000})
	full, err := c.Room()
	if err != nil {
		t.Fatal(err)
	}
	c.Filled(len(full))
	carried := make(chan error, 1)
	go func() { _, err := c.Room(); carried <- err }()
	a.let(func(x *channeltest.Exchange) { x.Answered(channeltest.Raised, "T") })
	if err := await(t, carried, "the carrier is told"); err == nil {
		t.Error("Room() = nil, want an end")
	}
	proceed := make(chan struct{})
	close(proceed)
	a.afterwards("", proceed)
	if _, _, _, err := c.Head(nil); err == nil {
		t.Error("Head() = nil, want the application's failure")
	}
	if _, again := c.End(); again {
		t.Error("End() = true while functions run, want false")
	}
	s.vacated(a.by)
}

// The answer was complete; only the functions are lost.
func TestAfter_TheAnswerOutlivesItsWorker(t *testing.T) {
	for name, when := range map[string]bool{"before it is read": true, "after it is left": false} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, small, 1)
			c, a := s.start(wsgi.Request{Environ: []byte("asked")})
			a.let(func(x *channeltest.Exchange) {
				x.Begin(head200, []byte("whole"), -1)
				x.Answered(channeltest.Complete, "")
			})
			if when {
				a.by.die("killed by SIGKILL")
			}
			if body, err := readAnswer(c); body != "whole" || err != nil {
				t.Errorf("the answer = %q, %v, want it whole", body, err)
			}
			if _, again := c.End(); again != when {
				t.Errorf("End() = %v, want %v", again, when)
			}
			if !when {
				a.by.die("killed by SIGKILL")
			}
			s.vacated(a.by)
			if n := s.leftovers.Load(); n != 0 {
				t.Errorf("%d leftovers are counted, want 0", n)
			}
		})
	}
}

func TestAfter_TheFunctionsHaveALimitOfTheirOwn(t *testing.T) {
	const limit = testTimeout / 4
	for name, aborted := range map[string]bool{"the client has the answer": false, "the client left": true} {
		t.Run(name, func(t *testing.T) {
			s := newClock(t, 1)
			s.limits.afterTimeout = limit
			c, a := s.start(wsgi.Request{Environ: packed("/after")})
			s.later(0)
			s.later(testTimeout / 2)
			a.let(func(x *channeltest.Exchange) {
				x.Begin(head200, []byte("whole"), -1)
				x.Answered(channeltest.Complete, "")
			})
			if !aborted {
				if _, err := readAnswer(c); err != nil {
					t.Error(err)
				}
				s.pass(2 * testTimeout) // the client takes its time
				none(t, s.expired, "expired")
			}
			if _, again := c.End(); again {
				t.Error("End() = true while functions run, want false")
			}
			proceed := make(chan struct{})
			await(t, a.afterwards("", proceed), "the functions run")
			s.later(0)
			s.later(limit - 1)
			none(t, s.expired, "expired")
			s.later(1)
			want := casualty{request: "POST /after", id: "0123456789abcdef", after: true, elapsed: limit}
			if got := await(t, s.expired, "the expiry is told"); len(got.calls) != 1 || got.calls[0] != want {
				t.Errorf("expired(%+v), want %+v", got.calls, want)
			}
			s.later(limit)
			none(t, s.expired, "expired")
			close(proceed)
			s.vacated(a.by)
		})
	}
}

func TestAfter_NoLimitIsNone(t *testing.T) {
	s := newClock(t, 1)
	c, a := s.start(wsgi.Request{Environ: packed("/after")})
	a.let(func(x *channeltest.Exchange) { x.Answered(channeltest.Raised, "T") })
	if _, _, _, err := c.Head(nil); err == nil {
		t.Error("Head() = nil, want the application's failure")
	}
	if _, again := c.End(); again {
		t.Error("End() = true while functions run, want false")
	}
	proceed := make(chan struct{})
	await(t, a.afterwards("", proceed), "the functions run")
	s.pass(3 * testTimeout)
	none(t, s.expired, "expired")
	close(proceed)
	s.vacated(a.by)
}
