package tests

// SIGUSR2: a new gowsgi takes the place of the running one, and no client
// notices.

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A succession is one gowsgi after another, all of them children, grandchildren …
// of the first.
type succession struct {
	*Server // of which only the addresses are of use
	program string
	pidFile string
	log     logFile
	first   *exec.Cmd
	ended   chan struct{} // closed when the first has ended
}

// startSuccession starts gowsgi from a copy of its own, with a pid file, at a
// TCP port and a unix socket.
func startSuccession(t *testing.T, o Options) *succession {
	t.Helper()
	s := launchSuccession(t, o)
	line := s.log.await("listening at")
	s.Binds = strings.Split(announced.FindStringSubmatch(line)[1], ", ")
	return s
}

func launchSuccession(t *testing.T, o Options) *succession {
	t.Helper()
	dir, err := os.MkdirTemp("", "gowsgi-") // short: it has a unix socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &succession{
		Server:  &Server{T: t},
		program: filepath.Join(dir, "gowsgi"), pidFile: filepath.Join(dir, "pid"),
		log:   newLogFile(t, filepath.Join(dir, "log")),
		ended: make(chan struct{}),
	}
	s.install(binary)
	if o.Binary == "" {
		o.Binary = s.program
	}
	o.Args = append(o.Args, "-b", "127.0.0.1:0", "-b", "unix:"+filepath.Join(dir, "socket"), "-p", s.pidFile)
	s.first = o.command()
	out, err := os.OpenFile(s.log.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	s.first.Stdout, s.first.Stderr = out, out
	if err := s.first.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.first.Wait() // ProcessState has it
		close(s.ended)
	}()
	t.Cleanup(s.end)
	return s
}

// end stops whoever serves, and checks that nothing is left behind.
func (s *succession) end() {
	if pid := s.pid(); pid != 0 {
		_ = unix.Kill(pid, unix.SIGTERM)
	}
	left := awaitSessionEnd(s.first.Process.Pid, stopPatience)
	for _, p := range left {
		s.T.Errorf("there is still process %+v", p)
		_ = unix.Kill(p.PID, unix.SIGKILL)
	}
	<-s.ended
	for _, name := range []string{s.pidFile, filepath.Join(filepath.Dir(s.pidFile), "socket")} {
		if _, err := os.Lstat(name); err == nil {
			s.T.Errorf("there is still the file %s", filepath.Base(name))
		}
	}
	if s.T.Failed() {
		s.T.Logf("log of %s:\n%s", s.first.Args, strings.Join(s.log.lines(), "\n"))
	}
}

// pid is that in the pid file; 0 when there is none.
func (s *succession) pid() int {
	text, _ := os.ReadFile(s.pidFile)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// install puts a copy of a file in the program's place, as a package manager does.
func (s *succession) install(file string) {
	s.T.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(s.program+".new", text, 0o700)
	}
	if err == nil {
		err = os.Rename(s.program+".new", s.program)
	}
	if err != nil {
		s.T.Fatal(err)
	}
}

// breakProgram puts a program in place that runs and does not serve.
func (s *succession) breakProgram(script string) {
	s.T.Helper()
	file := filepath.Join(s.T.TempDir(), "script")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script+"\n"), 0o600); err != nil {
		s.T.Fatal(err)
	}
	s.install(file)
}

// at is the succession in the eyes of a client of one of its addresses.
func (s *succession) at(n int) *Server { return &Server{T: s.T, Binds: s.Binds[n : n+1]} }

// await waits for a text in the log behind what there was at mark.
func (s *succession) await(mark int, text string) string {
	s.T.Helper()
	var found string
	await(s.T, fmt.Sprintf("%q in the log", text), func() bool {
		for _, line := range s.log.lines()[mark:] {
			if strings.Contains(line, text) {
				found = line
				return true
			}
		}
		return false
	})
	return found
}

func (s *succession) mark() int { return len(s.log.lines()) }

