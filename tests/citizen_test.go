package tests

// Applications that use the operating system as any Python program does:
// processes, signals, fault handlers. See pyapps/citizen.

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// wantJSON checks a complete answer of JSON.
func (s *Server) wantJSON(path, want string) {
	s.T.Helper()
	r := s.Ask(path)
	var got, wanted any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		s.T.Fatal(err)
	}
	if err := json.Unmarshal([]byte(r.Body), &got); err != nil || !reflect.DeepEqual(got, wanted) {
		s.T.Errorf("GET %s = %s %q, want %s", path, r.Line(), r.Body, want)
	}
}

// inEveryKind runs test with one thread and several, preloaded or not.
func inEveryKind(t *testing.T, app string, test func(t *testing.T, s *Server, threads int)) {
	for _, threads := range []int{1, 3} {
		for _, more := range [][]string{nil, {"--preload"}} {
			args := append([]string{"--threads", strconv.Itoa(threads)}, more...)
			t.Run(strings.Join(args, " "), func(t *testing.T) { test(t, Start(t, app, args...), threads) })
		}
	}
}

// subprocess, os.system, asyncio's child processes; multiprocessing with each of
// its start methods; and none of it disturbs the worker.
func TestCitizen_StartsProcesses(t *testing.T) {
	inEveryKind(t, "citizen.processes", func(t *testing.T, s *Server, threads int) {
		worker := s.workerPIDs()
		for _, path := range []string{"/subprocess", "/asyncio"} {
			s.check(Want{Path: path, Body: "child\n"})
		}
		s.wantJSON("/shell", "3")
		s.wantJSON("/dispositions", "[]")
		for _, start := range []string{"fork", "spawn", "forkserver"} {
			s.wantJSON("/process?start="+start, `{"other": true, "exitcode": 3}`)
			s.wantJSON("/pool?start="+start, "[0, 1, 4, 9, 16]")
			s.wantJSON("/executor?start="+start, "[0, 1, 4, 9, 16]")
			s.wantJSON("/terminate?start="+start, "-15")
		}
		if now := s.workerPIDs(); !reflect.DeepEqual(now, worker) {
			t.Errorf("workers = %v after all of that, want %v still", now, worker)
		}
	})
}

// os.fork in a request: the child ends as a forked child of any program does.
func TestCitizen_ForkedChildrenEndAsInAnyProgram(t *testing.T) {
	inEveryKind(t, "citizen.processes", func(t *testing.T, s *Server, threads int) {
		worker := s.workerPIDs()
		mark := newMarkFile(t)
		s.wantJSON("/fork-exit?code=3&mark="+url.QueryEscape(mark.path), "3")
		if got := mark.lines(); len(got) != 1 {
			t.Errorf("exit functions of the child: %q, want one run", got)
		}
		s.wantJSON("/fork-exit?code=0", "0")
		s.wantJSON("/fork-exit?code=enough", "1")
		s.WaitFor("enough")
		s.wantJSON("/fork-raise", "1")
		s.WaitFor("RuntimeError: a child raises as asked")
		s.wantJSON("/fork-exec", "4")
		s.wantJSON("/fork-killed", `["SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"]`)
		if now := s.workerPIDs(); !reflect.DeepEqual(now, worker) {
			t.Errorf("workers = %v after all of that, want %v still", now, worker)
		}
	})
}

// A child that the application's import has forked is neither a second zygote
// nor a second worker, and ends with the code it asks for.
func TestCitizen_ForksWhileItIsImported(t *testing.T) {
	for way, want := range map[string]struct{ code, line string }{
		"returns": {"0", "forked by the application returned"},
		"exits":   {"5", ""},
		"raises":  {"1", "RuntimeError: forking_import raises as asked"},
	} {
		for _, args := range [][]string{nil, {"--preload"}} {
			s := StartWith(t, Options{App: "citizen.forking_import", Args: args, Env: []string{"IMPORT_FORKS=" + way}})
			s.wantJSON("/", want.code)
			if want.line != "" {
				s.WaitFor(want.line)
			}
			for _, line := range s.Log() {
				if strings.Contains(line, "gowsgi: error") {
					t.Errorf("%s %q: the log has %q", way, args, line)
				}
			}
			s.Stop()
		}
	}
}

