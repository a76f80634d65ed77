package environ

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// pack gives the environ of r as a map and fails the test when it does not unpack or names a key twice.
func pack(t *testing.T, r *Request) map[string]string {
	t.Helper()
	vars, err := Unpack(Append(nil, r))
	if err != nil {
		t.Fatalf("Unpack(Append(%+v)) = %v, want no error", r, err)
	}
	m := make(map[string]string, len(vars))
	for _, v := range vars {
		if old, ok := m[v.Key]; ok {
			t.Errorf("Append wrote %s twice: %q and %q", v.Key, old, v.Value)
		}
		m[v.Key] = v.Value
	}
	return m
}

// fields makes headers of "Name: value" lines.
func fields(lines ...string) []Header {
	var headers []Header
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		headers = append(headers, Header{[]byte(name), []byte(strings.TrimSpace(value))})
	}
	return headers
}

func request(lines ...string) *Request {
	return &Request{
		Method: []byte("GET"), Target: []byte("/a%20b?q=1"), Path: []byte("/a%20b"), Query: []byte("q=1"),
		Proto: []byte("HTTP/1.1"), Host: []byte("example.org:81"), Headers: fields(lines...), Scheme: "http",
		RemoteAddr: "192.0.2.1", RemotePort: "40000", ServerName: "127.0.0.1", ServerPort: "5000",
	}
}

func TestAppend_WritesAllVariablesOfASimpleRequest(t *testing.T) {
	got := pack(t, request("Host: example.org:81", "Accept: */*", "X-Own: yes"))
	want := map[string]string{
		"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/a b", "QUERY_STRING": "q=1",
		"REQUEST_URI": "/a%20b?q=1", "RAW_URI": "/a%20b?q=1", "SERVER_PROTOCOL": "HTTP/1.1",
		"SERVER_NAME": "127.0.0.1", "SERVER_PORT": "5000", "REMOTE_ADDR": "192.0.2.1",
		"REMOTE_PORT": "40000", "wsgi.url_scheme": "http", "HTTP_HOST": "example.org:81",
		"HTTP_ACCEPT": "*/*", "HTTP_X_OWN": "yes",
	}
	if !maps.Equal(got, want) {
		t.Errorf("Append = %v, want %v", got, want)
	}
}

func TestAppend_DecodesPathAndLeavesTheRest(t *testing.T) {
	for path, want := range map[string]string{
		"/":                "/",
		"//a//":            "//a//",
		"/a/../b/./":       "/a/../b/./",
		"/%2e%2E/%2F":      "/..//",
		"/caf%C3%A9":       "/caf\xc3\xa9",
		"/%00%ff":          "/\x00\xff",
		"/+":               "/+",
		"/%252e":           "/%2e",
		"*":                "*",
		"/100%":            "/100%",
		"/%2":              "/%2",
		"/%zz%4g%g4":       "/%zz%4g%g4",
		"/%41%4":           "/A%4",
		"/\xe9":            "/\xe9",
		"":                 "",
		"/%7Euser;v=1,2:3": "/~user;v=1,2:3",
	} {
		r := request()
		r.Path = []byte(path)
		if got := pack(t, r)["PATH_INFO"]; got != want {
			t.Errorf("PATH_INFO of %q = %q, want %q", path, got, want)
		}
	}
}

