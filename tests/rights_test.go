package tests

// Rights: who the application runs as, where, and what it cannot reach.

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asRoot skips what only root can do.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it runs the application as another user")
	}
}

// nobody is a user every system has, with the group.
func nobody(t *testing.T) (uid, gid int) {
	t.Helper()
	account, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, uidErr := strconv.Atoi(account.Uid)
	gid, gidErr := strconv.Atoi(account.Gid)
	if uidErr != nil || gidErr != nil {
		t.Fatalf("nobody = %+v", account)
	}
	return uid, gid
}

// publicFolder is a folder everybody may look into, unlike the test's own; it
// has the applications in it, wherever the checkout is.
func publicFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("/tmp", "gowsgi-tests-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	for _, name := range []string{"citizen", "misbehave"} {
		if err := os.CopyFS(filepath.Join(folder, name), os.DirFS(filepath.Join(apps, name))); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("chmod", "-R", "a+rX,go-w", folder).CombinedOutput(); err != nil {
		t.Fatalf("chmod: %v %s", err, out)
	}
	return folder
}

// rights is what citizen.rights says of itself.
type rights struct {
	UID, GID            int
	Groups              []int
	Umask, Nice         int
	CWD                 string
	Root                []string
	HOME, USER, LOGNAME *string
}

func (s *Server) rights() (told rights) {
	s.T.Helper()
	r := s.Ask("/who")
	if err := json.Unmarshal([]byte(r.Body), &told); err != nil {
		s.T.Fatalf("GET /who = %s %q: %v", r.Line(), r.Body, err)
	}
	return told
}

// accounts is a database of users in a mount namespace of its own: with it, the
// tests need none on this machine. mary is a member of two more groups.
func accounts(t *testing.T) []string {
	t.Helper()
	folder := t.TempDir()
	passwd, group := filepath.Join(folder, "passwd"), filepath.Join(folder, "group")
	for path, text := range map[string]string{
		passwd: "root:x:0:0:root:/root:/bin/sh\nmary:x:4711:4712:Mary:/srv/mary:/bin/sh\n",
		group:  "root:x:0:\nshop:x:4712:\nlogs:x:4713:root,mary\nmail:x:4714:mary\nother:x:4715:root\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const script = `mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/group && shift 2 && exec "$@"`
	return []string{"unshare", "--mount", "--fork", "--kill-child", "sh", "-c", script, "sh", passwd, group}
}

// --user, --group and --initgroups: the application has that user's rights, and
// none of root's; the front stays root.
func TestRights_RunsAsTheUserAndGroup(t *testing.T) {
	asRoot(t)
	dir, under := publicFolder(t), accounts(t)
	mary, home, slash, root := "mary", "/srv/mary", "/", os.Getenv("HOME")
	for _, c := range []struct {
		args []string
		want rights
	}{
		{[]string{"--user", "mary"}, rights{UID: 4711, GID: 4712, Groups: []int{4712}, HOME: &home, USER: &mary}},
		{[]string{"-u", "4711"}, rights{UID: 4711, GID: 4712, Groups: []int{4712}, HOME: &home, USER: &mary}},
		{[]string{"-u", "mary", "--initgroups"}, rights{UID: 4711, GID: 4712, Groups: []int{4712, 4713, 4714}, HOME: &home, USER: &mary}},
		{[]string{"-u", "mary", "-g", "mail"}, rights{UID: 4711, GID: 4714, Groups: []int{4714}, HOME: &home, USER: &mary}},
		{[]string{"-u", "mary", "-g", "other", "--initgroups"}, rights{UID: 4711, GID: 4715, Groups: []int{4712, 4713, 4714, 4715}, HOME: &home, USER: &mary}},
		{[]string{"-u", "5000", "-g", "6000"}, rights{UID: 5000, GID: 6000, Groups: []int{6000}, HOME: &slash}},
		{[]string{"-u", "5000", "-g", "shop", "-e", "HOME=/else"}, rights{UID: 5000, GID: 4712, Groups: []int{4712}, HOME: new("/else")}},
		{[]string{"-g", "shop"}, rights{GID: 4712, Groups: []int{4712}, HOME: &root}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			s := StartWith(t, Options{App: "citizen.rights", Args: append(c.args, "--preload"), Dir: dir, Under: under})
			got := s.rights()
			c.want.LOGNAME = c.want.USER
			if c.want.UID == 0 {
				c.want.USER, c.want.LOGNAME = got.USER, got.LOGNAME
			}
			c.want.Umask, c.want.Nice, c.want.CWD, c.want.Root = got.Umask, got.Nice, dir, got.Root
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("GET /who = %s, want %s", asJSON(got), asJSON(c.want))
			}
			for _, role := range []struct{ pid, uid int }{{s.PID(), 0}, {s.Zygote(), c.want.UID}, {s.workerPIDs()[0], c.want.UID}} {
				if uid := userOf(t, role.pid); uid != role.uid {
					t.Errorf("process %d is user %d's, want %d's", role.pid, uid, role.uid)
				}
			}
			// Another zygote has no more rights than the first.
			mark := s.Mark()
			kill(t, s.Zygote(), unix.SIGKILL)
			s.WaitForSince(mark, "worker serves")
			if again := s.rights(); !reflect.DeepEqual(again, got) {
				t.Errorf("after the zygote's death: GET /who = %s, want %s still", asJSON(again), asJSON(got))
			}
		})
	}
}

