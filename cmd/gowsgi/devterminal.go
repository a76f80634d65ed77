package main

// The terminal, lent to the one worker whose debugger talks to the developer.

import (
	"os"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// devTerminal is the terminal gowsgi was started from, if there is one. Whose
// process group is in its foreground gets what is typed, Ctrl-C included: it is
// the front's, or that of the worker it is lent to.
type devTerminal struct {
	tty    *os.File // nil: there is none
	before *unix.Termios

	mu     sync.Mutex
	holder *devCustomer
	queue  []*devCustomer
}

// devCustomer is a worker that may ask for the terminal.
type devCustomer struct {
	pid    int
	group  int // of its process, once it has asked
	answer func(word string)
}

func openDevTerminal() *devTerminal {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return &devTerminal{}
	}
	before, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		_ = tty.Close() // nothing was written
		return &devTerminal{}
	}
	return &devTerminal{tty: tty, before: before}
}

// ask is answered with yes once the terminal is the customer's; with no when
// there is none, or gowsgi runs in the background of it.
func (t *devTerminal) ask(c *devCustomer, group int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.group = group
	switch {
	case t.tty == nil:
		c.answer("no")
	case t.holder != nil:
		t.queue = append(t.queue, c)
	default:
		t.lendLocked(c)
	}
}

func (t *devTerminal) lendLocked(c *devCustomer) {
	foreground, err := unix.IoctlGetInt(int(t.tty.Fd()), unix.TIOCGPGRP)
	if err != nil || foreground != unix.Getpgrp() || t.give(c.group) != nil {
		c.answer("no")
		return
	}
	t.holder = c
	c.answer("yes")
}

// back: the customer has what it wanted, and has set the terminal right. It waits
// for the answer: what is typed afterwards is not for it.
func (t *devTerminal) back(c *devCustomer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holder == c {
		t.takeLocked(false)
	}
	c.answer("taken")
}

// left: the customer's process has ended, as it may in the middle of a line.
func (t *devTerminal) left(c *devCustomer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue = slices.DeleteFunc(t.queue, func(q *devCustomer) bool { return q == c })
	if t.holder == c {
		t.takeLocked(true)
	}
}

// reclaim takes the terminal back for good.
func (t *devTerminal) reclaim() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.queue {
		c.answer("no")
	}
	t.queue = nil
	if t.holder != nil {
		t.takeLocked(true)
	}
}

func (t *devTerminal) takeLocked(restore bool) {
	t.holder = nil
	_ = t.give(unix.Getpgrp()) // the terminal may have been hung up
	if restore {
		_ = unix.IoctlSetTermios(int(t.tty.Fd()), unix.TCSETS, t.before)
	}
	if len(t.queue) > 0 {
		next := t.queue[0]
		t.queue = t.queue[1:]
		t.lendLocked(next)
	}
}

// give puts a process group into the foreground. From the background that raises
// SIGTTOU, unless the thread that does it blocks that.
func (t *devTerminal) give(group int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var mask, before unix.Sigset_t
	mask.Val[0] = 1 << (uint(unix.SIGTTOU) - 1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &mask, &before); err != nil {
		return err
	}
	err := unix.IoctlSetPointerInt(int(t.tty.Fd()), unix.TIOCSPGRP, group)
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) // it was a mask before
	return err
}

// has says whether a worker has the terminal, or waits for it.
func (t *devTerminal) has(pid int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.holder != nil && t.holder.pid == pid ||
		slices.ContainsFunc(t.queue, func(c *devCustomer) bool { return c.pid == pid })
}
