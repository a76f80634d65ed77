// This file tells an application about its connection's TLS, and about the client's certificate.

package secure

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gowsgi/environ"
)

// certificateLimit is the largest certificate whose text is given to applications: it has to fit into the
// environ of every request.
const certificateLimit = 16 << 10

// VariablesSize is the most that Variables gives.
const VariablesSize = 3 * certificateLimit

// Variables packs HTTPS and SSL_* variables as mod_ssl names them, for environ.Request.Connection:
//
//   - HTTPS=on, SSL_PROTOCOL, SSL_CIPHER (OpenSSL's name), SSL_CIPHER_USEKEYSIZE and _ALGKEYSIZE,
//     SSL_TLS_SNI where the client named a host, SSL_SESSION_RESUMED;
//   - SSL_CLIENT_VERIFY, NONE or SUCCESS: a client whose certificate is refused gets no connection;
//   - with a certificate SSL_CLIENT_S_DN and _I_DN (RFC 4514), their parts such as SSL_CLIENT_S_DN_CN,
//     SSL_CLIENT_M_VERSION, M_SERIAL, V_START, V_END, V_REMAIN, A_KEY, A_SIG, SAN_DNS_n, SAN_Email_n and
//     CERT, the whole in PEM.
//
// Text beyond ASCII is UTF-8, each byte a character, as everywhere in WSGI.
func Variables(s tls.ConnectionState) []byte {
	var v variables
	v.add("HTTPS", "on")
	v.add("SSL_PROTOCOL", protocolName(s.Version))
	v.add("SSL_CIPHER", cipherName(s.CipherSuite))
	bits := "128"
	if name := tls.CipherSuiteName(s.CipherSuite); strings.Contains(name, "256_GCM") || strings.Contains(name, "256_CBC") || strings.Contains(name, "CHACHA20") {
		bits = "256"
	}
	v.add("SSL_CIPHER_USEKEYSIZE", bits)
	v.add("SSL_CIPHER_ALGKEYSIZE", bits)
	if s.ServerName != "" {
		v.add("SSL_TLS_SNI", s.ServerName)
	}
	resumed := "Initial"
	if s.DidResume {
		resumed = "Resumed"
	}
	v.add("SSL_SESSION_RESUMED", resumed)
	if len(s.PeerCertificates) == 0 || len(s.VerifiedChains) == 0 {
		v.add("SSL_CLIENT_VERIFY", "NONE")
		return v.packed
	}
	v.add("SSL_CLIENT_VERIFY", "SUCCESS")
	v.addCertificate(s.PeerCertificates[0])
	return v.packed
}

type variables struct{ packed []byte }

// add packs a variable unless the whole becomes too large; what matters most comes first.
func (v *variables) add(key, value string) {
	if len(v.packed)+len(key)+len(value)+8 <= VariablesSize {
		v.packed = environ.AppendVariable(v.packed, key, value)
	}
}

func (v *variables) addCertificate(c *x509.Certificate) {
	subject, issuer := parseName(c.RawSubject), parseName(c.RawIssuer)
	v.add("SSL_CLIENT_S_DN", nameText(subject))
	v.add("SSL_CLIENT_I_DN", nameText(issuer))
	v.add("SSL_CLIENT_M_VERSION", strconv.Itoa(c.Version))
	v.add("SSL_CLIENT_M_SERIAL", serial(c))
	v.add("SSL_CLIENT_V_START", date(c.NotBefore))
	v.add("SSL_CLIENT_V_END", date(c.NotAfter))
	v.add("SSL_CLIENT_V_REMAIN", strconv.Itoa(int(time.Until(c.NotAfter)/(24*time.Hour))))
	v.add("SSL_CLIENT_A_KEY", c.PublicKeyAlgorithm.String())
	v.add("SSL_CLIENT_A_SIG", c.SignatureAlgorithm.String())
	if len(c.Raw) <= certificateLimit {
		v.add("SSL_CLIENT_CERT", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
	}
	v.addParts("SSL_CLIENT_S_DN_", subject)
	v.addParts("SSL_CLIENT_I_DN_", issuer)
	for i, name := range c.DNSNames {
		v.add("SSL_CLIENT_SAN_DNS_"+strconv.Itoa(i), name)
	}
	for i, address := range c.EmailAddresses {
		v.add("SSL_CLIENT_SAN_Email_"+strconv.Itoa(i), address)
	}
}

// addParts adds the parts of a name; of several of a kind, the second gets the suffix _1 and so on.
func (v *variables) addParts(prefix string, name pkix.RDNSequence) {
	count := map[string]int{}
	for _, set := range name {
		for _, part := range set {
			kind := attributes[part.Type.String()].variable
			value, isText := part.Value.(string)
			if kind == "" || !isText {
				continue
			}
			key := prefix + kind
			if n := count[kind]; n > 0 {
				key += "_" + strconv.Itoa(n)
			}
			count[kind]++
			v.add(key, value)
		}
	}
}

// serial writes a serial number as openssl does: hexadecimal, whole bytes.
func serial(c *x509.Certificate) string {
	text := strings.ToUpper(c.SerialNumber.Text(16))
	if len(text)%2 == 1 {
		text = "0" + text
	}
	return text
}

// date writes a time as openssl does: "Nov 21 09:00:00 2026 GMT".
func date(t time.Time) string { return t.UTC().Format("Jan _2 15:04:05 2006 GMT") }

func protocolName(version uint16) string {
	switch version {
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return fmt.Sprintf("0x%04x", version)
}

// opensslNames are those of the suites of TLS 1.2 that crypto/tls negotiates; TLS 1.3 has one name for each.
var opensslNames = map[uint16]string{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       "ECDHE-ECDSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:       "ECDHE-ECDSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:          "ECDHE-ECDSA-AES128-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:          "ECDHE-ECDSA-AES256-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:         "ECDHE-RSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:         "ECDHE-RSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:   "ECDHE-RSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA:            "ECDHE-RSA-AES128-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA:            "ECDHE-RSA-AES256-SHA",
}

func cipherName(suite uint16) string {
	if name := opensslNames[suite]; name != "" {
		return name
	}
	return tls.CipherSuiteName(suite)
}
