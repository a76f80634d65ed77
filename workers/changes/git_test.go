package changes

import (
	"os"
	"path/filepath"
	"testing"
)

func TestGitLock_IsThatOfTheTreeAround(t *testing.T) {
	base := t.TempDir()
	for name, text := range map[string]string{
		"whole/.git/HEAD": "", "whole/app/x": "", "worktree/.git": "gitdir: ../whole/.git/worktrees/w\n", "worktree/app/x": "", "none/x": "",
	} {
		path := filepath.Join(base, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for dir, want := range map[string]string{
		"whole": "whole/.git/index.lock", "whole/app": "whole/.git/index.lock", "worktree/app": "whole/.git/worktrees/w/index.lock",
	} {
		if got := gitLock(filepath.Join(base, dir)); got != filepath.Join(base, want) {
			t.Errorf("gitLock(%s) = %s, want %s below %s", dir, got, want, base)
		}
	}
}
