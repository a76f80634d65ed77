package workers

// Files that belong to calls, on their way to a worker and from it.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"gowsgi/embed/channel"
	"gowsgi/wsgi"
)

// passer implements channel.Passer for one worker.
type passer struct {
	dispatcher *dispatcher
	worker     *worker
}

// BodyFile implements channel.Passer. The file is the call's, which may close it at
// any time.
func (p passer) BodyFile(slot int, ticket uint32) *os.File {
	p.dispatcher.mu.Lock()
	defer p.dispatcher.mu.Unlock()
	if c := p.worker.seats[slot].call.Load(); c != nil && c.ticket == ticket {
		return c.request.File
	}
	return nil
}

// ReplyFile implements channel.Passer. The call waits for the file, or will: the
// head that says so comes later.
func (p passer) ReplyFile(slot int, ticket uint32, f *os.File) {
	p.dispatcher.mu.Lock()
	defer p.dispatcher.mu.Unlock()
	c := p.worker.seats[slot].call.Load()
	if c == nil || c.ticket != ticket || c.abandoned.Load() {
		closeIfOpen(f)
		return
	}
	select {
	case c.replyFile <- f:
	default:
		closeIfOpen(f) // one too many: the worker is damaged
	}
}

func closeIfOpen(f *os.File) {
	if f != nil {
		_ = f.Close() // it was opened for reading only
	}
}

var errNoFile = errors.New("workers: the file that is the answer did not arrive: too many files are open")

// awaitFile waits for the file that the head in slot announces. It was sent before
// the head, so it is here or the worker has lost it.
func (c *Call) awaitFile(offset int64) error {
	for {
		select {
		case f := <-c.replyFile:
			return c.keepFile(f, offset)
		default:
		}
		if fate := c.fate(); fate != nil {
			return fate
		}
		select {
		case f := <-c.replyFile:
			return c.keepFile(f, offset)
		case <-c.news:
		}
	}
}

// keepFile checks what the worker has sent: only a regular file can be sent without
// ever waiting for anybody but the client.
func (c *Call) keepFile(f *os.File, offset int64) error {
	if f == nil {
		return errNoFile
	}
	info, err := f.Stat()
	if err == nil && info.Mode().Type() != fs.FileMode(0) {
		err = fmt.Errorf("the application's file is no regular one: %w", channel.ErrDamaged)
	}
	if err == nil && (offset < 0 || offset > info.Size()) {
		err = fmt.Errorf("offset %d of a file of %d bytes: %w", offset, info.Size(), channel.ErrDamaged)
	}
	if err != nil {
		closeIfOpen(f)
		return c.damaged(err)
	}
	c.file = &wsgi.BodyFile{File: f, Offset: offset, Length: info.Size() - offset}
	return nil
}

// File implements wsgi.Call.
func (c *Call) File() *wsgi.BodyFile {
	f := c.file
	c.file = nil
	return f
}

// dropFiles closes what nobody has taken.
func (c *Call) dropFiles() {
	if c.file != nil {
		closeIfOpen(c.file.File)
		c.file = nil
	}
	select {
	case f := <-c.replyFile:
		closeIfOpen(f)
	default:
	}
}
