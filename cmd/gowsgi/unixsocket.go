package main

// Unix sockets: whose they are, and which one may take the place of another.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gowsgi/cmd/failure"
)

// fileRights says whose the file of a unix socket is to be. Abstract sockets have
// no file.
type fileRights struct {
	mode  fs.FileMode // 0: what the umask leaves
	owner Owner
}

// Owner is whom a file is given to. The zero value changes nothing.
type Owner struct {
	given    bool
	uid, gid int // -1: as it is
}

// parseOwner reads USER, USER:GROUP or :GROUP, by names or numbers.
func parseOwner(text string) (Owner, error) {
	name, group, _ := strings.Cut(text, ":")
	if name == "" && group == "" {
		return Owner{}, errors.New("nobody (want USER, USER:GROUP or :GROUP)")
	}
	owner := Owner{given: true, uid: -1, gid: -1}
	var err error
	if name != "" {
		if owner.uid, _, err = findUser(name); err != nil {
			return Owner{}, err
		}
	}
	if group != "" {
		if owner.gid, err = findGroup(group); err != nil {
			return Owner{}, err
		}
	}
	return owner, nil
}

// A unixListener removes its socket's file when it is closed, unless the file
// was left to a successor.
type unixListener struct {
	*net.UnixListener
	file socketFile
	left atomic.Bool
}

// Close stops listening and removes the file.
func (l *unixListener) Close() error {
	if !l.left.Load() {
		l.file.remove()
	}
	return l.UnixListener.Close()
}

// A socketFile is the file that a unix socket was bound to.
type socketFile struct {
	Path   string `json:"path"` // absolute: the program may change folders
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
}

func findSocketFile(path string) (socketFile, error) {
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		return socketFile{}, err
	}
	absolute, err := filepath.Abs(path)
	return socketFile{absolute, stat.Dev, stat.Ino}, err
}

// remove removes the file if it still is the one that was made: another server
// may have put its own there. Without the lock, which fails only where the folder
// is gone or somebody sits on it, that other one could do so meanwhile: then the
// file stays, and whoever comes next replaces it.
func (f socketFile) remove() {
	unlock, err := lockFolder(filepath.Dir(f.Path))
	if err != nil {
		return
	}
	defer unlock()
	if now, err := findSocketFile(f.Path); err == nil && now == f {
		_ = os.Remove(f.Path)
	}
}

func listenUnix(path string, backlog int, rights fileRights) (net.Listener, error) {
	if path[0] == '@' {
		return openUnix(path, backlog, 0)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// A server that is between bind and listen looks dead to another one that
	// starts at the same time.
	unlock, err := lockFolder(filepath.Dir(absolute))
	if err != nil {
		return nil, explainUnix(path, err)
	}
	defer unlock()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	listener, err := openUnix(path, backlog, rights.mode)
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	file, err := findSocketFile(path)
	if err == nil {
		err = rights.apply(file)
	}
	if err != nil {
		_ = listener.Close()
		_ = os.Remove(path)
		return nil, err
	}
	return &unixListener{UnixListener: listener, file: file}, nil
}

// openUnix binds and listens. A mode that is to come is already the file's when
// it appears, as far as the owner is concerned: nobody gets in before.
func openUnix(path string, backlog int, mode fs.FileMode) (*net.UnixListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		if mode == 0 {
			return nil
		}
		var failed error
		err := raw.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), uint32(mode&0o700)) })
		return errors.Join(err, failed)
	}}
	opened, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, explainUnix(path, err)
	}
	listener := opened.(*net.UnixListener)
	if err := setBacklog(listener, backlog); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return listener, nil
}

// apply gives a socket's file its owner and its mode. It goes by a descriptor:
// whatever stands there by now, nothing but the file that was made is changed.
func (r fileRights) apply(file socketFile) error {
	fd, err := unix.Open(file.Path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the socket's file: %w", err)
	}
	defer func() { _ = unix.Close(fd) }() // a name, nothing more
	// fchmod(2) refuses such a descriptor; by this name it is the same file.
	name := "/proc/self/fd/" + strconv.Itoa(fd)
	var now unix.Stat_t
	if err := unix.Fstat(fd, &now); err != nil {
		return err
	}
	if now.Dev != file.Device || now.Ino != file.Inode || now.Nlink != 1 {
		return failure.Errorf(failure.SocketRights, "somebody has put something else in the socket's place")
	}
	if r.owner.given {
		if err := unix.Fchownat(fd, "", r.owner.uid, r.owner.gid, unix.AT_EMPTY_PATH); err != nil {
			return failure.Errorf(failure.SocketRights, "--socket-owner: %w; only root can give files away, others to a group they are in", err)
		}
	}
	if r.mode != 0 {
		if err := os.Chmod(name, r.mode); err != nil {
			return failure.Errorf(failure.SocketRights, "--socket-mode: %w", err)
		}
	}
	return nil
}

// lockPatience is how long somebody else may be busy with sockets of a folder.
const lockPatience = 5 * time.Second

// lockFolder keeps other gowsgis from making or removing sockets in a folder. The
// lock is on the folder itself and leaves nothing behind.
func lockFolder(folder string) (unlock func(), err error) {
	fd, err := unix.Open(folder, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(lockPatience); ; time.Sleep(5 * time.Millisecond) {
		switch err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); {
		case err == nil:
			return func() {
				// Not by closing alone: a process that is just being started has the
				// descriptor until it is executed, and the lock would stay as long.
				_ = unix.Flock(fd, unix.LOCK_UN)
				_ = unix.Close(fd)
			}, nil
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline):
			_ = unix.Close(fd)
			return nil, fmt.Errorf("lock the folder %s: %w", folder, err)
		}
	}
}

func explainUnix(path string, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		who := ""
		if holder := holderOfUnix(path); holder != "" {
			who = ", by " + holder
		}
		return failure.Errorf(failure.AddressInUse, "%w%s", unix.EADDRINUSE, who)
	case errors.Is(err, unix.ENOENT):
		return failure.Errorf(failure.SocketFolder, "the folder %s does not exist", filepath.Dir(path))
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EROFS):
		return failure.Errorf(failure.SocketFolder, "%w; the folder %s must be readable and writable: %s", err, filepath.Dir(path), obstacle(path))
	}
	return err
}

// removeStale removes the socket at path when nobody listens on it. Anything
// else that is there stays and is an error.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return failure.Errorf(failure.SocketPathTaken, "there is a file of that name that is not a socket")
	}
	conn, err := net.DialTimeout("unix", path, time.Second) //nolint:noctx // nothing could cancel it, and it ends by itself
	who := ""
	if err == nil {
		who = listenerOf(conn)
		_ = conn.Close()
	}
	// A full backlog (EAGAIN) has a living owner as well.
	if err == nil || errors.Is(err, unix.EAGAIN) {
		if who == "" {
			who = holderOfUnix(path)
		}
		if who != "" {
			who = ": " + who
		}
		return failure.Errorf(failure.AddressInUse, "another server accepts connections there%s", who)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("cannot tell whether the socket there is in use: %w", err)
	}
	return os.Remove(path)
}
