package main

import (
	"errors"
	"fmt"
	"io"

	"gowsgi/cmd/failure"
)

// exitOK: stopped because it was asked to, or only printed something. The other
// exit statuses are those of the failures.
const exitOK = 0

// exitError is an error that ends the program with a status that is not its
// failure's own: that of the cause.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string { return e.err.Error() }

// Unwrap gives the error that the status was put on.
func (e *exitError) Unwrap() error { return e.err }

// exitCode is the status that err ends the program with: 0 for nil, 1 for an error
// that nobody gave a status.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	var other *exitError
	if errors.As(err, &other) {
		return other.status
	}
	if status := failure.Of(err, failure.Unexpected).Page().Exit; status > 0 {
		return status
	}
	return failure.ExitUnexpected
}

// errReported is the cause of an exitError that the operator has read already.
var errReported = errors.New("the reason was written before")

// reportExit writes err to w, when there is one, and returns the status to exit
// with: one line with what has failed and its code, and one with what to do. It is
// the single place where a fatal error is printed.
func reportExit(w io.Writer, err error) int {
	if err != nil && !errors.Is(err, errReported) {
		code := failure.Of(err, failure.Unexpected)
		// Nowhere is left to report a failure of this very write.
		_, _ = fmt.Fprintf(w, "gowsgi: error: %s\ngowsgi: help: %s\n", code.Tag(escapeControls(err.Error())), code.Help())
	}
	return exitCode(err)
}
