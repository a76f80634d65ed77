package http1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gowsgi/environ"
)

// fields makes headers of "Name: value" lines.
func fields(lines ...string) (headers []environ.Header) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		headers = append(headers, environ.Header{Name: []byte(name), Value: []byte(value)})
	}
	return headers
}

// exchange sends one raw request to a handler of its own and gives all that comes back until the
// connection ends, the Date field cut out. Requests ask to close the connection.
func exchange(t *testing.T, raw string, h handlerFunc) string {
	t.Helper()
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: h})
	c := dial(t, addr)
	c.send(raw)
	return withoutDate(c.rest())
}

func withoutDate(answer string) string {
	before, rest, ok := strings.Cut(answer, "Date: ")
	if !ok {
		return answer
	}
	_, after, _ := strings.Cut(rest, "\r\n")
	return before + after
}

func closing(method, version string) string {
	return method + " / HTTP/" + version + "\r\nHost: a\r\nConnection: close\r\n\r\n"
}

func TestAnswer_FramingFollowsStatusMethodAndVersion(t *testing.T) {
	const chunkedHi = "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
	for _, c := range []struct {
		method, version string
		status          int
		length          int64
		body, want      string
	}{
		{"GET", "1.1", 200, 2, "hi", "Content-Length: 2\r\nConnection: close\r\n\r\nhi"},
		{"GET", "1.1", 200, 0, "", "Content-Length: 0\r\nConnection: close\r\n\r\n"},
		{"GET", "1.1", 200, -1, "hi", chunkedHi},
		{"GET", "1.1", 200, -1, "", "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n"},
		{"GET", "1.1", 999, -1, "hi", chunkedHi},
		{"GET", "1.0", 200, -1, "hi", "Connection: close\r\n\r\nhi"},
		{"GET", "1.0", 200, 2, "hi", "Content-Length: 2\r\nConnection: close\r\n\r\nhi"},
		{"HEAD", "1.1", 200, 2, "hi", "Content-Length: 2\r\nConnection: close\r\n\r\n"},
		{"HEAD", "1.1", 200, 12345, "", "Content-Length: 12345\r\nConnection: close\r\n\r\n"},
		{"HEAD", "1.1", 200, -1, "hi", "Connection: close\r\n\r\n"},
		{"GET", "1.1", 204, 2, "hi", "Connection: close\r\n\r\n"},
		{"GET", "1.1", 204, -1, "hi", "Connection: close\r\n\r\n"},
		{"GET", "1.1", 205, -1, "hi", "Content-Length: 0\r\nConnection: close\r\n\r\n"},
		{"GET", "1.1", 304, 77, "hi", "Content-Length: 77\r\nConnection: close\r\n\r\n"},
		{"GET", "1.1", 304, 0, "", "Connection: close\r\n\r\n"},
		{"GET", "1.1", 304, -1, "", "Connection: close\r\n\r\n"},
		{"HEAD", "1.1", 204, 5, "", "Connection: close\r\n\r\n"},
	} {
		got := exchange(t, closing(c.method, c.version), func(x *Exchange) {
			err := x.WriteHead(c.status, []byte("Why"), nil, c.length)
			n, werr := x.Write([]byte(c.body))
			if ferr := x.Finish(); err != nil || werr != nil || ferr != nil || n != len(c.body) {
				t.Errorf("%+v: WriteHead, Write, Finish = %v, %d %v, %v", c, err, n, werr, ferr)
			}
			if x.Status() != c.status || x.Written() != int64(len(c.body)) {
				t.Errorf("%+v: Status, Written = %d, %d", c, x.Status(), x.Written())
			}
		})
		if want := fmt.Sprintf("HTTP/1.1 %d Why\r\n", c.status) + c.want; got != want {
			t.Errorf("answer to %+v = %q, want %q", c, got, want)
		}
	}
}

