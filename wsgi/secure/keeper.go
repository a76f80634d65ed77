// This file loads certificates and keeps those that are in force.

package secure

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gowsgi/cmd/failure"
)

// Pair names the files of one certificate, PEM both. CertFile holds the chain, the server's own certificate
// first; KeyFile may be the same file.
type Pair struct{ CertFile, KeyFile string }

// Options says what a Keeper keeps.
type Options struct {
	// Pairs are the certificates, at least one. A connection gets the first that fits the name its client
	// asks for (SNI) and the signatures it understands; the first of all when none fits.
	Pairs []Pair
	// ClientAuth says whether clients must have a certificate, and ClientCAs names the file of those that
	// may have signed it. Empty: the authorities that the system trusts.
	ClientAuth tls.ClientAuthType
	ClientCAs  string
	MinVersion uint16   // 0: TLS 1.2
	Protocols  []string // for ALPN, the preferred one first
	Log        *slog.Logger
}

// Keeper keeps certificates that can be replaced while connections use them.
type Keeper struct {
	o       Options
	current atomic.Pointer[tls.Config]
	shared  *tls.Config // what Config gives: one, whose keys for session tickets all listeners share
	loading sync.Mutex
	watcher watcher
}

// warnBefore is how long before its end a certificate is warned of when it is loaded.
const warnBefore = 7 * 24 * time.Hour

// Open loads the certificates. The error is one line that names the file.
func Open(o Options) (*Keeper, error) {
	if o.MinVersion == 0 {
		o.MinVersion = tls.VersionTLS12
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{o: o}
	k.shared = k.base()
	k.shared.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return k.current.Load(), nil }
	k.watcher.files = k.files()
	k.watcher.loaded = k.watcher.look()
	config, err := k.load()
	if err != nil {
		return nil, err
	}
	k.current.Store(config)
	return k, nil
}

// Config is for listeners: each new connection gets what is in force then. It must not be changed.
func (k *Keeper) Config() *tls.Config { return k.shared }

// base is what all configurations have in common. Cipher suites are crypto/tls's, which are sound and follow
// the processor.
func (k *Keeper) base() *tls.Config {
	return &tls.Config{
		MinVersion: k.o.MinVersion,
		NextProtos: k.o.Protocols,
		// The first kilobytes would be sent in records of a packet each, every one a system call. Servers
		// whose answers are pages, not streams, gain nothing by that.
		DynamicRecordSizingDisabled: true,
	}
}

// Reload loads the files again. On error what was in force stays. Open connections keep what they have.
func (k *Keeper) Reload() error {
	k.loading.Lock()
	defer k.loading.Unlock()
	config, err := k.load()
	if err != nil {
		return err
	}
	k.current.Store(config)
	k.o.Log.Info("certificates loaded", "names", strings.Join(names(config.Certificates), ", "))
	return nil
}

func (k *Keeper) load() (*tls.Config, error) {
	config := k.base()
	for _, pair := range k.o.Pairs {
		certificate, err := k.loadPair(pair)
		if err != nil {
			return nil, err
		}
		config.Certificates = append(config.Certificates, certificate)
	}
	config.ClientAuth = k.o.ClientAuth
	if k.o.ClientCAs == "" {
		return config, nil
	}
	text, err := os.ReadFile(k.o.ClientCAs)
	if err != nil {
		return nil, fmt.Errorf("client authorities: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("client authorities: %s holds no certificate in PEM form", k.o.ClientCAs)
	}
	return config, nil
}

func (k *Keeper) loadPair(pair Pair) (tls.Certificate, error) {
	chain, err := os.ReadFile(pair.CertFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	key, err := os.ReadFile(pair.KeyFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("private key: %w", err)
	}
	certificate, err := tls.X509KeyPair(chain, key)
	switch {
	case err != nil && isEncrypted(key):
		return certificate, fmt.Errorf("private key: %s is encrypted; a server has nobody to ask for its password (openssl pkey removes it)", pair.KeyFile)
	case err != nil && pair.KeyFile == pair.CertFile:
		return certificate, fmt.Errorf("certificate and private key: %s: %w", pair.CertFile, short(err))
	case err != nil:
		return certificate, fmt.Errorf("certificate %s with private key %s: %w", pair.CertFile, pair.KeyFile, short(err))
	}
	if left := time.Until(certificate.Leaf.NotAfter); left < warnBefore {
		k.o.Log.Warn("a certificate has expired or is about to", failure.Key, failure.CertificateExpires, "file", pair.CertFile, "until", certificate.Leaf.NotAfter.Format(time.DateTime))
	}
	return certificate, nil
}

// short takes the package's name off an error of crypto/tls.
func short(err error) error { return errors.New(strings.TrimPrefix(err.Error(), "tls: ")) }

// isEncrypted tells whether a PEM file holds a key that needs a password: PKCS #8's form, or the old one.
func isEncrypted(text []byte) bool {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return false
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return true
		}
		text = rest
	}
}

// names lists what certificates are for.
func names(certificates []tls.Certificate) []string {
	var all []string
	for i := range certificates {
		leaf := certificates[i].Leaf
		of := slices.Clone(leaf.DNSNames)
		for _, ip := range leaf.IPAddresses {
			of = append(of, ip.String())
		}
		if len(of) == 0 {
			of = append(of, leaf.Subject.CommonName)
		}
		all = append(all, of...)
	}
	return all
}
