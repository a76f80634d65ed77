package tests

// Reload, replacement and size of the pool: nobody notices.

import (
	"fmt"
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

// editable is an application in a folder of its own, for a test to rewrite.
type editable struct {
	t   *testing.T
	dir string
}

// versioned answers with its version; /sleep waits until the file go exists.
const versioned = `
import os, time
VERSION = %d
blob = []
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/wait":
        open("waiting", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.01)
    if path == "/grow":
        blob.append(b"x" * int(environ["QUERY_STRING"]))
    if path == "/hang":
        time.sleep(3600)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"version %%d pid %%d" %% (VERSION, os.getpid())]
`

const unimportable = "import no_such_module_anywhere\n"

func newEditable(t *testing.T) *editable {
	t.Helper()
	e := &editable{t: t, dir: t.TempDir()}
	e.version(1)
	return e
}

func (e *editable) write(name, text string) {
	e.t.Helper()
	temporary := filepath.Join(e.dir, "."+name)
	if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
	if err := os.Rename(temporary, filepath.Join(e.dir, name)); err != nil {
		e.t.Fatal(err)
	}
}

// version rewrites the application. The size of the file changes with the
// version: Python's cache of compiled files goes by size and second.
func (e *editable) version(n int) {
	e.t.Helper()
	e.write("app.py", fmt.Sprintf(versioned, n)+strings.Repeat("#", n)+"\n")
}

func (e *editable) start(args ...string) *Server {
	e.t.Helper()
	return StartWith(e.t, Options{App: "app", Dir: e.dir, Args: append([]string{"--pid", filepath.Join(e.dir, "pid")}, args...)})
}

// reload runs `gowsgi reload` and returns its exit code and what it said.
func (s *Server) reload() (code int, said string) {
	s.T.Helper()
	cmd := exec.Command(binary, "reload", strconv.Itoa(s.PID()))
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		s.T.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// load is clients that ask all the time, on connections they keep.
type load struct {
	t        *testing.T
	stop     chan struct{}
	clients  sync.WaitGroup
	answered atomic.Int64
}

// startLoad has clients ask for / until end; an answer that is not 200 with a
// version, or a connection that closes, fails the test.
func startLoad(s *Server, clients int) *load {
	l := &load{t: s.T.(*testing.T), stop: make(chan struct{})}
	for range clients {
		l.clients.Go(func() { l.ask(s) })
	}
	return l
}

func (l *load) ask(s *Server) {
	c, err := connect(s)
	if err != nil {
		l.t.Error(err)
		return
	}
	defer c.Close()
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		r, err := c.exchange(head("GET /", "Host: "+s.Host()), "GET")
		if err != nil || r.Status != 200 || !strings.HasPrefix(r.Body, "version ") || r.Value("Connection") == "close" {
			l.t.Errorf("GET / under load = %+v, %v, want 200 on a connection that stays", r, err)
			return
		}
		l.answered.Add(1)
	}
}

// end stops the clients and fails if they did nothing.
func (l *load) end() {
	l.t.Helper()
	close(l.stop)
	l.clients.Wait()
	if l.answered.Load() == 0 {
		l.t.Error("the load asked nothing")
	}
	l.t.Logf("%d requests answered meanwhile", l.answered.Load())
}

// more waits until n more requests were answered.
func (l *load) more(n int64) {
	l.t.Helper()
	want := l.answered.Load() + n
	for until := time.Now().Add(patience); l.answered.Load() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			l.t.Fatalf("%d requests answered, want %d", l.answered.Load(), want)
		}
	}
}

