package workers

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"gowsgi/embed/channel"
	"gowsgi/embed/channel/channeltest"
	"gowsgi/environ"
	"gowsgi/wsgi"
)

// start begins a call and returns it with the exchange a thread has begun.
func (s *stage) start(r wsgi.Request) (*Call, *act) {
	s.Helper()
	c := s.newCall()
	s.begin(c, r)
	return c, s.next()
}

func (s *stage) begin(c *Call, r wsgi.Request) {
	s.Helper()
	if err := c.Begin(r); err != nil {
		s.Fatalf("Begin(%q) = %v", r.Environ, err)
	}
}

// end ends a call that must be usable again.
func (s *stage) end(c *Call, complaint string) {
	s.Helper()
	if traceback, again := c.End(); traceback != complaint || !again {
		s.Errorf("End() = %q, %v, want %q, true", traceback, again, complaint)
	}
}

func TestCall_GivesHeadLengthAndBody(t *testing.T) {
	s := newStage(t, small, 1)
	c, a := s.start(wsgi.Request{Environ: []byte("environ")})
	if a.name != "environ" {
		t.Errorf("the worker sees %q, want the environ", a.name)
	}
	head := channeltest.PackHead("404 Not Found", [2]string{"A", "1"}, [2]string{"Set-Cookie", "x"}, [2]string{"Set-Cookie", "y"})
	a.finish(func(x *channeltest.Exchange) { x.Single(head, []byte("body")) })
	status, fields, length, err := c.Head(nil)
	if string(status) != "404 Not Found" || length != 4 || err != nil {
		t.Errorf("Head() = %q, %d, %v, want the status and 4", status, length, err)
	}
	var got []string
	for _, f := range fields {
		got = append(got, string(f.Name)+"="+string(f.Value))
	}
	equal(t, "headers", got, []string{"A=1", "Set-Cookie=x", "Set-Cookie=y"})
	for range 2 {
		if p, err := c.Body(); string(p) != "body" || err != nil {
			t.Errorf("Body() = %q, %v, want the body until it is consumed", p, err)
		}
	}
	c.Consumed(3)
	if p, err := c.Body(); string(p) != "y" || err != nil {
		t.Errorf("Body() = %q, %v, want its last byte", p, err)
	}
	c.Consumed(1)
	for range 2 {
		if p, err := c.Body(); len(p) != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("Body() = %q, %v, want io.EOF", p, err)
		}
	}
	s.end(c, "")
}

func TestCall_PassesBlocksOnBeforeTheNext(t *testing.T) {
	s := newStage(t, small, 1)
	c, a := s.start(wsgi.Request{})
	a.let(func(x *channeltest.Exchange) { x.Begin(head200, []byte("one"), -1) })
	if status, _, length, err := c.Head(nil); string(status) != "200 OK" || length != -1 || err != nil {
		t.Errorf("Head() = %q, %d, %v, want 200 OK and no length", status, length, err)
	}
	for _, block := range []string{"one", "two", "three"} {
		if block != "one" {
			a.let(func(x *channeltest.Exchange) { _, _ = x.Write([]byte(block)) })
		}
		if p, err := c.Body(); string(p) != block || err != nil {
			t.Errorf("Body() = %q, %v, want %q while the application is at the next", p, err, block)
		}
		c.Consumed(len(block))
	}
	a.finish(func(x *channeltest.Exchange) { x.Finish(channeltest.Complete, "") })
	if _, err := c.Body(); !errors.Is(err, io.EOF) {
		t.Errorf("Body() = %v, want io.EOF", err)
	}
	s.end(c, "")
}

