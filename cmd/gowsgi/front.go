package main

// The front: what a person starts. It owns listeners, logs and the pool, and
// never initialises Python.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"gowsgi/cmd/failure"
	"gowsgi/embed"
	"gowsgi/embed/channel"
	"gowsgi/environ"
	"gowsgi/workers"
	"gowsgi/wsgi"
	"gowsgi/wsgi/files"
	"gowsgi/wsgi/http1"
	"gowsgi/wsgi/http2"
	"gowsgi/wsgi/peers"
	"gowsgi/wsgi/secure"
)

// front is one running server.
type front struct {
	// started is how, and current what came of it and of reloads since.
	started  invocation
	current  atomic.Pointer[Settings]
	roomiest int       // environSize at the start: workers have shared memory for that
	identity *identity // of the application; nil: as this process
	errors   *ErrorLog
	access   *AccessLog // nil when off
	log      *slog.Logger
	pidFile  *pidFile // nil without --pid
	signals  *signals
	launch   launch
	sockets  []*socket
	static   *files.Static   // nil without --static
	sendfile *files.Sendfile // nil without --sendfile-root
	handler  handler
	server   *http1.Server
	http2    *http2.Server // nil: it is not spoken
	redirect *http1.Server // of the sockets that only redirect
	pool     *workers.Pool
	notify   *notifier
	// certificates is nil without TLS.
	certificates *secure.Keeper
	dev          *devServer // nil: this is no development server

	reloads     reloads
	predecessor *predecessor // nil: this front replaces no other
	upgrade     *upgrade     // nil: none is under way
	leaving     atomic.Bool  // asked to stop
	endWatchdog context.CancelFunc
}

// Sizes of a worker's shared memory. Only what is touched uses memory.
const (
	wholeBody    = 1 << 20   // of a body that is complete before the call
	streamedBody = 512 << 10 // of one that comes meanwhile: more does not stay in the processor's cache
	replyRing    = 1 << 20   // also the largest response head
	faultArea    = 64 << 10  // of a traceback
)

// thisBinary is this very file, even when another has taken its place on disk
// since: front and zygote must agree about their shared memory.
const thisBinary = "/proc/self/exe"

// quickTimeout is what a quick stop leaves Python to shut down.
const quickTimeout = time.Second

// shareProcessors leaves half of the processors to Python, unless $GOMAXPROCS
// says otherwise. With all of them the Go runtime wakes a thread of its own for
// each thing that happens, and that thread takes the place of a worker which
// was in the middle of a request: on two processors Flask answered 14.0 k
// requests/s with two and 15.8 k with one, hello 60 k and 55 k.
func shareProcessors() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/2))
	}
}

