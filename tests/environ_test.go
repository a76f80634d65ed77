package tests

// PEP 3333 §environ Variables, as the application finds them.

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// environOf sends a raw request to the echo application and returns its environ.
func environOf(s *Server, request string) map[string]any {
	s.T.Helper()
	c := s.Dial()
	defer c.Close()
	c.Send(request)
	return s.object(c.Read("GET"))["environ"].(map[string]any)
}

// wantEnviron compares some keys; nil means that the key must not be there.
func wantEnviron(t *testing.T, got, want map[string]any) {
	t.Helper()
	for key, value := range want {
		if !reflect.DeepEqual(got[key], value) {
			t.Errorf("environ[%q] = %#v, want %#v", key, got[key], value)
		}
	}
}

// Everything the PEP requires is there, and of the right type.
func TestEnviron_HasWhatThePEPRequires(t *testing.T) {
	twice(t, "echo", func(t *testing.T, s *Server) {
		told := s.object(s.Ask("GET /path?query=1", "X-Extra: yes", "User-Agent: tests"))
		if told["environ_type"] != "dict" {
			t.Errorf("type(environ) = %v, want dict itself", told["environ_type"])
		}
		host, port, _ := strings.Cut(s.Host(), ":")
		wantEnviron(t, told["environ"].(map[string]any), map[string]any{
			"REQUEST_METHOD":        "GET",
			"SCRIPT_NAME":           "",
			"PATH_INFO":             "/path",
			"QUERY_STRING":          "query=1",
			"CONTENT_TYPE":          nil,
			"CONTENT_LENGTH":        nil,
			"SERVER_NAME":           host,
			"SERVER_PORT":           port,
			"SERVER_PROTOCOL":       "HTTP/1.1",
			"HTTP_HOST":             s.Host(),
			"HTTP_X_EXTRA":          "yes",
			"HTTP_USER_AGENT":       "tests",
			"wsgi.version":          []any{1.0, 0.0},
			"wsgi.url_scheme":       "http",
			"wsgi.multithread":      false,
			"wsgi.multiprocess":     false,
			"wsgi.run_once":         false,
			"wsgi.input_terminated": true,
			// beyond the PEP
			"REMOTE_ADDR": "127.0.0.1",
			"REQUEST_URI": "/path?query=1",
			"RAW_URI":     "/path?query=1",
		})
		types := told["types"].(map[string]any)
		for key, want := range map[string]string{"wsgi.version": "tuple", "wsgi.multithread": "bool", "REMOTE_PORT": "str", "SERVER_PORT": "str"} {
			if types[key] != want {
				t.Errorf("type(environ[%q]) = %v, want %s", key, types[key], want)
			}
		}
		for _, key := range []string{"wsgi.input", "wsgi.errors", "wsgi.file_wrapper"} {
			if types[key] == nil {
				t.Errorf("environ has no %q", key)
			}
		}
	})
	software := environOf(Shared(t, "echo"), head("GET /", "Host: a"))["SERVER_SOFTWARE"].(string)
	if !strings.HasPrefix(software, "gowsgi/") {
		t.Errorf("SERVER_SOFTWARE = %q, want gowsgi/VERSION", software)
	}
}

// "…at least one of SCRIPT_NAME and PATH_INFO must be set": the path comes
// percent-decoded as bytes, and is otherwise left alone.
func TestEnviron_PathIsDecodedAndLeftAlone(t *testing.T) {
	s := Shared(t, "echo")
	for target, want := range map[string]map[string]any{
		"/":                      {"PATH_INFO": "/", "QUERY_STRING": ""},
		"/a%20b%2Fc":             {"PATH_INFO": "/a b/c"},
		"//a///b":                {"PATH_INFO": "//a///b"},
		"/a/../b/./c":            {"PATH_INFO": "/a/../b/./c"},
		"/%E2%82%AC":             {"PATH_INFO": "/\u00e2\u0082\u00ac"},
		"/%00":                   {"PATH_INFO": "/\x00"},
		"/a+b?c+d%20e":           {"PATH_INFO": "/a+b", "QUERY_STRING": "c+d%20e"},
		"/?":                     {"PATH_INFO": "/", "QUERY_STRING": "", "REQUEST_URI": "/?"},
		"/a?b?c":                 {"PATH_INFO": "/a", "QUERY_STRING": "b?c"},
		"http://other/x%79?z":    {"PATH_INFO": "/xy", "QUERY_STRING": "z", "HTTP_HOST": "other", "RAW_URI": "http://other/x%79?z"},
		"/;p=1":                  {"PATH_INFO": "/;p=1"},
		"/" + longPath(7000)[1:]: {"PATH_INFO": longPath(7000)},
	} {
		wantEnviron(t, environOf(s, head("GET "+target, "Host: a")), want)
	}
	wantEnviron(t, environOf(s, head("OPTIONS *", "Host: a")), map[string]any{"PATH_INFO": "*", "REQUEST_METHOD": "OPTIONS"})
}

