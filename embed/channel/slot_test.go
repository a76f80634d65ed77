package channel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"gowsgi/embed/channel/channeltest"
)

func TestState_HasAName(t *testing.T) {
	for state, want := range map[State]string{
		Free: "free", Ready: "ready", Running: "running", Answering: "answering",
		Aborted: "aborted", Done: "done", Done + 1: "damaged", 255: "damaged",
	} {
		if got := state.String(); got != want {
			t.Errorf("State(%d).String() = %q, want %q", state, got, want)
		}
	}
}

// TestSlot_GoesOnlyWhereItsLifeAllows applies every move of either side to
// every state, and some that are no state at all.
func TestSlot_GoesOnlyWhereItsLifeAllows(t *testing.T) {
	const ticket, thread = 7, 5
	moves := map[string]struct {
		make func(*Slot, *channeltest.Worker) bool // true: it says it has moved the slot
		to   map[State]State                       // all others stay
	}{
		"TakeBack": {func(s *Slot, _ *channeltest.Worker) bool { return s.TakeBack() },
			map[State]State{Ready: Free}},
		"Abort": {func(s *Slot, _ *channeltest.Worker) bool {
			before, _ := s.State()
			s.Abort()
			after, _ := s.State()
			return before != after
		}, map[State]State{Running: Aborted, Answering: Aborted}},
		"the worker's Take": {func(_ *Slot, w *channeltest.Worker) bool { return w.Take(thread) != nil },
			map[State]State{Ready: Running}},
	}
	for name, move := range moves {
		for from := range State(8) {
			t.Run(fmt.Sprintf("%s of %v %d", name, from, from), func(t *testing.T) {
				s, w := newPair(t, small)
				slot := s.Slot(1)
				w.SetState(1, ticket<<32|uint64(from))
				to, moves := move.to[from]
				if !moves {
					to = from
				}
				if got := move.make(slot, w); got != moves {
					t.Errorf("it moved: %v, want %v", got, moves)
				}
				state, now := slot.State()
				if state != to || to != Free && now != ticket {
					t.Errorf("State() = %v, %d, want %v, %d", state, now, to, ticket)
				}
			})
		}
	}
}

// TestSlot_LivesItsWholeLife walks each path from FREE to FREE.
func TestSlot_LivesItsWholeLife(t *testing.T) {
	head := channeltest.PackHead("200 OK")
	for name, walk := range map[string]struct {
		after   func(*Slot, *channeltest.Exchange)
		states  []State
		outcome Outcome
	}{
		"single block": {func(_ *Slot, x *channeltest.Exchange) { x.Single(head, nil) }, nil, Complete},
		"raised at once": {func(_ *Slot, x *channeltest.Exchange) {
			x.Finish(channeltest.Raised, "Traceback")
		}, nil, Raised},
		"head first": {func(s *Slot, x *channeltest.Exchange) {
			x.Begin(head, nil, -1)
			expect(t, s, Answering)
			x.Finish(channeltest.Complete, "")
		}, nil, Complete},
		"aborted before the head": {func(s *Slot, x *channeltest.Exchange) {
			s.Abort()
			expect(t, s, Aborted)
			x.Begin(head, nil, -1) // must not bring it back to life
			expect(t, s, Aborted)
			x.Finish(channeltest.Dropped, "")
		}, nil, Dropped},
		"aborted after the head": {func(s *Slot, x *channeltest.Exchange) {
			x.Begin(head, nil, -1)
			s.Abort()
			s.Abort()
			expect(t, s, Aborted)
			x.Finish(channeltest.Dropped, "")
		}, nil, Dropped},
		"aborted too late": {func(s *Slot, x *channeltest.Exchange) {
			x.Single(head, nil)
			s.Abort()
		}, nil, Complete},
	} {
		t.Run(name, func(t *testing.T) {
			s, w := newPair(t, small)
			slot := s.Slot(2)
			expect(t, slot, Free)
			slot.Offer(Request{Environ: []byte("e")}, 42, WaitReply)
			expect(t, slot, Ready)
			x := w.Take(0)
			if x == nil || x.Index != 2 || x.Ticket() != 42 {
				t.Fatalf("Take() = %+v, want slot 2 with ticket 42", x)
			}
			expect(t, slot, Running)
			if slot.TakeBack() {
				t.Error("TakeBack() = true of a running exchange, want false")
			}
			walk.after(slot, x)
			expect(t, slot, Done)
			if _, ticket := slot.State(); ticket != 42 {
				t.Errorf("ticket of the finished exchange = %d, want 42", ticket)
			}
			if got := slot.Outcome(); got != walk.outcome {
				t.Errorf("Outcome() = %v, want %v", got, walk.outcome)
			}
			slot.Release()
			expect(t, slot, Free)
		})
	}
}

