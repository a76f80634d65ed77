package tests

// Files that the application has the server send.

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// content is what the file of handover holds.
func content(blocks int) string { return strings.Repeat("0123456789abcdef", blocks<<14) }

// Whatever is wrapped, the client gets what reading it would give.
func TestFileWrapper_SendsWhatReadingGives(t *testing.T) {
	s := Shared(t, "handover")
	whole := content(1)
	for kind, want := range map[string]string{
		"open": whole, "raw": whole, "update": whole, "temporary": whole, "named": whole, "spooled": whole, "delegate": whole,
		"small": whole[:1024], "gzip": whole, "memory": whole, "override": strings.ToUpper(whole), "subclass": strings.ToUpper(whole),
		"pipe": whole[:1024],
	} {
		for _, skip := range []int{0, 9} {
			mark := filepath.Join(t.TempDir(), "mark")
			r := s.Ask(fmt.Sprintf("/file?kind=%s&skip=%d&mark=%s", kind, skip, mark))
			if r.Line() != "200 OK" || r.Body != want[skip:] || r.Broken != nil {
				t.Errorf("%s from %d = %s, %d bytes, %v, want %d", kind, skip, r.Line(), len(r.Body), r.Broken, len(want)-skip)
			}
			s.wantMarks(mark, "closed\n")
		}
	}
	if r := s.Ask("/file?kind=proc"); !strings.Contains(r.Body, "VmRSS") {
		t.Errorf("/proc/self/status = %q, want what is made when it is read", r.Body)
	}
}

// wantMarks waits until an application's mark file holds a text, and no more.
func (s *Server) wantMarks(path, want string) {
	s.T.Helper()
	got := ""
	for deadline := time.Now().Add(patience); got != want && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.T.Fatal(err)
		}
		got = string(text)
	}
	if got != want {
		s.T.Errorf("marks = %q, want %q", got, want)
	}
}

// A real file's length is told although the application did not.
func TestFileWrapper_TellsTheLength(t *testing.T) {
	s := Shared(t, "handover")
	for target, want := range map[string]string{
		"/file": "262144", "/file?skip=100": "262044", "/file?length=1000": "1000", "HEAD /file": "262144", "HEAD /file?length=7": "7",
	} {
		r := s.Ask(target)
		if r.Value("Content-Length") != want || r.Broken != nil {
			t.Errorf("%s: Content-Length %q, %v, want %s", target, r.Value("Content-Length"), r.Broken, want)
		}
		if method, _, found := strings.Cut(target, " "); found && method == "HEAD" && r.Body != "" {
			t.Errorf("%s: %d bytes, want none", target, len(r.Body))
		}
	}
	c := s.Dial()
	for range 3 { // the connection lives on
		if r := c.Get("/file?length=100000"); r.Body != content(1)[:100000] {
			t.Errorf("with a Content-Length: %d bytes, want 100000", len(r.Body))
		}
	}
	if r := s.Ask("/file?length=262145"); r.Broken == nil {
		t.Error("a Content-Length beyond the file: the answer looks complete, want it broken off")
	}
	if r := s.Ask("/file?first=written"); r.Body != "written"+content(1) {
		t.Errorf("behind write(): %d bytes, want the text and the file", len(r.Body))
	}
}

// The thread is free, and close() called, while the client has yet to read.
func TestFileWrapper_KeepsNoWorker(t *testing.T) {
	dir := t.TempDir()
	path, mark := filepath.Join(dir, "large"), filepath.Join(dir, "mark")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<30); err != nil {
		t.Fatal(err)
	}
	s := Start(t, "handover", "--response-buffer", "0")
	slow := s.Dial()
	slow.Send(head("GET /file?path="+path+"&mark="+mark, "Host: tests"))
	s.wantMarks(mark, "closed\n")
	if r := slow.ReadHead("GET"); r.Value("Content-Length") != "1073741824" {
		t.Fatalf("Content-Length = %q, want 1073741824", r.Value("Content-Length"))
	}
	if r := s.Ask("/file"); r.Body != content(1) {
		t.Errorf("while a client reads slowly: %s, %d bytes, want another answer", r.Line(), len(r.Body))
	}
	if err := os.Truncate(path, 1<<20); err != nil { // the client must see that
		t.Fatal(err)
	}
	_ = slow.SetReadDeadline(time.Now().Add(patience))
	n, err := io.Copy(io.Discard, slow.reader)
	if n >= 1<<30 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a file that shrinks: %d bytes, %v, want the connection closed before all", n, err)
	}
	s.WaitFor("become shorter")
	_ = slow.Close()
	open := openFiles(t, s.PID(), dir) // closed just after the log has it
	for deadline := time.Now().Add(patience); len(open) > 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		open = openFiles(t, s.PID(), dir)
	}
	if len(open) > 0 {
		t.Errorf("the front has %q open, want nothing", open)
	}
}

