package peers

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is for what happens at once in a program that is right.
const patience = 10 * time.Second

// lines collects a log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.more <- struct{}{} }()
	return l.text.Write(p)
}

// listenTo gives a listener for PROXY headers from the peers in allow, and its log.
func listenTo(t *testing.T, network, address string, timeout time.Duration, allow ...string) (net.Listener, *lines) {
	t.Helper()
	inner, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	log := &lines{more: make(chan struct{}, 100)}
	l := Listen(inner, ListenOptions{Allow: trust(t, allow...), Timeout: timeout, Log: slog.New(slog.NewTextHandler(log, nil))})
	t.Cleanup(func() { _ = l.Close() })
	return l, log
}

func dialTo(t *testing.T, l net.Listener, say string) net.Conn {
	t.Helper()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, say); err != nil {
		t.Fatal(err)
	}
	return c
}

func accept(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatalf("Accept() = %v, want a connection", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

func wantRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("read %q, %v, want %q", got, err, want)
	}
}

func TestListen_GivesTheAddressesOfTheHeader(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		l, _ := listenTo(t, network, address, patience, "127.0.0.1")
		dialTo(t, l, "PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\nhello")
		c := accept(t, l)
		if c.RemoteAddr().String() != "192.0.2.1:4711" || c.LocalAddr().String() != "198.51.100.2:443" {
			t.Errorf("%s: from %v to %v, want 192.0.2.1:4711 to 198.51.100.2:443", network, c.RemoteAddr(), c.LocalAddr())
		}
		wantRead(t, c, "hello")
		// What makes the socket quick, and refusals and broken answers visible.
		if _, ok := c.(syscall.Conn); !ok {
			t.Errorf("%s: %T is no syscall.Conn", network, c)
		}
		if _, ok := c.(interface{ CloseWrite() error }); !ok {
			t.Errorf("%s: %T has no CloseWrite", network, c)
		}
		if _, ok := c.(interface{ SetLinger(int) error }); network == "tcp" && !ok {
			t.Errorf("%s: %T has no SetLinger", network, c)
		}
	}
}

func TestListen_TLSSitsOnTop(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.RemoteAddr)
	}))
	_ = server.Listener.Close()
	server.Listener = Listen(inner, ListenOptions{Allow: trust(t, "127.0.0.1"), Timeout: patience, Log: slog.New(slog.DiscardHandler)})
	server.StartTLS()
	defer server.Close()
	transport := server.Client().Transport.(*http.Transport)
	transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return dialTo(t, inner, "PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n"), nil
	}
	response, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if client, err := io.ReadAll(response.Body); string(client) != "192.0.2.1:4711" || err != nil {
		t.Errorf("client of the TLS server = %q, %v, want 192.0.2.1:4711", client, err)
	}
}

func TestListen_LeavesTheAddressesWhereNoneAreNamed(t *testing.T) {
	l, _ := listenTo(t, "tcp", "127.0.0.1:0", patience, "127.0.0.1")
	client := dialTo(t, l, "PROXY UNKNOWN\r\nhello")
	c := accept(t, l)
	if c.RemoteAddr().String() != client.LocalAddr().String() {
		t.Errorf("from %v, want %v", c.RemoteAddr(), client.LocalAddr())
	}
	wantRead(t, c, "hello")
}

// Who is not allowed to is not listened to: what looks like a header is the
// connection's first bytes.
func TestListen_ServesOthersAsTheyAre(t *testing.T) {
	l, _ := listenTo(t, "tcp", "127.0.0.1:0", patience, "192.0.2.1")
	const say = "PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n"
	client := dialTo(t, l, say)
	c := accept(t, l)
	if c.RemoteAddr().String() != client.LocalAddr().String() {
		t.Errorf("from %v, want %v", c.RemoteAddr(), client.LocalAddr())
	}
	wantRead(t, c, say)
}

func TestListen_ASlowHeaderHoldsNobodyUp(t *testing.T) {
	l, _ := listenTo(t, "tcp", "127.0.0.1:0", patience, "127.0.0.1")
	slow := dialTo(t, l, "PROXY TC")
	dialTo(t, l, "PROXY TCP4 192.0.2.1 198.51.100.2 1 443\r\n")
	if c := accept(t, l); c.RemoteAddr().String() != "192.0.2.1:1" {
		t.Errorf("first from %v, want the quick one's 192.0.2.1:1", c.RemoteAddr())
	}
	if _, err := io.WriteString(slow, "P4 192.0.2.1 198.51.100.2 2 443\r\n"); err != nil {
		t.Fatal(err)
	}
	if c := accept(t, l); c.RemoteAddr().String() != "192.0.2.1:2" {
		t.Errorf("second from %v, want the slow one's 192.0.2.1:2", c.RemoteAddr())
	}
}

func TestListen_ClosesConnectionsWithoutAHeader(t *testing.T) {
	l, log := listenTo(t, "tcp", "127.0.0.1:0", 50*time.Millisecond, "127.0.0.1")
	go func() {
		for {
			if _, err := l.Accept(); err != nil {
				return
			}
			t.Error("Accept() gave a connection, want none")
		}
	}()
	for say, want := range map[string]string{
		"GET / HTTP/1.1\r\n\r\n":  "does not begin with a PROXY header",
		"PROXY TCP4 nonsense\r\n": "malformed line",
		"PROXY":                   "i/o timeout",
	} {
		c := dialTo(t, l, say)
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, syscall.EAGAIN) {
			t.Errorf("after %q: read %d bytes, %v, want the end", say, n, err)
		}
		<-log.more
		log.mu.Lock()
		if got := log.text.String(); !strings.Contains(got, want) || !strings.Contains(got, "127.0.0.1") {
			t.Errorf("log after %q = %q, want %q and the peer", say, got, want)
		}
		log.text.Reset()
		log.mu.Unlock()
	}
}

func TestListen_CloseEndsEverything(t *testing.T) {
	l, log := listenTo(t, "tcp", "127.0.0.1:0", 0, "127.0.0.1")
	failed := make(chan error)
	go func() {
		_, err := l.Accept()
		failed <- err
	}()
	half := dialTo(t, l, "PROXY")
	// once a later one is through, the listener has the first one, too
	dialTo(t, l, "PROXY UNKNOWN\r\n")
	if err := <-failed; err != nil {
		t.Fatalf("Accept() = %v, want the second connection", err)
	}
	go func() {
		_, err := l.Accept()
		failed <- err
	}()
	if err := l.Close(); err != nil {
		t.Errorf("Close() = %v, want none", err)
	}
	if err := <-failed; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept() after Close = %v, want %v", err, net.ErrClosed)
	}
	if n, err := half.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("half a header after Close: read %d bytes, %v, want the end", n, err)
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	if log.text.Len() > 0 {
		t.Errorf("log = %q, want nothing of connections we closed", log.text.String())
	}
}

// A shortage is the caller's to wait out; accepting goes on.
func TestListen_PassesErrorsOn(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listen(&shortOnce{Listener: inner}, ListenOptions{Allow: trust(t), Log: slog.New(slog.DiscardHandler)})
	defer l.Close()
	if _, err := l.Accept(); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("Accept() = %v, want %v", err, syscall.EMFILE)
	}
	dialTo(t, l, "hello")
	wantRead(t, accept(t, l), "hello")
}

type shortOnce struct {
	net.Listener
	once sync.Once
}

func (l *shortOnce) Accept() (c net.Conn, err error) {
	l.once.Do(func() { err = syscall.EMFILE })
	if err != nil {
		return nil, err
	}
	return l.Listener.Accept()
}
