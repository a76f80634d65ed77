package http2_test

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"

	"gowsgi/wsgi/http1"
	"gowsgi/wsgi/http2"
)

// What HTTP/1.1 would refuse is refused with the same status, and the handler never asked.
func TestLimits_RefuseWithTheStatusOfHTTP1(t *testing.T) {
	o := options(func(x *http2.Exchange) { t.Errorf("handler called for %s", x.Request.Target) })
	o.Limits = http1.Limits{RequestLine: 200, Fields: 10, FieldSize: 300, HeaderSize: 1000, Body: 50}
	many := get("/")
	for range 11 {
		many = append(many, "x", "y")
	}
	v := strings.Repeat("v", 290)
	huge := get("/")
	for range 9 {
		huge = append(huge, "x", strings.Repeat("y", 12000))
	}
	for name, c := range map[string]struct {
		fields []string
		want   string
	}{
		"long path":        {get("/" + strings.Repeat("x", 200)), "414"},
		"many fields":      {many, "431"},
		"long field":       {get("/", "x", strings.Repeat("y", 300)), "431"},
		"fields together":  {get("/", "a", v, "b", v, "c", v, "d", v), "431"},
		"long body":        {post("/", "content-length", "51"), "413"},
		"expectation":      {post("/", "expect", "miracles"), "417"},
		"two hosts":        {get("/", "host", "other.example"), "400"},
		"bad escape":       {get("/%zz"), "400"},
		"fragment":         {get("/#x"), "400"},
		"bad authority":    {[]string{":method", "GET", ":scheme", "https", ":path", "/", ":authority", "a b"}, "400"},
		"no authority":     {[]string{":method", "GET", ":scheme", "https", ":path", "/"}, "400"},
		"user information": {[]string{":method", "GET", ":scheme", "https", ":path", "/", ":authority", "u@h"}, "400"},
		"absolute path":    {get("https://shop.example/"), "400"},
		"asterisk":         {get("*"), "400"},
		"connect":          {[]string{":method", "CONNECT", ":authority", "h:1"}, "501"},
	} {
		conn := connect(t, o)
		conn.ask(1, c.want != "413" && c.want != "417", c.fields...)
		if a := conn.read(1); a.status != c.want || !strings.HasPrefix(a.body, c.want+" ") {
			t.Errorf("%s: status %s, body %q, want %s", name, a.status, a.body, c.want)
		}
	}
	conn := connect(t, o)
	block := conn.encode(huge)
	conn.must(conn.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:16000], EndStream: true}))
	for block = block[16000:]; len(block) > 0; {
		n := min(len(block), 16000)
		if conn.WriteContinuation(1, n == len(block), block[:n]) != nil {
			break // cut off already
		}
		block = block[n:]
	}
	conn.wantClosed()
}

func TestLimits_HoldForStreamsToComeWhenAdjusted(t *testing.T) {
	o := options(echo)
	c := connect(t, o)
	c.ask(1, true, get("/", "x", "yyyyyyyyyy")...)
	if a := c.read(1); a.status != "200" {
		t.Errorf("status = %s, want 200", a.status)
	}
	c.server.Adjust(http1.Limits{FieldSize: 10}, o.Timeouts)
	c.ask(3, true, get("/", "x", "yyyyyyyyyy")...)
	if a := c.read(3); a.status != "431" {
		t.Errorf("status after Adjust = %s, want 431", a.status)
	}
}

func TestMinRate_ABodyThatTricklesGets408(t *testing.T) {
	o := options(func(x *http2.Exchange) {
		if _, err := io.Copy(io.Discard, reading{x}); err != http1.ErrBodyTooSlow {
			t.Errorf("ReadBody = %v, want %v", err, http1.ErrBodyTooSlow)
		}
		_ = x.Refuse(408, "too slow")
	})
	o.MinRate, o.RateGrace = 1000, 40*time.Millisecond
	c := connect(t, o)
	c.ask(1, false, post("/")...)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticks := time.NewTicker(10 * time.Millisecond)
		defer ticks.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticks.C:
				_ = c.WriteData(1, false, []byte("x")) // the stream may have been reset
			}
		}
	}()
	a := c.read(1)
	close(stop)
	<-stopped
	if a.status != "408" {
		t.Errorf("status of a body of 100 bytes a second = %s, want 408", a.status)
	}
}

// reading reads a body as an io.Reader does.
type reading struct{ *http2.Exchange }

func (r reading) Read(p []byte) (int, error) { return r.ReadBody(p) }

