//go:build !race

// Under the race detector pools lose things on purpose.

package http1

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"

	"gowsgi/environ"
)

func TestExchange_AllocatesNothingOnKeepAlive(t *testing.T) {
	block := make([]byte, 3*copyLimit)
	p := make([]byte, 4096)
	for name, c := range map[string]struct {
		request string
		size    int // of the body
		length  int64
	}{
		"small answer":        {get, 14, 14},
		"browser request":     {browserHead, 14, 14},
		"chunked answer":      {get, 14, -1},
		"large answer":        {get, len(block), int64(len(block))},
		"large chunk":         {get, len(block), -1},
		"counted request":     {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 14, 14},
		"chunked request":     {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 14, 14},
		"head of 5 KiB":       {"GET / HTTP/1.1\r\nHost: a\r\nCookie: " + string(makeText(5<<10)) + "\r\n\r\n", 14, 14},
		"HTTP/1.0 keep-alive": {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 14, 14},
	} {
		t.Run(name, func(t *testing.T) {
			_, addr := serve(t, Options{Server: "gowsgi", Timeouts: defaultTimeouts, Handler: handlerFunc(func(x *Exchange) {
				for {
					if _, err := x.ReadBody(p); err != nil {
						break
					}
				}
				_ = x.WriteHead(200, okReason, textPlain, c.length)
				_, _ = x.Write(block[:c.size])
				_ = x.Finish()
			})})
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			request, answer := []byte(c.request), make([]byte, 64<<10)
			size := 0
			exchange := func() {
				_, _ = conn.Write(request)
				if size == 0 { // the first answer says how long all are: Date does not change in length
					size = sizeOfAnswer(t, conn)
					return
				}
				if _, err := io.ReadFull(conn, answer[:size]); err != nil {
					t.Fatal(err)
				}
			}
			// A new Date line each second and deadlines now and then are allowed for by the average.
			if n := testing.AllocsPerRun(500, exchange); n != 0 {
				t.Errorf("an exchange allocates %v times, want 0", n)
			}
		})
	}
}

// sizeOfAnswer reads one answer and gives its size with head and framing.
func sizeOfAnswer(t *testing.T, c net.Conn) int {
	t.Helper()
	var read countedBytes
	resp, err := http.ReadResponse(bufio.NewReader(io.TeeReader(c, &read)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return int(read)
}

// countedBytes counts what is written to it.
type countedBytes int

func (n *countedBytes) Write(p []byte) (int, error) {
	*n += countedBytes(len(p))
	return len(p), nil
}

func TestParseHead_AllocatesNothing(t *testing.T) {
	var r environ.Request
	buf := []byte(browserHead)
	if n := testing.AllocsPerRun(100, func() { _, _ = ParseHead(buf, Limits{}, &r) }); n != 0 {
		t.Errorf("ParseHead allocates %v times, want 0", n)
	}
}
