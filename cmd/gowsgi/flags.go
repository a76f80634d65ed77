package main

// The command line: how the table of settings becomes flags, help and the table
// in README.md.

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// version is set by the linker: -X main.version=…
var version = "dev"

const usageLine = "gowsgi [flags] MODULE[:APP]"

// parseCommandLine turns args (without the program's name) and the environment
// that lookup reads into checked settings. Flags may stand before or after the
// application. Errors carry exitUsage.
//
// After --help or --version, which are answered on out, both results are nil:
// there is nothing to run. build ends the line that --version prints; it says
// what the program was built with, and may be empty.
func parseCommandLine(args []string, lookup func(string) (string, bool), out io.Writer, build string) (*Settings, error) {
	flags, rest, err := separate(args)
	if err != nil {
		return nil, err
	}
	var settings *Settings
	app := &cli.App{
		Name:     "gowsgi",
		HelpName: "gowsgi",
		Version:  strings.TrimSpace(version + " " + build),
		Flags:    cliFlags(),
		Writer:   out,
		// Bind addresses and NAME=VALUE are cut by the table's rules, not cli's.
		DisableSliceFlagSeparator: true,
		// The table writes the help; text/template would read braces in it.
		CustomAppHelpTemplate: strings.ReplaceAll(helpText(), "{{", `{{"{{"}}`),
		HideHelpCommand:       true,
		// Errors are returned to the one place that prints them and exits.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError: func(_ *cli.Context, err error, _ bool) error {
			return exitCodef(exitUsage, "%w", err)
		},
		Action: func(c *cli.Context) error {
			var err error
			settings, err = settingsFrom(c, lookup)
			return err
		},
	}
	line := slices.Concat([]string{"gowsgi"}, flags, []string{"--"}, rest)
	if err := app.Run(line); err != nil {
		return nil, err
	}
	return settings, nil
}

// settingsFrom reads what cli has taken apart.
func settingsFrom(c *cli.Context, lookup func(string) (string, bool)) (*Settings, error) {
	switch {
	case c.NArg() == 0:
		return nil, exitCodef(exitUsage, "no application given; usage: %s", usageLine)
	case c.NArg() > 1:
		return nil, exitCodef(exitUsage, "unexpected argument %q after the application %q", c.Args().Get(1), c.Args().First())
	}
	app, err := parseAppSpec(c.Args().First())
	if err != nil {
		return nil, exitCodef(exitUsage, "%w", err)
	}
	flags := make(map[string][]string)
	for i := range table {
		if name := table[i].name; c.IsSet(name) {
			flags[name] = c.StringSlice(name)
			if !table[i].kind.repeat {
				// As everywhere: the last one counts.
				flags[name] = flags[name][len(flags[name])-1:]
			}
		}
	}
	settings, err := resolve(flags, lookup)
	if err != nil {
		return nil, err
	}
	settings.App = app
	return settings, nil
}

// cliFlags gives cli one flag for each row. All collect text: what it means, and
// what is wrong with it, is said in one place for flags and variables alike.
func cliFlags() []cli.Flag {
	flags := make([]cli.Flag, len(table))
	for i := range table {
		flags[i] = &cli.StringSliceFlag{Name: table[i].name, KeepSpace: true}
	}
	return flags
}

// separate puts the flags, values joined with "=", before the arguments that are
// none: cli, like package flag, stops at the first argument, but the
// application is often written before the flags. A flag nobody knows, or one
// without its value, is told here, with the nearest name.
func separate(args []string) (flags, rest []string, err error) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return flags, append(rest, args[i+1:]...), nil
		}
		if len(arg) < 2 || arg[0] != '-' {
			rest = append(rest, arg)
			continue
		}
		name, value, joined := cutFlag(arg)
		if isAnswer(name) {
			// To cli, an argument beside these would be a topic of help.
			return []string{name}, nil, nil
		}
		row := findSetting(name)
		if row == nil {
			return nil, nil, unknownFlag(name)
		}
		if !joined && row.kind.toggle {
			value, joined = "true", true
		}
		if !joined {
			if i++; i == len(args) || isFlag(args[i]) {
				return nil, nil, exitCodef(exitUsage, "%s: no value given (want %s)", name, row.kind.word)
			}
			value = args[i]
		}
		flags = append(flags, row.flag()+"="+value)
	}
	return flags, rest, nil
}

// cutFlag takes --name=value, -n value's -n, -n=value and -nvalue apart.
func cutFlag(arg string) (name, value string, joined bool) {
	name, value, joined = strings.Cut(arg, "=")
	if strings.HasPrefix(arg, "--") || len(name) == 2 || findSetting("-"+name) != nil || isAnswer("-"+name) {
		return name, value, joined
	}
	if row := findSetting(arg[:2]); row != nil && !row.kind.toggle {
		return arg[:2], arg[2:], true
	}
	return name, value, joined
}

