package tests

// HTTP/1.1 from the client's side, read strictly: what a lenient client would
// let pass is a failure here.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fixedDialer connects to one address whatever the URL says.
type fixedDialer struct{ network, address string }

func (d *fixedDialer) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, d.network, d.address)
}

// A Conn is a client's connection. Its methods end the test when they fail.
type Conn struct {
	net.Conn
	T      testing.TB
	reader *bufio.Reader
}

func dial(t testing.TB, network, address string) *Conn {
	t.Helper()
	conn, err := net.DialTimeout(network, address, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return dialled(t, conn)
}

// dialled makes a Conn of a connection that is open.
func dialled(t testing.TB, conn net.Conn) *Conn {
	t.Helper()
	return &Conn{Conn: conn, T: t, reader: bufio.NewReader(conn)}
}

// Send writes bytes as they are.
func (c *Conn) Send(text string) {
	c.T.Helper()
	_ = c.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.T.Fatalf("send %.60q: %v", text, err)
	}
}

// Get sends a GET request on a connection that is kept.
func (c *Conn) Get(target string, fields ...string) *Response {
	c.T.Helper()
	c.Send(head("GET "+target, append([]string{"Host: tests"}, fields...)...))
	return c.Read("GET")
}

// Framing is how the end of a body is known, RFC 9112 section 6.3.
type Framing string

// The ways a body's end is known.
const (
	None       Framing = "no body"
	Length     Framing = "Content-Length"
	Chunked    Framing = "chunked"
	UntilClose Framing = "until close"
)

// A Field is one header field, its value without the spaces around it.
type Field struct{ Name, Value string }

// A Response is what came over the wire.
type Response struct {
	Proto   string // HTTP/1.1
	Status  int
	Reason  string
	Fields  []Field
	Framing Framing
	Body    string
	Blocks  []string // Chunked: the chunks
	// Broken says how the body failed to be complete; nil: it is.
	Broken error
	length int64
}

// Line is the status as in the status line: "200 OK".
func (r *Response) Line() string { return fmt.Sprintf("%d %s", r.Status, r.Reason) }

// Values are those of the fields of one name, in order.
func (r *Response) Values(name string) []string {
	var values []string
	for _, f := range r.Fields {
		if strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}

// Value is the value of a field, all of them joined by ", "; empty: none.
func (r *Response) Value(name string) string { return strings.Join(r.Values(name), ", ") }

// Read reads the response to a request of that method, its body included;
// interim responses (1xx) have to be read by ReadHead.
func (c *Conn) Read(method string) *Response {
	c.T.Helper()
	r := c.ReadHead(method)
	if r.Status < 200 {
		c.T.Fatalf("response = %s, want a final one", r.Line())
	}
	c.ReadBody(r)
	return r
}

// ReadHead reads a response's head and tells how the body will be framed.
func (c *Conn) ReadHead(method string) *Response {
	c.T.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	r, err := readHead(c.reader, method)
	if err != nil {
		c.T.Fatalf("read a response head: %v", err)
	}
	return r
}

// ReadBody reads the body to its end, or to where it breaks.
func (c *Conn) ReadBody(r *Response) {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	switch r.Framing {
	case None:
	case Length:
		body := make([]byte, r.length)
		n, err := io.ReadFull(c.reader, body)
		r.Body = string(body[:n])
		if err != nil {
			r.Broken = fmt.Errorf("%d of %d bytes: %w", n, r.length, err)
		}
	case Chunked:
		for more := true; more; {
			_, more = c.ReadBlock(r)
		}
	case UntilClose:
		body, err := io.ReadAll(c.reader)
		r.Body, r.Broken = string(body), err
	}
}

// ReadBlock reads one chunk of a chunked body and adds it to r.Blocks; false:
// the body has ended, or broken, and r.Body has what came.
func (c *Conn) ReadBlock(r *Response) (block string, more bool) {
	c.T.Helper()
	if r.Framing != Chunked {
		c.T.Fatalf("framing = %s, want %s", r.Framing, Chunked)
	}
	block, err := readChunk(c.reader)
	if err == nil && block != "" {
		r.Blocks = append(r.Blocks, block)
		return block, true
	}
	if err == nil {
		err = readEmptyLine(c.reader) // no trailers: PEP 3333 has none
	}
	r.Body, r.Broken = strings.Join(r.Blocks, ""), err
	return "", false
}

// WantEOF checks that the server closes the connection, cleanly, without
// another byte.
func (c *Conn) WantEOF() {
	c.T.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	rest, err := io.ReadAll(c.reader)
	if err != nil || len(rest) > 0 {
		c.T.Errorf("after the response: %q, %v; want the connection closed", rest, err)
	}
}

// WantClosed is WantEOF for a connection that may also be reset.
func (c *Conn) WantClosed() {
	c.T.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	rest, err := io.ReadAll(c.reader)
	var timeout net.Error
	if len(rest) > 0 || errors.As(err, &timeout) && timeout.Timeout() {
		c.T.Errorf("after the response: %q, %v; want the connection closed or reset", rest, err)
	}
}

var (
	statusLine = regexp.MustCompile(`^(HTTP/1\.[01]) ([1-9][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)$`)
	fieldLine  = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[\\x21-\\x7e\\x80-\\xff](?:[\\t\\x20-\\x7e\\x80-\\xff]*[\\x21-\\x7e\\x80-\\xff])?)?)[ \t]*$")
	chunkLine  = regexp.MustCompile(`^[0-9A-Fa-f]{1,8}$`)
)

