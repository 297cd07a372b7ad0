package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The authority's files in a folder of Make's.
const (
	caName = "ca"
	crtEnd = ".crt"
	keyEnd = ".key"
)

const (
	caLife   = 10 * 365 * 24 * time.Hour
	backdate = time.Hour // clocks of isolated machines disagree
	// MaxDays is the longest that clients take a server's certificate for: Apple's
	// refuse more.
	MaxDays = 825
)

// Order is what Make is to make. Dir, Names and Days are required.
type Order struct {
	Dir     string   // made if it is not there
	Names   []string // host names, *.names and addresses of the server
	File    string   // what the server's two files are called before the dot; "": server
	Days    int      // how long the server's certificate lasts, 1 to MaxDays
	Replace bool     // the server's files may be there already
}

// Made is what Make made.
type Made struct {
	CA, CAKey string // files
	NewCA     bool   // they were not there before
	CAExpires time.Time

	Cert, Key string // the server's files
	Names     []string
	Expires   time.Time
}

// authority is a certificate that signs, with its key.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// Make makes a server's certificate, and before it the authority that signs it,
// unless the folder has one. Its errors are for the person who asked.
func Make(o Order) (Made, error) {
	if o.File == "" {
		o.File = "server"
	}
	names, err := o.check()
	if err != nil {
		return Made{}, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return Made{}, err
	}
	m := Made{Names: names}
	m.CA, m.CAKey = o.path(caName+crtEnd), o.path(caName+keyEnd)
	m.Cert, m.Key = o.path(o.File+crtEnd), o.path(o.File+keyEnd)
	for _, name := range []string{m.Cert, m.Key} {
		if _, err := os.Lstat(name); err == nil && !o.Replace {
			return Made{}, fmt.Errorf("%s is there already: --replace makes it anew, --name makes another beside it", name)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Made{}, err
		}
	}
	ca, isNew, err := openAuthority(m.CA, m.CAKey)
	if err != nil {
		return Made{}, err
	}
	m.NewCA, m.CAExpires = isNew, ca.cert.NotAfter
	m.Expires, err = ca.issue(m, time.Duration(o.Days)*24*time.Hour)
	return m, err
}

func (o Order) path(name string) string { return filepath.Join(o.Dir, name) }

var (
	fileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	label    = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)
)

