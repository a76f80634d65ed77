package tests

// systemd, played by the test: it passes sockets, and listens to what the
// service tells about itself.

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// --- Sockets ---------------------------------------------------------------

// becoming runs gowsgi as systemd does: with variables that hold its own pid.
func becoming(variables string) []string {
	return []string{"sh", "-c", "export " + variables + `; exec "$@"`, "sh"}
}

// passed opens a listening TCP socket and a unix socket, as a .socket unit.
func passed(t *testing.T) (files []*os.File, addresses []string) {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "socket")
	local, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	local.SetUnlinkOnClose(false)
	for _, l := range []interface{ File() (*os.File, error) }{tcp.(*net.TCPListener), local} {
		file, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = file.Close() })
		files = append(files, file)
	}
	_, _ = tcp.Close(), local.Close() // files are what is passed
	return files, []string{"http://" + tcp.Addr().String(), "unix:" + path}
}

func TestSystemd_PassesItsSockets(t *testing.T) {
	for _, c := range []struct {
		args   []string
		names  string
		expect []int // of the two
	}{
		{nil, "web.socket:local", []int{0, 1}},
		{nil, "", []int{0, 1}},
		{[]string{"-b", "systemd"}, "", []int{0, 1}},
		{[]string{"-b", "systemd:local"}, "web.socket:local", []int{1}},
		{[]string{"-b", "systemd:local", "-b", "systemd:web.socket"}, "web.socket:local", []int{1, 0}},
		{[]string{"-b", "fd://4"}, "", []int{1}},
		{[]string{"-b", "127.0.0.1:0"}, "", nil},
	} {
		t.Run(strings.Join(c.args, " ")+" "+c.names, func(t *testing.T) {
			files, addresses := passed(t)
			var want []string
			for _, n := range c.expect {
				want = append(want, addresses[n])
			}
			s := StartWith(t, Options{
				App: "hello", Args: c.args, Files: files, noBind: true,
				Through: becoming("LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=" + c.names),
			})
			if want != nil && !slices.Equal(s.Binds, want) {
				t.Errorf("gowsgi %q listens at %q, want %q", c.args, s.Binds, want)
			}
			unused := strings.Count(strings.Join(s.Log(), "\n"), "a socket was passed that no --bind asks for")
			if unused != 2-len(c.expect) {
				t.Errorf("gowsgi %q complains of %d sockets, want %d", c.args, unused, 2-len(c.expect))
			}
			for _, bind := range s.Binds {
				at := &Server{run: s.run, T: t, Binds: []string{bind}}
				if r := at.Ask("/"); r.Status != 200 {
					t.Errorf("GET / at %s = %s, want 200", bind, r.Line())
				}
			}
			wantNoManagerVariables(t, s)
			s.Stop()
			if _, err := os.Lstat(strings.TrimPrefix(addresses[1], "unix:")); err != nil {
				t.Errorf("the socket's file after the end: %v, want systemd's left alone", err)
			}
		})
	}
}

// wantNoManagerVariables: what systemd tells the front is not for applications.
func wantNoManagerVariables(t *testing.T, s *Server) {
	t.Helper()
	for _, p := range append(s.Workers(), Process{PID: s.Zygote()}) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID))
		if err != nil {
			t.Error(err)
		}
		if found := managerVariable.FindString("\x00" + string(text)); found != "" {
			t.Errorf("process %d (%s) has the variable %q, want it removed", p.PID, p.Title, found[1:])
		}
	}
}

var managerVariable = regexp.MustCompile("\x00(LISTEN_|NOTIFY_|WATCHDOG_)[A-Z]*")

// Variables that were meant for another process are not believed.
func TestSystemd_IgnoresAnothersSockets(t *testing.T) {
	files, _ := passed(t)
	s := StartWith(t, Options{
		App: "hello", Args: []string{"-b", "127.0.0.1:0"}, Files: files,
		Env: []string{"LISTEN_PID=1", "LISTEN_FDS=2"},
	})
	wantNoManagerVariables(t, s)
	refused(t, Options{App: "hello", Args: []string{"-b", "systemd"}, Files: files, Env: []string{"LISTEN_PID=1", "LISTEN_FDS=2"}},
		5, "systemd passed no socket", ".socket unit")
}

