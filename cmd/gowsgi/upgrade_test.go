package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A successor of another version reads what this one writes.
func TestLegacy_IsWrittenAsEver(t *testing.T) {
	left := legacy{PID: 12, Descriptor: 3, Sockets: []legacySocket{
		{origin{Bind: "http://127.0.0.1:0"}, 4},
		{origin{Bind: "unix:s", File: &socketFile{"/run/s", 1, 2}}, 5},
		{origin{Bind: "fd://3", Systemd: true, Name: "web"}, 6},
	}}
	const want = `{"pid":12,"descriptor":3,"sockets":[` +
		`{"bind":"http://127.0.0.1:0","descriptor":4},` +
		`{"bind":"unix:s","file":{"path":"/run/s","device":1,"inode":2},"descriptor":5},` +
		`{"bind":"fd://3","systemd":true,"name":"web","descriptor":6}]}`
	got, err := json.Marshal(left)
	if err != nil || string(got) != want {
		t.Errorf("Marshal(%+v) = %s, %v, want %s", left, got, err, want)
	}
}

func TestOrigin_Answers(t *testing.T) {
	web := origin{Bind: "fd://4", Systemd: true, Name: "web"}
	own := origin{Bind: "http://127.0.0.1:80"}
	for _, c := range []struct {
		origin origin
		bind   string
		want   bool
	}{
		{web, "systemd", true},
		{web, "systemd:web", true},
		{web, "systemd:other", false},
		{web, "fd://4", true},
		{web, "fd://3", false},
		{web, "127.0.0.1:80", false},
		{own, "127.0.0.1:80", true},
		{own, "127.0.0.1:81", false},
		{own, "systemd", false},
	} {
		b, err := parseBind(c.bind)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.origin.answers(b); got != c.want {
			t.Errorf("%+v.answers(%s) = %t, want %t", c.origin, c.bind, got, c.want)
		}
	}
}

func TestInherit_RefusesAnothersLegacy(t *testing.T) {
	for text, want := range map[string]string{
		`{"pid":1073741824,"descriptor":3}`: "has ended or given it up",
		`nonsense`:                          "$GOWSGI_PREDECESSOR: invalid character",
	} {
		t.Setenv(predecessorVariable, text)
		_, _, err := inheritFromPredecessor()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("inheritFromPredecessor() with %s = %v, want %q", text, err, want)
		}
		if _, set := os.LookupEnv(predecessorVariable); set {
			t.Errorf("$%s is still set, want it removed", predecessorVariable)
		}
	}
}

// upgradable is a front with one socket and a pid file that would be replaced by
// a shell's script.
func upgradable(t *testing.T, script string) *front {
	t.Helper()
	folder, err := os.MkdirTemp("", "gowsgi-") // short: it has a unix socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	b := Bind{Path: folder + "/s"}
	file, err := writePIDFile(filepath.Join(folder, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	f := &front{
		sockets: []*socket{newSocket(listenOn(t, b, 8), b)},
		launch:  launch{path: "/bin/sh", args: []string{"sh", "-c", script}, dir: folder},
		pidFile: file,
		notify:  &notifier{},
	}
	f.current.Store(&Settings{StartupTimeout: time.Minute})
	return f
}

func wantPIDFile(t *testing.T, f *front) {
	t.Helper()
	if pid, err := readPID(f.pidFile.path); pid != os.Getpid() || err != nil {
		t.Errorf("pid file = %d, %v, want %d as before", pid, err, os.Getpid())
	}
}

func TestUpgrade_GivesUpASuccessorThatNeverServes(t *testing.T) {
	t.Parallel()
	f := upgradable(t, "exec sleep 1000")
	s, err := f.startSuccessor()
	if err != nil {
		t.Fatal(err)
	}
	err = s.await(t.Context(), saysReady, 10*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "did not serve within 10ms") {
		t.Errorf("await(a successor that sleeps) = %v, want that it did not serve", err)
	}
	_ = s.talk.Close()
	s.kill()
	if s.process.ProcessState == nil {
		t.Error("the successor lives on, want it killed")
	}
}

// A successor that fails at each step of the talk, or says what it should not.
func TestUpgrade_TakesItBack(t *testing.T) {
	for script, want := range map[string]string{
		"exit 7":                        "exit status 7",
		"printf x >&3; exec sleep 1000": "ended before it could serve: signal: killed",
		"printf r >&3; head -c 1 <&3 >seen; exit 8": "exit status 8",
		"printf r >&3; printf r >&3; exec sleep 1":  "ended before it could serve",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			f := upgradable(t, script)
			_, err := f.replace(t.Context())
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("replace(by %q) = %v, want %q", script, err, want)
			}
			wantPIDFile(t, f)
		})
	}
}

func TestUpgrade_NamesTheSuccessorInThePIDFile(t *testing.T) {
	t.Parallel()
	f := upgradable(t, "printf r >&3; head -c 1 <&3 >/dev/null; cp pid seen; printf s >&3; exec cat <&3")
	pid, err := f.replace(t.Context())
	if err != nil {
		t.Fatalf("replace(by one that serves) = %v, want nil", err)
	}
	seen, err := readPID(filepath.Join(f.launch.dir, "seen"))
	now, err2 := readPID(f.pidFile.path)
	if seen != pid || now != pid || errors.Join(err, err2) != nil {
		t.Errorf("pid file = %d when told to go, %d afterwards, %v, want %d", seen, now, errors.Join(err, err2), pid)
	}
}

func TestUpgrade_CanBeEndedAtAnyTime(t *testing.T) {
	for _, script := range []string{"exec sleep 1000", "printf r >&3; exec sleep 1000"} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			f := upgradable(t, script)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := f.replace(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("replace(by %q) with a context that ends = %v, want its error", script, err)
			}
			wantPIDFile(t, f)
		})
	}
}

func TestSocket_LeavesItsFileToASuccessor(t *testing.T) {
	b := Bind{Path: t.TempDir() + "/s"}
	s := newSocket(listenOn(t, b, 8), b)
	s.leave()
	_ = s.Close()
	if _, err := os.Lstat(b.Path); err != nil {
		t.Errorf("Lstat(socket) after leave and Close = %v, want it in place", err)
	}
}
