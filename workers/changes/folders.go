package changes

// Which folders are watched: the tree below the root, and folders apart from it.

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gowsgi/cmd/failure"
)

// mostFolders bounds the walk: somebody may start in their home.
const mostFolders = 20000

// canonical resolves links; a path that is not there stays as it is.
func canonical(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	return filepath.Clean(path)
}

func placeOf(path string) place { return place{canonical(path), identify(path)} }

// findRoot finds out whether Root has come to be another folder, by whatever
// happened to it, to a link that is part of its path, or to a folder above.
func (w *Watcher) findRoot() {
	now := placeOf(w.o.Root)
	if now == w.root {
		return
	}
	was := w.root
	w.root = now
	_ = w.compile() // the patterns were checked
	w.beginAnew()
	if now.identity != (identity{}) && was.path != "" {
		w.tell(now.path)
	}
}

// findApart follows folders apart that have come, or been replaced: none above
// them is watched, so no event tells.
func (w *Watcher) findApart() {
	for dir, was := range w.apart {
		if identify(dir) != was {
			w.lookAt(dir)
		}
	}
}

// followApart is follow for a folder that no folder above is followed for.
func (w *Watcher) followApart(dir string) {
	w.apart[dir] = identify(dir) // before: what replaces it in between is found
	w.followNamed(dir)
}

// followNamed is follow for a folder that may be named by a link. Its events come
// by its own name, for another may have asked for them.
func (w *Watcher) followNamed(dir string) {
	real := canonical(dir)
	w.name(dir, real)
	w.follow(real)
}

// name notes that a path leads to another.
func (w *Watcher) name(link, real string) {
	if link == real {
		return
	}
	if w.names[real] == nil {
		w.names[real] = map[string]bool{}
	}
	w.names[real][link] = true
}

// follow has the events of a folder come. To follow it again does no harm, and is
// what is needed when it is another one by the same name.
func (w *Watcher) follow(dir string) {
	if w.events == nil {
		return
	}
	err := w.events.add(dir)
	switch {
	case err == nil, os.IsNotExist(err):
	case isLimit(err):
		release(w.events.close())
		w.events, w.stale = nil, false
		w.pollInstead(err)
	default:
		w.o.Log.Debug("a folder cannot be watched", "folder", dir, "error", err)
	}
}

// lookAtAll walks everything there is to walk, and looks at every file; initially
// there is no change.
func (w *Watcher) lookAtAll(initially bool) {
	began := time.Now()
	links := w.links
	w.tree, w.links = map[string]bool{}, map[string]place{}
	w.aside = 0
	w.apart, w.names = map[string]identity{}, map[string]map[string]bool{}
	w.walk(w.root.path, initially, map[string]bool{})
	for _, p := range w.extra {
		dir, deep := p.base()
		w.followApart(dir)
		w.walkApart(dir, deep, initially)
	}
	for file := range w.modules {
		if dir := filepath.Dir(file); !w.tree[dir] {
			w.followApart(dir)
		}
	}
	if !initially {
		w.tellLinks(links)
	}
	for file := range w.known {
		w.look(file, initially)
		w.forget(file)
	}
	w.took = time.Since(began)
}

// tellLinks tells of links that lead elsewhere than before, and says whether some do.
func (w *Watcher) tellLinks(before map[string]place) (moved bool) {
	for link, to := range w.links {
		if before[link] != to {
			w.tell(link)
		}
	}
	for link, to := range before {
		if w.links[link] != to {
			w.tell(link)
			moved = true
		}
	}
	return moved
}

// forget lets go of a file elsewhere that is part of nothing any more, though it
// is there. One below the root may just have been moved there again, where the
// walk has found nothing.
func (w *Watcher) forget(file string) {
	below := strings.HasPrefix(file, w.root.path+"/")
	if !below && !w.tree[filepath.Dir(file)] && !w.modules[file] && !w.isExtra(file) {
		delete(w.known, file)
	}
}

// lookAt looks at whatever is at path now, and below it, by all names it has.
func (w *Watcher) lookAt(path string) {
	w.lookAtNamed(path)
	for link := range w.names[path] {
		w.lookAtNamed(link)
	}
	for link := range w.names[filepath.Dir(path)] {
		w.lookAtNamed(filepath.Join(link, filepath.Base(path)))
	}
}

