package main

// The development server: --reload and gowsgi dev. Everything here is beside the
// way of a request in a server that is none: the front's field dev is nil then.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"gowsgi/cmd/failure"
	"gowsgi/embed"
	"gowsgi/environ"
	"gowsgi/workers"
	"gowsgi/workers/changes"
	"gowsgi/wsgi"
	"gowsgi/wsgi/dev"
)

// devServer has the application's workers follow its files.
//
// A request is served by the code as it was saved when the request came: it
// waits at the gate from the first sign of a change until new workers serve, or
// it is known that they cannot; then it gets a page that says why.
type devServer struct {
	front      *front
	folder     string // the application's, as it was named: it may be a link
	watcher    *changes.Watcher
	link       *devLink
	terminal   *devTerminal
	livereload *dev.Livereload // nil: off
	gate       gate
	begun      chan struct{} // closed when the pool has been started

	mu      sync.Mutex
	attempt int      // to load the application; the newest
	ahead   int      // number of the attempt that a zygote is being started for
	warm    []string // modules it has imported
	stale   int      // how often such a zygote was of no use: what it had read changed
	loading bool     // the newest attempt is under way
	unread  bool     // a change was seen that has not been told yet
	due     bool     // one was told that no attempt has begun for yet
	during  bool     // it was seen while an attempt was under way
	writes  devWrites
	changed []string     // files since the application could be loaded
	failure *dev.Failure // why it cannot be; nil: it can
}

// openDevServer begins to watch before anything is imported.
func (f *front) openDevServer() error {
	s := f.settings()
	if !s.Reload {
		return nil
	}
	d := &devServer{front: f, attempt: 1, loading: true, begun: make(chan struct{}), terminal: openDevTerminal()}
	var err error
	if d.folder, err = workingFolder(s.Chdir); err != nil {
		return failure.Errorf(failure.CannotWatch, "cannot tell which folder to watch: %w", err)
	}
	if d.link, err = listenDevLink(d); err != nil {
		return failure.Errorf(failure.CannotWatch, "cannot hear what is imported: %w", err)
	}
	if !s.NoLivereload {
		d.livereload = dev.NewLivereload()
	}
	d.watcher, err = changes.New(changes.Options{
		Root: d.folder, Extra: slices.Concat(s.ReloadExtraFiles, f.configFiles(s)), Exclude: s.ReloadExcludes, Engine: changes.Engine(s.ReloadEngine),
		Log: f.log, Seen: d.seen, Changed: d.changes,
	})
	if err != nil {
		return errors.Join(failure.Errorf(failure.CannotWatch, "cannot watch the application's files: %w", err), d.link.Close())
	}
	f.dev = d
	return nil
}

// configFiles are those whose change is one of the settings.
func (f *front) configFiles(s *Settings) []string {
	var files []string
	for _, name := range append(slices.Clone(s.EnvFiles), s.Config, ownFile) {
		if name != "" {
			files = append(files, f.started.path(name))
		}
	}
	return files
}

// workingFolder is the path of the folder the process is in, with the links
// by which it was named: given, or told by the shell.
func workingFolder(given string) (string, error) {
	physical, err := os.Getwd()
	if err != nil {
		return "", err
	}
	logical := os.Getenv("PWD")
	if strings.HasPrefix(given, "/") {
		logical = given
	} else if given != "" && logical != "" {
		logical += "/" + given
	}
	there, failed := os.Stat(logical)
	here, err := os.Stat(physical)
	if failed != nil || err != nil || !os.SameFile(there, here) {
		return physical, nil
	}
	return logical, nil
}

// stop lets requests go on that wait at the gate, ends streams, and takes the
// terminal back. It may be called on nil, and again.
func (d *devServer) stop() {
	if d == nil {
		return
	}
	d.gate.remove()
	if d.livereload != nil {
		d.livereload.Close()
	}
	d.terminal.reclaim()
}

// close stops, and ends the watching. It may be called on nil.
func (d *devServer) close() error {
	if d == nil {
		return nil
	}
	d.stop()
	d.watcher.Close()
	return d.link.Close()
}

