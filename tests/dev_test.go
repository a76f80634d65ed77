package tests

// The development server: the request after a save is answered by what was saved.

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"image/png"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// project is the folder of somebody who writes an application.
type project struct {
	t   *testing.T
	dir string
}

const projectApp = `import os
import part
try:
    with open("templates/page.html") as file:
        TEMPLATE = file.read()
except OSError:
    TEMPLATE = "none"
def application(environ, start_response):
    path = environ["PATH_INFO"]
    kind = "text/plain"
    body = part.VERSION
    if path == "/template":
        body = TEMPLATE
    if path == "/lazy":
        import lazy
        body = lazy.VERSION
    if path == "/page":
        kind, body = "text/html", "<html><body>" + body + "</body></html>"
    if path == "/fail":
        secret = "<b>" + body
        raise ValueError(secret)
    if path == "/key":
        body = body + {}["absent"] + body
    if path == "/stop":
        answer = 6 * 7
        breakpoint()
        body = str(answer)
    start_response("200 OK", [("Content-Type", kind)])
    return [body.encode()]
`

func newProject(t *testing.T) *project {
	t.Helper()
	p := &project{t, t.TempDir()}
	p.save("app.py", projectApp)
	p.version("part.py", "v0")
	return p
}

// save writes a file in place.
func (p *project) save(name, text string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// replace saves as vim does: the old file becomes a backup, the new one its own.
func (p *project) replace(name, text string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.Rename(path, path+"~"); err != nil {
		p.t.Fatal(err)
	}
	p.save(name, text)
	if err := os.Remove(path + "~"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *project) version(name, version string) {
	p.t.Helper()
	p.save(name, fmt.Sprintf("VERSION = %q\n", version))
}

// start starts gowsgi dev in the folder. Bytecode is cached, as people have it.
func (p *project) start(args ...string) *Server {
	p.t.Helper()
	return StartWith(p.t, Options{Args: append([]string{"dev"}, args...), Dir: p.dir, Env: []string{"PYTHONDONTWRITEBYTECODE="}})
}

func wantBody(t *testing.T, s *Server, target, want string) {
	t.Helper()
	if got := s.Ask(target); got.Status != 200 || got.Body != want {
		t.Fatalf("GET %s = %d %q, want 200 %q", target, got.Status, got.Body, want)
	}
}

func TestDev_TheRequestAfterASaveMeetsTheNewCode(t *testing.T) {
	for _, engine := range []string{"inotify", "poll"} {
		t.Run(engine, func(t *testing.T) {
			p := newProject(t)
			p.version("lazy.py", "l0")
			p.save("templates/page.html", "t0")
			s := p.start("--reload-engine", engine, "--no-livereload")
			wantBody(t, s, "/", "v0")
			wantBody(t, s, "/template", "t0")
			wantBody(t, s, "/lazy", "l0")
			for i := 1; i < 5; i++ { // the same size, and within a second
				p.version("part.py", fmt.Sprint("v", i))
				wantBody(t, s, "/", fmt.Sprint("v", i))
			}
			p.replace("part.py", "VERSION = 'v6'\n")
			wantBody(t, s, "/", "v6")
			p.version("lazy.py", "l1")
			wantBody(t, s, "/lazy", "l1")
			p.save("templates/page.html", "t1")
			wantBody(t, s, "/template", "t1")
		})
	}
}

// Somebody has compiled the file in the very second of the next save.
func TestDev_StaleBytecodeIsNotTaken(t *testing.T) {
	p := newProject(t)
	path := filepath.Join(p.dir, "part.py")
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	compile := exec.Command(python, "-m", "compileall", "-q", p.dir)
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("compileall: %v\n%s", err, out)
	}
	caches, err := filepath.Glob(filepath.Join(p.dir, "__pycache__", "part.*"))
	if err != nil || len(caches) != 1 {
		t.Fatalf("caches = %q, %v, want one", caches, err)
	}
	p.version("part.py", "v1")
	for file, at := range map[string]time.Time{caches[0]: old.Add(100 * time.Millisecond), path: old.Add(200 * time.Millisecond)} {
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	wantBody(t, p.start(), "/", "v1")
}

func TestDev_RequestsWaitForTheNewCode(t *testing.T) {
	p := newProject(t)
	s := p.start()
	var saved atomic.Int64
	var all sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				least := saved.Load()
				response, err := http.Get(s.URL("/"))
				if err != nil {
					t.Errorf("a request during reloads: %v", err)
					return
				}
				var body bytes.Buffer
				_, err = body.ReadFrom(response.Body)
				_ = response.Body.Close()
				got, failed := strconv.ParseInt(strings.TrimPrefix(body.String(), "v"), 10, 64)
				if err != nil || failed != nil || response.StatusCode != 200 || got < least {
					t.Errorf("answer = %d %q, want 200 from version %d on", response.StatusCode, body.String(), least)
					return
				}
			}
		})
	}
	for i := 1; i <= 6; i++ {
		temporary := filepath.Join(p.dir, "part.tmp")
		if err := os.WriteFile(temporary, []byte(fmt.Sprintf("VERSION = 'v%d'\n", i)), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temporary, filepath.Join(p.dir, "part.py")); err != nil {
			t.Fatal(err)
		}
		saved.Store(int64(i))
		wantBody(t, s, "/", fmt.Sprint("v", i))
	}
	close(done)
	all.Wait()
}

