package channel

import (
	"encoding/binary"
	"errors"
	"os"
	"sync/atomic"
)

// ErrDamaged is returned when a worker has written a length or position that
// cannot be; the worker is then not to be trusted with anything more.
var ErrDamaged = errors.New("channel: the worker wrote nonsense into its shared memory")

// Slot is one exchange's place in a segment, seen from the front.
type Slot struct {
	segment *Segment
	index   int
	header  *slotHeader
	state   *uint64
	environ []byte
	body    []byte
	reply   []byte
	fault   []byte
}

// Request is what a slot is offered with.
type Request struct {
	Environ  []byte // packed, see package environ
	Body     []byte // what is here already, at most Sizes.Body bytes
	BodyMore bool   // more will follow through Room and Filled
	// File, if not nil, holds the whole body instead, BodyLength bytes: the worker
	// asks for it with Segment.Pass when the application wants it.
	File       *os.File
	BodyLength int64 // declared length, -1 when not known
	// Alone: there is no other request just now. The thread may then look for
	// the next one for a moment before it sleeps; with more requests under way
	// the processor is better used by those who bring them.
	Alone bool
}

// Index returns the slot's number.
func (s *Slot) Index() int { return s.index }

// Offer lays a request out and makes the slot, which is Free, Ready.
//
// ticket orders the Ready slots of a worker and tells this use of the slot
// from the ones before; waits is who sleeps already. Environ and Body must
// fit their areas: the caller has checked.
func (s *Slot) Offer(r Request, ticket uint32, waits Waits) {
	h := s.header
	h.alone = 0
	if r.Alone {
		h.alone = 1
	}
	h.environLength = uint32(copy(s.environ, r.Environ))
	h.bodyLength = r.BodyLength
	h.bodyConsumed, h.replyWritten, h.replyConsumed = 0, 0, 0
	h.headLength, h.faultLength, h.bodyWanted, h.outcome = 0, 0, 0, 0
	h.sent, h.answered, h.hinted = 0, 0, 0
	h.replyFile, h.replyOffset = 0, 0
	h.replyLength = -1
	h.threadSleeps = 0
	copy(s.body, r.Body)
	atomic.StoreUint64(&h.bodyWritten, uint64(len(r.Body)))
	end := uint32(bodyEnd)
	if r.BodyMore {
		end = bodyMore
	}
	atomic.StoreUint32(&h.bodyState, end)
	h.bodyFile = 0
	if r.File != nil {
		h.bodyFile = 1
	}
	atomic.StoreUint32(&h.waits, uint32(waits))
	atomic.StoreUint64(s.state, uint64(ticket)<<32|uint64(Ready))
	s.segment.wakeThreads(1)
}

// State returns where the slot is, and the ticket it was offered with.
func (s *Slot) State() (State, uint32) {
	word := atomic.LoadUint64(s.state)
	return State(word & 0xff), uint32(word >> 32)
}

// Environ returns the packed environ the slot was offered with; the worker can
// write to it.
func (s *Slot) Environ() []byte {
	return s.environ[:min(int(s.header.environLength), len(s.environ))]
}

// TakeBack makes a Ready slot Free again, unless a thread has begun it.
func (s *Slot) TakeBack() bool {
	word := atomic.LoadUint64(s.state)
	return State(word&0xff) == Ready && atomic.CompareAndSwapUint64(s.state, word, uint64(Free))
}

// Release makes the slot Free; nobody needs its answer any more.
func (s *Slot) Release() {
	atomic.StoreUint64(s.state, uint64(Free))
}

// Abort tells the thread that runs the exchange to stop: it calls close() and
// finishes the slot. An exchange that is Done, or not begun, is left alone.
func (s *Slot) Abort() {
	for {
		word := atomic.LoadUint64(s.state)
		if st := State(word & 0xff); st != Running && st != Answering {
			return
		}
		if atomic.CompareAndSwapUint64(s.state, word, word&^0xff|uint64(Aborted)) {
			s.nudge()
			return
		}
	}
}

// Answered reports whether the answer is complete while the exchange is not yet
// Done, because the application wants functions run after the response: the
// worker waits for Sent or Abort, runs them, and finishes.
//
// Outcome and Fault are valid then; what the functions complain about is added
// to Fault before Done.
func (s *Slot) Answered() bool { return atomic.LoadUint32(&s.header.answered) != 0 }

// Sent says that the client has the whole answer.
func (s *Slot) Sent() {
	atomic.StoreUint32(&s.header.sent, 1)
	s.nudge()
}

// AfterResponse reports whether the worker runs functions after the response:
// it is Answered, and nothing keeps them.
func (s *Slot) AfterResponse() bool {
	state, _ := s.State()
	return s.Answered() && (state == Aborted ||
		state != Done && atomic.LoadUint32(&s.header.sent) != 0)
}

// Wait announces that goroutines are about to sleep. Look at what is waited
// for once more afterwards: the worker publishes first and looks second.
func (s *Slot) Wait(waits Waits) {
	atomic.OrUint32(&s.header.waits, uint32(waits))
}