func expect(t *testing.T, s *Slot, want State) {
	t.Helper()
	if got, _ := s.State(); got != want {
		t.Errorf("State() = %v, want %v", got, want)
	}
}

func TestSlot_OfferForgetsTheExchangeBefore(t *testing.T) {
	s, w := newPair(t, small)
	slot := s.Slot(0)
	w.Spoil(0, channeltest.Damage{
		BodyConsumed: 9, ReplyWritten: 9, ReplyLength: 9, HeadLength: 9, Hinted: 20,
		Outcome: channeltest.Raised, FaultLength: 9, BodyWanted: 1, Waits: 3,
	}, 0)
	slot.header.replyConsumed = 9
	slot.Offer(Request{Environ: []byte("environ"), Body: []byte("body"), BodyMore: true, BodyLength: -1}, 1, 0)
	if head, length, err := slot.Head(); head != nil || length != -1 || err != nil {
		t.Errorf("Head() = %q, %d, %v, want nothing yet", head, length, err)
	}
	if _, size, err := slot.Hint(); size != 0 || err != nil {
		t.Errorf("Hint() = %d, %v, want nothing yet", size, err)
	}
	if p, err := slot.Published(); len(p) != 0 || err != nil {
		t.Errorf("Published() = %q, %v, want nothing yet", p, err)
	}
	if slot.BodyWanted() {
		t.Error("BodyWanted() = true, want false")
	}
	if slot.Fault() != "" || slot.Outcome() != Complete {
		t.Errorf("Fault() = %q, Outcome() = %v, want none", slot.Fault(), slot.Outcome())
	}
	if room, err := slot.Room(); len(room) != len(slot.body)-4 || err != nil {
		t.Errorf("Room() = %d bytes, %v, want %d", len(room), err, len(slot.body)-4)
	}
	x := w.Take(0)
	if string(x.Environ()) != "environ" || x.BodyLength() != -1 {
		t.Errorf("the worker sees environ %q and body length %d", x.Environ(), x.BodyLength())
	}
}

func TestSlot_OldestTicketIsBegunFirst(t *testing.T) {
	for _, first := range []uint32{1, 1<<31 - 2, 1<<32 - 2} { // tickets wrap around
		s, w := newPair(t, small)
		for i, order := range []int{2, 0, 3, 1} { // slot order[i] gets the i-th ticket
			s.Slot(order).Offer(Request{}, first+uint32(i), 0)
		}
		for i, want := range []int{2, 0, 3, 1} {
			if x := w.Take(0); x == nil || x.Index != want {
				t.Fatalf("tickets from %d: Take() number %d = %+v, want slot %d", first, i, x, want)
			}
		}
		if x := w.Take(0); x != nil {
			t.Errorf("Take() = slot %d with nothing ready, want nil", x.Index)
		}
	}
}

// TestSlot_BodyRingCarriesEveryByte pushes bodies through a ring much smaller
// than they are, in pieces of random sizes on both sides.
func TestSlot_BodyRingCarriesEveryByte(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 4))
		body := randomBytes(random, random.IntN(60_000))
		here := random.IntN(min(len(body), 4096) + 1)
		s, w := newPair(t, small)
		slot := s.Slot(0)
		slot.Offer(Request{Body: body[:here], BodyMore: true, BodyLength: -1}, 1, 0)
		read := make(chan []byte, 1)
		w.Go(func() { read <- readAll(w.Take(0), rand.New(rand.NewPCG(seed, 5))) })
		for rest := body[here:]; len(rest) > 0; {
			room, err := slot.Room()
			if err != nil {
				t.Fatalf("Room() = %v, want none", err)
			}
			n := copy(room, rest[:min(len(rest), 1+random.IntN(3000))])
			slot.Filled(n)
			rest = rest[n:]
			dawdle(random)
		}
		slot.EndBody(true)
		if got := within(t, read, "the body is read"); !bytes.Equal(got, body) {
			t.Errorf("seed %d: %d bytes were read of a body of %d, or others", seed, len(got), len(body))
		}
	}
}

