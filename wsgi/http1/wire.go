package http1

// How bytes of one connection are read and written.

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// wire reads and writes a socket by raw system calls.
//
// net's own calls tell the scheduler before and after each one that it may
// block. These cannot: the socket is non-blocking, and waiting is the
// netpoller's business as always. On a busy machine that saves the runtime from
// taking processors away from threads that will be back in microseconds.
//
// One goroutine may read while another writes. Deadlines set on the connection
// hold.
type wire struct {
	raw       syscall.RawConn // nil: conn is no socket
	conn      net.Conn
	readable  func(fd uintptr) bool // made once, so that a call allocates nothing
	writable  func(fd uintptr) bool
	offerable func(fd uintptr) bool
	awaits    func(fd uintptr) bool // what await tries, the reader's own
	in, out   []byte
	parts     [3]syscall.Iovec // what is offered, sent bytes taken off
	patient   bool             // an offer waits for the client
	got, sent int
	readErr   syscall.Errno
	writeErr  syscall.Errno
}

// rawLimit bounds what is written at once without telling the scheduler: the
// kernel copies it and, on loopback, even delivers it meanwhile.
const rawLimit = 16 << 10

func (w *wire) open(nc net.Conn) {
	w.conn = nc
	socket, ok := nc.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return
	}
	w.raw = raw
	w.readable = func(fd uintptr) bool {
		w.got, w.readErr = rawIO(syscall.SYS_READ, fd, w.in)
		return w.readErr != syscall.EAGAIN
	}
	w.writable = func(fd uintptr) bool {
		n, err := rawIO(syscall.SYS_WRITE, fd, w.out[w.sent:])
		w.sent += n
		w.writeErr = err
		return err != syscall.EAGAIN && (err != 0 || w.sent == len(w.out))
	}
	w.offerable = func(fd uintptr) bool {
		for {
			n, err := w.sendParts(fd)
			w.sent += n
			w.writeErr = err
			switch {
			case err == syscall.EAGAIN:
				return !w.patient
			case err != 0 || !w.takeOff(n):
				return true
			case !w.patient:
				return true // the kernel took what it had room for
			}
		}
	}
}

// sendParts is writev(2) of what is left of the parts, again when a signal got
// between; a large one with the scheduler told.
func (w *wire) sendParts(fd uintptr) (int, syscall.Errno) {
	parts, size := w.parts[:], uint64(0)
	for len(parts) > 0 && parts[0].Len == 0 {
		parts = parts[1:]
	}
	for i := range parts {
		size += parts[i].Len
	}
	call := syscall.RawSyscall
	if size > rawLimit {
		call = syscall.Syscall
	}
	for {
		n, _, err := call(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(unsafe.SliceData(parts))), uintptr(len(parts)))
		switch err {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, err
		}
	}
}

// takeOff takes n sent bytes off the parts and tells whether any are left.
func (w *wire) takeOff(n int) bool {
	left := false
	for i := range w.parts {
		p := &w.parts[i]
		k := min(n, int(p.Len))
		n -= k
		p.Len -= uint64(k)
		if p.Len > 0 {
			p.Base = (*byte)(unsafe.Add(unsafe.Pointer(p.Base), k))
			left = true
		}
	}
	return left
}

// offers says that offer can be used: the socket is ours to ask.
func (w *wire) offers() bool { return w.raw != nil }

// offer writes as much of the blocks as the client takes now, or, if patient, until
// the deadline: os.ErrDeadlineExceeded then.
func (w *wire) offer(a, b, d []byte, patient bool) (int, error) {
	for i, p := range [...][]byte{a, b, d} {
		w.parts[i].Base = unsafe.SliceData(p)
		w.parts[i].SetLen(len(p))
	}
	w.patient, w.sent = patient, 0
	err := w.raw.Write(w.offerable)
	w.parts = [3]syscall.Iovec{}
	if err == nil && w.writeErr != 0 && w.writeErr != syscall.EAGAIN {
		err = os.NewSyscallError("writev", w.writeErr)
	}
	return w.sent, err
}

// rawIO is read(2) or write(2), again when a signal got between.
func rawIO(call, fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, err := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch err {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, err
		}
	}
}

// read is net.Conn's Read.
func (w *wire) read(p []byte) (int, error) {
	if w.raw == nil || len(p) == 0 {
		return w.conn.Read(p)
	}
	w.in = p
	err := w.raw.Read(w.readable)
	w.in = nil
	return w.result(err)
}

// await waits until awaits has read something.
func (w *wire) await() (int, error) { return w.result(w.raw.Read(w.awaits)) }

func (w *wire) result(err error) (int, error) {
	switch {
	case err != nil:
		return 0, err
	case w.readErr != 0:
		return 0, os.NewSyscallError("read", w.readErr)
	case w.got == 0:
		return 0, io.EOF
	}
	return w.got, nil
}

// write is net.Conn's Write.
func (w *wire) write(p []byte) (int, error) {
	if w.raw == nil || len(p) > rawLimit || len(p) == 0 {
		return w.conn.Write(p)
	}
	w.out, w.sent = p, 0
	err := w.raw.Write(w.writable)
	w.out = nil
	if err == nil && w.writeErr != 0 {
		err = os.NewSyscallError("write", w.writeErr)
	}
	return w.sent, err
}
