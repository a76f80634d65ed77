package main

import (
	"bytes"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// managed gives a notifier, its log, and a function that waits for what it says.
func managed(t *testing.T) (n *notifier, log *bytes.Buffer, heard func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	log = &bytes.Buffer{}
	return newNotifier(slog.New(slog.NewTextHandler(log, nil))), log, func() string {
		t.Helper()
		message := make([]byte, 4096)
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		size, err := conn.Read(message)
		if err != nil {
			t.Fatalf("the manager was told nothing: %v", err)
		}
		return string(message[:size])
	}
}

func TestNotifier_SpeaksTheProtocol(t *testing.T) {
	n, _, heard := managed(t)
	for _, c := range []struct {
		say  func()
		want string
	}{
		{func() { n.Ready("serving") }, "READY=1\nSTATUS=serving"},
		{func() { n.Reloading("new code") }, "RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]{5,}\nSTATUS=new code"},
		{func() { n.Stopping("bye") }, "STOPPING=1\nSTATUS=bye"},
		{func() { n.Status("two\nlines READY=1") }, "STATUS=two lines READY=1"},
		{n.Watchdog, "WATCHDOG=1"},
		{func() { n.HandOver(7) }, "MAINPID=7"},
	} {
		c.say()
		if got := heard(); !regexp.MustCompile("^" + c.want + "$").MatchString(got) {
			t.Errorf("the manager was told %q, want %q", got, c.want)
		}
	}
}

func TestNotifier_IsSilentWhenAnotherSpeaks(t *testing.T) {
	n, _, heard := managed(t)
	n.HandOver(7)
	n.Status("unheard")
	n.Speak()
	n.Ready("heard")
	if first, second := heard(), heard(); first != "MAINPID=7" || second != "READY=1\nSTATUS=heard" {
		t.Errorf("the manager was told %q and %q, want nothing between MAINPID and READY", first, second)
	}
}

func TestNotifier_ComplainsOnceOfADeafManager(t *testing.T) {
	n, log, _ := managed(t)
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	n.Ready("a")
	n.Status("b")
	if got := strings.Count(log.String(), "cannot notify the service manager"); got != 1 {
		t.Errorf("log = %q, want one complaint", log)
	}
}

// A manager that exists and reads nothing: its queue fills, and that must not
// keep the front from its work.
func TestNotifier_DoesNotWaitForAManagerThatHangs(t *testing.T) {
	n, log, _ := managed(t)
	began := time.Now()
	for log.Len() == 0 && time.Since(began) < time.Minute {
		n.Status(strings.Repeat("x", 1000))
	}
	if !strings.Contains(log.String(), "it takes no message") {
		t.Errorf("log = %q, want a complaint", log)
	}
	before := runtime.NumGoroutine()
	n.Watchdog()
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines after one more message that is not taken, %d before: only the first may wait on", after, before)
	}
}

func TestNotifier_WithoutAManagerSaysNothing(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	var log bytes.Buffer
	n := newNotifier(slog.New(slog.NewTextHandler(&log, nil)))
	n.Ready("a")
	n.Reloading("b")
	if log.Len() > 0 {
		t.Errorf("log = %q, want it empty", &log)
	}
}

func TestWithoutVariables_KeepsTheRest(t *testing.T) {
	all := []string{"A=1", "NOTIFY_SOCKET=/x", "NOTIFY_SOCKETS=2", "B", "LISTEN_FDS="}
	got := withoutVariables(all, managerVariables...)
	if want := []string{"A=1", "NOTIFY_SOCKETS=2", "B"}; !slices.Equal(got, want) {
		t.Errorf("withoutVariables(%q) = %q, want %q", all, got, want)
	}
	if all[1] != "NOTIFY_SOCKET=/x" {
		t.Errorf("withoutVariables has changed its argument: %q", all)
	}
}
