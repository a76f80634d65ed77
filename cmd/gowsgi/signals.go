package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"gowsgi/cmd/failure"
	"gowsgi/wsgi/http1"
)

// signals is what the operator says by kill(1) and Ctrl-C.
type signals struct {
	// stops ask to stop. They have a channel of their own: what does not fit into
	// one is lost, and a script that sends SIGHUP in a loop could fill it.
	stops  chan os.Signal
	others chan os.Signal
	// missed came at a time when nothing could come of them yet, in order.
	missed []os.Signal
}

// listenForSignals takes over the signals that mean something to gowsgi.
//
// SIGPIPE is ignored, so that a log whose reader has gone is an error to deal
// with and not the end.
func listenForSignals() *signals {
	s := &signals{stops: make(chan os.Signal, 8), others: make(chan os.Signal, 8)}
	signal.Ignore(unix.SIGPIPE)
	signal.Notify(s.stops, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT)
	signal.Notify(s.others, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGTTIN, unix.SIGTTOU)
	return s
}

func (s *signals) stop() {
	signal.Stop(s.stops)
	signal.Stop(s.others)
}

// during calls stopped at each signal that asks to stop, until the function it
// returns is called. Other signals are kept for later.
func (s *signals) during(stopped func()) (end func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-s.stops:
				stopped()
			case got := <-s.others:
				s.miss(got)
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// miss keeps a signal for later: what a second one asks for again, once.
func (s *signals) miss(got os.Signal) {
	adds := got == unix.SIGTTIN || got == unix.SIGTTOU
	if adds || !slices.Contains(s.missed, got) {
		s.missed = append(s.missed, got)
	}
}

// watch serves until a signal says stop, or a listener or the pool is lost, or
// another gowsgi has taken the place of this one, which SIGUSR2 asks for.
//
// SIGTERM lets requests finish, for --graceful-timeout at most, after --drain-delay;
// SIGINT and SIGQUIT do not wait for them. A second signal of any of these makes a graceful stop
// quick, and a quick one immediate. SIGHUP reloads the application, SIGTTIN and
// SIGTTOU ask for a worker more or less, SIGUSR1 reopens the logs.
func (f *front) watch(signals *signals, failed <-chan error) error {
	for _, got := range signals.missed {
		f.obey(got)
	}
	signals.missed = nil
	for {
		select {
		case <-f.upgradeEnded():
			if f.endUpgrade() {
				return f.retire(signals)
			}
		case got := <-signals.others:
			f.obey(got)
		case got := <-signals.stops:
			f.log.Info("stopping", "signal", unix.SignalName(got.(unix.Signal)))
			f.leaving.Store(true)
			f.abortUpgrade(got.(unix.Signal))
			f.notify.Stopping("stopping: " + f.summary())
			if got == unix.SIGTERM {
				return f.serveOn(signals, failed)
			}
			return f.stopQuickly(signals)
		case err := <-failed:
			if errors.Is(err, http1.ErrClosed) {
				continue
			}
			return f.lostListener(signals, err)
		case <-f.pool.Finished():
			return errNoProcesses
		}
	}
}

// serveOn lets --drain-delay pass, and then stops gracefully. All the while new
// connections are served: whoever sends them learns from the probe for readiness
// that they should go elsewhere, and takes a while to look. Another SIGTERM ends the
// delay. Clients that keep connections would stay until these are closed, at a moment
// when a request can be on its way: they are asked to connect anew, as soon as they
// are answered.
func (f *front) serveOn(signals *signals, failed <-chan error) error {
	delay := f.settings().DrainDelay
	if delay == 0 {
		return f.stopGracefully(signals)
	}
	f.log.Info("serving on until load balancers have noticed (--drain-delay)", "for", delay)
	f.server.Part()
	f.redirect.Part()
	over := time.After(delay)
	for {
		select {
		case <-over:
			return f.stopGracefully(signals)
		case got := <-signals.stops:
			f.log.Info("stopping without further delay", "signal", unix.SignalName(got.(unix.Signal)))
			if got == unix.SIGTERM {
				return f.stopGracefully(signals)
			}
			return f.stopQuickly(signals)
		case got := <-signals.others:
			f.obey(got)
		case err := <-failed:
			if !errors.Is(err, http1.ErrClosed) {
				return f.lostListener(signals, err)
			}
		case <-f.pool.Finished():
			return errNoProcesses
		}
	}
}

// lostListener ends a server that can no longer be reached.
func (f *front) lostListener(signals *signals, err error) error {
	return errors.Join(failure.Errorf(failure.ListenerFailed, "a listener failed: %w", err), f.stopQuickly(signals))
}

var errNoProcesses = failure.Errorf(failure.PoolGone, "all worker processes are gone")

// obey does what a signal asks for that does not stop the server.
func (f *front) obey(s os.Signal) {
	switch s {
	case unix.SIGHUP:
		reload := f.orderReload()
		go func() { _ = reload() }() // it logs what became of it
	case unix.SIGUSR1:
		f.reopenLogs()
	case unix.SIGUSR2:
		f.beginUpgrade()
	case unix.SIGTTIN:
		f.pool.Resize(+1)
	case unix.SIGTTOU:
		f.pool.Resize(-1)
	}
}

// stopGracefully lets requests end, then Python shut down.
func (f *front) stopGracefully(signals *signals) error {
	return f.stopAfter(signals, f.shutdown)
}

// stopAfter stops once settle, which is to end every connection, has returned.
func (f *front) stopAfter(signals *signals, settle func(context.Context) error) error {
	f.endWatchdog()
	f.dev.stop()
	ctx, cancel := context.WithTimeout(context.Background(), f.settings().GracefulTimeout)
	defer cancel()
	end := signals.during(cancel)
	err := settle(ctx)
	if err == nil {
		err = f.pool.Stop(ctx)
	}
	end()
	if err == nil {
		f.log.Info("stopped")
		return nil
	}
	f.log.Warn("not everything ended in time; stopping quickly", failure.Key, failure.StoppedQuickly, "error", err)
	return f.stopQuickly(signals)
}

// stopQuickly ends connections at once and gives Python a moment.
func (f *front) stopQuickly(signals *signals) error {
	ctx, cancel := context.WithTimeout(context.Background(), quickTimeout)
	defer cancel()
	defer signals.during(cancel)()
	f.endWatchdog()
	f.dev.stop()
	f.server.Close()
	f.redirect.Close()
	if err := f.pool.Stop(ctx); err != nil {
		f.log.Warn("workers had to be killed", failure.Key, failure.StoppedQuickly, "error", err)
	}
	f.log.Info("stopped")
	return nil
}

// reopenLogs lets a log rotator have the old files.
func (f *front) reopenLogs() {
	if err := f.reopen(); err != nil {
		f.log.Error(fmt.Sprintf("cannot reopen a log, the old file is used on: %v", err), failure.Key, failure.LogNotReopened)
		return
	}
	f.log.Info("logs reopened", "at", time.Now().Format(time.RFC3339))
}

func (f *front) reopen() error {
	err := f.errors.Reopen()
	if f.access != nil {
		err = errors.Join(err, f.access.Reopen())
	}
	return err
}
