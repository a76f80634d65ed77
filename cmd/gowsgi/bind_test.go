package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gowsgi/cmd/failure"
)

func TestParseBind_Accepts(t *testing.T) {
	for text, want := range map[string]string{
		"127.0.0.1:5000":     "http://127.0.0.1:5000",
		"localhost:0":        "http://localhost:0",
		"[::1]:80":           "http://[::1]:80",
		"[fe80::1%lo]:80":    "http://[fe80::1%lo]:80",
		":8000":              "http://[::]:8000",
		"unix:run/x.sock":    "unix:run/x.sock",
		"unix:///run/x.sock": "unix:/run/x.sock",
		"unix:@name":         "unix:@name",
		"fd://3":             "fd://3",
		"systemd":            "systemd",
		"systemd:web.socket": "systemd:web.socket",
		"http://h:80/":       "http://h:80",
		"https://h:443":      "https://h:443",
		"https://unix:x":     "https://unix:x",
		"https://fd://3":     "https://fd://3",
	} {
		got, err := parseBind(text)
		if err != nil || got.String() != want {
			t.Errorf("parseBind(%q) = %v, %v, want %s", text, got, err, want)
		}
	}
}

func TestParseBind_Refuses(t *testing.T) {
	for text, want := range map[string]string{
		"8000":                             `no host; did you mean "127.0.0.1:8000" or ":8000"?`,
		"localhost":                        "no port (" + bindForms + ")",
		"::1:80":                           "an IPv6 address needs brackets (want [V6]:PORT)",
		"[::1]80":                          "not an address to listen on (" + bindForms + ")",
		"[nine]:80":                        `"nine" is not an IPv6 address`,
		"h:65536":                          "port out of range (want 0 to 65535)",
		"h:http":                           "port not a whole number (want 0 or more)",
		"a b:80":                           `"a b" cannot be a host name`,
		"ftp://h:80":                       "not an address to listen on (" + bindForms + ")",
		"unix:":                            "no path (want unix:PATH)",
		"fd://0":                           "descriptor out of range (want 3 to 1048576)",
		"systemd:":                         "port not a whole number (want 0 or more)",
		"fd://x":                           "descriptor not a whole number (want 3 or more)",
		"unix:" + strings.Repeat("x", 108): "the path is 108 bytes long (want at most 107)",
	} {
		got, err := parseBind(text)
		if err == nil || err.Error() != want {
			t.Errorf("parseBind(%q) = %v, %v, want error %q", text, got, err, want)
		}
	}
}

