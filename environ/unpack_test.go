package environ

import (
	"bytes"
	"strings"
	"testing"
)

func TestUnpack_ReadsBothKindsOfKey(t *testing.T) {
	packed := []byte("\x01\x00\x03\x00\x00\x00GET" + "\x00\x00\x06\x00HTTP_A\x02\x00\x00\x00\xe9 ")
	vars, err := Unpack(packed)
	if err != nil || len(vars) != 2 || vars[0] != (Var{"REQUEST_METHOD", "GET"}) || vars[1] != (Var{"HTTP_A", "\xe9 "}) {
		t.Errorf("Unpack(%q) = %q, %v, want REQUEST_METHOD and HTTP_A", packed, vars, err)
	}
}

func TestUnpack_RefusesSizesBeyondTheBuffer(t *testing.T) {
	for packed, want := range map[string]string{
		"\x01":                                  "key number cut short at offset 0",
		"\xff\x00\x00\x00\x00\x00":              "key number 255 at offset 0 is beyond",
		"\x00\x00\x01":                          "size of a name cut short at offset 0",
		"\x00\x00\x00\x00\x00\x00\x00\x00":      "name of 0 bytes at offset 0",
		"\x00\x00\x05\x00HTTP":                  "name of 5 bytes at offset 0 where 4 are left",
		"\x00\x00\x04\x00HTTP\x00\x00":          "size of a value cut short at offset 8",
		"\x01\x00\x01\x00\x00":                  "size of a value cut short at offset 2",
		"\x01\x00\x02\x00\x00\x00G":             "value of 2 bytes at offset 2 where 1 are left",
		"\x01\x00\xff\xff\xff\xffG":             "value of 4294967295 bytes at offset 2 where 1 are left",
		"\x01\x00\x01\x00\x00\x00G\x02\x00\x01": "size of a value cut short at offset 9",
	} {
		_, err := Unpack([]byte(packed))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Unpack(%q) = %v, want an error with %q", packed, err, want)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(Append(nil, request("A: 1", "Accept: b")))
	f.Add([]byte("\x00\x00\x05\x00HTTP"))
	f.Fuzz(func(t *testing.T, packed []byte) {
		vars, err := Unpack(packed)
		size := 0
		for _, v := range vars {
			size += 6 + len(v.Value)
		}
		if size > len(packed) {
			t.Errorf("Unpack(%q) gave %d bytes of variables, want at most %d", packed, size, len(packed))
		}
		if err == nil && len(packed) > 0 && len(vars) == 0 {
			t.Errorf("Unpack(%q) = nothing and no error, want one of both", packed)
		}
	})
}

// joined says what Append must make of the fields called name, computed the obvious way.
func joined(headers []Header, name string) string {
	separator := ", "
	if name == "HTTP_COOKIE" {
		separator = "; "
	}
	var values []string
	for _, h := range headers {
		if variable(h.Name) == name {
			values = append(values, string(h.Value))
		}
	}
	return strings.Join(values, separator)
}

// variable gives the variable a field becomes, "" when it is dropped or written from elsewhere.
func variable(field []byte) string {
	upper := make([]byte, 0, len(field))
	for _, c := range field {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper = append(upper, c)
	}
	name := strings.ReplaceAll(string(upper), "-", "_")
	switch {
	case bytes.ContainsAny(field, "_\x00"), name == "PROXY", name == "HOST", name == "CONTENT_LENGTH", name == "":
		return ""
	case name == "CONTENT_TYPE":
		return name
	}
	return "HTTP_" + name
}

func FuzzAppend(f *testing.F) {
	f.Add("/a%20b", "q=1", "Accept", "1", "accept", "2", "X-Own", "3")
	f.Add("*", "", "Cookie", "a", "cookie", "b", "Proxy", "c")
	f.Add("/%", "%", "A_B", "1", "A-B", "2", "a-b", "3")
	f.Fuzz(func(t *testing.T, path, query, n1, v1, n2, v2, n3, v3 string) {
		r := request()
		r.Path, r.Query = []byte(path), []byte(query)
		r.Headers = []Header{{[]byte(n1), []byte(v1)}, {[]byte(n2), []byte(v2)}, {[]byte(n3), []byte(v3)}}
		got := pack(t, r)
		if got["QUERY_STRING"] != query {
			t.Errorf("QUERY_STRING = %q, want %q", got["QUERY_STRING"], query)
		}
		if len(got["PATH_INFO"]) > len(path) || !strings.Contains(path, "%") && got["PATH_INFO"] != path {
			t.Errorf("PATH_INFO = %q, want %q decoded", got["PATH_INFO"], path)
		}
		for _, h := range r.Headers {
			name := variable(h.Name)
			if name == "" || name == "HTTP_HOST" || len(name) > 1<<16-1 {
				continue
			}
			if want := joined(r.Headers, name); got[name] != want {
				t.Errorf("%s = %q, want %q", name, got[name], want)
			}
		}
	})
}
