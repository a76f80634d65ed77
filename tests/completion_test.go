package tests

// Completions and the manual page, as the shells and man see them.

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// completer is a folder with the completions for a shell, a module and a folder.
func completer(t *testing.T, shell string) (dir string) {
	t.Helper()
	if _, err := exec.LookPath(shell); err != nil {
		t.Skipf("%v; make test installs it", err)
	}
	dir = t.TempDir()
	script, err := exec.Command(binary, "completion", shell).Output()
	if err != nil {
		t.Fatalf("gowsgi completion %s: %v", shell, err)
	}
	for name, content := range map[string]string{"gowsgi." + shell: string(script), "shop.py": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// complete runs a shell on a script in dir, with args, and returns the words of its
// output.
func complete(t *testing.T, dir string, shell ...string) []string {
	t.Helper()
	cmd := exec.Command(shell[0], shell[1:]...)
	cmd.Dir, cmd.Env = dir, cleanEnvironment("TERM=dumb", "HOME="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", shell, err, out)
	}
	return strings.Fields(string(out))
}

const bashComplete = `source ./gowsgi.bash
COMP_WORDS=(gowsgi "$@") COMP_CWORD=$#
_gowsgi
printf '%s\n' "${COMPREPLY[@]}"`

func TestCompletion_Bash(t *testing.T) {
	dir := completer(t, "bash")
	for _, c := range []struct{ typed, want []string }{
		{[]string{"--work"}, []string{"--workers", "--worker-idle-timeout"}},
		{[]string{"sh"}, []string{"shop"}},
		{[]string{"comp"}, []string{"completion"}},
		{[]string{"completion", ""}, []string{"bash", "fish", "zsh"}},
		{[]string{"--log-level", "=", "w"}, []string{"warning"}},
		{[]string{"--log-level", "="}, []string{"debug", "info", "warning", "error", "critical"}},
		{[]string{"app", "--chdir", "s"}, []string{"sub"}},
		{[]string{"-c", "sh"}, []string{"shop.py"}},
		{[]string{"--workers", ""}, nil},
		{[]string{"check", "--print"}, []string{"--print-config"}},
		{[]string{"migrate", "sh"}, []string{"shop.py"}},
	} {
		got := complete(t, dir, append([]string{"bash", "--norc", "-c", bashComplete, "bash"}, c.typed...)...)
		if !slices.Equal(got, c.want) {
			t.Errorf("bash completes %q to %q, want %q", c.typed, got, c.want)
		}
	}
	complete(t, dir, "shellcheck", "-s", "bash", "gowsgi.bash")
}

func TestCompletion_Fish(t *testing.T) {
	dir := completer(t, "fish")
	for typed, want := range map[string]string{
		"gowsgi --worker-i":         "--worker-idle-timeout",
		"gowsgi --log-level w":      "warning",
		"gowsgi comp":               "completion",
		"gowsgi completion z":       "zsh",
		"gowsgi sh":                 "shop",
		"gowsgi app --chdir s":      "sub/",
		"gowsgi migrate sh":         "shop.py",
		"gowsgi --access-logfile s": "shop.py",
	} {
		got := complete(t, dir, "fish", "--no-config", "-c", `source gowsgi.fish; complete -C $argv[1]`, typed)
		if !slices.Contains(got, want) {
			t.Errorf("fish completes %q to %q, want %s among them", typed, got, want)
		}
	}
}

// A terminal of its own for zsh, which completes in nothing less: each argument is
// typed, then a tab, then the line is shown.
const zshComplete = `zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1=; autoload -U compinit; compinit -u -D; source ./gowsgi.zsh
show() { print -rn -- \"<<\$BUFFER>>\" }; zle -N show; bindkey '^X' show; bindkey '^I' complete-word; setopt nobeep; print re''ady"
zpty -r z out '*ready*'
for line in "$@"; do
  zpty -w -n z "$line"$'\t\x18'
  zpty -r z out '*<<*>>*'
  print -r -- "${${${out##*<<}%%>>*}// /_}"
  zpty -w -n z $'\x15'
done
zpty -d z`

func TestCompletion_Zsh(t *testing.T) {
	dir := completer(t, "zsh")
	var typed, want []string
	for _, c := range [][2]string{
		{"gowsgi --worker-i", "gowsgi_--worker-idle-timeout="},
		{"gowsgi --log-level=war", "gowsgi_--log-level=warning_"},
		{"gowsgi comp", "gowsgi_completion_"},
		{"gowsgi completion z", "gowsgi_completion_zsh_"},
		{"gowsgi sho", "gowsgi_shop"},
		{"gowsgi --chdir=s", "gowsgi_--chdir=sub/"},
		{"gowsgi -w 2 --prel", "gowsgi_-w_2_--preload_"},
		{"gowsgi check sho", "gowsgi_check_shop"},
	} {
		typed, want = append(typed, c[0]), append(want, c[1])
	}
	if got := complete(t, dir, append([]string{"zsh", "-f", "-c", zshComplete, "zsh"}, typed...)...); !slices.Equal(got, want) {
		t.Errorf("zsh completes %q to %q, want %q", typed, got, want)
	}
}

func TestManPage_IsReadWithoutComplaint(t *testing.T) {
	if _, err := exec.LookPath("mandoc"); err != nil {
		t.Skipf("%v; make test installs it", err)
	}
	page, err := exec.Command(binary, "man").Output()
	if err != nil {
		t.Fatalf("gowsgi man: %v", err)
	}
	path := filepath.Join(t.TempDir(), "gowsgi.1")
	if err := os.WriteFile(path, page, 0o600); err != nil {
		t.Fatal(err)
	}
	lint, _ := exec.Command("mandoc", "-T", "lint", "-W", "warning", path).CombinedOutput()
	for line := range strings.Lines(string(lint)) {
		if !strings.Contains(line, "missing date") { // it has a version instead
			t.Errorf("mandoc: %s", line)
		}
	}
	text, err := exec.Command("mandoc", "-T", "ascii", path).Output()
	if err != nil {
		t.Fatalf("mandoc: %v", err)
	}
	shown := regexp.MustCompile(".\x08").ReplaceAllString(string(text), "") // bold is struck twice
	for _, want := range []string{"EXIT STATUS", "GOWSGI_KEEP_ALIVE", "--keep-alive DURATION", "'shop:create_app()'"} {
		if !strings.Contains(shown, want) {
			t.Errorf("the manual page lacks %q:\n%s", want, shown)
		}
	}
}
