package workers

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

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
