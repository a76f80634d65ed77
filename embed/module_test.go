package embed_test

// The module gowsgi, as an application finds it.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gowsgi/embed"
	"gowsgi/environ"
	"gowsgi/workers"
	"gowsgi/wsgi"
)

// asks is an application that evaluates the query.
const asksSource = `
import gowsgi, importlib, os, sys, threading
at_import = (gowsgi.worker_id, gowsgi.request_id)
after_fork = []
os.register_at_fork(after_in_child=lambda: after_fork.append(gowsgi.worker_id))

def elsewhere(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]

def in_child(function):
    r, w = os.pipe()
    if os.fork() == 0:
        os.write(w, repr(function()).encode())
        os._exit(0)
    os.close(w)
    with open(r) as pipe:
        os.wait()
        return pipe.read()

def raised(function, *args):
    try:
        function(*args)
    except Exception as error:
        return type(error).__name__

def reloaded():
    before = gowsgi.after_response
    same = importlib.reload(gowsgi) is gowsgi
    return same and gowsgi.after_response is not before and gowsgi.worker_id

def imported_again():
    first = sys.modules.pop("gowsgi")
    import gowsgi as again
    sys.modules["gowsgi"] = first
    return again is not first and again.worker_id

def application(environ, start_response):
    start_response("200 OK", [])
    return [repr(eval(environ["QUERY_STRING"])).encode()]
`

func evaluate(t *testing.T, pool *workers.Pool, expression string) string {
	t.Helper()
	_, body, err := exchange(t, pool, environ.Request{
		Method: []byte("GET"), Target: []byte("/"), Path: []byte("/"), Proto: []byte("HTTP/1.1"),
		Query: []byte(expression), RequestID: []byte("the-id"),
	}, nil)
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return body
}

func TestModule_KnowsWorkerAndRequest(t *testing.T) {
	for _, preload := range []bool{false, true} {
		t.Run(fmt.Sprintf("preload %t", preload), func(t *testing.T) {
			pool := start(t, asksSource, func(s *embed.Settings) { s.Preload = preload })
			want := map[string]string{
				"gowsgi.worker_id":                     "1",
				"gowsgi.request_id":                    "'the-id'",
				"environ['gowsgi.request_id']":         "'the-id'",
				"at_import":                            map[bool]string{false: "(1, None)", true: "(None, None)"}[preload],
				"elsewhere(lambda: gowsgi.request_id)": "None",
				"elsewhere(lambda: gowsgi.worker_id)":  "1",
				"in_child(lambda: gowsgi.request_id)":  "'None'",
				"in_child(lambda: gowsgi.worker_id)":   "'None'",
				"raised(getattr, gowsgi, 'nothing')":   "'AttributeError'",
				"{'worker_id', 'request_id', 'postfork', 'atshutdown', 'after_response'} <= set(dir(gowsgi))": "True",
				"hasattr(gowsgi, '__file__'), gowsgi.__spec__.name, gowsgi.__spec__.origin":                   "(False, 'gowsgi', 'built-in')",
				"reloaded()":       "1",
				"imported_again()": "1",
			}
			if preload {
				want["after_fork"] = "[1]"
			}
			for expression, want := range want {
				if got := evaluate(t, pool, expression); got != want {
					t.Errorf("%s = %s, want %s", expression, got, want)
				}
			}
		})
	}
}

const postforkSource = `
import gowsgi, os
said = []
@gowsgi.postfork
def first():
    said.append(("first", gowsgi.worker_id, os.getpid()))
@gowsgi.postfork
def second():
    said.append(("second", gowsgi.worker_id, os.getpid()))
    @gowsgi.postfork
    def at_once():
        said.append(("at once", gowsgi.worker_id, os.getpid()))
def application(environ, start_response):
    @gowsgi.postfork
    def late():
        said.append(("late", gowsgi.worker_id, os.getpid()))
    start_response("200 OK", [])
    return [repr([(name, id, pid == os.getpid()) for name, id, pid in said]).encode()]
`

func TestPostfork_RunsInTheWorkerBeforeItsFirstRequest(t *testing.T) {
	for _, preload := range []bool{false, true} {
		t.Run(fmt.Sprintf("preload %t", preload), func(t *testing.T) {
			pool := start(t, postforkSource, func(s *embed.Settings) { s.Preload = preload })
			want := "[('first', 1, True), ('second', 1, True), ('at once', 1, True), ('late', 1, True)]"
			if _, body, err := get(t, pool, "/"); body != want || err != nil {
				t.Errorf("postfork functions ran = %s, %v, want %s", body, err, want)
			}
		})
	}
}

