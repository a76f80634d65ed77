package wsgi

// Request ids: what a request is called in logs, and in its application.

import (
	"math/rand/v2"
	"sync/atomic"
)

// requestIDs makes ids that no other request of this process has, and in all
// likelihood none of another: a counter that starts anywhere. No clock, no
// system call, no lock.
type requestIDs struct{ last atomic.Uint64 }

// start chooses where to begin.
func (ids *requestIDs) start() { ids.last.Store(rand.Uint64()) }

// requestIDLength is that of an id made here: 64 bits in hexadecimal digits.
const requestIDLength = 16

// next writes an id of lower-case digits into room and returns all of it.
func (ids *requestIDs) next(room *[requestIDLength]byte) []byte {
	const digits = "0123456789abcdef"
	n := ids.last.Add(1)
	for i := len(room) - 1; i >= 0; i-- {
		room[i] = digits[n&0xf]
		n >>= 4
	}
	return room[:]
}
