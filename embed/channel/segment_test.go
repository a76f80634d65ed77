package channel

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"gowsgi/embed/channel/channeltest"
)

var small = Sizes{Threads: 1, Slots: 4, Environ: 512, Body: 4096, Reply: 4096, Fault: 256}

// patience is for what happens at once in a program that is right.
const patience = 10 * time.Second

// newPair returns a segment and a worker attached to it. Both end with t.
func newPair(t *testing.T, sizes Sizes) (*Segment, *channeltest.Worker) {
	t.Helper()
	s, err := Create(sizes)
	if err != nil {
		t.Fatalf("Create(%+v) = %v, want a segment", sizes, err)
	}
	memory, bell := s.Files()
	w, err := channeltest.Attach(memory, bell)
	if err != nil {
		t.Fatalf("Attach() = %v, want a worker", err)
	}
	t.Cleanup(func() {
		w.Kill()
		w.Detach()
		s.Close()
	})
	return s, w
}

func TestCreate_RefusesSizesThatDoNotFit(t *testing.T) {
	for name, spoil := range map[string]func(*Sizes){
		"no thread":           func(s *Sizes) { s.Threads = 0 },
		"fewer slots":         func(s *Sizes) { s.Threads, s.Slots = 3, 2 },
		"too many slots":      func(s *Sizes) { s.Slots = MaxSlots + 1 },
		"no environ":          func(s *Sizes) { s.Environ = 0 },
		"huge environ":        func(s *Sizes) { s.Environ = 1<<30 + 1 },
		"no fault area":       func(s *Sizes) { s.Fault = 0 },
		"huge fault area":     func(s *Sizes) { s.Fault = 1<<30 + 1 },
		"ring of odd size":    func(s *Sizes) { s.Body = 4097 },
		"ring below a page":   func(s *Sizes) { s.Reply = 2048 },
		"ring of 6144 bytes":  func(s *Sizes) { s.Reply = 6144 },
		"ring above 1 GiB":    func(s *Sizes) { s.Body = 1 << 31 },
		"ring of no byte":     func(s *Sizes) { s.Body = 0 },
		"ring below no bytes": func(s *Sizes) { s.Reply = -4096 },
	} {
		t.Run(name, func(t *testing.T) {
			sizes := small
			spoil(&sizes)
			if s, err := Create(sizes); err == nil {
				s.Close()
				t.Errorf("Create(%+v) = nil error, want one", sizes)
			}
		})
	}
}

func TestCreate_SealsTheMemoryAgainstResizing(t *testing.T) {
	s, _ := newPair(t, small)
	memory, _ := s.Files()
	fds, err := descriptors(memory)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{0, int64(len(s.memory)) - 1, int64(len(s.memory)) + 1} {
		if err := unix.Ftruncate(fds[0], size); !errors.Is(err, unix.EPERM) {
			t.Errorf("ftruncate(%d) = %v, want EPERM: a shrunk segment kills the front with SIGBUS", size, err)
		}
	}
	if _, err := unix.FcntlInt(uintptr(fds[0]), unix.F_ADD_SEALS, unix.F_SEAL_WRITE); !errors.Is(err, unix.EPERM) {
		t.Errorf("adding a seal = %v, want EPERM", err)
	}
}

func TestCreate_GivesEachSlotPagesOfItsOwn(t *testing.T) {
	sizes := small
	sizes.Slots, sizes.Threads = MaxSlots, MaxSlots
	s, _ := newPair(t, sizes)
	if s.Sizes() != sizes {
		t.Errorf("Sizes() = %+v, want %+v", s.Sizes(), sizes)
	}
	base := uintptr(unsafe.Pointer(&s.memory[0]))
	end := unsafe.Sizeof(header{})
	for i := range MaxSlots {
		slot := s.Slot(i)
		from := uintptr(unsafe.Pointer(slot.header)) - base
		if from%pageSize != 0 || from < end {
			t.Fatalf("slot %d begins at %d, want a page at or behind %d", i, from, end)
		}
		if slot.Index() != i {
			t.Errorf("Slot(%d).Index() = %d", i, slot.Index())
		}
		if state, _ := slot.State(); state != Free {
			t.Errorf("Slot(%d) is %v, want free", i, state)
		}
		end = from + unsafe.Sizeof(slotHeader{})
		for _, area := range [][]byte{slot.environ, slot.body, slot.reply, slot.fault} {
			if at := uintptr(unsafe.Pointer(&area[0])) - base; at != end {
				t.Fatalf("slot %d has an area at %d, want %d", i, at, end)
			}
			end += uintptr(len(area))
		}
	}
	if end > uintptr(len(s.memory)) {
		t.Errorf("the last slot ends at %d of %d bytes", end, len(s.memory))
	}
}

