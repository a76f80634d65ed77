package main

import (
	"net"
	"testing"

	"gowsgi/environ"
)

// addressed is a listener that is only asked for its address.
type addressed struct {
	net.Listener
	address net.Addr
}

func (a addressed) Addr() net.Addr { return a.address }

func TestProbes_ReachOnlyThisMachineUnlessAskedFor(t *testing.T) {
	tcp := func(text string) *socket {
		address, err := net.ResolveTCPAddr("tcp", text)
		if err != nil {
			t.Fatal(err)
		}
		return &socket{Listener: addressed{address: address}}
	}
	f := &front{sockets: []*socket{
		tcp("127.0.0.1:81"), tcp("[::1]:82"), tcp("0.0.0.0:83"), tcp("[::]:84"), tcp("192.0.2.1:85"),
		{Listener: addressed{address: &net.UnixAddr{Name: "/run/x", Net: "unix"}}},
	}}
	given := parse(t, "--health-path /- wsgi", variables())
	for _, c := range []struct {
		name, port, remote string
		byDefault          bool
	}{
		{"127.0.0.1", "81", "127.0.0.1", true},
		{"[::1]", "82", "::1", true},
		{"127.0.0.1", "83", "127.0.0.1", false},
		{"192.0.2.1", "83", "192.0.2.9", false},
		{"[::1]", "84", "::1", false},
		{"127.0.0.1", "84", "127.0.0.1", false},
		{"192.0.2.1", "85", "192.0.2.9", false},
		{"localhost", "80", "", true},
		// What a PROXY header says of a client from elsewhere.
		{"192.0.2.1", "81", "192.0.2.9", false},
	} {
		r := &environ.Request{ServerName: c.name, ServerPort: c.port, RemoteAddr: c.remote}
		if got := f.newProbes(parse(t, "wsgi", variables())).reaches(r); got != c.byDefault {
			t.Errorf("by default: reaches(%s:%s) = %v, want %v", c.name, c.port, got, c.byDefault)
		}
		if !f.newProbes(given).reaches(r) {
			t.Errorf("asked for: reaches(%s:%s) = false, want true", c.name, c.port)
		}
	}
}

func TestProbes_AreBelowAPath(t *testing.T) {
	for text, want := range map[string]string{"/-": "/-", "/": "", "/a/b/": "/a/b", "/~x!": "/~x!"} {
		if got, err := parseHealthPath(text); err != nil || got != want {
			t.Errorf("parseHealthPath(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-", "/a//b", "/a/../b", "/.", "/a?", "/%2d", "/a b", "/ä", "/a\n"} {
		if got, err := parseHealthPath(text); err == nil {
			t.Errorf("parseHealthPath(%q) = %q, want an error", text, got)
		}
	}
	if s := parse(t, "--health-path none wsgi", variables()); s.HealthPath != nil {
		t.Errorf("--health-path none: HealthPath = %q, want nil", *s.HealthPath)
	}
}
