package main

// Where log lines end up. Serving matters more than logging: a full disk or a
// closed pipe loses lines, which are counted, and never stops anything.

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"gowsgi/cmd/failure"
)

const (
	stdout = 1
	stderr = 2
)

// A logFile is a file opened for appending, or a standard stream. Its methods may
// be called at the same time from several goroutines.
type logFile struct {
	path string // empty for a standard stream

	mu     sync.Mutex
	fd     int
	lost   uint64 // lines not written since writing last worked
	reason error  // why
	torn   bool   // the last write ended inside a line
}

// openLogFile opens path, or takes the stream when path is "-". A file is made
// with mode 0640 where there is none. The error has exit status 7.
func openLogFile(path string, stream int) (*logFile, error) {
	if path == "-" {
		return &logFile{fd: stream}, nil
	}
	fd, err := openForAppend(path)
	if err != nil {
		return nil, failure.Errorf(failure.LogUnwritable, "cannot write the log file %q: %w", path, unwritable(path, err))
	}
	return &logFile{path: path, fd: fd}, nil
}

func openForAppend(path string) (int, error) {
	for {
		// Non-blocking, so that a named pipe without a reader is an error and not a wait.
		fd, err := unix.Open(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o640)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// recovery says that writing works again after it did not.
type recovery struct {
	lost   uint64 // lines that were dropped meanwhile
	reason error  // why the last of them was
}

// write appends p, which must be whole lines, with one system call unless the
// kernel takes only a part. What cannot be written is dropped and counted; the
// first write that works afterwards returns the count, once.
func (f *logFile) write(p []byte) (recovery, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.torn {
		// Lines after a torn one must not become part of it.
		if n, err := writeAll(f.fd, []byte{'\n'}); n == 0 {
			f.drop(p, err)
			return recovery{}, false
		}
		f.torn = false
	}
	n, err := writeAll(f.fd, p)
	if err != nil {
		f.torn = n > 0 && p[n-1] != '\n'
		f.drop(p[n:], err)
		return recovery{}, false
	}
	done := recovery{f.lost, f.reason}
	f.lost, f.reason = 0, nil
	return done, done.lost > 0
}

func (f *logFile) drop(p []byte, err error) {
	f.lost += uint64(bytes.Count(p, []byte{'\n'}))
	f.reason = err
}

// add counts lines that were dropped before they came here.
func (f *logFile) add(lost uint64, reason error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost += lost
	f.reason = reason
}

// reopen opens the path again, after the file was renamed by a log rotation. On
// an error the old file stays in use. A standard stream stays what it is.
func (f *logFile) reopen() error {
	if f.path == "" {
		return nil
	}
	fd, err := openForAppend(f.path)
	if err != nil {
		return fmt.Errorf("cannot reopen the log file %q, the old one stays in use: %w", f.path, unwritable(f.path, err))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = unix.Close(f.fd)
	f.fd, f.torn = fd, false
	return nil
}

// close closes the file; standard streams stay open. Nothing may be written
// afterwards.
func (f *logFile) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.path == "" || f.fd < 0 {
		return nil
	}
	fd := f.fd
	f.fd = -1
	return unix.Close(fd)
}

// stallLimit is how long a reader that takes nothing (a pipe set non-blocking)
// may hold up a line before it is dropped.
const stallLimit = time.Second

// writeAll writes with write(2) itself. os.File would end the program on a
// closed pipe behind standard output or error, see the package os/signal.
func writeAll(fd int, p []byte) (written int, err error) {
	for written < len(p) {
		n, err := unix.Write(fd, p[written:])
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			if err := waitWritable(fd); err != nil {
				return written, err
			}
		case err != nil:
			return written, err
		default:
			written += n
		}
	}
	return written, nil
}

func waitWritable(fd int) error {
	deadline := time.Now().Add(stallLimit)
	for {
		left := time.Until(deadline)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(max(left, 0)/time.Millisecond))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case n == 0:
			return errors.New("the reader takes nothing")
		default:
			return nil
		}
	}
}
