package tests

// A browser: net/http with a cookie jar, forms and uploads, one person's eyes.

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// In is the server in the eyes of a subtest.
func (s *Server) In(t testing.TB) *Server {
	t.Helper()
	mine := &Server{run: s.run, Binds: s.Binds, T: t, from: s.log.count()}
	t.Cleanup(mine.showLog)
	return mine
}

// A Browser is one visitor with cookies. Its methods do not end the test when
// something fails, so they may be called in any goroutine: they report it and
// return a page without a status. A redirect is a page like any other.
type Browser struct {
	s      *Server
	client *http.Client
}

// NewBrowser is a visitor who was never here.
func (s *Server) NewBrowser() *Browser {
	s.T.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.T.Fatal(err)
	}
	client := s.Client()
	client.Jar = jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Browser{s, client}
}

// A Page is a response that was read to its end.
type Page struct {
	t       testing.TB
	request string // GET /path
	Status  int
	Header  http.Header
	Chunked bool
	Body    string
}

// Worker is the process that answered, Thread the process and the thread; for
// applications behind signed.wrap.
func (p *Page) Worker() string {
	pid, _, _ := strings.Cut(p.Thread(), "/")
	return pid
}

// Thread is PID/THREAD of whoever answered.
func (p *Page) Thread() string { return p.Header.Get("X-Worker") }

// Want checks the status and that the page shows some texts, as a person would
// read them: without the escaping of HTML.
func (p *Page) Want(status int, texts ...string) *Page {
	p.t.Helper()
	if p.Status != status {
		p.t.Errorf("%s = %d %.300q, want %d", p.request, p.Status, p.Body, status)
		return p
	}
	shown := html.UnescapeString(p.Body)
	for _, text := range texts {
		if !strings.Contains(shown, text) {
			p.t.Errorf("%s shows %.2000q, want %q in it", p.request, shown, text)
		}
	}
	return p
}

// WantHeader checks one header field.
func (p *Page) WantHeader(name, want string) *Page {
	p.t.Helper()
	if got := p.Header.Get(name); got != want {
		p.t.Errorf("%s: %s = %q, want %q", p.request, name, got, want)
	}
	return p
}

// WantRedirect checks the status and where to go.
func (p *Page) WantRedirect(status int, location string) *Page {
	p.t.Helper()
	return p.Want(status).WantHeader("Location", location)
}

// WantBytes checks the whole body, without showing megabytes.
func (p *Page) WantBytes(want string) *Page {
	p.t.Helper()
	if p.Body != want {
		p.t.Errorf("%s: %d bytes, sha256 %s; want %d, %s", p.request, len(p.Body), sha256of(p.Body), len(want), sha256of(want))
	}
	return p
}

// Location is where a redirect leads: a path with its query.
func (p *Page) Location() string { return p.Header.Get("Location") }

// Field is the value of a hidden field of the page's forms.
func (p *Page) Field(name string) string {
	p.t.Helper()
	pattern := regexp.MustCompile(`<input type="hidden" name="` + name + `" value="([^"]+)">`)
	found := pattern.FindStringSubmatch(p.Body)
	if found == nil {
		p.t.Errorf("%s shows %.2000q, want a hidden field %s", p.request, p.Body, name)
		return ""
	}
	return html.UnescapeString(found[1])
}

// Do sends a request with header fields NAME: VALUE.
func (b *Browser) Do(method, path string, body io.Reader, fields ...string) *Page {
	b.s.T.Helper()
	page := &Page{t: b.s.T, request: method + " " + path, Header: http.Header{}}
	request, err := http.NewRequest(method, b.s.URL(path), body)
	if err != nil {
		b.s.T.Error(err)
		return page
	}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		request.Header.Set(name, value)
	}
	response, err := b.client.Do(request)
	if err != nil {
		b.s.T.Error(err)
		return page
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		b.s.T.Errorf("%s: %v after %d bytes", page.request, err, len(got))
		return page
	}
	page.Status, page.Header, page.Body = response.StatusCode, response.Header, string(got)
	page.Chunked = slices.Contains(response.TransferEncoding, "chunked")
	return page
}

