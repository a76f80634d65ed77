package main

// The command line: how the table of settings becomes flags and help.

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"gowsgi/cmd/failure"
)

// version is set by the linker: -X main.version=…
var version = "dev"

const usageLine = "gowsgi [flags] MODULE[:APP]"

// parseCommandLine turns args (without the program's name), the environment that
// lookup reads and the configuration found in the working folder into checked
// settings; see invocation.parse.
func parseCommandLine(args []string, lookup func(string) (string, bool), out io.Writer, build string) (*Settings, error) {
	return invocation{args: args, lookup: lookup}.parse(out, build)
}

// parse finds out what is to be done. Flags may stand before or after the
// application. Errors have exit status 2.
//
// What is only to be printed is answered on out; both results are nil then, for
// there is nothing to run. build ends the line that --version prints; it says
// what the program was built with, and may be empty.
func (i invocation) parse(out io.Writer, build string) (*Settings, error) {
	line, err := separate(i.args)
	if err != nil {
		return nil, err
	}
	switch line.asks {
	case "--help":
		_, err = io.WriteString(out, helpText())
		return nil, err
	case "--version":
		_, err = fmt.Fprintln(out, "gowsgi version", strings.TrimSpace(version+" "+build))
		return nil, err
	}
	flags, err := line.flags()
	if err != nil {
		return nil, err
	}
	settings, err := i.settingsFrom(flags, line.warnings)
	switch {
	case err != nil:
		return nil, err
	case line.asks == printFlag:
		return nil, settings.print(out)
	}
	settings.CheckOnly = line.asks == checkFlag
	return settings, nil
}

// Flags that ask for something else than serving.
const (
	checkFlag = "--check-config"
	printFlag = "--print-config"
)

// others are the flags that are no settings.
var others = []struct{ name, short, help string }{
	{"check-config", "", "import the application and exit; the status is that of a start"},
	{"print-config", "", "print every setting, its value and where it comes from, in the form of a gowsgi.toml"},
	{"help", "h", "print this"},
	{"version", "v", "print the version"},
}

// arguments are a command line, taken apart.
type arguments struct {
	given    []string // flags, values joined with "="
	rest     []string // what is no flag
	asks     string   // the first of the others, in its long form; empty: none
	warnings []string
}

// flags gives the values by setting name, the application's among them.
func (a arguments) flags() (map[string][]string, error) {
	flags := make(map[string][]string)
	app := &cli.App{
		Name:     "gowsgi",
		HelpName: "gowsgi",
		Flags:    cliFlags(),
		Writer:   io.Discard,
		// Bind addresses and NAME=VALUE are cut by the table's rules, not cli's.
		DisableSliceFlagSeparator: true,
		// What asks for help or the version was seen before.
		HideHelp:    true,
		HideVersion: true,
		// Errors are returned to the one place that prints them and exits.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError: func(_ *cli.Context, err error, _ bool) error {
			return failure.Errorf(failure.Usage, "%w", err)
		},
		Action: func(c *cli.Context) error { return collect(c, flags) },
	}
	return flags, app.Run(slices.Concat([]string{"gowsgi"}, a.given, []string{"--"}, a.rest))
}

// collect fills flags with what cli has taken apart.
func collect(c *cli.Context, flags map[string][]string) error {
	switch c.NArg() {
	case 0:
	case 1:
		flags[application.name] = c.Args().Slice()
	default:
		return failure.Errorf(failure.Usage, "unexpected argument %q after the application %q", c.Args().Get(1), c.Args().First())
	}
	for i := range table {
		if name := table[i].name; c.IsSet(name) {
			flags[name] = c.StringSlice(name)
			if !table[i].kind.repeat {
				// As everywhere: the last one counts.
				flags[name] = flags[name][len(flags[name])-1:]
			}
		}
	}
	return nil
}

// cliFlags gives cli one flag for each row. All collect text: what it means, and
// what is wrong with it, is said in one place for flags and everything else.
func cliFlags() []cli.Flag {
	flags := make([]cli.Flag, len(table))
	for i := range table {
		flags[i] = &cli.StringSliceFlag{Name: table[i].name, KeepSpace: true}
	}
	return flags
}

