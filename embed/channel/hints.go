package channel

// Early hints: informational heads that the worker puts into the reply ring
// before the real one.

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"
)

// hintPrefix is the length of a hint, before it.
const hintPrefix = 4

// Hint returns the next early hint, packed like the headers of a head, and how
// many bytes of the ring it takes, for Consumed. There is none while size is 0.
// Hints come before the head: look for them first.
//
// The bytes are a copy.
func (s *Slot) Hint() (fields HeadReader, size int, err error) {
	ready := int64(atomic.LoadUint64(&s.header.hinted) - s.header.replyConsumed)
	switch {
	case ready <= 0:
		return HeadReader{}, 0, nil // it may be behind us: the head has been read
	case ready > int64(len(s.reply)) || ready < hintPrefix:
		return HeadReader{}, 0, ErrDamaged
	}
	n := int64(binary.NativeEndian.Uint32(s.look(hintPrefix))) + hintPrefix
	if n > ready {
		return HeadReader{}, 0, ErrDamaged
	}
	return HeadReader{bytes.Clone(s.look(uint64(n))[hintPrefix:])}, int(n), nil
}

// look returns n published bytes that are not consumed; a copy where the ring
// has its end among them. The caller has checked that there are so many.
func (s *Slot) look(n uint64) []byte {
	size := uint64(len(s.reply))
	at := s.header.replyConsumed & (size - 1)
	if at+n <= size {
		return s.reply[at : at+n : at+n]
	}
	return append(append(make([]byte, 0, n), s.reply[at:]...), s.reply[:at+n-size]...)
}

// published is how much of the reply ring has been written: hints, then head and
// body.
func (s *Slot) published() uint64 {
	if written := atomic.LoadUint64(&s.header.replyWritten); written != 0 {
		return written
	}
	return atomic.LoadUint64(&s.header.hinted)
}