func descriptors(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func resident(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// --- Reload ------------------------------------------------------------------

// TestReload_FiftyUnderLoad: fifty reloads, every fifth with code that cannot be
// imported: no failed request, no connection closed, descriptors and memory flat.
func TestReload_FiftyUnderLoad(t *testing.T) {
	for _, mode := range [][]string{{"-w", "2"}, {"-w", "2", "--preload"}} {
		t.Run(strings.Join(mode, ""), func(t *testing.T) {
			t.Parallel()
			app := newEditable(t)
			s := app.start(mode...)
			l := startLoad(s, 4)
			rss, fds, at := 0, 0, 1
			for n := 1; n <= 50; n++ {
				if n%5 == 0 {
					app.write("app.py", unimportable)
					if code, said := s.reload(); code != 3 || !strings.Contains(said, "serve on") {
						t.Errorf("reload %d of broken code = exit code %d, %q, want 3 and that the old serve on", n, code, said)
					}
				} else {
					at = n
					app.version(n)
					if code, said := s.reload(); code != 0 {
						t.Errorf("reload %d = exit code %d, %q, want 0", n, code, said)
					}
				}
				if r := s.Ask("/"); !strings.HasPrefix(r.Body, fmt.Sprintf("version %d ", at)) {
					t.Errorf("after reload %d: GET / = %s %q, want version %d", n, r.Line(), r.Body, at)
				}
				if n == 10 {
					rss = resident(t, s.PID())
				}
			}
			l.end()
			s.settle(2)
			fds = descriptors(t, s.PID())
			if code, _ := s.reload(); code == 0 {
				t.Error("reload of broken code = exit code 0, want another")
			}
			app.version(1)
			if code, said := s.reload(); code != 0 {
				t.Errorf("reload = exit code %d, %q, want 0", code, said)
			}
			s.settle(2)
			if got := descriptors(t, s.PID()); got > fds+2 {
				t.Errorf("%d descriptors after one more reload, %d before, want no more", got, fds)
			}
			if got := resident(t, s.PID()); got > rss+rss/2+(4<<20) {
				t.Errorf("the front has %d bytes after 50 reloads, %d after 10, want no growth", got, rss)
			}
		})
	}
}

// settle waits until so many workers and one zygote are all there is.
func (s *Server) settle(workers int) {
	s.T.Helper()
	s.settleBetween(workers, workers)
}

// settleBetween is settle for a pool whose size follows the load.
func (s *Server) settleBetween(least, most int) {
	s.T.Helper()
	for until := time.Now().Add(2 * patience); ; time.Sleep(5 * time.Millisecond) {
		zygotes := 0
		for _, p := range session(s.cmd.Process.Pid) {
			if strings.HasPrefix(p.Title, "gowsgi: zygote") {
				zygotes++
			}
		}
		n := len(s.Workers())
		if zygotes == 1 && n >= least && n <= most {
			return
		}
		if time.Now().After(until) {
			s.T.Fatalf("%d zygotes and %d workers, want 1 and %d to %d", zygotes, n, least, most)
		}
	}
}

// TestReload_HangupDoesIt: SIGHUP is what scripts and systemd send.
func TestReload_HangupDoesIt(t *testing.T) {
	app := newEditable(t)
	s := app.start()
	app.version(2)
	s.Signal(unix.SIGHUP)
	s.WaitFor("reloaded")
	if r := s.Ask("/"); !strings.HasPrefix(r.Body, "version 2 ") {
		t.Errorf("GET / after SIGHUP = %q, want version 2", r.Body)
	}
}

// TestReload_HangupDuringTheStart: the code may have changed behind the import.
func TestReload_HangupDuringTheStart(t *testing.T) {
	release := filepath.Join(t.TempDir(), "release")
	r, err := launch(Options{App: "misbehave.waiting_import", Env: []string{"IMPORT_WAITS_FOR=" + release}})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{run: r, T: t}
	t.Cleanup(func() { _ = r.stop() })
	await(t, "the zygote", func() bool {
		for _, p := range session(s.PID()) {
			if strings.HasPrefix(p.Title, "gowsgi: zygote [") {
				return true
			}
		}
		return false
	})
	s.Signal(unix.SIGHUP)
	s.Signal(unix.SIGUSR1)
	touch(t, release)
	s.WaitFor("logs reopened")
	s.WaitFor("reloaded")
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

// TestReload_BrokenCodeIsToldWithItsTraceback: the error log says why.
func TestReload_BrokenCodeIsToldWithItsTraceback(t *testing.T) {
	app := newEditable(t)
	s := app.start("--preload")
	app.write("app.py", unimportable)
	s.Signal(unix.SIGHUP)
	s.WaitFor("Traceback")
	s.WaitFor("No module named 'no_such_module_anywhere'")
	s.WaitFor("reload failed; the old workers serve on")
	if r := s.Ask("/"); !strings.HasPrefix(r.Body, "version 1 ") {
		t.Errorf("GET / = %q, want version 1 still", r.Body)
	}
}

// TestReload_OldRequestsFinish: a request that the old code has begun is answered
// by it, while the new code serves.
func TestReload_OldRequestsFinish(t *testing.T) {
	app := newEditable(t)
	s := app.start()
	old := s.Dial()
	old.Send(head("GET /wait", "Host: "+s.Host()))
	awaitFile(t, filepath.Join(app.dir, "waiting"))
	app.version(2)
	if code, said := s.reload(); code != 0 {
		t.Fatalf("reload = exit code %d, %q, want 0", code, said)
	}
	if r := s.Ask("/"); !strings.HasPrefix(r.Body, "version 2 ") {
		t.Errorf("GET / while the old worker finishes = %q, want version 2", r.Body)
	}
	app.write("go", "")
	if r := old.Read("GET"); !strings.HasPrefix(r.Body, "version 1 ") || r.Value("Connection") == "close" {
		t.Errorf("the old request = %s %q, Connection: %q, want version 1 on a connection that stays", r.Line(), r.Body, r.Value("Connection"))
	}
	if r := old.Get("/"); !strings.HasPrefix(r.Body, "version 2 ") {
		t.Errorf("the next request on that connection = %q, want version 2", r.Body)
	}
	s.settle(1)
}

// TestReload_OldWorkersAreKilledInTheEnd: one that does not finish shows what it
// does, and goes.
func TestReload_OldWorkersAreKilledInTheEnd(t *testing.T) {
	app := newEditable(t)
	s := app.start("--graceful-timeout", "1", "--timeout", "0")
	old := s.Dial()
	old.Send(head("GET /wait", "Host: "+s.Host()))
	awaitFile(t, filepath.Join(app.dir, "waiting"))
	if code, said := s.reload(); code != 0 {
		t.Fatalf("reload = exit code %d, %q, want 0", code, said)
	}
	s.WaitFor("worker has not finished in time; killing it")
	s.WaitFor("in application")
	if r := old.Read("GET"); r.Status != 502 {
		t.Errorf("the request that did not end = %s, want 502", r.Line())
	}
	s.settle(1)
}

// TestReload_ALaterOneTakesThePlaceOfAnEarlier: hangups that come thick and fast
// end with the newest code.
func TestReload_ALaterOneTakesThePlaceOfAnEarlier(t *testing.T) {
	app := newEditable(t)
	s := app.start("-w", "2")
	l := startLoad(s, 2)
	for n := 2; n <= 20; n++ {
		app.version(n)
		s.Signal(unix.SIGHUP)
	}
	code, said := s.reload()
	for range 20 { // a hangup that was still on its way takes the command's place, too
		if !strings.Contains(said, "another reload has begun") {
			break
		}
		code, said = s.reload()
	}
	if code != 0 {
		t.Errorf("reload = exit code %d, %q, want 0", code, said)
	}
	l.more(50)
	l.end()
	if r := s.Ask("/"); !strings.HasPrefix(r.Body, "version 20 ") {
		t.Errorf("GET / = %q, want version 20", r.Body)
	}
	s.settle(2)
}

// TestReload_NobodyAnswers: the command says so.
func TestReload_NobodyAnswers(t *testing.T) {
	cmd := exec.Command(binary, "reload", strconv.Itoa(os.Getpid()))
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(out), "no gowsgi") {
		t.Errorf("gowsgi reload <not a gowsgi> = exit code %d, %q, want 1 and a reason", code, out)
	}
}

func awaitFile(t *testing.T, path string) {
	t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("waited in vain for %s", path)
		}
	}
}