func (w *Watcher) lookAtNamed(path string) {
	if path == w.root.path {
		w.findRoot()
	}
	info, err := os.Lstat(path)
	link := err == nil && info.Mode()&os.ModeSymlink != 0
	if link {
		info, err = os.Stat(path)
	}
	folder := err == nil && info.IsDir()
	if link && !folder {
		w.nameTarget(path)
	}
	if !folder {
		w.look(path, false)
	}
	_, apart := w.apart[path]
	if _, linked := w.links[path]; folder || apart || linked || w.tree[path] {
		w.lookBelow(path, folder)
	}
}

// lookBelow looks at a folder that has come, has gone, or may be another.
func (w *Watcher) lookBelow(path string, folder bool) {
	isBelow := func(other string) bool { return other == path || strings.HasPrefix(other, path+"/") }
	links := maps.Clone(w.links)
	maps.DeleteFunc(w.links, func(link string, _ place) bool { return isBelow(link) })
	maps.DeleteFunc(w.tree, func(dir string, _ bool) bool { return isBelow(dir) })
	if _, apart := w.apart[path]; apart {
		w.followApart(path)
	}
	if folder {
		w.walkAgain(path)
	}
	for file := range w.known {
		if isBelow(file) {
			w.look(file, false)
		}
	}
	if w.tellLinks(links) {
		w.distrust() // the folders a link led to are not below its path
	}
}

// walkAgain walks a folder that is there, as what it is part of.
func (w *Watcher) walkAgain(path string) {
	if path == w.root.path || w.tree[filepath.Dir(path)] {
		w.walk(path, false, map[string]bool{})
	}
	for _, p := range w.extra {
		if base, deep := p.base(); base == path || deep && strings.HasPrefix(path, base+"/") {
			w.walkApart(path, deep, false)
		}
	}
}

// walk follows dir and the folders below and looks at their files. walked holds
// the folders it has been to: links may lead in circles.
func (w *Watcher) walk(dir string, initially bool, walked map[string]bool) {
	if dir != w.root.path && w.ignored(dir) {
		return
	}
	if real := canonical(dir); real != dir {
		w.links[dir] = place{real, identify(real)}
		dir = real
	}
	if walked[dir] || dir != w.root.path && w.ignored(dir) || !w.tree[dir] && w.crowded() {
		return
	}
	walked[dir] = true
	w.tree[dir] = true
	w.follow(dir) // before its list is read: what comes in between is seen twice
	w.each(dir, func(path string, folder, link bool) {
		if folder {
			w.walk(path, initially, walked)
			return
		}
		if link {
			w.nameTarget(path)
		}
		w.look(path, initially)
	})
}

// crowded says whether there are as many folders as can be.
func (w *Watcher) crowded() bool {
	if len(w.tree)+w.aside < mostFolders {
		return false
	}
	if !w.warned {
		w.warned = true
		w.o.Log.Warn("there are too many folders to watch all of them; start in the application's own folder", failure.Key, failure.TooManyFolders, "folder", w.o.Root, "watched", mostFolders)
	}
	return true
}

// nameTarget has the events of the file come that a link leads to.
func (w *Watcher) nameTarget(link string) {
	target := canonical(link)
	if target == link || w.weigh(link) == none {
		return
	}
	w.name(link, target)
	if dir := filepath.Dir(target); !w.tree[dir] {
		w.followApart(dir)
	}
}

// walkApart is walk for a pattern's folders, whose templates do not matter. It
// goes through no links, as ** does not.
func (w *Watcher) walkApart(dir string, deep, initially bool) {
	if w.crowded() {
		return
	}
	w.aside++
	w.followNamed(dir)
	w.each(dir, func(path string, folder, link bool) {
		switch {
		case !folder:
			w.look(path, initially)
		case deep && !link && !w.ignored(path):
			w.walkApart(path, deep, initially)
		}
	})
}

// each calls what with everything in dir; a link to a folder is one.
func (w *Watcher) each(dir string, what func(path string, folder, link bool)) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return // gone, or not ours to read
	}
	for _, entry := range list {
		path := filepath.Join(dir, entry.Name())
		link, folder := entry.Type()&os.ModeSymlink != 0, entry.IsDir()
		if link {
			info, err := os.Stat(path)
			folder = err == nil && info.IsDir()
		}
		what(path, folder, link)
	}
}