// Hints come before the head, whenever the front looks; without one, too.
func TestCall_PassesHintsOn(t *testing.T) {
	hint := func(value string) func(*channeltest.Exchange) {
		return func(x *channeltest.Exchange) { x.Hint([2]string{"Link", value}) }
	}
	for name, end := range map[string]func(*channeltest.Exchange){
		"answered": func(x *channeltest.Exchange) { x.Single(head200, []byte("body")) },
		"failed":   func(x *channeltest.Exchange) { x.Finish(channeltest.Raised, "it raised") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, small, 1)
			hints := make(chan string, 9)
			c, a := s.start(wsgi.Request{EarlyHints: func(fields []environ.Header) { hints <- string(fields[0].Value) }})
			failed := make(chan error, 1)
			go func() {
				_, _, _, err := c.Head(nil)
				failed <- err
			}()
			a.let(hint("one")) // the client sees it while the application works on
			if got := await(t, hints, "a hint"); got != "one" {
				t.Errorf("hint = %q, want one", got)
			}
			a.let(hint("two"))
			a.let(hint("three"))
			a.finish(end)
			err := await(t, failed, "the head")
			if got := await(t, hints, "a hint") + await(t, hints, "a hint"); got != "twothree" {
				t.Errorf("hints = %q, want two and three", got)
			}
			var application *wsgi.ApplicationError
			if errors.As(err, &application) != (name == "failed") {
				t.Errorf("Head() = %v", err)
			}
			if err == nil {
				if body, err := readBody(c); body != "body" || err != nil {
					t.Errorf("body = %q, %v, want body", body, err)
				}
			}
			s.end(c, "")
		})
	}
}

// A backend without anybody to tell drops them.
func TestCall_DropsHintsNobodyWants(t *testing.T) {
	s := newStage(t, small, 1)
	c, a := s.start(wsgi.Request{})
	a.let(func(x *channeltest.Exchange) { x.Hint([2]string{"Link", "x"}) })
	a.finish(func(x *channeltest.Exchange) { x.Single(head200, []byte("body")) })
	if answer, err := readAnswer(c); !strings.Contains(answer, "body") || err != nil {
		t.Errorf("answer = %q, %v, want the body", answer, err)
	}
	s.end(c, "")
}

func TestCall_TellsHowTheApplicationFailed(t *testing.T) {
	for name, play := range map[string]struct {
		act       func(*channeltest.Exchange)
		head      bool // a head comes first
		body      string
		traceback string
	}{
		"before the head": {func(x *channeltest.Exchange) {
			x.Finish(channeltest.Raised, "Traceback: early")
		}, false, "", "Traceback: early"},
		"after the head": {func(x *channeltest.Exchange) {
			x.Begin(head200, []byte("sent"), -1)
			x.Finish(channeltest.Raised, "Traceback: late")
		}, true, "sent", "Traceback: late"},
		"without a traceback": {func(x *channeltest.Exchange) {
			x.Finish(channeltest.Raised, "")
		}, false, "", "the application ended without an answer\n"},
		"complete without a head": {func(x *channeltest.Exchange) {
			x.Finish(channeltest.Complete, "")
		}, false, "", "the application ended without an answer\n"},
		"dropped by itself": {func(x *channeltest.Exchange) {
			x.Begin(head200, nil, -1)
			x.Finish(channeltest.Dropped, "")
		}, true, "", "the application ended without an answer\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, small, 1)
			c, a := s.start(wsgi.Request{})
			a.finish(play.act)
			_, _, _, err := c.Head(nil)
			if (err == nil) != play.head {
				t.Fatalf("Head() = %v, want a head: %v", err, play.head)
			}
			var body string
			if play.head {
				body, err = readBody(c)
			}
			var failed *wsgi.ApplicationError
			if !errors.As(err, &failed) || failed.Traceback != play.traceback || body != play.body {
				t.Errorf("the answer = %q, %v (%+v), want %q and the traceback %q", body, err, failed, play.body, play.traceback)
			}
			s.end(c, "") // not told again
		})
	}
}

func TestCall_EndTellsWhatCloseComplainedAbout(t *testing.T) {
	s := newStage(t, small, 1)
	c, a := s.start(wsgi.Request{})
	a.finish(func(x *channeltest.Exchange) {
		x.Begin(head200, []byte("whole"), 5)
		x.Finish(channeltest.Complete, "Traceback: in close()")
	})
	if body, err := readAnswer(c); body != "whole" || err != nil {
		t.Errorf("the answer = %q, %v, want it whole: close() comes after it", body, err)
	}
	s.end(c, "Traceback: in close()")
}

func TestCall_RefusesWhatDoesNotFit(t *testing.T) {
	s := newStage(t, small, 1)
	c := s.newCall()
	for name, r := range map[string]wsgi.Request{
		"environ": {Environ: make([]byte, small.Environ+1)},
		"body":    {Body: make([]byte, small.Body+1)},
	} {
		if err := c.Begin(r); !errors.Is(err, wsgi.ErrTooLarge) {
			t.Errorf("Begin() with a large %s = %v, want ErrTooLarge", name, err)
		}
		s.end(c, "")
	}
	if c.BodyLimit() != small.Body {
		t.Errorf("BodyLimit() = %d, want %d", c.BodyLimit(), small.Body)
	}
	largest := wsgi.Request{Environ: make([]byte, small.Environ), Body: make([]byte, small.Body)}
	s.begin(c, largest)
	s.next().answer()
	if _, err := readAnswer(c); err != nil {
		t.Errorf("a call after refused ones = %v, want an answer", err)
	}
	s.end(c, "")
}

