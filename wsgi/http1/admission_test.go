package http1

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// dialFrom connects from a loopback address other than the usual one.
func dialFrom(t *testing.T, addr, from string) *client {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return adopt(t, c)
}

// expectStatus fails unless a request is answered with that status, and what refusals need.
func (c *client) expectStatus(status int) {
	c.t.Helper()
	c.send(get)
	resp, body := c.answer("GET")
	if resp.StatusCode != status {
		c.t.Fatalf("answer = %d %q, want %d", resp.StatusCode, body, status)
	}
	if status == 200 {
		return
	}
	if !resp.Close || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Date") == "" {
		c.t.Errorf("fields of a refusal = %q, close: %t, want Retry-After, Date and close", resp.Header, resp.Close)
	}
	c.expectClosed()
}

// awaitHeld waits until so many connections are open.
func awaitHeld(t *testing.T, s *Server, want int) {
	t.Helper()
	await := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.held.all == want
	}
	eventually(t, fmt.Sprintf("%d connections are open", want), await)
}

// recorder keeps what is logged.
type recorder struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func TestAdmission_TurnsAwayWithAnAnswerWhatIsTooMany(t *testing.T) {
	var log recorder
	s, addr := serve(t, Options{
		Timeouts: defaultTimeouts, Handler: echo, Admission: Admission{Connections: 2},
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	first, second := dial(t, addr), dial(t, addr)
	first.expectStatus(200)
	second.expectStatus(200)
	for range 20 {
		dial(t, addr).expectStatus(503)
	}
	upload := dial(t, addr)
	upload.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + string(makeText(100000)))
	if resp, _ := upload.answer("POST"); resp.StatusCode != 503 {
		t.Errorf("answer to an upload = %d, want 503", resp.StatusCode)
	}
	silent := dial(t, addr)
	if resp, _ := silent.answer("GET"); resp.StatusCode != 503 {
		t.Errorf("answer to nothing = %d, want 503", resp.StatusCode)
	}
	first.expectStatus(200)
	_ = second.Close()
	awaitHeld(t, s, 1)
	dial(t, addr).expectStatus(200)
	if got := strings.Count(log.text.String(), "turned away"); got < 1 || strings.Count(log.text.String(), "\n") != 1 {
		t.Errorf("log = %q, want one line about connections turned away", log.text.String())
	}
}

func TestAdmission_CountsEachAddressForItself(t *testing.T) {
	s, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: echo, Admission: Admission{
		ConnectionsPerIP: 2,
		Exempt:           func(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.9") },
	}})
	one := dialFrom(t, addr, "127.0.0.1")
	one.expectStatus(200)
	dialFrom(t, addr, "127.0.0.1").expectStatus(200)
	dialFrom(t, addr, "127.0.0.1").expectStatus(429)
	dialFrom(t, addr, "127.0.0.2").expectStatus(200)
	for range 4 {
		dialFrom(t, addr, "127.0.0.9").expectStatus(200)
	}
	_ = one.Close()
	awaitHeld(t, s, 6)
	dialFrom(t, addr, "127.0.0.1").expectStatus(200)
	dialFrom(t, addr, "127.0.0.1").expectStatus(429)
}

func TestAdmission_DoesNotCountUnixPeers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Timeouts: defaultTimeouts, Handler: echo, Admission: Admission{ConnectionsPerIP: 1}})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Close)
	for range 3 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		adopt(t, c).expectStatus(200)
	}
}

func TestAdmission_ForgetsAnAddressWithItsLastConnection(t *testing.T) {
	s, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: echo, Admission: Admission{ConnectionsPerIP: 9}})
	for range 3 {
		c := dial(t, addr)
		c.expectStatus(200)
		_ = c.Close()
	}
	awaitHeld(t, s, 0)
	if got := len(s.held.byPeer); got != 0 {
		t.Errorf("%d addresses are kept after the last connection, want 0", got)
	}
}

// remote is a connection from somewhere.
type remote struct {
	net.Conn
	addr string
}

func (r remote) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(r.addr))
}

func TestAdmission_TakesANetworkOf64BitsForOneClient(t *testing.T) {
	a := Admission{ConnectionsPerIP: 1}
	for addr, want := range map[string]string{
		"192.0.2.1:5":               "192.0.2.1",
		"[::ffff:192.0.2.1]:5":      "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:5":  "2001:db8:1:2::",
		"[2001:db8:1:2:ffff::1]:9":  "2001:db8:1:2::",
		"[fe80::1%eth0]:9":          "fe80::",
		"[2001:db8:1:3::1%eth0]:10": "2001:db8:1:3::",
	} {
		if got := a.counted(remote{nil, addr}); got.String() != want {
			t.Errorf("counted(%s) = %s, want %s", addr, got, want)
		}
	}
}

func TestTurnAway_ClosesDirectlyBehindTheAnswerWhenVeryManyAreTurnedAway(t *testing.T) {
	s, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: echo, Admission: Admission{Connections: 1}})
	dial(t, addr).expectStatus(200)
	s.dismissing.Store(dismissals)
	c := dial(t, addr)
	if resp, _ := c.answer("GET"); resp.StatusCode != 503 { // without having asked
		t.Errorf("answer = %d, want 503", resp.StatusCode)
	}
	c.expectClosed()
}
