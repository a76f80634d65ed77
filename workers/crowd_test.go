package workers

// Many connections, workers that die at random moments: what must hold of each
// call, and of the pool when it is over.

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"gowsgi/cmd/failure"
	"gowsgi/embed/channel"
	"gowsgi/embed/channel/channeltest"
	"gowsgi/wsgi"
)

// crowd is a dispatcher, workers that are replaced when they die, and what is
// counted meanwhile.
type crowd struct {
	*testing.T
	dispatcher *dispatcher
	sizes      channel.Sizes
	begun      sync.Map // token -> times a thread has begun it
	complaints atomic.Int64
	kills      atomic.Int64
	lost       atomic.Int64
	answered   atomic.Int64
	abandoned  atomic.Int64
}

// order is what a connection asks for, packed into the environ.
type order struct {
	what        string
	token, size int
}

func (o order) String() string { return fmt.Sprintf("%s %d %d", o.what, o.token, o.size) }

// content is the body that belongs to an order and no other.
func (o order) content() []byte {
	random := rand.New(rand.NewPCG(uint64(o.token), uint64(o.size)))
	p := make([]byte, o.size)
	for i := range p {
		p[i] = byte(random.Uint32())
	}
	return p
}

// perform is the application.
func (c *crowd) perform(_ *fakeWorker, x *channeltest.Exchange) {
	var o order
	if _, err := fmt.Sscan(string(x.Environ()), &o.what, &o.token, &o.size); err != nil {
		x.Finish(channeltest.Raised, "environ: "+err.Error())
		return
	}
	times, _ := c.begun.LoadOrStore(o.token, new(atomic.Int64))
	times.(*atomic.Int64).Add(1)
	switch o.what {
	case "block":
		x.Single(head200, o.content())
	case "after":
		x.Begin(head200, o.content(), -1)
		x.Answered(channeltest.Complete, "")
		x.AwaitSent()
		x.FinishAfter("")
	case "stream":
		x.Begin(head200, nil, int64(o.size))
		stream(x, o.content())
	case "echo":
		echo(x)
	case "raise":
		x.Finish(channeltest.Raised, fmt.Sprint(o.token))
	case "half":
		x.Begin(head200, o.content()[:o.size/2], -1)
		x.Finish(channeltest.Raised, fmt.Sprint(o.token))
	}
}

func stream(x *channeltest.Exchange, rest []byte) {
	for len(rest) > 0 {
		n, err := x.Write(rest[:min(len(rest), 777)])
		if err != nil {
			x.Finish(channeltest.Dropped, "")
			return
		}
		rest = rest[n:]
	}
	x.Finish(channeltest.Complete, "")
}

// keepAlive keeps one place of the pool filled until stop, with workers that
// die after a random number of steps; the last one lives.
func (c *crowd) keepAlive(place uint64, stop <-chan struct{}) *fakeWorker {
	random := rand.New(rand.NewPCG(place, 14))
	for id := uint32(place) * 1_000_000; ; id++ {
		f, err := newFakeWorker(c.dispatcher, id, c.sizes, c.perform)
		if err != nil {
			c.Error(err)
			return nil
		}
		dead := make(chan struct{})
		f.KillAfter(1 + random.IntN(4000))
		go func() { f.Wait(); close(dead) }()
		select {
		case <-stop:
			return f
		case <-dead:
			c.kills.Add(1)
			f.die("killed at random")
			c.unmapped(f)
		}
	}
}

// unmapped checks that nothing holds the segment of a dead worker, and frees it.
func (c *crowd) unmapped(f *fakeWorker) {
	<-f.unheard
	for f.worker.holders.Load() != 0 { // calls that still read what it had answered
		runtime.Gosched()
	}
	f.Detach()
}

// connect plays one connection that asks for n answers.
func (c *crowd) connect(number, n int) {
	random := rand.New(rand.NewPCG(uint64(number), 15))
	looks := &lookout{most: 200}
	looks.luck.Store(luckMost)
	newCall := func() *Call {
		if swept, ok := c.dispatcher.calls.Get().(*Call); ok {
			return swept
		}
		return &Call{
			dispatcher: c.dispatcher, limits: c.sizes, lookout: looks,
			news: make(chan struct{}, 1), roomNews: make(chan struct{}, 1), replyFile: make(chan *os.File, 1),
		}
	}
	call := newCall()
	for i := range n {
		what := []string{"block", "block", "stream", "echo", "raise", "half", "after"}[random.IntN(7)]
		o := order{what, number*1_000_000 + i, random.IntN(3000)}
		if what == "stream" || what == "echo" {
			o.size = random.IntN(20_000)
		}
		if !c.ask(call, o, random) {
			call = newCall()
		}
	}
}

