package tests

// PEP 3333, section by section, in its own order. Where gowsgi is stricter than
// the text, or the text leaves a choice, the test says what it does.
// https://peps.python.org/pep-3333/

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// --- Specification Overview ------------------------------------------------

// "A Note On String Types": native strings are str everywhere, bytestrings are
// bytes. The body blocks of other types are under "The Application/Framework
// Side"; header strings under "The start_response() Callable".
func TestPEP3333_StringTypes_EnvironHoldsNativeStrings(t *testing.T) {
	s := Shared(t, "echo")
	told := s.object(s.Ask("/caf%C3%A9?q=%FF", "X-Bytes: \xe9\xff"))
	if odd := told["odd_keys"].([]any); len(odd) > 0 {
		t.Errorf("keys that are not str = %v, want none", odd)
	}
	for key, kind := range told["types"].(map[string]any) {
		if !strings.HasPrefix(key, "wsgi.") && kind != "str" {
			t.Errorf("type(environ[%q]) = %v, want str", key, kind)
		}
	}
}

// "The Application/Framework Side": any callable will do.
func TestPEP3333_ApplicationSide_AnyCallable(t *testing.T) {
	for app, want := range map[string]string{
		"hello:application":                       "Hello, World!\n", // a function
		"misbehave.nested:Iterable":               "Iterable\n",      // a class
		"misbehave.nested:instance":               "instance\n",      // an object with __call__
		"misbehave.nested:bound":                  "bound\n",
		"misbehave.nested:partial":                "partial\n",
		"misbehave.nested:site.application":       "site.application\n",
		"misbehave.nested:site.inner.application": "site.inner.application\n",
	} {
		t.Run(app, func(t *testing.T) {
			for _, argument := range []string{app, validated(app)} {
				s := Start(t, argument)
				s.compare(s.Ask("/"), Want{Path: "/", Body: want})
				s.Stop()
			}
		})
	}
}

// "It must be invoked … with positional (not keyword) arguments."
func TestPEP3333_ApplicationSide_ArgumentsArePositional(t *testing.T) {
	s := Start(t, "misbehave.nested:positional")
	s.compare(s.Ask("/"), Want{Path: "/", Body: "positional\n"})
}

// "Application objects must be able to be invoked more than once."
func TestPEP3333_ServerSide_CallsOncePerRequest(t *testing.T) {
	s := Start(t, "misbehave.threads")
	c := s.Dial()
	for i := 1; i <= 20; i++ {
		told := s.object(c.Get("/local"))
		if told["count"] != float64(i) {
			t.Fatalf("request %d: calls so far = %v, want %d", i, told["count"], i)
		}
	}
}

// "Middleware": gowsgi cannot tell it from an application; wsgiref.validate is
// one that checks what passes through, and stands around every application
// that keeps the rules in the tests below.
func TestPEP3333_Middleware_ValidatorFindsNothing(t *testing.T) {
	for _, app := range []string{"hello", "echo", "stream", "upload", "demo", "flask_app:app"} {
		t.Run(app, func(t *testing.T) {
			s := Shared(t, validated(app))
			for _, request := range []string{"GET /", "HEAD /", "GET /?blocks=3&size=10", "OPTIONS /"} {
				if r := s.Ask(request); r.Status >= 500 {
					t.Errorf("%s = %s, want less than 500", request, r.Line())
				}
			}
			s.Post("/", "a=1&b=2", "Content-Type: application/x-www-form-urlencoded")
			for _, line := range s.Log() {
				if strings.Contains(line, "AssertionError") || strings.Contains(line, "WSGIWarning") {
					t.Errorf("wsgiref.validate says %q", line)
				}
			}
		})
	}
}

// --- Specification Details -------------------------------------------------

// "The application object must return an iterable yielding zero or more
// bytestrings."
func TestPEP3333_Details_IterablesOfEveryShape(t *testing.T) {
	twice(t, "misbehave.blocks", func(t *testing.T, s *Server) {
		for _, want := range []Want{
			{Path: "/one", Body: "one\n"},
			{Path: "/several", Body: "one\ntwo\nthree\n"},
			{Path: "/tuple", Body: "one\ntwo\n"},
			{Path: "/none-yielded"},
			{Path: "/all-empty"},
			{Path: "/empty-between", Body: "one\ntwo\n"},
			{Path: "/len-one", Body: "one\n"},
		} {
			s.check(want)
		}
	})
	s := Shared(t, "misbehave.blocks")
	// iter() takes old sequences too; the validator insists on __iter__.
	s.check(Want{Path: "/getitem", Body: "one\ntwo\n"})
	// A subclass of bytes is bytes, and its __len__ is not asked.
	s.check(Want{Path: "/bytes-subclass", Body: "one\n"})
}

// Blocks that are not bytes: the error names what came. bytearray and
// memoryview are refused too: the PEP wants "bytestrings", and gowsgi is strict.
func TestPEP3333_Details_BlocksThatAreNoBytes(t *testing.T) {
	s := Shared(t, "misbehave.blocks")
	names := map[string]string{
		"str": "str", "none": "NoneType", "int": "int", "float": "float",
		"list": "list", "bytearray": "bytearray", "memoryview": "memoryview",
	}
	for what, name := range names {
		log := "must give bytes, not " + name
		s.check(Want{Path: "/yields?what=" + what, Outcome: Failed, Log: log})
		s.check(Want{Path: "/yields?after=1&what=" + what, Outcome: Aborted, Body: "good\n", Log: log})
	}
}

// What is no iterable of bytestrings at all.
func TestPEP3333_Details_WrongIterables(t *testing.T) {
	s := Shared(t, "misbehave.blocks")
	for _, want := range []Want{
		{Path: "/bytes", Log: "must give bytes, not int"},
		{Path: "/str", Log: "must give bytes, not str"},
		{Path: "/none", Log: "TypeError: 'NoneType' object is not iterable"},
		{Path: "/number", Log: "TypeError: 'int' object is not iterable"},
		{Path: "/iter-raises", Log: "RuntimeError: blocks refuse to be iterated"},
		{Path: "/iter-none", Log: "TypeError: iter() returned non-iterator of type 'NoneType'"},
	} {
		want.Outcome = Failed
		s.check(want)
	}
}

