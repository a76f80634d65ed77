package files

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestStatic_ServesAFile(t *testing.T) {
	dir := folderWith(t, map[string]string{"css/a b.css": "body {}"})
	s, _ := staticOf(t, time.Hour, Mount{"/static", dir})
	for _, method := range []string{"GET", "HEAD"} {
		x := ask(s, method+" /static/css/a%20b.css")
		if x.status != 200 || x.length != 7 || x.ended != "finished" {
			t.Errorf("%s = %d, length %d, %s, want 200, 7, finished", method, x.status, x.length, x.ended)
		}
		if want := map[string]string{"GET": "body {}", "HEAD": ""}[method]; x.body.String() != want {
			t.Errorf("%s: body = %q, want %q", method, x.body.String(), want)
		}
		for name, want := range map[string]string{
			"Content-Type": "text/css; charset=utf-8", "Last-Modified": "Fri, 20 Nov 2026 12:00:00 GMT",
			"Cache-Control": "public, max-age=3600", "Vary": "Accept-Encoding", "Accept-Ranges": "bytes", "Content-Encoding": "",
		} {
			if got := x.value(name); got != want {
				t.Errorf("%s: %s = %q, want %q", method, name, got, want)
			}
		}
		again := ask(s, method+" /static/css/a%20b.css", "If-None-Match: "+x.value("ETag"))
		if again.status != 304 || again.body.Len() > 0 || again.value("ETag") != x.value("ETag") || again.value("Cache-Control") == "" {
			t.Errorf("%s with If-None-Match = %d, %q, fields %q, want 304 with ETag and Cache-Control", method, again.status, again.body.String(), again.fields)
		}
	}
}

func TestStatic_SendsParts(t *testing.T) {
	dir := folderWith(t, map[string]string{"a.txt": "0123456789"})
	s, _ := staticOf(t, 0, Mount{"/s", dir})
	tag := ask(s, "GET /s/a.txt").value("ETag")
	for _, c := range []struct {
		fields []string
		status int
		body   string
		ranged string
	}{
		{[]string{"Range: bytes=2-4"}, 206, "234", "bytes 2-4/10"},
		{[]string{"Range: bytes=-3"}, 206, "789", "bytes 7-9/10"},
		{[]string{"Range: bytes=2-4", "If-Range: " + tag}, 206, "234", "bytes 2-4/10"},
		{[]string{"Range: bytes=2-4", `If-Range: "other"`}, 200, "0123456789", ""},
		{[]string{"Range: bytes=2-4,6-7"}, 200, "0123456789", ""},
		{[]string{"Range: bytes=10-"}, 416, "416 Range Not Satisfiable\n", "bytes */10"},
		{[]string{"Range: bytes=2-4", "If-None-Match: " + tag}, 304, "", ""},
		{[]string{"Range: bytes=2-4", `If-Match: "other"`}, 412, "412 Precondition Failed\n", ""},
	} {
		x := ask(s, "GET /s/a.txt", c.fields...)
		if x.status != c.status || x.body.String() != c.body || x.value("Content-Range") != c.ranged || x.length != int64(len(c.body)) && c.status != 304 {
			t.Errorf("GET with %q = %d, %q (length %d), Content-Range %q, want %d, %q, %q",
				c.fields, x.status, x.body.String(), x.length, x.value("Content-Range"), c.status, c.body, c.ranged)
		}
	}
	if x := ask(s, "HEAD /s/a.txt", "Range: bytes=2-4"); x.status != 200 || x.length != 10 {
		t.Errorf("HEAD with Range = %d, length %d, want 200, 10", x.status, x.length)
	}
}

func TestStatic_SendsTheEncodingTheClientLikes(t *testing.T) {
	dir := folderWith(t, map[string]string{"a.js": "plain", "a.js.gz": "zip", "a.js.br": "bro", "b.js": "only", "c.js.gz": "alone"})
	s, _ := staticOf(t, 0, Mount{"/s", dir})
	tags := map[string]bool{}
	for _, c := range []struct{ name, accept, coding, body string }{
		{"a.js", "gzip", "gzip", "zip"}, {"a.js", "gzip, br", "br", "bro"}, {"a.js", "br;q=0.1, gzip", "gzip", "zip"},
		{"a.js", "zstd", "", "plain"}, {"a.js", "", "", "plain"}, {"b.js", "gzip, br", "", "only"},
	} {
		x := ask(s, "GET /s/"+c.name, "Accept-Encoding: "+c.accept)
		if x.status != 200 || x.value("Content-Encoding") != c.coding || x.body.String() != c.body {
			t.Errorf("GET %s, Accept-Encoding %q = %d, %q, %q, want 200, %q, %q", c.name, c.accept, x.status, x.value("Content-Encoding"), x.body.String(), c.coding, c.body)
		}
		if x.value("Vary") != "Accept-Encoding" || x.value("Content-Type") != "text/javascript; charset=utf-8" {
			t.Errorf("GET %s: Vary %q, Content-Type %q, want Accept-Encoding and that of .js", c.name, x.value("Vary"), x.value("Content-Type"))
		}
		tags[c.name+c.coding] = true
		tags[x.value("ETag")] = true
	}
	if len(tags) != 8 {
		t.Errorf("ETags and variants = %v, want one tag for each of the four variants", tags)
	}
	if x := ask(s, "GET /s/c.js", "Accept-Encoding: gzip"); x.status != 404 {
		t.Errorf("GET of a file there is only an encoding of = %d, want 404", x.status)
	}
	if x := ask(s, "GET /s/c.js.gz"); x.body.String() != "alone" || x.value("Content-Encoding") != "" || x.value("Content-Type") != "application/gzip" {
		t.Errorf("GET c.js.gz = %q, Content-Encoding %q, want the file as it is", x.body.String(), x.value("Content-Encoding"))
	}
}