// ask runs one order and checks what comes back. False if the call cannot be
// used again.
func (c *crowd) ask(call *Call, o order, random *rand.Rand) bool {
	content := o.content()
	r := wsgi.Request{Environ: []byte(o.String())}
	var carried chan struct{}
	if o.what == "echo" {
		here := random.IntN(min(len(content), 2000) + 1)
		r.Body, r.BodyMore, r.BodyLength = content[:here], true, int64(o.size)
		carried = make(chan struct{})
	}
	if err := call.Begin(r); err != nil {
		c.Errorf("%v: Begin() = %v", o, err)
		return true
	}
	if carried != nil {
		go func() { carry(call, content[len(r.Body):], true); close(carried) }()
	}
	body, err := []byte(nil), errLeft
	if carried != nil || random.IntN(8) != 0 { // who brings a body waits for the head
		body, err = readSome(call, o, random)
	}
	if carried != nil {
		if err != nil {
			call.Abort()
		}
		<-carried
	}
	end := call.End
	if errors.Is(err, errWhole) {
		end = call.Detach
	}
	_, again := end()
	c.check(o, content, body, err)
	return again
}

// errLeft is the error of a client that went away.
var errLeft = errors.New("the client has left")

// errWhole is the error of a client that has all it was promised.
var errWhole = errors.New("the client has the whole answer")

// readSome reads an answer. Now and then it leaves in the middle, or does not
// wait for the end of an answer whose length is known.
func readSome(call *Call, o order, random *rand.Rand) (body []byte, err error) {
	if _, _, _, err := call.Head(nil); err != nil {
		return nil, err
	}
	for {
		p, err := call.Body()
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return body, err
		}
		n := 1 + random.IntN(len(p))
		body = append(body, p[:n]...)
		call.Consumed(n)
		switch {
		case o.what == "stream" && len(body) == o.size && random.IntN(2) == 0:
			return body, errWhole
		case random.IntN(50) == 0:
			return body, errLeft
		}
	}
}

// check is what must hold of every call.
func (c *crowd) check(o order, content, body []byte, err error) {
	times := int64(0)
	if n, ok := c.begun.Load(o.token); ok {
		times = n.(*atomic.Int64).Load()
	}
	if times > 1 {
		c.Errorf("%v was begun %d times, want once at most", o, times)
	}
	if len(body) > len(content) || string(body) != string(content[:len(body)]) {
		c.Errorf("%v was answered with bytes of something else", o)
	}
	var failed *wsgi.ApplicationError
	var lost *wsgi.LostError
	switch {
	case errors.Is(err, errLeft):
		c.abandoned.Add(1)
	case errors.Is(err, errWhole):
		c.answered.Add(1)
	case errors.As(err, &lost):
		c.lost.Add(1)
	case errors.As(err, &failed):
		if o.what != "raise" && o.what != "half" || failed.Traceback != fmt.Sprint(o.token) {
			c.Errorf("%v failed with %q", o, failed.Traceback)
		}
		c.answered.Add(1)
	case err != nil:
		c.Errorf("%v = %v", o, err)
	case len(body) != len(content) || o.what == "raise" || o.what == "half":
		c.Errorf("%v looks complete with %d bytes of %d", o, len(body), len(content))
	default:
		c.answered.Add(1)
	}
}

func TestDispatcher_LosesNoCallWhateverDies(t *testing.T) {
	const places, connections = 3, 16
	asked := 1500
	if testing.Short() {
		asked = 100
	}
	sizes := small
	sizes.Threads, sizes.Slots = 2, 4
	c := &crowd{T: t, dispatcher: &dispatcher{}, sizes: sizes}
	c.dispatcher.complain = func(_ []byte, _ failure.Code, _, _ string) { c.complaints.Add(1) }

	stop := make(chan struct{})
	survivors := make(chan *fakeWorker, places)
	for place := range uint64(places) {
		go func() { survivors <- c.keepAlive(place+1, stop) }()
	}
	finished := make(chan struct{}, connections)
	for number := range connections {
		go func() { c.connect(number+1, asked); finished <- struct{}{} }()
	}
	for range connections {
		await(t, finished, "every call ends")
	}
	close(stop)
	for range places {
		f := await(t, survivors, "the last workers are told")
		f.die("it is over")
		gone := make(chan struct{})
		go func() { c.unmapped(f); close(gone) }()
		await(t, gone, "nothing holds the segment")
	}
	if queued, left := c.dispatcher.queue.length, c.dispatcher.leftovers.Load(); queued != 0 || left != 0 {
		t.Errorf("%d calls are still queued, %d counted as left over, want none", queued, left)
	}
	if got := c.answered.Load() + c.lost.Load() + c.abandoned.Load(); got != connections*int64(asked) {
		t.Errorf("%d calls ended, want %d", got, connections*asked)
	}
	if lost, most := c.lost.Load(), (c.kills.Load()+places)*int64(sizes.Threads); lost > most {
		t.Errorf("%d calls were lost with %d workers of %d threads, want %d at most", lost, c.kills.Load(), sizes.Threads, most)
	}
	if c.kills.Load() == 0 || c.lost.Load() == 0 || c.abandoned.Load() == 0 {
		t.Errorf("%d workers died, %d calls were lost, %d abandoned: want some of each", c.kills.Load(), c.lost.Load(), c.abandoned.Load())
	}
	t.Logf("%d calls answered, %d lost with %d workers, %d abandoned, %d complaints",
		c.answered.Load(), c.lost.Load(), c.kills.Load(), c.abandoned.Load(), c.complaints.Load())
}
