package tests

// Clients slower than the application: what they send is complete before it is
// called, what it answers is taken from it before they have it.

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// body makes n bytes with lines in them, the same each time.
func body(n int) string {
	bytes := make([]byte, n)
	random := rand.New(rand.NewPCG(uint64(n), 1))
	for i := range bytes {
		bytes[i] = byte(random.IntN(64) + ' ')
		if i%97 == 96 {
			bytes[i] = '\n'
		}
	}
	return string(bytes)
}

// wholeBody is what the application buffered says of a body.
type wholeBody struct {
	Length   int
	SHA256   string
	Declared string
	Seekable bool
	File     *int
	Differs  []string
}

const inMemory = 1 << 20 // the longest body that is kept there

func TestBuffering_GivesEachBodyWholeAndSeekable(t *testing.T) {
	s := Shared(t, "buffered", "--threads=2")
	for _, size := range []int{0, 10, 70_000, 300_000, inMemory, inMemory + 1, 5_000_000} {
		text := body(size)
		sum := sha256.Sum256([]byte(text))
		for _, framing := range []string{"counted", "chunked", "after 100 Continue"} {
			t.Run(fmt.Sprintf("%d bytes %s", size, framing), func(t *testing.T) {
				c := s.Dial()
				send(c, framing, text)
				r := c.Read("POST")
				var got wholeBody
				if err := json.Unmarshal([]byte(r.Body), &got); r.Status != 200 || err != nil {
					t.Fatalf("response = %s %q, %v", r.Line(), r.Body, err)
				}
				if got.Length != size || got.SHA256 != hex.EncodeToString(sum[:]) || !got.Seekable || got.Declared != fmt.Sprint(size) {
					t.Errorf("the application got %+v, want the %d bytes of it, declared and seekable", got, size)
				}
				if len(got.Differs) > 0 {
					t.Errorf("read otherwise it is another body: %q", got.Differs)
				}
				// of a chunked body nobody knows that it ends right there
				wanted := size > inMemory || size == inMemory && framing == "chunked"
				if file := got.File != nil; file != wanted || file && *got.File != size {
					t.Errorf("file = %v, want one of %d bytes: %v", got.File, size, wanted)
				}
			})
		}
	}
}

// send posts a body to /whole.
func send(c *Conn, framing, text string) {
	c.T.Helper()
	length := fmt.Sprintf("Content-Length: %d", len(text))
	switch framing {
	case "counted":
		c.Send(head("POST /whole", "Host: tests", length) + text)
	case "chunked":
		c.Send(head("POST /whole", "Host: tests", "Transfer-Encoding: chunked"))
		for piece := range slices.Chunk([]byte(text), 50_000) {
			c.Send(fmt.Sprintf("%x\r\n%s\r\n", len(piece), piece))
		}
		c.Send("0\r\n\r\n")
	default:
		c.Send(head("POST /whole", "Host: tests", length, "Expect: 100-continue"))
		if len(text) == 0 {
			return
		}
		if r := c.ReadHead("POST"); r.Status != 100 {
			c.T.Fatalf("response = %s, want 100 Continue before anything was sent", r.Line())
		}
		c.Send(text)
	}
}

// One thread serves others while bodies come, the application that will get them
// is not called, and 100 Continue does not need it either.
func TestBuffering_SlowSendersHoldNoThread(t *testing.T) {
	s := Start(t, "misbehave.reading")
	mark := newMarkFile(t)
	target := "POST /marks?mark=" + url.QueryEscape(mark.path)
	const size = 2 * inMemory
	text := strings.Repeat("m", size)
	var slow []*Conn
	for i := range 6 {
		c := s.Dial()
		fields := []string{"Host: tests", fmt.Sprintf("Content-Length: %d", size)}
		if i%2 == 0 {
			fields = append(fields, "Expect: 100-continue")
		}
		c.Send(head(target, fields...))
		if i%2 == 0 {
			if r := c.ReadHead("POST"); r.Status != 100 {
				t.Fatalf("response = %s, want 100 Continue", r.Line())
			}
		}
		c.Send(text[:size/2+i])
		slow = append(slow, c)
	}
	for range 20 {
		if r := s.Post("/ignored", "short"); r.Status != 200 {
			t.Fatalf("POST /ignored meanwhile = %s, want 200", r.Line())
		}
	}
	if lines := mark.lines(); len(lines) > 0 {
		t.Errorf("the application has begun to read: %q, want it not called", lines[0])
	}
	for i, c := range slow {
		c.Send(text[size/2+i:])
		if told := s.object(c.Read("POST")); told["length"] != float64(size) {
			t.Errorf("length = %v, want %d", told["length"], size)
		}
	}
}