// --- Replacing workers -------------------------------------------------------

// TestReplace_EachSecondUnderLoad: every worker is replaced every second, by
// age and by requests, and no request fails.
func TestReplace_EachSecondUnderLoad(t *testing.T) {
	for _, mode := range [][]string{{}, {"--preload"}, {"--threads", "4"}} {
		t.Run(strings.Join(mode, ""), func(t *testing.T) {
			t.Parallel()
			app := newEditable(t)
			s := app.start(append(mode, "-w", "3", "--max-worker-lifetime", "1", "--max-worker-lifetime-jitter", "100ms",
				"--max-requests", "2000", "--max-requests-jitter", "100")...)
			l := startLoad(s, 6)
			for range 12 {
				s.WaitForSince(s.Mark(), "worker will be replaced")
			}
			l.end()
			s.Stop()
			lived, served := 0, 0
			for _, line := range s.Log() {
				if strings.Contains(line, "it has lived for") {
					lived++
				}
				if strings.Contains(line, "requests\"") && strings.Contains(line, "it has served") {
					served++
				}
			}
			t.Logf("%d replaced by age, %d by requests", lived, served)
		})
	}
}

// TestReplace_ByRequests: one worker, replaced after three requests.
func TestReplace_ByRequests(t *testing.T) {
	app := newEditable(t)
	s := app.start("--max-requests", "3", "--preload")
	seen := map[string]int{}
	// The successor has to be there first, so that a few more may be served.
	for until := time.Now().Add(patience); len(seen) < 3; {
		seen[s.Ask("/").Body]++
		if time.Now().After(until) {
			t.Fatalf("requests were served by %v, want several workers", seen)
		}
	}
	s.WaitFor("it has served 3 requests")
}

