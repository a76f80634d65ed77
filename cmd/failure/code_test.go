package failure

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "add new codes to testdata/codes")

// list is the catalogue in one line each.
func list() string {
	var b strings.Builder
	for _, group := range Groups() {
		for _, page := range group.Pages {
			fmt.Fprintf(&b, "%v %d %s\n", page.Code, page.Exit, page.Title)
		}
	}
	return b.String()
}

// Codes are in runbooks and alerts: what one means stays, and none is given away
// again. A title may be worded better, and then changed in testdata/codes by hand;
// -update only adds.
func TestCatalogue_KeepsWhatCodesMean(t *testing.T) {
	const path = "testdata/codes"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	now := list()
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(now, line) {
			t.Errorf("the catalogue no longer has %q", line)
		}
	}
	for line := range strings.Lines(now) {
		if !strings.Contains(string(text), line) && !*update {
			t.Errorf("%s does not have %q; run go test ./cmd/failure -update", path, line)
		}
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(path, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCatalogue_IsWhole(t *testing.T) {
	var last Code
	titles := map[string]Code{}
	for _, group := range Groups() {
		for _, p := range group.Pages {
			if p.Code <= last {
				t.Errorf("%v stands behind %v", p.Code, last)
			}
			last = p.Code
			if p.Title == "" || p.Cause == "" || p.Do == "" {
				t.Errorf("%v = %+v, want a title, a cause and what to do", p.Code, p)
			}
			if before, ok := titles[p.Title]; ok {
				t.Errorf("%v and %v have the same title", before, p.Code)
			}
			titles[p.Title] = p.Code
			if strings.HasSuffix(p.Title, ".") || strings.HasSuffix(p.Do, ".") || strings.ContainsAny(p.Title+p.Cause+p.Do, "\n") {
				t.Errorf("%v: title and what to do are without full stop, all is without line feeds", p.Code)
			}
			if !strings.HasSuffix(p.Cause, ".") {
				t.Errorf("%v: its cause is no sentence", p.Code)
			}
			if found, ok := Find(p.Code); !ok || found.Title != p.Title {
				t.Errorf("Find(%v) = %v, %v, want its page", p.Code, found, ok)
			}
		}
	}
}

func TestParse_TakesWhatPeopleWrite(t *testing.T) {
	for _, text := range []string{"GW012", "gw012", "Gw12", "12", "012", "[GW012]", " GW012 "} {
		if code, ok := Parse(text); !ok || code != RunsAsRoot {
			t.Errorf("Parse(%q) = %v, %v, want GW012", text, code, ok)
		}
	}
	for _, text := range []string{"", "GW", "GW999", "0", "-12", "GW12x", "12.0", "99999999"} {
		if code, ok := Parse(text); ok {
			t.Errorf("Parse(%q) = %v, want none", text, code)
		}
	}
}

func TestUntag_UndoesTag(t *testing.T) {
	text, code, ok := Untag(AddressInUse.Tag("it is [taken]"))
	if text != "it is [taken]" || code != AddressInUse || !ok {
		t.Errorf("Untag(Tag(it is [taken])) = %q, %v, %v", text, code, ok)
	}
	for _, line := range []string{"", "plain", "x [GW999]", "x [GW051] y", "x [GW]"} {
		if text, code, ok := Untag(line); ok || text != line {
			t.Errorf("Untag(%q) = %q, %v, %v, want it as it is", line, text, code, ok)
		}
	}
}

// The one nearest to the cause knows most.
func TestOf_IsTheInnermostCode(t *testing.T) {
	inner := Errorf(AddressInUse, "in use")
	outer := Errorf(CannotListen, "cannot listen: %w", fmt.Errorf("bind: %w", inner))
	for _, c := range []struct {
		err  error
		want Code
	}{
		{inner, AddressInUse},
		{outer, AddressInUse},
		{errors.Join(outer, errors.New("and more")), AddressInUse},
		{errors.New("plain"), Unexpected},
		{nil, Unexpected},
	} {
		if got := Of(c.err, Unexpected); got != c.want {
			t.Errorf("Of(%v) = %v, want %v", c.err, got, c.want)
		}
	}
	if got, want := outer.Error(), "cannot listen: bind: in use"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}
