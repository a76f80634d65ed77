package http1

import (
	"strings"
	"testing"
	"time"
)

// small are limits that are met with short requests.
var small = Limits{RequestLine: 100, Fields: 3, FieldSize: 50, HeaderSize: 90, Body: 10, Requests: 3}

func TestLimits_RefuseWhatIsBeyondThemAndNothingElse(t *testing.T) {
	called := make(chan struct{}, 100)
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Limits: small, Handler: handlerFunc(func(x *Exchange) {
		called <- struct{}{}
		echo(x)
	})})
	line := func(n int) string { return "GET /" + strings.Repeat("p", n-len("GET / HTTP/1.1")) + " HTTP/1.1\r\n" }
	field := func(n int) string { return "X: " + strings.Repeat("v", n-len("X: ")) + "\r\n" }
	for _, c := range []struct {
		what, request string
		status        int
	}{
		{"the longest line", line(100) + "Host: a\r\n\r\n", 200},
		{"a longer line", line(101) + "Host: a\r\n\r\n", 414},
		{"a longer line without an end", line(102)[:102], 414},
		{"as many fields", "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n\r\n", 200},
		{"one field more", "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n", 431},
		{"the longest field", "GET / HTTP/1.1\r\nHost: a\r\n" + field(50) + "\r\n", 200},
		{"a longer field", "GET / HTTP/1.1\r\nHost: a\r\n" + field(51) + "\r\n", 431},
		{"as large together", "GET / HTTP/1.1\r\nHost: a\r\n" + field(50) + field(90-9-52-2) + "\r\n", 200},
		{"larger together", "GET / HTTP/1.1\r\nHost: a\r\n" + field(50) + field(90-9-52-1) + "\r\n", 431},
		{"the longest body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789", 200},
		{"a longer body, none of it sent", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", 413},
		{"a longer body, asked for", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n", 413},
	} {
		con := dial(t, addr)
		con.send(c.request)
		resp, _ := con.answer("GET")
		if resp.StatusCode != c.status {
			t.Errorf("answer to %s = %d, want %d", c.what, resp.StatusCode, c.status)
		}
		if c.status == 200 {
			<-called
			continue
		}
		if !resp.Close {
			t.Errorf("answer to %s does not say Connection: close", c.what)
		}
		con.expectClosed()
		if len(called) > 0 {
			t.Errorf("handler was called for %s", c.what)
		}
	}
}

func TestLimits_TheLastRequestOfAConnectionIsAnnouncedAsSuch(t *testing.T) {
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Limits: small, Handler: echo})
	c := dial(t, addr)
	c.send(strings.Repeat(get, 5))
	for i := 1; i <= small.Requests; i++ {
		if resp, _ := c.answer("GET"); resp.Close != (i == small.Requests) {
			t.Errorf("answer %d says close: %t, want %t", i, resp.Close, i == small.Requests)
		}
	}
	c.expectClosed()
}

func TestServer_AdjustedLimitsHoldFromTheNextRequestOn(t *testing.T) {
	s, addr := serve(t, Options{Timeouts: defaultTimeouts, Limits: small, Handler: echo})
	c := dial(t, addr)
	const long = "GET /ppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp HTTP/1.1\r\nHost: a\r\n\r\n"
	c.send(get)
	c.answer("GET")
	s.Adjust(Limits{}, defaultTimeouts, Admission{})
	c.send(long)
	if resp, _ := c.answer("GET"); resp.StatusCode != 200 {
		t.Errorf("answer to a long line after Adjust(no limits) = %d, want 200", resp.StatusCode)
	}
	s.Adjust(small, defaultTimeouts, Admission{})
	c.send(long)
	if resp, _ := c.answer("GET"); resp.StatusCode != 414 {
		t.Errorf("answer to a long line after Adjust(small limits) = %d, want 414", resp.StatusCode)
	}
}

func TestRefusals_NeverRepeatWhatWasSent(t *testing.T) {
	_, addr := serve(t, Options{Timeouts: defaultTimeouts, Handler: echo})
	const mark = "<script>"
	for _, raw := range []string{
		mark + " / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET " + mark + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / " + mark + "\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: " + mark + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n" + mark + ": b\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + mark + "\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: " + mark + "\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: " + mark + "\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + mark + "\r\n",
	} {
		c := dial(t, addr)
		c.send(raw)
		got := c.rest()
		if !strings.HasPrefix(got, "HTTP/1.1 4") && !strings.HasPrefix(got, "HTTP/1.1 5") ||
			!strings.Contains(got, "Content-Type: text/plain") || strings.Contains(got, "script") || len(got) > 400 {
			t.Errorf("answer to %q = %q, want a short refusal in plain text without what was sent", raw, got)
		}
	}
}