func TestPostfork_KeepsTheWorkerFromStartingWhenItRaises(t *testing.T) {
	for _, preload := range []bool{false, true} {
		t.Run(fmt.Sprintf("preload %t", preload), func(t *testing.T) {
			o, said := options(t, `
import gowsgi
@gowsgi.postfork
def connect():
    raise OSError("no such host")
def application(environ, start_response): pass
`, func(s *embed.Settings) { s.Preload = preload })
			_, err := workers.Start(t.Context(), o)
			var boot *workers.BootError
			if !errors.As(err, &boot) || boot.Code != embed.ExitImport {
				t.Errorf("Start() = %v, want a BootError with code %d", err, embed.ExitImport)
			}
			for _, want := range []string{"in connect\n", "OSError: no such host\n", "gowsgi: error: the postfork function app.connect raised OSError: no such host [GW045]\n"} {
				if !strings.Contains(said.String(), want) {
					t.Errorf("the worker said %q, want %q in it", said, want)
				}
			}
		})
	}
}

func TestAtshutdown_RunsOnceBeforeThreadsAndAtexit(t *testing.T) {
	for _, preload := range []bool{false, true} {
		for _, threads := range []int{1, 2} {
			t.Run(fmt.Sprintf("preload %t, %d threads", preload, threads), func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "said")
				source := fmt.Sprintf("FILE = %q\n", file) + `
import atexit, gowsgi, sys, threading
over = threading.Event()
def say(what):
    with open(FILE, "a") as f:
        f.write(what + "\n")
atexit.register(say, "atexit")
@gowsgi.atshutdown
def last():
    say("last %s" % (threading.current_thread() is threading.main_thread()))
@gowsgi.atshutdown
def fails():
    raise ValueError("on purpose")
@gowsgi.atshutdown
def ends_the_thread():
    say("first")
    over.set()
def background():
    over.wait()
    say("thread")
def application(environ, start_response):
    threading.Thread(target=background).start()
    sys.stdout = open(FILE + ".out", "w")
    sys.stdout.write("unflushed")
    start_response("200 OK", [])
    return [b""]
`
				o, said := options(t, source, func(s *embed.Settings) { s.Preload, s.Threads = preload, threads })
				pool, err := workers.Start(t.Context(), o)
				if err != nil {
					t.Fatalf("Start() = %v; the worker said %s", err, said)
				}
				if _, _, err := get(t, pool, "/"); err != nil {
					t.Error(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if err := pool.Stop(ctx); err != nil {
					t.Errorf("Stop() = %v, want the thread told to end", err)
				}
				got, err := os.ReadFile(file)
				lines := strings.Split(strings.TrimSpace(string(got)), "\n")
				// the thread may be quicker than the next function
				order := map[string]int{}
				for i, line := range lines {
					order[line] = i + 1
				}
				if err != nil || len(lines) != 4 || order["first"] != 1 || order["last True"] == 0 || order["thread"] == 0 || order["atexit"] != 4 {
					t.Errorf("at the end ran %q, %v, want first, last True, thread and atexit at the end", lines, err)
				}
				if out, err := os.ReadFile(file + ".out"); string(out) != "unflushed" || err != nil {
					t.Errorf("sys.stdout was left with %q, %v, want it flushed", out, err)
				}
				if want := "gowsgi: error: the atshutdown function app.fails failed [GW106]\nTraceback"; !strings.Contains(said.String(), want) || !strings.Contains(said.String(), "ValueError: on purpose") {
					t.Errorf("the worker said %q, want %q and the traceback in it", said, want)
				}
			})
		}
	}
}

// An application that has closed standard error, as a daemon would.
func TestAtshutdown_FailuresThatCannotBeToldStopNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "said")
	o, said := options(t, fmt.Sprintf("FILE = %q\n", file)+`
import atexit, gowsgi, os
@gowsgi.atshutdown
def fails():
    raise ValueError("on purpose")
@atexit.register
def at_exit():
    open(FILE, "w").close()
def application(environ, start_response):
    os.close(2)
    start_response("200 OK", [])
    return [b""]
`, nil)
	pool, err := workers.Start(t.Context(), o)
	if err != nil {
		t.Fatalf("Start() = %v; the worker said %s", err, said)
	}
	if _, _, err := get(t, pool, "/"); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := pool.Stop(ctx); err != nil {
		t.Errorf("Stop() = %v", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("atexit functions have not run: %v", err)
	}
}

