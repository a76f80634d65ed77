package http1

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

const expecting = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"

func TestBody_ContinueIsSentWhenTheBodyIsReadAndNotBefore(t *testing.T) {
	asked := make(chan bool, 2)
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		asked <- x.ExpectsContinue()
		echo(x)
		asked <- x.ExpectsContinue()
	})})
	for _, raw := range []string{
		expecting,
		strings.Replace(expecting, "Content-Length: 5", "Transfer-Encoding: chunked", 1),
	} {
		c := dial(t, addr)
		c.send(raw)
		if resp, _ := c.answer("POST"); resp.StatusCode != 100 {
			t.Fatalf("first answer = %d, want 100", resp.StatusCode)
		}
		if strings.Contains(raw, "chunked") {
			c.send("5\r\nhello\r\n0\r\n\r\n")
		} else {
			c.send("hello")
		}
		if resp, body := c.answer("POST"); resp.StatusCode != 200 || body != "POST / hello" || resp.Close {
			t.Errorf("answer = %d %q, want 200 with the body echoed on a living connection", resp.StatusCode, body)
		}
		if before, after := <-asked, <-asked; !before || after {
			t.Errorf("ExpectsContinue before and after reading = %t, %t, want true, false", before, after)
		}
	}
}

func TestBody_FinalAnswerInsteadOfContinueClosesTheConnection(t *testing.T) {
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) { _ = reply(x, "no") })})
	c := dial(t, addr)
	c.send(expecting)
	if resp, body := c.answer("POST"); resp.StatusCode != 200 || !resp.Close || body != "no" {
		t.Errorf("answer = %d %q, close: %t, want 200 no and close", resp.StatusCode, body, resp.Close)
	}
	c.expectClosed()
}

func TestBody_ContinueIsNeverSentAfterTheFinalHead(t *testing.T) {
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		_ = x.WriteHead(200, okReason, nil, 5)
		body, err := readAll(x)
		if err != nil {
			t.Errorf("read body after the head = %v, want nil", err)
		}
		_, _ = x.Write([]byte(body))
		_ = x.Finish()
	})})
	c := dial(t, addr)
	c.send(expecting)
	c.send("hello")
	if resp, body := c.answer("POST"); resp.StatusCode != 200 || body != "hello" {
		t.Errorf("first answer = %d %q, want 200 hello", resp.StatusCode, body)
	}
}

func TestBody_ContinueIsNotForHTTP10NorForEmptyBodies(t *testing.T) {
	asked := make(chan bool, 1)
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		asked <- x.ExpectsContinue()
		echo(x)
	})})
	for raw, body := range map[string]string{
		"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n":                 "hello",
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n":      "",
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello": "",
	} {
		c := dial(t, addr)
		c.send(raw)
		if <-asked {
			t.Errorf("ExpectsContinue of %q = true, want false", raw)
		}
		c.send(body)
		if resp, _ := c.answer("POST"); resp.StatusCode != 200 {
			t.Errorf("first answer to %q = %d, want 200", raw, resp.StatusCode)
		}
	}
}

// bodyError gives the error that reading the body of a request ends with.
func bodyError(t *testing.T, o Options, talk func(c *client)) error {
	t.Helper()
	got := make(chan error, 1)
	o.Handler = handlerFunc(func(x *Exchange) {
		_, err := readAll(x)
		if _, again := x.ReadBody(make([]byte, 1)); err != nil && again != err {
			t.Errorf("ReadBody after %v = %v, want the same", err, again)
		}
		got <- err
		_ = x.Refuse(400, "bad body")
	})
	_, addr := serve(t, o)
	c := dial(t, addr)
	talk(c)
	select {
	case err := <-got:
		return err
	case <-time.After(patience):
		t.Fatal("ReadBody still waits")
		return nil
	}
}

const chunkedHead = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

