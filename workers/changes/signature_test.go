package changes

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The clock of files ticks slowly, and what is saved again often has the same size.
func TestSignature_TellsStatesOfTheSameTimeAndSizeApart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	save := func(text string, changed time.Time) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, changed, changed); err != nil {
			t.Fatal(err)
		}
	}
	var known signature
	wantChanged := func(when string, want bool) {
		t.Helper()
		var changed bool
		if known, changed = known.follow(path); changed != want {
			t.Errorf("%s: changed = %v, want %v", when, changed, want)
		}
	}
	wantChanged("before the file is there", false)
	young, old := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	save("1", young)
	wantChanged("a new file", true)
	wantChanged("nothing", false)
	save("2", young)
	wantChanged("the same time and size", true)
	save("2", young)
	wantChanged("the same again", false)
	save("3", old)
	wantChanged("another time", true)
	if known.sum != 0 {
		t.Errorf("the content of an old file was read, want its time to do")
	}
	wantChanged("nothing, of an old file", false)
	save("3", young)
	wantChanged("a touch", true)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	wantChanged("its removal", true)
}