func TestLimits_BodyThatGrowsTooLarge(t *testing.T) {
	o := options(echo)
	o.Limits.Body = 50
	c := connect(t, o)
	c.ask(1, false, post("/")...)
	c.must(c.WriteData(1, false, make([]byte, 51)))
	if a := c.read(1); a.status != "413" {
		t.Errorf("status = %s, want 413", a.status)
	}
}

// What breaks HTTP/2 itself is reset; the connection lives on.
func TestLimits_MalformedRequestsAreReset(t *testing.T) {
	c := connect(t, options(echo))
	id := uint32(1)
	for name, fields := range map[string][]string{
		"connection":          get("/", "connection", "close"),
		"transfer-encoding":   post("/", "transfer-encoding", "chunked"),
		"upgrade":             get("/", "upgrade", "x"),
		"te":                  get("/", "te", "gzip"),
		"upper case":          get("/", "X-Upper", "x"),
		"control in value":    get("/", "x", "a\x00b"),
		"line end in value":   get("/", "x", "a\r\nb: c"),
		"line end in name":    get("/", "x\r\ny", "c"),
		"pseudo after others": append([]string{"x", "y"}, get("/")...),
		"unknown pseudo":      append([]string{":protocol", "x"}, get("/")...),
		"path twice":          append([]string{":path", "/"}, get("/")...),
		"no path":             {":method", "GET", ":scheme", "https", ":authority", "h"},
		"empty path":          get(""),
		"no method":           get("/")[2:],
		"method no token":     append([]string{":method", "G ET"}, get("/")[2:]...),
		"two lengths":         post("/", "content-length", "1", "content-length", "2"),
		"signed length":       post("/", "content-length", "+1"),
		"length, no body":     post("/", "content-length", "1"),
	} {
		c.ask(id, true, fields...)
		if a := c.read(id); a.reset != h2.ErrCodeProtocol {
			t.Errorf("%s: %+v, want RST_STREAM(PROTOCOL_ERROR)", name, a)
		}
		id += 2
	}
	c.ask(id, true, get("/")...)
	if a := c.read(id); a.status != "200" {
		t.Errorf("afterwards: status %s, want 200", a.status)
	}
}

// Streams count until their handlers are through: resetting them makes no room (CVE-2023-44487).
func TestAbuse_ResetStreamsStillCount(t *testing.T) {
	o := options(nil)
	o.Streams = 3
	begun, release := make(chan struct{}, 100), make(chan struct{})
	o.Handler = handler(func(*http2.Exchange) { begun <- struct{}{}; <-release })
	c := connect(t, o)
	for id := uint32(1); id <= 5; id += 2 {
		c.ask(id, true, get("/")...)
		<-begun
		c.must(c.WriteRSTStream(id, h2.ErrCodeCancel))
	}
	c.ask(7, true, get("/")...)
	if a := c.read(7); a.reset != h2.ErrCodeRefusedStream {
		t.Errorf("fourth stream: %+v, want RST_STREAM(REFUSED_STREAM)", a)
	}
	close(release)
}

func TestAbuse_IsCalmed(t *testing.T) {
	for name, attack := range map[string]func(c *client, id uint32) error{
		"rapid reset": func(c *client, id uint32) error {
			_ = c.tryAsk(id, false, get("/")...)
			return c.WriteRSTStream(id, h2.ErrCodeCancel)
		},
		"making us reset": func(c *client, id uint32) error {
			_ = c.tryAsk(id, false, get("/")...)
			return c.WriteWindowUpdate(id, 1<<31-1)
		},
		"malformed": func(c *client, id uint32) error { return c.tryAsk(id, true, get("/", "te", "x")...) },
		"ping":      func(c *client, _ uint32) error { return c.WritePing(false, [8]byte{}) },
		"settings":  func(c *client, _ uint32) error { return c.WriteSettings() },
		"priority":  func(c *client, id uint32) error { return c.WritePriority(id, h2.PriorityParam{StreamDep: id + 2}) },
		"unknown":   func(c *client, _ uint32) error { return c.WriteRawFrame(0xfe, 0, 0, nil) },
		"window":    func(c *client, _ uint32) error { return c.WriteWindowUpdate(0, 1) },
		"empty data": func(c *client, id uint32) error {
			if id == 1 {
				_ = c.tryAsk(1, false, post("/")...)
			}
			return c.WriteData(1, false, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(func(x *http2.Exchange) { _, _ = readAll(x); x.Abort() })
			c := connect(t, o)
			go func() { // until the connection breaks under it
				for id := uint32(1); id < 100001; id += 2 {
					if attack(c, id) != nil {
						return
					}
				}
			}()
			c.wantGoAway(h2.ErrCodeEnhanceYourCalm)
			_ = c.conn.Close()
			c.awaitEnd()
		})
	}
}

