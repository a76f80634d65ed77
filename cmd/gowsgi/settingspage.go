package main

// docs/settings.md: every setting, as one page made of the table.

import (
	"fmt"
	"strings"
)

const settingsIntroduction = `# Settings

<!-- Made from cmd/gowsgi/settings.go by: go test ./cmd/gowsgi -run SettingsPage -update -->

Each is a flag, a variable and a key of ` + "`gowsgi.toml`" + `, which is the flag's long name without its dashes. Flags win over
variables, variables over the file, that over defaults. Durations are seconds, or ` + "`500ms`, `1m30s`, `2h`" + `; sizes are bytes, or
` + "`64K`, `10M`, `2G`" + `; lists are separated by commas in variables. [configuration.md](configuration.md) has the whole of it, and
` + "`gowsgi --print-config`" + ` tells what counts and who said so.
`

// settingsPage is docs/settings.md, in Markdown: a table for each heading.
func settingsPage() string {
	var b strings.Builder
	b.WriteString(settingsIntroduction)
	group := ""
	for i := range table {
		row := &table[i]
		if row.group != group {
			group = row.group
			fmt.Fprintf(&b, "\n## %s\n\n| Flag | Variable | Default | Meaning |\n| --- | --- | --- | --- |\n", group)
		}
		b.WriteString(row.tableLine())
	}
	return b.String()
}

func (s *setting) tableLine() string {
	value := s.shownDefault()
	if value != "" {
		value = "`" + value + "`"
	}
	variables := "`" + s.env() + "`"
	for _, common := range s.variable {
		variables += ", `" + common.name + "`"
	}
	help := strings.ReplaceAll(s.help, "|", `\|`)
	if s.kind.repeat {
		help += " (repeatable)"
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s |\n", s.spelling(), variables, value, help)
}
