package files

import (
	"path"
	"strings"
	"testing"
)

func TestBelow_ComparesDecodedLetters(t *testing.T) {
	for _, c := range []struct {
		path, prefix, rest string
		ok                 bool
	}{
		{"/static/a.css", "/static", "a.css", true},
		{"/static", "/static", "", true},
		{"/static/", "/static", "", true},
		{"/st%61tic/%61", "/static", "%61", true},
		{"/a%20b/c", "/a b", "c", true},
		{"/static//a", "/static", "/a", true},
		{"/deep/er/x", "/deep/er", "x", true},
		{"/staticfiles/a", "/static", "", false},
		{"/static%2fa", "/static", "", false},
		{"/deep%2Fer/x", "/deep/er", "", false},
		{"%2fstatic/a", "/static", "", false},
		{"/stat", "/static", "", false},
		{"*", "/static", "", false},
		{"", "/static", "", false},
		{"/x/../static/a", "/static", "", false},
	} {
		rest, ok := below([]byte(c.path), c.prefix)
		if string(rest) != c.rest || ok != c.ok {
			t.Errorf("below(%q, %q) = %q, %v, want %q, %v", c.path, c.prefix, rest, ok, c.rest, c.ok)
		}
	}
}

func TestFileName_RefusesWhatCouldMeanSomethingElse(t *testing.T) {
	for given, want := range map[string]string{
		"a.css": "a.css", "d/e/f.js": "d/e/f.js", "a%20b": "a b", "%C3%A9": "é", "a..b": "a..b", "a.": "a.", "%41": "A",
	} {
		if name, ok := fileName([]byte(given), false); !ok || name != want {
			t.Errorf("fileName(%q) = %q, %v, want %q, true", given, name, ok, want)
		}
	}
	for _, given := range []string{
		"", "/", "a/", "/a", "a//b", ".", "..", "a/..", "../a", "a/../b", "a/./b", "%2e%2e/a", "%2e", "..%2fa", "a%2fb", "a%2Fb",
		"%5c..%5ca", `..\a`, `a\b`, "a%00", "a%00.css", "%0a", "a%7f", "%", "%4", "%zz", "%252e%252e/a%", "a\x00b", "a/%2e%2e/%2e%2e/b",
	} {
		for _, hidden := range []bool{false, true} {
			if name, ok := fileName([]byte(given), hidden); ok {
				t.Errorf("fileName(%q, %v) = %q, true, want it refused", given, hidden, name)
			}
		}
	}
}

func TestFileName_HidesDotFilesUnlessToldOtherwise(t *testing.T) {
	for _, given := range []string{".git/config", ".env", "a/.htpasswd", "%2eenv", "...", "a/..b"} {
		if name, ok := fileName([]byte(given), false); ok {
			t.Errorf("fileName(%q, false) = %q, true, want it refused", given, name)
		}
		if _, ok := fileName([]byte(given), true); !ok {
			t.Errorf("fileName(%q, true) = false, want true", given)
		}
	}
}

// Whatever a path says, what comes out names something below the folder, and
// nothing that is hidden.
func FuzzFileName(f *testing.F) {
	for _, seed := range []string{"a/b", "%2e%2e/x", "a%2fb", ".git", "a//b", "%", "a\\b", "a/%2e/%2E%2e"} {
		f.Add("/static/"+seed, true)
		f.Add("/st%61tic/"+seed, false)
	}
	f.Fuzz(func(t *testing.T, asked string, hidden bool) {
		rest, ok := below([]byte(asked), "/static")
		if !ok {
			return
		}
		name, ok := fileName(rest, hidden)
		if !ok {
			return
		}
		if path.Clean("/"+name) != "/"+name || name == "" {
			t.Errorf("fileName(%q) = %q, which is not the shortest spelling of itself", rest, name)
		}
		if strings.ContainsAny(name, "\x00\\\r\n") {
			t.Errorf("fileName(%q) = %q, want no such characters", rest, name)
		}
		if strings.Count(name, "/") != strings.Count(string(rest), "/") {
			t.Errorf("fileName(%q) = %q, want as many segments", rest, name)
		}
		for segment := range strings.SplitSeq(name, "/") {
			if segment == "." || segment == ".." || !hidden && segment[0] == '.' {
				t.Errorf("fileName(%q, %v) = %q, which has the segment %q", rest, hidden, name, segment)
			}
		}
	})
}