// openFiles lists what a process has open below a folder.
func openFiles(t *testing.T, pid int, dir string) (found []string) {
	t.Helper()
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, dir) {
			found = append(found, to)
		}
	}
	return found
}

// Functions that wait for the client do, whatever it costs.
func TestFileWrapper_KeepsAfterResponseRight(t *testing.T) {
	s := Shared(t, "handover")
	mark := filepath.Join(t.TempDir(), "mark")
	if r := s.Ask("/file?after=1&times=3&mark=" + mark); r.Body != content(3) {
		t.Errorf("answer = %s, %d bytes, want the file", r.Line(), len(r.Body))
	}
	s.wantMarks(mark, "closed\nafter\n")
}

// naming is the path of an answer of handover that names a file.
func naming(options ...string) string {
	query := url.Values{}
	for i := 0; i < len(options); i += 2 {
		query.Set(options[i], options[i+1])
	}
	return "/named?" + query.Encode()
}

func TestSendfile_SendsWhatTheApplicationNames(t *testing.T) {
	text := patterned(1 << 20)
	dir := contents(t, map[string]string{"media/a b.txt": text, "secret": "secret"})
	s := Start(t, "handover", "--sendfile-root", "/media="+filepath.Join(dir, "media"))
	c := s.Dial()
	for _, options := range [][]string{
		{"value", filepath.Join(dir, "media/a b.txt")},
		{"header", "X-Accel-Redirect", "value", "/media/a%20b.txt"},
	} {
		mark := filepath.Join(t.TempDir(), "mark")
		target := naming(append(options, "mark", mark)...)
		r := c.Get(target)
		if r.Line() != "200 OK" || r.Body != text || r.Framing != Length || r.Value("Set-Cookie") != "a=1" || r.Value("Content-Type") != "text/plain" {
			t.Errorf("%q = %s, %d bytes (%s), fields %v, want the file with the application's fields", options, r.Line(), len(r.Body), r.Framing, r.Fields)
		}
		if got := r.Value("X-Sendfile") + r.Value("X-Accel-Redirect"); got != "" {
			t.Errorf("%q: the client was told %q, want the name kept from it", options, got)
		}
		if r := c.Get(target, "Range: bytes=10-19"); r.Line() != "206 Partial Content" || r.Body != text[10:20] {
			t.Errorf("%q, a range = %s %q, want 206 %q", options, r.Line(), r.Body, text[10:20])
		}
		if again := c.Get(target, "If-None-Match: "+r.Value("ETag")); again.Line() != "304 Not Modified" {
			t.Errorf("%q with the ETag = %s, want 304", options, again.Line())
		}
		if closed, err := os.ReadFile(mark); err != nil || string(closed) != strings.Repeat("closed\n", 3) {
			t.Errorf("%q: marks = %q, %v, want close() called once each time", options, closed, err)
		}
	}
	for value, want := range map[string]int{
		filepath.Join(dir, "secret"): 403, filepath.Join(dir, "media/../secret"): 403, filepath.Join(dir, "media/none"): 404, "/etc/passwd": 403,
	} {
		mark := s.Mark()
		if r := c.Get(naming("value", value)); r.Status != want || strings.Contains(r.Body, "secret") {
			t.Errorf("X-Sendfile: %s = %s %q, want %d", value, r.Line(), r.Body, want)
		}
		s.WaitForSince(mark, "that the application names is not sent")
	}
}

// A slow client keeps no worker: with one thread, others are served meanwhile.
func TestSendfile_KeepsNoWorker(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "large")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<30); err != nil {
		t.Fatal(err)
	}
	s := Start(t, "handover", "--sendfile-root", "/m="+dir)
	slow := s.Dial()
	slow.Send(head("GET "+naming("value", path), "Host: tests"))
	if r := slow.ReadHead("GET"); r.Value("Content-Length") != "1073741824" {
		t.Fatalf("Content-Length = %q, want 1073741824", r.Value("Content-Length"))
	}
	if r := s.Ask(naming("header", "X-Plain")); r.Body != "from the application\n" {
		t.Errorf("while a client reads slowly: %s %q, want the application's answer", r.Line(), r.Body)
	}
}

func TestSendfile_IsAFieldLikeAnyOtherWithoutTheFlag(t *testing.T) {
	s := Shared(t, "handover")
	r := s.Ask(naming("value", "/etc/passwd"))
	if r.Body != "from the application\n" || r.Value("X-Sendfile") != "/etc/passwd" {
		t.Errorf("without --sendfile-root: %q, X-Sendfile %q, want both passed on", r.Body, r.Value("X-Sendfile"))
	}
}
