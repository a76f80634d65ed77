package main

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
)

// AppSpec names the application to serve, as in MODULE[:APP].
type AppSpec struct {
	// Module is the dotted name to import.
	Module string
	// Object is what to take from the module: a dotted name, or one followed by
	// a call with literal arguments, such as create_app(debug=False).
	Object string
}

// defaultObject is the name PEP 3333's own examples and mod_wsgi look for.
const defaultObject = "application"

// String gives the long form, MODULE:APP.
func (s AppSpec) String() string { return s.Module + ":" + s.Object }

// parseAppSpec reads MODULE[:APP]. It looks at the form alone: whether there is
// such a module, and what a call's arguments mean, is for Python to say.
func parseAppSpec(text string) (AppSpec, error) {
	if text == "" {
		return AppSpec{}, errors.New("no application given (want MODULE[:APP])")
	}
	module, object, colon := strings.Cut(text, ":")
	if hint, isFile := fileNameHint(module, object); isFile {
		return AppSpec{}, fmt.Errorf("%q is a file name; did you mean %q?", text, hint)
	}
	if module == "" {
		return AppSpec{}, fmt.Errorf("%q names no module (want MODULE[:APP])", text)
	}
	if !isDottedName(module) {
		return AppSpec{}, fmt.Errorf("%q: %q cannot be a module's name", text, module)
	}
	if !colon {
		object = defaultObject
	}
	if object == "" {
		return AppSpec{}, fmt.Errorf("%q names nothing after the colon; did you mean %q?", text, text+defaultObject)
	}
	name, call, _ := strings.Cut(object, "(")
	if !isDottedName(name) {
		return AppSpec{}, fmt.Errorf("%q: %q cannot be an object's name", text, object)
	}
	if len(name) < len(object) && !closesAtEnd("("+call) {
		return AppSpec{}, fmt.Errorf("%q: the call does not end with its closing bracket", text)
	}
	return AppSpec{module, object}, nil
}

// fileNameHint tells whether module was meant as the path of a file, and what to
// write instead.
func fileNameHint(module, object string) (hint string, isFile bool) {
	file, python := strings.CutSuffix(module, ".py")
	if file == "" || (!python && !strings.Contains(module, "/")) {
		return "", false
	}
	if object == "" {
		object = defaultObject
	}
	file = path.Clean(file)
	if path.IsAbs(file) || strings.HasPrefix(file, "../") {
		return fmt.Sprintf("--chdir %s %s:%s", path.Dir(file), path.Base(file), object), true
	}
	return strings.ReplaceAll(file, "/", ".") + ":" + object, true
}

// isDottedName tells whether text is one or more Python identifiers joined by
// dots. Identifiers may hold any Unicode letter, as in Python.
func isDottedName(text string) bool {
	for name := range strings.SplitSeq(text, ".") {
		if !isIdentifier(name) {
			return false
		}
	}
	return true
}

func isIdentifier(name string) bool {
	for i, r := range name {
		starts := r == '_' || unicode.IsLetter(r)
		continues := unicode.IsDigit(r) || unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Mc, r)
		if !starts && (i == 0 || !continues) {
			return false
		}
	}
	return name != ""
}

// closesAtEnd tells whether the bracket that text begins with is closed by its
// last byte, and not before, with Python's quotes and brackets respected.
func closesAtEnd(text string) bool {
	var open []byte
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '\'', '"':
			i = endOfQuote(text, i)
		case '(':
			open = append(open, ')')
		case '[':
			open = append(open, ']')
		case '{':
			open = append(open, '}')
		case ')', ']', '}':
			if open[len(open)-1] != c {
				return false
			}
			open = open[:len(open)-1]
		}
		if len(open) == 0 {
			return i == len(text)-1
		}
	}
	return false
}

// endOfQuote is the index of the quote that closes the one at start, or len(text).
func endOfQuote(text string, start int) int {
	for i := start + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[start]:
			return i
		}
	}
	return len(text)
}
