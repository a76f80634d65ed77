package workers

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"gowsgi/cmd/failure"
)

// weigh looks whether workers have more memory than they may. Those of an old
// generation as well: what they still run may be what takes it.
//
// What counts is the proportional size where the kernel tells it, which charges
// a preloaded application to all who share it; else the resident size. The first
// costs a walk through the process's pages, so it is asked for only when the
// second is above a limit, and not often.
func (s *supervisor) weigh(g *generation) {
	if g.plan.MemorySoft == 0 && g.plan.MemoryHard == 0 {
		return
	}
	for _, w := range g.workers {
		if w.state == serving || w.state == leaving {
			g.weighWorker(w)
		}
	}
}

// weighEvery bounds how often the pages of one worker are walked through.
const weighEvery = 500 * time.Millisecond

func (g *generation) weighWorker(w *worker) {
	soft, hard := g.plan.MemorySoft, g.plan.MemoryHard
	resident := residentOf(w.pid)
	over := func(limit, size int64) bool { return limit > 0 && size > limit }
	if !over(soft, resident) && !over(hard, resident) || time.Since(w.weighed) < weighEvery {
		return
	}
	w.weighed = time.Now()
	size := proportionalOf(w.pid, resident)
	switch {
	case over(hard, size):
		g.supervisor.pool.options.Log.Error("worker has more memory than it may; killing it (--max-worker-memory-hard)", failure.Key, failure.WorkerTooLarge,
			"worker", w.id, "pid", w.pid, "memory", mebibytes(size), "limit", mebibytes(hard))
		g.signal(w, unix.SIGKILL)
	case over(soft, size) && !w.heavy:
		g.replace(w, fmt.Sprintf("it has %s of memory, more than %s (--max-worker-memory)", mebibytes(size), mebibytes(soft)))
	}
}

// weighFirst spares a worker that is above the limit before its first request:
// its successor would be, too, and they would be replaced for ever.
func (g *generation) weighFirst(w *worker) {
	soft := g.plan.MemorySoft
	if soft == 0 {
		return
	}
	size := residentOf(w.pid)
	if size > soft {
		size = proportionalOf(w.pid, size)
	}
	if w.heavy = size > soft; w.heavy {
		g.supervisor.pool.options.Log.Warn("worker has more memory than --max-worker-memory before its first request; it is not replaced for that", failure.Key, failure.WorkerLargeAtStart,
			"worker", w.id, "memory", mebibytes(size), "limit", mebibytes(soft))
	}
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// residentOf is the resident size of a process in bytes; 0 if it is gone.
func residentOf(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// proportionalOf is the proportional size of a process in bytes, otherwise where
// the kernel does not tell: it may be another user's, or gone.
func proportionalOf(pid int, otherwise int64) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return otherwise
	}
	for line := range bytes.Lines(text) {
		value, ok := bytes.CutPrefix(line, []byte("Pss:"))
		if !ok {
			continue
		}
		if fields := bytes.Fields(value); len(fields) > 0 {
			if n, err := strconv.ParseInt(string(fields[0]), 10, 64); err == nil {
				return n << 10
			}
		}
	}
	return otherwise
}
