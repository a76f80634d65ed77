package main

import (
	"errors"
	"fmt"
	"io"
)

// Exit codes: what a supervisor, or a script, learns from how gowsgi ended.
const (
	exitOK          = 0 // stopped because it was asked to, or only printed something
	exitUnexpected  = 1 // anything that has no code of its own
	exitUsage       = 2 // the command line or a variable cannot be understood
	exitImport      = 3 // the application's module cannot be imported
	exitApplication = 4 // it has no such object, the object is not callable, or its factory failed
	exitListen      = 5 // an address cannot be listened on
	exitInterpreter = 6 // CPython cannot start
	exitFile        = 7 // the pid file or a log file cannot be written
)

// exitError is an error that ends the program, with the exit code it ends with.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }

// Unwrap gives the error that the code was put on.
func (e *exitError) Unwrap() error { return e.err }

// exitCodef makes an exitError; format and args are fmt.Errorf's, %w included.
func exitCodef(code int, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...)}
}

// exitCode is the code that err ends the program with: 0 for nil, exitUnexpected
// for an error nobody gave a code.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	var coded *exitError
	if errors.As(err, &coded) {
		return coded.code
	}
	return exitUnexpected
}

// errReported is the cause of an exitError that the operator has read already.
var errReported = errors.New("the reason was written before")

// reportExit writes err to w as one line, when there is one, and returns the
// code to exit with. It is the single place where a fatal error is printed.
func reportExit(w io.Writer, err error) int {
	if err != nil && !errors.Is(err, errReported) {
		// Nowhere is left to report a failure of this very write.
		_, _ = fmt.Fprintf(w, "gowsgi: error: %s\n", escapeControls(err.Error()))
	}
	return exitCode(err)
}
