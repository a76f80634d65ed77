package main

// Where to listen: reading addresses, opening sockets, and saying who is in the
// way when one cannot be opened.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"gowsgi/cmd/failure"
)

// A Bind is one address to listen on: exactly one of TCP, a unix socket, a
// listening socket inherited as a descriptor, or sockets from systemd.
type Bind struct {
	// Host is a name or an address without brackets; empty means every address,
	// IPv6 and IPv4 alike. Used when no other field but Port is set.
	Host string
	Port int // 0: the kernel picks one
	// Path of a unix socket; a leading @ means Linux's abstract names.
	Path string
	FD   int // 3 or more
	// Systemd: the sockets that systemd passed, all of them or those of one Name.
	Systemd bool
	Name    string
	// Scheme is "http", "https", or empty where nothing was said: then TCP is under
	// TLS when there is a certificate, and unix sockets, which a proxy on the same
	// machine speaks to, are not.
	Scheme string
}

// String gives the address as log lines show it: http://127.0.0.1:5000,
// unix:/run/site.sock, fd://3, systemd:web.
func (b Bind) String() string {
	secure := ""
	if b.Scheme == schemeTLS {
		secure = "https://"
	}
	switch {
	case b.Systemd && b.Name != "":
		return secure + "systemd:" + b.Name
	case b.Systemd:
		return secure + "systemd"
	case b.FD != 0:
		return secure + "fd://" + strconv.Itoa(b.FD)
	case b.Path != "":
		return secure + "unix:" + b.Path
	}
	host := b.Host
	if host == "" {
		host = "::"
	}
	if secure == "" {
		secure = "http://"
	}
	return secure + net.JoinHostPort(host, strconv.Itoa(b.Port))
}

// place is String for what is listened on, whatever is spoken there.
func (b Bind) place() string {
	b.Scheme = ""
	return b.String()
}

// Schemes of a Bind.
const (
	schemePlain = "http"
	schemeTLS   = "https"
)

// bindOf is the address a listener turned out to have: the port the kernel
// picked, the address behind a descriptor.
func bindOf(listener net.Listener) Bind {
	switch address := listener.Addr().(type) {
	case *net.TCPAddr:
		host := address.IP.String()
		if address.Zone != "" {
			host += "%" + address.Zone
		}
		return Bind{Host: host, Port: address.Port}
	case *net.UnixAddr:
		return Bind{Path: address.Name}
	default:
		return Bind{Host: address.String()}
	}
}

// longestUnixPath is what fits into sockaddr_un with its final NUL, see unix(7).
const longestUnixPath = 107

const bindForms = "want HOST:PORT, [V6]:PORT, :PORT, unix:PATH, fd://N, systemd or systemd:NAME"

// parseBind reads one address.
func parseBind(text string) (Bind, error) {
	for _, scheme := range []string{schemePlain, schemeTLS} {
		if rest, ok := strings.CutPrefix(text, scheme+"://"); ok {
			b, err := parseAddress(strings.TrimSuffix(rest, "/"))
			b.Scheme = scheme
			return b, err
		}
	}
	return parseAddress(text)
}

func parseAddress(text string) (Bind, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		return parseUnixPath(path)
	}
	if number, ok := strings.CutPrefix(text, "fd://"); ok {
		fd, err := parseNumber(number, 3, 1<<20)
		if err != nil {
			return Bind{}, fmt.Errorf("descriptor %w", err)
		}
		return Bind{FD: fd}, nil
	}
	if name, ok := strings.CutPrefix(text, "systemd:"); ok && name != "" {
		return Bind{Systemd: true, Name: name}, nil
	}
	if text == "systemd" {
		return Bind{Systemd: true}, nil
	}
	if strings.Contains(text, "/") {
		return Bind{}, errors.New("not an address to listen on (" + bindForms + ")")
	}
	return parseHostPort(text)
}

func parseUnixPath(path string) (Bind, error) {
	// unix:///run/x is the same path written as a URL.
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		path = rest
	}
	switch {
	case path == "" || path == "@":
		return Bind{}, errors.New("no path (want unix:PATH)")
	case strings.ContainsRune(path, 0):
		return Bind{}, errors.New("holds a NUL byte")
	case len(path) > longestUnixPath:
		return Bind{}, fmt.Errorf("the path is %d bytes long (want at most %d)", len(path), longestUnixPath)
	}
	return Bind{Path: path}, nil
}

func parseHostPort(text string) (Bind, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		if _, notNumber := strconv.Atoi(text); notNumber == nil {
			return Bind{}, fmt.Errorf("no host; did you mean \"127.0.0.1:%s\" or \":%s\"?", text, text)
		}
		if strings.Count(text, ":") > 1 && !strings.Contains(text, "[") {
			return Bind{}, errors.New("an IPv6 address needs brackets (want [V6]:PORT)")
		}
		if !strings.Contains(text, ":") {
			return Bind{}, errors.New("no port (" + bindForms + ")")
		}
		return Bind{}, errors.New("not an address to listen on (" + bindForms + ")")
	}
	number, err := parseNumber(port, 0, 65535)
	if err != nil {
		return Bind{}, fmt.Errorf("port %w", err)
	}
	if strings.HasPrefix(text, "[") && net.ParseIP(strings.SplitN(host, "%", 2)[0]) == nil {
		return Bind{}, fmt.Errorf("%q is not an IPv6 address", host)
	}
	if strings.ContainsAny(host, " \t\r\n\x00\"'") {
		return Bind{}, fmt.Errorf("%q cannot be a host name", host)
	}
	return Bind{Host: host, Port: number}, nil
}

