package changes

// Which names matter.

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// templateSuffixes are those of files that applications read and keep.
var templateSuffixes = []string{
	".html", ".htm", ".djhtml", ".jinja", ".jinja2", ".j2", ".mako", ".tmpl", ".tpl",
}

// rootFiles matter in the working folder itself.
var rootFiles = []string{".env", "pyproject.toml"}

// ignoredFolders are never looked into. Hidden ones are not either, nor is a
// virtualenv, whatever its name.
var ignoredFolders = []string{"__pycache__", "node_modules", "site-packages"}

func ignoredFolder(path string) bool {
	name := filepath.Base(path)
	if strings.HasPrefix(name, ".") || slices.Contains(ignoredFolders, name) {
		return true
	}
	_, err := os.Stat(filepath.Join(path, "pyvenv.cfg"))
	return err == nil
}

func isTemplate(path string) bool {
	return slices.Contains(templateSuffixes, strings.ToLower(filepath.Ext(path)))
}

func isPython(path string) bool { return filepath.Ext(path) == ".py" }

// compile makes the patterns of the options those below the root.
func (w *Watcher) compile() error {
	w.extra, w.exclude = nil, nil
	for _, text := range w.o.Extra {
		p, err := compile(text, w.root.path)
		if err != nil {
			return fmt.Errorf("changes: pattern %q: %w", text, err)
		}
		w.extra = append(w.extra, p)
	}
	for _, text := range w.o.Exclude {
		e, err := compileExclusion(text, w.root.path)
		if err != nil {
			return fmt.Errorf("changes: pattern %q: %w", text, err)
		}
		w.exclude = append(w.exclude, e)
	}
	return nil
}

// A pattern is a shell pattern for paths, cut at the slashes. "**" stands for any
// number of folders.
type pattern []string

// compile makes a pattern absolute. An invalid one is an error.
func compile(text, root string) (pattern, error) {
	if _, err := filepath.Match(text, ""); err != nil {
		return nil, err
	}
	if !filepath.IsAbs(text) {
		text = filepath.Join(root, text)
	}
	return strings.Split(filepath.Clean(text), "/"), nil
}

func (p pattern) match(path string) bool { return matchParts(p, strings.Split(path, "/")) }

func matchParts(p, path []string) bool {
	for len(p) > 0 {
		if p[0] == "**" {
			for i := range len(path) + 1 {
				if matchParts(p[1:], path[i:]) {
					return true
				}
			}
			return false
		}
		if len(path) == 0 {
			return false
		}
		if ok, _ := filepath.Match(p[0], path[0]); !ok { // it was checked
			return false
		}
		p, path = p[1:], path[1:]
	}
	return len(path) == 0
}

// base is the longest part of the pattern that stands for one folder only, and
// whether what it matches may lie in folders below.
func (p pattern) base() (dir string, deep bool) {
	for i, part := range p[:len(p)-1] {
		if strings.ContainsAny(part, `*?[\`) {
			return clean(p[:i]), true
		}
	}
	return clean(p[:len(p)-1]), p[len(p)-1] == "**"
}

func clean(parts []string) string { return filepath.Clean("/" + strings.Join(parts, "/")) }

// exclusion is a pattern for what never matters. Without a slash it is one for
// names, of files and of folders on the way.
type exclusion struct {
	name string
	path pattern
}

func compileExclusion(text, root string) (exclusion, error) {
	if !strings.Contains(text, "/") {
		_, err := filepath.Match(text, "")
		return exclusion{name: text}, err
	}
	path, err := compile(strings.TrimSuffix(text, "/"), root)
	return exclusion{path: path}, err
}

func (e exclusion) match(path string) bool {
	if e.path != nil { // a folder stands for all that is in it
		parts := strings.Split(path, "/")
		for n := len(parts); n > 1; n-- {
			if matchParts(e.path, parts[:n]) {
				return true
			}
		}
		return false
	}
	for part := range strings.SplitSeq(path, "/") {
		if ok, _ := filepath.Match(e.name, part); ok && part != "" {
			return true
		}
	}
	return false
}
