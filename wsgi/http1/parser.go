// This file reads the head of a request: request line and fields, as a pure function over bytes.

package http1

import (
	"bytes"
	"math"
	"net/netip"

	"gowsgi/environ"
)

// Limits bounds what a client may send. Zero means the default, for Body and Requests no limit.
type Limits struct {
	RequestLine int   // bytes of the request line without CRLF; default 8190, beyond it 414
	Fields      int   // number of field lines; default 100, beyond it 431
	FieldSize   int   // bytes of one field line without CRLF; default 8190, beyond it 431
	HeaderSize  int   // bytes of all field lines with their CRLF; default 64 KiB, beyond it 431
	Body        int64 // bytes of a decoded body; beyond it 413
	Requests    int   // on one connection; the answer to the last one says Connection: close
}

// setDefaults fills in what is zero.
func (l *Limits) setDefaults() {
	if l.RequestLine == 0 {
		l.RequestLine = 8190
	}
	if l.Fields == 0 {
		l.Fields = 100
	}
	if l.FieldSize == 0 {
		l.FieldSize = 8190
	}
	if l.HeaderSize == 0 {
		l.HeaderSize = 64 << 10
	}
}

// framing is what the head says about the exchange beyond environ.Request, as bits.
type framing uint8

const (
	sawHost framing = 1 << iota
	sawLength
	sawCoding
	wantsClose     // Connection: close
	wantsKeepAlive // Connection: keep-alive
	wantsContinue  // Expect: 100-continue
	isHTTP10
)

// ParseHead reads the head of the request at the start of buf into r and gives its size in bytes: one
// empty line that may precede it (RFC 9112 §2.2) and the one that ends it included. It returns 0 and no
// error when buf holds only the beginning of a head that is faultless so far. An error is a *ParseError;
// r is then in no defined state.
//
// It sets what the bytes tell: Method, Target, Path, Query, Proto, Host, Headers (reusing the slice),
// ContentLength and Chunked. All slices of r point into buf.
func ParseHead(buf []byte, l Limits, r *environ.Request) (n int, err error) {
	l.setDefaults()
	n, _, err = parseHead(buf, &l, r)
	return n, err
}

func parseHead(buf []byte, l *Limits, r *environ.Request) (n int, f framing, err error) {
	if len(buf) > 0 && class[buf[0]]&tokenByte == 0 && buf[0] != '\r' && buf[0] != '\n' {
		return 0, 0, refuse(400, "malformed method") // at once: a TLS hello has no line end to wait for
	}
	line, at, err := cutLine(buf, 0, l.RequestLine, 414)
	if at == 2 && err == nil {
		line, at, err = cutLine(buf, at, l.RequestLine, 414)
	}
	if at == 0 || err != nil {
		return 0, 0, err
	}
	if f, err = parseRequestLine(line, r); err != nil {
		return 0, 0, err
	}
	r.Headers, r.Host = r.Headers[:0], nil
	r.ContentLength, r.Chunked = 0, false
	for end := at + l.HeaderSize; ; {
		line, next, err := cutLine(buf, at, l.FieldSize, 431)
		if next == 0 || err != nil {
			return 0, 0, err
		}
		at = next
		if len(line) == 0 {
			break
		}
		if len(r.Headers) == l.Fields || at > end {
			return 0, 0, refuse(431, "too many header fields, or too large together")
		}
		if f, err = parseField(line, f, r); err != nil {
			return 0, 0, err
		}
	}
	if err := checkHead(f, l, r); err != nil {
		return 0, 0, err
	}
	return at, f, nil
}

// cutLine takes the line at an offset and gives the offset behind its CRLF, 0 when the line is not
// complete. The line may have up to limit bytes, or is refused with the given status.
func cutLine(buf []byte, at, limit, tooLong int) (line []byte, next int, err error) {
	rest := buf[at:]
	end := bytes.IndexByte(rest, '\n')
	if end > limit+1 || end < 0 && len(rest) > limit+1 {
		return nil, 0, refuse(tooLong, "request line or header field too long")
	}
	if end < 0 {
		return nil, 0, checkBeginning(rest)
	}
	if end == 0 || rest[end-1] != '\r' {
		return nil, 0, refuse(400, "line ends in a bare LF")
	}
	return rest[:end-1], at + end + 1, nil
}

// checkBeginning looks at a line that is not complete yet. A CR with anything but LF behind it can be
// told at once; waiting for a line end that never comes would only end at the header timeout.
func checkBeginning(rest []byte) error {
	if i := bytes.IndexByte(rest, '\r'); i >= 0 && i < len(rest)-1 {
		return refuse(400, "bare CR")
	}
	return nil
}

