package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gowsgi/cmd/failure"
)

func TestReloadTarget_IsAProcessIDOrAPidFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(file, []byte("4711\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"4711", "--pid " + file, "-p " + file, "--pid=" + file} {
		if pid, err := reloadTarget(strings.Fields(args)); pid != 4711 || err != nil {
			t.Errorf("reloadTarget(%s) = %d, %v, want 4711", args, pid, err)
		}
	}
	t.Setenv("GOWSGI_PID", file)
	if pid, err := reloadTarget(nil); pid != 4711 || err != nil {
		t.Errorf("reloadTarget() with GOWSGI_PID = %d, %v, want 4711", pid, err)
	}
	t.Setenv("GOWSGI_PID", "")
	for args, code := range map[string]int{"": failure.ExitUsage, "x": failure.ExitUsage, "-1": failure.ExitUsage, "0": failure.ExitUsage, "1 2": failure.ExitUsage, "--pid /none": failure.ExitFile} {
		if pid, err := reloadTarget(strings.Fields(args)); exitCode(err) != code {
			t.Errorf("reloadTarget(%s) = %d, %v, want exit code %d", args, pid, err, code)
		}
	}
}