// upgrade asks for an upgrade and waits until it has succeeded; the old one may
// have requests to finish. It returns the new pid.
func (s *succession) upgrade() int {
	s.T.Helper()
	old, mark := s.pid(), s.mark()
	kill(s.T, old, unix.SIGUSR2)
	s.await(mark, fmt.Sprintf("[%d] [INFO] another gowsgi serves now", old))
	now := s.pid()
	if now == old || !strings.Contains(s.await(mark, "listening at"), fmt.Sprintf("[%d]", now)) {
		s.T.Fatalf("pid file = %d after the upgrade of %d, want the new one's", now, old)
	}
	return now
}

// fail asks for an upgrade that is to fail, with these words.
func (s *succession) fail(words ...string) {
	s.T.Helper()
	old, mark := s.pid(), s.mark()
	kill(s.T, old, unix.SIGUSR2)
	line := s.await(mark, "the upgrade failed; this gowsgi goes on serving")
	for _, word := range words {
		if !strings.Contains(line, word) {
			s.T.Errorf("log = %q, want it to say %q", line, word)
		}
	}
	if now := s.pid(); now != old {
		s.T.Errorf("pid file = %d after a failed upgrade, want %d as before", now, old)
	}
	for n := range s.Binds {
		if r := s.at(n).Ask("/sleep?seconds=0"); r.Status != 200 {
			s.T.Errorf("GET at %s after a failed upgrade = %s, want 200", s.Binds[n], r.Line())
		}
	}
}

func wantEnd(t *testing.T, pid int) {
	t.Helper()
	if !awaitEnd(pid, stopPatience) {
		t.Errorf("process %d has not ended, want it to after the upgrade", pid)
	}
}

// --- Under load ------------------------------------------------------------

// Five upgrades, one of them with a broken binary, in the middle of requests of
// every kind, over TCP and a unix socket: none fails.
func TestUpgrade_LosesNoRequest(t *testing.T) {
	s := startSuccession(t, Options{App: "misbehave.slow", Args: []string{"-w", "2", "--threads", "4"}})
	var stop atomic.Bool
	var answered atomic.Int64
	var clients sync.WaitGroup
	for n := range s.Binds {
		at := s.at(n)
		for _, visit := range []func(*Server) error{keepAsking, askOnce, askOnce, stream, uploadAndPause} {
			clients.Go(func() {
				for !stop.Load() {
					if err := visit(at); err != nil {
						t.Errorf("at %s: %v", at.Binds[0], err)
						return
					}
					answered.Add(1)
				}
			})
		}
	}
	awaitMore := func() {
		t.Helper()
		now := answered.Load()
		await(t, "answers", func() bool { return answered.Load() > now+20 || t.Failed() })
	}
	old := []int{s.pid()}
	for n := range 5 {
		awaitMore()
		if n == 2 {
			s.breakProgram("exit 9")
			s.fail("exit status 9")
			s.install(binary)
			continue
		}
		old = append(old, s.upgrade())
	}
	awaitMore()
	stop.Store(true)
	clients.Wait()
	for _, pid := range old[:len(old)-1] {
		wantEnd(t, pid)
	}
	<-s.ended
	if code := s.first.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code of the first = %d, want 0", code)
	}
}

// asks sends a request on c and checks its answer.
func asks(c *Conn, request, method, want string) (keep bool, err error) {
	r, err := c.exchange(request, method)
	switch {
	case err != nil:
		return false, err
	case r.Broken != nil:
		return false, r.Broken
	case r.Status != 200 || r.Body != want:
		return false, fmt.Errorf("%.40q = %s %q, want 200 %q", request, r.Line(), r.Body, want)
	}
	return r.Value("Connection") != "close", nil
}

// keepAsking uses a connection until the server ends it.
func keepAsking(s *Server) error {
	c, err := connect(s)
	if err != nil {
		return err
	}
	defer c.Close()
	for range 50 {
		keep, err := asks(c, head("GET /sleep?seconds=0.001", "Host: tests"), "GET", "done\n")
		if err != nil || !keep {
			return err
		}
	}
	return nil
}

// askOnce uses a new connection.
func askOnce(s *Server) error {
	c, err := connect(s)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = asks(c, head("GET /sleep?seconds=0", "Host: tests", "Connection: close"), "GET", "done\n")
	return err
}