func TestConn_IdleConnectionIsClosed(t *testing.T) {
	o := options(echo)
	o.KeepAlive = 20 * time.Millisecond
	c := connect(t, o)
	c.ask(1, true, get("/")...)
	if a := c.read(1); a.status != "200" {
		t.Fatalf("status = %s, want 200", a.status)
	}
	if away := c.wantGoAway(h2.ErrCodeNo); away.LastStreamID != 1 {
		t.Errorf("GOAWAY names stream %d, want 1", away.LastStreamID)
	}
	c.wantClosed()
}

func TestConn_WithoutKeepAliveServesOneStream(t *testing.T) {
	o := options(echo)
	o.KeepAlive = 0
	testOneStream(t, o)
}

func TestConn_AsManyRequestsAsItMayHave(t *testing.T) {
	o := options(echo)
	o.Limits.Requests = 1
	testOneStream(t, o)
}

func testOneStream(t *testing.T, o http2.Options) {
	t.Helper()
	c := connect(t, o)
	c.ask(1, true, get("/")...)
	c.ask(3, true, get("/")...)
	answered, away := []uint32{}, []uint32{}
	for {
		f, err := c.next()
		if err != nil {
			break
		}
		switch f := f.(type) {
		case *h2.MetaHeadersFrame:
			answered = append(answered, f.StreamID)
		case *h2.GoAwayFrame:
			away = append(away, f.LastStreamID)
		}
	}
	if !slices.Equal(answered, []uint32{1}) || !slices.Equal(away, []uint32{1}) {
		t.Errorf("answered %v, GOAWAY names %v, want stream 1 both", answered, away)
	}
}

// A frame that does not come to its end, or a head without its last CONTINUATION, is not waited for.
func TestConn_HalfAFrameIsATimeout(t *testing.T) {
	o := options(echo)
	o.Header = 20 * time.Millisecond
	c := connect(t, o)
	block := c.encode(get("/"))
	c.must(c.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndStream: true}))
	c.wantClosed()
}

// What is on its way when the server leaves is served; what comes later is the client's to repeat.
func TestGoAway_ServesWhatHasBegun(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	c := connect(t, options(func(x *http2.Exchange) {
		if string(x.Request.Target) == "/slow" {
			close(begun)
			<-release
		}
		reply(x, 200, string(x.Request.Target))
	}))
	c.ask(1, true, get("/slow")...)
	<-begun
	c.server.GoAway()
	if away := c.wantGoAway(h2.ErrCodeNo); away.LastStreamID != 1<<31-1 {
		t.Errorf("first GOAWAY names stream %d, want the highest", away.LastStreamID)
	}
	f, err := c.next()
	c.must(err)
	ping, ok := f.(*h2.PingFrame)
	if !ok {
		t.Fatalf("frame = %v, want PING", f)
	}
	data := ping.Data
	c.ask(3, true, get("/on-its-way")...)
	if a := c.read(3); a.body != "/on-its-way" {
		t.Errorf("body = %q, want /on-its-way", a.body)
	}
	c.must(c.WritePing(true, data))
	if away := c.wantGoAway(h2.ErrCodeNo); away.LastStreamID != 3 {
		t.Errorf("second GOAWAY names stream %d, want 3", away.LastStreamID)
	}
	c.ask(5, true, get("/late")...)
	close(release)
	if a := c.read(1); a.body != "/slow" {
		t.Errorf("body = %q, want /slow", a.body)
	}
	c.wantClosed()
}

// Who was told to go elsewhere, and is sent here again, must not be turned away once more.
func TestPart_ServesConnectionsThatComeLater(t *testing.T) {
	c := connect(t, options(echo))
	c.ask(1, true, get("/")...)
	c.read(1)
	c.server.Part()
	c.wantGoAway(h2.ErrCodeNo)
	later := connectTo(t, c.server)
	later.ask(1, true, get("/")...)
	if a := later.read(1); a.status != "200" {
		t.Errorf("status on a connection that comes after Part = %s, want 200", a.status)
	}
	c.server.GoAway()
	later.wantGoAway(h2.ErrCodeNo)
}

// A connection that comes when the server leaves already gets its one round trip.
func TestGoAway_ConnectionThatComesLate(t *testing.T) {
	c := connect(t, options(echo))
	c.server.GoAway()
	late := connectTo(t, c.server)
	late.ask(1, true, get("/")...)
	f, err := late.ReadFrame()
	late.must(err)
	if _, ok := f.(*h2.SettingsFrame); !ok {
		t.Errorf("first frame = %v, want SETTINGS", f)
	}
	late.wantGoAway(h2.ErrCodeNo)
}
