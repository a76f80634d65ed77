// This file reads a request's head: from the fields of HEADERS to an environ.Request.

package http2

import (
	"errors"

	h2 "golang.org/x/net/http2"

	"gowsgi/environ"
	"gowsgi/wsgi/http1"
)

// protocol is SERVER_PROTOCOL. RFC 9113 writes "HTTP/2"; CGI's grammar wants a minor version
// (RFC 3875 §4.1.16), and Apache and nginx say it like this.
var protocol = []byte("HTTP/2.0")

// readHead fills Request. A head that breaks RFC 9113 is an error, h2.StreamError; one that HTTP/1.1 would
// refuse as well gives the status of the refusal and why.
func (st *stream) readHead(f *h2.MetaHeadersFrame) (status int, why string, err error) {
	if f.Truncated {
		return 431, "too many header fields, or too large together", nil
	}
	malformed := h2.StreamError{StreamID: st.id, Code: h2.ErrCodeProtocol}
	st.copyFields(f)
	r := &st.x.Request
	r.Proto = protocol
	seen, ok := st.readPseudoFields(f)
	if !ok {
		return 0, "", malformed
	}
	r.ContentLength, r.Chunked = 0, false
	for i := range r.Headers {
		if !st.readField(&r.Headers[i]) {
			return 0, "", malformed
		}
	}
	switch {
	case st.declared >= 0:
		r.ContentLength = st.declared
		if st.ended && st.declared != 0 {
			return 0, "", malformed
		}
	case !st.ended:
		r.ContentLength, r.Chunked = -1, true
	}
	if string(r.Method) == "CONNECT" {
		return 501, "CONNECT is for proxies", nil
	}
	if seen != sawMethod|sawScheme|sawPath {
		return 0, "", malformed
	}
	status, why = st.judge()
	return status, why, nil
}

// copyFields copies the regular fields, and makes room for the others.
func (st *stream) copyFields(f *h2.MetaHeadersFrame) {
	size := 0
	for i := range f.Fields {
		size += len(f.Fields[i].Name) + len(f.Fields[i].Value)
	}
	st.head = make([]byte, 0, size)
	r := &st.x.Request
	for _, field := range f.RegularFields() {
		r.Headers = append(r.Headers, environ.Header{Name: st.copy(field.Name), Value: trim(st.copy(field.Value))})
	}
}

// copy copies text into the stream's memory. There is room for all of a head.
func (st *stream) copy(text string) []byte {
	start := len(st.head)
	st.head = append(st.head, text...)
	return st.head[start:len(st.head):len(st.head)]
}

// trim takes blanks off both ends, which some clients send although RFC 9113 §8.2.1 forbids it.
func trim(s []byte) []byte {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// Pseudo-fields that every request but CONNECT must have.
const (
	sawMethod = 1 << iota
	sawScheme
	sawPath
)

// readPseudoFields reads what stands for the request line (RFC 9113 §8.3.1). The framer has seen to their
// order, and that none comes twice.
func (st *stream) readPseudoFields(f *h2.MetaHeadersFrame) (seen int, ok bool) {
	r := &st.x.Request
	for _, field := range f.PseudoFields() {
		switch field.Name {
		case ":method":
			r.Method = st.copy(field.Value)
			seen |= sawMethod
		case ":scheme":
			seen |= sawScheme
		case ":path":
			r.Target = st.copy(field.Value)
			seen |= sawPath
		case ":authority":
			r.Host = st.copy(field.Value)
		default:
			return 0, false
		}
	}
	return seen, http1.IsToken(r.Method) && (seen&sawPath == 0 || len(r.Target) > 0)
}

// readField notes what a field says about the request, and tells whether HTTP/2 allows it
// (RFC 9113 §8.2.2).
func (st *stream) readField(h *environ.Header) bool {
	switch string(h.Name) {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return false
	case "te":
		return string(h.Value) == "trailers"
	case "content-length":
		n, ok := http1.ParseLength(h.Value)
		if !ok || st.declared >= 0 && st.declared != n {
			return false
		}
		st.declared = n
	}
	return true
}

// judge refuses what http1 would refuse.
func (st *stream) judge() (status int, why string) {
	r, l := &st.x.Request, &st.c.srv.rules.Load().Limits
	if len(r.Method)+len(r.Target)+len(" ")+len(" HTTP/1.1") > l.RequestLine {
		return 414, "request line or header field too long"
	}
	if len(r.Headers) > l.Fields {
		return 431, "too many header fields, or too large together"
	}
	hosts, size := 0, 0
	for i := range r.Headers {
		h := &r.Headers[i]
		line := len(h.Name) + len(": ") + len(h.Value)
		if line > l.FieldSize {
			return 431, "request line or header field too long"
		}
		if size += line + len("\r\n"); size > l.HeaderSize {
			return 431, "too many header fields, or too large together"
		}
		switch string(h.Name) {
		case "host":
			if hosts++; hosts > 1 || len(r.Host) > 0 && string(r.Host) != string(h.Value) {
				return 400, "several hosts"
			}
			r.Host = h.Value
		case "expect":
			if string(h.Value) != "100-continue" {
				return 417, "only the expectation 100-continue is known"
			}
			st.x.expects.Store(!st.ended)
		}
	}
	if !http1.IsAuthority(r.Host) {
		return 400, "malformed or missing authority"
	}
	if l.Body > 0 && r.ContentLength > l.Body {
		return 413, "request body too large"
	}
	var refused *http1.ParseError
	if errors.As(http1.ParsePath(r), &refused) {
		return refused.Status, refused.Why
	}
	return 0, ""
}
