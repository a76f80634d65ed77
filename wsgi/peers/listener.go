// This file makes connections whose addresses are those a PROXY header names.

package peers

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"gowsgi/cmd/failure"
)

// ListenOptions says how a Listener takes connections.
type ListenOptions struct {
	// Allow lists the peers whose connections begin with a PROXY header.
	Allow *Trust
	// Timeout is how long a header may take; 0: as long as it likes.
	Timeout time.Duration
	// Log takes refused connections as warnings: they come from trusted peers.
	Log *slog.Logger
}

// Listen reads PROXY headers off the connections of l. Connections of allowed peers must begin with one,
// or are closed; nothing is guessed, as the protocol demands (§2). All others are passed on as they are:
// a header on them is no HTTP, and is refused as such.
//
// Headers are read beside each other, Accept waits for none. Its connections are the sockets of l's with
// other addresses, and begin behind the header: TLS can be spoken on them, and they can do what sockets
// can do. Closing the listener closes l and the connections whose header is not here yet.
func Listen(l net.Listener, o ListenOptions) net.Listener {
	return &listener{
		Listener: l, o: o,
		accepted: make(chan accepted), closing: make(chan struct{}), pending: map[net.Conn]struct{}{},
	}
}

type listener struct {
	net.Listener
	o        ListenOptions
	start    sync.Once
	accepted chan accepted

	stop    sync.Once
	closing chan struct{}
	mu      sync.Mutex
	pending map[net.Conn]struct{} // reading their header; nil once closed
}

// accepted is what one Accept gives.
type accepted struct {
	conn net.Conn
	err  error
}

// Accept gives the next connection whose header is read.
func (l *listener) Accept() (net.Conn, error) {
	l.start.Do(func() { go l.run() })
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.closing:
		return nil, net.ErrClosed
	}
}

// Close ends what Accept waits for, too.
func (l *listener) Close() error {
	l.stop.Do(func() {
		close(l.closing)
		l.mu.Lock()
		defer l.mu.Unlock()
		for c := range l.pending {
			_ = c.Close()
		}
		l.pending = nil
	})
	return l.Listener.Close()
}

// run accepts connections. An error waits until an Accept takes it: whoever calls that decides whether to
// try again, and when.
func (l *listener) run() {
	for {
		c, err := l.Listener.Accept()
		switch {
		case err != nil:
			if !l.give(accepted{err: err}) || errors.Is(err, net.ErrClosed) {
				return
			}
		case !l.o.Allow.Includes(addressOf(c)):
			if !l.give(accepted{conn: c}) {
				_ = c.Close()
				return
			}
		case l.begin(c):
			go l.read(c)
		}
	}
}

// give passes something to an Accept; false says that none will come.
func (l *listener) give(a accepted) bool {
	select {
	case l.accepted <- a:
		return true
	case <-l.closing:
		return false
	}
}

// begin notes a connection whose header is to be read, or closes it with the listener.
func (l *listener) begin(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending == nil {
		_ = c.Close()
		return false
	}
	l.pending[c] = struct{}{}
	return true
}

// read reads the header of a connection and passes that on.
func (l *listener) read(c net.Conn) {
	if l.o.Timeout > 0 {
		_ = c.SetReadDeadline(time.Now().Add(l.o.Timeout)) // fails only on a closed connection, and so will the read
	}
	named, err := readHeader(c)
	l.mu.Lock()
	delete(l.pending, c)
	l.mu.Unlock()
	if err != nil {
		l.refuse(c, err)
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	if !l.give(accepted{conn: rename(c, named)}) {
		_ = c.Close()
	}
}

// refuse closes a connection. One that ends without a byte is a health check.
func (l *listener) refuse(c net.Conn, err error) {
	_ = c.Close()
	if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		l.o.Log.Warn("connection refused", failure.Key, failure.ProxyHeaderRefused, "peer", c.RemoteAddr().String(), "error", err)
	}
}

// addressOf is the address of the peer, the zero value for one on a unix socket.
func addressOf(c net.Conn) netip.Addr {
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr()
	}
	return netip.Addr{}
}

// rename gives a connection the addresses that were named, if any were. Types of their own keep what the
// sockets can do beside net.Conn: raw calls, writev, sendfile, closing one direction.
func rename(c net.Conn, named ends) net.Conn {
	if !named.client.IsValid() {
		return c
	}
	a := addresses{net.TCPAddrFromAddrPort(named.server), net.TCPAddrFromAddrPort(named.client)}
	switch socket := c.(type) {
	case *net.TCPConn:
		return &tcpConn{socket, a}
	case *net.UnixConn:
		return &unixConn{socket, a}
	}
	return &otherConn{c, a}
}

type addresses struct{ local, remote *net.TCPAddr }

type tcpConn struct {
	*net.TCPConn
	addresses
}

func (c *tcpConn) LocalAddr() net.Addr  { return c.local }
func (c *tcpConn) RemoteAddr() net.Addr { return c.remote }

type unixConn struct {
	*net.UnixConn
	addresses
}

func (c *unixConn) LocalAddr() net.Addr  { return c.local }
func (c *unixConn) RemoteAddr() net.Addr { return c.remote }

type otherConn struct {
	net.Conn
	addresses
}

func (c *otherConn) LocalAddr() net.Addr  { return c.local }
func (c *otherConn) RemoteAddr() net.Addr { return c.remote }
