package tests

// Supervision: what happens when processes die, and when the server is told to
// stop.

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// --- Workers that die ------------------------------------------------------

// A worker that dies in a request: 502 for that one, a reason in the log, and
// another worker in its place.
func TestSupervision_ReplacesDeadWorkers(t *testing.T) {
	for path, reason := range map[string]string{
		"/exit":     "it exited with status 7",
		"/kill":     "killed by SIGKILL",
		"/term":     "killed by SIGTERM",
		"/segv":     "killed by SIGSEGV",
		"/null":     "killed by SIGSEGV",
		"/abort":    "killed by SIGABRT",
		"/overflow": "killed by SIGSEGV",
	} {
		t.Run(path[1:], func(t *testing.T) {
			s := Start(t, "misbehave.dying")
			before := s.Ask("/alive").Body
			mark := s.Mark()
			if r := s.Ask(path); r.Line() != "502 Bad Gateway" {
				t.Errorf("GET %s = %s, want 502 Bad Gateway", path, r.Line())
			}
			line := s.WaitForSince(mark, "worker died")
			if !strings.Contains(line, reason) {
				t.Errorf("log = %q, want the reason %q", line, reason)
			}
			s.WaitForSince(mark, "request lost with its worker")
			s.WaitForSince(mark, "replaces=1")
			// No request is lost for want of a worker: this one waits for the new.
			after := s.Ask("/alive")
			if after.Status != 200 || after.Body == before {
				t.Errorf("GET /alive = %s %q, want 200 and another than %q", after.Line(), after.Body, before)
			}
		})
	}
}

// The moment of death decides what the client sees: never a complete-looking
// response that is not.
func TestSupervision_DeathAtEveryMoment(t *testing.T) {
	s := Start(t, "misbehave.dying")
	for _, way := range []string{"/exit", "/kill", "/segv"} {
		for _, want := range []Want{
			{Path: "?when=app", Status: "502 Bad Gateway"},
			{Path: "?when=started", Status: "502 Bad Gateway"},
			{Path: "?when=block", Outcome: Aborted, Body: "sent\n"},
			{Path: "?when=after", Body: "sent\n"},
		} {
			mark := s.Mark()
			r := s.Ask(way + want.Path)
			if want.Status != "" {
				want.Body = r.Body
			}
			s.compare(r, want)
			s.WaitForSince(mark, "worker died")
			s.Ask("/alive")
		}
		mark := s.Mark()
		if r := s.Ask(way + "?when=close"); r.Broken == nil && r.Body != "sent\n" || r.Status != 200 {
			t.Errorf("GET %s?when=close = %s %q %v, want sent, complete or broken", way, r.Line(), r.Body, r.Broken)
		}
		s.WaitForSince(mark, "worker died")
		if r := s.Post(way+"?when=read", strings.Repeat("r", 300_000)); r.Status != 502 {
			t.Errorf("POST %s?when=read = %s, want 502", way, r.Line())
		}
		s.Ask("/alive")
	}
}

// A dying worker takes nobody else's request with it: not those of other
// workers, and not those that waited for it.
func TestSupervision_DeathLosesNoOtherRequest(t *testing.T) {
	s := Start(t, "misbehave.dying", "-w", "2")
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			client := s.Client()
			for range 30 {
				r, err := client.Get(s.URL("/alive"))
				if err != nil {
					t.Errorf("GET /alive: %v", err)
					return
				}
				_ = r.Body.Close()
				if r.StatusCode != 200 {
					t.Errorf("GET /alive = %s, want 200", r.Status)
				}
			}
		})
	}
	for range 5 {
		if r := s.Ask("/kill"); r.Status != 502 {
			t.Errorf("GET /kill = %s, want 502", r.Line())
		}
	}
	clients.Wait()
}

// A worker killed while it is idle is noticed and replaced without a request.
func TestSupervision_ReplacesIdleWorkers(t *testing.T) {
	s := Start(t, "misbehave.dying", "-w", "2", "--preload")
	for range 3 {
		pid := s.workerPIDs()[0]
		mark := s.Mark()
		kill(t, pid, unix.SIGKILL)
		s.WaitForSince(mark, "worker died")
		s.WaitForSince(mark, "worker serves")
		if now := s.workerPIDs(); len(now) != 2 || now[0] == pid || now[1] == pid {
			t.Errorf("workers = %v after %d was killed, want two others", now, pid)
		}
	}
}

