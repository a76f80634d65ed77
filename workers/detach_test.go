package workers

import (
	"testing"

	"gowsgi/embed/channel/channeltest"
	"gowsgi/wsgi"
)

// answered starts a call, has it publish head and body, and reads both.
func (s *stage) answered(body string) (*Call, *act) {
	s.Helper()
	c, a := s.start(wsgi.Request{Environ: []byte("asked")})
	a.let(func(x *channeltest.Exchange) { x.Begin(head200, []byte(body), -1) })
	if _, _, _, err := c.Head(nil); err != nil {
		s.Fatalf("Head() = %v", err)
	}
	p, err := c.Body()
	if err != nil || string(p) != body {
		s.Fatalf("Body() = %q, %v, want %q", p, err, body)
	}
	c.Consumed(len(p))
	return c, a
}

func TestCall_DetachedComesToItsEndByItself(t *testing.T) {
	for name, end := range map[string]struct {
		finish    func(*channeltest.Exchange)
		complaint string
	}{
		"it ends":         {func(x *channeltest.Exchange) { x.Finish(channeltest.Complete, "") }, ""},
		"close() fails":   {func(x *channeltest.Exchange) { x.Finish(channeltest.Complete, "Traceback: close") }, "Traceback: close"},
		"iteration fails": {func(x *channeltest.Exchange) { x.Finish(channeltest.Raised, "Traceback: next") }, "Traceback: next"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, small, 1)
			c, a := s.answered("whole")
			if traceback, again := c.Detach(); traceback != "" || again {
				t.Errorf("Detach() of a running call = %q, %v, want nothing, false", traceback, again)
			}
			a.let(func(x *channeltest.Exchange) {
				if x.Aborted() {
					t.Error("the application is told to stop, want it left alone")
				}
			})
			a.finish(end.finish)
			s.vacated(a.by)
			if end.complaint != "" {
				if got := await(t, s.complaints, "the traceback is told"); got != end.complaint {
					t.Errorf("complain(%q), want %q", got, end.complaint)
				}
			}
			if n := s.leftovers.Load(); n != 0 {
				t.Errorf("%d leftovers are counted, want 0", n)
			}
			next := s.ask("next")
			s.next().answer()
			s.expect(next, "next")
		})
	}
}

// An application that goes on sending behind its Content-Length would wait for
// room that nobody makes.
func TestCall_DetachedIsStoppedWhenItSendsMore(t *testing.T) {
	s := newStage(t, small, 1)
	c, a := s.answered("whole")
	if _, again := c.Detach(); again {
		t.Error("Detach() = true of a running call, want false")
	}
	a.let(func(x *channeltest.Exchange) { x.Begin(head200, []byte("whole and more"), -1) })
	await(t, s.complaints, "the excess is told")
	until(t, "the application is told to stop", a.Aborted)
	a.finish(func(x *channeltest.Exchange) { x.Finish(channeltest.Dropped, "") })
	s.vacated(a.by)
	if n := s.leftovers.Load(); n != 0 {
		t.Errorf("%d leftovers are counted, want 0", n)
	}
}

func TestCall_DetachedIsForgottenWithItsWorker(t *testing.T) {
	s := newStage(t, small, 1)
	c, a := s.answered("whole")
	if _, again := c.Detach(); again {
		t.Error("Detach() = true of a running call, want false")
	}
	a.by.die("killed by SIGKILL")
	if n := locked(s.dispatcher, func() int { return a.by.worker.taken() }); n != 0 {
		t.Errorf("the dead worker has %d calls, want none", n)
	}
	if n := s.leftovers.Load(); n != 0 {
		t.Errorf("%d leftovers are counted, want 0", n)
	}
}

func TestCall_DetachedWhenSettledCanBeginAgain(t *testing.T) {
	s := newStage(t, small, 1)
	c, a := s.start(wsgi.Request{Environ: []byte("asked")})
	a.answer()
	if _, _, _, err := c.Head(nil); err != nil {
		t.Fatalf("Head() = %v", err)
	}
	if traceback, again := c.Detach(); traceback != "" || !again {
		t.Errorf("Detach() of a settled call = %q, %v, want nothing, true", traceback, again)
	}
}
