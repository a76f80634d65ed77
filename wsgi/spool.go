package wsgi

// A spool is what lies between an application and a client that is slower: bytes
// go in at one end by one goroutine and come out at the other by a second one.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// spoolMemory is what a spool keeps in memory, and once more of what is being
// sent: enough for two processes to work side by side, little enough for a
// thousand slow readers.
const spoolMemory = 64 << 10

// block is a piece of memory of a spool.
type block struct {
	bytes [spoolMemory]byte
	used  int
}

var blocks = sync.Pool{New: func() any { return new(block) }}

// spool holds bytes in order: in memory while they fit there, else in a file
// without a name. The file gives its room back whenever it has been read to its
// end.
type spool struct {
	limit int64     // bytes that the file may have; 0: there is no file
	dir   string    // where it is made
	began time.Time // when it was made
	// complain is told, once, why there can be no file. Memory alone has to do then.
	complain func(error)

	filled  chan struct{} // has room for one: there is something to take
	emptied chan struct{} // likewise: there is room

	mu      sync.Mutex
	memory  *block   // not taken yet; nil when empty
	file    *os.File // nil before it is needed
	from    int64    // what of the file was taken
	to      int64    // what of it was written
	writing bool     // somebody writes to it, at to
	given   int64    // what was taken in all
	waits   bool     // the taker found nothing: what it had is sent
	ended   bool     // nothing more comes
	failed  error    // nobody takes any more

	piece *[pieceSize]byte // the taker's, of the file
	taken *block           // the taker's, of the memory
}

func newSpool(limit int64, dir string, complain func(error)) *spool {
	return &spool{
		limit: max(limit-spoolMemory, 0), dir: dir, began: time.Now(), complain: complain,
		filled: make(chan struct{}, 1), emptied: make(chan struct{}, 1),
	}
}

// signal tells whoever waits, or will.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// put adds bytes, waiting for room when there is none. It returns what fail was
// told, when nobody takes them any more.
func (s *spool) put(p []byte) error {
	toFile := false
	for len(p) > 0 {
		n, err := s.add(p, toFile)
		if err != nil {
			return err
		}
		p = p[n:]
		if n > 0 {
			signal(s.filled)
		} else {
			toFile = !s.awaitRoom(toFile)
		}
	}
	return nil
}

// awaitRoom waits for some. It returns false when it is time to use the file
// instead; full says that this has no room either.
func (s *spool) awaitRoom(full bool) bool {
	if full || s.limit == 0 {
		<-s.emptied
		return true
	}
	if wait := s.patience(); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-s.emptied:
			return true
		case <-timer.C:
		}
	}
	if s.file != nil {
		return false
	}
	if err := s.openFile(); err != nil {
		s.complain(err)
		s.limit = 0
		return true
	}
	return false
}

// patience is how long to wait for the taker before the file is used. One that is
// as quick as who puts is better waited for, also when the file is in use.
func (s *spool) patience() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return grace(s.began, s.given)
}

func (s *spool) openFile() error {
	file, err := OpenTemp(s.dir)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.file = file
	s.mu.Unlock()
	return nil
}

// add takes what there is room for in memory, or toFile; 0 when there is none.
func (s *spool) add(p []byte, toFile bool) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return 0, s.failed
	}
	if s.to == 0 { // what is in the file comes before what could be in memory
		if s.memory == nil {
			s.memory = blocks.Get().(*block)
		}
		if n := copy(s.memory.bytes[s.memory.used:], p); n > 0 {
			s.memory.used += n
			return n, nil
		}
	}
	if !toFile || s.to >= s.limit {
		return 0, nil
	}
	return s.addToFileLocked(p[:min(int64(len(p)), s.limit-s.to)])
}

// addToFileLocked writes without the mutex: nobody else moves to meanwhile.
func (s *spool) addToFileLocked(p []byte) (int, error) {
	at := s.to
	s.writing = true
	s.mu.Unlock()
	n, err := s.file.WriteAt(p, at)
	s.mu.Lock()
	s.writing = false
	s.to += int64(n)
	if err != nil {
		s.limit = s.to // as much as there is room for
		s.complain(err)
	}
	signal(s.filled) // who found nothing meanwhile looks again, whatever came of it
	return n, nil
}

// idle says that everything that was put in has been taken, and sent.
func (s *spool) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waits && s.memory == nil && s.to == 0
}

// end says that nothing more comes.
func (s *spool) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	signal(s.filled)
}

// fail says that nobody takes any more, and why.
func (s *spool) fail(err error) {
	s.mu.Lock()
	s.failed = err
	s.mu.Unlock()
	signal(s.emptied)
}

// take waits for the next bytes, which are lent until the next take; io.EOF after
// the last.
func (s *spool) take() ([]byte, error) {
	if s.taken != nil {
		s.taken.used = 0
		blocks.Put(s.taken)
		s.taken = nil
	}
	for {
		p, at, ended := s.look()
		switch {
		case len(p) > 0 && at >= 0:
			return s.read(p, at)
		case len(p) > 0:
			signal(s.emptied)
			return p, nil
		case ended:
			return nil, io.EOF
		}
		<-s.filled
	}
}

// look finds the next bytes: p itself, or where in the file to read it from. What
// was taken of the file before has been sent.
func (s *spool) look() (p []byte, at int64, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits = false
	switch {
	case s.memory != nil:
		s.taken, s.memory = s.memory, nil
		s.given += int64(s.taken.used)
		return s.taken.bytes[:s.taken.used], -1, false
	case s.from < s.to:
		if s.piece == nil {
			s.piece = pieces.Get().(*[pieceSize]byte)
		}
		return s.piece[:min(int64(pieceSize), s.to-s.from)], s.from, false
	case s.to > 0 && !s.writing:
		s.from, s.to = 0, 0
		_ = s.file.Truncate(0) // if not, the room is free with the file
		signal(s.emptied)
	}
	s.waits = true
	return nil, -1, s.ended
}

func (s *spool) read(p []byte, at int64) ([]byte, error) {
	if _, err := s.file.ReadAt(p, at); err != nil {
		return nil, fmt.Errorf("wsgi: read a buffered answer: %w", err)
	}
	s.mu.Lock()
	s.from += int64(len(p))
	s.given += int64(len(p))
	s.mu.Unlock()
	return p, nil
}

// close gives everything back. Both goroutines are through with it.
func (s *spool) close() error {
	for _, b := range []*block{s.memory, s.taken} {
		if b != nil {
			b.used = 0
			blocks.Put(b)
		}
	}
	if s.piece != nil {
		pieces.Put(s.piece)
	}
	s.memory, s.taken, s.piece = nil, nil, nil
	if s.file == nil {
		return nil
	}
	if err := s.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("wsgi: close a buffered answer: %w", err)
	}
	return nil
}