func TestBuffering_OneBodyForSeveralThreads(t *testing.T) {
	s := Shared(t, "buffered", "--threads=2")
	for range 10 {
		told := s.object(s.Post("/threads", body(3_000_000)))
		refused, _ := told["refused"].([]any)
		if told["whole"] != 4.0 || len(refused) > 1 || len(refused) == 1 && refused[0] != "wsgi.input is being read by another thread" {
			t.Errorf("POST /threads = %v, want 4 with the whole body, and at most the complaint that it is in use", told)
		}
	}
}

func TestBuffering_InputEndsWithItsRequest(t *testing.T) {
	s := Start(t, "buffered")
	for range 3 {
		s.Post("/late", body(2_000_000))
	}
	if told := s.object(s.Post("/late", body(2_000_000))); told["raised"] != "wsgi.input is used after its request ended" {
		t.Errorf("a read after the request = %v, want a ValueError", told)
	}
}

// Files of bodies that were read, ignored, sent in part, or given to a worker that
// died are all gone afterwards.
func TestBuffering_LeavesNoDescriptorBehind(t *testing.T) {
	dir := t.TempDir()
	s := Start(t, "buffered", "--tmp-dir", dir, "-w2")
	count := func() (all int) {
		all = descriptors(t, s.PID())
		for _, w := range s.Workers() {
			all += descriptors(t, w.PID)
		}
		return all
	}
	s.Ask("/held")
	before := count()
	text := body(2_000_000)
	for i := range 10 {
		s.Post("/whole", text)
		s.Post("/blind", text)
		c := s.Dial()
		c.Send(head("POST /whole", "Host: tests", "Content-Length: 2000000") + text[:1_500_000+i])
		_ = c.Close()
		c = s.Dial()
		c.Send(head("GET /large?blocks=100", "Host: tests"))
		c.ReadHead("GET")
		_ = c.Close()
	}
	worker := s.Workers()[0].PID
	kill(t, worker, unix.SIGKILL)
	await(t, "another worker", func() bool {
		w := s.Workers()
		return len(w) == 2 && w[0].PID != worker && w[1].PID != worker
	})
	for range 10 {
		s.Post("/whole", text)
	}
	await(t, fmt.Sprintf("no more than the %d descriptors before", before), func() bool { return count() <= before })
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		t.Errorf("--tmp-dir has %v, %v, want nothing in it", left, err)
	}
}

func TestBuffering_BodyThatCannotBeKeptIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := Start(t, "buffered", "--tmp-dir", dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	c := s.Dial()
	c.Send(head("POST /whole", "Host: tests", "Content-Length: 2000000"))
	if r := c.Read("POST"); r.Status != 503 || r.Value("Retry-After") == "" {
		t.Errorf("response = %s, want 503 with Retry-After", r.Line())
	}
	if line := s.WaitFor("cannot be buffered"); !strings.Contains(line, dir) {
		t.Errorf("log = %q, want the folder in it", line)
	}
	if r := s.Post("/whole", body(inMemory)); r.Status != 200 {
		t.Errorf("a body that needs no file = %s, want 200", r.Line())
	}
}

func TestBuffering_LimitsTheBodyFirst(t *testing.T) {
	s := Start(t, "buffered", "--max-body-size=3M")
	c := s.Dial()
	c.Send(head("POST /whole", "Host: tests", "Content-Length: 4000000"))
	if r := c.Read("POST"); r.Status != 413 {
		t.Errorf("a body announced as too large = %s, want 413", r.Line())
	}
	c = s.Dial()
	c.Send(head("POST /whole", "Host: tests", "Transfer-Encoding: chunked"))
	for range 4 {
		c.Send(fmt.Sprintf("%x\r\n%s\r\n", 1_000_000, strings.Repeat("x", 1_000_000)))
	}
	if r := c.Read("POST"); r.Status != 413 {
		t.Errorf("a body that turns out too large = %s, want 413", r.Line())
	}
}

