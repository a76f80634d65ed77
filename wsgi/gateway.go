package wsgi

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"gowsgi/cmd/failure"
	"gowsgi/environ"
	"gowsgi/wsgi/files"
)

// Exchange is one HTTP request and its answer, as a protocol engine offers it.
// ReadBody and InterruptBody may be used from another goroutine than the rest. An
// Exchange that can tell a slow client also has Offer, see offerer.
type Exchange interface {
	// ExpectsContinue says that the client holds the body back until the first
	// ReadBody that has to wait.
	ExpectsContinue() bool
	// Buffered returns body bytes that are here already, without reading them.
	Buffered() []byte
	// ReadBody reads decoded body bytes; io.EOF at the end. Other errors may
	// have a method Status() int: the HTTP status that fits them.
	ReadBody(p []byte) (int, error)
	// InterruptBody makes a ReadBody that waits return.
	InterruptBody()
	// WriteHead sets status and fields; length is the body's, -1 if unknown.
	WriteHead(status int, reason []byte, fields []environ.Header, length int64) error
	Write(p []byte) (int, error)
	Flush() error
	// Finish completes the answer; Abort makes the client see a broken one;
	// Refuse gives a complete small one of the engine's own instead.
	Finish() error
	Abort()
	Refuse(status int, why string, fields ...environ.Header) error
	// Status and Written are what was answered so far: the final status, 0
	// before it, and body bytes.
	Status() int
	Written() int64
}

// Options of a Gateway.
type Options struct {
	Backend Backend
	Log     *slog.Logger
	// RetryLost: a request that was lost with its worker is given to another
	// one, once, if it is GET or HEAD, its body is in memory, and nothing of
	// an answer has come. Not one that its worker had to be ended for: it would
	// take as long again. Methods that are idempotent but change something
	// (RFC 9110 §9.2.2: PUT, DELETE) are not: nobody knows how far they got.
	RetryLost bool
	// Static, if not nil, answers the requests it covers without the backend.
	Static *files.Static
	// Sendfile, if not nil, sends the files that applications name by
	// X-Sendfile and X-Accel-Redirect; else these are fields like any other.
	Sendfile *files.Sendfile
	// RequestBuffering: a request body is read to its end before the application is
	// called: up to 1 MiB into memory, a longer one into a file in TempDir. Without
	// it the application is called while the body comes.
	RequestBuffering bool
	TempDir          string // for files that are removed at once
	// ResponseBuffer is how many bytes of an answer are kept for a client that takes
	// them slower than the application gives them: the first in memory, more in a
	// file in TempDir. When it is full the application waits, as it does at once
	// with 0.
	ResponseBuffer int64
	// RequestIDField is the name of the field in which the application and the
	// client get the request's id; empty: neither. No request may come with a
	// field of that name.
	RequestIDField string
	// Failed, if not nil, may answer in place of the gateway for an application that
	// has raised, answered what cannot be sent, or was lost with its worker, when
	// nothing was sent yet. It reports whether it has.
	Failed func(x Exchange, r *environ.Request, err error) bool
	// Access, if not nil, is called once for each exchange, after its answer.
	// The record and what it points to are lent for the call.
	Access func(*AccessRecord)
}

// AccessRecord is what an access log may tell of one exchange.
type AccessRecord struct {
	Request  *environ.Request // its RequestID among the rest
	Status   int
	Written  int64 // bytes of the body
	Started  time.Time
	Duration time.Duration
}

// Gateway serves exchanges; it may be used by any number of goroutines.
type Gateway struct {
	options Options
	idField []byte // Options.RequestIDField
	ids     requestIDs
	runs    sync.Pool // of *run
}

// New returns a Gateway in front of o.Backend.
func New(o Options) *Gateway {
	g := &Gateway{options: o, idField: []byte(o.RequestIDField)}
	g.ids.start()
	g.runs.New = func() any {
		r := &run{gateway: g, call: o.Backend.NewCall()}
		r.sendHints = r.sendEarlyHints // made once, so that a request allocates nothing
		return r
	}
	return g
}

