package workers

import (
	"testing"
	"time"
)

func TestBackoff_GrowsFromNothingToItsMost(t *testing.T) {
	const ms = time.Millisecond
	table := []time.Duration{
		0, 0, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 12800 * ms,
		15 * time.Second, 15 * time.Second, 15 * time.Second,
	}
	var b backoff
	for round := range 2 {
		for i, want := range table {
			if got := b.failed(backoffMost); got != want {
				t.Errorf("round %d: failure %d waits %v, want %v", round, i+1, got, want)
			}
		}
		b.succeeded()
	}
}

func TestBackoff_NeverGrowsBeyondItsMost(t *testing.T) {
	b := backoff{failures: 1 << 40}
	if got := b.failed(backoffMost); got != backoffMost {
		t.Errorf("failed() = %v after very many failures, want %v", got, backoffMost)
	}
}

func TestBackoff_StaysBelowItsLimit(t *testing.T) {
	b := backoff{failures: 20}
	if got := b.failed(crashMost); got != crashMost {
		t.Errorf("failed(%v) = %v after many failures, want the limit", crashMost, got)
	}
}