// "If a call to len(iterable) succeeds, the server must be able to rely on the
// result being accurate." When it is not, the response is what len() promised.
func TestPEP3333_Details_LengthOfTheIterable(t *testing.T) {
	s := Shared(t, "misbehave.blocks")
	if r := s.check(Want{Path: "/one", Body: "one\n"}); r.Framing != Length {
		t.Errorf("GET /one: framing = %s, want %s: one item tells the length", r.Framing, Length)
	}
	if r := s.check(Want{Path: "/len-one", Body: "one\n"}); r.Framing != Length {
		t.Errorf("GET /len-one: framing = %s, want %s", r.Framing, Length)
	}
	if r := s.check(Want{Path: "/several", Body: "one\ntwo\nthree\n"}); r.Framing != Chunked {
		t.Errorf("GET /several: framing = %s, want %s: not held back to be counted", r.Framing, Chunked)
	}
	s.check(Want{Path: "/len-raises", Body: "one\n"})
	s.check(Want{Path: "/len-lies", Body: "one\n", Log: "longer than its Content-Length"})
}

// "If the iterable returned by the application has a close() method, the server
// must call that method upon completion of the current request, whether the
// request was completed normally, or terminated early."
func TestPEP3333_Details_CloseIsCalledOnce(t *testing.T) {
	twice(t, "misbehave.closing", func(t *testing.T, s *Server) {
		for _, want := range []Want{
			{Path: "/normal", Body: "one\ntwo\n"},
			{Path: "/empty"},
			{Path: "/raises-before", Outcome: Failed, Log: "RuntimeError: closing fails in the first step"},
			{Path: "/raises-after", Outcome: Aborted, Body: "one\n", Log: "RuntimeError: closing fails in the second step"},
			{Path: "/wrong-block", Outcome: Failed, Log: "Error"},
			{Path: "/separate", Body: "one\ntwo\n"},
		} {
			mark := newMarkFile(t)
			path := want.Path
			want.Path += "?mark=" + url.QueryEscape(mark.path)
			s.check(want)
			if got := mark.lines(); !reflect.DeepEqual(got, []string{"closed"}) {
				t.Errorf("GET %s: close() calls = %q, want one", path, got)
			}
		}
	})
	s := Shared(t, "misbehave.closing")
	for _, want := range []Want{
		{Path: "/unstarted", Outcome: Failed, Log: "AssertionError"},
		{Path: "/bad-headers", Outcome: Failed, Log: "TypeError: header value must be str, not int"},
		{Path: "/cut", Body: "one\n", Log: "longer than its Content-Length"},
		{Path: "/generator", Body: "one\n", Log: "longer than its Content-Length"},
		{Path: "/both-raise", Outcome: Aborted, Body: "one\n", Log: "RuntimeError: closing fails in close()"},
	} {
		mark := newMarkFile(t)
		path := want.Path
		want.Path += "?mark=" + url.QueryEscape(mark.path)
		s.check(want)
		mark.await("closed")
		if got := mark.lines(); len(got) != 1 {
			t.Errorf("GET %s: close() calls = %q, want one", path, got)
		}
	}
}

// close() is called for HEAD as for GET.
func TestPEP3333_Details_CloseIsCalledAfterHead(t *testing.T) {
	twice(t, "misbehave.closing", func(t *testing.T, s *Server) {
		for _, path := range []string{"/normal", "/empty", "/raises-before"} {
			mark := newMarkFile(t)
			s.Ask("HEAD " + path + "?mark=" + url.QueryEscape(mark.path))
			mark.await("closed")
			if got := mark.lines(); len(got) != 1 {
				t.Errorf("HEAD %s: close() calls = %q, want one", path, got)
			}
		}
	})
}

// A close() that fails comes after the answer: it is logged and changes nothing.
func TestPEP3333_Details_CloseThatFails(t *testing.T) {
	s := Shared(t, "misbehave.closing")
	for _, want := range []Want{
		{Path: "/close-raises", Body: "one\n", Log: "RuntimeError: closing fails in close()"},
		{Path: "/not-callable", Body: "one\n", Log: "TypeError: 'int' object is not callable"},
		{Path: "/exits", Body: "one\n", Log: "SystemExit"},
	} {
		s.check(want)
	}
	s.check(Want{Path: "/both-raise", Outcome: Aborted, Body: "one\n", Log: "RuntimeError: closing fails in the second step"})
}

// Terminated early: the client has gone. Iteration stops and close() is called.
func TestPEP3333_Details_CloseIsCalledWhenTheClientLeaves(t *testing.T) {
	twice(t, "misbehave.closing", func(t *testing.T, s *Server) {
		for _, path := range []string{"/endless", "/waits"} {
			mark := newMarkFile(t)
			file := filepath.Join(t.TempDir(), "go-on")
			c := s.Dial()
			c.Send(head("GET "+path+"?mark="+url.QueryEscape(mark.path)+"&file="+url.QueryEscape(file), "Host: tests"))
			r := c.ReadHead("GET")
			c.ReadBlock(r)
			_ = c.Close()
			touch(t, file)
			mark.await("closed")
			s.Ask("/counts") // the worker is through with it
			if got := mark.lines(); len(got) != 1 {
				t.Errorf("GET %s: close() calls = %q, want one", path, got)
			}
		}
	})
}

// --- environ Variables: environ_test.go ------------------------------------

// --- Input and Error Streams -----------------------------------------------

// read(size), readline(), readlines(hint), __iter__(): "the semantics of each
// method are as documented in the Python Library Reference".
func TestPEP3333_Input_EveryWayOfReading(t *testing.T) {
	bodies := map[string]string{
		"small":   "one\ntwo\n\nlast without an end",
		"one":     "\n",
		"ring":    strings.Repeat("0123456789abcde\n", 20000),      // 320 kB: streamed
		"no-line": strings.Repeat("x", 600_000),                    // longer than any buffer
		"mixed":   strings.Repeat("y", 70_000) + "\n" + "z\n\n\nz", // a line over buffers
	}
	test := func(t *testing.T, s *Server, hows []string) {
		for name, body := range bodies {
			for _, how := range hows {
				if name == "no-line" && strings.HasSuffix(how, "n=1") {
					continue // 600,000 calls show nothing more than 320,000
				}
				r := s.Post("/?how="+how, body)
				told := s.object(r)
				if told["length"] != float64(len(body)) || told["sha256"] != sha256of(body) {
					t.Errorf("%s of %s body: %v, want %d bytes %s", how, name, told, len(body), sha256of(body))
				}
			}
		}
	}
	t.Run("bare", func(t *testing.T) {
		test(t, Shared(t, "upload"), []string{
			"read", "read-n", "read-n&n=1", "read-n&n=1000", "read-n&n=1000000",
			"readline", "readline&n=7", "readlines", "readlines&n=5000", "iter",
			"readinto", "readinto&n=3", "past-end",
		})
	})
	t.Run("validated", func(t *testing.T) {
		// The validator allows no read() without a size, and no readinto().
		test(t, Shared(t, validated("upload")), []string{"read-n", "read-n&n=1000", "readline", "readlines", "readlines&n=5000", "iter"})
	})
}

