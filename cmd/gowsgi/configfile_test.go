package main

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gowsgi/cmd/failure"
)

// in makes a folder with files, given as names and contents, and the invocation of
// gowsgi in it.
func in(t *testing.T, args string, lookup func(string) (string, bool), files ...string) invocation {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return invocation{strings.Fields(args), lookup, dir, false}
}

func (i invocation) mustParse(t *testing.T) *Settings {
	t.Helper()
	settings, err := i.parse(&bytes.Buffer{}, "")
	if err != nil || settings == nil {
		t.Fatalf("parse(%q) = %v, %v, want settings", i.args, settings, err)
	}
	return settings
}

const everyType = `
app = "shop.wsgi"       # the application
workers = 3
keep_alive = "1m30s"
timeout = 2.5
max-body-size = "2GiB"
limit-request-line = "16K"
preload = true
bind = [":1", "unix:/x,:2"]
pythonpath = "a:b"
umask = "027"
log-level = "warning"
[env]
B = "2"
A = "1 2"
`

func TestConfigFile_HoldsEveryTypeOfValue(t *testing.T) {
	got := in(t, "", variables(), ownFile, everyType).mustParse(t)
	mask := 0o027
	want := []any{
		AppSpec{"shop.wsgi", "application"}, 3, 90 * time.Second, 2500 * time.Millisecond, int64(2) << 30, 16 << 10, true,
		[]Bind{{Port: 1}, {Path: "/x"}, {Port: 2}}, []string{"a", "b"}, &mask, slog.LevelWarn, []string{"A=1 2", "B=2"},
	}
	values := []any{
		got.App, got.Workers, got.KeepAlive, got.Timeout, got.MaxBodySize, got.LimitRequestLine, got.Preload,
		got.Binds, got.PythonPath, got.Umask, got.LogLevel, got.Env,
	}
	if !reflect.DeepEqual(values, want) {
		t.Errorf("settings from %s = %+v, want %+v", ownFile, values, want)
	}
	for name, want := range map[string]string{"workers": "gowsgi.toml:3: workers", "keep-alive": "gowsgi.toml:4: keep-alive", "env": "gowsgi.toml:13: env", "threads": byDefault} {
		if got.Origins[name] != want {
			t.Errorf("origin of %s = %q, want %q", name, got.Origins[name], want)
		}
	}
}

func TestConfigFile_IsFoundWhereItIs(t *testing.T) {
	const project = "[project]\nname = 'x'\n\n[tool.gowsgi]\nworkers = 5\n"
	for _, c := range []struct {
		args, why string
		lookup    func(string) (string, bool)
		files     []string
		workers   int
		origin    string
	}{
		{"a", "none", variables(), nil, 1, byDefault},
		{"a", "the project's", variables(), []string{projectFile, project}, 5, "pyproject.toml:5: workers"},
		{"a", "inline", variables(), []string{projectFile, "\n[tool]\ngowsgi = {workers = 4}\n"}, 4, "pyproject.toml:3: workers"},
		{"a", "dotted", variables(), []string{projectFile, "tool.gowsgi.workers = 4\n"}, 4, "pyproject.toml:1: workers"},
		{"a", "another's project", variables(), []string{projectFile, "[project]\ndependencies = ['gowsgi', 'tool']\n"}, 1, byDefault},
		{"a", "a broken project of others", variables(), []string{projectFile, "[project"}, 1, byDefault},
		{"a", "its own wins", variables(), []string{projectFile, project, ownFile, "workers = 6"}, 6, "gowsgi.toml:1: workers"},
		{"a -c other.toml", "asked for", variables(), []string{ownFile, "workers = 6", "other.toml", "workers = 7"}, 7, "other.toml:1: workers"},
		{"a", "asked for by a variable", variables("GOWSGI_CONFIG", "o.toml"), []string{"o.toml", "workers = 7"}, 7, "o.toml:1: workers"},
		{"a -c /dev/null", "none wanted", variables(), []string{ownFile, "workers = 6"}, 1, byDefault},
	} {
		s := in(t, c.args, c.lookup, c.files...).mustParse(t)
		if s.Workers != c.workers || s.Origins["workers"] != c.origin {
			t.Errorf("%s: %d workers from %q, want %d from %q", c.why, s.Workers, s.Origins["workers"], c.workers, c.origin)
		}
	}
}

func TestSources_TheNearestCounts(t *testing.T) {
	file := []string{ownFile, "app = 'from.file'\nworkers = 3\nthreads = 3\nbacklog = 3\nmax-queue = 3\n"}
	lookup := variables("GOWSGI_THREADS", "4", "GUNICORN_CMD_ARGS", "--threads 5 --backlog 5", "WEB_CONCURRENCY", "6", "PORT", "6", "GOWSGI_APP", "from.variable")
	s := in(t, "--max-queue 7", lookup, file...).mustParse(t)
	got := []any{s.Workers, s.Threads, s.Backlog, s.MaxQueue, s.Binds[0].Port, s.App.Module}
	want := []any{3, 4, 5, 7, 6, "from.variable"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("workers, threads, backlog, max-queue, port, app = %v, want %v", got, want)
	}
	if app := in(t, "from.line", lookup, file...).mustParse(t).App.Module; app != "from.line" {
		t.Errorf("application = %s, want from.line", app)
	}
}

