// This file says how many connections may be open, and turns the others away.

package http1

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"gowsgi/cmd/failure"
)

// Admission bounds how many connections are open. Zero means no limit. What is beyond gets a small answer
// and is closed; nothing of it is parsed.
type Admission struct {
	Connections int // of the server; beyond it 503 with Retry-After
	// ConnectionsPerIP is the most that one IPv4 address, or one IPv6 network of 64 bits, may have open;
	// beyond it 429. Such a network is the least that a single host is given (RFC 6177 §2). Peers without an
	// address, on unix sockets, are not counted.
	ConnectionsPerIP int
	// Exempt tells the addresses that ConnectionsPerIP is not for: proxies, which speak for many. nil: none. It
	// is asked from several goroutines.
	Exempt func(netip.Addr) bool
}

// held counts connections. Server.mu guards it.
type held struct {
	all      int
	byPeer   map[netip.Addr]int
	refused  int       // since this was last logged
	loggedAt time.Time // when it was
}

// enter counts a connection, unless a limit is reached: then it gives the refusal.
func (h *held) enter(peer netip.Addr, a *Admission) *ParseError {
	if a.Connections > 0 && h.all >= a.Connections {
		return errTooManyConnections
	}
	if peer.IsValid() {
		if h.byPeer[peer] >= a.ConnectionsPerIP {
			return errTooManyFromPeer
		}
		if h.byPeer == nil {
			h.byPeer = map[netip.Addr]int{}
		}
		h.byPeer[peer]++
	}
	h.all++
	return nil
}

// leave undoes enter.
func (h *held) leave(peer netip.Addr) {
	h.all--
	if !peer.IsValid() {
		return
	}
	if h.byPeer[peer]--; h.byPeer[peer] <= 0 {
		delete(h.byPeer, peer)
	}
}

// refusalLogPause is the time between two lines about connections turned away.
const refusalLogPause = 10 * time.Second

// dueLine counts a refusal, and gives how many there were since the last line when another is due.
func (h *held) dueLine(now time.Time) (refused int) {
	h.refused++
	if now.Sub(h.loggedAt) < refusalLogPause {
		return 0
	}
	refused, h.refused, h.loggedAt = h.refused, 0, now
	return refused
}

// admit counts a connection in, or turns it away. peer is whose share it takes, for leave.
func (s *Server) admit(nc net.Conn) (peer netip.Addr, ok bool) {
	a := &s.rules.Load().Admission
	peer = a.counted(nc)
	s.mu.Lock()
	refusal := s.held.enter(peer, a)
	due := 0
	if refusal != nil {
		due = s.held.dueLine(time.Now())
	}
	s.mu.Unlock()
	if refusal == nil {
		return peer, true
	}
	if due > 0 {
		s.log.Warn("connections turned away: too many are open", failure.Key, failure.TooManyConnections, "turned away", due,
			"limit", a.Connections, "limit per address", a.ConnectionsPerIP, "last client", nc.RemoteAddr().String())
	}
	s.turnAway(nc, refusalText(refusal))
	return netip.Addr{}, false
}

// counted gives the address, or network, whose connections are counted; an invalid one for nobody's.
func (a *Admission) counted(nc net.Conn) netip.Addr {
	if a.ConnectionsPerIP <= 0 {
		return netip.Addr{}
	}
	tcp, ok := under(nc).RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	if !addr.IsValid() || a.Exempt != nil && a.Exempt(addr) {
		return netip.Addr{}
	}
	if addr.Is6() {
		network, _ := addr.Prefix(64) // fails for no IPv6 address
		return network.Addr()
	}
	return addr
}

var (
	errTooManyConnections = &ParseError{503, "the server has as many connections as it can serve"}
	errTooManyFromPeer    = &ParseError{429, "your address has as many connections as it may have"}
)

// refusalText makes a whole answer.
func refusalText(p *ParseError) []byte {
	page, described := Page(p.Status, p.Why)
	b := appendStatus(make([]byte, 0, 512), p.Status, []byte(reasons[p.Status]))
	b = appendDate(b, time.Now())
	b, _, _ = appendFields(b, described)
	b = fmt.Appendf(b, "Retry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", len(page))
	return append(b, page...)
}

const (
	// dismissals is how many connections are waited for at a time while they are turned away.
	dismissals = 256
	// dismissalTime bounds each step of turning one away.
	dismissalTime = time.Second
	// dismissalLimit is how much of what such a client sends is read.
	dismissalLimit = 256 << 10
)

// turnAway answers a connection and closes it. A closed connection whose input was not read is reset, which
// may overtake the answer; so the request is waited for and dropped, for a short time. When very many come
// at once, those beyond dismissals are closed directly behind the answer.
func (s *Server) turnAway(nc net.Conn, answer []byte) {
	if s.dismissing.Add(1) <= dismissals {
		go func() {
			defer s.dismissing.Add(-1)
			dismiss(nc, answer)
		}()
		return
	}
	s.dismissing.Add(-1)
	if _, ok := nc.(syscall.Conn); ok { // anything but a socket could have to shake hands first
		_ = nc.SetWriteDeadline(time.Now().Add(dismissalTime)) // never reached: the socket's buffer is empty
		_, _ = nc.Write(answer)
	}
	_ = nc.Close()
}

// goAway tells a client of HTTP/2 that none of its requests was served and that there were too many: an empty
// SETTINGS, which has to come first, and GOAWAY with stream 0 and ENHANCE_YOUR_CALM (RFC 9113 §3.4, §6.8).
var goAway = []byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00" +
	"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x0b")

// beginsHTTP2 tells whether a client has chosen HTTP/2, in the handshake or by its first bytes.
func beginsHTTP2(nc net.Conn, first []byte) bool {
	if secured, ok := nc.(*tls.Conn); ok {
		return secured.ConnectionState().NegotiatedProtocol == alpnHTTP2
	}
	return strings.HasPrefix(string(first), preface)
}

// dismiss turns a connection away politely.
func dismiss(nc net.Conn, answer []byte) {
	defer func() { _ = nc.Close() }()
	var dropped [512]byte
	_ = nc.SetDeadline(time.Now().Add(dismissalTime))
	n, _ := nc.Read(dropped[:]) // a request, for clients that would not expect an answer without one
	if beginsHTTP2(nc, dropped[:n]) {
		answer = goAway
	}
	_ = nc.SetDeadline(time.Now().Add(dismissalTime))
	if _, err := nc.Write(answer); err != nil {
		return
	}
	half, ok := nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	for size := 0; size < dismissalLimit; {
		n, err := nc.Read(dropped[:])
		if err != nil {
			return
		}
		size += n
	}
}
