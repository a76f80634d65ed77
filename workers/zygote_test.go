package workers

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// pieces is a reader that gives one piece at a time.
type pieces []string

func (p *pieces) Read(to []byte) (int, error) {
	if len(*p) == 0 {
		return 0, io.EOF
	}
	n := copy(to, (*p)[0])
	if (*p)[0] = (*p)[0][n:]; (*p)[0] == "" {
		*p = (*p)[1:]
	}
	return n, nil
}

func TestCopyLines_HandsOverWholeLines(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for name, c := range map[string]struct{ pieces, want []string }{
		"nothing":                 {nil, nil},
		"a line":                  {[]string{"one\n"}, []string{"one\n"}},
		"lines that come at once": {[]string{"one\ntwo\n"}, []string{"one\ntwo\n"}},
		"a line in pieces":        {[]string{"o", "n", "e\n"}, []string{"one\n"}},
		"a line and a half":       {[]string{"one\ntw", "o\n"}, []string{"one\n", "two\n"}},
		"no newline at the end":   {[]string{"one\ntwo"}, []string{"one\n", "two"}},
		"a line beyond 4 KiB":     {[]string{long[:9000] + "\n"}, []string{long[:9000] + "\n"}},
		"the longest line":        {[]string{long[:maxLine-1] + "\n"}, []string{long[:maxLine-1] + "\n"}},
		"a line beyond any limit": {[]string{long + long + long + "y\nz\n"},
			[]string{long, long, long, "y\nz\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			given := slices.Clone(pieces(c.pieces))
			var got []string
			done := make(chan struct{})
			go func() {
				copyLines(&given, func(p []byte) { got = append(got, string(p)) })
				close(done)
			}()
			await(t, done, "the copying ends")
			if strings.Join(got, "") != strings.Join(c.pieces, "") {
				t.Fatalf("copyLines gave %d bytes of %d, or others", len(strings.Join(got, "")), len(strings.Join(c.pieces, "")))
			}
			if name == "a line beyond any limit" {
				return // where it is cut is of no matter
			}
			equal(t, "lines", got, c.want)
		})
	}
}

// failing gives some bytes together with an error.
type failing string

func (f failing) Read(p []byte) (int, error) { return copy(p, f), errors.New("gone") }

func TestCopyLines_HandsOverWhatCameWithAnError(t *testing.T) {
	var got bytes.Buffer
	copyLines(failing("last words"), func(p []byte) { got.Write(p) })
	if got.String() != "last words" {
		t.Errorf("copyLines gave %q, want what was read with the error", got.String())
	}
}

func TestExitCode_IsThatOfTheProcess(t *testing.T) {
	run := func(script string) error { return exec.Command("/bin/sh", "-c", script).Run() }
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {run("exit 3"), 3}, {run("kill -9 $$"), -1}, {errors.New("waited in vain"), -1},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("exitCode(%v) = %d, want %d", c.err, got, c.want)
		}
	}
}
