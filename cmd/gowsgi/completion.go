package main

// gowsgi completion: what the shells complete, made from the table of settings.
// The scripts ask nobody: completing starts no program.

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"gowsgi/cmd/failure"
)

// shells that there are completions for.
var shells = []string{"bash", "fish", "zsh"}

// runCompletion is `gowsgi completion`.
func runCompletion(args []string) error {
	if len(args) == 1 {
		switch args[0] {
		case "bash":
			return bashCompletion(os.Stdout, completables())
		case "fish":
			return fishCompletion(os.Stdout, completables())
		case "zsh":
			return zshCompletion(os.Stdout, completables())
		}
	}
	return failure.Errorf(failure.Usage, "usage: gowsgi completion %s", strings.Join(shells, "|"))
}

// A completable is a flag as the shells see it.
type completable struct {
	name, short, help string
	bare, repeat      bool   // it takes no value; it may be given again
	word              string // that stands for the value
	values            string // what completes it
	choices           []string
}

// What completes a value, for values.
const (
	byNothing = ""
	byFiles   = "files"
	byFolders = "folders"
	byChoices = "choices"
)

func completables() []completable {
	var flags []completable
	for i := range table {
		row := &table[i]
		c := completable{name: row.name, short: row.short, help: row.help, bare: row.kind.toggle, repeat: row.kind.repeat, word: row.kind.word}
		switch row.kind.word {
		case "FILE":
			c.values = byFiles
		case "DIR", "DIRS":
			c.values = byFolders
		case "LEVEL":
			c.values, c.choices = byChoices, levelNames()
		}
		flags = append(flags, c)
	}
	for _, o := range others {
		flags = append(flags, completable{name: o.name, short: o.short, help: o.help, bare: true})
	}
	return flags
}

func (c completable) spellings() []string {
	if c.short == "" {
		return []string{"--" + c.name}
	}
	return []string{"-" + c.short, "--" + c.name}
}

func bashCompletion(out io.Writer, flags []completable) error {
	var all []string
	by := make(map[string][]string)
	choices := make(map[string][]string)
	for _, c := range flags {
		all = append(all, c.spellings()...)
		if c.bare {
			continue
		}
		by[c.values] = append(by[c.values], c.spellings()...)
		if c.values == byChoices {
			choices[strings.Join(c.choices, " ")] = append(choices[strings.Join(c.choices, " ")], c.spellings()...)
		}
	}
	var b strings.Builder
	b.WriteString(`# bash completion for gowsgi, made by gowsgi completion bash
_gowsgi() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} replies=()
    # bash cuts --flag=value into three words.
    if [[ $cur == '=' ]]; then
        cur=
    elif [[ $prev == '=' ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    COMPREPLY=()
    case $prev in
`)
	bashCase(&b, by[byFiles], "compopt -o filenames 2>/dev/null", "compgen -f")
	bashCase(&b, by[byFolders], "compopt -o filenames 2>/dev/null", "compgen -d")
	for _, words := range slices.Sorted(maps.Keys(choices)) {
		bashCase(&b, choices[words], "", "compgen -W '"+words+"'")
	}
	fmt.Fprintf(&b, "        %s)\n            return ;;\n", strings.Join(by[byNothing], "|"))
	fmt.Fprintf(&b, `    esac
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '%s' -- "$cur")
        return
    fi
    case ${COMP_WORDS[1]} in
        completion)
            mapfile -t COMPREPLY < <(compgen -W '%s' -- "$cur")
            return ;;
        migrate)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return ;;
    esac
    # A command, or the application: modules of this folder.
    if ((COMP_CWORD == 1)); then
        mapfile -t replies < <(compgen -W '%s' -- "$cur")
    fi
    mapfile -t COMPREPLY < <(compgen -f -X '!*.py' -- "$cur")
    COMPREPLY=("${replies[@]}" "${COMPREPLY[@]%%.py}")
}
complete -F _gowsgi gowsgi
`, strings.Join(all, " "), strings.Join(shells, " "), strings.Join(commandNames(), " "))
	_, err := io.WriteString(out, b.String())
	return err
}

