package workers

// The zygote, from the perspective of the front that started it.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gowsgi/embed/channel"
)

// titleRoom is how many bytes a process title may have: ps shows argv[0], and
// only what exec put there can be overwritten.
const titleRoom = 160

// Command says how a zygote is started and told what to serve.
type Command struct {
	Path     string   // the binary: this one
	Env      []string // its whole environment, with what makes it a zygote
	Settings []byte   // its first message
	Owner    *Owner   // who it will be; nil: as this process
}

// Owner is a user and a group, by number.
type Owner struct{ UID, GID int }

// pipe makes what is going to be a standard error. It is the owner's, who could
// not open /dev/stderr otherwise; o may be nil.
func (o *Owner) pipe() (r, w *os.File, err error) {
	if r, w, err = os.Pipe(); err != nil || o == nil {
		return r, w, err
	}
	if err := w.Chown(o.UID, o.GID); err != nil {
		return nil, nil, errors.Join(err, r.Close(), w.Close())
	}
	return r, w, nil
}

// zygote is the process workers are forked from.
type zygote struct {
	process *exec.Cmd
	pid     int
	owner   *Owner
	control *channel.Control
	booted  time.Time // when it told that it can fork
	late    bool      // it has not booted in time, and is being killed
}

// startZygote starts the process. The calling goroutine must be locked to its
// thread and stay: the kernel kills the zygote when that thread ends, which is
// how it dies with the front.
func startZygote(c Command, output func(io.ReadCloser)) (*zygote, error) {
	control, theirs, err := channel.Pair()
	if err != nil {
		return nil, err
	}
	defer func() { _ = theirs.Close() }() // the zygote has its own by then
	stderr, w, err := c.Owner.pipe()
	if err != nil {
		_ = control.Close()
		return nil, fmt.Errorf("workers: pipe for the zygote: %w", err)
	}
	defer func() { _ = w.Close() }()

	title := "gowsgi: zygote"
	cmd := &exec.Cmd{
		Path:       c.Path,
		Args:       []string{title + strings.Repeat(" ", titleRoom-len(title))},
		Env:        c.Env,
		Stdout:     os.Stdout,
		Stderr:     w,
		ExtraFiles: []*os.File{theirs},
		SysProcAttr: &syscall.SysProcAttr{
			Setpgid:   true, // Ctrl-C is the front's to handle
			Pdeathsig: syscall.SIGKILL,
		},
	}
	if err := cmd.Start(); err != nil {
		_ = control.Close()
		_ = stderr.Close()
		return nil, fmt.Errorf("workers: start the zygote: %w", err)
	}
	output(stderr)
	z := &zygote{process: cmd, pid: cmd.Process.Pid, owner: c.Owner, control: control}
	if err := control.SendSettings(c.Settings); err != nil {
		z.kill()
		_ = cmd.Wait() // it was killed, and says so
		return nil, err
	}
	return z, nil
}

// listen passes on what the zygote reports until it has ended, and then how.
func (z *zygote) listen(heard func(channel.Report), ended func(error)) {
	heardAll := make(chan struct{})
	go func() {
		defer close(heardAll)
		for {
			r, err := z.control.Receive()
			if err != nil {
				return // io.EOF or worse: how the process ends says why
			}
			heard(r)
		}
	}()
	err := z.process.Wait()
	_ = z.control.Close() // ends Receive, whoever else has the other end
	<-heardAll
	ended(err)
}

// showStacks has the zygote write down what its Python threads do.
func (z *zygote) showStacks() {
	_ = z.process.Process.Signal(channel.StacksSignal) // it may have ended by itself
}

func (z *zygote) kill() {
	_ = z.process.Process.Kill() // it may have ended by itself
	_ = z.control.Close()
}

// exitCode returns the code of a zygote that left by itself, -1 otherwise.
func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// forkInto orders a worker with a segment of its own and returns it.
func (z *zygote) fork(id uint32, sizes channel.Sizes, output func(io.ReadCloser)) (*worker, error) {
	segment, err := channel.Create(sizes)
	if err != nil {
		return nil, err
	}
	stderr, w, err := z.owner.pipe()
	if err != nil {
		segment.Close()
		return nil, fmt.Errorf("workers: pipe for worker %d: %w", id, err)
	}
	defer func() { _ = w.Close() }()
	if err := z.ordered(z.control.Fork(id, segment, w)); err != nil {
		_ = stderr.Close()
		segment.Close()
		return nil, err
	}
	segment.Forked()
	output(stderr)
	return newWorker(id, segment), nil
}

func (z *zygote) signal(w *worker, sig unix.Signal) {
	_ = z.ordered(z.control.Signal(w.id, sig)) // a zygote that is gone took the worker along
}

// dumpStacks has a worker write down what its Python threads do.
func (z *zygote) dumpStacks(w *worker, why channel.Why) {
	_ = z.ordered(z.control.DumpStacks(w.id, why)) // a zygote that is gone took the worker along
}

// ordered looks at what became of an order: a zygote that takes none any more
// hangs, and is killed.
func (z *zygote) ordered(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		z.kill()
	}
	return err
}

// copyLines hands whole lines from r to write until end-of-file; several at
// once when they came at once, so that a traceback stays together. A line
// longer than maxLine is handed over in pieces.
func copyLines(r io.Reader, write func([]byte)) {
	buf := make([]byte, maxLine)
	held := 0
	for {
		n, err := r.Read(buf[held:])
		held += n
		end := bytes.LastIndexByte(buf[:held], '\n') + 1
		if end == 0 && held == len(buf) || err != nil {
			end = held
		}
		if end > 0 {
			write(buf[:end])
			held = copy(buf, buf[end:held])
		}
		if err != nil {
			return
		}
	}
}

// maxLine is the longest line kept together.
const maxLine = 16 << 10
