package tests

// Workers that die at random while many clients are served: every answer is the
// one that was asked for, or none.

import (
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	chaosWorkers = 4
	chaosThreads = 2
	chaosClients = 16
)

// chaos is a server under attack.
type chaos struct {
	*Server
	random *rand.Rand // the killer's

	served, deaths int          // lines of the log that say so
	alive          map[int]bool // pids that serve
	read           int          // lines of the log that were read

	stop     atomic.Bool
	answered atomic.Int64
	lost     atomic.Int64 // answered with 502, or 504 where that may be
	broken   atomic.Int64 // broken off

	late  bool        // requests may time out
	whole func(visit) // told of each request with a whole answer; may be nil
}

// TestChaos_WorkersDieUnderLoad kills workers, or has them kill themselves, one
// thousand times.
func TestChaos_WorkersDieUnderLoad(t *testing.T) {
	kills := 1000
	if testing.Short() {
		kills = 60
	}
	s := Start(t, "misbehave.doomed", "-w", strconv.Itoa(chaosWorkers), "--threads", strconv.Itoa(chaosThreads), "--preload")
	c := &chaos{Server: s, random: rand.New(rand.NewPCG(20, 21)), alive: map[int]bool{}}
	c.readUntil("all serve", func() bool { return c.served == chaosWorkers })

	finished := make(chan error, chaosClients)
	for number := range chaosClients {
		go func() { finished <- c.visit(number) }()
	}
	suicides := c.killAll(kills)
	c.stop.Store(true)
	for range chaosClients {
		if err := awaitValue(t, finished, "every client is answered"); err != nil {
			t.Error(err)
		}
	}

	c.readUntil("the pool is whole", func() bool { return c.served == kills+chaosWorkers })
	if n := len(s.Workers()); n != chaosWorkers || c.deaths != kills {
		t.Errorf("%d workers at the end, %d deaths in the log, want %d and %d", n, c.deaths, chaosWorkers, kills)
	}
	for i := range 4 * chaosWorkers {
		if r := s.Ask(fmt.Sprintf("/?token=after-%d", i)); r.Body != contentOf(fmt.Sprintf("after-%d", i), 64) {
			t.Errorf("request %d afterwards: %s %q", i, r.Line(), r.Body)
		}
	}
	// a death loses what ran in the process, on each of its threads, and no more;
	// where the process has asked for it itself one of them was the killer's
	if lost, most := c.lost.Load()+c.broken.Load(), int64(kills*chaosThreads-suicides); lost > most {
		t.Errorf("%d requests were lost, want at most %d: %d deaths of %d threads each", lost, most, kills, chaosThreads)
	}
	// a short run may not hit a request of each kind
	retried, lost, broken := int64(count(s.Log(), "trying another one")), c.lost.Load(), c.broken.Load()
	if retried+lost+broken == 0 || !testing.Short() && (retried == 0 || lost == 0 || broken == 0) {
		t.Errorf("%d requests were tried again, %d got a 502, %d a broken answer: want some of each, or nothing was tried", retried, lost, broken)
	}
	t.Logf("%d kills (%d by the application): %d requests answered, %d tried again, %d got 502, %d broke off",
		kills, suicides, c.answered.Load(), retried, lost, broken)
}

func awaitValue[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(2 * patience):
		t.Fatalf("waited in vain: %s", what)
		panic("not reached")
	}
}

// --- the killer ------------------------------------------------------------

var (
	servesLine = regexp.MustCompile(`worker serves.* pid=(\d+)`)
	diedLine   = regexp.MustCompile(`worker died.* pid=(\d+)`)
)

// readUntil reads the log until holds, which looks at what was read.
func (c *chaos) readUntil(what string, holds func() bool) {
	c.T.Helper()
	for !holds() {
		if _, err := c.log.await(c.read, func(string) bool { return true }, c.ended); err != nil {
			c.T.Fatalf("%s: %v", what, err)
		}
		for _, line := range c.log.since(c.read) {
			c.read++
			if m := servesLine.FindStringSubmatch(line); m != nil {
				pid, _ := strconv.Atoi(m[1])
				c.served++
				c.alive[pid] = true
			}
			if m := diedLine.FindStringSubmatch(line); m != nil {
				pid, _ := strconv.Atoi(m[1])
				c.deaths++
				delete(c.alive, pid)
			}
		}
	}
}

// killAll ends so many workers, and returns how many of them by request. Mostly
// it waits for the next worker to serve; sometimes it kills on, down to one.
func (c *chaos) killAll(kills int) (suicides int) {
	signals := []unix.Signal{unix.SIGKILL, unix.SIGSEGV, unix.SIGABRT}
	for n := 1; n <= kills; n++ {
		if c.random.IntN(4) == 0 {
			c.suicide(n)
			suicides++
			c.readUntil("the death is noticed", func() bool { return c.deaths == n })
		} else {
			pid := c.victim()
			delete(c.alive, pid)
			kill(c.T, pid, signals[c.random.IntN(len(signals))])
		}
		missing := 0
		if c.random.IntN(4) == 0 {
			missing = c.random.IntN(chaosWorkers - 1)
		}
		c.readUntil("another worker serves", func() bool { return c.deaths == n && c.served >= n+chaosWorkers-missing })
	}
	return suicides
}

func (c *chaos) victim() int {
	n := c.random.IntN(len(c.alive))
	for pid := range c.alive {
		if n == 0 {
			return pid
		}
		n--
	}
	panic("not reached")
}

