// This file says whose word counts: lists of addresses.

package peers

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Network is one entry of a list of trusted peers.
type Network struct {
	prefix netip.Prefix // IPv4 networks not as IPv6; invalid for the two words
	word   string       // everyone or nobody
}

// The words that may stand for a network.
const (
	everyone = "*"
	nobody   = "none"
)

// ParseNetwork reads an entry: an address, a network such as 10.0.0.0/8, "*" for everyone, "none" for
// nobody. A network whose address has bits behind its prefix is refused, for it may be meant otherwise.
func ParseNetwork(text string) (Network, error) {
	if text == everyone || text == nobody {
		return Network{word: text}, nil
	}
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return Network{}, errors.New("not an address or network (want 10.0.0.1, 10.0.0.0/8, ::1, fd00::/8, * or none)")
		}
		addr = addr.Unmap()
		return Network{prefix: netip.PrefixFrom(addr, addr.BitLen())}, nil
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return Network{}, errors.New("not a network (want a form like 10.0.0.0/8 or fd00::/8)")
	case prefix.Addr().Is4In6():
		return Network{}, errors.New("an IPv4 network is written as one, such as 10.0.0.0/8")
	case prefix != prefix.Masked():
		return Network{}, fmt.Errorf("has bits behind its prefix; did you mean %s?", prefix.Masked())
	}
	return Network{prefix: prefix}, nil
}

// Trust is a list of peers whose word counts. Peers on unix sockets have no address: who may connect there
// is for the file's permissions to say, so they are trusted by every list but one that says "none".
type Trust struct {
	all, none bool
	networks  []netip.Prefix
}

// NewTrust makes a list of entries. "none" among them outweighs all others; an empty list trusts unix
// sockets only.
func NewTrust(entries []Network) *Trust {
	t := &Trust{}
	for _, e := range entries {
		switch e.word {
		case everyone:
			t.all = true
		case nobody:
			t.none = true
		default:
			t.networks = append(t.networks, e.prefix)
		}
	}
	return t
}

// Includes tells whether the peer with that address is trusted; the zero address is that of a unix socket.
func (t *Trust) Includes(addr netip.Addr) bool {
	switch {
	case t.none:
		return false
	case t.all || !addr.IsValid():
		return true
	}
	addr = addr.Unmap().WithZone("")
	for _, network := range t.networks {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// includesText is Includes for an address as a Request has it: empty for a unix socket.
func (t *Trust) includesText(addr string) bool {
	if addr == "" {
		return t.Includes(netip.Addr{})
	}
	parsed, err := netip.ParseAddr(addr)
	return err == nil && t.Includes(parsed)
}
