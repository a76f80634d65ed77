package dev

// Open pages refresh themselves: a script in each page listens to a stream of
// the front's own, which says when there is something new to see.

import (
	"crypto/rand"
	"fmt"
	"html/template"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"gowsgi/environ"
	"gowsgi/wsgi"
)

// LivereloadPath is the path of the stream. It is taken from the application in a
// development server, and only there.
const LivereloadPath = "/-/gowsgi/livereload"

// Livereload knows what state of the application there is to see, and who wants
// to be told of the next. Its methods may be called from any goroutine.
type Livereload struct {
	mu     sync.Mutex
	server string // tells this server from others at the same address
	state  int
	next   chan struct{} // closed when state has changed
	closed bool
}

// NewLivereload begins with a state that no page has seen.
func NewLivereload() *Livereload {
	return &Livereload{server: rand.Text()[:8], next: make(chan struct{})}
}

// Advance tells all open pages that there is something new.
func (l *Livereload) Advance() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state++
	if !l.closed {
		close(l.next)
		l.next = make(chan struct{})
	}
}

// Close ends the streams, so that the server can end.
func (l *Livereload) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.next)
	}
}

func (l *Livereload) now() (state string, next <-chan struct{}, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.server + "-" + strconv.Itoa(l.state), l.next, l.closed
}

// The page compares its own state with what the stream says, so nothing is
// missed between its making and the stream's beginning. It refreshes once for
// each state: what some cache gives back again is left as it is. A hidden page
// gives its connection back, of which a browser has six for a server.
const script = `<script>(()=>{if(window.gowsgiLivereload)return;window.gowsgiLivereload=1;` +
	`const mine=%q,key="gowsgi-livereload";let s;` +
	`const stop=()=>{if(s){s.close();s=null}};` +
	`const start=()=>{if(s||document.hidden)return;s=new EventSource(%q);s.onmessage=e=>{` +
	`if(e.data===mine)return;try{if(sessionStorage.getItem(key)===location.href+e.data)return;` +
	`sessionStorage.setItem(key,location.href+e.data)}catch(_){}stop();location.reload()};` +
	`s.onerror=()=>{if(s&&s.readyState===2){stop();setTimeout(start,1000)}}};` +
	`document.addEventListener("visibilitychange",()=>document.hidden?stop():start());` +
	`addEventListener("pagehide",stop);addEventListener("pageshow",start);start()})()</script>`

// Script is the element that makes the answer to a request refresh itself.
func (l *Livereload) Script(r *environ.Request) template.HTML {
	state, _, _ := l.now()
	stream := url.URL{Path: r.ScriptName + LivereloadPath}                 // below the same mount point
	return template.HTML(fmt.Sprintf(script, state, stream.EscapedPath())) //nolint:gosec // no quote nor < is left in it
}

// heartbeat finds clients that have gone, and keeps what is in between awake.
const heartbeat = 15 * time.Second

// Serve answers a request for the stream and returns when the client has gone,
// or after Close. The format is that of the HTML standard, §9.2 "Server-sent
// events".
func (l *Livereload) Serve(x wsgi.Exchange, r *environ.Request) {
	if string(r.Method) != "GET" {
		_ = x.Refuse(405, "this is a stream of events; GET it", environ.Header{Name: []byte("Allow"), Value: []byte("GET")})
		return
	}
	err := x.WriteHead(200, []byte("OK"), []environ.Header{
		{Name: []byte("Content-Type"), Value: []byte("text/event-stream")},
		{Name: []byte("Cache-Control"), Value: []byte("no-store")},
		{Name: []byte("X-Accel-Buffering"), Value: []byte("no")},
	}, -1)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	text, said := "retry: 300\n", ""
	for err == nil {
		state, next, closed := l.now()
		if closed {
			_ = x.Finish()
			return
		}
		if state != said {
			text, said = text+"data: "+state+"\n\n", state
		}
		if _, err = x.Write([]byte(text)); err == nil {
			err = x.Flush()
		}
		if err != nil {
			break
		}
		text = ""
		select {
		case <-next:
		case <-beat.C:
			text = ":\n\n"
		}
	}
	x.Abort()
}

// IsLivereload says whether a request is for the stream.
func IsLivereload(r *environ.Request) bool { return string(r.Path) == LivereloadPath }

// isHTML says whether a Content-Type is that of a page that ASCII can be added to.
func isHTML(value []byte) bool {
	kind, parameters, _ := strings.Cut(strings.ToLower(string(value)), ";")
	return strings.TrimSpace(kind) == "text/html" && !strings.Contains(parameters, "utf-16") && !strings.Contains(parameters, "utf-32")
}
