package dev

// Puts the script into pages on their way out.

import (
	"bytes"
	"errors"
	"strings"

	"gowsgi/environ"
	"gowsgi/wsgi"
)

// wholePage is the largest page that is held until all of it is there, which is
// when its length is known again.
const wholePage = 1 << 20

// Inject returns an exchange that puts the script at the end of the answer if it is
// a page that a browser asked for with GET: text/html, not encoded, an error's page
// as well, for that is what is mended next. Pages with a Content-Security-Policy are
// left alone: it may forbid the script, and it is the application's business. So are
// files to be kept.
//
// The end, behind </html>, is where a script does no harm whatever the page is made
// of: </body> may be part of a script's text. HTML standard, §13.2.6.4.22 "The
// after after body insertion mode", has it belong to the body.
//
// A page that comes in one piece keeps its Content-Length. Of one that comes in
// several nothing is held back.
func (l *Livereload) Inject(x wsgi.Exchange, r *environ.Request) wsgi.Exchange {
	if string(r.Method) != "GET" || formFor(r) != markup || strings.EqualFold(field(r, "X-Requested-With"), "XMLHttpRequest") || field(r, "HX-Request") != "" {
		return x
	}
	if to := field(r, "Sec-Fetch-Dest"); to != "" && to != "document" && to != "iframe" && to != "frame" {
		return x // a script fetched it: a part of a page
	}
	return &injection{Exchange: x, element: []byte(l.Script(r))}
}

// injection is an exchange on its way. It is passive until the head says page.
type injection struct {
	wsgi.Exchange
	element []byte // the script
	script  []byte // nil: nothing to put in, or it is in
	// The head of a page of known length, held until the body is there.
	held   bool
	status int
	reason []byte
	fields []environ.Header
	length int64 // the page's, as the application has announced it; -1: it has not
	came   int64 // bytes of it
	body   []byte
}

// errTooLittle is what an engine says of an answer whose length it was told.
var errTooLittle = errors.New("answer: body is shorter than announced")

// WriteHead implements wsgi.Exchange.
func (i *injection) WriteHead(status int, reason []byte, fields []environ.Header, length int64) error {
	i.held, i.script, i.body = false, nil, nil // of a head that was held and is not to be
	if status != 200 && status < 400 || !isPage(fields) || length == 0 {
		return i.Exchange.WriteHead(status, reason, fields, length)
	}
	i.script, i.length, i.came = i.element, length, 0
	if length < 0 || length > wholePage {
		return i.Exchange.WriteHead(status, reason, unmeasured(fields), -1)
	}
	i.held, i.status = true, status
	i.reason = bytes.Clone(reason)
	i.fields = cloned(fields)
	return nil
}

func isPage(fields []environ.Header) bool {
	page := false
	for _, f := range fields {
		switch strings.ToLower(string(f.Name)) {
		case "content-type":
			page = isHTML(f.Value)
		case "content-disposition":
			if kind, _, _ := strings.Cut(string(f.Value), ";"); !strings.EqualFold(strings.TrimSpace(kind), "inline") {
				return false
			}
		case "content-encoding", "content-security-policy", "content-range", "digest", "content-digest", "repr-digest", "content-md5":
			return false
		}
	}
	return page
}

// unmeasured leaves out what says how the body was before.
func unmeasured(fields []environ.Header) []environ.Header {
	kept := fields[:0:0]
	for _, f := range fields {
		switch strings.ToLower(string(f.Name)) {
		case "etag", "last-modified", "accept-ranges":
		default:
			kept = append(kept, f)
		}
	}
	return kept
}

// cloned outlives the call that lent the fields.
func cloned(fields []environ.Header) []environ.Header {
	copies := make([]environ.Header, len(fields))
	for i, f := range fields {
		copies[i] = environ.Header{Name: bytes.Clone(f.Name), Value: bytes.Clone(f.Value)}
	}
	return copies
}

// Write implements wsgi.Exchange.
func (i *injection) Write(p []byte) (int, error) {
	i.came += int64(len(p))
	if i.held {
		i.body = append(i.body, p...)
		return len(p), nil
	}
	return i.Exchange.Write(p)
}

func (i *injection) send(p []byte) error {
	_, err := i.Exchange.Write(p)
	return err
}

// Flush implements wsgi.Exchange. A page that is not complete by now comes in
// pieces: it loses its length instead of its pace.
func (i *injection) Flush() error {
	if i.held {
		if err := i.release(); err != nil {
			return err
		}
	}
	return i.Exchange.Flush()
}

// release sends what is held of a page that comes in pieces.
func (i *injection) release() error {
	i.held = false
	if err := i.Exchange.WriteHead(i.status, i.reason, unmeasured(i.fields), -1); err != nil {
		return err
	}
	body := i.body
	i.body = nil
	return i.send(body)
}

// Finish implements wsgi.Exchange.
func (i *injection) Finish() error {
	switch {
	case i.held:
		if err := i.whole(); err != nil {
			return err
		}
	case i.script != nil && i.came < i.length:
		i.Exchange.Abort() // it must not look complete
		return errTooLittle
	case i.script != nil:
		if err := i.send(i.script); err != nil {
			return err
		}
	}
	i.script = nil
	return i.Exchange.Finish()
}

// whole sends a page that is all there. One that is shorter than it said is sent
// as it is, for the protocol's engine to break off.
func (i *injection) whole() error {
	i.held = false
	length, body, fields := i.length, i.body, i.fields
	if int64(len(body)) == length {
		body, fields = append(body, i.script...), unmeasured(fields)
		length = int64(len(body))
	}
	if err := i.Exchange.WriteHead(i.status, i.reason, fields, length); err != nil {
		return err
	}
	return i.send(body)
}

// Abort implements wsgi.Exchange: what was given of the page is shown first.
func (i *injection) Abort() {
	if i.held && len(i.body) > 0 {
		_ = i.Flush() // the end is an abort either way
	}
	i.held, i.script = false, nil
	i.Exchange.Abort()
}

// Refuse implements wsgi.Exchange: what is held was never sent.
func (i *injection) Refuse(status int, why string, fields ...environ.Header) error {
	i.held, i.script = false, nil
	return i.Exchange.Refuse(status, why, fields...)
}

// Status implements wsgi.Exchange. What is held may still be answered otherwise.
func (i *injection) Status() int {
	return i.Exchange.Status()
}
