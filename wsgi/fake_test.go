package wsgi

// The two neighbours of the gateway: an exchange that notes what it is told,
// and a call that plays a script.

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gowsgi/environ"
	"gowsgi/wsgi/files"
)

// patience is for what happens at once in a program that is right.
const patience = 10 * time.Second

// fakeExchange is a client and the engine it is connected to.
type fakeExchange struct {
	// what the client sends
	buffered []byte   // is here already
	pieces   [][]byte // what each ReadBody gives
	bodyErr  error    // what comes behind the pieces; io.EOF where nil
	waits    bool     // behind the pieces ReadBody waits for InterruptBody
	expects  bool

	// what goes wrong
	headErr   error
	writeErr  error
	flushErr  error
	finishErr error

	onWrite func() // called before each write

	interrupted chan struct{}
	once        sync.Once
	reads       int

	// what the client sees
	said    []string // the order of things: "head 200 OK", "write …", "flush"
	fields  []string // of the head
	length  int64
	status  int
	written int64
	ended   bool
}

func (x *fakeExchange) say(format string, a ...any) {
	x.said = append(x.said, fmt.Sprintf(format, a...))
}

func (x *fakeExchange) ExpectsContinue() bool { return x.expects }
func (x *fakeExchange) Buffered() []byte      { return x.buffered }

func (x *fakeExchange) ReadBody(p []byte) (int, error) {
	x.reads++
	if len(x.pieces) > 0 {
		n := copy(p, x.pieces[0])
		if x.pieces[0] = x.pieces[0][n:]; len(x.pieces[0]) == 0 {
			x.pieces = x.pieces[1:]
		}
		return n, nil
	}
	if x.waits {
		<-x.interrupted
		return 0, errInterrupted
	}
	if x.bodyErr != nil {
		return 0, x.bodyErr
	}
	return 0, io.EOF
}

var errInterrupted = fmt.Errorf("reading was interrupted")

func (x *fakeExchange) InterruptBody() { x.once.Do(func() { close(x.interrupted) }) }

func (x *fakeExchange) WriteHead(status int, reason []byte, fields []environ.Header, length int64) error {
	if x.headErr != nil {
		return x.headErr
	}
	x.say("head %d %s", status, reason)
	x.status, x.length = status, length
	for _, f := range fields {
		x.fields = append(x.fields, string(f.Name)+": "+string(f.Value))
	}
	return nil
}

func (x *fakeExchange) Write(p []byte) (int, error) {
	if x.writeErr != nil {
		return 0, x.writeErr
	}
	if x.onWrite != nil {
		x.onWrite()
	}
	x.say("write %s", p)
	x.written += int64(len(p))
	return len(p), nil
}

func (x *fakeExchange) Flush() error {
	if x.flushErr == nil {
		x.say("flush")
	}
	return x.flushErr
}

// Finish and Abort do nothing on an exchange that has ended, as the engine's.
func (x *fakeExchange) Finish() error {
	if x.ended {
		return fmt.Errorf("the exchange has ended")
	}
	x.ended = true
	if x.finishErr == nil {
		x.say("finish")
	}
	return x.finishErr
}

func (x *fakeExchange) Abort() {
	if !x.ended {
		x.ended = true
		x.say("abort")
	}
}

func (x *fakeExchange) Refuse(status int, _ string, fields ...environ.Header) error {
	x.ended, x.status = true, status
	x.say("refuse %d", status)
	for _, f := range fields {
		x.fields = append(x.fields, string(f.Name)+": "+string(f.Value))
	}
	return nil
}

func (x *fakeExchange) Status() int    { return x.status }
func (x *fakeExchange) Written() int64 { return x.written }

// fakeCall is an application in a worker.
type fakeCall struct {
	limit    int
	beginErr error
	againErr error // of the second Begin and later ones

	hints   [][]environ.Header // before the head
	status  string
	headers []environ.Header
	known   int64 // what the gateway may declare
	headErr error // instead of a head
	// headErrs come instead of the first heads, before headErr.
	headErrs []error
	blocks   []string
	bodyErr  error // behind the blocks; io.EOF where nil
	// reads: the application reads the whole body before it answers.
	reads   bool
	file    *BodyFile
	lingers bool
	// settled is what Settled says.
	settled bool
	// taken is given what the call begins with, for it to take over.
	taken func(Request)
	// atEnd is called when Body tells of the end, however that is, or Abort makes it.
	atEnd func()
	// close is what End says close() complained about.
	close string
	busy  bool // End finds it still busy

	mu       sync.Mutex
	changed  *sync.Cond
	request  Request
	body     []byte // what the application has got of the request body
	room     []byte // what Room has lent
	complete string // how EndBody said it ended
	over     bool   // the application no longer reads
	calls    []string
}

func (c *fakeCall) note(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, what)
}

func (c *fakeCall) Begin(r Request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.Contains(c.calls, "begin") {
		c.beginErr = c.againErr
	}
	c.calls = append(c.calls, "begin")
	c.request = r
	c.request.Environ = bytes.Clone(r.Environ)
	c.body = bytes.Clone(r.Body)
	if c.taken != nil {
		c.taken(r)
	}
	if c.beginErr == nil && !r.BodyMore {
		c.complete = "complete"
	}
	return c.beginErr
}

func (c *fakeCall) Head(fields []environ.Header) ([]byte, []environ.Header, int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.reads && c.complete == "" {
		c.changed.Wait()
	}
	c.calls = append(c.calls, "head")
	if len(c.headErrs) > 0 {
		err := c.headErrs[0]
		c.headErrs = c.headErrs[1:]
		return nil, fields, -1, err
	}
	if c.headErr != nil {
		return nil, fields, -1, c.headErr
	}
	for _, h := range c.hints {
		c.request.EarlyHints(h)
	}
	return []byte(c.status), append(fields, c.headers...), c.known, nil
}

