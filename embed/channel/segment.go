package channel

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sizes says how large a segment is. Memory is only used where it is touched,
// so generous rings cost address space, not memory.
type Sizes struct {
	Threads int // threads that serve requests
	Slots   int // exchanges at a time: threads and those laid out ahead
	Environ int // bytes for a packed environ
	Body    int // bytes of the request body ring, a power of two
	Reply   int // bytes of the reply ring, a power of two; bounds the head
	Fault   int // bytes for a traceback
}

const pageSize = 4096

func (s Sizes) check() error {
	switch {
	case s.Threads < 1 || s.Slots < s.Threads || s.Slots > MaxSlots:
		return fmt.Errorf("%d threads and %d slots do not fit (at most %d slots)", s.Threads, s.Slots, MaxSlots)
	case s.Environ < 1 || s.Environ > 1<<30 || s.Fault < 1 || s.Fault > 1<<30:
		return fmt.Errorf("environ area of %d and fault area of %d bytes", s.Environ, s.Fault)
	case !ringSize(s.Body) || !ringSize(s.Reply):
		return fmt.Errorf("rings of %d and %d bytes: want powers of two from %d to 1 GiB", s.Body, s.Reply, pageSize)
	}
	return nil
}

func ringSize(n int) bool {
	return n >= pageSize && n <= 1<<30 && n&(n-1) == 0
}

// stride is the distance between two slots, whole pages, so that an unused
// slot shares no page with a used one.
func (s Sizes) stride() uint64 {
	n := uint64(unsafe.Sizeof(slotHeader{})) + uint64(s.Environ) + uint64(s.Body) + uint64(s.Reply) + uint64(s.Fault)
	return (n + pageSize - 1) &^ (pageSize - 1)
}

// Segment is the shared memory of one worker and the eventfd it rings.
//
// A Segment may be used by several goroutines; each Slot by those of one
// exchange. Close frees its memory: nothing that matters is in it afterwards.
type Segment struct {
	sizes  Sizes
	memory []byte
	header *header
	slots  []Slot
	file   *os.File // the memfd, for the worker
	bell   *os.File // the eventfd, ours, in the netpoller
	hushed atomic.Bool
	passing
}

// Create makes a segment with every slot Free.
//
// The memory is sealed against resizing: a worker that could shrink it would
// kill the front with SIGBUS.
func Create(sizes Sizes) (*Segment, error) {
	if err := sizes.check(); err != nil {
		return nil, fmt.Errorf("channel: %w", err)
	}
	s := &Segment{sizes: sizes}
	if err := s.allocate(); err != nil {
		s.Close()
		return nil, fmt.Errorf("channel: shared memory for a worker: %w", err)
	}
	s.fillHeader()
	s.cutSlots()
	return s, nil
}

