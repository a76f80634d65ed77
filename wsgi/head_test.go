package wsgi

import (
	"slices"
	"testing"

	"gowsgi/environ"
)

func TestReadHead_TakesStatusAndLengthApart(t *testing.T) {
	for _, c := range []struct {
		status  string
		headers []string // name, value, name, value …
		known   int64
		code    int
		reason  string
		length  int64
		rest    []string
	}{
		{"200 OK", nil, -1, 200, "OK", -1, nil},
		{"200 ", nil, 3, 200, "", 3, nil},
		{"999 No such thing", []string{"A", "1"}, -1, 999, "No such thing", -1, []string{"A", "1"}},
		{"200 OK", []string{"Content-Length", "0"}, -1, 200, "OK", 0, nil},
		{"200 OK", []string{"A", "1", "cOnTeNt-LeNgTh", "17", "B", "2"}, 5, 200, "OK", 17, []string{"A", "1", "B", "2"}},
		{"200 OK", []string{"Content-Length", " 17\t"}, -1, 200, "OK", 17, nil},
		{"200 OK", []string{"Content-Length", "17", "Content-Length", "17"}, -1, 200, "OK", 17, nil},
		{"200 OK", []string{"Content-Length", "00017"}, -1, 200, "OK", 17, nil},
		{"200 OK", []string{"Content-Length", "4000000000000000000"}, -1, 200, "OK", 4000000000000000000, nil},
	} {
		h, err := readHead([]byte(c.status), headers(c.headers), c.known)
		var rest []string
		for _, f := range h.fields {
			rest = append(rest, string(f.Name), string(f.Value))
		}
		if err != nil || h.code != c.code || string(h.reason) != c.reason || h.length != c.length || !slices.Equal(rest, c.rest) {
			t.Errorf("readHead(%q, %q, %d) = %d %q, %d, %q, %v, want %d %q, %d, %q",
				c.status, c.headers, c.known, h.code, h.reason, h.length, rest, err, c.code, c.reason, c.length, c.rest)
		}
	}
}

func headers(pairs []string) (all []environ.Header) {
	for i := 0; i+1 < len(pairs); i += 2 {
		all = append(all, field(pairs[i], pairs[i+1]))
	}
	return all
}

func TestReadHead_RefusesWhatAWorkerMustNotSay(t *testing.T) {
	for _, c := range []struct {
		status  string
		headers []string
	}{
		{"", nil}, {"200", nil}, {"200OK", nil}, {"20 OK", nil}, {"abc OK", nil}, {"-20 OK", nil}, {"2x0 OK", nil},
		{"000 OK", nil}, {"100 Continue", nil}, {"199 Almost", nil}, // no final answer
		{"200 OK", []string{"Content-Length", ""}},
		{"200 OK", []string{"Content-Length", " "}},
		{"200 OK", []string{"Content-Length", "-1"}},
		{"200 OK", []string{"Content-Length", "+1"}},
		{"200 OK", []string{"Content-Length", "0x10"}},
		{"200 OK", []string{"Content-Length", "1 2"}},
		{"200 OK", []string{"Content-Length", "1, 1"}},
		{"200 OK", []string{"Content-Length", "1.0"}},
		{"200 OK", []string{"Content-Length", "9223372036854775808"}},
		{"200 OK", []string{"Content-Length", "99999999999999999999999"}},
		{"200 OK", []string{"Content-Length", "5", "content-length", "6"}},
	} {
		if h, err := readHead([]byte(c.status), headers(c.headers), -1); err == nil {
			t.Errorf("readHead(%q, %q) = %+v, want an error", c.status, c.headers, h)
		}
	}
}
