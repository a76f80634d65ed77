package workers

import "time"

// backoff throttles replacing workers that die before they were of any use.
// It must stay obviously right: it is only tested by its table.
type backoff struct{ failures int }

const (
	backoffFirst = 100 * time.Millisecond
	// backoffMost bounds the wait when workers cannot even begin to serve,
	// crashMost when they can: their deaths may have nothing to do with them,
	// and requests are waiting.
	backoffMost = 15 * time.Second
	crashMost   = 100 * time.Millisecond
	// backoffFree failures cost nothing: one crash is not a loop.
	backoffFree = 2
)

// failed counts a failure and returns how long to wait before the next try, at
// most limit.
func (b *backoff) failed(limit time.Duration) time.Duration {
	b.failures++
	if b.failures <= backoffFree {
		return 0
	}
	wait := backoffFirst
	for i := backoffFree + 1; i < b.failures && wait < backoffMost; i++ {
		wait *= 2
	}
	return min(wait, limit)
}

// succeeded forgets the failures.
func (b *backoff) succeeded() { b.failures = 0 }
