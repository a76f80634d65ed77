package tests

// Failures as an operator meets them: each is brought about for real, and the line
// that tells of it has its code and what helps.

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// tree writes files below a new folder and returns it.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// --- The application ---------------------------------------------------------

// One project with everything that can be wrong with one.
var wrongProject = map[string]string{
	"good.py":           "def application(environ, start_response): pass\n",
	"src/deeper.py":     "application = 1\n",
	"shop/__init__.py":  "",
	"shop/models.py":    "x = 1\n",
	"shop/app.py":       "from .models import x\ndef application(environ, start_response): pass\n",
	"needs.py":          "import there_is_no_such_package\n",
	"old_name.py":       "from json import dumpz\n",
	"plistlib.py":       "",
	"uses_plistlib.py":  "from plistlib import loads\n",
	"raises.py":         "def create():\n    raise OSError('no such host')\n",
	"flask.py":          "from flask import Flask\n",
	"left.py":           "import right\nx = 1\n",
	"right.py":          "from left import x\n",
	"library.py":        "import ctypes\nctypes.CDLL('libgowsgi-absent.so.9')\n",
	"other/__init__.py": "from . import _speed\n",
	"other/_speed.cpython-36m-x86_64-linux-gnu.so": "",
	"uses_other.py":      "import other\n",
	"newer.py":           "def x(:\n",
	"script.py":          "import sys\nsys.exit('run me')\n",
	"many.py":            "raise ValueError('one\\ntwo\\x1b[31m')\n",
	"made.py":            "class Site:\n    def __call__(self, e, s): pass\nserver = Site()\ndef create_app(config): return server\ndef make_it(): return server\n",
	"wrapped.py":         "import functools\ndef inner(): pass\n@functools.wraps(inner)\ndef application(environ, start_response): pass\n",
	"variadic.py":        "def application(*args, **more): pass\n",
	"unconfigured.py":    "from django.conf import settings\nsettings.DEBUG\n",
	"models_first.py":    "from django.contrib.auth.models import User\n",
	"mysite/settings.py": "INSTALLED_APPS = []\n",
	"mysite/wsgi.py":     "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n",
	"broken_app.py":      "def create_app():\n    from django.conf import settings\n    return settings.DEBUG\n",
	"thirsty.py":         "raise RuntimeError('no database')\n",
}

