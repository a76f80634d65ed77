package tests

// Faults: requests that are lost, that take too long, that are too many, and
// logs that cannot be written.

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// --- Requests lost with their worker ---------------------------------------

// --retry-on-crash: a GET or HEAD runs once more, on another worker, when its
// own ended before anything of the answer was sent.
func TestFaults_RetriesGETAndHEADOnAnotherWorker(t *testing.T) {
	s := Start(t, "misbehave.dying", "-w", "2")
	for _, method := range []string{"GET", "HEAD"} {
		for _, when := range []string{"app", "started"} {
			once := filepath.Join(t.TempDir(), "once")
			mark := s.Mark()
			r := s.Ask(fmt.Sprintf("%s /kill?when=%s&once=%s", method, when, url.QueryEscape(once)))
			if r.Status != 200 || method == "GET" && !strings.HasPrefix(r.Body, "alive ") {
				t.Errorf("%s /kill?when=%s = %s %q, want the answer of another worker", method, when, r.Line(), r.Body)
			}
			line := s.WaitForSince(mark, "trying another one")
			if !strings.Contains(line, method+" /kill") || !strings.Contains(line, "killed by SIGKILL") {
				t.Errorf("log = %q, want what was lost and why", line)
			}
		}
	}
}

// A request that is lost twice is not tried a third time: it may be the cause.
func TestFaults_RetriesOnce(t *testing.T) {
	s := Start(t, "misbehave.dying", "-w", "3")
	mark := s.Mark()
	r := s.Ask("/kill")
	if r.Line() != "502 Bad Gateway" || !strings.HasPrefix(r.Body, "502 Bad Gateway\n") {
		t.Errorf("GET /kill = %s %q, want 502 with a plain page", r.Line(), r.Body)
	}
	s.WaitForSince(mark, "request lost with its worker ")
	// all are replaced, and nobody else died of it
	await(t, "three workers", func() bool { return len(s.Workers()) == 3 })
	if n := count(s.LogSince(mark), "worker died"); n != 2 {
		t.Errorf("%d workers died of one request, want 2", n)
	}
}

func TestFaults_NeverRetriesWhatMayHaveChangedSomething(t *testing.T) {
	for name, args := range map[string][]string{"POST": nil, "DELETE": nil, "GET": {"--retry-on-crash=off"}} {
		t.Run(name, func(t *testing.T) {
			s := Start(t, "misbehave.dying", append([]string{"-w", "2"}, args...)...)
			once := filepath.Join(t.TempDir(), "once")
			if r := s.Ask(name + " /exit?once=" + url.QueryEscape(once)); r.Line() != "502 Bad Gateway" {
				t.Errorf("%s /exit %q = %s %q, want 502", name, args, r.Line(), r.Body)
			}
			s.WaitFor("request lost with its worker ")
			if n := count(s.Log(), "trying another one"); n != 0 {
				t.Errorf("%d requests were retried, want none", n)
			}
		})
	}
}