func TestConfigFile_SaysWhereItIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"\nwrokers = 3":                     `gowsgi.toml:2: no setting "wrokers"; did you mean "workers"?`,
		"aplication = 3":                    `gowsgi.toml:1: no setting "aplication"; gowsgi --help lists them`,
		"ap = 'x'":                          `gowsgi.toml:1: no setting "ap"; did you mean "app"?`,
		"preload_app = true":                `gowsgi.toml:1: no setting "preload_app"; did you mean "preload"?`,
		"[[workers]]\nx = 1":                `gowsgi.toml:1: workers: an array is given, want a single value`,
		"'wor\"kers'.x = 1":                 `gowsgi.toml:1: no setting "wor\"kers"`,
		"xyzzy = 3":                         `gowsgi.toml:1: no setting "xyzzy"; gowsgi --help lists them`,
		"[workers]\nmax = 3":                `gowsgi.toml:1: workers: a table is given, want a number, without quotes`,
		"workers = '3'":                     `gowsgi.toml:1: workers: "3" is a string, want a number, without quotes`,
		"workers = 3.0":                     `gowsgi.toml:1: workers: a number with a fraction is given, want a number, without quotes`,
		"workers = [3]":                     `gowsgi.toml:1: workers: an array is given, want a single value`,
		"preload = 'yes'":                   `gowsgi.toml:1: preload: "yes" is a string, want true or false, without quotes`,
		"timeout = true":                    `gowsgi.toml:1: timeout: a boolean is given, want a number, or a string with a unit`,
		"timeout = 'soon'":                  `gowsgi.toml:1: timeout "soon": not a duration (want seconds, or a form like 1m30s or 500ms)`,
		"bind = [8000]":                     `gowsgi.toml:1: bind: a whole number is given, want a string, or an array of strings`,
		"chdir = 2020-01-01":                `gowsgi.toml:1: chdir: a date or a time is given, want a string`,
		"[env]\nA = 1":                      `gowsgi.toml:1: env: A is a whole number, want a string`,
		"max-queue = 1\n\nmax_queue = 2":    `gowsgi.toml:3: max-queue is given twice, see gowsgi.toml:1: max-queue`,
		"workers = 1\nworkers = 2":          `gowsgi.toml:2: not TOML at column 1: `,
		"config = 'x'":                      `gowsgi.toml:1: config: a configuration file cannot name another`,
		"workers = 0\n":                     `gowsgi.toml:1: workers "0": out of range (want 1 to 1024)`,
		"workers = 3\n\nmax_workers = 2":    `at least 3 workers (gowsgi.toml:1: workers) and at most 2 (gowsgi.toml:3: max-workers)`,
		"bind = []":                         `gowsgi.toml:1: bind: no address given`,
		"env-file = 'none.env'":             `gowsgi.toml:1: env-file: open `,
		"limit-request-line = '2M'\nx = 1":  `gowsgi.toml:2: no setting "x"`,
		"limit-request-field_size = '2GiB'": `gowsgi.toml:1: limit-request-field-size "2GiB": out of range (want 64 to 1048576 bytes)`,
	} {
		_, err := in(t, "", variables("GUNICORN_CMD_ARGS", "other"), ownFile, text).parse(&bytes.Buffer{}, "")
		if err == nil || !strings.Contains(err.Error(), want) || exitCode(err) != failure.ExitUsage {
			t.Errorf("%q: error = %v (code %d), want %q (code 2)", text, err, exitCode(err), want)
		}
	}
}

func TestConfigFile_RefusesWhatItCannotRead(t *testing.T) {
	for args, want := range map[string]string{
		"a -c none.toml":                  "--config: open ",
		"a -c gunicorn.conf.py":           "gowsgi migrate gunicorn.conf.py",
		"a --config=python:shop.gunicorn": "gowsgi migrate shop.gunicorn",
	} {
		_, err := in(t, args, variables()).parse(&bytes.Buffer{}, "")
		if err == nil || !strings.Contains(err.Error(), want) || exitCode(err) != failure.ExitUsage {
			t.Errorf("gowsgi %s: error = %v, want %q", args, err, want)
		}
	}
}

