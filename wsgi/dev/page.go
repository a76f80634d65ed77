package dev

// The page about a failure: HTML for browsers, text for curl, JSON for programs.

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"path/filepath"
	"strings"

	"gowsgi/environ"
	"gowsgi/wsgi"
)

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"groups": grouped,
	"lines":  numbered,
	"short":  shortened,
}).Parse(pageSource))

// Page is what there is to say about a failure.
type Page struct {
	Failure *Failure
	// Changed are the files whose change led to it; nil when it was not a change.
	Changed []string
	// Request is the request line that met it.
	Request string
	// Loading: the application could not be loaded; false: it failed at a request.
	Loading bool
	// Folder is the working folder, which paths are shown without.
	Folder string
	// Script is put at the page's end: the one that refreshes it; may be empty.
	Script template.HTML
}

// What the page is written as.
type form uint8

const (
	plain form = iota
	markup
	object
)

// formFor chooses by the Accept fields. A browser names text/html; what says
// nothing, or takes anything, gets what can be read in a terminal.
func formFor(r *environ.Request) form {
	accept := strings.ToLower(field(r, "Accept"))
	switch {
	case strings.Contains(accept, "text/html"):
		return markup
	case strings.Contains(accept, "application/json"):
		return object
	}
	return plain
}

// field is the value of a request's field; several are joined by commas.
func field(r *environ.Request, name string) string {
	var values []string
	for _, h := range r.Headers {
		if strings.EqualFold(string(h.Name), name) {
			values = append(values, string(h.Value))
		}
	}
	return strings.Join(values, ",")
}

// Answer answers with the page and status 500.
func (p *Page) Answer(x wsgi.Exchange, r *environ.Request) {
	var body []byte
	kind := "text/plain; charset=utf-8"
	fields := []environ.Header{
		{Name: []byte("Cache-Control"), Value: []byte("no-store")},
		{Name: []byte("X-Content-Type-Options"), Value: []byte("nosniff")},
	}
	switch formFor(r) {
	case markup:
		kind, body = "text/html; charset=utf-8", p.html()
		fields = append(fields, environ.Header{
			Name:  []byte("Content-Security-Policy"),
			Value: []byte("default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
		})
	case object:
		kind, body = "application/json", p.json()
	default:
		body = []byte(p.text())
	}
	fields = append(fields, environ.Header{Name: []byte("Content-Type"), Value: []byte(kind)})
	if err := x.WriteHead(500, []byte("Internal Server Error"), fields, int64(len(body))); err != nil {
		x.Abort()
		return
	}
	if _, err := x.Write(body); err != nil {
		x.Abort()
		return
	}
	_ = x.Finish() // the client may have gone
}

// What says in one line what happened.
func (p *Page) What() string {
	if p.Loading {
		return "The application cannot be loaded"
	}
	return "The application failed to answer " + p.Request
}

func (p *Page) html() []byte {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return []byte("<!doctype html><title>gowsgi</title><pre>" + template.HTMLEscapeString(p.text()+"\n"+err.Error()) + "</pre>\n")
	}
	return b.Bytes()
}

func (p *Page) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", p.What())
	if len(p.Changed) > 0 {
		fmt.Fprintf(&b, "changed: %s\n", strings.Join(p.shortChanged(), ", "))
	}
	fmt.Fprintf(&b, "\n%s\n", strings.TrimRight(p.Failure.Text, "\n"))
	return b.String()
}

func (p *Page) json() []byte {
	body, err := json.Marshal(map[string]any{
		"error": p.Failure.Title(), "what": p.What(), "changed": p.shortChanged(),
		"traceback": p.Failure.Text, "exceptions": p.Failure.Chain,
	})
	if err != nil { // nothing in it can fail to be written
		return []byte("{}\n")
	}
	return append(body, '\n')
}

// First is the exception the page is about; nil where none is known.
func (p *Page) First() *Exception {
	if len(p.Failure.Chain) == 0 {
		return nil
	}
	return &p.Failure.Chain[0]
}

