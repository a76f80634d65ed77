package workers

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"gowsgi/embed/channel"
	"gowsgi/embed/channel/channeltest"
	"gowsgi/wsgi"
)

// given makes a file of a text, as the worker's socket would bring it.
func given(t *testing.T, text string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// isClosed tells whether somebody has closed f.
func isClosed(f *os.File) bool {
	_, err := f.Stat()
	return errors.Is(err, os.ErrClosed)
}

// The file is found by slot and ticket, before or after the head, and although the
// worker has long finished.
func TestCall_GetsTheFileThatIsItsAnswer(t *testing.T) {
	for _, late := range []bool{false, true} {
		s := newStage(t, small, 1)
		c, a := s.start(wsgi.Request{})
		f := given(t, "0123456789")
		p := passer{s.dispatcher, a.by.worker}
		stale := given(t, "of a request before")
		p.ReplyFile(a.Index, a.Ticket()-1, stale)
		if !isClosed(stale) {
			t.Error("the file of another ticket is open, want it closed")
		}
		if !late {
			p.ReplyFile(a.Index, a.Ticket(), f)
		}
		index, ticket := a.Index, a.Ticket()
		a.finish(func(x *channeltest.Exchange) {
			x.File(head200, 4)
			x.Finish(channeltest.Complete, "")
		})
		failed := make(chan error, 1)
		go func() {
			_, _, _, err := c.Head(nil)
			failed <- err
		}()
		if late {
			p.ReplyFile(index, ticket, f)
		}
		if err := await(t, failed, "the head"); err != nil {
			t.Fatalf("Head() = %v", err)
		}
		got := c.File()
		if got == nil || got.File != f || got.Offset != 4 || got.Length != 6 {
			t.Fatalf("File() = %+v, want six bytes from 4", got)
		}
		if again := c.File(); again != nil {
			t.Errorf("File() again = %+v, want nil", again)
		}
		if p, err := c.Body(); len(p) > 0 || !errors.Is(err, io.EOF) {
			t.Errorf("Body() = %q, %v, want io.EOF", p, err)
		}
		s.end(c, "")
		if isClosed(f) {
			t.Error("the file is closed, want it left to who took it")
		}
	}
}

func TestCall_ClosesFilesNobodyTakes(t *testing.T) {
	s := newStage(t, small, 1)
	c, a := s.start(wsgi.Request{})
	first, second := given(t, "first"), given(t, "second")
	p := passer{s.dispatcher, a.by.worker}
	p.ReplyFile(a.Index, a.Ticket(), first)
	p.ReplyFile(a.Index, a.Ticket(), second)
	if !isClosed(second) {
		t.Error("a second file for one answer is open, want it closed")
	}
	a.finish(func(x *channeltest.Exchange) { x.File(head200, 0); x.Finish(channeltest.Complete, "") })
	if _, _, _, err := c.Head(nil); err != nil {
		t.Fatal(err)
	}
	s.end(c, "")
	if !isClosed(first) {
		t.Error("the file nobody took is open after End, want it closed")
	}
}

func TestCall_RefusesFilesThatCannotBeAnAnswer(t *testing.T) {
	pipe, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	for name, c := range map[string]struct {
		file    *os.File
		offset  int64
		damaged bool
	}{
		"a pipe": {pipe, 0, true}, "behind the end": {given(t, "ten bytes!"), 11, true}, "before the start": {given(t, "x"), -1, true},
		"lost on the way": {nil, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, small, 1)
			call, a := s.start(wsgi.Request{})
			passer{s.dispatcher, a.by.worker}.ReplyFile(a.Index, a.Ticket(), c.file)
			a.let(func(x *channeltest.Exchange) { x.File(head200, c.offset) })
			_, _, _, err := call.Head(nil)
			if err == nil || errors.Is(err, channel.ErrDamaged) != c.damaged {
				t.Errorf("Head() = %v, want an error, damaged: %v", err, c.damaged)
			}
			if c.file != nil && !isClosed(c.file) {
				t.Error("the file is open, want it closed")
			}
			call.Abort()
			_, _ = call.End()
		})
	}
}

// A worker that dies before its file has come is a worker that dies.
func TestCall_WaitsForNoFileOfADeadWorker(t *testing.T) {
	s := newStage(t, small, 1)
	c, a := s.start(wsgi.Request{})
	a.let(func(x *channeltest.Exchange) { x.File(head200, 0) })
	failed := make(chan error, 1)
	go func() {
		_, _, _, err := c.Head(nil)
		failed <- err
	}()
	a.by.die("killed")
	var lost *wsgi.LostError
	if err := await(t, failed, "the head"); !errors.As(err, &lost) {
		t.Errorf("Head() = %v, want the worker's loss", err)
	}
	_, _ = c.End()
}
