package files

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gowsgi/environ"
)

// hand has s send what the answer with these fields names.
func hand(t *testing.T, s *Sendfile, r *environ.Request, status int, fields ...string) *fakeExchange {
	t.Helper()
	file, rest, named, err := s.Take(asking("", fields...).Headers)
	if !named || err != nil {
		t.Fatalf("Take(%q) = %v, %v, want a file", fields, named, err)
	}
	defer file.Close()
	x := &fakeExchange{}
	if err := file.WriteHead(x, r, status, []byte("As Said"), rest); err != nil {
		t.Fatal(err)
	}
	if err := file.Send(x); err != nil {
		t.Errorf("Send() = %v, want nil", err)
	}
	return x
}

func TestSendfile_SendsWhatTheAnswerNames(t *testing.T) {
	dir := folderWith(t, map[string]string{"d/a b.txt": "0123456789", ".dot": "hidden"})
	s, err := NewSendfile([]Mount{{"/media", dir}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"X-Accel-Redirect: /media/d/a%20b.txt", "x-accel-redirect: /media/d/a b.txt?x=/", "X-Sendfile: " + dir + "/d/a b.txt"} {
		x := hand(t, s, asking("GET /"), 200, "Content-Type: text/x", "Set-Cookie: a=1", name, "Set-Cookie: b=2")
		var cookies []string
		for _, f := range x.fields {
			if string(f.Name) == "Set-Cookie" {
				cookies = append(cookies, string(f.Value))
			}
		}
		if x.status != 200 || x.reason != "As Said" || x.body.String() != "0123456789" || x.length != 10 ||
			x.value("Content-Type") != "text/x" || !slices.Equal(cookies, []string{"a=1", "b=2"}) || x.value("ETag") == "" || x.value("Accept-Ranges") != "bytes" {
			t.Errorf("%s = %d %s, %q of %d, fields %q, want the file with the application's fields", name, x.status, x.reason, x.body.String(), x.length, x.fields)
		}
		if x.value("X-Sendfile")+x.value("X-Accel-Redirect") != "" {
			t.Errorf("%s: fields %q, want the name left out", name, x.fields)
		}
	}
	if x := hand(t, s, asking("GET /"), 200, "X-Sendfile: "+dir+"/.dot"); x.body.String() != "hidden" {
		t.Errorf("a dot file = %q, want it sent: the application knows what it does", x.body.String())
	}
}

func TestSendfile_LooksAtConditionsWhereTheAnswerIs200(t *testing.T) {
	dir := folderWith(t, map[string]string{"a.txt": "0123456789"})
	s, err := NewSendfile([]Mount{{"/m", dir}})
	if err != nil {
		t.Fatal(err)
	}
	const name = "X-Accel-Redirect: /m/a.txt"
	for _, c := range []struct {
		what   string
		r      *environ.Request
		status int
		fields []string
		want   int
		reason string
		body   string
	}{
		{"range", asking("GET /", "Range: bytes=1-2"), 200, nil, 206, "Partial Content", "12"},
		{"range in vain", asking("GET /", "Range: bytes=10-"), 200, nil, 416, "Range Not Satisfiable", ""},
		{"range of a 206", asking("GET /", "Range: bytes=1-2"), 206, []string{"Content-Range: bytes 0-0/1"}, 206, "Partial Content", "12"},
		{"a 206 nobody asked for", asking("GET /"), 206, nil, 200, "OK", "0123456789"},
		{"range of a POST", asking("POST /", "Range: bytes=1-2"), 200, nil, 200, "As Said", "0123456789"},
		{"range of a 404", asking("GET /", "Range: bytes=1-2"), 404, nil, 404, "As Said", "0123456789"},
		{"HEAD", asking("HEAD /"), 200, nil, 200, "As Said", ""},
		{"HEAD of a 404", asking("HEAD /"), 404, nil, 404, "As Said", ""},
		{"204", asking("GET /"), 204, nil, 204, "As Said", ""},
		{"the application's tag", asking("GET /", `If-None-Match: "own"`), 200, []string{`ETag: "own"`}, 304, "Not Modified", ""},
		{"its weak tag", asking("GET /", `If-None-Match: "own"`), 200, []string{`ETag: W/"own"`}, 304, "Not Modified", ""},
		{"its weak tag, for a range", asking("GET /", "Range: bytes=1-2", `If-Range: W/"own"`), 200, []string{`ETag: W/"own"`}, 200, "As Said", "0123456789"},
		{"its date", asking("GET /", "If-Modified-Since: Fri, 01 Jan 2027 00:00:00 GMT"), 200, []string{"Last-Modified: Fri, 01 Jan 2027 00:00:00 GMT"}, 304, "Not Modified", ""},
		{"the file's date", asking("GET /", "If-Modified-Since: Fri, 20 Nov 2026 12:00:00 GMT"), 200, nil, 304, "Not Modified", ""},
	} {
		x := hand(t, s, c.r, c.status, append(c.fields, name)...)
		if x.status != c.want || x.reason != c.reason || x.body.String() != c.body || x.ended != "finished" {
			t.Errorf("%s = %d %s, %q, %s, want %d %s, %q", c.what, x.status, x.reason, x.body.String(), x.ended, c.want, c.reason, c.body)
		}
		if len(c.body) > 0 && x.length != int64(len(c.body)) {
			t.Errorf("%s: length %d, want %d", c.what, x.length, len(c.body))
		}
		if c.want != 206 && c.want != 416 && x.value("Content-Range") != "" {
			t.Errorf("%s: Content-Range %q, want none", c.what, x.value("Content-Range"))
		}
	}
}

func TestSendfile_RefusesNamesThatLeadElsewhere(t *testing.T) {
	outside := folderWith(t, map[string]string{"secret": "secret"})
	dir := folderWith(t, map[string]string{"a": "a", "d/b": "b"})
	if err := os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	s, err := NewSendfile([]Mount{{"/media", dir}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{
		"X-Accel-Redirect: /media/none":                 404,
		"X-Accel-Redirect: /media/a/b":                  404,
		"X-Accel-Redirect: /media":                      403,
		"X-Accel-Redirect: /media/d":                    403,
		"X-Accel-Redirect: /media/../a":                 403,
		"X-Accel-Redirect: /media/%2e%2e/a":             403,
		"X-Accel-Redirect: /media/out":                  403,
		"X-Accel-Redirect: /other/a":                    403,
		"X-Accel-Redirect: media/a":                     403,
		"X-Accel-Redirect: ":                            403,
		"X-Sendfile: " + outside + "/secret":            403,
		"X-Sendfile: " + dir + "/out":                   403,
		"X-Sendfile: " + dir + "/../x":                  403,
		"X-Sendfile: " + dir:                            403,
		"X-Sendfile: " + dir + "x/a":                    403,
		"X-Sendfile: a":                                 403,
		"X-Sendfile: " + dir + "/none":                  404,
		"X-Sendfile: " + dir + "/d/../../d/b":           403,
		"X-Sendfile: /etc/passwd":                       403,
		"X-Sendfile: /proc/self/root" + dir + "/a":      403,
		"X-Sendfile: " + strings.Repeat("/..", 9) + dir: 403,
	} {
		file, rest, named, err := s.Take(asking("", "A: 1", name).Headers)
		var why *NameError
		if file != nil || !named || len(rest) != 1 || !errors.As(err, &why) || why.Status != want {
			t.Errorf("Take(%q) = %v, %q, %v, %v, want status %d", name, file, rest, named, err, want)
		}
	}
	if file, rest, named, err := s.Take(asking("", "A: 1", "B: 2").Headers); file != nil || named || err != nil || len(rest) != 2 {
		t.Errorf("Take(no name) = %v, %q, %v, %v, want nothing", file, rest, named, err)
	}
}
