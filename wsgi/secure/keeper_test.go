package secure_test

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gowsgi/wsgi/secure"
	"gowsgi/wsgi/secure/securetest"
)

func open(t *testing.T, o secure.Options) *secure.Keeper {
	t.Helper()
	k, err := secure.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// handshake lets a client with config shake hands with k and returns both views of the connection. The
// server sends a byte, so that session tickets arrive.
func handshake(t *testing.T, k *secure.Keeper, config *tls.Config) (client, server tls.ConnectionState, err error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	states := make(chan tls.ConnectionState, 1)
	go func() {
		defer close(states)
		raw, err := l.Accept()
		if err != nil {
			return
		}
		c := tls.Server(raw, k.Config())
		defer c.Close()
		if c.Handshake() != nil {
			return
		}
		states <- c.ConnectionState()
		_, _ = c.Write([]byte{'x'})
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), config)
	if err != nil {
		return client, server, err
	}
	defer c.Close()
	if n, err := c.Read(make([]byte, 1)); n == 0 {
		return client, server, err
	}
	return c.ConnectionState(), <-states, nil
}

func TestKeeper_ChoosesTheCertificateByName(t *testing.T) {
	ca, dir := securetest.NewAuthority(t, "ca"), t.TempDir()
	first, firstKey := ca.Server(t, "one.example").Write(t, dir, "one")
	second, secondKey := ca.Server(t, "two.example", "*.two.example").Write(t, dir, "two")
	k := open(t, secure.Options{Pairs: []secure.Pair{{first, firstKey}, {second, secondKey}}})
	for name, want := range map[string]string{
		"one.example": "one.example", "two.example": "two.example", "a.two.example": "two.example",
		"other.example": "one.example", "": "one.example",
	} {
		client, _, err := handshake(t, k, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := client.PeerCertificates[0].Subject.CommonName; got != want {
			t.Errorf("certificate for %q = %s, want %s", name, got, want)
		}
	}
}

func TestKeeper_RefusesWhatIsOlderThanTLS12(t *testing.T) {
	ca := securetest.NewAuthority(t, "ca")
	cert, key := ca.Server(t, "one.example").Write(t, t.TempDir(), "one")
	k := open(t, secure.Options{Pairs: []secure.Pair{{cert, key}}})
	_, _, err := handshake(t, k, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err == nil {
		t.Error("handshake(TLS 1.1) = nil, want an error")
	}
	client, _, err := handshake(t, k, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if err != nil || client.Version != tls.VersionTLS12 {
		t.Errorf("handshake(TLS 1.2) = %x, %v, want %x", client.Version, err, tls.VersionTLS12)
	}
}

// What cannot be used is told in one line that names the file.
func TestOpen_NamesTheFileThatCannotBeUsed(t *testing.T) {
	ca, dir := securetest.NewAuthority(t, "ca"), t.TempDir()
	cert, key := ca.Server(t, "one.example").Write(t, dir, "one")
	_, otherKey := ca.Server(t, "two.example").Write(t, dir, "two")
	missing, garbage, encrypted := filepath.Join(dir, "missing"), filepath.Join(dir, "garbage"), filepath.Join(dir, "encrypted")
	securetest.Write(t, garbage, []byte("no certificate\n"))
	securetest.Write(t, encrypted, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	for _, c := range []struct {
		pair     secure.Pair
		ca, want string
	}{
		{secure.Pair{CertFile: missing, KeyFile: key}, "", "certificate: open " + missing},
		{secure.Pair{CertFile: cert, KeyFile: missing}, "", "private key: open " + missing},
		{secure.Pair{CertFile: garbage, KeyFile: key}, "", "certificate " + garbage},
		{secure.Pair{CertFile: cert, KeyFile: otherKey}, "", "private key " + otherKey},
		{secure.Pair{CertFile: cert, KeyFile: cert}, "", "certificate and private key: " + cert},
		{secure.Pair{CertFile: cert, KeyFile: encrypted}, "", "private key: " + encrypted + " is encrypted"},
		{secure.Pair{CertFile: cert, KeyFile: key}, missing, "client authorities: open " + missing},
		{secure.Pair{CertFile: cert, KeyFile: key}, garbage, "client authorities: " + garbage + " holds no certificate"},
	} {
		_, err := secure.Open(secure.Options{Pairs: []secure.Pair{c.pair}, ClientCAs: c.ca})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("Open(%v, %q) = %v, want one line with %q", c.pair, c.ca, err, c.want)
		}
	}
}

// Kubernetes mounts a secret as links to a link, and swaps the one in the middle.
func TestWatch_SeesASwappedLinkAndKeepsWhatWorks(t *testing.T) {
	ca, dir := securetest.NewAuthority(t, "ca"), t.TempDir()
	mount := func(version string, c securetest.Certificate) {
		folder := filepath.Join(dir, version)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		c.Write(t, folder, "tls")
		link := filepath.Join(dir, "..data")
		if err := os.Symlink(version, link+"~"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+"~", link); err != nil {
			t.Fatal(err)
		}
	}
	mount("..1", ca.Server(t, "first.example"))
	pair := secure.Pair{CertFile: filepath.Join(dir, "tls.pem"), KeyFile: filepath.Join(dir, "tls.key")}
	for _, name := range []string{"tls.pem", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	log := make(logLines, 16)
	k := open(t, secure.Options{Pairs: []secure.Pair{pair}, Log: slog.New(slog.NewTextHandler(log, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { k.Watch(ctx, time.Millisecond); close(ended) }()
	defer func() { cancel(); <-ended }()

	mount("..2", ca.Server(t, "second.example"))
	log.await(t, "second.example")
	wantName(t, k, "second.example")

	broken := ca.Server(t, "third.example")
	broken.Key = ca.Server(t, "third.example").Key
	mount("..3", broken)
	log.await(t, "old ones stay in force")
	wantName(t, k, "second.example")

	mount("..4", ca.Server(t, "fourth.example"))
	log.await(t, "fourth.example")
	wantName(t, k, "fourth.example")
}

func wantName(t *testing.T, k *secure.Keeper, want string) {
	t.Helper()
	client, _, err := handshake(t, k, &tls.Config{InsecureSkipVerify: true})
	if err != nil || client.PeerCertificates[0].Subject.CommonName != want {
		t.Errorf("certificate = %v, %v, want %s", client.PeerCertificates, err, want)
	}
}

// logLines is a log that a test waits for.
type logLines chan string

func (l logLines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func (l logLines) await(t *testing.T, text string) {
	t.Helper()
	for {
		select {
		case line := <-l:
			if strings.Contains(line, text) {
				return
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no log line with %q", text)
		}
	}
}

// A client whose authority is no longer trusted cannot come back by resuming the session it had.
func TestReload_NoResumptionForAnAuthorityThatIsNotTrustedAnyMore(t *testing.T) {
	ca, old, fresh, dir := securetest.NewAuthority(t, "ca"), securetest.NewAuthority(t, "old"), securetest.NewAuthority(t, "new"), t.TempDir()
	cert, key := ca.Server(t, "one.example").Write(t, dir, "one")
	trusted := filepath.Join(dir, "clients.pem")
	securetest.Write(t, trusted, old.PEM)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		securetest.Write(t, trusted, old.PEM)
		k := open(t, secure.Options{Pairs: []secure.Pair{{cert, key}}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted})
		client := &tls.Config{
			ServerName: "one.example", RootCAs: ca.Pool(), MaxVersion: version,
			Certificates:       []tls.Certificate{old.Client(t, subject).Pair(t)},
			ClientSessionCache: tls.NewLRUClientSessionCache(1),
		}
		if _, _, err := handshake(t, k, client); err != nil {
			t.Fatal(err)
		}
		if _, server, err := handshake(t, k, client); err != nil || !server.DidResume {
			t.Errorf("second handshake(%x) = resumed %t, %v, want a resumed session", version, server.DidResume, err)
		}
		securetest.Write(t, trusted, fresh.PEM)
		if err := k.Reload(); err != nil {
			t.Fatal(err)
		}
		if _, server, err := handshake(t, k, client); err == nil {
			t.Errorf("handshake(%x) of a client that is not trusted any more: resumed %t, want an error", version, server.DidResume)
		}
	}
}

func TestReload_FailsWithoutHarm(t *testing.T) {
	ca, dir := securetest.NewAuthority(t, "ca"), t.TempDir()
	cert, key := ca.Server(t, "one.example").Write(t, dir, "one")
	k := open(t, secure.Options{Pairs: []secure.Pair{{cert, key}}})
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if err := k.Reload(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Reload() = %v, want %v", err, os.ErrNotExist)
	}
	wantName(t, k, "one.example")
}
