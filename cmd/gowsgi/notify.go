package main

// What systemd is told about this service, see sd_notify(3). Where nobody wants
// to know, all of it does nothing.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"gowsgi/cmd/failure"
)

// notifyPatience is how long a message may take: nothing but a manager that
// hangs makes it wait at all, and then serving goes on without.
const notifyPatience = time.Second

// notifier tells the service manager. Its methods may be called at the same time
// from several goroutines; those who need an order call them from one.
type notifier struct {
	log        *slog.Logger
	wanted     bool          // $NOTIFY_SOCKET is set
	turn       chan struct{} // held while a message is sent: one at a time
	silent     atomic.Bool   // another process speaks for the service
	complained atomic.Bool   // the last message failed, and that was logged
}

func newNotifier(log *slog.Logger) *notifier {
	return &notifier{log: log, wanted: os.Getenv("NOTIFY_SOCKET") != "", turn: make(chan struct{}, 1)}
}

// Silence keeps everything from being sent until Speak: systemd listens to the
// main process of a service alone, and this one is not.
func (n *notifier) Silence() { n.silent.Store(true) }

// Speak ends Silence.
func (n *notifier) Speak() { n.silent.Store(false) }

// Ready says that the service serves, after a start and after every Reloading.
func (n *notifier) Ready(status string) {
	n.send(daemon.SdNotifyReady, statusLine(status))
}

// Reloading says that what is served is about to change. Ready has to follow,
// whether the change succeeded or not.
func (n *notifier) Reloading(status string) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		n.complain(err)
		return
	}
	// The time lets systemd tell an answer to its own request from an older one.
	n.send(daemon.SdNotifyReloading, fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000), statusLine(status))
}

// Stopping says that the service ends, for good.
func (n *notifier) Stopping(status string) {
	n.send(daemon.SdNotifyStopping, statusLine(status))
}

// Status sets the line that `systemctl status` shows.
func (n *notifier) Status(status string) { n.send(statusLine(status)) }

// Watchdog says that all is well, which has to be said in every WatchdogSec=.
func (n *notifier) Watchdog() { n.send(daemon.SdNotifyWatchdog) }

// HandOver makes pid the main process of the service, and silences this one.
func (n *notifier) HandOver(pid int) {
	n.send(fmt.Sprintf("MAINPID=%d", pid))
	n.Silence()
}

func statusLine(status string) string {
	return "STATUS=" + strings.ReplaceAll(status, "\n", " ")
}

func (n *notifier) send(lines ...string) {
	if !n.wanted || n.silent.Load() {
		return
	}
	patience := time.After(notifyPatience)
	select {
	case n.turn <- struct{}{}:
	case <-patience:
		n.complain(errUntaken)
		return
	}
	sent := make(chan error, 1)
	go func() {
		_, err := daemon.SdNotify(false, strings.Join(lines, "\n"))
		<-n.turn
		sent <- err
	}()
	select {
	case err := <-sent:
		n.complain(err)
	case <-patience:
		// It waits on, alone: what is said meanwhile does not get its turn.
		n.complain(errUntaken)
	}
}

var errUntaken = errors.New("it takes no message")

// complain logs the first of several failures in a row.
func (n *notifier) complain(err error) {
	if err == nil {
		n.complained.Store(false)
	} else if !n.complained.Swap(true) {
		n.log.Warn("cannot notify the service manager", failure.Key, failure.ManagerUnreachable, "socket", os.Getenv("NOTIFY_SOCKET"), "error", err)
	}
}

// managerVariables are between the service manager and the front.
var managerVariables = []string{
	"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC",
	"LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "LISTEN_PIDFDID",
}

// withoutVariables gives an environment without the variables named.
func withoutVariables(environment []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(environment), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains(names, name)
	})
}

// keepWatchdog says until ctx ends, twice in every WatchdogSec=, that the front
// is well, when it is. It returns at once where systemd does not ask.
func (f *front) keepWatchdog(ctx context.Context) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		f.log.Warn("the watchdog of the service manager cannot be served", failure.Key, failure.ManagerUnreachable, "error", err)
	}
	if interval == 0 || !f.notify.wanted {
		return
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for {
		if err := f.health(ctx, interval/4); err == nil {
			f.notify.Watchdog()
		} else if ctx.Err() == nil {
			f.log.Error("the front is not well; the service manager will end it", failure.Key, failure.NotWell, "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
