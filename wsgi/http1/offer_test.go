package http1

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// offerAll offers p, tells when some of it is not taken, and writes that in pieces
// of any size.
func offerAll(x *Exchange, p []byte, patience time.Duration, refused chan<- struct{}) error {
	taken, err := x.Offer(p, patience)
	if taken < len(p) {
		select {
		case refused <- struct{}{}:
		default: // it has been told
		}
	}
	for p = p[taken:]; err == nil && len(p) > 0; {
		n := min(1+rand.IntN(10_000), len(p))
		_, err = x.Write(p[:n])
		p = p[n:]
	}
	return err
}

// TestExchange_OfferTakesWhatTheClientTakes: blocks of all sizes, to a client that
// does not read before the server has been refused something.
func TestExchange_OfferTakesWhatTheClientTakes(t *testing.T) {
	for name, length := range map[string]int64{"counted": 12 << 20, "chunked": -1} {
		t.Run(name, func(t *testing.T) {
			sent := string(makeText(12 << 20))
			refused := make(chan struct{}, 1)
			_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
				if !x.Offers() {
					t.Error("Offers() = false for a TCP connection")
				}
				_ = x.WriteHead(200, okReason, textPlain, length)
				for i, rest := 0, []byte(sent); len(rest) > 0; i++ {
					n := min(1<<(i%20), len(rest))
					if err := offerAll(x, rest[:n], time.Duration(i%2)*time.Millisecond, refused); err != nil {
						t.Errorf("Offer or Write = %v", err)
						return
					}
					rest = rest[n:]
				}
				if x.Written() != int64(len(sent)) {
					t.Errorf("Written() = %d, want %d", x.Written(), len(sent))
				}
				if err := x.Finish(); err != nil {
					t.Errorf("Finish() = %v", err)
				}
			})})
			c := dial(t, addr)
			c.send(get)
			select {
			case <-refused:
			case <-time.After(patience):
				t.Error("nothing was refused, though nobody reads")
			}
			resp, body := c.answer("GET")
			if resp.StatusCode != 200 || body != sent {
				t.Errorf("answer = %s with %d bytes, want what was sent, %d", resp.Status, len(body), len(sent))
			}
		})
	}
}

func TestExchange_OfferKeepsTheRulesOfWrite(t *testing.T) {
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		if _, err := x.Offer([]byte("early"), 0); !errors.Is(err, ErrNoHead) {
			t.Errorf("Offer before the head = %v, want ErrNoHead", err)
		}
		_ = x.WriteHead(200, okReason, textPlain, 4)
		if n, err := x.Offer([]byte("fours"), 0); string(x.Request.Method) == "GET" && (n != 4 || !errors.Is(err, ErrTooMuch)) {
			t.Errorf("Offer of 5 bytes, 4 announced = %d, %v, want 4, ErrTooMuch", n, err)
		}
		if err := x.Finish(); err != nil {
			t.Errorf("Finish() = %v", err)
		}
		if _, err := x.Offer([]byte("late"), 0); !errors.Is(err, ErrEnded) {
			t.Errorf("Offer after the end = %v, want ErrEnded", err)
		}
	})})
	c := dial(t, addr)
	c.send(get)
	if _, body := c.answer("GET"); body != "four" {
		t.Errorf("body = %q, want four", body)
	}
	c.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
	if resp, body := c.answer("HEAD"); body != "" || resp.ContentLength != 4 {
		t.Errorf("answer to HEAD = %q, length %d, want none, 4", body, resp.ContentLength)
	}
}

// A block whose rest never follows must not pass for a whole one.
func TestExchange_OfferWithoutItsRestIsABrokenAnswer(t *testing.T) {
	block := makeText(20 << 20)
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		_ = x.WriteHead(200, okReason, textPlain, -1)
		n, err := x.Offer(block, 0)
		if n == len(block) || err != nil {
			t.Errorf("Offer of 20 MiB = %d, %v, want a part of it taken", n, err)
		}
		if again, err := x.Offer(block, 0); again != 0 || err != nil {
			t.Errorf("another Offer before the rest = %d, %v, want nothing taken", again, err)
		}
		if err := x.Finish(); !errors.Is(err, ErrTooLittle) {
			t.Errorf("Finish() = %v, want ErrTooLittle", err)
		}
	})})
	c := dial(t, addr)
	c.send(get)
	if got := c.rest(); strings.HasSuffix(got, "0\r\n\r\n") {
		t.Error("the client got the end of an answer, want it broken off")
	}
}

// The time a client is waited for must not be what later writes are given.
func TestExchange_OfferLeavesTheSendTimeoutAlone(t *testing.T) {
	offered := make(chan struct{})
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		block := makeText(20 << 20)
		_ = x.WriteHead(200, okReason, textPlain, int64(len(block)))
		n, err := x.Offer(block, 10*time.Millisecond)
		close(offered)
		if err != nil || n == len(block) {
			t.Errorf("Offer = %d, %v, want a part of %d", n, err, len(block))
		}
		if _, err := x.Write(block[n:]); err != nil {
			t.Errorf("Write of the rest = %v", err)
		}
		_ = x.Finish()
	})})
	c := dial(t, addr)
	c.send(get)
	<-offered // until then the client takes nothing
	if _, body := c.answer("GET"); len(body) != 20<<20 {
		t.Errorf("%d bytes came, want all", len(body))
	}
}