// zygoteSettings are for the newest attempt.
func (d *devServer) zygoteSettings() *embed.Dev {
	if d == nil {
		return nil
	}
	folder := ""
	if info, err := os.Stat("."); err == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			folder = fmt.Sprint(stat.Dev, ":", stat.Ino, ":", d.stale)
		}
	}
	return &embed.Dev{Address: d.link.address, Generation: max(d.attempt, d.ahead), Warm: d.warm, Folder: folder}
}

// options makes a pool fit for code that is being written.
func (d *devServer) options(o *workers.Options) {
	if d == nil {
		return
	}
	o.Patient = true
	o.Occupied = d.terminal.has
	if s := d.front.settings(); s.ErrorLogfile == "-" && s.LogLevel == slog.LevelInfo && isTerminal(stderr) {
		// A person reads along: one line for each save is enough.
		o.Log = slog.New(warnings{d.front.log.Handler()})
	}
}

// warnings is a log that leaves out what is only information.
type warnings struct{ slog.Handler }

// Enabled implements slog.Handler.
func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (w warnings) WithGroup(name string) slog.Handler {
	return warnings{w.Handler.WithGroup(name)}
}

// survives says whether the server goes on although the application could not be
// loaded: it may be mended, also one that crashed or left. A Python that does not
// start is not mended by a save.
func (d *devServer) survives(pool *workers.Pool, err error) bool {
	var boot *workers.BootError
	return d != nil && pool != nil && errors.As(err, &boot) && boot.Code != failure.ExitInterpreter
}

// started: the pool is there; err says why it has no workers.
func (d *devServer) started(err error) {
	if d == nil {
		return
	}
	close(d.begun)
	_ = d.settle(1, err, time.Now()) // told by startPool
}

// seen is called at the first sign of a change.
func (d *devServer) seen() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unread, d.during = true, d.loading
	d.gate.shut()
}

// changes is called when all that was saved together is there.
func (d *devServer) changes(paths []string) {
	if d.take(paths) {
		go func() { _ = d.reload() }() // it logs what became of it
	}
}

// take notes a change and says whether the application has to be loaded for it.
func (d *devServer) take(paths []string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unread = false
	own, tired := d.writes.changed(paths, d.during, time.Now())
	if tired {
		d.front.log.Warn("files change each time the application is loaded; it is not loaded again for that (--reload-exclude)", failure.Key, failure.WrittenWhenLoaded, "changed", d.writes.names())
	}
	if own {
		d.openGate()
		return false
	}
	if slices.ContainsFunc(paths, d.readAhead) {
		d.stale++
	}
	d.changed = append(d.changed, paths...)
	slices.Sort(d.changed)
	d.changed = slices.Compact(d.changed)
	d.due = true
	return true
}

// readAhead says whether a zygote that boots ahead of a change may have read the
// file: what Python reads at its start, and what is not below the application's
// folder, which the watcher names without links.
func (d *devServer) readAhead(path string) bool {
	if name := filepath.Base(path); name == "sitecustomize.py" || name == "usercustomize.py" {
		return true
	}
	return !strings.HasPrefix(path, d.physical()+"/")
}

// physical is the folder with links resolved, as the watcher and Python name it.
func (d *devServer) physical() string {
	if folder, err := filepath.EvalSymlinks(d.folder); err == nil {
		return folder
	}
	return d.folder
}

// reload brings up workers with the code as it is now. While it tries, requests
// wait; a later reload takes its place.
func (d *devServer) reload() error {
	<-d.begun
	began := time.Now()
	attempt, turn, next, wait, err := d.begin()
	if err == nil {
		err = wait()
	}
	if err == nil {
		d.front.adopt(next, turn)
	}
	return d.settle(attempt, err, began)
}

// begin starts an attempt, by the configuration as it is now. The next one begins
// after it, in this order for the pool, too.
func (d *devServer) begin() (attempt int, turn uint64, next *Settings, wait func() error, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gate.shut()
	d.attempt++
	d.loading, d.due = true, false
	d.link.expect(d.attempt)
	if d.front.settings().Chroot == "" {
		// The folder may be another one by the same name. If it is gone, Python
		// will say so.
		_ = os.Chdir(d.folder)
	}
	turn = d.front.reloads.ordered.Add(1)
	next, wait, err = d.front.beginReload(turn)
	return d.attempt, turn, next, wait, err
}

