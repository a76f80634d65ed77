package dev_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gowsgi/environ"
	"gowsgi/wsgi"
	"gowsgi/wsgi/dev"
)

// client is an exchange that keeps what was sent.
type client struct {
	wsgi.Exchange // nil: what is not implemented here must not be called
	status        int
	fields        []environ.Header
	length        int64
	body          string
	flushed       string // body when it was flushed last
	finished      bool
	aborted       bool
	refused       int
	gone          bool // takes nothing more
	wrote         chan struct{}
}

var errGone = errors.New("the client has gone")

func (c *client) WriteHead(status int, _ []byte, fields []environ.Header, length int64) error {
	c.status, c.length = status, length
	for _, f := range fields { // they are lent
		c.fields = append(c.fields, environ.Header{Name: []byte(string(f.Name)), Value: []byte(string(f.Value))})
	}
	return nil
}

func (c *client) Write(p []byte) (int, error) {
	if c.gone {
		return 0, errGone
	}
	c.body += string(p)
	if c.wrote != nil {
		c.wrote <- struct{}{}
	}
	return len(p), nil
}

func (c *client) Flush() error  { c.flushed = c.body; return nil }
func (c *client) Finish() error { c.finished = true; return nil }
func (c *client) Abort()        { c.aborted = true }
func (c *client) Status() int   { return c.status }
func (c *client) Refuse(status int, _ string, _ ...environ.Header) error {
	c.refused = status
	return nil
}

func (c *client) field(name string) string {
	for _, f := range c.fields {
		if strings.EqualFold(string(f.Name), name) {
			return string(f.Value)
		}
	}
	return ""
}