func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		if line != "" && err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return line, fmt.Errorf("after %q: %w", line, err)
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsRune(text, '\r') {
		return "", fmt.Errorf("line %q does not end with one CRLF", line)
	}
	return text, nil
}

func readEmptyLine(r *bufio.Reader) error {
	line, err := readLine(r)
	if err == nil && line != "" {
		err = fmt.Errorf("line %q, want an empty one", line)
	}
	return err
}

func readHead(r *bufio.Reader, method string) (*Response, error) {
	line, err := readLine(r)
	if err != nil {
		return nil, err
	}
	// Bytes, not UTF-8: the expressions are matched on latin-1.
	part := statusLine.FindStringSubmatch(latin1(line))
	if part == nil {
		return nil, fmt.Errorf("status line %q", line)
	}
	answer := &Response{Proto: part[1], Reason: part[3]}
	answer.Status, _ = strconv.Atoi(part[2])
	for {
		line, err := readLine(r)
		if err != nil {
			return nil, err
		}
		if line == "" {
			break
		}
		part := fieldLine.FindStringSubmatch(latin1(line))
		if part == nil {
			return nil, fmt.Errorf("field line %q", line)
		}
		answer.Fields = append(answer.Fields, Field{part[1], part[2]})
	}
	return answer, answer.frame(method)
}

// latin1 turns bytes into the characters of the same numbers, as PEP 3333's
// native strings do.
func latin1(text string) string {
	runes := make([]rune, len(text))
	for i := range len(text) {
		runes[i] = rune(text[i])
	}
	return string(runes)
}

// frame finds out how the body's end is known, and refuses what RFC 9112
// section 6 does not let a server send.
func (r *Response) frame(method string) error {
	lengths, codings := r.Values("Content-Length"), r.Values("Transfer-Encoding")
	bodyless := r.Status < 200 || r.Status == 204
	switch {
	case len(lengths) > 1 || len(codings) > 1 || len(lengths) > 0 && len(codings) > 0:
		return fmt.Errorf("Content-Length %q and Transfer-Encoding %q in one response", lengths, codings)
	case bodyless && len(lengths)+len(codings) > 0:
		return fmt.Errorf("Content-Length %q or Transfer-Encoding %q in a %d", lengths, codings, r.Status)
	case len(codings) == 1 && codings[0] != "chunked":
		return fmt.Errorf("Transfer-Encoding %q", codings[0])
	}
	if len(lengths) == 1 {
		n, err := strconv.ParseUint(lengths[0], 10, 62)
		if err != nil {
			return fmt.Errorf("Content-Length %q", lengths[0])
		}
		r.length = int64(n)
	}
	switch {
	case bodyless || r.Status == 304 || method == "HEAD":
		r.Framing = None
	case len(codings) == 1:
		r.Framing = Chunked
	case len(lengths) == 1:
		r.Framing = Length
	default:
		r.Framing = UntilClose
	}
	return nil
}

// readChunk reads one chunk; it is empty at the last one, whose trailer
// section is left unread.
func readChunk(r *bufio.Reader) (string, error) {
	line, err := readLine(r)
	if err != nil {
		return "", err
	}
	if !chunkLine.MatchString(line) {
		return "", fmt.Errorf("chunk size %q", line)
	}
	size, _ := strconv.ParseInt(line, 16, 64)
	if size == 0 {
		return "", nil
	}
	block := make([]byte, size)
	if n, err := io.ReadFull(r, block); err != nil {
		return "", fmt.Errorf("%d of %d bytes of a chunk: %w", n, size, err)
	}
	return string(block), readEmptyLine(r)
}