func TestSegment_TellsTheWorkersStatus(t *testing.T) {
	s, w := newPair(t, small)
	if got := s.Status(); got != Booting {
		t.Errorf("Status() = %v before the worker said anything, want Booting", got)
	}
	w.Serve(1, func(*channeltest.Exchange) {})
	if got := s.Status(); got != Serving {
		t.Errorf("Status() = %v, want Serving", got)
	}
}

func TestSegment_LeaveEndsThreadsThatSleep(t *testing.T) {
	s, w := newPair(t, small)
	w.Serve(3, func(*channeltest.Exchange) {})
	eventually(t, "three threads sleep", func() bool { return w.Sleepers() == 3 })
	s.Leave()
	gone := make(chan struct{})
	go func() { w.Wait(); close(gone) }()
	within(t, gone, "Leave() ends every thread")
}

func TestSegment_CloseEndsListen(t *testing.T) {
	for name, end := range map[string]func(*Segment){"Hush": (*Segment).Hush, "Close": func(s *Segment) {
		s.Hush() // Close unmaps what Listen looks at: its caller waits for Listen first
	}} {
		t.Run(name, func(t *testing.T) {
			s, w := newPair(t, small)
			rung := make(chan int, 1)
			ended := make(chan error, 1)
			go func() { ended <- s.Listen(func(slot int) { rung <- slot }) }()
			w.Ring(2)
			if got := within(t, rung, "the bell is heard"); got != 2 {
				t.Errorf("Listen told of slot %d, want 2", got)
			}
			end(s)
			if err := within(t, ended, "Listen returns"); !errors.Is(err, ErrClosed) {
				t.Errorf("Listen() = %v, want ErrClosed", err)
			}
		})
	}
}

func TestSegment_IgnoresBellsOfSlotsItHasNot(t *testing.T) {
	s, w := newPair(t, small)
	w.Spoil(0, channeltest.Damage{}, ^uint64(0)&^0b1001)
	var heard []int
	if !s.takeBells(func(slot int) { heard = append(heard, slot) }) {
		t.Error("takeBells() = false with bells set, want true")
	}
	if len(heard) != 2 || heard[0] != 1 || heard[1] != 2 {
		t.Errorf("takeBells told of slots %v, want [1 2]", heard)
	}
	if s.takeBells(func(int) {}) {
		t.Error("takeBells() = true again, want false: bells are taken once")
	}
}

func TestSegment_CloseTwiceIsHarmless(t *testing.T) {
	s, err := Create(small)
	if err != nil {
		t.Fatal(err)
	}
	s.Forked()
	s.Close()
	s.Close()
	var never Segment
	never.Close()
}

// TestSegment_LosesNoBell: the worker numbers its news and rings; the front must
// hear of each number before the next is told, so that no later bell makes up
// for a lost one. Both sides pause for random times as short as the few loads and
// stores it takes to fall asleep: bells fall between any two of them.
func TestSegment_LosesNoBell(t *testing.T) {
	sizes := small
	sizes.Slots = 130 // three words of bells
	s, w := newPair(t, sizes)
	var told, heard atomic.Uint64
	ended := make(chan error, 1)
	go func() {
		random := rand.New(rand.NewPCG(1, 1))
		ended <- s.Listen(func(int) {
			heard.Store(told.Load())
			dawdle(random)
		})
	}()
	random := rand.New(rand.NewPCG(1, 2))
	for n := range uint64(30000) {
		slot := random.IntN(sizes.Slots)
		told.Store(n + 1)
		w.Ring(slot)
		eventually(t, "a bell is heard", func() bool { return heard.Load() == n+1 })
		dawdle(random)
	}
	s.Hush()
	if err := within(t, ended, "Listen returns"); !errors.Is(err, ErrClosed) {
		t.Errorf("Listen() = %v, want ErrClosed", err)
	}
}

