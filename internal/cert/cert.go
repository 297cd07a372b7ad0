// Package cert has TLS certificates: Pair is a listener's, read again from its files
// when they change, and Make is `weir cert`, a private authority and what it signs.
//
// It guarantees: a Pair always has a certificate whose key belongs to it, the last
// one that could be read; Make writes private keys readable by their owner only,
// and replaces nothing that it was not told to replace.
//
// It does not revoke: an authority of weir's has no list of revoked certificates.
package cert

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// lookEvery is how often a Pair's files are looked at, while clients come.
const lookEvery = time.Second

// Pair is a certificate and its key in two files that may change at any time. It is
// safe for use by many goroutines.
type Pair struct {
	certFile, keyFile string
	log               *slog.Logger

	now    atomic.Pointer[loaded]
	looked atomic.Int64 // when, in nanoseconds since start
	start  time.Time
	failed string // why the last look came to nothing; of whoever won looked
}

// loaded is what the files had when they could last be used.
type loaded struct {
	cert, key []byte
	pair      tls.Certificate
}

// Open reads the two files, in PEM form.
func Open(certFile, keyFile string, log *slog.Logger) (*Pair, error) {
	p := &Pair{certFile: certFile, keyFile: keyFile, log: log, start: time.Now()}
	l, err := p.read()
	if err != nil {
		return nil, err
	}
	p.now.Store(l)
	return p, nil
}

// Get is the GetCertificate of a tls.Config. Its error is always nil. It looks at
// the files at most once a second: whoever is first in a second reads them, and
// the others have what was there before.
func (p *Pair) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	last, now := p.looked.Load(), int64(time.Since(p.start))
	if now-last >= int64(lookEvery) && p.looked.CompareAndSwap(last, now) {
		p.look()
	}
	return &p.now.Load().pair, nil
}

// Expires returns when the certificate in use does.
func (p *Pair) Expires() time.Time { return p.now.Load().pair.Leaf.NotAfter }

// look takes the files over if they have changed and can be used.
func (p *Pair) look() {
	l, err := p.read()
	switch {
	case err != nil && err.Error() == p.failed:
	case err != nil:
		p.failed = err.Error()
		p.log.Error("changed TLS files cannot be used; the certificate before stays", "cert_file", p.certFile, "expires", p.Expires(), "error", err)
	case l == nil:
		p.failed = ""
	default:
		p.failed = ""
		p.now.Store(l)
		p.log.Info("TLS certificate read again", "cert_file", p.certFile, "expires", p.Expires())
	}
}

// read returns what the files have, nil if that is in use already.
func (p *Pair) read() (*loaded, error) {
	cert, err := os.ReadFile(p.certFile)
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(p.keyFile)
	if err != nil {
		return nil, err
	}
	if now := p.now.Load(); now != nil && bytes.Equal(now.cert, cert) && bytes.Equal(now.key, key) {
		return nil, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", p.certFile, p.keyFile, err)
	}
	if time.Now().After(pair.Leaf.NotAfter) && p.now.Load() != nil {
		return nil, errors.New("its time is over since " + pair.Leaf.NotAfter.Format(time.RFC3339))
	}
	return &loaded{cert, key, pair}, nil
}
