package changes

// Which files matter, and whether they have changed.

import (
	"path/filepath"
	"slices"
)

// How much a file matters.
type weight uint8

const (
	none    weight = iota
	latent         // it would, if the application could not be loaded
	matters        // its change is told
)

func (w *Watcher) weigh(path string) weight {
	dir := filepath.Dir(path)
	_, known := w.known[path] // it mattered while its folder was there
	switch {
	case w.excluded(path):
		return none
	case w.modules[path], w.isExtra(path):
		return matters
	case !w.tree[dir] && !known:
		return none
	case isTemplate(path), dir == w.root.path && slices.Contains(rootFiles, filepath.Base(path)):
		return matters
	case isPython(path) && w.hungry:
		return matters
	case isPython(path):
		return latent
	}
	return none
}

func (w *Watcher) isExtra(path string) bool {
	return slices.ContainsFunc(w.extra, func(p pattern) bool { return p.match(path) })
}

func (w *Watcher) excluded(path string) bool {
	return slices.ContainsFunc(w.exclude, func(e exclusion) bool { return e.match(path) })
}

func (w *Watcher) ignored(dir string) bool { return ignoredFolder(dir) || w.excluded(dir) }

// look compares a file with what is known of it; initially there is no change.
func (w *Watcher) look(path string, initially bool) {
	weight := w.weigh(path)
	if weight == none {
		return
	}
	before, had := w.known[path]
	now, changed := before.follow(path)
	if w.known[path] = now; now == (signature{}) && !w.modules[path] {
		delete(w.known, path) // it is found again with its folder
	}
	switch {
	case !changed, initially && !had:
	case weight == matters:
		w.tell(path)
	default:
		w.unheard[path] = true
	}
}

// takeModules is Modules in the goroutine.
func (w *Watcher) takeModules(files []Module, instead bool) {
	before := w.modules
	if instead {
		w.modules = make(map[string]bool, len(files))
	}
	for _, m := range files {
		w.takeModule(m)
	}
	if !instead {
		return
	}
	for file := range before {
		if !w.modules[file] {
			w.forget(file)
		}
	}
}

// takeModule watches the file where it is found, and the one it links to.
func (w *Watcher) takeModule(m Module) {
	path := filepath.Join(canonical(filepath.Dir(m.Path)), filepath.Base(m.Path))
	for _, file := range slices.Compact([]string{path, canonical(path)}) {
		if w.modules[file] && m.Changed == 0 {
			continue
		}
		w.modules[file] = true
		if dir := filepath.Dir(file); !w.tree[dir] && w.apart[dir] == (identity{}) {
			w.followApart(dir)
		}
		w.look(file, true)
	}
	if now := w.known[path]; m.Changed != 0 && now.changed != m.Changed && !w.excluded(path) {
		w.tell(path) // after it was imported, and before it was heard of
	}
}