func TestAppend_NamesFieldsLikeCGI(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  map[string]string // "-" for a variable that must be missing
	}{
		{[]string{"x-real-ip: 1"}, map[string]string{"HTTP_X_REAL_IP": "1"}},
		{[]string{"X_Real_IP: 1"}, map[string]string{"HTTP_X_REAL_IP": "-"}},
		{[]string{"X_Own: 1", "X-Own: 2"}, map[string]string{"HTTP_X_OWN": "2"}},
		{[]string{"X-Own: 2", "X_Own: 1"}, map[string]string{"HTTP_X_OWN": "2"}},
		{[]string{"User_Agent: a", "User-Agent: b"}, map[string]string{"HTTP_USER_AGENT": "b"}},
		{[]string{"Proxy: evil"}, map[string]string{"HTTP_PROXY": "-"}},
		{[]string{"pROXY: evil"}, map[string]string{"HTTP_PROXY": "-"}},
		{[]string{"Proxy-Authorization: a"}, map[string]string{"HTTP_PROXY_AUTHORIZATION": "a"}},
		{[]string{"Content-Type: text/plain"}, map[string]string{"CONTENT_TYPE": "text/plain", "HTTP_CONTENT_TYPE": "-"}},
		{[]string{"Content_Type: a"}, map[string]string{"CONTENT_TYPE": "-", "HTTP_CONTENT_TYPE": "-"}},
		{nil, map[string]string{"CONTENT_TYPE": "-", "CONTENT_LENGTH": "-"}},
		{[]string{"Host: other.example"}, map[string]string{"HTTP_HOST": "example.org:81"}},
		{[]string{"X-Latin: \xe9\xff"}, map[string]string{"HTTP_X_LATIN": "\xe9\xff"}},
		{[]string{"X-Empty:"}, map[string]string{"HTTP_X_EMPTY": ""}},
		{[]string{"A!#$%&'*+.^`|~9: odd"}, map[string]string{"HTTP_A!#$%&'*+.^`|~9": "odd"}},
		{[]string{"A: 1", "B: 2", "a: 3", "A: 4"}, map[string]string{"HTTP_A": "1, 3, 4", "HTTP_B": "2"}},
		{[]string{"Accept: 1", "aCCEPT: 2", "Accept-Charset: 3"}, map[string]string{"HTTP_ACCEPT": "1, 2", "HTTP_ACCEPT_CHARSET": "3"}},
		{[]string{"Cookie: a=1", "X-Own: 1", "cookie: b=2"}, map[string]string{"HTTP_COOKIE": "a=1; b=2", "HTTP_X_OWN": "1"}},
		{[]string{"Content-Type: a", "Content-Type: b"}, map[string]string{"CONTENT_TYPE": "a, b"}},
		{[]string{"A: 1", "A: 2", "Proxy: x", "B_C: 1", "Accept: 5"}, map[string]string{"HTTP_A": "1, 2", "HTTP_PROXY": "-", "HTTP_B_C": "-", "HTTP_ACCEPT": "5"}},
	} {
		got := pack(t, request(c.lines...))
		for key, want := range c.want {
			value, ok := got[key]
			if want == "-" && ok {
				t.Errorf("%s of %q = %q, want no such variable", key, c.lines, value)
			}
			if want != "-" && (!ok || value != want) {
				t.Errorf("%s of %q = %q (there: %t), want %q", key, c.lines, value, ok, want)
			}
		}
	}
}

func TestAppend_WritesContentLengthOnlyWhenKnown(t *testing.T) {
	for _, c := range []struct {
		lines   []string
		length  int64
		chunked bool
		want    string // "-" for none
	}{
		{nil, 0, false, "-"},
		{[]string{"Content-Length: 0"}, 0, false, "0"},
		{[]string{"content-length: 0042"}, 42, false, "42"},
		{[]string{"Transfer-Encoding: chunked"}, -1, true, "-"},
		{[]string{"Transfer-Encoding: chunked"}, 7, true, "7"},
		{[]string{"Transfer-Encoding: chunked"}, 0, true, "0"},
		{[]string{"Content-Length: 9223372036854775807"}, 9223372036854775807, false, "9223372036854775807"},
	} {
		r := request(c.lines...)
		r.ContentLength, r.Chunked = c.length, c.chunked
		got, ok := pack(t, r)["CONTENT_LENGTH"]
		if !ok {
			got = "-"
		}
		if got != c.want {
			t.Errorf("CONTENT_LENGTH of %q, %d = %q, want %q", c.lines, c.length, got, c.want)
		}
		if _, ok := pack(t, r)["HTTP_CONTENT_LENGTH"]; ok {
			t.Errorf("HTTP_CONTENT_LENGTH of %q is there, want none", c.lines)
		}
	}
}

