package channeltest

// One request, from the perspective of the thread that serves it.

import (
	"encoding/binary"
	"errors"
	"io"
	"sync/atomic"
)

// Exchange is one request that a thread of the worker has begun. All of its
// methods are for that thread.
type Exchange struct {
	Index   int
	worker  *Worker
	slot    *slotHeader
	word    uint64
	environ []byte
	body    []byte
	reply   []byte
	fault   []byte
	written uint64
}

func (w *Worker) open(index int, word uint64) *Exchange {
	h := w.header
	at := h.slotOffset + h.slotStride*uint64(index) + slotHeaderBytes
	x := &Exchange{Index: index, worker: w, slot: w.slot(index), word: word}
	cut := func(n uint32) []byte {
		area := w.memory[at : at+uint64(n)]
		at += uint64(n)
		return area
	}
	x.environ = cut(h.environBytes)
	x.body = cut(h.bodyBytes)
	x.reply = cut(h.replyBytes)
	x.fault = cut(h.faultBytes)
	return x
}

// Ticket is what the front has numbered this use of the slot with.
func (x *Exchange) Ticket() uint32 { return uint32(x.word >> 32) }

// Environ is the packed environ, the front's.
func (x *Exchange) Environ() []byte { return x.environ[:x.slot.environLength] }

// BodyLength is the declared length of the body, -1 when not known.
func (x *Exchange) BodyLength() int64 { return x.slot.bodyLength }

// Aborted says whether the front has given this exchange up.
func (x *Exchange) Aborted() bool {
	x.worker.step()
	return atomic.LoadUint64(&x.worker.header.state[x.Index])&0xff == Aborted
}

// Awaited says whether a goroutine of the front has announced to sleep until
// it hears of this exchange.
func (x *Exchange) Awaited() bool { return atomic.LoadUint32(&x.slot.waits)&waitReply != 0 }

// tell rings for whoever has announced to sleep: gw_slot_tell.
func (x *Exchange) tell(waits uint32) {
	x.worker.step()
	if atomic.LoadUint32(&x.slot.waits)&waits != 0 {
		atomic.AndUint32(&x.slot.waits, ^waits)
		x.worker.Ring(x.Index)
	}
}

// await sleeps until until says so, which the front's nudges make it look at.
// announce comes between the announcement of the sleep and the last look.
func (x *Exchange) await(until func() bool, announce func()) {
	for !until() {
		x.worker.step()
		nudge := atomic.LoadUint32(&x.slot.nudge)
		atomic.StoreUint32(&x.slot.threadSleeps, 1)
		announce()
		if !until() {
			x.worker.sleep(&x.slot.nudge, nudge)
		}
		atomic.StoreUint32(&x.slot.threadSleeps, 0)
	}
}

// ErrBroken is returned by Read when the client did not send the whole body.
var ErrBroken = errors.New("channeltest: the request body broke off")

// ErrAborted is returned by Read and Write when the front has aborted.
var ErrAborted = errors.New("channeltest: the front has aborted the exchange")

// Read reads the request body and waits for it; io.EOF after its end.
func (x *Exchange) Read(p []byte) (int, error) {
	var ready uint64
	var state uint32
	look := func() bool {
		state = atomic.LoadUint32(&x.slot.bodyState) // before the bytes: they come first
		ready = atomic.LoadUint64(&x.slot.bodyWritten) - x.slot.bodyConsumed
		return ready > 0 || state != bodyMore || x.Aborted()
	}
	x.await(look, func() {
		atomic.StoreUint32(&x.slot.bodyWanted, 1)
		x.tell(waitReply | waitRoom)
	})
	switch {
	case ready > 0:
		return x.take(p, ready), nil
	case state == bodyEnd:
		return 0, io.EOF
	case state == bodyBroken:
		return 0, ErrBroken
	}
	return 0, ErrAborted
}

func (x *Exchange) take(p []byte, ready uint64) int {
	size := uint64(len(x.body))
	at := x.slot.bodyConsumed & (size - 1)
	n := copy(p, x.body[at:min(at+ready, size)])
	atomic.StoreUint64(&x.slot.bodyConsumed, x.slot.bodyConsumed+uint64(n))
	x.tell(waitRoom)
	return n
}

// PackHead packs a status and pairs of names and values, as start_response
// does.
func PackHead(status string, fields ...[2]string) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(len(status)))
	b = append(b, status...)
	for _, f := range fields {
		b = binary.NativeEndian.AppendUint16(b, uint16(len(f[0])))
		b = append(b, f[0]...)
		b = binary.NativeEndian.AppendUint32(b, uint32(len(f[1])))
		b = append(b, f[1]...)
	}
	return b
}

// Hint publishes an early hint: gw_early_hints.
func (x *Exchange) Hint(fields ...[2]string) {
	packed := PackHead("", fields...)[4:]
	x.append(binary.NativeEndian.AppendUint32(nil, uint32(len(packed))))
	x.append(packed)
	x.worker.step()
	atomic.StoreUint64(&x.slot.hinted, x.written)
	x.tell(waitReply)
}