// Workers that keep dying young are replaced ever more slowly, with a warning,
// and one that lives ends that.
func TestSupervision_ThrottlesWorkersThatDieYoung(t *testing.T) {
	s := Start(t, "misbehave.dying")
	for range 4 {
		mark := s.Mark()
		s.Ask("/exit")
		s.WaitForSince(mark, "worker serves")
	}
	line := s.WaitFor("workers keep dying young")
	if !strings.Contains(line, "wait=") {
		t.Errorf("log = %q, want how long it waits", line)
	}
	if r := s.Ask("/alive"); r.Status != 200 {
		t.Errorf("GET /alive = %s, want 200", r.Line())
	}
}

// Code that broke after the start: the workers that are left go on, and the
// missing one comes back once the code is whole.
func TestSupervision_GoesOnWhenTheCodeBreaks(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken")
	s := StartWith(t, Options{App: "misbehave.fickle_import", Args: []string{"-w", "2"}, Env: []string{"IMPORT_FAILS_IF=" + broken}})
	touch(t, broken)
	killed := s.workerPIDs()[0]
	kill(t, killed, unix.SIGKILL)
	s.WaitFor("RuntimeError: fickle_import fails")
	s.WaitFor("workers keep dying young")
	for range 10 {
		if r := s.Ask("/"); r.Status != 200 || r.Body == fmt.Sprintln(killed) {
			t.Errorf("GET / = %s %q, want the other worker's answer", r.Line(), r.Body)
		}
	}
	mark := s.Mark()
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	s.WaitForSince(mark, "worker serves")
	if now := s.workerPIDs(); len(now) != 2 {
		t.Errorf("workers = %v, want two again", now)
	}
}

// SystemExit and KeyboardInterrupt are an application's failure like any other:
// see TestPEP3333_ErrorHandling_EveryExceptionAtEveryMoment, where the worker has to
// be the same one after each. In a thread of the application's own they end that.
func TestSupervision_ExitInAThreadEndsNothing(t *testing.T) {
	s := Shared(t, "misbehave.threads")
	s.check(Want{Path: "/exit", Body: "ok\n"})
}

// --- The zygote and the front ----------------------------------------------

// Without its zygote the server starts another, and workers with it.
func TestSupervision_RecoversFromTheZygotesDeath(t *testing.T) {
	for _, args := range [][]string{{"-w", "2"}, {"-w", "2", "--preload"}} {
		s := Start(t, "misbehave.slow", args...)
		begun := newMarkFile(t)
		lost := s.Dial()
		lost.Send(head("GET /sleep?seconds=60&mark="+url.QueryEscape(begun.path), "Host: tests"))
		begun.await("began")
		for range 2 {
			zygote, workers, mark := s.Zygote(), s.workerPIDs(), s.Mark()
			kill(t, zygote, unix.SIGKILL)
			s.WaitForSince(mark, "zygote died")
			for _, pid := range workers {
				if !awaitEnd(pid, stopPatience) {
					t.Errorf("worker %d has outlived its zygote", pid)
				}
			}
			if r := s.Ask("/sleep?seconds=0"); r.Body != "done\n" {
				t.Errorf("GET /sleep after the zygote's death = %s %q, want done", r.Line(), r.Body)
			}
		}
		if r := lost.Read("GET"); r.Status != 502 {
			t.Errorf("the request that ran when the zygote died = %s, want 502", r.Line())
		}
	}
}

// A zygote that does not fork any more is no zygote.
func TestSupervision_ReplacesAZygoteThatHangs(t *testing.T) {
	s := Start(t, "misbehave.slow", "-w", "1", "--startup-timeout", "3")
	mark := s.Mark()
	freeze(t, s.Zygote())
	s.Signal(unix.SIGTTIN)
	s.WaitForSince(mark, "the zygote does not fork")
	s.WaitForSince(mark, "zygote died")
	s.settle(2)
	if r := s.Ask("/sleep?seconds=0"); r.Body != "done\n" {
		t.Errorf("GET /sleep after the zygote's death = %s %q, want done", r.Line(), r.Body)
	}
}

