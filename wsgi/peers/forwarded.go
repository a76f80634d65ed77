// This file reads the field Forwarded (RFC 7239).

package peers

import "bytes"

// hop is what one proxy says of the request it received. Its slices are empty where nothing was said.
type hop struct{ client, host, proto []byte }

// parseForwarded reads one field line (RFC 7239 §4), in which proxies may stand in any number, the nearest
// one last. It is strict: whoever allows white space around "=" or a parameter twice may read something
// else than the proxy has written. Values are unquoted; unknown parameters are checked and dropped.
func parseForwarded(line []byte) (hops []hop, ok bool) {
	p := parameters{rest: line}
	for {
		p.skipSpace()
		switch {
		case len(p.rest) == 0:
			return hops, true
		case p.rest[0] == ',': // an empty member (RFC 9110 §5.6.1.2)
			p.rest = p.rest[1:]
			continue
		}
		h, ok := p.hop()
		p.skipSpace()
		if !ok || len(p.rest) > 0 && p.rest[0] != ',' {
			return nil, false
		}
		hops = append(hops, h)
	}
}

// parameters reads the parts of a field line, one after the other.
type parameters struct{ rest []byte }

func (p *parameters) skipSpace() { p.rest = bytes.TrimLeft(p.rest, " \t") }

// hop reads forwarded-element: pairs with ";" between them, each of which may be missing.
func (p *parameters) hop() (h hop, ok bool) {
	var by []byte
	for {
		name := p.token()
		if len(name) > 0 {
			value, ok := p.value()
			if !ok {
				return hop{}, false
			}
			switch {
			case bytes.EqualFold(name, forParameter):
				ok = setOnce(&h.client, value)
			case bytes.EqualFold(name, hostParameter):
				ok = setOnce(&h.host, value)
			case bytes.EqualFold(name, protoParameter):
				ok = setOnce(&h.proto, value)
			case bytes.EqualFold(name, byParameter):
				ok = setOnce(&by, value)
			}
			if !ok {
				return hop{}, false
			}
		}
		if len(p.rest) == 0 || p.rest[0] != ';' {
			return h, true
		}
		p.rest = p.rest[1:]
	}
}

var (
	forParameter   = []byte("for")
	hostParameter  = []byte("host")
	protoParameter = []byte("proto")
	byParameter    = []byte("by")
)

// setOnce refuses a parameter that is there already, or empty: none of the four may be.
func setOnce(where *[]byte, value []byte) bool {
	if len(*where) > 0 || len(value) == 0 {
		return false
	}
	*where = value
	return true
}

// token reads as many characters as a token may have, possibly none.
func (p *parameters) token() []byte {
	i := 0
	for i < len(p.rest) && isTokenByte(p.rest[i]) {
		i++
	}
	token := p.rest[:i]
	p.rest = p.rest[i:]
	return token
}

// value reads "=" and what follows: a token or a quoted string.
func (p *parameters) value() ([]byte, bool) {
	if len(p.rest) == 0 || p.rest[0] != '=' {
		return nil, false
	}
	p.rest = p.rest[1:]
	if len(p.rest) > 0 && p.rest[0] == '"' {
		return p.quoted()
	}
	value := p.token()
	return value, len(value) > 0
}

// quoted reads a quoted string (RFC 9110 §5.6.4) and takes the backslashes out. Control characters, which
// it may not have, no engine lets through.
func (p *parameters) quoted() ([]byte, bool) {
	var plain []byte
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; c {
		case '"':
			p.rest = p.rest[i+1:]
			return plain, true
		case '\\':
			if i++; i == len(p.rest) {
				return nil, false
			}
			plain = append(plain, p.rest[i])
		default:
			plain = append(plain, c)
		}
	}
	return nil, false
}

// isTokenByte tells tchar (RFC 9110 §5.6.2).
func isTokenByte(c byte) bool {
	return isAlphanumeric(c) || bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0
}