func TestStatic_HasNothingOutsideItsFolder(t *testing.T) {
	outside := folderWith(t, map[string]string{"secret": "secret"})
	dir := folderWith(t, map[string]string{"a": "a", "d/b": "b", ".env": "secret", "d/.git/config": "secret"})
	links := map[string]string{
		"inside": "a", "d/up": "../a", "out": filepath.Join(outside, "secret"), "outdir": outside,
		"climb": "../" + filepath.Base(outside) + "/secret", "absolute": filepath.Join(dir, "a"), "loop": "loop", "proc": "/proc/self/environ",
	}
	for name, to := range links {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, _ := staticOf(t, 0, Mount{"/s", dir})
	for path, want := range map[string]int{
		"/s/a": 200, "/s/d/b": 200, "/s/inside": 200, "/s/d/up": 200,
		"/s/out": 404, "/s/outdir/secret": 404, "/s/climb": 404, "/s/absolute": 404, "/s/loop": 404, "/s/proc": 404, "/s/pipe": 404,
		"/s": 404, "/s/": 404, "/s/d": 404, "/s/d/": 404, "/s/a/": 404, "/s/a/b": 404, "/s/.env": 404, "/s/d/.git/config": 404,
		"/s/../s/a": 404, "/s/%2e%2e/s/a": 404, "/s//a": 404, "/s/none": 404, "/s/" + strings.Repeat("x", 300): 404, "/s/a%00": 404,
	} {
		x := ask(s, "GET "+path)
		if x.status != want || x.ended != "finished" || strings.Contains(x.body.String(), "secret") {
			t.Errorf("GET %s = %d, %q, %s, want %d", path, x.status, x.body.String(), x.ended, want)
		}
	}
}

func TestStatic_AnswersGETAndHEADOnly(t *testing.T) {
	s, _ := staticOf(t, 0, Mount{"/s", folderWith(t, map[string]string{"a": "a"})})
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "get"} {
		if x := ask(s, method+" /s/a"); x.status != 405 || x.value("Allow") != "GET, HEAD" {
			t.Errorf("%s = %d, Allow %q, want 405, GET, HEAD", method, x.status, x.value("Allow"))
		}
	}
}

func TestStatic_CoversTheLongestPrefix(t *testing.T) {
	s, _ := staticOf(t, 0,
		Mount{"/s", folderWith(t, map[string]string{"deep/a": "shallow"})},
		Mount{"/s/deep", folderWith(t, map[string]string{"a": "deep"})})
	if x := ask(s, "GET /s/deep/a"); x.body.String() != "deep" {
		t.Errorf("GET /s/deep/a = %q, want the file of the longer prefix", x.body.String())
	}
	for path, want := range map[string]bool{"/s/x": true, "/s": true, "/sx": false, "/": false, "/x/s": false} {
		if got := s.Covers([]byte(path)); got != want {
			t.Errorf("Covers(%q) = %v, want %v", path, got, want)
		}
	}
}

func TestStatic_NoticesThatItsFolderWasReplaced(t *testing.T) {
	link := filepath.Join(t.TempDir(), "current")
	lead := func(text string) {
		t.Helper()
		if err := os.Symlink(folderWith(t, map[string]string{"a": text}), link+".next"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".next", link); err != nil {
			t.Fatal(err)
		}
	}
	lead("old")
	s, _ := staticOf(t, 0, Mount{"/s", link})
	lead("new")
	if x := ask(s, "GET /s/a"); x.body.String() != "old" {
		t.Errorf("GET at once = %q, want the folder that is open", x.body.String())
	}
	s.mounts[0].folder.held.Load().checked.Store(0) // long ago
	if x := ask(s, "GET /s/a"); x.body.String() != "new" {
		t.Errorf("GET after a while = %q, want what is there now", x.body.String())
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	s.mounts[0].folder.held.Load().checked.Store(0)
	if x := ask(s, "GET /s/a"); x.status != 404 {
		t.Errorf("GET with the folder gone = %d, want 404", x.status)
	}
}

func TestStatic_BreaksOffWhenTheFileShrinks(t *testing.T) {
	dir := folderWith(t, map[string]string{"a": strings.Repeat("x", 3*copySize)})
	s, log := staticOf(t, 0, Mount{"/s", dir})
	x := &fakeExchange{onWrite: func() {
		if err := os.Truncate(filepath.Join(dir, "a"), copySize+10); err != nil {
			t.Error(err)
		}
	}}
	s.Serve(x, asking("GET /s/a"))
	if x.ended != "aborted" || x.body.Len() != copySize+10 || !strings.Contains(log.String(), "become shorter") {
		t.Errorf("a file that shrinks: %s after %d bytes, log %q, want it aborted after %d, and logged", x.ended, x.body.Len(), log.String(), copySize+10)
	}
	x = &fakeExchange{gone: true}
	s.Serve(x, asking("GET /s/a"))
	if x.ended != "aborted" {
		t.Errorf("a client that goes away: %s, want aborted", x.ended)
	}
}

func TestNewStatic_WantsFolders(t *testing.T) {
	dir := folderWith(t, map[string]string{"file": ""})
	for _, path := range []string{filepath.Join(dir, "none"), filepath.Join(dir, "file")} {
		if _, err := NewStatic([]Mount{{"/s", path}}, 0, nil); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("NewStatic(%s) = %v, want an error that names it", path, err)
		}
	}
}
