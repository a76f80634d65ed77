package main

// What the application writes itself: a version.py, a compiled template, each time
// it is loaded. Followed like what a person saves, it would be loaded for ever, and
// requests would wait.

import (
	"slices"
	"time"

	"gowsgi/workers/changes"
)

// devWrites remembers what changed last. It is guarded by the devServer's mu.
type devWrites struct {
	sums  map[string]uint64 // of the files that changed last, as they were then
	when  time.Time         // that was
	loads int               // in a row that came with a change of the same files
}

const (
	// A file that is written for the second time within this, and is no other than
	// before, was not saved by a person. Touching a file now and then loads it anew.
	writtenAgain = 2 * time.Second
	// The load of a person's save is number 1: so many times in a row nobody saves
	// the same file just while it is loaded.
	mostLoads = 5
	// More files at once are a branch switch, and are not read.
	mostRead = 256
)

// changed takes what has changed at a time, while the application was being loaded
// or not. own says that it was the application that wrote it, so that nothing is to
// be loaded; tired, that only the number of times tells.
func (w *devWrites) changed(paths []string, loading bool, now time.Time) (own, tired bool) {
	sums := make(map[string]uint64, len(paths))
	for _, path := range paths[:min(len(paths), mostRead)] {
		sums[path] = changes.Sum(path)
	}
	named, equal := len(paths) <= mostRead && len(sums) == len(w.sums), true
	for path, sum := range sums {
		before, was := w.sums[path]
		named = named && was
		equal = equal && before == sum && sum != 0
	}
	soon := now.Sub(w.when) < writtenAgain
	if !loading || !named {
		w.loads = 0
	}
	if loading {
		w.loads++
	}
	w.sums, w.when = sums, now
	tired = w.loads >= mostLoads
	return tired || named && equal && (w.loads > 1 || !loading && soon), tired
}

// names are the files, for the log.
func (w *devWrites) names() []string {
	var names []string
	for path := range w.sums {
		names = append(names, path)
	}
	slices.Sort(names)
	return names
}
