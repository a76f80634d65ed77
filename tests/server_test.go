package tests

// The harness: one running gowsgi, and what an operator can do with it.

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// patience is how long anything may take that is not meant to take time.
	patience = 20 * time.Second
	// stopPatience is how long a server may take to leave.
	stopPatience = 10 * time.Second
)

// Options says how a server is started. The zero value serves from the folder
// pyapps on a free port of 127.0.0.1.
type Options struct {
	App   string   // MODULE[:APP]
	Args  []string // flags; without -b or --bind among them, "-b 127.0.0.1:0" is added
	After []string // what comes behind App
	Env   []string // NAME=VALUE, added to a cleaned environment
	Dir   string   // the folder to start in; empty: pyapps
	Files []*os.File
	// Under is a command to start gowsgi by, such as unshare with its flags.
	Under []string
	// Through is a command that becomes gowsgi, such as env or a shell's exec.
	Through []string
	Binary  string // the program; empty: the one under test
	noBind  bool   // add no -b
}

func (o *Options) command() *exec.Cmd {
	program := binary
	if o.Binary != "" {
		program = o.Binary
	}
	args := append(slices.Concat(o.Under, o.Through, []string{program}), o.Args...)
	if !o.noBind && !o.binds() {
		args = append(args, "-b", "127.0.0.1:0")
	}
	if o.App != "" {
		args = append(args, o.App)
	}
	args = append(args, o.After...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = apps
	if o.Dir != "" {
		cmd.Dir = o.Dir
	}
	cmd.Env = cleanEnvironment(o.Env...)
	cmd.ExtraFiles = o.Files
	// A session of its own: whatever it leaves running can be found by it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

func (o *Options) binds() bool {
	for _, arg := range o.Args {
		if arg == "-b" || strings.HasPrefix(arg, "--bind") || strings.HasPrefix(arg, "-b") {
			return true
		}
	}
	return false
}

// A run is one started gowsgi, whoever looks at it.
type run struct {
	cmd     *exec.Cmd
	under   bool   // started by another command, which waits for it
	log     *lines // standard error
	output  *lines // standard output
	ended   chan struct{}
	failure error // of Wait, once ended is closed
	stopped sync.Once
	left    error // what stop found
}

// launch starts gowsgi and does not wait for anything.
func launch(o Options) (*run, error) {
	cmd := o.command()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &run{cmd: cmd, under: len(o.Under) > 0, log: newLines(), output: newLines(), ended: make(chan struct{})}
	var readers sync.WaitGroup
	readers.Go(func() { r.log.collect(stderr) })
	readers.Go(func() { r.output.collect(stdout) })
	go func() {
		// Wait closes the pipes, so it has to come after the last line; yet a
		// process that inherited them must not keep the end from being seen.
		awaitEnd(cmd.Process.Pid, time.Hour)
		awaitSessionEnd(cmd.Process.Pid, stopPatience)
		finished := make(chan struct{})
		go func() { readers.Wait(); close(finished) }()
		select {
		case <-finished:
		case <-time.After(stopPatience):
		}
		r.failure = cmd.Wait()
		close(r.ended)
	}()
	return r, nil
}

var announced = regexp.MustCompile(`listening at ([^\s,]+(?:, [^\s,]+)*)`)

// awaitReady waits for the announcement and returns the addresses, in order of
// the binds: http://127.0.0.1:1234, unix:/path.
func (r *run) awaitReady() ([]string, error) {
	line, err := r.log.await(0, announced.MatchString, r.ended)
	if err != nil {
		return nil, fmt.Errorf("gowsgi has not announced an address: %w\n%s", err, r.log.text(0))
	}
	return strings.Split(announced.FindStringSubmatch(line)[1], ", "), nil
}

// stop asks the server to leave, unless it has, and checks that it does and
// leaves nothing behind. Later calls return what the first one found.
func (r *run) stop() error {
	r.stopped.Do(func() { r.left = r.end() })
	return r.left
}

func (r *run) end() error {
	pid := r.cmd.Process.Pid
	r.signal(unix.SIGTERM)
	ended := awaitEnd(pid, stopPatience)
	if !ended {
		r.signal(unix.SIGQUIT)
		awaitEnd(pid, 2*time.Second)
	}
	left := awaitSessionEnd(pid, 2*time.Second)
	for _, p := range left {
		_ = unix.Kill(p.PID, unix.SIGKILL)
	}
	<-r.ended
	switch {
	case !ended:
		return fmt.Errorf("gowsgi (pid %d) has not ended %s after SIGTERM; log:\n%s", pid, stopPatience, r.log.text(0))
	case len(left) > 0:
		return fmt.Errorf("gowsgi (pid %d) has ended and left %+v; log:\n%s", pid, left, r.log.text(0))
	}
	return nil
}

// front is the pid of gowsgi itself, as this process sees it; 0 when it is gone.
func (r *run) front() int {
	if !r.under {
		return r.cmd.Process.Pid
	}
	for _, p := range session(r.cmd.Process.Pid) {
		if p.Parent == r.cmd.Process.Pid {
			return p.PID
		}
	}
	return 0
}

// signal asks the front for something; it may be gone already.
func (r *run) signal(sig unix.Signal) {
	select {
	case <-r.ended: // its pid may be somebody else's
	default:
		if pid := r.front(); pid != 0 {
			_ = unix.Kill(pid, sig)
		}
	}
}

// exitCode waits for the end by itself; -1 for an end by a signal.
func (r *run) exitCode(patience time.Duration) (int, error) {
	select {
	case <-r.ended:
	case <-time.After(patience):
		return 0, fmt.Errorf("gowsgi has not ended within %s; log:\n%s", patience, r.log.text(0))
	}
	var exit *exec.ExitError
	if r.failure != nil && !errors.As(r.failure, &exit) {
		return 0, r.failure
	}
	return r.cmd.ProcessState.ExitCode(), nil
}

// A Server is a running gowsgi in the eyes of one test.
type Server struct {
	*run
	T     testing.TB
	Binds []string // as announced: http://127.0.0.1:1234, unix:/path
	from  int      // lines of the log that were there when the test began
}

// Start serves app with flags, and stops when the test ends.
func Start(t testing.TB, app string, args ...string) *Server {
	t.Helper()
	return StartWith(t, Options{App: app, Args: args})
}

// StartWith is Start for everything else that can be said about a start.
func StartWith(t testing.TB, o Options) *Server {
	t.Helper()
	r, err := launch(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{run: r, T: t}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		s.showLog()
	})
	if s.Binds, err = r.awaitReady(); err != nil {
		t.Fatal(err)
	}
	return s
}

// shared holds servers that several tests use, by application and flags.
var shared = struct {
	sync.Mutex
	servers map[string]*Server
}{servers: map[string]*Server{}}

// Shared is Start for tests that leave the server as they found it: the server
// of the same application and flags is started once and lives until the last
// test has ended.
func Shared(t testing.TB, app string, args ...string) *Server {
	t.Helper()
	key := app + "\x00" + strings.Join(args, "\x00")
	shared.Lock()
	defer shared.Unlock()
	s := shared.servers[key]
	if s == nil {
		r, err := launch(Options{App: app, Args: args})
		if err != nil {
			t.Fatal(err)
		}
		s = &Server{run: r}
		if s.Binds, err = r.awaitReady(); err != nil {
			t.Fatal(errors.Join(err, r.stop()))
		}
		shared.servers[key] = s
	}
	mine := &Server{run: s.run, Binds: s.Binds, T: t, from: s.log.count()}
	t.Cleanup(mine.showLog)
	return mine
}

// stopShared stops the shared servers and says what was wrong with their end.
func stopShared() error {
	shared.Lock()
	defer shared.Unlock()
	var errs []error
	for _, s := range shared.servers {
		errs = append(errs, s.stop())
	}
	return errors.Join(errs...)
}

func (s *Server) showLog() {
	if s.T.Failed() {
		s.T.Logf("log of %s:\n%s", s.cmd.Args, s.log.text(s.from))
	}
}

// PID is the front's.
func (s *Server) PID() int { return s.front() }

// Stop stops the server now; a test may go on and look at what is left.
func (s *Server) Stop() {
	s.T.Helper()
	if err := s.stop(); err != nil {
		s.T.Fatal(err)
	}
}

// ExitCode waits for the server to end by itself and returns its exit code, -1
// if a signal ended it.
func (s *Server) ExitCode(patience time.Duration) int {
	s.T.Helper()
	code, err := s.exitCode(patience)
	if err != nil {
		s.T.Fatal(err)
	}
	return code
}

// Signal sends the front a signal.
func (s *Server) Signal(sig unix.Signal) {
	s.T.Helper()
	kill(s.T, s.PID(), sig)
}

// WaitFor waits for a line of the log that holds text, looking at those since
// the test began, and returns it.
func (s *Server) WaitFor(text string) string {
	s.T.Helper()
	return s.WaitForSince(s.from, text)
}

// Mark is a place in the log for WaitForSince and LogSince: now.
func (s *Server) Mark() int { return s.log.count() }

// WaitForSince is WaitFor for lines that came after a Mark.
func (s *Server) WaitForSince(mark int, text string) string {
	s.T.Helper()
	line, err := s.log.await(mark, func(line string) bool { return strings.Contains(line, text) }, s.ended)
	if err != nil {
		s.T.Fatalf("WaitFor(%q): %v", text, err)
	}
	return line
}

// Log is the log since the test began, line by line.
func (s *Server) Log() []string { return s.log.since(s.from) }

// LogSince is the log since a Mark.
func (s *Server) LogSince(mark int) []string { return s.log.since(mark) }

// Output is standard output so far, line by line.
func (s *Server) Output() []string { return s.output.since(0) }

// Zygote is the pid of the zygote.
func (s *Server) Zygote() int {
	s.T.Helper()
	for _, p := range session(s.cmd.Process.Pid) {
		if p.Parent == s.PID() && strings.HasPrefix(p.Title, "gowsgi: zygote") {
			return p.PID
		}
	}
	s.T.Fatal("there is no zygote")
	return 0
}

// Workers lists the workers that serve, in no order. A process that the
// application forked has its worker's title too, until it ends; it is none.
func (s *Server) Workers() []Process {
	titled := map[int]Process{}
	for _, p := range session(s.cmd.Process.Pid) {
		if strings.HasPrefix(p.Title, "gowsgi: worker") {
			titled[p.PID] = p
		}
	}
	var found []Process
	for _, p := range titled {
		if _, forked := titled[p.Parent]; !forked {
			found = append(found, p)
		}
	}
	return found
}

// Address is where the first bind can be dialled: network and address.
func (s *Server) Address() (network, address string) { return dialable(s.Binds[0]) }

// dialable takes an announced address apart for net.Dial.
func dialable(bind string) (network, address string) {
	if path, ok := strings.CutPrefix(bind, "unix:"); ok {
		return "unix", path
	}
	return "tcp", strings.TrimPrefix(strings.TrimPrefix(bind, "http://"), "https://")
}

// Host is what a Host field says of the first bind: host:port, and for a unix
// socket, which has no name of that kind, localhost.
func (s *Server) Host() string {
	network, address := s.Address()
	if network == "unix" {
		return "localhost"
	}
	return address
}

// URL is the URL of a path, with its query, at the first bind.
func (s *Server) URL(path string) string { return s.Binds[0] + path }

// Dial opens a connection to the first bind; it is closed when the test ends.
func (s *Server) Dial() *Conn {
	s.T.Helper()
	network, address := s.Address()
	return dial(s.T, network, address)
}

// Ask sends one request on a connection of its own and reads the response.
// request is the head's lines without their CRLFs: method and target, then
// fields; Host and Connection: close are added.
func (s *Server) Ask(target string, fields ...string) *Response {
	s.T.Helper()
	method, _, found := strings.Cut(target, " ")
	if !found {
		method, target = "GET", "GET "+target
	}
	c := s.Dial()
	defer c.Close()
	c.Send(head(target, append([]string{"Host: " + s.Host(), "Connection: close"}, fields...)...))
	response := c.Read(method)
	if response.Broken == nil && response.Framing != UntilClose {
		c.WantEOF()
	}
	return response
}

// Post is Ask for a POST with a Content-Length.
func (s *Server) Post(target, body string, fields ...string) *Response {
	s.T.Helper()
	c := s.Dial()
	defer c.Close()
	fields = append([]string{"Host: " + s.Host(), "Connection: close", fmt.Sprintf("Content-Length: %d", len(body))}, fields...)
	c.Send(head("POST "+target, fields...) + body)
	return c.Read("POST")
}

// head writes a request head: "GET /path" and fields, HTTP/1.1.
func head(request string, fields ...string) string {
	text := request + " HTTP/1.1\r\n"
	for _, field := range fields {
		text += field + "\r\n"
	}
	return text + "\r\n"
}

// Client is a net/http client with connections of its own to the first bind.
func (s *Server) Client() *http.Client {
	network, address := s.Address()
	transport := &http.Transport{
		DialContext: (&fixedDialer{network, address}).DialContext,
		// As many as tests have clients: none is closed between requests.
		MaxIdleConnsPerHost: 256,
		DisableCompression:  true,
	}
	s.T.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// lines collects what a process writes.
type lines struct {
	mutex sync.Mutex
	all   []string
	more  chan struct{} // closed at the next line
	ended bool
}

func newLines() *lines { return &lines{more: make(chan struct{})} }

func (l *lines) collect(from io.Reader) {
	reader := bufio.NewReader(from)
	for {
		line, err := reader.ReadString('\n')
		l.mutex.Lock()
		if line != "" {
			l.all = append(l.all, strings.TrimSuffix(line, "\n"))
		}
		l.ended = err != nil
		close(l.more)
		l.more = make(chan struct{})
		l.mutex.Unlock()
		if err != nil {
			return
		}
	}
}

func (l *lines) count() int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return len(l.all)
}

func (l *lines) since(n int) []string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return append([]string{}, l.all[n:]...)
}

func (l *lines) text(from int) string { return strings.Join(l.since(from), "\n") }

// await waits for a line from number n on that is wanted.
func (l *lines) await(n int, wanted func(string) bool, ended <-chan struct{}) (string, error) {
	timeout := time.After(patience)
	for {
		l.mutex.Lock()
		fresh, more, over := l.all[n:], l.more, l.ended
		l.mutex.Unlock()
		for _, line := range fresh {
			if wanted(line) {
				return line, nil
			}
		}
		n += len(fresh)
		if over {
			return "", errors.New("the process has ended its log")
		}
		select {
		case <-more:
		case <-ended:
			ended = nil // one more look
		case <-timeout:
			return "", fmt.Errorf("not within %s", patience)
		}
	}
}

// freePort is a port of 127.0.0.1 that nobody listens on.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
