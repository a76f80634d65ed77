package main

// Listening sockets that were open before this process was: passed on by
// systemd, or by the gowsgi this one replaces.

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"

	"gowsgi/cmd/failure"
)

// A socket is a listener and where it came from.
type socket struct {
	net.Listener
	origin   origin
	scheme   string // the Bind's
	secure   bool   // under TLS
	redirect bool   // of --redirect-http
}

// origin says which setting a socket answers to. A successor of another version
// reads it as JSON: fields may be added, not change their meaning.
type origin struct {
	// Bind is the address asked for, as Bind.String writes it; of a socket that
	// systemd passed, the fd://N it came as.
	Bind string `json:"bind"`
	// Systemd: it is one of those that "systemd" stands for; Name is its
	// FileDescriptorName=, or else its unit's name.
	Systemd bool   `json:"systemd,omitempty"`
	Name    string `json:"name,omitempty"`
	// File is a unix socket's, to be removed when the last server stops.
	File *socketFile `json:"file,omitempty"`
}

// answers tells whether b asks for the socket.
func (o origin) answers(b Bind) bool {
	if b.Systemd {
		return o.Systemd && (b.Name == "" || b.Name == o.Name)
	}
	return o.Bind == b.place()
}

// newSocket describes a listener that was opened for b.
func newSocket(listener net.Listener, b Bind) *socket {
	s := &socket{Listener: listener, origin: origin{Bind: b.place()}, scheme: b.Scheme}
	if own, ok := listener.(*unixListener); ok {
		s.origin.File = &own.file
	}
	return s
}

// leave makes sure that closing the socket leaves its file to the successor.
func (s *socket) leave() {
	if own, ok := s.Listener.(*unixListener); ok {
		own.left.Store(true)
	}
}

// adopt makes sure that closing the socket removes its file, which until then
// was a predecessor's.
func (s *socket) adopt() {
	if own, ok := s.Listener.(*unixListener); ok {
		own.left.Store(false)
	}
}

// descriptor is a duplicate of the socket's descriptor, for another process. The
// listener's own File would do, but its Fd makes the socket blocking, for both
// processes: accept would then wait in a system call that Close cannot end.
func (s *socket) descriptor() (*os.File, error) {
	conn, ok := s.Listener.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%s cannot be passed on", s.Addr())
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var failed error
	err = raw.Control(func(own uintptr) { fd, failed = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("duplicate the socket of %s: %w", s.Addr(), err)
	}
	return os.NewFile(uintptr(fd), s.Addr().String()), nil
}

// inheritance is what sockets this process was started with, until they are taken.
type inheritance struct {
	sockets []passedSocket
}

type passedSocket struct {
	origin origin
	file   *os.File // nil once taken
}

// inheritFromSystemd takes what systemd passed by $LISTEN_FDS (sd_listen_fds(3)),
// and removes the variables: they are meant for no other process.
func inheritFromSystemd() *inheritance {
	i := &inheritance{}
	for n, file := range activation.Files(true) {
		i.sockets = append(i.sockets, passedSocket{
			origin: origin{Bind: Bind{FD: firstPassed + n}.String(), Systemd: true, Name: file.Name()},
			file:   file,
		})
	}
	return i
}

// firstPassed is the first descriptor that systemd passes, SD_LISTEN_FDS_START.
const firstPassed = 3

// fromSystemd tells whether systemd passed any socket, to this process or to one
// that it replaces.
func (i *inheritance) fromSystemd() bool {
	for _, passed := range i.sockets {
		if passed.origin.Systemd {
			return true
		}
	}
	return false
}

// take gives the sockets that answer to b: one, except that for "systemd" it may
// be any number. None is no error.
func (i *inheritance) take(b Bind) ([]*socket, error) {
	var taken []*socket
	for n := range i.sockets {
		passed := &i.sockets[n]
		if passed.file == nil || !passed.origin.answers(b) {
			continue
		}
		s, err := passed.open()
		if err != nil {
			return taken, err
		}
		taken = append(taken, s)
		if !b.Systemd {
			break
		}
	}
	return taken, nil
}

// open makes a listener of the descriptor, which is closed: the listener has its
// own.
func (p *passedSocket) open() (*socket, error) {
	file := p.file
	p.file = nil
	defer file.Close()
	listener, err := listenOnFile(file)
	if err != nil {
		return nil, err
	}
	if own, ok := listener.(*net.UnixListener); ok && p.origin.File != nil {
		inherited := &unixListener{UnixListener: own, file: *p.origin.File}
		inherited.left.Store(true)
		listener = inherited
	}
	return &socket{Listener: listener, origin: p.origin}, nil
}

// close closes what nobody asked for, and says so: clients of such a socket wait
// for an answer that does not come.
func (i *inheritance) close(log *slog.Logger) {
	for n := range i.sockets {
		passed := &i.sockets[n]
		if passed.file == nil {
			continue
		}
		attrs := []any{failure.Key, failure.SocketLeftOver, "bind", passed.origin.Bind}
		if passed.origin.Systemd {
			attrs = []any{failure.Key, failure.SocketLeftOver, "name", passed.origin.Name, "hint", "add --bind systemd"}
		}
		log.Warn("a socket was passed that no --bind asks for", attrs...)
		_ = passed.file.Close()
		passed.file = nil
	}
}

// openSockets gives every socket the settings ask for: of those passed where one
// answers, else newly opened. Without --bind, sockets from systemd are what is
// wanted. On an error, what was opened so far is returned with it.
func openSockets(s *Settings, passed *inheritance) ([]*socket, error) {
	binds := s.Binds
	if s.Origins["bind"] == "default" && passed.fromSystemd() {
		binds = []Bind{{Systemd: true}}
	}
	return openBinds(binds, s, passed)
}

// openBinds opens binds that were not passed.
func openBinds(binds []Bind, s *Settings, passed *inheritance) ([]*socket, error) {
	var sockets []*socket
	for _, b := range binds {
		taken, err := passed.take(b)
		for _, one := range taken {
			one.scheme = b.Scheme
		}
		sockets = append(sockets, taken...)
		switch {
		case err != nil:
			return sockets, failure.Errorf(failure.CannotListen, "cannot listen on %s: %w", b, err)
		case len(taken) > 0:
			continue
		case b.Systemd:
			return sockets, failure.Errorf(failure.NothingPassed, "cannot listen on %s: %w", b, errNonePassed(b.Name))
		}
		listener, err := listen(b, s.Backlog, fileRights{s.SocketMode, s.SocketOwner})
		if err != nil {
			return sockets, err
		}
		sockets = append(sockets, newSocket(listener, b))
	}
	return sockets, nil
}

// openRedirects opens those of --redirect-http.
func openRedirects(s *Settings, passed *inheritance) ([]*socket, error) {
	if len(s.Redirects) == 0 {
		return nil, nil
	}
	sockets, err := openBinds(s.Redirects, s, passed)
	for _, one := range sockets {
		one.redirect = true
	}
	return sockets, err
}

func errNonePassed(name string) error {
	if name != "" {
		return fmt.Errorf("systemd passed no socket of the name %s; FileDescriptorName= in the .socket unit gives it", strconv.Quote(name))
	}
	return errors.New("systemd passed no socket; is there a .socket unit for this service, and was it started?")
}
