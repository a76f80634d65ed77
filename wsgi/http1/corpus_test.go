package http1

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gowsgi/environ"
)

// sample is one file of testdata: the bytes of one request and what must become of them. A line of the
// file is a comment (#), a quoted piece of the request, or a statement about the outcome (=).
type sample struct {
	name    string
	raw     []byte
	outcome []string
}

// samples reads a folder of testdata.
func samples(t testing.TB, folder string) (all []sample) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.http"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("testdata/%s: %v, %d files, want some", folder, err, len(paths))
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s := sample{name: strings.TrimSuffix(filepath.Base(path), ".http")}
		for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
			switch {
			case strings.HasPrefix(line, "# "):
			case strings.HasPrefix(line, "= "):
				s.outcome = append(s.outcome, line[2:])
			default:
				s.raw = append(s.raw, unquote(t, path, i+1, line)...)
			}
		}
		all = append(all, s)
	}
	return all
}

func unquote(t testing.TB, path string, line int, quoted string) string {
	t.Helper()
	s, err := strconv.Unquote(quoted)
	if err != nil {
		t.Fatalf("%s:%d: %q: %v", path, line, quoted, err)
	}
	return s
}

func TestCorpus_InvalidRequestsAreRefusedAndTheConnectionClosed(t *testing.T) {
	called := make(chan string, 1000)
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		called <- string(x.Request.Target)
		echo(x)
	})})
	for _, s := range samples(t, "invalid") {
		t.Run(s.name, func(t *testing.T) {
			status, why, _ := strings.Cut(s.outcome[0], " ")
			c := dial(t, addr)
			// What follows must never be taken for a request.
			c.send(string(s.raw) + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
			resp, body := c.answer("GET")
			if strconv.Itoa(resp.StatusCode) != status || why == "" || !strings.Contains(body, why) {
				t.Errorf("answer to %.300q = %d %q, want %s with %q", s.raw, resp.StatusCode, body, status, why)
			}
			if !resp.Close {
				t.Errorf("answer to %q does not say Connection: close", s.raw)
			}
			c.expectClosed()
			inBody := strings.HasPrefix(s.name, "body-")
			select {
			case target := <-called:
				if !inBody || target != "/" {
					t.Errorf("handler was called for %q", target)
				}
			default:
				if inBody {
					t.Errorf("handler was not called, want the fault to be found in the body")
				}
			}
		})
	}
}

func TestCorpus_InvalidHeadsAreNeverAcceptedInPieces(t *testing.T) {
	var r environ.Request
	for _, s := range samples(t, "invalid") {
		if strings.HasPrefix(s.name, "body-") {
			continue
		}
		refused := false
		step := 1 + len(s.raw)/500 // the largest samples in 500 steps or so: parsing each is not free
		for size := len(s.raw) % step; size <= len(s.raw); size += step {
			n, err := ParseHead(s.raw[:size], Limits{}, &r)
			if n != 0 {
				t.Errorf("%s: ParseHead(%d bytes) = %d, want 0", s.name, size, n)
			}
			if refused && err == nil {
				t.Errorf("%s: ParseHead(%d bytes) = nil, but fewer bytes were refused", s.name, size)
			}
			refused = err != nil
		}
		if !refused {
			t.Errorf("%s: ParseHead = nil, want it refused", s.name)
		}
	}
}

// seen is what a handler saw of a request.
type seen struct {
	method, target, path, query, host, body string
	keep                                    bool
	fields                                  []string
}

// see reads a whole exchange's request.
func see(x *Exchange) (s seen, err error) {
	r := &x.Request
	s = seen{
		method: string(r.Method), target: string(r.Target), path: string(r.Path), query: string(r.Query),
		host: string(r.Host), keep: x.keep,
	}
	for _, h := range r.Headers {
		s.fields = append(s.fields, string(h.Name)+": "+string(h.Value))
	}
	s.body, err = readAll(x)
	return s, err
}

// wanted reads the outcome of a valid sample.
func wanted(t *testing.T, s sample) (w seen) {
	t.Helper()
	for _, line := range s.outcome {
		what, value, _ := strings.Cut(line, " ")
		text := func() string { return unquote(t, s.name, 0, value) }
		switch what {
		case "method":
			w.method = text()
		case "target":
			w.target = text()
		case "path":
			w.path = text()
		case "query":
			w.query = text()
		case "host":
			w.host = text()
		case "body":
			w.body = text()
		case "keep":
			w.keep = value == "true"
		case "field":
			w.fields = append(w.fields, text())
		default:
			t.Fatalf("%s: unknown outcome %q", s.name, line)
		}
	}
	return w
}

func TestCorpus_ValidRequestsReachTheHandlerInOnePieceAndByteByByte(t *testing.T) {
	got := make(chan seen, 1000) // room for all, so that one failure does not hold up the rest
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		s, err := see(x)
		if err != nil {
			t.Errorf("read body of %q: %v", s.target, err)
		}
		got <- s
		_ = reply(x, "ok")
	})})
	for _, s := range samples(t, "valid") {
		t.Run(s.name, func(t *testing.T) {
			want := wanted(t, s)
			step := 1
			if len(s.raw) > 1000 {
				step = 97
			}
			for _, step := range []int{len(s.raw), step} {
				c := dial(t, addr)
				for piece := range slices.Chunk(s.raw, step) {
					c.send(string(piece))
				}
				resp, body := c.answer("GET")
				if resp.StatusCode == 100 { // asked for, and sent when the body came late
					resp, body = c.answer("GET")
				}
				if resp.StatusCode != 200 || body != "ok" {
					t.Fatalf("answer to %q = %d %q, want 200 ok", s.raw, resp.StatusCode, body)
				}
				check(t, <-got, want)
				if resp.Close == want.keep {
					t.Errorf("answer says close: %t, want %t", resp.Close, !want.keep)
				}
				if !want.keep {
					c.expectClosed()
				}
			}
		})
	}
}

// check compares what a handler saw with what it should have seen.
func check(t *testing.T, got, want seen) {
	t.Helper()
	for _, c := range []struct{ what, got, want string }{
		{"method", got.method, want.method}, {"target", got.target, want.target}, {"path", got.path, want.path},
		{"query", got.query, want.query}, {"host", got.host, want.host}, {"body", got.body, want.body},
		{"keep", strconv.FormatBool(got.keep), strconv.FormatBool(want.keep)},
	} {
		if c.got != c.want {
			t.Errorf("%s = %q, want %q", c.what, c.got, c.want)
		}
	}
	at := 0
	for _, f := range want.fields { // in that order, others between
		i := slices.Index(got.fields[at:], f)
		if i < 0 {
			t.Fatalf("fields = %q, want %q among them, in order", got.fields, want.fields)
		}
		at += i + 1
	}
}

func TestCorpus_ValidRequestsAreServedPipelinedInOrder(t *testing.T) {
	got := make(chan seen, 1000)
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		s, _ := see(x)
		got <- s
		_ = reply(x, s.target)
	})})
	var all bytes.Buffer
	var want []seen
	for _, s := range samples(t, "valid") {
		if w := wanted(t, s); w.keep {
			all.Write(s.raw)
			want = append(want, w)
		}
	}
	c := dial(t, addr)
	go func() { _, _ = c.Write(all.Bytes()) }()
	for _, w := range want {
		if _, body := c.answer("GET"); body != w.target {
			t.Fatalf("answer = %q, want %q", body, w.target)
		}
		check(t, <-got, w)
	}
}
