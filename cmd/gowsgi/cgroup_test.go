package main

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// The other tests are about a machine without limits, wherever they run.
func init() { processResources = func() resources { return resources{} } }

// machine makes a root folder of files, given as names and contents.
func machine(t *testing.T, files map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const (
	mountOfV2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	// Both versions at once, as systemd's hybrid layout has it.
	mountsOfV1 = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n" +
		"35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n" +
		"36 31 0:33 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n" +
		"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
)

func TestResources_AreTheTightestOnTheWayUp(t *testing.T) {
	const mib = 1 << 20
	for name, c := range map[string]struct {
		files map[string]string
		want  resources
	}{
		"nothing known": {nil, resources{}},
		"version 2, no limits": {map[string]string{
			"proc/self/cgroup": "0::/user.slice\n", "proc/self/mountinfo": mountOfV2,
			"sys/fs/cgroup/user.slice/cpu.max": "max 100000\n", "sys/fs/cgroup/user.slice/memory.max": "max\n",
		}, resources{}},
		"version 2 in a namespace": {map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mountOfV2,
			"sys/fs/cgroup/cpu.max": "150000 100000\n", "sys/fs/cgroup/memory.max": "536870912\n", "sys/fs/cgroup/memory.high": "max\n",
		}, resources{1.5, 512 * mib}},
		"version 2, a group above is tighter": {map[string]string{
			"proc/self/cgroup": "0::/a/b/c\n", "proc/self/mountinfo": mountOfV2,
			"sys/fs/cgroup/a/cpu.max": "50000 100000\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n", "sys/fs/cgroup/a/b/c/cpu.max": "200000 100000\n",
			"sys/fs/cgroup/a/memory.max": "max\n", "sys/fs/cgroup/a/b/memory.high": "104857600\n", "sys/fs/cgroup/a/b/c/memory.max": "209715200\n",
		}, resources{0.5, 100 * mib}},
		"version 2, outside of its namespace": {map[string]string{
			"proc/self/cgroup": "0::/../other\n", "proc/self/mountinfo": mountOfV2,
			"sys/fs/cgroup/cpu.max": "300000 100000\n", "sys/fs/other/cpu.max": "100 100000\n",
		}, resources{3, 0}},
		"version 1": {map[string]string{
			"proc/self/cgroup": "5:memory:/x\n2:cpu,cpuacct:/x/y:z\n0::/\n", "proc/self/mountinfo": mountsOfV1,
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
			"sys/fs/cgroup/cpu,cpuacct/x/y:z/cpu.cfs_quota_us": "250000\n", "sys/fs/cgroup/cpu,cpuacct/x/y:z/cpu.cfs_period_us": "100000\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "134217728\n",
		}, resources{2.5, 128 * mib}},
		"version 1, no limits": {map[string]string{
			"proc/self/cgroup": "5:memory:/\n2:cpu,cpuacct:/\n", "proc/self/mountinfo": mountsOfV1,
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, resources{}},
		// An engine that mounts the container's group alone, and has no namespace of groups.
		"version 1, bound into a container": {map[string]string{
			"proc/self/cgroup":                           "5:memory:/docker/7f\n",
			"proc/self/mountinfo":                        "35 31 0:32 /docker/7f /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "67108864\n",
		}, resources{0, 64 * mib}},
		"version 1, a group within that": {map[string]string{
			"proc/self/cgroup":                                  "5:memory:/docker/7f/in\n",
			"proc/self/mountinfo":                               "35 31 0:32 /docker/7f /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":        "67108864\n",
			"sys/fs/cgroup/memory/in/memory.limit_in_bytes":     "33554432\n",
			"sys/fs/cgroup/memory/docker/memory.limit_in_bytes": "1048576\n",
		}, resources{0, 32 * mib}},
		"a mount point with a space": {map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": `30 24 0:26 / /my\040groups rw - cgroup2 none rw` + "\n",
			"my groups/cpu.max": "100000 100000\n",
		}, resources{1, 0}},
		"what makes no sense": {map[string]string{
			"proc/self/cgroup": "0\n0::/\n\n", "proc/self/mountinfo": "- - -\nx\n" + mountOfV2,
			"sys/fs/cgroup/cpu.max": "1 0\n", "sys/fs/cgroup/memory.max": "much\n",
		}, resources{}},
	} {
		if got := readResources(machine(t, c.files)); got != c.want {
			t.Errorf("%s: readResources() = %+v, want %+v", name, got, c.want)
		}
	}
}

// bounded are settings made under limits.
func bounded(t *testing.T, r resources, line string) *Settings {
	t.Helper()
	before := processResources
	processResources = func() resources { return r }
	defer func() { processResources = before }()
	return parse(t, line, variables())
}

func TestResources_MakeDefaults(t *testing.T) {
	const mib = 1 << 20
	all := runtime.NumCPU()
	for _, c := range []struct {
		bounds  resources
		line    string
		workers int
		memory  int64
	}{
		{resources{}, "a", 1, 0},
		{resources{0.25, 0}, "a", 1, 0},
		{resources{1.01, 0}, "a", min(2, all), 0},
		{resources{4096, 0}, "a", all, 0},
		{resources{4096, 0}, "--reload a", 1, 0},
		{resources{4096, 200 * mib}, "a", 1, 160 * mib},
		{resources{2, 256 * mib}, "a", min(2, all), int64(204/min(2, all)) * mib},
		{resources{0, 512 * mib}, "a", 1, 409 * mib},
		{resources{2, 512 * mib}, "-w 4 a", 4, 102 * mib},
		{resources{0, 512 * mib}, "-w 32 a", 32, 64 * mib},
		{resources{1, 512 * mib}, "--max-workers 2 a", 1, 204 * mib},
		{resources{1, 512 * mib}, "--min-workers 3 a", 3, 136 * mib},
		{resources{1, 512 * mib}, "--max-worker-memory 0 a", 1, 0},
		{resources{1, 512 * mib}, "--max-worker-memory 7M a", 1, 7 * mib},
	} {
		s := bounded(t, c.bounds, c.line)
		if s.Workers != c.workers || s.MaxWorkerMemory != c.memory {
			t.Errorf("%+v: gowsgi %s: %d workers with %d MiB, want %d with %d", c.bounds, c.line,
				s.Workers, s.MaxWorkerMemory/mib, c.workers, c.memory/mib)
		}
	}
}

func TestResources_AreShownAsTheReason(t *testing.T) {
	for line, want := range map[string][]string{
		"a": {
			"# workers = 1 # cgroup limit: 0.5 processors, 256 MiB",
			`# max-worker-memory = "204M" # cgroup limit: 0.5 processors, 256 MiB`,
		},
		"--min-workers 2 a":            {"# workers = 2 # follows from the others"},
		"-w 3 --max-worker-memory 0 a": {"workers = 3 # --workers", "max-worker-memory = 0 # --max-worker-memory"},
	} {
		var out strings.Builder
		if err := bounded(t, resources{0.5, 256 << 20}, line).print(&out); err != nil {
			t.Fatal(err)
		}
		var shown []string
		for text := range strings.Lines(out.String()) {
			shown = append(shown, strings.Join(strings.Fields(text), " "))
		}
		for _, text := range want {
			if !slices.Contains(shown, text) {
				t.Errorf("%s --print-config = %s\nwant it to have %q", line, out.String(), text)
			}
		}
	}
}
