package http2_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"

	"gowsgi/environ"
	"gowsgi/wsgi/http1"
	"gowsgi/wsgi/http2"
)

func TestExchange_RequestBecomesAnEnviron(t *testing.T) {
	packed := make(chan []byte, 1)
	c := connect(t, options(func(x *http2.Exchange) {
		packed <- environ.Append(nil, &x.Request)
		reply(x, 200, "")
	}))
	c.ask(1, true, get("/a%20b?x=1", "cookie", "a=1", "x-two", " one", "cookie", "b=2", "x-two", "two", "x_two", "forged",
		"user-agent", "ua", "te", "trailers", "host", "shop.example")...)
	if a := c.read(1); a.status != "200" {
		t.Fatalf("status = %s, want 200", a.status)
	}
	vars, err := environ.Unpack(<-packed)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, v := range vars {
		got[v.Key] = v.Value
	}
	want := map[string]string{
		"REQUEST_METHOD": "GET", "PATH_INFO": "/a b", "QUERY_STRING": "x=1", "REQUEST_URI": "/a%20b?x=1", "RAW_URI": "/a%20b?x=1",
		"SERVER_PROTOCOL": "HTTP/2.0", "HTTP_HOST": "shop.example", "HTTP_COOKIE": "a=1; b=2", "HTTP_X_TWO": "one, two",
		"HTTP_USER_AGENT": "ua", "HTTP_TE": "trailers", "wsgi.url_scheme": "https", "SERVER_NAME": "s", "SERVER_PORT": "443",
		"SCRIPT_NAME": "", "REMOTE_ADDR": "", "REMOTE_PORT": "",
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s = %q, want %q", name, got[name], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("environ = %v, want %v", got, want)
	}
}

func TestExchange_BodiesInBothDirections(t *testing.T) {
	c := connect(t, options(echo))
	for i, announced := range []bool{true, false} {
		id := uint32(2*i + 1)
		fields := post("/up")
		if announced {
			fields = append(fields, "content-length", "100000")
		}
		c.ask(id, false, fields...)
		for left := 100000; left > 0; {
			n := min(left, 16000)
			left -= n
			c.must(c.WriteDataPadded(id, false, []byte(strings.Repeat("u", n)), make([]byte, 100)))
		}
		c.ask(id, true, "x-trailer", "dropped")
		if a := c.read(id); a.body != `POST /up 100000 "uuuuuuuuuu"` {
			t.Errorf("body = %q, want 100000 bytes echoed", a.body)
		}
	}
}

// A handler that does not read makes the client wait; one that reads lets it go on.
func TestExchange_UnreadBodyFillsTheWindowAndNoMore(t *testing.T) {
	const window, total = 256 << 10, 1 << 20
	start := make(chan struct{})
	c := connect(t, options(func(x *http2.Exchange) { <-start; echo(x) }))
	c.ask(1, false, post("/")...)
	sent, granted := 0, int64(65535)
	stream := int64(window)
	send := func() {
		for sent < total && granted > 0 && stream > 0 {
			n := int(min(granted, stream, 16<<10, int64(total-sent)))
			c.must(c.WriteData(1, false, make([]byte, n)))
			sent, granted, stream = sent+n, granted-int64(n), stream-int64(n)
		}
	}
	reading := false
	for sent < total {
		if send(); sent == total {
			break
		}
		if sent == window && !reading {
			reading = true
			close(start)
		}
		f, err := c.ReadFrame()
		c.must(err)
		if w, ok := f.(*h2.WindowUpdateFrame); ok && w.StreamID == 0 {
			granted += int64(w.Increment)
		} else if ok {
			if !reading {
				t.Errorf("stream window grew after %d bytes that nobody has read", sent)
			}
			stream += int64(w.Increment)
		}
	}
	c.must(c.WriteData(1, true, nil))
	if a := c.read(1); !strings.HasPrefix(a.body, "POST / 1048576 ") {
		t.Errorf("body = %q, want all of 1048576 bytes counted", a.body)
	}
}

