package tests

// Processes as /proc shows them.

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A Process is one line of ps.
type Process struct {
	PID, Parent, Session int
	State                byte   // R, S, Z …, see proc(5)
	Title                string // its command line
}

// readProcess reads /proc/PID; ok is false when there is no such process.
func readProcess(pid int) (p Process, ok bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, false
	}
	// The name, in parentheses, may hold spaces and parentheses itself.
	rest := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	p = Process{PID: pid, State: rest[0][0]}
	p.Parent, _ = strconv.Atoi(rest[1])
	p.Session, _ = strconv.Atoi(rest[3])
	title, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	p.Title = strings.TrimSpace(strings.ReplaceAll(string(title), "\x00", " "))
	return p, true
}

// freeze stops a process by SIGSTOP and waits until each of its threads has
// stopped: the signal is on its way when kill(2) returns.
func freeze(t *testing.T, pid int) {
	t.Helper()
	kill(t, pid, unix.SIGSTOP)
	await(t, fmt.Sprintf("the stop of process %d", pid), func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*/stat", pid))
		return len(threads) > 0 && !slices.ContainsFunc(threads, func(thread string) bool {
			stat, _ := os.ReadFile(thread)
			return !strings.Contains(string(stat), ") T ")
		})
	})
}

// everything lists all processes, zombies among them.
func everything() []Process {
	var found []Process
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, entry := range entries {
		pid, err := strconv.Atoi(filepath.Base(entry))
		if err != nil {
			continue
		}
		if p, ok := readProcess(pid); ok {
			found = append(found, p)
		}
	}
	return found
}

// session lists the living processes of one session. A zombie has ended, and
// only waits for its parent to look, once its last thread has.
func session(id int) []Process {
	return slices.DeleteFunc(everything(), func(p Process) bool {
		return p.Session != id || p.State == 'X' || p.State == 'Z' && awaitEnd(p.PID, 0)
	})
}

// awaitEnd waits until process pid has ended; false when it has not in time.
func awaitEnd(pid int, patience time.Duration) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return true // it is gone and has been reaped
	}
	defer unix.Close(fd)
	deadline := time.Now().Add(patience)
	for {
		left := time.Until(deadline)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, max(int(left.Milliseconds()), 0))
		if n > 0 {
			return true
		}
		if err != unix.EINTR && left <= 0 {
			return false
		}
	}
}

// awaitSessionEnd waits until nothing of a session is left, and returns what is
// left when patience has run out.
func awaitSessionEnd(id int, patience time.Duration) []Process {
	deadline := time.Now().Add(patience)
	for {
		left := session(id)
		if len(left) == 0 {
			return nil
		}
		for _, p := range left {
			if !awaitEnd(p.PID, time.Until(deadline)) {
				return session(id)
			}
		}
	}
}

// kill sends a signal to one process.
func kill(t testing.TB, pid int, sig unix.Signal) {
	t.Helper()
	if err := unix.Kill(pid, sig); err != nil {
		t.Fatalf("kill(%d, %s): %v", pid, unix.SignalName(sig), err)
	}
}