func longPath(n int) string { return "/" + strings.Repeat("p", n-1) }

// "HTTP_ Variables": one for each name; CONTENT_TYPE and CONTENT_LENGTH are not
// doubled, and what can be mistaken for another is dropped.
func TestEnviron_HeadersBecomeVariables(t *testing.T) {
	s := Shared(t, "echo")
	wantEnviron(t, environOf(s, head("POST /", "Host: a", "Content-Type: text/x", "Content-Length: 2", "X-One: 1", "x-two:2",
		"X-Many: a", "Cookie: a=1", "X-MANY:  b ", "Cookie: b=2", "X_Under: no", "Proxy: http://evil", "X-Empty:", "Accept: a", "Accept: b",
		"X-Latin: \xe9", "Authorization: Basic eA==")+"ab"), map[string]any{
		"CONTENT_TYPE":        "text/x",
		"CONTENT_LENGTH":      "2",
		"HTTP_CONTENT_TYPE":   nil,
		"HTTP_CONTENT_LENGTH": nil,
		"HTTP_X_ONE":          "1",
		"HTTP_X_TWO":          "2",
		"HTTP_X_MANY":         "a, b",
		"HTTP_ACCEPT":         "a, b",
		"HTTP_COOKIE":         "a=1; b=2",
		"HTTP_X_UNDER":        nil,
		"HTTP_PROXY":          nil,
		"HTTP_X_EMPTY":        "",
		"HTTP_X_LATIN":        "\u00e9",
		"HTTP_AUTHORIZATION":  "Basic eA==",
		"HTTP_HOST":           "a",
	})
}

// Nothing of one request is found in the next.
func TestEnviron_IsNewForEachRequest(t *testing.T) {
	s := Shared(t, "echo")
	c := s.Dial()
	c.Send(head("POST /first?a=1", "Host: a", "X-First: 1", "Cookie: secret", "Content-Type: x/y", "Content-Length: 1") + "x")
	c.Read("POST")
	c.Send(head("GET /second", "Host: b"))
	wantEnviron(t, s.object(c.Read("GET"))["environ"].(map[string]any), map[string]any{
		"HTTP_X_FIRST": nil, "HTTP_COOKIE": nil, "CONTENT_TYPE": nil, "CONTENT_LENGTH": nil,
		"QUERY_STRING": "", "PATH_INFO": "/second", "HTTP_HOST": "b", "REQUEST_METHOD": "GET",
	})
}

func TestEnviron_HTTP10(t *testing.T) {
	wantEnviron(t, environOf(Shared(t, "echo"), "GET / HTTP/1.0\r\n\r\n"), map[string]any{
		"SERVER_PROTOCOL": "HTTP/1.0", "HTTP_HOST": nil,
	})
}

// Methods are the application's to know.
func TestEnviron_AnyMethod(t *testing.T) {
	s := Shared(t, "echo")
	for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "get", "M-SEARCH"} {
		wantEnviron(t, environOf(s, head(method+" /", "Host: a")), map[string]any{"REQUEST_METHOD": method})
	}
}

// As many and as large fields as are let through arrive: 100, or 64 KiB in all.
func TestEnviron_LargestRequest(t *testing.T) {
	s := Shared(t, "echo")
	for _, c := range []struct{ fields, size int }{{99, 550}, {7, 8100}} {
		fields := []string{"Host: a"}
		want := map[string]any{}
		for i := range c.fields {
			value := fmt.Sprint(i, strings.Repeat("v", c.size))
			fields = append(fields, fmt.Sprintf("X-Field-%d: %s", i, value))
			want[fmt.Sprintf("HTTP_X_FIELD_%d", i)] = value
		}
		wantEnviron(t, environOf(s, head("GET "+longPath(8000), fields...)), want)
	}
}