// parseRequestLine reads method SP request-target SP HTTP-version (RFC 9112 §3).
func parseRequestLine(line []byte, r *environ.Request) (f framing, err error) {
	i := 0
	for i < len(line) && class[line[i]]&tokenByte != 0 {
		i++
	}
	if i == 0 || i == len(line) || line[i] != ' ' {
		return 0, refuse(400, "malformed method")
	}
	r.Method = line[:i]
	rest := line[i+1:]
	i = 0
	for i < len(rest) && class[rest[i]]&targetByte != 0 {
		i++
	}
	switch {
	case i == 0:
		return 0, refuse(400, "no request target")
	case i == len(rest):
		return 0, refuse(400, "no HTTP version")
	case rest[i] != ' ':
		return 0, refuse(400, "invalid character in the request target")
	}
	r.Target, r.Proto = rest[:i], rest[i+1:]
	switch string(r.Proto) {
	case "HTTP/1.1":
	case "HTTP/1.0":
		f = isHTTP10
	default:
		return 0, refuseVersion(r.Proto)
	}
	return f, nil
}

// refuseVersion tells versions we do not speak from what is no version. RFC 9110 §2.5 would have us
// take any later 1.x for 1.1; nothing real sends it, so it is a probe.
func refuseVersion(v []byte) error {
	isDigit := func(c byte) bool { return c >= '0' && c <= '9' }
	if len(v) == 8 && string(v[:5]) == "HTTP/" && isDigit(v[5]) && v[6] == '.' && isDigit(v[7]) {
		return refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
	}
	return refuse(400, "malformed HTTP version")
}

// parseField reads one field line (RFC 9112 §5) and notes what it says about framing.
func parseField(line []byte, f framing, r *environ.Request) (framing, error) {
	i := 0
	for i < len(line) && class[line[i]]&tokenByte != 0 {
		i++
	}
	if i == 0 || i == len(line) || line[i] != ':' {
		return f, refuseName(line, i)
	}
	name, value := line[:i], trimSpace(line[i+1:])
	if !isValue(value) {
		return f, refuse(400, "control character in a header field")
	}
	r.Headers = append(r.Headers, environ.Header{Name: name, Value: value})
	switch len(name) {
	case len("host"):
		if equalsLower(name, "host") {
			return parseHost(value, f, r)
		}
	case len("expect"):
		if equalsLower(name, "expect") {
			return parseExpect(value, f)
		}
	case len("connection"):
		if equalsLower(name, "connection") {
			return parseConnection(value, f), nil
		}
	case len("content-length"):
		if equalsLower(name, "content-length") {
			return parseContentLength(value, f, r)
		}
	case len("transfer-encoding"):
		if equalsLower(name, "transfer-encoding") {
			return parseTransferEncoding(value, f, r)
		}
	}
	return f, nil
}

// refuseName says what is wrong with a line that has no proper name, i being where the token ends.
func refuseName(line []byte, i int) error {
	switch {
	case isSpace(line[0]):
		return refuse(400, "folded header field")
	case i == 0:
		return refuse(400, "header field without a name")
	case i < len(line) && isSpace(line[i]):
		return refuse(400, "white space in or after a header field's name")
	}
	return refuse(400, "malformed header field")
}

func parseHost(value []byte, f framing, r *environ.Request) (framing, error) {
	if f&sawHost != 0 {
		return f, refuse(400, "several Host fields")
	}
	if len(value) > 0 && !isAuthority(value) {
		return f, refuse(400, "malformed Host field")
	}
	r.Host = value
	return f | sawHost, nil
}

// isAuthority tells whether s is a host with an optional port: a name or IPv4 address of unreserved
// characters and sub-delims, or an IPv6 address in brackets. Percent-encoded names, zones and the
// never used IPvFuture are refused.
func isAuthority(s []byte) bool {
	host, port := s, []byte(nil)
	if s[0] == '[' {
		end := bytes.IndexByte(s, ']')
		if end < 0 {
			return false
		}
		addr, err := netip.ParseAddr(string(s[1:end]))
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return false
		}
		port = s[end+1:]
	} else {
		if i := bytes.IndexByte(s, ':'); i >= 0 {
			host, port = s[:i], s[i:]
		}
		if len(host) == 0 || !all(host, hostByte) {
			return false
		}
	}
	return len(port) == 0 || port[0] == ':' && isPort(port[1:])
}

