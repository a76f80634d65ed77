package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Each file in testdata/migrate has what is made of it beside it, in a file of the
// same name with .toml behind; go test -run TestMigrate -update writes those.
func TestMigrate_WritesWhatTheFileSays(t *testing.T) {
	paths, err := filepath.Glob("testdata/migrate/*")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, path := range paths {
		if filepath.Ext(path) == ".toml" {
			continue
		}
		seen[filepath.Ext(path)] = true
		m, err := migrators[filepath.Ext(path)](path)
		if err != nil {
			t.Errorf("migrate %s: %v", path, err)
			continue
		}
		var got bytes.Buffer
		if err := m.write(&got); err != nil {
			t.Errorf("migrate %s: %v", path, err)
			continue
		}
		if *update {
			if err := os.WriteFile(path+".toml", got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path + ".toml")
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("migrate %s =\n%s\nwant\n%s", path, got.String(), want)
		}
		in(t, "app", variables(), ownFile, got.String()).mustParse(t)
	}
	for ending := range migrators {
		if ending != ".yml" && !seen[ending] {
			t.Errorf("testdata/migrate has no file *%s", ending)
		}
	}
}

func migrated1(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := migrators[filepath.Ext(name)](path)
	if err != nil {
		return err.Error()
	}
	var out bytes.Buffer
	if err := m.write(&out); err != nil {
		t.Errorf("migrate %q: %v", text, err)
	}
	return out.String()
}

// Nothing of a gunicorn.conf.py runs, whatever it holds.
func TestMigrate_RunsNothing(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	text := "import os\nopen('" + mark + "', 'w')\nos.system('touch " + mark + "')\n" +
		"workers = len(os.popen('touch " + mark + "').read())\nthreads = int.__class__.__base__.__subclasses__()[0]\n" +
		"name = 'x'\nproc_name = '{0.__class__}'.format(name)\nbacklog = 9 * 'x' * 99999999\ntimeout = 9 ** 9 ** 9 ** 9\n"
	got := migrated1(t, "gunicorn.conf.py", text)
	if _, err := os.Stat(mark); err == nil {
		t.Error("the program has run, want it read only")
	}
	for _, key := range []string{"\nworkers =", "\nthreads =", "\nbacklog =", "\ntimeout ="} {
		if strings.Contains(got, key) {
			t.Errorf("migrate made up %q:\n%s", key, got)
		}
	}
}

// No text of the file can become a setting by breaking out of a comment or string.
func TestMigrate_KeepsTextsInTheirPlace(t *testing.T) {
	for name, text := range map[string]string{
		"gunicorn.conf.py": "proc_name = 'a\"\\nworkers = 9 # \\x00\\u2028'\nraw_env = ['A=\\n\"\"\"b']\nif x == '\\nworkers = 9':\n    pass\n",
		"uwsgi.ini":        "[uwsgi]\nprocname = a\" # b\rworkers = 9\nunknown\vkey = \\u000aworkers = 9\n",
		"uwsgi.json":       `{"uwsgi": {"odd\nworkers = 9": "x\nworkers = 9", "procname": "\u0000\nworkers = 9"}}`,
	} {
		got := migrated1(t, name, text)
		file, err := readConfigFile(ownFile, []byte(got))
		if _, given := file.sayings["workers"]; err != nil || given {
			t.Errorf("migrate %q: %v, workers given: %t, want none:\n%s", text, err, given, got)
		}
	}
}

func TestMigrate_SaysWhatIsWrongWithTheFile(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"gunicorn.conf.py", "bind = [\n", "gunicorn.conf.py:1: "},
		{"uwsgi.ini", "[other]\nx = 1\n", "no options for uWSGI"},
		{"uwsgi.xml", "<uwsgi><a></uwsgi>", "XML syntax error"},
		{"uwsgi.json", "[]", "uwsgi.json: "},
		{"uwsgi.json", `{"uwsgi": 3}`, "no object uwsgi"},
		{"uwsgi.yaml", "uwsgi:\n  word\n", `line 2: "word" is neither`},
	} {
		if got := migrated1(t, c.name, c.text); !strings.Contains(got, c.want) {
			t.Errorf("migrate %s %q = %q, want %q", c.name, c.text, got, c.want)
		}
	}
}

func TestMigrate_ReplacesPlaceholders(t *testing.T) {
	t.Setenv("GOWSGI_TEST_NAME", "env")
	got := migrated1(t, "shop.ini", "[uwsgi]\nset-ph = user=ann\na = %(user)/%n\nprocname = %(a).%e $(GOWSGI_TEST_NAME) 100%%\nthreads = %k\n")
	for _, want := range []string{`name = "ann/shop.ini env 100%"`, fmt.Sprintf("threads = %d ", runtime.NumCPU())} {
		if !strings.Contains(got, want) {
			t.Errorf("migrate = %s, want %s", got, want)
		}
	}
	if strings.Contains(got, "nothing like it") {
		t.Errorf("migrate = %s, want no word of placeholders", got)
	}
}

// Placeholders that hold placeholders double with each line.
func TestMigrate_BoundsWhatPlaceholdersGrowTo(t *testing.T) {
	text := "[uwsgi]\na = 0123456789\n" + strings.Repeat("a = %(a)%(a)\n", 64) + "procname = %(a)\n"
	if got := migrated1(t, "uwsgi.ini", text); len(got) > 4*longestOption {
		t.Errorf("migrate gives %d bytes, want it bounded", len(got))
	}
}
