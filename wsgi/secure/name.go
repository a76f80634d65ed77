// This file writes distinguished names as text.

package secure

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"strings"
)

// attribute is a kind of a name's parts: as it is written in a whole name, and as mod_ssl calls it in the
// name of a variable, empty where it has none.
type attribute struct{ short, variable string }

// attributes by object identifier; RFC 4514 §3 and what certificates hold besides.
var attributes = map[string]attribute{
	"2.5.4.3":                    {"CN", "CN"},
	"2.5.4.4":                    {"SN", "S"},
	"2.5.4.5":                    {"serialNumber", ""},
	"2.5.4.6":                    {"C", "C"},
	"2.5.4.7":                    {"L", "L"},
	"2.5.4.8":                    {"ST", "ST"},
	"2.5.4.9":                    {"street", ""},
	"2.5.4.10":                   {"O", "O"},
	"2.5.4.11":                   {"OU", "OU"},
	"2.5.4.12":                   {"title", "T"},
	"2.5.4.13":                   {"description", "D"},
	"2.5.4.17":                   {"postalCode", ""},
	"2.5.4.42":                   {"GN", "G"},
	"2.5.4.43":                   {"initials", "I"},
	"0.9.2342.19200300.100.1.1":  {"UID", "UID"},
	"0.9.2342.19200300.100.1.25": {"DC", "DC"},
	"1.2.840.113549.1.9.1":       {"emailAddress", "Email"},
}

// parseName takes a name apart in the order it has in the certificate; pkix.Name would lose it.
func parseName(raw []byte) pkix.RDNSequence {
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &name); err != nil || len(rest) > 0 {
		return nil // x509 has parsed it before
	}
	return name
}

// nameText writes a name as RFC 4514 §2 has it: the last part first.
func nameText(name pkix.RDNSequence) string {
	var b strings.Builder
	for i := len(name) - 1; i >= 0; i-- {
		for j, part := range name[i] {
			switch {
			case j > 0:
				b.WriteByte('+')
			case i < len(name)-1:
				b.WriteByte(',')
			}
			writePart(&b, part)
		}
	}
	return b.String()
}

func writePart(b *strings.Builder, part pkix.AttributeTypeAndValue) {
	oid := part.Type.String()
	value, isText := part.Value.(string)
	if known, ok := attributes[oid]; ok && isText {
		b.WriteString(known.short)
		b.WriteByte('=')
		escape(b, value)
		return
	}
	der, err := asn1.Marshal(part.Value)
	if err != nil {
		der = nil
	}
	fmt.Fprintf(b, "%s=#%s", oid, hex.EncodeToString(der))
}

// escape writes a value so that nothing in it can be taken for the next part (RFC 4514 §2.4), nor for the
// end of a line.
func escape(b *strings.Builder, value string) {
	for i := range len(value) {
		c := value[i]
		switch {
		case strings.IndexByte(`"+,;<>\`, c) >= 0,
			c == '#' && i == 0,
			c == ' ' && (i == 0 || i == len(value)-1):
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(b, `\%02X`, c)
		default:
			b.WriteByte(c)
		}
	}
}
