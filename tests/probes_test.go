package tests

// What load balancers and containers ask: whether gowsgi lives, and whether requests
// should come. The asking side, gowsgi healthcheck, is tried here as well.

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gowsgi/wsgi/secure/securetest"
)

func TestProbes_AreAnsweredWithoutTheApplication(t *testing.T) {
	s := Start(t, "hello", "--access-logfile", "-", "--root-path", "/shop", "--max-queue", "1")
	for _, c := range []struct {
		request, line, body string
	}{
		{"GET /-/healthz", "200 OK", "alive\n"},
		{"GET /-/readyz?x=1", "200 OK", "ready\n"},
		{"HEAD /-/readyz", "200 OK", ""},
		{"POST /-/readyz", "405 Method Not Allowed", "only GET and HEAD\n"},
		{"GET /-/", "200 OK", "Hello, World!\n"},
		{"GET /-/readyz/", "200 OK", "Hello, World!\n"},
		{"GET /readyz", "200 OK", "Hello, World!\n"},
	} {
		r := s.Ask(c.request)
		if r.Line() != c.line || r.Body != c.body {
			t.Errorf("%s = %s %q, want %s %q", c.request, r.Line(), r.Body, c.line, c.body)
		}
		own := c.body != "Hello, World!\n"
		if own && r.Value("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control = %q, want no-store", c.request, r.Value("Cache-Control"))
		}
	}
	s.Stop() // with it, the access log is complete
	for _, line := range s.Output() {
		if strings.Contains(line, "healthz") || strings.Contains(line, "readyz HTTP") && !strings.Contains(line, `"GET /readyz HTTP`) ||
			strings.Contains(line, "readyz?") {
			t.Errorf("the access log has %q, want no probe in it", line)
		}
	}
	if got := len(s.Output()); got != 3 {
		t.Errorf("the access log has %d lines, want 3:\n%s", got, strings.Join(s.Output(), "\n"))
	}
}

func TestProbes_AreAnsweredOnEveryTransport(t *testing.T) {
	eachTransport(t, "hello", func(t *testing.T, s *Server, by transport) {
		if a := by.ask(t, s, "GET", "/-/readyz", nil); a.StatusCode != 200 || a.body != "ready\n" {
			t.Errorf("GET /-/readyz = %s %q, want 200 ready", a.Status, a.body)
		}
		if a := by.ask(t, s, "HEAD", "/-/healthz", nil); a.StatusCode != 200 || a.ContentLength != 6 {
			t.Errorf("HEAD /-/healthz = %s, length %d, want 200 and 6", a.Status, a.ContentLength)
		}
	})
	socket := filepath.Join(t.TempDir(), "socket")
	if r := Start(t, "hello", "-b", "unix:"+socket).Ask("/-/readyz"); r.Body != "ready\n" {
		t.Errorf("on a unix socket: GET /-/readyz = %s %q, want ready", r.Line(), r.Body)
	}
}

func TestProbes_AreWhereTheyAreAskedFor(t *testing.T) {
	s := Start(t, "hello", "--health-path", "none")
	if r := s.Ask("/-/readyz"); r.Body != "Hello, World!\n" {
		t.Errorf("--health-path none: GET /-/readyz = %s %q, want the application's answer", r.Line(), r.Body)
	}
	s = Start(t, "hello", "--health-path", "/")
	if r := s.Ask("/readyz"); r.Body != "ready\n" {
		t.Errorf("--health-path /: GET /readyz = %s %q, want ready", r.Line(), r.Body)
	}
}