func TestSystemd_RefusesWhatItCannotServe(t *testing.T) {
	files, _ := passed(t)
	refused(t, Options{
		App: "hello", Args: []string{"-b", "systemd:admin"}, Files: files,
		Through: becoming("LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a:b"),
	}, 5, `no socket of the name "admin"`, "FileDescriptorName=")
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	connected := os.NewFile(uintptr(pair[0]), "connected")
	defer connected.Close()
	defer unix.Close(pair[1])
	refused(t, Options{
		App: "hello", noBind: true, Files: []*os.File{connected},
		Through: becoming("LISTEN_PID=$$ LISTEN_FDS=1"),
	}, 5, "a socket that does not listen", "Accept=")
}

// --- Notifications ---------------------------------------------------------

// A manager is systemd's end of the notification socket, with NotifyAccess=main.
type manager struct {
	path string

	mutex sync.Mutex
	main  int // the main process, by what was told
	told  []telling
	more  chan struct{} // closed at the next message
}

// A telling is one line of a message.
type telling struct {
	pid  int
	line string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{path: filepath.Join(t.TempDir(), "notify"), more: make(chan struct{})}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) }); err != nil {
		t.Fatal(err)
	}
	var listening sync.WaitGroup
	listening.Go(func() { m.listen(t, conn) })
	t.Cleanup(func() {
		_ = conn.Close()
		listening.Wait()
	})
	return m
}

func (m *manager) listen(t *testing.T, conn *net.UnixConn) {
	t.Helper()
	text, control := make([]byte, 4096), make([]byte, 256)
	for {
		n, n2, _, _, err := conn.ReadMsgUnix(text, control)
		if err != nil {
			return // closed at the end of the test
		}
		sender := 0
		if messages, err := unix.ParseSocketControlMessage(control[:n2]); err == nil && len(messages) > 0 {
			if who, err := unix.ParseUnixCredentials(&messages[0]); err == nil {
				sender = int(who.Pid)
			}
		}
		m.hear(t, sender, string(text[:n]))
	}
}

func (m *manager) hear(t *testing.T, sender int, message string) {
	t.Helper()
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.main == 0 {
		m.main = sender // the process that was started
	}
	if sender != m.main {
		t.Errorf("process %d told systemd %q, want only the main process %d to", sender, message, m.main)
	}
	for line := range strings.SplitSeq(message, "\n") {
		m.told = append(m.told, telling{sender, line})
		if pid, ok := strings.CutPrefix(line, "MAINPID="); ok {
			m.main, _ = strconv.Atoi(pid)
		}
	}
	close(m.more)
	m.more = make(chan struct{})
}

func (m *manager) heard() ([]telling, <-chan struct{}) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return slices.Clone(m.told), m.more
}

// await waits for lines to have come in this order from process pid, others
// between them, and returns the number of the one after the last.
func (m *manager) await(t *testing.T, from, pid int, prefixes ...string) int {
	t.Helper()
	end := deadline()
	for {
		told, more := m.heard()
		missing := prefixes
		for n := from; n < len(told); n++ {
			if told[n].pid == pid && strings.HasPrefix(told[n].line, missing[0]) {
				if missing = missing[1:]; len(missing) == 0 {
					return n + 1
				}
			}
		}
		select {
		case <-more:
		case <-after(end):
			t.Fatalf("systemd was told %v, want from %d also %q, in this order", told, pid, missing)
		}
	}
}

// count is how many lines have come that begin so.
func (m *manager) count(prefix string) (n int) {
	told, _ := m.heard()
	for _, one := range told {
		if strings.HasPrefix(one.line, prefix) {
			n++
		}
	}
	return n
}