// readAll reads a body to its end, and returns nil when it broke off.
func readAll(x *channeltest.Exchange, random *rand.Rand) []byte {
	var got []byte
	for {
		p := make([]byte, 1+random.IntN(5000))
		n, err := x.Read(p)
		got = append(got, p[:n]...)
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			return nil
		}
	}
}

func randomBytes(random *rand.Rand, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(random.Uint32())
	}
	return p
}

func TestSlot_BodyThatBreaksOffIsNoEnd(t *testing.T) {
	s, w := newPair(t, small)
	slot := s.Slot(0)
	slot.Offer(Request{Body: []byte("half"), BodyMore: true, BodyLength: 8}, 1, 0)
	ended := make(chan error, 2)
	w.Go(func() {
		x := w.Take(0)
		p := make([]byte, 10)
		n, err := x.Read(p)
		if string(p[:n]) != "half" {
			err = fmt.Errorf("Read() = %q, %w", p[:n], err)
		}
		ended <- err
		_, err = x.Read(p)
		ended <- err
	})
	if err := within(t, ended, "the first part is read"); err != nil {
		t.Errorf("Read() = %v, want the part that is there", err)
	}
	eventually(t, "the application waits", slot.BodyWanted)
	slot.EndBody(false)
	if err := within(t, ended, "the read ends"); !errors.Is(err, channeltest.ErrBroken) {
		t.Errorf("Read() = %v, want ErrBroken", err)
	}
}

// TestSlot_ReplyRingCarriesEveryByte: the worker fills the ring faster or slower
// than the front empties it; each waits for the other.
func TestSlot_ReplyRingCarriesEveryByte(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 6))
		body := randomBytes(random, random.IntN(60_000))
		head := channeltest.PackHead("200 OK", [2]string{"X-Seed", fmt.Sprint(seed)})
		s, w := newPair(t, small)
		slot := s.Slot(3)
		news := make(chan struct{}, 1)
		listen(t, s, func(int) { tell(news) })
		slot.Offer(Request{}, 1, WaitReply)
		w.Go(func() {
			x, rest := w.Take(0), body
			mine := rand.New(rand.NewPCG(seed, 7))
			x.Begin(head, nil, -1)
			for len(rest) > 0 {
				n := min(len(rest), 1+mine.IntN(9000))
				if _, err := x.Write(rest[:n]); err != nil {
					return
				}
				rest = rest[n:]
				dawdle(mine)
			}
			x.Finish(channeltest.Complete, "")
		})
		var got []byte
		awaitNews(t, slot, news, func() bool { h, _, _ := slot.Head(); return h != nil })
		published, length, err := slot.Head()
		if !bytes.Equal(published, head) || length != -1 || err != nil {
			t.Fatalf("Head() = %q, %d, %v, want %q", published, length, err, head)
		}
		slot.Consumed(len(published))
		for {
			awaitNews(t, slot, news, func() bool {
				p, _ := slot.Published()
				state, _ := slot.State()
				return len(p) > 0 || state == Done
			})
			p, err := slot.Published()
			if err != nil {
				t.Fatalf("Published() = %v", err)
			}
			if len(p) == 0 {
				break
			}
			n := 1 + random.IntN(len(p))
			got = append(got, p[:n]...)
			slot.Consumed(n)
		}
		if !bytes.Equal(got, body) {
			t.Errorf("seed %d: got %d bytes of %d, or others", seed, len(got), len(body))
		}
	}
}

// awaitNews sleeps on the bell as the front does.
func awaitNews(t *testing.T, slot *Slot, news <-chan struct{}, until func() bool) {
	t.Helper()
	for !until() {
		slot.Wait(WaitReply)
		if !until() {
			within(t, news, "the worker rings")
		}
	}
}

