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
	"os"
	"runtime"

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

// commands are what the first argument may be instead of an application.
var commands = map[string]func(args []string) error{
	"reload": runReload,
}

func run(args []string) error {
	if len(args) > 0 && commands[args[0]] != nil {
		return commands[args[0]](args[1:])
	}
	keepDescriptors()
	settings, err := parseCommandLine(args, os.LookupEnv, os.Stdout, "(embeds Python "+embed.Version+")")
	if err != nil {
		return err
	}
	if settings == nil {
		return nil // --help or --version has been printed
	}
	f, err := newFront(settings, args)
	if err != nil {
		return err
	}
	return errors.Join(f.serve(), f.close())
}