// newFront opens everything that can fail for reasons outside the application:
// folder, logs, addresses, pid file. On error nothing is left open.
func newFront(started invocation, settings *Settings) (*front, error) {
	shareProcessors()
	f := &front{started: started, signals: listenForSignals()}
	f.current.Store(settings)
	if err := f.open(); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// settings are those of now: a reload can put others in their place.
func (f *front) settings() *Settings { return f.current.Load() }

func (f *front) open() error {
	s := f.settings()
	var passed *inheritance
	var err error
	if f.predecessor, passed, err = inheritFromPredecessor(); err != nil {
		return failure.Errorf(failure.CannotTakeOver, "cannot replace another gowsgi: %w", err)
	}
	if passed == nil {
		passed = inheritFromSystemd()
	}
	if f.launch, err = recordLaunch(); err != nil {
		return failure.Errorf(failure.Unexpected, "cannot tell how gowsgi was started: %w", err)
	}
	if err := f.settle(); err != nil {
		return err
	}
	if f.errors, err = openErrorLog(s.ErrorLogfile, s.LogLevel); err != nil {
		return err
	}
	f.log = f.errors.Logger()
	warnOfRoot(f.log, s, f.identity)
	for _, warning := range s.Warnings {
		f.log.Warn(warning, failure.Key, failure.DoubtfulSetting)
	}
	if s.AccessLogfile != "" {
		if f.access, err = openAccessLog(s.AccessLogfile, f.log); err != nil {
			return err
		}
	}
	if err := f.openNamed(); err != nil {
		return err
	}
	f.notify = newNotifier(f.log)
	f.sockets, err = openSockets(s, passed)
	if err == nil {
		var redirects []*socket
		redirects, err = openRedirects(s, passed)
		f.sockets = append(f.sockets, redirects...)
	}
	passed.close(f.log)
	if err != nil {
		return err
	}
	f.secure()
	if f.predecessor != nil {
		// It has given the sockets' files to the user already.
		f.notify.Silence()
		return nil // the other writes this process into the pid file before it says go; see inheritPIDFile
	}
	if err := f.handOver(); err != nil {
		return err
	}
	if s.PIDFile != "" {
		if f.pidFile, err = writePIDFile(s.PIDFile); err != nil {
			return err
		}
	}
	return nil
}

// openNamed opens the files and folders that settings name and that are only read,
// or tried: a check of the configuration does it, too.
func (f *front) openNamed() error {
	if err := f.openFolders(); err != nil {
		return err
	}
	if err := f.openCertificates(); err != nil {
		return err
	}
	return f.settings().settleTempDir()
}

// openFolders opens what files are sent from.
func (f *front) openFolders() (err error) {
	s := f.settings()
	if len(s.Static) > 0 {
		if f.static, err = files.NewStatic(s.Static, s.StaticMaxAge, f.log); err != nil {
			return failure.Errorf(failure.UnusableFolder, "--static: %w", err)
		}
	}
	if len(s.SendfileRoots) > 0 {
		if f.sendfile, err = files.NewSendfile(s.SendfileRoots); err != nil {
			return failure.Errorf(failure.UnusableFolder, "--sendfile-root: %w", err)
		}
	}
	return nil
}

// settle finds out who the application is to be, and prepares what all processes
// share: folder and umask. With --chroot the folder is the zygote's alone: the
// front stays outside.
func (f *front) settle() error {
	s := f.settings()
	var err error
	if f.identity, err = identityOf(s); err != nil {
		return err
	}
	if s.Umask != nil {
		unix.Umask(*s.Umask)
	}
	if s.Chroot != "" {
		return f.checkChroot()
	}
	if s.Chdir != "" {
		if err := os.Chdir(s.Chdir); err != nil {
			return failure.Errorf(failure.UnusableFolder, "--chdir: %w", err)
		}
	}
	return nil
}

// checkChroot finds what can be wrong with --chroot before anything starts, and
// makes it absolute.
func (f *front) checkChroot() error {
	s := f.settings()
	info, err := os.Stat(s.Chroot)
	switch {
	case err != nil:
		return failure.Errorf(failure.UnusableFolder, "--chroot: %w", err)
	case !info.IsDir():
		return failure.Errorf(failure.UnusableFolder, "--chroot: %s is not a folder", s.Chroot)
	case os.Geteuid() != 0:
		return failure.Errorf(failure.OnlyRoot, "--chroot %q: only root can change the root folder", s.Chroot)
	}
	if s.Chroot, err = filepath.Abs(s.Chroot); err != nil {
		return failure.Errorf(failure.UnusableFolder, "--chroot: %w", err)
	}
	return nil
}

// handOver gives the unix sockets that were made here to the application's user,
// unless --socket-owner has named another.
func (f *front) handOver() error {
	if f.identity == nil || f.settings().SocketOwner.given {
		return nil
	}
	for _, s := range f.sockets {
		own, made := s.Listener.(*unixListener)
		if !made {
			continue
		}
		if err := f.identity.own(own.file); err != nil {
			return failure.Errorf(failure.SocketRights, "cannot listen on %s: give it to the user: %w", s.origin.Bind, err)
		}
	}
	return nil
}

// settleTempDir says where temporary files are, and tries a folder that was asked
// for. One that was not need not be writable: many servers never need it.
func (s *Settings) settleTempDir() error {
	if s.TempDir == "" {
		s.TempDir = os.TempDir()
		return nil
	}
	probe, err := wsgi.OpenTemp(s.TempDir)
	if err != nil {
		return failure.Errorf(failure.UnusableFolder, "--tmp-dir: %w", err)
	}
	return probe.Close()
}

// close releases what open opened, in the opposite order.
func (f *front) close() error {
	var errs []error
	if f.pidFile != nil {
		errs = append(errs, f.pidFile.Remove())
	}
	for _, s := range f.sockets {
		if err := s.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if f.access != nil {
		errs = append(errs, f.access.Close())
	}
	if f.errors != nil {
		errs = append(errs, f.errors.Close())
	}
	return errors.Join(errs...)
}

// serve starts the pool and serves until a signal says otherwise.
func (f *front) serve() error {
	defer f.signals.stop()
	f.notify.Status("loading " + f.settings().App.String())
	if err := f.openDevServer(); err != nil {
		return err
	}
	defer func() { _ = f.dev.close() }() // only what listens to its own workers
	pool, err := f.startPool(f.signals)
	if pool == nil {
		return err
	}
	f.pool = pool
	f.dev.started(err)
	reapOrphans(pool.Owns)
	if f.predecessor != nil {
		if err := f.succeed(); err != nil {
			return err
		}
	}
	options := f.serverOptions()
	f.server, f.redirect = http1.New(options), f.redirectServer(options)
	defer f.watchCertificates()()
	stopAnswering := f.answerCommands()
	defer stopAnswering()
	failed := make(chan error, len(f.sockets))
	for _, s := range f.sockets {
		go func() { failed <- f.serveSocket(s) }()
	}
	f.announce()
	if f.predecessor != nil {
		f.completeSuccession()
	}
	f.notify.Ready(f.summary())
	watched, end := context.WithCancel(context.Background())
	f.endWatchdog = end
	go f.keepWatchdog(watched)
	return f.watch(f.signals, failed)
}

// summary says in a few words what is served, for the service manager.
func (f *front) summary() string {
	s := f.settings()
	workers := fmt.Sprint(s.MaxWorkers)
	if s.MinWorkers < s.MaxWorkers {
		workers = fmt.Sprintf("%d to %d", s.MinWorkers, s.MaxWorkers)
	}
	return fmt.Sprintf("%s, workers: %s, threads: %d", s.App, workers, s.Threads)
}

// behindProxy makes l read PROXY headers, if it shall.
func (f *front) behindProxy(l net.Listener) net.Listener {
	if !f.settings().ProxyProtocol {
		return l
	}
	return peers.Listen(l, peers.ListenOptions{
		Allow:   peers.NewTrust(f.settings().ProxyAllowFrom),
		Timeout: f.settings().HeaderTimeout,
		Log:     f.log,
	})
}

// startPool returns no pool and no error when a signal ended the attempt.
func (f *front) startPool(signals *signals) (*workers.Pool, error) {
	options, err := f.poolOptions()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop, given := signals.during(cancel), f.predecessor.unless(cancel)
	pool, err := workers.Start(ctx, options)
	stop()
	given()
	var boot *workers.BootError
	switch {
	case err == nil, f.dev.survives(pool, err):
		return pool, err
	case pool != nil: // it waits for better code, which is not what is wrong
		pool.Kill()
		<-pool.Finished()
	}
	switch {
	case errors.Is(err, context.Canceled):
		f.log.Info("stopped before the application was loaded")
		return nil, nil
	case errors.As(err, &boot) && boot.Code >= failure.ExitUsage && boot.Code <= failure.ExitInterpreter:
		if f.settings().ErrorLogfile == "-" {
			return nil, &exitError{boot.Code, errReported} // Python's own words say it better
		}
		return nil, &exitError{boot.Code, failure.Errorf(failure.CannotServe, "cannot serve %s; the reason is in %s", f.settings().App, f.settings().ErrorLogfile)}
	default:
		return nil, failure.Errorf(bootFailure(boot, failure.CannotServe), "cannot serve %s: %w", f.settings().App, err)
	}
}

// bootExit is the exit code for an application that could not be started.
func bootExit(boot *workers.BootError) int {
	if boot.Code >= failure.ExitUsage && boot.Code <= failure.ExitInterpreter {
		return boot.Code
	}
	return failure.ExitUnexpected
}

// bootFailure is the code for the same, where the pool knows more than an exit code;
// boot may be nil.
func bootFailure(boot *workers.BootError, otherwise failure.Code) failure.Code {
	if boot == nil || boot.Failure == 0 {
		return otherwise
	}
	return boot.Failure
}

func (f *front) poolOptions() (workers.Options, error) {
	s := f.settings()
	f.roomiest = f.environSize(s)
	plan, err := f.plan(s)
	if err != nil {
		return workers.Options{}, err
	}
	options := workers.Options{
		Plan:   plan,
		Limits: s.callLimits(),
		Log:    f.log,
		Output: f.errors.Raw,
	}
	f.dev.options(&options)
	return options, nil
}

func (s *Settings) callLimits() workers.Limits {
	return workers.Limits{
		Timeout:              s.Timeout,
		QueueTimeout:         s.QueueTimeout,
		MaxQueue:             s.MaxQueue,
		AfterResponseTimeout: s.AfterResponseTimeout,
	}
}

// bodyRoom is how much of a request's body is in shared memory at a time.
func (s *Settings) bodyRoom() int {
	if s.RequestBuffering {
		return wholeBody
	}
	return streamedBody
}

// plan says what a generation of workers is made of by these settings.
func (f *front) plan(s *Settings) (workers.Plan, error) {
	settings, err := f.zygoteSettings(s)
	if err != nil {
		return workers.Plan{}, err
	}
	env := f.dev.environ(slices.Concat(s.FileEnv, f.identity.environ(withoutVariables(os.Environ(), managerVariables...)), s.Env))
	return workers.Plan{
		Workers:    s.Workers,
		MinWorkers: s.MinWorkers,
		MaxWorkers: s.MaxWorkers,
		Preload:    s.Preload,
		Sizes: channel.Sizes{
			Threads: s.Threads,
			Slots:   min(s.Threads+workers.MostAhead, channel.MaxSlots),
			Environ: f.roomiest,
			Body:    s.bodyRoom(),
			Reply:   replyRing,
			Fault:   faultArea,
		},
		Zygote: workers.Command{
			Path:     thisBinary,
			Env:      append(env, embed.ZygoteVariable+"=1"),
			Settings: settings,
			Owner:    f.identity.owner(),
		},
		WorkerIdleTimeout: s.WorkerIdleTimeout,
		StartupTimeout:    s.StartupTimeout,
		GracefulTimeout:   s.GracefulTimeout,
		MaxRequests:       s.MaxRequests,
		MaxRequestsJitter: s.MaxRequestsJitter,
		MaxLifetime:       s.MaxWorkerLifetime,
		MaxLifetimeJitter: s.MaxWorkerLifetimeJitter,
		MemorySoft:        s.MaxWorkerMemory,
		MemoryHard:        s.MaxWorkerMemoryHard,
	}, nil
}

// environSize is what the largest request the parser accepts can need: the
// request line five times over (two URIs, path, query and method), the fields,
// and the variables that are always there.
func (f *front) environSize(s *Settings) int {
	fields := s.LimitRequestFields*16 + s.LimitRequestHeader
	connection := 0
	if f.certificates != nil {
		connection = secure.VariablesSize
	}
	return 5*s.LimitRequestLine + 2*fields + connection + 8<<10
}

func (f *front) zygoteSettings(s *Settings) ([]byte, error) {
	name := s.Name
	if name == "" {
		name = s.App.String()
	}
	settings := embed.Settings{
		Program:        f.launch.path,
		Arguments:      f.started.args,
		Application:    s.App.String(),
		PythonPath:     append([]string{}, s.PythonPath...),
		Preload:        s.Preload,
		Threads:        s.Threads,
		Multiprocess:   s.MaxWorkers > 1,
		Name:           name,
		ServerSoftware: "gowsgi/" + version,
		EnvironKeys:    environ.Keys[:],
		Nice:           s.Nice,
		Dev:            f.dev.zygoteSettings(),
		Chroot:         s.Chroot,
	}
	if s.Chroot != "" {
		settings.Chdir = s.Chdir
	}
	if f.identity != nil {
		settings.Identity = &f.identity.Identity
	}
	return json.Marshal(settings)
}

func (f *front) serverOptions() http1.Options {
	s := f.settings()
	f.handler.service.Store(f.newService(s))
	o := http1.Options{
		Limits:    s.limits(),
		Timeouts:  s.timeouts(),
		Admission: s.admission(f.log),
		Server:    "gowsgi",
		Log:       f.log,
		Handler:   &f.handler,
	}
	f.addHTTP2(&o)
	return o
}

// handler joins http1, peers and wsgi, which do not know each other. A reload can put
// another service in place: exchanges stay with the one they have begun in.
type handler struct{ service atomic.Pointer[service] }

// service is what becomes of a request by the settings of one time.
type service struct {
	probes   *probes
	resolver *peers.Resolver
	gateway  gateway
}

// gateway answers requests: a wsgi.Gateway, or what stands before one.
type gateway interface {
	Serve(x wsgi.Exchange, r *environ.Request)
}

func (f *front) newService(s *Settings) *service {
	options := wsgi.Options{
		Backend: f.pool, Log: f.log, RetryLost: s.RetryOnCrash, Access: f.accessHook(), RequestIDField: s.RequestIDHeader,
		RequestBuffering: s.RequestBuffering, TempDir: s.TempDir, ResponseBuffer: s.ResponseBuffer,
		Static: f.static, Sendfile: f.sendfile,
	}
	f.dev.gatewayOptions(&options)
	return &service{
		probes: f.newProbes(s),
		resolver: peers.NewResolver(peers.Options{
			Trust: peers.NewTrust(s.ForwardedAllowIPs), RequestID: s.RequestIDHeader, Mount: s.RootPath,
		}),
		gateway: f.dev.before(wsgi.New(options), options.Access),
	}
}

// ServeExchange implements http1.Handler.
func (h *handler) ServeExchange(x *http1.Exchange) {
	h.service.Load().serve(x, &x.Request)
}

// serve answers x, whose request is r.
func (s *service) serve(x wsgi.Exchange, r *environ.Request) {
	if s.probes.answer(x, r) {
		return
	}
	s.resolver.Resolve(r)
	s.gateway.Serve(x, r)
}

// accessHook turns what the gateway tells into lines of the access log.
func (f *front) accessHook() func(*wsgi.AccessRecord) {
	show := f.showRequests()
	if f.access == nil && show == nil {
		return nil
	}
	return func(r *wsgi.AccessRecord) {
		entry := AccessEntry{
			RemoteAddr: r.Request.RemoteAddr,
			Time:       r.Started,
			Method:     r.Request.Method,
			Target:     r.Request.Target,
			Protocol:   r.Request.Proto,
			Status:     r.Status,
			Bytes:      r.Written,
			Duration:   r.Duration,
			ID:         r.Request.RequestID,
		}
		for i := range r.Request.Headers {
			switch h := &r.Request.Headers[i]; {
			case strings.EqualFold(string(h.Name), "Referer"):
				entry.Referer = h.Value
			case strings.EqualFold(string(h.Name), "User-Agent"):
				entry.Agent = h.Value
			}
		}
		if show != nil {
			show(&entry)
			return
		}
		f.access.Log(&entry)
	}
}

// announce says where the server can be reached: the one line people wait for.
func (f *front) announce() {
	var serving []*socket
	var urls []string
	for _, s := range f.sockets {
		if s.redirect {
			f.log.Info(fmt.Sprintf("redirecting from %s to https", s.address()), "port", f.redirectPort())
			continue
		}
		serving, urls = append(serving, s), append(urls, s.address())
	}
	f.dev.warnOfReach(f.log, f.sockets)
	if s := f.settings(); s.ErrorLogfile == "-" && isTerminal(stderr) {
		if s.LogLevel <= slog.LevelInfo {
			f.errors.Raw([]byte(f.banner(serving)))
		}
		return
	}
	f.log.Info(fmt.Sprintf("listening at %s", strings.Join(urls, ", ")),
		"application", f.settings().App.String(), "workers", f.settings().Workers, "threads", f.settings().Threads,
		"python", embed.Release(), "interpreter", interpreterPath(f.settings().Chroot), "mode", f.mode())
}
