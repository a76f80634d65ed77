// Package securetest makes certificates for tests.
package securetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// An Authority signs certificates.
type Authority struct {
	PEM  []byte // its own certificate
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// A Certificate is one that an Authority has signed, with its key, both in PEM.
type Certificate struct{ PEM, Key []byte }

var serials atomic.Int64

// NewAuthority makes an authority called name.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	a := &Authority{cert: template}
	c := a.Sign(t, template)
	block, _ := pem.Decode(c.PEM)
	var err error
	if a.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
		t.Fatal(err)
	}
	a.PEM = c.PEM
	return a
}

// Pool trusts the authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Server makes the certificate of a server with these names and addresses.
func (a *Authority) Server(t testing.TB, names ...string) Certificate {
	t.Helper()
	template := &x509.Certificate{Subject: pkix.Name{CommonName: names[0]}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return a.Sign(t, template)
}

// Client makes the certificate of a client.
func (a *Authority) Client(t testing.TB, subject pkix.Name) Certificate {
	t.Helper()
	return a.Sign(t, &x509.Certificate{Subject: subject, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// Sign completes a template and signs it; serial number and validity are filled in where there are none. The
// authority's own certificate, which it signs first, gets the authority's key.
func (a *Authority) Sign(t testing.TB, template *x509.Certificate) Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if a.key == nil {
		a.key = key
	}
	if template.SerialNumber == nil {
		template.SerialNumber = big.NewInt(serials.Add(1))
	}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(30*24*time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return Certificate{
		PEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}

// Pair is the certificate for crypto/tls.
func (c Certificate) Pair(t testing.TB) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(c.PEM, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// Write puts the certificate into dir as name.pem and name.key, in place of what is there, and gives both
// paths.
func (c Certificate) Write(t testing.TB, dir, name string) (certFile, keyFile string) {
	t.Helper()
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	Write(t, certFile, c.PEM)
	Write(t, keyFile, c.Key)
	return certFile, keyFile
}

// Write puts content into a file that whoever looks sees whole: a new one under its name.
func Write(t testing.TB, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file+"~", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+"~", file); err != nil {
		t.Fatal(err)
	}
}