// rated are timers by which only the rate can be missed.
var rated = Timeouts{Header: time.Minute, Body: time.Minute, KeepAlive: time.Minute, MinRate: 1000, RateGrace: 40 * time.Millisecond}

func TestMinRate_AHeadOrABodyThatTricklesGets408(t *testing.T) {
	_, addr := serve(t, Options{Timeouts: rated, Handler: handlerFunc(func(x *Exchange) {
		if _, err := readAll(x); err != nil {
			if err != ErrBodyTooSlow {
				t.Errorf("ReadBody = %v, want %v", err, ErrBodyTooSlow)
			}
			_ = x.Refuse(err.(*BodyError).Status(), err.Error())
			return
		}
		_ = reply(x, "ok")
	})})
	for what, start := range map[string]string{
		"head":         "GET / HTTP/1.1\r\nX: ",
		"body":         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
		"chunked body": "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n",
	} {
		c := dial(t, addr)
		c.send(start)
		ticks := time.NewTicker(10 * time.Millisecond)
		answer := make(chan string, 1)
		go func() { answer <- c.rest() }()
		for got := ""; got == ""; {
			select {
			case got = <-answer:
				if !strings.HasPrefix(got, "HTTP/1.1 408 ") {
					t.Errorf("answer to a %s of 100 bytes a second = %q, want 408", what, got)
				}
			case <-ticks.C:
				_, _ = c.Write([]byte("x"))
			}
		}
		ticks.Stop()
	}
}

func TestMinRate_CountsOnlyTimeSpentWaitingForTheClient(t *testing.T) {
	var p Pace
	p.Begin(&rated)
	if d, paced := p.Patience(&rated); d != rated.RateGrace || !paced {
		t.Errorf("patience at first = %s, %t, want %s, true", d, paced, rated.RateGrace)
	}
	p.Note(10, time.Now(), &rated) // came at once, whatever was before
	if d, paced := p.Patience(&rated); d < rated.RateGrace || !paced {
		t.Errorf("patience after 10 bytes at once = %s, %t, want more than %s, true", d, paced, rated.RateGrace)
	}
	p.Note(10, time.Now().Add(-time.Second), &rated)
	if d, paced := p.Patience(&rated); d != 1 || !paced {
		t.Errorf("patience after a second for 10 bytes = %s, %t, want the least, true", d, paced)
	}
}

func TestMinRate_AFastStartBuysNoMoreThanTheLongestSilence(t *testing.T) {
	var p Pace
	p.Begin(&rated)
	p.Note(1<<30, time.Now(), &rated)
	if d, paced := p.Patience(&rated); d != rated.Body || paced {
		t.Errorf("patience after a GiB = %s, %t, want %s, false", d, paced, rated.Body)
	}
	p.Note(1, time.Now().Add(-rated.Body/2), &rated)
	if d, paced := p.Patience(&rated); d > rated.Body/2+time.Second || !paced {
		t.Errorf("patience after half of it was used up = %s, %t, want half, true", d, paced)
	}
	none := Timeouts{Body: time.Second}
	p.Begin(&none)
	if d, paced := p.Patience(&none); d != time.Second || paced {
		t.Errorf("patience without a rate = %s, %t, want 1s, false", d, paced)
	}
}

func TestRules_TheShorterOfTimerAndRateHoldsForAHead(t *testing.T) {
	for _, c := range []struct {
		t     Timeouts
		since time.Duration
		came  int
		left  time.Duration
		ok    bool
	}{
		{Timeouts{}, time.Hour, 1, 0, true},
		{Timeouts{Header: 15 * time.Second}, 5 * time.Second, 1, 10 * time.Second, true},
		{Timeouts{Header: 15 * time.Second}, 15 * time.Second, 1, 0, false},
		{Timeouts{Header: 15 * time.Second, MinRate: 100, RateGrace: 5 * time.Second}, 5 * time.Second, 200, 2 * time.Second, true},
		{Timeouts{Header: 15 * time.Second, MinRate: 100, RateGrace: 5 * time.Second}, 7 * time.Second, 200, 0, false},
		{Timeouts{Header: 15 * time.Second, MinRate: 100, RateGrace: 5 * time.Second}, 7 * time.Second, 9000, 8 * time.Second, true},
		{Timeouts{MinRate: 100}, time.Second, 200, time.Second, true},
	} {
		r := rules{Timeouts: c.t}
		if left, ok := r.leftForHead(c.since, c.came); left != c.left || ok != c.ok {
			t.Errorf("%+v: leftForHead(%s, %d) = %s, %t, want %s, %t", c.t, c.since, c.came, left, ok, c.left, c.ok)
		}
	}
}
