package main

// Reload: the front's side, and the command that asks for it.

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"gowsgi/cmd/failure"
	"gowsgi/workers"
	"gowsgi/wsgi"
)

// reload brings up new workers with the application's code as it is now, and
// logs what became of it. The configuration is read again, and what a running
// server can change is in force once the new workers serve. On error the old ones
// serve on, by the old settings. It may be called while another reload is under
// way, which is then given up.
func (f *front) reload() error { return f.orderReload()() }

// reloads keeps them in the order in which they were asked for.
type reloads struct {
	ordered atomic.Uint64
	mu      sync.Mutex
	begun   uint64 // the latest, and of those that brought new workers up
	adopted uint64
}

// orderReload takes its turn now for the reload that it returns: one that was asked
// for earlier takes nothing from it, however late it gets to run.
func (f *front) orderReload() (reload func() error) {
	if f.dev != nil {
		return f.dev.reload
	}
	turn := f.reloads.ordered.Add(1)
	return func() error { return f.reloadInTurn(turn) }
}

func (f *front) reloadInTurn(turn uint64) error {
	f.log.Info("reloading", "application", f.settings().App.String())
	f.notify.Reloading("reloading: " + f.summary())
	began := time.Now()
	next, wait, err := f.beginReload(turn)
	if err == nil {
		err = wait()
	}
	var boot *workers.BootError
	switch {
	case err == nil:
		f.adopt(next, turn)
		f.log.Info("reloaded: new workers serve, the old ones finish", "after", time.Since(began).Round(time.Millisecond))
		f.notify.Ready(f.summary())
	case errors.Is(err, wsgi.ErrStopped):
	case errors.Is(err, workers.ErrSuperseded):
		f.log.Info("reload given up: another one has begun")
	case errors.Is(err, errNotUnderstood):
		f.log.Error("reload failed; the old workers serve on", failure.Key, failure.Of(err, failure.ReloadFailed), "reason", err)
		f.notify.Ready(f.summary() + "; a reload failed: " + err.Error())
		return &exitError{failure.ExitUsage, failure.Errorf(failure.ReloadFailed, "%w; the old workers serve on", err)}
	case errors.As(err, &boot):
		why := bootReason(boot)
		f.log.Error("reload failed; the old workers serve on", failure.Key, bootFailure(boot, failure.ReloadFailed), "reason", why)
		f.notify.Ready(f.summary() + "; a reload failed: " + why)
		return &exitError{bootExit(boot), failure.Errorf(bootFailure(boot, failure.ReloadFailed), "%s; the old workers serve on, the error log says more", why)}
	default:
		f.log.Error("reload failed; the old workers serve on", failure.Key, failure.Of(err, failure.ReloadFailed), "error", err)
		f.notify.Ready(f.summary() + "; a reload failed")
	}
	return err
}

// errNotUnderstood is in the chain of what is wrong with a configuration.
var errNotUnderstood = errors.New("configuration")

// beginReload has the new workers started, unless a later reload has begun.
func (f *front) beginReload(turn uint64) (next *Settings, wait func() error, err error) {
	f.reloads.mu.Lock()
	defer f.reloads.mu.Unlock()
	if turn < f.reloads.begun {
		return nil, nil, workers.ErrSuperseded
	}
	f.reloads.begun = turn
	f.reloadCertificates()
	if next, err = f.settingsAnew(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errNotUnderstood, err)
	}
	plan, err := f.plan(next)
	if err != nil {
		return nil, nil, err
	}
	return next, f.pool.BeginReload(plan), nil
}

// bootReason is why new workers cannot serve, as briefly as it can be said.
func bootReason(boot *workers.BootError) string {
	switch boot.Code {
	case failure.ExitImport:
		return "the application cannot be imported"
	case failure.ExitApplication:
		return "the module is there, but not the application in it"
	case failure.ExitInterpreter:
		return "Python cannot start"
	}
	return boot.Reason
}

// commandsAddress is where the front with this process id answers commands: an
// abstract unix socket, which leaves no file behind and needs no permissions on
// a folder; unix(7).
func commandsAddress(pid int) *net.UnixAddr {
	return &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("@gowsgi/%d", pid)}
}

// answerCommands serves `gowsgi reload` until the function it returns is
// called. A front that cannot be talked to still serves.
func (f *front) answerCommands() (stop func()) {
	l, err := net.ListenUnix("unix", commandsAddress(os.Getpid()))
	if err != nil {
		f.log.Warn("commands like gowsgi reload will not reach this server; signals do", failure.Key, failure.CommandsDisabled, "error", err)
		return func() {}
	}
	go func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return // closed
			}
			go f.answerCommand(c)
		}
	}()
	return func() { _ = l.Close() }
}

