package wsgi

import (
	"errors"
	"strings"
	"testing"
)

// post makes the scene's request one with a body of so many bytes, -1 for a
// chunked one.
func (s *scene) post(length int64) {
	s.request.Method = []byte("POST")
	s.request.ContentLength, s.request.Chunked = length, length < 0
	s.call.reads = true
}

func split(text string, n int) (pieces [][]byte) {
	for len(text) > 0 {
		k := min(n, len(text))
		pieces = append(pieces, []byte(text[:k]))
		text = text[k:]
	}
	return pieces
}

// A ring that takes more than a small body is no reason to keep more in the
// front for a slow sender.
func TestGateway_KeepsNoMoreThanASmallBodyBeforeTheCall(t *testing.T) {
	for length, more := range map[int]bool{smallBody: false, smallBody + 1: true} {
		s := newScene(t)
		s.call.limit = 4 * smallBody
		body := strings.Repeat("b", length)
		s.post(int64(length))
		s.exchange.pieces = split(body, 64<<10)
		s.call.blocks = []string{"thanks"}
		s.play()
		if got := s.call.request.BodyMore; got != more {
			t.Errorf("a body of %d bytes: the call began with more = %v, want %v", length, got, more)
		}
		if string(s.call.body) != body {
			t.Errorf("a body of %d bytes: the application has got %d", length, len(s.call.body))
		}
	}
}

// TestGateway_BringsTheWholeBody: small bodies are complete before the call,
// longer ones follow it. The fake takes 16 bytes with Begin.
func TestGateway_BringsTheWholeBody(t *testing.T) {
	const limit = 16
	at := strings.Repeat("b", limit)
	for name, c := range map[string]struct {
		body    string
		chunked bool
		here    bool // all of it has arrived with the head
		expects bool
		more    bool  // it follows the call
		length  int64 // that the application is told; -1 for none
	}{
		"none":                      {body: "", length: 0},
		"small and here":            {body: "small", here: true, length: 5},
		"small":                     {body: "small", length: 5},
		"of the limit and here":     {body: at, here: true, length: limit},
		"of the limit":              {body: at, length: limit},
		"above the limit":           {body: at + "c", more: true, length: limit + 1},
		"large":                     {body: strings.Repeat("large", 100), more: true, length: 500},
		"expecting 100":             {body: "small", expects: true, more: true, length: 5},
		"chunked":                   {body: "small", chunked: true, length: 5},
		"chunked of no byte":        {body: "", chunked: true, length: 0},
		"chunked below the limit":   {body: at[1:], chunked: true, length: limit - 1},
		"chunked of the limit":      {body: at, chunked: true, more: true, length: -1},
		"chunked above the limit":   {body: at + "c", chunked: true, more: true, length: -1},
		"chunked and large":         {body: strings.Repeat("large", 100), chunked: true, more: true, length: -1},
		"chunked and expecting 100": {body: "small", chunked: true, expects: true, more: true, length: -1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.post(int64(len(c.body)))
			if c.chunked {
				s.post(-1)
			}
			if c.here {
				s.exchange.buffered = []byte(c.body)
			} else {
				s.exchange.pieces = split(c.body, 3)
			}
			s.exchange.expects = c.expects
			s.call.blocks = []string{"thanks"}
			s.play()
			s.saw("head 200 OK", "write thanks", "flush", "finish")
			r := s.call.request
			if r.BodyMore != c.more || r.BodyLength != c.length {
				t.Errorf("the call began with more = %v, length = %d, want %v, %d", r.BodyMore, r.BodyLength, c.more, c.length)
			}
			if string(s.call.body) != c.body || s.call.complete != "complete" {
				t.Errorf("the application has got %q, %s, want %q, complete", s.call.body, s.call.complete, c.body)
			}
			if c.here && s.exchange.reads > 0 {
				t.Errorf("the body was read %d times, want none: it was here", s.exchange.reads)
			}
			if got := s.request.ContentLength; got != c.length {
				t.Errorf("ContentLength = %d afterwards, want %d", got, c.length)
			}
			s.logged()
		})
	}
}

// statusError is an error that a status fits.
type statusError int

func (statusError) Error() string { return "the body cannot be read" }
func (e statusError) Status() int { return int(e) }

func TestGateway_RefusesABodyThatCannotBeReadBeforeTheCall(t *testing.T) {
	for name, c := range map[string]struct {
		err     error
		chunked bool
		want    string
	}{
		"timeout":             {statusError(408), false, "refuse 408"},
		"too large":           {statusError(413), true, "refuse 413"},
		"malformed":           {statusError(400), true, "refuse 400"},
		"status of no answer": {statusError(0), false, "abort"},
		"client gone":         {errors.New("gone"), false, "abort"},
		"client of chunks":    {errors.New("gone"), true, "abort"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.post(10)
			if c.chunked {
				s.post(-1)
			}
			s.exchange.pieces, s.exchange.bodyErr = split("half", 2), c.err
			s.play()
			s.saw(c.want)
			s.told() // no application runs for it
		})
	}
}

