package main

// Who the application runs as: --user, --group and --initgroups, looked up. The
// front stays who it is, to bind low ports and to open logs.

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"gowsgi/cmd/failure"
	"gowsgi/embed"
	"gowsgi/workers"
)

// An identity is the user and the groups of the zygote and its workers.
type identity struct {
	embed.Identity
	account *user.User // nil for a number without an entry
}

// identityOf looks up who the settings name. It is nil when the application runs
// as who started gowsgi. Errors have exit status 2.
func identityOf(s *Settings) (*identity, error) {
	if s.User == "" && s.Group == "" {
		if s.Initgroups {
			return nil, failure.Errorf(failure.SettingsContradict, "%s: whose groups? say --user as well", s.Origins["initgroups"])
		}
		return nil, nil
	}
	id, err := lookUp(s)
	if err != nil || os.Geteuid() == 0 {
		return id, err
	}
	if id.UID == os.Geteuid() && id.GID == os.Getegid() {
		return nil, nil // as it is already
	}
	return nil, failure.Errorf(failure.OnlyRoot, "%s: only root can run the application as another user or group; start gowsgi as root, or as that user without the flag", who(s))
}

// who is the setting that asks for somebody else, for errors.
func who(s *Settings) string {
	if s.User != "" {
		return fmt.Sprintf("%s %q", s.Origins["user"], s.User)
	}
	return fmt.Sprintf("%s %q", s.Origins["group"], s.Group)
}

func lookUp(s *Settings) (*identity, error) {
	id := &identity{Identity: embed.Identity{UID: os.Geteuid()}}
	var err error
	if s.User == "" {
		id.account = accountOf(strconv.Itoa(id.UID))
	} else if id.UID, id.account, err = findUser(s.User); err != nil {
		return nil, failure.Errorf(failure.NoSuchUser, "%s: %w", who(s), err)
	}
	switch {
	case s.Group != "":
		if id.GID, err = findGroup(s.Group); err != nil {
			return nil, failure.Errorf(failure.NoSuchUser, "%s %q: %w", s.Origins["group"], s.Group, err)
		}
	case id.account == nil:
		return nil, failure.Errorf(failure.NoSuchUser, "%s: no such user to take the group from; say --group as well", who(s))
	default:
		if id.GID, err = number32(id.account.Gid); err != nil {
			return nil, failure.Errorf(failure.NoSuchUser, "%s: its group: %w", who(s), err)
		}
	}
	// Never those of root, which would otherwise stay.
	id.Groups = []int{id.GID}
	if s.Initgroups {
		err = id.initgroups()
	}
	if err != nil {
		return nil, failure.Errorf(failure.NoSuchUser, "%s: %w", who(s), err)
	}
	return id, nil
}

// initgroups adds every group the user is a member of, as initgroups(3).
func (id *identity) initgroups() error {
	if id.account == nil {
		return errors.New("no such user to take the groups of, which --initgroups asks for")
	}
	texts, err := id.account.GroupIds()
	if err != nil {
		return fmt.Errorf("groups of the user: %w", err)
	}
	for _, text := range texts {
		gid, err := number32(text)
		if err != nil {
			return fmt.Errorf("groups of the user: %w", err)
		}
		if !slices.Contains(id.Groups, gid) {
			id.Groups = append(id.Groups, gid)
		}
	}
	return nil
}

// accountOf is the user database's entry of a number, nil where there is none.
func accountOf(uid string) *user.User {
	account, err := user.LookupId(uid)
	if err != nil {
		return nil
	}
	return account
}

// findUser takes a name or a number; the account is nil for a number without one.
func findUser(text string) (int, *user.User, error) {
	if uid, err := number32(text); err == nil {
		return uid, accountOf(text), nil
	}
	account, err := user.Lookup(text)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		return 0, nil, errors.New("no such user")
	}
	if err != nil {
		return 0, nil, fmt.Errorf("look the user up: %w", err)
	}
	uid, err := number32(account.Uid)
	return uid, account, err
}

func findGroup(text string) (int, error) {
	if gid, err := number32(text); err == nil {
		return gid, nil
	}
	group, err := user.LookupGroup(text)
	var unknown user.UnknownGroupError
	if errors.As(err, &unknown) {
		return 0, errors.New("no such group")
	}
	if err != nil {
		return 0, fmt.Errorf("look the group up: %w", err)
	}
	return number32(group.Gid)
}

// number32 reads a user's or a group's number. The largest means "leave as it
// is" to the kernel, setresuid(2), and so is none.
func number32(text string) (int, error) {
	value, err := strconv.ParseUint(text, 10, 32)
	if err != nil || value == 1<<32-1 {
		return 0, fmt.Errorf("%q is not the number of a user or group", text)
	}
	return int(value), nil
}

// environ is env with what names the user in it, as login(1) would have it: root's
// HOME is of no use to anybody else.
func (id *identity) environ(env []string) []string {
	if id == nil || id.UID == os.Geteuid() {
		return env
	}
	env = slices.DeleteFunc(env, func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return name == "HOME" || name == "USER" || name == "LOGNAME"
	})
	if id.account == nil {
		return append(env, "HOME=/")
	}
	return append(env, "HOME="+id.account.HomeDir, "USER="+id.account.Username, "LOGNAME="+id.account.Username)
}

// owner is whom the pipes of the application's standard error belong to.
func (id *identity) owner() *workers.Owner {
	if id == nil {
		return nil
	}
	return &workers.Owner{UID: id.UID, GID: id.GID}
}

// own gives a unix socket's file to the user and the group, so that a proxy in
// that group can connect, umask permitting.
//
// The folder may be the user's own: whatever stands there by now, nothing but the
// file that was made, with a single name, changes hands.
func (id *identity) own(file socketFile) error {
	fd, err := unix.Open(file.Path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }() // a name, nothing more
	var now unix.Stat_t
	if err := unix.Fstat(fd, &now); err != nil {
		return err
	}
	same := now.Dev == file.Device && now.Ino == file.Inode
	if !same || now.Mode&unix.S_IFMT != unix.S_IFSOCK || now.Nlink != 1 || int(now.Uid) != os.Geteuid() {
		return errors.New("somebody has put something else in its place")
	}
	return unix.Fchownat(fd, "", id.UID, id.GID, unix.AT_EMPTY_PATH)
}

// warnOfRoot tells that the application runs as root, unless that was asked for,
// or gowsgi is a container's first process, where root is the rule.
func warnOfRoot(log *slog.Logger, s *Settings, id *identity) {
	root := os.Geteuid() == 0 && (id == nil || id.UID == 0)
	if root && s.User == "" && os.Getpid() != 1 {
		log.Warn("the application runs as root; --user names another", failure.Key, failure.RunsAsRoot)
	}
}
