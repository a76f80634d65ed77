package main

// What defaults become where control groups limit processors and memory. What was
// said, anywhere, is not touched.

import (
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
)

const (
	// memoryPerWorker is what an application of usual size needs, with room for a
	// request: as many workers as have that are started without being asked for.
	memoryPerWorker = 128 << 20
	// workersPart of the memory is for workers. The rest is for front and zygote, for
	// what a worker takes before it is looked at again, and for the successor that
	// starts while the worker it replaces is still there.
	workersPart = 0.8
	// leastMemoryLimit: below it a plain Django would be replaced for ever.
	leastMemoryLimit = 64 << 20
)

// workers is the default number of them; 0: nothing is said about processors.
func (r resources) workers() int {
	if r.processors == 0 {
		return 0
	}
	most := min(int(math.Ceil(r.processors)), runtime.NumCPU())
	if r.memory > 0 {
		most = min(most, int(r.memory/memoryPerWorker))
	}
	return max(1, most)
}

// workerMemory is the default of --max-worker-memory for so many workers, in whole
// MiB; 0: nothing is said about memory.
func (r resources) workerMemory(workers int) int64 {
	if r.memory == 0 {
		return 0
	}
	return max(leastMemoryLimit, int64(float64(r.memory)*workersPart)/int64(workers)) &^ (1<<20 - 1)
}

// String is for people: "1.5 processors, 512 MiB".
func (r resources) String() string {
	var parts []string
	if r.processors > 0 {
		parts = append(parts, fmt.Sprintf("%.4g processors", r.processors))
	}
	if r.memory > 0 {
		parts = append(parts, fmt.Sprintf("%.4g MiB", float64(r.memory)/(1<<20)))
	}
	return strings.Join(parts, ", ")
}

// limitWorkers makes the default number of workers follow from r.
func (s *Settings) limitWorkers(r resources) {
	if workers := r.workers(); workers > 0 && s.Origins["workers"] == byDefault {
		s.Workers = workers
		s.note("workers", strconv.Itoa(workers), r)
	}
}

// limitMemory makes the default of --max-worker-memory follow from r, once it is
// known how many workers there can be.
func (s *Settings) limitMemory(r resources) {
	if bytes := r.workerMemory(s.MaxWorkers); bytes > 0 && s.Origins["max-worker-memory"] == byDefault {
		s.MaxWorkerMemory = bytes
		s.note("max-worker-memory", fmt.Sprintf("%dM", bytes>>20), r)
	}
}

// A limitedDefault is what --print-config shows of one.
type limitedDefault struct{ text, why string }

func (s *Settings) note(name, text string, r resources) {
	if s.limited == nil {
		s.limited = map[string]limitedDefault{}
	}
	s.limited[name] = limitedDefault{text, "cgroup limit: " + r.String()}
}
