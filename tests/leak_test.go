package tests

// What a worker holds after very many requests, by its own count and the
// kernel's.

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// kindOfRequest is one that counted answers.
type kindOfRequest struct {
	target, body string // a body makes it a POST
	status       int
	breaks       bool // the answer breaks off, and the connection with it
	share        int  // of all requests, in per cent
}

var kindsOfRequests = []kindOfRequest{
	{target: "/hello", status: 200, share: 20},
	{target: "/after", status: 200, share: 5},
	{target: "/echo?a=b", body: strings.Repeat("body ", 200), status: 200, share: 15},
	{target: "/upload", body: strings.Repeat("a line\n", 100), status: 200, share: 15},
	{target: "/stream?blocks=5&size=100", status: 200, share: 15},
	{target: "/stream?blocks=3&size=100&length=1", status: 200, share: 10},
	{target: "/write", status: 200, share: 10},
	{target: "/retry", status: 404, share: 6},
	{target: "/raise", status: 500, share: 2},
	{target: "/half", status: 200, breaks: true, share: 2},
}

const (
	// leakWarmUp requests, of each kind a share, fill what caches there are.
	leakWarmUp = 5_000
	// leakRequests follow; one lost reference or block for each of the rarest
	// kind is ten times what caches and chance make.
	leakRequests = 100_000
	leakNoise    = 200
	// leakResident is how much a worker may grow by: 20 bytes a request.
	leakResident = 2 << 20
	// leakFront is how much the front may: its collector is not that tidy.
	leakFront = 16 << 20
)

// held is what counted says of its process.
type held struct {
	Blocks, Objects int
	References      *int // under a debug CPython
}

func countHeld(s *Server) (h held) {
	s.T.Helper()
	for range 3 { // the counting itself leaves something behind at first
		r := s.Ask("/count")
		if err := json.Unmarshal([]byte(r.Body), &h); r.Status != 200 || err != nil {
			s.T.Fatalf("GET /count = %s %q, %v", r.Line(), r.Body, err)
		}
	}
	return h
}

func TestLeak_WorkerHoldsNoMoreAfterManyRequests(t *testing.T) {
	requests := leakRequests
	if testing.Short() {
		requests /= 5
	}
	s := Start(t, "counted", "--threads", "2")
	worker := s.Workers()[0].PID
	askMany(s, leakWarmUp)
	before, resident, front := countHeld(s), residentOf(t, worker), residentOf(t, s.PID())
	askMany(s, requests)
	after := countHeld(s)

	flat := func(what string, before, after, most int) {
		t.Logf("%s: %d, after %d requests %d", what, before, requests, after)
		if after-before > most {
			t.Errorf("%s grew by %d with %d requests, want at most %d", what, after-before, requests, most)
		}
	}
	// CPython's free lists count as allocated and come and go by the hundred; one
	// block lost in a hundred requests would still show
	flat("allocated blocks", before.Blocks, after.Blocks, requests/100)
	flat("collectable objects", before.Objects, after.Objects, leakNoise)
	switch {
	case before.References != nil:
		flat("references", *before.References, *after.References, leakNoise)
	case os.Getenv("GOWSGI_TEST_REFERENCES") != "":
		t.Error("the CPython of this binary counts no references, want a debug build")
	}
	if s.Workers()[0].PID != worker {
		t.Fatal("the worker was replaced meanwhile")
	}
	if before.References == nil { // a debug CPython keeps freed memory on purpose
		flat("the worker's resident bytes", resident, residentOf(t, worker), leakResident)
	}
	flat("the front's resident bytes", front, residentOf(t, s.PID()), leakFront)
}

// askMany sends so many requests, of each kind its share, over eight
// connections.
func askMany(s *Server, requests int) {
	s.T.Helper()
	const connections = 8
	var clients sync.WaitGroup
	for range connections {
		clients.Go(func() {
			for _, k := range kindsOfRequests {
				if err := k.askOften(s, requests*k.share/100/connections); err != nil {
					s.T.Errorf("%s: %v", k.target, err)
				}
			}
		})
	}
	clients.Wait()
}

// askOften asks one after the other, on one connection unless the answers break.
func (k kindOfRequest) askOften(s *Server, times int) error {
	request, method := head("GET "+k.target, "Host: leak"), "GET"
	if k.body != "" {
		request = head("POST "+k.target, "Host: leak", fmt.Sprintf("Content-Length: %d", len(k.body))) + k.body
		method = "POST"
	}
	var c *Conn
	defer func() {
		if c != nil {
			_ = c.Close()
		}
	}()
	for range times {
		if c == nil {
			var err error
			if c, err = connect(s); err != nil {
				return err
			}
		}
		r, err := c.exchange(request, method)
		if err != nil {
			return err
		}
		if r.Status != k.status || (r.Broken != nil) != k.breaks {
			return fmt.Errorf("answer = %s with %d bytes, %v, want %d, broken: %v", r.Line(), len(r.Body), r.Broken, k.status, k.breaks)
		}
		if k.breaks {
			_ = c.Close()
			c = nil
		}
	}
	return nil
}