// listen opens b with room for backlog connections that nobody has accepted yet;
// the kernel caps it at net.core.somaxconn. An inherited socket keeps the
// backlog it came with. The error has exit status 5 and says what to do.
//
// A unix socket left behind by a dead server is replaced; its file gets the
// rights, and is removed when the listener is closed, if it is still that
// listener's.
func listen(b Bind, backlog int, rights fileRights) (net.Listener, error) {
	var listener net.Listener
	var err error
	switch {
	case b.FD != 0:
		listener, err = inherit(b.FD)
	case b.Path != "":
		listener, err = listenUnix(b.Path, backlog, rights)
	default:
		listener, err = listenTCP(b, backlog)
	}
	if err != nil {
		return nil, failure.Errorf(failure.CannotListen, "cannot listen on %s: %w", b, err)
	}
	return listener, nil
}

func listenTCP(b Bind, backlog int) (net.Listener, error) {
	address := net.JoinHostPort(b.Host, strconv.Itoa(b.Port))
	listener, err := new(net.ListenConfig).Listen(context.Background(), b.network(), address)
	if err != nil {
		return nil, explainTCP(b, err)
	}
	if err := setBacklog(listener.(*net.TCPListener), backlog); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return listener, nil
}

// network is the name package net knows the address family by. A written-out
// address means just that family: [::] leaves IPv4 to 0.0.0.0, so that both can
// be bound. No host means both in one socket.
func (b Bind) network() string {
	ip := net.ParseIP(strings.SplitN(b.Host, "%", 2)[0])
	switch {
	case ip == nil:
		return "tcp"
	case ip.To4() != nil:
		return "tcp4"
	default:
		return "tcp6"
	}
}

// setBacklog calls listen(2) once more: package net always asks for somaxconn,
// and on Linux a second call just changes the number.
func setBacklog(listener syscall.Conn, backlog int) error {
	raw, err := listener.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.Listen(int(fd), backlog) })
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("set the backlog to %d: %w", backlog, err)
	}
	return nil
}

// settleBinds refuses an address that is given twice: to the kernel the second is
// in use, by this very process.
func (s *Settings) settleBinds() error {
	seen := make(map[Bind]bool)
	for _, b := range slices.Concat(s.Binds, s.Redirects) {
		where := b
		where.Scheme = ""
		if seen[where] && where != (Bind{Host: b.Host}) { // port 0 is another one each time
			return fmt.Errorf("%s: %s is there twice", s.Origins["bind"], b)
		}
		seen[where] = true
	}
	return nil
}

// explainTCP adds to a failed bind what stands in the way.
func explainTCP(b Bind, err error) error {
	var dns *net.DNSError
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		who := ""
		if holder := holderOfPort(b); holder != "" {
			who = ", by " + holder
		}
		return failure.Errorf(failure.AddressInUse, "%w%s", unix.EADDRINUSE, who)
	case errors.Is(err, unix.EACCES):
		return failure.Errorf(failure.PrivilegedPort, "%w; ports below %d are for root and CAP_NET_BIND_SERVICE, and gowsgi runs as %s without it",
			unix.EACCES, lowestFreePort(), whoWeAre())
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return failure.Errorf(failure.AddressNotHere, "%w; no interface of this machine has it", unix.EADDRNOTAVAIL)
	case errors.As(err, &dns):
		return failure.Errorf(failure.NoSuchHost, "the name cannot be resolved: %s", dns.Err)
	}
	return err
}

// lowestFreePort is the first port that needs no privilege; ip-sysctl in the
// kernel's documentation.
func lowestFreePort() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err == nil {
		if port, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return port
		}
	}
	return 1024
}

// inherit takes over the listening socket fd. The descriptor itself is closed:
// the listener has its own.
func inherit(fd int) (net.Listener, error) {
	if err := mustListen(fd); err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "fd://"+strconv.Itoa(fd))
	defer file.Close()
	return net.FileListener(file)
}

// listenOnFile makes a listener, with a descriptor of its own, of a listening
// socket.
func listenOnFile(file *os.File) (net.Listener, error) {
	if err := mustListen(int(file.Fd())); err != nil {
		return nil, err
	}
	return net.FileListener(file)
}

func mustListen(fd int) error {
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	switch {
	case errors.Is(err, unix.EBADF):
		return failure.Errorf(failure.NotASocket, "descriptor %d is not open; was it passed on by what started gowsgi?", fd)
	case errors.Is(err, unix.ENOTSOCK):
		return failure.Errorf(failure.NotASocket, "descriptor %d is not a socket", fd)
	case err != nil:
		return err
	case listening == 0:
		return failure.Errorf(failure.NotASocket, "descriptor %d is a socket that does not listen; a .socket unit needs ListenStream= and no Accept=", fd)
	}
	return nil
}
