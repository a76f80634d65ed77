package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"gowsgi/cmd/failure"
)

func TestGunicorn_ItsCommandLineIsUnderstood(t *testing.T) {
	s := in(t, "-k gthread --threads 4 -w2 -b :1 --worker-tmp-dir /dev/shm --log-file e.log --reuse-port -R a:b --keep-alive 3 --worker-connections=9", variables()).mustParse(t)
	if s.Threads != 4 || s.Workers != 2 || s.ErrorLogfile != "e.log" || s.App != (AppSpec{"a", "b"}) {
		t.Errorf("settings = %+v, want those of the line", s)
	}
	var named []string
	for _, w := range s.Warnings {
		name, _, _ := strings.Cut(w, " ")
		named = append(named, name)
	}
	if want := []string{"--worker-tmp-dir", "--reuse-port", "--enable-stdio-inheritance", "--worker-connections"}; !slices.Equal(named, want) {
		t.Errorf("warned of %q, want of %q", named, want)
	}
	for _, class := range []string{"-ksync", "--worker-class=gunicorn.workers.gthread.ThreadWorker"} {
		if s := in(t, class+" a", variables()).mustParse(t); len(s.Warnings) > 0 {
			t.Errorf("%s: warnings %q, want none", class, s.Warnings)
		}
	}
}

func TestGunicorn_WhatCannotBeDoneIsRefused(t *testing.T) {
	for args, want := range map[string]string{
		"a -k gevent":                        `--worker-class "gevent": gowsgi's workers are processes with threads`,
		"a -k eventlet":                      `--worker-class "eventlet": gowsgi's workers`,
		"a -k uvicorn.workers.UvicornWorker": `serves ASGI applications`,
		"a -D":                               "--daemon is gunicorn's, not gowsgi's: gowsgi stays in the foreground",
		"a --log-config x":                   "--log-config is gunicorn's",
		"a --paste x.ini":                    "--paste is gunicorn's",
		"a -k":                               "-k: no value given",
		"a --spew":                           "--spew is gunicorn's",
	} {
		_, err := in(t, args, variables()).parse(&bytes.Buffer{}, "")
		if err == nil || !strings.Contains(err.Error(), want) || exitCode(err) != failure.ExitUsage {
			t.Errorf("gowsgi %s: %v, want %q", args, err, want)
		}
	}
}

func TestGunicorn_ArgumentsInTheVariable(t *testing.T) {
	s := in(t, "", variables("GUNICORN_CMD_ARGS", `--bind=127.0.0.1:1 -b ':2' --name "my \"shop\"" --worker-tmp-dir /dev/shm app:create\(\)`)).mustParse(t)
	if len(s.Binds) != 2 || s.Name != `my "shop"` || s.App.Object != "create()" {
		t.Errorf("settings = %+v, want those of the variable", s)
	}
	if want := "GUNICORN_CMD_ARGS: --worker-tmp-dir changes nothing"; len(s.Warnings) != 1 || !strings.HasPrefix(s.Warnings[0], want) {
		t.Errorf("warnings = %q, want %q", s.Warnings, want)
	}
	for text, want := range map[string]string{
		"--workers four":      `GUNICORN_CMD_ARGS: --workers "four": not a whole number`,
		"--wrokers 4":         `GUNICORN_CMD_ARGS: no flag --wrokers; did you mean --workers?`,
		"-k tornado":          `GUNICORN_CMD_ARGS: --worker-class "tornado"`,
		"--name 'x":           `GUNICORN_CMD_ARGS: the quote ' is not closed`,
		`--name x\`:           `GUNICORN_CMD_ARGS: it ends with a backslash`,
		"--help":              `GUNICORN_CMD_ARGS: --help belongs on the command line`,
		"-c gunicorn.conf.py": `GUNICORN_CMD_ARGS: --config "gunicorn.conf.py": a configuration of gunicorn`,
		"a b":                 `GUNICORN_CMD_ARGS: unexpected argument "b"`,
	} {
		_, err := in(t, "a", variables("GUNICORN_CMD_ARGS", text)).parse(&bytes.Buffer{}, "")
		if err == nil || !strings.HasPrefix(err.Error(), want) || exitCode(err) != failure.ExitUsage {
			t.Errorf("GUNICORN_CMD_ARGS=%s: %v, want %q", text, err, want)
		}
	}
}

// A flag that has become a setting of gowsgi's must not be answered as a stranger.
func TestGunicorn_StrangeFlagsAreNoSettings(t *testing.T) {
	for i := range strangeFlags {
		s := &strangeFlags[i]
		if findSetting("--"+s.name) != nil || s.short != "" && findSetting("-"+s.short) != nil {
			t.Errorf("--%s is a setting of gowsgi's, want it out of strangeFlags", s.name)
		}
		if n := len(s.needless) + len(s.refusal); (n == 0) == (s.judge == nil) {
			t.Errorf("--%s has needless %q, refusal %q and judge %t, want one of them", s.name, s.needless, s.refusal, s.judge != nil)
		}
	}
}
