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
	in, out   []byte
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
