package tests

// Flask as its users meet it: the guest book with attachments (pyapps/flask_app)
// behind a browser with cookies, in each way of sharing work that gowsgi has.

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// flaskBook is the guest book with attachments; every page says who answered.
const flaskBook = `signed:wrap("flask_app.attachments:app")`

func TestFlask_OnTwoPreloadedWorkers(t *testing.T) {
	s := startFlask(t, flaskBook, "-w", "2", "--preload")
	servesFlask(t, s)
	t.Run("SpeaksJSON", func(t *testing.T) { flaskJSON(s.In(t)) })
	t.Run("KeepsTheSessionOnEveryWorker", func(t *testing.T) { flaskSessionEverywhere(s.In(t), 2, (*Page).Worker) })
}

func TestFlask_OnFourThreads(t *testing.T) {
	s := startFlask(t, flaskBook, "--threads", "4")
	servesFlask(t, s)
	t.Run("SpeaksJSON", func(t *testing.T) { flaskJSON(s.In(t)) })
	t.Run("KeepsTheSessionOnEveryThread", func(t *testing.T) { flaskSessionEverywhere(s.In(t), 4, (*Page).Thread) })
	t.Run("KeepsEntriesInItsMemory", func(t *testing.T) { flaskEntries(s.In(t)) })
}

// Behind wsgiref.validate a slip of either side is an AssertionError, so 500.
// JSON is left out: input that ends by itself is read by Flask with read(),
// and the validator demands a size.
func TestFlask_Validated(t *testing.T) {
	s := startFlask(t, validated("flask_app.attachments:app"))
	servesFlask(t, s)
	t.Run("KeepsEntriesInItsMemory", func(t *testing.T) { flaskEntries(s.In(t)) })
	for _, line := range s.Log() {
		if strings.Contains(line, "AssertionError") || strings.Contains(line, "without being closed") {
			t.Errorf("wsgiref.validate says: %s", line)
		}
	}
}

func startFlask(t *testing.T, app string, args ...string) *Server {
	t.Helper()
	return StartWith(t, Options{App: app, Args: args, Env: []string{"FLASK_FILES=" + t.TempDir()}})
}

// servesFlask is what holds however the work is shared.
func servesFlask(t *testing.T, s *Server) {
	t.Helper()
	for _, behaviour := range []struct {
		name string
		test func(*Server)
	}{
		{"LogsInAndOut", flaskLogin},
		{"RefusesForeignCookiesAndForms", flaskRefusals},
		{"GivesUploadsBack", flaskUploads},
		{"IsHeardThoughItDoesNotReadTheUpload", flaskUnread},
		{"AnswersConditionsAndRanges", flaskConditions},
		{"Streams", flaskStreams},
		{"ShowsErrorPages", flaskErrors},
		{"ReadsAllOfUnicode", flaskUnicode},
		{"FollowsRedirects", flaskRedirects},
		{"ServesVisitorsTogether", flaskVisitors},
	} {
		t.Run(behaviour.name, func(t *testing.T) { behaviour.test(s.In(t)) })
	}
}

func flaskLogin(s *Server) {
	b := s.NewBrowser()
	b.Get("/me").Want(401).WantHeader("Content-Type", "application/json")
	b.Get("/login").Want(200, "Log in")
	b.Submit("/login", "name", "  ").Want(400, "Say who you are.")
	b.Submit("/login", "name", "Zoë & 日本").WantRedirect(303, "/")
	if b.Cookie("session") == "" {
		s.T.Errorf("after POST /login: no cookie session, want one")
	}
	b.Get("/").Want(200, "Logged in as <b>Zoë & 日本</b>")
	wantName(b.Get("/me"), "Zoë & 日本")
	s.NewBrowser().Get("/me").Want(401)
	b.Submit("/logout").WantRedirect(303, "/")
	if got := b.Cookie("session"); got != "" {
		s.T.Errorf("after POST /logout: cookie session = %q, want none", got)
	}
	b.Get("/me").Want(401)
	b.Get("/").Want(200, `<a href="/login">Log in</a>`)
}

