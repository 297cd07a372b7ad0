package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/app"
	"github.com/weir-registry/weir/internal/config"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

func read(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPull goes through everything once: what is wired wrongly fails here.
func TestPull(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{Auth: upstreamtest.Token, Users: map[string]string{"robot": "s3cret"}, Redirect: true})
	img := upstreamtest.NewImage(1, 100_000, 20)
	up.Push("team/app", "v1", img)
	site := up.Listen(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := weirtest.Settings(site, "credential: robot", "credentials: {robot: {username: robot, password_file: "+secret+"}}\n")
	s := weirtest.Start(t, settings)

	pull := func() {
		t.Helper()
		resp := s.Do(http.MethodGet, "/v2/up/team/app/manifests/v1", nil)
		if diff := cmp.Diff(string(img.Raw), read(t, resp)); diff != "" || resp.StatusCode != 200 {
			t.Fatalf("manifest: %s\n%s", resp.Status, diff)
		}
		for d, want := range img.Blobs() {
			resp := s.Do(http.MethodGet, "/v2/up/team/app/blobs/"+d.String(), nil)
			if got := read(t, resp); got != string(want) || resp.StatusCode != 200 {
				t.Fatalf("blob %s: %s, %d bytes of %d", d, resp.Status, len(got), len(want))
			}
		}
	}
	pull()
	if len(up.Requests()) == 0 {
		t.Error("the upstream was not asked")
	}
	up.Forget()
	s.Restart(settings)
	pull()
	if got := up.Requests(); len(got) != 0 {
		t.Errorf("after a restart the upstream was asked again: %v", got)
	}
	s.Stop()
	if got, want := greeting(t, s.Folder), "data: 1 repository, 1 tag, 3 blobs, 97.9 KiB\n"; !strings.Contains(got, want) {
		t.Errorf("the next start says\n%s\nwithout %q", got, want)
	}
	for _, word := range []string{"s3cret", s.Key.Secret} {
		if strings.Contains(s.Log.String(), word) {
			t.Errorf("a secret is in the log:\n%s", s.Log)
		}
	}
}

// greeting runs a weir in a folder until it has said what it found.
func greeting(t *testing.T, folder string) string {
	t.Helper()
	c, err := config.Load(filepath.Join(folder, "weir.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	out := &onWrite{cancel: cancel}
	if err := app.Run(ctx, c, app.Options{Stdout: out}); err != nil {
		t.Fatal(err)
	}
	return out.text.String()
}

// onWrite is what is written, and ends something at the first byte.
type onWrite struct {
	text   strings.Builder
	cancel func()
}

func (o *onWrite) Write(p []byte) (int, error) {
	o.cancel()
	return o.text.Write(p)
}

func TestPaths(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	s := weirtest.Start(t, weirtest.Settings(up.Listen(t), "", ""))
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/healthz", 200, "ok\n"},
		{"GET", "/readyz", 200, "ready\n"},
		{"GET", "/", 302, `<a href="/console/">`},
		{"GET", "/console", 307, `<a href="/console/">`},
		{"GET", "/consoles", 404, "nothing is here"},
		{"GET", "/v2/../healthz", 400, `{"errors":`},
		{"GET", "/v2//x/manifests/y", 400, `{"errors":`},
		{"GET", "/v3/", 404, "nothing is here"},
	} {
		resp := s.Do(c.method, c.path, nil)
		if body := read(t, resp); resp.StatusCode != c.status || !strings.HasPrefix(body, c.body) {
			t.Errorf("%s %s: %s %q, want %d %q", c.method, c.path, resp.Status, body, c.status, c.body)
		}
	}
}

// TestFullDisk has a weir that keeps more free than there is: it stays in service.
func TestFullDisk(t *testing.T) {
	s := weirtest.Start(t, "storage: {keep_free: 1000000TiB}\n")
	resp := s.Do(http.MethodGet, "/readyz", nil)
	if body := read(t, resp); resp.StatusCode != 200 || !strings.HasPrefix(body, "ready, but the disk is full: ") {
		t.Errorf("%s %q", resp.Status, body)
	}
}

// TestDrain ends weir in the middle of a body: new requests are refused, and the
// body comes to its end.
func TestDrain(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	img := upstreamtest.NewImage(1, 1<<20)
	up.Push("app", "v1", img)
	s := weirtest.Start(t, weirtest.Settings(up.Listen(t), "", ""))
	read(t, s.Do(http.MethodGet, "/v2/up/app/manifests/v1", nil))
	edges, err := img.Edges()
	if err != nil {
		t.Fatal(err)
	}
	layer := edges.Blobs()[1].Digest
	up.Script(upstreamtest.Fault{Path: "/blobs/", Stall: true, At: 500_000})
	resp := s.Do(http.MethodGet, "/v2/up/app/blobs/"+layer.String(), nil)
	if _, err := io.CopyN(io.Discard, resp.Body, 1000); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Stop()
	}()
	for {
		conn, err := net.Dial("tcp", s.Addr)
		if err != nil {
			break // the listener is closed
		}
		conn.Close()
	}
	select {
	case <-ended:
		t.Fatal("weir ended before the body did")
	default:
	}
	whole, done := context.WithCancel(t.Context())
	defer done()
	go func() {
		again := time.NewTicker(time.Millisecond)
		defer again.Stop()
		for whole.Err() == nil {
			up.Release() // reaches only what has stalled by then
			<-again.C
		}
	}()
	if n := len(read(t, resp)); n != 1<<20-1000 {
		t.Errorf("%d bytes after the drain began, want %d", n, 1<<20-1000)
	}
	<-ended
}

// TestFirstStart has keys and registry made once.
func TestFirstStart(t *testing.T) {
	s := weirtest.Start(t, "")
	key := s.Key
	if got, err := app.ReadKey(filepath.Join(s.Folder, "data")); err != nil || got != key {
		t.Errorf("the key file has %v, %v, want %v", got, err, key)
	}
	if strings.Contains(key.String(), key.Secret) || strings.Contains(s.Log.String(), key.Secret) {
		t.Error("the secret is printed")
	}
	s.Restart("")
	if s.Key != key {
		t.Errorf("the second start has the key %v, the first had %v", s.Key, key)
	}
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	name := filepath.Join(dir, "weir.yaml")
	text := "listen: 127.0.0.1:0\ndata: data\ntls: {cert_file: cert.pem, key_file: key.pem}\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx, c, app.Options{Stdout: in}); in.Close() }()
	line := make([]byte, 200)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, out)
	url, _, _ := strings.Cut(strings.TrimPrefix(string(line[:n]), "weir listens on "), ": ")
	if !strings.HasPrefix(url, "https://127.0.0.1:") {
		t.Fatalf("it says %q", line[:n])
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	resp, err := client.Get(url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, resp); got != "ok\n" || resp.ProtoMajor != 2 {
		t.Errorf("%s %q", resp.Proto, got)
	}
	client.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// certificate writes cert.pem and key.pem for 127.0.0.1 and returns who trusts them.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, text := range map[string][]byte{
		"cert.pem": cert,
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}
