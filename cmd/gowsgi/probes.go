package main

// What a load balancer or an orchestrator asks the front: whether it lives, and
// whether requests should come here. The front answers by itself: no worker and no
// queue takes part, and the access log has no line of it, for probes come every few
// seconds. health.go is what the front asks itself.

import (
	"errors"
	"net"
	"slices"
	"strings"

	"gowsgi/environ"
	"gowsgi/wsgi"
)

// Paths below --health-path.
const (
	liveProbe  = "/healthz"
	readyProbe = "/readyz"
)

// healthPath keeps the path that probes are below, without a slash at its end; nil
// for none.
func healthPath(field func(*Settings) **string) kind {
	return kind{word: "PATH", store: func(s *Settings, text string) error {
		if text == "none" {
			*field(s) = nil
			return nil
		}
		prefix, err := parseHealthPath(text)
		*field(s) = &prefix
		return err
	}}
}

// parseHealthPath wants a path that is written like that in requests: nothing of
// it is encoded, for targets are compared as they come.
func parseHealthPath(text string) (string, error) {
	const want = "(want a path like /- or /, or none)"
	if !strings.HasPrefix(text, "/") {
		return "", errors.New("begins with no slash " + want)
	}
	prefix := strings.TrimRight(text, "/")
	for segment := range strings.SplitSeq(strings.TrimPrefix(prefix, "/"), "/") {
		if prefix != "" && (segment == "" || segment == "." || segment == "..") {
			return "", errors.New("has an empty or a dotted segment " + want)
		}
	}
	for _, c := range []byte(prefix) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
		if !letter && !strings.ContainsRune("-._~!$&'()*+,;=:@/", rune(c)) { // pchar of RFC 3986 §3.3
			return "", errors.New("holds a character that a path does not " + want)
		}
	}
	return prefix, nil
}

// probes answers them. The zero value answers none.
type probes struct {
	live, ready string // paths
	// everywhere: on all sockets. Else on unix sockets, and on those TCP sockets that
	// only this machine reaches: loopback has their addresses, as environ.Request
	// has them in ServerName and ServerPort.
	everywhere bool
	loopback   []string
	// accepts tells whether requests should come.
	accepts func() bool
}

// newProbes makes what s asks for.
func (f *front) newProbes(s *Settings) *probes {
	if s.HealthPath == nil {
		return &probes{}
	}
	p := &probes{
		live: *s.HealthPath + liveProbe, ready: *s.HealthPath + readyProbe,
		everywhere: s.probesEverywhere(),
		accepts:    func() bool { return f.accepts(s) },
	}
	for _, socket := range f.sockets {
		if tcp, ok := socket.Addr().(*net.TCPAddr); ok && socket.isLocal() {
			p.loopback = append(p.loopback, tcp.String())
		}
	}
	return p
}

// probesEverywhere: somebody has asked for them, so they are answered to everybody.
func (s *Settings) probesEverywhere() bool { return s.Origins["health-path"] != byDefault }

// accepts tells whether requests should come to this address: the server was not
// asked to stop, and has a worker, or would start one. One that another has taken the
// place of is none the worse for it: who still asks it will find the other.
func (f *front) accepts(s *Settings) bool {
	return !f.leaving.Load() && (f.pool.Serves() || s.MinWorkers == 0)
}

// answer serves a request that is a probe, and tells whether it was one.
func (p *probes) answer(x wsgi.Exchange, r *environ.Request) bool {
	aboutReady := string(r.Path) == p.ready
	if !aboutReady && string(r.Path) != p.live || p.live == "" || !p.reaches(r) {
		return false
	}
	switch {
	case string(r.Method) != "GET" && string(r.Method) != "HEAD":
		tell(x, 405, "Method Not Allowed", "only GET and HEAD\n", environ.Header{Name: []byte("Allow"), Value: []byte("GET, HEAD")})
	case !aboutReady:
		tell(x, 200, "OK", "alive\n")
	case p.accepts():
		tell(x, 200, "OK", "ready\n")
	default:
		tell(x, 503, "Service Unavailable", "unready\n", environ.Header{Name: []byte("Retry-After"), Value: []byte("1")})
	}
	return true
}

// reaches tells whether probes are answered on the socket that r came by.
func (p *probes) reaches(r *environ.Request) bool {
	return p.everywhere || r.RemoteAddr == "" || slices.Contains(p.loopback, r.ServerName+":"+r.ServerPort)
}

// tell answers with a word. A client that has gone is nobody's business: the engine
// ends an exchange that is left open.
func tell(x wsgi.Exchange, status int, reason, word string, more ...environ.Header) {
	fields := append([]environ.Header{
		{Name: []byte("Content-Type"), Value: []byte("text/plain; charset=utf-8")},
		{Name: []byte("Cache-Control"), Value: []byte("no-store")},
	}, more...)
	if x.WriteHead(status, []byte(reason), fields, int64(len(word))) != nil {
		return
	}
	_, _ = x.Write([]byte(word)) // Finish tells
	_ = x.Finish()
}