// A reload moves them, too.
func TestProbes_MoveWithAReload(t *testing.T) {
	folder := module(t, t.TempDir(), "app", "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'app']\n")
	configuration := filepath.Join(folder, "gowsgi.toml")
	write := func(text string) {
		if err := os.WriteFile(configuration, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("health-path = \"/a\"\n")
	s := StartWith(t, Options{App: "app", Dir: folder})
	write("health-path = \"/b\"\n")
	s.Signal(unix.SIGHUP)
	s.WaitFor("reloaded")
	for path, want := range map[string]string{"/a/readyz": "app", "/b/readyz": "ready\n"} {
		if r := s.Ask(path); r.Body != want {
			t.Errorf("after a reload: GET %s = %s %q, want %q", path, r.Line(), r.Body, want)
		}
	}
}

// Without a worker the server lives but should get no requests.
func TestProbes_NotReadyWithoutAWorker(t *testing.T) {
	folder := t.TempDir()
	gate := filepath.Join(folder, "gate")
	open := func() {
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	open()
	s := StartWith(t, Options{App: "misbehave.waiting_import", Env: []string{"IMPORT_WAITS_FOR=" + gate}})
	if err := os.Remove(gate); err != nil {
		t.Fatal(err)
	}
	kill(t, s.workerPIDs()[0], unix.SIGKILL)
	s.WaitFor("killed by SIGKILL")
	if r := s.Ask("/-/readyz"); r.Status != 503 || r.Body != "unready\n" || r.Value("Retry-After") != "1" {
		t.Errorf("without a worker: GET /-/readyz = %s %q %v, want 503 unready with Retry-After", r.Line(), r.Body, r.Fields)
	}
	if r := s.Ask("/-/healthz"); r.Body != "alive\n" {
		t.Errorf("without a worker: GET /-/healthz = %s %q, want alive", r.Line(), r.Body)
	}
	if code, output := healthcheck(t, nil, "-b", s.Host()); code != 1 || !strings.Contains(output, "503") {
		t.Errorf("without a worker: gowsgi healthcheck = %d %q, want 1 and the 503", code, output)
	}
	mark := s.Mark()
	open()
	s.WaitForSince(mark, "worker serves")
	if r := s.Ask("/-/readyz"); r.Body != "ready\n" {
		t.Errorf("with a worker again: GET /-/readyz = %s %q, want ready", r.Line(), r.Body)
	}
}

// Scaled down to nothing, the first request starts a worker: it has to come.
func TestProbes_ReadyWithNoWorkerWantedYet(t *testing.T) {
	s := Start(t, "hello", "--min-workers", "0", "--max-workers", "1")
	if r := s.Ask("/-/readyz"); r.Body != "ready\n" {
		t.Errorf("--min-workers 0: GET /-/readyz = %s %q, want ready", r.Line(), r.Body)
	}
}

func TestDrainDelay_ServesOnAndIsNotReady(t *testing.T) {
	s := Start(t, "misbehave.slow", "--drain-delay", "10m", "-w", "2")
	kept := s.Dial()
	kept.Get("/sleep?seconds=0")
	s.Signal(unix.SIGTERM)
	s.WaitFor("--drain-delay")
	onKept := kept.Get("/sleep?seconds=0")
	if got := onKept.Value("Connection"); got != "close" {
		t.Errorf("while draining: Connection on a kept connection = %q, want close", got)
	}
	kept.WantEOF()
	if r := s.Ask("/-/readyz"); r.Line() != "503 Service Unavailable" {
		t.Errorf("while draining: GET /-/readyz = %s, want 503", r.Line())
	}
	if r := s.Ask("/-/healthz"); r.Status != 200 {
		t.Errorf("while draining: GET /-/healthz = %s, want 200", r.Line())
	}
	for name, r := range map[string]*Response{"kept": onKept, "new": s.Ask("/sleep?seconds=0")} {
		if r.Body != "done\n" {
			t.Errorf("while draining: a request on a %s connection = %s %q, want done", name, r.Line(), r.Body)
		}
	}
	s.Signal(unix.SIGUSR2)
	s.WaitFor("cannot upgrade")
	slow, _ := slowly(s, "/sleep?seconds=0.5")
	s.Signal(unix.SIGTERM)
	if r := slow.Read("GET"); r.Body != "done\n" {
		t.Errorf("after a second SIGTERM: the request under way = %s %q, want done", r.Line(), r.Body)
	}
	if code := s.ExitCode(stopPatience); code != 0 {
		t.Errorf("exit code = %d, want 0", code)
	}
}

func TestDrainDelay_PassesByItself(t *testing.T) {
	s := Start(t, "hello", "--drain-delay", "300ms")
	s.Signal(unix.SIGTERM)
	s.WaitFor("--drain-delay")
	if code := s.ExitCode(stopPatience); code != 0 {
		t.Errorf("exit code = %d, want 0", code)
	}
}

func TestDrainDelay_IsNotForThoseInAHurry(t *testing.T) {
	for _, first := range []unix.Signal{unix.SIGINT, unix.SIGQUIT} {
		s := Start(t, "hello", "--drain-delay", "10m")
		s.Signal(first)
		if code := s.ExitCode(stopPatience); code != 0 {
			t.Errorf("%s: exit code = %d, want 0", unix.SignalName(first), code)
		}
		s = Start(t, "misbehave.slow", "--drain-delay", "10m")
		slowly(s, "/sleep?seconds=60")
		s.Signal(unix.SIGTERM)
		s.WaitFor("--drain-delay")
		s.Signal(first)
		if code := s.ExitCode(stopPatience); code != 0 {
			t.Errorf("%s after SIGTERM: exit code = %d, want 0", unix.SignalName(first), code)
		}
	}
}

// healthcheck runs gowsgi healthcheck and gives its status and all it has printed.
func healthcheck(t *testing.T, environment []string, args ...string) (code int, output string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"healthcheck"}, args...)...)
	cmd.Dir = t.TempDir()
	cmd.Env = cleanEnvironment(environment...)
	text, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

// The check is given what the server was given, and finds it.
func TestHealthcheck_FindsTheServerOfItsSettings(t *testing.T) {
	ca := securetest.NewAuthority(t, "tests")
	certFile, keyFile := ca.Server(t, "example.org").Write(t, t.TempDir(), "server")
	under := []string{"--certfile", certFile, "--keyfile", keyFile}
	socket := filepath.Join(t.TempDir(), "socket")
	for name, settings := range map[string][]string{
		"plain":                nil,
		"HTTP/2 only":          {"--http-protocols", "h2"},
		"TLS":                  under,
		"TLS and HTTP/2 only":  append([]string{"--http-protocols", "h2"}, under...),
		"unix socket":          {"-b", "unix:" + socket},
		"PROXY protocol":       {"--proxy-protocol"},
		"PROXY of others":      {"--proxy-protocol", "--proxy-allow-from", "192.0.2.1"},
		"PROXY over a socket":  {"-b", "unix:" + socket + "2", "--proxy-protocol"},
		"another path":         {"--health-path", "/up"},
		"mounted":              {"--root-path", "/shop"},
		"logs and what not":    {"--workers", "2", "--threads", "2", "--log-level", "debug"},
		"IPv6":                 {"-b", "[::1]:0"},
		"an unwanted redirect": append([]string{"--redirect-http", "127.0.0.1:0"}, under...),
	} {
		t.Run(name, func(t *testing.T) {
			s := Start(t, "hello", settings...)
			ask := append([]string{}, settings...)
			if network, address := s.Address(); network == "tcp" {
				ask = append(ask, "-b", address)
			}
			if code, output := healthcheck(t, nil, ask...); code != 0 || !strings.HasPrefix(output, "ready: ") || strings.Count(output, "\n") != 1 {
				t.Errorf("gowsgi healthcheck %q = %d %q, want 0 and one line", ask, code, output)
			}
			if url := s.URL(""); strings.HasPrefix(url, "https:") {
				if code, output := healthcheck(t, nil, url); code != 0 {
					t.Errorf("gowsgi healthcheck %s = %d %q, want 0", url, code, output)
				}
			}
			s.Stop()
			if code, output := healthcheck(t, nil, ask...); code != 1 || strings.Count(output, "\n") != 2 || !strings.Contains(output, " [GW135]\ngowsgi: help: ") {
				t.Errorf("with nobody there: gowsgi healthcheck %q = %d %q, want 1, one line with GW135, and one with what to do", ask, code, output)
			}
		})
	}
}

// Variables and files say where the server is, as they do to the server.
func TestHealthcheck_ReadsVariablesAndURLs(t *testing.T) {
	s := Start(t, "hello", "--health-path", "/-")
	_, port, _ := strings.Cut(s.Host(), ":")
	for _, c := range []struct {
		environment, args []string
		code              int
		says              string
	}{
		{[]string{"GOWSGI_BIND=" + s.Host()}, nil, 0, "ready: http://" + s.Host() + "/-/readyz"},
		{[]string{"PORT=" + port, "GOWSGI_HEALTH_PATH=/-"}, nil, 0, "ready: http://127.0.0.1:" + port},
		{[]string{"PORT=" + port}, nil, 1, "GOWSGI_HEALTH_PATH=/-"},
		{nil, []string{"http://" + s.Host()}, 0, "ready: http://" + s.Host() + "/-/readyz"},
		{nil, []string{"http://" + s.Host() + "/hello"}, 0, "ready: http://" + s.Host() + "/hello"},
		{[]string{"GOWSGI_HEALTH_PATH=none", "GOWSGI_BIND=" + s.Host()}, nil, 1, "answers no health checks"},
		{nil, []string{"-b", "systemd"}, 1, "give a URL"},
		{nil, []string{"--nonsense"}, 1, "no flag --nonsense"},
		{nil, []string{"--within", "soon"}, 1, "not a duration"},
		{nil, []string{"--within"}, 1, "no value"},
		{nil, []string{"--within=0"}, 1, "no time at all"},
		{nil, []string{"http://127.0.0.1:0/x"}, 1, "port out of range"},
		{nil, []string{"ftp://" + s.Host()}, 1, "want http:// or https://"},
		// Of several addresses, one that needs no certificate of the client.
		{[]string{"GOWSGI_BIND=https://127.0.0.1:1,http://" + s.Host(), "GOWSGI_CERTFILE=x"}, nil, 0, "ready: http://" + s.Host()},
		{[]string{"GOWSGI_BIND=192.0.2.1:1,systemd," + s.Host()}, nil, 0, "ready: http://" + s.Host()},
		{nil, []string{"--help"}, 0, "usage: gowsgi healthcheck"},
	} {
		if code, output := healthcheck(t, c.environment, c.args...); code != c.code || !strings.Contains(output, c.says) {
			t.Errorf("%q gowsgi healthcheck %q = %d %q, want %d and %q", c.environment, c.args, code, output, c.code, c.says)
		}
	}
}

// A server that takes connections and says nothing is not ready, soon.
func TestHealthcheck_DoesNotWaitForLong(t *testing.T) {
	s := Start(t, "hello")
	freeze(t, s.PID())
	t.Cleanup(func() { s.signal(unix.SIGCONT) })
	code, output := healthcheck(t, nil, "--within", "200ms", "-b", s.Host())
	if want := fmt.Sprintf("not ready: http://%s/-/readyz: context deadline exceeded [GW135]\n", s.Host()); code != 1 || !strings.Contains(output, want) {
		t.Errorf("gowsgi healthcheck of a stopped server = %d %q, want 1 %q", code, output, want)
	}
}

// In a container the check is told nothing: process 1 was.
func TestHealthcheck_KnowsWhatProcess1WasTold(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "socket")
	s := asPID1(t, Options{App: "hello", Args: []string{"-b", "unix:" + socket}})
	enter := []string{"--target", fmt.Sprint(s.PID()), "--pid", "--mount"}
	if os.Getuid() != 0 {
		enter = append(enter, "--user", "--preserve-credentials")
	}
	cmd := exec.CommandContext(t.Context(), "nsenter", append(enter, binary, "healthcheck")...)
	cmd.Env = cleanEnvironment()
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "ready: unix:"+socket+":/-/readyz\n" {
		t.Errorf("gowsgi healthcheck in the namespace = %v %q, want the socket of process 1", err, out)
	}
}
