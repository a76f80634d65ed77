package tests

// Files that the application has the server send.

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