func (c *fakeCall) Body() ([]byte, error) {
	if len(c.blocks) > 0 {
		return []byte(c.blocks[0]), nil
	}
	c.stopReading()
	c.ended()
	if c.bodyErr != nil {
		return nil, c.bodyErr
	}
	return nil, io.EOF
}

func (c *fakeCall) Consumed(n int) {
	if c.blocks[0] = c.blocks[0][n:]; c.blocks[0] == "" {
		c.blocks = c.blocks[1:]
	}
}

func (c *fakeCall) Lingers() bool { return c.lingers }

func (c *fakeCall) File() *BodyFile { return c.file }

func (c *fakeCall) Settled() bool { return c.settled }

func (c *fakeCall) BodyLimit() int { return c.limit }

func (c *fakeCall) Room() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return nil, io.EOF
	}
	c.room = make([]byte, 7)
	return c.room, nil
}

func (c *fakeCall) Wanted() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.reads && !c.over {
		c.changed.Wait()
	}
	if c.over {
		return io.EOF
	}
	return nil
}

func (c *fakeCall) Filled(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.body = append(c.body, c.room[:n]...)
}

func (c *fakeCall) EndBody(complete bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.complete = "complete"
	if !complete {
		c.complete = "broken"
	}
	c.changed.Broadcast()
}

func (c *fakeCall) stopReading() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.changed.Broadcast()
}

func (c *fakeCall) Abort() {
	c.note("abort")
	c.stopReading()
	c.ended()
}

func (c *fakeCall) ended() {
	if c.atEnd != nil {
		c.atEnd()
		c.atEnd = nil
	}
}

func (c *fakeCall) End() (string, bool) {
	c.note("end")
	return c.close, !c.busy
}

func (c *fakeCall) Detach() (string, bool) {
	c.note("detach")
	return c.close, !c.busy
}

// scene is one request on its way through a gateway.
type scene struct {
	t        *testing.T
	request  environ.Request
	exchange fakeExchange
	call     fakeCall
	log      strings.Builder
	records  []AccessRecord
	id       string // of the request, as the access log was told
	calls    int    // that the gateway has asked the backend for
	retry    bool
	static   *files.Static
	sendfile *files.Sendfile
	idField  string
	options  func(*Options)
}

// NewCall implements Backend.
func (s *scene) NewCall() Call { s.calls++; return &s.call }

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t}
	s.request = environ.Request{
		Method: []byte("GET"), Target: []byte("/asked"), Path: []byte("/asked"), Proto: []byte("HTTP/1.1"), Scheme: "http",
	}
	s.exchange.interrupted = make(chan struct{})
	s.call.changed = sync.NewCond(&s.call.mu)
	s.call.limit, s.call.known = 16, -1
	s.call.status = "200 OK"
	s.call.headers = []environ.Header{field("X-App", "1")}
	return s
}

func field(name, value string) environ.Header {
	return environ.Header{Name: []byte(name), Value: []byte(value)}
}

// play serves the request, which must not take any time.
func (s *scene) play() {
	s.t.Helper()
	s.serve(&s.exchange)
}

// serve serves the request on x, which is made of the scene's exchange.
func (s *scene) serve(x Exchange) {
	s.t.Helper()
	o := Options{
		Backend: s, RetryLost: s.retry, RequestIDField: s.idField, Static: s.static, Sendfile: s.sendfile, Log: slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Access: func(r *AccessRecord) {
			s.records, s.id = append(s.records, *r), string(r.Request.RequestID)
		},
	}
	if s.options != nil {
		s.options(&o)
	}
	g := New(o)
	done := make(chan struct{})
	go func() { g.Serve(x, &s.request); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		s.t.Fatal("Serve() does not return")
	}
	s.named()
	if !s.exchange.ended {
		s.t.Errorf("Serve() left the exchange neither finished nor aborted: %q", s.exchange.said)
	}
	if len(s.records) != 1 || s.records[0].Status != s.exchange.status || s.records[0].Written != s.exchange.written || s.records[0].Request != &s.request {
		s.t.Errorf("access records = %+v, want one with status %d and %d bytes", s.records, s.exchange.status, s.exchange.written)
	}
}

// named checks that each record in the log has the request's id.
func (s *scene) named() {
	s.t.Helper()
	for line := range strings.Lines(s.log.String()) {
		if !strings.Contains(line, " id="+s.id+" ") {
			s.t.Errorf("log record %q, want id=%s in it", line, s.id)
		}
	}
}

// saw checks what the client saw, in order.
func (s *scene) saw(want ...string) {
	s.t.Helper()
	if !slices.Equal(s.exchange.said, want) {
		s.t.Errorf("the exchange was told %q, want %q", s.exchange.said, want)
	}
}

// told checks what the call was told, in order.
func (s *scene) told(want ...string) {
	s.t.Helper()
	if !slices.Equal(s.call.calls, want) {
		s.t.Errorf("the call was told %q, want %q", s.call.calls, want)
	}
}

// logged checks that the log has all of these, or is empty without any.
func (s *scene) logged(want ...string) {
	s.t.Helper()
	if len(want) == 0 && s.log.Len() > 0 {
		s.t.Errorf("log = %q, want nothing", s.log.String())
	}
	for _, w := range want {
		if !strings.Contains(s.log.String(), w) {
			s.t.Errorf("log = %q, want %q in it", s.log.String(), w)
		}
	}
}
