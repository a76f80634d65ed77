package channeltest

// The worker as a whole: its memory, its bell, its threads, its end.

import (
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Worker is one worker. Its threads are goroutines.
type Worker struct {
	memory  []byte
	header  *segmentHeader
	bell    int
	threads sync.WaitGroup
	killed  atomic.Bool
	budget  atomic.Int64 // steps until it dies; counts only when set
}

// Attach maps the segment behind memory and keeps bell to ring with. Both
// files stay the caller's and may be closed afterwards. Detach frees it all.
func Attach(memory, bell *os.File) (*Worker, error) {
	w := &Worker{}
	w.budget.Store(math.MaxInt64)
	var err error
	if w.bell, err = duplicate(bell); err != nil {
		return nil, fmt.Errorf("channeltest: bell: %w", err)
	}
	if err := w.mapMemory(memory); err != nil {
		_ = unix.Close(w.bell) // nothing was written
		return nil, fmt.Errorf("channeltest: memory: %w", err)
	}
	return w, nil
}

func duplicate(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	if failed := raw.Control(func(n uintptr) {
		fd, err = unix.FcntlInt(n, unix.F_DUPFD_CLOEXEC, 0)
	}); failed != nil {
		return -1, failed
	}
	return fd, err
}

func (w *Worker) mapMemory(memory *os.File) error {
	info, err := memory.Stat()
	if err != nil {
		return err
	}
	fd, err := duplicate(memory)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }() // the mapping stays
	w.memory, err = unix.Mmap(fd, 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	w.header = (*segmentHeader)(unsafe.Pointer(&w.memory[0]))
	h := w.header
	if h.magic != magic || h.layout != layout || h.slotOffset+h.slotStride*uint64(h.slots) > uint64(len(w.memory)) {
		return fmt.Errorf("header %+v does not fit %d bytes", *h, len(w.memory))
	}
	return nil
}

// Serve says that the application is imported and runs application for each
// request on the given number of threads. It returns at once.
func (w *Worker) Serve(threads int, application func(*Exchange)) {
	atomic.StoreUint32(&w.header.status, statusServing)
	w.Ring(0)
	for owner := range threads {
		w.Go(func() { w.loop(owner, application) })
	}
}

func (w *Worker) loop(owner int, application func(*Exchange)) {
	for {
		if x := w.Take(owner); x != nil {
			application(x)
			continue
		}
		if atomic.LoadUint32(&w.header.order) == orderLeave {
			return
		}
		w.AwaitWork()
	}
}

// AwaitWork sleeps until there may be a request or an order.
func (w *Worker) AwaitWork() {
	h := w.header
	w.step()
	seen := atomic.LoadUint32(&h.kick)
	atomic.AddUint32(&h.sleepers, 1)
	defer atomic.AddUint32(&h.sleepers, ^uint32(0))
	if _, index := w.oldestReady(); index < 0 && atomic.LoadUint32(&h.order) != orderLeave {
		w.sleep(&h.kick, seen)
	}
}

// Sleepers is how many threads sleep until there is a request.
func (w *Worker) Sleepers() int { return int(atomic.LoadUint32(&w.header.sleepers)) }

// Go runs f as a thread that ends silently where the worker is killed.
func (w *Worker) Go(f func()) {
	w.threads.Add(1)
	go func() {
		defer w.threads.Done()
		defer func() {
			if p := recover(); p != nil && p != any(death{}) {
				panic(p)
			}
		}()
		f()
	}()
}

// Wait waits until every thread has ended: after a kill, or told to leave.
func (w *Worker) Wait() { w.threads.Wait() }

// death unwinds the threads of a killed worker.
type death struct{}

// Kill ends the worker wherever its threads are, and waits for that: nothing
// of it writes to the memory afterwards.
func (w *Worker) Kill() {
	w.killed.Store(true)
	w.wakeAll()
	w.threads.Wait()
}

// KillAfter makes the worker die after so many more steps of all its threads
// together. A step is one thing another side can see.
func (w *Worker) KillAfter(steps int) { w.budget.Store(int64(steps)) }

// step is where the worker can die.
func (w *Worker) step() {
	if w.budget.Load() != math.MaxInt64 && w.budget.Add(-1) < 0 && !w.killed.Swap(true) {
		w.wakeAll()
	}
	if w.killed.Load() {
		panic(death{})
	}
}

// wakeAll wakes goroutines that play threads which are dead already. The words
// they sleep on are counters: one more harms nobody.
func (w *Worker) wakeAll() {
	wake(&w.header.kick)
	for i := range int(w.header.slots) {
		wake(&w.slot(i).nudge)
	}
}

func wake(word *uint32) {
	atomic.AddUint32(word, 1)
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), 1, math.MaxInt32, 0, 0, 0)
}

// sleep waits for word to change from seen.
func (w *Worker) sleep(word *uint32, seen uint32) {
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), 0, uintptr(seen), 0, 0, 0)
	w.step()
}

// Detach unmaps the memory of a worker whose threads have ended.
func (w *Worker) Detach() {
	_ = unix.Close(w.bell)
	_ = unix.Munmap(w.memory) // fails only for a range that is not ours
}

// Ring tells the front that slot i has news: gw_bell_ring.
func (w *Worker) Ring(i int) {
	h := w.header
	w.step()
	atomic.OrUint64(&h.bells[i/64], 1<<(i%64))
	w.step()
	if atomic.LoadUint32(&h.frontSleeps) != 0 && atomic.SwapUint32(&h.frontSleeps, 0) != 0 {
		one := [8]byte{1} // little or big endian: not zero, and that is all that counts
		_, _ = unix.Write(w.bell, one[:])
	}
}

func (w *Worker) slot(i int) *slotHeader {
	at := w.header.slotOffset + w.header.slotStride*uint64(i)
	return (*slotHeader)(unsafe.Pointer(&w.memory[at]))
}

// oldestReady returns the state word and index of the READY slot with the
// oldest ticket; the index is -1 when there is none.
func (w *Worker) oldestReady() (word uint64, index int) {
	index = -1
	for i := range int(w.header.slots) {
		s := atomic.LoadUint64(&w.header.state[i])
		if s&0xff != Ready {
			continue
		}
		if index < 0 || int32(uint32(s>>32)-uint32(word>>32)) < 0 {
			word, index = s, i
		}
	}
	return word, index
}

// Take begins the oldest request nobody has begun: gw_slot_take. nil if there
// is none.
func (w *Worker) Take(owner int) *Exchange {
	for {
		w.step()
		word, index := w.oldestReady()
		if index < 0 {
			return nil
		}
		mine := word&^0xffffff | uint64(owner&0xffff)<<8 | Running
		if atomic.CompareAndSwapUint64(&w.header.state[index], word, mine) {
			return w.open(index, mine)
		}
	}
}
