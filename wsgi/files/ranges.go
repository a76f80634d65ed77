package files

// The Range field: RFC 9110 §14.

import (
	"strconv"
	"strings"
)

// part is the stretch of a file that is to be sent.
type part struct{ offset, length int64 }

// readRange understands one range of bytes of a file that is size long. ranged
// is false for what is to be ignored: several ranges, other units, anything
// malformed, an empty file. With ranged and not satisfiable the answer is 416.
func readRange(value []byte, size int64) (p part, ranged, satisfiable bool) {
	unit, set, found := strings.Cut(strings.TrimSpace(string(value)), "=")
	if !found || !strings.EqualFold(strings.TrimSpace(unit), "bytes") || size == 0 {
		return part{}, false, false
	}
	first, last, found := strings.Cut(strings.TrimSpace(set), "-")
	if !found {
		return part{}, false, false
	}
	if first == "" {
		n, ok := parsePosition(last)
		n = min(n, size)
		return part{size - n, n}, ok, n > 0
	}
	from, ok := parsePosition(first)
	if !ok {
		return part{}, false, false
	}
	to := size - 1
	if last != "" {
		given, ok := parsePosition(last)
		if !ok || given < from {
			return part{}, false, false
		}
		to = min(to, given)
	}
	return part{from, to - from + 1}, true, from < size
}

// parsePosition reads digits; a number beyond all files is the largest one.
func parsePosition(text string) (int64, bool) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 1<<63 - 2, true
	}
	return min(n, 1<<63-2), true
}

// contentRange is the field for a part of a file, and for a 416 without one.
func (p part) contentRange(size int64) []byte {
	b := strconv.AppendInt([]byte("bytes "), p.offset, 10)
	b = strconv.AppendInt(append(b, '-'), p.offset+p.length-1, 10)
	return strconv.AppendInt(append(b, '/'), size, 10)
}
