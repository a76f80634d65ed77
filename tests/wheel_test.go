package tests

// The wheel, in a virtualenv made for it.

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pip neither asks the network nor believes anybody's configuration.
var pip = []string{"PIP_CONFIG_FILE=/dev/null", "PIP_NO_INDEX=1", "PIP_DISABLE_PIP_VERSION_CHECK=1"}

// makeWheel makes the wheel of the gowsgi under test.
func makeWheel(t *testing.T, dir string) string {
	t.Helper()
	said := mustRun(t, "/usr/bin/python3", "deploy/package/wheel.py", binary, dir)
	path, ok := strings.CutPrefix(strings.TrimSpace(said), "made ")
	if !ok {
		t.Fatalf("wheel.py = %q, want it to name what it made", said)
	}
	return path
}

// readZip returns the members of a wheel by name.
func readZip(t *testing.T, path string) (names []string, contents map[string][]byte) {
	t.Helper()
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	contents = map[string][]byte{}
	for _, member := range archive.File {
		r, err := member.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, member.Name)
		contents[member.Name] = content
	}
	return names, contents
}

// PEP 427: every file is in RECORD with its hash and size, RECORD itself without.
func TestWheel_RecordsWhatIsInIt(t *testing.T) {
	path := makeWheel(t, t.TempDir())
	names, contents := readZip(t, path)
	var record []string
	for _, name := range names {
		if strings.HasSuffix(name, ".dist-info/RECORD") {
			record = append(record, name+",,")
			continue
		}
		sum := sha256.Sum256(contents[name])
		record = append(record, fmt.Sprintf("%s,sha256=%s,%d", name, base64.RawURLEncoding.EncodeToString(sum[:]), len(contents[name])))
	}
	last := names[len(names)-1]
	if got := strings.Split(strings.TrimSuffix(string(contents[last]), "\n"), "\n"); !slices.Equal(got, record) {
		t.Errorf("%s = %q, want %q", last, got, record)
	}
	if slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, ".py") }) {
		t.Errorf("the wheel has %q, want no module in it", names)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(makeWheel(t, t.TempDir()))
	if err != nil || !slices.Equal(first, second) {
		t.Errorf("a second wheel of the same program is different (%v), want the same bytes", err)
	}
}

// visibleOnlyThere is an application that needs a package of its virtualenv, and
// one of the standard library that has a shared object.
const visibleOnlyThere = `import ssl, sys
import only_in_this_virtualenv

def application(environ, start_response):
    start_response("200 OK", [])
    return ["\n".join([sys.prefix, sys.executable, only_in_this_virtualenv.__file__, ssl.__file__]).encode()]
`

func TestWheel_ServesInItsVirtualenv(t *testing.T) {
	dir := t.TempDir()
	venv := filepath.Join(dir, "venv")
	bin := filepath.Join(venv, "bin")
	mustRun(t, embeddedPython(t), "-m", "venv", venv)
	before := filesBelow(t, venv)
	wheel := makeWheel(t, dir)
	mustRunWith(t, pip, filepath.Join(bin, "python"), "-m", "pip", "install", wheel)

	packages := strings.TrimSpace(mustRun(t, filepath.Join(bin, "python"), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
	module := filepath.Join(packages, "only_in_this_virtualenv.py")
	for path, text := range map[string]string{module: "", filepath.Join(dir, "app.py"): visibleOnlyThere} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Somebody else's virtualenv, and one that the folder has.
	another := filepath.Join(dir, ".venv")
	mustRun(t, embeddedPython(t), "-m", "venv", "--without-pip", another)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(bin, "gowsgi"), link); err != nil {
		t.Fatal(err)
	}
	path := "PATH=" + bin + ":" + os.Getenv("PATH")
	for name, o := range map[string]Options{
		"not activated":       {Binary: filepath.Join(bin, "gowsgi")},
		"activated":           {Through: []string{"env"}, Binary: "gowsgi", Env: []string{path, "VIRTUAL_ENV=" + venv}},
		"another activated":   {Binary: filepath.Join(bin, "gowsgi"), Env: []string{"VIRTUAL_ENV=" + another}},
		"by a symbolic link":  {Binary: link},
		"without environment": {Through: []string{"env", "-i"}, Binary: filepath.Join(bin, "gowsgi")},
	} {
		t.Run(name, func(t *testing.T) {
			o.App, o.Dir = "app", dir
			s := StartWith(t, o)
			want := strings.Join([]string{venv, filepath.Join(bin, "python"), module}, "\n") + "\n"
			if r := s.Ask("/"); r.Status != 200 || !strings.HasPrefix(r.Body, want) {
				t.Errorf("GET / = %s %q, want 200 and first %q", r.Line(), r.Body, want)
			}
			s.Stop()
		})
	}
	t.Run("brings no module", func(t *testing.T) {
		_, err := tryRun(nil, filepath.Join(bin, "python"), "-c", "import gowsgi")
		if err == nil || !strings.Contains(err.Error(), "No module named 'gowsgi'") {
			t.Errorf("import gowsgi by the virtualenv's python = %v, want ModuleNotFoundError", err)
		}
	})
	t.Run("fits this version only", func(t *testing.T) {
		for _, version := range []string{"3.8", "3.14"} {
			_, err := tryRun(pip, filepath.Join(bin, "python"), "-m", "pip", "install", "--only-binary=:all:",
				"--python-version", version, "--target", filepath.Join(dir, version), wheel)
			if err == nil || !strings.Contains(err.Error(), "not a supported wheel") {
				t.Errorf("pip install for Python %s = %v, want it refused", version, err)
			}
		}
	})
	t.Run("goes without a trace", func(t *testing.T) {
		if err := os.Remove(module); err != nil {
			t.Fatal(err)
		}
		mustRunWith(t, pip, filepath.Join(bin, "python"), "-m", "pip", "uninstall", "--yes", "gowsgi")
		left := slices.DeleteFunc(filesBelow(t, venv), func(name string) bool {
			return slices.Contains(before, name) || strings.HasSuffix(name, ".pyc")
		})
		if len(left) > 0 {
			t.Errorf("after pip uninstall there is still %q, want nothing", left)
		}
	})
}

// A virtualenv of the same version that another build of Python made: its
// extension modules are not those this gowsgi can load.
func TestWheel_RefusesTheVirtualenvOfAnotherBuild(t *testing.T) {
	dir := t.TempDir()
	venv, other := filepath.Join(dir, "venv"), filepath.Join(dir, "other", "bin")
	mustRun(t, embeddedPython(t), "-m", "venv", "--without-pip", "--copies", venv)
	if err := os.MkdirAll(other, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "python3"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(venv, "pyvenv.cfg")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{App: "hello", Env: []string{"VIRTUAL_ENV=" + venv}}
	StartWith(t, o).Stop()
	if err := os.WriteFile(config, append(text, "home = "+other+"\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, o, 6, venv, other, "-m venv", "make PYTHON=")
}