// Get asks for a page.
func (b *Browser) Get(path string, fields ...string) *Page {
	b.s.T.Helper()
	return b.Do("GET", path, nil, fields...)
}

// Submit sends a form: names and values in turn.
func (b *Browser) Submit(path string, pairs ...string) *Page {
	b.s.T.Helper()
	return b.Do("POST", path, strings.NewReader(values(pairs).Encode()), "Content-Type: application/x-www-form-urlencoded")
}

func values(pairs []string) url.Values {
	form := url.Values{}
	for pair := range slices.Chunk(pairs, 2) {
		form.Add(pair[0], pair[1])
	}
	return form
}

// An Attachment is a file for a form's field "file".
type Attachment struct{ Name, Content string }

// Upload sends a form with a file as multipart/form-data.
func (b *Browser) Upload(path string, file Attachment, pairs ...string) *Page {
	b.s.T.Helper()
	body, kind := encode(file, pairs)
	return b.Do("POST", path, body, "Content-Type: "+kind)
}

// UploadChunked is Upload by a client that does not say how much will come.
func (b *Browser) UploadChunked(path string, file Attachment, pairs ...string) *Page {
	b.s.T.Helper()
	body, kind := encode(file, pairs)
	// net/http knows the length of a Buffer only while it sees one.
	return b.Do("POST", path, io.MultiReader(body), "Content-Type: "+kind)
}

func encode(file Attachment, pairs []string) (body *bytes.Buffer, kind string) {
	body = &bytes.Buffer{}
	form := multipart.NewWriter(body)
	// Writes to a Buffer cannot fail.
	for pair := range slices.Chunk(pairs, 2) {
		_ = form.WriteField(pair[0], pair[1])
	}
	part, _ := form.CreateFormFile("file", file.Name)
	_, _ = io.WriteString(part, file.Content)
	_ = form.Close()
	return body, form.FormDataContentType()
}

// Cookie is the value of a cookie the browser would send; empty: it has none.
func (b *Browser) Cookie(name string) string {
	b.s.T.Helper()
	for _, cookie := range b.client.Jar.Cookies(b.root()) {
		if cookie.Name == name {
			return cookie.Value
		}
	}
	return ""
}

// SetCookie puts a cookie into the jar.
func (b *Browser) SetCookie(name, value string) {
	b.client.Jar.SetCookies(b.root(), []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

func (b *Browser) root() *url.URL {
	root, err := url.Parse(b.s.URL("/"))
	if err != nil {
		panic(err) // the address was announced and has served
	}
	return root
}

// noise is n bytes in which no mistake goes unseen, the same for a seed: all
// values, nothing that repeats, so CRLFs and boundaries' beginnings too.
func noise(seed uint64, n int) string {
	source := rand.NewPCG(seed, 0)
	var text bytes.Buffer
	for words := 1; text.Len() < n; words++ {
		word := source.Uint64()
		for shift := 0; shift < 64; shift += 8 {
			text.WriteByte(byte(word >> shift))
		}
		if words%500 == 0 {
			text.WriteString("\r\n--\r\n")
		}
	}
	return text.String()[:n]
}

// attachments are files of the sizes that matter: nothing, little, around a
// read, more than any framework keeps in memory.
func attachments(tag string) []Attachment {
	var files []Attachment
	for i, size := range []int{0, 1, 1000, 64<<10 + 1, 5<<20 + 3} {
		name := fmt.Sprintf("%s-%d.bin", tag, size)
		if i%2 == 1 {
			name = fmt.Sprintf("%s Grüße 日本 %d.bin", tag, size)
		}
		files = append(files, Attachment{name, noise(uint64(i), size)})
	}
	return files
}

// together runs visit for a number of visitors at the same time.
func together(visitors int, visit func(number int)) {
	var all sync.WaitGroup
	for number := range visitors {
		all.Go(func() { visit(number) })
	}
	all.Wait()
}

// A crowd is the set of names that have been seen.
type crowd struct {
	mutex sync.Mutex
	names map[string]bool
}

// see adds a name and returns how many there are.
func (c *crowd) see(name string) int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.names == nil {
		c.names = map[string]bool{}
	}
	c.names[name] = true
	return len(c.names)
}