// A child forked by a preloading application is no part of the pool: it holds
// nothing by which the front would take the zygote for alive, and SIGTERM ends it.
func TestCitizen_PreloadsWithAChildProcess(t *testing.T) {
	s := StartWith(t, Options{App: "citizen.forking_import", Args: []string{"--preload"}, Env: []string{"IMPORT_FORKS=waits"}})
	child, err := strconv.Atoi(s.Ask("/").Body)
	if err != nil {
		t.Fatal(err)
	}
	mark := s.Mark()
	kill(t, s.Zygote(), unix.SIGKILL)
	s.WaitForSince(mark, "zygote died")
	s.WaitForSince(mark, "worker serves")
	again, err := strconv.Atoi(s.Ask("/").Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{child, again} {
		kill(t, pid, unix.SIGTERM)
		if !awaitEnd(pid, stopPatience) {
			t.Errorf("child %d has not ended of SIGTERM", pid)
		}
	}
}

// Signals look, and can be handled, as in a script.
func TestCitizen_HandlesSignals(t *testing.T) {
	inEveryKind(t, "citizen.signals", func(t *testing.T, s *Server, threads int) {
		s.wantJSON("/shown", `{"SIGHUP": "SIG_DFL", "SIGINT": "default_int_handler", "SIGQUIT": "SIG_DFL",
			"SIGUSR1": "SIG_DFL", "SIGTERM": "SIG_DFL", "SIGCHLD": "SIG_DFL", "SIGPIPE": "SIG_IGN",
			"SIGWINCH": "SIG_DFL"}`)
		s.wantJSON("/counted", "true")
		if threads == 1 {
			s.check(Want{Path: "/alarm", Body: "interrupted\n"})
		}
		// While no request runs.
		rang := newMarkFile(t)
		s.check(Want{Path: "/later?mark=" + url.QueryEscape(rang.path), Body: "ok\n"})
		rang.await("rang")
		mark := s.Mark()
		s.check(Want{Path: "/raise-later", Body: "ok\n"})
		s.WaitForSince(mark, "Interrupted: as asked")
		s.check(Want{Path: "/shown", Body: s.Ask("/shown").Body})
	})
}

// What is meant for the front ends no worker, although Python shows SIG_DFL:
// service managers and careless hands send it to all processes there are.
func TestCitizen_SignalsForTheFrontEndNoWorker(t *testing.T) {
	inEveryKind(t, "citizen.rights", func(t *testing.T, s *Server, threads int) {
		worker := s.workerPIDs()
		for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGTERM, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH} {
			kill(t, worker[0], sig)
			kill(t, s.Zygote(), sig)
			if r := s.Ask("/who"); r.Status != 200 {
				t.Errorf("GET /who after %s = %s, want 200", unix.SignalName(sig), r.Line())
			}
		}
		if now := s.workerPIDs(); !reflect.DeepEqual(now, worker) {
			t.Errorf("workers = %v after the signals, want %v still", now, worker)
		}
	})
}

// A former handler of SIGTERM can be put back: it is no None.
func TestCitizen_RestoresSignalHandlers(t *testing.T) {
	s := Start(t, "citizen.signals")
	s.check(Want{Path: "/restore", Body: "ok\n"})
}

// faulthandler, enabled and registered by the application, reaches the error log.
func TestCitizen_DumpsTracebacks(t *testing.T) {
	inEveryKind(t, "citizen.faults", func(t *testing.T, s *Server, threads int) {
		for path, where := range map[string]string{"/dump": "in dump", "/later": "in wait_for_the_dump", "/registered": "in registered"} {
			mark := s.Mark()
			s.check(Want{Path: path, Body: "ok\n"})
			s.WaitForSince(mark, where)
		}
		mark := s.Mark()
		if r := s.Ask("/fault"); r.Status != 502 {
			t.Errorf("GET /fault = %s, want 502", r.Line())
		}
		s.WaitForSince(mark, "Fatal Python error: Segmentation fault")
		s.WaitForSince(mark, "in fault")
		s.WaitForSince(mark, "killed by SIGSEGV")
	})
}

// --- Descriptors -----------------------------------------------------------

// A worker has its standard streams, the eventfd it rings the front by, and the
// socket through which files come and go:
// no listener, connection, log, pid file, nor anything of another worker, of the
// zygote, or of whoever started gowsgi.
func TestCitizen_WorkersHoldNoOtherDescriptors(t *testing.T) {
	folder := t.TempDir()
	for _, args := range [][]string{nil, {"--preload"}} {
		left, err := unix.MemfdCreate("left open", 0)
		if err != nil {
			t.Fatal(err)
		}
		file := os.NewFile(uintptr(left), "left open")
		s := StartWith(t, Options{
			App: "citizen.rights",
			Args: append([]string{
				"-w", "2", "--threads", "2", "-b", "127.0.0.1:0", "-b", "unix:" + filepath.Join(folder, "s"),
				"--access-logfile", filepath.Join(folder, "access"), "--pid", filepath.Join(folder, "pid"),
			}, args...),
			Files: []*os.File{file},
		})
		if got := descriptorsOf(t, s.PID())["3"]; !strings.Contains(got, "left open") {
			t.Fatalf("descriptor 3 of the front = %q, want what it was started with", got)
		}
		s.Dial().Get("/who") // a connection that stays
		// As the application itself sees it, which is what it can use.
		var inside map[string]string
		if r := s.Ask("/descriptors"); json.Unmarshal([]byte(r.Body), &inside) != nil || len(inside) != 5 {
			t.Errorf("%q: GET /descriptors = %q, want the standard streams and two more", args, r.Body)
		}
		// The third worker is forked when there are others.
		mark := s.Mark()
		kill(t, s.workerPIDs()[0], unix.SIGKILL)
		s.WaitForSince(mark, "worker serves")
		streams := map[string]bool{}
		for _, pid := range s.workerPIDs() {
			found := descriptorsOf(t, pid)
			streams[found["2"]] = true
			if found["0"] != "/dev/null" || found["1"] != descriptorsOf(t, s.PID())["1"] || !strings.HasPrefix(found["2"], "pipe:") {
				t.Errorf("%q: standard streams of worker %d = %v", args, pid, found)
			}
			delete(found, "0")
			delete(found, "1")
			delete(found, "2")
			for _, own := range []string{"anon_inode:[eventfd]", "socket:"} {
				for fd, what := range found {
					if strings.HasPrefix(what, own) {
						delete(found, fd)
						break
					}
				}
			}
			if len(found) > 0 {
				t.Errorf("%q: worker %d has also %v", args, pid, found)
			}
		}
		if len(streams) != 2 {
			t.Errorf("%q: standard errors of two workers = %v, want two", args, streams)
		}
		s.Stop()
	}
}

// descriptorsOf lists what process pid has open, by number.
func descriptorsOf(t *testing.T, pid int) map[string]string {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(links) == 0 {
		t.Fatalf("descriptors of %d: %v, %v", pid, links, err)
	}
	found := map[string]string{}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil {
			t.Fatal(err)
		}
		found[filepath.Base(link)] = target
	}
	return found
}