func TestDev_PreloadedCodeIsNew(t *testing.T) {
	p := newProject(t)
	s := p.start("--preload")
	for i := 1; i < 4; i++ {
		wantBody(t, s, "/", fmt.Sprint("v", i-1))
		p.version("part.py", fmt.Sprint("v", i))
		wantBody(t, s, "/", fmt.Sprint("v", i))
	}
	p.save("part.py", "VERSION = \n")
	if got := s.Ask("/"); got.Status != 500 || !strings.Contains(got.Body, "SyntaxError") {
		t.Errorf("GET / = %d %q, want the syntax error", got.Status, got.Body)
	}
	p.version("part.py", "v9")
	wantBody(t, s, "/", "v9")
}

// The folder is a link that comes to lead to another release.
func TestDev_FollowsALinkToTheNextRelease(t *testing.T) {
	p := newProject(t)
	base := t.TempDir()
	for release, version := range map[string]string{"one": "v1", "two": "v2"} {
		if err := os.CopyFS(filepath.Join(base, release), os.DirFS(p.dir)); err != nil {
			t.Fatal(err)
		}
		in := &project{t, filepath.Join(base, release)}
		in.version("part.py", version)
	}
	current := filepath.Join(base, "current")
	if err := os.Symlink("one", current); err != nil {
		t.Fatal(err)
	}
	s := StartWith(t, Options{Args: []string{"dev", "--chdir", current}})
	wantBody(t, s, "/", "v1")
	if err := os.Symlink("two", current+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(current+".new", current); err != nil {
		t.Fatal(err)
	}
	wantBody(t, s, "/", "v2")
}

// A saved configuration is one more change; one that cannot be understood is said.
func TestDev_FollowsItsConfiguration(t *testing.T) {
	p := newProject(t)
	p.save("app.py", strings.Replace(projectApp, "body = part.VERSION", `body = part.VERSION + os.environ.get("MARK", "")`, 1))
	p.save("gowsgi.toml", "env = [\"MARK=a\"]\n")
	s := p.start()
	wantBody(t, s, "/", "v0a")
	p.save("gowsgi.toml", "env = [\"MARK=b\"]\n")
	wantBody(t, s, "/", "v0b")
	p.save("gowsgi.toml", "threads = \"many\"\n")
	if got := s.Ask("/"); got.Status != 500 || !strings.Contains(got.Body, "threads") {
		t.Errorf("GET / = %d %q, want what is wrong with the configuration", got.Status, got.Body)
	}
	p.save("gowsgi.toml", "env = [\"MARK=c\"]\n")
	wantBody(t, s, "/", "v0c")
}

// What need not wait for the save is done before it.
func TestDev_AZygoteBootsAheadOfTheSave(t *testing.T) {
	p := newProject(t)
	s := p.start("--log-level", "debug")
	mark := 0
	for i := 1; i < 4; i++ {
		line := s.WaitForSince(mark, "a zygote has booted ahead")
		mark = s.Mark()
		pid := regexp.MustCompile(`pid=(\d+)`).FindStringSubmatch(line)
		p.version("part.py", fmt.Sprint("v", i))
		wantBody(t, s, "/", fmt.Sprint("v", i))
		if serving := regexp.MustCompile(`worker serves worker=(\d+) pid=(\d+)`).FindStringSubmatch(s.WaitForSince(mark, "worker serves")); pid != nil && serving != nil {
			worker, err := strconv.Atoi(serving[2])
			if err != nil {
				t.Fatal(err)
			}
			if process, ok := readProcess(worker); !ok || strconv.Itoa(process.Parent) != pid[1] {
				t.Errorf("after save %d the worker's parent is %d, want %s, which had booted before", i, process.Parent, pid[1])
			}
			continue
		}
		t.Fatalf("the log names no processes: %q, %q", line, s.LogSince(mark))
	}
}

// An application may write what it imports, each time it is loaded.
func TestDev_WhatTheApplicationWritesItselfDoesNotHoldRequestsUp(t *testing.T) {
	for name, text := range map[string]string{"the same": "'1'", "another": "str(time.time_ns())"} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t)
			p.save("app.py", "import time\nwith open('written.py', 'w') as file:\n    file.write('VERSION = ' + "+text+")\n"+
				"import written\ntime.sleep(0.1)\n"+projectApp)
			s := p.start("--no-livereload")
			for i := range 3 {
				p.version("part.py", fmt.Sprint("v", i))
				wantBody(t, s, "/", fmt.Sprint("v", i))
			}
		})
	}
}

