package channel

import (
	"errors"
	"strings"
	"testing"

	"gowsgi/embed/channel/channeltest"
)

// readHint reads one hint and gives its bytes back: "Name: value" of each header,
// nil when there is none.
func readHint(t *testing.T, s *Slot) []string {
	t.Helper()
	rest, size, err := s.Hint()
	if err != nil {
		t.Fatalf("Hint() = %v", err)
	}
	if size == 0 {
		return nil
	}
	got := []string{}
	for {
		name, value, ok, err := rest.Next()
		if err != nil {
			t.Fatalf("Next() = %v", err)
		}
		if !ok {
			break
		}
		got = append(got, string(name)+": "+string(value))
	}
	s.Consumed(size)
	return got
}

// Hints, head and body come in that order through one ring, wherever in it they
// begin.
func TestSlot_HintsComeBeforeTheHead(t *testing.T) {
	s, w := newPair(t, small)
	slot := s.Slot(0)
	for pad := 3900; pad < 4100; pad += 3 { // the ring has 4096
		slot.Offer(Request{}, 1, 0)
		x := w.Take(0)
		if got := readHint(t, slot); got != nil {
			t.Fatalf("before any hint: %q, want none", got)
		}
		x.Hint([2]string{"A", strings.Repeat("a", pad/2)})
		if head, _, err := slot.Head(); head != nil || err != nil {
			t.Fatalf("Head() behind a hint = %q, %v, want none yet", head, err)
		}
		if got := readHint(t, slot); len(got) != 1 || len(got[0]) != 3+pad/2 {
			t.Fatalf("first hint = %q, want A", got)
		}
		x.Hint([2]string{"B", strings.Repeat("b", pad-pad/2-100)}, [2]string{"Link", "</x>"})
		before := slot.Progress()
		x.Hint([2]string{"C", "3"})
		if slot.Progress() == before {
			t.Error("Progress() is the same after a hint, want another")
		}
		x.Single(channeltest.PackHead("200 OK", [2]string{"D", "4"}), []byte("body"))
		if got := readHint(t, slot); len(got) != 2 || got[1] != "Link: </x>" {
			t.Fatalf("second hint = %q, want B and Link", got)
		}
		if got := readHint(t, slot); len(got) != 1 || got[0] != "C: 3" {
			t.Fatalf("third hint = %q, want C", got)
		}
		if got := readHint(t, slot); got != nil {
			t.Fatalf("a fourth hint: %q, want none", got)
		}
		head, length, err := slot.Head()
		if err != nil || length != 4 || string(head) != string(channeltest.PackHead("200 OK", [2]string{"D", "4"})) {
			t.Fatalf("Head() = %q, %d, %v, want the head", head, length, err)
		}
		slot.Consumed(len(head))
		body := ""
		for p, err := slot.Published(); len(p) > 0; p, err = slot.Published() {
			if err != nil {
				t.Fatal(err)
			}
			body += string(p)
			slot.Consumed(len(p))
		}
		if body != "body" {
			t.Fatalf("Published() = %q, want the body", body)
		}
		slot.Release()
	}
}

func TestSlot_NoticesHintsThatCannotBe(t *testing.T) {
	s, w := newPair(t, small)
	for name, c := range map[string]struct {
		hinted  uint64
		damaged bool
	}{
		"none": {0, false}, "too short for a length": {3, true}, "longer than is written": {4, true},
		"longer than the ring": {5000, true}, "fewer than none": {^uint64(0), false},
	} {
		slot := s.Slot(0)
		slot.Offer(Request{}, 1, 0)
		copy(slot.reply, "\x01\x00\x00\x00")
		w.Spoil(0, channeltest.Damage{Hinted: c.hinted}, 0)
		if _, size, err := slot.Hint(); errors.Is(err, ErrDamaged) != c.damaged || size != 0 {
			t.Errorf("Hint(), %s = %d, %v, want damaged: %v", name, size, err, c.damaged)
		}
	}
}