// isPort tells whether s is empty (RFC 3986 §3.2.3) or a port number.
func isPort(s []byte) bool {
	n := 0
	for _, c := range s {
		if c < '0' || c > '9' || n > 65535 {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n <= 65535
}

func parseExpect(value []byte, f framing) (framing, error) {
	if !isToken(value) || !equalsContinue(value) {
		return f, refuse(417, "only the expectation 100-continue is known")
	}
	return f | wantsContinue, nil
}

// equalsContinue compares with 100-continue. Folding case by one bit would take control characters for
// digits, were value not a token.
func equalsContinue(value []byte) bool {
	return len(value) == len("100-continue") && string(value[:4]) == "100-" && equalsLower(value[4:], "continue")
}

func parseConnection(value []byte, f framing) framing {
	if hasToken(value, "close") {
		f |= wantsClose
	}
	if hasToken(value, "keep-alive") {
		f |= wantsKeepAlive
	}
	return f
}

// parseContentLength takes 1*DIGIT and nothing else. RFC 9110 §8.6 lets a recipient accept a list of
// equal numbers; refusing is the other choice it gives, and the one that smuggles nothing.
func parseContentLength(value []byte, f framing, r *environ.Request) (framing, error) {
	if f&sawLength != 0 {
		return f, refuse(400, "several Content-Length fields")
	}
	if len(value) == 0 {
		return f, refuse(400, "malformed Content-Length field")
	}
	var n int64
	for _, c := range value {
		digit := int64(c) - '0'
		if digit < 0 || digit > 9 || n > (math.MaxInt64-digit)/10 {
			return f, refuse(400, "malformed Content-Length field")
		}
		n = n*10 + digit
	}
	r.ContentLength = n
	return f | sawLength, nil
}

func parseTransferEncoding(value []byte, f framing, r *environ.Request) (framing, error) {
	if f&sawCoding != 0 {
		return f, refuse(400, "several Transfer-Encoding fields")
	}
	if !isToken(value) || !equalsLower(value, "chunked") {
		return f, refuse(501, "only the transfer coding chunked is known")
	}
	r.Chunked = true
	return f | sawCoding, nil
}

// checkHead judges what only the whole head can tell.
func checkHead(f framing, l *Limits, r *environ.Request) error {
	switch {
	case f&(sawLength|sawCoding) == sawLength|sawCoding:
		return refuse(400, "both Content-Length and Transfer-Encoding")
	case f&(sawCoding|isHTTP10) == sawCoding|isHTTP10:
		return refuse(400, "Transfer-Encoding in an HTTP/1.0 request")
	case f&(sawHost|isHTTP10) == 0:
		return refuse(400, "no Host field")
	case string(r.Method) == "CONNECT":
		return refuse(501, "CONNECT is for proxies")
	case l.Body > 0 && r.ContentLength > l.Body:
		return refuse(413, "request body too large")
	}
	if r.Chunked {
		r.ContentLength = -1
	}
	return parseTarget(r)
}

// parseTarget splits the request-target (RFC 9112 §3.2) into authority, path and query.
func parseTarget(r *environ.Request) error {
	path := r.Target
	switch {
	case path[0] == '/':
	case string(path) == "*":
		if string(r.Method) != "OPTIONS" {
			return refuse(400, "request target * without OPTIONS")
		}
		r.Path, r.Query = path, nil
		return nil
	default:
		var err error
		if path, err = cutAuthority(path, r); err != nil {
			return err
		}
	}
	r.Query = nil
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		path, r.Query = path[:i], path[i+1:]
	}
	if len(path) == 0 {
		path = rootPath // http://host and http://host?query
	}
	r.Path = path
	return checkEscapes(path)
}

var rootPath = []byte("/")

// cutAuthority takes "http://authority" off an absolute-form target. That authority counts, not the
// Host field (RFC 9112 §3.2.2). User names in it are refused (RFC 9110 §4.2.4).
func cutAuthority(target []byte, r *environ.Request) (path []byte, err error) {
	i := bytes.IndexByte(target, ':')
	if i < 0 || i+3 > len(target) || string(target[i:i+3]) != "://" || !isToken(target[:i]) ||
		!equalsLower(target[:i], "http") && !equalsLower(target[:i], "https") {
		return nil, refuse(400, "request target is neither a path nor an http URL")
	}
	rest := target[i+3:]
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	if end == 0 || !isAuthority(rest[:end]) {
		return nil, refuse(400, "malformed authority in the request target")
	}
	r.Host = rest[:end]
	return rest[end:], nil
}

// checkEscapes refuses a path with a '%' that is not followed by two hexadecimal digits: proxies and
// applications disagree on what it stands for.
func checkEscapes(path []byte) error {
	for {
		i := bytes.IndexByte(path, '%')
		if i < 0 {
			return nil
		}
		if i+2 >= len(path) || !all(path[i+1:i+3], hexByte) {
			return refuse(400, "malformed escape in the path")
		}
		path = path[i+3:]
	}
}