func TestDev_BrokenCodeGetsAPageUntilItIsMended(t *testing.T) {
	p := newProject(t)
	s := p.start()
	wantBody(t, s, "/", "v0")
	p.save("part.py", "VERSION = '<i>'\nraise RuntimeError(VERSION)\n")
	text := s.Ask("/", "Accept: */*")
	if text.Status != 500 || !strings.HasPrefix(text.Value("Content-Type"), "text/plain") ||
		!strings.Contains(text.Body, "RuntimeError: <i>") || !strings.Contains(text.Body, "changed: part.py") || !strings.Contains(text.Body, "app.py\", line 2") {
		t.Errorf("curl reads %d %q, want the traceback as text", text.Status, text.Body)
	}
	page := s.Ask("/", "Accept: text/html,*/*;q=0.8")
	for _, want := range []string{"RuntimeError: &lt;i&gt;", `<code class="file">part.py</code>, line 2`, "raise RuntimeError(VERSION)", "after a change of <code>part.py</code>", "EventSource"} {
		if page.Status != 500 || !strings.Contains(page.Body, want) {
			t.Errorf("a browser reads %d %s\nwant %q in it", page.Status, page.Body, want)
		}
	}
	object := s.Ask("/", "Accept: application/json")
	var told struct {
		Error   string
		Changed []string
	}
	if err := json.Unmarshal([]byte(object.Body), &told); err != nil || told.Error != "RuntimeError: <i>" || len(told.Changed) != 1 {
		t.Errorf("JSON = %q, %v, want error and changed", object.Body, err)
	}
	p.save("part.py", "import absent\nVERSION = absent.VERSION\n")
	if got := s.Ask("/"); got.Status != 500 || !strings.Contains(got.Body, "No module named 'absent'") {
		t.Errorf("GET / = %d %q, want the missing module", got.Status, got.Body)
	}
	p.version("absent.py", "v1") // a file nobody knew of
	wantBody(t, s, "/", "v1")
}

// Code that takes its process with it is broken code, too.
func TestDev_StartsWithBrokenCode(t *testing.T) {
	for code, want := range map[string]string{
		"VERSION = \n":                         "SyntaxError",
		"import ctypes\nctypes.string_at(0)\n": "killed by SIGSEGV",
		"import os\nos._exit(7)\n":             "status 7",
	} {
		p := newProject(t)
		p.save("part.py", code)
		s := p.start("app:application")
		if got := s.Ask("/"); got.Status != 500 || !strings.Contains(got.Body, want) {
			t.Errorf("GET / with %q = %d %q, want it to tell of %s", code, got.Status, got.Body, want)
		}
		p.version("part.py", "v1")
		wantBody(t, s, "/", "v1")
		s.Stop()
	}
}

