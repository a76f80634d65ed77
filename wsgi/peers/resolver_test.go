package peers

import (
	"strings"
	"testing"

	"gowsgi/environ"
)

// asked is a request of GET /path over a connection from peer to 127.0.0.1:8000.
func asked(peer string, fields ...string) *environ.Request {
	r := &environ.Request{
		Method: []byte("GET"), Target: []byte("/path"), Path: []byte("/path"), Proto: []byte("HTTP/1.1"),
		Scheme: "http", RemoteAddr: peer, RemotePort: "1234", ServerName: "127.0.0.1", ServerPort: "8000",
	}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		if name == "Host" {
			r.Host = []byte(value)
		}
		r.Headers = append(r.Headers, environ.Header{Name: []byte(name), Value: []byte(value)})
	}
	return r
}

// told is what a Resolver can change, as one line.
func told(r *environ.Request) string {
	return strings.Join([]string{
		r.RemoteAddr + " " + r.RemotePort, r.Scheme, string(r.Host), r.ServerName + " " + r.ServerPort, r.ScriptName + " " + string(r.Path),
	}, " | ")
}

func names(r *environ.Request) string {
	var all []string
	for _, h := range r.Headers {
		all = append(all, string(h.Name))
	}
	return strings.Join(all, " ")
}

func TestResolver_BelievesTrustedPeers(t *testing.T) {
	v := NewResolver(Options{Trust: trust(t, "10.0.0.0/8", "fd00::/8")})
	const direct = "10.0.0.1 1234 | http | a.example | 127.0.0.1 8000 |  /path"
	for _, c := range []struct{ fields, want string }{
		{"", direct},
		// X-Forwarded-For, from the right and past those who are trusted
		{"X-Forwarded-For: 192.0.2.1", "192.0.2.1  | http | a.example | 127.0.0.1 8000 |  /path"},
		{"X-Forwarded-For: 198.51.100.1, 192.0.2.1, 10.2.2.2,10.3.3.3", "192.0.2.1  | http | a.example | 127.0.0.1 8000 |  /path"},
		{"X-Forwarded-For: 198.51.100.1; X-Other: x; x-forwarded-for: 192.0.2.1; X-FORWARDED-FOR: 10.2.2.2", "192.0.2.1  | http | a.example | 127.0.0.1 8000 |  /path"},
		{"X-Forwarded-For: 10.9.9.9, 10.2.2.2", "10.9.9.9  | http | a.example | 127.0.0.1 8000 |  /path"},
		{"X-Forwarded-For: 192.0.2.1:4711", "192.0.2.1 4711 | http | a.example | 127.0.0.1 8000 |  /path"},
		{"X-Forwarded-For: 2001:db8::1", "2001:db8::1  | http | a.example | 127.0.0.1 8000 |  /path"},
		{"X-Forwarded-For: [2001:db8::1]", "2001:db8::1  | http | a.example | 127.0.0.1 8000 |  /path"},
		{"X-Forwarded-For: [2001:db8::1]:99, fd00::2", "2001:db8::1 99 | http | a.example | 127.0.0.1 8000 |  /path"},
		{"X-Forwarded-For: ::ffff:192.0.2.1", "192.0.2.1  | http | a.example | 127.0.0.1 8000 |  /path"},
		{"X-Forwarded-For: , 192.0.2.1 ,, ", "192.0.2.1  | http | a.example | 127.0.0.1 8000 |  /path"},
		// malformed members end the walk before them
		{"X-Forwarded-For: 198.51.100.1, unknown, 10.2.2.2", "10.2.2.2  | http | a.example | 127.0.0.1 8000 |  /path"},
		{"X-Forwarded-For: unknown", direct},
		{"X-Forwarded-For: 192.0.2.1:", direct},
		{"X-Forwarded-For: 192.0.2.1:0", direct},
		{"X-Forwarded-For: 192.0.2.1:65536", direct},
		{"X-Forwarded-For: 192.0.2.256", direct},
		{"X-Forwarded-For: [192.0.2.1]", direct},
		{"X-Forwarded-For: [::1", direct},
		{"X-Forwarded-For: fe80::1%eth0", direct},
		{"X-Forwarded-For: <script>", direct},
		// scheme, host, port
		{"X-Forwarded-Proto: https", "10.0.0.1 1234 | https | a.example | 127.0.0.1 443 |  /path"},
		{"X-Forwarded-Proto: HTTPS", "10.0.0.1 1234 | https | a.example | 127.0.0.1 443 |  /path"},
		{"X-Forwarded-Proto: wss", "10.0.0.1 1234 | https | a.example | 127.0.0.1 443 |  /path"},
		{"X-Forwarded-Proto: http", "10.0.0.1 1234 | http | a.example | 127.0.0.1 80 |  /path"},
		{"X-Forwarded-Proto: gopher", direct},
		{"X-Forwarded-Proto: ", direct},
		{"X-Forwarded-Host: b.example", "10.0.0.1 1234 | http | b.example | b.example 80 |  /path"},
		{"X-Forwarded-Host: b.example:8443; X-Forwarded-Proto: https", "10.0.0.1 1234 | https | b.example:8443 | b.example 8443 |  /path"},
		{"X-Forwarded-Host: [2001:db8::1]:81", "10.0.0.1 1234 | http | [2001:db8::1]:81 | [2001:db8::1] 81 |  /path"},
		{"X-Forwarded-Host: b.example/path", direct},
		{"X-Forwarded-Host: user@b.example", direct},
		{"X-Forwarded-Host: b.example:http", direct},
		{"X-Forwarded-Port: 8443; X-Forwarded-Proto: https", "10.0.0.1 1234 | https | a.example:8443 | 127.0.0.1 8443 |  /path"},
		{"X-Forwarded-Port: 443; X-Forwarded-Proto: https", "10.0.0.1 1234 | https | a.example | 127.0.0.1 443 |  /path"},
		{"X-Forwarded-Port: 443; X-Forwarded-Host: b.example:81", "10.0.0.1 1234 | http | b.example:81 | b.example 443 |  /path"},
		{"X-Forwarded-Port: 0443", direct},
		{"X-Forwarded-Port: 65536", direct},
		{"X-Forwarded-Port: -1", direct},
		// lists: the word of the proxy that saw the client
		{"X-Forwarded-For: 192.0.2.1, 10.2.2.2; X-Forwarded-Proto: https, http; X-Forwarded-Host: b.example, c.example",
			"192.0.2.1  | https | b.example | b.example 443 |  /path"},
		{"X-Forwarded-For: 198.51.100.1, 192.0.2.1; X-Forwarded-Proto: https, http", "192.0.2.1  | http | a.example | 127.0.0.1 80 |  /path"},
		{"X-Forwarded-For: 192.0.2.1, 10.2.2.2; X-Forwarded-Proto: https", "192.0.2.1  | https | a.example | 127.0.0.1 443 |  /path"},
		{"X-Forwarded-Proto: https; X-Forwarded-Proto: http", "10.0.0.1 1234 | http | a.example | 127.0.0.1 80 |  /path"},
		// prefix
		{"X-Forwarded-Prefix: /shop", "10.0.0.1 1234 | http | a.example | 127.0.0.1 8000 | /shop /path"},
		{"X-Forwarded-Prefix: /pa", "10.0.0.1 1234 | http | a.example | 127.0.0.1 8000 | /pa /path"},
		{"X-Forwarded-Prefix: /path/", "10.0.0.1 1234 | http | a.example | 127.0.0.1 8000 | /path "},
		{"X-Forwarded-Prefix: /sh%20op/a", "10.0.0.1 1234 | http | a.example | 127.0.0.1 8000 | /sh op/a /path"},
		{"X-Forwarded-Prefix: //evil.example", direct},
		{"X-Forwarded-Prefix: shop", direct},
		{"X-Forwarded-Prefix: /a/../b", direct},
		{"X-Forwarded-Prefix: /a%2f%2e%2e", direct},
		{"X-Forwarded-Prefix: /a?b", direct},
		{"X-Forwarded-Prefix: /a%0d%0ab", direct},
		{"X-Forwarded-Prefix: /a%zz", direct},
		{"X-Forwarded-Prefix: /", direct},
		// RFC 7239
		{"Forwarded: for=192.0.2.1", "192.0.2.1  | http | a.example | 127.0.0.1 8000 |  /path"},
		{`Forwarded: for=198.51.100.1, For="192.0.2.1:4711";Proto=https;by=10.1.1.1;host=b.example, for=10.2.2.2;proto=http`,
			"192.0.2.1 4711 | https | b.example | b.example 443 |  /path"},
		{`Forwarded: for="[2001:db8::1]:_port";host="[2001:db8::2]:81"`, "2001:db8::1  | http | [2001:db8::2]:81 | [2001:db8::2] 81 |  /path"},
		{`Forwarded: for="192.0.2.1"; X-Forwarded-Prefix: /shop`, "192.0.2.1  | http | a.example | 127.0.0.1 8000 | /shop /path"},
		{"Forwarded: proto=https;host=b.example", "10.0.0.1 1234 | https | b.example | b.example 443 |  /path"},
		{"Forwarded: for=unknown;proto=https", "10.0.0.1 1234 | https | a.example | 127.0.0.1 443 |  /path"},
		{"Forwarded: for=192.0.2.1, for=_hidden;proto=https, for=10.2.2.2", "10.2.2.2  | https | a.example | 127.0.0.1 443 |  /path"},
		{`Forwarded: for="; Forwarded: for=192.0.2.1`, "192.0.2.1  | http | a.example | 127.0.0.1 8000 |  /path"},
		{`Forwarded: for="; Forwarded: for=10.2.2.2`, "10.2.2.2  | http | a.example | 127.0.0.1 8000 |  /path"},
		{"Forwarded: for=192.0.2.1;for=192.0.2.2", direct},
		{"Forwarded: for=[2001:db8::1]", direct}, // not a token: must be quoted
		{`Forwarded: for="2001:db8::1"`, direct},
		{"Forwarded: host=a/b", direct},
		// both: what nearly all proxies write
		{"Forwarded: for=198.51.100.1;host=evil.example; X-Forwarded-For: 192.0.2.1", "192.0.2.1  | http | a.example | 127.0.0.1 8000 |  /path"},
		{"X-Forwarded-Proto: https; Forwarded: for=198.51.100.1", "10.0.0.1 1234 | https | a.example | 127.0.0.1 443 |  /path"},
	} {
		fields := strings.Split(c.fields, "; ")
		if c.fields == "" {
			fields = nil
		}
		r := asked("10.0.0.1", append([]string{"Host: a.example"}, fields...)...)
		if v.Resolve(r); told(r) != c.want {
			t.Errorf("Resolve(%s)\n got %s\nwant %s", c.fields, told(r), c.want)
		}
	}
}

