package wsgi

import (
	"bytes"
	"errors"
	"fmt"

	"gowsgi/environ"
)

// head is the application's status and headers, taken apart.
type head struct {
	code   int
	reason []byte
	fields []environ.Header // without Content-Length
	length int64            // of the body, -1 when not declared
}

// readHead takes a status such as "200 OK" and the application's headers
// apart. known is the body length the PEP lets us declare for an application
// that did not; a declared Content-Length wins, because for HEAD it describes
// a body that is not there.
//
// The worker has checked all of it in C already, but its memory is not to be
// trusted. fields is used up: the result's fields share its array.
func readHead(status []byte, fields []environ.Header, known int64) (head, error) {
	h := head{fields: fields[:0], length: -1}
	if len(status) < 4 || status[3] != ' ' {
		return h, fmt.Errorf("wsgi: status %q is not of the form \"200 OK\"", status)
	}
	for _, c := range status[:3] {
		if c < '0' || c > '9' {
			return h, fmt.Errorf("wsgi: status %q is not of the form \"200 OK\"", status)
		}
		h.code = h.code*10 + int(c-'0')
	}
	if h.code < 200 {
		return h, fmt.Errorf("wsgi: status %q is not that of a final answer", status)
	}
	h.reason = status[4:]
	for _, f := range fields {
		if !bytes.EqualFold(f.Name, contentLength) {
			h.fields = append(h.fields, f)
			continue
		}
		n, err := parseLength(f.Value)
		if err != nil {
			return h, err
		}
		if h.length >= 0 && n != h.length {
			return h, fmt.Errorf("wsgi: two Content-Length headers, %d and %d", h.length, n)
		}
		h.length = n
	}
	if h.length < 0 {
		h.length = known
	}
	return h, nil
}

var contentLength = []byte("Content-Length")

var errLength = errors.New("want digits only")

// parseLength reads a Content-Length as RFC 9110 §8.6 has it.
func parseLength(value []byte) (int64, error) {
	digits := bytes.Trim(value, " \t")
	var n int64
	err := errLength
	for _, c := range digits {
		if c < '0' || c > '9' || n > (1<<62)/10 {
			err = errLength
			break
		}
		n, err = n*10+int64(c-'0'), nil
	}
	if err != nil {
		return 0, fmt.Errorf("wsgi: Content-Length %q: %w", value, err)
	}
	return n, nil
}