// Serve runs the application for x, whose request is r, and answers. When it
// returns, x is finished or aborted. r.ContentLength is set if the length of a
// chunked body has become known; r.RequestID is set for the duration of the
// call, if it was empty, and r.Headers has it, too, as Options.RequestIDField.
func (g *Gateway) Serve(x Exchange, r *environ.Request) {
	if static := g.options.Static; static != nil && static.Covers(r.Path) {
		g.serveStatic(x, r)
		return
	}
	one := g.runs.Get().(*run)
	var started time.Time
	if g.options.Access != nil {
		started = time.Now()
	}
	nameless := len(r.RequestID) == 0
	if nameless {
		r.RequestID = g.ids.next(&one.ownID)
	}
	came := len(r.Headers)
	if len(g.idField) > 0 {
		r.Headers = append(r.Headers, environ.Header{Name: g.idField, Value: r.RequestID})
	}
	one.serve(x, r)
	g.record(x, r, started)
	r.Headers = r.Headers[:came]
	if nameless {
		r.RequestID = nil // its bytes are the next request's
	}
	one.release()
	g.runs.Put(one)
}

// serveStatic answers with a file. No worker takes part.
func (g *Gateway) serveStatic(x Exchange, r *environ.Request) {
	var started time.Time
	if g.options.Access != nil {
		started = time.Now()
	}
	if len(r.RequestID) == 0 {
		var id [requestIDLength]byte
		r.RequestID = g.ids.next(&id)
		defer func() { r.RequestID = nil }()
	}
	g.options.Static.Serve(g.naming(x, r.RequestID), r)
	g.record(x, r, started)
}

// naming gives an exchange that adds the request's id to the head of its answer.
func (g *Gateway) naming(x Exchange, id []byte) files.Exchange {
	if len(g.idField) == 0 {
		return x
	}
	named := namedExchange{x, environ.Header{Name: g.idField, Value: id}}
	if sender, ok := x.(files.Sender); ok {
		return &namedSender{named, sender}
	}
	return &named
}

type namedExchange struct {
	Exchange
	id environ.Header
}

type namedSender struct {
	namedExchange
	files.Sender
}

// WriteHead leaves the array of fields alone: it is not ours.
func (x *namedExchange) WriteHead(status int, reason []byte, fields []environ.Header, length int64) error {
	return x.Exchange.WriteHead(status, reason, append(fields[:len(fields):len(fields)], x.id), length)
}

// record tells the access log of an exchange that has ended.
func (g *Gateway) record(x Exchange, r *environ.Request, started time.Time) {
	if g.options.Access == nil {
		return
	}
	g.options.Access(&AccessRecord{
		Request: r, Status: x.Status(), Written: x.Written(),
		Started: started, Duration: time.Since(started),
	})
}

// run is one exchange on its way through the gateway. Runs are reused: a run
// keeps its Call and its buffers.
type run struct {
	gateway *Gateway
	call    Call

	exchange Exchange
	request  *environ.Request
	environ  []byte
	fields   []environ.Header
	body     []byte // the part of the request body read before the call
	asked    Request
	carrier  carrier
	ownID    [requestIDLength]byte // room for the id of a request without one
	offers   offerer               // exchange, if it is one
	complete bool                  // the client has the whole answer, whatever the application still does
	ended    bool                  // the call was given up before the exchange ended

	sendHints func([]environ.Header)
	gone      error // the client did not take a hint
}

// keepBody is the largest body buffer a run keeps for its next exchange.
const keepBody = 64 << 10

func (r *run) release() {
	r.exchange, r.offers, r.request, r.asked = nil, nil, nil, Request{}
	clear(r.fields)
	r.fields = r.fields[:0]
	if cap(r.body) > keepBody {
		r.body = nil
	}
}

