package tests

// The sample units in deploy/systemd, in the eyes of systemd.

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// installedUnits copies the units to a folder, with the gowsgi under test in
// place of an installed one.
func installedUnits(t *testing.T) (files []string) {
	t.Helper()
	folder := t.TempDir()
	sources, err := filepath.Glob(filepath.Join(repository, "deploy", "systemd", "*"))
	if err != nil || len(sources) != 2 {
		t.Fatalf("units = %q, %v, want two", sources, err)
	}
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(folder, filepath.Base(source))
		changed := strings.ReplaceAll(string(text), "/usr/local/bin/gowsgi", binary)
		if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

func TestUnits_AreWhatSystemdUnderstands(t *testing.T) {
	files := installedUnits(t)
	cmd := exec.Command("systemd-analyze", append([]string{"verify", "--recursive-errors=no", "--man=no"}, files...)...)
	out, err := cmd.CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%s = %v\n%s\nwant nothing to be said", strings.Join(cmd.Args, " "), err, out)
	}
}

// 0 is a service that can do nothing, 10 one that can do everything.
func TestUnits_ServiceIsConfined(t *testing.T) {
	cmd := exec.Command("systemd-analyze", append([]string{"security", "--offline=yes", "--threshold=25", "--no-pager"}, installedUnits(t)[0])...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s = %v, want an exposure of 2.5 at most\n%s", strings.Join(cmd.Args, " "), err, out)
	}
}

// The command lines in the service are such that gowsgi understands them, and
// such that the socket unit's sockets are the ones it takes.
func TestUnits_StartTheService(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "deploy", "systemd", "gowsgi.service"))
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^ExecStart=\S+/gowsgi (.*)$`).FindSubmatch(text)
	if command == nil {
		t.Fatal("gowsgi.service has no ExecStart= with gowsgi")
	}
	files, addresses := passed(t)
	m := newManager(t)
	s := StartWith(t, Options{
		Args: strings.Fields(string(command[1])), Dir: module(t, t.TempDir(), "wsgi", working), Files: files[1:], noBind: true,
		Through: becoming("LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=gowsgi.socket WATCHDOG_PID=$$ WATCHDOG_USEC=30000000 NOTIFY_SOCKET=" + m.path),
	})
	m.await(t, 0, s.PID(), "READY=1")
	if len(s.Binds) != 1 || s.Binds[0] != addresses[1] {
		t.Errorf("the service listens at %q, want %q", s.Binds, addresses[1])
	}
	if r := s.Ask("/"); r.Body != "ok" {
		t.Errorf("GET / = %s %q, want ok", r.Line(), r.Body)
	}
}
