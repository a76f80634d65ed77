// This file keeps the bodies of requests to a least rate, in every version of HTTP.

package http1

import "time"

// Pace is what a client has in hand against Timeouts.MinRate: time that may be spent waiting for it. It is
// given some to begin with and earns more with each byte, up to the longest silence that is allowed anyway
// or, without such a limit, to what it began with: a large piece sent fast does not buy hours of single bytes.
type Pace struct{ inHand time.Duration }

// Begin grants what a body begins with.
func (p *Pace) Begin(t *Timeouts) { p.inHand = t.RateGrace }

// Patience is how long the next bytes of a body are waited for, 0 for ever, and whether that is so for the
// sake of the rate.
func (p *Pace) Patience(t *Timeouts) (d time.Duration, paced bool) {
	if t.MinRate <= 0 || t.Body > 0 && t.Body <= p.inHand {
		return t.Body, false
	}
	return max(p.inHand, 1), true
}

// Note settles for n bytes that were waited for since then.
func (p *Pace) Note(n int, since time.Time, t *Timeouts) {
	if t.MinRate > 0 {
		p.inHand = min(p.inHand-time.Since(since)+timeFor(n, t.MinRate), max(t.RateGrace, t.Body))
	}
}
