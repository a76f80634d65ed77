package main

// SIGUSR2: another gowsgi, from the same file, takes the place of this one
// without a connection being refused. predecessor.go is the other side.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"gowsgi/cmd/failure"
	"gowsgi/wsgi/http1"
)

// upgradePatience is how long a successor may take until its workers serve: the
// first of them imports the application, then the others do. 0: for ever.
func (f *front) upgradePatience() time.Duration {
	if f.settings().StartupTimeout == 0 {
		return 0
	}
	return 2*f.settings().StartupTimeout + handoverPatience
}

// firstExtra is the descriptor of the first of exec's ExtraFiles.
const firstExtra = 3

// A launch is how this process was started, and so how its like is. It has to be
// recorded before anything changes folders.
type launch struct {
	path string // of the program's file; what it is replaced by has the same
	args []string
	dir  string
}

// recordLaunch finds the file by the name it was started under, so that a
// symbolic link may come to point elsewhere. Where that name is not the file's,
// as argv[0] need not be, the kernel's is taken.
func recordLaunch() (launch, error) {
	path, err := os.Executable()
	if err != nil {
		return launch{}, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return launch{}, err
	}
	if named, err := exec.LookPath(os.Args[0]); err == nil && isThisBinary(named) {
		if named, err = filepath.Abs(named); err == nil {
			path = named
		}
	}
	return launch{path, os.Args, dir}, nil
}

func isThisBinary(path string) bool {
	named, err := os.Stat(path)
	if err != nil {
		return false
	}
	running, err := os.Stat(thisBinary)
	return err == nil && os.SameFile(named, running)
}

// An upgrade is an attempt to be replaced, which runs while this front serves.
type upgrade struct {
	cancel context.CancelFunc
	ended  chan struct{}
	// Once ended is closed: the process that serves now, or why none does.
	successor int
	err       error
}

// beginUpgrade starts an upgrade, unless one runs or none is possible.
func (f *front) beginUpgrade() {
	switch {
	case f.upgrade != nil:
		f.log.Warn("an upgrade is under way already", failure.Key, failure.UpgradeUnderWay)
		return
	case f.leaving.Load():
		f.log.Warn("cannot upgrade: this server is stopping", failure.Key, failure.UpgradeImpossible)
		return
	case os.Getpid() == 1:
		f.log.Error("cannot upgrade: as process 1 gowsgi cannot leave its place to another; start a new container and stop this one", failure.Key, failure.UpgradeImpossible)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	u := &upgrade{cancel: cancel, ended: make(chan struct{})}
	f.upgrade = u
	f.log.Info("upgrading", "program", f.launch.path)
	f.notify.Status("upgrading: " + f.summary())
	go func() {
		defer close(u.ended)
		u.successor, u.err = f.replace(ctx)
	}()
}

// upgradeEnded is closed when an upgrade has succeeded or failed; nil, and so
// never ready, when none runs.
func (f *front) upgradeEnded() <-chan struct{} {
	if f.upgrade == nil {
		return nil
	}
	return f.upgrade.ended
}

// endUpgrade looks at an upgrade that has ended, and tells whether another
// process serves now.
func (f *front) endUpgrade() bool {
	u := f.upgrade
	u.cancel()
	if u.err == nil {
		return true
	}
	f.upgrade = nil
	f.log.Error("the upgrade failed; this gowsgi goes on serving", failure.Key, failure.Of(u.err, failure.UpgradeFailed), "error", u.err)
	f.notify.Status(f.summary() + "; an upgrade failed")
	return false
}

// abortUpgrade ends an upgrade that may run, because a signal asks to stop. If
// the successor serves already, it is sent the same signal: it was meant for the
// service.
func (f *front) abortUpgrade(sig unix.Signal) {
	u := f.upgrade
	if u == nil {
		return
	}
	u.cancel()
	<-u.ended
	if u.err != nil {
		f.log.Info("the upgrade was ended", "reason", u.err)
		return
	}
	f.leaveSockets()
	if err := unix.Kill(u.successor, sig); err != nil {
		f.log.Error("cannot stop the gowsgi that serves now", failure.Key, failure.SuccessorNotEnded, "pid", u.successor, "error", err)
	}
}

// replace starts a successor and leaves the service to it. On an error nothing
// of it is left.
func (f *front) replace(ctx context.Context) (pid int, err error) {
	s, err := f.startSuccessor()
	if err != nil {
		return 0, err
	}
	defer func() {
		_ = s.talk.Close()
		if err != nil {
			s.kill()
		}
	}()
	if err := s.await(ctx, saysReady, f.upgradePatience()); err != nil {
		return 0, err
	}
	if f.pidFile != nil {
		if err := f.pidFile.name(s.pid()); err != nil {
			return 0, err
		}
		defer func() {
			if err != nil {
				s.kill() // it removes the file when it ends by itself
				err = errors.Join(err, f.pidFile.name(os.Getpid()))
			}
		}()
	}
	if _, err := s.talk.Write([]byte{saysGo}); err != nil {
		return 0, s.lost()
	}
	if err := s.await(ctx, saysServing, handoverPatience); err != nil {
		return 0, err
	}
	f.notify.HandOver(s.pid()) // before the talk ends: then the successor speaks
	return s.pid(), nil
}

// leaveSockets leaves the files of unix sockets to the successor.
func (f *front) leaveSockets() {
	for _, s := range f.sockets {
		s.leave()
	}
}

// retire ends this front after another has taken its place. Its clients notice
// nothing: what runs is finished, and idle connections get one more answer.
func (f *front) retire(signals *signals) error {
	f.log.Info("another gowsgi serves now; this one ends with its last connection", "pid", f.upgrade.successor)
	f.leaveSockets()
	return f.stopAfter(signals, f.drain)
}

// drain ends every connection without cutting one off. Idle ones may live longer
// than there is time: they are closed while some is left for Python to shut down.
func (f *front) drain(ctx context.Context) error {
	idle, cancel := context.WithTimeout(ctx, max(0, f.settings().GracefulTimeout-quickTimeout))
	defer cancel()
	if f.both(func(s *http1.Server) error { return s.Drain(idle) }) == nil {
		return nil
	}
	return f.shutdown(ctx)
}

// A successor is a gowsgi that was started to replace this one.
type successor struct {
	process *exec.Cmd
	talk    *os.File
	said    chan byte     // closed with the talk
	exited  chan struct{} // closed when the process has ended
}

func (f *front) startSuccessor() (*successor, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket pair for a successor: %w", err)
	}
	_ = unix.SetNonblock(pair[0], true) // ours, for the netpoller; theirs is theirs to set
	talk, theirs := os.NewFile(uintptr(pair[0]), "successor"), os.NewFile(uintptr(pair[1]), "predecessor")
	defer theirs.Close()
	left := legacy{PID: os.Getpid(), Descriptor: firstExtra}
	files := []*os.File{theirs}
	for _, s := range f.sockets {
		file, err := s.descriptor()
		if err != nil {
			_ = talk.Close()
			return nil, err
		}
		defer file.Close()
		left.Sockets = append(left.Sockets, legacySocket{s.origin, firstExtra + len(files)})
		files = append(files, file)
	}
	s, err := f.launch.start(left, files)
	if err != nil {
		_ = talk.Close()
		return nil, err
	}
	s.talk = talk
	go s.listen()
	return s, nil
}