// The only thread is through with an answer, and at others, although nobody has
// read it.
func TestSlow_ReadersHoldNoThread(t *testing.T) {
	s := Start(t, "buffered")
	const blocks, size = 320, 65_536 // 20 MiB, more than sockets and memory take
	var slow []*Conn
	for range 3 {
		mark := newMarkFile(t)
		c := s.Dial()
		c.Send(head(fmt.Sprintf("GET /large?blocks=%d&size=%d&mark=%s", blocks, size, url.QueryEscape(mark.path)), "Host: tests"))
		mark.await("closed")
		slow = append(slow, c)
	}
	if told := s.object(s.Ask("/held")); told["descriptors"] == nil {
		t.Errorf("GET /held meanwhile = %v", told)
	}
	for _, c := range slow {
		if r := c.Read("GET"); r.Status != 200 || r.Broken != nil || r.Body != strings.Repeat("l", blocks*size) {
			t.Errorf("response = %s, %v, %d bytes, want %d of them", r.Line(), r.Broken, len(r.Body), blocks*size)
		}
	}
}

// An answer without an end stays within its bounds.
func TestSlow_AnswerLargerThanItsBufferWaits(t *testing.T) {
	s := Start(t, "buffered", "--response-buffer=2M")
	const blocks, size = 480, 65_536
	mark := newMarkFile(t)
	c := s.Dial()
	c.Send(head(fmt.Sprintf("GET /large?blocks=%d&size=%d&mark=%s", blocks, size, url.QueryEscape(mark.path)), "Host: tests"))
	r := c.ReadHead("GET")
	await(t, "a file of the answer", func() bool { return deletedBytes(t, s.PID()) > 0 })
	for range 100 {
		if n := deletedBytes(t, s.PID()); n > 2<<20 {
			t.Fatalf("the answer's file has %d bytes, want 2 MiB at most", n)
		}
	}
	if lines := mark.lines(); len(lines) > 0 {
		t.Error("the application is through with its answer, though there is no room for all of it")
	}
	c.ReadBody(r)
	if r.Broken != nil || len(r.Body) != blocks*size {
		t.Errorf("response = %v, %d bytes, want %d", r.Broken, len(r.Body), blocks*size)
	}
	mark.await("closed")
	await(t, "the file to be closed", func() bool { return deletedBytes(t, s.PID()) == 0 })
}

// deletedBytes is the size of all files without a name that a process has open
// beneath the folder of temporary files.
func deletedBytes(t *testing.T, pid int) (total int64) {
	t.Helper()
	folder := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		target, _ := os.Readlink(path)
		if !strings.HasPrefix(target, os.TempDir()) || !strings.HasSuffix(target, "(deleted)") {
			continue
		}
		if info, err := os.Stat(path); err == nil {
			total += info.Size()
		}
	}
	return total
}

// Hundreds of clients that send and read next to nothing, and every other request
// is answered.
func TestSlow_ManySlowClientsAreNotNoticed(t *testing.T) {
	s := Start(t, "buffered", "-w2")
	const clients, ordinary = 200, 1000
	slow := make([]*Conn, 0, 2*clients)
	for i := range clients {
		sender := s.Dial()
		sender.Send(head("POST /whole", "Host: tests", "Content-Length: 2000000") + strings.Repeat("s", i))
		reader := s.Dial()
		reader.Send(head("GET /large?blocks=10&size=65536", "Host: tests"))
		slow = append(slow, sender, reader)
	}
	var group sync.WaitGroup
	for range 4 {
		c := s.Dial()
		group.Go(func() {
			for range ordinary / 4 {
				r, err := c.exchange(head("GET /blind", "Host: tests"), "GET")
				if err != nil || r.Status != 200 || r.Body != "{}" {
					t.Errorf("a request among slow clients = %v, %v, want 200 and {}", r, err)
					return
				}
			}
		})
	}
	stop := make(chan struct{})
	go trickle(slow, stop)
	group.Wait()
	close(stop)
}

// trickle sends or reads a byte of each in turn.
func trickle(slow []*Conn, stop chan struct{}) {
	one := make([]byte, 1)
	for {
		for i, c := range slow {
			select {
			case <-stop:
				return
			default:
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			if i%2 == 0 {
				_, _ = io.WriteString(c.Conn, "s")
			} else {
				_, _ = c.Conn.Read(one)
			}
		}
	}
}
