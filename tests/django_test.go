package tests

// Django as its users meet it: the notes project (pyapps/django_site) with its
// database, sessions, forms and admin pages, in each way of sharing work.

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// djangoSite is the project; every page says who answered.
const djangoSite = `signed:wrap("mysite.wsgi")`

func TestDjango_OnTwoPreloadedWorkers(t *testing.T) {
	s := startDjango(t, djangoSite, "-w", "2", "--preload")
	servesDjango(t, s)
	t.Run("KeepsTheSessionOnEveryWorker", func(t *testing.T) { djangoSessionEverywhere(s.In(t), 2, (*Page).Worker) })
}

func TestDjango_OnFourThreads(t *testing.T) {
	s := startDjango(t, djangoSite, "--threads", "4")
	servesDjango(t, s)
	t.Run("KeepsTheSessionOnEveryThread", func(t *testing.T) { djangoSessionEverywhere(s.In(t), 4, (*Page).Thread) })
}

// Behind wsgiref.validate a slip of either side is an AssertionError, so 500.
func TestDjango_Validated(t *testing.T) {
	s := startDjango(t, validated("mysite.wsgi"))
	servesDjango(t, s)
	for _, line := range s.Log() {
		if strings.Contains(line, "AssertionError") || strings.Contains(line, "without being closed") {
			t.Errorf("wsgiref.validate says: %s", line)
		}
	}
}

func startDjango(t *testing.T, app string, args ...string) *Server {
	t.Helper()
	folder := t.TempDir()
	env := []string{
		"DJANGO_SQLITE=" + filepath.Join(folder, "notes.sqlite3"),
		"DJANGO_MEDIA=" + filepath.Join(folder, "media"),
	}
	site := filepath.Join(apps, "django_site")
	prepare := exec.Command(python, "-m", "mysite.prepare")
	prepare.Dir, prepare.Env = site, cleanEnvironment(env...)
	if out, err := prepare.CombinedOutput(); err != nil {
		t.Fatalf("mysite.prepare: %v\n%s", err, out)
	}
	return StartWith(t, Options{App: app, Args: append(args, "--pythonpath", apps), Env: env, Dir: site})
}

// servesDjango is what holds however the work is shared.
func servesDjango(t *testing.T, s *Server) {
	t.Helper()
	for _, behaviour := range []struct {
		name string
		test func(*Server)
	}{
		{"CountsVisits", djangoVisits},
		{"RefusesFormsWithoutToken", djangoToken},
		{"KeepsNotes", djangoNotes},
		{"GivesUploadsBack", djangoUploads},
		{"LetsTheAdminChangeANote", djangoAdmin},
		{"Redirects", djangoRedirects},
		{"ShowsErrorPages", djangoErrors},
		{"AnswersConditions", djangoConditions},
		{"KeepsWhatManyWrite", djangoWriters},
	} {
		t.Run(behaviour.name, func(t *testing.T) { behaviour.test(s.In(t)) })
	}
}

// visited is what /notes/visits/ says: how often this session was there.
func visited(page *Page) int {
	page.t.Helper()
	var told struct{ Visits int }
	if err := json.Unmarshal([]byte(page.Want(200).Body), &told); err != nil {
		page.t.Errorf("%s = %q, want visits", page.request, page.Body)
	}
	return told.Visits
}

func djangoVisits(s *Server) {
	together(4, func(int) {
		b := s.NewBrowser()
		for i := range 10 {
			if got := visited(b.Get("/notes/visits/")); got != i+1 {
				s.T.Errorf("visit %d of one visitor: visits = %d", i+1, got)
			}
		}
		if b.Cookie("sessionid") == "" {
			s.T.Error("after GET /notes/visits/: no cookie sessionid, want one")
		}
		b.SetCookie("sessionid", "unknown0unknown0unknown0unknown0")
		if got := visited(b.Get("/notes/visits/")); got != 1 {
			s.T.Errorf("a visit with an unknown session: visits = %d, want 1", got)
		}
	})
}

