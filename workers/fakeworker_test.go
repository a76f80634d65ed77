package workers

// A worker in Go for the dispatcher to lose, and calls to ask it with.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"gowsgi/cmd/failure"
	"gowsgi/embed/channel"
	"gowsgi/embed/channel/channeltest"
	"gowsgi/wsgi"
)

// patience is for what happens at once in a program that is right.
const patience = 20 * time.Second

// small is a worker of one thread that takes one call ahead.
var small = channel.Sizes{Threads: 1, Slots: 2, Environ: 512, Body: 4096, Reply: 4096, Fault: 256}

// fakeWorker is one worker the dispatcher knows, and the process it would be.
type fakeWorker struct {
	*channeltest.Worker
	worker     *worker
	dispatcher *dispatcher
	dead       chan struct{} // closed when it is to die
	unheard    chan struct{} // closed when nobody listens to it any more
	once       sync.Once
	ran        []casualty // what it was running when it died
}

// newFakeWorker starts a worker that runs application and joins it to d.
func newFakeWorker(d *dispatcher, id uint32, sizes channel.Sizes, application func(*fakeWorker, *channeltest.Exchange)) (*fakeWorker, error) {
	segment, err := channel.Create(sizes)
	if err != nil {
		return nil, err
	}
	process, err := channeltest.Attach(segment.Files())
	if err != nil {
		segment.Close()
		return nil, err
	}
	segment.Forked()
	f := &fakeWorker{
		Worker: process, worker: newWorker(id, segment), dispatcher: d,
		dead: make(chan struct{}), unheard: make(chan struct{}),
	}
	go func() {
		_ = segment.Listen(f.worker.rung) // ErrClosed, when the worker is lost
		f.worker.letGo()
		close(f.unheard)
	}()
	f.Serve(sizes.Threads, func(x *channeltest.Exchange) { application(f, x) })
	d.join(f.worker)
	return f, nil
}

// die ends the process, and tells the dispatcher when nothing of it runs any
// more, as the zygote does. It returns how many calls it had answered.
func (f *fakeWorker) die(reason string) (served int) {
	f.once.Do(func() {
		close(f.dead)
		f.Kill()
		served, f.ran = f.dispatcher.lose(f.worker, lostTo(f.worker.id, reason))
	})
	return served
}

func lostTo(id uint32, reason string) *wsgi.LostError {
	return &wsgi.LostError{Worker: id, Reason: reason}
}

// act is one exchange a thread has begun, and waits to be told what to do.
type act struct {
	*channeltest.Exchange
	by   *fakeWorker
	name string // the environ
	do   chan func(*channeltest.Exchange)
	did  chan struct{}
}

// stage is a dispatcher with workers that do what the test says, when it says.
type stage struct {
	*testing.T
	*dispatcher
	sizes      channel.Sizes
	begun      chan *act
	emptied    chan *worker
	stuck      chan *worker
	worn       chan *worker
	deaf       chan *worker
	expired    chan expiry
	starved    chan struct{}
	complaints chan string
	cast       []*fakeWorker
}

// expiry is what the dispatcher tells of calls that have worked too long.
type expiry struct {
	worker *worker
	calls  []casualty
}

func newStage(t *testing.T, sizes channel.Sizes, workers int) *stage {
	t.Helper()
	s := &stage{
		T: t, sizes: sizes, dispatcher: &dispatcher{},
		begun: make(chan *act, 1000), emptied: make(chan *worker, 100), complaints: make(chan string, 100),
	}
	s.stuck, s.worn = make(chan *worker, 100), make(chan *worker, 100)
	s.expired, s.starved = make(chan expiry, 100), make(chan struct{}, 1000)
	s.dispatcher.emptied = func(w *worker) { s.emptied <- w }
	s.dispatcher.stuck = func(w *worker) { s.stuck <- w }
	s.deaf = make(chan *worker, 100)
	s.dispatcher.deaf = func(w *worker) { s.deaf <- w }
	s.dispatcher.worn = func(w *worker) { s.worn <- w }
	s.dispatcher.expired = func(w *worker, calls []casualty) { s.expired <- expiry{w, calls} }
	s.dispatcher.starved = func() { s.starved <- struct{}{} }
	s.dispatcher.complain = func(_ []byte, _ failure.Code, _, traceback string) { s.complaints <- traceback }
	for range workers {
		s.enter()
	}
	t.Cleanup(s.strike)
	return s
}

// enter adds a worker.
func (s *stage) enter() *fakeWorker {
	s.Helper()
	f, err := newFakeWorker(s.dispatcher, uint32(len(s.cast)+1), s.sizes, s.perform)
	if err != nil {
		s.Fatal(err)
	}
	s.cast = append(s.cast, f)
	return f
}

