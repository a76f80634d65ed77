// This file keeps limits and timers, which may change while connections are served.

package http1

import "time"

// rules is what Adjust can change. A connection looks them up for each request anew.
type rules struct {
	Limits
	Timeouts
	Admission
}

// Adjust changes limits, timers and the number of connections. Requests that have begun to arrive keep the
// limits and timers they began with; connections that are open stay open.
func (s *Server) Adjust(l Limits, t Timeouts, a Admission) {
	l.setDefaults()
	s.rules.Store(&rules{l, t, a})
}

// leftForHead is how long the rest of a head may take to arrive, 0 for ever, when that much of it came within
// a time; !ok says that the time is over.
func (r *rules) leftForHead(since time.Duration, came int) (left time.Duration, ok bool) {
	if r.Header > 0 {
		if left = r.Header - since; left <= 0 {
			return 0, false
		}
	}
	if r.MinRate > 0 {
		byRate := r.RateGrace + timeFor(came, r.MinRate) - since
		if byRate <= 0 {
			return 0, false
		}
		if left == 0 || byRate < left {
			left = byRate
		}
	}
	return left, true
}

// timeFor is how long n bytes take at a rate in bytes per second.
func timeFor(n, rate int) time.Duration { return time.Duration(n) * time.Second / time.Duration(rate) }
