package changes

import (
	"os"
	"path/filepath"
	"strings"
)

// gitLock is the file that git keeps while it changes the tree that dir is part
// of; empty where there is no such tree.
func gitLock(dir string) string {
	for {
		git := filepath.Join(dir, ".git")
		info, err := os.Stat(git)
		switch {
		case err == nil && info.IsDir():
			return filepath.Join(git, "index.lock")
		case err == nil: // of a worktree, or a submodule: it says where
			text, _ := os.ReadFile(git) // empty: it says nothing
			if folder, ok := strings.CutPrefix(strings.TrimSpace(string(text)), "gitdir: "); ok {
				return filepath.Join(absolute(folder, dir), "index.lock")
			}
			return ""
		case dir == "/" || dir == ".":
			return ""
		}
		dir = filepath.Dir(dir)
	}
}

func absolute(path, below string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(below, path)
}
