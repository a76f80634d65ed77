package http1

// A whole connection, as we serve it and as net/http reads it.

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// tape is a connection whose client has sent everything already: what it sent comes in pieces, what it is
// sent is kept.
type tape struct {
	in    []byte
	piece int
	out   bytes.Buffer
}

func (c *tape) Read(p []byte) (int, error) {
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.in[:min(len(c.in), c.piece)])
	c.in = c.in[n:]
	return n, nil
}

func (c *tape) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *tape) Close() error                     { return nil }
func (c *tape) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
func (c *tape) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (c *tape) SetDeadline(time.Time) error      { return nil }
func (c *tape) SetReadDeadline(time.Time) error  { return nil }
func (c *tape) SetWriteDeadline(time.Time) error { return nil }

// heard is one request of a connection, as one of the two sides has read it.
type heard struct {
	method, target, host, body string
	last                       bool // the connection ends with it
	trailer                    bool // it announces trailer fields
}

// hearing is a connection, as one of the two sides has read it.
type hearing struct {
	requests []heard // whole ones
	broken   string  // the method of another one that began, whose body is malformed or has no end
	written  []byte  // our answers
}

// hearOurs serves a connection.
func hearOurs(raw []byte, piece int) (h hearing) {
	s := New(Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		r := heard{method: string(x.Request.Method), target: string(x.Request.Target), host: string(x.Request.Host), last: !x.keep}
		for _, f := range x.Request.Headers {
			r.trailer = r.trailer || strings.EqualFold(string(f.Name), "Trailer")
		}
		var err error
		if r.body, err = readAll(x); err != nil {
			h.broken = r.method
			var bad *BodyError
			if errors.As(err, &bad) && err != ErrClientGone {
				_ = x.Refuse(bad.Status(), bad.Error())
			}
			return
		}
		_ = reply(x, answerTo(len(h.requests), r))
		h.requests = append(h.requests, r)
	})})
	c := &tape{in: slices.Clone(raw), piece: piece}
	newConn(s, c).serve()
	h.written = c.out.Bytes()
	return h
}

// answerTo tells the answer to one request of a connection from those to all others.
func answerTo(number int, r heard) string {
	return fmt.Sprintf("%d %s %s %d", number, r.method, r.target, len(r.body))
}

// hearTheirs reads a connection with net/http.
func hearTheirs(raw []byte) (h hearing) {
	br := bufio.NewReaderSize(bytes.NewReader(raw), 1<<17) // it peeks at trailers as a whole
	for {
		if next, _ := br.Peek(2); bytes.Equal(next, crlf) {
			_, _ = br.Discard(2) // the empty line that we let pass, and it does not
		}
		req, err := http.ReadRequest(br)
		if err != nil {
			return h
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return h
		}
		h.requests = append(h.requests, heard{
			method: req.Method, target: req.RequestURI, host: req.Host, body: string(body), last: req.Close,
		})
		if req.Close {
			return h
		}
	}
}

// FuzzConnection holds whole connections against net/http: what we serve of one is what net/http reads, the
// same requests with the same bodies in the same order, and the connection ends after the same one, unless
// we have refused the next. Each answer belongs to its request, and nothing but answers is written.
func FuzzConnection(f *testing.F) {
	valid, invalid := samples(f, "valid"), samples(f, "invalid")
	for i, s := range valid {
		f.Add(s.raw, uint8(255))
		f.Add(slices.Concat(valid[(i+7)%len(valid)].raw, s.raw, valid[(i+20)%len(valid)].raw), uint8(i))
	}
	for i, s := range invalid {
		f.Add(slices.Concat(valid[i%len(valid)].raw, s.raw, []byte(get)), uint8(i))
	}
	f.Fuzz(func(t *testing.T, raw []byte, piece uint8) {
		ours, theirs := hearOurs(raw, int(piece)+1), hearTheirs(raw)
		refused := checkAnswers(t, raw, ours)
		for i, r := range ours.requests {
			if i == len(theirs.requests) {
				if r.trailer {
					return // it refuses some fields in Trailer; we drop all trailers unread
				}
				t.Fatalf("of %q we serve request %d, %+v; net/http does not", raw, i, r)
			}
			r.trailer = false
			if r != theirs.requests[i] {
				t.Fatalf("request %d of %q = %+v, net/http says %+v", i, raw, r, theirs.requests[i])
			}
		}
		if more := len(theirs.requests) - len(ours.requests); more > 0 && !refused {
			t.Errorf("of %q net/http reads %d requests more than our %d, and we have refused none", raw, more, len(ours.requests))
		}
	})
}

// checkAnswers holds what we wrote against what was asked, and tells whether the last answer is a refusal.
func checkAnswers(t *testing.T, raw []byte, ours hearing) (refused bool) {
	t.Helper()
	br := bufio.NewReader(bytes.NewReader(ours.written))
	for i := 0; ; {
		if _, err := br.Peek(1); err != nil {
			if i != len(ours.requests) {
				t.Fatalf("%d answers to %q, want %d", i, raw, len(ours.requests))
			}
			return false
		}
		method := ours.broken
		if i < len(ours.requests) {
			method = ours.requests[i].method
		}
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("answer %d to %q: %v in %q", i, raw, err, ours.written)
		}
		body, err := io.ReadAll(resp.Body)
		switch {
		case err != nil:
			t.Fatalf("answer %d to %q: %v in %q", i, raw, err, ours.written)
		case resp.StatusCode == 100:
			continue
		case i == len(ours.requests):
			if resp.StatusCode < 400 || !resp.Close || br.Buffered() > 0 {
				t.Fatalf("answers to %q end in %d, close %t, then %d bytes, want a refusal, close, nothing", raw, resp.StatusCode, resp.Close, br.Buffered())
			}
			return true
		case method != "HEAD" && string(body) != answerTo(i, ours.requests[i]):
			t.Fatalf("answer %d to %q = %q, want %q", i, raw, body, answerTo(i, ours.requests[i]))
		case resp.Close != ours.requests[i].last:
			t.Fatalf("answer %d to %q says close: %t, want %t", i, raw, resp.Close, ours.requests[i].last)
		}
		i++
	}
}