func TestAppend_KeepsEmptyVariablesApplicationsReadUnasked(t *testing.T) {
	got := pack(t, &Request{Method: []byte("GET"), Path: []byte("/"), Proto: []byte("HTTP/1.0")})
	for _, key := range []string{"QUERY_STRING", "REMOTE_ADDR", "SCRIPT_NAME", "REMOTE_PORT"} {
		if value, ok := got[key]; !ok || value != "" {
			t.Errorf("%s = %q (there: %t), want it there and empty", key, value, ok)
		}
	}
	for _, key := range []string{"HTTP_HOST", "gowsgi.request_id"} {
		if value, ok := got[key]; ok {
			t.Errorf("%s = %q, want no such variable", key, value)
		}
	}
}

func TestAppend_WritesMountPointAndRequestID(t *testing.T) {
	r := request()
	r.ScriptName, r.RequestID = "/app", []byte("f00")
	got := pack(t, r)
	if got["SCRIPT_NAME"] != "/app" || got["gowsgi.request_id"] != "f00" {
		t.Errorf("SCRIPT_NAME, gowsgi.request_id = %q, %q, want /app, f00", got["SCRIPT_NAME"], got["gowsgi.request_id"])
	}
}

func TestAppend_DropsNamesTooLongForTheLayout(t *testing.T) {
	got := pack(t, request(strings.Repeat("x", 1<<16)+": 1", "Accept: 2"))
	if len(got) != 14 || got["HTTP_ACCEPT"] != "2" {
		t.Errorf("Append wrote %d variables and HTTP_ACCEPT %q, want 14 and 2", len(got), got["HTTP_ACCEPT"])
	}
}

func TestAppend_AddsBehindWhatIsThere(t *testing.T) {
	r := request("A: 1", "A: 2")
	got := Append([]byte("before"), r)
	if want := append([]byte("before"), Append(nil, r)...); !slices.Equal(got, want) {
		t.Errorf("Append(before) = %q, want %q", got, want)
	}
}

func TestAppend_AllocatesNothingWhenThereIsRoom(t *testing.T) {
	buf := make([]byte, 0, 8192)
	for _, r := range []*Request{
		request("Host: a", "Accept: */*", "User-Agent: u", "X-Own: 1", "Content-Length: 5", "Cookie: a"),
		request("X-Own: 1", "X-Own: 2", "Cookie: a", "Cookie: b", "Accept: c", "Under_score: 1"),
	} {
		r.ContentLength = 5
		if n := testing.AllocsPerRun(100, func() { Append(buf, r) }); n != 0 {
			t.Errorf("Append of %d fields allocates %v times, want 0", len(r.Headers), n)
		}
	}
}

func TestKeys_AreDistinctAndFoundByFieldName(t *testing.T) {
	seen := map[string]bool{}
	for i, key := range Keys {
		if key == "" || seen[key] {
			t.Errorf("Keys[%d] = %q, want a new name", i, key)
		}
		seen[key] = true
		if i < firstFieldKey-1 {
			continue
		}
		for _, name := range []string{
			strings.ReplaceAll(key[len("HTTP_"):], "_", "-"),
			strings.ToLower(strings.ReplaceAll(key[len("HTTP_"):], "_", "-")),
		} {
			if got := fieldKey([]byte(name)); got != uint16(i+1) {
				t.Errorf("fieldKey(%q) = %d, want %d (%s)", name, got, i+1, key)
			}
		}
	}
}

func BenchmarkAppend_BrowserRequest(b *testing.B) {
	r := request("Host: example.org:81", "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0",
		"Accept: text/html,application/xhtml+xml", "Accept-Language: en-US,en;q=0.5", "Accept-Encoding: gzip, deflate",
		"Connection: keep-alive", "Cookie: session=0123456789abcdef", "Upgrade-Insecure-Requests: 1",
		"Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: none", "X-Own: 1")
	buf := make([]byte, 0, 8192)
	b.ReportAllocs()
	for b.Loop() {
		Append(buf, r)
	}
}
