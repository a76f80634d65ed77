package files

// An exchange that keeps what it is told, and a folder to serve from.

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gowsgi/environ"
)

// fakeExchange counts like an engine: too few bytes are no answer.
type fakeExchange struct {
	status  int
	reason  string
	fields  []environ.Header
	length  int64
	body    strings.Builder
	ended   string // "finished" or "aborted"
	gone    bool   // the client takes nothing
	onWrite func()
}

var errGone = errors.New("the client went away")

func (x *fakeExchange) WriteHead(status int, reason []byte, fields []environ.Header, length int64) error {
	x.status, x.reason, x.fields, x.length = status, string(reason), fields, length
	return nil
}

func (x *fakeExchange) Write(p []byte) (int, error) {
	if x.gone {
		return 0, errGone
	}
	x.body.Write(p)
	if x.onWrite != nil {
		x.onWrite()
	}
	return len(p), nil
}

func (x *fakeExchange) Finish() error { x.ended = "finished"; return nil }
func (x *fakeExchange) Abort()        { x.ended = "aborted" }

// value is that of a field, or "" when it is not there.
func (x *fakeExchange) value(name string) string {
	for _, f := range x.fields {
		if fieldNamed(f.Name, name) {
			return string(f.Value)
		}
	}
	return ""
}

// changed is when every file of a test was changed.
var changed = time.Date(2026, 11, 20, 12, 0, 0, 123456789, time.UTC)

// folderWith makes a folder of files, path by path.
func folderWith(t testing.TB, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, changed, changed); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func staticOf(t testing.TB, maxAge time.Duration, mounts ...Mount) (*Static, *strings.Builder) {
	t.Helper()
	log := &strings.Builder{}
	s, err := NewStatic(mounts, maxAge, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s, log
}

// asking makes a request from "METHOD path" and fields.
func asking(line string, fields ...string) *environ.Request {
	method, path, _ := strings.Cut(line, " ")
	r := &environ.Request{Method: []byte(method), Path: []byte(path)}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Headers = append(r.Headers, field(name, value))
	}
	return r
}

// ask serves one request.
func ask(s *Static, line string, fields ...string) *fakeExchange {
	x := &fakeExchange{}
	s.Serve(x, asking(line, fields...))
	return x
}