func header(pairs ...string) []environ.Header {
	var fields []environ.Header
	for i := 0; i < len(pairs); i += 2 {
		fields = append(fields, environ.Header{Name: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	return fields
}

// request is a browser's, unless fields say otherwise.
func request(method string, fields ...string) *environ.Request {
	if !slices.Contains(fields, "Accept") {
		fields = append([]string{"Accept", "text/html,*/*;q=0.8"}, fields...)
	}
	return &environ.Request{Method: []byte(method), Target: []byte("/<p>?q"), Path: []byte("/<p>"), Headers: header(fields...)}
}

var failure = &dev.Failure{
	Text: "Traceback <text>\n",
	Chain: []dev.Exception{
		{
			Type: "ValueError", Message: "<script>alert(1)</script>", Follows: "cause",
			Frames: []dev.Frame{{File: "/srv/shop/app.py", Line: 11, Function: "<lambda>", First: 10, Source: []string{"if a < b:", "    raise"}, Own: true}},
		},
		{Type: "KeyError", Message: "'x'"},
	},
}

func answer(p dev.Page, fields ...string) *client {
	c := &client{}
	p.Answer(c, request("GET", fields...))
	return c
}

func TestPage_IsWhatTheClientReads(t *testing.T) {
	p := dev.Page{Failure: failure, Loading: true, Folder: "/srv/shop", Changed: []string{"/srv/shop/app.py", "/etc/x.yml"}}
	for accept, kind := range map[string]string{
		"":    "text/plain; charset=utf-8",
		"*/*": "text/plain; charset=utf-8",
		"text/html,application/xhtml+xml,*/*;q=0.8": "text/html; charset=utf-8",
		"application/json":                          "application/json",
	} {
		c := answer(p, "Accept", accept)
		if got := c.field("Content-Type"); got != kind || c.status != 500 || !c.finished || c.length != int64(len(c.body)) {
			t.Errorf("Accept %q: Content-Type = %q, status = %d, finished = %v, want %q, 500, true", accept, got, c.status, c.finished, kind)
		}
		if !strings.Contains(c.body, "app.py") || !strings.Contains(c.body, "/etc/x.yml") {
			t.Errorf("Accept %q: body = %q, want the changed files in it", accept, c.body)
		}
	}
}

func TestPage_EscapesWhatIsNotItsOwn(t *testing.T) {
	p := dev.Page{Failure: failure, Request: "GET /<p>?q", Folder: "/srv/shop", Script: "<script>own</script>"}
	body := answer(p, "Accept", "text/html").body
	for _, want := range []string{
		"&lt;script&gt;alert(1)", "GET /&lt;p&gt;?q", "if a &lt; b:", "&lt;lambda&gt;", "Traceback &lt;text&gt;",
		`<code class="file">app.py</code>, line 11`, `<tr class="here"><td>11</td>`, "because of", "KeyError", "<script>own</script>",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("page = %s\nwant %q in it", body, want)
		}
	}
	for _, bad := range []string{"<script>alert", "http://", "https://", "src=", "href="} {
		if strings.Contains(body, bad) {
			t.Errorf("page holds %q", bad)
		}
	}
}

func TestPage_ShowsOwnCodeAndFoldsLibraries(t *testing.T) {
	own := dev.Frame{File: "/srv/shop/app.py", Line: 11, First: 10, Source: []string{"", "        return prices[name] or 1"}, From: 15, To: 27, Own: true}
	library := dev.Frame{File: "/lib/framework.py", Line: 1, First: 1, Source: []string{"call()"}}
	p := dev.Page{Folder: "/srv/shop", Failure: &dev.Failure{Chain: []dev.Exception{{Type: "E", Frames: []dev.Frame{library, library, library, own, library, own, library}}}}}
	body := answer(p, "Accept", "text/html").body
	for want, times := range map[string]int{
		`<td>return <mark>prices[name]</mark> or 1</td>`:     2, // without the indentation
		"3 steps in libraries, from <code>/lib/framework.py": 1,
		"<details open>":                 2, // both of one's own
		`<details class="library" open>`: 1, // where it happened
		`<details class="library">`:      5, // three, what folds them, and a single one
	} {
		if got := strings.Count(body, want); got != times {
			t.Errorf("the page has %q %d times, want %d\n%s", want, got, times, body)
		}
	}
}

func TestPage_OpensTheTextWhereFramesAreNotAll(t *testing.T) {
	frames := []dev.Frame{{File: "a.py", Line: 1}}
	for kind, c := range map[string]struct {
		frames []dev.Frame
		open   bool
	}{"ValueError": {frames, false}, "ExceptionGroup": {frames, true}, "SystemError": {nil, true}} {
		p := dev.Page{Failure: &dev.Failure{Text: "text", Chain: []dev.Exception{{Type: kind, Frames: c.frames}}}}
		body := answer(p, "Accept", "text/html").body
		if got := strings.Contains(body, "<details open><summary>Traceback as text"); got != c.open {
			t.Errorf("%s with %d frames: the text is open: %v, want %v", kind, len(c.frames), got, c.open)
		}
	}
}

func TestPage_MarksNothingOutsideOfTheLine(t *testing.T) {
	for _, c := range [][2]int{{0, 0}, {5, 3}, {-1, 2}, {0, 99}, {2, 7}} { // the last: all of it
		frame := dev.Frame{Line: 1, First: 1, Source: []string{"  raise"}, From: c[0], To: c[1], Own: true}
		p := dev.Page{Failure: &dev.Failure{Chain: []dev.Exception{{Type: "E", Frames: []dev.Frame{frame}}}}}
		if body := answer(p, "Accept", "text/html").body; !strings.Contains(body, "<td>raise</td>") {
			t.Errorf("characters %d to %d of \"  raise\": want the line as it is\n%s", c[0], c[1], body)
		}
	}
}

func TestPage_JSONCanBeRead(t *testing.T) {
	body := answer(dev.Page{Failure: failure}, "Accept", "application/json").body
	var got struct{ Error, Traceback string }
	if err := json.Unmarshal([]byte(body), &got); err != nil || got.Error != "ValueError: <script>alert(1)</script>" || got.Traceback != failure.Text {
		t.Errorf("JSON = %s, %v, want error and traceback", body, err)
	}
}

// page gives an answer to Inject in blocks, flushing after each but the last.
func page(c *client, r *environ.Request, status int, fields []environ.Header, length int64, blocks ...string) {
	x := dev.NewLivereload().Inject(c, r)
	if err := x.WriteHead(status, []byte("OK"), fields, length); err != nil {
		panic(err)
	}
	for i, block := range blocks {
		if _, err := x.Write([]byte(block)); err != nil {
			panic(err)
		}
		if i < len(blocks)-1 {
			if err := x.Flush(); err != nil {
				panic(err)
			}
		}
	}
	if err := x.Finish(); err != nil {
		panic(err)
	}
}

func TestInject_PutsTheScriptAtTheEndOfThePage(t *testing.T) {
	html := header("Content-Type", "text/html; charset=utf-8", "ETag", `"1"`)
	const text = "<script>'</body>'</script></html>" // no end of the body
	for _, c := range []struct {
		name   string
		status int
		length int64
		blocks []string
	}{
		{"whole", 200, 33, []string{text}},
		{"of unknown length", 200, -1, []string{text}},
		{"in pieces", 200, 33, []string{text[:9], text[9:]}},
		{"in pieces of unknown length", 200, -1, []string{text[:9], text[9:]}},
		{"about what is not there", 404, 33, []string{text}},
		{"about a failure", 500, 33, []string{text}},
	} {
		got := &client{}
		page(got, request("GET"), c.status, html, c.length, c.blocks...)
		script, found := strings.CutPrefix(got.body, text)
		if !found || !strings.HasPrefix(script, "<script>") || !strings.HasSuffix(script, "</script>") || !got.finished || got.status != c.status {
			t.Errorf("a page %s: %d %q, want %d and a script behind the page", c.name, got.status, got.body, c.status)
		}
		if len(c.blocks) == 1 && c.length > 0 && got.length != int64(len(got.body)) || (len(c.blocks) > 1 || c.length < 0) && got.length != -1 {
			t.Errorf("a page %s: length = %d of %d", c.name, got.length, len(got.body))
		}
		if tag := got.field("ETag"); tag != "" {
			t.Errorf("a page %s: ETag = %q, want none", c.name, tag)
		}
	}
}

func TestInject_APageThatIsShorterThanAnnouncedLooksLikeIt(t *testing.T) {
	for _, length := range []int64{100, 2 << 20} {
		c := &client{}
		x := dev.NewLivereload().Inject(c, request("GET"))
		_ = x.WriteHead(200, nil, header("Content-Type", "text/html"), length) // checked by others
		_, _ = x.Write([]byte("<p>"))
		_ = x.Flush()
		if err := x.Finish(); err == nil || c.finished || !c.aborted || c.body != "<p>" {
			t.Errorf("Finish() of 3 bytes of %d = %v; %q, finished: %t, aborted: %t; want it aborted", length, err, c.body, c.finished, c.aborted)
		}
	}
}

func TestInject_HoldsNothingOfAStreamBack(t *testing.T) {
	c := &client{}
	x := dev.NewLivereload().Inject(c, request("GET"))
	_ = x.WriteHead(200, nil, header("Content-Type", "text/html"), -1) // checked by others
	_, _ = x.Write([]byte("<p>now"))
	_ = x.Flush()
	if c.flushed != "<p>now" {
		t.Errorf("flushed = %q, want the block", c.flushed)
	}
}

func TestInject_LeavesAloneWhatIsNoPage(t *testing.T) {
	const body = "<p></body>"
	for name, c := range map[string]struct {
		request *environ.Request
		status  int
		fields  []environ.Header
	}{
		"text":         {request("GET"), 200, header("Content-Type", "text/plain")},
		"encoded":      {request("GET"), 200, header("Content-Type", "text/html", "Content-Encoding", "gzip")},
		"curl's":       {request("GET", "Accept", "*/*"), 200, header("Content-Type", "text/html")},
		"with policy":  {request("GET"), 200, header("content-security-policy", "default-src 'self'", "Content-Type", "text/html")},
		"to be kept":   {request("GET"), 200, header("Content-Type", "text/html", "Content-Disposition", `attachment; filename="x.html"`)},
		"no ASCII":     {request("GET"), 200, header("Content-Type", "text/html; charset=UTF-16")},
		"redirected":   {request("GET"), 302, header("Content-Type", "text/html")},
		"posted":       {request("POST"), 200, header("Content-Type", "text/html")},
		"fetched":      {request("GET", "Sec-Fetch-Dest", "empty"), 200, header("Content-Type", "text/html")},
		"a htmx part":  {request("GET", "HX-Request", "true"), 200, header("Content-Type", "text/html")},
		"without type": {request("GET"), 200, nil},
	} {
		got := &client{}
		page(got, c.request, c.status, c.fields, int64(len(body)), body)
		if got.body != body || got.length != int64(len(body)) || got.status != c.status || !got.finished {
			t.Errorf("%s: %d %q of length %d, want %d %q as it was", name, got.status, got.body, got.length, c.status, body)
		}
	}
}

func TestInject_APageThatFailsIsRefusedAsWithout(t *testing.T) {
	c := &client{}
	x := dev.NewLivereload().Inject(c, request("GET"))
	_ = x.WriteHead(200, nil, header("Content-Type", "text/html"), 100)
	if x.Status() != 0 {
		t.Errorf("Status() = %d while the page is held, want 0", x.Status())
	}
	(&dev.Page{Failure: failure}).Answer(x, request("GET"))
	if c.status != 500 || !strings.Contains(c.body, "Traceback") || int64(len(c.body)) != c.length {
		t.Errorf("answer = %d %q, want the page about the failure", c.status, c.body)
	}
}

func TestLivereload_TellsOfEachState(t *testing.T) {
	l := dev.NewLivereload()
	c := &client{wrote: make(chan struct{})}
	ended := make(chan struct{})
	go func() { l.Serve(c, request("GET")); close(ended) }()
	await := func() {
		t.Helper()
		select {
		case <-c.wrote:
		case <-time.After(10 * time.Second):
			t.Fatal("the stream says nothing")
		}
	}
	await()
	l.Advance()
	await()
	l.Close()
	<-ended
	if c.field("Content-Type") != "text/event-stream" || strings.Count(c.body, "data: ") != 2 || !c.finished {
		t.Errorf("stream = %q, %q, finished = %v, want two events and an end", c.field("Content-Type"), c.body, c.finished)
	}
	if script := string(l.Script(request("GET"))); !strings.Contains(c.body, "data: "+strings.Split(script, `"`)[1]) {
		t.Errorf("script %q does not know the state of %q", script, c.body)
	}
}

func TestLivereload_ScriptFindsItsStreamBelowAMount(t *testing.T) {
	r := request("GET")
	r.ScriptName = `/a"</script>`
	if got := string(dev.NewLivereload().Script(r)); !strings.Contains(got, `EventSource("/a%22%3C/script%3E/-/gowsgi/livereload")`) {
		t.Errorf("Script() = %s, want the stream below the mount, escaped", got)
	}
}

func TestLivereload_EndsWithItsClient(t *testing.T) {
	c := &client{gone: true}
	dev.NewLivereload().Serve(c, request("GET"))
	if !c.aborted {
		t.Error("a stream whose client has gone was not aborted")
	}
}

func TestDetect_FindsTheApplication(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		env   string
		want  string
	}{
		"wsgi.py":             {files: map[string]string{"wsgi.py": "application = make()\n", "app.py": "app = 1"}, want: "wsgi:application"},
		"an import":           {files: map[string]string{"wsgi.py": "from shop import app\n"}, want: "wsgi:app"},
		"an import as":        {files: map[string]string{"wsgi.py": "from shop import thing as application\n"}, want: "wsgi:application"},
		"app.py":              {files: map[string]string{"wsgi.py": "pass", "app.py": "app: Flask = Flask(__name__)\n"}, want: "app:app"},
		"a function":          {files: map[string]string{"application.py": "def application(environ, start_response):\n"}, want: "application:application"},
		"a factory":           {files: map[string]string{"app.py": "def create_app(config=None, *, x=1):\n"}, want: "app:create_app()"},
		"a package":           {files: map[string]string{"app/__init__.py": "def create_app():\n"}, want: "app:create_app()"},
		"a needy factory":     {files: map[string]string{"app.py": "def create_app(config):\n"}},
		"not at top level":    {files: map[string]string{"app.py": "def f():\n    app = 1\n    if app == 2: pass\n"}},
		"compared only":       {files: map[string]string{"app.py": "app == 1\n"}},
		"Django":              {files: map[string]string{"manage.py": `os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site.settings")`, "site/settings.py": "WSGI_APPLICATION = 'site.wsgi.application'\n", "app.py": "app = 1"}, want: "site.wsgi:application"},
		"Django's default":    {files: map[string]string{"manage.py": `os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site.settings.dev')`, "site/settings/dev.py": "from .base import *\n", "site/wsgi.py": "x"}, want: "site.wsgi:application"},
		"Django's variable":   {files: map[string]string{"manage.py": "x", "other.py": "WSGI_APPLICATION = \"o.w.app\"\n"}, env: "other", want: "o.w:app"},
		"another manage.py":   {files: map[string]string{"manage.py": "x", "app.py": "app = 1"}, want: "app:app"},
		"a comment":           {files: map[string]string{"wsgi.py": "from shop import make  # the app\nfrom x import y  # not create_app\n"}},
		"nothing":             {files: map[string]string{"x.py": "app = 1"}},
		"main.py, make_app()": {files: map[string]string{"main.py": "def make_app(): pass"}, want: "main:make_app()"},
	} {
		dir := t.TempDir()
		for file, text := range c.files {
			path := filepath.Join(dir, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := dev.Detect(dir, c.env)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s: Detect() = %q, %v, want %q", name, got, err, c.want)
		}
	}
}
