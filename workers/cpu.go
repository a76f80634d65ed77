package workers

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// cpuMeter tells whether a processor was free since it was asked last.
type cpuMeter struct {
	idle, total uint64 // clock ticks since the machine started
	throttled   uint64 // times this cgroup was held back
}

// leastIdle: below this share of one processor, one more worker would only take
// from the others what it gets.
const leastIdle = 0.2

// free is true where the kernel does not tell, and the first time.
func (m *cpuMeter) free() bool {
	before := *m
	m.throttled = throttledTimes("/sys/fs/cgroup/cpu.stat") + throttledTimes("/sys/fs/cgroup/cpu/cpu.stat") // v2, v1
	processors := m.read("/proc/stat")
	switch {
	case processors == 0 || before.total == 0 || m.total == before.total:
		return true
	case m.throttled > before.throttled:
		return false // the container's share is used up, whatever the machine has
	}
	idle := float64(m.idle-before.idle) / float64(m.total-before.total)
	return idle*float64(processors) >= leastIdle
}

// workMeter tells how much of their time processes have worked since it was
// asked last.
type workMeter struct {
	ticks map[int]uint64 // processor time by process id, in clock ticks
	at    time.Time
}

// ticksPerSecond is what /proc counts processor time in; sysconf(3), _SC_CLK_TCK.
// It is the same on every Linux that Go runs on.
const ticksPerSecond = 100

// share is the part of a processor that the processes have used, on average;
// those that the meter has not seen before do not count, and 1 is what it says
// of none.
func (m *workMeter) share(pids []int, now time.Time) float64 {
	ticks := make(map[int]uint64, len(pids))
	used, known := uint64(0), 0
	for _, pid := range pids {
		n, ok := processorTicks(pid)
		if !ok {
			continue
		}
		ticks[pid] = n
		if before, ok := m.ticks[pid]; ok {
			known++
			used += n - before
		}
	}
	elapsed := now.Sub(m.at).Seconds() * ticksPerSecond
	m.ticks, m.at = ticks, now
	if known == 0 || elapsed <= 0 {
		return 1
	}
	return float64(used) / (elapsed * float64(known))
}

// processorTicks is the user and system time of a process; proc(5),
// /proc/pid/stat, fields 14 and 15. The name before them may hold anything.
func processorTicks(pid int) (uint64, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0, false
	}
	user, err1 := strconv.ParseUint(string(fields[11]), 10, 64)
	system, err2 := strconv.ParseUint(string(fields[12]), 10, 64)
	return user + system, err1 == nil && err2 == nil
}

// read takes the counters of all processors together and returns how many there
// are; proc(5), /proc/stat.
func (m *cpuMeter) read(path string) (processors int) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		switch {
		case len(fields) < 5 || !bytes.HasPrefix(fields[0], []byte("cpu")):
		case len(fields[0]) > len("cpu"):
			processors++
		default:
			m.total, m.idle = 0, 0
			for i, f := range fields[1:min(len(fields), 9)] { // guest time is in user time
				n, _ := strconv.ParseUint(string(f), 10, 64) // 0 if damaged
				m.total += n
				if i == 3 || i == 4 { // idle, iowait
					m.idle += n
				}
			}
		}
	}
	return processors
}

// throttledTimes reads nr_throttled of a cgroup; 0 where there is none.
func throttledTimes(path string) uint64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(text) {
		if value, ok := bytes.CutPrefix(line, []byte("nr_throttled ")); ok {
			n, _ := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 64) // 0 if damaged
			return n
		}
	}
	return 0
}
