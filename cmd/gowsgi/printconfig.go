package main

// --print-config: every setting, its value and where it comes from, written as a
// gowsgi.toml that says the same.

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// print writes a line for each setting. What has no value is a comment, and so is
// the file that is being read: it cannot name itself.
func (s *Settings) print(out io.Writer) error {
	lines := []printed{s.printed(&application)}
	for i := range table {
		row := &table[i]
		lines = append(lines, s.printed(row))
	}
	width := 0
	for _, line := range lines {
		width = max(width, min(len(line.text), widest))
	}
	group := groupApp
	for i, line := range lines {
		if i > 0 && table[i-1].group != group {
			group = table[i-1].group
			if _, err := fmt.Fprintf(out, "\n# %s\n", group); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(out, "%-*s  # %s\n", width, line.text, line.origin); err != nil {
			return err
		}
	}
	return nil
}

// widest is the line that comments are still lined up behind.
const widest = 44

type printed struct{ text, origin string }

func (s *Settings) printed(row *setting) printed {
	said := s.said[row.name]
	origin := said.origin
	for _, name := range []string{row.name, row.flag()} {
		origin = strings.TrimSuffix(origin, ": "+name) // it stands at the beginning of the line
	}
	derived, follows := s.derived()[row.name]
	limited, is := s.limited[row.name]
	switch {
	case is && (!follows || derived == limited.text):
		return printed{"# " + tomlLine(row, []string{limited.text}), limited.why}
	case follows && said.origin == byDefault && !slices.Equal(said.texts, []string{derived}):
		return printed{"# " + tomlLine(row, []string{derived}), "follows from the others"}
	case len(said.texts) == 0:
		return printed{"# " + row.name + " =", "not set"}
	case row.name == "config":
		return printed{"# " + tomlLine(row, said.texts), origin}
	}
	return printed{tomlLine(row, said.texts), origin}
}

// derived are the settings that can follow from each other, see settleWorkers.
func (s *Settings) derived() map[string]string {
	return map[string]string{
		"workers": strconv.Itoa(s.Workers), "min-workers": strconv.Itoa(s.MinWorkers), "max-workers": strconv.Itoa(s.MaxWorkers),
	}
}

// tomlLine writes a setting as a file has it.
func tomlLine(row *setting, texts []string) string {
	values := make([]string, len(texts))
	for i, text := range texts {
		values[i] = row.kind.tomlValue(text)
	}
	if row.kind.repeat && len(values) != 1 {
		return row.name + " = [" + strings.Join(values, ", ") + "]"
	}
	return row.name + " = " + values[0]
}

func (k kind) tomlValue(text string) string {
	if k.toggle {
		if value, err := parseToggle(text); err == nil {
			return strconv.FormatBool(value)
		}
	}
	if k.toml&tomlInteger != 0 {
		if value, err := strconv.ParseInt(text, 10, 64); err == nil {
			return strconv.FormatInt(value, 10)
		}
	}
	return tomlString(text)
}

// tomlString writes a basic string; TOML v1.0.0, "String".
func tomlString(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
