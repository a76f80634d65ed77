package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"gowsgi/cmd/failure"
)

// A pidFile holds the process id of the running server, in decimal and with a
// line feed, for scripts that send it signals.
type pidFile struct {
	path string // absolute: the program may change folders
	pid  int
}

// writePIDFile writes this process's id to path, whole or not at all. It refuses
// when the file names another living process. The error has exit status 7.
func writePIDFile(path string) (*pidFile, error) {
	file := &pidFile{pid: os.Getpid()}
	var err error
	if file.path, err = filepath.Abs(path); err == nil {
		err = file.write()
	}
	if err != nil {
		return nil, failure.Errorf(failure.PIDUnwritable, "cannot write the pid file %q: %w", path, unwritable(besides(path), err))
	}
	return file, nil
}

// inheritPIDFile gives the pid file of a server that this process replaces, and
// that names it already.
func inheritPIDFile(path string) (*pidFile, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, failure.Errorf(failure.PIDUnwritable, "cannot find the pid file %q: %w", path, err)
	}
	return &pidFile{absolute, os.Getpid()}, nil
}

func (f *pidFile) write() error {
	pid, err := readPID(f.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && pid != f.pid && lives(pid, f.pid) {
		return failure.Errorf(failure.PIDRunning, "process %d, which it names, is running: %s", pid, describeProcess(pid))
	}
	return f.put(f.pid)
}

// name makes the file name another process: one that takes this one's place, or
// this one again. On an error it names whom it named before.
func (f *pidFile) name(pid int) error {
	if err := f.put(pid); err != nil {
		return failure.Errorf(failure.PIDUnwritable, "cannot write the pid file %q: %w", f.path, unwritable(besides(f.path), err))
	}
	return nil
}

// besides is a name like those of the files that are renamed to path: what counts is
// its folder.
func besides(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
}

// put writes the file anew, whole or not at all.
func (f *pidFile) put(pid int) error {
	// CreateTemp's mode keeps others from reading it; a pid is no secret.
	temporary, err := os.CreateTemp(filepath.Dir(f.path), "."+filepath.Base(f.path)+".*")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(temporary, "%d\n", pid)
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), f.path)
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
	}
	return err
}

// Remove removes the file, unless it has come to name another process.
func (f *pidFile) Remove() error {
	pid, err := readPID(f.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && pid != f.pid {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot remove the pid file: %w", err)
	}
	return os.Remove(f.path)
}

// readPID reads a pid file. An empty one, left by a crash of whoever wrote it,
// gives 0, which is no process.
func readPID(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return 0, nil
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil || pid < 0 {
		// It may be somebody's data, named by mistake.
		return 0, failure.Errorf(failure.PIDNotOne, "%s holds something else than a process id", path)
	}
	return pid, nil
}

// lives tells whether pid is a running process other than self. The number may
// also be that of one of self's threads, which answer to signals like processes:
// common in containers, where every start counts from 1.
func lives(pid, self int) bool {
	if pid == 0 || errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		return false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err != nil || !strings.Contains(string(status), fmt.Sprintf("\nTgid:\t%d\n", self))
}
