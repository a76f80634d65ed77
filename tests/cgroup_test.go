package tests

// Control groups, as a container engine makes them: their limits become defaults.

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// within makes groups with limits and gives the command that becomes gowsgi in them.
// Where this machine lets nobody make any, the test is skipped.
func within(t *testing.T, processors float64, memory string) (through []string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can make control groups here")
	}
	const top = "/sys/fs/cgroup"
	quota := fmt.Sprint(int(processors * 100000))
	name := fmt.Sprintf("gowsgi-tests-%d", os.Getpid())
	limits := map[string]map[string]string{ // by group
		filepath.Join(top, "cpu", name):    {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": quota},
		filepath.Join(top, "memory", name): {"memory.limit_in_bytes": memory},
	}
	if _, err := os.Stat(filepath.Join(top, "cgroup.controllers")); err == nil {
		limits = map[string]map[string]string{
			filepath.Join(top, name): {"cpu.max": quota + " 100000", "memory.max": memory},
		}
	}
	var entries []string
	for group, files := range limits {
		if err := os.Mkdir(group, 0o755); err != nil {
			t.Skipf("no control groups can be made here: %v", err)
		}
		t.Cleanup(func() {
			// Those who were in it may be on their way out.
			await(t, "the end of "+group, func() bool { return os.Remove(group) == nil })
		})
		for file, text := range files {
			if err := os.WriteFile(filepath.Join(group, file), []byte(text), 0o644); err != nil {
				t.Skipf("no limits can be set here: %v", err)
			}
		}
		entries = append(entries, filepath.Join(group, "cgroup.procs"))
	}
	return []string{"sh", "-c", "for group in " + strings.Join(entries, " ") + `; do echo $$ > "$group" || exit 9; done; exec "$@"`, "sh"}
}

func TestCgroup_LimitsMakeTheDefaults(t *testing.T) {
	want := min(2, runtime.NumCPU())
	s := StartWith(t, Options{App: "misbehave.leaking", Through: within(t, 1.5, "512M"), Env: []string{"WEB_CONCURRENCY="}})
	s.WaitFor(fmt.Sprintf("workers=%d ", want))
	if got := len(s.Workers()); got != want {
		t.Errorf("with 1.5 processors: %d workers, want %d", got, want)
	}
}

func TestCgroup_SettingsOutweighLimits(t *testing.T) {
	s := StartWith(t, Options{App: "hello", Through: within(t, 1.5, "512M"), Env: []string{"WEB_CONCURRENCY=3"}})
	s.WaitFor("workers=3 ")
}

// A worker is replaced before the kernel kills it.
func TestCgroup_MemoryLimitReplacesAWorkerInTime(t *testing.T) {
	s := StartWith(t, Options{App: "misbehave.leaking", Through: within(t, 0.5, "512M")})
	if r := s.Ask(fmt.Sprintf("/pile?size=%d", 430<<20)); r.Status != 200 {
		t.Fatalf("GET /pile = %s, want 200", r.Line())
	}
	s.WaitFor("more than 409.0 MiB (--max-worker-memory)")
	await(t, "a small worker in its place", func() bool { return s.Ask("/pile?size=1").Body == "1\n" })
}