// TestGateway_BrokenBodyIsTheClientsFault: the application that chokes on it is
// not reported as failed.
func TestGateway_BrokenBodyIsTheClientsFault(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"timeout":     {statusError(408), "refuse 408"},
		"too large":   {statusError(413), "refuse 413"},
		"client gone": {errors.New("gone"), "abort"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.post(1000)
			s.exchange.pieces, s.exchange.bodyErr = split("a part of it", 5), c.err
			s.call.headErr = &ApplicationError{Traceback: "choked"}
			s.play()
			s.saw(c.want)
			if s.call.complete != "broken" || string(s.call.body) != "a part of it" {
				t.Errorf("the application has got %q, %s, want what came, broken", s.call.body, s.call.complete)
			}
			if strings.Contains(s.log.String(), "choked") {
				t.Errorf("log = %q, want no traceback", s.log.String())
			}
		})
	}
}

func TestGateway_BrokenBodyAfterTheHeadBreaksTheAnswer(t *testing.T) {
	s := newScene(t)
	s.post(1000)
	s.exchange.bodyErr = errors.New("gone")
	s.call.blocks, s.call.bodyErr = []string{"half"}, &ApplicationError{Traceback: "choked"}
	s.play()
	s.saw("head 200 OK", "write half", "flush", "abort")
}

func TestGateway_ApplicationMayAnswerABrokenBody(t *testing.T) {
	s := newScene(t)
	s.post(1000)
	s.exchange.bodyErr = errors.New("gone")
	s.call.blocks = []string{"never mind"}
	s.play()
	s.saw("head 200 OK", "write never mind", "flush", "finish")
}

// TestGateway_StopsReadingABodyNobodyWants: the client goes on sending, or waits
// to be asked.
func TestGateway_StopsReadingABodyNobodyWants(t *testing.T) {
	for name, expects := range map[string]bool{"sends": false, "waits for 100": true} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.post(1000)
			s.call.reads = false
			s.exchange.expects, s.exchange.waits = expects, true
			s.call.blocks = []string{"no, thanks"}
			s.play()
			s.saw("head 200 OK", "write no, thanks", "flush", "finish")
			if expects && s.exchange.reads > 0 {
				t.Error("the body was read, and so asked for, though the application did not want it")
			}
			s.logged()
		})
	}
}

func TestGateway_FailureOfItsOwnIsReportedWithABody(t *testing.T) {
	s := newScene(t)
	s.post(1000)
	s.call.reads = false
	s.exchange.waits = true
	s.call.headErr = &ApplicationError{Traceback: "its own fault"}
	s.play()
	s.saw("refuse 500")
	s.logged("its own fault")
}

// TestGateway_StopsBringingABodyWhenTheAnswerIsOfNoUse: the application may run
// on, without reading, and nobody else would tell who brings the body.
func TestGateway_StopsBringingABodyWhenTheAnswerIsOfNoUse(t *testing.T) {
	for name, spoil := range map[string]func(*scene){
		"damaged": func(s *scene) { s.call.headErr = errors.New("nonsense") },
		"no head": func(s *scene) { s.call.status = "OK" },
		"head that the engine refuses": func(s *scene) {
			s.exchange.headErr = errors.New("malformed head")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.post(1000)
			s.call.reads = false
			s.exchange.expects = true
			spoil(s)
			s.play()
			s.saw("refuse 500")
			s.told("begin", "head", "abort", "end")
		})
	}
}

// TestGateway_KeepsNoLargeBuffer: a pooled run must not hold what one large
// body has needed.
func TestGateway_KeepsNoLargeBuffer(t *testing.T) {
	for size, keeps := range map[int]bool{100: true, keepBody: true, keepBody + 1: false} {
		s := newScene(t)
		r := &run{gateway: New(Options{Backend: s}), call: &s.call, exchange: &s.exchange, request: &s.request}
		s.call.limit = 1 << 20
		s.post(int64(size))
		s.exchange.pieces = split(strings.Repeat("b", size), 10_000)
		if err := r.gather(); len(r.asked.Body) != size || r.asked.BodyMore || err != nil {
			t.Fatalf("gather() = %v with %d bytes, more = %v, want %d and no more", err, len(r.asked.Body), r.asked.BodyMore, size)
		}
		r.release()
		if (r.body != nil) != keeps || r.exchange != nil || r.request != nil {
			t.Errorf("after %d bytes the run keeps a buffer of %d, want one: %v", size, cap(r.body), keeps)
		}
	}
}
