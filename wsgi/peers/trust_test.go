package peers

import (
	"net/netip"
	"testing"
)

func trust(t testing.TB, texts ...string) *Trust {
	t.Helper()
	var entries []Network
	for _, text := range texts {
		entry, err := ParseNetwork(text)
		if err != nil {
			t.Fatalf("ParseNetwork(%q) = %v, want an entry", text, err)
		}
		entries = append(entries, entry)
	}
	return NewTrust(entries)
}

func TestParseNetwork_RefusesWhatCouldMeanSomethingElse(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.1/8":     "has bits behind its prefix; did you mean 10.0.0.0/8?",
		"::ffff:a00:0/8": "an IPv4 network is written as one, such as 10.0.0.0/8",
		"10.0.0.0/33":    "not a network (want a form like 10.0.0.0/8 or fd00::/8)",
		"10.0.0":         "not an address or network (want 10.0.0.1, 10.0.0.0/8, ::1, fd00::/8, * or none)",
		"fe80::1%eth0":   "not an address or network (want 10.0.0.1, 10.0.0.0/8, ::1, fd00::/8, * or none)",
		"":               "not an address or network (want 10.0.0.1, 10.0.0.0/8, ::1, fd00::/8, * or none)",
		"010.0.0.1":      "not an address or network (want 10.0.0.1, 10.0.0.0/8, ::1, fd00::/8, * or none)",
	} {
		if _, err := ParseNetwork(text); err == nil || err.Error() != want {
			t.Errorf("ParseNetwork(%q) = %v, want %s", text, err, want)
		}
	}
}

func TestTrust_IncludesWhatIsListed(t *testing.T) {
	list := []string{"10.0.0.0/8", "192.0.2.1", "::ffff:192.0.2.2", "fd00::/8"}
	for _, c := range []struct {
		list []string
		addr string // empty: a unix socket
		want bool
	}{
		{list, "10.255.0.1", true},
		{list, "11.0.0.1", false},
		{list, "192.0.2.1", true},
		{list, "192.0.2.2", true},
		{list, "192.0.2.3", false},
		{list, "::ffff:10.1.2.3", true}, // a dual-stack listener's way to say 10.1.2.3
		{list, "fd12::1%eth0", true},
		{list, "fe80::1", false},
		{list, "", true},
		{nil, "127.0.0.1", false},
		{nil, "", true},
		{[]string{"*"}, "203.0.113.1", true},
		{[]string{"none"}, "", false},
		{[]string{"*", "none"}, "127.0.0.1", false},
	} {
		var addr netip.Addr
		if c.addr != "" {
			addr = netip.MustParseAddr(c.addr)
		}
		if got := trust(t, c.list...).Includes(addr); got != c.want {
			t.Errorf("Trust(%v).Includes(%q) = %v, want %v", c.list, c.addr, got, c.want)
		}
	}
}
