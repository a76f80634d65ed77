package main

// Configuration files: gowsgi.toml, or the table tool.gowsgi of pyproject.toml.
// The keys are the names of the settings.

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"gowsgi/cmd/failure"
)

// Names of the files that are looked for in the folder gowsgi is started in.
const (
	ownFile     = "gowsgi.toml"
	projectFile = "pyproject.toml"
)

// tomlTypes are what a value may be in a file, beside a string.
type tomlTypes int

const (
	tomlInteger  tomlTypes = 1 << iota
	tomlFloat              // with a fraction
	tomlUnquoted           // and never a string
)

// A configFile holds what one file says. The zero value says nothing.
type configFile struct {
	name    string // as it was asked for
	sayings sayings
}

func (c configFile) about(row *setting) (saying, bool) {
	said, ok := c.sayings[row.name]
	return said, ok
}

// configuration reads the file that was asked for, or finds one; no file at all
// says nothing. Errors have exit status 2.
func (i invocation) configuration(asked saying) (configFile, error) {
	if len(asked.texts) > 0 {
		name := asked.texts[0]
		if looksLikeGunicorns(name) {
			return configFile{}, failure.Errorf(failure.BadConfigFile,
				"%s %q: a configuration of gunicorn is a Python program; gowsgi migrate %s prints a gowsgi.toml that says the same", asked.origin, name, bareName(name))
		}
		content, err := os.ReadFile(i.path(name))
		if err != nil {
			return configFile{}, failure.Errorf(failure.BadConfigFile, "%s: %w", asked.origin, err)
		}
		return readConfigFile(name, content)
	}
	for _, name := range []string{ownFile, projectFile} {
		content, err := os.ReadFile(i.path(name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return configFile{}, failure.Errorf(failure.BadConfigFile, "read the configuration: %w", err)
		case name == ownFile || isOurProject(content):
			return readConfigFile(name, content)
		}
	}
	return configFile{}, nil
}

// isOurProject tells whether a pyproject.toml says anything to gowsgi. One that is
// broken and does not mention it is for others to complain of.
func isOurProject(content []byte) bool {
	return bytes.Contains(content, []byte("tool")) && bytes.Contains(content, []byte("gowsgi"))
}

// readConfigFile checks keys and the types of values; what the values mean is for
// whoever stores them.
func readConfigFile(name string, content []byte) (configFile, error) {
	file := configFile{name: name, sayings: make(sayings)}
	var values map[string]any
	if err := toml.Unmarshal(content, &values); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			line, column := at.Position()
			return file, failure.Errorf(failure.BadConfigFile, "%s:%d: not TOML at column %d: %s", name, line, column, strings.TrimPrefix(at.Error(), "toml: "))
		}
		return file, failure.Errorf(failure.BadConfigFile, "%s: not TOML: %w", name, err)
	}
	var path []string
	if filepath.Base(name) == projectFile {
		path = []string{"tool", "gowsgi"}
		var err error
		if values, err = subtable(values, path); err != nil {
			return file, failure.Errorf(failure.BadConfigFile, "%s: %w", name, err)
		}
	}
	lines := linesOf(content)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		at := fmt.Sprintf("%s:%d", name, lines.of(append(path, key)))
		if err := file.take(at, key, values[key]); err != nil {
			return file, failure.Errorf(failure.BadConfigFile, "%s: %w", at, err)
		}
	}
	return file, nil
}

func subtable(values map[string]any, path []string) (map[string]any, error) {
	for i, key := range path {
		inner, found := values[key]
		table, ok := inner.(map[string]any)
		if found && !ok {
			return nil, fmt.Errorf("%s is %s, want a table", strings.Join(path[:i+1], "."), tomlName(inner))
		}
		values = table
	}
	return values, nil
}

// take understands one key. Dashes and underscores mean the same in it.
func (c configFile) take(at, key string, value any) error {
	row := settingOfKey(key)
	switch {
	case row == nil:
		near := gunicornNames[key]
		if near == "" || settingOfKey(near) == nil {
			near = nearestName(key, application.name)
		}
		if near != "" {
			return fmt.Errorf("no setting %q; did you mean %q?", key, near)
		}
		return fmt.Errorf("no setting %q; gowsgi --help lists them", key)
	case row.name == "config":
		return errors.New("config: a configuration file cannot name another")
	}
	if before, twice := c.sayings[row.name]; twice {
		return fmt.Errorf("%s is given twice, see %s", row.name, before.origin)
	}
	texts, err := row.kind.fromTOML(value)
	if err != nil {
		return fmt.Errorf("%s: %w", row.name, err)
	}
	c.sayings[row.name] = saying{at + ": " + row.name, texts}
	return nil
}