func (r *run) serve(x Exchange, request *environ.Request) {
	r.exchange, r.request, r.complete = x, request, false
	r.ended, r.gone = false, nil
	if r.offers, _ = x.(offerer); r.offers != nil && !r.offers.Offers() {
		r.offers = nil
	}
	if err := r.gather(); err != nil {
		r.refuseBody(err)
		return
	}
	r.environ = environ.Append(r.environ[:0], request)
	r.asked.Environ, r.asked.BodyLength, r.asked.EarlyHints = r.environ, request.ContentLength, r.sendHints
	if err := r.call.Begin(r.asked); err != nil {
		r.refuseBegin(err)
	} else {
		r.carrier.start(r)
		r.answer()
		r.carrier.stop(x, r.call)
	}
	if !r.ended {
		r.end()
	}
}

// CutOff is what the log says of a body that outgrew its Content-Length.
const CutOff = "the application's body is longer than its Content-Length; the rest was cut off"

// FailedAfterwards is what the log says of an application that raised when its
// client had the whole answer: in close(), or behind its last block.
const FailedAfterwards = "the application failed after its answer"

// end gives the call up; what close() complained about is logged here, because
// the answer was complete before.
func (r *run) end() {
	end := r.call.End
	if r.complete {
		end = r.call.Detach
	}
	traceback, again := end()
	if traceback != "" {
		r.logFailure(failure.AfterwardsFailed, FailedAfterwards, traceback)
	}
	if !again {
		r.call = r.gateway.options.Backend.NewCall()
	}
}

// refuse answers with a small page that has the request's id, too.
func (r *run) refuse(status int, why string, fields ...environ.Header) error {
	return r.exchange.Refuse(status, why, r.named(fields)...)
}

// named adds the request's id to the fields of an answer, unless the
// application has set a field of that name itself.
func (r *run) named(fields []environ.Header) []environ.Header {
	name := r.gateway.idField
	if len(name) == 0 {
		return fields
	}
	for i := range fields {
		if len(fields[i].Name) == len(name) && bytes.EqualFold(fields[i].Name, name) {
			return fields
		}
	}
	return append(fields, environ.Header{Name: name, Value: r.request.RequestID})
}

func (r *run) refuseBegin(err error) {
	switch {
	case errors.Is(err, ErrTooLarge):
		_ = r.refuse(431, "the request's header fields are too large together")
	case errors.Is(err, ErrQueueFull):
		_ = r.refuse(503, overloaded, retryAfter)
	default:
		_ = r.refuse(503, "the server is stopping", retryAfter)
	}
}

const overloaded = "the server has more requests than it can answer"

// retryAfter: a second is enough for a restart, and polite enough.
var retryAfter = environ.Header{Name: []byte("Retry-After"), Value: []byte("1")}

// answer waits for the application's head and passes its body on.
func (r *run) answer() {
	status, fields, known, err := r.call.Head(r.fields[:0])
	if r.mayRetry(err) {
		r.end()
		if err := r.call.Begin(r.asked); err != nil {
			r.refuseBegin(err)
			return
		}
		status, fields, known, err = r.call.Head(fields[:0])
	}
	r.fields = fields
	if err != nil {
		r.failed(err)
		return
	}
	if r.gone != nil {
		r.clientGone(r.gone)
		return
	}
	head, err := readHead(status, fields, known)
	if err != nil {
		r.logFailure(failure.AnswerInvalid, "the application's answer cannot be sent", err.Error()+"\n")
		if !r.answered(err) {
			_ = r.refuse(500, internalError)
		}
		return
	}
	head.fields = r.named(head.fields)
	r.fields = head.fields
	if r.sendsFile(&head) {
		return
	}
	if file := r.call.File(); file != nil {
		r.passFile(&head, file)
		return
	}
	if err := r.exchange.WriteHead(head.code, head.reason, head.fields, head.length); err != nil {
		r.logFailure(failure.AnswerInvalid, "the application's answer cannot be sent", err.Error()+"\n")
		_ = r.refuse(500, internalError)
		return
	}
	r.passBody(head.length)
}

