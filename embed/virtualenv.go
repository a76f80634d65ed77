package embed

// Whose a virtualenv is: the program that lies in it, and the Python it is of.

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gowsgi/cmd/failure"
)

// EnclosingVirtualEnv returns the folder of the virtualenv that a program lies
// in, as VENV/bin/PROGRAM, by its path or by what that is a symbolic link to; ""
// if it lies in none.
func EnclosingVirtualEnv(program string) string {
	paths := []string{program}
	if resolved, err := filepath.EvalSymlinks(program); err == nil {
		paths = append(paths, resolved)
	}
	for _, path := range paths {
		bin := filepath.Dir(path)
		if filepath.Base(bin) != "bin" {
			continue
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(bin), configName)); err == nil {
			return filepath.Dir(bin)
		}
	}
	return ""
}

// configName is the file that makes a folder a virtualenv (PEP 405).
const configName = "pyvenv.cfg"

// checkVirtualEnv says why the packages of a virtualenv would not load here, if so.
func checkVirtualEnv(dir string) error {
	config, err := readVirtualEnv(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return failure.Errorf(failure.VenvBroken, "%s is not a virtualenv (no pyvenv.cfg); unset VIRTUAL_ENV or make it anew with python%s -m venv", dir, Version)
	}
	if err != nil {
		return failure.Errorf(failure.VenvBroken, "virtualenv %s: %w", dir, err)
	}
	version := config.version
	if version != "" && version != Version && !strings.HasPrefix(version, Version+".") {
		return failure.Errorf(failure.VenvOtherVersion,
			"the virtualenv %s is for Python %s, and this gowsgi contains Python %s; make it anew with python%s -m venv --clear %s, or build gowsgi with make PYTHON=python%s",
			dir, version, Version, Version, dir, minorOf(version))
	}
	python := filepath.Join(dir, "bin", "python")
	if _, err := os.Stat(python); err != nil {
		return failure.Errorf(failure.VenvBroken, "virtualenv %s has no usable bin/python%s: %w", dir, danglingFrom(python), err)
	}
	return checkBase(dir, baseFolder(python))
}

// minorOf is 3.10 of 3.10.13.
func minorOf(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// danglingFrom says where a link leads that leads to nothing; empty if it is none.
func danglingFrom(name string) string {
	last := name
	for range 8 { // bin/python is a link to python3, which is one to the base Python
		next, err := os.Readlink(last)
		if err != nil {
			break
		}
		if !filepath.IsAbs(next) {
			next = filepath.Join(filepath.Dir(last), next)
		}
		last = next
	}
	if last == name {
		return ""
	}
	return ", which leads to " + last
}

// checkBase refuses the virtualenv of another build of the same version. CPython
// would take that one's standard library, whose extension modules are made for
// the libpython they came with: others lack modules (math is built in with
// Debian, and a file elsewhere) or symbols, which shows in the middle of an import.
// Where nothing is known about either of them, it may be the same.
func checkBase(dir, base string) error {
	built := baseFolder(Interpreter)
	if base == "" || built == "" || base == built {
		return nil
	}
	return failure.Errorf(failure.VenvOtherBuild, "the virtualenv %s is of the Python %s in %s, and this gowsgi contains the one of %s, whose extension modules are not the same; make the virtualenv anew with %s -m venv, or build gowsgi with make PYTHON=%s",
		dir, Version, base, built, Interpreter, filepath.Join(base, "python"+Version))
}

// baseFolder returns the folder of the interpreter that python is, without
// symbolic links; that of a virtualenv is where it was made from. "": not known.
func baseFolder(python string) string {
	if config, err := readVirtualEnv(filepath.Dir(filepath.Dir(python))); err == nil && config.home != "" {
		for _, name := range []string{"python" + Version, "python3", "python"} {
			if path, err := filepath.EvalSymlinks(filepath.Join(config.home, name)); err == nil {
				return filepath.Dir(path)
			}
		}
		return ""
	}
	path, err := filepath.EvalSymlinks(python)
	if err != nil {
		return ""
	}
	return filepath.Dir(path)
}

// A virtualEnvConfig is what counts of a pyvenv.cfg.
type virtualEnvConfig struct {
	version string // as venv writes it, or as virtualenv does; may be empty
	home    string // folder of the interpreter it was made from; may be empty
}

// readVirtualEnv reads the pyvenv.cfg of a folder.
func readVirtualEnv(dir string) (virtualEnvConfig, error) {
	var config virtualEnvConfig
	f, err := os.Open(filepath.Join(dir, configName))
	if err != nil {
		return config, err
	}
	defer func() { _ = f.Close() }() // only read
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "=")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "version", "version_info":
			config.version = value
		case "home":
			config.home = value
		}
	}
	return config, lines.Err()
}