// kill -9 of the front: everything is gone within a second, even a worker that
// holds the GIL, and the port is free.
func TestSupervision_NothingOutlivesTheFront(t *testing.T) {
	for _, path := range []string{"", "/sleep", "/gil", "/busy", "/stubborn", "/blocks"} {
		s := Start(t, "misbehave.slow", "-w", "2", "--threads", "2")
		if path != "" {
			begun := newMarkFile(t)
			s.Dial().Send(head("GET "+path+"?seconds=60&mark="+url.QueryEscape(begun.path), "Host: tests"))
			begun.await("began")
		}
		leader := s.PID()
		s.Signal(unix.SIGKILL)
		if left := awaitSessionEnd(leader, time.Second); len(left) > 0 {
			t.Errorf("%s: a second after the front was killed there are %+v", path, left)
		}
		l, err := net.Listen("tcp", s.Host())
		if err != nil {
			t.Errorf("%s: the port is not free: %v", path, err)
			continue
		}
		_ = l.Close()
	}
}

// --- Being told to stop ----------------------------------------------------

// slowly begins a request that takes a while and returns when it has reached
// the application.
func slowly(s *Server, target string) (*Conn, markFile) {
	s.T.Helper()
	begun := newMarkFile(s.T)
	c := s.Dial()
	c.Send(head("GET "+target+"&mark="+url.QueryEscape(begun.path), "Host: tests"))
	begun.await("began")
	return c, begun
}

// SIGTERM: no new connection, idle ones closed, what runs is finished.
func TestSupervision_TermLetsRequestsFinish(t *testing.T) {
	s := Start(t, "misbehave.slow", "-w", "2", "--threads", "2")
	idle := s.Dial()
	idle.Get("/sleep?seconds=0")
	slow, _ := slowly(s, "/sleep?seconds=0.7")
	streaming, _ := slowly(s, "/blocks?seconds=0.7")
	s.Signal(unix.SIGTERM)
	s.WaitFor("stopping")
	idle.WantEOF()
	if c, err := net.Dial("tcp", s.Host()); err == nil {
		_ = c.Close()
		t.Error("a connection was accepted after SIGTERM")
	}
	if r := slow.Read("GET"); r.Body != "done\n" || r.Value("Connection") != "close" {
		t.Errorf("slow request = %s %q, Connection %q; want done, close", r.Line(), r.Body, r.Value("Connection"))
	}
	if r := streaming.Read("GET"); !strings.HasPrefix(r.Body, "tick\ntick\n") || r.Broken != nil {
		t.Errorf("streaming request = %q %v, want all of its ticks", r.Body, r.Broken)
	}
	if code := s.ExitCode(stopPatience); code != 0 {
		t.Errorf("exit code = %d, want 0", code)
	}
}

// …for --graceful-timeout at most.
func TestSupervision_TermWaitsForSoLongOnly(t *testing.T) {
	for _, path := range []string{"/sleep", "/gil", "/stubborn", "/blocks"} {
		s := Start(t, "misbehave.slow", "--graceful-timeout", "200ms")
		c, _ := slowly(s, path+"?seconds=60")
		s.Signal(unix.SIGTERM)
		if code := s.ExitCode(stopPatience); code != 0 {
			t.Errorf("%s: exit code = %d, want 0", path, code)
		}
		_ = c.SetReadDeadline(deadline())
		if r, err := readHead(c.reader, "GET"); err == nil {
			if c.ReadBody(r); r.Broken == nil && r.Status == 200 {
				t.Errorf("%s: the client got %q as if complete", path, r.Body)
			}
		}
	}
}