// wantName checks the answer of /me.
func wantName(page *Page, want string) {
	page.t.Helper()
	var me struct{ Name string }
	if err := json.Unmarshal([]byte(page.Want(200).Body), &me); err != nil || me.Name != want {
		page.t.Errorf("%s = %q, want the name %s", page.request, page.Body, want)
	}
}

func flaskRefusals(s *Server) {
	b, other := s.NewBrowser(), s.NewBrowser()
	b.Submit("/login", "name", "Ann").Want(303)
	cookie := b.Cookie("session")
	// The first byte of what is signed: the signature no longer fits.
	other.SetCookie("session", "X"+cookie[1:])
	other.Get("/me").Want(401)
	other.SetCookie("session", cookie)
	wantName(other.Get("/me"), "Ann")

	file := Attachment{"refused.txt", "never kept"}
	b.Upload("/files", file).Want(403, "The form was not this session's.")
	token := b.Get("/files").Want(200).Field("token")
	s.NewBrowser().Upload("/files", file, "token", token).Want(403)
	b.Upload("/files", file, "token", token+"x").Want(403)
	b.Submit("/files", "token", token).Want(400, "A file with a plain name is needed.")
	b.Get("/files/refused.txt").Want(404, "There is nothing at /files/refused.txt.")
	b.Get("/files/.hidden").Want(404)
	b.Get("/files/%2e%2e").Want(404)
}

func flaskUploads(s *Server) {
	b := s.NewBrowser()
	token := b.Get("/files").Field("token")
	for i, file := range attachments("upload") {
		send := b.Upload
		if i%2 == 0 {
			send = b.UploadChunked
		}
		kept := send("/files", file, "token", token).WantRedirect(303, "/files/"+escaped(file.Name))
		got := b.Get(kept.Location()).Want(200).WantBytes(file.Content).
			WantHeader("Content-Type", "application/octet-stream").
			WantHeader("Content-Length", fmt.Sprint(len(file.Content)))
		disposition := got.Header.Get("Content-Disposition")
		if !strings.HasPrefix(disposition, "attachment; filename") || !strings.Contains(disposition, fmt.Sprint(len(file.Content), ".bin")) {
			s.T.Errorf("%s: Content-Disposition = %q, want an attachment", got.request, disposition)
		}
		wantTold(send("/upload", file), file)
	}
	b.Upload("/upload", Attachment{}).Want(200)
	b.Submit("/upload", "file", "no file").Want(400, "the form field is called file")
}