func TestSlot_AbortWakesAThreadThatWaits(t *testing.T) {
	for name, wait := range map[string]func(*channeltest.Exchange) error{
		"for body bytes": func(x *channeltest.Exchange) error {
			_, err := x.Read(make([]byte, 1))
			return err
		},
		"for room": func(x *channeltest.Exchange) error {
			x.Begin(channeltest.PackHead("200 OK"), nil, -1)
			_, err := x.Write(make([]byte, 10_000))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, w := newPair(t, small)
			slot := s.Slot(0)
			slot.Offer(Request{BodyMore: true, BodyLength: -1}, 1, 0)
			ended := make(chan error, 1)
			w.Go(func() {
				x := w.Take(0)
				err := wait(x)
				x.Finish(channeltest.Dropped, "")
				ended <- err
			})
			eventually(t, "the thread sleeps", func() bool { return loadSleeps(slot) })
			slot.Abort()
			if err := within(t, ended, "the thread wakes"); !errors.Is(err, channeltest.ErrAborted) {
				t.Errorf("the thread's wait ended with %v, want ErrAborted", err)
			}
		})
	}
}

// TestSlot_DamageIsAnErrorNeverAPanic writes nonsense everywhere a worker can
// and asks the front's side for everything.
func TestSlot_DamageIsAnErrorNeverAPanic(t *testing.T) {
	s, w := newPair(t, small)
	slot := s.Slot(0)
	random := rand.New(rand.NewPCG(8, 9))
	refused := 0
	for range 50_000 {
		slot.Offer(Request{Body: make([]byte, random.IntN(4097)), BodyMore: true}, 1, 0)
		random64 := func() uint64 { return nonsense(random) }
		w.Spoil(0, channeltest.Damage{
			BodyConsumed: random64(), ReplyWritten: random64(), ReplyLength: int64(random64()),
			Hinted: random64(), HeadLength: uint32(random64()), Outcome: uint32(random64()), FaultLength: uint32(random64()),
			BodyWanted: uint32(random64()), Waits: uint32(random64()), State: random64(),
		}, random64())
		s.takeBells(func(slot int) {
			if slot < 0 || slot >= small.Slots {
				t.Fatalf("told of slot %d of %d", slot, small.Slots)
			}
		})
		if !readDamaged(t, slot) {
			refused++
		}
	}
	if refused == 0 {
		t.Error("no damage was noticed, want ErrDamaged now and then")
	}
}

func TestSlot_NoticesWhatCannotBe(t *testing.T) {
	const ring = 4096 // both rings of small
	head := func(s *Slot) error { _, _, err := s.Head(); return err }
	published := func(s *Slot) error { _, err := s.Published(); return err }
	room := func(s *Slot) error { _, err := s.Room(); return err }
	for name, c := range map[string]struct {
		damage  channeltest.Damage
		look    func(*Slot) error
		damaged bool
	}{
		"bytes without a head":         {channeltest.Damage{ReplyWritten: 1}, head, true},
		"head of what is written":      {channeltest.Damage{ReplyWritten: 9, HeadLength: 9}, head, false},
		"head longer than written":     {channeltest.Damage{ReplyWritten: 9, HeadLength: 10}, head, true},
		"head as long as the ring":     {channeltest.Damage{ReplyWritten: ring, HeadLength: ring}, head, false},
		"head longer than the ring":    {channeltest.Damage{ReplyWritten: 2 * ring, HeadLength: ring + 1}, head, true},
		"a full reply ring":            {channeltest.Damage{ReplyWritten: ring}, published, false},
		"more than the ring published": {channeltest.Damage{ReplyWritten: ring + 1}, published, true},
		"fewer than none published":    {channeltest.Damage{ReplyWritten: ^uint64(0)}, published, true},
		"all body bytes consumed":      {channeltest.Damage{BodyConsumed: 4}, room, false},
		"more consumed than there are": {channeltest.Damage{BodyConsumed: 5}, room, true},
	} {
		t.Run(name, func(t *testing.T) {
			s, w := newPair(t, small)
			s.Slot(0).Offer(Request{Body: []byte("body"), BodyMore: true}, 1, 0)
			w.Spoil(0, c.damage, 0)
			if err := c.look(s.Slot(0)); errors.Is(err, ErrDamaged) != c.damaged {
				t.Errorf("%+v: %v, want damaged: %v", c.damage, err, c.damaged)
			}
		})
	}
}

