// This file keeps the Date field of answers, made anew once a second.

package http1

import (
	"sync/atomic"
	"time"
)

// datedLine is a Date field line and the second it is right for.
type datedLine struct {
	second int64
	line   []byte
}

var lastDate atomic.Pointer[datedLine]

// appendDate writes the Date field line (RFC 9110 §6.6.1) for now. All connections share the line; when
// two make it at the same time, either is right.
func appendDate(dst []byte, now time.Time) []byte {
	d := lastDate.Load()
	if second := now.Unix(); d == nil || d.second != second {
		line := now.UTC().AppendFormat([]byte("Date: "), "Mon, 02 Jan 2006 15:04:05 GMT\r\n")
		d = &datedLine{second, line}
		lastDate.Store(d)
	}
	return append(dst, d.line...)
}
