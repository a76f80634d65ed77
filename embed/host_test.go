package embed_test

// A zygote, its workers and the C loop, driven through the pool: the test
// binary starts itself as the zygote.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gowsgi/embed"
	"gowsgi/embed/channel"
	"gowsgi/environ"
	"gowsgi/workers"
	"gowsgi/wsgi"
)

// patience bounds every wait for another process.
const patience = 30 * time.Second

// output collects what zygote and workers write to standard error.
type output struct {
	mu   sync.Mutex
	text strings.Builder
	news chan struct{} // has room for one: something was written
}

func (o *output) write(lines []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(lines)
	select {
	case o.news <- struct{}{}:
	default: // who waits will look at all of it
	}
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// options of a pool whose application is source, written to a module "app".
func options(t *testing.T, source string, change func(*embed.Settings)) (workers.Options, *output) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := embed.Settings{
		Interpreter: embed.Interpreter, Application: "app:application", PythonPath: []string{dir},
		Threads: 1, Name: "app", ServerSoftware: "gowsgi/test", EnvironKeys: environ.Keys[:],
	}
	if change != nil {
		change(&settings)
	}
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	said := &output{news: make(chan struct{}, 1)}
	return workers.Options{
		Plan: workers.Plan{
			Workers: 1, MinWorkers: 1, MaxWorkers: 1,
			Sizes: channel.Sizes{Threads: settings.Threads, Slots: settings.Threads + 1,
				Environ: 64 << 10, Body: 4096, Reply: 4096, Fault: 4096},
			Zygote: workers.Command{Path: self, Env: append(os.Environ(), embed.ZygoteVariable+"=1"), Settings: text},
		},
		Log:    slog.New(slog.DiscardHandler),
		Output: said.write,
	}, said
}

// start starts a pool and stops it when the test ends.
func start(t *testing.T, source string, change func(*embed.Settings)) *workers.Pool {
	t.Helper()
	pool, _ := startHeard(t, source, change)
	return pool
}

// startHeard is start for tests that look at standard error.
func startHeard(t *testing.T, source string, change func(*embed.Settings)) (*workers.Pool, *output) {
	t.Helper()
	o, said := options(t, source, change)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	pool, err := workers.Start(ctx, o)
	if err != nil {
		t.Fatalf("Start() = %v; the zygote said:\n%s", err, said)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := pool.Stop(ctx); err != nil {
			t.Errorf("Stop() = %v; the worker said:\n%s", err, said)
		}
	})
	return pool, said
}

// get runs one request without a body and returns status and body.
func get(t *testing.T, pool *workers.Pool, path string) (status, body string, err error) {
	t.Helper()
	return exchange(t, pool, environ.Request{Method: []byte("GET"), Target: []byte(path), Path: []byte(path), Proto: []byte("HTTP/1.1")}, nil)
}

func exchange(t *testing.T, pool *workers.Pool, r environ.Request, send []byte) (status, body string, err error) {
	t.Helper()
	call := pool.NewCall()
	defer call.End()
	if err := call.Begin(wsgi.Request{Environ: environ.Append(nil, &r), Body: send, BodyLength: int64(len(send))}); err != nil {
		t.Fatalf("Begin() = %v", err)
	}
	head, _, _, err := call.Head(nil)
	if err != nil {
		return "", "", err
	}
	status = string(head)
	for {
		p, err := call.Body()
		if errors.Is(err, io.EOF) {
			return status, body, nil
		}
		if err != nil {
			return status, body, err
		}
		body += string(p)
		call.Consumed(len(p))
	}
}

const echoSource = `
import sys
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/body":
        return [environ["wsgi.input"].read()]
    if environ["PATH_INFO"] == "/environ":
        for key in sorted(environ):
            if isinstance(environ[key], str):
                yield_ = "%s=%s\n" % (key, environ[key])
                sys.stdout.flush()
                application.lines.append(yield_.encode("latin-1"))
        lines, application.lines = application.lines, []
        return lines
    return [sys.version.split()[0].encode()]
application.lines = []
`

func TestWorker_RunsTheInterpreterItWasBuiltWith(t *testing.T) {
	for _, preload := range []bool{false, true} {
		t.Run(fmt.Sprintf("preload %t", preload), func(t *testing.T) {
			pool := start(t, echoSource, func(s *embed.Settings) { s.Preload = preload })
			status, body, err := get(t, pool, "/")
			if err != nil || status != "200 OK" || !strings.HasPrefix(body, embed.Version+".") {
				t.Errorf("GET / = %q, %q, %v, want 200 OK and a Python %s", status, body, err, embed.Version)
			}
		})
	}
}

