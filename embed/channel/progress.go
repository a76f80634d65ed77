package channel

// The exchange from the perspective of who times it.

import "sync/atomic"

// Progress returns a number that changes whenever the application takes a
// piece of the request body or gives a piece of its answer.
func (s *Slot) Progress() uint64 {
	return atomic.LoadUint64(&s.header.bodyConsumed) + s.published()
}

// WaitsForClient reports whether the application sleeps until the client has
// sent more of the request body, or taken more of the answer, or all of it.
//
// That a thread sleeps is not enough: it may have been woken and be waiting
// for the GIL, which is the application's affair.
func (s *Slot) WaitsForClient() bool {
	if s.Answered() {
		return atomic.LoadUint32(&s.header.sent) == 0
	}
	if atomic.LoadUint32(&s.header.threadSleeps) == 0 {
		return false
	}
	unread := atomic.LoadUint64(&s.header.bodyWritten) - atomic.LoadUint64(&s.header.bodyConsumed)
	if unread == 0 && atomic.LoadUint32(&s.header.bodyState) == bodyMore {
		return true
	}
	unsent := s.published() - atomic.LoadUint64(&s.header.replyConsumed)
	return unsent > uint64(len(s.reply)/2) // below that Consumed wakes it
}