func TestFailures_ApplicationsThatCannotBeLoadedAreToldApart(t *testing.T) {
	folder := tree(t, wrongProject)
	in := func(name string) string { return filepath.Join(folder, name) }
	for _, c := range []struct {
		app   string
		env   []string
		dir   string
		code  int
		words []string
	}{
		{"thirsty", nil, "", 3, []string{"RuntimeError: no database [GW030]"}},
		{"many", nil, "", 3, []string{"ValueError: one ... [GW030]"}},
		{"godd", nil, "", 3, []string{`no module named "godd"`, folder, `did you mean "good"?`, "[GW031]"}},
		{"shop.ap", nil, "", 3, []string{`did you mean "shop.app"?`, "[GW031]"}},
		{"deeper", nil, "", 3, []string{"it is in " + in("src") + ": add --chdir " + in("src"), "[GW031]"}},
		{"shop.app", nil, "shop", 3, []string{"add --chdir " + folder, "[GW031]"}},
		{"needs", nil, "", 3, []string{"No module named 'there_is_no_such_package'", "without a virtualenv", "[GW032]"}},
		{"app", nil, "shop", 3, []string{"attempted relative import", "--chdir " + folder + ` and "shop.app"`, "[GW033]"}},
		{"library", nil, "", 3, []string{"the shared library libgowsgi-absent.so.9", "[GW034]"}},
		{"uses_other", nil, "", 3, []string{`the module "other._speed" is there only as ` + in("other/_speed.cpython-36m-x86_64-linux-gnu.so"), "[GW035]"}},
		{"unconfigured", nil, "", 3, []string{"DJANGO_SETTINGS_MODULE is not set", `did you mean "mysite.wsgi"?`, "[GW036]"}},
		{"unconfigured", []string{"DJANGO_SETTINGS_MODULE=mysit.settings"}, "", 3, []string{`DJANGO_SETTINGS_MODULE is mysit.settings, and there is no module "mysit"`, "[GW036]"}},
		{"mysite.wsgi", []string{"DJANGO_SETTINGS_MODULE=mysite.production"}, "", 3, []string{`no module "mysite.production"`, "[GW036]"}},
		{"models_first", []string{"DJANGO_SETTINGS_MODULE=mysite.settings"}, "", 3, []string{"before django.setup()", "[GW036]"}},
		{"newer", nil, "", 3, []string{"SyntaxError", "newer.py, line 1", "this is Python 3.", "[GW037]"}},
		{"left", nil, "", 3, []string{"partially initialized module 'left'", "[GW038]"}},
		{"flask", nil, "", 3, []string{in("flask.py") + " imports itself: rename it", "[GW038]"}},
		{"old_name", nil, "", 3, []string{"cannot import name 'dumpz' from 'json'", "[GW039]"}},
		{"uses_plistlib", nil, "", 3, []string{"cannot import name 'loads'", in("plistlib.py") + " hides another module of its name", "[GW039]"}},
		{"made", nil, "", 4, []string{`has no attribute "application"`, `did you mean "made:create_app()"?`, "server, make_it", "[GW040]"}},
		{"made:create_app.x", nil, "", 4, []string{`"made.create_app" has no attribute "x"`, "[GW040]"}},
		{"src.deeper", nil, "", 4, []string{"not callable", "int", "[GW041]"}},
		{"made:create_app", nil, "", 4, []string{"takes no environ and start_response: it is create_app(config)", "[GW042]"}},
		{"made:make_it", nil, "", 4, []string{`did you mean "made:make_it()"?`, "[GW042]"}},
		{"made:create_app()", nil, "", 4, []string{"missing a required argument: 'config'", "it is create_app(config)", "[GW042]"}},
		{"broken_app:create_app()", nil, "", 4, []string{"DJANGO_SETTINGS_MODULE is not set", "[GW036]"}},
		{"raises:create()", nil, "", 4, []string{"OSError: no such host [GW043]"}},
		{"good:application(x)", nil, "", 4, []string{"literals", "[GW044]"}},
		{"good:application(1, 2).x", nil, "", 2, []string{"[GW008]"}},
		{"script", nil, "", 3, []string{"SystemExit: run me [GW048]"}},
	} {
		t.Run(c.app, func(t *testing.T) {
			refused(t, Options{Args: []string{"check"}, After: []string{c.app}, noBind: true, Env: c.env, Dir: in(c.dir)}, c.code, c.words...)
		})
	}
	// What looks odd and can be called is served.
	for _, app := range []string{"wrapped", "variadic", "made:server", `made:create_app("x")`} {
		if code, _, stderr := finish(t, Options{Args: []string{"check", app}, noBind: true, Dir: folder}); code != 0 {
			t.Errorf("gowsgi check %s = %d\n%s\nwant 0", app, code, strings.Join(stderr, "\n"))
		}
	}
}

// extension is a module in C that needs a library of its own.
const extension = `#include <Python.h>
int gowsgi_answer(void);
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(gowsgi_answer()); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_fast", 0, -1, methods};
PyMODINIT_FUNC PyInit__fast(void) { return PyModule_Create(&module); }
`