func TestAnswer_HTTP10KeepAliveIsEchoedWhenTheLengthIsKnown(t *testing.T) {
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		length := int64(2)
		if string(x.Request.Path) == "/unknown" {
			length = -1
		}
		_ = x.WriteHead(200, okReason, nil, length)
		_, _ = x.Write([]byte("hi"))
		_ = x.Finish()
	})})
	c := dial(t, addr)
	for range 2 {
		c.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
		if resp, body := c.answer("GET"); resp.Header.Get("Connection") != "keep-alive" || body != "hi" {
			t.Errorf("answer = %v %q, want Connection: keep-alive and hi", resp.Header, body)
		}
	}
	c.send("GET /unknown HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	if resp, body := c.answer("GET"); !resp.Close || body != "hi" {
		t.Errorf("answer = %v %q, want Connection: close and hi", resp.Header, body)
	}
	c.expectClosed()
}

func TestAnswer_EngineOwnsHopFieldsAndAddsDateAndServerOnce(t *testing.T) {
	hop := fields("Connection: keep-alive", "keep-alive: 5", "Content-length: 99", "TRANSFER-ENCODING: gzip",
		"Upgrade: x", "TE: x", "Trailer: x", "Proxy-Connection: x", "X-Own: 1", "X-Empty: ", "Set-Cookie: a", "Set-Cookie: b")
	for _, own := range []bool{false, true} {
		_, addr := serve(t, Options{Server: "gowsgi/1", Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
			f := hop
			if own {
				f = append(f[:len(f):len(f)], fields("dATE: today", "server: mine")...)
			}
			_ = x.WriteHead(200, okReason, f, 0)
			_ = x.Finish()
		})})
		c := dial(t, addr)
		c.send(closing("GET", "1.1"))
		got := c.rest()
		date := "Date: " + time.Now().UTC().Format("Mon, 02 Jan 2006 15:")
		want := "HTTP/1.1 200 OK\r\nX-Own: 1\r\nX-Empty: \r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
		if own {
			want += "dATE: today\r\nserver: mine\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
		} else {
			if !strings.Contains(got, date) {
				t.Errorf("answer = %q, want %q in it", got, date)
			}
			got = withoutDate(got)
			want += "Server: gowsgi/1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
		}
		if got != want {
			t.Errorf("answer = %q, want %q", got, want)
		}
	}
}

func TestAnswer_BadHeadsAreRefusedBeforeAnythingIsWritten(t *testing.T) {
	got := exchange(t, closing("GET", "1.1"), func(x *Exchange) {
		for _, c := range []struct {
			status int
			reason string
			fields []environ.Header
		}{
			{99, "", nil}, {1000, "", nil}, {-1, "", nil}, {0, "", nil}, {100, "", nil}, {101, "", nil},
			{200, "a\r\nX: y", nil}, {200, "a\nb", nil}, {200, "\x00", nil}, {200, "\x7f", nil},
			{200, "OK", fields("X: a\rb")}, {200, "OK", fields("X: a\nb")}, {200, "OK", fields("X: a\x00b")},
			{200, "OK", fields("Good: 1", "X: 0123456789\x1f")}, {200, "OK", fields(": a")}, {200, "OK", fields("X Y: a")},
			{200, "OK", fields("X\r\nY: a")}, {200, "OK", fields("X:: a")}, {200, "OK", fields("X\xe9: a")},
			{103, "", fields("X: \n")}, {200, "OK", fields("Connection: \n")},
		} {
			if err := x.WriteHead(c.status, []byte(c.reason), c.fields, 5); !errors.Is(err, ErrBadHead) {
				t.Errorf("WriteHead(%d, %q, %q) = %v, want ErrBadHead", c.status, c.reason, c.fields, err)
			}
		}
		if err := x.Refuse(500, "the application is broken"); err != nil {
			t.Errorf("Refuse after bad heads = %v, want nil", err)
		}
	})
	want := "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n" +
		"Content-Length: 52\r\nConnection: close\r\n\r\n500 Internal Server Error\nthe application is broken\n"
	if got != want {
		t.Errorf("answer = %q, want %q", got, want)
	}
}

