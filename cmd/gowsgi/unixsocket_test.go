package main

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// leaveStale makes a socket nobody listens on.
func leaveStale(t *testing.T, path string) {
	t.Helper()
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close()
}

// Of servers that start at the same instant one gets the path, and keeps it.
func TestListen_OneOfManyAtOnceReplacesAStaleSocket(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "s")
		leaveStale(t, path)
		var group sync.WaitGroup
		got := make([]net.Listener, 8)
		for i := range got {
			group.Go(func() {
				l, err := listen(Bind{Path: path}, 8, fileRights{})
				if err == nil {
					got[i] = l
				} else if !strings.Contains(err.Error(), "another server accepts connections there: ") {
					t.Errorf("listen(%s) = %v, want to be told of another server", path, err)
				}
			})
		}
		group.Wait()
		winners := 0
		for _, l := range got {
			if l != nil {
				winners++
				defer l.Close()
			}
		}
		if winners != 1 {
			t.Fatalf("%d of %d listen at once, want one", winners, len(got))
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatalf("dial the one that listens: %v", err)
		}
		_ = c.Close()
	}
}

func TestListen_GivesTheSocketItsMode(t *testing.T) {
	for _, mode := range []fs.FileMode{0o600, 0o660, 0o777, 0o007} {
		path := filepath.Join(t.TempDir(), "s")
		l, err := listen(Bind{Path: path}, 8, fileRights{mode: mode})
		if err != nil {
			t.Fatalf("listen(mode %o) = %v, want a listener", mode, err)
		}
		info, err := os.Lstat(path)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("mode of the socket = %v, %v, want %v", info.Mode().Perm(), err, mode)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestListen_GivesTheSocketItsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := filepath.Join(t.TempDir(), "s")
	owner, err := parseOwner("1234:5678")
	if err != nil {
		t.Fatal(err)
	}
	l, err := listen(Bind{Path: path}, 8, fileRights{0o660, owner})
	if err != nil {
		t.Fatalf("listen(owner 1234:5678) = %v, want a listener", err)
	}
	defer l.Close()
	var info unix.Stat_t
	if err := unix.Lstat(path, &info); err != nil || info.Uid != 1234 || info.Gid != 5678 || info.Mode&0o777 != 0o660 {
		t.Errorf("socket = %d:%d %o, %v, want 1234:5678 660", info.Uid, info.Gid, info.Mode&0o777, err)
	}
}

func TestParseOwner(t *testing.T) {
	self := strconv.Itoa(os.Geteuid())
	for text, want := range map[string]Owner{
		"root":         {true, 0, -1},
		"root:root":    {true, 0, 0},
		":root":        {true, -1, 0},
		"root:":        {true, 0, -1},
		"4000000:1":    {true, 4000000, 1},
		self + ":4711": {true, os.Geteuid(), 4711},
	} {
		if got, err := parseOwner(text); got != want || err != nil {
			t.Errorf("parseOwner(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":               "nobody (want USER, USER:GROUP or :GROUP)",
		":":              "nobody (want USER, USER:GROUP or :GROUP)",
		"no such user":   "no such user",
		"root:no-group!": "no such group",
		"4294967295":     "no such user", // "as it is", to the kernel
	} {
		if got, err := parseOwner(text); err == nil || err.Error() != want {
			t.Errorf("parseOwner(%q) = %+v, %v, want %s", text, got, err, want)
		}
	}
}

// A socket that is gone with its folder is no reason to fail at the end.
func TestListen_ClosesWhenTheFolderIsGone(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "f")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := listen(Bind{Path: filepath.Join(folder, "s")}, 8, fileRights{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Errorf("Close() = %v, want none", err)
	}
}
