package tests

// The module gowsgi, in the whole program.

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fifo makes a FIFO that a function after the response waits at.
func fifo(t *testing.T) (path string, open func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "gate")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, func() {
		t.Helper()
		// waits until the function is there
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close() // nothing was written
	}
}

// marks reads the file of marks, once it holds n lines.
func marks(t *testing.T, path string, n int) (lines []string) {
	t.Helper()
	await(t, fmt.Sprintf("%d marks", n), func() bool {
		text, err := os.ReadFile(path)
		lines = strings.Fields(string(text))
		return err == nil && strings.Count(string(text), "\n") >= n
	})
	return lines
}

func TestModule_RequestIDIsThatOfTheEnvironAndTheLog(t *testing.T) {
	s := Shared(t, "afterwards", "-w", "2")
	seen := map[string]bool{}
	for range 10 {
		var told struct {
			Worker  int    `json:"worker_id"`
			ID      string `json:"request_id"`
			Environ string `json:"environ"`
		}
		if err := json.Unmarshal([]byte(s.Ask("/ids").Body), &told); err != nil {
			t.Fatal(err)
		}
		if len(told.ID) != 16 || told.ID != told.Environ || seen[told.ID] || told.Worker < 1 {
			t.Errorf("GET /ids = %+v, want a worker and an id that is new and in the environ", told)
		}
		seen[told.ID] = true
	}
	mark, file := s.Mark(), filepath.Join(t.TempDir(), "marks")
	s.Ask("/answer?kind=raise&mark=" + url.QueryEscape(file))
	id := marks(t, file, 1)[1]
	if line := s.WaitForSince(mark, "the application failed"); !strings.Contains(line, "id="+id) {
		t.Errorf("log = %q, want id=%s in it", line, id)
	}
}

// The function stands at its gate while the client has the whole response, and
// gets the next one on the same connection, from another worker.
func TestModule_AfterResponseKeepsTheThreadButNotTheClient(t *testing.T) {
	s := Shared(t, "afterwards", "-w", "2")
	for _, c := range []struct {
		method, kind string
		status       int
		body         string
	}{
		{"GET", "list", 200, "whole\n"}, {"GET", "generator", 200, "whole\n"}, {"GET", "write", 200, "whole\n"},
		{"GET", "empty", 200, ""}, {"HEAD", "list", 200, ""}, {"HEAD", "generator", 200, ""}, {"GET", "raise", 500, ""},
	} {
		t.Run(c.method+" "+c.kind, func(t *testing.T) {
			path, open := fifo(t)
			file := filepath.Join(t.TempDir(), "marks")
			conn := s.Dial()
			defer conn.Close()
			conn.Send(head(c.method+" /answer?kind="+c.kind+"&gate="+url.QueryEscape(path)+"&mark="+url.QueryEscape(file), "Host: tests"))
			if r := conn.Read(c.method); r.Status != c.status || c.status == 200 && r.Body != c.body {
				t.Errorf("%s = %s %q, want %d %q", c.kind, r.Line(), r.Body, c.status, c.body)
			}
			for range 5 {
				conn.Send(head("GET /ids", "Host: tests"))
				if r := conn.Read("GET"); r.Status != 200 {
					t.Errorf("GET /ids meanwhile = %s, want 200", r.Line())
				}
			}
			if got := marks(t, file, 1); len(got) != 2 || got[0] != "first" {
				t.Errorf("marks = %q before the gate is open, want the first only", got)
			}
			open()
			got := marks(t, file, 2)
			if len(got) != 4 || got[2] != "last" || got[1] != got[3] || len(got[1]) != 16 {
				t.Errorf("marks = %q, want first and last with the same id", got)
			}
		})
	}
}

func TestModule_AfterResponseRunsForAClientThatLeft(t *testing.T) {
	s := Start(t, "afterwards")
	file := filepath.Join(t.TempDir(), "marks")
	c := s.Dial()
	c.Send(head("GET /answer?kind=endless&mark="+url.QueryEscape(file), "Host: tests"))
	if _, err := c.reader.Peek(1000); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if got := marks(t, file, 2); got[0] != "first" || got[2] != "last" {
		t.Errorf("marks = %q, want both functions run", got)
	}
}

func TestModule_AfterResponseFailuresAreLoggedWithTheirRequest(t *testing.T) {
	s := Start(t, "afterwards")
	file := filepath.Join(t.TempDir(), "marks")
	s.Ask("/answer?fails=1&mark=" + url.QueryEscape(file))
	id := marks(t, file, 2)[1]
	line := s.WaitFor("the application failed after its answer")
	if !strings.Contains(line, `request="GET /answer?fails=1`) || !strings.Contains(line, "id="+id) {
		t.Errorf("log = %q, want the request and id=%s", line, id)
	}
	s.WaitFor("RuntimeError: afterwards fails as asked")
}

// --after-response-timeout: the worker is replaced, the client knows nothing.
func TestModule_AfterResponseIsLimited(t *testing.T) {
	s := Start(t, "afterwards", "--after-response-timeout", "200ms", "-t", "10m", "--graceful-timeout", "100ms")
	before := s.workerPIDs()
	if r := s.Ask("/answer?stuck=1"); r.Status != 200 || r.Body != "whole\n" {
		t.Errorf("GET /answer = %s %q, want it whole", r.Line(), r.Body)
	}
	line := s.WaitFor("after_response has taken too long")
	if !strings.Contains(line, "GET /answer?stuck=1") || !strings.Contains(line, "id=") {
		t.Errorf("log = %q, want the request and its id", line)
	}
	s.WaitFor("because after_response has run out of time:")
	s.WaitFor("Current thread 0x")
	await(t, "another worker instead", func() bool {
		now := s.workerPIDs()
		return len(now) == 1 && now[0] != before[0]
	})
	if r := s.Ask("/ids"); r.Status != 200 {
		t.Errorf("GET /ids = %s, want 200 from another worker", r.Line())
	}
}

// A worker that is told to leave finishes what it runs after responses.
func TestModule_AfterResponseIsFinishedBeforeTheEnd(t *testing.T) {
	s := Start(t, "afterwards")
	path, open := fifo(t)
	file := filepath.Join(t.TempDir(), "marks")
	s.Ask("/answer?gate=" + url.QueryEscape(path) + "&mark=" + url.QueryEscape(file))
	marks(t, file, 1)
	s.Signal(unix.SIGTERM)
	open()
	if got := marks(t, file, 2); got[2] != "last" {
		t.Errorf("marks = %q, want both functions run", got)
	}
	if code := s.ExitCode(10 * time.Second); code != 0 {
		t.Errorf("exit code = %d, want 0", code)
	}
}

// What docs/python-module.md offers for use elsewhere is what afterwards.py
// uses, whose own tests run it under plain Python.
func TestModule_TheDocumentedFallbackIsTheTestedOne(t *testing.T) {
	text, err := os.ReadFile("../docs/python-module.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```python\ntry:\n")
	recipe, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("docs/python-module.md has no recipe that begins with try")
	}
	app, err := os.ReadFile("../pyapps/afterwards.py")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(app), "\ntry:\n"+recipe) {
		t.Errorf("pyapps/afterwards.py does not have the recipe of docs/python-module.md:\ntry:\n%s", recipe)
	}
}
