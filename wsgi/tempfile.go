package wsgi

// The files that hold what does not fit into memory.

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// OpenTemp makes an empty file in dir that has no name, so that its room is free
// again with its last descriptor whatever becomes of this process.
func OpenTemp(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	switch {
	case err == nil:
		return os.NewFile(uintptr(fd), dir+" (deleted)"), nil
	case !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR):
		return nil, &os.PathError{Op: "open a file without a name in", Path: dir, Err: err}
	}
	return openNamed(dir) // a file system, or an old kernel, without such files
}

// openNamed gives the file a name, for a moment.
func openNamed(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "gowsgi-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("remove the name of a temporary file: %w", err), f.Close())
	}
	return f, nil
}