func TestExchange_AnswerWaitsForTheClientsWindow(t *testing.T) {
	c := connect(t, options(func(x *http2.Exchange) { reply(x, 200, strings.Repeat("d", 100)) }),
		h2.Setting{ID: h2.SettingInitialWindowSize, Val: 10})
	c.ask(1, true, get("/")...)
	got := 0
	for got < 100 {
		f, err := c.next()
		c.must(err)
		if d, ok := f.(*h2.DataFrame); ok {
			if len(d.Data()) != 10 {
				t.Errorf("DATA of %d bytes, want 10", len(d.Data()))
			}
			got += len(d.Data())
			if got < 100 {
				c.must(c.WriteWindowUpdate(1, 10))
			}
		}
	}
}

func TestExchange_ClientThatTakesNothingIsResetAfterAWhile(t *testing.T) {
	o := options(nil)
	o.Send = 20 * time.Millisecond
	failed := make(chan error, 1)
	o.Handler = handler(func(x *http2.Exchange) {
		_ = x.WriteHead(200, nil, nil, -1)
		_, err := x.Write(make([]byte, 100))
		failed <- err
	})
	c := connect(t, o, h2.Setting{ID: h2.SettingInitialWindowSize, Val: 0})
	c.ask(1, true, get("/")...)
	if a := c.read(1); !a.broken || a.status != "200" {
		t.Errorf("answer = %+v, want a head and a reset", a)
	}
	if err := <-failed; !errors.Is(err, http1.ErrSendTimeout) {
		t.Errorf("Write() = %v, want %v", err, http1.ErrSendTimeout)
	}
}

func TestExchange_BodyThatStopsIsATimeout(t *testing.T) {
	o := options(echo)
	o.Timeouts.Body = 20 * time.Millisecond
	c := connect(t, o)
	c.ask(1, false, post("/")...)
	if a := c.read(1); a.status != "408" {
		t.Errorf("status = %s, want 408", a.status)
	}
	if a := c.read(1); a.reset != h2.ErrCodeNo || !a.broken {
		t.Errorf("after the answer: %+v, want RST_STREAM(NO_ERROR), so that the rest is not sent", a)
	}
}

func TestExchange_BodyThatTricklesIsATimeout(t *testing.T) {
	o := options(echo)
	o.MinRate = 1 << 30
	c := connect(t, o)
	c.ask(1, false, post("/")...)
	trickled := make(chan error, 1)
	go func() {
		for range 60000 { // until the answer has come and the connection is closed; less than the window
			time.Sleep(100 * time.Microsecond)
			if err := c.WriteData(1, false, []byte("x")); err != nil {
				trickled <- err
				return
			}
		}
		trickled <- nil
	}()
	if a := c.read(1); a.status != "408" {
		t.Errorf("status = %s, want 408", a.status)
	}
	_ = c.conn.Close()
	<-trickled
}

func TestExchange_InterruptBodyEndsAReadThatWaits(t *testing.T) {
	c := connect(t, options(func(x *http2.Exchange) {
		reading, failed := make(chan struct{}), make(chan error)
		go func() { close(reading); _, err := x.ReadBody(make([]byte, 1)); failed <- err }()
		<-reading
		x.InterruptBody()
		if err := <-failed; !errors.Is(err, http1.ErrInterrupted) {
			t.Errorf("ReadBody() = %v, want %v", err, http1.ErrInterrupted)
		}
		reply(x, 200, "early")
	}))
	c.ask(1, false, post("/")...)
	if a := c.read(1); a.body != "early" {
		t.Errorf("body = %q, want early", a.body)
	}
}

