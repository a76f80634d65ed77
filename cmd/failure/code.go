// Package failure is the catalogue of what can go wrong as far as an operator
// has to do with it: a code for each, its cause, and what to do.
//
// A code is written where the failure is told of: at the end of the line, in
// brackets. Codes are for searching logs, runbooks and the web by; the words
// around them may change, a code's meaning does not, and the code of a failure
// that is no more is not given to another.
package failure

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Code names one kind of failure. The zero value names none.
type Code uint16

// Key is the attribute of a log record that holds its Code.
const Key = "code"

// String gives the code as it is written: GW012.
func (c Code) String() string { return fmt.Sprintf("GW%03d", uint16(c)) }

// Parse reads a code as people write it: GW012, gw12, 12. ok is false for what
// is no code, or none of the catalogue.
func Parse(text string) (c Code, ok bool) {
	digits := strings.TrimSpace(text)
	digits = strings.TrimSuffix(strings.TrimPrefix(digits, "["), "]")
	if len(digits) > 2 && strings.EqualFold(digits[:2], "GW") {
		digits = digits[2:]
	}
	number, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return 0, false
	}
	_, ok = Find(Code(number))
	return Code(number), ok
}

// Tag puts the code behind a line of text: text [GW012].
func (c Code) Tag(text string) string { return text + " [" + c.String() + "]" }

// Untag takes the code off a line that Tag has made.
func Untag(line string) (text string, c Code, ok bool) {
	at := strings.LastIndex(line, " [GW")
	if at < 0 || !strings.HasSuffix(line, "]") {
		return line, 0, false
	}
	if c, ok = Parse(line[at+1:]); !ok {
		return line, 0, false
	}
	return line[:at], c, true
}

// Page is what the catalogue says about a code; the code has to be in it.
func (c Code) Page() *Page {
	p, ok := Find(c)
	if !ok {
		panic(fmt.Sprintf("failure: %v is not in the catalogue", c))
	}
	return p
}

// Help is the line that follows a message which carries the code, where there is
// somebody to read it: what to do, in one sentence, and where to read on.
func (c Code) Help() string {
	return c.Page().Do + "; more: gowsgi explain " + c.String()
}

// Exit statuses: what a supervisor, or a script, learns from how gowsgi ended.
const (
	ExitUnexpected  = 1 // anything that has no status of its own
	ExitUsage       = 2 // the command line, a variable or a file cannot be understood
	ExitImport      = 3 // the application's module cannot be imported
	ExitApplication = 4 // it has no such object, the object is not callable, or its factory failed
	ExitListen      = 5 // an address cannot be listened on
	ExitInterpreter = 6 // CPython cannot start
	ExitFile        = 7 // the pid file or a log file cannot be written
)

// What a Page has for an exit status when the failure has none of its own.
const (
	Continues = 0  // it does not end the program
	AsCause   = -1 // that of the failure behind it
)

// A Page is one entry of the catalogue.
type Page struct {
	Code  Code
	Title string // what has happened, in a few words
	Exit  int    // the status it ends the program with, Continues or AsCause
	Cause string // how it comes about: sentences
	Do    string // what to do: one sentence, without capital letter and full stop
	// Steps are further things to do or to try. What stands behind two blanks in
	// front is a command, or a line of a file.
	Steps []string
}

// A Group is a part of the catalogue, with a heading.
type Group struct {
	Title string
	Pages []Page
}

// Groups gives the catalogue in order. It is the caller's to read only.
func Groups() []Group { return catalogue }

var catalogue = []Group{
	{"The command line and settings", settings},
	{"Python", python},
	{"The application", application},
	{"Addresses", addresses},
	{"Files", files},
	{"TLS", tls},
	{"Workers", workers},
	{"Requests", requests},
	{"Reload, upgrade and commands", succession},
	{"The development server", development},
}

// Find gives the page of a code, which is to be read only.
func Find(c Code) (*Page, bool) {
	for i := range catalogue {
		pages := catalogue[i].Pages
		n, found := slices.BinarySearchFunc(pages, c, func(p Page, c Code) int { return cmp.Compare(p.Code, c) })
		if found {
			return &pages[n], true
		}
	}
	return nil, false
}

// An Error is an error with a code. Its text does not show the code: who tells of
// it in the end puts that behind the whole.
type Error struct {
	Code Code
	err  error
}

// Errorf makes an Error; format and args are fmt.Errorf's, %w included.
func Errorf(code Code, format string, args ...any) error {
	return &Error{code, fmt.Errorf(format, args...)}
}

// Error gives the text without the code.
func (e *Error) Error() string { return e.err.Error() }

// Unwrap gives the error that the code was put on.
func (e *Error) Unwrap() error { return e.err }

// Of is the code of err: the one nearest to the cause when there are several, since
// that knows most. It is otherwise where err carries none.
func Of(err error, otherwise Code) Code {
	for code := otherwise; ; {
		var e *Error
		if !errors.As(err, &e) {
			return code
		}
		code, err = e.Code, e.err
	}
}