// TestCall_GivesTheSeatBackBeforeTheClientHasRead: a finished answer is copied,
// so that a client that reads slowly occupies no worker.
func TestCall_GivesTheSeatBackBeforeTheClientHasRead(t *testing.T) {
	s := newStage(t, small, 1)
	c, a := s.start(wsgi.Request{Environ: []byte("slow client")})
	body := strings.Repeat("b", 3000)
	a.finish(func(x *channeltest.Exchange) { x.Single(head200, []byte(body)) })
	if _, _, _, err := c.Head(nil); err != nil {
		t.Fatal(err)
	}
	if n := locked(s.dispatcher, func() int { return s.cast[0].worker.taken() }); n != 0 {
		t.Errorf("%d seats are taken, want none: everything has been copied", n)
	}
	for _, name := range names("other", 1, 3) { // they overwrite the slot
		other := s.ask(name)
		s.next().answer()
		s.expect(other, name)
	}
	if got, err := readBody(c); got != body || err != nil {
		t.Errorf("the answer = %d bytes, %v, want the %d sent", len(got), err, len(body))
	}
	s.end(c, "")
}

// TestCall_HoldsItsSeatWhileABodyMayStillCome: the goroutine that brings the
// body may be writing into the slot until End.
func TestCall_HoldsItsSeatWhileABodyMayStillCome(t *testing.T) {
	s := newStage(t, small, 1)
	c, a := s.start(wsgi.Request{Environ: []byte("upload"), BodyMore: true, BodyLength: -1})
	room, err := c.Room()
	if err != nil || len(room) != small.Body {
		t.Fatalf("Room() = %d bytes, %v, want %d", len(room), err, small.Body)
	}
	a.finish(func(x *channeltest.Exchange) { x.Single(head200, []byte("enough")) })
	if body, err := readAnswer(c); body != "enough" || err != nil {
		t.Errorf("the answer = %q, %v", body, err)
	}
	waiting, other := s.ask("waiting"), s.ask("other")
	if got := locked(s.dispatcher, func() int { return s.queue.length }); got != 1 {
		t.Errorf("%d calls are queued, want 1: the upload still holds one of two seats", got)
	}
	c.Filled(copy(room, "late bytes"))
	c.EndBody(false)
	if _, err := c.Room(); !errors.Is(err, io.EOF) {
		t.Errorf("Room() = %v after the answer, want io.EOF", err)
	}
	if err := c.Wanted(); !errors.Is(err, io.EOF) {
		t.Errorf("Wanted() = %v after the answer, want io.EOF", err)
	}
	s.end(c, "")
	for name, c := range map[string]*asked{"waiting": waiting, "other": other} {
		defer s.expect(c, name)
	}
	s.next().answer()
	s.next().answer()
}

// carry brings body as the gateway's second goroutine does.
func carry(c *Call, body []byte, complete bool) {
	for len(body) > 0 {
		room, err := c.Room()
		if err != nil {
			return
		}
		n := copy(room, body)
		c.Filled(n)
		body = body[n:]
	}
	if _, err := c.Room(); err == nil {
		c.EndBody(complete)
	}
}

func TestCall_CarriesALongBody(t *testing.T) {
	for name, wait := range map[string]func(*stage) (release func()){
		"begun at once":  func(*stage) func() { return func() {} },
		"queued":         func(s *stage) func() { return s.occupy(2) },
		"laid out ahead": func(s *stage) func() { return s.occupy(1) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, small, 1)
			release := wait(s)
			random := rand.New(rand.NewPCG(12, 13))
			body := make([]byte, 50_000)
			for i := range body {
				body[i] = byte(random.Uint32())
			}
			c := s.newCall()
			s.begin(c, wsgi.Request{Environ: []byte("upload"), Body: body[:100], BodyMore: true, BodyLength: -1})
			carried := make(chan struct{})
			go func() { carry(c, body[100:], true); close(carried) }()
			answered := make(chan answer, 1)
			go func() {
				got, err := readAnswer(c)
				answered <- answer{body: got, err: err}
			}()
			release()
			a := s.next()
			a.finish(echo)
			got := await(t, answered, "the body comes back")
			if !bytes.Equal([]byte(got.body), body) || got.err != nil {
				t.Errorf("%d bytes came back, %v, want the %d sent", len(got.body), got.err, len(body))
			}
			await(t, carried, "the carrier ends")
			s.end(c, "")
		})
	}
}

