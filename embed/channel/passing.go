package channel

// The socket by which descriptors reach a worker that runs already: a pair made
// with its segment, one end inherited at the fork.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// The messages mirror struct gw_passing in embed/channel.h.
const (
	askBody  = 1
	bodyFile = 2

	passingBytes = 12
)

// passing is both ends of a worker's socket.
type passing struct {
	ours   *net.UnixConn
	theirs *os.File // nil once the worker has it
}

func (p *passing) open() error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	p.theirs = os.NewFile(uintptr(fds[1]), "passing")
	file := os.NewFile(uintptr(fds[0]), "passing")
	defer func() { _ = file.Close() }() // FileConn has its own descriptor
	conn, err := net.FileConn(file)
	if err != nil {
		return fmt.Errorf("passing socket: %w", err)
	}
	p.ours = conn.(*net.UnixConn) // by its family
	return nil
}

// forked closes the worker's end: what the worker has is a copy.
func (p *passing) forked() {
	if p.theirs != nil {
		_ = p.theirs.Close()
		p.theirs = nil
	}
}

func (p *passing) close() {
	if p.ours != nil {
		_ = p.ours.Close() // nothing is lost: who asked is gone, or will be
	}
}

// Passing returns the worker's end of the socket, for tests that play a worker.
// It stays the segment's, until Forked.
func (s *Segment) Passing() *os.File { return s.theirs }

// Pass answers each request of the worker for the body file of an exchange, until
// Hush or Close or the worker's end; it is for a goroutine of its own. find returns
// the file for a slot, if it still runs under that ticket, or nil. It stays find's:
// the worker gets a descriptor of its own, and is told when the file was closed
// before that.
func (s *Segment) Pass(find func(slot int, ticket uint32) *os.File) error {
	var m [passingBytes]byte
	for {
		n, err := s.ours.Read(m[:])
		switch {
		case errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET):
			return ErrClosed
		case err != nil:
			return fmt.Errorf("channel: passing socket: %w", err)
		case n == 0: // how SEQPACKET says end-of-file
			return ErrClosed
		case n != passingBytes || binary.NativeEndian.Uint32(m[0:]) != askBody:
			return ErrDamaged
		}
		slot, ticket := binary.NativeEndian.Uint32(m[4:]), binary.NativeEndian.Uint32(m[8:])
		if slot >= uint32(s.sizes.Slots) {
			return ErrDamaged
		}
		binary.NativeEndian.PutUint32(m[0:], bodyFile)
		if err := s.answer(m[:], find(int(slot), ticket)); err != nil {
			return err
		}
	}
}

// answer sends a message with the descriptor of f, or without one when there is
// none, or the kernel refuses to pass any more (ETOOMANYREFS): the thread that
// asked waits for it.
func (s *Segment) answer(m []byte, f *os.File) error {
	if f != nil {
		var sent error
		raw, err := f.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) {
				_, _, sent = s.ours.WriteMsgUnix(m, unix.UnixRights(int(fd)), nil)
			})
		}
		if err == nil && sent == nil {
			return nil
		}
	}
	if _, err := s.ours.Write(m); err != nil && !s.hushed.Load() && !errors.Is(err, unix.EPIPE) {
		return fmt.Errorf("channel: pass a descriptor: %w", err)
	} else if err != nil {
		return ErrClosed
	}
	return nil
}