// djangoSessionEverywhere goes on with one session until every place has
// answered it, while others keep the places busy.
func djangoSessionEverywhere(s *Server, places int, place func(*Page) string) {
	b := s.NewBrowser()
	var seen crowd
	var enough atomic.Bool
	together(places+1, func(number int) {
		if number > 0 {
			other := s.NewBrowser()
			for !enough.Load() && !s.T.Failed() {
				other.Get("/notes/").Want(200)
			}
			return
		}
		defer enough.Store(true)
		end := deadline()
		for i := 1; ; i++ {
			page := b.Get("/notes/visits/")
			if got := visited(page); got != i {
				s.T.Errorf("visit %d of one session, answered by %s: visits = %d", i, place(page), got)
				return
			}
			if seen.see(place(page)) == places {
				return
			}
			if time.Now().After(end) {
				s.T.Errorf("%d visits were answered by %d places, want %d", i, len(seen.names), places)
				return
			}
		}
	})
}

func djangoToken(s *Server) {
	b := s.NewBrowser()
	form := b.Get("/notes/add/").Want(200, "Write a note")
	token := form.Field("csrfmiddlewaretoken")
	if b.Cookie("csrftoken") == "" {
		s.T.Error("after GET /notes/add/: no cookie csrftoken, want one")
	}
	const refusal = "CSRF verification failed. Request aborted."
	b.Submit("/notes/add/", "title", "Refused 1").Want(403, refusal)
	b.Submit("/notes/add/", "title", "Refused 2", "csrfmiddlewaretoken", strings.Repeat("x", len(token))).Want(403, refusal)
	b.Upload("/notes/add/", Attachment{"refused.bin", noise(1, 100_000)}, "title", "Refused 3").Want(403, refusal)
	s.NewBrowser().Submit("/notes/add/", "title", "Refused 4", "csrfmiddlewaretoken", token).Want(403, refusal)
	b.Submit("/notes/add/", "title", "", "csrfmiddlewaretoken", token).Want(200, "This field is required.")
	b.Submit("/notes/add/", "title", "Taken", "csrfmiddlewaretoken", token).Want(302)
	// Scripts send it in the head.
	b.Do("POST", "/notes/add/", strings.NewReader("title=Taken+too"),
		"Content-Type: application/x-www-form-urlencoded", "X-CSRFToken: "+token).Want(302)
	titles := exported(s)
	for _, title := range titles {
		if strings.HasPrefix(title, "Refused") {
			s.T.Errorf("the note %q was kept, want it refused", title)
		}
	}
	for _, title := range []string{"Taken", "Taken too"} {
		if !slices.Contains(titles, title) {
			s.T.Errorf("/notes/export/ has %q, want %q in it", titles, title)
		}
	}
}

// exported is the list of all titles, which Django streams.
func exported(s *Server) []string {
	s.T.Helper()
	page := s.NewBrowser().Get("/notes/export/").Want(200).WantHeader("Content-Type", "text/plain; charset=utf-8")
	if !page.Chunked {
		s.T.Errorf("GET /notes/export/: %v, want it chunked", page.Header)
	}
	return strings.Split(strings.TrimSuffix(page.Body, "\n"), "\n")
}

// write keeps a note and returns its path.
func write(b *Browser, token string, pairs ...string) string {
	b.s.T.Helper()
	page := b.Submit("/notes/add/", append(pairs, "csrfmiddlewaretoken", token)...).Want(302)
	return notePath(page)
}

var noted = regexp.MustCompile(`^/notes/[0-9]+/$`)

func notePath(page *Page) string {
	page.t.Helper()
	if !noted.MatchString(page.Location()) {
		page.t.Errorf("%s: Location = %q, want a note's", page.request, page.Location())
	}
	return page.Location()
}

func djangoNotes(s *Server) {
	b := s.NewBrowser()
	token := b.Get("/notes/add/").Field("csrfmiddlewaretoken")
	title, text := "Zoë & <日本>", "Grüße\r\n🐍 = 100% + 1; ÿ"
	path := write(b, token, "title", title, "text", text)
	// The message is in a cookie until it has been shown, once.
	b.Get(path).Want(200, "Kept: "+title, "<h1>"+title+"</h1>", "Grüße<br>🐍 = 100% + 1; ÿ")
	if page := b.Get(path).Want(200, title); strings.Contains(page.Body, "Kept:") {
		s.T.Errorf("%s for the second time shows %.2000q, want no message", page.request, page.Body)
	}
	b.Get("/notes/").Want(200, title, `href="`+path+`"`)
	if titles := exported(s); !slices.Contains(titles, title) || !slices.Contains(titles, "Note 1") {
		s.T.Errorf("/notes/export/ has %q, want %q and Note 1 in it", titles, title)
	}
	b.Get(path+"file/").Want(404, "Not Found")
}

