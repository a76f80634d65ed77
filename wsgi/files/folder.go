package files

// A folder and the opening of what is in it.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

// lookAgain is how long a folder may have been replaced by another of the same
// name, as deployments do by renaming a symbolic link, before that is noticed.
const lookAgain = time.Second

// Folder is a folder whose files may be sent. It may be used by any number of
// goroutines.
type Folder struct {
	path string // absolute
	held atomic.Pointer[held]
}

// held is a folder that is open.
type held struct {
	root    *os.Root
	info    fs.FileInfo
	checked atomic.Int64 // when it was known to be the one at its path; Unix nanoseconds
}

// OpenFolder opens the folder at path, which is made absolute. The error says
// which folder it is about.
func OpenFolder(path string) (*Folder, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", path, err)
	}
	f := &Folder{path: absolute}
	h, err := f.hold()
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", path, err)
	}
	f.held.Store(h)
	return f, nil
}

func (f *Folder) hold() (*held, error) {
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	h := &held{root: root, info: info}
	h.checked.Store(time.Now().UnixNano())
	return h, nil
}

// root is the folder that is at the path now, or was a second ago.
func (f *Folder) root() (*os.Root, error) {
	h := f.held.Load()
	now, before := time.Now().UnixNano(), h.checked.Load()
	if now-before < int64(lookAgain) || !h.checked.CompareAndSwap(before, now) {
		return h.root, nil
	}
	info, err := os.Stat(f.path)
	if err != nil {
		h.checked.Store(before) // gone: every request asks again
		return nil, err
	}
	if os.SameFile(info, h.info) {
		return h.root, nil
	}
	fresh, err := f.hold()
	if err != nil {
		h.checked.Store(before)
		return nil, err
	}
	if !f.held.CompareAndSwap(h, fresh) {
		return f.held.Load().root, fresh.root.Close()
	}
	return fresh.root, h.root.Close() // requests that use it just now finish first
}

// openFlags: opening a FIFO must not wait for its writer, nor a terminal become
// ours. Both are refused when it is known what they are.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOCTTY

// errNotRegular: a folder, a pipe, a device.
var errNotRegular = errors.New("not a regular file")

// open opens the regular file that name leads to, relative to the folder and
// with slashes. Symbolic links are followed as long as they stay in the folder;
// absolute ones and those that lead out are an error. The caller closes it.
func (f *Folder) open(name string) (*os.File, fs.FileInfo, error) {
	file, err := f.openAny(name)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

func (f *Folder) openAny(name string) (*os.File, error) {
	for {
		root, err := f.root()
		if err != nil {
			return nil, err
		}
		file, err := root.OpenFile(name, openFlags, 0)
		if errors.Is(err, os.ErrClosed) {
			continue // replaced meanwhile
		}
		return file, err
	}
}

// statusOf is the answer for a file that cannot be opened for err.
func statusOf(err error) int {
	for _, short := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
		if errors.Is(err, short) {
			return 503
		}
	}
	switch {
	case errors.Is(err, syscall.EIO):
		return 500
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENAMETOOLONG):
		return 404
	}
	return 403
}
