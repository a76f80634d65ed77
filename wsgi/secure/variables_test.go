package secure_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	"gowsgi/environ"
	"gowsgi/wsgi/secure"
	"gowsgi/wsgi/secure/securetest"
)

// subject holds what could be mistaken for the next part of a name, or for the end of a line.
var subject = pkix.Name{
	Country: []string{"DE"}, Organization: []string{`Shop, Ltd. + "Sons"`}, CommonName: "anna,CN=root\nX: y",
	OrganizationalUnit: []string{"a", "b"},
	ExtraNames:         []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "anna@shop.example"}},
}

func variables(t *testing.T, s tls.ConnectionState) map[string]string {
	t.Helper()
	list, err := environ.Unpack(secure.Variables(s))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, v := range list {
		if _, twice := all[v.Key]; twice {
			t.Errorf("%s is there twice", v.Key)
		}
		all[v.Key] = v.Value
	}
	return all
}

func TestVariables_DescribeTheClientsCertificate(t *testing.T) {
	ca, dir := securetest.NewAuthority(t, "ca"), t.TempDir()
	cert, key := ca.Server(t, "one.example").Write(t, dir, "one")
	trusted := filepath.Join(dir, "clients.pem")
	securetest.Write(t, trusted, ca.PEM)
	k := open(t, secure.Options{Pairs: []secure.Pair{{cert, key}}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: trusted})
	client := ca.Sign(t, &x509.Certificate{
		Subject: subject, SerialNumber: big.NewInt(0xabc), DNSNames: []string{"anna.example"}, EmailAddresses: []string{"a@b.example"},
		NotBefore: time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC), NotAfter: time.Date(2099, 12, 31, 0, 0, 0, 0, time.UTC),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	_, server, err := handshake(t, k, &tls.Config{
		ServerName: "one.example", RootCAs: ca.Pool(), Certificates: []tls.Certificate{client.Pair(t)}, MaxVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := variables(t, server)
	for name, want := range map[string]string{
		"HTTPS": "on", "SSL_PROTOCOL": "TLSv1.2", "SSL_CIPHER": "ECDHE-ECDSA-AES256-GCM-SHA384", "SSL_CIPHER_USEKEYSIZE": "256",
		"SSL_TLS_SNI": "one.example", "SSL_SESSION_RESUMED": "Initial", "SSL_CLIENT_VERIFY": "SUCCESS",
		"SSL_CLIENT_S_DN":      `emailAddress=anna@shop.example,CN=anna\,CN=root\0AX: y,OU=a+OU=b,O=Shop\, Ltd. \+ \"Sons\",C=DE`,
		"SSL_CLIENT_I_DN":      "CN=ca",
		"SSL_CLIENT_I_DN_CN":   "ca",
		"SSL_CLIENT_S_DN_CN":   "anna,CN=root\nX: y",
		"SSL_CLIENT_S_DN_O":    `Shop, Ltd. + "Sons"`,
		"SSL_CLIENT_S_DN_OU":   "a",
		"SSL_CLIENT_S_DN_OU_1": "b", "SSL_CLIENT_S_DN_Email": "anna@shop.example",
		"SSL_CLIENT_M_SERIAL": "0ABC", "SSL_CLIENT_M_VERSION": "3",
		"SSL_CLIENT_V_START": "Jan  2 03:04:05 2020 GMT", "SSL_CLIENT_V_END": "Dec 31 00:00:00 2099 GMT",
		"SSL_CLIENT_SAN_DNS_0": "anna.example", "SSL_CLIENT_SAN_Email_0": "a@b.example",
		"SSL_CLIENT_CERT": string(client.PEM), "SSL_CLIENT_A_KEY": "ECDSA", "SSL_CLIENT_A_SIG": "ECDSA-SHA256",
	} {
		if got[name] != want {
			t.Errorf("%s = %q, want %q", name, got[name], want)
		}
	}
}

func TestVariables_WithoutACertificate(t *testing.T) {
	ca := securetest.NewAuthority(t, "ca")
	cert, key := ca.Server(t, "one.example").Write(t, t.TempDir(), "one")
	k := open(t, secure.Options{Pairs: []secure.Pair{{cert, key}}})
	_, server, err := handshake(t, k, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	got := variables(t, server)
	if got["SSL_PROTOCOL"] != "TLSv1.3" || got["SSL_CLIENT_VERIFY"] != "NONE" {
		t.Errorf("SSL_PROTOCOL, SSL_CLIENT_VERIFY = %q, %q, want TLSv1.3, NONE", got["SSL_PROTOCOL"], got["SSL_CLIENT_VERIFY"])
	}
	if _, there := got["SSL_CLIENT_S_DN"]; there {
		t.Error("SSL_CLIENT_S_DN is there without a certificate")
	}
}

// A certificate that nobody has checked says nothing: the variables are not there.
func TestVariables_SayNothingOfACertificateThatWasNotVerified(t *testing.T) {
	c := securetest.NewAuthority(t, "ca").Client(t, subject).Pair(t)
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	got := variables(t, tls.ConnectionState{Version: tls.VersionTLS13, PeerCertificates: []*x509.Certificate{leaf}})
	if got["SSL_CLIENT_VERIFY"] != "NONE" || got["SSL_CLIENT_S_DN"] != "" {
		t.Errorf("SSL_CLIENT_VERIFY, SSL_CLIENT_S_DN = %q, %q, want NONE and nothing", got["SSL_CLIENT_VERIFY"], got["SSL_CLIENT_S_DN"])
	}
}