func settingOfKey(key string) *setting {
	name := strings.ReplaceAll(key, "_", "-")
	if name == application.name {
		return &application
	}
	if row := findSetting("--" + name); row != nil {
		return row
	}
	return findSetting("--" + key) // a hidden spelling can have both
}

// fromTOML gives the texts that the same would be as a flag.
func (k kind) fromTOML(value any) ([]string, error) {
	switch v := value.(type) {
	case []any:
		if !k.repeat {
			return nil, errors.New("an array is given, want a single value")
		}
		texts := make([]string, len(v))
		for i, element := range v {
			var err error
			if texts[i], err = k.scalar(element); err != nil {
				return nil, err
			}
		}
		return texts, nil
	case map[string]any:
		if !k.pairs {
			break
		}
		var texts []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			text, ok := v[name].(string)
			if !ok {
				return nil, fmt.Errorf("%s is %s, want a string", name, tomlName(v[name]))
			}
			texts = append(texts, name+"="+text)
		}
		return texts, nil
	}
	text, err := k.scalar(value)
	return []string{text}, err
}

func (k kind) scalar(value any) (string, error) {
	switch v := value.(type) {
	case string:
		if !k.toggle && k.toml&tomlUnquoted == 0 {
			return v, nil
		}
		return "", fmt.Errorf("%q is a string, want %s", v, k.tomlForm())
	case bool:
		if k.toggle {
			return strconv.FormatBool(v), nil
		}
	case int64:
		if k.toml&tomlInteger != 0 {
			return strconv.FormatInt(v, 10), nil
		}
	case float64:
		if k.toml&tomlFloat != 0 {
			return strconv.FormatFloat(v, 'g', -1, 64), nil
		}
	}
	return "", fmt.Errorf("%s is given, want %s", tomlName(value), k.tomlForm())
}

// tomlForm says what a value has to be in a file.
func (k kind) tomlForm() string {
	switch {
	case k.toggle:
		return "true or false, without quotes"
	case k.toml&tomlUnquoted != 0:
		return "a number, without quotes"
	case k.toml != 0:
		return "a number, or a string with a unit"
	case k.pairs:
		return `a table of strings, or strings "NAME=VALUE"`
	case k.repeat:
		return "a string, or an array of strings"
	}
	return "a string"
}

func tomlName(value any) string {
	switch value.(type) {
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case int64:
		return "a whole number"
	case float64:
		return "a number with a fraction"
	case []any:
		return "an array"
	case map[string]any:
		return "a table"
	}
	return "a date or a time"
}

// keyLine is where a key stands, by its whole path.
type keyLine struct {
	path []string
	line int
}

// keyLines are those of a file. The library's decoder checks everything, but
// forgets positions; its parser, which has them, checks nothing but the form.
type keyLines []keyLine

func linesOf(content []byte) keyLines {
	var lines keyLines
	var table []string
	p := unstable.Parser{}
	p.Reset(content)
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind != unstable.KeyValue && e.Kind != unstable.Table && e.Kind != unstable.ArrayTable {
			continue
		}
		var path []string
		line := 0
		for parts := e.Key(); parts.Next(); {
			part := parts.Node()
			path = append(path, string(part.Data))
			line = p.Shape(part.Raw).Start.Line
		}
		if e.Kind == unstable.KeyValue {
			path = slices.Concat(table, path)
		} else {
			table = path
		}
		lines = append(lines, keyLine{path, line})
	}
	return lines
}

// of is the line of a key: its own, or that of the inline table it is in, or of the
// first key in it.
func (lines keyLines) of(path []string) int {
	best, length := 1, 0
	for _, at := range lines {
		shared := 0
		for shared < min(len(at.path), len(path)) && at.path[shared] == path[shared] {
			shared++
		}
		if shared > length && (shared == len(path) || shared == len(at.path)) {
			best, length = at.line, shared
		}
	}
	return best
}
