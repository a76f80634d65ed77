package tests

// What clients may do, set by flags, from outside.

import (
	"strings"
	"testing"
)

func TestLimits_FlagsSetThemAndTheApplicationIsNotCalledBeyond(t *testing.T) {
	s := Start(t, "witness", "--limit-request-line", "100", "--limit-request-fields", "4", "--limit-request-field-size", "64",
		"--limit-request-header", "90", "--max-body-size", "10", "--header-timeout", "0.2", "--body-timeout", "0.2")
	long := strings.Repeat("x", 80)
	for _, c := range []struct {
		what, request string
		status        int
	}{
		{"a long line", head("GET /refused"+long, "Host: a"), 414},
		{"five fields", head("GET /refused", "Host: a", "A: 1", "B: 2", "C: 3", "D: 4"), 431},
		{"a long field", head("GET /refused", "Host: a", "A: "+long), 431},
		{"much in all fields", head("GET /refused", "Host: a", "A: "+long[:45], "B: "+long[:45]), 431},
		{"a large body, not sent", head("POST /refused", "Host: a", "Content-Length: 11"), 413},
		{"a large body in chunks", head("POST /refused", "Host: a", "Transfer-Encoding: chunked") + "b\r\n", 413},
		{"half a head", "GET /refused HTT", 408},
		{"half a body", head("POST /refused", "Host: a", "Content-Length: 9") + "half", 408},
		{"CONNECT", head("CONNECT refused:443", "Host: a"), 501},
		{"HTTP/2.0", "GET /refused HTTP/2.0\r\nHost: a\r\n\r\n", 505},
		{"smuggling", head("POST /refused", "Host: a", "Content-Length: 5", "Transfer-Encoding: chunked") + "0\r\n\r\n", 400},
	} {
		conn := s.Dial()
		conn.Send(c.request)
		r := conn.Read("GET")
		if r.Status != c.status || r.Value("Connection") != "close" {
			t.Errorf("response to %s = %s, Connection: %q, want %d, close", c.what, r.Line(), r.Value("Connection"), c.status)
		}
		conn.WantEOF()
	}
	conn := s.Dial()
	conn.Send(head("POST /served", "Host: a", "Content-Length: 10") + "0123456789")
	conn.Read("POST")
	conn.Send(head("GET /calls", "Host: a"))
	if calls := conn.Read("GET").Body; strings.Count(calls, "target") != 1 || !strings.Contains(calls, "/served") {
		t.Errorf("the application was called with %s, want /served alone", calls)
	}
}

func TestLimits_ATrickleIsSlowerThanTheMinimumRate(t *testing.T) {
	s := Start(t, "witness", "--min-rate", "1000000", "--min-rate-grace", "0.2")
	for what, start := range map[string]string{
		"head": "GET /",
		"body": head("POST /", "Host: a", "Content-Length: 100000"),
	} {
		conn := s.Dial()
		conn.Send(start + "x")
		if r := conn.Read("GET"); r.Status != 408 {
			t.Errorf("response to a %s that stalls = %s, want 408", what, r.Line())
		}
	}
}

func TestLimits_ConnectionsBeyondThemGetAnAnswer(t *testing.T) {
	s := Start(t, "witness", "--max-connections", "2", "--max-connections-per-ip", "1", "--keep-alive-requests", "3")
	first, second := s.Dial(), s.Dial() // loopback is trusted, and so exempt from what an address may have
	first.Get("/")
	second.Get("/")
	for range 3 {
		conn := s.Dial()
		if r := conn.Get("/"); r.Status != 503 || r.Value("Retry-After") == "" {
			t.Errorf("response to one connection more = %s, Retry-After: %q, want 503 and some time", r.Line(), r.Value("Retry-After"))
		}
		conn.WantEOF()
	}
	s.WaitFor("connections turned away")
	first.Get("/")
	if r := first.Get("/"); r.Value("Connection") != "close" {
		t.Errorf("third response says Connection: %q, want close", r.Value("Connection"))
	}
	first.WantEOF()
}

func TestLimits_AnAddressHasSoManyConnectionsAndAProxyAnyNumber(t *testing.T) {
	s := Start(t, "witness", "--max-connections-per-ip", "2", "--forwarded-allow-ips", "192.0.2.1")
	first, second := s.Dial(), s.Dial()
	first.Get("/")
	second.Get("/")
	conn := s.Dial()
	if r := conn.Get("/"); r.Status != 429 || r.Value("Retry-After") == "" {
		t.Errorf("response to a third connection = %s, Retry-After: %q, want 429 and some time", r.Line(), r.Value("Retry-After"))
	}
	conn.WantEOF()
}
