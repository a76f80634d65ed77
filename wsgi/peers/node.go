// This file reads addresses and authorities the way header fields write them.

package peers

import (
	"bytes"
	"net/netip"
	"strconv"
)

// node is one end of a hop.
type node struct {
	addr netip.Addr
	port string // empty: not told
}

// parseLooseNode reads a member of X-Forwarded-For, which nobody has standardised: an address, with a
// port or without; IPv6 may be in brackets, and must be with a port.
func parseLooseNode(text []byte) (node, bool) {
	if addr, err := netip.ParseAddr(string(text)); err == nil {
		return node{addr: addr.Unmap()}, addr.Zone() == ""
	}
	return parseNode(text)
}

// parseNode reads a node as RFC 7239 §6 writes it. "unknown" and obfuscated identifiers are nodes, too,
// but tell no address: ok is false for them.
func parseNode(text []byte) (n node, ok bool) {
	host, port := text, []byte(nil)
	if len(text) > 0 && text[0] == '[' {
		end := bytes.IndexByte(text, ']')
		if end < 0 {
			return node{}, false
		}
		host, port = text[1:end], text[end+1:]
		if bytes.IndexByte(host, ':') < 0 {
			return node{}, false
		}
	} else if i := bytes.IndexByte(text, ':'); i >= 0 {
		host, port = text[:i], text[i:]
	}
	addr, err := netip.ParseAddr(string(host))
	if err != nil || addr.Zone() != "" || len(port) > 0 && port[0] != ':' {
		return node{}, false
	}
	n.addr = addr.Unmap()
	if len(port) == 0 {
		return n, true
	}
	switch port = port[1:]; {
	case isPort(port):
		n.port = string(port)
	case !isObfuscated(port):
		return node{}, false
	}
	return n, true
}

// isPort tells whether text is a port number, 1 to 65535, without zeros in front.
func isPort(text []byte) bool {
	if len(text) == 0 || len(text) > 5 || text[0] == '0' {
		return false
	}
	n, err := strconv.ParseUint(string(text), 10, 16)
	return err == nil && n > 0
}

// isObfuscated tells an identifier that says nothing on purpose (RFC 7239 §6.3).
func isObfuscated(text []byte) bool {
	if len(text) < 2 || text[0] != '_' {
		return false
	}
	for _, c := range text[1:] {
		if !isAlphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// splitAuthority takes a host and an optional port apart. The host keeps the brackets of an IPv6 address,
// as SERVER_NAME has them (RFC 3875 §4.1.14); the port may be there and empty (RFC 3986 §3.2.3).
func splitAuthority(text []byte) (host, port []byte, ok bool) {
	host = text
	if len(text) > 0 && text[0] == '[' {
		end := bytes.IndexByte(text, ']')
		if end < 0 {
			return nil, nil, false
		}
		addr, err := netip.ParseAddr(string(text[1:end]))
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return nil, nil, false
		}
		host, port = text[:end+1], text[end+1:]
	} else {
		if i := bytes.IndexByte(text, ':'); i >= 0 {
			host, port = text[:i], text[i:]
		}
		if !isHostName(host) {
			return nil, nil, false
		}
	}
	if len(port) == 0 {
		return host, nil, true
	}
	if port[0] != ':' || len(port) > 1 && !isPort(port[1:]) {
		return nil, nil, false
	}
	return host, port[1:], true
}

// isHostName tells whether text can be a name or an IPv4 address: what names of machines are made of, and
// the underscore that some have. RFC 3986 allows more in a host, none of which a proxy has reason to say.
func isHostName(text []byte) bool {
	for _, c := range text {
		if !isAlphanumeric(c) && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return len(text) > 0
}