// settle takes what became of an attempt, if it is still the newest, and lets
// requests through.
func (d *devServer) settle(attempt int, err error, began time.Time) error {
	if errors.Is(err, workers.ErrSuperseded) || errors.Is(err, wsgi.ErrStopped) {
		return err
	}
	var failure *dev.Failure
	if err != nil {
		reason := err.Error()
		var boot *workers.BootError
		if errors.As(err, &boot) {
			reason = boot.Reason
			failure = d.link.failureOf(attempt)
		}
		if failure == nil {
			failure = dev.Unexplained(reason, reason)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if attempt != d.attempt {
		return workers.ErrSuperseded
	}
	d.failure, d.loading = failure, false
	d.watcher.Hungry(failure != nil)
	d.watcher.Modules(d.link.modulesOf(attempt), failure == nil)
	if attempt > 1 || failure != nil {
		d.report(failure, began)
	}
	if failure == nil {
		d.changed = nil
	}
	if d.livereload != nil {
		d.livereload.Advance()
	}
	d.openGate()
	time.AfterFunc(aheadAfter, func() { d.prepare(attempt) })
	return err
}

// openGate lets requests through if workers have all that was saved, or it is known
// why they cannot. It is called with mu held.
func (d *devServer) openGate() {
	if !d.loading && !d.due && !d.unread {
		d.gate.open()
	}
}

// aheadAfter leaves the processor to the first requests.
const aheadAfter = 300 * time.Millisecond

// prepare has the next attempt begin with a zygote that has booted and has what
// the application will want of the standard library: about 90 ms less to wait.
func (d *devServer) prepare(after int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.front.settings()
	if after != d.attempt || s.Preload { // then it would have the application, too
		return
	}
	if names := d.link.warmOf(after); names != nil {
		d.warm = names
	}
	d.ahead = d.attempt + 1
	if plan, err := d.front.plan(s); err == nil { // else the reload will say why not
		d.front.pool.Prepare(plan)
	}
}

func (d *devServer) report(why *dev.Failure, began time.Time) {
	after := time.Since(began).Round(time.Millisecond)
	if why != nil {
		about := []any{failure.Key, failure.CannotLoadChange, "reason", why.Title()}
		if len(d.changed) > 0 {
			about = append(about, "changed", d.names())
		}
		d.front.log.Error("the application cannot be loaded; the next change is tried at once", about...)
		return
	}
	if len(d.changed) == 0 { // somebody has asked for it
		d.front.log.Info("reloaded", "after", after)
		return
	}
	d.front.log.Info("reloaded", "after", after, "changed", d.names())
}

// names are the changed files, for a line of the log.
func (d *devServer) names() string {
	page := dev.Page{Folder: d.physical(), Changed: d.changed}
	return page.ChangedNames()
}

// imported: a worker has imported more files.
func (d *devServer) imported(attempt int, files []changes.Module) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if attempt == d.attempt && d.watcher != nil {
		d.watcher.Modules(files, false)
	}
}

// page is about a failure of the application.
func (d *devServer) page(failure *dev.Failure, r *environ.Request, loading bool) *dev.Page {
	p := &dev.Page{
		Failure: failure, Loading: loading, Folder: d.physical(),
		Request: string(r.Method) + " " + string(r.Target),
	}
	if d.livereload != nil && string(r.Method) == "GET" {
		p.Script = d.livereload.Script(r)
	}
	return p
}

// unloadable is the page to answer with when the application cannot be loaded;
// nil when it can.
func (d *devServer) unloadable(r *environ.Request) *dev.Page {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failure == nil {
		return nil
	}
	p := d.page(d.failure, r, true)
	p.Changed = d.changed
	return p
}

// failed answers for an application that raised, or whose worker is lost.
func (d *devServer) failed(x wsgi.Exchange, r *environ.Request, err error) bool {
	failure := dev.Unexplained("The application failed", err.Error())
	var application *wsgi.ApplicationError
	if errors.As(err, &application) {
		if failure = d.link.raisedBy(string(r.RequestID)); failure == nil {
			failure = dev.Unexplained("The application failed", application.Traceback)
		}
	}
	d.page(failure, r, false).Answer(x, r)
	return true
}

// gatewayOptions has failures shown. Answers are not taken ahead of a client: a
// page that is there as a whole keeps its length.
func (d *devServer) gatewayOptions(o *wsgi.Options) {
	if d != nil {
		o.Failed, o.ResponseBuffer = d.failed, 0
	}
}

// before is the gateway of a development server, or g itself.
func (d *devServer) before(g *wsgi.Gateway, access func(*wsgi.AccessRecord)) gateway {
	if d == nil {
		return g
	}
	return devGateway{d, g, access}
}

// devGateway stands before the gateway.
type devGateway struct {
	dev     *devServer
	gateway *wsgi.Gateway
	access  func(*wsgi.AccessRecord) // may be nil
}

// Serve implements gateway.
func (h devGateway) Serve(x wsgi.Exchange, r *environ.Request) {
	d := h.dev
	if d.livereload != nil && dev.IsLivereload(r) {
		d.livereload.Serve(x, r)
		return
	}
	began := time.Now()
	d.watcher.Sync()
	d.gate.wait()
	if page := d.unloadable(r); page != nil {
		page.Answer(x, r)
		if h.access != nil {
			h.access(&wsgi.AccessRecord{Request: r, Status: x.Status(), Written: x.Written(), Started: began, Duration: time.Since(began)})
		}
		return
	}
	if d.livereload != nil {
		x = d.livereload.Inject(x, r)
	}
	h.gateway.Serve(x, r)
}

// gate is where requests wait. The zero value is open.
type gate struct {
	mu      sync.Mutex
	opened  chan struct{} // nil: it is open
	removed bool
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened == nil && !g.removed {
		g.opened = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}

// remove opens the gate for good.
func (g *gate) remove() {
	g.mu.Lock()
	g.removed = true
	g.mu.Unlock()
	g.open()
}

// gatePatience: an application that changes its own files again and again would
// keep everybody waiting.
const gatePatience = time.Minute

func (g *gate) wait() {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	if opened == nil {
		return
	}
	select {
	case <-opened:
	case <-time.After(gatePatience):
	}
}

// runDev is `gowsgi dev`: a development server with what one wants of it set.
func runDev(args []string) error { return serve(args, true) }

// byDevelopment is the origin of what gowsgi dev says when nobody else does.
const byDevelopment = "gowsgi dev"

// developing is what it says. A debugger takes its time: nothing is given up.
var developing = map[string]string{
	"reload": "true", "timeout": "0", "queue-timeout": "0", "after-response-timeout": "0", "startup-timeout": "0",
	"graceful-timeout": "5", // of workers with old code, for their last requests
}

// forDevelopment adds what gowsgi dev says, the application it finds included.
func (i invocation) forDevelopment(from sources) (sources, error) {
	said := make(map[string]saying, len(developing)+1)
	for name, text := range developing {
		said[name] = saying{byDevelopment, []string{text}}
	}
	if len(from.about(&application).texts) == 0 {
		folder := i.dir
		if texts := from.about(findSetting("--chdir")).texts; len(texts) > 0 {
			folder = i.path(texts[0])
		}
		named, _ := i.lookup("DJANGO_SETTINGS_MODULE")
		found, err := dev.Detect(folder, named)
		if err != nil {
			return nil, failure.Errorf(failure.NoApplicationFound, "%w; name it: gowsgi dev MODULE[:APP]", err)
		}
		said[application.name] = saying{byDevelopment, []string{found}}
	}
	return append(from, func(row *setting) (saying, bool) {
		what, ok := said[row.name]
		return what, ok
	}), nil
}

// environ adds what frameworks have to know to env. Flask answers its own 500
// unless it is told that somebody develops.
func (d *devServer) environ(env []string) []string {
	if d == nil || slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "FLASK_DEBUG=") }) {
		return env
	}
	return append(env, "FLASK_DEBUG=1")
}

// warnOfReach says that tracebacks can be read from elsewhere.
func (d *devServer) warnOfReach(log *slog.Logger, sockets []*socket) {
	if d == nil {
		return
	}
	for _, s := range sockets {
		if !s.isLocal() {
			log.Warn(fmt.Sprintf("a development server shows its code to whoever can reach %s", s.address()), failure.Key, failure.CodeShown)
		}
	}
}
