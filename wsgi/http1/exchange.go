// This file describes an exchange, one request and its answer, and ends it for the connection.

package http1

import (
	"sync"

	"gowsgi/environ"
)

// Exchange is one request and its answer. A connection has one and uses it again for each request, so
// nothing of it may be kept beyond ServeExchange.
//
// The methods that read the body may run in one goroutine while those that write the answer run in
// another; InterruptBody may be called from any.
type Exchange struct {
	// Request is what the client asked. Its slices point into the connection's buffer.
	Request environ.Request

	c    *conn
	body body
	answer

	keep      bool // the connection may serve another request
	http10    bool
	lastAsked bool // the client said this is its last request
	headEnd   int  // where in the buffer the head ends and body bytes may be put

	continueMu sync.Mutex // orders "100 Continue" before the final head
	expects    bool       // the client waits for "100 Continue" and has not got it
}

// begin prepares for the request whose head was just parsed.
func (x *Exchange) begin(f framing) {
	x.c.ends.tell(&x.Request)
	x.http10 = f&isHTTP10 != 0
	x.lastAsked = f&wantsClose != 0 || f&(isHTTP10|wantsKeepAlive) == isHTTP10
	x.c.served++
	most := x.c.rules.Requests
	x.keep = !x.lastAsked && x.c.rules.KeepAlive > 0 && (most == 0 || x.c.served < most)
	x.headEnd = x.c.r
	x.body.begin(&x.Request)
	x.body.pace.Begin(&x.c.rules.Timeouts)
	// An HTTP/1.0 client does not know 100 Continue, and with nothing to come it waits for nothing.
	x.expects = f&(wantsContinue|isHTTP10) == wantsContinue && !x.bodyHere()
	x.answer = answer{}
}

// ExpectsContinue tells whether the client waits for "100 Continue" before it sends its body. The first
// ReadBody sends that; a handler that refuses the request instead need not read anything.
func (x *Exchange) ExpectsContinue() bool {
	x.continueMu.Lock()
	defer x.continueMu.Unlock()
	return x.expects
}

// settle brings the connection to the end of the request, and tells whether it can serve another.
func (x *Exchange) settle() bool {
	if !x.ended {
		x.Abort()
	}
	if x.body.interrupted.Load() {
		x.c.readBy = longAgo // what InterruptBody has set without saying so
	}
	switch {
	case x.aborted:
		return false
	case x.keep && (x.body.ended || x.drain()):
		return true
	case x.body.ended && x.lastAsked && x.c.r == x.c.w:
		return false // nothing unread is or will be there: closing resets nothing
	}
	x.c.linger()
	return false
}
