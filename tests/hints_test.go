package tests

// 103 Early Hints, RFC 8297.

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// wantHints reads the two hints that handover gives.
func wantHints(t *testing.T, c *Conn) {
	t.Helper()
	for i, want := range []string{"</style.css>; rel=preload; as=style", "</script.js>; rel=preload; as=script"} {
		r := c.ReadHead("GET")
		if r.Line() != "103 Early Hints" || r.Value("Link") != want || r.Framing != None || len(r.Fields) != 2-i {
			t.Fatalf("hint %d = %s, fields %v, want 103 with Link %s", i, r.Line(), r.Fields, want)
		}
	}
}

// The hints are with the client while the application is still at work.
func TestEarlyHints_AreSentAtOnce(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	if err := unix.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	s := Shared(t, "handover")
	c := s.Dial()
	for range 2 {
		c.Send(head("GET /hints?gate="+gate, "Host: tests"))
		wantHints(t, c)
		opened, err := os.OpenFile(gate, os.O_WRONLY, 0) // the application is there
		if err != nil {
			t.Fatal(err)
		}
		_ = opened.Close()
		if r := c.Read("GET"); r.Line() != "200 OK" || r.Body != "hinted\n" || r.Value("Link") != "" {
			t.Errorf("answer = %s %q, fields %v, want 200 hinted", r.Line(), r.Body, r.Fields)
		}
	}
	c.Send(head("GET /hints?kind=many", "Host: tests"))
	for range 50 {
		wantHints(t, c)
	}
	if r := c.Read("GET"); r.Body != "hinted\n" {
		t.Errorf("answer after many hints = %s %q, want hinted", r.Line(), r.Body)
	}
}

func TestEarlyHints_AreNothingToHTTP10(t *testing.T) {
	s := Shared(t, "handover")
	c := s.Dial()
	c.Send("GET /hints HTTP/1.0\r\n\r\n")
	if r := c.Read("GET"); r.Line() != "200 OK" || r.Body != "hinted\n" {
		t.Errorf("answer = %s %q, want 200 alone", r.Line(), r.Body)
	}
}

func TestEarlyHints_AreCheckedLikeHeaders(t *testing.T) {
	s := Shared(t, "handover")
	for kind, want := range map[string]string{
		"late": "RuntimeError", "type": "TypeError", "name": "ValueError", "control": "ValueError", "hop": "ValueError",
		"huge": "ValueError", "empty": "nothing",
	} {
		if r := s.Ask("/hints?kind=" + kind); r.Line() != "200 OK" || r.Body != want {
			t.Errorf("%s: %s %q, want 200 %s and no hint", kind, r.Line(), r.Body, want)
		}
	}
}

// What fails after its hints is an error as without them.
func TestEarlyHints_DoNotBeginTheAnswer(t *testing.T) {
	s := Shared(t, "handover")
	c := s.Dial()
	c.Send(head("GET /hints?kind=fails", "Host: tests"))
	wantHints(t, c)
	if r := c.Read("GET"); r.Line() != "500 Internal Server Error" {
		t.Errorf("answer = %s, want 500", r.Line())
	}
	s.WaitFor("handover fails as asked")
}
