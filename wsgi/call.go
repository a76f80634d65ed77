package wsgi

import (
	"errors"
	"fmt"
	"os"
	"time"

	"gowsgi/environ"
)

// Backend runs applications; package workers is the real one, tests have a
// fake.
type Backend interface {
	// NewCall returns a Call for one connection to use again and again.
	NewCall() Call
}

// Request is what a Call begins with.
type Request struct {
	Environ    []byte // packed by package environ; lent until the Call ends
	Body       []byte // the part of the body that is here; lent likewise
	BodyMore   bool   // the rest follows through Room and Filled
	BodyLength int64  // the body's whole length, -1 when not known
	// File, if not nil, holds the whole body instead. Begin takes it over, whatever
	// it returns: it is closed when the application has come to its end.
	File *os.File
	// EarlyHints, if not nil, is called by Head for each informational head that
	// the application gives before its answer. The fields are lent for the call.
	EarlyHints func(fields []environ.Header)
}

// BodyFile is a stretch of a regular file that is the body of an answer: the rest of
// it, as it was when the application gave it away.
type BodyFile struct {
	File           *os.File // its position does not matter
	Offset, Length int64
}

// Call is one run of the application at a time.
//
// The order is Begin, Head, Body until io.EOF or an error, End. Room, Wanted,
// Filled and EndBody may be used from a second goroutine in between. After an
// error, or once Abort was called, only End may follow; after End or Detach,
// Begin.
type Call interface {
	// Begin puts the request into the queue and does not wait. It returns
	// ErrStopped when the pool no longer takes requests, ErrQueueFull when too
	// many wait already, ErrTooLarge when the environ does not fit the worker's
	// memory.
	Begin(Request) error

	// Head waits until the application has begun its answer and returns the
	// status ("200 OK"), the headers, appended to fields, and the body's length
	// where the PEP lets the gateway declare it for the application (one
	// item), else -1. The bytes are lent until End. The error is
	// ErrQueuedTooLong, a *LostError, a *TimeoutError, an *ApplicationError, or
	// one that says what is wrong with the worker's memory.
	Head(fields []environ.Header) (status []byte, _ []environ.Header, length int64, err error)

	// File returns the file that is the body instead of what Body gives, or nil. It
	// is to be asked once after Head, and whoever asks closes the file.
	File() *BodyFile

	// Lingers says, behind the last of Body, that the application has functions to
	// run once the client has the answer. Its thread waits until End or Detach.
	Lingers() bool

	// Body waits for and returns the next bytes of the answer's body, lent
	// until Consumed; io.EOF after the last, an error when the application or
	// its worker failed. It may return the same bytes again until they are
	// consumed.
	Body() ([]byte, error)

	// Consumed gives the first n bytes that Body returned back.
	Consumed(n int)

	// Settled says that the rest of the answer is here and nobody waits for it but
	// the caller: the worker serves others.
	Settled() bool

	// BodyLimit is how many body bytes Begin takes at most.
	BodyLimit() int

	// Room waits for and returns memory to put request body bytes into. It
	// returns io.EOF once the application no longer reads.
	Room() ([]byte, error)

	// Wanted waits until the application waits for body bytes. It returns
	// io.EOF when it never will.
	Wanted() error

	// Filled says that n bytes of what Room returned are body bytes now.
	Filled(n int)

	// EndBody says that the request body is complete, or broken off.
	EndBody(complete bool)

	// Abort tells the application to stop: iteration ends, close() is called.
	// It does not wait for that.
	Abort()

	// End ends the call, aborting it if it still runs. It returns what close()
	// complained about, empty if nothing, and whether Begin may follow; if not,
	// the application is still busy stopping and a NewCall is needed.
	End() (traceback string, again bool)

	// Detach is End for an answer the client has in full: the application is
	// left to come to its end by itself, close() included, and nobody waits for
	// that. What it complains about then, the backend reports.
	Detach() (traceback string, again bool)
}

// Errors of a Call that the gateway answers in its own way.
var (
	// ErrStopped is returned by Begin when the server is stopping.
	ErrStopped = errors.New("wsgi: the server is stopping")
	// ErrTooLarge is returned by Begin when the request's head is too large.
	ErrTooLarge = errors.New("wsgi: the request's environ is too large")
	// ErrQueueFull is returned by Begin when as many requests wait as may.
	ErrQueueFull = errors.New("wsgi: too many requests wait already")
	// ErrQueuedTooLong is returned by Head when no thread has begun the request
	// in the time that is allowed for that.
	ErrQueuedTooLong = errors.New("wsgi: the request has waited too long for a worker")
)

// ApplicationError is returned by Head and Body when the application raised,
// gave something that is not WSGI, or never called start_response.
type ApplicationError struct {
	Traceback string // as Python prints it
}

func (e *ApplicationError) Error() string { return "wsgi: the application failed" }

// LostError is returned by Head and Body when the worker ended while it ran
// the request.
type LostError struct {
	Worker uint32
	Reason string // "killed by SIGSEGV"
	// Overdue: the server ended it, because its requests did not end.
	Overdue bool
}

func (e *LostError) Error() string {
	return fmt.Sprintf("wsgi: worker %d ended while it ran the request: %s", e.Worker, e.Reason)
}

// TimeoutError is returned by Head and Body when the application has worked
// longer than it may without giving anything.
type TimeoutError struct {
	Worker  uint32
	Elapsed time.Duration // since a thread has begun the request
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("wsgi: worker %d has worked on the request for %s", e.Worker, e.Elapsed)
}
