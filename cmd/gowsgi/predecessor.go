package main

// The gowsgi that this one replaces, in the eyes of this one. upgrade.go is the
// other side.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"gowsgi/cmd/failure"
)

// predecessorVariable tells a front that it is to replace another. Its value is
// a legacy, in JSON.
const predecessorVariable = "GOWSGI_PREDECESSOR"

// legacy is what a front leaves to its successor, which may be of another
// version: fields may be added, not change their meaning.
type legacy struct {
	PID        int            `json:"pid"`        // of who leaves it
	Descriptor int            `json:"descriptor"` // of the socket the two talk over
	Sockets    []legacySocket `json:"sockets"`
}

type legacySocket struct {
	origin
	Descriptor int `json:"descriptor"`
}

// The talk, a byte for each step. Until the successor has said that it serves,
// the end of the talk means that nothing comes of it; afterwards, that the
// service is the successor's.
const (
	saysReady   = 'r' // the successor: my workers serve
	saysGo      = 'g' // the predecessor: the pid file is yours, accept
	saysServing = 's' // the successor: I accept
)

// handoverPatience is how long each may take for a step that needs no more than
// a few system calls.
const handoverPatience = 10 * time.Second

var errPredecessorGone = errors.New("the gowsgi that this one was to replace has ended or given it up")

// predecessor is the other end of the talk.
type predecessor struct {
	talk  *os.File
	heard chan byte // closed with the talk
}

// inheritFromPredecessor takes what a predecessor left; nil, nil without one.
// The variable is removed: it is meant for no other process.
func inheritFromPredecessor() (*predecessor, *inheritance, error) {
	text := os.Getenv(predecessorVariable)
	if text == "" {
		return nil, nil, nil
	}
	if err := os.Unsetenv(predecessorVariable); err != nil {
		return nil, nil, err
	}
	var left legacy
	if err := json.Unmarshal([]byte(text), &left); err != nil {
		return nil, nil, fmt.Errorf("$%s: %w", predecessorVariable, err)
	}
	if left.PID != os.Getppid() {
		return nil, nil, fmt.Errorf("$%s: %w", predecessorVariable, errPredecessorGone)
	}
	i := &inheritance{}
	for _, s := range left.Sockets {
		unix.CloseOnExec(s.Descriptor)
		i.sockets = append(i.sockets, passedSocket{s.origin, os.NewFile(uintptr(s.Descriptor), s.Bind)})
	}
	unix.CloseOnExec(left.Descriptor)
	p := &predecessor{
		talk:  pollable(uintptr(left.Descriptor), "predecessor"),
		heard: make(chan byte, 2),
	}
	go p.listen()
	return p, i, nil
}

func (p *predecessor) listen() {
	defer close(p.heard)
	said := make([]byte, 1)
	for {
		if _, err := p.talk.Read(said); err != nil {
			return
		}
		p.heard <- said[0]
	}
}

// unless calls gone when the predecessor ends the talk, until the function it
// returns is called.
func (p *predecessor) unless(gone func()) (end func()) {
	if p == nil {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-p.heard: // it says nothing before it was told something
			gone()
		case <-done:
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// askToAccept says that the workers serve, and waits to be told to accept. An
// error means that the predecessor goes on serving instead.
func (p *predecessor) askToAccept(ctx context.Context) error {
	if _, err := p.talk.Write([]byte{saysReady}); err != nil {
		return errPredecessorGone
	}
	select {
	case said := <-p.heard:
		if said == saysGo {
			return nil
		}
		return errPredecessorGone
	case <-ctx.Done():
		return ctx.Err()
	}
}

// succeed waits until the predecessor leaves the sockets and the pid file to this
// front. On an error it has not, and nothing runs any more.
func (f *front) succeed() error {
	ctx, cancel := context.WithTimeout(context.Background(), handoverPatience)
	defer cancel()
	end := f.signals.during(cancel)
	err := f.predecessor.askToAccept(ctx)
	end()
	if err == nil && f.settings().PIDFile != "" {
		f.pidFile, err = inheritPIDFile(f.settings().PIDFile)
	}
	if err != nil {
		f.pool.Kill()
		<-f.pool.Finished()
		return failure.Errorf(failure.CannotTakeOver, "cannot take over: %w", err)
	}
	// A log rotation meanwhile was told to the other, which was the server then.
	if err := f.reopen(); err != nil {
		f.log.Error(fmt.Sprintf("cannot reopen a log, the old file is used on: %v", err), failure.Key, failure.LogNotReopened)
	}
	return nil
}

// completeSuccession says that connections are accepted, and returns when the
// predecessor has left the service to this front.
func (f *front) completeSuccession() {
	p := f.predecessor
	// An error means that it has ended, which leaves the service as well.
	_, _ = p.talk.Write([]byte{saysServing})
	select {
	case <-p.heard:
	case <-time.After(handoverPatience):
	}
	_ = p.talk.Close()
	for _, s := range f.sockets {
		s.adopt()
	}
	f.notify.Speak()
}

// pollable is an inherited socket for the netpoller, so that a read of it ends
// when it is closed.
func pollable(fd uintptr, name string) *os.File {
	_ = unix.SetNonblock(int(fd), true) // refused, it is no descriptor: the first read says so
	return os.NewFile(fd, name)
}
