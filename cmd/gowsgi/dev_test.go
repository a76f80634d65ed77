package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gowsgi/cmd/failure"
)

// developed reads the command line of gowsgi dev in a folder with files.
func developed(t *testing.T, args string, lookup func(string) (string, bool), files ...string) (*Settings, error) {
	t.Helper()
	i := in(t, args, lookup, files...)
	i.develop = true
	return i.parse(&bytes.Buffer{}, "")
}

func TestDev_HasDefaultsOfItsOwn(t *testing.T) {
	got, err := developed(t, "--queue-timeout 7", variables("GOWSGI_GRACEFUL_TIMEOUT", "8"), "app.py", "app = make()\n", ownFile, "after-response-timeout = 9\n")
	if err != nil {
		t.Fatal(err)
	}
	if got.App.String() != "app:app" || !got.Reload || got.Timeout != 0 || got.StartupTimeout != 0 {
		t.Errorf("gowsgi dev: application %v, reload %v, timeouts %v and %v, want app:app, true, none", got.App, got.Reload, got.Timeout, got.StartupTimeout)
	}
	if got.QueueTimeout != 7*time.Second || got.GracefulTimeout != 8*time.Second || got.AfterResponseTimeout != 9*time.Second {
		t.Errorf("what was said is %v, %v and %v, want 7s, 8s and 9s", got.QueueTimeout, got.GracefulTimeout, got.AfterResponseTimeout)
	}
	if got.Origins["reload"] != byDevelopment {
		t.Errorf("reload comes from %q, want %q", got.Origins["reload"], byDevelopment)
	}
}

func TestDev_WhatIsNamedIsNotLookedFor(t *testing.T) {
	for args, lookup := range map[string]func(string) (string, bool){
		"shop.wsgi": variables(),
		"":          variables("GOWSGI_APP", "shop.wsgi"),
	} {
		got, err := developed(t, args, lookup, "app.py", "app = make()\n")
		if err != nil || got.App.String() != "shop.wsgi:application" {
			t.Errorf("gowsgi dev %s = %v, %v, want shop.wsgi:application", args, got, err)
		}
	}
	if got, err := developed(t, "", variables()); err == nil || exitCode(err) != failure.ExitUsage {
		t.Errorf("gowsgi dev in an empty folder = %v, %v, want an error with code %d", got, err, failure.ExitUsage)
	}
}

func TestDev_FlaskIsTold(t *testing.T) {
	d := &devServer{}
	if got := d.environ([]string{"A=1"}); !slices.Equal(got, []string{"A=1", "FLASK_DEBUG=1"}) {
		t.Errorf("environ(A=1) = %q, want FLASK_DEBUG=1 added", got)
	}
	for _, d := range []*devServer{d, nil} {
		if got := d.environ([]string{"FLASK_DEBUG=0"}); !slices.Equal(got, []string{"FLASK_DEBUG=0"}) {
			t.Errorf("environ(FLASK_DEBUG=0) = %q, want it unchanged", got)
		}
	}
	if got := (*devServer)(nil).environ(nil); got != nil {
		t.Errorf("environ() of no development server = %q, want nothing", got)
	}
}

func TestRequestLine_IsForAPerson(t *testing.T) {
	entry := AccessEntry{Time: time.Date(2026, 11, 21, 12, 4, 31, 0, time.UTC), Method: []byte("GET"), Target: []byte("/a\x1b[2J"), Status: 404, Duration: 12345 * time.Microsecond}
	if got, want := paint(false).requestLine(&entry), "12:04:31 GET /a\\x1b[2J 404 Not Found 12ms\n"; got != want {
		t.Errorf("requestLine() = %q, want %q", got, want)
	}
	entry.Status, entry.Duration = 200, 700*time.Millisecond
	if got, want := paint(false).requestLine(&entry), "200 700ms slow\n"; !strings.HasSuffix(got, want) {
		t.Errorf("requestLine() = %q, want it to end with %q", got, want)
	}
	for status, colour := range map[int]string{0: red, 204: green, 302: cyan, 404: yellow, 500: red} {
		entry.Status = status
		if got, want := paint(true).requestLine(&entry), "\x1b["+colour+"m"; !strings.Contains(got, want) {
			t.Errorf("requestLine() of status %d = %q, want %q in it", status, got, want)
		}
	}
}

func TestGate_LetsThroughWhatWaits(t *testing.T) {
	var g gate
	g.wait()
	g.shut()
	g.shut()
	through := make(chan struct{})
	go func() { g.wait(); close(through) }()
	select {
	case <-through:
		t.Error("wait() has returned from a gate that is shut")
	default:
	}
	g.open()
	<-through
	g.remove()
	g.shut()
	g.wait()
}

// An earlier attempt may end between the telling of a change and the beginning of
// its own attempt.
func TestDev_RequestsWaitForAnAttemptThatHasYetToBegin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.py")
	if err := os.WriteFile(file, []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &devServer{folder: t.TempDir()}
	isShut := func() bool { return d.gate.opened != nil }
	d.seen()
	if !d.take([]string{file}) {
		t.Fatal("take(a change) = false, want an attempt")
	}
	if d.openGate(); !isShut() {
		t.Error("the gate is open, want it shut until the attempt has ended")
	}
	d.seen()
	if d.take([]string{file}) {
		t.Error("take(the same, written again at once) = true, want no attempt")
	}
	if !isShut() {
		t.Error("the gate is open after a change that asks for nothing, want it shut as before")
	}
	d.due = false // the attempt has begun, and ended
	if d.openGate(); isShut() {
		t.Error("the gate is shut, want it open when there is nothing to wait for")
	}
}
