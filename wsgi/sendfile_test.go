package wsgi

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gowsgi/environ"
	"gowsgi/wsgi/files"
)

// newFileScene is a scene with a folder of one file, "a.txt", at /media for
// the application and at /static for everybody.
func newFileScene(t *testing.T) *scene {
	t.Helper()
	s := newScene(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("file"), 0o644); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.sendfile, err = files.NewSendfile([]files.Mount{{Prefix: "/media", Dir: dir}}); err != nil {
		t.Fatal(err)
	}
	if s.static, err = files.NewStatic([]files.Mount{{Prefix: "/static", Dir: dir}}, 0, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

// The application has ended, and its worker is free, when the file's bytes go
// out.
func TestGateway_SendsTheFileAnAnswerNames(t *testing.T) {
	s := newFileScene(t)
	s.call.headers = append(s.call.headers, field("X-Accel-Redirect", "/media/a.txt"), field("Content-Length", "0"))
	s.call.blocks = []string{"not ", "sent"}
	s.exchange.onWrite = func() { s.told("begin", "head", "end") }
	s.play()
	s.saw("head 200 OK", "write file", "finish")
	s.told("begin", "head", "end")
	if s.exchange.length != 4 || !slices.Contains(s.exchange.fields, "X-App: 1") || strings.Contains(strings.Join(s.exchange.fields, "\n"), "X-Accel") {
		t.Errorf("head = %q, length %d, want X-App: 1 without the file's name, and 4", s.exchange.fields, s.exchange.length)
	}
	s.logged()
}

func TestGateway_StopsABodyBesideAFile(t *testing.T) {
	s := newFileScene(t)
	s.call.headers = []environ.Header{field("X-Accel-Redirect", "/media/a.txt")}
	s.call.blocks = []string{strings.Repeat("x", droppedLimit), "y", "z"}
	s.play()
	s.saw("head 200 OK", "write file", "finish")
	s.told("begin", "head", "abort", "end")
}

func TestGateway_FailsWithTheApplicationBesideAFile(t *testing.T) {
	s := newFileScene(t)
	s.call.headers = []environ.Header{field("X-Accel-Redirect", "/media/a.txt")}
	s.call.bodyErr = &ApplicationError{Traceback: "it raised"}
	s.play()
	s.saw("refuse 500")
	s.logged("it raised")
}

func TestGateway_AnswersForAFileThatCannotBeSent(t *testing.T) {
	for name, want := range map[string]string{"/media/none": "404", "/elsewhere/a.txt": "403"} {
		s := newFileScene(t)
		s.call.headers = []environ.Header{field("X-Accel-Redirect", name)}
		s.play()
		if s.exchange.said[0][:8] != "head "+want || !s.exchange.ended {
			t.Errorf("for %s the exchange was told %q, want a page of %s", name, s.exchange.said, want)
		}
		s.told("begin", "head", "end")
		s.logged("that the application names is not sent", name, "status="+want)
	}
}

func TestGateway_PassesFileNamesOnWhenNobodyLooksForThem(t *testing.T) {
	s := newFileScene(t)
	s.sendfile = nil
	s.call.headers = []environ.Header{field("X-Sendfile", "/etc/passwd")}
	s.call.blocks = []string{"body"}
	s.play()
	s.saw("head 200 OK", "write body", "flush", "finish")
	if !slices.Equal(s.exchange.fields, []string{"X-Sendfile: /etc/passwd"}) {
		t.Errorf("fields = %q, want them as the application gave them", s.exchange.fields)
	}
}

func TestGateway_ServesStaticFilesWithoutTheBackend(t *testing.T) {
	s := newFileScene(t)
	s.request.Path = []byte("/static/a.txt")
	s.play()
	s.saw("head 200 OK", "write file", "finish")
	s.told()
	if len(s.id) != requestIDLength {
		t.Errorf("the access record's id = %q, want one", s.id)
	}
	if s.request.RequestID != nil {
		t.Errorf("the request is left with id %q, want none as it came", s.request.RequestID)
	}
	s.logged()
}

// The application is left to its end when the file is taken: the worker is free.
func TestGateway_SendsTheFileItIsGiven(t *testing.T) {
	for name, c := range map[string]struct {
		declared string
		want     string
	}{"to its end": {"", "456789"}, "as far as declared": {"3", "456"}} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			s.call.file = &BodyFile{File: f, Offset: 4, Length: 6}
			if c.declared != "" {
				s.call.headers = append(s.call.headers, field("Content-Length", c.declared))
			}
			s.exchange.onWrite = func() { s.told("begin", "head", "detach") }
			s.play()
			s.saw("head 200 OK", "write "+c.want, "finish")
			s.told("begin", "head", "detach")
			if s.exchange.length != int64(len(c.want)) {
				t.Errorf("length = %d, want %d", s.exchange.length, len(c.want))
			}
			if _, err := f.Stat(); err == nil {
				t.Error("the file is open afterwards, want it closed")
			}
			s.logged()
		})
	}
}

func TestGateway_ReadsNoFileForAHeadAlone(t *testing.T) {
	for method, status := range map[string]string{"HEAD": "200 OK", "GET": "304 Not Modified"} {
		s := newScene(t)
		s.request.Method, s.call.status = []byte(method), status
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		s.call.file = &BodyFile{File: f, Length: 1 << 40}
		s.play()
		s.saw("head "+status, "finish")
		s.told("begin", "head", "detach")
		if s.exchange.length != 1<<40 {
			t.Errorf("%s %s: length = %d, want the file's", method, status, s.exchange.length)
		}
	}
}

func TestGateway_BreaksOffAFileThatIsTooShort(t *testing.T) {
	s := newScene(t)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s.call.file = &BodyFile{File: f, Length: 20}
	s.play()
	s.saw("head 200 OK", "write 0123456789", "abort")
	s.logged("could not be sent as a whole", "become shorter")
}

// Functions that wait for the client keep their thread until it has the file.
func TestGateway_LetsFunctionsAfterTheResponseWaitForTheFile(t *testing.T) {
	s := newFileScene(t)
	s.call.headers = []environ.Header{field("X-Accel-Redirect", "/media/a.txt")}
	s.call.lingers = true
	s.exchange.onWrite = func() { s.told("begin", "head") }
	s.play()
	s.saw("head 200 OK", "write file", "finish")
	s.told("begin", "head", "detach")
}
