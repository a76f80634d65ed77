package tests

// Files and hints where the kernel cannot send for us: under TLS, in HTTP/1.1 and
// HTTP/2.

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"path/filepath"
	"slices"
	"testing"

	"gowsgi/wsgi/secure/securetest"
)

func TestFiles_AreTheSameUnderTLS(t *testing.T) {
	ca := securetest.NewAuthority(t, "tests")
	cert, key := ca.Server(t, "127.0.0.1").Write(t, t.TempDir(), "server")
	text := patterned(1 << 20)
	dir := contents(t, map[string]string{"a.bin": text})
	s := Start(t, "handover", "--certfile", cert, "--keyfile", key, "--static", "/static="+dir, "--sendfile-root", "/media="+dir)
	for _, version := range []int{1, 2} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}, ForceAttemptHTTP2: version == 2}
		t.Cleanup(transport.CloseIdleConnections)
		for _, c := range []struct {
			path, ranged string
			status       int
			want         string
		}{
			{"/static/a.bin", "", 200, text}, {"/static/a.bin", "bytes=5-900000", 206, text[5:900001]}, {"/static/none", "", 404, "404 Not Found\n"},
			{naming("value", filepath.Join(dir, "a.bin")), "", 200, text},
			{naming("header", "X-Accel-Redirect", "value", "/media/a.bin"), "bytes=-10", 206, text[len(text)-10:]},
			{"/file?times=5", "", 200, content(5)}, {"/file?length=77", "", 200, content(1)[:77]}, {"/hints", "", 200, "hinted\n"},
		} {
			var hints []string
			r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				Got1xxResponse: func(code int, fields textproto.MIMEHeader) error {
					hints = append(hints, fields.Get("Link"))
					return nil
				},
			}), "GET", s.URL(c.path), nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.ranged != "" {
				r.Header.Set("Range", c.ranged)
			}
			answer, err := transport.RoundTrip(r)
			if err != nil {
				t.Errorf("HTTP/%d: GET %s: %v", version, c.path, err)
				continue
			}
			body, err := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if err != nil || answer.ProtoMajor != version || answer.StatusCode != c.status || string(body) != c.want {
				t.Errorf("HTTP/%d: GET %s = %s %s, %d bytes, %v, want %d with %d", version, c.path, answer.Proto, answer.Status, len(body), err, c.status, len(c.want))
			}
			var want []string
			if c.path == "/hints" {
				want = []string{"</style.css>; rel=preload; as=style", "</script.js>; rel=preload; as=script"}
			}
			if !slices.Equal(hints, want) {
				t.Errorf("HTTP/%d: GET %s: hints %q, want %q", version, c.path, hints, want)
			}
		}
	}
}
