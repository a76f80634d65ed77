package files

// Files that an application names in its answer, to have them sent by us.

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"gowsgi/environ"
)

// Sendfile finds the files that answers name: by X-Accel-Redirect, a path as in
// URLs, percent-encoded, which the prefix of a mount leads to its folder; or by
// X-Sendfile, the absolute path of a file in one of the folders.
type Sendfile struct{ mounts []mounted }

// NewSendfile opens the folders.
func NewSendfile(mounts []Mount) (*Sendfile, error) {
	opened, err := openMounts(mounts)
	if err != nil {
		return nil, err
	}
	return &Sendfile{opened}, nil
}

// NameError says why a file that an application has named is not sent.
type NameError struct {
	Name   string // as the application wrote it
	Status int    // of the answer instead: 403, 404, 500 or 503
	err    error
}

func (e *NameError) Error() string { return fmt.Sprintf("send the file %q: %v", e.Name, e.err) }
func (e *NameError) Unwrap() error { return e.err }

var (
	errOutside = errors.New("it is in no folder of --sendfile-root")
	errName    = errors.New("it has empty segments, \"..\", or characters that no file's name should have")
)

// Take looks for a file in the fields of an answer. If they name none, named is
// false. Else rest, which uses the array of fields, is without those that do,
// and the file is open, to be closed by the caller, or err is a *NameError.
func (s *Sendfile) Take(fields []environ.Header) (file *Named, rest []environ.Header, named bool, err error) {
	var url, path []byte
	rest = fields[:0]
	for _, f := range fields {
		switch {
		case fieldNamed(f.Name, "X-Accel-Redirect"):
			url = bytes.TrimSpace(f.Value)
		case fieldNamed(f.Name, "X-Sendfile"):
			path = bytes.TrimSpace(f.Value)
		default:
			rest = append(rest, f)
		}
	}
	if len(rest) == len(fields) {
		return nil, rest, false, nil
	}
	name := path
	if url != nil {
		name = url
		file, err = s.openURL(url)
	} else {
		file, err = s.openPath(string(path))
	}
	if err != nil {
		err = &NameError{Name: string(name), Status: statusOf(err), err: err}
	}
	return file, rest, true, err
}

// openURL: the query, if there is one, is nobody's.
func (s *Sendfile) openURL(url []byte) (*Named, error) {
	path, _, _ := bytes.Cut(url, []byte("?"))
	for _, m := range s.mounts {
		rest, ok := below(path, m.prefix)
		if !ok {
			continue
		}
		name, ok := fileName(rest, true)
		if !ok {
			return nil, errName
		}
		return openNamed(m.folder, name)
	}
	return nil, errOutside
}

// openPath: the deepest of the folders that path is in, by its spelling.
func (s *Sendfile) openPath(path string) (*Named, error) {
	if !filepath.IsAbs(path) {
		return nil, errors.New("it is no absolute path")
	}
	path = filepath.Clean(path)
	var folder *Folder
	for _, m := range s.mounts {
		if inFolder(path, m.folder.path) && (folder == nil || len(m.folder.path) > len(folder.path)) {
			folder = m.folder
		}
	}
	if folder == nil {
		return nil, errOutside
	}
	name, err := filepath.Rel(folder.path, path)
	if err != nil {
		return nil, err
	}
	return openNamed(folder, name)
}

func inFolder(path, folder string) bool {
	if folder == "/" {
		return true
	}
	return len(path) > len(folder) && path[:len(folder)] == folder && path[len(folder)] == '/'
}

func openNamed(folder *Folder, name string) (*Named, error) {
	file, info, err := folder.open(name)
	if err != nil {
		return nil, err
	}
	return &Named{file: file, info: info, name: name}, nil
}

// Named is a file an application has named.
type Named struct {
	file  *os.File
	info  fs.FileInfo
	name  string
	reply reply
}

// Close closes the file. It may be called at any time, and several times.
func (n *Named) Close() { _ = n.file.Close() }

// WriteHead writes the head of the answer: the application's status and fields
// with the length of the file. When the status is 200, or 206, which is ours to
// decide, the request's conditions and its Range are looked at, against the
// application's ETag and Last-Modified if it gave them, else the file's.
func (n *Named) WriteHead(x Exchange, r *environ.Request, status int, reason []byte, fields []environ.Header) error {
	v, fields := n.adopt(fields)
	get := string(r.Method) == "GET"
	switch status {
	case 200, 206:
		a := readAsked(nil)
		if get || string(r.Method) == "HEAD" {
			a = readAsked(r.Headers)
		}
		n.reply = decide(fields, &a, r.Method, v, n.info.Size(), time.Now())
		n.reply.body = n.reply.body || !get && string(r.Method) != "HEAD"
		if n.reply.status != 200 || status != 200 {
			reason = []byte(reasons[n.reply.status])
		}
	case 204, 205, 304:
		n.reply = reply{status: status, length: -1, fields: fields}
	default:
		n.reply = reply{status: status, part: part{0, n.info.Size()}, length: n.info.Size(), fields: fields, body: string(r.Method) != "HEAD"}
	}
	return x.WriteHead(n.reply.status, reason, n.reply.fields, n.reply.length)
}

// adopt completes the application's fields, and takes those out that would
// describe its own body.
func (n *Named) adopt(fields []environ.Header) (version, []environ.Header) {
	v := versionOf(n.info, "")
	kept := fields[:0]
	typed, tagged, dated := false, false, false
	for _, f := range fields {
		switch {
		case fieldNamed(f.Name, "Content-Range"), fieldNamed(f.Name, "Accept-Ranges"):
			continue
		case fieldNamed(f.Name, "Content-Type"):
			typed = true
		case fieldNamed(f.Name, "ETag"):
			tagged, v.etag = true, string(bytes.TrimSpace(f.Value))
		case fieldNamed(f.Name, "Last-Modified"):
			dated = true
			v.modified, _ = parseDate(f.Value)
		}
		kept = append(kept, f)
	}
	if !typed {
		kept = append(kept, field("Content-Type", typeOf(n.name)))
	}
	if !tagged {
		kept = append(kept, field("ETag", v.etag))
	}
	if !dated {
		kept = append(kept, environ.Header{Name: []byte("Last-Modified"), Value: v.modified.AppendFormat(nil, httpDate)})
	}
	return v, append(kept, field("Accept-Ranges", "bytes"))
}

// Send sends what the head has announced, and finishes x or aborts it.
func (n *Named) Send(x Exchange) error {
	if !n.reply.body {
		return x.Finish()
	}
	return Send(x, n.file, n.reply.part.offset, n.reply.part.length)
}

// Page answers with a line of text about status, and finishes or aborts x.
func Page(x Exchange, status int) error { return page(x, status) }
