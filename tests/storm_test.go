package tests

// Everything at once, for as long as asked: load of every kind while workers are
// killed, stopped and hang, the code is reloaded, broken and whole, and the pool
// replaces its workers and changes its size. Every answer is judged by what was
// asked; see visit.

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stormApplication is misbehave.doomed, which notes each POST it begins.
const stormApplication = `
import os, time
from misbehave import doomed

record = os.open(%q, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
doomed.WAYS["sleep"] = lambda: time.sleep(3600)

def spin():
    while True:
        pass

doomed.WAYS["spin"] = spin

def application(environ, start_response):
    if environ["REQUEST_METHOD"] == "POST":
        os.write(record, (environ["QUERY_STRING"].split("&")[0] + "\n").encode())
    return doomed.application(environ, start_response)
`

// storm is a chaos of a certain length.
type storm struct {
	chaos
	dir      string
	record   string
	victims  int // processes that were made to die or hang, at most
	hangers  sync.WaitGroup
	hung     atomic.Int64 // of those that asked for what never ends, how many were told
	reloads  int
	mu       sync.Mutex
	answered map[string]bool // POST tokens with a whole answer
}

// stormLength is how long the storm lasts: GOWSGI_CHAOS, as "3m", or a while.
func stormLength(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("GOWSGI_CHAOS")
	if text == "" {
		return 10 * time.Second
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("GOWSGI_CHAOS=%s: %v", text, err)
	}
	return length
}

func stormSeed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("GOWSGI_CHAOS_SEED")
	if text == "" {
		return 1
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("GOWSGI_CHAOS_SEED=%s: %v", text, err)
	}
	return seed
}

// TestChaos_EverythingAtOnce: none lost, none run twice, none mixed up, none
// truncated without an error.
func TestChaos_EverythingAtOnce(t *testing.T) {
	length, seed := stormLength(t), stormSeed(t)
	for _, mode := range [][]string{{"--preload"}, {}} {
		t.Run(strings.Join(mode, ""), func(t *testing.T) {
			newStorm(t, seed, mode).rage(length / 2)
		})
	}
}

func newStorm(t *testing.T, seed uint64, mode []string) *storm {
	t.Helper()
	t.Logf("seed %d; GOWSGI_CHAOS_SEED sets another, GOWSGI_CHAOS the length", seed)
	w := &storm{dir: t.TempDir(), answered: map[string]bool{}}
	w.record = filepath.Join(w.dir, "record")
	w.write(t, fmt.Sprintf(stormApplication, w.record))
	args := append(mode, "--pythonpath", apps, "-w", "3", "--threads", "2", "--min-workers", "2", "--max-workers", "5",
		"--worker-idle-timeout", "1", "--max-requests", "400", "--max-requests-jitter", "200",
		"--max-worker-lifetime", "2", "--max-worker-lifetime-jitter", "2",
		"--timeout", "3", "--graceful-timeout", "6", "--queue-timeout", "60")
	w.chaos = chaos{
		Server: StartWith(t, Options{App: "app", Dir: w.dir, Args: args}),
		random: rand.New(rand.NewPCG(seed, 30)),
	}
	w.late = true
	w.whole = func(v visit) {
		if v.body != "" {
			w.mu.Lock()
			w.answered["token="+v.token] = true
			w.mu.Unlock()
		}
	}
	return w
}

