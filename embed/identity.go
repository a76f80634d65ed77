package embed

// Who the zygote runs as, and where: all of its workers inherit it.

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Identity is the user and the groups of a process, by number: names were looked
// up by the front, outside any chroot.
type Identity struct {
	UID    int   `json:"uid"`
	GID    int   `json:"gid"`
	Groups []int `json:"groups"` // the supplementary ones, all of them
}

// settle gives up what the front has and the application is not to have. It
// must run on the main thread, before CPython starts; the order is that of the
// privileges each step needs.
//
// It happens here and not between fork and exec: the binary and libpython are
// mapped already, so that neither has to exist below a chroot, or to be readable
// by the user. Go and glibc change the identity of every thread there is.
//
// The process stays as undumpable as the kernel makes it then: workers of one
// user cannot look into each other, the zygote or its descriptors.
func (s *Settings) settle() error {
	if s.Nice != nil {
		// Of this thread only; what it forks inherits it.
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, *s.Nice); err != nil {
			return fmt.Errorf("--nice %d: %w; only root may lower it", *s.Nice, err)
		}
	}
	if s.Chroot != "" {
		if err := s.enterRoot(); err != nil {
			return err
		}
	}
	if s.Identity != nil {
		return s.Identity.assume()
	}
	return nil
}

func (s *Settings) enterRoot() error {
	if err := syscall.Chroot(s.Chroot); err != nil {
		return fmt.Errorf("--chroot %q: %w", s.Chroot, err)
	}
	// Where it was before is outside, and a way out.
	if err := os.Chdir("/"); err != nil {
		return fmt.Errorf("--chroot %q: %w", s.Chroot, err)
	}
	if s.Chdir == "" {
		return nil
	}
	if err := os.Chdir(s.Chdir); err != nil {
		return fmt.Errorf("--chdir below --chroot %q: %w", s.Chroot, err)
	}
	return nil
}

// assume makes this process id's, in the order that needs no right given up
// before. After an error the process can only end.
func (id *Identity) assume() error {
	front := os.Getppid()
	if err := syscall.Setgroups(id.Groups); err != nil {
		return fmt.Errorf("--group: setgroups %v: %w", id.Groups, err)
	}
	if err := syscall.Setresgid(id.GID, id.GID, id.GID); err != nil {
		return fmt.Errorf("--group: become group %d: %w", id.GID, err)
	}
	if err := syscall.Setresuid(id.UID, id.UID, id.UID); err != nil {
		return fmt.Errorf("--user: become user %d: %w", id.UID, err)
	}
	// The kernel forgets it when the identity changes, prctl(2).
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0); errno != 0 {
		return fmt.Errorf("tie the zygote to the front: %w", errno)
	}
	if os.Getppid() != front {
		return errors.New("the front is gone")
	}
	return nil
}