// commandPatience bounds how long a client may take to say what it wants, and
// to take the answer.
const commandPatience = 5 * time.Second

// answerCommand reads one word and answers with a line: exit code and reason.
func (f *front) answerCommand(c *net.UnixConn) {
	defer func() { _ = c.Close() }()
	peer, err := peerOf(c)
	if err != nil || peer.Uid != 0 && int(peer.Uid) != os.Geteuid() {
		f.log.Warn("a command was refused: it does not come from root or this server's user", failure.Key, failure.CommandRefused, "uid", peer.Uid, "pid", peer.Pid)
		_, _ = fmt.Fprintf(c, "%d %s\n", failure.ExitUnexpected,
			failure.CommandRefused.Tag("not permitted: ask as root or as the server's user"))
		return
	}
	_ = c.SetDeadline(time.Now().Add(commandPatience)) // fails only when closed
	word, err := bufio.NewReaderSize(c, 64).ReadString('\n')
	if err != nil {
		return
	}
	if word = strings.TrimSpace(word); word != "reload" {
		_, _ = fmt.Fprintf(c, "%d %s\n", failure.ExitUsage,
			failure.CommandUnknown.Tag(fmt.Sprintf("this server does not know the command %q", word)))
		return
	}
	err = f.reload()
	_ = c.SetDeadline(time.Now().Add(commandPatience))
	_, _ = fmt.Fprintf(c, "%d %s\n", exitCode(err), reasonLine(err)) // who asked may have gone
}

func reasonLine(err error) string {
	if err == nil {
		return "reloaded"
	}
	return failure.Of(err, failure.ReloadFailed).Tag(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// peerOf tells which process has the other end of c.
func peerOf(c *net.UnixConn) (unix.Ucred, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return unix.Ucred{}, err
	}
	var peer *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, failed); err != nil {
		return unix.Ucred{}, err
	}
	return *peer, nil
}

const reloadUsage = "gowsgi reload PID, or gowsgi reload --pid FILE"

// runReload is `gowsgi reload`: it asks a running server to reload, waits until
// the new workers serve, and ends with the exit code that says whether they do.
func runReload(args []string) error {
	pid, err := reloadTarget(args)
	if err != nil {
		return err
	}
	c, err := net.DialUnix("unix", nil, commandsAddress(pid))
	if err != nil {
		return failure.Errorf(failure.ServerUnreachable, "no gowsgi with process id %d answers here: %w", pid, err)
	}
	defer func() { _ = c.Close() }()
	if peer, err := peerOf(c); err != nil || int(peer.Pid) != pid {
		return failure.Errorf(failure.ServerUnreachable, "process %d answers in the name of %d; not talking to it", peer.Pid, pid)
	}
	if _, err := fmt.Fprintln(c, "reload"); err != nil {
		return failure.Errorf(failure.ServerUnreachable, "ask process %d to reload: %w", pid, err)
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return failure.Errorf(failure.ServerUnreachable, "process %d ended without an answer: %w", pid, err)
	}
	code, reason, _ := strings.Cut(strings.TrimSpace(answer), " ")
	number, err := strconv.Atoi(code)
	switch {
	case err != nil:
		return failure.Errorf(failure.ServerUnreachable, "process %d answered %q, which is no answer", pid, answer)
	case number != exitOK:
		text, code, known := failure.Untag(reason)
		if !known {
			code = failure.ReloadFailed
		}
		return &exitError{number, failure.Errorf(code, "reload failed: %s", text)}
	}
	fmt.Println(reason)
	return nil
}

// reloadTarget is the process id that the arguments name, or $GOWSGI_PID's file.
func reloadTarget(args []string) (int, error) {
	if len(args) == 0 && os.Getenv("GOWSGI_PID") != "" {
		args = []string{"--pid", os.Getenv("GOWSGI_PID")}
	}
	if len(args) == 1 {
		if file, ok := strings.CutPrefix(args[0], "--pid="); ok {
			args = []string{"--pid", file}
		}
	}
	text := ""
	switch {
	case len(args) == 1 && args[0] != "" && args[0][0] != '-':
		text = args[0]
	case len(args) == 2 && (args[0] == "--pid" || args[0] == "-p"):
		content, err := os.ReadFile(args[1])
		if err != nil {
			return 0, failure.Errorf(failure.PIDUnreadable, "pid file: %w; is the server running?", err)
		}
		text = strings.TrimSpace(string(content))
	default:
		return 0, failure.Errorf(failure.Usage, "usage: %s", reloadUsage)
	}
	pid, err := strconv.Atoi(text)
	if err != nil || pid < 1 {
		return 0, failure.Errorf(failure.Usage, "%q is no process id; usage: %s", text, reloadUsage)
	}
	return pid, nil
}