func bashCase(b *strings.Builder, flags []string, before, generate string) {
	if len(flags) == 0 {
		return
	}
	fmt.Fprintf(b, "        %s)\n", strings.Join(flags, "|"))
	if before != "" {
		fmt.Fprintf(b, "            %s\n", before)
	}
	fmt.Fprintf(b, "            mapfile -t COMPREPLY < <(%s -- \"$cur\")\n            return ;;\n", generate)
}

func zshCompletion(out io.Writer, flags []completable) error {
	var b strings.Builder
	b.WriteString("#compdef gowsgi\n# zsh completion for gowsgi, made by gowsgi completion zsh\n_gowsgi() {\n    local -a commands\n    commands=(\n")
	for _, name := range commandNames() {
		fmt.Fprintf(&b, "        %s\n", shellQuote(name+":"+commands[name].help))
	}
	b.WriteString("    )\n    local curcontext=$curcontext state line\n    _arguments -s -S -C \\\n")
	for _, c := range flags {
		fmt.Fprintf(&b, "        %s \\\n", c.zsh())
	}
	fmt.Fprintf(&b, `        '1: :->first' \
        '*: :->rest'
    case $state in
        first)
            _describe -t commands command commands
            _alternative 'modules:module:_path_files -g "*.py(:r)"' ;;
        rest)
            case ${line[1]} in
                completion) _values shell %s ;;
                migrate) _files ;;
                check) _alternative 'modules:module:_path_files -g "*.py(:r)"' ;;
            esac ;;
    esac
}
if [[ $funcstack[1] == _gowsgi ]]; then
    _gowsgi "$@"
else
    compdef _gowsgi gowsgi
fi
`, strings.Join(shells, " "))
	_, err := io.WriteString(out, b.String())
	return err
}

// zsh is the flag as _arguments takes it.
func (c completable) zsh() string {
	text := "[" + zshEscape(c.help) + "]"
	if !c.bare {
		text += ":" + zshEscape(c.word) + ":"
		switch c.values {
		case byFiles:
			text += "_files"
		case byFolders:
			text += "_files -/"
		case byChoices:
			text += "(" + strings.Join(c.choices, " ") + ")"
		}
	}
	value, short := "", ""
	if !c.bare {
		value, short = "=", "+"
	}
	before := "(" + strings.Join(c.spellings(), " ") + ")"
	if c.repeat {
		before = "*"
	}
	if c.short == "" {
		return shellQuote(before + "--" + c.name + value + text)
	}
	return shellQuote(before) + "{-" + c.short + short + ",--" + c.name + value + "}" + shellQuote(text)
}

func zshEscape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `:`, `\:`).Replace(text)
}

func fishCompletion(out io.Writer, flags []completable) error {
	var b strings.Builder
	b.WriteString("# fish completion for gowsgi, made by gowsgi completion fish\ncomplete -c gowsgi -f\n")
	for _, name := range commandNames() {
		fmt.Fprintf(&b, "complete -c gowsgi -n __fish_use_subcommand -a %s -d %s\n", name, fishQuote(commands[name].help))
	}
	b.WriteString("complete -c gowsgi -a '(for file in *.py; string replace -r \"\\.py\\$\" \"\" -- $file; end)' -d module\n")
	fmt.Fprintf(&b, "complete -c gowsgi -n '__fish_seen_subcommand_from completion' -a %s\n", fishQuote(strings.Join(shells, " ")))
	b.WriteString("complete -c gowsgi -n '__fish_seen_subcommand_from migrate' -F\n")
	for _, c := range flags {
		fmt.Fprintf(&b, "complete -c gowsgi -l %s", c.name)
		if c.short != "" {
			fmt.Fprintf(&b, " -s %s", c.short)
		}
		switch {
		case c.bare:
		case c.values == byFiles:
			b.WriteString(" -r -F")
		case c.values == byFolders:
			b.WriteString(" -x -a '(__fish_complete_directories)'")
		case c.values == byChoices:
			b.WriteString(" -x -a " + fishQuote(strings.Join(c.choices, " ")))
		default:
			b.WriteString(" -x")
		}
		fmt.Fprintf(&b, " -d %s\n", fishQuote(c.help))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// shellQuote is for shells that know nothing special in single quotes.
func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func fishQuote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