// SIGINT and SIGQUIT do not wait for requests.
func TestSupervision_InterruptStopsQuickly(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGQUIT} {
		s := Start(t, "misbehave.slow", "-w", "2")
		slowly(s, "/sleep?seconds=60")
		began := time.Now()
		s.Signal(sig)
		if code := s.ExitCode(stopPatience); code != 0 {
			t.Errorf("%s: exit code = %d, want 0", unix.SignalName(sig), code)
		}
		// --graceful-timeout is 30 s, so anything near it was graceful.
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: took %s, want it quick", unix.SignalName(sig), took)
		}
	}
}

// A second signal makes a graceful stop a quick one.
func TestSupervision_SecondSignalStopsQuicker(t *testing.T) {
	for _, second := range []unix.Signal{unix.SIGTERM, unix.SIGINT} {
		s := Start(t, "misbehave.slow")
		slowly(s, "/stubborn?seconds=60")
		s.Signal(unix.SIGTERM)
		s.WaitFor("stopping")
		began := time.Now()
		s.Signal(second)
		s.ExitCode(stopPatience)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s after SIGTERM: took %s, want it quick", unix.SignalName(second), took)
		}
	}
}

// A worker whose application ignores every signal ends all the same.
func TestSupervision_StopsWorkersThatIgnoreSignals(t *testing.T) {
	s := Start(t, "misbehave.tampering", "-w", "2")
	for range 6 {
		s.Ask("/ignore-term")
	}
	s.Signal(unix.SIGTERM)
	if code := s.ExitCode(stopPatience); code != 0 {
		t.Errorf("exit code = %d, want 0", code)
	}
}

// Threads of the application's own: Python waits for those that are no daemons,
// and gowsgi waits for Python, for --graceful-timeout at most.
func TestSupervision_WaitsForTheApplicationsThreads(t *testing.T) {
	s := Start(t, "misbehave.threads")
	mark, file := newMarkFile(t), filepath.Join(t.TempDir(), "end")
	s.Ask("/outlives?seconds=20&mark=" + url.QueryEscape(mark.path) + "&file=" + url.QueryEscape(file))
	s.Signal(unix.SIGTERM)
	s.WaitFor("stopping")
	touch(t, file)
	s.ExitCode(stopPatience)
	mark.await("ended")

	s = Start(t, "misbehave.threads", "--graceful-timeout", "200ms")
	s.Ask("/never-ends")
	s.Signal(unix.SIGTERM)
	s.ExitCode(stopPatience)
}

// What the application registered with atexit runs when a worker leaves.
func TestSupervision_RunsExitFunctions(t *testing.T) {
	mark := newMarkFile(t)
	folder := module(t, t.TempDir(), "leaving", fmt.Sprintf(`
import atexit, sys
def last():
    with open(%q, "a") as mark:
        mark.write("left\n")
    print("said at exit", file=sys.stderr)
atexit.register(last)
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"here\n"]
`, mark.path))
	s := StartWith(t, Options{App: "leaving", Dir: folder, Args: []string{"-w", "2"}})
	s.Ask("/")
	s.Stop()
	if got := len(mark.lines()); got != 2 {
		t.Errorf("exit functions ran %d times, want once in each of two workers", got)
	}
	s.WaitFor("said at exit")
}

// A signal while the application is still being imported.
func TestSupervision_StopsDuringTheImport(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT} {
		for _, args := range [][]string{{"-w", "2"}, {"--preload"}} {
			socket := filepath.Join(t.TempDir(), "s")
			r, err := launch(Options{
				App: "misbehave.waiting_import", Args: append(args, "-b", "unix:"+socket),
				Env: []string{"IMPORT_WAITS_FOR=" + filepath.Join(t.TempDir(), "never")},
			})
			if err != nil {
				t.Fatal(err)
			}
			s := &Server{run: r, T: t}
			await(t, "the zygote", func() bool {
				for _, p := range session(s.PID()) {
					if strings.HasPrefix(p.Title, "gowsgi: zygote [") {
						return true
					}
				}
				return false
			})
			s.Signal(sig)
			if code := s.ExitCode(stopPatience); code != 0 {
				t.Errorf("%s during the import: exit code = %d, want 0", unix.SignalName(sig), code)
			}
			s.Stop()
		}
	}
}

// --- PID 1 -----------------------------------------------------------------