func TestAnswer_InterimHeadsGoOutAtOnceAndOnlyToHTTP11(t *testing.T) {
	for version, want := range map[string]string{
		"1.1": "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		"1.0": "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	} {
		got := exchange(t, closing("GET", version), func(x *Exchange) {
			if err := x.WriteHead(103, []byte("Early Hints"), fields("Link: </a.css>"), -1); err != nil {
				t.Errorf("WriteHead(103) = %v, want nil", err)
			}
			if _, err := x.Write([]byte("x")); err != ErrNoHead {
				t.Errorf("Write after an interim head = %v, want ErrNoHead", err)
			}
			_ = x.WriteHead(200, okReason, nil, 0)
			_ = x.Finish()
		})
		if got != want {
			t.Errorf("answer to HTTP/%s = %q, want %q", version, got, want)
		}
	}
}

func TestAnswer_MethodsOutOfOrderSayWhatIsWrong(t *testing.T) {
	exchange(t, closing("GET", "1.1"), func(x *Exchange) {
		if err := x.Flush(); err != ErrNoHead {
			t.Errorf("Flush before WriteHead = %v, want ErrNoHead", err)
		}
		_ = x.WriteHead(200, okReason, nil, 0)
		if err := x.WriteHead(200, okReason, nil, 0); err != ErrHeadWritten {
			t.Errorf("WriteHead twice = %v, want ErrHeadWritten", err)
		}
		if err := x.Refuse(500, ""); err != ErrHeadWritten {
			t.Errorf("Refuse after WriteHead = %v, want ErrHeadWritten", err)
		}
		if err := x.Finish(); err != nil {
			t.Errorf("Finish = %v, want nil", err)
		}
		x.Abort() // does nothing any more
		_, err := x.Write([]byte("x"))
		for what, err := range map[string]error{
			"Write": err, "Flush": x.Flush(), "Finish": x.Finish(), "WriteHead": x.WriteHead(200, nil, nil, 0),
		} {
			if err != ErrEnded {
				t.Errorf("%s after Finish = %v, want ErrEnded", what, err)
			}
		}
	})
}

func TestAnswer_SurplusBytesAreNotSent(t *testing.T) {
	got := exchange(t, closing("GET", "1.1"), func(x *Exchange) {
		_ = x.WriteHead(200, okReason, nil, 3)
		if n, err := x.Write([]byte("hello")); n != 3 || err != ErrTooMuch {
			t.Errorf("Write of 5 bytes where 3 were announced = %d, %v, want 3, ErrTooMuch", n, err)
		}
		if n, err := x.Write([]byte("more")); n != 0 || err != ErrTooMuch {
			t.Errorf("Write behind the end = %d, %v, want 0, ErrTooMuch", n, err)
		}
		if err := x.Finish(); err != nil || x.Written() != 3 {
			t.Errorf("Finish, Written = %v, %d, want nil, 3", err, x.Written())
		}
	})
	if !strings.HasSuffix(got, "Content-Length: 3\r\nConnection: close\r\n\r\nhel") {
		t.Errorf("answer = %q, want it to end in hel", got)
	}
}

func TestAnswer_BrokenOnesNeverLookComplete(t *testing.T) {
	broken := func(version string, length int64, end func(x *Exchange)) error {
		_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
			_ = x.WriteHead(200, okReason, nil, length)
			_, _ = x.Write([]byte("half"))
			_ = x.Flush()
			end(x)
		})})
		c := dial(t, addr)
		c.send(closing("GET", version))
		resp, err := http.ReadResponse(c.r, nil)
		if err != nil {
			return err
		}
		_, err = io.ReadAll(resp.Body)
		return err
	}
	abort := func(x *Exchange) { x.Abort() }
	finish := func(x *Exchange) {
		if err := x.Finish(); err != ErrTooLittle {
			t.Errorf("Finish of half an answer = %v, want ErrTooLittle", err)
		}
	}
	leave := func(*Exchange) {}
	for _, c := range []struct {
		what, version string
		length        int64
		end           func(x *Exchange)
		want          error
	}{
		{"counted, aborted", "1.1", 9, abort, io.ErrUnexpectedEOF},
		{"counted, finished early", "1.1", 9, finish, io.ErrUnexpectedEOF},
		{"counted, left open", "1.1", 9, leave, io.ErrUnexpectedEOF},
		{"chunked, aborted", "1.1", -1, abort, io.ErrUnexpectedEOF},
		{"chunked, left open", "1.1", -1, leave, io.ErrUnexpectedEOF},
		{"until close, aborted", "1.0", -1, abort, syscall.ECONNRESET},
		{"until close, left open", "1.0", -1, leave, syscall.ECONNRESET},
	} {
		if err := broken(c.version, c.length, c.end); !errors.Is(err, c.want) {
			t.Errorf("%s: client sees %v, want %v", c.what, err, c.want)
		}
	}
}