// TestSegment_LosesNoOffer is the same in the other direction: requests to
// threads that may be about to sleep, answers to a front that may be, too.
func TestSegment_LosesNoOffer(t *testing.T) {
	for _, many := range []struct{ threads, connections, offers int }{{1, 1, 20000}, {2, 4, 5000}} {
		t.Run(fmt.Sprint(many), func(t *testing.T) {
			sizes := small
			sizes.Threads = many.threads
			s, w := newPair(t, sizes)
			news := make([]chan struct{}, sizes.Slots)
			for i := range news {
				news[i] = make(chan struct{}, 1)
			}
			listen(t, s, func(slot int) { tell(news[slot]) })
			head := channeltest.PackHead("200 OK")
			w.Serve(many.threads, func(x *channeltest.Exchange) {
				x.Single(head, x.Environ())
				dawdle(rand.New(rand.NewPCG(uint64(x.Ticket()), 4)))
			})
			failed := make(chan error, many.connections)
			for i := range many.connections {
				c := connection{slot: s.Slot(i), news: news[i], random: rand.New(rand.NewPCG(uint64(i), 3))}
				go func() { failed <- c.offer(many.offers) }()
			}
			for range many.connections {
				if err := within(t, failed, "all offers are answered"); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// listen listens to s until t ends; Close unmaps what Listen looks at, so it has
// to have returned by then.
func listen(t *testing.T, s *Segment, rung func(slot int)) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- s.Listen(rung) }()
	t.Cleanup(func() {
		s.Hush()
		if err := within(t, ended, "Listen returns"); !errors.Is(err, ErrClosed) {
			t.Errorf("Listen() = %v, want ErrClosed", err)
		}
	})
}

func tell(news chan<- struct{}) {
	select {
	case news <- struct{}{}:
	default:
	}
}

// connection plays the front's part of one slot.
type connection struct {
	slot   *Slot
	news   <-chan struct{}
	random *rand.Rand
}

// offer offers and awaits n exchanges, one after the other, looking for the
// answer or sleeping by chance.
func (c connection) offer(n int) error {
	for ticket := range uint32(n) {
		body := []byte{byte(ticket), byte(ticket >> 8), byte(c.slot.Index())}
		asleep := c.random.IntN(2) == 0
		waits := Waits(0)
		if asleep {
			waits = WaitReply
		}
		c.slot.Offer(Request{Environ: body}, ticket, waits)
		if err := c.await(ticket, asleep); err != nil {
			return err
		}
		head, _, err := c.slot.Head()
		if err != nil {
			return err
		}
		c.slot.Consumed(len(head))
		if p, err := c.slot.Published(); err != nil || string(p) != string(body) {
			return fmt.Errorf("offer %d was answered with %q, %v, want %q", ticket, p, err, body)
		}
		c.slot.Release()
		dawdle(c.random)
	}
	return nil
}

// await waits until the exchange is Done, asleep at once or after a look.
func (c connection) await(ticket uint32, asleep bool) error {
	done := func() bool {
		state, got := c.slot.State()
		return state == Done && got == ticket
	}
	if !asleep && c.random.IntN(2) == 0 {
		for until := time.Now().Add(patience); !done(); runtime.Gosched() {
			if time.Now().After(until) {
				return fmt.Errorf("offer %d was never begun: a thread was not woken", ticket)
			}
		}
		return nil
	}
	for !done() {
		if !asleep {
			dawdle(c.random)
			c.slot.Wait(WaitReply)
			asleep = true
			continue
		}
		select {
		case <-c.news:
			asleep = false
		case <-time.After(patience):
			return fmt.Errorf("offer %d was never heard of: its slot is done: %v", ticket, done())
		}
	}
	return nil
}

// dawdle passes a random, mostly tiny, amount of time.
func dawdle(random *rand.Rand) {
	for range random.IntN(1 << random.IntN(10)) {
		spun.Add(1)
	}
}

// spun keeps dawdle's loop from being optimised away.
var spun atomic.Uint64

// within returns what c gives, or fails the test when it gives nothing.
func within[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(7 * patience):
		t.Fatalf("waited in vain: %s", what)
		panic("not reached")
	}
}

// eventually yields until holds does, and now and then rests: on one processor
// a runtime that is always busy hears of a bell every 10 ms only.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	until := time.Now().Add(patience)
	for looks := 1; !holds(); looks++ {
		if time.Now().After(until) {
			t.Fatalf("waited in vain: %s", what)
		}
		if looks%100 == 0 {
			time.Sleep(time.Microsecond)
		} else {
			runtime.Gosched()
		}
	}
}

func TestSegment_GivesItsFilesUntilForked(t *testing.T) {
	s, err := Create(small)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	memory, _ := s.Files()
	s.Forked()
	if _, err := memory.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Stat of the memory's file after Forked() = %v, want it closed", err)
	}
	s.Slot(0).Offer(Request{Environ: []byte("still mapped")}, 1, 0)
	if state, ticket := s.Slot(0).State(); state != Ready || ticket != 1 {
		t.Errorf("State() = %v, %d after Forked(), want ready, 1", state, ticket)
	}
}
