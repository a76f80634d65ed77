package wsgi

import (
	"regexp"
	"testing"
)

func TestRequestIDs_AreSixteenHexDigitsEachOnce(t *testing.T) {
	for _, last := range []uint64{0, 1<<64 - 3, 0xfedcba98765432ff} {
		var ids requestIDs
		ids.last.Store(last)
		seen := map[string]bool{}
		for range 100 {
			var room [requestIDLength]byte
			id := string(ids.next(&room))
			if !regexp.MustCompile("^[0-9a-f]{16}$").MatchString(id) || seen[id] {
				t.Fatalf("next() after %#x = %q, want 16 hex digits not seen before", last, id)
			}
			seen[id] = true
		}
	}
}

func TestRequestIDs_StartAnywhere(t *testing.T) {
	var a, b requestIDs
	a.start()
	b.start()
	if a.last.Load() == b.last.Load() {
		t.Errorf("two processes would both start at %#x", a.last.Load())
	}
}

func TestRequestIDs_CostNoAllocation(t *testing.T) {
	var ids requestIDs
	var room [requestIDLength]byte
	if n := testing.AllocsPerRun(100, func() { ids.next(&room) }); n != 0 {
		t.Errorf("next() allocates %v times, want none", n)
	}
}
