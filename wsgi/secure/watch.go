// This file sees that certificates' files have changed, by looking at them every few seconds.
//
// Notification by the kernel would be quicker and is not worth it: it watches names or folders, and
// certificates are often replaced behind them. Kubernetes swaps a link two folders up, some mount their
// secrets over a network; looking at what a name leads to works with all of that.

package secure

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"gowsgi/cmd/failure"
)

// DefaultInterval is how often Watch looks.
const DefaultInterval = 2 * time.Second

// traits tell one content of a file from the next, without reading it.
type traits struct {
	device, inode  uint64
	size           int64
	changed, wrote unix.Timespec
}

// Watch loads the files again when they have changed, until ctx ends; it is to be called once. They must have stopped changing:
// certificate and key are two files, and replaced one after the other. What cannot be loaded is logged once,
// and the old certificates stay in force.
func (k *Keeper) Watch(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	w := &k.watcher
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if !w.settled() {
			continue
		}
		if err := k.Reload(); err != nil {
			k.o.Log.Error("the changed certificates cannot be used; the old ones stay in force", failure.Key, failure.CertificateStale, "error", err)
		}
	}
}

// files lists the files that certificates come from.
func (k *Keeper) files() []string {
	var files []string
	for _, pair := range k.o.Pairs {
		files = append(files, pair.CertFile, pair.KeyFile)
	}
	if k.o.ClientCAs != "" {
		files = append(files, k.o.ClientCAs)
	}
	return files
}

// watcher remembers how files looked.
type watcher struct {
	files         []string
	loaded, fresh []traits
}

func (w *watcher) look() []traits {
	seen := make([]traits, len(w.files))
	for i, file := range w.files {
		var s unix.Stat_t
		if unix.Stat(file, &s) == nil { // else: nothing is something, too, and loading it says what is wrong
			seen[i] = traits{s.Dev, s.Ino, s.Size, s.Ctim, s.Mtim}
		}
	}
	return seen
}

// settled tells whether the files are others than those loaded, and the same as at the last look.
func (w *watcher) settled() bool {
	now := w.look()
	stable := equal(now, w.fresh)
	w.fresh = now
	if !stable || equal(now, w.loaded) {
		return false
	}
	w.loaded = now
	return true
}

func equal(a, b []traits) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