func TestDev_AnExceptionIsShownToTheDeveloperAlone(t *testing.T) {
	p := newProject(t)
	for _, c := range []struct {
		args []string
		app  string
		dev  bool
	}{{args: []string{"dev"}, dev: true}, {app: "app", args: []string{"--reload"}, dev: true}, {app: "app"}} {
		s := StartWith(t, Options{App: c.app, Args: c.args, Dir: p.dir})
		got := s.Ask("/fail", "Accept: text/html")
		if shown := strings.Contains(got.Body, "ValueError: &lt;b&gt;v0") && strings.Contains(got.Body, "secret = "); got.Status != 500 || shown != c.dev {
			t.Errorf("%q: GET /fail = %d %s, want the page: %v", c.args, got.Status, got.Body, c.dev)
		}
		if !c.dev && strings.Contains(got.Body+s.Ask("/-/gowsgi/livereload").Body, "ValueError") {
			t.Errorf("%q: the exception is told to clients: %s", c.args, got.Body)
		}
		s.Stop()
	}
}

// Python tells which characters of a line it was at, from 3.11 on.
func TestDev_ThePageMarksTheExpression(t *testing.T) {
	p := newProject(t)
	s := p.start()
	release := regexp.MustCompile(`python=3\.(\d+)\.`).FindStringSubmatch(s.WaitFor("listening at"))
	page := s.Ask("/key", "Accept: text/html").Body
	if release == nil || !strings.Contains(page, `<tr class="here">`) || !strings.Contains(page, "KeyError") {
		t.Fatalf("Python %q: page = %s, want the line of the KeyError marked", release, page)
	}
	minor, err := strconv.Atoi(release[1])
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Contains(page, `<mark>{}[&#34;absent&#34;]</mark>`); got != (minor >= 11) {
		t.Errorf("Python 3.%d: the expression is marked: %v, want %v\n%s", minor, got, minor >= 11, page)
	}
}

// One datagram takes some 200 KB; what does not fit leaves out source, not frames.
func TestDev_AHugeExceptionIsShown(t *testing.T) {
	p := newProject(t)
	var text strings.Builder
	text.WriteString("def application(environ, start_response):\n    try:\n        step0()\n    except Exception as error:\n        raise ValueError('\\udcff' * 9000) from error\n")
	comment := strings.Repeat("    # "+strings.Repeat("прим", 70)+"\n", 5)
	for i := range 50 {
		fmt.Fprintf(&text, "def step%d():\n%s    step%d()\n%s", i, comment, i+1, comment)
	}
	p.save("app.py", text.String())
	var page struct {
		Exceptions []struct{ Frames []struct{ Source []string } }
	}
	got := p.start().Ask("/", "Accept: application/json")
	if err := json.Unmarshal([]byte(got.Body), &page); err != nil || len(page.Exceptions) != 2 {
		t.Fatalf("GET / = %d %.300q (%v), want two exceptions", got.Status, got.Body, err)
	}
	frames := page.Exceptions[1].Frames
	if len(frames) != 51 || len(frames[50].Source) == 0 {
		t.Errorf("%d frames, want 51, the last with its source", len(frames))
	}
}

func TestDev_WatchesAndExcludesWhatItIsTold(t *testing.T) {
	p := newProject(t)
	p.save("part.py", "import glob\nVERSION = ''.join(sorted(open(name).read() for name in glob.glob('conf/*/*.yml')))\n")
	for _, name := range []string{"conf/a/a.yml", "conf/b/b.yml"} {
		p.save(name, "0")
	}
	p.save("conf/a/notes.html", "0")
	s := p.start("--reload-extra-file", "conf/**/*.yml", "--reload-exclude", "conf/b", "--reload-exclude", "note?.html")
	wantBody(t, s, "/", "00")
	p.save("conf/a/a.yml", "1")
	wantBody(t, s, "/", "01")
	p.save("conf/c/c.yml", "2")
	wantBody(t, s, "/", "012")
	p.save("conf/b/b.yml", "3")
	p.save("conf/a/notes.html", "3")
	wantBody(t, s, "/", "012") // no reload has read them again
	p.save("conf/d/d.yml", "4")
	wantBody(t, s, "/", "1234")
	s.WaitFor("conf/d/d.yml")
	if log := strings.Join(s.Log(), "\n"); strings.Contains(log, "b.yml") || strings.Contains(log, "notes.html") {
		t.Errorf("log = %s\nwant nothing of excluded files", log)
	}
}