func listenOn(t *testing.T, b Bind, backlog int) net.Listener {
	t.Helper()
	listener, err := listen(b, backlog, fileRights{})
	if err != nil {
		t.Fatalf("listen(%v) = %v, want a listener", b, err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

func refused(t *testing.T, b Bind) string {
	t.Helper()
	listener, err := listen(b, 8, fileRights{})
	if err == nil {
		_ = listener.Close()
		t.Fatalf("listen(%v) = a listener, want an error", b)
	}
	if code := exitCode(err); code != failure.ExitListen {
		t.Errorf("exit code of %v = %d, want %d", err, code, failure.ExitListen)
	}
	return err.Error()
}

func TestListen_SetsTheBacklogOfTCP(t *testing.T) {
	listener := listenOn(t, Bind{Host: "127.0.0.1"}, 7)
	raw, err := listener.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info *unix.TCPInfo
	var failed error
	if err := raw.Control(func(fd uintptr) { info, failed = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	// Of a listening socket the kernel reports the backlog in this field.
	if info.Sacked != 7 {
		t.Errorf("backlog of the socket = %d, want 7", info.Sacked)
	}
}

func TestListen_SetsTheBacklogOfUnixSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listenOn(t, Bind{Path: path}, 2)
	// A backlog of n holds n+1 connections; the next is told to try again.
	for i := range 4 {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		if full := errors.Is(err, unix.EAGAIN); full != (i == 3) {
			t.Errorf("connection %d with a backlog of 2 = %v, want refusal only of the fourth", i+1, err)
		}
	}
}

func TestListen_WithoutHostTakesBothFamilies(t *testing.T) {
	listener := listenOn(t, Bind{}, 8)
	port := bindOf(listener).Port
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
		if err != nil {
			if host == "::1" && errors.Is(err, unix.EADDRNOTAVAIL) {
				continue // this machine has no IPv6
			}
			t.Errorf("connecting to %s = %v, want a connection", host, err)
			continue
		}
		_ = conn.Close()
	}
}

func TestListen_SaysWhoHoldsThePort(t *testing.T) {
	taken := bindOf(listenOn(t, Bind{Host: "127.0.0.1"}, 8))
	if taken.Port == 0 {
		t.Fatalf("bindOf(listener) = %v, want the port the kernel picked", taken)
	}
	got := refused(t, taken)
	want := fmt.Sprintf("cannot listen on %s: address already in use, by %s (pid %d), started as \"%s", taken, comm(t), os.Getpid(), os.Args[0][:10])
	if !strings.HasPrefix(got, want) {
		t.Errorf("listen(taken port) = %q, want it to begin with %q", got, want)
	}
}

func comm(t *testing.T) string {
	t.Helper()
	name, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(name))
}

func TestListen_SaysWhenTheAddressIsNotOurs(t *testing.T) {
	got := refused(t, Bind{Host: "192.0.2.1"})
	want := "cannot listen on http://192.0.2.1:0: cannot assign requested address; no interface of this machine has it"
	if got != want {
		t.Errorf("listen(foreign address) = %q, want %q", got, want)
	}
}

func TestListen_ReplacesASocketNobodyListensOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close()
	listener := listenOn(t, Bind{Path: path}, 8)
	if got, want := bindOf(listener).String(), "unix:"+path; got != want {
		t.Errorf("bindOf(listener) = %s, want %s", got, want)
	}
	_ = listener.Close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Lstat(socket) after Close = %v, want no such file", err)
	}
}

func TestListen_LeavesASuccessorsSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first := listenOn(t, Bind{Path: path}, 8)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	listenOn(t, Bind{Path: path}, 8)
	_ = first.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("Lstat(successor's socket) = %v, want it in place", err)
	}
}

func TestListen_RefusesWhatIsInUseAtAUnixPath(t *testing.T) {
	folder := t.TempDir()
	live, file := filepath.Join(folder, "live"), filepath.Join(folder, "file")
	listenOn(t, Bind{Path: live}, 8)
	if err := os.WriteFile(file, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		live:                fmt.Sprintf("another server accepts connections there: %s (pid %d)", comm(t), os.Getpid()),
		file:                "there is a file of that name that is not a socket",
		folder + "/no/sock": "the folder " + folder + "/no does not exist",
	} {
		if got := refused(t, Bind{Path: path}); !strings.HasPrefix(got, "cannot listen on unix:"+path+": "+want) {
			t.Errorf("listen(unix:%s) = %q, want %q", path, got, want)
		}
	}
	if text, err := os.ReadFile(file); string(text) != "data" {
		t.Errorf("the file in the way = %q, %v, want it untouched", text, err)
	}
}

func TestListen_InheritsAListeningSocket(t *testing.T) {
	original := listenOn(t, Bind{Host: "127.0.0.1"}, 8)
	file, err := original.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(file.Fd()))
	_ = file.Close()
	if err != nil {
		t.Fatal(err)
	}
	inherited := listenOn(t, Bind{FD: fd}, 8)
	if got, want := bindOf(inherited), bindOf(original); got != want {
		t.Errorf("bindOf(inherited) = %v, want %v", got, want)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
		t.Errorf("descriptor %d after listen = %v, want it closed", fd, err)
	}
}

func TestListen_RefusesDescriptorsThatDoNotListen(t *testing.T) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(socket)
	for fd, want := range map[int]string{
		pipe[0]: "descriptor %d is not a socket",
		socket:  "descriptor %d is a socket that does not listen; a .socket unit needs ListenStream= and no Accept=",
		1 << 20: "descriptor %d is not open; was it passed on by what started gowsgi?",
	} {
		want = fmt.Sprintf("cannot listen on fd://%d: "+want, fd, fd)
		if got := refused(t, Bind{FD: fd}); got != want {
			t.Errorf("listen(fd://%d) = %q, want %q", fd, got, want)
		}
	}
}