func count(lines []string, text string) int {
	n := 0
	for _, line := range lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// The log says of a dead worker what it was running, all of it.
func TestFaults_LogSaysWhatADeadWorkerRan(t *testing.T) {
	s := Start(t, "misbehave.slow", "--threads", "2", "--retry-on-crash=off")
	one, _ := slowly(s, "/sleep?seconds=60&n=one")
	two, _ := slowly(s, "/sleep?seconds=60&n=two")
	mark := s.Mark()
	kill(t, s.workerPIDs()[0], unix.SIGSEGV)
	line := s.WaitForSince(mark, "worker died")
	for _, want := range []string{
		`reason="killed by SIGSEGV"`, "GET /sleep?seconds=60&n=one", "GET /sleep?seconds=60&n=two",
		"running.elapsed=", "running2.elapsed=",
	} {
		if !strings.Contains(line, want) {
			t.Errorf("log = %q, want %q in it", line, want)
		}
	}
	for _, c := range []*Conn{one, two} {
		if r := c.Read("GET"); r.Status != 502 {
			t.Errorf("a request that the worker ran = %s, want 502", r.Line())
		}
	}
}

// --- Requests that take too long -------------------------------------------

// --timeout: the client gets 504 at once, whatever the application is at; the
// request is not tried elsewhere, and other requests do not notice.
func TestFaults_TimeoutAnswers504(t *testing.T) {
	for _, path := range []string{"/sleep", "/busy", "/gil", "/stubborn"} {
		t.Run(path[1:], func(t *testing.T) {
			s := Start(t, "misbehave.slow", "-w", "2", "-t", "1s", "--graceful-timeout", "100ms")
			c, begun := slowly(s, path+"?seconds=60")
			for range 20 {
				if r := s.Ask("/sleep?seconds=0"); r.Body != "done\n" {
					t.Errorf("GET /sleep meanwhile = %s %q, want done", r.Line(), r.Body)
				}
			}
			r := c.Read("GET")
			if r.Line() != "504 Gateway Timeout" || !strings.HasPrefix(r.Body, "504 Gateway Timeout\n") {
				t.Errorf("GET %s = %s %q, want 504 with a plain page", path, r.Line(), r.Body)
			}
			line := s.WaitFor("taken too long")
			if !strings.Contains(line, "GET "+path) || !strings.Contains(line, "elapsed=") || !strings.Contains(line, "id=") {
				t.Errorf("log = %q, want the request, its id and its time", line)
			}
			if n := count(begun.lines(), "began"); n != 1 {
				t.Errorf("the request began %d times, want once", n)
			}
			if r := s.Ask("/sleep?seconds=0"); r.Body != "done\n" {
				t.Errorf("GET /sleep afterwards = %s %q, want done", r.Line(), r.Body)
			}
		})
	}
}

// An answer that has begun and stops must not look complete.
func TestFaults_TimeoutBreaksAnAnswerThatHasBegun(t *testing.T) {
	s := Start(t, "misbehave.slow", "-w", "2", "-t", "1s", "--graceful-timeout", "100ms")
	c, _ := slowly(s, "/stalled?seconds=60")
	if r := c.Read("GET"); r.Status != 200 || r.Body != "tick\n" || r.Broken == nil {
		t.Errorf("GET /stalled = %s %q %v, want the first tick and a broken answer", r.Line(), r.Body, r.Broken)
	}
	s.WaitFor("taken too long")
}

// The worker of such a request shows its stacks, even where C code holds the
// GIL, and gets no more requests; what else it runs is finished, then it goes.
func TestFaults_TimeoutReplacesTheWorker(t *testing.T) {
	for path, function := range map[string]string{"/sleep": "variant", "/busy": "busy", "/gil": "holding_gil"} {
		t.Run(path[1:], func(t *testing.T) {
			s := Start(t, "misbehave.slow", "--threads", "2", "-t", "1s")
			old := s.workerPIDs()[0]
			var other *Conn
			if path != "/gil" { // under which nothing else runs
				other, _ = slowly(s, "/blocks?seconds=2.5")
			}
			c, _ := slowly(s, path+"?seconds=60")
			if r := c.Read("GET"); r.Status != 504 {
				t.Errorf("GET %s = %s, want 504", path, r.Line())
			}
			s.WaitFor("line ")
			s.WaitFor("in " + function)
			s.WaitFor("worker=2") // serves
			_, begun := slowly(s, "/sleep?seconds=0")
			if line := begun.await("began"); line == fmt.Sprint("began ", old) {
				t.Errorf("the worker %d that is to go has begun another request", old)
			}
			if other != nil {
				if r := other.Read("GET"); r.Broken != nil || strings.Count(r.Body, "tick\n") < 8 {
					t.Errorf("the other request of that worker = %s %q %v, want all of its ticks", r.Line(), r.Body, r.Broken)
				}
			}
			if !awaitEnd(old, patience) {
				t.Errorf("worker %d is still there", old)
			}
		})
	}
}

// A close() that hangs costs its client nothing, and its worker is replaced.
func TestFaults_TimeoutEndsACloseThatHangs(t *testing.T) {
	s := Start(t, "misbehave.slow", "-t", "1s")
	old := s.workerPIDs()[0]
	if r := s.Ask("/closing?seconds=60"); r.Body != "body\n" || r.Broken != nil {
		t.Errorf("GET /closing = %s %q %v, want its body", r.Line(), r.Body, r.Broken)
	}
	if line := s.WaitFor("taken too long"); !strings.Contains(line, "GET /closing") {
		t.Errorf("log = %q, want the request", line)
	}
	if !awaitEnd(old, patience) {
		t.Errorf("worker %d is still there", old)
	}
	if r := s.Ask("/sleep?seconds=0"); r.Body != "done\n" {
		t.Errorf("GET /sleep afterwards = %s %q, want done", r.Line(), r.Body)
	}
}

// A stopped process says nothing and dies of nothing: what it ran is answered
// for, what it had not begun goes to its successor.
func TestFaults_TimeoutReplacesAStoppedWorker(t *testing.T) {
	t.Run("in a request", func(t *testing.T) {
		s := Start(t, "misbehave.dying", "-t", "1s")
		if r := s.Ask("/stop"); r.Status != 504 {
			t.Errorf("GET /stop = %s, want 504", r.Line())
		}
		if r := s.Ask("/alive"); r.Status != 200 {
			t.Errorf("GET /alive afterwards = %s, want 200", r.Line())
		}
	})
	t.Run("between requests", func(t *testing.T) {
		s := Start(t, "misbehave.dying", "-t", "1s", "--graceful-timeout", "100ms")
		old := s.workerPIDs()[0]
		freeze(t, old)
		if r := s.Ask("/alive"); r.Status != 200 || r.Body == fmt.Sprintf("alive %d\n", old) {
			t.Errorf("GET /alive = %s %q, want the successor's answer", r.Line(), r.Body)
		}
		s.WaitFor("does not begin")
		if !awaitEnd(old, patience) {
			t.Errorf("worker %d is still there", old)
		}
	})
}

// An application that goes on giving may take as long as it likes.
func TestFaults_TimeoutRestartsWithEachBlock(t *testing.T) {
	s := Start(t, "misbehave.slow", "-t", "1s")
	if r := s.Ask("/blocks?seconds=2.5"); r.Broken != nil || strings.Count(r.Body, "tick\n") < 8 {
		t.Errorf("GET /blocks = %s %q %v, want all of its ticks", r.Line(), r.Body, r.Broken)
	}
}

// --- Requests that are too many ---------------------------------------------

// gate is a named pipe that misbehave.gated waits at.
type gate struct{ path string }

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{path: filepath.Join(t.TempDir(), "gate")}
	if err := unix.Mkfifo(g.path, 0o600); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *gate) target() string { return "/?gate=" + url.QueryEscape(g.path) }