func asJSON(value any) string {
	text, _ := json.Marshal(value)
	return string(text)
}

// userOf is the effective user of a process.
func userOf(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "\nUid:")
	uid, err := strconv.Atoi(strings.Fields(after)[1])
	if err != nil {
		t.Fatal(err)
	}
	return uid
}

// What cannot be is refused before anything starts.
func TestRights_RefusesWhoCannotBe(t *testing.T) {
	asRoot(t)
	for _, c := range []struct {
		args  []string
		words []string
	}{
		{[]string{"-u", "no-such-user"}, []string{`--user "no-such-user"`, "no such user"}},
		{[]string{"-g", "no-such-group"}, []string{`--group "no-such-group"`, "no such group"}},
		{[]string{"-u", "987654"}, []string{`--user "987654"`, "--group"}},
		{[]string{"-u", "987654", "-g", "1", "--initgroups"}, []string{`--user "987654"`, "--initgroups"}},
		{[]string{"-u", "4294967295"}, []string{"no such user"}},
		{[]string{"--initgroups"}, []string{"--initgroups", "--user"}},
		{[]string{"--umask", "8"}, []string{`--umask "8"`, "octal"}},
		{[]string{"--umask", "1000"}, []string{`--umask "1000"`, "777"}},
		{[]string{"--nice", "20"}, []string{`--nice "20"`, "19"}},
		{[]string{"--chroot", "/nonexistent"}, []string{"--chroot", "/nonexistent"}},
		{[]string{"--chroot", "/etc/passwd"}, []string{"--chroot", "not a folder"}},
		{[]string{"--chroot", "/tmp", "--chdir", "nonexistent"}, []string{"--chdir", "--chroot", "nonexistent"}},
	} {
		refused(t, Options{App: "hello", Args: c.args}, 2, c.words...)
	}
	refused(t, Options{App: "hello", Env: []string{"GOWSGI_USER=no-such-user"}}, 2, `GOWSGI_USER "no-such-user"`)
}

// Whoever is not root is who they are, and may say so.
func TestRights_OnlyRootBecomesSomebodyElse(t *testing.T) {
	under := []string{"unshare", "--user", "--map-user=1000", "--map-group=1000", "--fork", "--kill-child"}
	for _, args := range [][]string{{"-u", "0"}, {"-u", "1001", "-g", "1000"}, {"-g", "1001"}, {"--chroot", "/tmp"}} {
		refused(t, Options{App: "hello", Args: args, Under: under}, 2, args[0][1:2], "only root")
	}
	refused(t, Options{App: "hello", Args: []string{"--nice", "-5"}, Under: under}, 2, "--nice -5", "only root")
	s := StartWith(t, Options{App: "citizen.rights", Args: []string{"-u", "1000", "-g", "1000"}, Under: under})
	if got := s.rights(); got.UID != 1000 || got.GID != 1000 {
		t.Errorf("GET /who = %s, want user and group 1000", asJSON(got))
	}
}

