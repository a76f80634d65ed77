package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gowsgi/environ"
)

// FuzzParseHead holds the parser against net/http: whatever we accept it must accept too, with the same
// method, target, fields and framing, at the same end. The reverse is not asked for: we are stricter.
func FuzzParseHead(f *testing.F) {
	for _, folder := range []string{"valid", "invalid"} {
		for _, s := range samples(f, folder) {
			f.Add(s.raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var r environ.Request
		n, err := ParseHead(raw, Limits{}, &r)
		if n < 0 || n > len(raw) || err != nil && n != 0 {
			t.Fatalf("ParseHead(%q) = %d, %v", raw, n, err)
		}
		if n == 0 {
			return
		}
		source := bytes.NewReader(raw[skipEmptyLine(raw):])
		br := bufio.NewReaderSize(source, 1<<17) // it peeks at trailers as a whole
		req, err := http.ReadRequest(br)
		if err != nil {
			if refusesTrailerField(&r) {
				return
			}
			t.Fatalf("ParseHead accepts %q, net/http does not: %v", raw[:n], err)
		}
		if left := br.Buffered() + source.Len(); left != len(raw)-n {
			t.Errorf("head of %q ends %d bytes before the end, net/http says %d", raw, len(raw)-n, left)
		}
		compareHead(t, &r, req)
		if r.Chunked {
			compareChunks(t, raw[n:], req.Body)
		}
	})
}

// skipEmptyLine gives the size of the empty line we let pass before a request and net/http does not.
func skipEmptyLine(raw []byte) int {
	if bytes.HasPrefix(raw, crlf) {
		return 2
	}
	return 0
}

// refusesTrailerField tells whether net/http has a reason to refuse that is none of ours: a Trailer field
// that announces a field which must not be a trailer. We drop all trailers unread.
func refusesTrailerField(r *environ.Request) bool {
	return r.Chunked && slices.ContainsFunc(r.Headers, func(h environ.Header) bool {
		return strings.EqualFold(string(h.Name), "Trailer")
	})
}

func compareHead(t *testing.T, r *environ.Request, req *http.Request) {
	t.Helper()
	if req.Method != string(r.Method) || req.RequestURI != string(r.Target) || req.Proto != string(r.Proto) {
		t.Errorf("request line = %q %q %q, net/http says %q %q %q", r.Method, r.Target, r.Proto, req.Method, req.RequestURI, req.Proto)
	}
	if req.Host != string(r.Host) {
		t.Errorf("host = %q, net/http says %q", r.Host, req.Host)
	}
	if req.ContentLength != r.ContentLength || r.Chunked != slices.Equal(req.TransferEncoding, []string{"chunked"}) {
		t.Errorf("length = %d, chunked = %t, net/http says %d, %q", r.ContentLength, r.Chunked, req.ContentLength, req.TransferEncoding)
	}
	if req.URL.RawQuery != string(r.Query) {
		t.Errorf("query = %q, net/http says %q", r.Query, req.URL.RawQuery)
	}
	if got, want := string(r.Path), req.URL.EscapedPath(); req.URL.Path != unescaped(r.Path) && !(want == "" && got == "/") {
		t.Errorf("path = %q, net/http says %q", got, want)
	}
	compareFields(t, r, req)
}

// unescaped decodes a path the obvious way.
func unescaped(path []byte) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '%' {
			b.WriteByte(hexValue(path[i+1])<<4 | hexValue(path[i+2]))
			i += 2
			continue
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

// compareFields compares what remains in net/http's map: it takes Host, Transfer-Encoding and Trailer out
// and adds Cache-Control to an HTTP/1.0 Pragma.
func compareFields(t *testing.T, r *environ.Request, req *http.Request) {
	t.Helper()
	ours := http.Header{}
	for _, h := range r.Headers {
		name := http.CanonicalHeaderKey(string(h.Name))
		ours[name] = append(ours[name], string(h.Value))
	}
	if _, ok := ours["Cache-Control"]; !ok && ours.Get("Pragma") == "no-cache" {
		delete(req.Header, "Cache-Control")
	}
	for _, name := range []string{"Host", "Transfer-Encoding", "Trailer"} {
		delete(ours, name)
		delete(req.Header, name)
	}
	if len(ours) != len(req.Header) {
		t.Errorf("fields = %q, net/http says %q", ours, req.Header)
	}
	for name, values := range ours {
		if !slices.Equal(values, req.Header[name]) {
			t.Errorf("field %s = %q, net/http says %q", name, values, req.Header[name])
		}
	}
}

// decodeAll decodes a whole chunked body, dst and src in pieces of those sizes.
func decodeAll(raw []byte, dstSize, srcSize int) (data []byte, read int, ended, ok bool) {
	var d chunkDecoder
	dst := make([]byte, dstSize)
	for read < len(raw) && !d.done() {
		n, m, ok := d.decode(dst, raw[read:min(len(raw), read+srcSize)])
		data = append(data, dst[:n]...)
		read += m
		if !ok {
			return data, read, false, false
		}
	}
	return data, read, d.done(), true
}

// compareChunks holds a decoded body against net/http's reading of it.
func compareChunks(t *testing.T, raw []byte, body io.Reader) {
	t.Helper()
	data, read, ended, ok := decodeAll(raw, 4096, len(raw)+1)
	if !ok || !ended {
		return
	}
	theirs, err := io.ReadAll(body)
	if err != nil {
		t.Fatalf("we accept the chunks %q, net/http does not: %v", raw[:read], err)
	}
	if !bytes.Equal(data, theirs) {
		t.Errorf("chunks %q = %q, net/http says %q", raw[:read], data, theirs)
	}
}

// FuzzChunked holds the decoder against net/http, and against itself with its input in pieces.
func FuzzChunked(f *testing.F) {
	for _, folder := range []string{"valid", "invalid"} {
		for _, s := range samples(f, folder) {
			if _, body, ok := bytes.Cut(s.raw, []byte("\r\n\r\n")); ok && bytes.Contains(s.raw, []byte("chunked")) {
				f.Add(body, uint8(1))
			}
		}
	}
	const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	f.Fuzz(func(t *testing.T, raw []byte, piece uint8) {
		data, read, ended, ok := decodeAll(raw, 4096, len(raw)+1)
		pieces, readPieces, endedPieces, okPieces := decodeAll(raw, int(piece)+1, int(piece)%7+1)
		if !bytes.Equal(data, pieces) || read != readPieces || ended != endedPieces || ok != okPieces {
			t.Fatalf("chunks %q in one = %q, %d, %t, %t, in pieces %q, %d, %t, %t",
				raw, data, read, ended, ok, pieces, readPieces, endedPieces, okPieces)
		}
		if !ended {
			return
		}
		source := bytes.NewReader(append([]byte(head), raw...))
		br := bufio.NewReaderSize(source, 1<<17)
		req, err := http.ReadRequest(br)
		if err != nil {
			t.Fatal(err)
		}
		compareChunks(t, raw, req.Body)
		if left := br.Buffered() + source.Len(); left != len(raw)-read {
			t.Errorf("chunks %q end %d bytes before the end, net/http says %d", raw, len(raw)-read, left)
		}
	})
}
