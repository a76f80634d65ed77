package wsgi

// Answers whose body is a file that the application has only named, or given away.

import (
	"errors"
	"io"

	"gowsgi/cmd/failure"
	"gowsgi/wsgi/files"
)

// sendsFile answers with the file that the application's head names. It is false
// if the head names none, or nobody looks for such names.
//
// What body the application gives beside it is dropped; it has come to its end,
// close() included, and its worker is free, before the file's first byte leaves. Only
// functions to run after the response keep it until the client has the file.
func (r *run) sendsFile(h *head) bool {
	if r.gateway.options.Sendfile == nil {
		return false
	}
	file, rest, named, err := r.gateway.options.Sendfile.Take(h.fields)
	h.fields = rest
	if !named {
		return false
	}
	if file != nil {
		defer file.Close()
	}
	if failed := r.dropBody(); failed != nil {
		r.failed(failed)
		return true
	}
	if err != nil {
		r.refuseFile(err)
		return true
	}
	if err := file.WriteHead(r.exchange, r.request, h.code, h.reason, h.fields); err != nil {
		r.logFailure(failure.AnswerInvalid, "the application's answer cannot be sent", err.Error()+"\n")
		_ = r.refuse(500, internalError)
		return true
	}
	if !r.call.Lingers() {
		r.letGo()
	}
	r.complete = r.fileSent(file.Send(r.exchange))
	return true
}

// passFile answers with a file that the application has given away: what
// wsgi.file_wrapper makes of a real one. PEP 3333 §Optional Platform-Specific File
// Handling: its rest, or as much as Content-Length says.
func (r *run) passFile(h *head, f *BodyFile) {
	defer func() { _ = f.File.Close() }()
	length := h.length
	if length < 0 {
		length = f.Length
	}
	if err := r.exchange.WriteHead(h.code, h.reason, h.fields, length); err != nil {
		r.logFailure(failure.AnswerInvalid, "the application's answer cannot be sent", err.Error()+"\n")
		_ = r.refuse(500, internalError)
		return
	}
	r.complete = true // all that the application has to do with it
	r.letGo()
	if r.bodiless(h.code) {
		r.fileSent(r.exchange.Finish())
		return
	}
	r.fileSent(files.Send(r.exchange, f.File, f.Offset, length))
}

// bodiless says that no body follows the head, whatever its Content-Length says:
// RFC 9110 §6.4.1. The file need not be read then.
func (r *run) bodiless(status int) bool {
	return string(r.request.Method) == "HEAD" || status == 204 || status == 205 || status == 304
}

// droppedLimit is how much of a body is read and dropped before the application
// is told to stop.
const droppedLimit = 64 << 10

// dropBody reads the application's body to its end, for nobody.
func (r *run) dropBody() error {
	for dropped := 0; ; {
		p, err := r.call.Body()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		r.call.Consumed(len(p))
		if dropped += len(p); dropped > droppedLimit {
			r.call.Abort()
			return nil
		}
	}
}

func (r *run) refuseFile(err error) {
	status := 500
	var name *files.NameError
	if errors.As(err, &name) {
		status = name.Status
	}
	r.gateway.options.Log.Error("a file that the application names is not sent", failure.Key, failure.FileNotSent, "request", requestLine(r.request), "id", r.id(), "status", status, "error", err)
	_ = files.Page(r.exchange, status) // the client may have gone
}

// letGo gives the call up while the exchange goes on. The head must be written:
// its bytes are the call's.
func (r *run) letGo() {
	r.carrier.stop(r.exchange, r.call)
	r.end()
	r.ended = true
}

// fileSent logs what went wrong, if something did, and says whether it did not.
func (r *run) fileSent(err error) bool {
	switch {
	case err == nil:
	case errors.Is(err, files.ErrShrunk):
		r.gateway.options.Log.Error("a file could not be sent as a whole", failure.Key, failure.FileNotSent, "request", requestLine(r.request), "id", r.id(), "error", err)
	default:
		r.gateway.options.Log.Debug("the client went away", "request", requestLine(r.request), "id", r.id(), "error", err)
	}
	return err == nil
}
