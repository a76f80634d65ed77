package main

// Why a file cannot be written: which part of its path is in the way, whose that
// is, and who we are.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// unwritable adds to the error of opening path for writing what stands in the way,
// where more can be said than the kernel does.
func unwritable(path string, err error) error {
	var refusal syscall.Errno
	if !errors.As(err, &refusal) || refusal == unix.ENOSPC {
		return err
	}
	if why := obstacle(path); why != "" {
		return fmt.Errorf("%w: %s", err, why)
	}
	return err
}

// obstacle looks at each part of path, from the root on. It is empty when nothing
// speaks against writing the file, or making it.
func obstacle(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	folder := string(filepath.Separator)
	parts := strings.Split(strings.Trim(path, folder), folder)
	for _, part := range parts[:len(parts)-1] {
		if why := cannotEnter(folder); why != "" {
			return why
		}
		folder = filepath.Join(folder, part)
		switch info, err := os.Stat(folder); {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Sprintf("the folder %s does not exist", folder)
		case err != nil:
			return fmt.Sprintf("%s: %v", folder, err)
		case !info.IsDir():
			return fmt.Sprintf("%s is not a folder", folder)
		}
	}
	if why := cannotEnter(folder); why != "" {
		return why
	}
	return cannotPut(folder, path)
}

// cannotPut tells what speaks against writing path, whose folder can be entered.
func cannotPut(folder, path string) string {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return path + " is a folder"
	case err == nil && info.Mode()&fs.ModeNamedPipe != 0:
		return path + " is a named pipe, which needs a reader"
	case err == nil:
		return forbidden(path, "the file", unix.W_OK, "written")
	}
	return forbidden(folder, "the folder", unix.W_OK, "written")
}

func cannotEnter(folder string) string {
	return forbidden(folder, "the folder", unix.X_OK, "entered")
}

// forbidden says that access to name is not allowed, whose it is and who we are;
// nothing if it is.
func forbidden(name, what string, mode uint32, done string) string {
	err := unix.Faccessat(unix.AT_FDCWD, name, mode, unix.AT_EACCESS)
	switch {
	case err == nil:
		return ""
	case errors.Is(err, unix.EROFS):
		return fmt.Sprintf("%s %s is on a file system that is read-only", what, name)
	}
	info, failed := os.Stat(name)
	if failed != nil {
		return fmt.Sprintf("%s %s: %v", what, name, failed)
	}
	owner := ""
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		owner = fmt.Sprintf("belongs to %s:%s and has mode %04o", userName(int(stat.Uid)), groupName(int(stat.Gid)), info.Mode().Perm())
	}
	return fmt.Sprintf("%s %s cannot be %s by %s: it %s", what, name, done, whoWeAre(), owner)
}

// whoWeAre is the user that the front runs as: "www-data (uid 33)".
func whoWeAre() string {
	uid := os.Geteuid()
	if account, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return fmt.Sprintf("%s (uid %d)", account.Username, uid)
	}
	return fmt.Sprintf("uid %d", uid)
}

func userName(uid int) string {
	if account, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return account.Username
	}
	return strconv.Itoa(uid)
}

func groupName(gid int) string {
	if group, err := user.LookupGroupId(strconv.Itoa(gid)); err == nil {
		return group.Name
	}
	return strconv.Itoa(gid)
}
