package tests

// --static: files without the application, as a browser and as somebody with
// bad intentions ask for them.

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// contents makes a folder of files; what they hold, by path.
func contents(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// patterned is a text that no piece of can be mistaken for another.
func patterned(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		b.WriteString(strings.Repeat("=", i%7))
		b.WriteString(http.StatusText(200 + i%8))
		b.WriteByte(byte('a' + i%26))
	}
	return b.String()[:n]
}

func TestStatic_ServesFilesBesideTheApplication(t *testing.T) {
	big := patterned(3 << 20)
	dir := contents(t, map[string]string{"css/site.css": "body {}\n", "big.bin": big, "a.js": "plain", "a.js.br": "smaller"})
	s := Start(t, "hello", "--static", "/static="+dir, "--static-max-age", "1h", "--access-logfile", "-")
	c := s.Dial()
	for range 2 { // on one connection, with the application between
		if r := c.Get("/static/css/site.css"); r.Line() != "200 OK" || r.Body != "body {}\n" ||
			r.Value("Content-Type") != "text/css; charset=utf-8" || r.Value("Cache-Control") != "public, max-age=3600" {
			t.Errorf("GET site.css = %s %q, fields %v", r.Line(), r.Body, r.Fields)
		}
		if r := c.Get("/static/none"); r.Line() != "404 Not Found" || r.Values("Connection") != nil {
			t.Errorf("GET none = %s, Connection %q, want 404 on a connection that lives on", r.Line(), r.Value("Connection"))
		}
		if r := c.Get("/"); r.Body != "Hello, World!\n" {
			t.Errorf("GET / = %s %q, want the application's", r.Line(), r.Body)
		}
		if r := c.Get("/static/big.bin"); r.Body != big || r.Framing != Length {
			t.Errorf("GET big.bin = %s, %d bytes (%s), want all %d", r.Line(), len(r.Body), r.Framing, len(big))
		}
	}
	r := c.Get("/static/big.bin", "Range: bytes=1000000-2999999")
	if r.Line() != "206 Partial Content" || r.Body != big[1000000:3000000] || r.Value("Content-Range") != "bytes 1000000-2999999/3145728" {
		t.Errorf("GET a range = %s, %d bytes, Content-Range %q", r.Line(), len(r.Body), r.Value("Content-Range"))
	}
	if again := c.Get("/static/big.bin", "If-None-Match: "+r.Value("ETag")); again.Line() != "304 Not Modified" || again.Body != "" {
		t.Errorf("GET with the ETag = %s, %d bytes, want 304", again.Line(), len(again.Body))
	}
	if r := c.Get("/static/a.js", "Accept-Encoding: gzip, br"); r.Body != "smaller" || r.Value("Content-Encoding") != "br" || r.Value("Vary") != "Accept-Encoding" {
		t.Errorf("GET a.js = %q, fields %v, want the .br", r.Body, r.Fields)
	}
	if r := s.Ask("HEAD /static/big.bin"); r.Line() != "200 OK" || r.Value("Content-Length") != "3145728" {
		t.Errorf("HEAD big.bin = %s, Content-Length %q, want 200 and 3145728", r.Line(), r.Value("Content-Length"))
	}
	if r := s.Post("/static/a.js", "body"); r.Line() != "405 Method Not Allowed" || r.Value("Allow") != "GET, HEAD" {
		t.Errorf("POST = %s, Allow %q, want 405", r.Line(), r.Value("Allow"))
	}
	s.Stop()
	if log := strings.Join(s.Output(), "\n"); !strings.Contains(log, `"GET /static/big.bin HTTP/1.1" 206 2000000 `) {
		t.Errorf("access log = %q, want the request for a range in it", log)
	}
}

// What is asked for here must be neither served nor known to the application.
func TestStatic_GivesNothingElseAway(t *testing.T) {
	dir := contents(t, map[string]string{"served/a": "fine", "served/.env": "secret", "served/.git/config": "secret", "secret": "secret"})
	for name, to := range map[string]string{"out": "../secret", "abs": filepath.Join(dir, "secret"), "up": ".."} {
		if err := os.Symlink(to, filepath.Join(dir, "served", name)); err != nil {
			t.Fatal(err)
		}
	}
	s := Start(t, "hello", "--static", "/static="+filepath.Join(dir, "served"))
	c := s.Dial()
	if r := c.Get("/static/a"); r.Body != "fine" {
		t.Fatalf("GET /static/a = %s %q, want the file", r.Line(), r.Body)
	}
	for _, path := range []string{
		"/static/../secret", "/static/%2e%2e/secret", "/static/..%2fsecret", "/static/.%2e/secret", "/static/a/../../secret",
		"/static//secret", "/static/./a", "/static/.env", "/static/%2eenv", "/static/.git/config", "/static/out", "/static/abs",
		"/static/up/secret", "/static/up/served/a", "/static/..%5csecret", "/static/a%00", "/static/", "/static", "/static/%252e%252e/secret",
		"//static/../secret", "/static/..;/secret",
	} {
		r := c.Get(path)
		application := strings.HasPrefix(path, "//")
		if strings.Contains(r.Body, "secret") || strings.Contains(r.Body, "fine") || !application && r.Status != 404 {
			t.Errorf("GET %s = %s %q, want 404", path, r.Line(), r.Body)
		}
	}
}

func TestStatic_WantsAFolder(t *testing.T) {
	r, err := launch(Options{App: "hello", Args: []string{"--static", "/static=/no/such/folder"}})
	if err != nil {
		t.Fatal(err)
	}
	code, err := r.exitCode(patience)
	if text := r.log.text(0); err != nil || code != 2 || !strings.Contains(text, "--static: folder /no/such/folder") {
		t.Errorf("exit code = %d, %v, log %q, want 2 and the folder named", code, err, text)
	}
}
