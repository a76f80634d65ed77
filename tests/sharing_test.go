package tests

// Memory that workers of a preloaded application share with their zygote.

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// What a worker allocates does not go into the holes that loading the
// application left: each would cost it a copy of the page around it.
func TestSharing_WhatAWorkerAllocatesLiesTogether(t *testing.T) {
	// the list that holds them, and what a first request writes to anyway
	const besides = 2 << 20
	for path, blocks := range map[string]int{"/small": 12_000, "/large": 2_000} { // fewer than there are holes
		t.Run(path[1:], func(t *testing.T) {
			s := Start(t, "misbehave.holes", "--preload")
			worker := s.Workers()[0].PID
			before := privateOf(t, worker)
			target := fmt.Sprintf("%s?blocks=%d", path, blocks)
			r := s.Ask(target)
			used, err := strconv.Atoi(strings.TrimSpace(r.Body))
			if r.Status != 200 || err != nil {
				t.Fatalf("GET %s = %s %q, want 200 and a number", target, r.Line(), r.Body)
			}
			written := privateOf(t, worker) - before
			t.Logf("%d bytes used, %d written to", used, written)
			if most := used + besides; written > most {
				t.Errorf("GET %s: %d bytes in %d blocks made %d bytes the worker's own, want at most %d",
					target, used, blocks, written, most)
			}
		})
	}
}

var privateDirty = regexp.MustCompile(`Private_Dirty: +(\d+) kB`)

// privateOf is the memory in bytes that a process has written to and shares
// with nobody.
func privateOf(t *testing.T, pid int) int {
	t.Helper()
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	found := privateDirty.FindSubmatch(rollup)
	if err != nil || found == nil {
		t.Fatalf("smaps_rollup of %d has no Private_Dirty: %v", pid, err)
	}
	kib, _ := strconv.Atoi(string(found[1]))
	return kib << 10
}
