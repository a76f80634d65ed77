package http2_test

// A client that says exactly what a test wants, frame by frame.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gowsgi/environ"
	"gowsgi/wsgi/http1"
	"gowsgi/wsgi/http2"
)

// patience is how long anything may take that is not meant to take time.
const patience = 10 * time.Second

// handler makes a function a Handler.
type handler func(*http2.Exchange)

func (h handler) ServeExchange(x *http2.Exchange) { h(x) }

// options are those of a server whose timers do not end tests.
func options(h handler) http2.Options {
	return http2.Options{
		Timeouts: http1.Timeouts{Header: time.Minute, Body: time.Minute, Send: time.Minute, KeepAlive: time.Minute},
		Handler:  h, Server: "test", Log: slog.New(slog.DiscardHandler),
	}
}

// client is one connection.
type client struct {
	*h2.Framer
	t       *testing.T
	conn    net.Conn
	server  *http2.Server
	block   bytes.Buffer
	encoder *hpack.Encoder
	ended   chan struct{} // the server is through with the connection
}

// answer is what came for a stream.
type answer struct {
	status  string
	fields  []hpack.HeaderField
	interim []string
	body    string
	reset   h2.ErrCode // ErrCodeNo without RST_STREAM, or with that very code
	broken  bool       // RST_STREAM came before the end
}

func (a *answer) field(name string) string {
	var values []string
	for _, f := range a.fields {
		if f.Name == name {
			values = append(values, f.Value)
		}
	}
	return strings.Join(values, ", ")
}

// connect connects to a new server and exchanges SETTINGS with it.
func connect(t *testing.T, o http2.Options, settings ...h2.Setting) *client {
	t.Helper()
	return connectTo(t, http2.New(o), settings...)
}

// connectTo is connect for a server that is there.
func connectTo(t *testing.T, s *http2.Server, settings ...h2.Setting) *client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := &client{Framer: h2.NewFramer(conn, conn), t: t, conn: conn, server: s, ended: make(chan struct{})}
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.encoder = hpack.NewEncoder(&c.block)
	go func() {
		defer close(c.ended)
		c.server.ServeConn(accepted, []byte(h2.ClientPreface), environ.Request{Scheme: "https", ServerName: "s", ServerPort: "443"})
	}()
	t.Cleanup(func() { conn.Close(); c.awaitEnd() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	c.must(c.WriteSettings(settings...))
	return c
}

func (c *client) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) awaitEnd() {
	select {
	case <-c.ended:
	case <-time.After(patience):
		c.t.Error("the server has not ended the connection")
	}
}

// get are the pseudo-fields of a GET for path.
func get(path string, more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "https", ":path", path, ":authority", "shop.example"}, more...)
}

func post(path string, more ...string) []string {
	return append([]string{":method", "POST"}, get(path, more...)[2:]...)
}

// ask begins a stream.
func (c *client) ask(id uint32, end bool, fields ...string) {
	c.t.Helper()
	c.must(c.tryAsk(id, end, fields...))
}

// tryAsk is ask for a connection that may be broken by now.
func (c *client) tryAsk(id uint32, end bool, fields ...string) error {
	return c.WriteHeaders(h2.HeadersFrameParam{StreamID: id, BlockFragment: c.encode(fields), EndStream: end, EndHeaders: true})
}

func (c *client) encode(fields []string) []byte {
	c.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = c.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}) // into memory
	}
	return c.block.Bytes()
}

// next is the next frame that is no SETTINGS or WINDOW_UPDATE.
func (c *client) next() (h2.Frame, error) {
	for {
		f, err := c.ReadFrame()
		if err != nil {
			return nil, err
		}
		switch f.(type) {
		case *h2.SettingsFrame, *h2.WindowUpdateFrame:
			continue
		}
		return f, nil
	}
}

// read reads a stream's answer to its end. Frames of other streams end the test.
func (c *client) read(id uint32) *answer {
	c.t.Helper()
	a := &answer{}
	for {
		f, err := c.next()
		c.must(err)
		if f.Header().StreamID != id {
			c.t.Fatalf("frame %v, want one of stream %d", f, id)
		}
		switch f := f.(type) {
		case *h2.MetaHeadersFrame:
			if status := f.PseudoValue("status"); status[0] == '1' {
				a.interim = append(a.interim, status)
				continue
			}
			a.status, a.fields = f.PseudoValue("status"), f.RegularFields()
		case *h2.DataFrame:
			a.body += string(f.Data())
		case *h2.RSTStreamFrame:
			a.reset, a.broken = f.ErrCode, true
			return a
		}
		if f.Header().Flags.Has(h2.FlagDataEndStream) {
			return a
		}
	}
}

// wantGoAway reads up to GOAWAY.
func (c *client) wantGoAway(code h2.ErrCode) *h2.GoAwayFrame {
	c.t.Helper()
	for {
		f, err := c.next()
		if err != nil {
			c.t.Fatalf("no GOAWAY (%s): %v", code, err)
		}
		if away, ok := f.(*h2.GoAwayFrame); ok {
			if away.ErrCode != code {
				c.t.Fatalf("GOAWAY = %s, want %s", away.ErrCode, code)
			}
			return away
		}
	}
}

// wantClosed waits for the end of the connection, whatever comes before.
func (c *client) wantClosed() {
	c.t.Helper()
	for {
		if _, err := c.next(); err != nil {
			if !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
				c.t.Fatalf("connection ended with %v, want its end", err)
			}
			return
		}
	}
}

// reply answers with text.
func reply(x *http2.Exchange, status int, text string) {
	if x.WriteHead(status, []byte("Fine"), nil, int64(len(text))) == nil {
		_, _ = x.Write([]byte(text))
		_ = x.Finish()
	}
}

// readAll reads the body of a request.
func readAll(x *http2.Exchange) (string, error) {
	var all []byte
	p := make([]byte, 1000)
	for {
		n, err := x.ReadBody(p)
		all = append(all, p[:n]...)
		if errors.Is(err, io.EOF) {
			return string(all), nil
		}
		if err != nil {
			return string(all), err
		}
	}
}

// echo answers with what it got.
func echo(x *http2.Exchange) {
	body, err := readAll(x)
	var status interface{ Status() int }
	if errors.As(err, &status) {
		_ = x.Refuse(status.Status(), err.Error())
		return
	}
	reply(x, 200, fmt.Sprintf("%s %s %d %q", x.Request.Method, x.Request.Target, len(body), body[:min(len(body), 10)]))
}