// nonsense is a number as damage makes it: small, large, near a limit.
func nonsense(random *rand.Rand) uint64 {
	switch random.IntN(5) {
	case 0:
		return uint64(random.IntN(5000))
	case 1:
		return 4096 + uint64(random.IntN(3)) - 1
	case 2:
		return ^uint64(0) - uint64(random.IntN(3))
	case 3:
		return uint64(random.Uint32())
	}
	return random.Uint64()
}

// readDamaged reads everything; false if the damage was noticed. What passes
// for sound must lie within the rings.
func readDamaged(t *testing.T, slot *Slot) bool {
	t.Helper()
	sound := true
	check := func(what string, n, limit int, err error) {
		switch {
		case errors.Is(err, ErrDamaged):
			sound = false
		case err != nil:
			t.Fatalf("%s = %v, want ErrDamaged or nothing", what, err)
		case n > limit:
			t.Fatalf("%s = %d bytes of at most %d", what, n, limit)
		}
	}
	room, err := slot.Room()
	check("Room()", len(room), len(slot.body), err)
	hint, size, err := slot.Hint()
	check("Hint()", size, len(slot.reply), err)
	check("Hint()", len(hint.rest), len(slot.reply), err)
	slot.Consumed(size)
	head, _, err := slot.Head()
	check("Head()", len(head), len(slot.reply), err)
	slot.Consumed(len(head))
	p, err := slot.Published()
	check("Published()", len(p), len(slot.reply), err)
	slot.Consumed(len(p))
	if fault := slot.Fault(); len(fault) > len(slot.fault) {
		t.Fatalf("Fault() = %d bytes of at most %d", len(fault), len(slot.fault))
	}
	_, _ = slot.State()
	_ = slot.Outcome()
	_ = slot.BodyWanted()
	slot.Abort()
	slot.TakeBack()
	return sound
}

func TestHead_IsReadBackAsPacked(t *testing.T) {
	want := [][2]string{{"Content-Type", "text/plain"}, {"X-Empty", ""}, {"Set-Cookie", "a=1"}, {"Set-Cookie", "b=\xe9"}}
	status, rest, err := ReadHead(channeltest.PackHead("404 Not Found", want...))
	if string(status) != "404 Not Found" || err != nil {
		t.Fatalf("ReadHead() = %q, %v, want the status", status, err)
	}
	for _, f := range want {
		name, value, ok, err := rest.Next()
		if string(name) != f[0] || string(value) != f[1] || !ok || err != nil {
			t.Errorf("Next() = %q, %q, %v, %v, want %q", name, value, ok, err, f)
		}
	}
	if name, _, ok, err := rest.Next(); ok || err != nil {
		t.Errorf("Next() = %q, %v, %v behind the last header, want false", name, ok, err)
	}
}

func TestHead_CutShortIsDamaged(t *testing.T) {
	whole := channeltest.PackHead("200 OK", [2]string{"A", "one"}, [2]string{"Bc", ""})
	sound := map[int]bool{4 + 6: true, 4 + 6 + 2 + 1 + 4 + 3: true, len(whole): true} // between two headers
	for n := range len(whole) + 1 {
		_, rest, err := ReadHead(whole[:n])
		for ok := true; ok && err == nil; {
			_, _, ok, err = rest.Next()
		}
		if sound[n] != (err == nil) || err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("the first %d bytes of a head: %v, want damaged: %v", n, err, !sound[n])
		}
	}
}

func FuzzHead(f *testing.F) {
	f.Add(channeltest.PackHead("200 OK", [2]string{"A", "b"}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 'x'})
	f.Fuzz(func(t *testing.T, head []byte) {
		status, rest, err := ReadHead(head)
		total := len(status)
		for ok := true; ok && err == nil; {
			var name, value []byte
			name, value, ok, err = rest.Next()
			total += len(name) + len(value)
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("reading %q: %v, want ErrDamaged or nothing", head, err)
		}
		if total > len(head) {
			t.Errorf("reading %q gave %d bytes", head, total)
		}
	})
}

func loadSleeps(s *Slot) bool { return atomic.LoadUint32(&s.header.threadSleeps) != 0 }
