package files

import (
	"slices"
	"testing"
	"time"
)

func TestReadRange(t *testing.T) {
	for value, want := range map[string]part{
		"bytes=0-0": {0, 1}, "bytes=0-": {0, 100}, "bytes=10-19": {10, 10}, "bytes=-1": {99, 1}, "bytes=-100": {0, 100},
		"bytes=-1000": {0, 100}, "bytes=99-": {99, 1}, "bytes=50-1000": {50, 50}, "BYTES = 5-6": {5, 2},
		"bytes=90-99999999999999999999999": {90, 10},
	} {
		if p, ranged, satisfiable := readRange([]byte(value), 100); p != want || !ranged || !satisfiable {
			t.Errorf("readRange(%q, 100) = %v, %v, %v, want %v, true, true", value, p, ranged, satisfiable, want)
		}
	}
	for _, value := range []string{"bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999-"} {
		if p, ranged, satisfiable := readRange([]byte(value), 100); !ranged || satisfiable {
			t.Errorf("readRange(%q, 100) = %v, %v, %v, want it unsatisfiable", value, p, ranged, satisfiable)
		}
	}
	for _, value := range []string{
		"", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "bytes=0-1,2-3", "lines=0-1", "bytes=+1-2", "bytes=1 - 2", "bytes=--1", "0-1", "bytes=1-2-3",
	} {
		if p, ranged, _ := readRange([]byte(value), 100); ranged {
			t.Errorf("readRange(%q, 100) = %v, true, want it ignored", value, p)
		}
	}
	if _, ranged, _ := readRange([]byte("bytes=0-"), 0); ranged {
		t.Error("readRange(bytes=0-, 0) = true, want it ignored: an empty file has no ranges")
	}
}

func FuzzReadRange(f *testing.F) {
	f.Add("bytes=0-", int64(10))
	f.Add("bytes=-5", int64(3))
	f.Fuzz(func(t *testing.T, value string, size int64) {
		size &= 1<<62 - 1
		p, ranged, satisfiable := readRange([]byte(value), size)
		if ranged && satisfiable && (p.offset < 0 || p.length < 1 || p.offset+p.length > size) {
			t.Errorf("readRange(%q, %d) = %v, which is not in the file", value, size, p)
		}
	})
}

func TestVersion_JudgesInTheOrderOfTheRFC(t *testing.T) {
	v := version{`"a"`, changed.Truncate(time.Second)}
	at, before, after := changed.Format(httpDate), changed.Add(-time.Hour).Format(httpDate), changed.Add(time.Hour).Format(httpDate)
	for _, c := range []struct {
		fields []string
		want   int
	}{
		{nil, 0},
		{[]string{`If-None-Match: "a"`}, 304},
		{[]string{`If-None-Match: W/"a"`}, 304},
		{[]string{`If-None-Match: *`}, 304},
		{[]string{`If-None-Match: "b", "a"`}, 304},
		{[]string{`If-None-Match: "b"`, `If-None-Match: "a"`}, 304},
		{[]string{`If-None-Match: "b"`}, 0},
		{[]string{`If-None-Match: a`}, 0},
		{[]string{`If-None-Match: "a`}, 0},
		{[]string{`If-None-Match: "b"`, "If-Modified-Since: " + at}, 0},
		{[]string{"If-Modified-Since: " + at}, 304},
		{[]string{"If-Modified-Since: " + after}, 304},
		{[]string{"If-Modified-Since: " + before}, 0},
		{[]string{"If-Modified-Since: Friday, 20-Nov-26 12:00:00 GMT"}, 304},
		{[]string{"If-Modified-Since: Fri Nov 20 12:00:00 2026"}, 304},
		{[]string{"If-Modified-Since: yesterday"}, 0},
		{[]string{"If-Modified-Since: " + at, "If-Modified-Since: " + at}, 0},
		{[]string{`If-Match: "a"`}, 0},
		{[]string{`If-Match: *`}, 0},
		{[]string{`If-Match: W/"a"`}, 412},
		{[]string{`If-Match: "b"`}, 412},
		{[]string{`If-Match: "b"`, `If-None-Match: "a"`}, 412},
		{[]string{`If-Match: "a"`, "If-Unmodified-Since: " + before}, 0},
		{[]string{"If-Unmodified-Since: " + before}, 412},
		{[]string{"If-Unmodified-Since: " + at}, 0},
		{[]string{"If-Unmodified-Since: never"}, 0},
	} {
		a := readAsked(asking("GET /", c.fields...).Headers)
		if got := v.judge(&a); got != c.want {
			t.Errorf("judge(%q) = %d, want %d", c.fields, got, c.want)
		}
	}
}

func TestVersion_IfRangeWantsTheVeryVersion(t *testing.T) {
	v := version{`"a"`, changed.Truncate(time.Second)}
	date := changed.Format(httpDate)
	for _, c := range []struct {
		value string
		now   time.Time
		want  bool
	}{
		{`"a"`, changed, true}, {` "a" `, changed, true}, {`"b"`, changed, false}, {`W/"a"`, changed, false}, {"", changed, false},
		{date, changed.Add(time.Minute), true}, {date, changed, false},
		{changed.Add(time.Second).Format(httpDate), changed.Add(time.Minute), false},
	} {
		if got := v.sameAs([]byte(c.value), c.now); got != c.want {
			t.Errorf("sameAs(%q) %s after the change = %v, want %v", c.value, c.now.Sub(changed), got, c.want)
		}
	}
}

func TestRanked_FollowsTheWeights(t *testing.T) {
	for accept, want := range map[string][]string{
		"":                               nil,
		"gzip":                           {"gzip"},
		"x-gzip":                         {"gzip"},
		"GZIP, deflate, br, zstd":        {"br", "zstd", "gzip"},
		"gzip;q=1.0, br;q=0.5":           {"gzip", "br"},
		"gzip;q=0.2, identity;q=0.5, br": {"br"},
		"br;q=0, *":                      {"zstd", "gzip"},
		"*":                              {"br", "zstd", "gzip"},
		"*;q=0":                          nil,
		"identity":                       nil,
		"br;q=much, gzip;q=2, zstd;x=1":  nil,
		"gzip ; q = 0.3":                 {"gzip"},
		"gzip;q=NaN":                     nil,
	} {
		order, count := ranked([]byte(accept))
		var got []string
		for _, i := range order[:count] {
			got = append(got, codings[i].name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("ranked(%q) = %q, want %q", accept, got, want)
		}
	}
}

func TestTypeOf(t *testing.T) {
	for name, want := range map[string]string{
		"a.css": "text/css; charset=utf-8", "A.HTML": "text/html; charset=utf-8", "d/x.js": "text/javascript; charset=utf-8",
		"a.png": "image/png", "a.woff2": "font/woff2", "a.json": "application/json", "a.js.gz": "application/gzip",
		"README": unknownType, "a.nobody-knows": unknownType, "d.css/a": unknownType,
	} {
		if got := typeOf(name); got != want {
			t.Errorf("typeOf(%q) = %q, want %q", name, got, want)
		}
	}
}