// occupy takes n seats, and returns what gives them back.
func (s *stage) occupy(n int) func() {
	var others []*asked
	for _, name := range names("before", 1, n) {
		others = append(others, s.ask(name))
	}
	return func() {
		for _, c := range others {
			a := s.next()
			a.answer()
			s.expect(c, a.name)
		}
	}
}

// echo answers with the body, block by block.
func echo(x *channeltest.Exchange) {
	x.Begin(head200, nil, -1)
	p := make([]byte, 1000)
	for {
		n, err := x.Read(p)
		if errors.Is(err, io.EOF) {
			x.Finish(channeltest.Complete, "")
			return
		}
		if err == nil {
			_, err = x.Write(p[:n])
		}
		if err != nil {
			x.Finish(channeltest.Raised, err.Error())
			return
		}
	}
}

func TestCall_BrokenBodyReachesTheApplication(t *testing.T) {
	s := newStage(t, small, 1)
	c, a := s.start(wsgi.Request{BodyMore: true, BodyLength: 10_000})
	go carry(c, []byte("half of it"), false)
	a.finish(echo)
	body, err := readAnswer(c)
	var failed *wsgi.ApplicationError
	if body != "half of it" || !errors.As(err, &failed) || failed.Traceback != channeltest.ErrBroken.Error() {
		t.Errorf("the answer = %q, %v, want what came and the application's error", body, err)
	}
	s.end(c, "")
}

func TestCall_WantedWaitsForTheApplication(t *testing.T) {
	s := newStage(t, small, 1)
	c, a := s.start(wsgi.Request{BodyMore: true, BodyLength: 4})
	wanted := make(chan error, 1)
	go func() { wanted <- c.Wanted() }()
	a.let(func(*channeltest.Exchange) {}) // runs, and has not read
	if len(wanted) != 0 {
		t.Fatal("Wanted() returned before the application read")
	}
	read := make(chan struct{})
	go func() {
		a.finish(echo)
		close(read)
	}()
	if err := await(t, wanted, "Wanted() returns"); err != nil {
		t.Errorf("Wanted() = %v, want nil", err)
	}
	go carry(c, []byte("body"), true)
	if body, err := readAnswer(c); body != "body" || err != nil {
		t.Errorf("the answer = %q, %v", body, err)
	}
	await(t, read, "the application ends")
	s.end(c, "")
}

// TestCall_AbortEndsTheBringingOfTheBody: the gateway waits for that goroutine
// before it ends the call.
func TestCall_AbortEndsTheBringingOfTheBody(t *testing.T) {
	for name, bring := range map[string]func(*Call) error{
		"Room": func(c *Call) error {
			room, err := c.Room()
			for err == nil { // until the ring is full
				c.Filled(len(room))
				room, err = c.Room()
			}
			return err
		},
		"Wanted": (*Call).Wanted,
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, small, 1)
			c, a := s.start(wsgi.Request{BodyMore: true, BodyLength: -1})
			ended := make(chan error, 1)
			go func() { ended <- bring(c) }()
			a.let(func(x *channeltest.Exchange) { x.Begin(head200, nil, -1) }) // and is busy then
			c.Abort()
			if err := await(t, ended, "the bringing ends while the application is busy"); !errors.Is(err, io.EOF) {
				t.Errorf("%s() = %v after Abort, want io.EOF", name, err)
			}
			if _, again := c.End(); again {
				t.Error("End() = true while the application is busy, want false")
			}
			a.finish(func(x *channeltest.Exchange) { x.Finish(channeltest.Dropped, "") })
			s.vacated(a.by)
		})
	}
}

// vacated waits until the worker has no call.
func (s *stage) vacated(f *fakeWorker) {
	s.Helper()
	until(s.T, "the seat is given back", func() bool {
		return locked(s.dispatcher, func() bool { return f.worker.taken() == 0 })
	})
}

