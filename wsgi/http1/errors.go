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
	// ErrClosed is returned by Serve after Shutdown or Close.
	ErrClosed = errors.New("http1: server closed")
)

// Errors of Exchange.ReadBody. After any of them the connection is closed once the answer is out.
var (
	// ErrBodyTimeout: no body byte came within Timeouts.Body. The fitting answer is 408.
	ErrBodyTimeout = errors.New("request body: no byte came within the body timeout")
	// ErrBodyTooLarge: the chunks add up to more than Limits.Body. The fitting answer is 413.
	ErrBodyTooLarge = errors.New("request body: chunks add up to more than the limit")
	// ErrBadBody: the body's chunks break RFC 9112 §7.1. The fitting answer is 400.
	ErrBadBody = errors.New("request body: malformed chunked coding")
	// ErrClientGone: the connection ended or broke in the middle of the body.
	ErrClientGone = errors.New("the client went away")
	// ErrInterrupted: InterruptBody was called.
	ErrInterrupted = errors.New("request body: reading was interrupted")
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
