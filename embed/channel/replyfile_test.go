package channel

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// arrival is a file that a Passer was given.
type arrival struct {
	slot   int
	ticket uint32
	file   *os.File
}

// fakePasser has one body file, for slot 1 and ticket 5.
type fakePasser struct {
	body     *os.File
	arrivals chan arrival
}

func (p *fakePasser) BodyFile(slot int, ticket uint32) *os.File {
	if slot == 1 && ticket == 5 {
		return p.body
	}
	return nil
}

func (p *fakePasser) ReplyFile(slot int, ticket uint32, f *os.File) {
	p.arrivals <- arrival{slot, ticket, f}
}

// passingPair is a segment that passes files, seen by its worker.
type passingPair struct {
	*testing.T
	worker int
	passer fakePasser
	ended  chan error
}

func newPassing(t *testing.T) *passingPair {
	t.Helper()
	s, _ := newPair(t, small)
	p := &passingPair{T: t, worker: int(s.Passing().Fd()), ended: make(chan error, 1)}
	p.passer = fakePasser{p.file("body"), make(chan arrival, 9)}
	go func() { p.ended <- s.Pass(&p.passer) }()
	return p
}

// file makes an open file of a text.
func (p *passingPair) file(text string) *os.File {
	p.Helper()
	path := filepath.Join(p.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = f.Close() })
	return f
}

func (p *passingPair) send(kind, slot, ticket uint32, files ...*os.File) {
	p.Helper()
	m := binary.NativeEndian.AppendUint32(nil, kind)
	m = binary.NativeEndian.AppendUint32(m, slot)
	m = binary.NativeEndian.AppendUint32(m, ticket)
	var rights []byte
	if len(files) > 0 {
		fds, err := descriptors(files...)
		if err != nil {
			p.Fatal(err)
		}
		rights = unix.UnixRights(fds...)
	}
	if err := unix.Sendmsg(p.worker, m, rights, nil, 0); err != nil {
		p.Fatal(err)
	}
}

func awaitOne[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

func TestPass_TakesFilesForAnswers(t *testing.T) {
	p := newPassing(t)
	p.send(replyFile, 1, 7, p.file("first"))
	p.send(replyFile, 0, 8)
	p.send(replyFile, 0, 9, p.file("second"), p.file("third"))
	p.send(replyFile, 1, 10, p.file("fourth"))
	for _, want := range []struct {
		slot   int
		ticket uint32
		text   string
	}{{1, 7, "first"}, {0, 8, ""}, {0, 9, ""}, {1, 10, "fourth"}} {
		got := awaitOne(t, p.passer.arrivals, "file")
		text := ""
		if got.file != nil {
			b, err := io.ReadAll(got.file)
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
			_ = got.file.Close()
		}
		if got.slot != want.slot || got.ticket != want.ticket || want.text != "" && text != want.text || want.ticket == 8 && got.file != nil {
			t.Errorf("a file for slot %d, ticket %d: %q, want %+v", got.slot, got.ticket, text, want)
		}
	}
}

func TestPass_AnswersWithBodyFiles(t *testing.T) {
	p := newPassing(t)
	for _, c := range []struct {
		ticket uint32
		passed bool
	}{{5, true}, {6, false}} {
		p.send(askBody, 1, c.ticket)
		m, room := make([]byte, passingBytes), make([]byte, unix.CmsgSpace(4))
		n, rights, _, _, err := unix.Recvmsg(p.worker, m, room, unix.MSG_CMSG_CLOEXEC)
		if err != nil || n != passingBytes || binary.NativeEndian.Uint32(m) != bodyFile || binary.NativeEndian.Uint32(m[8:]) != c.ticket || (rights > 0) != c.passed {
			t.Fatalf("the answer = %x with %d bytes of rights, %v, want ticket %d and a file: %v", m[:n], rights, err, c.ticket, c.passed)
		}
		if rights == 0 {
			continue
		}
		messages, err := unix.ParseSocketControlMessage(room[:rights])
		if err != nil {
			t.Fatal(err)
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fds[0]), "body")
		if text, err := io.ReadAll(f); string(text) != "body" || err != nil {
			t.Errorf("the file passed has %q, %v, want the body", text, err)
		}
		_ = f.Close()
	}
}

func TestPass_EndsAtNonsense(t *testing.T) {
	for name, send := range map[string]func(p *passingPair){
		"a kind there is none of":  func(p *passingPair) { p.send(9, 0, 1) },
		"a slot there is none of":  func(p *passingPair) { p.send(replyFile, uint32(small.Slots), 1, p.file("x")) },
		"a file nobody asked for":  func(p *passingPair) { p.send(askBody, 0, 1, p.file("x")) },
		"a message that is a byte": func(p *passingPair) { _, _ = unix.Write(p.worker, []byte{3}) },
	} {
		p := newPassing(t)
		send(p)
		if err := awaitOne(t, p.ended, "end of Pass"); !errors.Is(err, ErrDamaged) {
			t.Errorf("Pass() after %s = %v, want ErrDamaged", name, err)
		}
	}
}
