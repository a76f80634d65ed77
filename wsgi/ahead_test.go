package wsgi

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gowsgi/environ"
)

// slowExchange takes so many bytes of what it is offered, and the rest when it may.
type slowExchange struct {
	*fakeExchange
	takes int           // of all offers together
	may   chan struct{} // closed when Write may go on
}

func (x *slowExchange) Offers() bool { return true }

func (x *slowExchange) Offer(p []byte, _ time.Duration) (int, error) {
	n := min(x.takes, len(p))
	x.takes -= n
	if n == 0 {
		return 0, nil
	}
	return x.fakeExchange.Write(p[:n])
}

func (x *slowExchange) Write(p []byte) (int, error) {
	<-x.may
	return x.fakeExchange.Write(p)
}

// playSlow serves the scene's request to a client that takes so many bytes, and
// others once the call is at its end: only that lets it.
func (s *scene) playSlow(takes int) {
	s.t.Helper()
	x := &slowExchange{&s.exchange, takes, make(chan struct{})}
	s.call.atEnd = func() { close(x.may) }
	s.options = func(o *Options) { o.ResponseBuffer, o.TempDir = 1<<20, s.t.TempDir() }
	s.serve(x)
}

func written(said []string) string {
	var all string
	for _, what := range said {
		if p, ok := strings.CutPrefix(what, "write "); ok {
			all += p
		}
	}
	return all
}

// The application comes to its end before a slow client has its first byte.
func TestGateway_TakesTheAnswerAheadOfASlowClient(t *testing.T) {
	for _, takes := range []int{0, 1, 3, 5} {
		for name, length := range map[string]string{"counted": "11", "unknown": ""} {
			s := newScene(t)
			s.call.blocks = []string{"one", "two", "three"}
			if length != "" {
				s.call.headers = append(s.call.headers, field("Content-Length", length))
			}
			s.playSlow(takes)
			if got := written(s.exchange.said); got != "onetwothree" || s.exchange.said[len(s.exchange.said)-1] != "finish" {
				t.Errorf("%s, %d taken at once: the exchange was told %q, want the answer and a finish", name, takes, s.exchange.said)
			}
			want := "end"
			if length != "" {
				want = "detach"
			}
			s.told("begin", "head", want)
			s.logged()
		}
	}
}

func TestGateway_FailuresOfAnAnswerTakenAhead(t *testing.T) {
	gone := errors.New("gone")
	for name, c := range map[string]struct {
		spoil func(*scene)
		last  string // what the exchange is told
		calls []string
		log   []string
	}{
		"application raises": {func(s *scene) { s.call.bodyErr = &ApplicationError{Traceback: "it raised"} },
			"abort", []string{"begin", "head", "end"}, []string{"it raised"}},
		"worker is lost": {func(s *scene) { s.call.bodyErr = &LostError{Worker: 3, Reason: "late"} },
			"abort", []string{"begin", "head", "end"}, []string{"lost with its worker"}},
		"client goes": {func(s *scene) { s.exchange.flushErr = gone },
			"abort", []string{"begin", "head", "abort", "end"}, []string{"the client went away"}},
		"raises after its length": {func(s *scene) {
			s.call.headers = []environ.Header{field("Content-Length", "6")}
			s.call.bodyErr = &ApplicationError{Traceback: "too late"}
		}, "finish", []string{"begin", "head", "detach"}, []string{FailedAfterwards, "too late"}},
		"more than its length": {func(s *scene) { s.call.headers = []environ.Header{field("Content-Length", "3")} },
			"finish", []string{"begin", "head", "abort", "end"}, []string{CutOff, "content_length=3"}},
		"a block across its length": {func(s *scene) { s.call.headers = []environ.Header{field("Content-Length", "4")} },
			"finish", []string{"begin", "head", "abort", "end"}, []string{CutOff, "content_length=4"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.call.blocks = []string{"one", "two"}
			c.spoil(s)
			s.playSlow(0)
			if last := s.exchange.said[len(s.exchange.said)-1]; last != c.last {
				t.Errorf("the exchange was told %q last, want %q", last, c.last)
			}
			s.told(c.calls...)
			s.logged(c.log...)
		})
	}
}

// A worker that serves others already need not be relieved.
func TestGateway_WaitsForAClientThatKeepsNoWorker(t *testing.T) {
	s := newScene(t)
	s.call.settled = true
	s.call.blocks = []string{"one", "two"}
	x := &slowExchange{&s.exchange, 0, make(chan struct{})}
	close(x.may)
	s.options = func(o *Options) { o.ResponseBuffer = 1 << 20 }
	s.serve(x)
	s.saw("head 200 OK", "write one", "flush", "write two", "flush", "finish")
}

func TestGateway_BuffersALargeBodyInAFile(t *testing.T) {
	for name, length := range map[string]int64{"counted": 100, "chunked": -1} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := newScene(t)
			s.post(length)
			text := strings.Repeat("0123456789", 10)
			s.exchange.pieces = split(text, 7)
			s.exchange.expects = true
			s.options = func(o *Options) { o.RequestBuffering, o.TempDir = true, dir }
			s.call.blocks = []string{"thanks"}
			var got []byte
			s.call.taken = func(r Request) {
				if r.File == nil || r.BodyMore || len(r.Body) > 0 || r.BodyLength != 100 {
					t.Fatalf("the call began with %+v, want a file of 100 bytes", r)
				}
				got = make([]byte, 101)
				n, _ := r.File.ReadAt(got, 0)
				got = got[:n]
				_ = r.File.Close()
			}
			s.play()
			if string(got) != text {
				t.Errorf("the file has %q, want %q", got, text)
			}
			if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
				t.Errorf("the folder has %v, %v, want nothing", left, err)
			}
			if s.request.ContentLength != 100 {
				t.Errorf("ContentLength = %d, want 100", s.request.ContentLength)
			}
		})
	}
}

func TestGateway_BufferedBodyThatBreaksOffIsNoCall(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		dir  string
		want string
		log  []string
	}{
		"timeout":   {statusError(408), "", "refuse 408", nil},
		"too large": {statusError(413), "", "refuse 413", nil},
		"gone":      {errors.New("gone"), "", "abort", nil},
		"no room":   {nil, "/nowhere/at/all", "refuse 503", []string{"cannot be buffered", "/nowhere/at/all"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.post(-1)
			s.exchange.pieces, s.exchange.bodyErr = split(strings.Repeat("b", 50), 7), c.err
			if c.dir == "" {
				c.dir = t.TempDir()
			}
			s.options = func(o *Options) { o.RequestBuffering, o.TempDir = true, c.dir }
			s.play()
			s.saw(c.want)
			s.logged(c.log...)
			if slices.Contains(s.call.calls, "begin") {
				t.Errorf("the call was told %q, want no call", s.call.calls)
			}
		})
	}
}

// A client is waited for as long as a fast network needs, and no longer.
func TestGrace_FollowsWhatWasGiven(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		elapsed     time.Duration
		given       int64
		least, most time.Duration
	}{
		{0, 0, 0, leastGrace},
		{time.Second, 0, 0, 0},
		{time.Second, quickRate / 2, 0, 0},
		{0, quickRate, mostGrace, mostGrace},
		{time.Second, 1 << 40, mostGrace, mostGrace},
	} {
		if got := grace(now.Add(-c.elapsed), c.given); got < c.least || got > c.most {
			t.Errorf("grace after %v and %d bytes = %v, want %v to %v", c.elapsed, c.given, got, c.least, c.most)
		}
	}
}