func (w *storm) write(t testing.TB, text string) {
	t.Helper()
	file := filepath.Join(w.dir, "app.py")
	// A second apart in time: Python's cache of compiled files goes by that.
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func (w *storm) rage(length time.Duration) {
	t := w.T
	t.Helper()
	finished := make(chan error, chaosClients)
	for number := range chaosClients {
		go func() { finished <- w.visit(number) }()
	}
	deeds := []func(){w.killWorker, w.killWorker, w.killWorker, w.stopWorker, w.hangWorker, w.pauseZygote, w.reloadWhole, w.reloadBroken, w.resizePool}
	n := 0
	for until := time.Now().Add(length); time.Now().Before(until); n++ {
		deeds[w.random.IntN(len(deeds))]()
		time.Sleep(time.Duration(w.random.IntN(150)) * time.Millisecond) // the storm's own beat
	}
	w.hangers.Wait()
	w.stop.Store(true)
	for range chaosClients {
		if err := <-finished; err != nil {
			t.Error(err)
		}
	}
	w.checkCalm(n)
}

// checkCalm looks at what is left when the storm is over.
func (w *storm) checkCalm(deeds int) {
	t := w.T
	t.Helper()
	if r := w.Ask("/?token=calm"); r.Body != contentOf("calm", 64) {
		t.Errorf("GET / afterwards = %s %q, want an answer", r.Line(), r.Body)
	}
	w.settleBetween(2, 5)
	failed := w.lost.Load() + w.broken.Load()
	if most := int64(w.victims * chaosThreads); failed > most {
		t.Errorf("%d requests failed, want at most %d: %d victims of %d threads each", failed, most, w.victims, chaosThreads)
	}
	if w.chaos.answered.Load() == 0 || w.hung.Load() == 0 || w.reloads == 0 {
		t.Errorf("%d requests answered, %d hung, %d reloads: want some of each, or nothing was tried", w.chaos.answered.Load(), w.hung.Load(), w.reloads)
	}
	w.checkRecord()
	t.Logf("%d deeds, %d victims, %d reloads: %d requests answered, %d got 502 or 504, %d broke off",
		deeds, w.victims, w.reloads, w.chaos.answered.Load(), w.lost.Load(), w.broken.Load())
}

// checkRecord: no POST was run twice, and each that was answered was run.
func (w *storm) checkRecord() {
	t := w.T
	t.Helper()
	f, err := os.Open(w.record)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	ran := map[string]int{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		ran[lines.Text()]++
	}
	for token, n := range ran {
		if n > 1 {
			t.Errorf("POST %s was run %d times", token, n)
		}
	}
	for token := range w.answered {
		if ran[token] == 0 {
			t.Errorf("POST %s was answered and not run", token)
		}
	}
}

// --- deeds -------------------------------------------------------------------

// someone is the pid of a worker, 0 if there is none just now.
func (w *storm) someone() int {
	workers := w.Workers()
	if len(workers) == 0 {
		return 0
	}
	return workers[w.random.IntN(len(workers))].PID
}

func (w *storm) killWorker() {
	if pid := w.someone(); pid != 0 {
		w.victims++
		signals := []unix.Signal{unix.SIGKILL, unix.SIGSEGV, unix.SIGABRT, unix.SIGTERM}
		_ = unix.Kill(pid, signals[w.random.IntN(len(signals))]) // it may be gone
	}
}

// stopWorker stops a worker for good: its requests time out.
func (w *storm) stopWorker() {
	if pid := w.someone(); pid != 0 {
		w.victims++
		_ = unix.Kill(pid, unix.SIGSTOP)
	}
}

// hangWorker asks for what never ends.
func (w *storm) hangWorker() {
	w.victims++
	way := []string{"sleep", "spin"}[w.random.IntN(2)]
	target := fmt.Sprintf("/?token=hang-%d&die=%s&size=20000&shape=blocks&when=%s", w.victims, way, []string{"call", "half"}[w.random.IntN(2)])
	w.hangers.Go(func() {
		c, err := connect(w.Server)
		if err != nil {
			w.T.Error(err)
			return
		}
		defer c.Close()
		r, err := c.exchange(head("POST "+target, "Host: chaos", "Content-Length: 0"), "POST")
		switch {
		case err != nil:
			w.T.Errorf("POST %s: %v", target, err)
		case r.Status == 504, r.Status == 502, r.Status == 200 && r.Broken != nil:
			w.hung.Add(1)
		default:
			w.T.Errorf("POST %s = %s, want 504, 502 or a broken answer", target, r.Line())
		}
	})
}

// pauseZygote stops the zygote for a moment, which stops nothing else.
func (w *storm) pauseZygote() {
	for _, p := range session(w.cmd.Process.Pid) {
		if strings.HasPrefix(p.Title, "gowsgi: zygote") {
			_ = unix.Kill(p.PID, unix.SIGSTOP)
			time.Sleep(time.Duration(w.random.IntN(100)) * time.Millisecond)
			_ = unix.Kill(p.PID, unix.SIGCONT)
			return
		}
	}
}

func (w *storm) reloadWhole() {
	w.reloads++
	if w.random.IntN(2) == 0 {
		w.Signal(unix.SIGHUP)
		return
	}
	if code, said := w.reload(); code != 0 && !strings.Contains(said, "killed by") && !strings.Contains(said, "another reload") {
		w.T.Errorf("reload = exit code %d, %q, want 0", code, said)
	}
}

func (w *storm) reloadBroken() {
	w.write(w.T, unimportable)
	if code, said := w.reload(); code == 0 {
		w.T.Errorf("reload of broken code = exit code 0, %q, want another", said)
	}
	w.write(w.T, fmt.Sprintf(stormApplication, w.record))
}

func (w *storm) resizePool() {
	w.Signal([]unix.Signal{unix.SIGTTIN, unix.SIGTTOU}[w.random.IntN(2)])
}