// suicide asks for an answer whose worker dies on the way: with POST, which is
// not tried again.
func (c *chaos) suicide(n int) {
	c.T.Helper()
	way := []string{"exit", "abort", "segv", "kill"}[c.random.IntN(4)]
	when := []string{"call", "started", "half"}[c.random.IntN(3)]
	shape := []string{"blocks", "length", "write"}[c.random.IntN(3)]
	conn := c.Dial()
	defer conn.Close()
	target := fmt.Sprintf("/?token=suicide-%d&size=20000&shape=%s&die=%s&when=%s", n, shape, way, when)
	conn.Send(head("POST "+target, "Host: chaos", "Content-Length: 0"))
	r := conn.Read("POST")
	switch {
	case r.Status == 502 && r.Broken == nil:
		// also for half: the worker of another kill may have been this one's
	case r.Status == 200 && r.Broken != nil && when == "half":
	default:
		c.T.Errorf("POST %s = %s with %d bytes, %v; want a 502 or, at half, a broken answer", target, r.Line(), len(r.Body), r.Broken)
	}
}

// --- the clients -----------------------------------------------------------

// contentOf is what misbehave.doomed answers for a token.
func contentOf(token string, size int) string {
	text := sha256of(token)
	return strings.Repeat(text, size/len(text)+1)[:size]
}

// visit is one client: it asks, one request after the other, until told to
// stop, on one connection as long as that lives. The error is the first thing
// that was not right.
func (c *chaos) visit(number int) error {
	random := rand.New(rand.NewPCG(uint64(number), 22))
	var conn *Conn
	defer func() {
		if conn != nil {
			_ = conn.Close()
		}
	}()
	for i := 0; !c.stop.Load(); i++ {
		if conn == nil {
			var err error
			if conn, err = connect(c.Server); err != nil {
				return err
			}
		}
		v := newVisit(fmt.Sprintf("client-%d-%d", number, i), random)
		keep, err := c.ask(conn, v)
		if err != nil {
			return fmt.Errorf("%s: %w", v.target, err)
		}
		if !keep {
			_ = conn.Close()
			conn = nil
		}
	}
	return nil
}

// visit is one request and the answer it is due.
type visit struct {
	token, target, shape string
	body                 string // of the request; empty: a GET
	want                 string
}

func newVisit(token string, random *rand.Rand) visit {
	v := visit{token: token, shape: []string{"list", "list", "list", "list", "blocks", "length", "write", "echo"}[random.IntN(8)]}
	size := random.IntN(2000)
	if v.shape != "list" && random.IntN(4) == 0 {
		size = random.IntN(400_000) // more than the memory between front and worker
	}
	if v.shape == "echo" || random.IntN(5) == 0 {
		v.body = contentOf(token+"-body", 1+size)
	}
	v.want = contentOf(token, size)
	if v.shape == "echo" {
		v.want = v.body
	}
	v.target = fmt.Sprintf("/?token=%s&shape=%s&size=%d", token, v.shape, size)
	return v
}

// ask sends one request and judges the answer. keep: the connection can be used
// again.
func (c *chaos) ask(conn *Conn, v visit) (keep bool, err error) {
	method, fields := "GET", []string{"Host: chaos"}
	if v.body != "" {
		method, fields = "POST", append(fields, fmt.Sprintf("Content-Length: %d", len(v.body)))
	}
	sent := make(chan error, 1)
	go func() { // while the answer is read: it may come before the body is taken
		_ = conn.SetWriteDeadline(time.Now().Add(2 * patience))
		_, err := io.WriteString(conn.Conn, head(method+" "+v.target, fields...)+v.body)
		sent <- err
	}()
	_ = conn.SetReadDeadline(time.Now().Add(2 * patience))
	r, err := readHead(conn.reader, method)
	if err != nil {
		return false, fmt.Errorf("read a head: %w", err)
	}
	conn.ReadBody(r)
	keep, err = c.judge(v, r)
	if !keep {
		_ = conn.Close() // ends the sending
	}
	if failed := <-sent; failed != nil && keep && err == nil {
		err = fmt.Errorf("send: %w", failed)
	}
	return keep, err
}

// judge says whether an answer may be what v gets, and whether the connection
// lives on.
func (c *chaos) judge(v visit, r *Response) (keep bool, err error) {
	switch {
	case r.Broken == nil && (r.Status == 502 || r.Status == 504 && c.late):
		c.lost.Add(1)
		return r.Value("Connection") != "close" && v.body == "", nil
	case r.Status != 200:
		return false, fmt.Errorf("answer = %s %q, want 200 or 502", r.Line(), r.Body)
	case r.Value("X-Token") != v.token:
		return false, fmt.Errorf("answer for %q, want its own", r.Value("X-Token"))
	case !strings.HasPrefix(v.want, r.Body):
		return false, fmt.Errorf("answer of %d bytes is not what was asked for", len(r.Body))
	case r.Broken != nil:
		c.broken.Add(1)
		return false, nil
	case len(r.Body) != len(v.want):
		return false, fmt.Errorf("answer of %d bytes looks complete, want %d", len(r.Body), len(v.want))
	case v.shape != "echo" && r.Value("X-Body") != sha256of(v.body):
		return false, fmt.Errorf("the application has read another body than was sent")
	}
	c.answered.Add(1)
	if c.whole != nil {
		c.whole(v)
	}
	// said of an answer that began before a large body was taken whole
	return r.Value("Connection") != "close", nil
}