// An application its user cannot read is not there; the line says why.
func TestRights_SaysWhoCannotReadTheApplication(t *testing.T) {
	asRoot(t)
	folder := module(t, t.TempDir(), "secret", "application = None\n") // in a folder of mode 0700
	uid, _ := nobody(t)
	for _, args := range [][]string{nil, {"--preload"}} {
		refused(t, Options{App: "secret", Dir: folder, Args: append(args, "-u", "nobody")}, 3,
			`no module named "secret"`, fmt.Sprintf("user %d", uid), "cannot read that folder [GW046]")
	}
}

// --umask is for the application's files and for unix sockets, --nice for the
// application.
func TestRights_UmaskAndNice(t *testing.T) {
	asRoot(t)
	uid, gid := nobody(t)
	dir := publicFolder(t)
	socket := filepath.Join(dir, "s")
	drop := filepath.Join(dir, "drop")
	if err := os.Mkdir(drop, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(drop, uid, gid); err != nil {
		t.Fatal(err)
	}
	s := StartWith(t, Options{App: "citizen.rights", Dir: dir, Args: []string{
		"-u", "nobody", "--umask", "017", "--nice", "7", "-b", "unix:" + socket,
	}})
	if got := s.rights(); got.Umask != 0o17 || got.Nice != 7 {
		t.Errorf("umask and nice = %#o, %d, want 017, 7", got.Umask, got.Nice)
	}
	s.wantJSON("/write?file="+url.QueryEscape(filepath.Join(drop, "f")), fmt.Sprintf(`{"mode": %d, "uid": %d, "gid": %d}`, 0o660, uid, gid))
	if front := niceOf(t, s.PID()); front != 0 {
		t.Errorf("nice of the front = %d, want 0", front)
	}
	// The socket is the user's: a proxy in its group can connect.
	info, err := os.Lstat(socket)
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	if int(owner.Uid) != uid || int(owner.Gid) != gid || info.Mode().Perm() != 0o760 {
		t.Errorf("the socket is %d:%d's with mode %#o, want %d:%d's with 0760", owner.Uid, owner.Gid, info.Mode().Perm(), uid, gid)
	}
}

// niceOf reads the nice value of a process's first thread.
func niceOf(t *testing.T, pid int) int {
	t.Helper()
	// The system call says 20 less the value, so that none is negative.
	n, err := unix.Getpriority(unix.PRIO_PROCESS, pid)
	if err != nil {
		t.Fatal(err)
	}
	return 20 - n
}

// The front is root's: it binds low ports, and it opens and reopens logs where
// the user may not.
func TestRights_TheFrontKeepsItsOwn(t *testing.T) {
	asRoot(t)
	dir, logs := publicFolder(t), t.TempDir()
	access, pidFile := filepath.Join(logs, "access"), filepath.Join(logs, "pid")
	port := lowPort(t)
	s := StartWith(t, Options{App: "citizen.rights", Dir: dir, Args: []string{
		"-u", "nobody", "-b", fmt.Sprintf("127.0.0.1:%d", port), "--access-logfile", access, "--pid", pidFile,
	}})
	s.rights()
	if err := os.Rename(access, access+".1"); err != nil {
		t.Fatal(err)
	}
	s.Signal(unix.SIGUSR1)
	s.WaitFor("logs reopened")
	s.rights()
	s.Stop()
	for _, path := range []string{access, access + ".1"} {
		if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "GET /who") {
			t.Errorf("%s = %q, %v, want the request", path, text, err)
		}
	}
}

