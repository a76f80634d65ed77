package peers

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// binaryHeader is a header of version 2; block is what stands behind the length.
func binaryHeader(command, family byte, block []byte) string {
	header := append(slices.Clone(signature), command, family)
	header = binary.BigEndian.AppendUint16(header, uint16(len(block)))
	return string(append(header, block...))
}

func block(t testing.TB, client, server string, tlv string) []byte {
	t.Helper()
	c, s := netip.MustParseAddrPort(client), netip.MustParseAddrPort(server)
	b := append(c.Addr().AsSlice(), s.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, c.Port())
	b = binary.BigEndian.AppendUint16(b, s.Port())
	return append(b, tlv...)
}

func (e ends) String() string {
	if !e.client.IsValid() {
		return "as it is"
	}
	return fmt.Sprintf("%s to %s", e.client, e.server)
}

func validHeaders(t testing.TB) map[string]string {
	t.Helper()
	v4 := block(t, "192.0.2.1:4711", "198.51.100.2:443", "")
	v6 := block(t, "[2001:db8::1]:4711", "[2001:db8::2]:443", "")
	long := "PROXY UNKNOWN " + strings.Repeat("f", 107-len("PROXY UNKNOWN \r\n")) + "\r\n"
	return map[string]string{
		"PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n":             "192.0.2.1:4711 to 198.51.100.2:443",
		"PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n":            "[2001:db8::1]:4711 to [2001:db8::2]:443",
		"PROXY TCP6 ::ffff:192.0.2.1 ::1 0 65535\r\n":                "[::ffff:192.0.2.1]:0 to [::1]:65535",
		"PROXY UNKNOWN\r\n":                                          "as it is",
		"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n":                      "as it is",
		long:                                                         "as it is",
		binaryHeader(0x21, 0x11, v4):                                 "192.0.2.1:4711 to 198.51.100.2:443",
		binaryHeader(0x21, 0x21, v6):                                 "[2001:db8::1]:4711 to [2001:db8::2]:443",
		binaryHeader(0x21, 0x11, append(v4, "\x04\x00\x02ab"...)):    "192.0.2.1:4711 to 198.51.100.2:443",
		binaryHeader(0x21, 0x21, append(v6, make([]byte, 60000)...)): "[2001:db8::1]:4711 to [2001:db8::2]:443",
		binaryHeader(0x20, 0x00, nil):                                "as it is",
		binaryHeader(0x20, 0x11, v4):                                 "as it is",
		binaryHeader(0x20, 0xff, []byte("xyz")):                      "as it is",
		binaryHeader(0x21, 0x00, nil):                                "as it is",
		binaryHeader(0x21, 0x00, []byte("tlv")):                      "as it is",
		binaryHeader(0x21, 0x31, make([]byte, 216)):                  "as it is",
	}
}

func TestReadHeader_TakesBothVersionsAndNotAByteMore(t *testing.T) {
	for header, want := range validHeaders(t) {
		for name, reader := range map[string]func(io.Reader) io.Reader{"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader} {
			from := strings.NewReader(header + "GET / HTTP/1.1")
			got, err := readHeader(reader(from))
			rest, _ := io.ReadAll(from)
			if err != nil || got.String() != want || string(rest) != "GET / HTTP/1.1" {
				t.Errorf("readHeader(%.60q) %s = %v, %v and leaves %.20q, want %s and the request", header, name, got, err, rest, want)
			}
		}
	}
}

func TestReadHeader_RefusesWhatIsMalformed(t *testing.T) {
	v4 := block(t, "192.0.2.1:4711", "198.51.100.2:443", "")
	for _, header := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"\x16\x03\x01 and the rest of a TLS hello",
		"proxy TCP4 192.0.2.1 198.51.100.2 4711 443\r\n",
		"PROXY  TCP4 192.0.2.1 198.51.100.2 4711 443\r\n",
		"PROXY TCP5 192.0.2.1 198.51.100.2 4711 443\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 4711 443 \r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 4711\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\n" + "0123456789",
		"PROXY TCP4 192.0.2.1 198.51.100.2 4711\r443\r\n",
		"PROXY TCP4 2001:db8::1 2001:db8::2 4711 443\r\n",
		"PROXY TCP6 192.0.2.1 198.51.100.2 4711 443\r\n",
		"PROXY TCP6 fe80::1%eth0 fe80::2 4711 443\r\n",
		"PROXY TCP4 192.0.2.01 198.51.100.2 4711 443\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 04711 443\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 4711 65536\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 +1 443\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2  443\r\n",
		"PROXY \r\nGET / HTTP/1.1\r\n",
		"PROXY UNKNOWN " + strings.Repeat("f", 108-len("PROXY UNKNOWN \r\n")) + "\r\n",
		binaryHeader(0x11, 0x11, v4),
		binaryHeader(0x22, 0x11, v4),
		binaryHeader(0x21, 0x12, v4), // datagrams
		binaryHeader(0x21, 0x41, v4),
		binaryHeader(0x21, 0x11, v4[:11]),
		binaryHeader(0x21, 0x21, make([]byte, 35)),
		"\r\n\r\n\x00\r\nQUIT\r\n and more",
		"GET /",
	} {
		if got, err := readHeader(strings.NewReader(header)); err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("readHeader(%q) = %v, %v, want it refused", header, got, err)
		}
	}
}

func TestReadHeader_TellsNothingFromHalfAHeader(t *testing.T) {
	if _, err := readHeader(strings.NewReader("")); !errors.Is(err, io.EOF) {
		t.Errorf("readHeader(nothing) = %v, want EOF", err)
	}
	for header := range validHeaders(t) {
		for n := 1; n < min(len(header), 200); n++ {
			if got, err := readHeader(strings.NewReader(header[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("readHeader(%.60q) = %v, %v, want %v", header[:n], got, err, io.ErrUnexpectedEOF)
			}
		}
	}
}

func FuzzReadHeader(f *testing.F) {
	for header := range validHeaders(f) {
		if len(header) < 300 {
			f.Add([]byte(header + "GET"))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		from := bytes.NewReader(data)
		named, err := readHeader(from)
		if err != nil {
			return
		}
		used := data[:len(data)-from.Len()]
		if again, err := readHeader(bytes.NewReader(used)); err != nil || again != named {
			t.Errorf("readHeader(%q) = %v, but of %q = %v, %v", data, named, used, again, err)
		}
		if _, err := readHeader(bytes.NewReader(used[:len(used)-1])); err == nil {
			t.Errorf("readHeader(%q) takes less than it used before", used[:len(used)-1])
		}
	})
}
