package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fileOf makes a file of a text. It is closed when the test ends.
func fileOf(t *testing.T, text string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// numbered is a text in which every place is told from its neighbours.
func numbered(n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString("0123456789abcdefghijklmnopqrstuvwxyz.")
	}
	return b.String()[:n]
}

// A part of any size comes as it is in the file, whether it is read or sent by the kernel, and beside
// blocks that are written.
func TestSendFile_SendsAPart(t *testing.T) {
	text := numbered(5<<20 + 7)
	f := fileOf(t, text)
	for _, length := range []int64{0, 1, 1000, readLimit - 200, readLimit, 20000, 3 << 20, 5 << 20} {
		failed := make(chan error, 1)
		_, addr := serve(t, Options{Handler: handlerFunc(func(x *Exchange) {
			_ = x.WriteHead(200, []byte("OK"), textPlain, length+6)
			_, err := x.Write([]byte("<<<"))
			err = errors.Join(err, x.SendFile(f, 5, length))
			_, after := x.Write([]byte(">>>"))
			failed <- errors.Join(err, after, x.Finish())
		}), Timeouts: Timeouts{KeepAlive: patience}})
		c := dial(t, addr)
		for range 2 {
			c.send(get)
			if _, body := c.answer("GET"); body != "<<<"+text[5:5+length]+">>>" {
				t.Errorf("SendFile(5, %d): %d bytes came, want %d as they are in the file", length, len(body), length+6)
			}
			if err := <-failed; err != nil {
				t.Errorf("SendFile(5, %d) = %v, want nil", length, err)
			}
		}
	}
	if at, err := f.Seek(0, io.SeekCurrent); at != 0 || err != nil {
		t.Errorf("the file's position = %d, %v, want 0: it is not ours", at, err)
	}
}

func TestSendFile_FitsTheWayABodyIsSent(t *testing.T) {
	text := numbered(50000)
	f := fileOf(t, text)
	for name, c := range map[string]struct {
		request string
		length  int64
		want    string
	}{
		"chunked":     {get, -1, text},
		"HEAD":        {strings.Replace(get, "GET", "HEAD", 1), 50000, ""},
		"until close": {"GET / HTTP/1.0\r\n\r\n", -1, text},
	} {
		t.Run(name, func(t *testing.T) {
			written := make(chan int64, 1)
			_, addr := serve(t, Options{Handler: handlerFunc(func(x *Exchange) {
				_ = x.WriteHead(200, []byte("OK"), textPlain, c.length)
				err := errors.Join(x.SendFile(f, 0, 100), x.SendFile(f, 100, 49900), x.Finish())
				if err != nil {
					t.Errorf("SendFile() = %v, want nil", err)
				}
				written <- x.Written()
			}), Timeouts: Timeouts{KeepAlive: patience}})
			cl := dial(t, addr)
			cl.send(c.request)
			if _, body := cl.answer(strings.Fields(c.request)[0]); body != c.want {
				t.Errorf("body = %d bytes, want %d", len(body), len(c.want))
			}
			if n := <-written; n != 50000 {
				t.Errorf("Written() = %d, want 50000", n)
			}
		})
	}
}

// plainConn hides that a connection is a socket, as TLS does.
type plainConn struct{ net.Conn }

type plainListener struct{ net.Listener }

func (l plainListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return plainConn{c}, err
}

func TestSendFile_CopiesWhereTheKernelCannot(t *testing.T) {
	text := numbered(200000)
	f := fileOf(t, text)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Handler: handlerFunc(func(x *Exchange) {
		_ = x.WriteHead(200, []byte("OK"), textPlain, 200000)
		if err := errors.Join(x.SendFile(f, 0, 200000), x.Finish()); err != nil {
			t.Errorf("SendFile() = %v, want nil", err)
		}
	})})
	go func() { _ = s.Serve(plainListener{l}) }()
	t.Cleanup(func() { s.Close(); _ = s.Shutdown(context.Background()) })
	c := dial(t, l.Addr().String())
	c.send(get)
	if _, body := c.answer("GET"); body != text {
		t.Errorf("body = %d bytes, want the 200000 of the file", len(body))
	}
}

// A file that has become shorter than was announced: what there is, then a broken connection.
func TestSendFile_TellsOfAFileThatIsTooShort(t *testing.T) {
	text := numbered(100000)
	for name, c := range map[string]struct{ have, announced int64 }{
		"that is read": {100, 200}, "that the kernel sends": {100000, 100001}, "that is empty": {0, 90000},
	} {
		t.Run(name, func(t *testing.T) {
			f := fileOf(t, text[:c.have])
			failed := make(chan error, 1)
			_, addr := serve(t, Options{Handler: handlerFunc(func(x *Exchange) {
				_ = x.WriteHead(200, []byte("OK"), textPlain, c.announced)
				failed <- x.SendFile(f, 0, c.announced)
				x.Abort()
			})})
			cl := dial(t, addr)
			cl.send(get)
			rest := cl.rest()
			if err := <-failed; err != io.ErrUnexpectedEOF {
				t.Errorf("SendFile() = %v, want %v", err, io.ErrUnexpectedEOF)
			}
			if _, body, _ := strings.Cut(rest, "\r\n\r\n"); int64(len(body)) >= c.announced {
				t.Errorf("%d bytes of body came, want fewer than the %d announced", len(body), c.announced)
			}
		})
	}
}

func TestSendFile_RefusesWhatTheHeadDoesNotAllow(t *testing.T) {
	f := fileOf(t, numbered(100))
	results := make(chan [3]error, 1)
	_, addr := serve(t, Options{Handler: handlerFunc(func(x *Exchange) {
		var got [3]error
		got[0] = x.SendFile(f, 0, 10)
		_ = x.WriteHead(200, []byte("OK"), textPlain, 9)
		got[1] = x.SendFile(f, 0, 10)
		_ = x.SendFile(f, 0, 9)
		_ = x.Finish()
		got[2] = x.SendFile(f, 0, 0)
		results <- got
	})})
	c := dial(t, addr)
	c.send(get)
	if _, body := c.answer("GET"); body != "012345678" {
		t.Errorf("body = %q, want the nine bytes announced", body)
	}
	if got, want := <-results, [3]error{ErrNoHead, ErrTooMuch, ErrEnded}; got != want {
		t.Errorf("SendFile() before the head, beyond its length, after the end = %v, want %v", got, want)
	}
}

// A client that takes nothing is given up; one that goes away is noticed.
func TestSendFile_EndsWithTheClient(t *testing.T) {
	f := fileOf(t, "")
	if err := os.Truncate(f.Name(), 64<<20); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		timeouts Timeouts
		leave    bool
		want     error
	}{
		"idle": {Timeouts{Send: 50e6}, false, ErrSendTimeout},
		"gone": {Timeouts{}, true, ErrClientGone},
	} {
		t.Run(name, func(t *testing.T) {
			failed := make(chan error, 1)
			_, addr := serve(t, Options{Timeouts: c.timeouts, Handler: handlerFunc(func(x *Exchange) {
				_ = x.WriteHead(200, []byte("OK"), textPlain, 64<<20)
				failed <- x.SendFile(f, 0, 64<<20)
			})})
			cl := dial(t, addr)
			cl.send(get)
			if c.leave {
				if _, err := io.ReadFull(cl, make([]byte, 100)); err != nil {
					t.Fatal(err)
				}
				_ = cl.Close()
			}
			if err := <-failed; err != c.want {
				t.Errorf("SendFile() = %v, want %v", err, c.want)
			}
		})
	}
}
