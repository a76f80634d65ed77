package channel

import (
	"math"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	futexOpWake = 1
	allSleepers = math.MaxInt32
)

// futexWake wakes up to n threads of the worker that sleep on word. It is a
// raw system call: it never blocks, so the scheduler need not hear of it.
func futexWake(word *uint32, n int) {
	_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexOpWake, uintptr(n), 0, 0, 0)
}
