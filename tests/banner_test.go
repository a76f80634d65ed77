package tests

// What is said once it serves: a banner to a person, a line to everything else.

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestBanner_SaysInOneGlanceWhatServes(t *testing.T) {
	venv := filepath.Join(t.TempDir(), "envs", "shop")
	makeVirtualenv(t, venv)
	socket := filepath.Join(t.TempDir(), "s")
	term := openTerminal(t, Options{App: "hello", Args: []string{"-b", "127.0.0.1:0", "-b", "unix:" + socket, "--threads", "4", "--max-workers", "3"}, Env: []string{"VIRTUAL_ENV=" + venv, "NO_COLOR=1"}})
	banner := term.expect("Ctrl-C")
	for _, want := range []string{
		"production server", "http://127.0.0.1:", "unix:" + socket, "hello:application", " 3.", "virtualenv " + venv, "1 to 3 × 4 threads",
	} {
		if !strings.Contains(banner, want) {
			t.Errorf("banner = %s\nwant %q in it", banner, want)
		}
	}
	if strings.Contains(banner, "listening at") || strings.Contains(banner, "\x1b") {
		t.Errorf("banner = %q, want no line for logs and no colours beside it", banner)
	}
	term.leave()
}

func TestBanner_ShowsAnAddressThatCanBeOpened(t *testing.T) {
	alone := []string{"unshare", "--user", "--map-root-user", "--net"} // all addresses of nothing
	if out, err := exec.Command(alone[0], append(alone[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("no user namespaces here: %v %s", err, out)
	}
	term := openTerminal(t, Options{App: "hello", Args: []string{"--reload", "-b", "0.0.0.0:0"}, Env: []string{"NO_COLOR=1"}, Under: alone})
	if warning := term.expect("  gowsgi "); !strings.Contains(warning, "shows its code to whoever can reach http://0.0.0.0:") {
		t.Errorf("before the banner the terminal shows %q, want a warning of who can read tracebacks", warning)
	}
	if banner := term.expect("Ctrl-C"); !strings.Contains(banner, "http://127.0.0.1:") || !strings.Contains(banner, "every other address") || strings.Contains(banner, "0.0.0.0") {
		t.Errorf("banner = %s\nwant 127.0.0.1 and every other address", banner)
	}
	term.leave()
}

func TestBanner_IsNotForWhoWantsWarningsOnly(t *testing.T) {
	m := newManager(t)
	term := openTerminal(t, Options{App: "hello", Args: []string{"--log-level", "warning"}, Env: []string{"NOTIFY_SOCKET=" + m.path}})
	m.await(t, 0, term.cmd.Process.Pid, "READY=1")
	if shown := term.leave(); strings.Contains(shown, "Ctrl-C") || strings.Contains(shown, "listening") {
		t.Errorf("with --log-level warning the terminal shows %q, want no banner", shown)
	}
}

func TestBanner_IsALineWhereNobodyReadsAlong(t *testing.T) {
	for args, mode := range map[string]string{"": "production", "--reload": "development"} {
		s := StartWith(t, Options{App: "hello", Args: strings.Fields(args)})
		line := s.WaitFor("listening at")
		for _, want := range []string{"application=hello:application", "workers=1", "threads=1", "python=3.", "interpreter=/", "mode=" + mode} {
			if !strings.Contains(line, want) {
				t.Errorf("gowsgi %s: %q, want %q in it", args, line, want)
			}
		}
		s.Stop()
	}
}