// lowPort is a port below 1024 nobody listens on.
func lowPort(t *testing.T) int {
	t.Helper()
	for port := 1023; port > 600; port-- {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port below 1024 is free")
	return 0
}

// A worker cannot look into the front, the zygote or another worker.
func TestRights_WorkersReachNobody(t *testing.T) {
	asRoot(t)
	s := StartWith(t, Options{App: "citizen.rights", Dir: publicFolder(t), Args: []string{"-u", "nobody", "-w", "2"}})
	others := 0
	for _, pid := range append(s.workerPIDs(), s.PID(), s.Zygote()) {
		var told map[string]string
		r := s.Ask(fmt.Sprintf("/reach?pid=%d", pid))
		if err := json.Unmarshal([]byte(r.Body), &told); err != nil {
			t.Fatalf("GET /reach = %q: %v", r.Body, err)
		}
		if told == nil {
			continue // the worker that answers
		}
		others++
		if told["stat"] != "done" {
			t.Errorf("process %d: /proc/PID/stat = %s, want it open to anybody", pid, told["stat"])
		}
		for _, secret := range []string{"mem", "environ", "fd", "exe"} {
			if told[secret] != "PermissionError" {
				t.Errorf("process %d: /proc/PID/%s = %s, want PermissionError", pid, secret, told[secret])
			}
		}
	}
	if others < 3 {
		t.Errorf("%d processes looked into, want front, zygote and a worker", others)
	}
}

// /dev/stderr can be opened although the front has made the pipe behind it.
func TestRights_OpensItsStandardError(t *testing.T) {
	asRoot(t)
	s := StartWith(t, Options{App: "citizen.rights", Dir: publicFolder(t), Args: []string{"-u", "nobody"}})
	s.check(Want{Path: "/stderr?line=by+name", Body: "written\n"})
	s.WaitFor(`"by name"`)
}

// The change of user does not cut the tie between front and zygote: killed while
// the application is imported, when nobody listens to sockets, both go.
func TestRights_TheZygoteStillDiesWithTheFront(t *testing.T) {
	asRoot(t)
	r, err := launch(Options{
		App: "misbehave.waiting_import", Dir: publicFolder(t), Args: []string{"--preload", "-u", "nobody"},
		Env: []string{"IMPORT_WAITS_FOR=" + filepath.Join(t.TempDir(), "never")},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{run: r, T: t}
	defer s.Stop()
	await(t, "the zygote", func() bool {
		for _, p := range session(s.PID()) {
			if strings.HasPrefix(p.Title, "gowsgi: zygote [") && userOf(t, p.PID) != 0 {
				return true
			}
		}
		return false
	})
	leader := s.PID()
	s.Signal(unix.SIGKILL)
	if left := awaitSessionEnd(leader, time.Second); len(left) > 0 {
		t.Errorf("a second after the front was killed there are %+v", left)
	}
}

// Running the application as root is worth a line, except where it was asked
// for, and in a container, where it is the rule.
func TestRights_WarnsOfRoot(t *testing.T) {
	asRoot(t)
	const warning = "the application runs as root"
	dir := publicFolder(t)
	for _, c := range []struct {
		args []string
		want bool
	}{{nil, true}, {[]string{"-u", "root"}, false}, {[]string{"-u", "nobody"}, false}, {[]string{"-g", "nogroup"}, true}} {
		s := StartWith(t, Options{App: "citizen.rights", Dir: dir, Args: c.args})
		if got := strings.Contains(strings.Join(s.Log(), "\n"), warning); got != c.want {
			t.Errorf("%q: the log warns of root = %v, want %v", c.args, got, c.want)
		}
		s.Stop()
	}
	s := asPID1(t, Options{App: "citizen.rights"})
	if log := strings.Join(s.Log(), "\n"); strings.Contains(log, warning) {
		t.Errorf("as PID 1 the log has %q, want no warning", log)
	}
}

// --- --chroot --------------------------------------------------------------

// newRoot is a root folder with Python below it, mounted by the command it
// returns, and the applications in srv.
func newRoot(t *testing.T) (root string, under []string) {
	t.Helper()
	root = publicFolder(t)
	srv := filepath.Join(root, "srv")
	if err := os.Mkdir(srv, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"citizen", "misbehave"} {
		if err := os.Rename(filepath.Join(root, name), filepath.Join(srv, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(root, "usr"), 0o755); err != nil {
		t.Fatal(err)
	}
	// As Debian has them.
	for _, name := range []string{"lib", "lib64", "bin"} {
		if err := os.Symlink("usr/"+name, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	const script = `mount --bind /usr "$1/usr" && shift && exec "$@"`
	return root, []string{"unshare", "--mount", "--fork", "--kill-child", "sh", "-c", script, "sh", root}
}

// --chroot: the application sees nothing above it; --chdir, --pythonpath and
// .venv are below; logs and sockets, the front's, are outside.
func TestRights_ChrootIsTheApplicationsWorld(t *testing.T) {
	asRoot(t)
	root, under := newRoot(t)
	uid, _ := nobody(t)
	outside := t.TempDir()
	for _, args := range [][]string{
		{"--chdir", "srv"}, {"--chdir", "/srv", "--preload"}, {"--pythonpath", "/srv"},
	} {
		socket := filepath.Join(outside, "s")
		s := StartWith(t, Options{App: "citizen.rights", Dir: outside, Under: under, Args: append(args,
			"--chroot", root, "-u", "nobody", "-w", "2", "--access-logfile", "access", "-b", "127.0.0.1:0", "-b", "unix:s")})
		got := s.rights()
		want := "/srv"
		if args[0] == "--pythonpath" {
			want = "/"
		}
		if got.UID != uid || got.CWD != want || !reflect.DeepEqual(got.Root, []string{"bin", "lib", "lib64", "srv", "usr"}) {
			t.Errorf("%q: GET /who = %s, want user %d in %s, and what is in %s", args, asJSON(got), uid, want, root)
		}
		c := dial(t, "unix", socket)
		if r := c.Get("/who"); r.Status != http.StatusOK {
			t.Errorf("GET /who by the unix socket = %s, want 200", r.Line())
		}
		mark := s.Mark()
		kill(t, s.Zygote(), unix.SIGKILL)
		s.WaitForSince(mark, "worker serves")
		if again := s.rights(); again.CWD != want {
			t.Errorf("after the zygote's death: current folder = %q, want %q", again.CWD, want)
		}
		s.Stop()
		if text, err := os.ReadFile(filepath.Join(outside, "access")); err != nil || !strings.Contains(string(text), "GET /who") {
			t.Errorf("access log outside = %q, %v, want the request", text, err)
		}
	}
}

// A virtualenv is looked for below the new root.
func TestRights_ChrootHasItsOwnVirtualenv(t *testing.T) {
	asRoot(t)
	root, under := newRoot(t)
	venv := filepath.Join(root, "srv", ".venv")
	if out, err := exec.Command(python, "-m", "venv", "--without-pip", venv).CombinedOutput(); err != nil {
		t.Fatalf("venv: %v %s", err, out)
	}
	sites, err := filepath.Glob(filepath.Join(venv, "lib", "python3.*", "site-packages"))
	if err != nil || len(sites) != 1 {
		t.Fatalf("site-packages of %s: %v, %v", venv, sites, err)
	}
	module(t, sites[0], "packaged", "import sys\nfrom citizen.rights import application\nprint(sys.prefix, file=sys.stderr)\n")
	if out, err := exec.Command("chmod", "-R", "a+rX", venv).CombinedOutput(); err != nil {
		t.Fatalf("chmod: %v %s", err, out)
	}
	s := StartWith(t, Options{App: "packaged", Under: under, Args: []string{"--chroot", root, "--chdir", "/srv", "-u", "nobody"}})
	s.WaitFor("/srv/.venv")
	if got := s.rights(); got.CWD != "/srv" {
		t.Errorf("current folder = %q, want /srv", got.CWD)
	}
}

// Without Python below it, it says what is missing.
func TestRights_ChrootWithoutPython(t *testing.T) {
	asRoot(t)
	empty := t.TempDir()
	refused(t, Options{App: "hello", Args: []string{"--chroot", empty}}, 6, "standard library", "below --chroot "+empty)
}
