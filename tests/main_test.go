// Package tests shows what only the whole program can show: a built gowsgi is
// started as an operator starts it, and looked at from outside, over sockets,
// signals, /proc and its log.
//
// $GOWSGI_BIN names the program to test; without it, it is built once. The
// applications are those of the folder pyapps.
package tests

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// python is the interpreter gowsgi is built against where nothing else is said,
// and the one that makes virtualenvs.
const python = "/usr/bin/python3"

var (
	repository string // the checkout's top folder
	apps       string // the folder pyapps
	binary     string // the gowsgi under test
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	_, file, _, _ := runtime.Caller(0)
	repository = filepath.Dir(filepath.Dir(file))
	apps = filepath.Join(repository, "pyapps")
	remove, err := findBinary()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer remove()
	code := m.Run()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// findBinary sets binary; remove undoes what that took.
func findBinary() (remove func(), err error) {
	remove = func() {}
	if binary = os.Getenv("GOWSGI_BIN"); binary != "" {
		if binary, err = filepath.Abs(binary); err == nil {
			_, err = os.Stat(binary)
		}
		return remove, err
	}
	dir, err := os.MkdirTemp("", "gowsgi-tests-")
	if err != nil {
		return remove, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	binary = filepath.Join(dir, "gowsgi")
	return remove, build(binary)
}

// build makes the program as `make build` does.
func build(output string) error {
	const script = `chosen="$(embed/pkgconfig/choose "$1")"; eval "$chosen"
exec go build -o "$2" -ldflags "$GOWSGI_LDFLAGS" ./cmd/gowsgi`
	cmd := exec.Command("bash", "-euc", script, "build", python, output)
	cmd.Dir = repository
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build gowsgi: %w\n%s", err, out)
	}
	return nil
}

// cleanEnvironment is the environment without what would configure a gowsgi or
// its Python, plus the variables given.
func cleanEnvironment(more ...string) []string {
	var kept []string
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		switch {
		case strings.HasPrefix(name, "GOWSGI_"), strings.HasPrefix(name, "PYTHON"),
			strings.HasPrefix(name, "LISTEN_"), strings.HasPrefix(name, "WATCHDOG_"), name == "NOTIFY_SOCKET",
			name == "VIRTUAL_ENV", name == "PORT", name == "WEB_CONCURRENCY",
			name == "SCRIPT_NAME", name == "FORWARDED_ALLOW_IPS":
		default:
			kept = append(kept, pair)
		}
	}
	// No __pycache__ in the checkout; and the workers of a machine without limits,
	// which only a flag, a file or another such variable outweighs.
	return append(append(kept, "PYTHONDONTWRITEBYTECODE=1", "WEB_CONCURRENCY=1"), more...)
}
