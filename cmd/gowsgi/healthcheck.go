package main

// gowsgi healthcheck: is the server of these settings ready? It is what a
// container's HEALTHCHECK starts every few seconds, so it asks over HTTP, as any
// client, and starts no Python.

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"gowsgi/cmd/failure"
	"gowsgi/wsgi/peers"
)

const (
	withinFlag    = "--within"
	defaultWithin = 5 * time.Second
)

const healthcheckUsage = "healthcheck [flags] [" + withinFlag + " DURATION] [URL]"

// runHealthcheck is `gowsgi healthcheck`. Its status is 0 or 1 and nothing else, as
// container engines want it.
func runHealthcheck(args []string) error {
	if err := healthcheck(args); err != nil {
		return &exitError{failure.ExitUnexpected, err}
	}
	return nil
}

func healthcheck(args []string) error {
	args, within, err := takeWithin(args)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		args = argumentsOfInit()
	}
	line, err := separate(args)
	if err != nil {
		return err
	}
	if line.asks == "--help" {
		_, err = fmt.Printf("usage: gowsgi %s\nflags are those of the server\n", healthcheckUsage)
		return err
	}
	settings, err := invocation{args: args, lookup: os.LookupEnv}.serverSettings(line)
	if err != nil {
		return err
	}
	target, err := settings.readyTarget(line.rest)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := target.ask(ctx); err != nil {
		return failure.Errorf(failure.NotReady, "not ready: %w", err)
	}
	_, err = fmt.Printf("ready: %s\n", target)
	return err
}

// takeWithin takes the one flag out that is not the server's.
func takeWithin(args []string) (rest []string, within time.Duration, err error) {
	within = defaultWithin
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		if name != withinFlag {
			rest = append(rest, args[i])
			continue
		}
		if !joined {
			if i++; i == len(args) {
				return nil, 0, failure.Errorf(failure.Usage, "%s: no value given (want DURATION)", withinFlag)
			}
			value = args[i]
		}
		if within, err = parseDuration(value); err == nil && within == 0 {
			err = errors.New("no time at all (want more than 0)")
		}
		if err != nil {
			return nil, 0, failure.Errorf(failure.BadValue, "%s %q: %w", withinFlag, value, err)
		}
	}
	return rest, within, nil
}

// argumentsOfInit are those of process 1 if that is this program: the container's
// server, which may have been told more than the environment says.
func argumentsOfInit() []string {
	init, err := os.Stat("/proc/1/exe")
	if err != nil {
		return nil
	}
	if own, err := os.Stat(thisBinary); err != nil || !os.SameFile(init, own) {
		return nil
	}
	line, err := os.ReadFile("/proc/1/cmdline")
	if err != nil {
		return nil
	}
	var args []string
	for arg := range bytes.SplitSeq(bytes.TrimSuffix(line, []byte{0}), []byte{0}) {
		args = append(args, string(arg))
	}
	return args[1:]
}

// serverSettings are those of a server, whatever application it has.
func (i invocation) serverSettings(line arguments) (*Settings, error) {
	flags, err := arguments{given: line.given}.flags()
	if err != nil {
		return nil, err
	}
	from, _, err := i.sources(flags)
	if err != nil {
		return nil, err
	}
	return from.gather().settled()
}

// A target is where a server tells whether it is ready.
type target struct {
	bind      Bind // what to dial: a TCP address or a unix socket
	url       *url.URL
	only2     bool         // it speaks nothing but HTTP/2
	proxied   *peers.Trust // whose connections begin with a PROXY header
	withProxy bool         // some do
	anyName   bool         // the certificate may have any name: it is this machine's
	protocols http.Protocols
}

// readyTarget is the URL among rest, if there is one, else an address that s
// listens at.
func (s *Settings) readyTarget(rest []string) (*target, error) {
	t := &target{
		proxied: peers.NewTrust(s.ProxyAllowFrom), withProxy: s.ProxyProtocol,
		only2: !s.speaks(protocolHTTP1),
	}
	for _, arg := range rest {
		if strings.HasPrefix(arg, "http://") || strings.HasPrefix(arg, "https://") {
			return t, t.aimAt(arg, s)
		}
		if strings.Contains(arg, "://") {
			return nil, failure.Errorf(failure.BadValue, "%q: no such URL can be asked (want http:// or https://)", arg)
		}
	}
	if s.HealthPath == nil {
		return nil, failure.Errorf(failure.NotReady, "%s: the server answers no health checks; give a URL to ask instead", s.Origins["health-path"])
	}
	b, err := s.bestBind()
	if err != nil {
		return nil, err
	}
	t.bind, t.anyName = b, true
	t.url = &url.URL{Scheme: schemePlain, Host: "localhost", Path: *s.HealthPath + readyProbe}
	if s.underTLS(b) {
		t.url.Scheme = schemeTLS
	}
	if b.Path == "" {
		t.url.Host = net.JoinHostPort(b.Host, strconv.Itoa(b.Port))
	}
	return t, nil
}

