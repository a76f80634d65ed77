package embed_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gowsgi/embed"
)

// fabricate makes what a virtualenv is recognised by, in dir.
func fabricate(t *testing.T, dir, config string) {
	t.Helper()
	put(t, filepath.Join(dir, "bin", "python"), "")
	put(t, filepath.Join(dir, "pyvenv.cfg"), config)
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// builtFolder is where the interpreter is that gowsgi was built against.
func builtFolder(t *testing.T) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(embed.Interpreter)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(path)
}

func TestFindInterpreter_PrefersAVirtualenvOfTheSameVersion(t *testing.T) {
	dir := t.TempDir()
	venv := filepath.Join(dir, ".venv")
	if got, err := embed.FindInterpreter("", dir); err != nil || got != embed.Interpreter {
		t.Errorf("without a virtualenv: FindInterpreter() = %q, %v, want %q", got, err, embed.Interpreter)
	}
	fabricate(t, venv, "home = "+builtFolder(t)+"\nversion = "+embed.Version+".1\n")
	want := filepath.Join(venv, "bin", "python")
	if got, err := embed.FindInterpreter("", dir); err != nil || got != want {
		t.Errorf("with .venv: FindInterpreter() = %q, %v, want %q", got, err, want)
	}
	put(t, filepath.Join(venv, "pyvenv.cfg"), "version_info = 3.2.1.final.0\n")
	if got, err := embed.FindInterpreter(venv, "/"); err == nil || !strings.Contains(err.Error(), "3.2.1") {
		t.Errorf("with a virtualenv of 3.2: FindInterpreter() = %q, %v, want an error that names it", got, err)
	}
	if got, err := embed.FindInterpreter(filepath.Join(dir, "nothing"), "/"); err == nil {
		t.Errorf("with VIRTUAL_ENV wrong: FindInterpreter() = %q, want an error", got)
	}
}

func TestFindInterpreter_RefusesTheVirtualenvOfAnotherBuild(t *testing.T) {
	dir := t.TempDir()
	venv, other := filepath.Join(dir, "venv"), filepath.Join(dir, "other", "bin")
	version := "\nversion = " + embed.Version + ".99\n"
	put(t, filepath.Join(other, "python3"), "")
	fabricate(t, venv, "home = "+other+version)
	got, err := embed.FindInterpreter(venv, "/")
	if err == nil || !strings.Contains(err.Error(), other) || !strings.Contains(err.Error(), builtFolder(t)) {
		t.Errorf("with a virtualenv of the Python in %s: FindInterpreter() = %q, %v, want an error that names it and %s", other, got, err, builtFolder(t))
	}
	// The same folder under another name is no other build; nor is one that is
	// not there, of which nothing is known.
	link := filepath.Join(dir, "link")
	if err := os.Symlink(builtFolder(t), link); err != nil {
		t.Fatal(err)
	}
	for _, home := range []string{link, filepath.Join(dir, "nothing")} {
		put(t, filepath.Join(venv, "pyvenv.cfg"), "home = "+home+version)
		if got, err := embed.FindInterpreter(venv, "/"); err != nil {
			t.Errorf("with home = %s: FindInterpreter() = %q, %v, want no error", home, got, err)
		}
	}
}

func TestEnclosingVirtualEnv_IsTheOneAProgramLiesIn(t *testing.T) {
	dir := t.TempDir()
	venv, elsewhere := filepath.Join(dir, "venv"), filepath.Join(dir, "elsewhere", "bin")
	fabricate(t, venv, "")
	put(t, filepath.Join(venv, "bin", "gowsgi"), "")
	put(t, filepath.Join(venv, "lib", "gowsgi"), "")
	put(t, filepath.Join(elsewhere, "gowsgi"), "")
	for link, target := range map[string]string{
		filepath.Join(elsewhere, "into"):     filepath.Join(venv, "bin", "gowsgi"),
		filepath.Join(venv, "bin", "out-of"): filepath.Join(elsewhere, "gowsgi"),
	} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	for program, want := range map[string]string{
		filepath.Join(venv, "bin", "gowsgi"): venv,
		filepath.Join(venv, "bin", "gone"):   venv, // replaced while it runs
		filepath.Join(venv, "lib", "gowsgi"): "",
		filepath.Join(elsewhere, "gowsgi"):   "",
		filepath.Join(elsewhere, "into"):     venv,
		filepath.Join(venv, "bin", "out-of"): venv,
		"":                                   "",
	} {
		if got := embed.EnclosingVirtualEnv(program); got != want {
			t.Errorf("EnclosingVirtualEnv(%q) = %q, want %q", program, got, want)
		}
	}
}