func TestExchange_AnswersWithoutBody(t *testing.T) {
	c := connect(t, options(func(x *http2.Exchange) {
		var status int
		_, _ = fmt.Sscanf(string(x.Request.Target), "/%d", &status)
		reply(x, status, "text")
	}))
	for i, want := range []struct{ method, status, length string }{
		{"HEAD", "200", "4"}, {"GET", "204", ""}, {"GET", "205", "0"}, {"GET", "304", "4"}, {"GET", "200", "4"},
	} {
		id := uint32(2*i + 1)
		c.ask(id, true, append([]string{":method", want.method}, get("/" + want.status)[2:]...)...)
		a := c.read(id)
		body := ""
		if want.method == "GET" && want.status == "200" {
			body = "text"
		}
		if a.status != want.status || a.body != body || a.field("content-length") != want.length {
			t.Errorf("%s %s = %s, Content-Length %q, body %q, want Content-Length %q, body %q",
				want.method, want.status, a.status, a.field("content-length"), a.body, want.length, body)
		}
	}
}

func TestExchange_HeadOfTheAnswer(t *testing.T) {
	field := func(name, value string) environ.Header {
		return environ.Header{Name: []byte(name), Value: []byte(value)}
	}
	c := connect(t, options(func(x *http2.Exchange) {
		for _, bad := range []environ.Header{field("X", "a\nb"), field("X Y", "a"), field("", "a")} {
			if err := x.WriteHead(200, nil, []environ.Header{bad}, -1); !errors.Is(err, http1.ErrBadHead) {
				t.Errorf("WriteHead(%q) = %v, want %v", bad, err, http1.ErrBadHead)
			}
		}
		_ = x.WriteHead(103, nil, []environ.Header{field("Link", "</a>")}, -1)
		_ = x.WriteHead(200, nil, []environ.Header{
			field("Set-Cookie", "a=1"), field("SET-COOKIE", "b=2"), field("Connection", "close"), field("Keep-Alive", "x"),
			field("Transfer-Encoding", "chunked"), field("Upgrade", "h2c"), field("Content-Length", "77"), field("Server", "mine"),
		}, -1)
		_ = x.Finish()
	}))
	c.ask(1, true, get("/")...)
	a := c.read(1)
	if len(a.interim) != 1 || a.interim[0] != "103" {
		t.Errorf("interim = %v, want 103", a.interim)
	}
	names := ""
	for _, f := range a.fields {
		names += f.Name + " "
	}
	if names != "set-cookie set-cookie server date " || a.field("set-cookie") != "a=1, b=2" || a.field("server") != "mine" {
		t.Errorf("fields = %v, want two cookies, the handler's Server, and Date", a.fields)
	}
}

// An answer that is not what it says must not look complete.
func TestExchange_BrokenAnswersAreReset(t *testing.T) {
	handlers := map[string]func(x *http2.Exchange){
		"too short": func(x *http2.Exchange) {
			_ = x.WriteHead(200, nil, nil, 10)
			_, _ = x.Write([]byte("123"))
			if err := x.Finish(); !errors.Is(err, http1.ErrTooLittle) {
				t.Errorf("Finish() = %v, want %v", err, http1.ErrTooLittle)
			}
		},
		"aborted": func(x *http2.Exchange) {
			_ = x.WriteHead(200, nil, nil, -1)
			_, _ = x.Write([]byte("123"))
			_ = x.Flush()
			x.Abort()
		},
		"left open": func(x *http2.Exchange) { _ = x.WriteHead(200, nil, nil, -1) },
		"no head":   func(x *http2.Exchange) { _ = x.Finish() },
		"panic":     func(*http2.Exchange) { panic("on purpose") },
	}
	for name, h := range handlers {
		c := connect(t, options(h))
		c.ask(1, true, get("/")...)
		if a := c.read(1); !a.broken || a.reset != h2.ErrCodeInternal {
			t.Errorf("%s: answer = %+v, want RST_STREAM(INTERNAL_ERROR)", name, a)
		}
	}
}

