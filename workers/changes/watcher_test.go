package changes_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gowsgi/workers/changes"
)

const patience = 10 * time.Second

// observed is a watcher and what it tells.
type observed struct {
	*changes.Watcher
	t       *testing.T
	root    string
	seen    atomic.Int64
	changes chan []string
}

func observe(t *testing.T, root string, o changes.Options) *observed {
	t.Helper()
	w := &observed{t: t, root: root, changes: make(chan []string, 10000)}
	o.Root, o.Every = root, 20*time.Millisecond
	o.Seen = func() { w.seen.Add(1) }
	o.Changed = func(paths []string) { w.changes <- paths }
	var err error
	if w.Watcher, err = changes.New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// expect waits until all of the names, relative to the root, were told.
func (w *observed) expect(names ...string) {
	w.t.Helper()
	late := time.After(patience)
	missing := slices.Clone(names)
	var got []string
	for len(missing) > 0 {
		select {
		case paths := <-w.changes:
			for _, path := range paths {
				name := path
				if short, err := filepath.Rel(w.root, path); err == nil {
					name = short
				}
				got = append(got, name)
				missing = slices.DeleteFunc(missing, func(n string) bool { return n == name })
			}
		case <-late:
			w.t.Fatalf("changes told = %q, want %q", got, names)
		}
	}
}

// expectNothing makes sure, by a change that is told, that nothing was before.
func (w *observed) expectNothing(what string) {
	w.t.Helper()
	w.Sync()
	write(w.t, w.root, "last.html", time.Now().String())
	select {
	case paths := <-w.changes:
		if len(paths) != 1 || filepath.Base(paths[0]) != "last.html" {
			w.t.Errorf("after %s, changes told = %q, want only last.html", what, paths)
		}
	case <-time.After(patience):
		w.t.Fatalf("no change told, want last.html")
	}
}

func (w *observed) imported(names ...string) {
	w.t.Helper()
	var modules []changes.Module
	for _, name := range names {
		path := filepath.Join(w.root, name)
		info, err := os.Stat(path)
		if err != nil {
			w.t.Fatal(err)
		}
		modules = append(modules, changes.Module{Path: path, Changed: info.ModTime().UnixNano()})
	}
	w.Modules(modules, true)
	w.Sync()
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace saves as most editors do.
func replace(t *testing.T, root, name, text string) {
	t.Helper()
	write(t, root, name+"~", text)
	if err := os.Rename(filepath.Join(root, name+"~"), filepath.Join(root, name)); err != nil {
		t.Fatal(err)
	}
}

func folder(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func withEngines(t *testing.T, test func(t *testing.T, engine changes.Engine)) {
	for _, engine := range []changes.Engine{changes.Inotify, changes.Poll} {
		t.Run(string(engine), func(t *testing.T) { test(t, engine) })
	}
}

func TestWatcher_TellsWhatMatters(t *testing.T) {
	withEngines(t, func(t *testing.T, engine changes.Engine) {
		root := folder(t)
		for _, name := range []string{
			"app.py", "other.py", "templates/page.html", "conf/a/b.yml", "conf/a/b.txt", "skipped/x.html",
			"venv/pyvenv.cfg", "venv/lib/v.html", ".git/g.html", "node_modules/n.html", "static/s.css",
		} {
			write(t, root, name, "1")
		}
		w := observe(t, root, changes.Options{Engine: engine, Extra: []string{"conf/**/*.yml"}, Exclude: []string{"skipped", "last.htm"}})
		w.imported("app.py")
		for _, name := range []string{"app.py", "templates/page.html", "templates/new/one.jinja2", ".env", "pyproject.toml", "conf/a/b.yml", "conf/new/c.yml"} {
			write(t, root, name, "22")
			w.expect(name)
			replace(t, root, name, "333")
			w.expect(name)
			if err := os.Remove(filepath.Join(root, name)); err != nil {
				t.Fatal(err)
			}
			w.expect(name)
		}
		for _, name := range []string{"other.py", "conf/a/b.txt", "skipped/x.html", "venv/lib/v.html", ".git/g.html", "node_modules/n.html", "static/s.css", "below/.env"} {
			write(t, root, name, "22")
			w.expectNothing("a change of " + name)
		}
	})
}

func TestWatcher_AChmodOrAReadIsNoChange(t *testing.T) {
	withEngines(t, func(t *testing.T, engine changes.Engine) {
		root := folder(t)
		write(t, root, "app.py", "1")
		w := observe(t, root, changes.Options{Engine: engine})
		w.imported("app.py")
		if err := os.Chmod(filepath.Join(root, "app.py"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := os.ReadFile(filepath.Join(root, "app.py")); err != nil {
			t.Fatal(err)
		}
		w.expectNothing("a chmod and a read")
	})
}

func TestWatcher_SyncSeesWhatWasSavedBefore(t *testing.T) {
	withEngines(t, func(t *testing.T, engine changes.Engine) {
		root := folder(t)
		write(t, root, "app.py", "0")
		w := observe(t, root, changes.Options{Engine: engine})
		w.imported("app.py")
		for i := range 50 {
			before := w.seen.Load()
			replace(t, root, "app.py", fmt.Sprint("save ", i))
			w.Sync()
			if got := w.seen.Load(); got != before+1 {
				t.Fatalf("save %d: Seen called %d times by the end of Sync, want once", i, got-before)
			}
			w.expect("app.py")
		}
	})
}

func TestWatcher_FollowsReplacedFolders(t *testing.T) {
	withEngines(t, func(t *testing.T, engine changes.Engine) {
		root := folder(t)
		write(t, root, "package/module.py", "1")
		write(t, root, "package/templates/a.html", "1")
		outside := folder(t)
		write(t, outside, "library/core.py", "1")
		w := observe(t, root, changes.Options{Engine: engine})
		core := filepath.Join(outside, "library/core.py")
		w.imported("package/module.py")
		w.Modules([]changes.Module{{Path: core}}, false)
		w.Sync()
		for range 3 {
			for _, dir := range []string{filepath.Join(root, "package"), filepath.Join(outside, "library")} {
				if err := os.Rename(dir, dir+".old"); err != nil {
					t.Fatal(err)
				}
			}
			relative, err := filepath.Rel(root, core)
			if err != nil {
				t.Fatal(err)
			}
			w.expect("package/module.py", "package/templates/a.html", relative)
			for _, dir := range []string{filepath.Join(root, "package.old"), filepath.Join(outside, "library.old")} {
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
			}
			write(t, root, "package/module.py", "2")
			write(t, root, "package/templates/a.html", "2")
			write(t, outside, "library/core.py", "2")
			w.expect("package/module.py", "package/templates/a.html", relative)
		}
	})
}

func TestWatcher_FollowsARootThatIsALink(t *testing.T) {
	withEngines(t, func(t *testing.T, engine changes.Engine) {
		base := folder(t)
		write(t, base, "one/templates/a.html", "1")
		write(t, base, "two/templates/a.html", "2")
		link := filepath.Join(base, "current")
		if err := os.Symlink("one", link); err != nil {
			t.Fatal(err)
		}
		w := observe(t, link, changes.Options{Engine: engine})
		w.root = filepath.Join(base, "one")
		write(t, base, "one/templates/a.html", "11")
		w.expect("templates/a.html")
		if err := os.Symlink("two", link+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".new", link); err != nil {
			t.Fatal(err)
		}
		w.root = filepath.Join(base, "two")
		w.expect(".")
		write(t, base, "two/templates/a.html", "22")
		w.expect("templates/a.html")
	})
}

// A link above the root is what deployments switch.
func TestWatcher_FollowsALinkAboveTheRoot(t *testing.T) {
	withEngines(t, func(t *testing.T, engine changes.Engine) {
		base := folder(t)
		for _, release := range []string{"one", "two"} {
			write(t, base, release+"/app/templates/a.html", release)
			write(t, base, release+"/app/conf/a.yml", release)
		}
		current := filepath.Join(base, "current")
		relink(t, "one", current)
		w := observe(t, filepath.Join(current, "app"), changes.Options{Engine: engine, Extra: []string{"conf/*.yml"}})
		w.root = filepath.Join(base, "two/app")
		before := w.seen.Load()
		relink(t, "two", current)
		w.Sync()
		if w.seen.Load() == before {
			t.Error("Sync() returned before Seen was called for the link")
		}
		w.expect(".")
		for _, name := range []string{"templates/a.html", "conf/a.yml"} {
			write(t, base, "two/app/"+name, "two again")
			w.expect(name)
		}
	})
}

// relink has a link lead elsewhere in one step.
func relink(t *testing.T, to, link string) {
	t.Helper()
	if err := os.Symlink(to, link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
}

func TestWatcher_FollowsLinksInTheTree(t *testing.T) {
	withEngines(t, func(t *testing.T, engine changes.Engine) {
		root, outside := folder(t), folder(t)
		for _, name := range []string{"secret", "shared/a.html", "other/a.html", "conf/a.yml"} {
			write(t, outside, name, "1")
		}
		relink(t, filepath.Join(outside, "secret"), filepath.Join(root, ".env"))
		relink(t, filepath.Join(outside, "shared"), filepath.Join(root, "templates"))
		relink(t, filepath.Join(outside, "conf"), filepath.Join(root, "conf"))
		relink(t, ".", filepath.Join(root, "circle"))
		w := observe(t, root, changes.Options{Engine: engine, Extra: []string{"conf/*.yml"}})
		shared, err := filepath.Rel(root, filepath.Join(outside, "shared/a.html"))
		if err != nil {
			t.Fatal(err)
		}
		for name, told := range map[string]string{"secret": ".env", "shared/a.html": shared, "conf/a.yml": "conf/a.yml"} {
			write(t, outside, name, "22")
			w.expect(told)
			replace(t, outside, name, "333")
			w.expect(told)
		}
		relink(t, filepath.Join(outside, "other"), filepath.Join(root, "templates"))
		w.expect("templates")
		replace(t, outside, "other/a.html", "22")
		w.expect(strings.Replace(shared, "shared", "other", 1))
		write(t, outside, "shared/a.html", "4")
		w.expectNothing("a change where the link led before")
	})
}

// So many events are not held; a look at everything makes up for the lost ones.
func TestWatcher_MissesNothingWhereEventsAreLost(t *testing.T) {
	root := folder(t)
	busy := make(chan struct{})
	told := make(chan []string, 1000)
	w, err := changes.New(changes.Options{Root: root, Engine: changes.Inotify, Seen: func() { <-busy }, Changed: func(paths []string) { told <- paths }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	write(t, root, "first.html", "1") // has the watcher wait in Seen
	write(t, root, "lost.html", "1")
	for i := range 90000 {
		if err := os.Chmod(filepath.Join(root, []string{"first.html", "lost.html"}[i%2]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(root, "late"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 20000 { // more than the kernel's queue has room for
		if err := os.Chmod(filepath.Join(root, []string{"first.html", "lost.html"}[i%2]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	close(busy)
	write(t, root, "late/last.html", "1")
	missing := map[string]bool{"first.html": true, "lost.html": true, "late/last.html": true}
	for late := time.After(patience); len(missing) > 0; {
		select {
		case paths := <-told:
			for _, path := range paths {
				delete(missing, strings.TrimPrefix(path, root+"/"))
			}
		case <-late:
			t.Fatalf("not told: %v", missing)
		}
	}
}

func TestWatcher_WaitsForGitAboveTheRoot(t *testing.T) {
	base := folder(t)
	write(t, base, ".git/index.lock", "")
	write(t, base, "app/a.html", "1")
	w := observe(t, filepath.Join(base, "app"), changes.Options{})
	write(t, base, "app/a.html", "22")
	w.Sync()
	if w.seen.Load() != 1 {
		t.Errorf("Seen called %d times, want once: requests have to wait", w.seen.Load())
	}
	write(t, base, "app/b.html", "1")
	w.Sync()
	if err := os.Remove(filepath.Join(base, ".git/index.lock")); err != nil {
		t.Fatal(err)
	}
	if paths := <-w.changes; len(paths) != 2 {
		t.Errorf("changes told = %q, want both files at once, after git had finished", paths)
	}
}

func TestWatcher_TellsOfAModuleThatChangedWhileItWasImported(t *testing.T) {
	root := folder(t)
	write(t, root, "app.py", "1")
	w := observe(t, root, changes.Options{})
	w.Modules([]changes.Module{{Path: filepath.Join(root, "app.py"), Changed: 1}}, true)
	w.expect("app.py")
}

func TestWatcher_HungryTakesEveryPythonFile(t *testing.T) {
	root := folder(t)
	w := observe(t, root, changes.Options{})
	write(t, root, "missing.py", "1")
	w.expectNothing("a new file that nobody imports")
	write(t, root, "early.py", "1")
	w.Sync()
	w.Hungry(true)
	w.expect("early.py")
	write(t, root, "package/late.py", "1")
	w.expect("package/late.py")
	w.Hungry(false)
	w.Sync()
	write(t, root, "package/late.py", "22")
	w.expectNothing("a change after the application was loaded")
}

func TestNew_RefusesBrokenPatterns(t *testing.T) {
	for _, o := range []changes.Options{{Extra: []string{"a["}}, {Exclude: []string{"a["}}, {Exclude: []string{"b/a["}}} {
		o.Root, o.Seen, o.Changed = t.TempDir(), func() {}, func([]string) {}
		if w, err := changes.New(o); err == nil {
			w.Close()
			t.Errorf("New(%+v) = nil, want an error", o)
		}
	}
}

// A storm of changes: whatever the order of events, what the files are in the
// end was told after they became it.
func TestWatcher_MissesNothingInAStorm(t *testing.T) {
	withEngines(t, func(t *testing.T, engine changes.Engine) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		source := rand.New(rand.NewPCG(seed, 1))
		root := folder(t)
		w := observe(t, root, changes.Options{Engine: engine})
		for range 5 {
			before := state(t, root)
			for range 300 {
				storm(t, source, root)
			}
			last := fmt.Sprintf("z%d.html", source.Uint64())
			write(t, root, last, "end")
			told := map[string]bool{}
			for late := time.After(patience); !told[last]; {
				select {
				case paths := <-w.changes:
					for _, path := range paths {
						told[strings.TrimPrefix(path, root+"/")] = true
					}
				case <-late:
					t.Fatalf("seed %d: %s was not told", seed, last)
				}
			}
			after := state(t, root)
			for name := range union(before, after) {
				if before[name] != after[name] && !told[name] {
					t.Errorf("seed %d: %s was %q, is %q, and was not told", seed, name, before[name], after[name])
				}
			}
		}
	})
}

// storm does one thing of those that editors, git and people do.
func storm(t *testing.T, source *rand.Rand, root string) {
	t.Helper()
	dirs := []string{"", "a", "a/b", "c", "c/d/e"}
	dir := dirs[source.IntN(len(dirs))]
	name := filepath.Join(dir, fmt.Sprintf("f%d.html", source.IntN(6)))
	path := filepath.Join(root, name)
	switch source.IntN(12) {
	case 10, 11:
		link := filepath.Join(root, "link")
		if err := os.Remove(link); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if dir != "" {
			_ = os.Symlink(dir, link) // it was removed
		}
	case 0, 1, 2:
		write(t, root, name, fmt.Sprint(source.Uint64()))
	case 3, 4:
		replace(t, root, name, fmt.Sprint(source.Uint64()))
	case 5:
		_ = os.Remove(path) // it may not be there
	case 6:
		if dir != "" {
			_ = os.RemoveAll(filepath.Join(root, dir))
		}
	case 7:
		if dir != "" {
			_ = os.Rename(filepath.Join(root, dir), filepath.Join(root, fmt.Sprintf("moved%d", source.IntN(3))))
		}
	case 8:
		if dir != "" {
			_ = os.Rename(filepath.Join(root, fmt.Sprintf("moved%d", source.IntN(3))), filepath.Join(root, dir))
		}
	default:
		_ = os.Chmod(path, 0o600|os.FileMode(source.IntN(64)))
	}
}

// state is the content of every template by its name, and where the link leads.
func state(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if d.Type()&os.ModeSymlink != 0 {
			if _, err := os.Stat(path); err == nil {
				files["link"], _ = os.Readlink(path) // it is there
			}
			return nil
		}
		if err != nil || d.IsDir() || filepath.Ext(path) != ".html" {
			return err
		}
		text, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, root+"/")] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func union(a, b map[string]string) map[string]bool {
	names := map[string]bool{}
	for _, m := range []map[string]string{a, b} {
		for name := range m {
			names[name] = true
		}
	}
	return names
}
