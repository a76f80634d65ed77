package tests

// What the tests of WSGI behaviour have in common: applications asked bare and
// behind wsgiref.validate, and the three ways an answer can end.

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// validated is the application argument that puts wsgiref.validate around app.
// It checks both sides of PEP 3333: a slip of gowsgi is an AssertionError there,
// so a 500.
func validated(app string) string {
	if !strings.Contains(app, ":") {
		app += ":application"
	}
	return fmt.Sprintf("validated:wrap(%q)", app)
}

// twice runs test against app itself and behind wsgiref.validate.
func twice(t *testing.T, app string, test func(*testing.T, *Server)) {
	t.Helper()
	t.Run("bare", func(t *testing.T) { test(t, Shared(t, app)) })
	t.Run("validated", func(t *testing.T) {
		s := Shared(t, validated(app))
		test(t, s)
		for _, line := range s.Log() {
			if strings.Contains(line, "garbage collected without being closed") {
				t.Errorf("wsgiref.validate says: %s", line)
			}
		}
	})
}

// Outcome is how an answer ends.
type Outcome int

const (
	// Complete: the application's own answer, whole.
	Complete Outcome = iota
	// Failed: a complete answer 500 of gowsgi's own, nothing of the application's.
	Failed
	// Aborted: the application's answer, and the client can tell that it broke off.
	Aborted
)

// A Want is what one request should come to.
type Want struct {
	Path    string
	Outcome Outcome
	Status  string // "200 OK" when empty
	Body    string // what arrived of it, for Aborted
	Log     string // part of a line in the error log; empty: none about failures
}

// check sends GET want.Path and compares. Whatever happened, the worker must
// live on and serve.
func (s *Server) check(want Want) *Response {
	s.T.Helper()
	workers, mark := s.workerPIDs(), s.Mark()
	r := s.Ask(want.Path)
	s.compare(r, want)
	if want.Log != "" {
		s.WaitForSince(mark, want.Log)
	}
	if next := s.Ask("/served-on"); next.Status/100 != 4 && next.Status/100 != 2 {
		s.T.Errorf("after %s: GET /served-on = %s, want an answer", want.Path, next.Line())
	}
	if now := s.workerPIDs(); !slices.Equal(now, workers) {
		s.T.Errorf("after %s: workers %v, want %v still", want.Path, now, workers)
	}
	if want.Log == "" {
		for _, line := range s.LogSince(mark) {
			if strings.Contains(line, "[ERROR]") {
				s.T.Errorf("after %s: the log has %q, want nothing", want.Path, line)
			}
		}
	}
	return r
}

// compare compares an answer that has been read.
func (s *Server) compare(r *Response, want Want) {
	s.T.Helper()
	if want.Status == "" {
		want.Status = "200 OK"
	}
	if want.Outcome == Failed {
		want.Status = "500 Internal Server Error"
		if !strings.HasPrefix(r.Body, "500 Internal Server Error\n") {
			s.T.Errorf("GET %s: body = %q, want gowsgi's own page", want.Path, r.Body)
		}
		want.Body = r.Body
	}
	if r.Line() != want.Status {
		s.T.Errorf("GET %s = %s, want %s", want.Path, r.Line(), want.Status)
	}
	if r.Body != want.Body {
		s.T.Errorf("GET %s: body = %.200q, want %.200q", want.Path, r.Body, want.Body)
	}
	if broken := r.Broken != nil; broken != (want.Outcome == Aborted) {
		s.T.Errorf("GET %s: broken = %v (%s), want %v", want.Path, r.Broken, r.Framing, want.Outcome == Aborted)
	}
}

func (s *Server) workerPIDs() []int {
	var pids []int
	for _, p := range s.Workers() {
		pids = append(pids, p.PID)
	}
	slices.Sort(pids)
	return pids
}

// object decodes a JSON body.
func (s *Server) object(r *Response) map[string]any {
	s.T.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(r.Body), &object); err != nil || r.Status != 200 {
		s.T.Fatalf("response = %s %.300q, want a JSON object", r.Line(), r.Body)
	}
	return object
}

// A markFile is where an application leaves lines for what cannot be seen in
// its response: the query's mark=FILE.
type markFile struct {
	t    testing.TB
	path string
}

func newMarkFile(t testing.TB) markFile {
	t.Helper()
	return markFile{t, filepath.Join(t.TempDir(), "mark")}
}

func (m markFile) lines() []string {
	text, err := os.ReadFile(m.path)
	if err != nil || len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// await waits until the file has a line that begins so, and returns it.
func (m markFile) await(prefix string) string {
	m.t.Helper()
	var found string
	await(m.t, fmt.Sprintf("a line %q in the mark file", prefix), func() bool {
		for _, line := range m.lines() {
			if strings.HasPrefix(line, prefix) {
				found = line
				return true
			}
		}
		return false
	})
	return found
}

// await waits for something that only looking again can tell.
func await(t testing.TB, what string, happened func() bool) {
	t.Helper()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	deadline := time.Now().Add(patience)
	for !happened() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
		<-look.C
	}
}

// touch makes an empty file, the signal some applications wait for.
func touch(t testing.TB, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// deadline is when something that is waited for has to have happened.
func deadline() time.Time { return time.Now().Add(patience) }

// sha256of is a text's checksum as Python's hexdigest() writes it.
func sha256of(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// output runs a command and returns its lines.
func output(t testing.TB, name string, args ...string) []string {
	t.Helper()
	text, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, text)
	}
	if trimmed := strings.TrimRight(string(text), "\n"); trimmed != "" {
		return strings.Split(trimmed, "\n")
	}
	return nil
}

// after is closed, or ready, at a time.
func after(end time.Time) <-chan time.Time { return time.After(time.Until(end)) }
