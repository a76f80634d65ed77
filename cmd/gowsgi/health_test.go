package main

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"gowsgi/wsgi/http1"
)

// soon is a context for what must not take long, and is cut short where it hangs.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestHealth_SocketsThatAreServed(t *testing.T) {
	for _, b := range []Bind{{Host: "127.0.0.1"}, {}, {Path: t.TempDir() + "/s"}, {Path: "@gowsgi-test-" + t.Name()}} {
		listener := listenOn(t, b, 8)
		server := http1.New(http1.Options{Handler: &handler{}})
		go func() { _ = server.Serve(listener) }() // ErrClosed
		t.Cleanup(server.Close)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := isTaken(ctx, listener.Addr()); err != nil {
			t.Errorf("isTaken(%v) = %v, want nil", listener.Addr(), err)
		}
	}
}

func TestHealth_SocketsThatNobodyAcceptsFrom(t *testing.T) {
	for _, b := range []Bind{{Host: "127.0.0.1"}, {Path: t.TempDir() + "/s"}} {
		listener := listenOn(t, b, 8)
		if err := isTaken(soon(t), listener.Addr()); err == nil || !strings.Contains(err.Error(), "are not taken") {
			t.Errorf("isTaken(%v) = %v, want that connections are not taken", listener.Addr(), err)
		}
	}
}

// What cannot be connected to may be so for reasons of others.
func TestHealth_SocketsThatCannotBeReached(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	for _, address := range []net.Addr{gone.Addr(), &net.UnixAddr{Name: t.TempDir() + "/none", Net: "unix"}} {
		if err := isTaken(soon(t), address); err != nil {
			t.Errorf("isTaken(%v) = %v, want nil", address, err)
		}
	}
}

func TestHealth_PartsThatHang(t *testing.T) {
	if !answers(t.Context(), func() {}) {
		t.Error("answers(a function that returns) = false, want true")
	}
	hangs := make(chan struct{})
	defer close(hangs)
	if answers(soon(t), func() { <-hangs }) {
		t.Error("answers(a function that hangs) = true, want false")
	}
}
