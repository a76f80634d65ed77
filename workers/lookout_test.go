package workers

import "testing"

func TestLookout_LosesItsOpinionByFailingAndTriesAgain(t *testing.T) {
	l := &lookout{most: 100}
	l.luck.Store(luckMost)
	l.ended(true) // no more than luckMost
	for i := range luckMost {
		if got := l.begin(); got != l.most {
			t.Fatalf("begin() = %d after %d failures, want %d", got, i, l.most)
		}
		l.ended(false)
	}
	sleeps := 0
	for l.begin() == 0 {
		if sleeps++; sleeps > -2*luckLeast {
			t.Fatalf("begin() = 0 for %d times, want another try", sleeps)
		}
	}
	if sleeps < -luckLeast {
		t.Errorf("begin() tries again after %d sleeps, want %d", sleeps, -luckLeast)
	}
	l.ended(true)
	l.ended(false)
	if got := l.begin(); got != l.most {
		t.Errorf("begin() = %d after a success and a failure, want %d", got, l.most)
	}
}