// nudge wakes the slot's thread if it sleeps in a read or a write.
func (s *Slot) nudge() {
	if atomic.LoadUint32(&s.header.threadSleeps) != 0 {
		atomic.AddUint32(&s.header.nudge, 1)
		futexWake(&s.header.nudge, allSleepers)
	}
}

// --- the request body, towards the worker ---

// Room returns where body bytes can be put now; empty when the ring is full.
func (s *Slot) Room() ([]byte, error) {
	consumed := atomic.LoadUint64(&s.header.bodyConsumed)
	written := s.header.bodyWritten
	used := written - consumed
	size := uint64(len(s.body))
	if used > size {
		return nil, ErrDamaged
	}
	at := written & (size - 1)
	end := min(at+size-used, size)
	return s.body[at:end:end], nil
}

// Filled says that n bytes of what Room returned hold body bytes now.
func (s *Slot) Filled(n int) {
	atomic.StoreUint64(&s.header.bodyWritten, s.header.bodyWritten+uint64(n))
	s.nudge()
}

// EndBody says that no more body follows: it is complete, or broken off.
func (s *Slot) EndBody(complete bool) {
	state := uint32(bodyEnd)
	if !complete {
		state = bodyBroken
	}
	atomic.StoreUint32(&s.header.bodyState, state)
	s.nudge()
}

// BodyWanted reports whether the application has waited for body bytes.
func (s *Slot) BodyWanted() bool {
	return atomic.LoadUint32(&s.header.bodyWanted) != 0
}

// --- the answer, from the worker ---

// Head returns the packed status and headers, nil while there is none, and
// the body length that may be declared for the application, or -1.
//
// Hints come before it: they must have been consumed. The bytes are the worker's:
// valid, but not constant, until Release.
func (s *Slot) Head() (head []byte, length int64, err error) {
	written := atomic.LoadUint64(&s.header.replyWritten)
	if written == 0 {
		return nil, -1, nil
	}
	n, ready := uint64(s.header.headLength), written-s.header.replyConsumed
	if n == 0 || n > ready || ready > uint64(len(s.reply)) {
		return nil, -1, ErrDamaged
	}
	return s.look(n), s.header.replyLength, nil
}

// ReplyFile says whether the body is a file that Segment.Pass gets, and where in it
// the body begins. It is valid with a Head.
func (s *Slot) ReplyFile() (offset int64, named bool) {
	return s.header.replyOffset, s.header.replyFile != 0
}

// Published returns body bytes that are published and not yet consumed, as
// far as they lie in one piece; empty when there are none now.
func (s *Slot) Published() ([]byte, error) {
	written := s.published()
	consumed := s.header.replyConsumed
	size := uint64(len(s.reply))
	ready := written - consumed
	if ready > size {
		return nil, ErrDamaged
	}
	at := consumed & (size - 1)
	end := min(at+ready, size)
	return s.reply[at:end:end], nil
}

// Consumed gives n published bytes, a hint or the head, back to the ring. A worker
// that waits for room is woken once half of the ring is free: waking it for
// every piece would cost a switch per piece.
func (s *Slot) Consumed(n int) {
	consumed := s.header.replyConsumed + uint64(n)
	atomic.StoreUint64(&s.header.replyConsumed, consumed)
	used := s.published() - consumed
	if used <= uint64(len(s.reply)/2) {
		s.nudge()
	}
}

// Outcome returns how a Done or Answered exchange ended.
func (s *Slot) Outcome() Outcome { return Outcome(s.header.outcome) }

// Fault returns a copy of the traceback of a Done or Answered exchange; empty if
// none.
func (s *Slot) Fault() string {
	n := min(int(s.header.faultLength), len(s.fault))
	return string(s.fault[:max(n, 0)])
}

// HeadReader reads a packed head: status first, then each header.
type HeadReader struct{ rest []byte }

// ReadHead begins reading a packed head.
func ReadHead(head []byte) (status []byte, r HeadReader, err error) {
	r.rest = head
	if len(r.rest) < 4 {
		return nil, r, ErrDamaged
	}
	n := binary.NativeEndian.Uint32(r.rest)
	r.rest = r.rest[4:]
	if uint64(n) > uint64(len(r.rest)) {
		return nil, r, ErrDamaged
	}
	status, r.rest = r.rest[:n:n], r.rest[n:]
	return status, r, nil
}

// Next returns the next header; ok is false after the last.
func (r *HeadReader) Next() (name, value []byte, ok bool, err error) {
	if len(r.rest) == 0 {
		return nil, nil, false, nil
	}
	if len(r.rest) < 2 {
		return nil, nil, false, ErrDamaged
	}
	n := int(binary.NativeEndian.Uint16(r.rest))
	if len(r.rest) < 2+n+4 {
		return nil, nil, false, ErrDamaged
	}
	name = r.rest[2 : 2+n : 2+n]
	r.rest = r.rest[2+n:]
	v := uint64(binary.NativeEndian.Uint32(r.rest))
	if v > uint64(len(r.rest)-4) {
		return nil, nil, false, ErrDamaged
	}
	value = r.rest[4 : 4+v : 4+v]
	r.rest = r.rest[4+v:]
	return name, value, true, nil
}
