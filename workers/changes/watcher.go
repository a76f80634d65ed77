package changes

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"gowsgi/cmd/failure"
)

// Engine says how changes are noticed.
type Engine string

// The engines. Auto is Inotify where that works and Poll where it does not.
const (
	Auto    Engine = "auto"
	Inotify Engine = "inotify"
	Poll    Engine = "poll"
)

// Options says what is watched. Root, Seen and Changed are required.
type Options struct {
	// Root is the working folder: its templates, .env and pyproject.toml matter,
	// also when the folder itself is replaced or is a symbolic link that comes
	// to lead somewhere else.
	Root string
	// Extra are patterns for more files that matter, Exclude for what does not;
	// relative ones begin at Root.
	Extra, Exclude []string
	Engine         Engine
	// Every is the time between two looks of Poll, and of Inotify at whether the
	// folders it watches are still those of their names; 0: half a second.
	Every time.Duration
	Quiet time.Duration // without a change until Changed is called; 0: 20 ms
	Log   *slog.Logger
	// Seen is called at the first change, Changed with all of them, sorted, when
	// no more have come for a while. Both are called from one goroutine, must not
	// wait, and may call no method of the Watcher but Modules and Hungry.
	Seen    func()
	Changed func(paths []string)
}

// A Module is a file that was imported.
type Module struct {
	Path string
	// Changed is the file's time of last change when it was imported, in
	// nanoseconds since 1970; 0: not known.
	Changed int64
}

const (
	defaultEvery = 500 * time.Millisecond
	defaultQuiet = 20 * time.Millisecond
	// With so many changes at once it is no person who saves: a branch switch or
	// an installation takes breaths in between.
	storm      = 8
	stormQuiet = 6 // times Quiet
	// git's lock is waited for no longer: git may have crashed, or wait itself.
	gitPatience = 2 * time.Second
	longest     = 10 * time.Second // that Changed is put off by further changes
	// A look at everything that takes no longer is done before each request.
	quickLook = 50 * time.Millisecond
)

// Watcher watches files until Close. Its methods may be called from any
// goroutine.
type Watcher struct {
	o     Options
	mail  mailbox
	done  chan struct{}
	ended chan struct{}

	// What follows belongs to the goroutine.
	events *events // nil: polling
	stale  bool    // the events cannot be trusted: watching has to begin anew

	root    place // Options.Root with links resolved
	extra   []pattern
	exclude []exclusion
	tree    map[string]bool            // folders whose templates matter, links resolved
	links   map[string]place           // in the tree, to folders
	apart   map[string]identity        // folders that matter and may lie elsewhere
	names   map[string]map[string]bool // of a path with links resolved, the others
	aside   int                        // folders walked for patterns, roughly
	warned  bool                       // that there are too many folders

	modules map[string]bool
	hungry  bool
	known   map[string]signature // of each file that matters, or would
	unheard map[string]bool      // Python files that changed and did not matter
	changed map[string]bool      // to be told
	first   time.Time            // since when something is to be done
	quiet   *time.Timer          // then it is
	took    time.Duration        // for the last look at everything
}

// place is a folder as it was found.
type place struct {
	path string // empty: it has not been there yet
	identity
}

