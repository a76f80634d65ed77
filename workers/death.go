package workers

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gowsgi/cmd/failure"
	"gowsgi/embed/channel"
)

// reasonOf says in words how a worker ended: what operators search logs for.
// oom tells whether the kernel's OOM killer has been at work since the last
// death; the kernel does not say whom it killed.
func reasonOf(r channel.Report, oom bool) string {
	switch {
	case r.Signal == unix.SIGKILL && oom:
		return fmt.Sprintf("killed by SIGKILL (out of memory; it had %d MiB)", r.MaxRSS>>20)
	case r.Signal != 0:
		return "killed by " + signalName(r.Signal)
	case r.Status == 0:
		return "it exited with status 0"
	default:
		return fmt.Sprintf("it exited with status %d", r.Status)
	}
}

// deathCode is the failure's code for a worker that died.
func deathCode(oom bool) failure.Code {
	if oom {
		return failure.WorkerOutOfMemory
	}
	return failure.WorkerDied
}

// cannotLoad is the status of a program that the dynamic linker, or a shell, could
// not load.
const cannotLoad = 127

// zygoteCode is the failure's code for a zygote that ended with an exit code.
func zygoteCode(exit int) failure.Code {
	if exit == cannotLoad {
		return failure.LibraryMissing
	}
	return failure.ZygoteDied
}

// signalName is SIGSEGV and the like; real-time signals have numbers only.
func signalName(s unix.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return s.String()
}

// oomCounter notices whether the OOM killer has struck.
type oomCounter struct {
	path string // /proc/vmstat
	seen uint64
}

// struck reports whether the count has grown since the last call. Where the
// kernel does not count, it has not.
func (o *oomCounter) struck() bool {
	text, err := os.ReadFile(o.path)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		value, ok := strings.CutPrefix(line, "oom_kill ")
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
		grown := err == nil && n > o.seen
		o.seen = max(n, o.seen)
		return grown
	}
	return false
}

// casualty is a call that its worker was running when something happened to it.
type casualty struct {
	request string // method and target
	id      string // the request's, empty if it has none
	after   bool   // its client had the response: functions ran that are called after it
	elapsed time.Duration
}

// casualtyLocked describes the call on s. The front's own copy of the environ
// is lent while somebody waits for the call; later there is only what the
// worker could write to.
func (d *dispatcher) casualtyLocked(s *seat, now time.Time) casualty {
	c := s.call.Load()
	packed := c.request.Environ
	if c.abandoned.Load() {
		packed = s.slot.Environ()
	}
	began := s.stint.began
	if s.stint.after {
		began = s.stint.since
	}
	if !s.stint.known { // begun since the last look
		began = c.asked
		if began.Before(d.watched.at) {
			began = d.watched.at
		}
	}
	line, id := nameOf(packed)
	return casualty{
		request: line,
		id:      id,
		after:   s.stint.after,
		elapsed: max(now.Sub(began), 0).Round(time.Millisecond),
	}
}

// describe returns attributes for a log record about the call.
func (c casualty) describe() []any {
	attrs := []any{"request", c.request}
	if c.id != "" {
		attrs = append(attrs, "id", c.id)
	}
	if c.after {
		attrs = append(attrs, "doing", "after_response")
	}
	return append(attrs, "elapsed", c.elapsed)
}

// describeRunning returns attributes for a log record about a worker and all
// that it was running: a group for each call, "running", "running2" …
func describeRunning(ran []casualty) []any {
	var attrs []any
	for i, c := range ran {
		name := "running"
		if i > 0 {
			name += strconv.Itoa(i + 1)
		}
		attrs = append(attrs, slog.Group(name, c.describe()...))
	}
	return attrs
}
