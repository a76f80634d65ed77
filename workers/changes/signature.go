package changes

import (
	"hash/maphash"
	"io"
	"os"
	"syscall"
	"time"
)

// identity tells one folder from another of the same name. The zero value is that
// of one that is not there.
type identity struct{ device, inode uint64 }

func identify(path string) identity {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return identity{}
	}
	return identityOf(info)
}

func identityOf(info os.FileInfo) identity {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{1, 1} // of something
	}
	return identity{uint64(stat.Dev), stat.Ino} //nolint:unconvert // not 64 bits everywhere
}

// signature is what tells one state of a file from the next. The zero value is
// that of a file that is not there.
type signature struct {
	identity
	size, changed int64  // bytes; nanoseconds since 1970
	sum           uint64 // of the content, where the time does not suffice; 0: not taken, the file was old enough
}

// The clock of files ticks every few milliseconds, on some file systems every
// second or two: what is written twice within a tick has the same time, and often
// the same size. So of a file that is younger than a tick the content counts, too.
const (
	tick       = 50 * time.Millisecond
	coarseTick = 2 * time.Second // where times are whole seconds
	mostSummed = 1 << 20         // bytes of a file that are read for it
)

// sign looks at path, through symbolic links. young: the sum has to be taken.
func sign(path string) (now signature, young bool) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return signature{}, false
	}
	now = signature{identity: identityOf(info), size: info.Size(), changed: info.ModTime().UnixNano()}
	return now, isYoung(info.ModTime())
}

// follow looks at path and says whether it is in another state than before.
func (before signature) follow(path string) (now signature, changed bool) {
	now, young := sign(path)
	timed := before
	timed.sum = 0
	same := now == timed
	if same && before.sum == 0 {
		return before, false
	}
	if !same && !young {
		return now, true
	}
	content := Sum(path)
	if young {
		now.sum = content
	}
	return now, !same || content != before.sum
}

func isYoung(changed time.Time) bool {
	age := time.Since(changed)
	if changed.Nanosecond() == 0 {
		return age < coarseTick
	}
	return age < tick
}

var seed = maphash.MakeSeed()

// Sum tells one content of a file from another, as far as its first MiB goes; 0: it
// cannot be read. It is comparable within this process.
func Sum(path string) uint64 {
	file, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer func() { _ = file.Close() }() // it was only read
	var hash maphash.Hash
	hash.SetSeed(seed)
	_, _ = io.Copy(&hash, io.LimitReader(file, mostSummed)) // as much as can be read
	return hash.Sum64() | 1
}