func TestCall_AbandonedIsSweptOnce(t *testing.T) {
	for name, leave := range map[string]struct {
		end       func(*channeltest.Exchange)
		complaint string
	}{
		"it stops":     {func(x *channeltest.Exchange) { x.Finish(channeltest.Dropped, "") }, ""},
		"it raises":    {func(x *channeltest.Exchange) { x.Finish(channeltest.Raised, "Traceback") }, "Traceback"},
		"it answers":   {func(x *channeltest.Exchange) { x.Single(head200, []byte("late")) }, ""},
		"it does both": {func(x *channeltest.Exchange) { x.Begin(head200, nil, -1); x.Finish(channeltest.Raised, "T") }, "T"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, small, 1)
			c, a := s.start(wsgi.Request{Environ: []byte("left")})
			if traceback, again := c.End(); traceback != "" || again {
				t.Errorf("End() of a running call = %q, %v, want nothing, false", traceback, again)
			}
			a.let(func(x *channeltest.Exchange) {
				if !x.Aborted() {
					t.Error("the application is not told to stop")
				}
			})
			next := s.ask("next")
			s.nothingBegins()
			a.finish(leave.end)
			s.next().answer()
			s.expect(next, "next")
			s.vacated(a.by)
			if leave.complaint != "" {
				if got := await(t, s.complaints, "the traceback is told"); got != leave.complaint {
					t.Errorf("complain(%q), want %q", got, leave.complaint)
				}
			}
			if len(s.complaints) != 0 {
				t.Errorf("complain(%q), want nothing more", <-s.complaints)
			}
			if n := locked(s.dispatcher, func() int { return a.by.worker.served }); n != 2 {
				t.Errorf("%d calls are counted as served, want 2", n)
			}
		})
	}
}

// TestCall_AbandonedIsSweptAfterOtherNews: the announcement that was made when
// the client left is used up by news that are not the end.
func TestCall_AbandonedIsSweptAfterOtherNews(t *testing.T) {
	s := newStage(t, small, 1)
	c, a := s.start(wsgi.Request{})
	if _, again := c.End(); again {
		t.Error("End() = true of a running call, want false")
	}
	for range 3 {
		until(t, "the listener announces that it waits", a.Awaited)
		a.let(func(x *channeltest.Exchange) { x.Begin(head200, nil, -1) })
	}
	until(t, "the listener announces that it waits", a.Awaited)
	a.finish(func(x *channeltest.Exchange) { x.Finish(channeltest.Dropped, "") })
	s.vacated(a.by)
}

func TestCall_AbandonedIsForgottenWithItsWorker(t *testing.T) {
	s := newStage(t, small, 1)
	c, a := s.start(wsgi.Request{Environ: []byte("left")})
	if _, again := c.End(); again {
		t.Error("End() = true of a running call, want false")
	}
	a.by.die("killed by SIGKILL")
	if n := locked(s.dispatcher, func() int { return a.by.worker.taken() }); n != 0 {
		t.Errorf("the dead worker has %d calls, want none", n)
	}
}

func TestCall_LookingFindsAnAnswerWithoutABell(t *testing.T) {
	s := newStage(t, small, 1)
	c := s.newCall()
	c.lookout = &lookout{most: 1 << 30}
	c.lookout.luck.Store(1)
	s.begin(c, wsgi.Request{Environ: []byte("quick")})
	if !c.spin {
		t.Fatal("the call does not look for its answer, though a thread was idle")
	}
	answered := make(chan answer, 1)
	go func() {
		body, err := readAnswer(c)
		answered <- answer{body: body, err: err}
	}()
	s.next().answer()
	if got := await(t, answered, "the call is answered"); got.body != "[quick]" || got.err != nil {
		t.Errorf("the answer = %+v", got)
	}
	if luck := c.lookout.luck.Load(); luck != 2 {
		t.Errorf("luck = %d after a look that found the answer, want 2", luck)
	}
	s.end(c, "")
}

