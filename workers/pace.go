package workers

import "time"

// How many calls are laid out in a worker ahead of its threads.
//
// With too few, a worker runs out of them before the front has its turn on a
// processor: it sleeps, and has to be woken. With too many, calls wait behind a
// slow one of their own worker longer than they would in the queue. So a worker
// gets what it does while the front may be waiting for its turn, which is more
// for a quick application and little for a slow one.

// MostAhead is how many calls are laid out in a worker beyond its threads at
// most; a segment needs as many slots more.
const MostAhead = 15

const (
	leastAhead = 3
	usualAhead = 7 // before the pace is known
	// paceCalls are counted before the pace is looked at again, or those of a
	// paceSpan: what one costs in the clock's noise is then forgotten. An application
	// that has become slow takes long for so many calls, and all the while as many
	// would be laid out behind each slow one as when it was quick.
	paceCalls = 64
	paceSpan  = 100 * time.Millisecond
	// frontWait is how long the front may have to wait for a processor that
	// other processes use: about a turn of the kernel's scheduler.
	frontWait = 2 * time.Millisecond
)

// pace tells how quickly calls are begun, and with that how many are to be laid
// out ahead. Its zero value knows nothing yet.
type pace struct {
	since time.Time
	calls int
	ahead int
}

// count takes note of a call that begins now with so many workers. It says
// whether the number to be laid out ahead has changed.
func (p *pace) count(now time.Time, workers int) bool {
	p.calls++
	took := now.Sub(p.since)
	if p.calls < paceCalls && took < paceSpan {
		return false
	}
	known := !p.since.IsZero() && workers > 0
	before := p.laidAhead()
	if known {
		each := int64(p.calls) * int64(frontWait) / (max(int64(took), 1) * int64(workers))
		p.ahead = int(min(max(each, leastAhead), MostAhead))
	}
	p.since, p.calls = now, 0
	return p.laidAhead() != before
}

// laidAhead is how many calls a worker gets beyond its threads.
func (p *pace) laidAhead() int {
	if p.ahead == 0 {
		return usualAhead
	}
	return p.ahead
}
