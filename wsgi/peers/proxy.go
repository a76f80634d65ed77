// This file reads the header of the PROXY protocol, both versions of it, from the start of a connection
// (haproxy.org/download/2.6/doc/proxy-protocol.txt).

package peers

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// ends are the addresses a header names. Both are the zero value where the proxy speaks for itself (LOCAL)
// or does not say (UNKNOWN, UNSPEC, unix sockets): then the connection's own stay.
type ends struct{ client, server netip.AddrPort }

// Sizes of headers, in bytes.
const (
	signatureSize = 12
	fixedSize     = signatureSize + 4 // of version 2: with version, family and length
	longestLine   = 107               // of version 1, its CRLF included
)

// signature begins version 2. Its first bytes are an HTTP request that is refused.
var signature = []byte("\r\n\r\n\x00\r\nQUIT\n")

// linePrefix begins version 1.
const linePrefix = "PROXY "

// errNoHeader is the error of a connection that begins with something else.
var errNoHeader = errors.New("the connection does not begin with a PROXY header")

// readHeader reads one header and not a byte more: what follows is the client's, a TLS handshake perhaps.
// io.EOF is a connection that has ended before its first byte, as health checks do.
func readHeader(from io.Reader) (ends, error) {
	// The shortest header of either version is longer than this.
	head := make([]byte, signatureSize, longestLine)
	if n, err := io.ReadFull(from, head); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) && !couldBegin(head[:n]) {
			return ends{}, errNoHeader
		}
		return ends{}, err
	}
	switch {
	case bytes.Equal(head, signature):
		return readBinary(from)
	case string(head[:len(linePrefix)]) == linePrefix:
		return readLine(from, head)
	}
	return ends{}, errNoHeader
}

// couldBegin tells whether a connection that ended early has begun a header.
func couldBegin(head []byte) bool {
	return bytes.HasPrefix(signature, head) || strings.HasPrefix(linePrefix, string(head[:min(len(head), len(linePrefix))]))
}

// readLine reads the rest of a header of version 1. Two bytes at a time, one behind a CR, is as much as is
// certain to belong to it.
func readLine(from io.Reader, line []byte) (ends, error) {
	for bytes.IndexByte(line, '\n') < 0 && len(line) < longestLine {
		n := len(line)
		more := min(2, longestLine-n)
		if line[n-1] == '\r' {
			more = 1
		}
		line = line[:n+more]
		if _, err := io.ReadFull(from, line[n:]); err != nil {
			return ends{}, unexpected(err)
		}
	}
	text, ended := strings.CutSuffix(string(line), "\r\n")
	if !ended || strings.ContainsAny(text, "\r\n") {
		return ends{}, fmt.Errorf("PROXY header: no CRLF within %d bytes, or a bare CR or LF", longestLine)
	}
	return parseLine(text)
}

// unexpected: an end in the middle is no clean one.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseLine reads "PROXY TCP4 client server client-port server-port".
func parseLine(text string) (ends, error) {
	fields := strings.Split(text, " ")
	if fields[1] == "UNKNOWN" {
		return ends{}, nil // whatever follows
	}
	if len(fields) != 6 || fields[1] != "TCP4" && fields[1] != "TCP6" {
		return ends{}, fmt.Errorf("PROXY header: malformed line %q", text)
	}
	client, clientOK := parseEnd(fields[1], fields[2], fields[4])
	server, serverOK := parseEnd(fields[1], fields[3], fields[5])
	if !clientOK || !serverOK {
		return ends{}, fmt.Errorf("PROXY header: malformed address in %q", text)
	}
	return ends{client, server}, nil
}

func parseEnd(family, address, port string) (end netip.AddrPort, ok bool) {
	addr, err := netip.ParseAddr(address)
	if err != nil || addr.Zone() != "" || addr.Is4() != (family == "TCP4") {
		return end, false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || len(port) > 1 && port[0] == '0' {
		return end, false
	}
	return netip.AddrPortFrom(addr, uint16(n)), true
}

// What the two bytes behind the signature of version 2 say.
const (
	commandLocal = 0x20
	commandProxy = 0x21
	familyNone   = 0x00
	familyTCP4   = 0x11
	familyTCP6   = 0x21
	familyUnix   = 0x31 // a stream
)

// readBinary reads the rest of a header of version 2. What stands behind the addresses (TLVs) is skipped.
func readBinary(from io.Reader) (ends, error) {
	var fixed [fixedSize - signatureSize]byte
	if _, err := io.ReadFull(from, fixed[:]); err != nil {
		return ends{}, unexpected(err)
	}
	command, family := fixed[0], fixed[1]
	length := int(binary.BigEndian.Uint16(fixed[2:]))
	if command != commandLocal && command != commandProxy {
		return ends{}, fmt.Errorf("PROXY header: version and command %#x are unknown", command)
	}
	size := 0 // of an address; both, and two ports of two bytes, follow each other
	switch family {
	case familyNone, familyUnix:
	case familyTCP4:
		size = 4
	case familyTCP6:
		size = 16
	default:
		if command == commandProxy {
			return ends{}, fmt.Errorf("PROXY header: family and transport %#x are unknown, or not of a stream", family)
		}
	}
	if command == commandLocal {
		size = 0
	}
	var named ends
	var err error
	if size > 0 {
		if length < 2*size+4 {
			return ends{}, fmt.Errorf("PROXY header: %d bytes of addresses are too few", length)
		}
		named, err = readEnds(from, size)
		length -= 2*size + 4
	}
	if err == nil {
		_, err = io.CopyN(io.Discard, from, int64(length))
	}
	return named, unexpected(err)
}

func readEnds(from io.Reader, size int) (ends, error) {
	var room [2*16 + 4]byte
	block := room[:2*size+4]
	if _, err := io.ReadFull(from, block); err != nil {
		return ends{}, err
	}
	end := func(address, port []byte) netip.AddrPort {
		addr, _ := netip.AddrFromSlice(address) // of 4 or 16 bytes: cannot fail
		return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port))
	}
	return ends{end(block[:size], block[2*size:]), end(block[size:2*size], block[2*size+2:])}, nil
}