// TestReplace_ByMemory: a worker that has grown is replaced, with no request
// lost.
func TestReplace_ByMemory(t *testing.T) {
	app := newEditable(t)
	s := app.start("--max-worker-memory", "60M")
	before := s.Ask("/").Body
	if r := s.Ask("/grow?70000000"); r.Body != before {
		t.Errorf("GET /grow = %q, want an answer of the same worker: %q", r.Body, before)
	}
	s.WaitFor("more than 60.0 MiB")
	s.WaitFor("worker serves worker=2")
	s.settle(1)
	if r := s.Ask("/"); r.Body == before {
		t.Errorf("GET / = %q, want another worker", r.Body)
	}
}

// TestReplace_AtOnceByMemory: one above the hard limit is killed.
func TestReplace_AtOnceByMemory(t *testing.T) {
	app := newEditable(t)
	s := app.start("--max-worker-memory-hard", "100M")
	s.Ask("/grow?120000000")
	s.WaitFor("killing it (--max-worker-memory-hard)")
	s.WaitFor("worker died")
	if r := s.Ask("/"); r.Status != 200 {
		t.Errorf("GET / = %s, want 200", r.Line())
	}
}

// TestReplace_NotForMemoryItHasFromTheStart: that would never end.
func TestReplace_NotForMemoryItHasFromTheStart(t *testing.T) {
	app := newEditable(t)
	s := app.start("--max-worker-memory", "2M")
	s.WaitFor("before its first request; it is not replaced for that")
	first := s.Ask("/").Body
	time.Sleep(time.Second) // longer than memory is left unlooked at
	if r := s.Ask("/"); r.Body != first {
		t.Errorf("GET / = %q, want the same worker as before: %q", r.Body, first)
	}
}