func TestBody_ErrorsSayWhatIsWrong(t *testing.T) {
	limited := Options{Timeouts: defaultTimeouts, Limits: Limits{Body: 10}}
	for _, c := range []struct {
		what   string
		o      Options
		talk   func(c *client)
		want   error
		status int
	}{
		{"chunks over the limit", limited, func(c *client) { c.send(chunkedHead + "a\r\n0123456789\r\n1\r\n") }, ErrBodyTooLarge, 413},
		{"one chunk over the limit", limited, func(c *client) { c.send(chunkedHead + "b\r\n") }, ErrBodyTooLarge, 413},
		{"a huge chunk", limited, func(c *client) { c.send(chunkedHead + "7fffffffffffffff\r\n") }, ErrBodyTooLarge, 413},
		{"chunks at the limit", limited, func(c *client) { c.send(chunkedHead + "9\r\n012345678\r\n1\r\n9\r\n0\r\n\r\n") }, nil, 0},
		{"a bad chunk", limited, func(c *client) { c.send(chunkedHead + "x\r\n") }, ErrBadBody, 400},
		{"a client gone in a counted body", limited, func(c *client) {
			c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
			_ = c.Conn.(*net.TCPConn).CloseWrite()
		}, ErrClientGone, 400},
		{"a client gone in a chunked body", limited, func(c *client) {
			c.send(chunkedHead + "9\r\nhalf")
			_ = c.Conn.(*net.TCPConn).CloseWrite()
		}, ErrClientGone, 400},
		{"a client that stalls", Options{Timeouts: Timeouts{Body: 30 * time.Millisecond}}, func(c *client) {
			c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
		}, ErrBodyTimeout, 408},
		{"a client that stalls in a chunk", Options{Timeouts: Timeouts{Body: 30 * time.Millisecond}}, func(c *client) {
			c.send(chunkedHead + "9\r\nhalf")
		}, ErrBodyTimeout, 408},
	} {
		got := bodyError(t, c.o, c.talk)
		if fault := new(BodyError); errors.As(got, &fault) && fault.Status() != c.status {
			t.Errorf("Status of %v = %d, want %d", got, fault.Status(), c.status)
		}
		if got != c.want {
			t.Errorf("ReadBody of %s = %v, want %v", c.what, got, c.want)
		}
	}
}

func TestBody_CountedOverTheLimitIsRefusedUnread(t *testing.T) {
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Limits: Limits{Body: 10}, Handler: echo})
	c := dial(t, addr)
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789")
	if resp, _ := c.answer("POST"); resp.StatusCode != 200 {
		t.Errorf("answer to a body at the limit = %d, want 200", resp.StatusCode)
	}
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n")
	if resp, _ := c.answer("POST"); resp.StatusCode != 413 || !resp.Close {
		t.Errorf("answer to a body over the limit = %d, close: %t, want 413 and close", resp.StatusCode, resp.Close)
	}
	c.expectClosed()
}

func TestBody_InterruptEndsAWaitingReadAndTheConnectionLivesOn(t *testing.T) {
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		if string(x.Request.Method) == "GET" {
			_ = reply(x, "next")
			return
		}
		first, ended := make(chan struct{}), make(chan error)
		go func() {
			p := make([]byte, 4)
			_, _ = x.ReadBody(p) // has arrived with the head
			close(first)
			_, err := x.ReadBody(p)
			ended <- err
		}()
		<-first
		x.InterruptBody()
		if err := <-ended; err != ErrInterrupted {
			t.Errorf("ReadBody when interrupted = %v, want ErrInterrupted", err)
		}
		_ = reply(x, "early")
	})})
	c := dial(t, addr)
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
	if _, body := c.answer("POST"); body != "early" {
		t.Errorf("answer = %q, want early", body)
	}
	c.send("+rest" + get)
	if _, body := c.answer("GET"); body != "next" {
		t.Errorf("next answer = %q, want next", body)
	}
	c.send(get)
	if _, body := c.answer("GET"); body != "next" {
		t.Errorf("answer after that = %q, want next", body)
	}
}

func TestBody_LittleLeftUnreadIsDroppedAndTheConnectionLivesOn(t *testing.T) {
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		_, _ = x.ReadBody(make([]byte, 2))
		_ = reply(x, string(x.Request.Path))
	})})
	body := strings.Repeat("x", 30000)
	c := dial(t, addr)
	for i, raw := range []string{
		"POST /0 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
		"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n" + body,
		"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		c.send(raw)
		if resp, got := c.answer("POST"); got != fmt.Sprintf("/%d", i) || resp.Close {
			t.Errorf("answer %d = %q, close: %t, want /%d and a living connection", i, got, resp.Close, i)
		}
	}
}