// stream takes an answer that takes a while.
func stream(s *Server) error {
	c, err := connect(s)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = asks(c, head("GET /blocks?seconds=0.3", "Host: tests"), "GET", strings.Repeat("tick\n", 3))
	return err
}

// uploadAndPause sends a body in two parts, and leaves the connection idle
// before each request: the server may not end it then.
func uploadAndPause(s *Server) error {
	c, err := connect(s)
	if err != nil {
		return err
	}
	defer c.Close()
	for range 5 {
		time.Sleep(50 * time.Millisecond) // what a browser does between clicks
		if _, err := c.Write([]byte("POST /sleep?seconds=0 HTTP/1.1\r\nHost: tests\r\nContent-Length: 6\r\n\r\nabc")); err != nil {
			return err
		}
		keep, err := asks(c, "def", "POST", "done\n")
		if err != nil || !keep {
			return err
		}
	}
	return nil
}

// --- What the old one owes -------------------------------------------------

// The old one finishes what it has begun, and an idle connection gets one more
// answer.
func TestUpgrade_LetsTheOldOneFinish(t *testing.T) {
	s := startSuccession(t, Options{App: "misbehave.slow", Args: []string{"--threads", "4"}})
	idle := s.Dial()
	idle.Get("/sleep?seconds=0")
	slow, _ := slowly(s.Server, "/sleep?seconds=1")
	streaming, _ := slowly(s.Server, "/blocks?seconds=1")
	old := s.pid()
	s.upgrade()
	if r := idle.Get("/sleep?seconds=0"); r.Body != "done\n" || r.Value("Connection") != "close" {
		t.Errorf("idle connection = %s %q, Connection %q; want done, close", r.Line(), r.Body, r.Value("Connection"))
	}
	if r := slow.Read("GET"); r.Body != "done\n" || r.Value("Connection") != "close" {
		t.Errorf("slow request = %s %q, Connection %q; want done, close", r.Line(), r.Body, r.Value("Connection"))
	}
	if r := streaming.Read("GET"); !strings.HasPrefix(r.Body, "tick\ntick\n") || r.Broken != nil {
		t.Errorf("streaming request = %q %v, want all of its ticks", r.Body, r.Broken)
	}
	wantEnd(t, old)
}

// …for --graceful-timeout at most.
func TestUpgrade_OldOneWaitsForSoLongOnly(t *testing.T) {
	s := startSuccession(t, Options{App: "misbehave.slow", Args: []string{"--graceful-timeout", "200ms", "--keep-alive", "60"}})
	s.Dial().Get("/sleep?seconds=0") // and stays idle
	slowly(s.Server, "/sleep?seconds=60")
	old := s.pid()
	s.upgrade()
	wantEnd(t, old)
}

// A balancer that asks on a kept connection must not take the address out of service:
// the new one is there.
func TestUpgrade_OldOneStaysReady(t *testing.T) {
	s := startSuccession(t, Options{App: "misbehave.slow", Args: []string{"-w", "2"}})
	kept := s.Dial()
	kept.Get("/-/readyz")
	slow, _ := slowly(s.Server, "/sleep?seconds=1")
	old := s.pid()
	s.upgrade()
	if r := kept.Get("/-/readyz"); r.Body != "ready\n" {
		t.Errorf("the old one, while it ends: GET /-/readyz = %s %q, want ready", r.Line(), r.Body)
	}
	if r := slow.Read("GET"); r.Body != "done\n" {
		t.Errorf("slow request = %s %q, want done", r.Line(), r.Body)
	}
	wantEnd(t, old)
}

// --- What goes wrong -------------------------------------------------------