func TestCall_LookingInVainSleeps(t *testing.T) {
	s := newStage(t, small, 1)
	c := s.newCall()
	c.lookout = &lookout{most: 3}
	c.lookout.luck.Store(5)
	s.begin(c, wsgi.Request{Environ: []byte("slow")})
	answered := make(chan answer, 1)
	go func() {
		body, err := readAnswer(c)
		answered <- answer{body: body, err: err}
	}()
	a := s.next()
	until(t, "the looking ends", a.Awaited)
	a.answer()
	if got := await(t, answered, "the call is answered"); got.body != "[slow]" || got.err != nil {
		t.Errorf("the answer = %+v", got)
	}
	if luck := c.lookout.luck.Load(); luck != 4 {
		t.Errorf("luck = %d after a look in vain, want 4", luck)
	}
	s.end(c, "")
}

func TestCall_DamageIsAnError(t *testing.T) {
	for name, spoil := range map[string]channeltest.Damage{
		"head without length":  {ReplyWritten: 10},
		"head beyond the ring": {ReplyWritten: 10_000, HeadLength: 9_000},
		"head cut short":       {ReplyWritten: 3, HeadLength: 3},
		"more than the ring":   {ReplyWritten: 1 << 40, HeadLength: 8},
		"hint beyond the ring": {Hinted: 10_000},
	} {
		for _, state := range []uint64{channeltest.Answering, channeltest.Done} {
			t.Run(name, func(t *testing.T) {
				s := newStage(t, small, 1)
				c, a := s.start(wsgi.Request{})
				a.let(func(x *channeltest.Exchange) {
					spoil.State = uint64(x.Ticket())<<32 | state
					a.by.Spoil(x.Index, spoil, 0)
					a.by.Ring(x.Index)
				})
				_, _, _, err := c.Head(nil)
				if err == nil {
					_, err = readBody(c)
				}
				if !errors.Is(err, channel.ErrDamaged) {
					t.Errorf("the answer of a damaged slot = %v, want ErrDamaged", err)
				}
				c.Abort()
				_, _ = c.End()
			})
		}
	}
}

// A body file belongs to the call as long as a thread may ask for it, and to nobody
// afterwards.
func TestCall_LendsItsBodyFileWhileItRuns(t *testing.T) {
	s := newStage(t, small, 1)
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	c := &asked{s.newCall(), make(chan answer, 1)}
	if err := c.Begin(wsgi.Request{Environ: []byte("a"), File: file, BodyLength: 5}); err != nil {
		t.Fatal(err)
	}
	a := s.next()
	p, ticket := passer{s.dispatcher, s.cast[0].worker}, a.Ticket()
	if got := p.BodyFile(a.Index, ticket); got != file {
		t.Errorf("BodyFile() = %v while it runs, want the file", got)
	}
	if got := p.BodyFile(a.Index, ticket+1); got != nil {
		t.Errorf("BodyFile() = %v for another ticket, want none", got)
	}
	go func() {
		body, err := readAnswer(c.Call)
		_, again := c.End()
		c.answered <- answer{body, err, again}
	}()
	a.answer()
	s.expect(c, "a")
	if got := p.BodyFile(a.Index, ticket); got != nil {
		t.Errorf("BodyFile() = %v after the end, want none", got)
	}
	if err := file.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Close() of the file after the end = %v, want it closed", err)
	}
}

// However a call ends, its body file is closed.
func TestCall_ClosesItsBodyFileHoweverItEnds(t *testing.T) {
	for name, end := range map[string]func(*stage, *Call){
		"not begun, withdrawn": func(_ *stage, c *Call) { c.End() },
		"its worker is lost": func(s *stage, c *Call) {
			s.next()
			s.cast[0].die("test")
			c.End()
		},
		"abandoned, then finished": func(s *stage, c *Call) {
			a := s.next()
			c.End()
			a.answer()
		},
		"abandoned, then lost": func(s *stage, c *Call) {
			s.next()
			c.End()
			s.cast[0].die("test")
		},
		"too large": func(_ *stage, c *Call) { c.End() },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, small, 1)
			file, err := os.CreateTemp(t.TempDir(), "")
			if err != nil {
				t.Fatal(err)
			}
			c := s.newCall()
			environ := []byte("a")
			if name == "too large" {
				environ = make([]byte, small.Environ+1)
			}
			if name == "not begun, withdrawn" {
				other := s.ask("other")
				a := s.next()
				defer func() { a.answer(); s.expect(other, "other") }()
			}
			_ = c.Begin(wsgi.Request{Environ: environ, File: file, BodyLength: 5}) // too large is an error
			end(s, c)
			until(t, "the file is closed", func() bool {
				_, err := file.Stat()
				return errors.Is(err, os.ErrClosed)
			})
		})
	}
}
