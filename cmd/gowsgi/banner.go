package main

// What a person at a terminal gets to read: the banner, and a line for each
// request while developing.

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gowsgi/embed"
)

// isTerminal says whether a descriptor is one.
func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// paint colours text, where colours are wanted: on a terminal, unless $NO_COLOR
// is set (no-color.org) or the terminal has none.
type paint bool

func paintFor(fd int) paint {
	return paint(isTerminal(fd) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
}

// SGR parameters, ECMA-48 §8.3.117.
const (
	bold    = "1"
	dim     = "2"
	red     = "31"
	green   = "32"
	yellow  = "33"
	magenta = "35"
	cyan    = "36"
)

func (p paint) in(colour, text string) string {
	if !p || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// banner says in one glance what serves where, and how to stop it:
//
//	gowsgi 1.2 · development server
//
//	serving      http://127.0.0.1:8000
//	application  shop.wsgi:application
//	python       3.11.2, virtualenv /srv/shop/.venv
//	workers      1 × 1 thread, new code with each save (files are watched)
//	stop with    Ctrl-C
func (f *front) banner(sockets []*socket) string {
	s, p := f.settings(), paintFor(stderr)
	var b strings.Builder
	row := func(label, text string) {
		fmt.Fprintf(&b, "  %s  %s\n", p.in(dim, fmt.Sprintf("%-11s", label)), text)
	}
	fmt.Fprintf(&b, "\n  %s %s%s\n\n", p.in(bold, "gowsgi"), version, p.in(dim, " · "+f.mode()+" server"))
	label := "serving"
	for _, socket := range sockets {
		url, note := reachable(socket)
		row(label, p.in(cyan, url)+p.in(dim, note))
		label = ""
	}
	row("application", p.in(bold, s.App.String()))
	row("python", embed.Release()+", "+interpreterName(s.Chroot))
	row("workers", f.workforce())
	row("stop with", "Ctrl-C")
	b.WriteString("\n")
	return b.String()
}

// mode says who the server is for.
func (f *front) mode() string {
	if f.dev != nil {
		return "development"
	}
	return "production"
}

// reachable is what a browser on this machine reaches a socket by.
func reachable(s *socket) (url, note string) {
	url = s.address()
	for all, one := range map[string]string{"//0.0.0.0:": "//127.0.0.1:", "//[::]:": "//[::1]:"} {
		if strings.Contains(url, all) {
			return strings.Replace(url, all, one, 1), " and every other address of this machine"
		}
	}
	return url, ""
}

// workforce says how many workers there are to be, of how many threads, and what
// replaces them.
func (f *front) workforce() string {
	s := f.settings()
	workers := strconv.Itoa(s.Workers)
	if s.MinWorkers != s.MaxWorkers {
		workers = fmt.Sprintf("%d to %d", s.MinWorkers, s.MaxWorkers)
	}
	threads := "1 thread"
	if s.Threads != 1 {
		threads = fmt.Sprintf("%d threads", s.Threads)
	}
	text := workers + " × " + threads
	if f.dev == nil {
		return text
	}
	if f.dev.watcher.Polling() {
		return text + ", new code with each save (files are polled)"
	}
	return text + ", new code with each save (files are watched)"
}

// interpreterName is the virtualenv, or the interpreter where there is none.
func interpreterName(chroot string) string {
	path := interpreterPath(chroot)
	if path == embed.Interpreter {
		return path
	}
	return "virtualenv " + filepath.Dir(filepath.Dir(path))
}

// interpreterPath is what CPython is started as.
func interpreterPath(chroot string) string {
	folder, err := os.Getwd()
	if err != nil || chroot != "" {
		return embed.Interpreter
	}
	path, err := embed.FindInterpreter(os.Getenv("VIRTUAL_ENV"), folder)
	if err != nil {
		return embed.Interpreter
	}
	return path
}

// slowRequest is marked.
const slowRequest = 500 * time.Millisecond

// requestLine is one request, for a person:
//
//	12:04:31 GET /path 200 12ms
func (p paint) requestLine(e *AccessEntry) string {
	colour := red
	switch {
	case e.Status < 200: // no answer
	case e.Status < 300:
		colour = green
	case e.Status < 400:
		colour = cyan
	case e.Status < 500:
		colour = yellow
	}
	status := strconv.Itoa(e.Status)
	if text := http.StatusText(e.Status); e.Status >= 400 && text != "" {
		status += " " + text
	}
	took := e.Duration.Round(100 * time.Microsecond)
	if took > 10*time.Millisecond {
		took = took.Round(time.Millisecond)
	}
	time := p.in(dim, took.String())
	if e.Duration >= slowRequest {
		time = p.in(magenta, took.String()+" slow")
	}
	return fmt.Sprintf("%s %s %s %s %s\n", p.in(dim, e.Time.Format("15:04:05")),
		p.in(bold, escapeControls(string(e.Method))), escapeControls(string(e.Target)), p.in(colour, status), time)
}

// showRequests writes a line for each request of a development server to standard
// output, unless an access log is kept there or elsewhere; nil: not.
func (f *front) showRequests() func(*AccessEntry) {
	if f.dev == nil || f.access != nil || !f.started.develop && !isTerminal(stdout) {
		return nil
	}
	p := paintFor(stdout)
	return func(e *AccessEntry) {
		_, _ = os.Stdout.WriteString(p.requestLine(e)) // nobody reads it: nobody misses it
	}
}
