package tests

// The command line: what can be said, and what is said back when it is wrong.

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// finish runs gowsgi to its end by itself and returns its exit code, standard
// output and standard error. Nothing may be left running.
func finish(t *testing.T, o Options) (code int, stdout, stderr []string) {
	t.Helper()
	r, err := launch(o)
	if err != nil {
		t.Fatal(err)
	}
	if code, err = r.exitCode(patience); err != nil {
		t.Error(err)
	}
	if left := session(r.cmd.Process.Pid); len(left) > 0 {
		t.Errorf("gowsgi %q has left %+v", o.Args, left)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	return code, r.output.since(0), r.log.since(0)
}

// coded is the end of a line that tells of a failure.
var coded = regexp.MustCompile(` \[(GW\d{3})\]$`)

// saysWhatToDo tells whether a complaint has a code, and the line behind it is that
// code's.
func saysWhatToDo(complaint, help string) bool {
	code := coded.FindStringSubmatch(complaint)
	return code != nil && strings.HasPrefix(help, "gowsgi: help: ") && strings.HasSuffix(help, "; more: gowsgi explain "+code[1])
}

// refused checks that gowsgi does not start: one clear line with the expected
// words, after a traceback or nothing, and at the end one that says what to do.
func refused(t *testing.T, o Options, code int, words ...string) (stderr []string) {
	t.Helper()
	got, stdout, stderr := finish(t, o)
	if got != code {
		t.Errorf("gowsgi %q %q: exit code = %d, want %d", o.Args, o.App, got, code)
	}
	if len(stdout) > 0 {
		t.Errorf("gowsgi %q %q: standard output = %q, want none", o.Args, o.App, stdout)
	}
	var complaints []string
	for _, line := range stderr {
		if strings.HasPrefix(line, "gowsgi: error: ") {
			complaints = append(complaints, line)
		}
	}
	n := len(stderr)
	if len(complaints) != 1 || stderr[n-2] != complaints[0] || !saysWhatToDo(complaints[0], stderr[n-1]) {
		t.Fatalf("gowsgi %q %q: standard error =\n%s\nwant one line \"gowsgi: error: … [GW…]\" and one \"gowsgi: help: …\", at the end", o.Args, o.App, strings.Join(stderr, "\n"))
	}
	for _, word := range words {
		if !strings.Contains(complaints[0], word) {
			t.Errorf("gowsgi %q %q: %q, want it to say %q", o.Args, o.App, complaints[0], word)
		}
	}
	return stderr
}

// Exit code 2: what is typed cannot be understood.
func TestCommandLine_RefusesWhatItCannotUnderstand(t *testing.T) {
	for _, c := range []struct {
		args  []string
		words []string
	}{
		{nil, []string{"no application given", "MODULE[:APP]"}},
		{[]string{"hello", "extra"}, []string{`unexpected argument "extra"`}},
		{[]string{"hello.py"}, []string{`did you mean "hello:application"?`}},
		{[]string{"misbehave/slow.py"}, []string{`did you mean "misbehave.slow:application"?`}},
		{[]string{"hello.py:app"}, []string{`did you mean "hello:app"?`}},
		{[]string{"hello:"}, []string{"hello:application"}},
		{[]string{":application"}, []string{"names no module"}},
		{[]string{"he-llo"}, []string{"cannot be a module's name"}},
		{[]string{"hello:a b"}, []string{"cannot be an object's name"}},
		{[]string{"hello:create("}, []string{"closing bracket"}},
		{[]string{"--wrokers", "4", "hello"}, []string{"--wrokers", "did you mean --workers?"}},
		{[]string{"-w", "four", "hello"}, []string{`--workers "four"`, "1 or more"}},
		{[]string{"-w", "0", "hello"}, []string{`--workers "0"`}},
		{[]string{"-w", "2000", "hello"}, []string{`--workers "2000"`, "1024"}},
		{[]string{"--threads", "251", "hello"}, []string{`--threads "251"`, "250"}},
		{[]string{"--keep-alive", "soon", "hello"}, []string{`--keep-alive "soon"`}},
		{[]string{"--graceful-timeout", "-1", "hello"}, []string{"--graceful-timeout"}},
		{[]string{"--max-body-size", "1X", "hello"}, []string{`--max-body-size "1X"`}},
		{[]string{"--log-level", "loud", "hello"}, []string{`--log-level "loud"`, "warning"}},
		{[]string{"--limit-request-line", "1", "hello"}, []string{"--limit-request-line"}},
		{[]string{"-e", "NOVALUE", "hello"}, []string{"NOVALUE", "NAME=VALUE"}},
		{[]string{"-b", "1.2.3.4", "hello"}, []string{"no port"}},
		{[]string{"-b", "5000", "hello"}, []string{`did you mean "127.0.0.1:5000"`}},
		{[]string{"-b", "::1:80", "hello"}, []string{"brackets"}},
		{[]string{"-b", "127.0.0.1:99999", "hello"}, []string{"port"}},
		{[]string{"-b", "fd://1", "hello"}, []string{"descriptor"}},
		{[]string{"-b", "unix:", "hello"}, []string{"no path"}},
		{[]string{"--chdir", "/nonexistent", "hello"}, []string{"--chdir", "/nonexistent"}},
	} {
		args := append([]string{}, c.args...)
		if len(args) == 0 || args[0] != "-b" {
			args = append([]string{"-b", "127.0.0.1:0"}, args...)
		}
		refused(t, Options{Args: args}, 2, c.words...)
	}
	refused(t, Options{App: "hello", Env: []string{"GOWSGI_WORKERS=many"}}, 2, `GOWSGI_WORKERS "many"`)
	refused(t, Options{App: "hello", Env: []string{"WEB_CONCURRENCY=many"}}, 2, `WEB_CONCURRENCY "many"`)
	refused(t, Options{App: "hello", noBind: true, Env: []string{"GOWSGI_BIND=nowhere"}}, 2, "GOWSGI_BIND", "nowhere")
}

// Exit code 3: the module cannot be imported. With Python's own words.
func TestCommandLine_RefusesWhatCannotBeImported(t *testing.T) {
	for app, words := range map[string][]string{
		"no_such_module":           {`no module named "no_such_module"`, "--chdir"},
		"misbehave.no_such_module": {`no module named "misbehave.no_such_module"`},
		"misbehave.missing_import": {"there_is_no_such_module"},
		"misbehave.raising_import": {"RuntimeError: raising_import raises as asked"},
		"misbehave.exiting_import": {"SystemExit: 7"},
		"misbehave.broken_syntax":  {"SyntaxError", "broken_syntax.py, line 4"},
	} {
		for _, args := range [][]string{nil, {"--preload"}, {"-w", "3"}} {
			stderr := strings.Join(refused(t, Options{App: app, Args: args}, 3, words...), "\n")
			asked := strings.Contains(app, "no_such_module")
			if traced := strings.Contains(stderr, "  File "); traced == asked {
				t.Errorf("gowsgi %v %s: a traceback = %v, want %v\n%s", args, app, traced, !asked, stderr)
			}
			if strings.Contains(stderr, "<gowsgi host>") || strings.Contains(stderr, "importlib") {
				t.Errorf("gowsgi %v %s: the traceback shows gowsgi's own frames:\n%s", args, app, stderr)
			}
		}
	}
	// It has no code of its own when the process ends by itself.
	refused(t, Options{App: "misbehave.dying_import"}, 1, "it exited with status 9")
	refused(t, Options{App: "misbehave.dying_import", Args: []string{"--preload"}}, 1, "9")
}

// Exit code 4: the module has no such application.
func TestCommandLine_RefusesWhatIsNoApplication(t *testing.T) {
	for app, words := range map[string][]string{
		"misbehave.not_callable":                       {"not callable", "int"},
		"misbehave.not_callable:text":                  {"not callable", "str"},
		"misbehave.not_callable:nothing":               {"not callable", "NoneType"},
		"misbehave.not_callable:module":                {"not callable", "module"},
		"hello:applicatoin":                            {`has no attribute "applicatoin"`, `did you mean "hello:application"?`},
		"flask_app":                                    {`has no attribute "application"`, "flask_app:app"},
		"misbehave.nested:site.missing":                {`"misbehave.nested.site" has no attribute "missing"`},
		"misbehave.factory:create_broken()":            {"RuntimeError: create_broken raises as asked"},
		"misbehave.factory:create_nothing()":           {"not callable", "NoneType"},
		"misbehave.factory:create_app(unknown=1)":      {"TypeError"},
		"misbehave.factory:create_app(os.getcwd())":    {"literals"},
		"misbehave.factory:create_app(**{'debug': 1})": {"literals"},
	} {
		refused(t, Options{App: app}, 4, words...)
	}
}

// Exit code 5: the address is taken or is none of ours.
func TestCommandLine_RefusesAddressesItCannotHave(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	address := fmt.Sprintf("127.0.0.1:%d", port)
	// It says who has it: this process.
	refused(t, Options{App: "hello", Args: []string{"-b", address}}, 5, address, "already in use", fmt.Sprintf("(pid %d)", os.Getpid()))
	refusedByPort(t, port)

	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	touch(t, file)
	refused(t, Options{App: "hello", Args: []string{"-b", "unix:" + file}}, 5, file, "not a socket")
	path := filepath.Join(folder, "s")
	u, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	refused(t, Options{App: "hello", Args: []string{"-b", "unix:" + path}}, 5, path, "another server accepts connections there")
	refused(t, Options{App: "hello", Args: []string{"-b", "unix:/nonexistent/s"}}, 5, "/nonexistent does not exist")
	refused(t, Options{App: "hello", Args: []string{"-b", "192.0.2.1:8000"}}, 5, "no interface")
	refused(t, Options{App: "hello", Args: []string{"-b", "fd://99"}}, 5, "descriptor 99 is not open")
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	refused(t, Options{App: "hello", Args: []string{"-b", "fd://3"}, Files: []*os.File{null}}, 5, "not a socket")
	// Those that could be opened are closed again.
	free := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	refused(t, Options{App: "hello", Args: []string{"-b", free, "-b", address}}, 5, address)
	again, err := net.Listen("tcp", free)
	if err != nil {
		t.Errorf("Listen(%s) after a failed start: %v", free, err)
	} else {
		_ = again.Close()
	}
}

// refusedByPort: without --bind, $PORT is the port on every address. The one
// given is in use, so nothing is opened to the world.
func refusedByPort(t *testing.T, port int) {
	t.Helper()
	o := Options{App: "hello", Env: []string{fmt.Sprintf("PORT=%d", port)}, noBind: true}
	refused(t, o, 5, fmt.Sprintf("0.0.0.0:%d", port))
	o.Env = []string{"PORT=none"}
	refused(t, o, 2, "PORT")
}

// Exit code 7: files that cannot be written.
func TestCommandLine_RefusesFilesItCannotWrite(t *testing.T) {
	refused(t, Options{App: "hello", Args: []string{"-p", "/nonexistent/pid"}}, 7, "/nonexistent/pid")
	refused(t, Options{App: "hello", Args: []string{"--error-logfile", "/nonexistent/log"}}, 7, "/nonexistent/log")
	refused(t, Options{App: "hello", Args: []string{"--access-logfile", "/nonexistent/log"}}, 7, "/nonexistent/log")
	file := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(file, fmt.Append(nil, os.Getpid(), "\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, Options{App: "hello", Args: []string{"-p", file}}, 7, file, fmt.Sprint(os.Getpid()))
	if text, _ := os.ReadFile(file); strings.TrimSpace(string(text)) != fmt.Sprint(os.Getpid()) {
		t.Errorf("the other's pid file holds %q now, want it untouched", text)
	}
	// A file that is no pid file at all was named by mistake.
	if err := os.WriteFile(file, []byte("precious\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, Options{App: "hello", Args: []string{"-p", file}}, 7, file, "something else")
	if text, _ := os.ReadFile(file); string(text) != "precious\n" {
		t.Errorf("the file holds %q now, want it untouched", text)
	}
}

func TestCommandLine_PrintsVersionAndHelp(t *testing.T) {
	for _, flag := range []string{"--version", "-v"} {
		code, stdout, stderr := finish(t, Options{Args: []string{flag}, noBind: true})
		if want := regexp.MustCompile(`^gowsgi version \S+ \(embeds Python 3\.\d+ of /\S+\)$`); code != 0 || len(stderr) > 0 || len(stdout) != 1 || !want.MatchString(stdout[0]) {
			t.Errorf("gowsgi %s = %d, %q, %q; want 0 and one line %s", flag, code, stdout, stderr, want)
		}
	}
	for _, flag := range []string{"--help", "-h"} {
		code, stdout, stderr := finish(t, Options{Args: []string{flag}, noBind: true})
		text := strings.Join(stdout, "\n")
		if code != 0 || len(stderr) > 0 {
			t.Errorf("gowsgi %s = %d, standard error %q; want 0 and none", flag, code, stderr)
		}
		for _, word := range []string{"MODULE[:APP]", "--workers", "--bind", "WEB_CONCURRENCY", "--limit-request-field-size", "--graceful-timeout"} {
			if !strings.Contains(text, word) {
				t.Errorf("gowsgi %s does not speak of %s:\n%s", flag, word, text)
			}
		}
	}
}

// --- Settings that work ----------------------------------------------------

// Flag, GOWSGI_*, the variables other tools set, default: in this order. Flags
// may come after the application.
func TestCommandLine_SettingsComeFromTheNearestPlace(t *testing.T) {
	for _, c := range []struct {
		args, env []string
		after     []string
		want      string
	}{
		{nil, nil, nil, "workers=1 "},
		{nil, []string{"WEB_CONCURRENCY=2"}, nil, "workers=2 "},
		{nil, []string{"WEB_CONCURRENCY=2", "GOWSGI_WORKERS=3"}, nil, "workers=3 "},
		{[]string{"-w", "1"}, []string{"WEB_CONCURRENCY=2", "GOWSGI_WORKERS=3"}, nil, "workers=1 "},
		{nil, nil, []string{"-w", "2", "--threads", "2"}, "workers=2 threads=2 "},
		{[]string{"--workers=2"}, nil, []string{"--threads=3"}, "workers=2 threads=3 "},
	} {
		s := StartWith(t, Options{App: "hello", Args: c.args, After: c.after, Env: c.env})
		if line := s.WaitFor("listening at"); !strings.Contains(line, c.want) {
			t.Errorf("gowsgi %q hello %q with %q: %q, want %q", c.args, c.after, c.env, line, c.want)
		}
		s.Stop()
	}
	s := StartWith(t, Options{App: "hello", noBind: true, Env: []string{"GOWSGI_BIND=127.0.0.1:0,[::1]:0"}})
	if len(s.Binds) != 2 {
		t.Errorf("GOWSGI_BIND with two addresses: announced %q", s.Binds)
	}
}

// probe is an application that tells about its process.
const probe = `
import json, os, sys
def application(environ, start_response):
    body = json.dumps({"prefix": sys.prefix, "base_prefix": sys.base_prefix,
        "executable": sys.executable, "path": sys.path, "cwd": os.getcwd(),
        "argv": sys.argv, "file": __file__, "environ": dict(os.environ)}).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
`

// module writes a Python module into a folder and returns the folder.
func module(t *testing.T, folder, name, text string) string {
	t.Helper()
	path := filepath.Join(folder, filepath.FromSlash(strings.ReplaceAll(name, ".", "/"))+".py")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestCommandLine_ChdirIsWhereModulesAre(t *testing.T) {
	folder := module(t, t.TempDir(), "probe", probe)
	for _, o := range []Options{
		{App: "probe", Args: []string{"--chdir", folder}, Dir: "/"},
		{App: "probe", Args: []string{"--chdir", filepath.Base(folder)}, Dir: filepath.Dir(folder)},
		{App: "probe", Dir: folder},
	} {
		s := StartWith(t, o)
		told := s.object(s.Ask("/"))
		if told["cwd"] != folder || told["path"].([]any)[0] != folder {
			t.Errorf("gowsgi %q in %s: cwd, sys.path[0] = %v, %v; want %s", o.Args, o.Dir, told["cwd"], told["path"].([]any)[0], folder)
		}
	}
}

func TestCommandLine_PythonPathComesFirst(t *testing.T) {
	one, two, three := t.TempDir(), t.TempDir(), t.TempDir()
	module(t, three, "probe", probe)
	s := Start(t, "probe", "--pythonpath", one+","+two, "--pythonpath", three)
	told := s.object(s.Ask("/"))
	path := told["path"].([]any)
	if path[0] != one || path[1] != two || path[2] != three || path[3] != apps {
		t.Errorf("sys.path = %v, want %s, %s, %s, %s first", path, one, two, three, apps)
	}
}

func TestCommandLine_EnvIsTheApplications(t *testing.T) {
	folder := module(t, t.TempDir(), "probe", probe)
	s := StartWith(t, Options{App: "probe", Dir: folder, Args: []string{"-e", "ONE=1", "--env", "TWO=a=b,c", "-e", "HOME=/changed"}})
	environ := s.object(s.Ask("/"))["environ"].(map[string]any)
	for name, want := range map[string]any{"ONE": "1", "TWO": "a=b,c", "HOME": "/changed", "PATH": os.Getenv("PATH"), "GOWSGI_ZYGOTE": nil} {
		if environ[name] != want {
			t.Errorf("os.environ[%q] = %v, want %v", name, environ[name], want)
		}
	}
}

// ps tells which process is what.
func TestCommandLine_NamesProcesses(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "hello:application"},
		{[]string{"-n", "shop"}, "shop"},
		{[]string{"--name", "käse"}, "käse"},
		{[]string{"--name", strings.Repeat("long", 100)}, "longlonglong"},
	} {
		s := Start(t, "hello", append(c.args, "-w", "2")...)
		titles := map[string]bool{}
		for _, p := range session(s.PID()) {
			titles[p.Title] = true
		}
		for _, role := range []string{"zygote", "worker 1", "worker 2"} {
			want, found := "gowsgi: "+role+" ["+c.want, false
			for title := range titles {
				found = found || strings.HasPrefix(title, want)
			}
			if !found {
				t.Errorf("%q: titles = %v, want one %q", c.args, titles, want)
			}
		}
		s.Stop()
	}
}

func TestCommandLine_CallsFactories(t *testing.T) {
	for app, want := range map[string]string{
		"misbehave.factory:create_app()":                                `{"calls": 1, "debug": false, "name": "x"}`,
		"misbehave.factory:create_app(debug=True, name='y')":            `{"calls": 1, "debug": true, "name": "y"}`,
		`misbehave.factory:create_app(False, "a:b(c)")`:                 `{"calls": 1, "debug": false, "name": "a:b(c)"}`,
		`misbehave.factory:create_literals(1, -2.5, b"x", None, k=[1])`: "(1, -2.5, b'x', None) {'k': [1]}\n",
		`misbehave.factory:create_literals({"a": (1, {2})})`:            "({'a': (1, {2})},) {}\n",
	} {
		s := Start(t, app)
		if got := s.Ask("/").Body; got != want {
			t.Errorf("gowsgi %q: %q, want %q", app, got, want)
		}
		s.Stop()
	}
	// With --preload there is one call for all workers.
	s := Start(t, "misbehave.factory:create_app()", "--preload", "-w", "2")
	for range 10 {
		if got, want := s.Ask("/").Body, `{"calls": 1, "debug": false, "name": "x"}`; got != want {
			t.Errorf("preloaded: %q, want %q", got, want)
		}
	}
	// Not called, it is a callable all the same, and fails when asked.
	s = Start(t, "misbehave.factory:create_app")
	for range 2 {
		s.compare(s.Ask("/"), Want{Path: "/", Outcome: Failed})
	}
}

// The pid file holds the front's pid while it runs.
func TestCommandLine_WritesPIDFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	for _, stale := range []string{"", "999999999\n"} {
		if stale != "" {
			if err := os.WriteFile(file, []byte(stale), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := Start(t, "hello", "--pid", file)
		text, err := os.ReadFile(file)
		if err != nil || strings.TrimSpace(string(text)) != fmt.Sprint(s.PID()) {
			t.Errorf("pid file = %q, %v; want %d", text, err, s.PID())
		}
		s.Stop()
		if _, err := os.Lstat(file); !os.IsNotExist(err) {
			t.Errorf("Lstat(pid file) = %v after the end, want no such file", err)
		}
	}
}

// Access log: the format other servers have; a line for every request, at the
// latest when the server ends, and a new file after SIGUSR1.
func TestCommandLine_WritesAccessLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access")
	s := Start(t, "hello", "--access-logfile", file)
	s.Ask("/path?query", "Referer: http://other/", `User-Agent: te"st`)
	line := newLogFile(t, file).await("GET /path?query")
	want := regexp.MustCompile(`^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /path\?query HTTP/1\.1" 200 14 "http://other/" "te\\"st" [0-9a-f]{16}$`)
	if !want.MatchString(line) {
		t.Errorf("access log = %q, want %s", line, want)
	}
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	s.Signal(unix.SIGUSR1)
	s.WaitFor("logs reopened")
	s.Ask("/second")
	s.Stop()
	if line := newLogFile(t, file).await("GET /second"); line == "" {
		t.Error("the new access log has no line")
	}
	s = Start(t, "hello", "--access-logfile", "-")
	s.Ask("/to-standard-output")
	s.Stop()
	if got := strings.Join(s.Output(), "\n"); !strings.Contains(got, "GET /to-standard-output") {
		t.Errorf("standard output = %q, want the access log", got)
	}
}

// newLogFile watches a file like a mark file, for a line that holds a text.
func newLogFile(t testing.TB, path string) logFile {
	t.Helper()
	return logFile{markFile{t, path}}
}

type logFile struct{ markFile }

func (l logFile) await(text string) (found string) {
	l.t.Helper()
	await(l.t, fmt.Sprintf("%q in %s", text, l.path), func() bool {
		for _, line := range l.lines() {
			if strings.Contains(line, text) {
				found = line
				return true
			}
		}
		return false
	})
	return found
}

// The error log has what the front says and what Python writes.
func TestCommandLine_WritesErrorLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "error")
	r, err := launch(Options{App: "misbehave.complaining", Args: []string{"--error-logfile", file}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
	log := newLogFile(t, file)
	address := announced.FindStringSubmatch(log.await("listening at"))[1]
	s := &Server{run: r, T: t, Binds: []string{address}}
	s.Ask("/print?id=to-a-file")
	log.await("to-a-file printed")
	s.Ask("/no-stderr")
	log.await("RuntimeError: complaining without stderr")
	if text := r.log.text(0); text != "" {
		t.Errorf("standard error = %q, want nothing", text)
	}
}

// --log-level leaves out what is less important.
func TestCommandLine_LogLevel(t *testing.T) {
	file := filepath.Join(t.TempDir(), "socket")
	r, err := launch(Options{App: "misbehave.raising", Args: []string{"--log-level", "error", "-b", "unix:" + file}})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{run: r, T: t, Binds: []string{"unix:" + file}}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		s.showLog()
	})
	await(t, "the server", func() bool {
		c, err := net.Dial("unix", file)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	s.Ask("/app")
	s.WaitFor("RuntimeError: raising as asked")
	for _, line := range s.Log() {
		if strings.Contains(line, "[INFO]") {
			t.Errorf("--log-level error lets %q through", line)
		}
	}
}

// --- Virtualenvs -----------------------------------------------------------

// makeVirtualenv makes one as a person would, with a module in its site-packages.
func makeVirtualenv(t *testing.T, folder string) {
	t.Helper()
	output(t, python, "-m", "venv", "--without-pip", folder)
	found, err := filepath.Glob(filepath.Join(folder, "lib", "python3*", "site-packages"))
	if err != nil || len(found) != 1 {
		t.Fatalf("site-packages of %s = %v, %v; want one", folder, found, err)
	}
	module(t, found[0], "only_in_virtualenv", probe)
}

func TestCommandLine_FindsVirtualenvs(t *testing.T) {
	folder := t.TempDir()
	makeVirtualenv(t, filepath.Join(folder, ".venv"))
	elsewhere := filepath.Join(t.TempDir(), "env")
	makeVirtualenv(t, elsewhere)
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Dir: folder}, filepath.Join(folder, ".venv")},
		{Options{Dir: "/", Args: []string{"--chdir", folder}}, filepath.Join(folder, ".venv")},
		{Options{Dir: "/", Env: []string{"VIRTUAL_ENV=" + elsewhere}}, elsewhere},
		// An active one wins over the one in the folder.
		{Options{Dir: folder, Env: []string{"VIRTUAL_ENV=" + elsewhere}}, elsewhere},
	} {
		c.o.App = "only_in_virtualenv"
		s := StartWith(t, c.o)
		told := s.object(s.Ask("/"))
		if told["prefix"] != c.want || told["base_prefix"] == c.want || told["executable"] != filepath.Join(c.want, "bin", "python") {
			t.Errorf("%+v: sys.prefix, base_prefix, executable = %v, %v, %v; want %s, another, its bin/python",
				c.o, told["prefix"], told["base_prefix"], told["executable"], c.want)
		}
		s.Stop()
	}
	// Without one it is the interpreter gowsgi was built for, and it runs.
	s := StartWith(t, Options{App: "probe", Dir: module(t, t.TempDir(), "probe", probe)})
	told := s.object(s.Ask("/"))
	if told["prefix"] != told["base_prefix"] {
		t.Errorf("no virtualenv: sys.prefix, base_prefix = %v, %v; want the same", told["prefix"], told["base_prefix"])
	}
	if got := output(t, told["executable"].(string), "-c", "import sys; print(sys.prefix)"); len(got) != 1 || got[0] != told["prefix"] {
		t.Errorf("sys.executable = %v says its prefix is %v, want %v", told["executable"], got, told["prefix"])
	}
}

// Exit code 6: a virtualenv that this Python cannot use.
func TestCommandLine_RefusesUnusableVirtualenvs(t *testing.T) {
	folder := t.TempDir()
	refused(t, Options{App: "hello", Env: []string{"VIRTUAL_ENV=" + folder}}, 6, folder, "not a virtualenv")
	config := filepath.Join(folder, "pyvenv.cfg")
	if err := os.WriteFile(config, []byte("home = /usr/bin\nversion = 3.4.2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, Options{App: "hello", Env: []string{"VIRTUAL_ENV=" + folder}}, 6, folder, "Python 3.4.2", "make PYTHON=")
	if err := os.WriteFile(config, []byte("home = /usr/bin\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, Options{App: "hello", Env: []string{"VIRTUAL_ENV=" + folder}}, 6, folder, "bin/python")
}

// PYTHONHOME that leads nowhere: CPython cannot start, in words.
func TestCommandLine_SaysWhyPythonCannotStart(t *testing.T) {
	folder := t.TempDir()
	code, _, stderr := finish(t, Options{App: "hello", Env: []string{"PYTHONHOME=" + folder}})
	text := strings.Join(stderr, "\n")
	if code != 6 || !strings.Contains(text, "gowsgi: error: ") || !strings.Contains(text, "PYTHONHOME") {
		t.Errorf("PYTHONHOME=%s: exit code %d and\n%s\nwant 6 and a line that names PYTHONHOME", folder, code, text)
	}
}

// The demonstration application answers a browser.
func TestCommandLine_ServesTheDemonstration(t *testing.T) {
	s := Shared(t, "demo")
	r, err := http.NewRequest("GET", s.URL("/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := do(t, s.Client(), r)
	if got.Status != 200 || !strings.Contains(got.Body, "gowsgi") {
		t.Errorf("GET / = %s %.200q, want a page about gowsgi", got.Line(), got.Body)
	}
}