// --- Size --------------------------------------------------------------------

// TestSize_Signals: TTIN is one worker more, TTOU one less, never none.
func TestSize_Signals(t *testing.T) {
	app := newEditable(t)
	s := app.start("-w", "2")
	for _, step := range []struct {
		signal unix.Signal
		want   int
	}{{unix.SIGTTIN, 3}, {unix.SIGTTIN, 4}, {unix.SIGTTOU, 3}, {unix.SIGTTOU, 2}, {unix.SIGTTOU, 1}, {unix.SIGTTOU, 1}} {
		s.Signal(step.signal)
		s.settle(step.want)
	}
	if r := s.Ask("/"); r.Status != 200 {
		t.Errorf("GET / = %s, want 200", r.Line())
	}
}

// TestSize_GrowsAndShrinks: requests that wait make workers, quiet takes them
// away, and every decision is told with its reason.
func TestSize_GrowsAndShrinks(t *testing.T) {
	app := newEditable(t)
	s := app.start("--min-workers", "1", "--max-workers", "4", "--worker-idle-timeout", "1", "--preload", "--log-level", "debug")
	s.settle(1)
	var waiting []*Conn
	for range 8 {
		c := s.Dial()
		c.Send(head("GET /wait", "Host: "+s.Host()))
		waiting = append(waiting, c)
	}
	s.settle(4)
	app.write("go", "")
	for _, c := range waiting {
		if r := c.Read("GET"); r.Status != 200 {
			t.Errorf("GET /wait = %s, want 200", r.Line())
		}
	}
	s.settle(1)
	if line := s.WaitFor("from=3 to=4"); !strings.Contains(line, "requests wait, the oldest for") {
		t.Errorf("log = %q, want the reason for growing", line)
	}
	if line := s.WaitFor("from=2 to=1"); !strings.Contains(line, "were enough for 1s") {
		t.Errorf("log = %q, want the reason for shrinking", line)
	}
}

// TestSize_NoneUntilTheFirstRequest: and none again when nothing is asked.
func TestSize_NoneUntilTheFirstRequest(t *testing.T) {
	for _, mode := range []string{"--preload", "--threads=2"} {
		t.Run(mode, func(t *testing.T) {
			app := newEditable(t)
			s := app.start("--min-workers", "0", "--worker-idle-timeout", "500ms", mode)
			for range 3 {
				s.settle(0)
				if r := s.Ask("/"); r.Status != 200 {
					t.Errorf("GET / = %s, want 200", r.Line())
				}
			}
			app.version(2)
			if code, said := s.reload(); code != 0 {
				t.Errorf("reload = exit code %d, %q, want 0", code, said)
			}
			if r := s.Ask("/"); !strings.HasPrefix(r.Body, "version 2 ") {
				t.Errorf("GET / = %q, want version 2", r.Body)
			}
		})
	}
}

// --- Start -------------------------------------------------------------------

// TestStartup_TakesTooLong: what is not ready in time shows where it is, and the
// start fails.
func TestStartup_TakesTooLong(t *testing.T) {
	for _, mode := range []string{"--preload", "--threads=1"} {
		t.Run(mode, func(t *testing.T) {
			app := newEditable(t)
			app.write("app.py", "import time\ntime.sleep(3600)\n")
			r, err := launch(Options{App: "app", Dir: app.dir, Args: []string{"--startup-timeout", "1", mode}})
			if err != nil {
				t.Fatal(err)
			}
			code, err := r.exitCode(patience)
			if err != nil {
				t.Fatal(err, r.stop())
			}
			if text := r.log.text(0); code != 1 || !strings.Contains(text, "was not ready within 1s (--startup-timeout)") || !strings.Contains(text, "app.py\", line 2") {
				t.Errorf("a start that hangs = exit code %d, want 1, the reason and the stack; log:\n%s", code, text)
			}
		})
	}
}
