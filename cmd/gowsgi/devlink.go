package main

// What workers tell a development server: what they import, and what has failed.
// The other side is embed/dev.py.

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"gowsgi/workers/changes"
	"gowsgi/wsgi/dev"
)

// devLink hears the zygotes and workers of a development server.
type devLink struct {
	dev      *devServer
	address  string // the name of its abstract socket
	listener *net.UnixListener

	mu       sync.Mutex
	attempts map[int]*devAttempt // the newest two
	raised   []devRaised         // the latest
	news     chan struct{}       // closed when something was heard
}

// devAttempt is what was heard of one attempt to load the application.
type devAttempt struct {
	warm    []string // modules that can be imported ahead
	modules []changes.Module
	failure *dev.Failure
}

// devRaised is an exception that ended a request.
type devRaised struct {
	request string // its id
	failure *dev.Failure
}

// mostRaised are kept. One that was raised after its answer had begun is not
// asked for.
const mostRaised = 32

// heardWithin is how long what was told before may take to be heard.
const heardWithin = 500 * time.Millisecond

// listenDevLink listens by a name that nobody can guess or has: abstract names are
// shared by all that share a network namespace, where process ids may come twice.
func listenDevLink(d *devServer) (*devLink, error) {
	l := &devLink{dev: d, address: "gowsgi/dev/" + rand.Text(), news: make(chan struct{}), attempts: map[int]*devAttempt{1: {}}}
	var err error
	l.listener, err = net.ListenUnix("unixpacket", &net.UnixAddr{Net: "unixpacket", Name: "@" + l.address})
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := l.listener.AcceptUnix()
			if err != nil {
				return // closed
			}
			go l.hear(c)
		}
	}()
	return l, nil
}

// Close ends the listening; a second time it does nothing.
func (l *devLink) Close() error {
	if err := l.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// devMessage is a datagram of dev.py's.
type devMessage struct {
	Kind       string               `json:"kind"`
	Generation int                  `json:"generation"` // hello
	Files      [][2]json.RawMessage `json:"files"`      // modules: path, time of change
	Names      []string             `json:"names"`      // warm
	ID         string               `json:"id"`         // raised
	Error      *dev.Failure         `json:"error"`      // raised, failed
	Group      int                  `json:"group"`      // terminal: process group that asks
}

// mostMessage is more than the kernel takes as one datagram.
const mostMessage = 1 << 20

// hear reads what one process tells until it has ended.
func (l *devLink) hear(c *net.UnixConn) {
	defer func() { _ = c.Close() }()
	peer, err := peerOf(c)
	if err != nil || !l.isOurs(int(peer.Uid)) {
		return
	}
	customer := &devCustomer{pid: int(peer.Pid), answer: func(word string) { _, _ = io.WriteString(c, word) }} // it may have ended
	defer l.dev.terminal.left(customer)
	attempt := 0
	buf := make([]byte, mostMessage)
	for {
		n, err := c.Read(buf)
		if err != nil || n == 0 {
			return
		}
		var m devMessage
		if json.Unmarshal(buf[:n], &m) != nil {
			return
		}
		switch m.Kind {
		case "hello":
			attempt = m.Generation
		case "modules":
			l.imported(attempt, m.modules())
		case "warm":
			l.mu.Lock()
			if a := l.attempts[attempt]; a != nil {
				a.warm = m.Names
			}
			l.mu.Unlock()
		case "failed":
			l.failed(attempt, m.Error)
		case "raised":
			l.raise(m.ID, m.Error)
		case "terminal":
			l.dev.terminal.ask(customer, m.Group)
		case "terminal back":
			l.dev.terminal.back(customer)
		}
	}
}

// isOurs says whether processes of this user may be believed.
func (l *devLink) isOurs(uid int) bool {
	if i := l.dev.front.identity; i != nil && i.owner().UID == uid {
		return true
	}
	return uid == os.Geteuid()
}

func (m *devMessage) modules() []changes.Module {
	var modules []changes.Module
	for _, pair := range m.Files {
		var one changes.Module
		if json.Unmarshal(pair[0], &one.Path) == nil && json.Unmarshal(pair[1], &one.Changed) == nil {
			modules = append(modules, one)
		}
	}
	return modules
}

// expect makes room for what will be heard of an attempt.
func (l *devLink) expect(attempt int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts[attempt] = &devAttempt{}
	delete(l.attempts, attempt-2)
}

func (l *devLink) imported(attempt int, files []changes.Module) {
	l.mu.Lock()
	if a := l.attempts[attempt]; a != nil {
		a.modules = append(a.modules, files...)
	}
	l.mu.Unlock()
	l.dev.imported(attempt, files)
}

func (l *devLink) modulesOf(attempt int) []changes.Module {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.attempts[attempt]; a != nil {
		return a.modules
	}
	return nil
}

// warmOf is nil as long as nothing has been told.
func (l *devLink) warmOf(attempt int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.attempts[attempt]; a != nil {
		return a.warm
	}
	return nil
}

func (l *devLink) failed(attempt int, failure *dev.Failure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.attempts[attempt]; a != nil && failure != nil {
		a.failure = failure
		l.tellLocked()
	}
}

func (l *devLink) raise(request string, failure *dev.Failure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if failure == nil {
		return
	}
	l.raised = append(l.raised, devRaised{request, failure})
	l.raised = l.raised[max(0, len(l.raised)-mostRaised):]
	l.tellLocked()
}

func (l *devLink) tellLocked() {
	close(l.news)
	l.news = make(chan struct{})
}

// await returns what find finds, which is called with mu held, or nil when it has
// not been told for a while.
func (l *devLink) await(find func() *dev.Failure) *dev.Failure {
	late := time.After(heardWithin)
	for {
		l.mu.Lock()
		found, news := find(), l.news
		l.mu.Unlock()
		if found != nil {
			return found
		}
		select {
		case <-news:
		case <-late:
			return nil
		}
	}
}

// failureOf is why the application could not be loaded; nil if nobody said.
func (l *devLink) failureOf(attempt int) *dev.Failure {
	return l.await(func() *dev.Failure {
		if a := l.attempts[attempt]; a != nil {
			return a.failure
		}
		return nil
	})
}

// raisedBy is the exception that ended a request; nil if nobody said.
func (l *devLink) raisedBy(request string) *dev.Failure {
	return l.await(func() *dev.Failure {
		for i := len(l.raised) - 1; i >= 0; i-- {
			if l.raised[i].request == request {
				return l.raised[i].failure
			}
		}
		return nil
	})
}
