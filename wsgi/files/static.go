package files

// Folders of files that are served as they are, without the application.

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"time"

	"gowsgi/cmd/failure"
	"gowsgi/environ"
)

// Mount is a folder and where it is found.
type Mount struct {
	Prefix string // "/static": decoded, begins with a slash and ends in none
	Dir    string
}

// mounted is a Mount that is open.
type mounted struct {
	prefix string
	folder *Folder
}

// openMounts opens the folders and sorts them, the longest prefix first.
func openMounts(mounts []Mount) ([]mounted, error) {
	opened := make([]mounted, 0, len(mounts))
	for _, m := range mounts {
		folder, err := OpenFolder(m.Dir)
		if err != nil {
			return nil, err
		}
		opened = append(opened, mounted{m.Prefix, folder})
	}
	slices.SortStableFunc(opened, func(a, b mounted) int { return len(b.prefix) - len(a.prefix) })
	return opened, nil
}

// Static serves the files below some folders.
type Static struct {
	mounts []mounted
	fresh  []byte // the value of Cache-Control
	log    *slog.Logger
}

// NewStatic opens the folders. For maxAge clients need not ask again for a file
// they have; with 0 they ask each time, and get a 304 when it is the same.
func NewStatic(mounts []Mount, maxAge time.Duration, log *slog.Logger) (*Static, error) {
	opened, err := openMounts(mounts)
	if err != nil {
		return nil, err
	}
	s := &Static{mounts: opened, fresh: []byte("no-cache"), log: log}
	if seconds := int64(maxAge / time.Second); seconds > 0 {
		s.fresh = strconv.AppendInt([]byte("public, max-age="), seconds, 10)
	}
	return s, nil
}

// Covers tells whether the path of a request, percent-encoded as it came, is one
// of Serve's.
func (s *Static) Covers(path []byte) bool {
	m, _ := s.find(path)
	return m != nil
}

func (s *Static) find(path []byte) (*mounted, []byte) {
	for i := range s.mounts {
		if rest, ok := below(path, s.mounts[i].prefix); ok {
			return &s.mounts[i], rest
		}
	}
	return nil, nil
}

// Serve answers a request whose path is covered. When it returns, x is finished
// or aborted.
//
// Folders are not listed, and a file or folder whose name begins with a dot
// does not exist. Of a file that has a neighbour with the ending .br, .zst or
// .gz, that one is sent to clients that decode it.
func (s *Static) Serve(x Exchange, r *environ.Request) {
	if err := s.serve(x, r); errors.Is(err, ErrShrunk) {
		s.log.Error("a static file could not be sent as a whole", failure.Key, failure.StaticNotServed, "path", string(r.Path), "error", err)
	}
}

func (s *Static) serve(x Exchange, r *environ.Request) error {
	if m := string(r.Method); m != "GET" && m != "HEAD" {
		return page(x, 405, field("Allow", "GET, HEAD"))
	}
	m, rest := s.find(r.Path)
	name, ok := fileName(rest, false)
	if !ok {
		return page(x, 404)
	}
	a := readAsked(r.Headers)
	found, err := m.folder.choose(name, a.acceptEncoding)
	if err != nil {
		return s.missing(x, r, err)
	}
	defer func() { _ = found.file.Close() }()
	return s.answer(x, r, &a, &found, name)
}

// missing: what a client must not see looks to it as if it was not there.
func (s *Static) missing(x Exchange, r *environ.Request, err error) error {
	status := statusOf(err)
	if status != 404 && !errors.Is(err, errNotRegular) {
		s.log.Warn("a static file cannot be served", failure.Key, failure.StaticNotServed, "path", string(r.Path), "error", err)
	}
	if status == 403 {
		status = 404
	}
	return page(x, status)
}

// found is an open file and the coding its content is in.
type found struct {
	file   *os.File
	info   fs.FileInfo
	coding string
}

// choose opens a file, or what is there of it in the coding that accept likes
// best. Something encoded with nothing to encode is not served.
func (f *Folder) choose(name string, accept []byte) (found, error) {
	file, info, err := f.open(name)
	if err != nil {
		return found{}, err
	}
	order, count := ranked(accept)
	for _, i := range order[:count] {
		encoded, encodedInfo, err := f.open(name + codings[i].ending)
		if err == nil {
			_ = file.Close()
			return found{encoded, encodedInfo, codings[i].name}, nil
		}
	}
	return found{file: file, info: info}, nil
}

func (s *Static) answer(x Exchange, r *environ.Request, a *asked, f *found, name string) error {
	v := versionOf(f.info, f.coding)
	fields := make([]environ.Header, 0, 8)
	fields = v.validators(fields)
	fields = append(fields, environ.Header{Name: []byte("Cache-Control"), Value: s.fresh}, field("Vary", "Accept-Encoding"))
	rep := decide(fields, a, r.Method, v, f.info.Size(), time.Now())
	if rep.status == 412 || rep.status == 416 {
		return page(x, rep.status, rep.fields[len(fields):]...)
	}
	if rep.status != 304 {
		rep.fields = append(rep.fields, field("Content-Type", typeOf(name)), field("Accept-Ranges", "bytes"))
		if f.coding != "" {
			rep.fields = append(rep.fields, field("Content-Encoding", f.coding))
		}
	}
	return rep.send(x, f.file)
}

// send writes the head and what belongs behind it.
func (r *reply) send(x Exchange, file *os.File) error {
	if err := x.WriteHead(r.status, []byte(reasons[r.status]), r.fields, r.length); err != nil {
		x.Abort()
		return fmt.Errorf("the head of a file: %w", err)
	}
	if !r.body {
		return x.Finish()
	}
	return Send(x, file, r.part.offset, r.part.length)
}
