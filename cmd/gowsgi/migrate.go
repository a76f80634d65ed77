package main

// gowsgi migrate: the gowsgi.toml that says what another server's configuration
// says. What is collected here comes from migrate_gunicorn.go and migrate_uwsgi.go.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gowsgi/cmd/failure"
)

// A migration collects what a file says, and what about it cannot be said here.
type migration struct {
	file     string
	settings map[string]*migrated // by name
	needless []note               // nothing is lost without them
	missing  []note               // what somebody has to look at
}

// migrated is one setting, with where it comes from.
type migrated struct {
	texts []string
	why   []string
}

// A note is about one line of the file; 0: about the whole.
type note struct {
	line int
	what string // the key or function
	text string
}

func newMigration(file string) *migration {
	return &migration{file: file, settings: make(map[string]*migrated)}
}

func (m *migration) drop(line int, what, why string) {
	m.needless = append(m.needless, note{line, what, why})
}

func (m *migration) miss(line int, what, why string) {
	m.missing = append(m.missing, note{line, what, why})
}

// set says what a setting shall be, if it can be: a list grows, other values take
// the place of what was said before. comment may be empty.
func (m *migration) set(line int, what, name, comment string, texts ...string) {
	row := settingOfKey(name)
	if row == nil {
		m.miss(line, what, "gowsgi has no setting "+name)
		return
	}
	for _, text := range texts {
		if err := row.store(&Settings{}, text); err != nil {
			m.miss(line, what, fmt.Sprintf("%s %q: %v", row.name, text, err))
			return
		}
	}
	one := m.settings[row.name]
	if one == nil || !row.kind.repeat {
		one = &migrated{}
		m.settings[row.name] = one
	}
	one.texts = append(one.texts, texts...)
	one.why = append(one.why, reason(line, what, row.name, comment))
}

// reason says where a setting comes from, as far as its own name does not.
func reason(line int, what, name, comment string) string {
	var parts []string
	if line > 0 {
		parts = append(parts, fmt.Sprintf("line %d", line))
	}
	if strings.ReplaceAll(what, "_", "-") != name {
		parts = append(parts, what)
	}
	text := strings.Join(parts, ": ")
	if comment != "" {
		text += " (" + comment + ")"
	}
	return text
}

// given is the last text of a setting, or nothing.
func (m *migration) given(name string) string {
	if one := m.settings[name]; one != nil && len(one.texts) > 0 {
		return one.texts[len(one.texts)-1]
	}
	return ""
}

// write prints the file. Everything in it that comes from the other is in a string
// or on the line of a comment.
func (m *migration) write(out io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# gowsgi.toml, made by gowsgi migrate from %s\n\n", inComment(filepath.Base(m.file)))
	rows := []*setting{&application}
	for i := range table {
		rows = append(rows, &table[i])
	}
	for _, row := range rows {
		if one := m.settings[row.name]; one != nil {
			b.WriteString(tomlLine(row, one.texts))
			if why := inComment(strings.Join(one.why, "; ")); why != "" {
				b.WriteString("  # " + why)
			}
			b.WriteByte('\n')
		}
	}
	if m.settings[application.name] == nil {
		b.WriteString("# app = \"MODULE:APP\"  # the file does not say; or give it on the command line\n")
	}
	writeNotes(&b, "No equivalent; look at each of these:", m.missing)
	writeNotes(&b, "Not needed:", m.needless)
	if _, err := readConfigFile(ownFile, b.Bytes()); err != nil {
		return failure.Errorf(failure.Unexpected, "what was made of %s cannot be read again: %w", m.file, err)
	}
	_, err := out.Write(b.Bytes())
	return err
}

func writeNotes(b *bytes.Buffer, title string, notes []note) {
	if len(notes) == 0 {
		return
	}
	slices.SortStableFunc(notes, func(x, y note) int { return x.line - y.line })
	fmt.Fprintf(b, "\n# %s\n", title)
	for _, n := range notes {
		where := ""
		if n.line > 0 {
			where = fmt.Sprintf("line %d: ", n.line)
		}
		fmt.Fprintf(b, "#   %s%s: %s\n", where, inComment(n.what), inComment(n.text))
	}
}

// inComment keeps text on its line and short.
func inComment(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(escapeControls(strings.Join(strings.Fields(text), " ")), "?")), " ")
	if runes := []rune(text); len(runes) > 160 {
		return string(runes[:159]) + "…"
	}
	return text
}

// migrators read a file of each name's ending.
var migrators = map[string]func(path string) (*migration, error){
	".py":   migrateGunicorn,
	".ini":  migrateUWSGI,
	".xml":  migrateUWSGI,
	".yaml": migrateUWSGI,
	".yml":  migrateUWSGI,
	".json": migrateUWSGI,
}

// runMigrate is `gowsgi migrate`.
func runMigrate(args []string) error {
	if len(args) != 1 || strings.HasPrefix(args[0], "-") {
		return failure.Errorf(failure.Usage, "usage: gowsgi %s", commands["migrate"].usage)
	}
	path := bareName(args[0])
	if _, err := os.Stat(path); err != nil {
		return failure.Errorf(failure.CannotMigrate, "migrate: %w", err)
	}
	read := migrators[strings.ToLower(filepath.Ext(path))]
	if read == nil {
		return failure.Errorf(failure.CannotMigrate, "migrate: %q is neither gunicorn's (.py) nor uWSGI's (.ini, .xml, .yaml, .json)", path)
	}
	m, err := read(path)
	if err != nil {
		var coded *exitError
		if errors.As(err, &coded) {
			return err
		}
		return failure.Errorf(failure.CannotMigrate, "migrate: %w", err)
	}
	return m.write(os.Stdout)
}
