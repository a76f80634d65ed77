package dev

// Puts the script into pages on their way out.

import (
	"bytes"
	"strings"

	"gowsgi/environ"
	"gowsgi/wsgi"
)

// wholePage is the largest page that is held until all of it is there, which is
// when its length is known again.
const wholePage = 1 << 20

// Inject returns an exchange that puts the script into the answer before
// </body>, or at its end, if it is a page that a browser asked for: an answer of
// 200 to GET, text/html, not encoded. Pages with a Content-Security-Policy are left alone: it may forbid
// the script, and it is the application's business.
//
// A page that comes in one piece keeps its Content-Length. Of one that comes in
// several nothing is held back but what may be the beginning of </body>.
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
	length int64
	body   []byte
	tail   []byte // of what was sent: it may be the beginning of </body
}

var endOfBody = []byte("</body")

// WriteHead implements wsgi.Exchange.
func (i *injection) WriteHead(status int, reason []byte, fields []environ.Header, length int64) error {
	i.held, i.script, i.body, i.tail = false, nil, nil, nil // of a head that was held and is not to be
	if status != 200 || !isPage(fields) || length == 0 {
		return i.Exchange.WriteHead(status, reason, fields, length)
	}
	i.script = i.element
	if length < 0 || length > wholePage {
		return i.Exchange.WriteHead(status, reason, unmeasured(fields), -1)
	}
	i.held, i.status, i.length = true, status, length
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
	if i.held {
		i.body = append(i.body, p...)
		return len(p), nil
	}
	if i.script == nil {
		return i.Exchange.Write(p)
	}
	if err := i.pass(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// pass sends p, with the script where it belongs, but for an end that may be the
// beginning of </body.
func (i *injection) pass(p []byte) error {
	all := append(i.tail, p...)
	if at := find(all); at >= 0 {
		all = insert(all, at, i.script)
		i.script, i.tail = nil, nil
		return i.send(all)
	}
	keep := 0
	for n := min(len(all), len(endOfBody)-1); n > 0; n-- {
		if bytes.EqualFold(all[len(all)-n:], endOfBody[:n]) {
			keep = n
			break
		}
	}
	i.tail = bytes.Clone(all[len(all)-keep:])
	return i.send(all[:len(all)-keep])
}

func (i *injection) send(p []byte) error {
	_, err := i.Exchange.Write(p)
	return err
}

// find is where </body begins, in any case of its letters; -1: nowhere.
func find(p []byte) int {
	for from := 0; ; {
		at := bytes.IndexByte(p[from:], '<')
		if at < 0 || len(p)-from-at < len(endOfBody) {
			return -1
		}
		from += at
		if bytes.EqualFold(p[from:from+len(endOfBody)], endOfBody) {
			return from
		}
		from++
	}
}

func insert(p []byte, at int, what []byte) []byte {
	whole := make([]byte, 0, len(p)+len(what))
	whole = append(whole, p[:at]...)
	whole = append(whole, what...)
	return append(whole, p[at:]...)
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
	return i.pass(body)
}

// Finish implements wsgi.Exchange.
func (i *injection) Finish() error {
	switch {
	case i.held:
		if err := i.whole(); err != nil {
			return err
		}
	case i.script != nil:
		if err := i.send(append(i.tail, i.script...)); err != nil {
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
		at := find(body)
		if at < 0 {
			at = len(body)
		}
		body, fields = insert(body, at, i.script), unmeasured(fields)
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