const afterSource = `
import gowsgi, os, signal, threading, time
said = []
def note(what, **named):
    said.append((what, gowsgi.request_id, named))
def fails():
    raise ValueError("on purpose")
def more():
    said.append("more")
    gowsgi.after_response(note, "added")
class Dying:
    def __del__(self):
        gowsgi.after_response(note, "died")
class Closing:
    def __init__(self, blocks): self.blocks = blocks
    def __iter__(self): return iter(self.blocks)
    def close(self):
        said.append("closed")
        gowsgi.after_response(note, "close")
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/said":
        start_response("200 OK", [])
        body = repr(said).encode()
        said.clear()
        return [body]
    gowsgi.after_response(note, path, key=1)
    if path == "/raises":
        raise KeyError("on purpose")
    write = start_response("200 OK", [("Content-Length", "5")] if path == "/length" else [])
    if path == "/single":
        return [b"whole"]
    if path == "/write":
        write(b"who")
        return [b"le"]
    if path == "/empty":
        return []
    if path == "/argument":
        gowsgi.after_response(bool, Dying())
        return [b"whole"]
    if path == "/fails":
        gowsgi.after_response(fails)
        gowsgi.after_response(more)
        return [b"whole"]
    if path == "/dies":
        gowsgi.after_response(os.kill, os.getpid(), signal.SIGKILL)
        return [b"whole"]
    if path == "/generator":
        return (block for block in (b"who", b"le"))
    return Closing([b"who", b"", b"le"])
`

func TestAfterResponse_RunsAfterEveryKindOfAnswer(t *testing.T) {
	pool, said := startHeard(t, afterSource, nil)
	for path, want := range map[string]string{
		"/single":    "[('/single', None, {'key': 1})]",
		"/write":     "[('/write', None, {'key': 1})]",
		"/empty":     "[('/empty', None, {'key': 1})]",
		"/generator": "[('/generator', None, {'key': 1})]",
		"/raises":    "[('/raises', None, {'key': 1})]",
		"/length":    "['closed', ('/length', None, {'key': 1}), ('close', None, {})]",
		"/closing":   "['closed', ('/closing', None, {'key': 1}), ('close', None, {})]",
		"/argument":  "[('/argument', None, {'key': 1}), ('died', None, {})]",
		"/fails":     "[('/fails', None, {'key': 1}), 'more', ('added', None, {})]",
	} {
		status, body, err := get(t, pool, path)
		var failed *wsgi.ApplicationError
		switch {
		case path == "/raises" && !errors.As(err, &failed):
			t.Errorf("GET %s = %v, want the application's failure", path, err)
		case path == "/empty" && (status != "200 OK" || body != "" || err != nil):
			t.Errorf("GET %s = %s, %q, %v, want an empty answer", path, status, body, err)
		case path != "/raises" && path != "/empty" && (status != "200 OK" || body != "whole" || err != nil):
			t.Errorf("GET %s = %s, %q, %v, want the whole answer", path, status, body, err)
		}
		// one thread: the next request begins when the functions are through
		if _, got, err := get(t, pool, "/said"); got != want || err != nil {
			t.Errorf("after GET %s ran %s, %v, want %s; the worker said %s", path, got, err, want, said)
		}
	}
}

// The answer was complete; the worker that dies in a function takes no answer
// along.
func TestAfterResponse_MayEndTheWorker(t *testing.T) {
	pool := start(t, afterSource, nil)
	pid := pool.PIDs()[0]
	if status, body, err := get(t, pool, "/dies"); status != "200 OK" || body != "whole" || err != nil {
		t.Errorf("GET /dies = %s, %q, %v, want the whole answer", status, body, err)
	}
	if _, _, err := get(t, pool, "/said"); err != nil {
		t.Errorf("GET /said = %v, want an answer of the next worker", err)
	}
	if pids := pool.PIDs(); len(pids) == 1 && pids[0] == pid {
		t.Errorf("worker %d is still there, want it killed by its function", pid)
	}
}

func TestAfterResponse_BelongsToTheRequestOfItsThread(t *testing.T) {
	pool := start(t, asksSource, nil)
	for expression, want := range map[string]string{
		"elsewhere(lambda: raised(gowsgi.after_response, print))": "'RuntimeError'",
		"in_child(lambda: raised(gowsgi.after_response, print))":  `"'RuntimeError'"`,
		"raised(gowsgi.after_response, 7)":                        "'TypeError'",
		"raised(gowsgi.after_response)":                           "'TypeError'",
		"gowsgi.after_response(dict, function=1, args=2)":         "None",
	} {
		if got := evaluate(t, pool, expression); got != want {
			t.Errorf("%s = %s, want %s", expression, got, want)
		}
	}
}
