// This file tells clients that make work without asking for anything. Each frame they send is allowed, in
// small numbers; the attacks of the last years send them without end.

package http2

import "sync/atomic"

const (
	// idleFramesLimit is how many frames may come that move nothing: SETTINGS, PING, PRIORITY, empty
	// DATA, WINDOW_UPDATE and what is unknown. A request, a byte of a body and a byte of an answer that
	// leaves each start the count anew.
	idleFramesLimit = 2000
	// resetsFloor is how many streams may end by RST_STREAM, from either side, before as many were
	// served: a page whose images are scrolled away, a search that is typed.
	resetsFloor = 200
)

// patience counts what a client has wasted.
type patience struct {
	idle   atomic.Int32 // frames since something was moved
	resets atomic.Int32 // streams reset, less those served
}

// moved notes that a frame was worth its while. It is called often: it writes only when there is something to.
func (p *patience) moved() {
	if p.idle.Load() != 0 {
		p.idle.Store(0)
	}
}

// wasted notes a frame that moved nothing, and tells whether that is enough now.
func (p *patience) wasted() bool { return p.idle.Add(1) > idleFramesLimit }

// served notes a stream that got its answer.
func (p *patience) served() {
	if p.resets.Load() > 0 {
		p.resets.Add(-1)
	}
}

// reset notes a stream that was reset before its end: by a client that goes on at once with the next
// (CVE-2023-44487), or by us, because the client broke its rules to make us do it (CVE-2025-8671). It tells
// whether that is enough now.
func (p *patience) reset() bool { return p.resets.Add(1) > resetsFloor }
