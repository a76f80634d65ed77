package main

// .env files: variables for the application, one NAME=VALUE to a line. What they
// may look like is in docs/configuration.md.

import (
	"errors"
	"fmt"
	"strings"
)

// parseEnvFile adds the variables of text to values. ${NAME} in a value stands for
// what the environment that lookup reads has, else for what came before.
// name is the file's, for errors.
func parseEnvFile(name, text string, values map[string]string, lookup func(string) (string, bool)) error {
	p := envParser{rest: strings.TrimPrefix(text, "\ufeff"), line: 1, values: values, lookup: lookup}
	for p.rest != "" {
		began := p.line
		if err := p.entry(); err != nil {
			return fmt.Errorf("%s:%d: %w", name, began, err)
		}
	}
	return nil
}

type envParser struct {
	rest   string
	line   int
	values map[string]string
	lookup func(string) (string, bool)
}

// entry reads a line, or the several that a quoted value spans.
func (p *envParser) entry() error {
	line, _, _ := strings.Cut(p.rest, "\n")
	trimmed := strings.TrimSpace(line)
	if trimmed == "" || trimmed[0] == '#' {
		p.skipLine()
		return nil
	}
	name, _, equals := strings.Cut(line, "=")
	if !equals {
		return fmt.Errorf("%q is no NAME=VALUE", trimmed)
	}
	p.rest = p.rest[len(name)+1:]
	name = strings.TrimSpace(name)
	if exported, ok := strings.CutPrefix(name, "export"); ok && strings.TrimLeft(exported, " \t") != exported {
		name = strings.TrimSpace(exported)
	}
	if !isVariableName(name) {
		return fmt.Errorf("%q cannot be a variable's name", name)
	}
	value, err := p.value()
	if err == nil && strings.ContainsRune(value, 0) {
		err = errors.New("holds a NUL byte")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p.values[name] = value
	return nil
}

// isVariableName is a little wider than a shell's: dots and dashes do no harm.
func isVariableName(name string) bool {
	for i, r := range name {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789.-", r)) {
			return false
		}
	}
	return name != ""
}

func (p *envParser) skipLine() {
	_, p.rest, _ = strings.Cut(p.rest, "\n")
	p.line++
}

func (p *envParser) value() (string, error) {
	p.rest = strings.TrimLeft(p.rest, " \t")
	if p.rest != "" && (p.rest[0] == '"' || p.rest[0] == '\'') {
		return p.quoted()
	}
	line, _, _ := strings.Cut(p.rest, "\n")
	p.skipLine()
	if strings.HasPrefix(line, "#") {
		return "", nil
	}
	// A comment needs a space before it: a#b is a value.
	for _, begin := range []string{" #", "\t#"} {
		line, _, _ = strings.Cut(line, begin)
	}
	return p.expand(strings.TrimSpace(line))
}

// quoted reads a value in quotes, which may span lines: as it is in single ones,
// with escapes and ${NAME} in double ones.
func (p *envParser) quoted() (string, error) {
	quote := p.rest[0]
	end := endOfQuote(p.rest, 0)
	if quote == '\'' {
		end = 1 + strings.IndexByte(p.rest[1:], quote)
	}
	if end == 0 || end == len(p.rest) {
		return "", fmt.Errorf("the quote %c is not closed", quote)
	}
	value := p.rest[1:end]
	p.line += strings.Count(value, "\n")
	after, _, _ := strings.Cut(p.rest[end+1:], "\n")
	p.rest = p.rest[end+1:]
	p.skipLine()
	if after = strings.TrimSpace(after); after != "" && after[0] != '#' {
		return "", fmt.Errorf("%q follows the closing quote", after)
	}
	if quote == '\'' {
		return value, nil
	}
	return p.expand(value, envEscapes...)
}

// envEscapes are what a backslash means in double quotes; it stands for itself
// before anything else.
var envEscapes = []string{`\n`, "\n", `\r`, "\r", `\t`, "\t", `\"`, `"`, `\$`, "$", `\\`, `\`}

// expand replaces ${NAME}, ${NAME:-otherwise} and the escapes, in one pass.
func (p *envParser) expand(text string, escapes ...string) (string, error) {
	var b strings.Builder
next:
	for text != "" {
		for i := 0; i < len(escapes); i += 2 {
			if after, ok := strings.CutPrefix(text, escapes[i]); ok {
				b.WriteString(escapes[i+1])
				text = after
				continue next
			}
		}
		after, ok := strings.CutPrefix(text, "${")
		if !ok {
			b.WriteByte(text[0])
			text = text[1:]
			continue
		}
		inside, rest, closed := strings.Cut(after, "}")
		name, otherwise, _ := strings.Cut(inside, ":-")
		if !closed || !isVariableName(name) {
			return "", fmt.Errorf("%q: want ${NAME} or ${NAME:-VALUE}; single quotes keep a dollar sign as it is", "${"+after)
		}
		b.WriteString(p.known(name, otherwise))
		text = rest
	}
	return b.String(), nil
}

// known is the value of a variable, or otherwise where it is unset or empty.
func (p *envParser) known(name, otherwise string) string {
	if value, set := p.lookup(name); set && value != "" {
		return value
	}
	if value := p.values[name]; value != "" {
		return value
	}
	return otherwise
}
