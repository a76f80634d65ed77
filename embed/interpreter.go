package embed

import (
	"fmt"
	"os"
	"path/filepath"
)

// Interpreter is the python executable gowsgi was built against, set by the
// linker.
var Interpreter = "python3"

// FindInterpreter returns the path CPython is to be started as.
//
// A virtualenv wins: the one named by virtualEnv, else .venv in dir when there
// is one. Its bin/python as program name makes CPython find pyvenv.cfg and with
// it the virtualenv's site-packages, as PEP 405 has it. Without one it is the
// interpreter gowsgi was built against. A virtualenv of another Python is an
// error: its packages would not load.
func FindInterpreter(virtualEnv, dir string) (string, error) {
	candidate := virtualEnv
	if candidate == "" {
		candidate = filepath.Join(dir, ".venv")
		if _, err := os.Stat(filepath.Join(candidate, configName)); err != nil {
			return Interpreter, nil
		}
	}
	if err := checkVirtualEnv(candidate); err != nil {
		return "", err
	}
	return filepath.Join(candidate, "bin", "python"), nil
}

// chooseInterpreter fills in the interpreter, in the process that is to be it:
// below a chroot it is looked for there. The virtualenv that gowsgi itself lies in
// comes before an activated one, as with the python beside it.
func (s *Settings) chooseInterpreter() error {
	if s.Interpreter != "" {
		return nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("embed: current folder: %w", err)
	}
	virtualEnv := EnclosingVirtualEnv(s.Program)
	if virtualEnv == "" {
		virtualEnv = os.Getenv("VIRTUAL_ENV")
	}
	s.Interpreter, err = FindInterpreter(virtualEnv, dir)
	return err
}