func TestFailures_NamesTheLibraryThatAnExtensionModuleNeeds(t *testing.T) {
	folder := tree(t, map[string]string{
		"answer.c": "int gowsgi_answer(void) { return 42; }\n", "fast.c": extension,
		"fast/__init__.py": "from fast._fast import answer\n", "app.py": "import fast\napplication = fast.answer\n",
	})
	compile := func(args ...string) {
		t.Helper()
		cmd := exec.Command("gcc", append([]string{"-shared", "-fPIC"}, args...)...)
		cmd.Dir = folder
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
	}
	include := output(t, python, "-c", "import sysconfig; print(sysconfig.get_path('include'))")[0]
	library, compiled := filepath.Join(folder, "libgowsgi-answer.so.5"), filepath.Join(folder, "fast", "_fast.so")
	compile("-o", library, "-Wl,-soname,libgowsgi-answer.so.5", "answer.c")
	compile("-I", include, "-o", compiled, "fast.c", library)
	check := Options{Args: []string{"check", "app"}, noBind: true, Dir: folder}
	found := check
	found.Env = []string{"LD_LIBRARY_PATH=" + folder}
	if code, _, stderr := finish(t, found); code != 0 {
		t.Fatalf("gowsgi check app with the library = %d\n%s\nwant 0", code, strings.Join(stderr, "\n"))
	}
	refused(t, check, 3, "the shared library libgowsgi-answer.so.5", `which the module "_fast" needs (`+compiled+")", "[GW034]")
	// One that asks for what no Python has.
	if err := os.WriteFile(filepath.Join(folder, "answer.c"), []byte("int _PyGowsgi_Absent(void);\nint PyInit__fast(void) { return _PyGowsgi_Absent(); }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	compile("-o", compiled, "answer.c")
	refused(t, check, 3, "undefined symbol: _PyGowsgi_Absent", "this is Python 3.", "[GW035]")
}

// --- Python --------------------------------------------------------------------

// Whatever Pythons there are: the file that names the version is written by hand.
func TestFailures_VirtualenvOfAnotherVersion(t *testing.T) {
	folder := tree(t, map[string]string{".venv/pyvenv.cfg": "home = /usr/bin\nversion = 3.4.2\n", "app.py": wrongProject["good.py"]})
	venv := filepath.Join(folder, ".venv")
	for _, o := range []Options{{Dir: folder}, {Dir: "/", Env: []string{"VIRTUAL_ENV=" + venv}}} {
		o.App = "app"
		refused(t, o, 6, venv, "is for Python 3.4.2", "this gowsgi contains Python 3.", "-m venv --clear "+venv, "make PYTHON=python3.4", "[GW023]")
	}
	gone := tree(t, map[string]string{"pyvenv.cfg": "home = /usr/bin\n"})
	if err := os.MkdirAll(filepath.Join(gone, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nonexistent/bin/python3", filepath.Join(gone, "bin", "python")); err != nil {
		t.Fatal(err)
	}
	refused(t, Options{App: "app", Dir: folder, Env: []string{"VIRTUAL_ENV=" + gone}}, 6, "which leads to /nonexistent/bin/python3", "[GW024]")
}

func TestFailures_StandardLibraryIsGoneOrAnother(t *testing.T) {
	empty := t.TempDir()
	refused(t, Options{App: "hello", Env: []string{"PYTHONHOME=" + empty}}, 6, "PYTHONHOME", empty, "[GW022]")
	// Not all of it is another's: the first module that is used fails.
	other := tree(t, map[string]string{"json.py": "raise ImportError('of another version')\n"})
	refused(t, Options{App: "hello", Env: []string{"PYTHONPATH=" + other}}, 6, "of another version", "PYTHONPATH is "+other, "[GW025]")
}

// A new gowsgi that cannot be loaded ends before its first line; the one that runs
// knows the linker's exit status.
func TestFailures_NewBinaryLacksASharedLibrary(t *testing.T) {
	folder := tree(t, map[string]string{"gone.c": "int gone(void) { return 0; }\n", "main.c": "int gone(void);\nint main(void) { return gone(); }\n"})
	for _, args := range [][]string{{"-shared", "-fPIC", "-o", "libgowsgi-gone.so", "gone.c"}, {"-o", "program", "main.c", "./libgowsgi-gone.so"}} {
		cmd := exec.Command("gcc", args...)
		cmd.Dir = folder
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
	}
	if err := os.Remove(filepath.Join(folder, "libgowsgi-gone.so")); err != nil {
		t.Fatal(err)
	}
	s := startSuccession(t, Options{App: "misbehave.slow"})
	s.install(filepath.Join(folder, "program"))
	mark := s.mark()
	s.fail("ended before it could serve", "exit status 127", "[GW021]")
	s.await(mark, "libgowsgi-gone.so") // the linker's own words
}

// --- Addresses and files -------------------------------------------------------

// unprivileged runs what follows as a user who is not root, whoever runs the tests.
// The network is its own: there, only root listens on low ports, as everywhere
// where nobody has changed that.
var unprivileged = []string{"unshare", "--user", "--map-user=1000", "--map-group=1000", "--net", "--fork", "--kill-child"}

func TestFailures_PrivilegedPort(t *testing.T) {
	refused(t, Options{App: "hello", Args: []string{"-b", "0.0.0.0:80"}, Under: unprivileged}, 5,
		"permission denied", "ports below 1024", "uid 1000", "[GW052]")
}

func TestFailures_SaysWhoHasTheAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address := l.Addr().String()
	whole := fmt.Sprintf(`(pid %d), started as "%s`, os.Getpid(), os.Args[0][:20])
	refused(t, Options{App: "hello", Args: []string{"-b", address}}, 5, "address already in use, by ", whole, "[GW051]")
	// A socket of another family is in the way as well.
	_, port, _ := net.SplitHostPort(address)
	refused(t, Options{App: "hello", Args: []string{"-b", "0.0.0.0:" + port}}, 5, whole, "[GW051]")

	// The port of somebody's connection; nothing listens there.
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	refused(t, Options{App: "hello", Args: []string{"-b", connection.LocalAddr().String()}}, 5,
		fmt.Sprintf("(pid %d)", os.Getpid()), "which does not listen there", "[GW051]")

	for _, name := range []string{filepath.Join(t.TempDir(), "s"), fmt.Sprintf("@gowsgi-tests-%d", os.Getpid())} {
		u, err := net.Listen("unix", name)
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		refused(t, Options{App: "hello", Args: []string{"-b", "unix:" + name}}, 5, whole, "[GW051]")
	}
}

// Of other users' processes one learns who the user is.
func TestFailures_SaysWhoseTheHolderIsToThoseWhoMayNotSee(t *testing.T) {
	asRoot(t)
	folder := publicFolder(t)
	program := filepath.Join(folder, "gowsgi")
	if out, err := exec.Command("cp", binary, program).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v %s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	refused(t, Options{
		App: "hello", Args: []string{"-b", l.Addr().String()}, Binary: program, Dir: folder,
		Through: []string{"setpriv", "--reuid", "nobody", "--clear-groups"},
	}, 5, "by a process of user root; only root can tell which", "[GW051]")
}

func TestFailures_AddressesOfEachKind(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	touch(t, file)
	for bind, words := range map[string][]string{
		"192.0.2.1:8000":             {"no interface", "[GW053]"},
		"there-is-none.invalid:8000": {"cannot be resolved", "[GW054]"},
		"unix:/nonexistent/s":        {"/nonexistent does not exist", "[GW055]"},
		"unix:" + file:               {"not a socket", "[GW056]"},
		"fd://99":                    {"not open", "[GW057]"},
		"systemd":                    {"systemd passed no socket", "[GW058]"},
	} {
		refused(t, Options{App: "hello", Args: []string{"-b", bind}}, 5, words...)
	}
}

// Which part of the path is in the way, whose it is, and who we are.
func TestFailures_FilesThatCannotBeWritten(t *testing.T) {
	folder := tree(t, map[string]string{"file": "", "closed/log": "", "shut/in/log": ""})
	in := func(name string) string { return filepath.Join(folder, name) }
	for name, mode := range map[string]os.FileMode{"closed/log": 0o400, "closed": 0o500, "shut": 0o600} {
		if err := os.Chmod(in(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(in("shut"), 0o700) })
	if err := unix.Mkfifo(in("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, why string
		asPID     string // for the pid file; empty: the same
	}{
		{"absent/deep/log", "the folder " + in("absent") + " does not exist", ""},
		{"file/log", in("file") + " is not a folder", ""},
		{"closed/log", "the file " + in("closed/log") + " cannot be written by ", "the folder " + in("closed") + " cannot be written by "},
		{"closed/new", "the folder " + in("closed") + " cannot be written by ", ""},
		{"shut/in/log", "the folder " + in("shut") + " cannot be entered by ", ""},
		{"closed", in("closed") + " is a folder", "is a directory"},
		{"pipe", "is a named pipe, which needs a reader", "none"},
	} {
		whose := []string{}
		if strings.HasSuffix(c.why, " by ") {
			whose = []string{"uid 1000", "has mode 0"}
		}
		refusedAs1000(t, []string{"--error-logfile", in(c.name)}, append(whose, in(c.name), c.why, "[GW070]")...)
		if c.asPID == "none" {
			continue
		}
		if c.asPID != "" {
			c.why, whose = c.asPID, nil
		}
		refusedAs1000(t, []string{"-p", in(c.name)}, append(whose, in(c.name), c.why, "[GW071]")...)
	}
	pid := in("pid")
	for text, want := range map[string]string{fmt.Sprintln(os.Getpid()): "[GW072]", "precious\n": "[GW073]"} {
		if err := os.WriteFile(pid, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, Options{App: "hello", Args: []string{"-p", pid}}, 7, want)
	}
}

func refusedAs1000(t *testing.T, args []string, words ...string) {
	t.Helper()
	under := []string{"unshare", "--user", "--map-user=1000", "--map-group=1000", "--fork", "--kill-child"}
	refused(t, Options{App: "hello", Args: args, Under: under}, 7, words...)
}

// --- What runs -----------------------------------------------------------------

// A worker that dies, a request that takes too long, an exception: records of a
// server that goes on.
func TestFailures_RecordsOfARunningServerHaveCodes(t *testing.T) {
	s := Start(t, "misbehave.dying")
	s.Ask("/kill")
	for text, code := range map[string]string{"worker died": "GW090", "request lost with its worker; trying": "GW113", "[ERROR] request lost with its worker": "GW112"} {
		if line := s.WaitFor(text); !strings.HasSuffix(line, " ["+code+"]") {
			t.Errorf("log = %q, want it to end with [%s]", line, code)
		}
	}
	if r := s.Ask("/alive"); r.Status != 200 {
		t.Errorf("GET /alive = %s, want 200", r.Line())
	}
}

func TestFailures_RecordOfARequestThatTakesTooLong(t *testing.T) {
	s := Start(t, "misbehave.slow", "--timeout", "200ms")
	if r := s.Ask("/sleep?seconds=60"); r.Status != 504 {
		t.Errorf("GET = %s, want 504", r.Line())
	}
	if line := s.WaitFor("a request has taken too long"); !strings.HasSuffix(line, " [GW104]") {
		t.Errorf("log = %q, want it to end with [GW104]", line)
	}
}

// A traceback stands below its record, whose first line has the code.
func TestFailures_RecordOfAnException(t *testing.T) {
	s := StartWith(t, Options{App: "app", Dir: tree(t, map[string]string{"app.py": "def application(environ, start_response):\n    raise ValueError('on purpose')\n"})})
	s.Ask("/")
	if line := s.WaitFor("the application failed"); !strings.HasSuffix(line, " [GW114]") {
		t.Errorf("log = %q, want it to end with [GW114]", line)
	}
	s.WaitFor("ValueError: on purpose")
}

func TestFailures_ReloadSaysWhatBecameOfIt(t *testing.T) {
	e := newEditable(t)
	s := e.start()
	said := func(want int, text string) {
		t.Helper()
		code, out := s.reload()
		first, second, _ := strings.Cut(strings.TrimSpace(out), "\n")
		if code != want || !strings.Contains(first, text) || !saysWhatToDo(first, second) {
			t.Errorf("gowsgi reload = %d, %q; want %d and a line with %q, and one with what to do", code, out, want, text)
		}
	}
	e.write("app.py", "import there_is_no_such_package\n")
	mark := s.Mark()
	said(3, "the application cannot be imported")
	s.WaitForSince(mark, "[GW032]")
	if line := s.WaitForSince(mark, "reload failed"); !strings.HasSuffix(line, " [GW130]") {
		t.Errorf("log = %q, want it to end with [GW130]", line)
	}
	e.write("gowsgi.toml", "wrokers = 2\n")
	mark = s.Mark()
	said(2, "[GW003]")
	if line := s.WaitForSince(mark, "reload failed"); !strings.HasSuffix(line, " [GW003]") {
		t.Errorf("log = %q, want it to end with [GW003]", line)
	}
	if r := s.Ask("/"); r.Status != 200 {
		t.Errorf("GET / after failed reloads = %s, want 200", r.Line())
	}
}

// --- Commands ------------------------------------------------------------------

func TestFailures_CommandsFailWithCodes(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for _, c := range []struct {
		args []string
		code int
		word string
	}{
		{[]string{"reload", fmt.Sprint(os.Getpid())}, 1, "[GW131]"},
		{[]string{"reload", "--pid", missing}, 7, "[GW076]"},
		{[]string{"reload", "none"}, 2, "[GW001]"},
		{[]string{"migrate", missing + ".py"}, 2, "[GW015]"},
		{[]string{"completion", "tcsh"}, 2, "[GW001]"},
		{[]string{"explain", "GW999"}, 2, "GW999"},
		{[]string{"explain", "nothing", "of", "the", "kind"}, 2, "nothing of the kind"},
		{[]string{"check", "-c", missing, "hello"}, 2, "[GW003]"},
		{[]string{"--check-config", "-w", "none", "hello"}, 2, "[GW002]"},
		{[]string{"--print-config", "--min-workers", "3", "--max-workers", "2", "hello"}, 2, "[GW004]"},
		{[]string{"--daemon", "hello"}, 2, "[GW005]"},
		{[]string{"--env-file", missing, "hello"}, 2, "[GW006]"},
		{nil, 2, "[GW007]"},
		{[]string{"hello.py"}, 2, "[GW008]"},
		{[]string{"--static", "/s=" + missing, "hello"}, 2, "[GW009]"},
		{[]string{"-u", "there-is-no-such-user", "hello"}, 2, "[GW010]"},
	} {
		refused(t, Options{Args: c.args, noBind: true}, c.code, c.word)
	}
}

// Every code that is listed has a page, however it is written.
func TestFailures_ExplainPrintsThePages(t *testing.T) {
	code, listed, _ := finish(t, Options{Args: []string{"explain"}, noBind: true})
	codes := regexp.MustCompile(`(?m)^  (GW\d{3})  (.+)$`).FindAllStringSubmatch(strings.Join(listed, "\n"), -1)
	if code != 0 || len(codes) < 80 {
		t.Fatalf("gowsgi explain = %d and %d codes, want 0 and all of them", code, len(codes))
	}
	all := []string{"explain"}
	for _, row := range codes {
		all = append(all, row[1])
	}
	code, stdout, stderr := finish(t, Options{Args: all, noBind: true})
	text := "\n" + strings.Join(stdout, "\n")
	if code != 0 || len(stderr) > 0 || strings.Count(text, "\nWhat to do\n") != len(codes) {
		t.Errorf("gowsgi explain with all codes = %d, %q, and %d pages; want 0, nothing, %d", code, stderr, strings.Count(text, "\nWhat to do\n"), len(codes))
	}
	for _, row := range codes {
		if !strings.Contains(text, "\n"+row[1]+"  "+row[2]+"\n") {
			t.Errorf("gowsgi explain %s does not begin with its title, %s", row[1], row[2])
		}
	}
	for _, spelling := range []string{"GW052", "gw052", "52", "[GW052]"} {
		code, stdout, _ := finish(t, Options{Args: []string{"explain", spelling}, noBind: true})
		if code != 0 || len(stdout) < 5 || stdout[0] != "GW052  The port is one that only root may listen on" {
			t.Errorf("gowsgi explain %s = %d, %q; want the page of GW052", spelling, code, stdout)
		}
	}
	if code, stdout, _ := finish(t, Options{Args: []string{"explain", "unix", "owner"}, noBind: true}); code != 0 || len(stdout) != 2 || !strings.Contains(stdout[1], "GW060") {
		t.Errorf("gowsgi explain unix owner = %d, %q; want GW060 alone", code, stdout)
	}
}