// asPID1 starts gowsgi as the first process of a PID namespace, as in a container.
func asPID1(t *testing.T, o Options) *Server {
	t.Helper()
	o.Under = pidNamespace()
	return StartWith(t, o)
}

// pidNamespace is the command that starts another as PID 1.
func pidNamespace() []string {
	under := []string{"unshare", "--pid", "--fork", "--mount-proc", "--kill-child"}
	if os.Getuid() != 0 {
		under = append(under, "--map-root-user")
	}
	return under
}

// orphaning is an application that leaves a process behind whose parent is gone.
const orphaning = `
import subprocess
def application(environ, start_response):
    subprocess.run(["sh", "-c", "sleep 0.3 & exit 0"], check=True)
    start_response("200 OK", [])
    return [b"left\n"]
`

func TestSupervision_PID1ReapsOrphans(t *testing.T) {
	folder := module(t, t.TempDir(), "orphaning", orphaning)
	s := asPID1(t, Options{App: "orphaning", Dir: folder, Args: []string{"-w", "2"}})
	if line := s.WaitFor("listening at"); !strings.Contains(line, "] [1] [") {
		t.Fatalf("log = %q, want gowsgi to be PID 1", line)
	}
	adopted := func() (alive, dead int) {
		for _, p := range everything() {
			switch {
			case p.Parent != s.PID():
			case p.State == 'Z':
				dead++
			case strings.HasPrefix(p.Title, "sleep"):
				alive++
			}
		}
		return alive, dead
	}
	for range 5 {
		if r := s.Ask("/"); r.Body != "left\n" {
			t.Fatalf("GET / = %s %q, want left", r.Line(), r.Body)
		}
	}
	await(t, "orphans of gowsgi's", func() bool { alive, _ := adopted(); return alive > 0 })
	await(t, "their end without zombies", func() bool { alive, dead := adopted(); return alive+dead == 0 })
	// Its own children it waits for elsewhere: a dead worker is still noticed.
	mark := s.Mark()
	kill(t, s.workerPIDs()[0], unix.SIGKILL)
	s.WaitForSince(mark, "killed by SIGKILL")
	s.WaitForSince(mark, "worker serves")
	mark = s.Mark()
	kill(t, s.Zygote(), unix.SIGKILL)
	s.WaitForSince(mark, "zygote died")
	if r := s.Ask("/"); r.Status != 200 {
		t.Errorf("GET / = %s, want 200", r.Line())
	}
}

// As PID 1, where the kernel drops every signal without a handler, a second one
// is heard, too.
func TestSupervision_PID1SecondSignalStopsQuicker(t *testing.T) {
	for _, second := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGQUIT} {
		s := asPID1(t, Options{App: "misbehave.slow"})
		slowly(s, "/stubborn?seconds=60")
		s.Signal(unix.SIGTERM)
		s.WaitFor("stopping")
		began := time.Now()
		s.Signal(second)
		if code := s.ExitCode(stopPatience); code != 0 {
			t.Errorf("%s after SIGTERM: exit code = %d, want 0", unix.SignalName(second), code)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s after SIGTERM: took %s, want it quick", unix.SignalName(second), took)
		}
	}
}

// A container's exit code says why it could not start.
func TestSupervision_PID1TellsItsExitCode(t *testing.T) {
	refused(t, Options{App: "misbehave.raising_import", Under: pidNamespace()}, 3, "raising_import raises as asked")
	refused(t, Options{App: "hello:nothing", Under: pidNamespace()}, 4, "nothing")
	refused(t, Options{App: "hello", Args: []string{"-u", "no-such-user"}, Under: pidNamespace()}, 2, "no such user")
}

func TestSupervision_PID1StopsOnTerm(t *testing.T) {
	s := asPID1(t, Options{App: "misbehave.slow", Args: []string{"-w", "2"}})
	c, _ := slowly(s, "/sleep?seconds=0.5")
	s.Signal(unix.SIGTERM)
	if r := c.Read("GET"); r.Body != "done\n" {
		t.Errorf("slow request = %s %q, want done", r.Line(), r.Body)
	}
	if code := s.ExitCode(stopPatience); code != 0 {
		t.Errorf("exit code = %d, want 0", code)
	}
}