// lift lets everyone pass, until the test ends.
func (g *gate) lift(t *testing.T) {
	t.Helper()
	// For reading, too: opening for writing alone waits for who reads.
	f, err := os.OpenFile(g.path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
}

// ask sends so many requests on connections of their own and returns where the
// responses come in.
func (g *gate) ask(s *Server, n int) <-chan *Response {
	answers := make(chan *Response, n)
	for range n {
		c := s.Dial()
		c.Send(head("GET "+g.target(), "Host: tests", "Connection: close"))
		go func() { answers <- c.Read("GET") }()
	}
	return answers
}

// --max-queue: the pool takes what fits its seats and the queue; the rest get
// 503 at once, with a time to come back. How many are laid out ahead follows the
// pace of the requests, so there are bounds for what is accepted and no number.
func TestFaults_MaxQueueRefusesTheRest(t *testing.T) {
	const threads, queue, asked = 2, 6, 40
	const least, most = threads + 3 + queue, threads + 15 + queue // see workers/pace.go
	access := filepath.Join(t.TempDir(), "access.log")
	s := Start(t, "misbehave.gated", "--threads", strconv.Itoa(threads), "--max-queue", strconv.Itoa(queue), "--access-logfile", access)
	g := newGate(t)
	answers := g.ask(s, asked)
	refused, passed := 0, 0
	count := func(r *Response) {
		switch {
		case r.Line() == "503 Service Unavailable" && r.Value("Retry-After") == "1":
			refused++
		case r.Status == 200 && r.Body == "passed\n":
			passed++
		default:
			t.Errorf("GET with a full queue = %s %q, Retry-After %q; want passed, or 503 and 1", r.Line(), r.Body, r.Value("Retry-After"))
		}
	}
	for range asked - most {
		count(awaitValue(t, answers, "a refusal"))
	}
	if passed > 0 {
		t.Errorf("%d requests were answered before the gate opened", passed)
	}
	g.lift(t)
	for range most {
		count(awaitValue(t, answers, "an answer"))
	}
	if passed < least {
		t.Errorf("%d of %d requests passed, want at least %d", passed, asked, least)
	}
	told := 0
	await(t, "every refusal in the log", func() bool {
		told = 0
		for _, m := range regexp.MustCompile(`queue is full .*requests=(\d+)`).FindAllStringSubmatch(strings.Join(s.Log(), "\n"), -1) {
			n, _ := strconv.Atoi(m[1])
			told += n
		}
		return told >= refused
	})
	if told != refused {
		t.Errorf("the log tells of %d refused requests, want %d", told, refused)
	}
	await(t, "the access log", func() bool {
		text, _ := os.ReadFile(access)
		return strings.Count(string(text), `" 503 `) == refused && strings.Count(string(text), `" 200 `) == passed
	})
}

// --queue-timeout: a request nobody begins is answered, laid out or queued.
func TestFaults_QueueTimeoutAnswers503(t *testing.T) {
	s := Start(t, "misbehave.gated", "--queue-timeout", "200ms")
	g := newGate(t)
	first, _ := slowly(s, g.target())
	rest := g.ask(s, 12) // more than there are seats
	for range 12 {
		r := awaitValue(t, rest, "a refusal")
		if r.Line() != "503 Service Unavailable" || r.Value("Retry-After") != "1" {
			t.Errorf("GET that waits = %s, Retry-After %q; want 503 and 1", r.Line(), r.Value("Retry-After"))
		}
	}
	s.WaitFor("no worker was free for them in time")
	g.lift(t)
	if r := first.Read("GET"); r.Body != "passed\n" {
		t.Errorf("GET that ran = %s %q, want passed: it had not waited", r.Line(), r.Body)
	}
	if r := s.Ask("/"); r.Body != "passed\n" {
		t.Errorf("GET / afterwards = %s %q, want passed", r.Line(), r.Body)
	}
}

// --- Logs that cannot be written --------------------------------------------

// A full disk under both logs: serving goes on.
func TestFaults_FullDiskStopsNothing(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	r, err := launch(Options{
		App:  "misbehave.raising",
		Args: []string{"-b", "unix:" + socket, "--access-logfile", "/dev/full", "--error-logfile", "/dev/full", "--log-level", "debug"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{run: r, T: t, Binds: []string{"unix:" + socket}}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
	await(t, "the server", func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	for range 50 {
		if r := s.Ask("/app"); r.Status != 500 {
			t.Errorf("GET of what raises = %s, want 500", r.Line())
		}
	}
	kill(t, s.workerPIDs()[0], unix.SIGKILL) // that is logged, too
	if r := s.Ask("/app"); r.Status != 500 {
		t.Errorf("GET after a worker died = %s, want 500 of the next worker", r.Line())
	}
}

// Whoever read the logs has gone: serving goes on, until the end, which is as
// it should be.
func TestFaults_BrokenPipeStopsNothing(t *testing.T) {
	options := Options{App: "misbehave.raising", Args: []string{"--access-logfile", "-", "--log-level", "debug"}}
	cmd := options.command()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	t.Cleanup(func() { _ = unix.Kill(-pid, unix.SIGKILL) }) // its session, where the test failed
	var bind string
	for lines := bufio.NewScanner(stderr); bind == "" && lines.Scan(); {
		if m := announced.FindStringSubmatch(lines.Text()); m != nil {
			bind = m[1]
		}
	}
	s := &Server{run: &run{cmd: cmd, ended: make(chan struct{})}, T: t, Binds: []string{bind}}
	if r := s.Ask("/app"); r.Status != 500 {
		t.Errorf("GET of what raises = %s, want 500", r.Line())
	}
	_, _ = stderr.Close(), stdout.Close()
	for range 50 {
		if r := s.Ask("/app"); r.Status != 500 {
			t.Errorf("GET of what raises = %s, want 500", r.Line())
		}
	}
	kill(t, s.workerPIDs()[0], unix.SIGKILL)
	if r := s.Ask("/app"); r.Status != 500 {
		t.Errorf("GET after a worker died = %s, want 500 of the next worker", r.Line())
	}
	kill(t, pid, unix.SIGTERM)
	if !awaitEnd(pid, stopPatience) {
		t.Error("the server does not stop on SIGTERM without its logs")
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v, want exit code 0", err)
	}
	if left := awaitSessionEnd(pid, stopPatience); len(left) > 0 {
		t.Errorf("the server has left %+v", left)
	}
}

// --- The front's own end -----------------------------------------------------

// kill -9 of the front, in the middle of requests: a new start has the same
// port and the same socket at once.
func TestFaults_StartsAgainAfterTheFrontWasKilled(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().String()
	_ = l.Close()
	args := []string{"-w", "2", "-b", port, "-b", "unix:" + socket}
	for range 3 {
		s := Start(t, "misbehave.slow", args...)
		if len(s.Binds) != 2 {
			t.Fatalf("binds = %q, want a port and a socket", s.Binds)
		}
		slowly(s, "/gil?seconds=60")
		leader := s.PID()
		s.Signal(unix.SIGKILL)
		if left := awaitSessionEnd(leader, time.Second); len(left) > 0 {
			t.Errorf("a second after the front was killed there are %+v", left)
		}
	}
	s := Start(t, "misbehave.slow", args...)
	for _, bind := range s.Binds {
		network, address := dialable(bind)
		c := dial(t, network, address)
		if r := c.Get("/sleep?seconds=0"); r.Body != "done\n" {
			t.Errorf("GET at %s = %s %q, want done", bind, r.Line(), r.Body)
		}
	}
}