// aimAt takes a URL; without a path it gets the one of the settings.
func (t *target) aimAt(text string, s *Settings) (err error) {
	if t.url, err = url.Parse(text); err != nil {
		return err
	}
	if t.url.Path == "" && s.HealthPath != nil {
		t.url.Path = *s.HealthPath + readyProbe
	}
	port := t.url.Port()
	if port == "" {
		port = map[string]string{schemePlain: "80", schemeTLS: "443"}[t.url.Scheme]
	}
	number, err := parseNumber(port, 1, 65535)
	if err != nil {
		return failure.Errorf(failure.BadValue, "%q: port %w", text, err)
	}
	t.bind = Bind{Host: t.url.Hostname(), Port: number}
	t.anyName = t.bind.isLocal()
	return nil
}

// bestBind is an address at which s answers probes, one without TLS if there is
// any: a client's certificate may be asked for under TLS.
func (s *Settings) bestBind() (Bind, error) {
	var reached []Bind
	for _, b := range s.Binds {
		if s.probesEverywhere() || b.isLocal() {
			reached = append(reached, b)
		}
	}
	if len(reached) == 0 {
		return Bind{}, failure.Errorf(failure.NotReady, "at %s health checks are not answered unless asked for: set GOWSGI_HEALTH_PATH=/- for the server, too", s.Binds[0])
	}
	reached = slices.DeleteFunc(reached, func(b Bind) bool { return b.Systemd || b.FD != 0 || b.Path == "" && b.Port == 0 })
	if len(reached) == 0 {
		return Bind{}, failure.Errorf(failure.NotReady, "the settings do not say where %s is; give a URL", s.Binds[0])
	}
	best := max(0, slices.IndexFunc(reached, func(b Bind) bool { return !s.underTLS(b) }))
	if s.underTLS(reached[best]) && s.CertReqs == tls.RequireAndVerifyClientCert {
		return Bind{}, failure.Errorf(failure.NotReady, "at %s clients need a certificate (%s), and the health check has none: let the server listen at a unix socket or at http://127.0.0.1, too", reached[best], s.Origins["cert-reqs"])
	}
	return reached[best].dialable(), nil
}

// underTLS tells whether clients need TLS at b, which is no inherited socket.
func (s *Settings) underTLS(b Bind) bool {
	return b.Scheme == schemeTLS || b.Scheme == "" && b.Path == "" && len(s.Certfiles) > 0
}

// isLocal: only this machine reaches b, or the settings do not say.
func (b Bind) isLocal() bool {
	if b.Path != "" || b.FD != 0 || b.Systemd || b.Host == "localhost" {
		return true
	}
	ip := net.ParseIP(b.Host)
	return ip != nil && ip.IsLoopback()
}

// dialable is b with loopback in place of "every address".
func (b Bind) dialable() Bind {
	switch ip := net.ParseIP(b.Host); {
	case b.Path != "":
	case b.Host == "" || ip != nil && ip.Equal(net.IPv4zero):
		b.Host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		b.Host = "::1"
	}
	return b
}

// String is the URL, or how a unix socket and a path are written together.
func (t *target) String() string {
	if t.bind.Path != "" {
		return t.bind.String() + ":" + t.url.Path
	}
	return t.url.String()
}

// ask asks once. Only 2xx is no error.
func (t *target) ask(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url.String(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "gowsgi-healthcheck/"+version)
	t.protocols.SetHTTP1(!t.only2)
	t.protocols.SetHTTP2(true) // under TLS the server chooses
	t.protocols.SetUnencryptedHTTP2(t.only2)
	client := http.Client{
		Transport: &http.Transport{
			DialContext:       t.dial,
			DisableKeepAlives: true,
			Protocols:         &t.protocols,
			// A name proves nothing on the way to oneself, and certificates are for
			// the names that clients use.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: t.anyName}, //nolint:gosec // see above
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(request)
	if err != nil {
		var told *url.Error
		if errors.As(err, &told) {
			err = told.Err
		}
		return fmt.Errorf("%s: %w", t, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("%s: %s", t, answer.Status)
	}
	return nil
}

// dial connects, and introduces the connection as its own where a PROXY header is
// demanded.
func (t *target) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	network, address := "tcp", net.JoinHostPort(t.bind.Host, strconv.Itoa(t.bind.Port))
	if t.bind.Path != "" {
		network, address = "unix", t.bind.Path
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil || !t.withProxy {
		return conn, err
	}
	from, tcp := conn.LocalAddr().(*net.TCPAddr)
	if !tcp || t.proxied.Includes(netip.AddrPortFrom(from.AddrPort().Addr().Unmap(), 0).Addr()) {
		_, err = conn.Write([]byte("PROXY UNKNOWN\r\n"))
	}
	return conn, err
}
