package peers

import (
	"testing"

	"gowsgi/environ"
)

func TestParseMount_WantsAPath(t *testing.T) {
	for text, want := range map[string]string{"": "", "/": "", "/shop": "/shop", "/shop/": "/shop", "/a b/c": "/a b/c", "/ü": "/ü", "/a.b/..c": "/a.b/..c"} {
		if got, err := ParseMount(text); got != want || err != nil {
			t.Errorf("ParseMount(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"shop", "//shop", "/shop//", "/a//b", "/a/../b", "/.", "/a?b", "/a#b", "/a\nb", `/a\b`, "http://a/b"} {
		if got, err := ParseMount(text); err == nil {
			t.Errorf("ParseMount(%q) = %q, want an error", text, got)
		}
	}
}

func TestMount_TakesThePrefixOffAtTheEndOfASegment(t *testing.T) {
	for _, c := range []struct{ prefix, path, wantName, wantPath string }{
		{"", "/a", "", "/a"},
		{"/a", "/a", "/a", ""},
		{"/a", "/a/", "/a", "/"},
		{"/a", "/a/b%2Fc", "/a", "/b%2Fc"},
		{"/a", "/ab", "/a", "/ab"},
		{"/a", "/b", "/a", "/b"},
		{"/a", "/", "/a", "/"},
		{"/a/b", "/a", "/a/b", "/a"},
		{"/a", "//a", "/a", "//a"},
		{"/a", "/a//b", "/a", "//b"},
		{"/a b", "/a%20b/c", "/a b", "/c"},
		{"/ü", "/%c3%BC/x", "/ü", "/x"},
		{"/a", "/%61", "/a", ""},
		{"/a", "/a%", "/a", "/a%"},
		{"/a", "*", "", "*"},
	} {
		r := &environ.Request{Path: []byte(c.path), ScriptName: "left from before"}
		if mount(r, c.prefix); r.ScriptName != c.wantName || string(r.Path) != c.wantPath {
			t.Errorf("mount(%s, %s) = %s, %s, want %s, %s", c.path, c.prefix, r.ScriptName, r.Path, c.wantName, c.wantPath)
		}
	}
}