func djangoUploads(s *Server) {
	b := s.NewBrowser()
	token := b.Get("/notes/add/").Field("csrfmiddlewaretoken")
	for i, file := range attachments("note") {
		if file.Content == "" {
			// A form's file must not be empty, Django says.
			b.Upload("/notes/add/", file, "title", "empty", "csrfmiddlewaretoken", token).Want(200, "The submitted file is empty.")
			continue
		}
		path := notePath(b.Upload("/notes/add/", file, "title", fmt.Sprint("File ", i), "csrfmiddlewaretoken", token).Want(302))
		name := strings.ReplaceAll(file.Name, " ", "_")
		b.Get(path).Want(200, "notes/"+name)
		got := b.Get(path+"file/").Want(200).WantBytes(file.Content).
			WantHeader("Content-Type", "application/octet-stream").
			WantHeader("Content-Length", fmt.Sprint(len(file.Content)))
		if disposition := got.Header.Get("Content-Disposition"); !strings.Contains(disposition, "attachment; filename") {
			s.T.Errorf("%s: Content-Disposition = %q, want an attachment", got.request, disposition)
		}
	}
}

// logIn sends the login form at path and returns what comes of it.
func logIn(b *Browser, path, user, password string) *Page {
	b.s.T.Helper()
	token := b.Get(path).Want(200).Field("csrfmiddlewaretoken")
	return b.Submit(path, "username", user, "password", password, "csrfmiddlewaretoken", token)
}

func djangoAdmin(s *Server) {
	b := s.NewBrowser()
	b.Get("/admin/").WantRedirect(302, "/admin/login/?next=/admin/")
	const login = "/admin/login/?next=/admin/notes/"
	logIn(b, login, "admin", "wröng").Want(200, "Please enter the correct username and password")
	b.Get("/admin/notes/").Want(302)
	logIn(b, login, "admin", "gowsgi").WantRedirect(302, "/admin/notes/")
	b.Get("/admin/").Want(200, "Site administration")

	const change = "/admin/notes/note/1/change/"
	form := b.Get(change).Want(200, "Change note", `value="Note 1"`)
	title := "Changed by the admin: 日本"
	b.Submit(change, "title", "Never", "text", "no token", "_save", "Save").Want(403)
	b.Submit(change, "title", "", "text", "no title", "_save", "Save", "csrfmiddlewaretoken", form.Field("csrfmiddlewaretoken")).
		Want(200, "Please correct the error below.")
	b.Submit(change, "title", title, "text", "Änderung", "_save", "Save", "csrfmiddlewaretoken", form.Field("csrfmiddlewaretoken")).
		WantRedirect(302, "/admin/notes/note/")
	b.Get("/admin/notes/note/").Want(200, "was changed successfully.", title)
	b.Get("/admin/notes/note/?q=%E6%97%A5%E6%9C%AC").Want(200, title)
	b.Get("/admin/notes/note/1/history/").Want(200, "Changed Title and Text.")
	s.NewBrowser().Get("/notes/1/").Want(200, title, "Änderung")

	index := b.Get("/notes/").Want(200, "admin", "Log out")
	b.Submit("/accounts/logout/", "csrfmiddlewaretoken", index.Field("csrfmiddlewaretoken")).WantRedirect(302, "/notes/")
	b.Get(change).Want(302)
	b.Get("/notes/").Want(200, "Log in")
}

