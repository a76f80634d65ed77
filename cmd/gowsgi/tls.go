package main

// TLS and HTTP/2: what the settings say about them, the certificates, and the
// listeners that send clients from http to https.

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"gowsgi/cmd/failure"
	"gowsgi/environ"
	"gowsgi/wsgi"
	"gowsgi/wsgi/http1"
	"gowsgi/wsgi/http2"
	"gowsgi/wsgi/secure"
)

// Values of --http-protocols, as gunicorn names them.
const (
	protocolHTTP1 = "h1"
	protocolHTTP2 = "h2"
)

func parseProtocol(text string) (string, error) {
	if text != protocolHTTP1 && text != protocolHTTP2 {
		return "", errors.New("no such protocol (want h1, h2 or both)")
	}
	return text, nil
}

func parseFile(text string) (string, error) {
	if text == "" || strings.ContainsRune(text, 0) {
		return "", errors.New("not the name of a file")
	}
	return text, nil
}

func parseRedirect(text string) (Bind, error) {
	b, err := parseBind(text)
	if err == nil && b.Scheme == schemeTLS {
		err = errors.New("redirects are for clients that come without TLS")
	}
	return b, err
}

func storeCertReqs(s *Settings, text string) error {
	known := map[string]tls.ClientAuthType{
		"none": tls.NoClientCert, "0": tls.NoClientCert,
		"optional": tls.VerifyClientCertIfGiven, "1": tls.VerifyClientCertIfGiven,
		"required": tls.RequireAndVerifyClientCert, "2": tls.RequireAndVerifyClientCert,
	}
	value, ok := known[strings.ToLower(text)]
	if !ok {
		return errors.New("want none, optional or required")
	}
	s.CertReqs = value
	return nil
}

func storeTLSVersion(s *Settings, text string) error {
	switch text {
	case "1.2":
		s.TLSMinVersion = tls.VersionTLS12
	case "1.3":
		s.TLSMinVersion = tls.VersionTLS13
	default:
		return errors.New("want 1.2 or 1.3")
	}
	return nil
}

// settleTLS checks what the settings about TLS say together.
func (s *Settings) settleTLS() error {
	given := func(name string) bool { return s.Origins[name] != "default" }
	switch certificates, keys := len(s.Certfiles), len(s.Keyfiles); {
	case keys != 0 && keys != certificates:
		return fmt.Errorf("%d private keys (%s) for %d certificates (%s)",
			keys, s.Origins["keyfile"], certificates, s.Origins["certfile"])
	case given("ca-certs") && !given("cert-reqs"):
		return fmt.Errorf("%s: say with --cert-reqs whether clients need a certificate; "+
			"the chain of the server's own belongs into --certfile", s.Origins["ca-certs"])
	case s.CertReqs != tls.NoClientCert && s.CACerts == "":
		return fmt.Errorf("%s: say with --ca-certs who may sign clients' certificates", s.Origins["cert-reqs"])
	case s.CertReqs != tls.NoClientCert && certificates == 0:
		return fmt.Errorf("%s: there is no TLS without --certfile", s.Origins["cert-reqs"])
	case len(s.Redirects) > 0 && certificates == 0:
		return fmt.Errorf("%s: there is no https to redirect to without --certfile", s.Origins["redirect-http"])
	case certificates == 0 && slices.ContainsFunc(s.Binds, func(b Bind) bool { return b.Scheme == schemeTLS }):
		return fmt.Errorf("%s: https needs --certfile", s.Origins["bind"])
	case len(s.Protocols) == 0:
		return fmt.Errorf("%s: no protocol given", s.Origins["http-protocols"])
	}
	return nil
}

// speaks tells whether a protocol is among --http-protocols.
func (s *Settings) speaks(protocol string) bool { return slices.Contains(s.Protocols, protocol) }

// openCertificates loads what --certfile and its companions name; without them
// there is nothing to load.
func (f *front) openCertificates() error {
	s := f.settings()
	if len(s.Certfiles) == 0 {
		return nil
	}
	o := secure.Options{ClientAuth: s.CertReqs, ClientCAs: s.CACerts, MinVersion: s.TLSMinVersion, Log: f.log}
	for i, file := range s.Certfiles {
		pair := secure.Pair{CertFile: file, KeyFile: file}
		if len(s.Keyfiles) > 0 {
			pair.KeyFile = s.Keyfiles[i]
		}
		o.Pairs = append(o.Pairs, pair)
	}
	if s.speaks(protocolHTTP2) {
		o.Protocols = append(o.Protocols, "h2")
	}
	if s.speaks(protocolHTTP1) {
		o.Protocols = append(o.Protocols, "http/1.1")
	}
	var err error
	if f.certificates, err = secure.Open(o); err != nil {
		return failure.Errorf(failure.CertificateUnusable, "TLS: %w", err)
	}
	return nil
}

// reloadCertificates loads them again; when that fails the old ones stay.
func (f *front) reloadCertificates() {
	if f.certificates == nil {
		return
	}
	if err := f.certificates.Reload(); err != nil {
		f.log.Error("certificates cannot be loaded again; the old ones stay in force", failure.Key, failure.CertificateStale, "error", err)
	}
}