// check returns the names in one form, each once.
func (o Order) check() ([]string, error) {
	switch {
	case len(o.Names) == 0:
		return nil, errors.New("no name: name the hosts and addresses by which clients reach weir")
	case !fileName.MatchString(o.File):
		return nil, fmt.Errorf("%q is no name for files", o.File)
	case o.File == caName:
		return nil, fmt.Errorf("%q are the authority's own files: use another name", o.File)
	case o.Days < 1 || o.Days > MaxDays:
		return nil, fmt.Errorf("%d days: from 1 to %d are possible, as clients refuse certificates that last longer", o.Days, MaxDays)
	}
	var names []string
	for _, name := range o.Names {
		name, err := oneName(name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// oneName returns a host name or an address as a certificate has it.
func oneName(name string) (string, error) {
	if ip, err := netip.ParseAddr(name); err == nil {
		if ip.Zone() != "" {
			return "", fmt.Errorf("%q has a zone: certificates have none", name)
		}
		return ip.Unmap().String(), nil
	}
	if strings.Contains(name, "/") {
		return "", fmt.Errorf("%q is neither a host name nor an address: leave out the scheme and the path", name)
	}
	if host, _, err := net.SplitHostPort(name); err == nil {
		return "", fmt.Errorf("%q has a port: certificates are for hosts, whatever the port: write %s", name, host)
	}
	host := strings.ToLower(strings.TrimSuffix(name, "."))
	labels := strings.Split(strings.TrimPrefix(host, "*."), ".")
	if len(host) > 253 || strings.HasPrefix(host, "*.") && len(labels) < 2 {
		return "", fmt.Errorf("%q is no host name", name)
	}
	for _, l := range labels {
		if !label.MatchString(l) {
			return "", fmt.Errorf("%q is neither a host name nor an address", name)
		}
	}
	return host, nil
}

// openAuthority reads the authority, or makes it where neither file is there.
func openAuthority(certFile, keyFile string) (_ authority, isNew bool, err error) {
	text, err := os.ReadFile(certFile)
	secret, kerr := os.ReadFile(keyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && errors.Is(kerr, fs.ErrNotExist):
		a, err := makeAuthority(certFile, keyFile)
		return a, true, err
	case errors.Is(err, fs.ErrNotExist):
		return authority{}, false, fmt.Errorf("%s is there without %s: bring the certificate back, or take the key away for a new authority, which all clients must then learn", keyFile, certFile)
	case errors.Is(kerr, fs.ErrNotExist):
		return authority{}, false, fmt.Errorf("%s is there without its key %s: bring the key back, or take the certificate away for a new authority, which all clients must then learn", certFile, keyFile)
	case err != nil || kerr != nil:
		return authority{}, false, errors.Join(err, kerr)
	}
	a, err := parseAuthority(text, secret)
	if err != nil {
		return authority{}, false, fmt.Errorf("%s and %s: %w", certFile, keyFile, err)
	}
	return a, false, nil
}

func parseAuthority(text, secret []byte) (authority, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return authority{}, errors.New("the certificate is not in PEM form")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return authority{}, err
	}
	if block, _ = pem.Decode(secret); block == nil || block.Type != "PRIVATE KEY" {
		return authority{}, errors.New("the key is not in PEM form (PKCS #8)")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return authority{}, err
	}
	signer, ok := k.(crypto.Signer)
	if !ok {
		return authority{}, errors.New("the key cannot sign")
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	switch {
	case !ok || !public.Equal(c.PublicKey):
		return authority{}, errors.New("the key is not the certificate's")
	case !c.IsCA:
		return authority{}, errors.New("the certificate is no authority's: it may not sign others")
	case time.Now().After(c.NotAfter):
		return authority{}, fmt.Errorf("the authority's time is over since %s: take both files away for a new one, which all clients must then learn", c.NotAfter.Format(time.DateOnly))
	}
	return authority{c, signer}, nil
}

func makeAuthority(certFile, keyFile string) (authority, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	serial := serialNumber()
	now := time.Now().UTC()
	t := &x509.Certificate{
		SerialNumber: serial,
		// Two authorities of one machine must not be taken for each other.
		Subject:               pkix.Name{CommonName: "weir private CA " + hex.EncodeToString(serial.Bytes()[:4])},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, k.Public(), k)
	if err != nil {
		return authority{}, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return authority{}, err
	}
	return authority{c, k}, writePair(certFile, keyFile, der, k)
}

// issue makes the server's certificate and writes its files.
func (a authority) issue(m Made, life time.Duration) (expires time.Time, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return time.Time{}, err
	}
	now := time.Now().UTC()
	t := &x509.Certificate{
		SerialNumber:          serialNumber(),
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(life),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if t.NotAfter.After(a.cert.NotAfter) {
		t.NotAfter = a.cert.NotAfter
	}
	if name := m.Names[0]; len(name) <= 64 { // the most that a common name may have
		t.Subject.CommonName = name
	}
	for _, name := range m.Names {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, k.Public(), a.key)
	if err != nil {
		return time.Time{}, err
	}
	return t.NotAfter.Truncate(time.Second), writePair(m.Cert, m.Key, der, k)
}

func serialNumber() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}

// writePair writes the key, readable by its owner only, and then the certificate,
// each whole or not at all. Between the two a running weir finds files that do not
// belong together, and keeps what it has.
func writePair(certFile, keyFile string, der []byte, k *ecdsa.PrivateKey) error {
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return err
	}
	if err := write(keyFile, "PRIVATE KEY", secret, 0o600); err != nil {
		return err
	}
	return write(certFile, "CERTIFICATE", der, 0o644)
}

func write(name, block string, der []byte, perm fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".weir-*") // mode 0600
	if err != nil {
		return err
	}
	err = pem.Encode(f, &pem.Block{Type: block, Bytes: der})
	err = errors.Join(err, f.Chmod(perm), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
