// Command gowsgi serves a Python WSGI application.
//
//	gowsgi -w 4 -b 127.0.0.1:5000 wsgi:application
//
// One binary, three roles: started by a person it is the front, which listens
// and supervises; the front starts it once more as the zygote, which boots
// CPython; and the zygote forks the workers.
package main

import (
	"errors"
	"maps"
	"os"
	"runtime"
	"slices"

	"gowsgi/cmd/failure"
	"gowsgi/embed"
)

// The main goroutine keeps the process's main thread: in the zygote CPython
// has to live on it.
func init() { runtime.LockOSThread() }

func main() {
	if os.Getenv(embed.ZygoteVariable) != "" {
		os.Exit(embed.ZygoteMain())
	}
	os.Exit(reportExit(os.Stderr, run(os.Args[1:])))
}

// A command is what the first argument may be instead of an application.
type command struct {
	run   func(args []string) error
	usage string // what follows "gowsgi"
	help  string // one line, without a full stop
}

// commands by name. It is filled below: some of them tell about the others.
var commands map[string]command

func init() {
	commands = map[string]command{
		"dev":         {runDev, "dev [flags] [MODULE[:APP]]", "serve while the application is written: new code with each save, pages about failures"},
		"reload":      {runReload, "reload PID", "start the application anew in a running server; or gowsgi reload --pid FILE"},
		"check":       {runCheck, "check [flags] [MODULE[:APP]]", "as --check-config"},
		"healthcheck": {runHealthcheck, healthcheckUsage, "ask the running server whether it is ready: status 0 or 1"},
		"completion":  {runCompletion, "completion bash|zsh|fish", "print the completions for a shell"},
		"explain":     {runExplain, "explain [CODE]", "tell what the code of a failure means, its cause and what to do; without one, list them"},
		"man":         {runMan, "man", "print the manual page"},
		"migrate":     {runMigrate, "migrate FILE", "print the gowsgi.toml that says what a gunicorn.conf.py or uwsgi.ini says"},
	}
}

func commandNames() []string { return slices.Sorted(maps.Keys(commands)) }

func run(args []string) error {
	if len(args) > 0 && commands[args[0]].run != nil {
		return commands[args[0]].run(args[1:])
	}
	return serve(args, false)
}

// serve does what flags and an application ask for; develop: as gowsgi dev.
func serve(args []string, develop bool) error {
	keepDescriptors()
	dir, err := os.Getwd()
	if err != nil {
		return failure.Errorf(failure.Unexpected, "the folder gowsgi was started in: %w", err)
	}
	started := invocation{args, os.LookupEnv, dir, develop}
	settings, err := started.parse(os.Stdout, "(embeds Python "+embed.Version+" of "+embed.Interpreter+")")
	if err != nil {
		return err
	}
	if settings == nil {
		return nil // what was asked for has been printed
	}
	if settings.CheckOnly {
		return check(started, settings)
	}
	f, err := newFront(started, settings)
	if err != nil {
		return err
	}
	return errors.Join(f.serve(), f.close())
}