// An application may answer without reading the body. A client that is in the
// middle of sending it must get that answer and be let finish, RFC 9112 §9.6.
// This is by bare connections: net/http may take its own write's end for the
// exchange's.
func flaskUnread(s *Server) {
	content := noise(5, 5<<20)
	for _, upload := range []struct {
		path, framing, body string
		status              int
	}{
		{"/logout", fmt.Sprint("Content-Length: ", len(content)), content, 303},
		{"/nowhere", "Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(content), content), 404},
	} {
		c := s.Dial()
		sent := make(chan error, 1)
		go func() {
			_, err := io.WriteString(c.Conn, head("POST "+upload.path, "Host: tests", upload.framing)+upload.body)
			sent <- err
		}()
		r := c.Read("POST")
		if r.Status != upload.status || r.Broken != nil {
			s.T.Errorf("POST %s = %s, %v; want %d, whole", upload.path, r.Line(), r.Broken, upload.status)
		}
		if err := <-sent; err != nil {
			s.T.Errorf("POST %s: sending the body: %v, want it taken", upload.path, err)
		}
		c.Close()
	}
}

// escaped is a name as Flask writes it into a URL's path.
func escaped(name string) string { return strings.ReplaceAll(url.PathEscape(name), "+", "%2B") }

// wantTold checks what /upload says about a file.
func wantTold(page *Page, file Attachment) {
	page.t.Helper()
	var told struct {
		Name   string
		Length int
		SHA256 string
	}
	err := json.Unmarshal([]byte(page.Want(200).Body), &told)
	if err != nil || told.Name != file.Name || told.Length != len(file.Content) || told.SHA256 != sha256of(file.Content) {
		page.t.Errorf("%s = %q, want %q, %d bytes, sha256 %s", page.request, page.Body, file.Name, len(file.Content), sha256of(file.Content))
	}
}

func flaskConditions(s *Server) {
	b := s.NewBrowser()
	file := Attachment{"conditions.txt", noise(7, 300_000)}
	b.Upload("/files", file, "token", b.Get("/files").Field("token")).Want(303)
	const path = "/files/conditions.txt"
	whole := b.Get(path).Want(200).WantBytes(file.Content)
	etag, modified := whole.Header.Get("ETag"), whole.Header.Get("Last-Modified")
	if etag == "" || modified == "" {
		s.T.Fatalf("GET %s: ETag %q, Last-Modified %q; want both", path, etag, modified)
	}

	b.Do("HEAD", path, nil).Want(200).WantBytes("").WantHeader("Content-Length", "300000").WantHeader("ETag", etag)
	b.Get(path, "If-None-Match: "+etag).Want(304).WantBytes("").WantHeader("ETag", etag)
	b.Get(path, `If-None-Match: "another"`).Want(200).WantBytes(file.Content)
	b.Get(path, "If-Modified-Since: "+modified).Want(304).WantBytes("")
	b.Get(path, "If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT").Want(200).WantBytes(file.Content)
	b.Do("HEAD", path, nil, "If-None-Match: "+etag).Want(304).WantBytes("")
	// After an answer without a body its connection must still be in step.
	b.Get(path, "Range: bytes=70000-199999").Want(206).WantBytes(file.Content[70_000:200_000]).
		WantHeader("Content-Range", "bytes 70000-199999/300000")
	b.Get(path, "Range: bytes=-5").Want(206).WantBytes(file.Content[299_995:])
	b.Get(path, "Range: bytes=300000-").Want(416)
	b.Do("HEAD", "/hello", nil).Want(200).WantBytes("").WantHeader("Content-Length", "14")
	b.Do("HEAD", "/nowhere", nil).Want(404).WantBytes("")
}

func flaskStreams(s *Server) {
	b := s.NewBrowser()
	const lines = 20_000
	var want strings.Builder
	for number := range lines {
		fmt.Fprintf(&want, "/stream line %d\n", number)
	}
	page := b.Get(fmt.Sprintf("/stream?lines=%d", lines)).Want(200).WantBytes(want.String())
	if !page.Chunked {
		s.T.Errorf("GET /stream: %v, want it chunked", page.Header)
	}
	b.Get("/stream?lines=0").Want(200).WantBytes("")

	// A reader who leaves in the middle takes nothing along.
	mark := s.Mark()
	hold(s).Close()
	b.Get("/hello").Want(200).WantBytes("Hello, World!\n")
	for _, line := range s.LogSince(mark) {
		if strings.Contains(line, "Traceback") {
			s.T.Errorf("after a reader has left: the log has %q, want no traceback", line)
		}
	}
}

// A holding is a streamed answer nobody reads: whoever gives it is busy.
type holding struct {
	*Conn
	page *Page // its head
}

// hold asks for more lines than fit anywhere, and reads none.
func hold(s *Server) holding {
	s.T.Helper()
	c := s.Dial()
	c.Send(head("GET /stream?lines=1000000000", "Host: tests"))
	r := c.ReadHead("GET")
	if r.Status != 200 {
		s.T.Fatalf("GET /stream = %s, want 200", r.Line())
	}
	return holding{c, &Page{t: s.T, Header: http.Header{"X-Worker": r.Values("X-Worker")}}}
}

// flaskSessionEverywhere keeps all but one of the places busy, each in turn,
// so that it is known who answers.
func flaskSessionEverywhere(s *Server, places int, place func(*Page) string) {
	b := s.NewBrowser()
	b.Submit("/login", "name", "Grete").Want(303)
	var busy []holding
	var names []string
	for range places {
		busy = append(busy, hold(s))
		names = append(names, place(busy[len(busy)-1].page))
	}
	slices.Sort(names)
	if distinct := slices.Compact(slices.Clone(names)); len(distinct) != places {
		s.T.Fatalf("%d streams at a time come from %v, want %d places", places, names, places)
	}
	for i := range busy {
		free := place(busy[i].page)
		busy[i].Close()
		page := b.Get("/me")
		wantName(page, "Grete")
		if got := place(page); got != free {
			s.T.Errorf("GET /me with all but %s busy: answered by %s", free, got)
		}
		// What one place writes into the session the next one reads.
		b.Submit("/login", "name", free).Want(303)
		wantName(b.Get("/me"), free)
		b.Submit("/login", "name", "Grete").Want(303)
		busy[i] = hold(s)
		if got := place(busy[i].page); got != free {
			s.T.Errorf("a stream with all but %s busy: answered by %s", free, got)
		}
	}
	for _, one := range busy {
		one.Close()
	}
	wantName(b.Get("/me"), "Grete")
}

func flaskEntries(s *Server) {
	b := s.NewBrowser()
	b.Submit("/login", "name", "Ånn").Want(303)
	b.Submit("/entries", "text", "").Want(400, "An entry needs a text.")
	text := "Grüße, 日本 & <b>\r\n🐍=%41+1;"
	b.Submit("/entries", "text", text).WantRedirect(303, "/")
	b.Get("/").Want(200, text, "by Ånn")
	var listed []map[string]string
	page := b.Get("/api/entries").Want(200)
	if err := json.Unmarshal([]byte(page.Body), &listed); err != nil || len(listed) == 0 {
		s.T.Fatalf("GET /api/entries = %.300q, want a list", page.Body)
	}
	if last := listed[len(listed)-1]; last["text"] != text || last["name"] != "Ånn" {
		s.T.Errorf("GET /api/entries: last = %q, want %q by Ånn", last, text)
	}

	const visitors, each = 6, 5
	together(visitors, func(number int) {
		b := s.NewBrowser()
		for i := range each {
			b.Submit("/entries", "text", fmt.Sprintf("visitor %d wrote %d;", number, i)).Want(303)
		}
	})
	shown := b.Get("/").Body
	for number := range visitors {
		for i := range each {
			if text := fmt.Sprintf("visitor %d wrote %d;", number, i); strings.Count(shown, text) != 1 {
				s.T.Errorf("GET / shows %q %d times, want once", text, strings.Count(shown, text))
			}
		}
	}
}

func flaskJSON(s *Server) {
	b := s.NewBrowser()
	post := func(body, kind string) *Page {
		s.T.Helper()
		return b.Do("POST", "/api/entries", strings.NewReader(body), "Content-Type: "+kind)
	}
	page := post(`{"text": " Zoë 日本 \ud83d\udc0d "}`, "application/json").Want(201).WantHeader("Content-Type", "application/json")
	var entry struct{ Text, Name string }
	if err := json.Unmarshal([]byte(page.Body), &entry); err != nil || entry.Text != "Zoë 日本 🐍" || entry.Name != "nobody" {
		s.T.Errorf("%s = %q, want the entry", page.request, page.Body)
	}
	long := strings.Repeat("ä", 500_000)
	page = post(`{"text": "`+long+`"}`, "application/json; charset=utf-8").Want(201)
	if err := json.Unmarshal([]byte(page.Body), &entry); err != nil || entry.Text != long {
		s.T.Errorf("%s: %d bytes of text, %v; want %d", page.request, len(entry.Text), err, len(long))
	}
	for _, body := range []string{`{"text": `, `[]`, `{"text": 1}`, ``} {
		post(body, "application/json").Want(400, "want an object with a text")
	}
	post(`{"text": "no"}`, "text/plain").Want(400)
}

func flaskErrors(s *Server) {
	b := s.NewBrowser()
	b.Get("/nowhere").Want(404, "<h1>404</h1>", "There is nothing at /nowhere.").WantHeader("Content-Type", "text/html; charset=utf-8")
	mark := s.Mark()
	b.Get("/fail").Want(500, "<h1>500</h1>", "The application failed; its traceback is in the error log.")
	s.WaitForSince(mark, "Traceback (most recent call last):")
	s.WaitForSince(mark, "RuntimeError: flask_app fails as asked")
	refused := b.Do("DELETE", "/entries", nil).Want(405)
	if got := strings.Split(refused.Header.Get("Allow"), ", "); !slices.Contains(got, "POST") {
		s.T.Errorf("DELETE /entries: Allow = %q, want POST in it", got)
	}
	b.Do("OPTIONS", "/login", nil).Want(200).WantBytes("")
	b.Get("/hello").Want(200, "Hello, World!")
}

func flaskUnicode(s *Server) {
	b := s.NewBrowser()
	b.Get("/gr%C3%BC%C3%9Fe/%E6%97%A5%E6%9C%AC/a%20b%2Bc%25").Want(404, "There is nothing at /grüße/日本/a b+c%.")
	token := b.Get("/files").Field("token")
	file := Attachment{"Ärger & 日本+🐍.txt", "so"}
	kept := b.Upload("/files", file, "token", token).Want(303)
	b.Get(kept.Location()).Want(200).WantBytes("so")
	// The same name with every byte escaped.
	path := "/files/"
	for _, c := range []byte(file.Name) {
		path += fmt.Sprintf("%%%02x", c)
	}
	b.Get(path).Want(200).WantBytes("so")
	for _, part := range []string{"Ärger & 日本+", "日本+🐍", "🐍", " & "} {
		b.Get("/files?q="+url.QueryEscape(part)).Want(200, file.Name)
	}
	b.Get("/files?q="+url.QueryEscape("日本 "+"🐍")).Want(200, "There is no such file.")
}

// A client that follows redirects by itself, as browsers do.
func flaskRedirects(s *Server) {
	b := s.NewBrowser()
	b.client.CheckRedirect = nil
	b.Submit("/login", "name", "Ann").Want(200, "Logged in as <b>Ann</b>")
	file := Attachment{"redirected.bin", noise(9, 100_000)}
	b.Upload("/files", file, "token", b.Get("/files").Field("token")).Want(200).WantBytes(file.Content)
	b.Submit("/logout").Want(200, "Guest book", "Log in")
}

func flaskVisitors(s *Server) {
	const visitors, rounds = 8, 8
	together(visitors, func(number int) {
		b := s.NewBrowser()
		name := fmt.Sprintf("visitor %d", number)
		b.Submit("/login", "name", name).Want(303)
		token := b.Get("/files").Field("token")
		for round := range rounds {
			wantName(b.Get("/me"), name)
			file := Attachment{fmt.Sprintf("%d-%d.bin", number, round), noise(uint64(number*rounds+round), number*30_000+round)}
			kept := b.Upload("/files", file, "token", token).Want(303)
			b.Get(kept.Location()).Want(200).WantBytes(file.Content)
			b.Get("/nowhere/"+fmt.Sprint(number)).Want(404, fmt.Sprintf("There is nothing at /nowhere/%d.", number))
		}
		b.Submit("/logout").Want(303)
		b.Get("/me").Want(401)
	})
}
