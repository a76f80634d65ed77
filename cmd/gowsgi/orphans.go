package main

import (
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// reapOrphans takes the place of an init process: as PID 1, as in a container,
// gowsgi inherits every process whose parent has died and must collect it, or
// zombies pile up. owned tells the pids that somebody else here waits for.
//
// It returns at once, and does nothing where gowsgi is not PID 1.
func reapOrphans(owned func(pid int) bool) {
	if os.Getpid() != 1 {
		return
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	go func() {
		for {
			var again <-chan time.Time
			if !reapAll(owned) {
				again = time.After(orphanPause)
			}
			select {
			case <-ended:
			case <-again:
			}
		}
	}()
}

// orphanPause is how long to leave a child of ours, which hides the orphans
// behind it, to the goroutine that waits for it.
const orphanPause = 20 * time.Millisecond

// reapAll collects orphans that have ended. It returns false if it had to stop
// before a child that is ours to wait for elsewhere.
func reapAll(owned func(pid int) bool) bool {
	for {
		var info siginfo
		if err := peekChild(&info); err != nil || info.pid == 0 {
			return true
		}
		if owned(int(info.pid)) {
			return false
		}
		_, _ = unix.Wait4(int(info.pid), nil, unix.WNOHANG, nil) // it has ended: this cannot wait
	}
}
