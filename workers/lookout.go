package workers

import (
	"runtime"
	"sync/atomic"
	"time"
)

// lookout decides whether the goroutine of a connection looks for the answer
// of an idle worker for a moment before it sleeps. Being woken costs more than
// a short application runs, but looking for a slow one only burns the
// processor, so it goes by how the last looks went.
//
// It does not offer its turn to others (runtime.Gosched) meanwhile: each offer
// makes the runtime wake an idle thread, and that costs a hundred times more
// than the look. Goroutines behind it are stolen by other processors.
type lookout struct {
	most int          // looks at a time; 0 where looking cannot help
	luck atomic.Int32 // above 0: look
}

const (
	// lookFor is how long one look out lasts: about what a short application
	// and the way there and back take.
	lookFor = 60 * time.Microsecond
	// luckMost bounds how many failures it takes to lose a good opinion.
	luckMost = 8
	// luckLeast is how many sleeps it takes until looking is tried again.
	luckLeast = -32
)

// newLookout measures how many looks make up lookFor here. On one processor
// there is nothing to look for: the worker could not run meanwhile.
func newLookout() *lookout {
	l := &lookout{}
	if runtime.NumCPU() < 2 {
		return l
	}
	const sample = 2048
	var word atomic.Uint64
	began := time.Now()
	for range sample {
		pause()
		word.Load()
	}
	each := max(time.Since(began)/sample, 1)
	l.most = int(lookFor / each)
	l.luck.Store(luckMost)
	return l
}

// begin returns how often to look now.
func (l *lookout) begin() int {
	if l.luck.Load() > 0 {
		return l.most
	}
	if l.luck.Add(-1) < luckLeast {
		l.luck.Store(1)
	}
	return 0
}

// ended says whether the looks found the answer.
func (l *lookout) ended(found bool) {
	switch luck := l.luck.Load(); {
	case found && luck < luckMost:
		l.luck.Add(1)
	case !found:
		l.luck.Add(-1)
	}
}