func (s *Segment) allocate() error {
	size := int64(unsafe.Sizeof(header{}))
	size = (size+pageSize-1)&^(pageSize-1) + int64(s.sizes.stride())*int64(s.sizes.Slots)

	fd, err := unix.MemfdCreate("gowsgi-channel", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return fmt.Errorf("memfd_create: %w", err)
	}
	s.file = os.NewFile(uintptr(fd), "channel")
	if err := unix.Ftruncate(fd, size); err != nil {
		return fmt.Errorf("ftruncate to %d bytes: %w", size, err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	s.memory, err = unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mmap %d bytes: %w", size, err)
	}
	runtime.AddCleanup(s, func(memory []byte) { _ = unix.Munmap(memory) }, s.memory)
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	s.bell = os.NewFile(uintptr(bell), "bell")
	return s.passing.open()
}

func (s *Segment) fillHeader() {
	h := (*header)(unsafe.Pointer(&s.memory[0]))
	h.magic = magic
	h.layout = layout
	h.slots = uint32(s.sizes.Slots)
	h.threads = uint32(s.sizes.Threads)
	h.environBytes = uint32(s.sizes.Environ)
	h.bodyBytes = uint32(s.sizes.Body)
	h.replyBytes = uint32(s.sizes.Reply)
	h.faultBytes = uint32(s.sizes.Fault)
	h.slotOffset = uint64(len(s.memory)) - s.sizes.stride()*uint64(s.sizes.Slots)
	h.slotStride = s.sizes.stride()
	s.header = h
}

func (s *Segment) cutSlots() {
	s.slots = make([]Slot, s.sizes.Slots)
	for i := range s.slots {
		at := int(s.header.slotOffset) + i*int(s.header.slotStride)
		slot := &s.slots[i]
		slot.segment = s
		slot.index = i
		slot.state = &s.header.state[i]
		slot.header = (*slotHeader)(unsafe.Pointer(&s.memory[at]))
		at += int(unsafe.Sizeof(slotHeader{}))
		cut := func(n int) []byte {
			area := s.memory[at : at+n : at+n]
			at += n
			return area
		}
		slot.environ = cut(s.sizes.Environ)
		slot.body = cut(s.sizes.Body)
		slot.reply = cut(s.sizes.Reply)
		slot.fault = cut(s.sizes.Fault)
	}
}

// Sizes returns what the segment was made with.
func (s *Segment) Sizes() Sizes { return s.sizes }

// Slot returns slot i, from 0.
func (s *Segment) Slot(i int) *Slot { return &s.slots[i] }

// Files returns the memory and the eventfd, to be sent to the zygote. They
// stay the segment's.
func (s *Segment) Files() (memory, bell *os.File) { return s.file, s.bell }

// Forked gives back the descriptors that are the worker's once it has them; the
// mapping stays.
func (s *Segment) Forked() {
	if s.file != nil {
		_ = s.file.Close() // a memfd: nothing is written at close
		s.file = nil
	}
	s.passing.forked()
}

// Status returns how far the worker says it is.
func (s *Segment) Status() Status {
	return Status(atomic.LoadUint32(&s.header.status))
}

// Leave tells the worker to finish what it runs, shut Python down and exit.
// Slots that are Ready are still begun; take them back first.
func (s *Segment) Leave() {
	atomic.StoreUint32(&s.header.order, orderLeave)
	futexWake(&s.header.order, allSleepers)
	s.wakeThreads(allSleepers)
}

// wakeThreads tells up to n sleeping threads of the worker to look again.
func (s *Segment) wakeThreads(n int) {
	atomic.AddUint32(&s.header.kick, 1)
	if atomic.LoadUint32(&s.header.sleepers) != 0 {
		futexWake(&s.header.kick, n)
	}
}

// ErrClosed is returned by Listen after Close.
var ErrClosed = errors.New("channel: closed")

// Listen calls rung for each slot the worker has rung for, until Close. It is
// the worker's one listener: a goroutine of its own.
//
// Under load it finds bits set whenever it looks and makes no system call.
// Before it sleeps it says so in front_sleeps and looks once more; the worker
// sets its bit first and looks at front_sleeps second, so no bell is missed.
// The eventfd is never read: the netpoller is edge-triggered, and each write
// is an edge.
func (s *Segment) Listen(rung func(slot int)) error {
	bell, err := s.bell.SyscallConn()
	switch {
	case s.hushed.Load():
		return ErrClosed
	case err != nil:
		return fmt.Errorf("channel: the bell: %w", err)
	}
	woken := false
	sleep := func(uintptr) bool {
		if woken {
			return true
		}
		woken = true
		atomic.StoreUint32(&s.header.frontSleeps, 1)
		return s.anyBell()
	}
	for {
		if s.takeBells(rung) {
			continue
		}
		woken = false
		if err := bell.Read(sleep); err != nil {
			if s.hushed.Load() {
				return ErrClosed
			}
			return fmt.Errorf("channel: wait for the bell: %w", err)
		}
		atomic.StoreUint32(&s.header.frontSleeps, 0)
	}
}

func (s *Segment) anyBell() bool {
	for w := range s.header.bells {
		if atomic.LoadUint64(&s.header.bells[w]) != 0 {
			return true
		}
	}
	return false
}

func (s *Segment) takeBells(rung func(slot int)) bool {
	any := false
	for w := range s.header.bells {
		if atomic.LoadUint64(&s.header.bells[w]) == 0 {
			continue
		}
		set := atomic.SwapUint64(&s.header.bells[w], 0)
		for set != 0 {
			i := bits.TrailingZeros64(set)
			set &^= 1 << i
			any = true
			if slot := w*64 + i; slot < len(s.slots) {
				rung(slot)
			}
		}
	}
	return any
}

// Hush ends Listen and Pass; the memory stays mapped.
func (s *Segment) Hush() {
	s.hushed.Store(true)
	s.passing.close()
	_ = s.bell.Close() // an eventfd: nothing is lost at close
}

// Close ends Listen and gives the memory's pages back to the kernel; what is
// read of it from then on is zero, which is a Free slot that nobody has a ticket
// for.
//
// The addresses stay mapped until nobody refers to the segment or a slot of it
// any more: a goroutine may be about to look at the slot of a call that was
// moved to another worker this very moment, and needs no lock for that.
func (s *Segment) Close() {
	s.Forked()
	if s.bell != nil {
		s.Hush()
	}
	if s.memory != nil {
		_ = unix.Madvise(s.memory, unix.MADV_REMOVE) // refused, it is all freed later
	}
}
