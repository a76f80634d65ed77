// This file offers what HTTP means in every version (RFC 9110) to the engines of other versions.

package http1

import (
	"strconv"
	"time"

	"gowsgi/environ"
)

// WithDefaults fills in the limits that are zero.
func (l Limits) WithDefaults() Limits {
	l.setDefaults()
	return l
}

// HeadRoom is how many bytes a head within the limits has at most.
func (l Limits) HeadRoom() int { return l.RequestLine + l.HeaderSize }

// ParsePath splits Target, a path with a query or the asterisk of OPTIONS, into Path and Query; Method must
// be set. It refuses what ParseHead does: an error is a *ParseError.
func ParsePath(r *environ.Request) error {
	switch {
	case len(r.Target) == 0 || !all(r.Target, targetByte):
		return refuse(400, "invalid character in the request target")
	case r.Target[0] != '/' && string(r.Target) != "*":
		return refuse(400, "request target is no path")
	}
	return parseTarget(r)
}

// IsAuthority tells whether s is a host with an optional port, as ParseHead takes it in a Host field.
func IsAuthority(s []byte) bool { return len(s) > 0 && isAuthority(s) }

// IsToken tells whether s is a token (RFC 9110 §5.6.2): a method, or the name of a field.
func IsToken(s []byte) bool { return isToken(s) }

// IsValue tells whether s has no character that a field's value must not have (RFC 9110 §5.5).
func IsValue(s []byte) bool { return isValue(s) }

// IsHopField tells the fields that are between two hops or about framing, which an application must not
// set: it is the engine's to say how an answer is delimited.
func IsHopField(name []byte) bool { return isHopField(name) }

// ParseLength reads a Content-Length: digits and nothing else.
func ParseLength(value []byte) (int64, bool) {
	var r environ.Request
	_, err := parseContentLength(value, 0, &r)
	return r.ContentLength, err == nil
}

// Date is the value of the field Date for now.
func Date(now time.Time) string {
	line := appendDate(nil, now)
	return string(line[len("Date: ") : len(line)-len("\r\n")])
}

// Page is the small text that goes with a refusal, and the fields that describe it. Nothing a client has sent
// is ever part of it.
func Page(status int, why string) (text []byte, fields []environ.Header) {
	text = make([]byte, 0, 128)
	text = strconv.AppendInt(text, int64(status), 10)
	text = append(append(append(text, ' '), reasons[status]...), '\n')
	if why != "" {
		text = append(append(text, why...), '\n')
	}
	return text, []environ.Header{contentType, noStore}
}
