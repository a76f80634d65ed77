package wsgi

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// filler makes n bytes that are never the same at two places.
func filler(n int) []byte {
	p := make([]byte, n)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range p {
		p[i] = byte(random.Uint32())
	}
	return p
}

// inTime runs f, which must not wait for ever.
func inTime(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s does not return", what)
	}
}

func closed(t *testing.T, s *spool) {
	t.Helper()
	if err := s.close(); err != nil {
		t.Errorf("close() = %v", err)
	}
}

// TestSpool_GivesWhatWasPutInOrder: through memory and the file, back and forth, to
// a taker that is now faster and now slower.
func TestSpool_GivesWhatWasPutInOrder(t *testing.T) {
	for name, limit := range map[string]int64{"memory": 1, "a small file": 300 << 10, "a large file": 1 << 30} {
		t.Run(name, func(t *testing.T) {
			all := filler(2 << 20)
			s := newSpool(limit, t.TempDir(), func(err error) { t.Errorf("complaint: %v", err) })
			defer closed(t, s)
			go func() {
				for rest := all; len(rest) > 0; {
					n := min(1+rand.IntN(200_000), len(rest))
					if err := s.put(rest[:n]); err != nil {
						t.Errorf("put() = %v", err)
					}
					rest = rest[n:]
				}
				s.end()
			}()
			var got []byte
			inTime(t, "take()", func() {
				for {
					p, err := s.take()
					if errors.Is(err, io.EOF) {
						return
					}
					got = append(got, p...)
					if rand.IntN(10) == 0 {
						time.Sleep(3 * time.Millisecond) // a slow moment
					}
				}
			})
			if !bytes.Equal(got, all) {
				t.Errorf("%d bytes came out, want the %d that were put", len(got), len(all))
			}
		})
	}
}

// What nobody takes goes to the file, up to its limit, and no further.
func TestSpool_KeepsItsLimit(t *testing.T) {
	const limit = 1 << 20
	s := newSpool(limit, t.TempDir(), func(err error) { t.Errorf("complaint: %v", err) })
	defer closed(t, s)
	all := filler(3 * limit)
	inTime(t, "put()", func() {
		if err := s.put(all[:limit]); err != nil {
			t.Errorf("put() = %v", err)
		}
	})
	if s.idle() {
		t.Error("idle() = true with everything in it")
	}
	put := make(chan error, 1)
	go func() { put <- s.put(all[limit:]); s.end() }()
	var got []byte
	inTime(t, "take()", func() {
		for {
			p, err := s.take()
			if err != nil {
				return
			}
			got = append(got, p...)
			if info, err := s.file.Stat(); err != nil || info.Size() > limit {
				t.Errorf("the file has %d bytes, %v, want %d at most", info.Size(), err, limit)
			}
		}
	})
	if err := <-put; err != nil || !bytes.Equal(got, all) {
		t.Errorf("put() = %v and %d bytes came out, want %d", err, len(got), len(all))
	}
	if !s.idle() {
		t.Error("idle() = false with nothing in it")
	}
	if info, err := s.file.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("the file has %d bytes, %v afterwards, want none", info.Size(), err)
	}
}

// Without a file the one who puts waits for the one who takes.
func TestSpool_GoesOnWithoutAFile(t *testing.T) {
	var complaints []error
	s := newSpool(1<<30, filepath.Join(t.TempDir(), "none"), func(err error) { complaints = append(complaints, err) })
	defer closed(t, s)
	all := filler(1 << 20)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.put(all); s.end() }()
	var got []byte
	inTime(t, "take()", func() {
		for p, err := s.take(); err == nil; p, err = s.take() {
			got = append(got, p...)
			time.Sleep(time.Millisecond) // long enough for a file to be wanted
		}
	})
	<-done
	if !bytes.Equal(got, all) || len(complaints) != 1 || !errors.Is(complaints[0], os.ErrNotExist) {
		t.Errorf("%d bytes came out, complaints = %v; want %d, and that there is no folder", len(got), complaints, len(all))
	}
}

func TestSpool_PutReturnsWhenNobodyTakes(t *testing.T) {
	gone := errors.New("gone")
	for name, limit := range map[string]int64{"memory": 1, "file": 200 << 10} {
		s := newSpool(limit, t.TempDir(), func(error) {})
		put := make(chan error, 1)
		go func() { put <- s.put(filler(1 << 20)) }()
		if _, err := s.take(); err != nil {
			t.Errorf("%s: take() = %v", name, err)
		}
		s.fail(gone)
		inTime(t, "put()", func() {
			if err := <-put; !errors.Is(err, gone) {
				t.Errorf("%s: put() = %v, want %v", name, err, gone)
			}
		})
		closed(t, s)
	}
}

func TestOpenTemp_LeavesNoName(t *testing.T) {
	dir := t.TempDir()
	for name, open := range map[string]func(string) (*os.File, error){"without a name": OpenTemp, "named for a moment": openNamed} {
		f, err := open(dir)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := f.WriteString("kept"); err != nil {
			t.Errorf("%s: write: %v", name, err)
		}
		if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
			t.Errorf("%s: the folder has %v, %v, want nothing", name, left, err)
		}
		_ = f.Close()
	}
	if _, err := OpenTemp(filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("OpenTemp of no folder = %v, want an error that names it", err)
	}
}