func djangoRedirects(s *Server) {
	b := s.NewBrowser()
	b.Get("/").WantRedirect(302, "/notes/")
	b.Get("/notes").WantRedirect(301, "/notes/")
	b.Get("/notes/hello?q=%C3%A4+b&%E6%97%A5").WantRedirect(301, "/notes/hello/?q=%C3%A4+b&%E6%97%A5")
	b.Get("/admin/notes/note/?q=%E6%97%A5").WantRedirect(302, "/admin/login/?next=/admin/notes/note/%3Fq%3D%25E6%2597%25A5")
	logIn(b, "/accounts/login/?next=/notes/hello/%3Fq%3D%25C3%25A4", "admin", "gowsgi").WantRedirect(302, "/notes/hello/?q=%C3%A4")
	// By a client that follows them.
	b.client.CheckRedirect = nil
	b.Get("/").Want(200, "Notes", "admin")
}

func djangoErrors(s *Server) {
	b := s.NewBrowser()
	b.Get("/nowhere/").Want(404, "Not Found", "The requested resource was not found on this server.")
	b.Get("/n%C3%B6tig/%E6%97%A5/").Want(404, "Not Found")
	b.Get("/notes/999999/").Want(404)
	mark := s.Mark()
	b.Get("/notes/fail/").Want(500, "Server Error (500)")
	s.WaitForSince(mark, "Internal Server Error: /notes/fail/")
	s.WaitForSince(mark, "RuntimeError: notes fail as asked")
	b.Submit("/notes/hello/", "a", "b").Want(403)
	b.Do("HEAD", "/notes/", nil).Want(405).WantBytes("").WantHeader("Allow", "GET")
	b.Get("/notes/hello/").Want(200).WantBytes("Hello, World!\n")
}

func djangoConditions(s *Server) {
	b := s.NewBrowser()
	const path = "/static/admin/css/base.css"
	found := output(s.T, python, "-c", "import django.contrib.admin; print(django.contrib.admin.__path__[0])")[0]
	content, err := os.ReadFile(filepath.Join(found, "static/admin/css/base.css"))
	if err != nil {
		s.T.Fatal(err)
	}
	length := fmt.Sprint(len(content))
	whole := b.Get(path).Want(200).WantBytes(string(content)).WantHeader("Content-Type", "text/css").WantHeader("Content-Length", length)
	modified := whole.Header.Get("Last-Modified")
	if modified == "" {
		s.T.Fatalf("GET %s: no Last-Modified, want one", path)
	}
	b.Get(path, "If-Modified-Since: "+modified).Want(304).WantBytes("")
	b.Get(path, "If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT").Want(200).WantBytes(string(content))
	b.Do("HEAD", path, nil).Want(200).WantBytes("").WantHeader("Content-Length", length)
	b.Do("HEAD", path, nil, "If-Modified-Since: "+modified).Want(304).WantBytes("")
	b.Do("HEAD", "/accounts/login/", nil).Want(200).WantBytes("")
	b.Get("/static/admin/css/none.css").Want(404)
	b.Get(path).Want(200).WantBytes(string(content))
}

// Several clients write into one database at the same time: every note is
// kept, once, and every file is the one that was sent with it.
func djangoWriters(s *Server) {
	const writers, each = 6, 4
	name := func(number, i int) string { return fmt.Sprintf("Writer %d, note %d", number, i) }
	together(writers, func(number int) {
		b := s.NewBrowser()
		token := b.Get("/notes/add/").Field("csrfmiddlewaretoken")
		for i := range each {
			if i%2 == 0 {
				path := write(b, token, "title", name(number, i), "text", name(number, i))
				b.Get(path).Want(200, "<h1>"+name(number, i)+"</h1>")
				continue
			}
			// All writers send files of the same names.
			file := Attachment{fmt.Sprintf("written %d.bin", i), noise(uint64(number*each+i), 50_000*number+i)}
			path := notePath(b.Upload("/notes/add/", file, "title", name(number, i), "csrfmiddlewaretoken", token).Want(302))
			b.Get(path + "file/").Want(200).WantBytes(file.Content)
			if got := visited(b.Get("/notes/visits/")); got != (i+1)/2 {
				s.T.Errorf("visits of writer %d = %d, want %d", number, got, (i+1)/2)
			}
		}
	})
	times := map[string]int{}
	for _, title := range exported(s) {
		times[title]++
	}
	for number := range writers {
		for i := range each {
			if got := times[name(number, i)]; got != 1 {
				s.T.Errorf("/notes/export/ has %q %d times, want once", name(number, i), got)
			}
		}
	}
}
