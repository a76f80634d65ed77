package workers

import (
	"sync/atomic"
	"time"

	"gowsgi/embed/channel"
)

// worker is one process of the pool, or the segment it left behind.
type worker struct {
	id      uint32
	segment *channel.Segment
	threads int
	limit   int // calls to serve before it is replaced, 0: none; set before it joins

	// Guarded by the dispatcher's mutex.
	seats   []seat
	vacant  []int // indices of seats without a call, a stack
	reach   int   // seats it may use at present
	leaving bool  // gets no more calls
	gone    bool  // the process has ended
	served  int   // calls it answered, or spoiled, to the end
	expired int   // seats whose call has worked too long
	stuck   bool  // it has been told of
	silence silence

	// holders of the segment: the goroutine that listens to it, and the
	// dispatcher until the process and its last call are gone
	holders atomic.Int32

	// The supervisor's alone.
	generation *generation
	pid        int
	state      workerState
	started    time.Time
	killed     bool      // by us, so its end is no surprise
	deaf       bool      // it does not begin what it is given
	late       bool      // it was not ready in time, and is being killed
	replaces   uint32    // the worker whose death made room for it; 0: none
	outgoing   string    // why it is to be replaced; empty: it is not
	shown      time.Time // when it was told to write its stacks
	weighed    time.Time // when its memory was measured in full
	heavy      bool      // it had more memory than allowed from the start
	timers     []*time.Timer
}

// workerState is what the supervisor waits for next from a worker.
type workerState uint8

const (
	forking workerState = iota // ordered from the zygote
	booting                    // importing the application
	serving
	leaving // told to leave
)

// seat is one slot of a worker and the call that has it.
type seat struct {
	worker *worker
	slot   *channel.Slot
	call   atomic.Pointer[Call] // also read by the goroutine that hears the bell
	stint  stint                // guarded by the dispatcher's mutex
}

func newWorker(id uint32, segment *channel.Segment) *worker {
	n := segment.Sizes().Slots
	w := &worker{id: id, segment: segment, threads: segment.Sizes().Threads}
	w.seats = make([]seat, n)
	for i := n - 1; i >= 0; i-- {
		w.seats[i].worker = w
		w.seats[i].slot = segment.Slot(i)
		w.vacant = append(w.vacant, i)
	}
	w.holders.Store(2)
	return w
}

// keep remembers a timer that is about this worker; t may be nil. While it waits
// it holds the worker, and with that the addresses of its shared memory: a pool
// that replaces workers often would run out of mappings long before a lifetime
// of hours is over.
func (w *worker) keep(t *time.Timer) {
	if t != nil {
		w.timers = append(w.timers, t)
	}
}

// stopTimers is for a worker that has ended.
func (w *worker) stopTimers() {
	for _, t := range w.timers {
		t.Stop()
	}
	w.timers = nil
}

// letGo gives up one hold on the segment; the last one frees its memory.
func (w *worker) letGo() {
	if w.holders.Add(-1) == 0 {
		w.segment.Close()
	}
}

// taken is how many calls the worker has: running, ready, or being read out.
func (w *worker) taken() int { return len(w.seats) - len(w.vacant) }

// idleLocked says that a thread will begin one more call at once.
func (w *worker) idleLocked() bool {
	return !w.leaving && w.taken() < w.threads
}

// roomLocked says that one more call can be laid out.
func (w *worker) roomLocked() bool {
	return !w.leaving && w.taken() < w.reach
}

// rung is called when the worker has rung for a slot.
func (w *worker) rung(slot int) {
	if c := w.seats[slot].call.Load(); c != nil {
		c.rung(&w.seats[slot])
	}
}
