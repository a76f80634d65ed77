package files

// Conditional requests: RFC 9110 §13.

import (
	"bytes"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// version tells one content of a file from another.
type version struct {
	etag     string    // with quotes; empty: none
	modified time.Time // in whole seconds; zero: not known
}

// versionOf makes a version from size and time of change, which a file system
// keeps in nanoseconds. coding tells the encodings of one file apart.
func versionOf(info fs.FileInfo, coding string) version {
	etag := make([]byte, 0, 40)
	etag = append(etag, '"')
	etag = strconv.AppendInt(etag, info.ModTime().UnixNano(), 36)
	etag = append(etag, '-')
	etag = strconv.AppendInt(etag, info.Size(), 36)
	if coding != "" {
		etag = append(append(etag, '-'), coding...)
	}
	etag = append(etag, '"')
	return version{string(etag), info.ModTime().UTC().Truncate(time.Second)}
}

// judge evaluates the preconditions in the order of RFC 9110 §13.2.2: 412, 304,
// or 0 to go on.
func (v version) judge(a *asked) int {
	switch {
	case a.ifMatch != nil:
		if !listed(a.ifMatch, v.etag, true) {
			return 412
		}
	case a.ifUnmodifiedSince != nil:
		if since, ok := parseDate(a.ifUnmodifiedSince); ok && !v.modified.IsZero() && v.modified.After(since) {
			return 412
		}
	}
	switch {
	case a.ifNoneMatch != nil:
		if listed(a.ifNoneMatch, v.etag, false) {
			return 304
		}
	case a.ifModifiedSince != nil:
		if since, ok := parseDate(a.ifModifiedSince); ok && !v.modified.IsZero() && !v.modified.After(since) {
			return 304
		}
	}
	return 0
}

// sameAs evaluates If-Range (RFC 9110 §13.1.5). A date is worth something only
// if the file cannot have changed twice within its second.
func (v version) sameAs(ifRange []byte, now time.Time) bool {
	ifRange = bytes.TrimSpace(ifRange)
	if bytes.HasPrefix(ifRange, []byte(`"`)) {
		return v.etag != "" && string(ifRange) == v.etag
	}
	date, ok := parseDate(ifRange)
	return ok && !v.modified.IsZero() && date.Equal(v.modified) && now.Sub(v.modified) >= 2*time.Second
}

// listed tells whether etag is in list, or list is "*". Strongly compared, weak
// ones are equal to nothing: RFC 9110 §8.8.3.2.
func listed(list []byte, etag string, strongly bool) bool {
	text := strings.TrimSpace(string(list))
	if text == "*" {
		return true
	}
	own, ownWeak := strings.CutPrefix(etag, "W/")
	for text != "" {
		text = strings.TrimLeft(text, ", \t")
		rest, weak := strings.CutPrefix(text, "W/")
		if rest == "" || rest[0] != '"' {
			return false // no list of entity tags, or its end
		}
		end := strings.IndexByte(rest[1:], '"')
		if end < 0 {
			return false
		}
		if rest[:end+2] == own && !(strongly && (weak || ownWeak)) {
			return true
		}
		text = rest[end+2:]
	}
	return false
}

// httpDate is the form dates are written in, and the forms understood beside it
// (RFC 9110 §5.6.7).
const httpDate = "Mon, 02 Jan 2006 15:04:05 GMT"

func parseDate(value []byte) (time.Time, bool) {
	text := strings.TrimSpace(string(value))
	for _, form := range []string{httpDate, "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC} {
		if t, err := time.Parse(form, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