// strike ends every worker, and checks that nothing of them stays mapped. The
// calls of the test must have ended.
func (s *stage) strike() {
	for _, f := range s.cast {
		f.die("the test is over")
		await(s.T, f.unheard, "the listener ends")
		if n := f.worker.holders.Load(); n != 0 && !s.Failed() {
			s.Errorf("worker %d still has %d holders, %d of %d seats taken", f.worker.id, n, f.worker.taken(), len(f.worker.seats))
		}
		f.Detach()
	}
}

// perform is the application: it does what it is told, until it has finished.
func (s *stage) perform(f *fakeWorker, x *channeltest.Exchange) {
	a := &act{
		Exchange: x, by: f, name: string(x.Environ()),
		do: make(chan func(*channeltest.Exchange)), did: make(chan struct{}),
	}
	s.begun <- a
	for !a.obey() {
	}
}

// obey does one thing; true if that has finished the exchange.
func (a *act) obey() bool {
	select {
	case f := <-a.do:
		if f == nil {
			return true
		}
		f(a.Exchange)
		a.did <- struct{}{}
	case <-a.by.dead:
		runtime.Goexit()
	}
	return false
}

// next waits until a thread has begun an exchange.
func (s *stage) next() *act {
	s.Helper()
	return await(s.T, s.begun, "a thread begins an exchange")
}

// nothingBegins checks that no exchange has been begun so far.
func (s *stage) nothingBegins() {
	s.Helper()
	select {
	case a := <-s.begun:
		s.Fatalf("worker %d has begun %q, want nothing begun", a.by.worker.id, a.name)
	default:
	}
}

// let has the thread do f and waits for that.
func (a *act) let(f func(*channeltest.Exchange)) {
	a.do <- f
	<-a.did
}

// finish has the thread do f, which finishes the exchange.
func (a *act) finish(f func(*channeltest.Exchange)) {
	a.let(f)
	close(a.do)
}

var head200 = channeltest.PackHead("200 OK", [2]string{"X-By", "fake"})

// answer finishes with one block: what was asked, in brackets.
func (a *act) answer() {
	a.finish(func(x *channeltest.Exchange) { x.Single(head200, []byte("["+a.name+"]")) })
}

// newCall returns a call whose goroutine sleeps at once.
func (s *stage) newCall() *Call {
	return &Call{
		dispatcher: s.dispatcher, limits: s.sizes, lookout: &lookout{},
		news: make(chan struct{}, 1), roomNews: make(chan struct{}, 1), replyFile: make(chan *os.File, 1),
	}
}

// asked is a call that has begun, and its answer to be.
type asked struct {
	*Call
	answered chan answer
}

// answer is what a connection got.
type answer struct {
	body  string
	err   error // nil after the whole body
	again bool
}

// ask begins a call and reads the answer in a goroutine of its own.
func (s *stage) ask(name string) *asked {
	s.Helper()
	c := &asked{s.newCall(), make(chan answer, 1)}
	if err := c.Begin(wsgi.Request{Environ: []byte(name)}); err != nil {
		s.Fatalf("Begin(%q) = %v", name, err)
	}
	go func() {
		body, err := readAnswer(c.Call)
		_, again := c.End()
		c.answered <- answer{body, err, again}
	}()
	return c
}

// readAnswer reads an answer to its end; the error is nil at io.EOF.
func readAnswer(c *Call) (string, error) {
	if _, _, _, err := c.Head(nil); err != nil {
		return "", err
	}
	return readBody(c)
}

func readBody(c *Call) (string, error) {
	var body []byte
	for {
		p, err := c.Body()
		if errors.Is(err, io.EOF) {
			return string(body), nil
		}
		if err != nil {
			return string(body), err
		}
		body = append(body, p...)
		c.Consumed(len(p))
	}
}

// expect waits for the answer that answer() gives.
func (s *stage) expect(c *asked, name string) {
	s.Helper()
	if got := await(s.T, c.answered, name+" is answered"); got.body != "["+name+"]" || got.err != nil || !got.again {
		s.Errorf("%s was answered with %+v, want it in brackets", name, got)
	}
}

// expectLost waits for the error that the loss of a worker gives.
func (s *stage) expectLost(c *asked, reason string) {
	s.Helper()
	var lost *wsgi.LostError
	got := await(s.T, c.answered, "the loss is told")
	if !errors.As(got.err, &lost) || lost.Reason != reason || !got.again {
		s.Errorf("the call ended with %+v, want it lost: %s", got, reason)
	}
}

func await[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain: %s", what)
		panic("not reached")
	}
}

// until yields until holds does.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// locked reads something of the dispatcher's.
func locked[T any](d *dispatcher, read func() T) T {
	d.mu.Lock()
	defer d.mu.Unlock()
	return read()
}

func names(prefix string, from, to int) []string {
	var all []string
	for i := from; i <= to; i++ {
		all = append(all, fmt.Sprint(prefix, i))
	}
	return all
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}
