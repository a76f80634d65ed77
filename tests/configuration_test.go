package tests

// Configuration files, from the outside: what is read at the start and again by a
// reload, and what the commands print about it.

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// reader answers with what it finds in its environment.
const reader = `
import os
def application(environ, start_response):
    n = len(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr([os.environ.get(k) for k in environ["QUERY_STRING"].split("+")]).encode()]
`

func newReader(t *testing.T) *editable {
	t.Helper()
	e := &editable{t: t, dir: t.TempDir()}
	e.write("app.py", reader)
	return e
}

func (s *Server) wantEnvironment(names, want string) {
	s.T.Helper()
	if r := s.Ask("/?" + names); r.Status != 200 || r.Body != want {
		s.T.Errorf("variables %s = %s %q, want %s", names, r.Line(), r.Body, want)
	}
}

// TestConfiguration_AReloadReadsItAgain: what can change in a running server does,
// on connections that are open, too; of the rest it says that it needs a restart.
func TestConfiguration_AReloadReadsItAgain(t *testing.T) {
	app := newReader(t)
	app.write("gowsgi.toml", "app = 'app'\nworkers = 1\nenv-file = '.env'\nmax-body-size = '1K'\nbacklog = 100\n[env]\nA = 'first'\n")
	app.write(".env", "B=${A}file # a comment\nHOME=theirs\n")
	s := StartWith(t, Options{Dir: app.dir, Env: []string{"HOME=/real"}})
	s.wantEnvironment("A+B+HOME", "['first', 'file', '/real']")
	c := s.Dial()
	body := strings.Repeat("x", 2000)
	if r := s.Post("/", body); r.Status != 413 {
		t.Errorf("POST of 2000 bytes = %s, want 413", r.Line())
	}
	c.Send(head("GET /?A", "Host: "+s.Host()))
	c.Read("GET")

	app.write("gowsgi.toml", "app = 'app'\nworkers = 2\nenv-file = '.env'\nmax-body-size = '1M'\nbacklog = 200\nlog-level = 'debug'\n[env]\nA = 'second'\n")
	app.write(".env", "B=new\n")
	mark := s.Mark()
	if code, said := s.reload(); code != 0 {
		t.Fatalf("reload = exit code %d, %q, want 0", code, said)
	}
	s.settle(2)
	s.wantEnvironment("A+B+HOME", "['second', 'new', '/real']")
	s.WaitForSince(mark, "changed settings need a restart; until then the old values are in force settings=backlog")
	c.Send(head("POST /?A", "Host: "+s.Host(), "Content-Length: 2000") + body)
	if r := c.Read("POST"); r.Status != 200 {
		t.Errorf("POST of 2000 bytes on an old connection after the reload = %s, want 200", r.Line())
	}

	app.write("gowsgi.toml", "app = 'app'\nwrokers = 2\n")
	if code, said := s.reload(); code != 2 || !strings.Contains(said, `gowsgi.toml:2: no setting "wrokers"; did you mean "workers"?`) {
		t.Errorf("reload of a wrong file = exit code %d, %q, want 2 and where it is wrong", code, said)
	}
	s.wantEnvironment("A", "['second']")
}

// TestConfiguration_ATimeoutChangesWhileServing: the shorter limit of a reload
// reaches the requests after it.
func TestConfiguration_ATimeoutChangesWhileServing(t *testing.T) {
	app := newEditable(t)
	app.write("gowsgi.toml", "app = 'app'\ntimeout = 0\n")
	s := StartWith(t, Options{Dir: app.dir})
	app.write("gowsgi.toml", "app = 'app'\ntimeout = '200ms'\n")
	if code, said := s.reload(); code != 0 {
		t.Fatalf("reload = exit code %d, %q, want 0", code, said)
	}
	if r := s.Ask("/hang"); r.Status != 504 {
		t.Errorf("GET /hang after the reload = %s, want 504", r.Line())
	}
}

// TestConfiguration_CheckImportsAndExits: the codes are those of a start, and a
// server that has the same addresses is not in the way.
func TestConfiguration_CheckImportsAndExits(t *testing.T) {
	app := newEditable(t)
	s := app.start()
	app.write("broken.py", unimportable)
	app.write("empty.py", "")
	app.write("short.toml", "app = 'app'\nworkers = 3\npid = 'pid'\nerror-logfile = 'no/such/folder'\n")
	bind := strings.TrimPrefix(s.Binds[0], "http://")
	for _, c := range []struct {
		args []string
		code int
		said string
	}{
		{[]string{"check", "-b", bind, "app"}, 0, "app:application can be served by Python 3."},
		{[]string{"app", "-b", bind, "--check-config"}, 0, "app:application can be served by Python 3."},
		{[]string{"check", "-c", "short.toml"}, 0, "workers: 3, threads: 1"},
		{[]string{"check", "broken"}, 3, "No module named 'no_such_module_anywhere'"},
		{[]string{"check", "empty"}, 4, "application"},
		{[]string{"check", "-w", "0", "app"}, 2, "out of range"},
		{[]string{"check", "--certfile", "none.pem", "app"}, 5, "none.pem"},
		{[]string{"check", "--static", "/s=none", "app"}, 2, "none"},
		{[]string{"check"}, 2, "no application given"},
	} {
		cmd := exec.Command(binary, c.args...)
		cmd.Dir, cmd.Env = app.dir, cleanEnvironment()
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(string(out), c.said) {
			t.Errorf("gowsgi %q = exit code %d,\n%s\nwant %d and %q", c.args, code, out, c.code, c.said)
		}
	}
	if _, err := os.Stat(filepath.Join(app.dir, "pid")); err != nil {
		t.Errorf("the running server's pid file: %v, want it left alone", err)
	}
}