// Begin publishes the head with the first block, like the first block of an
// iterable; length is what the gateway may declare, or -1. Head and block must
// fit into the ring.
func (x *Exchange) Begin(head, block []byte, length int64) {
	x.put(head, block, length)
	x.Announce()
	x.tell(waitReply)
}

// Single publishes head and only block at once and finishes: gw_reply_single.
func (x *Exchange) Single(head, block []byte) {
	x.put(head, block, int64(len(block)))
	x.Finish(Complete, "")
}

func (x *Exchange) put(head, block []byte, length int64) {
	x.slot.headLength = uint32(len(head))
	x.slot.replyLength = length
	x.append(head)
	x.append(block)
	x.publish()
}

// Announce moves the slot from RUNNING to ANSWERING, unless it was aborted.
func (x *Exchange) Announce() {
	x.worker.step()
	answering := x.word&^0xff | Answering
	if atomic.CompareAndSwapUint64(&x.worker.header.state[x.Index], x.word, answering) {
		x.word = answering
	}
}

// Write publishes a block and waits while the ring is full: gw_reply_write.
func (x *Exchange) Write(block []byte) (int, error) {
	written := 0
	for {
		n := min(x.room(), len(block)-written)
		x.append(block[written : written+n])
		x.publish()
		x.tell(waitReply)
		if written += n; written == len(block) {
			return written, nil
		}
		x.await(func() bool { return x.room() > 0 || x.Aborted() }, func() {})
		if x.Aborted() {
			return written, ErrAborted
		}
	}
}

func (x *Exchange) room() int {
	return len(x.reply) - int(x.written-atomic.LoadUint64(&x.slot.replyConsumed))
}

func (x *Exchange) append(p []byte) {
	at := int(x.written) & (len(x.reply) - 1)
	n := copy(x.reply[at:], p)
	copy(x.reply, p[n:])
	x.written += uint64(len(p))
}

func (x *Exchange) publish() {
	x.worker.step()
	atomic.StoreUint64(&x.slot.replyWritten, x.written)
}

// Answered says that the answer is complete but that there is more to run once
// the client has it: gw_slot_answered.
func (x *Exchange) Answered(outcome uint32, fault string) {
	x.slot.faultLength = uint32(copy(x.fault, fault))
	x.slot.outcome = outcome
	x.worker.step()
	atomic.StoreUint32(&x.slot.answered, 1)
	x.tell(waitReply | waitRoom)
}

// AwaitSent sleeps until the client has the answer, or is gone.
func (x *Exchange) AwaitSent() {
	x.await(func() bool { return atomic.LoadUint32(&x.slot.sent) != 0 || x.Aborted() }, func() {})
}

// FinishAfter ends an exchange that was Answered; fault is added to what was
// said then.
func (x *Exchange) FinishAfter(fault string) {
	x.Finish(x.slot.outcome, string(x.fault[:x.slot.faultLength])+fault)
}

// Finish ends the exchange, with a traceback if there is one; the slot is the
// front's afterwards: gw_slot_finish.
func (x *Exchange) Finish(outcome uint32, fault string) {
	x.slot.faultLength = uint32(copy(x.fault, fault))
	x.slot.outcome = outcome
	x.worker.step()
	atomic.StoreUint64(&x.worker.header.state[x.Index], x.word&^0xff|Done)
	// dying here would lose the bell: the front looks at the slots of a worker
	// that has died, so that is one of the moments to die at
	x.worker.step()
	if atomic.SwapUint32(&x.slot.waits, 0) != 0 {
		x.worker.Ring(x.Index)
	}
}

// Damage is what a worker can write where the front reads.
type Damage struct {
	BodyConsumed, ReplyWritten uint64
	ReplyLength                int64
	Hinted                     uint64
	HeadLength, Outcome        uint32
	FaultLength, BodyWanted    uint32
	Answered                   uint32
	Waits                      uint32
	State                      uint64 // the whole state word
}

// Spoil writes d into slot i and the given bits into all bells.
func (w *Worker) Spoil(i int, d Damage, bells uint64) {
	s := w.slot(i)
	atomic.StoreUint64(&s.bodyConsumed, d.BodyConsumed)
	atomic.StoreUint64(&s.replyWritten, d.ReplyWritten)
	atomic.StoreUint64(&s.hinted, d.Hinted)
	s.replyLength = d.ReplyLength
	s.headLength, s.outcome, s.faultLength = d.HeadLength, d.Outcome, d.FaultLength
	atomic.StoreUint32(&s.bodyWanted, d.BodyWanted)
	atomic.StoreUint32(&s.answered, d.Answered)
	atomic.StoreUint32(&s.waits, d.Waits)
	atomic.StoreUint64(&w.header.state[i], d.State)
	for b := range w.header.bells {
		atomic.OrUint64(&w.header.bells[b], bells)
	}
}

// SetState writes a state word, for tests that begin in the middle of a life.
func (w *Worker) SetState(i int, word uint64) { atomic.StoreUint64(&w.header.state[i], word) }

// File publishes a head whose body is a file that has been passed, from offset on:
// gw_reply_file.
func (x *Exchange) File(head []byte, offset int64) {
	x.slot.replyOffset = offset
	atomic.StoreUint32(&x.slot.replyFile, 1)
	x.Begin(head, nil, -1)
}