// sendEarlyHints sends what the application gives before its answer, RFC 8297.
func (r *run) sendEarlyHints(fields []environ.Header) {
	if r.gone == nil {
		r.gone = r.exchange.WriteHead(103, earlyHints, fields, -1)
	}
}

var earlyHints = []byte("Early Hints")

// mayRetry says that a request whose head failed to come with err may be run a
// second time, and logs that it is.
func (r *run) mayRetry(err error) bool {
	var lost *LostError
	if err == nil || r.asked.File != nil || !errors.As(err, &lost) || lost.Overdue || !r.gateway.options.RetryLost || r.asked.BodyMore {
		return false
	}
	if method := string(r.request.Method); method != "GET" && method != "HEAD" {
		return false
	}
	r.gateway.options.Log.Warn("request lost with its worker; trying another one", failure.Key, failure.RequestRetried, "request", requestLine(r.request), "id", r.id(), "worker", lost.Worker, "reason", lost.Reason)
	return true
}

const internalError = "the application failed to answer this request"

// passBody sends the body block by block, flushing each: PEP 3333 §Buffering
// and Streaming forbids holding one back while the next is made. With the last
// byte that Content-Length announces the answer is complete: the client does
// not wait for what the application still does, nor this connection.
//
// A client that does not keep up is waited for here once nobody else is: then
// the worker has left. Before that its answer is brought out by passAhead.
func (r *run) passBody(length int64) {
	var passed int64
	var began time.Time // of the second block
	for passed != length {
		p, err := r.call.Body()
		if err != nil {
			r.bodyEnded(err)
			return
		}
		n := len(p)
		if length >= 0 && passed+int64(n) > length {
			r.cut(p[:length-passed], length)
			return
		}
		buffers := r.gateway.options.ResponseBuffer > 0 && !r.call.Settled()
		wait := leastGrace
		if buffers && passed > 0 {
			if began.IsZero() {
				began = time.Now()
			}
			wait = grace(began, passed)
		}
		taken, err := r.give(p, buffers, wait, passed+int64(n) == length)
		r.call.Consumed(taken)
		if err != nil {
			r.clientGone(err)
			return
		}
		passed += int64(taken)
		if taken < n {
			var over bool
			if passed, over = r.passAhead(length, passed); over {
				return
			}
		}
	}
	r.complete = r.finish()
}

// give sends a block, the last one together with the answer's end. Of one that
// is to be buffered it sends what the client takes in time.
func (r *run) give(p []byte, buffers bool, wait time.Duration, last bool) (taken int, err error) {
	if buffers {
		if r.offers == nil {
			return 0, nil
		}
		return r.offers.Offer(p, wait)
	}
	_, err = r.exchange.Write(p)
	if err == nil && !last {
		err = r.exchange.Flush()
	}
	return len(p), err
}

// finish completes the answer, and tells whether it could.
func (r *run) finish() bool {
	err := r.exchange.Finish()
	if err != nil {
		r.clientGone(err)
	}
	return err == nil
}

// bodyEnded: the application is through, or has failed with the head out.
func (r *run) bodyEnded(err error) {
	if !errors.Is(err, io.EOF) {
		r.failed(err)
		return
	}
	r.finishShort()
}

// finishShort completes an answer whose length was not reached, if there was one.
func (r *run) finishShort() {
	if err := r.exchange.Finish(); err != nil && !r.carrier.failed() {
		r.gateway.options.Log.Warn("an answer could not be completed", failure.Key, failure.AnswerIncomplete, "request", requestLine(r.request), "id", r.id(), "error", err)
	}
}

// cut sends the last bytes that Content-Length leaves room for, and stops the
// application. PEP 3333 §Handling the Content-Length Header.
func (r *run) cut(last []byte, length int64) {
	_, _ = r.exchange.Write(last) // Finish tells if the client has gone
	r.cutOff(length)
	_ = r.exchange.Finish()
}