func TestExchange_SurplusIsCutOff(t *testing.T) {
	c := connect(t, options(func(x *http2.Exchange) {
		_ = x.WriteHead(200, nil, nil, 3)
		if n, err := x.Write([]byte("12345")); n != 3 || !errors.Is(err, http1.ErrTooMuch) {
			t.Errorf("Write() = %d, %v, want 3, %v", n, err, http1.ErrTooMuch)
		}
		_ = x.Finish()
	}))
	c.ask(1, true, get("/")...)
	if a := c.read(1); a.body != "123" || a.broken {
		t.Errorf("answer = %+v, want body 123", a)
	}
}

func TestExchange_ContinueComesWithTheFirstRead(t *testing.T) {
	c := connect(t, options(func(x *http2.Exchange) {
		if string(x.Request.Target) == "/refuse" {
			_ = x.Refuse(413, "no")
			return
		}
		echo(x)
	}))
	c.ask(1, false, post("/refuse", "expect", "100-continue")...)
	if a := c.read(1); a.status != "413" || len(a.interim) != 0 {
		t.Errorf("refused: status %s, interim %v, want 413 and none", a.status, a.interim)
	}
	c.read(1) // RST_STREAM
	c.ask(3, false, post("/", "expect", "100-continue")...)
	f, err := c.next()
	c.must(err)
	if m, ok := f.(*h2.MetaHeadersFrame); !ok || m.PseudoValue("status") != "100" {
		t.Fatalf("frame = %v, want 100 Continue", f)
	}
	c.must(c.WriteData(3, true, []byte("now")))
	if a := c.read(3); a.body != `POST / 3 "now"` {
		t.Errorf("body = %q, want the echo", a.body)
	}
}

// One stream that waits does not hold up another.
func TestExchange_StreamsDoNotWaitForEachOther(t *testing.T) {
	second := make(chan struct{})
	c := connect(t, options(func(x *http2.Exchange) {
		if string(x.Request.Target) == "/first" {
			<-second
		} else {
			defer close(second)
		}
		reply(x, 200, string(x.Request.Target))
	}))
	c.ask(1, true, get("/first")...)
	c.ask(3, true, get("/second")...)
	if a := c.read(3); a.body != "/second" {
		t.Errorf("body = %q, want /second", a.body)
	}
	if a := c.read(1); a.body != "/first" {
		t.Errorf("body = %q, want /first", a.body)
	}
}

func TestExchange_ClientThatResetsIsGone(t *testing.T) {
	seen := make(chan error, 2)
	c := connect(t, options(func(x *http2.Exchange) {
		_, err := x.ReadBody(make([]byte, 1))
		seen <- err
		_ = x.WriteHead(200, nil, nil, -1)
		_, err = x.Write([]byte("x"))
		seen <- err
	}))
	c.ask(1, false, post("/")...)
	c.must(c.WriteRSTStream(1, h2.ErrCodeCancel))
	for range 2 {
		if err := <-seen; !errors.Is(err, http1.ErrClientGone) {
			t.Errorf("error = %v, want %v", err, http1.ErrClientGone)
		}
	}
}

// A body that is not as long as announced never reaches its end.
func TestExchange_BodyOfTheWrongLengthIsReset(t *testing.T) {
	for _, sent := range []string{"12", "1234"} {
		failed := make(chan error, 1)
		c := connect(t, options(func(x *http2.Exchange) { _, err := readAll(x); failed <- err; x.Abort() }))
		c.ask(1, false, post("/", "content-length", "3")...)
		c.must(c.WriteData(1, true, []byte(sent)))
		if a := c.read(1); a.reset != h2.ErrCodeProtocol {
			t.Errorf("%d of 3 bytes: %+v, want RST_STREAM(PROTOCOL_ERROR)", len(sent), a)
		}
		if err := <-failed; err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%d of 3 bytes: reading ended with %v, want an error", len(sent), err)
		}
	}
}
