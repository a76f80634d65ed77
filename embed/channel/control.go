package channel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The messages below mirror embed/control.h.

const (
	orderFork   = 1
	orderSignal = 2

	orderBytes  = 16
	reportBytes = 32
)

// StacksSignal makes a worker or a zygote write the stacks of all its Python
// threads to standard error, whatever they do, and go on. DumpStacks sends it
// to a worker together with a reason. It is SIGRTMAX - 6: see control.h.
const StacksSignal unix.Signal = 58

// Why says why the stacks of a process are asked for; the process writes the
// reason before them.
type Why int32

// The reasons to ask for stacks.
const (
	WhyAsked   Why = 0 // somebody wants to see them
	WhyRequest Why = 1 // a request has run out of time
	WhyStart   Why = 2 // the start takes too long
	WhyLeave   Why = 3 // the end takes too long
	WhyAfter   Why = 4 // functions given to after_response have run out of time
)

// ReportKind says what a Report tells.
type ReportKind uint32

// The reports of a zygote.
const (
	Booted     ReportKind = 1 // CPython runs; with preload the application is in
	Forked     ReportKind = 2
	ForkFailed ReportKind = 3 // Status is the errno
	Exited     ReportKind = 4 // Status or Signal, and MaxRSS
)

// Report is what the zygote tells the front.
type Report struct {
	Kind   ReportKind
	Worker uint32 // which worker, as numbered by the front
	PID    int
	Status int         // exit status
	Signal unix.Signal // the signal that ended it, 0 if it exited
	MaxRSS int64       // bytes, the most it had resident
}

// Control is one end of the socket between front and zygote: one message, one
// datagram, in order, and end-of-file when the other side is gone.
type Control struct {
	conn     *net.UnixConn
	patience time.Duration // with an order that there is no room for
}

// Pair makes a control socket: the front's end, and the zygote's as a file to
// be inherited.
func Pair() (*Control, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("channel: socketpair: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "control")
	ours, err := NewControl(os.NewFile(uintptr(fds[0]), "control"))
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// NewControl uses an inherited end; it takes f over.
func NewControl(f *os.File) (*Control, error) {
	defer func() { _ = f.Close() }() // FileConn has its own descriptor
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("channel: control socket: %w", err)
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		_ = conn.Close()
		return nil, errors.New("channel: control socket is not a unix socket")
	}
	return &Control{unixConn, orderPatience}, nil
}

// Close ends the conversation; the zygote and its workers end with it.
func (c *Control) Close() error { return c.conn.Close() }

// SendSettings sends the zygote its settings, the first message.
func (c *Control) SendSettings(text []byte) error {
	if _, err := c.conn.Write(text); err != nil {
		return fmt.Errorf("channel: send settings: %w", err)
	}
	return nil
}

// ReceiveSettings is the zygote's side of SendSettings.
func (c *Control) ReceiveSettings() ([]byte, error) {
	buf := make([]byte, 1<<20)
	n, err := c.conn.Read(buf)
	if err != nil {
		return nil, fmt.Errorf("channel: receive settings: %w", err)
	}
	return buf[:n], nil
}

// Fork orders a worker with the given number, serving segment, whose standard
// error is the given file. Like every order it fails with os.ErrDeadlineExceeded
// when the zygote has not taken earlier ones for long.
func (c *Control) Fork(worker uint32, segment *Segment, stderr *os.File) error {
	memory, bell := segment.Files()
	// Fd would put the eventfd into blocking mode for both sides
	rights, err := descriptors(memory, bell, stderr, segment.theirs)
	if err != nil {
		return err
	}
	return c.order(orderFork, worker, 0, 0, unix.UnixRights(rights...))
}

// Signal orders a signal for a worker. The zygote sends it through a pidfd: a
// pid that has been reaped and reused is never hit.
func (c *Control) Signal(worker uint32, sig unix.Signal) error {
	return c.order(orderSignal, worker, int32(sig), 0, nil)
}

// DumpStacks has a worker write, after a line with the reason, the stacks of
// all its Python threads to its standard error, whatever they do: the GIL is
// not needed for it. The worker goes on afterwards.
func (c *Control) DumpStacks(worker uint32, why Why) error {
	return c.order(orderSignal, worker, int32(StacksSignal), why, nil)
}

// orderPatience is how long an order waits for room behind some hundred others
// that the zygote has not read: it is forking, at once for a large pool, or it
// hangs, and who gives the orders has other things to do.
const orderPatience = 10 * time.Second

func (c *Control) order(kind, worker uint32, sig int32, why Why, rights []byte) error {
	var m [orderBytes]byte
	binary.NativeEndian.PutUint32(m[0:], kind)
	binary.NativeEndian.PutUint32(m[4:], worker)
	binary.NativeEndian.PutUint32(m[8:], uint32(sig))
	binary.NativeEndian.PutUint32(m[12:], uint32(why))
	_ = c.conn.SetWriteDeadline(time.Now().Add(c.patience)) // fails only when closed
	if _, _, err := c.conn.WriteMsgUnix(m[:], rights, nil); err != nil {
		return fmt.Errorf("channel: order to the zygote: %w", err)
	}
	return nil
}

func descriptors(files ...*os.File) ([]int, error) {
	fds := make([]int, len(files))
	for i, f := range files {
		raw, err := f.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { fds[i] = int(fd) })
		}
		if err != nil {
			return nil, fmt.Errorf("channel: descriptor of %s: %w", f.Name(), err)
		}
	}
	return fds, nil
}

// Receive waits for the next report; io.EOF when the zygote is gone.
func (c *Control) Receive() (Report, error) {
	var m [reportBytes]byte
	n, err := c.conn.Read(m[:])
	switch {
	case err != nil && (errors.Is(err, unix.ECONNRESET) || errors.Is(err, net.ErrClosed)):
		return Report{}, io.EOF
	case err != nil && !errors.Is(err, io.EOF):
		return Report{}, fmt.Errorf("channel: receive report: %w", err)
	case err != nil || n == 0: // a zero-length datagram is how SEQPACKET says EOF
		return Report{}, io.EOF
	case n != reportBytes:
		return Report{}, fmt.Errorf("channel: report of %d bytes, want %d", n, reportBytes)
	}
	return Report{
		Kind:   ReportKind(binary.NativeEndian.Uint32(m[0:])),
		Worker: binary.NativeEndian.Uint32(m[4:]),
		PID:    int(int32(binary.NativeEndian.Uint32(m[8:]))),
		Status: int(int32(binary.NativeEndian.Uint32(m[12:]))),
		Signal: unix.Signal(int32(binary.NativeEndian.Uint32(m[16:]))),
		MaxRSS: int64(binary.NativeEndian.Uint64(m[24:])) * 1024,
	}, nil
}

// Descriptor returns the socket's descriptor for the C loop, blocking; the
// Control must not be used from Go afterwards.
func (c *Control) Descriptor() (int, error) {
	f, err := c.conn.File() // a duplicate, for good: the C loop ends with the process
	if err != nil {
		return -1, fmt.Errorf("channel: control socket: %w", err)
	}
	// a copy left open would be every worker's, and that of what it forks: the
	// front would not see the socket end with the zygote
	_ = c.conn.Close()
	fd := int(f.Fd())
	controlFile = f
	return fd, nil
}

// controlFile keeps the zygote's control socket from being closed by the
// garbage collector while the C loop uses its descriptor.
var controlFile *os.File