func TestBody_MuchLeftUnreadClosesTheConnectionAfterTheAnswerHasArrived(t *testing.T) {
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) { _ = reply(x, "enough") })})
	for _, head := range []string{"Content-Length: 200000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n30d40\r\n", "Transfer-Encoding: chunked\r\n\r\n249f0\r\n"} {
		c := dial(t, addr)
		go func() {
			_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\n"+head+strings.Repeat("x", 150000))
		}()
		// said with the answer: a client that took the connection for alive would
		// lose its next request (RFC 9112 §9.6)
		if resp, body := c.answer("POST"); body != "enough" || !resp.Close {
			t.Errorf("answer = %q, close: %t, want enough and Connection: close", body, resp.Close)
		}
		c.expectClosed()
	}
}

func TestBody_BufferedGivesWhatHasArrivedWithoutConsumingIt(t *testing.T) {
	got := make(chan string, 3)
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		got <- string(x.Buffered())
		p := make([]byte, 2)
		n, _ := x.ReadBody(p)
		got <- string(p[:n])
		got <- string(x.Buffered())
		_ = reply(x, "ok")
	})})
	c := dial(t, addr)
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + chunkedHead + "5\r\nhello\r\n0\r\n\r\n")
	for _, want := range []string{"hello", "he", "llo", "", "he", ""} {
		if s := <-got; s != want {
			t.Errorf("Buffered, ReadBody, Buffered: got %q, want %q", s, want)
		}
	}
	c.answer("POST")
	c.answer("POST")
}

func TestBody_ReadAndAnswerRunAtTheSameTime(t *testing.T) {
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		blocks := make(chan []byte)
		go func() {
			defer close(blocks)
			for {
				p := make([]byte, 5000)
				n, err := x.ReadBody(p)
				if err == io.EOF {
					return
				}
				if err != nil {
					t.Errorf("ReadBody = %v, want nil", err)
					return
				}
				blocks <- p[:n]
			}
		}()
		_ = x.WriteHead(200, okReason, nil, -1)
		for block := range blocks {
			_, _ = x.Write(block)
			_ = x.Flush()
		}
		_ = x.Finish()
	})})
	want := string(makeText(1 << 20))
	for _, raw := range []string{
		fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n%s", len(want), want),
		fmt.Sprintf("%s%x\r\n%s\r\n0\r\n\r\n", chunkedHead, len(want), want),
	} {
		c := dial(t, addr)
		var sending sync.WaitGroup
		sending.Go(func() { _, _ = io.WriteString(c, raw+get) })
		resp, body := c.answer("POST")
		if resp.StatusCode == 100 {
			resp, body = c.answer("POST")
		}
		if resp.StatusCode != 200 || body != want {
			t.Errorf("answer = %d with %d bytes, want 200 with the %d that were sent", resp.StatusCode, len(body), len(want))
		}
		sending.Wait()
	}
}

func TestBody_ChunksBehindALargeHeadLeaveTheHeadAlone(t *testing.T) {
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		body, err := readAll(x)
		last := x.Request.Headers[len(x.Request.Headers)-1]
		if err != nil || string(last.Name) != "X-Last" {
			t.Errorf("readAll = %v, last field %q, want nil and X-Last", err, last.Name)
		}
		_ = reply(x, string(last.Value)+body)
	})})
	for _, size := range []int{100, 1900, 2100, 3900, 8000, 3 * 5000, 6 * 7000} {
		var head strings.Builder
		head.WriteString("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n")
		for left := size; left > 0; left -= 8000 {
			head.WriteString("X-Fill: " + string(makeText(min(left, 8000))) + "\r\n")
		}
		value, body := string(makeText(50)), string(makeText(20000))
		head.WriteString("X-Last: " + value + "\r\n\r\n")
		c := dial(t, addr)
		c.send(head.String())
		c.send("4e20\r\n" + body + "\r\n0\r\n\r\n" + head.String() + "0\r\n\r\n")
		if _, got := c.answer("POST"); got != value+body {
			t.Errorf("head of %d bytes: answer has %d bytes, want the field and the body", size, len(got))
		}
		if _, got := c.answer("POST"); got != value {
			t.Errorf("head of %d bytes: next answer = %q, want %q", size, got, value)
		}
	}
}