// As git does it: thousands of files, folders that go and come, the one that
// matters in between.
func TestDev_FollowsABranchSwitch(t *testing.T) {
	p := newProject(t)
	p.save("app.py", strings.Replace(projectApp, "import part", "from package import part", 1))
	branch := func(version string, folders int) {
		if err := os.RemoveAll(filepath.Join(p.dir, "package")); err != nil {
			t.Fatal(err)
		}
		for d := range folders {
			for f := range 30 {
				p.save(fmt.Sprintf("package/f%d/t%d.html", d, f), version)
			}
			if d == folders/2 {
				p.save("package/__init__.py", "")
				p.version("package/part.py", version)
			}
		}
	}
	branch("v0", 20)
	s := p.start()
	wantBody(t, s, "/", "v0")
	branch("v1", 60)
	wantBody(t, s, "/", "v1")
	branch("v2", 10)
	wantBody(t, s, "/", "v2")
}

func TestDev_PollsWhereTheKernelTellsOfNoMoreFolders(t *testing.T) {
	// The limit of a user namespace is its own to set.
	under := []string{"unshare", "--user", "--map-root-user", "sh", "-ec", `echo 2 >/proc/sys/user/max_inotify_watches; exec "$@"`, "sh"}
	if out, err := exec.Command(under[0], append(under[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("no user namespaces here: %v %s", err, out)
	}
	p := newProject(t)
	s := StartWith(t, Options{Args: []string{"dev"}, Dir: p.dir, Through: under})
	s.WaitFor("polling")
	wantBody(t, s, "/", "v0")
	p.version("part.py", "v1")
	wantBody(t, s, "/", "v1")
}

func TestDev_OpenPagesAreToldToRefresh(t *testing.T) {
	p := newProject(t)
	s := p.start()
	page := s.Ask("/page", "Accept: text/html", "Sec-Fetch-Dest: document")
	if !strings.HasPrefix(page.Body, "<html><body>v0</body></html><script>") || page.Value("Content-Length") != strconv.Itoa(len(page.Body)) {
		t.Fatalf("page = %s, %q, want a script behind it", page.Value("Content-Length"), page.Body)
	}
	mine := regexp.MustCompile(`const mine="([^"]+)"`).FindStringSubmatch(page.Body)
	response, err := http.Get(s.URL("/-/gowsgi/livereload"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	stream := bufio.NewScanner(response.Body)
	next := func() string {
		for stream.Scan() {
			if state, ok := strings.CutPrefix(stream.Text(), "data: "); ok {
				return state
			}
		}
		t.Fatalf("the stream has ended: %v", stream.Err())
		return ""
	}
	if got := next(); mine == nil || got != mine[1] {
		t.Errorf("the stream says %q, want the state %q of the page", got, mine)
	}
	p.version("part.py", "v1")
	if got := next(); got == mine[1] {
		t.Errorf("after a save the stream says %q, want another state", got)
	}
	s.Stop() // with the stream open
}

func TestDev_NoLivereloadLeavesPagesAlone(t *testing.T) {
	p := newProject(t)
	s := p.start("--no-livereload")
	wantBody(t, s, "/page", "<html><body>v0</body></html>")
	wantBody(t, s, "/-/gowsgi/livereload", "v0")
}

func TestDev_FindsDjango(t *testing.T) {
	p := &project{t, t.TempDir()}
	if err := os.CopyFS(p.dir, os.DirFS(filepath.Join(apps, "django_site"))); err != nil {
		t.Fatal(err)
	}
	s := p.start()
	s.WaitFor("application=mysite.wsgi:application")
	before := s.Ask("/notes-of-nobody")
	views := filepath.Join(p.dir, "mysite", "urls.py")
	text, err := os.ReadFile(views)
	if err != nil {
		t.Fatal(err)
	}
	p.save("mysite/urls.py", string(text)+"\nfrom django.http import HttpResponse\nurlpatterns.insert(0, path('notes-of-nobody', lambda request: HttpResponse('saved')))\n")
	if got := s.Ask("/notes-of-nobody"); before.Status != 404 || got.Status != 200 || !strings.HasPrefix(got.Body, "saved") {
		t.Errorf("before and after the save: %d, %d %q, want 404, 200 saved", before.Status, got.Status, got.Body)
	}
}

func TestDev_SaysWhatItHasNotFound(t *testing.T) {
	refused(t, Options{Args: []string{"dev"}, Dir: t.TempDir()}, 2, "no application found", "gowsgi dev MODULE")
}

// terminal is a pty that a gowsgi has as its controlling terminal.
type terminal struct {
	t    *testing.T
	pty  *os.File
	cmd  *exec.Cmd
	more chan []byte
	text string
}

func openTerminal(t *testing.T, o Options) *terminal {
	t.Helper()
	pty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	if err := unix.IoctlSetPointerInt(int(pty.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(pty.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	o.Env = append(o.Env, "TERM=xterm")
	cmd := o.command()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, pty: pty, cmd: cmd, more: make(chan []byte, 1000)}
	go func() {
		defer close(term.more)
		for {
			buf := make([]byte, 4096)
			n, err := pty.Read(buf)
			if n > 0 {
				term.more <- buf[:n]
			}
			if err != nil {
				return // EIO: nobody has the other end any more
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended when the test has passed
		_ = cmd.Wait()
		_ = pty.Close()
	})
	return term
}

// expect returns what is shown up to text.
func (term *terminal) expect(text string) string {
	term.t.Helper()
	late := time.After(patience)
	for {
		if before, after, ok := strings.Cut(term.text, text); ok {
			term.text = after
			return before + text
		}
		select {
		case more, ok := <-term.more:
			if !ok {
				term.t.Fatalf("the terminal shows %q and no more, want %q", term.text, text)
			}
			term.text += string(more)
		case <-late:
			term.t.Fatalf("the terminal shows %q, want %q", term.text, text)
		}
	}
}

func (term *terminal) enter(text string) {
	term.t.Helper()
	if _, err := term.pty.WriteString(text); err != nil {
		term.t.Fatal(err)
	}
}

// awaitReader waits until the program that has the terminal sleeps, which is when it
// reads. It shows its prompt before: readline loses a Ctrl-C that comes in between, for
// its select finds nothing to read, and nothing interrupts it any more.
func (term *terminal) awaitReader() {
	term.t.Helper()
	for late := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		group, err := unix.IoctlGetInt(int(term.pty.Fd()), unix.TIOCGPGRP)
		if err != nil {
			term.t.Fatalf("whose the terminal is: %v", err)
		}
		reader, ok := readProcess(group)
		if ok && reader.State == 'S' {
			return
		}
		if time.Now().After(late) {
			term.t.Fatalf("process %d has the terminal: state = %q, want S", group, reader.State)
		}
	}
}

// leave stops gowsgi as a person does, and returns what was shown until it ended.
func (term *terminal) leave() string {
	term.t.Helper()
	term.enter("\x03")
	late := time.After(patience)
	for {
		select {
		case more, ok := <-term.more:
			if ok {
				term.text += string(more)
				continue
			}
			if err := term.cmd.Wait(); err != nil {
				term.t.Errorf("after Ctrl-C: %v, want status 0; the terminal shows %q", err, term.text)
			}
			return term.text
		case <-late:
			term.t.Fatalf("gowsgi has not ended after Ctrl-C; the terminal shows %q", term.text)
		}
	}
}

func TestDev_BreakpointHasTheTerminal(t *testing.T) {
	p := newProject(t)
	term := openTerminal(t, Options{Args: []string{"dev"}, Dir: p.dir})
	banner := term.expect("Ctrl-C")
	for _, want := range []string{"app:application", "development server", " 3.", "1 × 1 thread, new code with each save", "http://127.0.0.1:"} {
		if !strings.Contains(banner, want) {
			t.Errorf("banner = %q, want %q in it", banner, want)
		}
	}
	url := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(banner)
	ask := func(path string) <-chan string {
		answer := make(chan string, 1)
		go func() {
			response, err := http.Get(url + path)
			if err != nil {
				answer <- err.Error()
				return
			}
			defer response.Body.Close()
			var body bytes.Buffer
			_, _ = body.ReadFrom(response.Body) // half an answer is not the wanted one
			answer <- body.String()
		}()
		return answer
	}
	stopped := ask("/stop")
	term.expect("(Pdb) ")
	term.enter("answer = 43\n")
	term.expect("(Pdb) ")
	term.awaitReader()
	term.enter("\x03") // for the debugger, not for the server
	term.expect("KeyboardInterrupt")
	term.expect("(Pdb) ")
	p.version("part.py", "v1") // a reload in the middle
	if got := <-ask("/"); got != "v1" {
		t.Errorf("during the debugger's talk GET / = %q, want the new code's v1", got)
	}
	again := ask("/stop") // waits for the terminal
	term.enter("c\n")
	if got := <-stopped; got != "43" {
		t.Errorf("GET /stop = %q, want what was set in the debugger, 43", got)
	}
	term.expect("(Pdb) ")
	term.enter("p answer + 1000\n")
	term.expect("1042")
	term.expect("(Pdb) ")
	term.enter("c\n")
	if got := <-again; got != "42" {
		t.Errorf("the second GET /stop = %q, want 42", got)
	}
	if line := term.expect("/stop"); !strings.Contains(line, "\x1b[") {
		t.Errorf("the request's line is %q, want colours", line)
	}
	if shown := term.leave(); !strings.Contains(shown, "stopped") {
		t.Errorf("after Ctrl-C the terminal shows %q, want it said", shown)
	}
}

func TestDev_ATerminalWithoutColours(t *testing.T) {
	p := newProject(t)
	term := openTerminal(t, Options{Args: []string{"dev"}, Dir: p.dir, Env: []string{"NO_COLOR=1"}})
	if banner := term.expect("Ctrl-C"); strings.Contains(banner, "\x1b") {
		t.Errorf("banner = %q, want no colours with NO_COLOR", banner)
	}
}

func TestDev_WithoutATerminalTheDebuggerIsPassedOver(t *testing.T) {
	p := newProject(t)
	s := p.start()
	wantBody(t, s, "/stop", "42")
	s.WaitFor("no terminal for the debugger")
}

// Shown is where the browser's picture of the page is left for people to look at.
const shown = "build/error-page.png"

func TestDev_ABrowserShowsThePageAndRefreshesIt(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	p := newProject(t)
	s := p.start()
	picture := filepath.Join(repository, shown)
	if err := os.MkdirAll(filepath.Dir(picture), 0o755); err != nil {
		t.Fatal(err)
	}
	browse := func(args ...string) *exec.Cmd {
		cmd := exec.Command(chromium, append([]string{
			"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
			"--user-data-dir=" + t.TempDir(), "--window-size=1100,800",
		}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		return cmd
	}
	if out, err := browse("--screenshot="+picture, s.URL("/fail")).CombinedOutput(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, out)
	}
	if marked := pixels(t, picture, 0xff, 0xe9, 0xe3); marked < 1000 {
		t.Errorf("%s has %d pixels of the marked line, want that line seen", shown, marked)
	}
	// A window that stays open: nobody asks but the page itself.
	window := browse("--remote-debugging-port=0", s.URL("/page"))
	if err := window.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = unix.Kill(-window.Process.Pid, unix.SIGKILL) // browsers are many processes
		_ = window.Wait()
	}()
	for number := 1; number < 4; number++ {
		awaitOutput(t, s, "GET /page 200", number)
		p.version("part.py", fmt.Sprint("v", number))
	}
	awaitOutput(t, s, "GET /page 200", 4)
	p.save("part.py", "VERSION = \n")
	awaitOutput(t, s, "GET /page 500", 1) // the page about it refreshes itself, too
	p.version("part.py", "v5")
	awaitOutput(t, s, "GET /page 200", 5)
}

// awaitOutput waits until so many lines of the standard output hold text.
func awaitOutput(t *testing.T, s *Server, text string, number int) {
	t.Helper()
	seen := 0
	_, err := s.output.await(0, func(line string) bool {
		if strings.Contains(line, text) {
			seen++
		}
		return seen >= number
	}, s.ended)
	if err != nil {
		t.Fatalf("standard output:\n%s\nwant %d lines with %q: %v", strings.Join(s.Output(), "\n"), number, text, err)
	}
}

// pixels counts those of one colour.
func pixels(t *testing.T, path string, red, green, blue uint32) int {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	picture, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for y := picture.Bounds().Min.Y; y < picture.Bounds().Max.Y; y++ {
		for x := picture.Bounds().Min.X; x < picture.Bounds().Max.X; x++ {
			if r, g, b, _ := picture.At(x, y).RGBA(); r>>8 == red && g>>8 == green && b>>8 == blue {
				count++
			}
		}
	}
	return count
}
