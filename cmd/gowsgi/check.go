package main

// gowsgi check: does the application start? Everything is done as for serving but
// what a running server of the same configuration would mind: no address is
// listened on, no log or pid file is written.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"gowsgi/cmd/failure"
	"gowsgi/embed"
)

func runCheck(args []string) error { return serve(append([]string{checkFlag}, args...), false) }

// check imports the application in one worker, and says on standard output that
// it can be served. The error carries the exit code that a start would have.
func check(started invocation, settings *Settings) error {
	said := settings.said.with(sayings{
		"workers": {checkFlag, []string{"1"}}, "min-workers": {checkFlag, []string{"1"}}, "max-workers": {checkFlag, []string{"1"}},
		"error-logfile": {checkFlag, []string{"-"}},
	}, []string{"workers", "min-workers", "max-workers", "error-logfile"})
	one, err := said.settings()
	if err != nil {
		return err
	}
	one.FileEnv, one.LogLevel = settings.FileEnv, max(settings.LogLevel, slog.LevelWarn)
	launched, err := recordLaunch()
	if err != nil {
		return failure.Errorf(failure.Unexpected, "cannot tell how gowsgi was started: %w", err)
	}
	f := &front{started: started, launch: launched, signals: listenForSignals()}
	f.current.Store(one)
	return errors.Join(f.check(settings), f.close())
}

func (f *front) check(settings *Settings) error {
	defer f.signals.stop()
	if err := f.settle(); err != nil {
		return err
	}
	var err error
	if f.errors, err = openErrorLog("-", f.settings().LogLevel); err != nil {
		return err
	}
	f.log = f.errors.Logger()
	for _, warning := range settings.Warnings {
		f.log.Warn(warning, failure.Key, failure.DoubtfulSetting)
	}
	if err := f.openNamed(); err != nil {
		return err
	}
	pool, err := f.startPool(f.signals)
	switch {
	case err != nil:
		return err
	case pool == nil:
		return failure.Errorf(failure.CannotServe, "stopped before the application was loaded")
	}
	ctx, cancel := context.WithTimeout(context.Background(), f.settings().GracefulTimeout)
	defer cancel()
	if err := pool.Stop(ctx); err != nil {
		f.log.Warn("the worker had to be killed", failure.Key, failure.StoppedQuickly, "error", err)
	}
	_, err = fmt.Fprintf(os.Stdout, "%s can be served by Python %s: workers: %d, threads: %d\n",
		settings.App, embed.Version, settings.Workers, settings.Threads)
	return err
}
