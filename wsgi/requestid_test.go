package wsgi

import (
	"regexp"
	"slices"
	"testing"

	"gowsgi/environ"
)

func TestRequestIDs_AreSixteenHexDigitsEachOnce(t *testing.T) {
	for _, last := range []uint64{0, 1<<64 - 3, 0xfedcba98765432ff} {
		var ids requestIDs
		ids.last.Store(last)
		seen := map[string]bool{}
		for range 100 {
			var room [requestIDLength]byte
			id := string(ids.next(&room))
			if !regexp.MustCompile("^[0-9a-f]{16}$").MatchString(id) || seen[id] {
				t.Fatalf("next() after %#x = %q, want 16 hex digits not seen before", last, id)
			}
			seen[id] = true
		}
	}
}

func TestRequestIDs_StartAnywhere(t *testing.T) {
	var a, b requestIDs
	a.start()
	b.start()
	if a.last.Load() == b.last.Load() {
		t.Errorf("two processes would both start at %#x", a.last.Load())
	}
}

func TestRequestIDs_CostNoAllocation(t *testing.T) {
	var ids requestIDs
	var room [requestIDLength]byte
	if n := testing.AllocsPerRun(100, func() { ids.next(&room) }); n != 0 {
		t.Errorf("next() allocates %v times, want none", n)
	}
}

// idScene is a request with an id behind a gateway that tells it.
func idScene(t *testing.T, id string) *scene {
	t.Helper()
	s := newScene(t)
	s.idField = "X-Request-ID"
	s.request.RequestID = []byte(id)
	return s
}

func TestGateway_TellsTheIDToApplicationAndClient(t *testing.T) {
	for _, id := range []string{"", "given"} {
		s := idScene(t, id)
		s.play()
		vars, err := environ.Unpack(s.call.request.Environ)
		if err != nil {
			t.Fatal(err)
		}
		told := map[string]string{}
		for _, v := range vars {
			told[v.Key] = v.Value
		}
		if s.id == "" || id != "" && s.id != id || told["HTTP_X_REQUEST_ID"] != s.id || told["gowsgi.request_id"] != s.id {
			t.Errorf("id %q: environ has %q and %q, want %q in both", s.id, told["HTTP_X_REQUEST_ID"], told["gowsgi.request_id"], s.id)
		}
		if want := []string{"X-App: 1", "X-Request-ID: " + s.id}; !slices.Equal(s.exchange.fields, want) {
			t.Errorf("fields = %q, want %q", s.exchange.fields, want)
		}
		if len(s.request.Headers) != 0 {
			t.Errorf("the request is left with fields %q, want none", s.request.Headers)
		}
	}
}

func TestGateway_LeavesTheApplicationsID(t *testing.T) {
	s := idScene(t, "given")
	s.call.headers = append(s.call.headers, field("x-request-id", "mine"))
	s.play()
	if want := []string{"X-App: 1", "x-request-id: mine"}; !slices.Equal(s.exchange.fields, want) {
		t.Errorf("fields = %q, want %q", s.exchange.fields, want)
	}
}

func TestGateway_TellsTheIDWithItsOwnAnswers(t *testing.T) {
	s := idScene(t, "given")
	s.call.beginErr = ErrQueueFull
	s.play()
	s.saw("refuse 503")
	if want := []string{"Retry-After: 1", "X-Request-ID: given"}; !slices.Equal(s.exchange.fields, want) {
		t.Errorf("fields = %q, want %q", s.exchange.fields, want)
	}
}
