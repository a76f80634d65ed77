package tests

// The Debian package, installed in a system that has nothing else of gowsgi's.

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A debianRoot is the folder of a fresh Debian.
type debianRoot string

func newDebianRoot(t *testing.T) debianRoot {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: another system is made and entered by chroot")
	}
	if text, _ := os.ReadFile("/etc/os-release"); !strings.Contains("\n"+string(text), "\nID=debian\n") {
		t.Skip("needs Debian: the package is for the release it was built on")
	}
	root := t.TempDir()
	mustRun(t, "tests/debian/root", root)
	return debianRoot(root)
}

// under is what a command of this system is started by there, with a /proc of its own.
func (r debianRoot) under() []string {
	return []string{"unshare", "--mount", "--pid", "--fork", "--kill-child", "--root=" + string(r), "--wd=/", "--mount-proc"}
}

func (r debianRoot) run(t *testing.T, command ...string) string {
	t.Helper()
	return mustRunWith(t, []string{"DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		append(r.under(), command...)...)
}

func (r debianRoot) path(name string) string { return filepath.Join(string(r), name) }

func (r debianRoot) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(r.path(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.path(name), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func (r debianRoot) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(r.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// named lists what has gowsgi in its name there.
func (r debianRoot) named(t *testing.T) []string {
	t.Helper()
	return strings.Fields(mustRun(t, "find", string(r), "-xdev", "-name", "*gowsgi*", "-printf", "/%P\n"))
}

// makeDeb makes the package of the gowsgi under test.
func makeDeb(t *testing.T, dir string) string {
	t.Helper()
	said := mustRun(t, "deploy/package/deb", binary, dir)
	path, ok := strings.CutPrefix(strings.TrimSpace(said), "made ")
	if !ok {
		t.Fatalf("deploy/package/deb = %q, want it to name what it made", said)
	}
	return path
}

func TestDeb(t *testing.T) {
	path := makeDeb(t, t.TempDir())
	t.Run("is what lintian wants", func(t *testing.T) {
		out, err := exec.Command("lintian", "--allow-root", "--fail-on=error,warning", path).CombinedOutput()
		if err != nil {
			t.Errorf("lintian = %v, want no error or warning\n%s", err, out)
		}
	})
	t.Run("is the same when made again", func(t *testing.T) {
		first, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		second, err := os.ReadFile(makeDeb(t, t.TempDir()))
		if err != nil || !slices.Equal(first, second) {
			t.Errorf("a second package of the same program is different (%v), want the same bytes", err)
		}
	})
	t.Run("from installation to purge", func(t *testing.T) { installsAndPurges(t, path) })
}

// What an interpreter brings that is from no package, no dependency can name.
func TestDeb_RefusesAPythonThatIsNotDebians(t *testing.T) {
	program := filepath.Join(t.TempDir(), "gowsgi")
	script := "#!/bin/sh\necho 'gowsgi version 1 (embeds Python 3.12 of /opt/python3.12/bin/python3)'\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := tryRun(nil, "deploy/package/deb", program, t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "/opt/python3.12/bin/python3, which is no package of this system") {
		t.Errorf("deploy/package/deb = %v, want it to name the interpreter", err)
	}
}

const flaskThere = `import sqlite3, ssl, sys
import flask

app = flask.Flask(__name__)

@app.route("/")
def where():
    return " ".join([flask.__file__, sys.executable, ssl.__file__])
`

// A systemctl that writes down what it is asked for; the service is active until
// it is stopped.
const recordingSystemctl = `#!/bin/sh
echo "$@" >>/systemctl.log
case "$*" in
*is-active*) test -e /active ;;
stop*) rm -f /active ;;
esac
`

func installsAndPurges(t *testing.T, path string) {
	t.Helper()
	root := newDebianRoot(t)
	if before := root.named(t); len(before) > 0 {
		t.Fatalf("the fresh system has %q, want nothing of gowsgi", before)
	}
	mustRun(t, "cp", path, root.path("package.deb"))
	root.run(t, "apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "/package.deb", "python3-flask")
	if changed := root.run(t, "dpkg", "--verify", "gowsgi"); changed != "" {
		t.Errorf("dpkg --verify gowsgi = %q, want every file as in the package", changed)
	}

	t.Run("serves an application of Debian's packages", func(t *testing.T) {
		root.write(t, "srv/app/app.py", flaskThere)
		s := StartWith(t, Options{Under: root.under(), Binary: "/usr/bin/gowsgi", Args: []string{"--chdir", "/srv/app", "-w", "2"}, App: "app:app"})
		want := "/usr/lib/python3/dist-packages/flask/__init__.py /usr/bin/python3 /usr/lib/python3"
		if r := s.Ask("/"); r.Status != 200 || !strings.HasPrefix(r.Body, want) {
			t.Errorf("GET / = %s %q, want 200 %q…", r.Line(), r.Body, want)
		}
		s.Stop()
	})
	t.Run("has its manual and completions", func(t *testing.T) {
		for name, args := range map[string][]string{
			"/usr/share/man/man1/gowsgi.1.gz":                  {"man"},
			"/usr/share/bash-completion/completions/gowsgi":    {"completion", "bash"},
			"/usr/share/zsh/vendor-completions/_gowsgi":        {"completion", "zsh"},
			"/usr/share/fish/vendor_completions.d/gowsgi.fish": {"completion", "fish"},
		} {
			show := "cat"
			if strings.HasSuffix(name, ".gz") {
				show = "zcat"
			}
			got, want := root.run(t, show, name), root.run(t, append([]string{"gowsgi"}, args...)...)
			if got != want {
				t.Errorf("%s = %.200q, want what gowsgi %q prints", name, got, args)
			}
		}
	})
	t.Run("has units that nothing enables", func(t *testing.T) {
		out, err := exec.Command("systemd-analyze", "verify", "--recursive-errors=no", "--man=no", "--root="+string(root), "gowsgi.service", "gowsgi.socket").CombinedOutput()
		if err != nil || strings.Contains(string(out), "gowsgi") {
			t.Errorf("systemd-analyze verify = %v, want nothing to be said of them\n%s", err, out)
		}
		unit := root.read(t, "lib/systemd/system/gowsgi.service")
		if n := strings.Count(unit, "=/usr/bin/gowsgi "); n != 2 || strings.Contains(unit, "/usr/local") {
			t.Errorf("gowsgi.service = %q, want /usr/bin/gowsgi as its two commands", unit)
		}
		if found := root.named(t); slices.ContainsFunc(found, func(n string) bool { return strings.HasPrefix(n, "/etc/") }) {
			t.Errorf("there is %q, want nothing in /etc", found)
		}
	})
	t.Run("tells systemd", func(t *testing.T) {
		root.write(t, "usr/local/bin/systemctl", recordingSystemctl)
		root.write(t, "active", "")
		root.write(t, "run/systemd/system/none", "")
		root.run(t, "dpkg", "--install", "/package.deb") // once more: an upgrade
		root.run(t, "dpkg", "--remove", "gowsgi")
		root.run(t, "dpkg", "--install", "/package.deb")
		want := "daemon-reload\n--quiet is-active gowsgi.service\nkill --signal=USR2 --kill-who=main gowsgi.service\n" + // upgrade
			"stop gowsgi.service gowsgi.socket\ndaemon-reload\n" + // removal
			"daemon-reload\n--quiet is-active gowsgi.service\n" // installation
		if got := root.read(t, "systemctl.log"); got != want {
			t.Errorf("systemctl is called with\n%s\nwant\n%s", got, want)
		}
	})
	t.Run("leaves only what the application kept", func(t *testing.T) {
		root.write(t, "var/lib/gowsgi/data.sqlite3", "")
		root.write(t, "var/log/gowsgi/access.log", "")
		enabled := root.path("etc/systemd/system/multi-user.target.wants/gowsgi.service")
		mustRun(t, "mkdir", "-p", filepath.Dir(enabled))
		mustRun(t, "ln", "-s", "/lib/systemd/system/gowsgi.service", enabled)
		root.run(t, "dpkg", "--purge", "gowsgi")
		if left := root.named(t); !slices.Equal(left, []string{"/var/lib/gowsgi"}) {
			t.Errorf("after dpkg --purge there is %q, want only /var/lib/gowsgi, which is not empty", left)
		}
	})
}

// Versions as the packagers want them, each above the ones before it.
func TestPackageVersion_Ascends(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "version")
	mustRun(t, "cp", "deploy/package/version", script)
	variables := []string{
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b.example",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b.example",
	}
	git := func(args ...string) string {
		return strings.TrimSpace(mustRunWith(t, variables, append([]string{"git", "-C", dir}, args...)...))
	}
	if got := mustRunWith(t, []string{"GIT_CEILING_DIRECTORIES=" + filepath.Dir(dir)}, script, "debian"); got != "0\n" {
		t.Errorf("version debian without git = %q, want 0", got)
	}
	git("init", "--quiet")
	git("add", "version")
	previous := "0"
	for _, c := range []struct {
		tag            string
		debian, python string // HASH stands for the commit
	}{
		{"", "0~dev1+gHASH", "0.dev1+gHASH"},
		{"v1.2.0-rc1", "1.2.0~rc1", "1.2.0rc1"},
		{"", "1.2.0~rc1+1.gHASH", "1.2.0rc1.post1+gHASH"},
		{"v1.2.0", "1.2.0", "1.2.0"},
		{"other", "1.2.0+1.gHASH", "1.2.0.post1+gHASH"},
		{"v1.10", "1.10", "1.10"},
	} {
		git("commit", "--quiet", "--allow-empty", "--message", "another")
		if c.tag != "" {
			git("tag", c.tag)
		}
		hash := git("rev-parse", "--short=7", "HEAD")
		for form, want := range map[string]string{"debian": c.debian, "python": c.python} {
			want = strings.ReplaceAll(want, "HASH", hash)
			if got := strings.TrimSpace(mustRunWith(t, variables, script, form)); got != want {
				t.Errorf("version %s at tag %q = %q, want %q", form, c.tag, got, want)
			}
		}
		now := strings.ReplaceAll(c.debian, "HASH", hash)
		if previous != "0" {
			mustRun(t, "dpkg", "--compare-versions", previous, "lt", now)
		}
		previous = now
	}
	if err := os.WriteFile(script, append([]byte(mustRun(t, "cat", script)), '\n'), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := mustRunWith(t, variables, script, "debian"); got != "1.10+dirty\n" {
		t.Errorf("version debian with changes = %q, want 1.10+dirty", got)
	}
}