// New looks at everything once and begins to watch. An error says which option
// cannot be followed.
func New(o Options) (*Watcher, error) {
	if o.Every == 0 {
		o.Every = defaultEvery
	}
	if o.Quiet == 0 {
		o.Quiet = defaultQuiet
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	w := &Watcher{
		o: o, mail: mailbox{arrived: make(chan struct{}, 1)}, done: make(chan struct{}), ended: make(chan struct{}),
		apart: map[string]identity{}, modules: map[string]bool{}, known: map[string]signature{},
		unheard: map[string]bool{}, changed: map[string]bool{}, quiet: time.NewTimer(0),
	}
	<-w.quiet.C
	w.root = placeOf(o.Root)
	if err := w.compile(); err != nil {
		return nil, err
	}
	if o.Engine != Poll {
		var err error
		if w.events, err = openEvents(); err != nil && o.Engine == Inotify {
			return nil, fmt.Errorf("changes: inotify: %w", err)
		} else if err != nil {
			w.pollInstead(err)
		}
	}
	w.lookAtAll(true)
	if o.Engine == Inotify && w.events == nil {
		return nil, fmt.Errorf("changes: inotify cannot watch all folders of %s; use another engine", o.Root)
	}
	go w.run()
	return w, nil
}

// Close ends the watching. No function of the Options is called afterwards.
func (w *Watcher) Close() {
	close(w.done)
	<-w.ended
}

// Modules says which files have been imported, in place of those said before if
// instead, else in addition. One that has changed since it was imported is a
// change.
func (w *Watcher) Modules(files []Module, instead bool) {
	w.mail.post(func() { w.takeModules(files, instead) })
}

// Hungry makes every Python file below Root matter: the application could not be
// loaded, and nobody knows what it is made of. What has changed of them since
// the last call of Changed counts, too.
func (w *Watcher) Hungry(yes bool) {
	w.mail.post(func() {
		if w.hungry = yes; !yes {
			return
		}
		for path := range w.unheard {
			w.tell(path)
		}
		clear(w.unheard)
	})
}

// Polling says whether the engine is Poll, by choice or for want of another.
func (w *Watcher) Polling() bool {
	answer := make(chan bool, 1)
	w.mail.post(func() { answer <- w.events == nil })
	select {
	case polls := <-answer:
		return polls
	case <-w.done:
		return false
	}
}

// syncPatience: a request does not wait longer for the watcher.
const syncPatience = time.Second

// Sync returns when Seen has been called for whatever was changed before.
func (w *Watcher) Sync() {
	through := make(chan struct{})
	w.mail.post(func() { w.sync(through) })
	late := time.NewTimer(syncPatience)
	defer late.Stop()
	select {
	case <-through:
	case <-w.done:
	case <-late.C:
	}
}

func (w *Watcher) sync(through chan struct{}) {
	w.findRoot()
	if w.events != nil {
		w.events.mark(through)
		return
	}
	if w.took < quickLook {
		w.lookAtAll(false)
	}
	close(through)
}

// run is the goroutine.
func (w *Watcher) run() {
	defer close(w.ended)
	regularly := time.NewTicker(w.o.Every)
	defer regularly.Stop()
	defer func() {
		if w.events != nil {
			release(w.events.close())
		}
	}()
	for {
		var arrived <-chan event
		if w.events != nil {
			arrived = w.events.arrived
		}
		select {
		case e := <-arrived:
			w.take(e)
		case <-regularly.C:
			w.lookAround()
		case <-w.quiet.C:
			w.settle()
		case <-w.mail.arrived:
			for _, what := range w.mail.take() {
				what()
			}
		case <-w.done:
			return
		}
	}
}

// take deals with one event.
func (w *Watcher) take(e event) {
	switch {
	case e.marked && w.stale:
		w.beginAnew()
	case e.marked:
		w.events.marked()
	case e.lost:
		w.distrust()
	default:
		if w.events.namesWrongly(e) {
			w.distrust()
		}
		w.lookAt(e.path)
	}
}

// lookAround finds out what no event tells.
func (w *Watcher) lookAround() {
	w.findRoot()
	if w.events == nil {
		w.lookAtAll(false)
		return
	}
	w.findApart()
}

// distrust has the watching begin anew, before anything more is told. What events
// still come are followed meanwhile: they lead to looks, and looks do no harm.
func (w *Watcher) distrust() {
	if !w.stale && w.events != nil {
		w.putOff(func() { w.stale = true })
	}
}

// beginAnew watches with a new instance, whose names are those of now.
func (w *Watcher) beginAnew() {
	w.stale = false
	if w.events == nil {
		w.lookAtAll(false)
		return
	}
	waiting := w.events.close()
	var err error
	if w.events, err = openEvents(); err != nil {
		w.events = nil
		w.pollInstead(err)
	}
	w.lookAtAll(false)
	release(waiting)
}

func (w *Watcher) pollInstead(err error) {
	w.o.Log.Warn("changes are looked for by polling: the kernel tells of no more files (fs.inotify.max_user_watches, max_user_instances)", failure.Key, failure.ChangesPolled, "every", w.o.Every, "error", err)
}

// tell notes a change and puts its telling off.
func (w *Watcher) tell(path string) {
	if len(w.changed) == 0 {
		w.o.Seen()
	}
	w.putOff(func() { w.changed[path] = true })
}

// putOff does what leaves something to be settled, and has that done when nothing
// more has come for a while.
func (w *Watcher) putOff(do func()) {
	if !w.stale && len(w.changed) == 0 {
		w.first = time.Now()
	}
	do()
	wait := w.o.Quiet
	if len(w.changed) >= storm {
		wait *= stormQuiet
	}
	w.quiet.Reset(min(wait, max(0, time.Until(w.first.Add(longest)))))
}

// settle tells what has changed, once that is known for sure.
func (w *Watcher) settle() {
	if _, err := os.Stat(gitLock(w.root.path)); err == nil && time.Since(w.first) < gitPatience {
		w.quiet.Reset(w.o.Quiet)
		return
	}
	if w.stale {
		w.beginAnew()
		w.quiet.Reset(w.o.Quiet)
		return
	}
	if len(w.changed) == 0 {
		return
	}
	paths := slices.Sorted(maps.Keys(w.changed))
	clear(w.changed)
	clear(w.unheard)
	w.o.Changed(paths)
}