// "The server … should simulate an end-of-file condition if the application
// attempts to read past that point."
func TestPEP3333_Input_NeverPastTheEnd(t *testing.T) {
	s := Shared(t, "upload")
	c := s.Dial()
	// The next request is on the wire already: its bytes must not be handed out.
	c.Send(head("POST /?how=past-end", "Host: tests", "Content-Length: 5") + "12345" +
		head("POST /?how=past-end", "Host: tests", "Content-Length: 0") +
		head("GET /?how=past-end", "Host: tests"))
	for i, length := range []float64{5, 0, 0} {
		told := s.object(c.Read("POST"))
		want := []any{"b''", "b''", "b''", "[]", "[]", "b''"}
		if told["length"] != length || !reflect.DeepEqual(told["after_end"], want) {
			t.Errorf("request %d: length %v, at the end %v; want %v and %v", i+1, told["length"], told["after_end"], length, want)
		}
	}
}

// A body the application does not read does not spoil the connection.
func TestPEP3333_Input_UnreadBody(t *testing.T) {
	s := Shared(t, "upload")
	c := s.Dial()
	for _, how := range []string{"none", "half", "none"} {
		c.Send(head("POST /?how="+how, "Host: tests", "Content-Length: 20000") + strings.Repeat("u", 20000))
		if r := c.Read("POST"); r.Status != 200 {
			t.Errorf("POST with how=%s = %s, want 200", how, r.Line())
		}
	}
	s = Shared(t, "misbehave.reading")
	c = s.Dial()
	for range 2 {
		c.Send(head("POST /ignored", "Host: tests", "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n")
		if r := c.Read("POST"); r.Body != "ignored\n" {
			t.Errorf("POST /ignored = %q, want ignored", r.Body)
		}
	}
}

func TestPEP3333_Input_OddCalls(t *testing.T) {
	s := Shared(t, "misbehave.reading")
	body := strings.Repeat("b", 3000)
	for path, want := range map[string]string{
		"/zero":     `{"length": 3000, "results": ["b''", "b''"]}`,
		"/enormous": `{"length": 3000}`,
		"/negative": `{"length": 3000}`,
		"/none":     `{"length": 3000}`,
		"/bytewise": `{"length": 3000}`,
		"/arguments": `{"length": 3000, "raised": {"read-float": "raised TypeError", "read-str": "raised TypeError", ` +
			`"read-two": "raised TypeError", "readinto-bytes": "raised BufferError", "readinto-none": "raised TypeError", ` +
			`"readline-str": "raised TypeError", "readlines-str": "raised TypeError"}}`,
		// The PEP gives the input no close(); ours does nothing.
		"/closes": `{"after": "b'bbbbbbbbbb'", "closed": true}`,
		"/duplex": body,
	} {
		got := s.Post(path, body).Body
		if path == "/arguments" {
			// Which exception readinto raises for a read-only buffer is CPython's choice.
			got = strings.Replace(got, `"readinto-bytes": "raised TypeError"`, `"readinto-bytes": "raised BufferError"`, 1)
		}
		if got != want {
			t.Errorf("POST %s = %.300q, want %.300q", path, got, want)
		}
	}
}

// The body may be read after the response has begun, by another thread, or by
// two of which gowsgi lets one through and gives the other an error: no byte is
// lost.
func TestPEP3333_Input_ReadLateAndElsewhere(t *testing.T) {
	s := Shared(t, "misbehave.reading")
	if r := s.Post("/late", strings.Repeat("l", 500_000)); r.Body != "early\n500000\n" || r.Broken != nil {
		t.Errorf("POST /late = %q, %v, want early, 500000", r.Body, r.Broken)
	}
	s = Shared(t, "misbehave.threads")
	for _, path := range []string{"/reads", "/two-readers"} {
		if r := s.Post(path, strings.Repeat("t", 400_000)); r.Body != `{"length": 400000}` {
			t.Errorf("POST %s = %q, want length 400000", path, r.Body)
		}
	}
}

// wsgi.errors is a text stream: write, writelines, flush.
func TestPEP3333_Errors_LinesReachTheLog(t *testing.T) {
	s := Shared(t, "misbehave.complaining")
	for path, lines := range map[string][]string{
		"/write":      {"one two"},
		"/writelines": {"one", "two"},
		"/print":      {"printed"},
		"/flush":      {"flushed"},
		"/non-ascii":  {"é € 漢 😀"},
		"/surrogate":  {`\ud800`},
		"/in-close":   {"closing"},
		"/stderr":     {"stderr"},
		"/stderr-raw": {"raw stderr"},
		"/logging":    {"logged"},
		"/warnings":   {"warned"},
	} {
		mark := s.Mark()
		word := fmt.Sprintf("word-%s-%d", path[1:], mark) // Python shows a warning once
		if r := s.Ask(path + "?id=" + word); r.Body != "ok\n" {
			t.Errorf("GET %s = %s %q, want ok", path, r.Line(), r.Body)
		}
		for _, line := range lines {
			s.WaitForSince(mark, word+" "+line)
		}
	}
}

// A partial line is in the log once the request is over… and a control character
// from an application's complaint does not forge a line of gowsgi's.
func TestPEP3333_Errors_OddText(t *testing.T) {
	s := Shared(t, "misbehave.complaining")
	s.Ask("/partial?id=partial-word")
	s.Ask("/print?id=after-partial")
	s.WaitFor("partial-word no line feed")
	s.WaitFor("after-partial printed")
	s.Ask("/blank")
	s.Ask("/control?id=control-word")
	s.WaitFor("control-word ")
	if r := s.Ask("/bytes"); r.Body != "refused TypeError\n" {
		t.Errorf("wsgi.errors.write(b'…') = %q, want TypeError", r.Body)
	}
	if r := s.Ask("/long?id=long-word&size=300000"); r.Body != "ok\n" {
		t.Errorf("a line of 300,000 characters: %q, want ok", r.Body)
	}
	s.WaitFor("long-word")
	s.check(Want{Path: "/no-stderr", Outcome: Failed, Log: "RuntimeError: complaining without stderr, as asked"})
}

// Every line once, in order, though there are many.
func TestPEP3333_Errors_ManyLinesInOrder(t *testing.T) {
	s := Shared(t, "misbehave.complaining")
	mark := s.Mark()
	s.Ask("/many?id=many-word&count=3000")
	s.WaitForSince(mark, "many-word 2999")
	next := 0
	for _, line := range s.LogSince(mark) {
		if _, number, found := strings.Cut(line, "many-word "); found {
			if number != fmt.Sprint(next) {
				t.Fatalf("line %d = %q, want number %d", next, line, next)
			}
			next++
		}
	}
	if next != 3000 {
		t.Errorf("lines = %d, want 3000", next)
	}
}

// "…must not close it": one that does spoils neither the worker nor the next.
func TestPEP3333_Errors_ClosedByTheApplication(t *testing.T) {
	s := Start(t, "misbehave.complaining")
	s.Ask("/close?id=close-word")
	s.Ask("/print?id=after-close")
	s.WaitFor("after-close printed")
}

func TestPEP3333_Errors_HasTheMethods(t *testing.T) {
	s := Shared(t, "echo")
	told := s.object(s.Ask("/"))
	if want := []any{"write", "writelines", "flush"}; !reflect.DeepEqual(told["errors_methods"], want) {
		t.Errorf("methods of wsgi.errors = %v, want %v", told["errors_methods"], want)
	}
}

// --- The start_response() Callable -----------------------------------------

func TestPEP3333_StartResponse_CalledInOddWays(t *testing.T) {
	s := Shared(t, "misbehave.start_response")
	for _, want := range []Want{
		{Path: "/never", Outcome: Failed, Log: "before it called start_response"},
		{Path: "/never-empty", Outcome: Failed, Log: "before it called start_response"},
		{Path: "/in-close", Outcome: Failed, Log: "before it called start_response"},
		// "…before the first body bytestring": the early block is not sent.
		{Path: "/late", Outcome: Failed, Log: "before it called start_response"},
		{Path: "/lazy", Body: "lazy\n"},
		// "It is a fatal error to call start_response without the exc_info
		// argument if start_response has already been called."
		{Path: "/twice", Outcome: Failed, Log: "AssertionError: start_response is called twice without exc_info"},
		{Path: "/twice-caught", Body: "refused AssertionError\n"},
		{Path: "/exc-info-none", Body: "refused AssertionError\n"},
		{Path: "/no-arguments", Body: "refused TypeError\n"},
	} {
		s.check(want)
	}
	twice(t, "misbehave.start_response", func(t *testing.T, s *Server) {
		s.check(Want{Path: "/lazy", Body: "lazy\n"})
	})
}

// Statuses and headers are checked when start_response is called, which the PEP
// recommends: "Servers should check for errors in the headers at the time
// start_response is called, so that an error can be raised while the
// application is still running."
func TestPEP3333_StartResponse_RefusesWrongStatusAndHeaders(t *testing.T) {
	s := Shared(t, "misbehave.headers")
	for _, name := range headerNames(s, "refused") {
		r := s.Ask("/refused/" + name)
		s.compare(r, Want{Path: "/refused/" + name, Outcome: Failed})
		for _, field := range r.Fields {
			if strings.HasPrefix(field.Name, "X-") && field.Name != "X-Request-ID" {
				t.Errorf("/refused/%s: field %v reached the client", name, field)
			}
		}
		if r := s.Ask("/refused/" + name + "?caught=1"); r.Line() != "200 OK" ||
			r.Body != "refused TypeError\n" && r.Body != "refused ValueError\n" {
			t.Errorf("/refused/%s, caught = %s %q, want 200 OK refused TypeError or ValueError", name, r.Line(), r.Body)
		}
	}
	// Stricter than the PEP, which has no word on them: they would fall to the
	// HTTP engine to drop, silently, or to a client to choke on.
	for _, name := range []string{"status-bare", "status-000", "hop-trailer", "hop-proxy-connection"} {
		s.check(Want{Path: "/either/" + name, Outcome: Failed, Log: "ValueError"})
	}
}

// What is odd and right passes unchanged.
func TestPEP3333_StartResponse_PassesOddStatusAndHeaders(t *testing.T) {
	s := Shared(t, "misbehave.headers")
	type passed struct {
		status string
		fields map[string][]string
	}
	odd := func(value string) passed { return passed{"200 OK", map[string][]string{"X-Odd": {value}}} }
	wanted := map[string]passed{
		"none":                       {"200 OK", nil},
		"value-latin-1":              odd("caf\u00e9 \u00ff"),
		"value-empty":                odd(""),
		"value-tab":                  odd("a\tb"),
		"value-long":                 odd(strings.Repeat("v", 4096)),
		"name-every-token-character": {"200 OK", map[string][]string{"X!#$%&'*+-.^_`|~09aZ": {"value"}}},
		"cookies":                    {"200 OK", map[string][]string{"Set-Cookie": {"a=1", "b=2"}}},
		"own-date":                   {"200 OK", map[string][]string{"Date": {"Thu, 01 Jan 1970 00:00:00 GMT"}}},
		"own-server":                 {"200 OK", map[string][]string{"Server": {"somebody else"}}},
		"reason-odd":                 {"200 Quite all right, caf\u00e9", nil},
		"reason-empty":               {"200 ", nil},
		"status-unassigned":          {"299 Unassigned", nil},
	}
	names := headerNames(s, "passed")
	if len(names) != len(wanted) {
		t.Errorf("passed = %v, and %d are known here", names, len(wanted))
	}
	for _, name := range names {
		want := wanted[name]
		r := s.check(Want{Path: "/passed/" + name, Status: want.status, Body: "body\n"})
		for field, values := range want.fields {
			if got := r.Values(field); !reflect.DeepEqual(got, values) {
				t.Errorf("/passed/%s: %s = %q, want %q", name, field, got, values)
			}
		}
	}
	for _, name := range []string{"status-subclass", "name-status", "name-subclass", "value-subclass", "item-subclass", "status-999"} {
		if r := s.Ask("/either/" + name); r.Body != "body\n" {
			t.Errorf("/either/%s = %s %q, want body", name, r.Line(), r.Body)
		}
	}
}

// What only the strictly valid subset of the above is, behind the validator.
func TestPEP3333_StartResponse_ValidatedHeaders(t *testing.T) {
	s := Shared(t, validated("misbehave.headers"))
	for _, name := range []string{"value-empty", "value-long", "cookies", "own-date", "own-server"} {
		s.check(Want{Path: "/passed/" + name, Body: "body\n"})
	}
}

func headerNames(s *Server, table string) []string {
	s.T.Helper()
	var names []string
	for _, name := range s.object(s.Ask("/names"))[table].([]any) {
		names = append(names, name.(string))
	}
	if len(names) < 10 {
		s.T.Fatalf("names of %s = %v, want a table", table, names)
	}
	return names
}

// Many and large headers: passed on up to 1 MiB in all, refused beyond.
func TestPEP3333_StartResponse_HeadersOfAnySize(t *testing.T) {
	s := Shared(t, "misbehave.headers")
	r := s.check(Want{Path: "/huge?size=900000", Body: "body\n"})
	if got := len(r.Value("X-Odd")); got != 900000 {
		t.Errorf("len(X-Odd) = %d, want 900000", got)
	}
	s.check(Want{Path: "/huge?size=1100000", Outcome: Failed, Log: "ValueError: response headers are larger"})
	r = s.check(Want{Path: "/many?count=5000", Body: "body\n"})
	if got := len(r.Fields); got < 5000 {
		t.Errorf("fields = %d, want 5000 and ours", got)
	}
	s.check(Want{Path: "/many?count=70000", Outcome: Failed, Log: "ValueError: response headers are larger"})
}

// "The list may be changed by the server in any way": by the application after
// the call it changes nothing, the headers were copied.
func TestPEP3333_StartResponse_HeadersAreCopied(t *testing.T) {
	s := Shared(t, "misbehave.headers")
	r := s.check(Want{Path: "/changed", Body: "body\n"})
	if r.Value("X-Before") != "1" || r.Values("X-After") != nil {
		t.Errorf("X-Before = %q, X-After = %q; want 1 and none", r.Value("X-Before"), r.Value("X-After"))
	}
}

// "…if the server … must not actually transmit the response headers" before the
// first non-empty block: see /empty-replaced and /exc-info-before below.

// --- Handling the Content-Length Header ------------------------------------

// "If the application does … the server must not transmit more bytes than
// Content-Length allows, and should stop iterating, or raise an error when
// write() is called with too much."
func TestPEP3333_ContentLength_TooMuchIsCut(t *testing.T) {
	s := Shared(t, "misbehave.lengths")
	for _, path := range []string{"/cut", "/cut-blocks", "/cut-write"} {
		s.check(Want{Path: path, Body: "one\n", Log: "longer than its Content-Length"})
		// On a kept connection the next response must be found intact.
		c := s.Dial()
		for range 2 {
			if r := c.Get(path); r.Body != "one\n" || r.Framing != Length {
				t.Errorf("GET %s = %q (%s), want one by its length", path, r.Body, r.Framing)
			}
		}
	}
	s.check(Want{Path: "/zero", Log: "longer than its Content-Length"})
}

// "If the application does not provide enough data … the server should close
// the connection, log or report an error."
func TestPEP3333_ContentLength_TooLittleBreaksTheResponse(t *testing.T) {
	s := Shared(t, "misbehave.lengths")
	c := s.Dial()
	c.Send(head("GET /short", "Host: tests"))
	r := c.Read("GET")
	s.compare(r, Want{Path: "/short", Outcome: Aborted, Body: "one\n"})
	s.WaitFor("could not be completed")
	c = s.Dial()
	c.Send(head("GET /short-none", "Host: tests"))
	_ = c.SetReadDeadline(deadline())
	if r, err := readHead(c.reader, "GET"); err == nil {
		c.ReadBody(r)
		if r.Broken == nil {
			t.Errorf("GET /short-none = %s %q, complete; want it broken", r.Line(), r.Body)
		}
	}
}

func TestPEP3333_ContentLength_OddValues(t *testing.T) {
	s := Shared(t, "misbehave.lengths")
	for _, value := range []string{"abc", "-4", "+4", "4_0", "4, 4", "0x4", "", "4.0", "99999999999999999999", "９"} {
		path := "/odd?value=" + url.QueryEscape(value)
		if r := s.Ask(path); r.Status != 500 {
			t.Errorf("Content-Length %q: %s, want 500", value, r.Line())
		}
		s.WaitFor("GET " + path) // or it would count as the next one's line
	}
	s.check(Want{Path: "/twice-same", Body: "one\n"})
	s.check(Want{Path: "/twice-different", Outcome: Failed, Log: "two Content-Length headers"})
}

// "If … the iterable's len() is 1 … the server can determine Content-Length";
// otherwise "chunked encoding" for HTTP/1.1: see TestPEP3333_Details_LengthOfTheIterable.

// --- Buffering and Streaming -----------------------------------------------

// "WSGI servers … must not delay the transmission of any block; they must
// either fully transmit the block to the client, or guarantee that they will
// continue transmission even while the application is producing its next."
func TestPEP3333_Streaming_BlockArrivesBeforeTheNextIsAskedFor(t *testing.T) {
	twice(t, "stream", func(t *testing.T, s *Server) {
		file := filepath.Join(t.TempDir(), "release")
		c := s.Dial()
		c.Send(head("GET /sync?file="+url.QueryEscape(file), "Host: tests"))
		r := c.ReadHead("GET")
		if block, _ := c.ReadBlock(r); block != "first\n" {
			t.Fatalf("first block = %q, want first", block)
		}
		touch(t, file)
		c.ReadBody(r)
		if r.Body != "first\nsecond\n" || r.Broken != nil {
			t.Errorf("body = %q, %v; want first, second", r.Body, r.Broken)
		}
	})
}

// The same with another thread of the worker as the witness.
func TestPEP3333_Streaming_BlockArrivesWhileAnotherThreadServes(t *testing.T) {
	s := Shared(t, "stream", "--threads", "2")
	c := s.Dial()
	c.Send(head("GET /gate?id=a", "Host: tests"))
	r := c.ReadHead("GET")
	if block, _ := c.ReadBlock(r); block != "first\n" {
		t.Fatalf("first block = %q, want first", block)
	}
	if r := s.Ask("/release?id=a"); r.Status != 200 {
		t.Fatalf("GET /release = %s, want 200", r.Line())
	}
	c.ReadBody(r)
	if r.Body != "first\nsecond\n" || r.Broken != nil {
		t.Errorf("body = %q, %v; want first, second", r.Body, r.Broken)
	}
}

// The last block that Content-Length leaves room for is no exception.
func TestPEP3333_Streaming_LastBlockDoesNotWaitForTheEnd(t *testing.T) {
	s := Shared(t, "misbehave.slow")
	mark := newMarkFile(t)
	c := s.Dial()
	c.Send(head("GET /closing?seconds=3&mark="+url.QueryEscape(mark.path), "Host: tests"))
	r := c.Read("GET")
	if r.Body != "body\n" || r.Broken != nil {
		t.Errorf("body = %q, %v; want body", r.Body, r.Broken)
	}
	if lines := mark.lines(); len(lines) > 1 {
		t.Errorf("the response came after close() had %q", lines[1])
	}
	mark.await("ended")
}

// One chunk for each block: block boundaries are not ours to change, but empty
// blocks are no chunks, for that would end the body.
func TestPEP3333_Streaming_OneChunkPerBlock(t *testing.T) {
	s := Shared(t, "misbehave.blocks")
	file := s.Ask("/empty-between")
	if file.Framing != Chunked || file.Body != "one\ntwo\n" {
		t.Errorf("GET /empty-between = %q (%s), want one, two (chunked)", file.Body, file.Framing)
	}
	if r := s.Ask("/big?size=5000000"); len(r.Body) != 5_000_000 || r.Broken != nil {
		t.Errorf("GET /big: %d bytes, %v; want 5000000", len(r.Body), r.Broken)
	}
	if r := s.Ask("/tiny?count=20000"); r.Body != strings.Repeat("t", 20_000) || r.Broken != nil {
		t.Errorf("GET /tiny: %d bytes, %v; want 20000", len(r.Body), r.Broken)
	}
}

// "The write() Callable": old, and it must transmit before it returns.
func TestPEP3333_Write_Sends(t *testing.T) {
	twice(t, "misbehave.start_response", func(t *testing.T, s *Server) {
		s.check(Want{Path: "/write", Body: "one\ntwo\n"})
		s.check(Want{Path: "/write-before", Body: "one\ntwo\nthree\nfour\n"})
		s.check(Want{Path: "/write-empty", Body: "after\n"})
		file := filepath.Join(t.TempDir(), "release")
		c := s.Dial()
		c.Send(head("GET /write-sync?file="+url.QueryEscape(file), "Host: tests"))
		r := c.ReadHead("GET")
		if block, _ := c.ReadBlock(r); block != "first\n" {
			t.Fatalf("first block = %q, want first", block)
		}
		touch(t, file)
		c.ReadBody(r)
		if r.Body != "first\nsecond\n" || r.Broken != nil {
			t.Errorf("body = %q, %v; want first, second", r.Body, r.Broken)
		}
	})
}

func TestPEP3333_Write_WronglyUsed(t *testing.T) {
	s := Shared(t, "misbehave.start_response")
	// "Applications must not … write() within the iterable": the order is kept.
	s.check(Want{Path: "/write-within", Body: "one\ntwo\nthree\n"})
	s.check(Want{Path: "/write-str", Body: "refused TypeError\n"})
	mark := newMarkFile(t)
	s.check(Want{Path: "/write-in-close?mark=" + url.QueryEscape(mark.path), Body: "body\nafter the end\n"})
	if got := mark.lines(); !reflect.DeepEqual(got, []string{"taken"}) {
		t.Errorf("write() in close() = %q, want taken: the response is open until close() returns", got)
	}
	s = Shared(t, "misbehave.threads")
	mark = newMarkFile(t)
	s.check(Want{Path: "/writes?mark=" + url.QueryEscape(mark.path), Body: "ok\n"})
	if got := mark.await("refused"); got != "refused RuntimeError" {
		t.Errorf("write() after the request = %q, want RuntimeError", got)
	}
}

// --- Unicode Issues --------------------------------------------------------

// "…the actual strings … must contain only code points representable in
// ISO-8859-1": request bytes come as those code points, and response strings
// go out as those bytes.
func TestPEP3333_Unicode_Latin1BothWays(t *testing.T) {
	s := Shared(t, "echo")
	told := s.object(s.Ask("/caf%C3%A9/%FF", "X-Bytes: \xe9\xff"))["environ"].(map[string]any)
	if got, want := told["PATH_INFO"], "/caf\u00c3\u00a9/\u00ff"; got != want {
		t.Errorf("PATH_INFO = %q, want %q", got, want)
	}
	if got, want := told["HTTP_X_BYTES"], "\u00e9\u00ff"; got != want {
		t.Errorf("HTTP_X_BYTES = %q, want %q", got, want)
	}
	s = Shared(t, "misbehave.headers")
	c := s.Dial()
	c.Send(head("GET /passed/value-latin-1", "Host: tests", "Connection: close"))
	raw := make([]byte, 4096)
	_ = c.SetReadDeadline(deadline())
	n, _ := c.Conn.Read(raw)
	if !strings.Contains(string(raw[:n]), "X-Odd: caf\xe9 \xff\r\n") {
		t.Errorf("response = %q, want X-Odd as latin-1 bytes", raw[:n])
	}
}

// --- Error Handling --------------------------------------------------------

// start_response with exc_info, before and after output.
func TestPEP3333_ErrorHandling_ExcInfo(t *testing.T) {
	twice(t, "misbehave.start_response", func(t *testing.T, s *Server) {
		s.check(Want{Path: "/exc-info-first", Status: "500 Custom", Body: "failed\n"})
		r := s.check(Want{Path: "/exc-info-before", Status: "500 Custom", Body: "replaced\n"})
		if r.Values("X-First") != nil || r.Value("X-Second") != "2" {
			t.Errorf("fields = %v, want X-Second only", r.Fields)
		}
		s.check(Want{Path: "/exc-info-after", Outcome: Aborted, Body: "sent\n", Log: "ValueError: after output"})
		s.check(Want{Path: "/exc-info-same", Body: "sent\nsame ValueError\n"})
		s.check(Want{Path: "/write-exc-info", Outcome: Aborted, Body: "one\n", Log: "ValueError: after write"})
	})
	// Headers are out only with the first non-empty block.
	twice(t, "misbehave.blocks", func(t *testing.T, s *Server) {
		s.check(Want{Path: "/empty-replaced", Status: "500 Custom", Body: "replaced\n"})
	})
}

// A wrong exc_info is refused.
func TestPEP3333_ErrorHandling_WrongExcInfo(t *testing.T) {
	s := Shared(t, "misbehave.start_response")
	s.check(Want{Path: "/exc-info-wrong", Body: "refused TypeError\n"})
}

// "…servers should … trap and log exceptions": of every kind, at every moment.
func TestPEP3333_ErrorHandling_EveryExceptionAtEveryMoment(t *testing.T) {
	s := Shared(t, "misbehave.raising")
	kinds := map[string]string{
		"error":          "RuntimeError: raising as asked",
		"key":            "KeyError: 'raising as asked'",
		"exit":           "SystemExit: 3",
		"exit-text":      "SystemExit: leaving as asked",
		"interrupt":      "KeyboardInterrupt",
		"generator-exit": "GeneratorExit",
		"memory":         "MemoryError",
		"recursion":      "RecursionError",
		"base":           "OnlyBase: raising as asked",
		"unprintable":    "Unprintable",
		"surrogate":      `RuntimeError: \ud800`,
		"chain":          "RuntimeError: outer",
		"group":          "two at once",
		"huge":           "hhhhhhhhhh",
	}
	for kind, log := range kinds {
		for _, want := range []Want{
			{Path: "/app", Outcome: Failed},
			{Path: "/started", Outcome: Failed},
			{Path: "/written", Outcome: Aborted, Body: "sent\n"},
			{Path: "/first", Outcome: Failed},
			{Path: "/after", Outcome: Aborted, Body: "sent\n"},
			// All that Content-Length promised is there: the response is whole.
			{Path: "/late", Outcome: Complete, Body: "sent\n"},
		} {
			want.Path += "?what=" + kind
			want.Log = log
			s.check(want)
		}
	}
	// StopIteration out of an iterator is its end, anywhere else a failure.
	s.check(Want{Path: "/app?what=stop", Outcome: Failed, Log: "StopIteration"})
	s.check(Want{Path: "/first?what=stop"})
	s.check(Want{Path: "/after?what=stop", Body: "sent\n"})
}

// --- HTTP 1.1 Expect/Continue: http_test.go --------------------------------
// --- Other HTTP Features: http_test.go; hop-by-hop headers above -----------

// --- Thread Support --------------------------------------------------------

func TestPEP3333_Threads_EnvironTellsThem(t *testing.T) {
	for _, c := range []struct {
		args              []string
		threads, processo bool
	}{
		{nil, false, false},
		{[]string{"--threads", "2"}, true, false},
		{[]string{"-w", "2"}, false, true},
		{[]string{"-w", "2", "--threads", "2"}, true, true},
	} {
		s := Shared(t, "echo", c.args...)
		environ := s.object(s.Ask("/"))["environ"].(map[string]any)
		if environ["wsgi.multithread"] != c.threads || environ["wsgi.multiprocess"] != c.processo || environ["wsgi.run_once"] != false {
			t.Errorf("gowsgi %v: multithread, multiprocess, run_once = %v, %v, %v; want %v, %v, false", c.args,
				environ["wsgi.multithread"], environ["wsgi.multiprocess"], environ["wsgi.run_once"], c.threads, c.processo)
		}
	}
}

// One thread is the main thread; several are threads that Python knows.
func TestPEP3333_Threads_ArePythonThreads(t *testing.T) {
	told := Shared(t, "misbehave.threads").object(Shared(t, "misbehave.threads").Ask("/who"))
	if told["main"] != true || told["known"] != true {
		t.Errorf("one thread: %v, want the main thread", told)
	}
	s := Shared(t, "misbehave.threads", "--threads", "3")
	await(t, "three threads beside the main thread", func() bool {
		told = s.object(s.Ask("/who"))
		return told["alive"] == 4.0 // the others may still be starting
	})
	if told["main"] != false || told["known"] != true {
		t.Errorf("--threads 3: %v, want one that is known and not the main thread", told)
	}
}

// Threads and processes of the application's own.
func TestPEP3333_Threads_OfTheApplication(t *testing.T) {
	s := Shared(t, "misbehave.threads")
	for _, want := range []Want{
		{Path: "/starts", Body: "started\n"},
		{Path: "/exit", Body: "ok\n"},
		{Path: "/raise", Body: "ok\n", Log: "RuntimeError: a thread raises as asked"},
		{Path: "/process", Body: "child\n"},
		{Path: "/fork", Body: "parent\n"},
		{Path: "/fork-returns", Body: "parent\n", Log: "forked by the application"},
	} {
		s.check(want)
	}
	mark := newMarkFile(t)
	file := filepath.Join(t.TempDir(), "end")
	s.check(Want{Path: "/outlives?seconds=20&mark=" + url.QueryEscape(mark.path) + "&file=" + url.QueryEscape(file), Body: "ok\n"})
	touch(t, file)
	mark.await("ended")
}

// --- Implementation/Application Notes --------------------------------------

// "Server Extension APIs": the objects of one request are useless in the next,
// and harmless.
func TestPEP3333_Notes_ObjectsOfAnOldRequestAreDead(t *testing.T) {
	for _, keep := range []string{"/keep", "/keep?read=3", "/keep-raise"} {
		s := Start(t, "misbehave.leaking")
		s.Post(keep, strings.Repeat("old", 100))
		told := map[string]any{}
		r := s.Post("/use", strings.Repeat("new", 100))
		if err := json.Unmarshal([]byte(r.Body), &told); err != nil || r.Line() != "200 OK" || r.Values("X-Old") != nil {
			t.Fatalf("%s, then /use = %s %q %v, want 200 OK and JSON", keep, r.Line(), r.Body, r.Fields)
		}
		want := map[string]any{
			"read": "raised ValueError", "readline": "raised ValueError", "iterate": "raised ValueError",
			"errors": "20", "start_response": "raised RuntimeError", "write": "raised RuntimeError",
			"environ": fmt.Sprintf("'%s'", strings.SplitN(keep, "?", 2)[0]),
		}
		if !reflect.DeepEqual(told, want) {
			t.Errorf("%s, then /use = %v, want %v", keep, told, want)
		}
		if r := s.Ask("/drop"); r.Body != "dropped\n" {
			t.Errorf("GET /drop = %s %q, want dropped", r.Line(), r.Body)
		}
		for range 3 {
			s.Ask("/cycle")
		}
		if r := s.Ask("/references"); r.Status != 200 {
			t.Errorf("GET /references = %s, want 200", r.Line())
		}
	}
}

// "The application is allowed to modify the dictionary in any way it desires":
// the next request's is as new, and the server takes no notice.
func TestPEP3333_Notes_EnvironBelongsToTheApplication(t *testing.T) {
	s := Start(t, "misbehave.tampering")
	before := s.Ask("/keys-of").Body
	for _, path := range []string{"/clear", "/delete", "/replace", "/add", "/keys", "/grow"} {
		s.check(Want{Path: path, Body: "ok\n"})
		if after := s.Ask("/keys-of").Body; after != before {
			t.Errorf("keys after %s = %s, want %s", path, after, before)
		}
	}
	if r := s.Ask("HEAD /replace"); r.Status != 200 || r.Body != "" {
		t.Errorf("HEAD /replace = %s %q, want no body", r.Line(), r.Body)
	}
}

// The process, too, may be changed by what runs in it.
func TestPEP3333_Notes_ProcessChangedByTheApplication(t *testing.T) {
	for _, path := range []string{"/chdir", "/umask", "/environment", "/no-gc", "/ignore-term"} {
		t.Run(path[1:], func(t *testing.T) {
			s := Start(t, "misbehave.tampering")
			for range 3 {
				s.check(Want{Path: path, Body: "ok\n"})
			}
			s.check(Want{Path: "/keys-of", Body: s.Ask("/keys-of").Body})
		})
	}
	t.Run("close-stdio", func(t *testing.T) {
		s := Start(t, "misbehave.tampering")
		s.check(Want{Path: "/close-stdio", Body: "ok\n"})
		// Nothing left to close: a failure, whose traceback needs no descriptor.
		s.check(Want{Path: "/close-stdio", Outcome: Failed, Log: "OSError: [Errno 9] Bad file descriptor"})
	})
	t.Run("hostile", func(t *testing.T) {
		for _, path := range []string{"/close-all", "/recursion", "/profile", "/files"} {
			s := Start(t, "misbehave.tampering")
			s.Ask(path)
			await(t, "the server to serve after "+path, func() bool {
				r := s.Ask("/umask")
				return r.Status == 200 || r.Status == 500
			})
		}
	})
	t.Run("new-session", func(t *testing.T) {
		s := Start(t, "misbehave.tampering")
		pid := s.workerPIDs()[0]
		s.Ask("/new-session")
		s.Stop()
		if !awaitEnd(pid, stopPatience) {
			_ = unix.Kill(pid, unix.SIGKILL)
			t.Errorf("worker %d is alive in a session of its own after the server has ended", pid)
		}
	})
}

// "URL Reconstruction": the algorithm of the PEP gives the URL that was asked.
func TestPEP3333_Notes_URLReconstruction(t *testing.T) {
	s := Shared(t, "echo")
	for _, target := range []string{"/", "/a/b?c=d", "/caf%C3%A9?x=%20", "//double"} {
		environ := s.object(s.Ask(target))["environ"].(map[string]any)
		bytes := []byte{}
		for _, r := range environ["SCRIPT_NAME"].(string) + environ["PATH_INFO"].(string) {
			bytes = append(bytes, byte(r))
		}
		quoted := (&url.URL{Path: string(bytes)}).EscapedPath()
		got := fmt.Sprint(environ["wsgi.url_scheme"], "://", environ["HTTP_HOST"], quoted)
		if query := environ["QUERY_STRING"]; query != "" {
			got += fmt.Sprint("?", query)
		}
		if want := "http://" + s.Host() + target; got != want {
			t.Errorf("reconstructed %s, want %s", got, want)
		}
	}
}

// "Optional Platform-Specific File Handling": wsgi.file_wrapper gives the
// file's bytes from where it stands, and closes it; no more of them than the
// Content-Length says, which is nothing to complain about.
func TestPEP3333_Notes_FileWrapper(t *testing.T) {
	content := periodic(1_000_003)
	twice(t, "download", func(t *testing.T, s *Server) {
		for path, want := range map[string]string{
			"/file":    content,
			"/unsized": content,
			"/offset":  content[10:],
			"/memory":  content,
			"/pipe":    content,
			"/loop":    content,
			"/block":   content,
		} {
			mark := newMarkFile(t)
			s.check(Want{Path: path + "?mark=" + url.QueryEscape(mark.path), Body: want})
			if path == "/file" || path == "/memory" {
				mark.await("closed")
			}
			if got := mark.lines(); len(got) > 1 {
				t.Errorf("GET %s: the file was closed %d times, want once", path, len(got))
			}
		}
	})
	s := Shared(t, "download")
	s.check(Want{Path: "/reader", Body: content})
	s.check(Want{Path: "/cut", Body: content[:len(content)/2]})
	if told := s.object(s.Ask("/wrapped")); told["there"] != true {
		t.Errorf("wsgi.file_wrapper = %v, want one", told)
	}
}

// periodic is what the files of download.py hold.
func periodic(size int) string {
	text := make([]byte, size)
	for i := range text {
		text[i] = byte(i % 251)
	}
	return string(text)
}
