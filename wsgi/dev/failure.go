package dev

import (
	"strings"
)

// Failure is an exception that ended a request, or kept the application from
// being loaded, as embed/dev.py describes it.
type Failure struct {
	// Chain holds the exception and what led to it, the last one raised first.
	Chain []Exception `json:"chain"`
	// Text is the traceback as Python prints it, or whatever else is known.
	Text string `json:"text"`
}

// Exception is one of a chain.
type Exception struct {
	Type    string  `json:"type"` // with its module, but for built-in ones
	Message string  `json:"message"`
	Frames  []Frame `json:"frames"` // outermost first
	// Follows says what the next of the chain is to this one: "cause" (raise from),
	// "context" (raised while that was handled); empty: there is no next.
	Follows string `json:"follows"`
}

// Frame is a place in the code.
type Frame struct {
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Function string   `json:"function"` // empty: the file could not be compiled
	First    int      `json:"first"`    // number of the first line of Source
	Source   []string `json:"source"`
	// The characters of the line that were being evaluated; 0 and 0: not known.
	From int  `json:"from"`
	To   int  `json:"to"`
	Own  bool `json:"own"` // the developer's own code, not a library's
}

// Unexplained is the failure of which nothing but a text is known.
func Unexplained(what, text string) *Failure {
	return &Failure{Chain: []Exception{{Type: what}}, Text: text}
}

// Title is the exception in one line.
func (f *Failure) Title() string {
	if len(f.Chain) == 0 {
		return "The application failed"
	}
	return f.Chain[0].title()
}

func (e *Exception) title() string {
	if e.Message == "" {
		return e.Type
	}
	first, _, _ := strings.Cut(e.Message, "\n")
	return e.Type + ": " + first
}
