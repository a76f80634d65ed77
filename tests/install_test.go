package tests

// gowsgi the way people install it: make install. wheel_test.go and deb_test.go
// are the packages.

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mustRun runs a command in the checkout and returns what it prints on standard output.
func mustRun(t *testing.T, command ...string) string {
	t.Helper()
	return mustRunWith(t, nil, command...)
}

// mustRunWith is mustRun with more variables.
func mustRunWith(t *testing.T, variables []string, command ...string) string {
	t.Helper()
	out, err := tryRun(variables, command...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tryRun runs a command in the checkout; its error has what it printed.
func tryRun(variables []string, command ...string) (string, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Env = repository, cleanEnvironment(variables...)
	var out, err strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &err
	if failure := cmd.Run(); failure != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(command, " "), failure, out.String(), err.String())
	}
	return out.String(), nil
}

// filesBelow lists what is in a folder but for folders, sorted.
func filesBelow(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// embeddedPython is the interpreter that the gowsgi under test embeds.
func embeddedPython(t *testing.T) string {
	t.Helper()
	said := mustRun(t, binary, "--version")
	found := regexp.MustCompile(`\(embeds Python \S+ of (.*)\)\n$`).FindStringSubmatch(said)
	if found == nil {
		t.Fatalf("gowsgi --version = %q, want it to name an interpreter", said)
	}
	return found[1]
}

func makeInstall(t *testing.T, target string, variables ...string) string {
	t.Helper()
	return mustRun(t, slices.Concat([]string{"make", "-s", target, "BINARY=" + binary}, variables)...)
}

func TestInstall_BringsEverythingAndTakesItAway(t *testing.T) {
	stage := t.TempDir()
	own := filepath.Join(stage, "opt", "site", "bin", "mine")
	if err := os.MkdirAll(filepath.Dir(own), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(own, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	makeInstall(t, "install", "DESTDIR="+stage, "PREFIX=/opt/site")

	root := filepath.Join(stage, "opt", "site")
	for name, say := range map[string][]string{
		"bin/gowsgi": {binary, "--version"},
		"share/bash-completion/completions/gowsgi":       {binary, "completion", "bash"},
		"share/zsh/site-functions/_gowsgi":               {binary, "completion", "zsh"},
		"share/fish/vendor_completions.d/gowsgi.fish":    {binary, "completion", "fish"},
		"share/man/man1/gowsgi.1.gz":                     {binary, "man"},
		"share/doc/gowsgi/README.md":                     {"cat", "README.md"},
		"share/doc/gowsgi/LICENSE":                       {"cat", "LICENSE"},
		"share/doc/gowsgi/docs/install.md":               {"cat", "docs/install.md"},
		"share/doc/gowsgi/deploy/README.md":              {"cat", "deploy/README.md"},
		"share/doc/gowsgi/deploy/nginx/gowsgi.conf":      {"cat", "deploy/nginx/gowsgi.conf"},
		"share/doc/gowsgi/deploy/systemd/gowsgi.service": {"sed", "s|/usr/local/bin/gowsgi|/opt/site/bin/gowsgi|", "deploy/systemd/gowsgi.service"},
	} {
		path, mode := filepath.Join(root, name), fs.FileMode(0o644)
		show := []string{"cat", path}
		switch {
		case name == "bin/gowsgi":
			show, mode = []string{path, "--version"}, 0o755
		case strings.HasSuffix(name, ".gz"):
			show = []string{"gunzip", "-c", path}
		}
		if got, want := mustRun(t, show...), mustRun(t, say...); got != want {
			t.Errorf("%s after make install = %.200q, want %.200q", name, got, want)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("mode of %s after make install = %v, %v, want %v", name, info.Mode(), err, mode)
		}
	}
	if names := filesBelow(t, root); slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, "deploy/package") || strings.Contains(n, ".gowsgi-") }) {
		t.Errorf("make install brought %q, want nothing that only makes packages or is half done", names)
	}

	makeInstall(t, "uninstall", "DESTDIR="+stage, "PREFIX=/opt/site")
	if left := filesBelow(t, stage); !slices.Equal(left, []string{"opt/site/bin/mine"}) {
		t.Errorf("after make uninstall there is %q, want only what was there before", left)
	}
}

// Two installations over a server that runs from the file: neither the kernel's
// "text file busy" nor a half file; and SIGUSR2 brings the new one.
func TestInstall_WhileAServerRuns(t *testing.T) {
	prefix := t.TempDir()
	installed := filepath.Join(prefix, "bin", "gowsgi")
	makeInstall(t, "install", "PREFIX="+prefix)
	s := startSuccession(t, Options{App: "hello", Binary: installed})
	old, err := os.Stat(installed)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		makeInstall(t, "install", "PREFIX="+prefix)
		if r := s.at(0).Ask("/"); r.Status != 200 {
			t.Errorf("GET / after make install = %s, want 200", r.Line())
		}
	}
	renewed, err := os.Stat(installed)
	if err != nil || os.SameFile(old, renewed) {
		t.Errorf("%s is the same file as before (%v), want a new one in its place", installed, err)
	}
	pid := s.upgrade()
	if runs, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid)); err != nil || !os.SameFile(runs, renewed) {
		t.Errorf("after SIGUSR2 another file than %s serves (%v)", installed, err)
	}
	if r := s.at(0).Ask("/"); r.Status != 200 {
		t.Errorf("GET / after the upgrade = %s, want 200", r.Line())
	}
}

func TestInstall_RefusesWhatItCannotDo(t *testing.T) {
	for _, c := range []struct {
		variables []string
		word      string
	}{
		{[]string{"PREFIX=relative", "BINARY=" + binary}, "PREFIX=relative is not an absolute path"},
		{[]string{"PREFIX=/tmp/a b", "BINARY=" + binary}, "without spaces"},
		{[]string{"PREFIX=" + filepath.Join(binary, "below"), "BINARY=" + binary}, "Not a directory"},
		{[]string{"PREFIX=" + t.TempDir(), "BINARY=/nothing/here"}, "/nothing/here"},
	} {
		_, err := tryRun([]string{"LC_ALL=C"}, append([]string{"make", "-s", "install"}, c.variables...)...)
		if err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("make install %q = %v, want an error that says %q", c.variables, err, c.word)
		}
	}
}
