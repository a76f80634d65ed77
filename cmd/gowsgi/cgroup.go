package main

// What control groups leave to this process, as container engines and systemd set
// it: cgroups(7), and the kernel's documentation of both versions. What a machine
// has is not what a container may use, and a default made for the machine gets a
// container killed.

import (
	"bufio"
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// resources are bounds on what a process and its children may use together.
type resources struct {
	processors float64 // time of so many; 0: unlimited
	memory     int64   // bytes; 0: unlimited
}

// processResources are those of this process, now: an orchestrator may change them.
var processResources = func() resources { return readResources("/") }

// hierarchies are where the kernel may keep the two limits.
var hierarchies = []struct {
	kind       string // of file system
	controller string // among the mount's options; empty: it has all of them
	read       func(folder string) resources
}{
	{"cgroup2", "", readUnified},
	{"cgroup", "cpu", readLegacyCPU},
	{"cgroup", "memory", readLegacyMemory},
}

// readResources finds the tightest limits on the way from this process's own groups
// to the topmost it can see. root is where /proc and /sys are; what cannot be read
// limits nothing.
func readResources(root string) resources {
	groups := groupsOfProcess(filepath.Join(root, "proc/self/cgroup"))
	mounts := groupMounts(filepath.Join(root, "proc/self/mountinfo"))
	var tightest resources
	for _, h := range hierarchies {
		group, in := groups[h.controller]
		if !in {
			continue
		}
		for _, m := range mounts {
			if m.kind != h.kind || h.controller != "" && !slices.Contains(m.options, h.controller) {
				continue
			}
			for _, folder := range m.folders(group) {
				tightest.tighten(h.read(filepath.Join(root, folder)))
			}
		}
	}
	if tightest.memory >= machineMemory() {
		tightest.memory = 0 // version 1 has a very large number for "none"
	}
	return tightest
}

func (r *resources) tighten(other resources) {
	if other.processors > 0 && (r.processors == 0 || other.processors < r.processors) {
		r.processors = other.processors
	}
	if other.memory > 0 && (r.memory == 0 || other.memory < r.memory) {
		r.memory = other.memory
	}
}

// groupsOfProcess gives the path of this process's group for each controller of
// version 1, and for "" that of version 2. Lines are ID:CONTROLLERS:PATH.
func groupsOfProcess(file string) map[string]string {
	groups := map[string]string{}
	text, err := os.ReadFile(file)
	if err != nil {
		return groups
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			groups[controller] = parts[2]
		}
	}
	return groups
}

// A groupMount is a line of /proc/self/mountinfo about a hierarchy of groups.
type groupMount struct {
	kind    string
	root    string // the group that is seen at point
	point   string
	options []string // of the file system: among them the controllers
}

// groupMounts reads proc_pid_mountinfo(5): after a lone dash come the kind, the
// source and the options of the file system.
func groupMounts(file string) (mounts []groupMount) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		front, back, dashed := strings.Cut(lines.Text(), " - ")
		of, about := strings.Fields(front), strings.Fields(back)
		if !dashed || len(of) < 5 || len(about) < 3 || !strings.HasPrefix(about[0], "cgroup") {
			continue
		}
		mounts = append(mounts, groupMount{about[0], unescapeMount(of[3]), unescapeMount(of[4]), strings.Split(about[2], ",")})
	}
	return mounts
}

// unescapeMount undoes what the kernel does to spaces and the like: \040.
func unescapeMount(text string) string {
	return mountEscapes.Replace(text)
}

var mountEscapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// folders are those of a group and of all above it that the mount shows, the group's
// own first. In a container the group's path can be one of the host's, which the
// mount begins with or which is not to be seen: then what is mounted is the group.
func (m groupMount) folders(group string) []string {
	below := "/"
	if rest, ok := strings.CutPrefix(group, strings.TrimSuffix(m.root, "/")); ok && (rest == "" || rest[0] == '/') {
		below = filepath.Clean("/" + rest)
	}
	if strings.HasPrefix(group, "/..") {
		below = "/"
	}
	folders := []string{filepath.Join(m.point, below)}
	for below != "/" {
		below = filepath.Dir(below)
		folders = append(folders, filepath.Join(m.point, below))
	}
	return folders
}

// readUnified reads a group of version 2. Above memory.high the group is slowed
// down, which is as little wanted as to be killed at memory.max.
func readUnified(folder string) (r resources) {
	if quota, period, two := strings.Cut(word(folder, "cpu.max"), " "); two {
		r.processors = quotient(quota, period)
	}
	for _, name := range []string{"memory.max", "memory.high"} {
		r.tighten(resources{memory: positive(word(folder, name))})
	}
	return r
}

func readLegacyCPU(folder string) resources {
	return resources{processors: quotient(word(folder, "cpu.cfs_quota_us"), word(folder, "cpu.cfs_period_us"))}
}

func readLegacyMemory(folder string) resources {
	return resources{memory: positive(word(folder, "memory.limit_in_bytes"))}
}

// word is what a file of one line holds; nothing where it cannot be read.
func word(folder, name string) string {
	text, _ := os.ReadFile(filepath.Join(folder, name)) // a group at the top has none
	return strings.TrimSpace(string(text))
}

// positive is a number above 0, or 0 for what is none: "max", "-1".
func positive(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func quotient(quota, period string) float64 {
	if positive(period) == 0 {
		return 0
	}
	return float64(positive(quota)) / float64(positive(period))
}

func machineMemory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return math.MaxInt64
	}
	return int64(info.Totalram) * int64(info.Unit)
}
