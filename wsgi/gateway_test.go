package wsgi

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gowsgi/environ"
)

func TestGateway_PassesTheAnswerOn(t *testing.T) {
	s := newScene(t)
	s.call.status, s.call.blocks, s.call.known = "404 Not Found", []string{"hello"}, 5
	s.play()
	s.saw("head 404 Not Found", "write hello", "finish")
	s.told("begin", "head", "detach")
	if !slices.Equal(s.exchange.fields, []string{"X-App: 1"}) || s.exchange.length != 5 {
		t.Errorf("head = %q, length %d, want X-App: 1 and 5", s.exchange.fields, s.exchange.length)
	}
	vars, err := environ.Unpack(s.call.request.Environ)
	if err != nil || !slices.Contains(vars, environ.Var{Key: "PATH_INFO", Value: "/asked"}) {
		t.Errorf("the call began with %v, %v, want the request's environ", vars, err)
	}
	s.logged()
}

func TestGateway_NamesEachRequest(t *testing.T) {
	for name, c := range map[string]struct{ carried, want string }{
		"that comes without an id": {"", "^[0-9a-f]{16}$"},
		"that carries one":         {"asked-for", "^asked-for$"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.request.RequestID = []byte(c.carried)
			s.play()
			if !regexp.MustCompile(c.want).MatchString(s.id) {
				t.Errorf("the access record's id = %q, want %s", s.id, c.want)
			}
			vars, err := environ.Unpack(s.call.request.Environ)
			if err != nil || !slices.Contains(vars, environ.Var{Key: "gowsgi.request_id", Value: s.id}) {
				t.Errorf("the call began with %v, %v, want id %q among it", vars, err, s.id)
			}
			if got := string(s.request.RequestID); got != c.carried {
				t.Errorf("the request is left with id %q, want %q as it came", got, c.carried)
			}
		})
	}
}

func TestGateway_SendsEachBlockBeforeTheNext(t *testing.T) {
	s := newScene(t)
	s.call.blocks = []string{"one", "two", "three"}
	s.play()
	s.saw("head 200 OK", "write one", "flush", "write two", "flush", "write three", "flush", "finish")
	if s.exchange.length != -1 {
		t.Errorf("length = %d, want -1: nobody knows it", s.exchange.length)
	}
}

// The last block of a counted answer does not wait for the application's end,
// nor does the connection: what still happens then is the backend's to report.
func TestGateway_FinishesWhenTheLengthIsReached(t *testing.T) {
	s := newScene(t)
	s.call.headers = append(s.call.headers, field("content-length", "6"))
	s.call.blocks = []string{"one", "two"}
	s.call.bodyErr = &ApplicationError{Traceback: "after the end"}
	s.play()
	s.saw("head 200 OK", "write one", "flush", "write two", "finish")
	s.told("begin", "head", "detach")
	s.logged()
	if s.exchange.length != 6 || !slices.Equal(s.exchange.fields, []string{"X-App: 1"}) {
		t.Errorf("length = %d, fields = %q, want 6, and Content-Length left to the engine", s.exchange.length, s.exchange.fields)
	}
}

func TestGateway_SendsEarlyHints(t *testing.T) {
	s := newScene(t)
	s.call.hints = [][]environ.Header{{field("Link", "</a.css>")}, {field("Link", "</b.js>")}}
	s.call.status, s.call.known = "204 No Content", 0
	s.play()
	s.saw("head 103 Early Hints", "head 103 Early Hints", "head 204 No Content", "finish")
	if !slices.Equal(s.exchange.fields, []string{"Link: </a.css>", "Link: </b.js>", "X-App: 1"}) {
		t.Errorf("fields = %q, want those of both hints and of the answer", s.exchange.fields)
	}
	s.logged()
}

func TestGateway_StopsWhenNobodyTakesTheHints(t *testing.T) {
	s := newScene(t)
	s.call.hints = [][]environ.Header{{field("Link", "</a.css>")}, {field("Link", "</b.js>")}}
	s.exchange.headErr = errors.New("the client went away")
	s.play()
	s.saw("abort")
	s.told("begin", "head", "abort", "end")
	s.logged("the client went away")
}

func TestGateway_AnswersWithoutABody(t *testing.T) {
	s := newScene(t)
	s.call.status, s.call.known = "204 No Content", 0
	s.play()
	s.saw("head 204 No Content", "finish")
	s.logged()
}

// For HEAD the application's Content-Length describes a body that is not there.
func TestGateway_DeclaredLengthWinsForHEAD(t *testing.T) {
	s := newScene(t)
	s.request.Method = []byte("HEAD")
	s.call.headers = []environ.Header{field("Content-Length", "1000")}
	s.call.known = 0
	s.play()
	s.saw("head 200 OK", "finish")
	if s.exchange.length != 1000 {
		t.Errorf("length = %d, want the 1000 declared", s.exchange.length)
	}
	s.logged()
}

// PEP 3333 §Handling the Content-Length Header: no more than was declared.
func TestGateway_CutsABodyLongerThanItsLength(t *testing.T) {
	for name, blocks := range map[string][]string{
		"in one block":        {"hello world"},
		"in the second block": {"hel", "lo world"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.call.headers = []environ.Header{field("Content-Length", "5")}
			s.call.blocks = blocks
			s.play()
			if got := strings.Join(s.exchange.said, ","); !strings.HasSuffix(got, "finish") || s.exchange.written != 5 {
				t.Errorf("the exchange was told %q, want 5 bytes and a finish", s.exchange.said)
			}
			s.told("begin", "head", "abort", "end")
			s.logged("longer than its Content-Length", "content_length=5", "GET /asked")
		})
	}
}