func TestResolver_RemovesWhatNobodyVouchesFor(t *testing.T) {
	v := NewResolver(Options{Trust: trust(t, "127.0.0.1"), RequestID: "X-Request-ID"})
	r := asked("10.0.0.1", "Host: a.example", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "x-forwarded-host: b.example",
		"X-Forwarded-Port: 99", "X-Forwarded-Prefix: /shop", "X-Forwarded-Ssl: on", "X-Real-IP: 192.0.2.1", "X-Real-IPs: stays", "X-Forwarded: stays",
		"FORWARDED: for=192.0.2.1", "X-Request-Id: mine", "Forwarded-To: stays", "X-Other: stays")
	v.Resolve(r)
	if want := "10.0.0.1 1234 | http | a.example | 127.0.0.1 8000 |  /path"; told(r) != want {
		t.Errorf("Resolve(untrusted peer)\n got %s\nwant %s", told(r), want)
	}
	if got, want := names(r), "Host X-Real-IPs X-Forwarded Forwarded-To X-Other"; got != want {
		t.Errorf("fields = %s, want %s", got, want)
	}
	if r.RequestID != nil {
		t.Errorf("RequestID = %q, want none", r.RequestID)
	}
}

// What was believed stays where applications expect it; the field that was not is removed.
func TestResolver_LeavesTheFieldsOfTrustedPeers(t *testing.T) {
	v := NewResolver(Options{Trust: trust(t)})
	r := asked("", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Ssl: on", "X-Real-IP: x", "Forwarded: for=192.0.2.2")
	v.Resolve(r)
	if got, want := names(r), "X-Forwarded-For X-Forwarded-Ssl X-Real-IP"; got != want || r.RemoteAddr != "192.0.2.1" {
		t.Errorf("client %s, fields %s; want 192.0.2.1 (a unix socket is trusted), %s", r.RemoteAddr, got, want)
	}
	r = asked("", "Forwarded: for=192.0.2.2")
	if v.Resolve(r); names(r) != "Forwarded" {
		t.Errorf("fields = %s, want Forwarded", names(r))
	}
	r = asked("", "X-Forwarded-For: 192.0.2.1")
	if NewResolver(Options{Trust: trust(t, "none")}).Resolve(r); r.RemoteAddr != "" || names(r) != "" {
		t.Errorf("trusting nobody: client %q, fields %s; want neither", r.RemoteAddr, names(r))
	}
}

func TestResolver_WithoutHostThePortFollowsTheScheme(t *testing.T) {
	v := NewResolver(Options{Trust: trust(t, "*")})
	r := asked("10.0.0.1", "X-Forwarded-Proto: https")
	v.Resolve(r)
	if got, want := told(r), "10.0.0.1 1234 | https |  | 127.0.0.1 443 |  /path"; got != want {
		t.Errorf("Resolve(no Host)\n got %s\nwant %s", got, want)
	}
}

func TestResolver_TakesHarmlessIDs(t *testing.T) {
	v := NewResolver(Options{Trust: trust(t, "127.0.0.1"), RequestID: "X-Request-ID"})
	for value, want := range map[string]string{
		"4bf92f3577b34da6":       "4bf92f3577b34da6",
		"a-b_c.d~e:f/g+h=i@j":    "a-b_c.d~e:f/g+h=i@j",
		strings.Repeat("x", 128): strings.Repeat("x", 128),
		strings.Repeat("x", 129): "",
		"":                       "",
		"two words":              "",
		"a,b":                    "",
		`a"b`:                    "",
		"a\xe4":                  "",
		"<b>":                    "",
	} {
		r := asked("127.0.0.1", "x-request-id: "+value, "X-Other: 1")
		v.Resolve(r)
		if string(r.RequestID) != want || names(r) != "X-Other" {
			t.Errorf("Resolve(X-Request-ID: %s): id %q, fields %s; want %q and X-Other", value, r.RequestID, names(r), want)
		}
	}
	r := asked("127.0.0.1", "X-Request-ID: a", "X-Request-ID: b")
	if v.Resolve(r); r.RequestID != nil || names(r) != "" {
		t.Errorf("Resolve(two ids): id %q, fields %s; want none", r.RequestID, names(r))
	}
	r = asked("127.0.0.1", "X-Request-ID: a")
	if NewResolver(Options{Trust: trust(t, "*")}).Resolve(r); r.RequestID != nil || names(r) != "X-Request-ID" {
		t.Errorf("Resolve with no field for ids: id %q, fields %s; want the field left alone", r.RequestID, names(r))
	}
}

func TestResolver_CostsNothingWithoutProxies(t *testing.T) {
	v := NewResolver(Options{Trust: trust(t, "127.0.0.1"), RequestID: "X-Request-ID", Mount: "/path"})
	r := asked("127.0.0.1", "Host: a", "User-Agent: x", "Accept: */*", "X-Other: y", "Forward: z")
	if n := testing.AllocsPerRun(100, func() { v.Resolve(r) }); n != 0 {
		t.Errorf("Resolve allocates %v times, want none", n)
	}
}

func FuzzResolver(f *testing.F) {
	f.Add("X-Forwarded-For", "192.0.2.1, 10.0.0.1", "Forwarded", `for="[::1]:_a";proto=https`)
	f.Add("X-Forwarded-Host", "[::1]:80", "X-Forwarded-Port", "99")
	f.Add("X-Forwarded-Prefix", "/a%2fb", "X-Forwarded-Proto", "https,http")
	v := NewResolver(Options{Trust: trust(f, "10.0.0.0/8"), RequestID: "X-Request-ID", Mount: "/m"})
	f.Fuzz(func(t *testing.T, name, value, name2, value2 string) {
		if name == "" || name2 == "" {
			return
		}
		r := asked("10.0.0.1", "Host: a.example", name+": "+value, name2+": "+value2)
		v.Resolve(r)
		if _, _, ok := splitAuthority(r.Host); !ok {
			t.Errorf("Host = %q, want an authority", r.Host)
		}
		if r.ScriptName != "" && !isMount(r.ScriptName) || r.Scheme != "http" && r.Scheme != "https" || !isPort([]byte(r.ServerPort)) {
			t.Errorf("ScriptName, Scheme, ServerPort = %q, %q, %q, want well-formed ones", r.ScriptName, r.Scheme, r.ServerPort)
		}
	})
}
