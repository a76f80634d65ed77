package main

// How uWSGI's configuration is written: as .ini, .xml, .yaml or .json, all of them
// lists of options, with %(placeholders).

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// An option is one line of the file. Options may repeat, and their order counts.
type option struct {
	line       int // 0: not known
	key, value string
}

// readUWSGI gives the options of a file, placeholders replaced as far as they can
// be, and the names that placeholders stand for.
func readUWSGI(path string) (options []option, used map[string]bool, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".xml":
		options, err = xmlOptions(content)
	case ".yaml", ".yml":
		options, err = yamlOptions(string(content))
	case ".json":
		options, err = jsonOptions(content)
	default:
		options = iniOptions(string(content))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(options) == 0 {
		return nil, nil, fmt.Errorf("%s: no options for uWSGI in it (want a section or element uwsgi)", path)
	}
	e := expander{path: path, values: make(map[string]string), used: make(map[string]bool)}
	for i := range options {
		options[i].value = e.expand(options[i].value)
		e.keep(options[i])
	}
	return options, e.used, nil
}

// iniOptions reads the section [uwsgi].
func iniOptions(text string) []option {
	var options []option
	section := ""
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		case section == "uwsgi":
			key, value, equals := strings.Cut(line, "=")
			if !equals {
				value = "true"
			}
			options = append(options, option{i + 1, strings.TrimSpace(key), strings.TrimSpace(value)})
		}
	}
	return options
}

// xmlOptions reads the elements in <uwsgi>; an empty one means true.
func xmlOptions(content []byte) ([]option, error) {
	var options []option
	d := xml.NewDecoder(bytes.NewReader(content))
	depth, inside := 0, 0 // inside: the depth of <uwsgi>
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return options, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			depth++
			if t.Name.Local == "uwsgi" && inside == 0 {
				inside = depth
			} else if inside > 0 && depth == inside+1 {
				line, _ := d.InputPos()
				options = append(options, option{line, t.Name.Local, ""})
			}
		case xml.CharData:
			if inside > 0 && depth == inside+1 {
				options[len(options)-1].value += strings.TrimSpace(string(t))
			}
		case xml.EndElement:
			if inside > 0 && depth == inside+1 && options[len(options)-1].value == "" {
				options[len(options)-1].value = "true"
			}
			if depth == inside {
				inside = 0
			}
			depth--
		}
	}
}

// yamlOptions reads the one form that uWSGI's own reader takes: a mapping uwsgi of
// scalars and of lists of scalars.
func yamlOptions(text string) ([]option, error) {
	var options []option
	inside, key := false, ""
	for i, line := range strings.Split(text, "\n") {
		bare := strings.TrimSpace(line)
		switch {
		case bare == "" || bare[0] == '#' || strings.HasPrefix(bare, "---"):
			continue
		case line[0] != ' ' && line[0] != '\t':
			inside = strings.TrimSpace(strings.TrimSuffix(bare, ":")) == "uwsgi"
			continue
		case !inside:
			continue
		}
		if element, ok := strings.CutPrefix(bare, "- "); ok && key != "" {
			options = append(options, option{i + 1, key, yamlScalar(element)})
			continue
		}
		name, value, colon := strings.Cut(bare, ":")
		if !colon {
			return nil, fmt.Errorf("line %d: %q is neither \"key: value\" nor \"- value\"", i+1, bare)
		}
		key = strings.TrimSpace(name)
		if value = yamlScalar(value); value != "" {
			options = append(options, option{i + 1, key, value})
		}
	}
	return options, nil
}

func yamlScalar(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > 1 && (text[0] == '"' || text[0] == '\'') {
		if end := endOfQuote(text, 0); end < len(text) {
			return text[1:end]
		}
	}
	text, _, _ = strings.Cut(text, " #")
	return strings.TrimSpace(text)
}

// jsonOptions reads the object uwsgi, in the order in which it is written.
func jsonOptions(content []byte) ([]option, error) {
	var file struct {
		UWSGI json.RawMessage `json:"uwsgi"`
	}
	if err := json.Unmarshal(content, &file); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(file.UWSGI))
	d.UseNumber()
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return nil, errors.New("no object uwsgi")
	}
	var options []option
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value any
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		values, list := value.([]any)
		if !list {
			values = []any{value}
		}
		for _, one := range values {
			options = append(options, option{0, fmt.Sprint(key), fmt.Sprint(one)})
		}
	}
	return options, nil
}

// expander replaces placeholders: %(name) by what was given before, %d and the like
// by facts about the file and the machine, $(NAME) by the environment.
type expander struct {
	path   string
	values map[string]string
	used   map[string]bool
}

// keep makes an option's value known to those after it.
func (e *expander) keep(o option) {
	e.values[o.key] = o.value
	if o.key == "set-placeholder" || o.key == "set-ph" || o.key == "set" {
		if key, value, ok := strings.Cut(o.value, "="); ok {
			e.values[key] = value
			e.used[key] = true
		}
	}
}

// longestOption bounds what placeholders that hold placeholders can grow to.
const longestOption = 64 << 10

// expand leaves alone what it does not know: the setting then shows it.
func (e *expander) expand(text string) string {
	var b strings.Builder
	for text != "" && b.Len() < longestOption {
		if name, rest, ok := inBrackets(text, "%("); ok {
			if value, known := e.values[name]; known {
				e.used[name] = true
				b.WriteString(value)
				text = rest
				continue
			}
		}
		if name, rest, ok := inBrackets(text, "$("); ok {
			if value, set := os.LookupEnv(name); set {
				b.WriteString(value)
				text = rest
				continue
			}
		}
		if len(text) > 1 && text[0] == '%' {
			if value := e.magic(text[1]); value != "" {
				b.WriteString(value)
				text = text[2:]
				continue
			}
		}
		b.WriteByte(text[0])
		text = text[1:]
	}
	return b.String()
}

func inBrackets(text, begin string) (name, rest string, ok bool) {
	after, ok := strings.CutPrefix(text, begin)
	if !ok {
		return "", "", false
	}
	return strings.Cut(after, ")")
}

// magic is what %d and its like stand for; empty for others.
func (e *expander) magic(letter byte) string {
	path, err := filepath.Abs(e.path)
	if err != nil {
		return ""
	}
	base := filepath.Base(path)
	switch letter {
	case 'p':
		return path
	case 's':
		return base
	case 'd':
		return filepath.Dir(path) + "/"
	case 'c':
		return filepath.Base(filepath.Dir(path))
	case 'n':
		return strings.TrimSuffix(base, filepath.Ext(base))
	case 'e':
		return strings.TrimPrefix(filepath.Ext(base), ".")
	case 'k':
		return fmt.Sprint(runtime.NumCPU())
	case '%':
		return "%"
	}
	return ""
}