func (r *run) cutOff(length int64) {
	r.gateway.options.Log.Error(CutOff, failure.Key, failure.AnswerTooLong,
		"request", requestLine(r.request), "id", r.id(), "content_length", length)
	r.call.Abort()
}

// clientGone stops the application: nobody reads on. Not an error of anyone's
// here, so it is told to those who ask for it only.
func (r *run) clientGone(err error) {
	r.gateway.options.Log.Debug("the client went away", "request", requestLine(r.request), "id", r.id(), "error", err)
	r.call.Abort()
	r.exchange.Abort()
}

// failed answers for an application or worker that broke down: a page when
// nothing was sent, else a connection that ends in the middle, so that nobody
// takes half an answer for a whole one.
func (r *run) failed(err error) {
	sent := r.exchange.Status() != 0
	var application *ApplicationError
	if errors.As(err, &application) && r.carrier.failed() && !sent {
		r.refuseBody(r.carrier.err) // it choked on a body that the client never finished
		return
	}
	code, why, fields := r.diagnose(err)
	if sent {
		r.exchange.Abort()
		return
	}
	var lost *LostError
	if (application != nil || errors.As(err, &lost)) && r.answered(err) {
		return
	}
	_ = r.refuse(code, why, fields...) // the client may have gone, too
}

// diagnose logs why there is no answer, or no whole one, and says what to tell the
// client if it still can be told.
func (r *run) diagnose(err error) (code int, why string, fields []environ.Header) {
	var application *ApplicationError
	var lost *LostError
	var late *TimeoutError
	switch {
	case errors.As(err, &application) && r.carrier.failed():
	case errors.As(err, &application):
		r.logFailure(failure.ApplicationFailed, "the application failed", application.Traceback)
	case errors.As(err, &lost):
		r.gateway.options.Log.Error("request lost with its worker", failure.Key, failure.RequestLost, "request", requestLine(r.request), "id", r.id(), "worker", lost.Worker, "reason", lost.Reason)
		return 502, "the worker process ended while it ran this request", nil
	case errors.As(err, &late): // logged by the backend, with what it does about the worker
		return 504, "the application did not answer this request in time", nil
	case errors.Is(err, ErrQueuedTooLong): // logged by the backend, all together
		return 503, overloaded, []environ.Header{retryAfter}
	default:
		r.gateway.options.Log.Error("request failed", failure.Key, failure.RequestFailed, "request", requestLine(r.request), "id", r.id(), "error", err)
	}
	return 500, internalError, nil
}

// answered says whether somebody else has answered for a failure.
func (r *run) answered(err error) bool {
	failed := r.gateway.options.Failed
	return failed != nil && failed(r.exchange, r.request, err)
}

// refuseBody answers a request whose body cannot be read.
func (r *run) refuseBody(err error) {
	var full *noRoomError
	if errors.As(err, &full) {
		r.gateway.options.Log.Error("a request body cannot be buffered; the request is refused", failure.Key, failure.NoRoomForBody,
			"request", requestLine(r.request), "id", r.id(), "directory", r.gateway.options.TempDir, "error", full.err)
		_ = r.refuse(503, "the server has no room for this request's body just now", retryAfter)
		return
	}
	var status interface{ Status() int }
	if errors.As(err, &status) && status.Status() != 0 {
		_ = r.refuse(status.Status(), err.Error())
		return
	}
	r.exchange.Abort()
}

func (r *run) logFailure(code failure.Code, what, traceback string) {
	r.gateway.options.Log.Error(what, failure.Key, code, "request", requestLine(r.request), "id", r.id(), "traceback", traceback)
}

// id is the request's id for the log.
func (r *run) id() string { return string(r.request.RequestID) }

func requestLine(r *environ.Request) string {
	return string(r.Method) + " " + string(r.Target)
}