// Bytes behind a complete answer are the backend's to find, and to stop.
func TestGateway_LeavesWhatFollowsTheLengthBehind(t *testing.T) {
	s := newScene(t)
	s.call.headers = []environ.Header{field("Content-Length", "3")}
	s.call.blocks = []string{"one", "two"}
	s.play()
	if s.exchange.written != 3 || !slices.Contains(s.exchange.said, "finish") {
		t.Errorf("the exchange was told %q, want 3 bytes and a finish", s.exchange.said)
	}
	s.told("begin", "head", "detach")
	s.logged()
}

func TestGateway_TellsWhenABodyIsShort(t *testing.T) {
	s := newScene(t)
	s.call.headers = []environ.Header{field("Content-Length", "10")}
	s.call.blocks = []string{"short"}
	s.exchange.finishErr = errors.New("body is shorter than announced")
	s.play()
	s.saw("head 200 OK", "write short", "flush")
	s.logged("could not be completed", "shorter than announced")
}

func TestGateway_FailureBeforeTheHeadIsAPage(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
		log  []string
	}{
		"raised": {&ApplicationError{Traceback: "KeyError: 'x'"}, "refuse 500", []string{"KeyError: 'x'", "GET /asked"}},
		"lost": {&LostError{Worker: 3, Reason: "killed by SIGSEGV"}, "refuse 502",
			[]string{"lost with its worker", "killed by SIGSEGV", "worker=3"}},
		"damaged":   {errors.New("nonsense"), "refuse 500", []string{"nonsense"}},
		"timed out": {&TimeoutError{Worker: 4, Elapsed: 31 * time.Second}, "refuse 504", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.call.headErr = c.err
			s.play()
			s.saw(c.want)
			s.logged(c.log...)
			if s.call.calls[len(s.call.calls)-1] != "end" {
				t.Errorf("the call was told %q, want its end last", s.call.calls)
			}
		})
	}
}

// Half an answer must not look like a whole one.
func TestGateway_FailureAfterTheHeadBreaksTheConnection(t *testing.T) {
	for name, err := range map[string]error{
		"raised":  &ApplicationError{Traceback: "it raised"},
		"lost":    &LostError{Worker: 1, Reason: "late"},
		"damaged": errors.New("damaged memory"),
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.call.blocks, s.call.bodyErr = []string{"half"}, err
			s.play()
			s.saw("head 200 OK", "write half", "flush", "abort")
			s.logged(strings.Fields(name)[0])
		})
	}
}

func TestGateway_HeadThatCannotBeSentIsAPage(t *testing.T) {
	t.Run("to the gateway", func(t *testing.T) {
		s := newScene(t)
		s.call.headers = []environ.Header{field("Content-Length", "many")}
		s.play()
		s.saw("refuse 500")
		s.logged("cannot be sent", "many")
	})
	t.Run("to the engine", func(t *testing.T) {
		s := newScene(t)
		s.exchange.headErr = errors.New("malformed head")
		s.play()
		s.saw("refuse 500")
		s.logged("cannot be sent", "malformed head")
	})
}

func TestGateway_StopsTheApplicationOfAClientThatLeft(t *testing.T) {
	for name, gone := range map[string]func(*fakeExchange){
		"while writing":  func(x *fakeExchange) { x.writeErr = errors.New("gone") },
		"while flushing": func(x *fakeExchange) { x.flushErr = errors.New("gone") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.call.blocks = []string{"one", "two"}
			gone(&s.exchange)
			s.play()
			s.told("begin", "head", "abort", "end")
			if s.exchange.said[len(s.exchange.said)-1] != "abort" {
				t.Errorf("the exchange was told %q, want an abort last", s.exchange.said)
			}
			if len(s.call.blocks) != 1 {
				t.Errorf("%d blocks are left, want 1: no other is asked for", len(s.call.blocks))
			}
			if strings.Contains(s.log.String(), "level=ERROR") || strings.Contains(s.log.String(), "level=WARN") {
				t.Errorf("log = %q, want no complaint: clients leave", s.log.String())
			}
		})
	}
}

func TestGateway_RefusesWhatThePoolDoesNotTake(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		want   string
		fields []string
	}{
		"stopping":  {ErrStopped, "refuse 503", []string{"Retry-After: 1"}},
		"full":      {ErrQueueFull, "refuse 503", []string{"Retry-After: 1"}},
		"too large": {ErrTooLarge, "refuse 431", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.call.beginErr = c.err
			s.play()
			s.saw(c.want)
			s.told("begin", "end")
			if !slices.Equal(s.exchange.fields, c.fields) {
				t.Errorf("fields = %q, want %q", s.exchange.fields, c.fields)
			}
		})
	}
}

func TestGateway_LogsWhatCloseComplainedAbout(t *testing.T) {
	s := newScene(t)
	s.call.blocks, s.call.close = []string{"whole"}, "Traceback: close"
	s.play()
	s.saw("head 200 OK", "write whole", "flush", "finish")
	s.logged(FailedAfterwards, "Traceback: close")
}

func TestGateway_ReplacesACallThatIsStillBusy(t *testing.T) {
	for _, busy := range []bool{false, true} {
		s := newScene(t)
		s.call.busy = busy
		s.play()
		if want := map[bool]int{false: 1, true: 2}[busy]; s.calls != want {
			t.Errorf("busy %v: the backend was asked for %d calls, want %d", busy, s.calls, want)
		}
	}
}