// isAnswer tells the flags that print something and end the program.
func isAnswer(name string) bool {
	return name == "--help" || name == "-h" || name == "--version" || name == "-v"
}

func isFlag(arg string) bool {
	name, _, _ := strings.Cut(arg, "=")
	return isAnswer(name) || findSetting(name) != nil
}

// findSetting is the row that a flag, written with its dashes, belongs to.
func findSetting(flag string) *setting {
	long, isLong := strings.CutPrefix(flag, "--")
	for i := range table {
		row := &table[i]
		if isLong && (row.name == long || slices.Contains(row.hidden, long)) ||
			!isLong && row.short != "" && flag == "-"+row.short {
			return row
		}
	}
	return nil
}

func unknownFlag(name string) error {
	if near := nearestFlag(name); near != "" {
		return exitCodef(exitUsage, "no flag %s; did you mean %s?", name, near)
	}
	return exitCodef(exitUsage, "no flag %s; gowsgi --help lists them", name)
}

// nearestFlag is the flag that differs least from name, when it differs little.
func nearestFlag(name string) string {
	bare := strings.ReplaceAll(strings.TrimLeft(name, "-"), "_", "-")
	best, nearest := max(1, len(bare)/3)+1, ""
	for _, flag := range append(flagNames(), "help", "version") {
		if d := distance(bare, flag); d < best {
			best, nearest = d, "--"+flag
		}
	}
	return nearest
}

func flagNames() []string {
	names := make([]string, len(table))
	for i := range table {
		names[i] = table[i].name
	}
	return names
}

// distance counts the single-byte insertions, deletions and replacements that
// turn a into b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// helpText is what --help prints.
func helpText() string {
	var b strings.Builder
	fmt.Fprintf(&b, "gowsgi serves a Python WSGI application.\n\nUsage: %s\n\n", usageLine)
	b.WriteString("MODULE is imported; APP, application by default, is the object in it, dotted or\n" +
		"called with literal arguments: site.wsgi, app:create_app(debug=False).\n" +
		"Every flag can be given as a variable too: --keep-alive as GOWSGI_KEEP_ALIVE,\n" +
		"lists with commas. Durations are seconds or 1m30s, 500ms.\n")
	group := ""
	for i := range table {
		row := &table[i]
		if row.group != group {
			group = row.group
			fmt.Fprintf(&b, "\n%s:\n", group)
		}
		fmt.Fprintf(&b, "  %s\n        %s%s\n", row.spelling(), row.help, row.note())
	}
	b.WriteString("\nOthers:\n  -h, --help\n        print this\n  -v, --version\n        print the version\n")
	return b.String()
}

// spelling is how the flag is written: -w, --workers NUMBER.
func (s *setting) spelling() string {
	text := s.flag()
	if s.short != "" {
		text = "-" + s.short + ", " + text
	}
	if !s.kind.toggle {
		text += " " + s.kind.word
	}
	return text
}

// note ends a line of help: default, unit, variable, whether it repeats.
func (s *setting) note() string {
	var parts []string
	if s.kind.repeat {
		parts = append(parts, "repeatable")
	}
	if s.value != "" {
		parts = append(parts, "default "+s.shownDefault())
	}
	for _, common := range s.variable {
		parts = append(parts, common.prefix+"$"+common.name+" where that is set")
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}

// shownDefault is the default with its unit.
func (s *setting) shownDefault() string {
	return strings.TrimSpace(s.value + " " + s.unit)
}

// The table in README.md stands between these two lines.
const (
	readmeBegin = "<!-- settings: made by go test ./cmd/gowsgi -run TestReadmeTable -update -->"
	readmeEnd   = "<!-- settings: end -->"
)

var errNoMarkers = errors.New("no place for the settings table: want the lines " + readmeBegin + " and " + readmeEnd)

// withReadmeTable gives the text of README.md with the settings table, as it is
// now, between its two markers.
func withReadmeTable(readme string) (string, error) {
	before, after, begun := strings.Cut(readme, readmeBegin+"\n")
	_, after, ended := strings.Cut(after, readmeEnd)
	if !begun || !ended {
		return "", errNoMarkers
	}
	return before + readmeBegin + "\n" + readmeTable() + readmeEnd + after, nil
}

// readmeTable is the table of settings in Markdown.
func readmeTable() string {
	var b strings.Builder
	b.WriteString("| Flag | Variable | Default | Meaning |\n| --- | --- | --- | --- |\n")
	for i := range table {
		row := &table[i]
		value := row.shownDefault()
		if value != "" {
			value = "`" + value + "`"
		}
		variables := "`" + row.env() + "`"
		for _, common := range row.variable {
			variables += ", `" + common.name + "`"
		}
		help := strings.ReplaceAll(row.help, "|", `\|`)
		if row.kind.repeat {
			help += " (repeatable)"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", row.spelling(), variables, value, help)
	}
	return b.String()
}
