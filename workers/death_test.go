package workers

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"gowsgi/cmd/failure"
	"gowsgi/embed/channel"
)

func TestReasonOf_SaysWhatOperatorsSearchFor(t *testing.T) {
	for _, c := range []struct {
		report channel.Report
		oom    bool
		want   string
	}{
		{channel.Report{Signal: unix.SIGSEGV}, false, "killed by SIGSEGV"},
		{channel.Report{Signal: unix.SIGSEGV}, true, "killed by SIGSEGV"},
		{channel.Report{Signal: unix.SIGKILL, MaxRSS: 300 << 20}, false, "killed by SIGKILL"},
		{channel.Report{Signal: unix.SIGKILL, MaxRSS: 300 << 20}, true, "killed by SIGKILL (out of memory; it had 300 MiB)"},
		{channel.Report{Signal: 40}, false, "killed by signal 40"}, // a real-time signal has no name
		{channel.Report{Status: 0}, false, "it exited with status 0"},
		{channel.Report{Status: 7}, false, "it exited with status 7"},
		{channel.Report{Status: 3}, true, "it exited with status 3"},
	} {
		if got := reasonOf(c.report, c.oom); got != c.want {
			t.Errorf("reasonOf(%+v, %v) = %q, want %q", c.report, c.oom, got, c.want)
		}
	}
}

func TestOOMCounter_NoticesGrowthOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vmstat")
	o := oomCounter{path: path}
	for i, c := range []struct {
		text string
		want bool
	}{
		{"", false}, // not there
		{"nr_free_pages 100\noom_kill 3\nnuma_hit 5\n", true},
		{"oom_kill 3\n", false},
		{"oom_kill 5\n", true},
		{"oom_kill 4\n", false}, // never seen, and never to be believed
		{"oom_kill 5\n", false},
		{"oom_kill none\n", false},
		{"oom_kill_other 9\n", false},
		{"oom_kill 6", true},
	} {
		if c.text != "" {
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := o.struck(); got != c.want {
			t.Errorf("step %d: struck() = %v with %q, want %v", i, got, c.text, c.want)
		}
	}
}

func TestDeath_HasTheCodeOfWhatHappened(t *testing.T) {
	for _, c := range []struct{ got, want failure.Code }{
		{deathCode(false), failure.WorkerDied},
		{deathCode(true), failure.WorkerOutOfMemory},
		{zygoteCode(1), failure.ZygoteDied},
		{zygoteCode(127), failure.LibraryMissing}, // the dynamic linker's
	} {
		if c.got != c.want {
			t.Errorf("code = %v, want %v", c.got, c.want)
		}
	}
}
