package http2_test

import (
	"io"
	"net"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"

	"gowsgi/wsgi/http1"
)

// The engine of HTTP/1 turns connections away before it is known what they speak.
func TestAdmission_TurnsClientsOfHTTP2AwayInTheirLanguage(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := http1.New(http1.Options{Timeouts: options(nil).Timeouts, Admission: http1.Admission{Connections: 1}})
	go func() { _ = s.Serve(l) }() // ErrClosed
	t.Cleanup(s.Close)
	var conn net.Conn
	for range 2 { // accepted in the order they come
		if conn, err = net.Dial("tcp", l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	framer := h2.NewFramer(conn, conn)
	if _, err := io.WriteString(conn, h2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if f, err := framer.ReadFrame(); err != nil || f.Header().Type != h2.FrameSettings {
		t.Fatalf("first frame = %v, %v, want SETTINGS", f, err)
	}
	f, err := framer.ReadFrame()
	if away, ok := f.(*h2.GoAwayFrame); !ok || away.LastStreamID != 0 || away.ErrCode != h2.ErrCodeEnhanceYourCalm {
		t.Errorf("second frame = %v, %v, want GOAWAY for stream 0 with %s", f, err, h2.ErrCodeEnhanceYourCalm)
	}
	if rest, err := io.ReadAll(conn); err != nil || len(rest) > 0 {
		t.Errorf("behind GOAWAY came %q, %v, want the end", rest, err)
	}
}