func TestAnswer_WithoutHeadClosesTheConnectionWithoutAByte(t *testing.T) {
	got := exchange(t, get, func(x *Exchange) {
		if err := x.Finish(); err != ErrNoHead {
			t.Errorf("Finish without a head = %v, want ErrNoHead", err)
		}
	})
	if got != "" {
		t.Errorf("answer = %q, want nothing", got)
	}
}

// lockedBuffer collects what several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestServer_SurvivesAPanickingHandler(t *testing.T) {
	var log lockedBuffer
	_, addr := serve(t, Options{
		Timeouts: defaultTimeouts, Log: slog.New(slog.NewTextHandler(&log, nil)),
		Handler: handlerFunc(func(x *Exchange) {
			if string(x.Request.Path) == "/panic" {
				_ = x.WriteHead(200, okReason, nil, -1)
				_, _ = x.Write([]byte("half"))
				_ = x.Flush()
				panic("at the disco")
			}
			_ = reply(x, "fine")
		}),
	})
	c := dial(t, addr)
	c.send("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n")
	if got := withoutDate(c.rest()); !strings.HasSuffix(got, "4\r\nhalf\r\n") {
		t.Errorf("answer = %q, want it to break off after half", got)
	}
	if !strings.Contains(log.String(), "at the disco") {
		t.Errorf("log = %q, want the panic in it", log.String())
	}
	c = dial(t, addr)
	c.send(get)
	if _, body := c.answer("GET"); body != "fine" {
		t.Errorf("next answer = %q, want fine", body)
	}
}

func TestAnswer_BlocksOfAllSizesArriveWholeAndInOrder(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	var blocks [][]byte
	var want []byte
	for size := 0; size < 200000; size = size*5/4 + 1 + random.Intn(100) {
		block := make([]byte, size)
		random.Read(block)
		blocks = append(blocks, block)
		want = append(want, block...)
	}
	for _, size := range []int{copyLimit - 1, copyLimit, copyLimit + 1, outSize, outSize + 1, 1, 0, outSize - 1} {
		block := bytes.Repeat([]byte{'x'}, size)
		blocks, want = append(blocks, block), append(want, block...)
	}
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		length := int64(-1)
		if string(x.Request.Query) == "counted" {
			length = int64(len(want))
		}
		_ = x.WriteHead(200, okReason, nil, length)
		for _, block := range blocks {
			if n, err := x.Write(block); n != len(block) || err != nil {
				t.Errorf("Write(%d bytes) = %d, %v", len(block), n, err)
				break
			}
		}
		_ = x.Finish()
	})})
	c := dial(t, addr)
	for _, query := range []string{"?counted", "", "?counted", ""} {
		c.send("GET /" + query + " HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, body := c.answer("GET"); body != string(want) {
			t.Errorf("answer to %q has %d bytes, want the %d that were written", query, len(body), len(want))
		}
	}
}

func TestAnswer_FlushedBlocksArriveBeforeTheNext(t *testing.T) {
	read := make(chan struct{})
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		_ = x.WriteHead(200, okReason, nil, -1)
		for range 3 {
			_, _ = x.Write([]byte("block"))
			_ = x.Flush()
			<-read
		}
		_ = x.Finish()
	})})
	c := dial(t, addr)
	c.send(get)
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		block := make([]byte, 5)
		if _, err := io.ReadFull(resp.Body, block); err != nil || string(block) != "block" {
			t.Fatalf("block %d = %q, %v, want block", i, block, err)
		}
		read <- struct{}{}
	}
}