// watchCertificates loads them again whenever their files change, until the
// function it returns is called.
func (f *front) watchCertificates() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	if f.certificates != nil {
		go f.certificates.Watch(ctx, secure.DefaultInterval)
	}
	return cancel
}

// secure decides which sockets are under TLS.
func (f *front) secure() {
	for _, s := range f.sockets {
		switch _, tcp := s.Addr().(*net.TCPAddr); {
		case f.certificates == nil || s.redirect:
		case s.scheme != "":
			s.secure = s.scheme == schemeTLS
		default:
			s.secure = tcp
		}
	}
}

// address is what the socket is announced as.
func (s *socket) address() string {
	b := bindOf(s)
	if s.secure {
		b.Scheme = schemeTLS
	}
	return b.String()
}

// isLocal: only this machine reaches s. Bind.isLocal says it of a setting.
func (s *socket) isLocal() bool {
	tcp, ok := s.Addr().(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// serveSocket serves what comes through s until the server stops.
func (f *front) serveSocket(s *socket) error {
	l := f.behindProxy(s)
	switch {
	case s.redirect:
		return f.redirect.Serve(l)
	case s.secure:
		return f.server.Serve(tls.NewListener(l, f.certificates.Config()))
	}
	return f.server.Serve(l)
}

// both asks both servers for something at the same time.
func (f *front) both(ask func(*http1.Server) error) error {
	failed := make(chan error, 2)
	for _, s := range []*http1.Server{f.server, f.redirect} {
		go func() { failed <- ask(s) }()
	}
	return errors.Join(<-failed, <-failed)
}

// shutdown lets requests end and nothing else; see http1.Server.Shutdown.
func (f *front) shutdown(ctx context.Context) error {
	return f.both(func(s *http1.Server) error { return s.Shutdown(ctx) })
}

// addHTTP2 makes an engine of HTTP/2 with the limits and timers of o, for the
// connections that o's server will hand over.
func (f *front) addHTTP2(o *http1.Options) {
	if f.certificates != nil {
		o.Variables = secure.Variables
	}
	if !f.settings().speaks(protocolHTTP2) {
		return
	}
	o.OnlyHTTP2 = !f.settings().speaks(protocolHTTP1)
	f.http2 = http2.New(http2.Options{
		Limits:   o.Limits,
		Timeouts: o.Timeouts,
		Streams:  f.settings().HTTP2Streams,
		Server:   o.Server,
		Log:      o.Log,
		Handler:  http2Handler{&f.handler},
	})
	o.HTTP2 = f.http2
}

// http2Handler joins http2, peers and wsgi, which do not know each other.
type http2Handler struct{ handler *handler }

func (h http2Handler) ServeExchange(x *http2.Exchange) {
	h.handler.service.Load().serve(x, &x.Request)
}

// redirectServer makes the server for them. Its limits and timers are those of
// the other, its requests are in the same log.
func (f *front) redirectServer(like http1.Options) *http1.Server {
	return http1.New(http1.Options{
		Limits:    like.Limits,
		Timeouts:  like.Timeouts,
		Admission: like.Admission,
		Server:    like.Server,
		Log:       like.Log,
		Handler:   &redirect{port: f.redirectPort(), access: f.accessHook()},
	})
}

// redirectPort is the port that clients are sent to.
func (f *front) redirectPort() int {
	if f.settings().RedirectPort != 0 {
		return f.settings().RedirectPort
	}
	for _, s := range f.sockets {
		if address, ok := s.Addr().(*net.TCPAddr); ok && s.secure {
			return address.Port
		}
	}
	return defaultTLSPort
}

const defaultTLSPort = 443

// redirect answers every request with its own address under https.
type redirect struct {
	port   int
	access func(*wsgi.AccessRecord) // nil when off
}

func (h *redirect) ServeExchange(x *http1.Exchange) {
	started := time.Now()
	h.answer(x)
	if h.access != nil {
		h.access(&wsgi.AccessRecord{
			Request: &x.Request, Status: x.Status(), Written: x.Written(),
			Started: started, Duration: time.Since(started),
		})
	}
}

// answer uses 308: other than 301 it keeps method and body, so that a form sent
// to the wrong address arrives.
func (h *redirect) answer(x *http1.Exchange) {
	location, ok := h.location(&x.Request)
	if !ok {
		_ = x.Refuse(400, "this address only redirects to https, and the request names no host") // the client may have gone
		return
	}
	text := []byte("see " + location + "\n")
	fields := []environ.Header{
		{Name: []byte("Location"), Value: []byte(location)},
		{Name: []byte("Content-Type"), Value: []byte("text/plain; charset=utf-8")},
	}
	if x.WriteHead(308, []byte("Permanent Redirect"), fields, int64(len(text))) != nil {
		return // the server aborts what is left open
	}
	_, _ = x.Write(text) // Finish tells
	_ = x.Finish()
}

// location is the address of r under https. The parser has seen to it that host
// and path can be in a field.
func (h *redirect) location(r *environ.Request) (string, bool) {
	host := string(r.Host)
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	if host == "" || len(r.Path) == 0 || r.Path[0] != '/' {
		return "", false
	}
	if h.port != defaultTLSPort {
		host += ":" + strconv.Itoa(h.port)
	}
	location := "https://" + host + string(r.Path)
	if len(r.Query) > 0 {
		location += "?" + string(r.Query)
	}
	return location, true
}
