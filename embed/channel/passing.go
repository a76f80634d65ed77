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
	askBody   = 1
	bodyFile  = 2
	replyFile = 3

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

// Passer is who knows the exchanges that files belong to. A slot's number is one of
// the segment's, but ticket and file are what the worker says they are.
type Passer interface {
	// BodyFile returns the file for a slot, if it still runs under that ticket, or
	// nil. It stays the Passer's: the worker gets a descriptor of its own, and is
	// told when the file was closed before that.
	BodyFile(slot int, ticket uint32) *os.File
	// ReplyFile takes over the file that is to be the body of the answer in a slot;
	// nil if it was lost on the way, for want of a free descriptor.
	ReplyFile(slot int, ticket uint32, f *os.File)
}

// Pass answers each request of the worker for the body file of an exchange, and
// takes the files it has for answers, until Hush or Close or the worker's end; it is
// for a goroutine of its own.
func (s *Segment) Pass(p Passer) error {
	var m [passingBytes]byte
	for {
		n, f, err := s.receive(m[:])
		switch {
		case errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET):
			return ErrClosed
		case err != nil:
			return fmt.Errorf("channel: passing socket: %w", err)
		case n == 0: // how SEQPACKET says end-of-file
			return ErrClosed
		}
		kind, slot, ticket := binary.NativeEndian.Uint32(m[0:]), binary.NativeEndian.Uint32(m[4:]), binary.NativeEndian.Uint32(m[8:])
		switch {
		case n != passingBytes || slot >= uint32(s.sizes.Slots) || kind != replyFile && (kind != askBody || f != nil):
			if f != nil {
				_ = f.Close()
			}
			return ErrDamaged
		case kind == replyFile:
			p.ReplyFile(int(slot), ticket, f)
			continue
		}
		binary.NativeEndian.PutUint32(m[0:], bodyFile)
		if err := s.answer(m[:], p.BodyFile(int(slot), ticket)); err != nil {
			return err
		}
	}
}

// receive reads one message and the file that comes with it, if one does. There is
// room for one descriptor: more are closed by the kernel.
func (s *Segment) receive(m []byte) (n int, f *os.File, err error) {
	room := make([]byte, unix.CmsgSpace(4))
	n, rights, _, _, err := s.ours.ReadMsgUnix(m, room)
	if err != nil || rights == 0 {
		return n, nil, err
	}
	messages, err := unix.ParseSocketControlMessage(room[:rights])
	if err != nil {
		return n, nil, fmt.Errorf("control message: %w", err)
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err == nil && len(fds) == 1 {
			f = os.NewFile(uintptr(fds[0]), "file of the application")
		}
	}
	return n, f, nil
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