func TestRefuse_EndsTheConnectionAfter4xxOnly(t *testing.T) {
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		status := 503
		if string(x.Request.Path) == "/slow" {
			status = 408
		}
		_ = x.Refuse(status, "busy", fields("Retry-After: 1")...)
	})})
	c := dial(t, addr)
	c.send(get)
	resp, body := c.answer("GET")
	if resp.StatusCode != 503 || resp.Close || resp.Header.Get("Retry-After") != "1" || body != "503 Service Unavailable\nbusy\n" {
		t.Errorf("answer = %d %v %q, want 503 with Retry-After on a living connection", resp.StatusCode, resp.Header, body)
	}
	c.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
	if resp, _ := c.answer("HEAD"); resp.ContentLength != 29 {
		t.Errorf("answer to HEAD has Content-Length %d, want 29", resp.ContentLength)
	}
	c.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	if resp, _ := c.answer("GET"); resp.StatusCode != 408 || !resp.Close {
		t.Errorf("answer = %d, close: %t, want 408 and close", resp.StatusCode, resp.Close)
	}
	c.expectClosed()
}

func TestAnswer_IsAbortedWhenTheClientTakesNothing(t *testing.T) {
	failed := make(chan error, 1)
	_, addr := serve(t, Options{Timeouts: Timeouts{Send: 50 * time.Millisecond}, Handler: handlerFunc(func(x *Exchange) {
		_ = x.WriteHead(200, okReason, nil, -1)
		block := make([]byte, 1<<20)
		for {
			if _, err := x.Write(block); err != nil {
				failed <- err
				return
			}
		}
	})})
	c := dial(t, addr)
	c.send(get)
	select {
	case err := <-failed:
		if err != ErrSendTimeout {
			t.Errorf("Write to a client that reads nothing = %v, want ErrSendTimeout", err)
		}
	case <-time.After(patience):
		t.Error("Write to a client that reads nothing still waits, want ErrSendTimeout")
	}
}

func TestAnswer_ASlowButSteadyClientGetsAllOfIt(t *testing.T) {
	const size = 16 << 20
	_, addr := serve(t, Options{Timeouts: Timeouts{Send: 300 * time.Millisecond}, Handler: handlerFunc(func(x *Exchange) {
		_ = x.WriteHead(200, okReason, nil, size)
		if n, err := x.Write(make([]byte, size)); n != size || err != nil {
			t.Errorf("Write to a slow client = %d, %v, want %d, nil", n, err, size)
		}
		_ = x.Finish()
	})})
	c := dial(t, addr)
	c.send(get)
	resp := c.answerHead()
	ticks := time.NewTicker(20 * time.Millisecond)
	defer ticks.Stop()
	for got := 0; got < size; <-ticks.C { // half a MiB each time: twice as long as the timer in all
		n, err := io.ReadFull(resp.Body, make([]byte, 512<<10))
		if got += n; err != nil {
			t.Fatalf("read after %d bytes: %v", got, err)
		}
	}
}

func TestAnswer_WriteTellsThatTheClientIsGone(t *testing.T) {
	failed := make(chan error, 1)
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
		_ = x.WriteHead(200, okReason, nil, -1)
		for {
			_, err := x.Write([]byte("block"))
			if err == nil {
				err = x.Flush()
			}
			if err != nil {
				failed <- err
				return
			}
		}
	})})
	c := dial(t, addr)
	c.send(get)
	c.answerHead()
	_ = c.Close()
	select {
	case err := <-failed:
		if err != ErrClientGone {
			t.Errorf("Write to a client that is gone = %v, want ErrClientGone", err)
		}
	case <-time.After(patience):
		t.Error("Write to a client that is gone goes on, want ErrClientGone")
	}
}

// answerHead reads the head of an answer and leaves its body.
func (c *client) answerHead() *http.Response {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatalf("read answer: %v", err)
	}
	return resp
}

func TestAppendDate_ChangesWithTheSecond(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Unix(784111777, 0), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"},
		{time.Unix(784111777, 999999999), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"},
		{time.Unix(784111778, 0), "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n"},
		{time.Unix(784111777, 0), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"},
	} {
		if got := string(appendDate(nil, c.at)); got != c.want {
			t.Errorf("appendDate(%v) = %q, want %q", c.at, got, c.want)
		}
	}
}
