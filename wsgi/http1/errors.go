// This file names what can go wrong between a client and a handler.

package http1

import "errors"

// ParseError says why a request is refused before any handler sees it.
type ParseError struct {
	Status int    // status code of the answer, such as 400
	Why    string // one line for the client and the log, without what the client sent
}

func (e *ParseError) Error() string { return "refuse request: " + e.Why }

// refuse makes a ParseError.
func refuse(status int, why string) error { return &ParseError{Status: status, Why: why} }

// Errors of Server.Serve.
var (
	// ErrClosed is returned by Serve after Shutdown, Drain or Close.
	ErrClosed = errors.New("http1: server closed")
)

// BodyError is an error of Exchange.ReadBody other than io.EOF. After it the connection is closed once the
// answer is out.
type BodyError struct {
	status int
	why    string
}

func (e *BodyError) Error() string { return e.why }

// Status gives the status code of the fitting answer.
func (e *BodyError) Status() int { return e.status }

// Errors of Exchange.ReadBody, each a *BodyError.
var (
	// ErrBodyTimeout: no body byte came within Timeouts.Body.
	ErrBodyTimeout error = &BodyError{408, "request body: no byte came within the body timeout"}
	// ErrBodyTooSlow: the body came slower than Timeouts.MinRate.
	ErrBodyTooSlow error = &BodyError{408, "request body: came slower than the least rate"}
	// ErrBodyTooLarge: the chunks add up to more than Limits.Body.
	ErrBodyTooLarge error = &BodyError{413, "request body: chunks add up to more than the limit"}
	// ErrBadBody: the body's chunks break RFC 9112 §7.1.
	ErrBadBody error = &BodyError{400, "request body: malformed chunked coding"}
	// ErrClientGone: the connection ended or broke. Methods of the answer return it too.
	ErrClientGone error = &BodyError{400, "the client went away"}
	// ErrInterrupted: InterruptBody was called. This one may be followed by another exchange on the
	// connection, when little of the body is left.
	ErrInterrupted error = &BodyError{500, "request body: reading was interrupted"}
)

// Errors of the answer's methods.
var (
	// ErrSendTimeout: the client took no byte within Timeouts.Send. The exchange was aborted, as it was
	// when a method of the answer returns ErrClientGone.
	ErrSendTimeout = errors.New("answer: the client took no byte within the send timeout")
	// ErrHeadWritten: WriteHead or Refuse after the final head was written.
	ErrHeadWritten = errors.New("answer: the head was written before")
	// ErrNoHead: Write, Flush or Finish before a final head.
	ErrNoHead = errors.New("answer: no head was written")
	// ErrBadHead: status, reason, a name or a value that must not go on the wire; nothing was written.
	ErrBadHead = errors.New("answer: malformed head")
	// ErrTooMuch: Write was given more than the announced length. The surplus was dropped, the answer
	// is complete.
	ErrTooMuch = errors.New("answer: body is longer than announced")
	// ErrTooLittle: Finish before the announced length was written. The connection was aborted.
	ErrTooLittle = errors.New("answer: body is shorter than announced")
	// ErrEnded: the exchange was finished or aborted before.
	ErrEnded = errors.New("answer: the exchange has ended")
)
