package embed

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Interpreter is the python executable gowsgi was built against, set by the
// linker.
var Interpreter = "python3"

// FindInterpreter returns the path CPython is to be started as.
//
// A virtualenv wins: the one named by virtualEnv (usually $VIRTUAL_ENV), else
// .venv in dir when there is one. Its bin/python as program name makes CPython
// find pyvenv.cfg and with it the virtualenv's site-packages, as PEP 405 has
// it. Without one it is the interpreter gowsgi was built against. A virtualenv
// of another Python version is an error: its packages would not load.
func FindInterpreter(virtualEnv, dir string) (string, error) {
	candidate := virtualEnv
	if candidate == "" {
		candidate = filepath.Join(dir, ".venv")
		if _, err := os.Stat(filepath.Join(candidate, "pyvenv.cfg")); err != nil {
			return Interpreter, nil
		}
	}
	if err := checkVirtualEnv(candidate); err != nil {
		return "", err
	}
	return filepath.Join(candidate, "bin", "python"), nil
}

// chooseInterpreter fills in the interpreter, in the process that is to be it:
// below a chroot it is looked for there.
func (s *Settings) chooseInterpreter() error {
	if s.Interpreter != "" {
		return nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("embed: current folder: %w", err)
	}
	s.Interpreter, err = FindInterpreter(os.Getenv("VIRTUAL_ENV"), dir)
	return err
}

func checkVirtualEnv(dir string) error {
	version, err := virtualEnvVersion(filepath.Join(dir, "pyvenv.cfg"))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("embed: %s is not a virtualenv (no pyvenv.cfg); unset VIRTUAL_ENV or make it anew with python%s -m venv", dir, Version)
	}
	if err != nil {
		return fmt.Errorf("embed: virtualenv %s: %w", dir, err)
	}
	if version != "" && version != Version && !strings.HasPrefix(version, Version+".") {
		return fmt.Errorf("embed: virtualenv %s is for Python %s but this gowsgi embeds Python %s; build it with make PYTHON=…, or make the virtualenv anew with python%s -m venv", dir, version, Version, Version)
	}
	if _, err := os.Stat(filepath.Join(dir, "bin", "python")); err != nil {
		return fmt.Errorf("embed: virtualenv %s has no usable bin/python: %w", dir, err)
	}
	return nil
}

// virtualEnvVersion reads the version a pyvenv.cfg names: "version" as venv
// writes it, "version_info" as virtualenv does.
func virtualEnvVersion(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "=")
		switch strings.TrimSpace(key) {
		case "version", "version_info":
			return strings.TrimSpace(value), nil
		}
	}
	return "", lines.Err()
}
