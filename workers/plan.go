package workers

import (
	"math/rand/v2"
	"time"

	"gowsgi/embed/channel"
)

// Plan says what a generation of workers is made of and how it is kept.
type Plan struct {
	Zygote Command
	// Sizes of a worker's shared memory. A reload may change Threads and Slots
	// only: calls that wait were measured by the rest.
	Sizes channel.Sizes
	// Preload says that the zygote has the application: one more worker costs a
	// fork, and no import.
	Preload bool

	// Workers is how many processes there are at first; the load moves it
	// between MinWorkers and MaxWorkers. All three the same: it stays.
	Workers, MinWorkers, MaxWorkers int
	// WorkerIdleTimeout: a worker more than was needed for so long goes.
	WorkerIdleTimeout time.Duration

	StartupTimeout  time.Duration // from fork, or start of the zygote, to ready; 0: none
	GracefulTimeout time.Duration // for the last requests of a worker that is to leave

	// MaxRequests is how many requests a worker begins before it is replaced,
	// and up to Jitter more, by chance; 0: no limit. MaxLifetime likewise.
	MaxRequests       int
	MaxRequestsJitter int
	MaxLifetime       time.Duration
	MaxLifetimeJitter time.Duration
	// MemorySoft bytes make a worker be replaced, MemoryHard killed; 0: no limit.
	MemorySoft, MemoryHard int64
}

// resizable says that the number of workers follows the load.
func (p *Plan) resizable() bool { return p.MinWorkers != p.MaxWorkers }

// clamp brings a number of workers between the limits.
func (p *Plan) clamp(n int) int { return min(max(n, p.MinWorkers), p.MaxWorkers) }

// requests draws how many requests a worker may begin; 0: any number.
func (p *Plan) requests() int {
	if p.MaxRequests == 0 {
		return 0
	}
	return p.MaxRequests + rand.IntN(p.MaxRequestsJitter+1)
}

// lifetime draws how long a worker may live; 0: for ever.
func (p *Plan) lifetime() time.Duration {
	if p.MaxLifetime == 0 {
		return 0
	}
	return p.MaxLifetime + time.Duration(rand.Int64N(int64(p.MaxLifetimeJitter)+1))
}
