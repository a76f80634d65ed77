package files

// The answer to a request for a file that has been found.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"gowsgi/environ"
)

// Exchange is what of an exchange is needed to answer; wsgi.Exchange is one.
type Exchange interface {
	WriteHead(status int, reason []byte, fields []environ.Header, length int64) error
	Write(p []byte) (int, error)
	Finish() error
	Abort()
}

// Sender is an exchange that can have a file sent without anyone here reading
// it. SendFile sends length bytes from offset as part of the body; io.ErrUnexpectedEOF
// says that the file is shorter. The file's own position is not touched.
type Sender interface {
	SendFile(f *os.File, offset, length int64) error
}

// ErrShrunk is returned by Send when the file has become shorter than it was
// when the head was written.
var ErrShrunk = errors.New("the file has become shorter while it was sent")

// copySize is what is read at once where nothing but copying helps.
const copySize = 64 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copySize]byte) }}

// Send sends length bytes of file from offset as body of x, whose head is
// written, and finishes x. When the file turns out to be shorter, or the client
// goes away, x is aborted: half a file never looks like a whole one.
func Send(x Exchange, file *os.File, offset, length int64) error {
	var err error
	if sender, ok := x.(Sender); ok {
		err = sender.SendFile(file, offset, length)
	} else {
		err = copyFile(x, file, offset, length)
	}
	if err == nil {
		return x.Finish()
	}
	x.Abort()
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %s", ErrShrunk, file.Name())
	}
	return err
}

func copyFile(x Exchange, file *os.File, offset, length int64) error {
	buffer := copyBuffers.Get().(*[copySize]byte)
	defer copyBuffers.Put(buffer)
	for length > 0 {
		n, err := file.ReadAt(buffer[:min(length, copySize)], offset)
		if n == 0 {
			return err
		}
		if _, err := x.Write(buffer[:n]); err != nil {
			return err
		}
		offset, length = offset+int64(n), length-int64(n)
	}
	return nil
}

// reply is an answer that is decided.
type reply struct {
	status int
	part   part  // of the file to send
	length int64 // of the body, as the head says
	fields []environ.Header
	body   bool // the part is to be sent
}

// decide answers a GET or HEAD for size bytes in the version v: the whole, a
// part, or nothing at all. fields are those of the answer so far; what
// conditions and ranges add follows them.
func decide(fields []environ.Header, a *asked, method []byte, v version, size int64, now time.Time) reply {
	r := reply{status: 200, part: part{0, size}, length: size, fields: fields, body: string(method) == "GET"}
	switch status := v.judge(a); status {
	case 412:
		r.status, r.length, r.body = status, 0, false
		return r
	case 304: // the length a 200 would have had may be left out, and is
		r.status, r.length, r.body = status, -1, false
		return r
	}
	if !r.body || a.rangeField == nil || a.ifRange != nil && !v.sameAs(a.ifRange, now) {
		return r // RFC 9110 §14.2: Range means something for GET only
	}
	p, ranged, satisfiable := readRange(a.rangeField, size)
	switch {
	case !ranged:
	case !satisfiable:
		r.status, r.length, r.body = 416, 0, false
		value := strconv.AppendInt([]byte("bytes */"), size, 10)
		r.fields = append(r.fields, environ.Header{Name: []byte("Content-Range"), Value: value})
	default:
		r.status, r.part, r.length = 206, p, p.length
		r.fields = append(r.fields, environ.Header{Name: []byte("Content-Range"), Value: p.contentRange(size)})
	}
	return r
}

// validators are the fields that tell a version.
func (v version) validators(fields []environ.Header) []environ.Header {
	return append(fields,
		environ.Header{Name: []byte("ETag"), Value: []byte(v.etag)},
		environ.Header{Name: []byte("Last-Modified"), Value: v.modified.AppendFormat(nil, httpDate)})
}

func field(name, value string) environ.Header {
	return environ.Header{Name: []byte(name), Value: []byte(value)}
}

// reasons names the statuses this package answers with.
var reasons = map[int]string{
	200: "OK", 206: "Partial Content", 304: "Not Modified", 403: "Forbidden", 404: "Not Found",
	405: "Method Not Allowed", 412: "Precondition Failed", 416: "Range Not Satisfiable",
	500: "Internal Server Error", 503: "Service Unavailable",
}

// page answers with a line of text. Unlike a refusal it says nothing bad about
// the client: the connection lives on.
func page(x Exchange, status int, fields ...environ.Header) error {
	text := fmt.Appendf(nil, "%d %s\n", status, reasons[status])
	fields = append(fields, field("Content-Type", "text/plain; charset=utf-8"), field("Cache-Control", "no-store"))
	if err := x.WriteHead(status, []byte(reasons[status]), fields, int64(len(text))); err != nil {
		x.Abort()
		return err
	}
	if _, err := x.Write(text); err != nil {
		x.Abort()
		return err
	}
	return x.Finish()
}