// start starts the program once more. $WATCHDOG_PID would keep it from answering
// the watchdog: that names this process.
func (l launch) start(left legacy, files []*os.File) (*successor, error) {
	text, err := json.Marshal(left)
	if err != nil {
		return nil, err
	}
	s := &successor{
		process: &exec.Cmd{
			Path:       l.path,
			Args:       l.args,
			Dir:        l.dir,
			Env:        append(withoutVariables(os.Environ(), "WATCHDOG_PID"), predecessorVariable+"="+string(text)),
			Stdout:     os.Stdout,
			Stderr:     os.Stderr,
			ExtraFiles: files,
		},
		said:   make(chan byte, 2),
		exited: make(chan struct{}),
	}
	if err := s.process.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", l.path, err)
	}
	go func() {
		_ = s.process.Wait() // ProcessState has it
		close(s.exited)
	}()
	return s, nil
}

func (s *successor) pid() int { return s.process.Process.Pid }

func (s *successor) listen() {
	defer close(s.said)
	said := make([]byte, 1)
	for {
		if _, err := s.talk.Read(said); err != nil {
			return
		}
		s.said <- said[0]
	}
}

// await waits until the successor says want, for so long at most; 0: for ever.
func (s *successor) await(ctx context.Context, want byte, patience time.Duration) error {
	var timeout <-chan time.Time
	if patience > 0 {
		timeout = time.After(patience)
	}
	select {
	case said, ok := <-s.said:
		if !ok || said != want {
			return s.lost()
		}
		return nil
	case <-timeout:
		return fmt.Errorf("the new gowsgi (pid %d) did not serve within %s", s.pid(), patience)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lost says how a successor ended that has ended the talk.
func (s *successor) lost() error {
	s.kill()
	code := failure.UpgradeFailed
	if s.process.ProcessState.ExitCode() == failure.LibraryMissing.Page().Exit { // of the dynamic linker
		code = failure.LibraryMissing
	}
	return failure.Errorf(code, "the new gowsgi (pid %d) ended before it could serve: %s", s.pid(), s.process.ProcessState)
}

// kill ends the successor, and its zygote and workers with it, if it has not
// ended by itself.
func (s *successor) kill() {
	select {
	case <-s.exited:
	case <-time.After(exitPatience):
		_ = s.process.Process.Kill() // it may have ended just now
		<-s.exited
	}
}

// exitPatience is how long a successor whose talk has ended may take to exit by
// itself: its reason is in the exit status.
const exitPatience = time.Second