// What Go packs, C unpacks: every well-known key and one that is not.
func TestEnviron_ReachesTheApplicationWhole(t *testing.T) {
	pool := start(t, echoSource, nil)
	r := environ.Request{
		Method: []byte("GET"), Target: []byte("/environ"), Path: []byte("/environ"), Proto: []byte("HTTP/1.1"),
		Host: []byte("example.org"), RemoteAddr: "192.0.2.7", RemotePort: "4711", ServerName: "s", ServerPort: "80", Scheme: "http",
		Headers: []environ.Header{{Name: []byte("X-Of-My-Own"), Value: []byte("caf\xe9")}},
	}
	for _, key := range environ.Keys {
		if name, ok := strings.CutPrefix(key, "HTTP_"); ok && name != "HOST" {
			r.Headers = append(r.Headers, environ.Header{Name: []byte(strings.ReplaceAll(name, "_", "-")), Value: []byte("value of " + name)})
		}
	}
	vars, err := environ.Unpack(environ.Append(nil, &r))
	if err != nil {
		t.Fatal(err)
	}
	_, body, err := exchange(t, pool, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vars {
		if want := v.Key + "=" + v.Value + "\n"; !strings.Contains(body, want) {
			t.Errorf("the application has no %q in\n%s", want, body)
		}
	}
}

func TestInput_IsTheBodyOfThisRequestOnly(t *testing.T) {
	pool := start(t, echoSource, nil)
	r := environ.Request{Method: []byte("POST"), Target: []byte("/body"), Path: []byte("/body"), Proto: []byte("HTTP/1.1")}
	for _, size := range []int{0, 1, 4096, 17} {
		want := strings.Repeat("x", size)
		_, body, err := exchange(t, pool, r, []byte(want))
		if err != nil || body != want {
			t.Errorf("POST of %d bytes echoes %d bytes, %v", size, len(body), err)
		}
	}
}

func TestThreads_AreThreadingThreadsOfTheirOwn(t *testing.T) {
	pool := start(t, `
import threading
barrier = threading.Barrier(3, timeout=20)
def application(environ, start_response):
    barrier.wait()
    start_response("200 OK", [])
    return [threading.current_thread().name.encode()]
`, func(s *embed.Settings) { s.Threads = 3 })
	names := make(chan string, 3)
	for range 3 {
		go func() {
			_, body, err := get(t, pool, "/")
			if err != nil {
				body = err.Error()
			}
			names <- body
		}()
	}
	seen := map[string]bool{}
	for range 3 {
		seen[<-names] = true
	}
	for n := range 3 {
		if name := fmt.Sprintf("gowsgi-%d", n); !seen[name] {
			t.Errorf("threads that met = %v, want %s among them", seen, name)
		}
	}
}

func TestStart_SaysWhyTheApplicationCannotBeServed(t *testing.T) {
	for _, c := range []struct {
		name, source, application string
		code                      int
		said                      string
	}{
		{"no such module", "", "nowhere", embed.ExitImport, `no module named "nowhere"`},
		{"a module that raises", "1/0", "app", embed.ExitImport, "ZeroDivisionError"},
		{"a module that exits", "import sys; sys.exit(9)", "app", embed.ExitImport, "SystemExit"},
		{"no such attribute", "app = print", "app:application", embed.ExitApplication, `did you mean "app:app"?`},
		{"not callable", "application = 7", "app", embed.ExitApplication, "is not callable: it is of type int"},
		{"a factory that raises", "def make(): 1/0", "app:make()", embed.ExitApplication, "ZeroDivisionError"},
	} {
		for _, preload := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, preload %t", c.name, preload), func(t *testing.T) {
				o, said := options(t, c.source, func(s *embed.Settings) {
					s.Application, s.Preload = c.application, preload
				})
				_, err := workers.Start(t.Context(), o)
				var boot *workers.BootError
				if !errors.As(err, &boot) || boot.Code != c.code {
					t.Errorf("Start() = %v, want a BootError with code %d", err, c.code)
				}
				if !strings.Contains(said.String(), c.said) {
					t.Errorf("the zygote said %q, want %q in it", said, c.said)
				}
			})
		}
	}
}
