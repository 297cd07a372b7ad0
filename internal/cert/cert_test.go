package cert_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/cert"
)

func makePair(t *testing.T, o cert.Order) cert.Made {
	t.Helper()
	if o.Days == 0 {
		o.Days = 90
	}
	m, err := cert.Make(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func leaf(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(text)
	if block == nil || len(rest) > 0 {
		t.Fatalf("%s is not one PEM block", name)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestMake has one folder through its life: first certificate, a second one of the
// same authority, and a renewal.
func TestMake(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	names := []string{"123456789012.dkr.ecr.local.amazonaws.com", "Weir.corp.", "*.pods.corp", "10.0.0.7", "::ffff:10.0.0.7", "fd00::1"}
	first := makePair(t, cert.Order{Dir: dir, Names: names})
	want := []string{names[0], "weir.corp", "*.pods.corp", "10.0.0.7", "fd00::1"}
	if diff := cmp.Diff(want, first.Names); diff != "" || !first.NewCA {
		t.Errorf("new authority %v, names (-want +got):\n%s", first.NewCA, diff)
	}
	second := makePair(t, cert.Order{Dir: dir, Names: []string{"other.corp"}, File: "other", Days: 30})
	if second.NewCA || time.Until(second.Expires) > 30*24*time.Hour {
		t.Errorf("new authority %v, expires %s", second.NewCA, second.Expires)
	}
	before := leaf(t, first.Cert)
	makePair(t, cert.Order{Dir: dir, Names: want, Replace: true})
	if leaf(t, first.Cert).SerialNumber.Cmp(before.SerialNumber) == 0 {
		t.Error("the renewed certificate is the old one")
	}

	roots := x509.NewCertPool()
	roots.AddCert(leaf(t, first.CA))
	for file, hosts := range map[string][]string{
		first.Cert:  {names[0], "weir.corp", "a.pods.corp", "10.0.0.7", "fd00::1"},
		second.Cert: {"other.corp"},
	} {
		for _, host := range hosts {
			if _, err := leaf(t, file).Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
				t.Errorf("%s for %s: %v", file, host, err)
			}
		}
	}
	if _, err := leaf(t, second.Cert).Verify(x509.VerifyOptions{Roots: roots, DNSName: "weir.corp"}); err == nil {
		t.Error("a certificate is good for a name that it was not made for")
	}
	for file, want := range map[string]fs.FileMode{first.CA: 0o644, first.CAKey: 0o600, first.Cert: 0o644, first.Key: 0o600, second.Key: 0o600} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want mode %v", file, info.Mode(), err, want)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 6 {
		t.Errorf("files: %v, %v", entries, err)
	}
}

func TestMakeRefuses(t *testing.T) {
	good := t.TempDir()
	makePair(t, cert.Order{Dir: good, Names: []string{"weir.corp"}})
	noKey, noCert, mixed, server := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	copyFile := func(from, to string) {
		t.Helper()
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	copyFile(good+"/ca.crt", noKey+"/ca.crt")
	copyFile(good+"/ca.key", noCert+"/ca.key")
	copyFile(good+"/ca.crt", mixed+"/ca.crt")
	copyFile(good+"/server.key", mixed+"/ca.key")
	copyFile(good+"/server.crt", server+"/ca.crt")
	copyFile(good+"/server.key", server+"/ca.key")
	name := []string{"weir.corp"}
	const none = -1 // where 0 stands for what does not matter
	for _, tt := range []struct {
		name  string
		order cert.Order
		want  string
	}{
		{"nothing", cert.Order{}, "no name"},
		{"port", cert.Order{Names: []string{"weir.corp:5000"}}, "has a port: certificates are for hosts, whatever the port: write weir.corp"},
		{"URL", cert.Order{Names: []string{"https://weir.corp"}}, "leave out the scheme"},
		{"spaces", cert.Order{Names: []string{"weir corp"}}, "neither a host name nor an address"},
		{"empty label", cert.Order{Names: []string{"weir..corp"}}, "neither a host name nor an address"},
		{"star inside", cert.Order{Names: []string{"a.*.corp"}}, "neither a host name nor an address"},
		{"star of all", cert.Order{Names: []string{"*.corp"}}, "is no host name"},
		{"zone", cert.Order{Names: []string{"fe80::1%eth0"}}, "has a zone"},
		{"long", cert.Order{Names: []string{strings.Repeat("a.", 130) + "b"}}, "is no host name"},
		{"days", cert.Order{Names: name, Days: 826}, "826 days: from 1 to 825"},
		{"no days", cert.Order{Names: name, Days: none}, "0 days: from 1"},
		{"path", cert.Order{Names: name, File: "../x"}, "is no name for files"},
		{"authority's name", cert.Order{Names: name, File: "ca"}, "the authority's own files"},
		{"there already", cert.Order{Dir: good, Names: name}, "server.crt is there already: --replace"},
		{"key lost", cert.Order{Dir: noKey, Names: name}, "ca.crt is there without its key"},
		{"certificate lost", cert.Order{Dir: noCert, Names: name}, "ca.key is there without"},
		{"another's key", cert.Order{Dir: mixed, Names: name}, "the key is not the certificate's"},
		{"no authority", cert.Order{Dir: server, Names: name}, "is no authority's"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			switch tt.order.Days {
			case 0:
				tt.order.Days = 90
			case none:
				tt.order.Days = 0
			}
			if tt.order.Dir == "" {
				tt.order.Dir = filepath.Join(t.TempDir(), "new")
				defer func() {
					if _, err := os.Stat(tt.order.Dir); err == nil {
						t.Error("the folder was made")
					}
				}()
			}
			if _, err := cert.Make(tt.order); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// TestReload changes a pair's files under it, well and badly.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	make := func(name string) []byte {
		t.Helper()
		m := makePair(t, cert.Order{Dir: dir, Names: []string{name}, Replace: true})
		return leaf(t, m.Cert).Raw
	}
	first := make("a.corp")
	certFile, keyFile := filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p, err := cert.Open(certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		serves := func(what string, want []byte) {
			t.Helper()
			c, err := p.Get(&tls.ClientHelloInfo{})
			if err != nil || !bytes.Equal(c.Certificate[0], want) {
				t.Errorf("%s: another certificate, or %v", what, err)
			}
		}
		second := func() { <-time.After(time.Second) }
		logged := func(what, text string, times int) {
			t.Helper()
			if n := strings.Count(log.String(), text); n != times {
				t.Errorf("%s: %q is in the log %d times, want %d:\n%s", what, text, n, times, &log)
			}
		}
		serves("at first", first)
		second()
		serves("unchanged", first)
		next := make("b.corp")
		serves("within the second", first)
		second()
		serves("changed", next)
		logged("changed", "TLS certificate read again", 1)

		if err := os.WriteFile(certFile, []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			second()
			serves("broken", next)
		}
		logged("broken", "cannot be used", 1)
		if err := os.Remove(certFile); err != nil {
			t.Fatal(err)
		}
		second()
		serves("gone", next)
		logged("gone", "no such file", 1)
		third := make("c.corp")
		second()
		serves("mended", third)
		logged("mended", "TLS certificate read again", 2)
	})
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	a := makePair(t, cert.Order{Dir: dir, Names: []string{"a.corp"}})
	b := makePair(t, cert.Order{Dir: dir, Names: []string{"b.corp"}, File: "b"})
	for name, files := range map[string][2]string{"missing": {a.Cert, dir + "/nosuch"}, "another's key": {a.Cert, b.Key}, "key for a certificate": {a.Key, a.Key}} {
		if _, err := cert.Open(files[0], files[1], slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}
