// This file sends parts of files as the body, from the kernel's cache to the socket where that is possible.

package http1

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
)

const (
	// readLimit is the size up to which a part of a file is read into the buffer behind the head: one
	// write for both costs less than a write and a sendfile.
	readLimit = outSize - 1024
	// sendfileLimit is what one sendfile(2) is asked for, so that the send timer starts anew meanwhile.
	sendfileLimit = 1 << 20
)

// fileBuffers are for connections that the kernel cannot copy to.
var fileBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// SendFile adds length bytes of f, from offset on, to the body. The head must be written. The file's own
// position neither matters nor changes.
//
// io.ErrUnexpectedEOF says that the file ended before: what there was is written, and the answer is as
// incomplete as it then is. Bytes beyond the announced length are ErrTooMuch, before any is sent.
func (x *Exchange) SendFile(f *os.File, offset, length int64) error {
	switch {
	case x.ended:
		return ErrEnded
	case x.mode == noAnswer:
		return ErrNoHead
	case x.mode == noBody:
		x.written += length
		return nil
	case x.mode == counted && length > x.left:
		return ErrTooMuch
	case length <= int64(readLimit-len(x.c.out.b)):
		return x.readIn(f, offset, int(length))
	case x.mode == counted && x.c.wire.raw != nil:
		if err := x.flush(); err != nil {
			return err
		}
		return x.sendFrom(f, offset, length)
	}
	return x.copyFrom(f, offset, length)
}

// readIn reads a small part to where it is sent from, behind the head.
func (x *Exchange) readIn(f *os.File, offset int64, length int) error {
	if length == 0 {
		return nil
	}
	if x.mode == chunked {
		return x.copyFrom(f, offset, int64(length))
	}
	out := x.c.out
	have := len(out.b)
	n, err := f.ReadAt(out.b[have:have+length], offset)
	out.b = out.b[:have+n]
	x.left -= int64(n)
	x.written += int64(n)
	if n < length {
		return shortFile(err)
	}
	return nil
}

// shortFile: the file was longer when its length was announced.
func shortFile(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// copyFrom reads and writes.
func (x *Exchange) copyFrom(f *os.File, offset, length int64) error {
	buffer := fileBuffers.Get().(*[64 << 10]byte)
	defer fileBuffers.Put(buffer)
	for length > 0 {
		n, err := f.ReadAt(buffer[:min(length, int64(len(buffer)))], offset)
		if n == 0 {
			return shortFile(err)
		}
		if _, err := x.Write(buffer[:n]); err != nil {
			return err
		}
		offset, length = offset+int64(n), length-int64(n)
	}
	return nil
}

// sendFrom has the kernel send. The timer is for idleness, as in conn.send.
func (x *Exchange) sendFrom(f *os.File, offset, length int64) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	for length > 0 {
		x.c.setWriteDeadline(x.c.rules.Send)
		n, err := x.c.wire.sendfile(raw, offset, int(min(length, sendfileLimit)))
		x.sent = x.sent || n > 0
		x.left -= int64(n)
		x.written += int64(n)
		offset, length = offset+int64(n), length-int64(n)
		switch {
		case err == nil && n == 0:
			return io.ErrUnexpectedEOF
		case err == nil:
		case isTimeout(err):
			x.Abort()
			return ErrSendTimeout
		case isFileError(err):
			return err
		default:
			x.Abort()
			return ErrClientGone
		}
	}
	return nil
}

// isFileError tells what is wrong with the file from what is wrong with the connection.
func isFileError(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && (errno == syscall.EIO || errno == syscall.EINVAL || errno == syscall.EBADF || errno == syscall.ENOMEM)
}

// sendfile is sendfile(2) of up to length bytes: as many as one call takes, waiting only for the first.
// 0 without an error is the end of the file.
func (w *wire) sendfile(file syscall.RawConn, offset int64, length int) (sent int, err error) {
	var waited, failed error
	err = file.Control(func(source uintptr) {
		waited = w.raw.Write(func(socket uintptr) bool {
			for {
				sent, failed = syscall.Sendfile(int(socket), int(source), &offset, length)
				if failed != syscall.EINTR {
					return failed != syscall.EAGAIN
				}
			}
		})
	})
	switch {
	case err != nil:
	case waited != nil:
		err = waited // failed is the EAGAIN before
	default:
		err = failed
	}
	return max(sent, 0), err
}
