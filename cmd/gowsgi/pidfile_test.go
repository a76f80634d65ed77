package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"gowsgi/cmd/failure"
)

func TestPIDFile_LivesAsLongAsTheServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gowsgi.pid")
	file, err := writePIDFile(path)
	if err != nil {
		t.Fatalf("writePIDFile(%q) = %v, want nil", path, err)
	}
	if got, want := content(t, path), fmt.Sprintf("%d\n", os.Getpid()); got != want {
		t.Errorf("pid file = %q, want %q", got, want)
	}
	if err := file.Remove(); err != nil {
		t.Errorf("Remove() = %v, want nil", err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
		t.Errorf("folder after Remove = %v, %v, want nothing", left, err)
	}
	if err := file.Remove(); err != nil {
		t.Errorf("second Remove() = %v, want nil", err)
	}
}

// finished gives the id of a process that has come and gone.
func finished(t *testing.T) int {
	t.Helper()
	command := exec.Command("true")
	if err := command.Run(); err != nil {
		t.Fatal(err)
	}
	return command.Process.Pid
}

func TestPIDFile_ReplacesADeadServers(t *testing.T) {
	for name, text := range map[string]string{
		"dead": fmt.Sprintln(finished(t)), "empty": "", "own": fmt.Sprintln(os.Getpid()),
		"zero": "0\n",
	} {
		path := filepath.Join(t.TempDir(), "gowsgi.pid")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := writePIDFile(path); err != nil {
			t.Errorf("writePIDFile(over a %s file) = %v, want nil", name, err)
		}
	}
}

// threadOfSelf gives the id of one of this process's threads but the first.
func threadOfSelf(t *testing.T) string {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		if thread.Name() != fmt.Sprint(os.Getpid()) {
			return thread.Name()
		}
	}
	t.Fatal("this process has one thread only, want a Go program's several")
	return ""
}

func TestPIDFile_TakesItsOwnThreadForNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gowsgi.pid")
	if err := os.WriteFile(path, []byte(threadOfSelf(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := writePIDFile(path); err != nil {
		t.Errorf("writePIDFile(naming a thread of this process) = %v, want nil", err)
	}
}

func TestPIDFile_RefusesALivingServersAndOthersData(t *testing.T) {
	parent := os.Getppid()
	for text, want := range map[string]string{
		fmt.Sprintln(parent): fmt.Sprintf("process %d, which it names, is running: %s", parent, describeProcess(parent)),
		"root:x:0":           "%s holds something else than a process id",
	} {
		path := filepath.Join(t.TempDir(), "gowsgi.pid")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if text == "root:x:0" {
			want = fmt.Sprintf(want, path)
		}
		want = fmt.Sprintf("cannot write the pid file %q: %s", path, want)
		_, err := writePIDFile(path)
		if err == nil || err.Error() != want || exitCode(err) != failure.ExitFile {
			t.Errorf("writePIDFile(over %q) = %v (code %d), want %q (code 7)", text, err, exitCode(err), want)
		}
		if got := content(t, path); got != text {
			t.Errorf("file = %q, want it untouched", got)
		}
	}
}

func TestPIDFile_IsLeftWhenItNamesAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gowsgi.pid")
	file, err := writePIDFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := file.Remove(); err != nil {
		t.Errorf("Remove() = %v, want nil", err)
	}
	if got := content(t, path); got != "1\n" {
		t.Errorf("file after Remove = %q, want the successor's", got)
	}
}

func TestPIDFile_NeedsItsFolder(t *testing.T) {
	if _, err := writePIDFile(filepath.Join(t.TempDir(), "no", "pid")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("writePIDFile(without a folder) = %v, want %v", err, os.ErrNotExist)
	}
}
