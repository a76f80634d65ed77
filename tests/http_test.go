package tests

import "testing"

func TestHTTP_ServesHello(t *testing.T) {
	s := Shared(t, "hello")
	r := s.Ask("/")
	if r.Line() != "200 OK" || r.Body != "Hello, World!\n" || r.Framing != Length {
		t.Errorf("GET / = %s %q (%s), want 200 OK Hello, World! (Content-Length)", r.Line(), r.Body, r.Framing)
	}
}