func TestSystemd_IsToldOfTheServicesLife(t *testing.T) {
	m := newManager(t)
	s := StartWith(t, Options{App: "misbehave.slow", Args: []string{"-w", "2"}, Env: []string{"NOTIFY_SOCKET=" + m.path}})
	served := m.await(t, 0, s.PID(), "STATUS=loading misbehave.slow:application", "READY=1", "STATUS=misbehave.slow:application, workers: 2, threads: 1")
	wantNoManagerVariables(t, s)
	slow, _ := slowly(s, "/sleep?seconds=0.3")
	s.Signal(unix.SIGTERM)
	m.await(t, served, s.PID(), "STOPPING=1", "STATUS=stopping")
	slow.Read("GET")
	s.Stop()
	if got := m.count("WATCHDOG="); got > 0 {
		t.Errorf("systemd was told WATCHDOG= %d times, want none without WATCHDOG_USEC", got)
	}
}

// A reload is over, for systemd, when the service is ready again, whatever came
// of it.
func TestSystemd_IsToldOfReloads(t *testing.T) {
	m := newManager(t)
	folder := module(t, t.TempDir(), "app", working)
	s := StartWith(t, Options{App: "app", Dir: folder, Env: []string{"NOTIFY_SOCKET=" + m.path}})
	from := m.await(t, 0, s.PID(), "READY=1")
	s.Signal(unix.SIGHUP)
	from = m.await(t, from, s.PID(), "RELOADING=1", "MONOTONIC_USEC=", "STATUS=reloading", "READY=1", "STATUS=app:application, workers: 1")
	module(t, folder, "app", "raise RuntimeError('new code is broken')")
	s.Signal(unix.SIGHUP)
	m.await(t, from, s.PID(), "RELOADING=1", "MONOTONIC_USEC=", "STATUS=reloading", "READY=1", "STATUS=app:application, workers: 1, threads: 1; a reload failed")
}

// Before the application serves there is nothing to be told but that it loads.
func TestSystemd_IsNotToldReadyTooEarly(t *testing.T) {
	m := newManager(t)
	release := filepath.Join(t.TempDir(), "release")
	r, err := launch(Options{App: "misbehave.waiting_import", Env: []string{"NOTIFY_SOCKET=" + m.path, "IMPORT_WAITS_FOR=" + release}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.stop() })
	m.await(t, 0, r.front(), "STATUS=loading")
	if got := m.count("READY="); got > 0 {
		t.Error("systemd was told READY=1 during the import")
	}
	touch(t, release)
	if _, err := r.awaitReady(); err != nil {
		t.Fatal(err)
	}
	m.await(t, 0, r.front(), "READY=1")
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

func TestSystemd_IsToldThatAllIsWell(t *testing.T) {
	m := newManager(t)
	s := StartWith(t, Options{
		App: "hello", Env: []string{"NOTIFY_SOCKET=" + m.path, "WATCHDOG_USEC=200000"},
		Args: []string{"-b", "127.0.0.1:0", "-b", "unix:" + filepath.Join(t.TempDir(), "s"), "--access-logfile", "-"},
	})
	m.await(t, 0, s.PID(), "READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1")
	s.Stop()
	if got := s.Output(); len(got) > 0 {
		t.Errorf("access log = %q, want nothing about the checks", got)
	}
}

// The watchdog of another process is none of ours.
func TestSystemd_AnothersWatchdogIsLeftAlone(t *testing.T) {
	m := newManager(t)
	s := StartWith(t, Options{App: "hello", Env: []string{"NOTIFY_SOCKET=" + m.path, "WATCHDOG_USEC=20000", "WATCHDOG_PID=1"}})
	m.await(t, 0, s.PID(), "READY=1")
	s.Stop()
	if got := m.count("WATCHDOG="); got > 0 {
		t.Errorf("systemd was told WATCHDOG= %d times, want none", got)
	}
}

// A manager that does not listen keeps nothing from being served.
func TestSystemd_DeafManagerDoesNotMatter(t *testing.T) {
	s := StartWith(t, Options{App: "hello", Env: []string{"NOTIFY_SOCKET=" + filepath.Join(t.TempDir(), "nobody")}})
	s.WaitFor("cannot notify the service manager")
	if r := s.Ask("/"); r.Status != 200 {
		t.Errorf("GET / = %s, want 200", r.Line())
	}
}