// What --print-config prints, read as a configuration file, says the same.
func TestPrintConfig_CanBeReadAgain(t *testing.T) {
	i := in(t, "--threads 2 -e Q=\"\\ü --max-workers 9", variables("GOWSGI_NAME", "a\tb\x01"), ownFile, everyType)
	settings := i.mustParse(t)
	var out bytes.Buffer
	if shown, err := (invocation{append(slices.Clone(i.args), printFlag), i.lookup, i.dir, false}).parse(&out, ""); shown != nil || err != nil {
		t.Fatalf("parse(%s) = %v, %v, want nothing to run", printFlag, shown, err)
	}
	for _, want := range []string{`workers = 3 `, "# gowsgi.toml:3\n", "# --threads\n", "# GOWSGI_NAME\n", "# default\n", "# not set\n", `app = "shop.wsgi" `} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s lacks %q:\n%s", printFlag, want, out.String())
		}
	}
	again := in(t, "", variables(), ownFile, out.String()).mustParse(t)
	for _, s := range []*Settings{settings, again} {
		s.said, s.Origins = nil, nil
	}
	if !reflect.DeepEqual(again, settings) {
		t.Errorf("read again: %+v, want %+v", again, settings)
	}
}

func TestReload_TellsWhatNeedsARestart(t *testing.T) {
	i := in(t, "", variables(), ownFile, "app = 'a'\nworkers = 2\nbind = ':1'\ntimeout = 5\n")
	before := i.mustParse(t)
	if err := os.WriteFile(i.path(ownFile), []byte("app = 'b'\nworkers = 3\nbind = ':2'\nlimit-request-line = 16000\ntimeout = 5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	f := &front{started: i, log: slog.New(slog.NewTextHandler(&log, nil))}
	f.roomiest = f.environSize(before)
	f.current.Store(before)
	next, err := f.settingsAnew()
	if err != nil {
		t.Fatalf("settingsAnew() = %v", err)
	}
	got := []any{next.App.Module, next.Workers, next.Binds[0].Port, next.LimitRequestLine}
	if want := []any{"b", 3, 1, 8190}; !reflect.DeepEqual(got, want) {
		t.Errorf("app, workers, port, limit-request-line = %v, want %v", got, want)
	}
	if !strings.Contains(log.String(), `settings="bind, limit-request-line"`) {
		t.Errorf("log = %q, want it to name bind and limit-request-line", log.String())
	}
	if changed := before.said.changes(next.said, flagNames()...); !slices.Equal(changed, []string{"workers"}) {
		t.Errorf("changes = %q, want workers", changed)
	}
}

// What docs/configuration.md shows works as it says.
func TestConfiguration_TheExamplesWork(t *testing.T) {
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	example := func(language string) string {
		_, after, found := strings.Cut(string(text), "```"+language+"\n")
		block, _, closed := strings.Cut(after, "```")
		if !found || !closed {
			t.Fatalf("docs/configuration.md has no block of %s", language)
		}
		return block
	}
	s := in(t, "", variables("DB_HOST", "db"), ownFile, example("toml"), ".env", example("sh")).mustParse(t)
	got := []any{s.App.String(), s.Workers, len(s.Binds), s.Timeout, s.MaxBodySize, s.Preload, s.Env}
	want := []any{"shop.wsgi:application", 4, 2, 90 * time.Second, int64(10) << 20, true, []string{"DJANGO_SETTINGS_MODULE=shop.settings"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the example of gowsgi.toml = %v, want %v", got, want)
	}
	variables := []string{
		"DEBUG=off", `KEY=as it is, ${NAME} and \n too`, "NAME=two words",
		"TEXT=escapes: \n \t \" $ \\, and quotes may\nspan lines", "URL=postgres://shop@db/shop",
	}
	if !slices.Equal(s.FileEnv, variables) {
		t.Errorf("the example of .env = %q, want %q", s.FileEnv, variables)
	}
}

// A reader of files must not fall over any text: it is an error or a setting.
func FuzzConfiguration(f *testing.F) {
	f.Add(everyType)
	f.Add("tool.gowsgi = {workers = 3}\n[a]\n'b' = 1979-05-27\n[[c]]\n")
	f.Add("export A='b'\nC=\"${A:-x}\\n\"\n# d")
	f.Add(`-w 4 --bind ":1 a'b' \\ `)
	f.Add("[uwsgi]\nsocket = %(a)%k$(HOME)\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range []string{ownFile, projectFile} {
			file, err := readConfigFile(name, []byte(text))
			for key, said := range file.sayings {
				if err == nil && !strings.HasPrefix(said.origin, name+":") {
					t.Errorf("%s comes from %q, want a line of %s", key, said.origin, name)
				}
			}
		}
		values := map[string]string{}
		if parseEnvFile(".env", text, values, variables()) == nil {
			for name, value := range values {
				if _, err := parseVariable(name + "=" + value); err != nil {
					t.Errorf("variable %q=%q: %v", name, value, err)
				}
			}
		}
		_, _ = shellWords(text)
		m := newMigration("x.ini")
		for _, o := range iniOptions(text) {
			(&uwsgi{migration: m}).take(&o, false)
		}
		if err := m.write(io.Discard); err != nil {
			t.Errorf("migrate %q: %v", text, err)
		}
	})
}
