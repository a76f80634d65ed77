package channel

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// asker plays the worker that asks for files.
type asker struct {
	t    *testing.T
	conn *net.UnixConn
}

// finder is a Passer that expects questions only.
type finder func(int, uint32) *os.File

func (find finder) BodyFile(slot int, ticket uint32) *os.File { return find(slot, ticket) }
func (find finder) ReplyFile(int, uint32, *os.File)           { panic("nobody has sent a file") }

// newAsker makes a segment that answers with find, and the worker's end of its
// socket. ended is given what Pass returns.
func newAsker(t *testing.T, find func(int, uint32) *os.File) (s *Segment, a *asker, ended chan error) {
	t.Helper()
	s, err := Create(small)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.FileConn(s.Passing())
	if err != nil {
		t.Fatal(err)
	}
	s.Forked()
	ended = make(chan error, 1)
	go func() { ended <- s.Pass(finder(find)) }()
	t.Cleanup(func() { s.Close(); _ = conn.Close() })
	return s, &asker{t, conn.(*net.UnixConn)}, ended
}

func (a *asker) send(words ...uint32) {
	a.t.Helper()
	var m []byte
	for _, w := range words {
		m = binary.NativeEndian.AppendUint32(m, w)
	}
	if _, err := a.conn.Write(m); err != nil {
		a.t.Fatalf("send %v: %v", words, err)
	}
}

// receive returns an answer and the descriptor that came along, or nil.
func (a *asker) receive() (words [3]uint32, f *os.File) {
	a.t.Helper()
	m, oob := make([]byte, 100), make([]byte, unix.CmsgSpace(4))
	n, k, _, _, err := a.conn.ReadMsgUnix(m, oob)
	if err != nil || n != passingBytes {
		a.t.Fatalf("an answer of %d bytes, %v, want %d", n, err, passingBytes)
	}
	for i := range words {
		words[i] = binary.NativeEndian.Uint32(m[4*i:])
	}
	if k == 0 {
		return words, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob[:k])
	if err != nil {
		a.t.Fatal(err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		a.t.Fatal(err)
	}
	return words, os.NewFile(uintptr(fds[0]), "passed")
}

func TestPass_AnswersEachQuestionOnce(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	closed, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = other.Close(), closed.Close()
	_, a, _ := newAsker(t, func(slot int, ticket uint32) *os.File {
		switch {
		case slot == 1 && ticket == 7:
			return w
		case ticket == 8:
			return closed // before it could be passed
		}
		return nil
	})
	for _, c := range []struct {
		slot, ticket uint32
		file         bool
	}{{1, 7, true}, {1, 6, false}, {0, 7, false}, {0, 8, false}, {1, 7, true}} {
		a.send(askBody, c.slot, c.ticket)
		words, f := a.receive()
		if words != [3]uint32{bodyFile, c.slot, c.ticket} || (f != nil) != c.file {
			t.Errorf("answer to %d, %d = %v with %v, want the same with a file: %v", c.slot, c.ticket, words, f, c.file)
		}
		if f == nil {
			continue
		}
		if _, err := f.WriteString("x"); err != nil {
			t.Errorf("the file that was passed = %v", err)
		}
		_ = f.Close()
	}
	_ = w.Close()
	if n, _ := r.Read(make([]byte, 10)); n != 2 {
		t.Errorf("%d bytes came through the file, want 2", n)
	}
	_ = r.Close()
}

func TestPass_EndsWithTheWorkerOrTheSegment(t *testing.T) {
	none := func(int, uint32) *os.File { return nil }
	for name, end := range map[string]func(*Segment, *asker){
		"the worker is gone":       func(_ *Segment, a *asker) { _ = a.conn.Close() },
		"the segment is hushed":    func(s *Segment, _ *asker) { s.Hush() },
		"gone before it is served": func(_ *Segment, a *asker) { a.send(askBody, 0, 1); _ = a.conn.Close() },
	} {
		s, a, ended := newAsker(t, none)
		end(s, a)
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("%s: Pass() = %v, want ErrClosed", name, err)
		}
	}
}

// The front believes nothing that a worker says.
func TestPass_RefusesNonsense(t *testing.T) {
	for name, words := range map[string][]uint32{
		"short":         {askBody, 0},
		"unknown":       {bodyFile, 0, 1},
		"no such slot":  {askBody, uint32(small.Slots), 1},
		"far from slot": {askBody, 1 << 31, 1},
	} {
		_, a, ended := newAsker(t, func(int, uint32) *os.File { t.Errorf("%s: a file is looked for", name); return nil })
		a.send(words...)
		if err := <-ended; !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: Pass() = %v, want ErrDamaged", name, err)
		}
	}
}
