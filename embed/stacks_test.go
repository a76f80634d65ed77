package embed_test

// The stacks of a worker that is stuck, seen from the front.

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gowsgi/embed"
	"gowsgi/embed/channel"
)

// until waits for what a worker writes.
func until(t *testing.T, said *output, what string) {
	t.Helper()
	late := time.After(patience)
	for !strings.Contains(said.String(), what) {
		select {
		case <-said.news:
		case <-late:
			t.Fatalf("the worker said %q, want %q in it", said, what)
		}
	}
}

const stuckSource = `
import ctypes, faulthandler, os, signal, time
faulthandler.enable()
faulthandler.register(signal.SIGUSR1, file=2)
python = ctypes.PyDLL(None)  # its functions keep the GIL

def sleeps():
    os.write(2, b"begun\n")
    time.sleep(600)

def loops():
    os.write(2, b"begun\n")
    while True:
        pass

def keeps_the_gil():
    os.write(2, b"begun\n")
    while True:
        python.poll(None, 0, 600000)

def application(environ, start_response):
    globals()[environ["PATH_INFO"][1:]]()
`

func TestStacks_OfAWorkerThatIsStuck(t *testing.T) {
	for _, threads := range []int{1, 2} {
		for _, how := range []string{"sleeps", "loops", "keeps_the_gil"} {
			t.Run(how, func(t *testing.T) {
				pool, said := startHeard(t, stuckSource, func(s *embed.Settings) { s.Threads = threads })
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					_, _, _ = get(t, pool, "/"+how) // it ends with its worker
				}()
				until(t, said, "begun")
				if err := unix.Kill(pool.PIDs()[0], channel.StacksSignal); err != nil {
					t.Fatal(err)
				}
				until(t, said, " in "+how)
				until(t, said, "gowsgi: worker 1 (pid ")
				until(t, said, "): the stacks of all Python threads, as asked by signal:\n")
				if threads > 1 {
					until(t, said, " in serve")
				}
				pool.Kill()
				<-ended
			})
		}
	}
}

func TestStacks_LeaveTheApplicationsFaulthandlerAlone(t *testing.T) {
	pool, said := startHeard(t, stuckSource+`
def sleeps():
    os.write(2, b"%r begun\n" % faulthandler.is_enabled())
    while signal.sigtimedwait([signal.SIGINT], 0.01) is None:
        pass
`, nil)
	go func() { _, _, _ = get(t, pool, "/sleeps") }()
	until(t, said, "True begun")
	if err := unix.Kill(pool.PIDs()[0], unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	until(t, said, " in sleeps")
	if text := said.String(); strings.Contains(text, "as asked") {
		t.Errorf("SIGUSR1 gave %q, want the application's own dump", text)
	}
	pool.Kill()
}

// Reading the frames of threads that run can go wrong; the worker is not to
// notice.
func TestStacks_DoNotHarmAWorkerThatRuns(t *testing.T) {
	pool, said := startHeard(t, `
import os, sys, threading
def deep(n):
    return n and 1 + sum(deep(m) for m in range(n))
def churn():
    while True:
        deep(8)
def application(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/churn":
        for _ in range(3):
            threading.Thread(target=churn, daemon=True).start()
    return [str(os.getpid()).encode()]
`, nil)
	_, pid, err := get(t, pool, "/churn")
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 50; n++ {
		if err := unix.Kill(pool.PIDs()[0], channel.StacksSignal); err != nil {
			t.Fatal(err)
		}
		late := time.After(patience)
		for strings.Count(said.String(), "as asked by signal") < n {
			select {
			case <-said.news:
			case <-late:
				t.Fatalf("the worker said %q, want %d dumps", said, n)
			}
		}
	}
	if _, body, err := get(t, pool, "/"); body != pid || err != nil {
		t.Errorf("after the dumps worker %q answers, %v, want %q as before", body, err, pid)
	}
	if !strings.Contains(said.String(), " in churn") {
		t.Errorf("the worker said %q, want churn in it", said)
	}
}

// The reason is the front's and passes through the zygote; a worker that still
// imports can be asked, too.
func TestStacks_SayWhyTheFrontAsked(t *testing.T) {
	stderr := forkAlone(t, `
import os, time
os.write(2, b"begun\n")
time.sleep(600)
`)
	lines := bufio.NewReader(stderr.pipe)
	for _, want := range []string{"begun\n", "gowsgi: worker 7 (pid ", "\n", " in "} {
		line, err := lines.ReadString('\n')
		if err != nil || !strings.Contains(line, want) {
			t.Fatalf("the worker said %q, %v, want %q", line, err, want)
		}
		switch want {
		case "begun\n":
			if err := stderr.control.DumpStacks(7, channel.WhyStart); err != nil {
				t.Fatal(err)
			}
		case "gowsgi: worker 7 (pid ":
			if why := ", because its start takes too long:\n"; !strings.HasSuffix(line, why) {
				t.Errorf("the line before the stacks is %q, want %q at its end", line, why)
			}
		}
	}
}

// lone is a worker without a pool.
type lone struct {
	control *channel.Control
	pipe    *os.File // its standard error
}

// forkAlone has a zygote of its own fork worker 7.
func forkAlone(t *testing.T, source string) lone {
	t.Helper()
	o, _ := options(t, source, nil)
	control, theirs, err := channel.Pair()
	if err != nil {
		t.Fatal(err)
	}
	zygote := exec.Command(o.Zygote.Path)
	zygote.Env, zygote.ExtraFiles, zygote.Stderr = o.Zygote.Env, []*os.File{theirs}, os.Stderr
	if err := zygote.Start(); err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close() // the zygote has its own
	t.Cleanup(func() {
		_ = control.Close() // which ends it
		_ = zygote.Wait()
	})
	if err := control.SendSettings(o.Zygote.Settings); err != nil {
		t.Fatal(err)
	}
	if r, err := control.Receive(); err != nil || r.Kind != channel.Booted {
		t.Fatalf("Receive() = %+v, %v, want Booted", r, err)
	}
	segment, err := channel.Create(o.Sizes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(segment.Close)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := control.Fork(7, segment, w); err != nil {
		t.Fatal(err)
	}
	_ = w.Close() // the worker has its own
	t.Cleanup(func() { _ = r.Close() })
	if err := r.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return lone{control, r}
}