// Whatever is wrong with the new one, the old one serves on.
func TestUpgrade_FailsBackToTheOldOne(t *testing.T) {
	folder := module(t, t.TempDir(), "app", working)
	s := startSuccession(t, Options{App: "app", Dir: folder})
	s.breakProgram("exit 0")
	s.fail("ended before it could serve", "exit status 0")
	if err := os.Remove(s.program); err != nil {
		t.Fatal(err)
	}
	s.fail("no such file")
	if err := os.WriteFile(s.program, []byte("no program"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.fail("exec format error")
	s.install(binary)
	module(t, folder, "app", "raise RuntimeError('new code is broken')")
	s.fail("exit status 3")
	s.await(0, "RuntimeError: new code is broken")
	module(t, folder, "app", working)
	s.upgrade()
}

const working = `
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
`

// hanging never gets past its import.
const hanging = `
import os, time
open(os.environ["MARK"], "a").write("importing\n")
time.sleep(1000)
`

// startHangingUpgrade gives a succession with an upgrade under way whose new one
// is stuck in its import.
func startHangingUpgrade(t *testing.T) *succession {
	t.Helper()
	mark := newMarkFile(t)
	folder := module(t, t.TempDir(), "app", working)
	s := startSuccession(t, Options{App: "app", Dir: folder, Env: []string{"MARK=" + mark.path}})
	module(t, folder, "app", hanging)
	kill(t, s.pid(), unix.SIGUSR2)
	mark.await("importing")
	return s
}

func TestUpgrade_OneAtATime(t *testing.T) {
	s := startHangingUpgrade(t)
	kill(t, s.pid(), unix.SIGUSR2)
	s.await(0, "an upgrade is under way already")
	if r := s.Ask("/"); r.Body != "ok" {
		t.Errorf("GET / during an upgrade = %s %q, want ok", r.Line(), r.Body)
	}
}

// SIGTERM during an upgrade stops both.
func TestUpgrade_TermEndsBoth(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT} {
		s := startHangingUpgrade(t)
		kill(t, s.pid(), sig)
		if left := awaitSessionEnd(s.first.Process.Pid, stopPatience); len(left) > 0 {
			t.Errorf("%s during an upgrade left %+v", unix.SignalName(sig), left)
		}
		<-s.ended
		if code := s.first.ProcessState.ExitCode(); code != 0 {
			t.Errorf("%s during an upgrade: exit code = %d, want 0", unix.SignalName(sig), code)
		}
	}
}

// kill -9 of the old one during an upgrade: the new one, which serves nobody yet,
// goes as well.
func TestUpgrade_NothingOutlivesAKilledFront(t *testing.T) {
	s := startHangingUpgrade(t)
	kill(t, s.pid(), unix.SIGKILL)
	if left := awaitSessionEnd(s.first.Process.Pid, 2*time.Second); len(left) > 0 {
		t.Errorf("after the front was killed there are %+v", left)
	}
	for n := range s.Binds {
		network, address := dialable(s.Binds[n])
		if c, err := net.Dial(network, address); err == nil {
			_ = c.Close()
			t.Errorf("somebody still listens at %s", s.Binds[n])
		}
	}
	_ = os.Remove(s.pidFile)
	_ = os.Remove(strings.TrimPrefix(s.Binds[1], "unix:"))
}

// SIGUSR2 before the workers serve is not lost, and not deadly.
func TestUpgrade_WaitsForTheStart(t *testing.T) {
	release := filepath.Join(t.TempDir(), "release")
	s := launchSuccession(t, Options{App: "misbehave.waiting_import", Env: []string{"IMPORT_WAITS_FOR=" + release}})
	await(t, "the zygote", func() bool {
		for _, p := range session(s.first.Process.Pid) {
			if strings.HasPrefix(p.Title, "gowsgi: zygote [") {
				return true
			}
		}
		return false
	})
	kill(t, s.first.Process.Pid, unix.SIGUSR2)
	touch(t, release)
	s.await(0, "another gowsgi serves now")
	wantEnd(t, s.first.Process.Pid)
	if now := s.pid(); now == s.first.Process.Pid {
		t.Errorf("pid file = %d, want the new one's", now)
	}
}

// --- Which program ---------------------------------------------------------

// The program is the one its name leads to when the upgrade is asked for: a
// symbolic link may point elsewhere by then. Folders are those of the start.
func TestUpgrade_FollowsTheNameItWasStartedUnder(t *testing.T) {
	folder, err := os.MkdirTemp("", "gowsgi-") // short: it has a unix socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	for _, version := range []string{"1", "2"} {
		text, err := os.ReadFile(binary)
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, "gowsgi-"+version), text, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	point := func(version string) {
		t.Helper()
		if err := os.Symlink("gowsgi-"+version, filepath.Join(folder, "new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(folder, "new"), filepath.Join(folder, "gowsgi")); err != nil {
			t.Fatal(err)
		}
	}
	point("1")
	work, err := os.MkdirTemp(folder, "w")
	if err != nil {
		t.Fatal(err)
	}
	s := startSuccession(t, Options{
		App: "hello", Dir: folder, Binary: "./gowsgi",
		Args: []string{"--chdir", filepath.Base(work), "--pythonpath", apps, "-b", "unix:relative"},
	})
	if want := "unix:relative"; s.Binds[0] != want {
		t.Fatalf("gowsgi listens at %q, want %q first", s.Binds, want)
	}
	s.Binds[0] = "unix:" + filepath.Join(work, "relative")
	point("2")
	for range 2 { // the new one knows as well
		pid := s.upgrade()
		path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil || filepath.Base(path) != "gowsgi-2" {
			t.Errorf("program after the upgrade = %s, %v, want gowsgi-2", path, err)
		}
		if r := s.at(0).Ask("/"); r.Status != 200 {
			t.Errorf("GET / after the upgrade = %s, want 200", r.Line())
		}
	}
}

// A name that is not the program's own is not started.
func TestUpgrade_DoesNotBelieveArgv0(t *testing.T) {
	s := startSuccession(t, Options{App: "hello", Through: []string{"bash", "-c", `program=$1; shift; exec -a true "$program" "$@"`, "bash"}})
	s.upgrade()
	if r := s.Ask("/"); r.Status != 200 {
		t.Errorf("GET / after the upgrade = %s, want 200", r.Line())
	}
}

// --- With systemd and in containers ----------------------------------------

// systemd is told of the new main process, before that speaks for itself, and
// passed sockets are passed on.
func TestUpgrade_TellsSystemd(t *testing.T) {
	m := newManager(t)
	files, addresses := passed(t)
	r, err := launch(Options{
		App: "hello", Files: files, noBind: true, Env: []string{"NOTIFY_SOCKET=" + m.path},
		Through: becoming("LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:local WATCHDOG_USEC=200000 WATCHDOG_PID=$$"),
	})
	if err != nil {
		t.Fatal(err)
	}
	first := r.cmd.Process.Pid
	t.Cleanup(func() {
		for _, p := range session(first) {
			_ = unix.Kill(p.PID, unix.SIGKILL)
		}
	})
	from := m.await(t, 0, first, "READY=1", "WATCHDOG=1")
	main := first
	for range 2 {
		kill(t, main, unix.SIGUSR2)
		from = m.await(t, from, main, "STATUS=upgrading", "MAINPID=")
		told, _ := m.heard()
		old := main
		main, _ = strconv.Atoi(strings.TrimPrefix(told[from-1].line, "MAINPID="))
		wantEnd(t, old)
		from = m.await(t, from, main, "READY=1", "WATCHDOG=1")
	}
	if got := m.count("STOPPING="); got > 0 {
		t.Errorf("systemd was told STOPPING= %d times, want it only at the end", got)
	}
	for _, address := range addresses {
		at := &Server{T: t, Binds: []string{address}}
		if r := at.Ask("/"); r.Status != 200 {
			t.Errorf("GET / at %s after two upgrades = %s, want 200", address, r.Line())
		}
	}
	kill(t, main, unix.SIGTERM)
	m.await(t, from, main, "STOPPING=1")
	if left := awaitSessionEnd(first, stopPatience); len(left) > 0 {
		t.Errorf("there is still %+v", left)
	}
	<-r.ended
}

// Process 1 cannot leave its place: it says so and serves on.
func TestUpgrade_IsRefusedByPID1(t *testing.T) {
	s := asPID1(t, Options{App: "hello"})
	s.Signal(unix.SIGUSR2)
	s.WaitFor("cannot upgrade: as process 1")
	if r := s.Ask("/"); r.Status != 200 {
		t.Errorf("GET / = %s, want 200", r.Line())
	}
}
