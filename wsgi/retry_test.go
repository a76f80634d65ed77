package wsgi

import (
	"slices"
	"testing"
)

func TestGateway_RetriesARequestLostWithItsWorker(t *testing.T) {
	for _, busy := range []bool{false, true} {
		s := newScene(t)
		s.retry, s.call.busy = true, busy
		s.request.Method = []byte("HEAD")
		s.call.headErrs = []error{&LostError{Worker: 3, Reason: "killed by SIGSEGV"}}
		s.call.blocks = []string{"hello"}
		s.play()
		s.saw("head 200 OK", "write hello", "flush", "finish")
		s.told("begin", "head", "end", "begin", "head", "end")
		s.logged("trying another one", "HEAD /asked", "worker=3", "killed by SIGSEGV")
	}
}

func TestGateway_RetriesWithTheSameRequest(t *testing.T) {
	s := newScene(t)
	s.retry = true
	s.exchange.buffered = []byte("a body of GET")
	s.request.ContentLength = int64(len(s.exchange.buffered))
	s.call.headErrs = []error{&LostError{}}
	s.play()
	if string(s.call.body) != "a body of GET" || len(s.call.request.Environ) == 0 || s.call.request.BodyLength != 13 {
		t.Errorf("the second call began with %+v and the body %q, want those of the first", s.call.request, s.call.body)
	}
	s.saw("head 200 OK", "finish")
}

func TestGateway_RetriesOnceAndOnlyWhatIsSafe(t *testing.T) {
	lost := &LostError{Worker: 3, Reason: "killed by SIGSEGV"}
	for name, c := range map[string]struct {
		set  func(*scene)
		saw  []string
		told []string
	}{
		"lost twice": {
			func(s *scene) { s.call.headErrs = []error{lost, lost} },
			[]string{"refuse 502"}, []string{"begin", "head", "end", "begin", "head", "end"},
		},
		"switched off": {
			func(s *scene) { s.retry = false },
			[]string{"refuse 502"}, []string{"begin", "head", "end"},
		},
		"its worker was ended for it": {
			func(s *scene) { s.call.headErrs = []error{&LostError{Worker: 3, Overdue: true}} },
			[]string{"refuse 502"}, []string{"begin", "head", "end"},
		},
		"POST": {
			func(s *scene) { s.request.Method = []byte("POST") },
			[]string{"refuse 502"}, []string{"begin", "head", "end"},
		},
		"PUT": {
			func(s *scene) { s.request.Method = []byte("PUT") },
			[]string{"refuse 502"}, []string{"begin", "head", "end"},
		},
		"failed by itself": {
			func(s *scene) { s.call.headErrs = []error{&ApplicationError{Traceback: "KeyError"}} },
			[]string{"refuse 500"}, []string{"begin", "head", "end"},
		},
		"timed out": {
			func(s *scene) { s.call.headErrs = []error{&TimeoutError{}} },
			[]string{"refuse 504"}, []string{"begin", "head", "end"},
		},
		"waited too long": {
			func(s *scene) { s.call.headErrs = []error{ErrQueuedTooLong} },
			[]string{"refuse 503"}, []string{"begin", "head", "end"},
		},
		"answer begun": {
			func(s *scene) { s.call.headErrs, s.call.blocks, s.call.bodyErr = nil, []string{"half"}, lost },
			[]string{"head 200 OK", "write half", "flush", "abort"}, []string{"begin", "head", "end"},
		},
		"queue full by now": {
			func(s *scene) { s.call.againErr = ErrQueueFull },
			[]string{"refuse 503"}, []string{"begin", "head", "end", "begin", "end"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.retry = true
			s.call.headErrs = []error{lost}
			c.set(s)
			s.play()
			s.saw(c.saw...)
			s.told(c.told...)
		})
	}
}

// A body on its way has been read from the client, and perhaps by the worker
// that is gone: it cannot come again.
func TestGateway_NeverRetriesAStreamedBody(t *testing.T) {
	s := newScene(t)
	s.retry = true
	s.request.ContentLength, s.request.Chunked = -1, true
	s.exchange.pieces = [][]byte{[]byte("longer than the limit of sixteen")}
	s.call.headErrs = []error{&LostError{}}
	s.play()
	s.saw("refuse 502")
	if n := count(s.call.calls, "begin"); n != 1 {
		t.Errorf("the call was told %q, want one begin", s.call.calls)
	}
}

func count(all []string, one string) int {
	return len(slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s != one }))
}

func TestGateway_SaysWhenToTryAgain(t *testing.T) {
	s := newScene(t)
	s.call.headErr = ErrQueuedTooLong
	s.play()
	s.saw("refuse 503")
	if !slices.Equal(s.exchange.fields, []string{"Retry-After: 1"}) {
		t.Errorf("fields = %q, want Retry-After: 1", s.exchange.fields)
	}
	s.logged() // by the backend, all together
}