// TextOpen says whether the traceback as text is shown at once: it has more to
// say than the frames, of which a group of exceptions has those of its members.
func (p *Page) TextOpen() bool {
	for _, e := range p.Failure.Chain {
		if len(e.Frames) == 0 || strings.HasSuffix(e.Type, "ExceptionGroup") {
			return true
		}
	}
	return false
}

// mostChanged are named; a branch switch changes thousands.
const mostChanged = 5

func (p *Page) shortChanged() []string {
	names := []string{}
	for i, path := range p.Changed {
		if i == mostChanged {
			names = append(names, fmt.Sprintf("%d more", len(p.Changed)-i))
			break
		}
		names = append(names, shortened(p.Folder, path))
	}
	return names
}

// ChangedNames names the changed files for the page.
func (p *Page) ChangedNames() string { return strings.Join(p.shortChanged(), ", ") }

// shortened is a path as seen from the folder, when it lies below.
func shortened(folder, path string) string {
	if short, err := filepath.Rel(folder, path); folder != "" && err == nil && short != ".." && !strings.HasPrefix(short, "../") {
		return short
	}
	return path
}

// shownFrame is a frame as the page shows it.
type shownFrame struct {
	Folder string
	Frame  Frame
	Open   bool // its source is shown at once
}

// frameGroup is a run of frames: one's own, or of libraries, folded away.
type frameGroup struct {
	Library bool
	From    string // where a library's first is
	Frames  []shownFrame
}

// grouped folds runs of library frames away. One's own code is shown, and where
// it happened.
func grouped(folder string, frames []Frame) []frameGroup {
	var groups []frameGroup
	for i, frame := range frames {
		last := i == len(frames)-1
		library := !frame.Own && !last
		if n := len(groups); n == 0 || groups[n-1].Library != library {
			groups = append(groups, frameGroup{Library: library, From: shortened(folder, frame.File)})
		}
		g := &groups[len(groups)-1]
		g.Frames = append(g.Frames, shownFrame{folder, frame, !library})
	}
	for i := range groups {
		if len(groups[i].Frames) == 1 { // nothing is gained
			groups[i].Library = false
		}
	}
	return groups
}

// line is one of a frame's source, in three parts.
type line struct {
	Number              int
	Before, Mark, After string
	Here                bool
}

// numbered is a frame's source without the indentation that all lines share.
func numbered(f Frame) []line {
	lines, indent := make([]line, len(f.Source)), commonIndent(f.Source)
	for i, text := range f.Source {
		here := f.First+i == f.Line
		lines[i] = line{Number: f.First + i, Here: here}
		before, mark, after := text, "", ""
		if here {
			before, mark, after = f.cut(text)
		}
		lines[i].Before, lines[i].Mark, lines[i].After = strings.TrimPrefix(before, indent), mark, after
	}
	return lines
}

// cut takes a line apart where the frame says that it happened.
func (f *Frame) cut(text string) (before, mark, after string) {
	characters := []rune(text)
	if f.From < 0 || f.To <= f.From || f.To > len(characters) {
		return text, "", ""
	}
	before, mark, after = string(characters[:f.From]), string(characters[f.From:f.To]), string(characters[f.To:])
	if strings.TrimSpace(before) == "" && strings.TrimSpace(after) == "" {
		return text, "", "" // all of it: the line is marked as it is
	}
	return before, mark, after
}

// commonIndent is what all lines begin with of blanks, but for empty ones.
func commonIndent(lines []string) string {
	common, found := "", false
	for _, text := range lines {
		bare := strings.TrimLeft(text, " \t")
		if bare == "" {
			continue
		}
		indent := text[:len(text)-len(bare)]
		if !found {
			common, found = indent, true
		}
		for !strings.HasPrefix(indent, common) {
			common = common[:len(common)-1]
		}
	}
	return common
}
