package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"gowsgi/cmd/failure"
)

// A page that tells to use a flag or a command which does not exist is worse than none.
func TestExplain_NamesFlagsAndCommandsThatExist(t *testing.T) {
	foreign := []string{
		"--check-config", "--print-config", "--help", "--version", // ours, but no settings
		"--force-reinstall", "--no-cache-dir", "--clear", "--now", // of pip, venv, systemctl
		"--reuid", "--regid", "--init-groups", "--inh-caps", "--ambient-caps", // of setpriv
	}
	flags := regexp.MustCompile(`--[a-z0-9][a-z0-9-]*`)
	// What follows gowsgi in a command is a flag, a command or an application.
	words := regexp.MustCompile(`^\s+gowsgi ([a-z]+)(?: |$)`)
	applications := []string{"wsgi"}
	for _, group := range failure.Groups() {
		for i := range group.Pages {
			page := &group.Pages[i]
			text := strings.Join(append([]string{page.Cause, page.Do}, page.Steps...), "\n")
			for _, flag := range flags.FindAllString(text, -1) {
				if findSetting(flag) == nil && !slices.Contains(foreign, flag) {
					t.Errorf("%v speaks of %s, which is no flag", page.Code, flag)
				}
			}
			for _, step := range page.Steps {
				found := words.FindStringSubmatch(step)
				if found != nil && commands[found[1]].run == nil && !slices.Contains(applications, found[1]) {
					t.Errorf("%v: %q names no command of gowsgi's", page.Code, step)
				}
			}
		}
	}
}

func TestExplain_WritesPagesForAPerson(t *testing.T) {
	var b strings.Builder
	writePage(&b, failure.PrivilegedPort.Page())
	text := b.String()
	for _, want := range []string{"GW052  The port is one that only root may listen on\n\n", "\n\nWhat to do\nStart as root", "\n    sudo gowsgi --user www-data -b :80 wsgi\n", "\nExit status: 5.\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("writePage(GW052) =\n%s\nwant it to have %q", text, want)
		}
	}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "    ") && len(line) > pageWidth+1 {
			t.Errorf("writePage(GW052) has a line of %d columns, want %d at most: %s", len(line)-1, pageWidth, line)
		}
	}
}

func TestExplain_FindsCodesByWords(t *testing.T) {
	var b strings.Builder
	writeCodes(&b, []string{"PID", "runs"})
	if want := "Files\n  GW072  The pid file names a process that runs\n"; b.String() != want {
		t.Errorf("writeCodes(PID runs) = %q, want %q", b.String(), want)
	}
	b.Reset()
	if writeCodes(&b, []string{"nothing of the kind"}); b.Len() > 0 {
		t.Errorf("writeCodes(nothing of the kind) = %q, want nothing", b.String())
	}
	b.Reset()
	writeCodes(&b, nil)
	for _, group := range failure.Groups() {
		for _, page := range group.Pages {
			if !strings.Contains(b.String(), "\n  "+page.Code.String()+"  "+page.Title+"\n") {
				t.Errorf("writeCodes() does not have %v", page.Code)
			}
		}
	}
}