// separate tells flags and their values from other arguments. A flag nobody
// knows, or one without its value, is told here, with the nearest name. After a
// flag that asks for help or the version nothing else counts.
func separate(args []string) (arguments, error) {
	var line arguments
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			line.rest = append(line.rest, args[i+1:]...)
			return line, nil
		}
		if len(arg) < 2 || arg[0] != '-' {
			line.rest = append(line.rest, arg)
			continue
		}
		name, value, joined := cutFlag(arg)
		if other := findOther(name); other != "" {
			line.asks = other
			if other == "--help" || other == "--version" {
				return line, nil
			}
			continue
		}
		row, strange := findSetting(name), findStrange(name)
		if row == nil && strange == nil {
			return arguments{}, unknownFlag(name)
		}
		if bare := row != nil && row.kind.toggle || row == nil && strange.bare; bare && !joined {
			value, joined = "true", true
		}
		if !joined {
			if i++; i == len(args) || isFlag(args[i]) {
				return arguments{}, failure.Errorf(failure.Usage, "%s: no value given%s", name, wanted(row))
			}
			value = args[i]
		}
		if row != nil {
			line.given = append(line.given, row.flag()+"="+value)
			continue
		}
		warning, err := strange.meet(value)
		if err != nil {
			return arguments{}, err
		}
		if warning != "" {
			line.warnings = append(line.warnings, warning)
		}
	}
	return line, nil
}

func wanted(row *setting) string {
	if row == nil {
		return ""
	}
	return fmt.Sprintf(" (want %s)", row.kind.word)
}

// cutFlag takes --name=value, -n value's -n, -n=value and -nvalue apart.
func cutFlag(arg string) (name, value string, joined bool) {
	name, value, joined = strings.Cut(arg, "=")
	if strings.HasPrefix(arg, "--") || len(name) == 2 || isFlag("-"+name) {
		return name, value, joined
	}
	row, strange := findSetting(arg[:2]), findStrange(arg[:2])
	if row != nil && !row.kind.toggle || row == nil && strange != nil && !strange.bare {
		return arg[:2], arg[2:], true
	}
	return name, value, joined
}

// findOther gives the long form of a flag that is no setting, or nothing.
func findOther(flag string) string {
	for _, o := range others {
		if flag == "--"+o.name || o.short != "" && flag == "-"+o.short {
			return "--" + o.name
		}
	}
	return ""
}

func isFlag(arg string) bool {
	name, _, _ := strings.Cut(arg, "=")
	return findOther(name) != "" || findSetting(name) != nil || findStrange(name) != nil
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
	if near := nearestName(strings.TrimLeft(name, "-"), otherNames()...); near != "" {
		return failure.Errorf(failure.Usage, "no flag %s; did you mean --%s?", name, near)
	}
	return failure.Errorf(failure.Usage, "no flag %s; gowsgi --help lists them", name)
}

// nearestName is the setting, or one of more, whose name differs least from name,
// when it differs little.
func nearestName(name string, more ...string) string {
	bare := strings.ReplaceAll(name, "_", "-")
	best, nearest := max(1, len(bare)/3)+1, ""
	for _, known := range append(flagNames(), more...) {
		if d := distance(bare, known); d < best {
			best, nearest = d, known
		}
	}
	return nearest
}

func otherNames() []string {
	names := make([]string, len(others))
	for i := range others {
		names[i] = others[i].name
	}
	return names
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
		"lists with commas; and as a key of gowsgi.toml: keep-alive = \"1m30s\". Flags win\n" +
		"over variables, variables over the file. Durations are seconds or 1m30s, 500ms.\n")
	group := ""
	for i := range table {
		row := &table[i]
		if row.group != group {
			group = row.group
			fmt.Fprintf(&b, "\n%s:\n", group)
		}
		fmt.Fprintf(&b, "  %s\n        %s%s\n", row.spelling(), row.help, row.note())
	}
	b.WriteString("\nOthers:\n")
	for _, o := range others {
		short := ""
		if o.short != "" {
			short = "-" + o.short + ", "
		}
		fmt.Fprintf(&b, "  %s--%s\n        %s\n", short, o.name, o.help)
	}
	b.WriteString("\nCommands:\n")
	for _, name := range commandNames() {
		fmt.Fprintf(&b, "  gowsgi %s\n        %s\n", commands[name].usage, commands[name].help)
	}
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
