package ociapi_test

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/blob/disk"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/ociapi"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/seal"
	"github.com/weir-registry/weir/internal/vfs"
)

// counted is a disk that counts what is read from its files into memory.
type counted struct {
	vfs.FS
	read *atomic.Int64
}

type countedFile struct {
	vfs.File
	syscall.Conn
	read *atomic.Int64
}

func (c counted) Open(name string) (vfs.File, error) {
	f, err := c.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return countedFile{f, f.(syscall.Conn), c.read}, nil
}

func (f countedFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.read.Add(int64(n))
	return n, err
}

func (f countedFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	f.read.Add(int64(n))
	return n, err
}

// tap counts what its connections write from memory.
type tap struct {
	net.Listener
	written *atomic.Int64
}

type tapConn struct {
	*net.TCPConn
	written *atomic.Int64
}

func (l tap) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tapConn{c.(*net.TCPConn), l.written}, nil
}

func (c tapConn) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

// TestSendfile: of a held blob no byte goes through memory, from the real store
// through the real registry to the client.
func TestSendfile(t *testing.T) {
	data := bytes.Repeat([]byte("weir"), 2<<20)
	d := digest.FromBytes(data)
	var read, written atomic.Int64
	handler, id, secret := wired(t, data, &read)
	read.Store(0)

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: handler}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(tap{ln, &written}) }()
	defer func() {
		srv.Close()
		<-done
	}()
	var client http.Transport
	defer client.CloseIdleConnections()
	for _, tt := range []struct {
		name, rng string
		from, to  int
	}{
		{"whole", "", 0, len(data)},
		{"range", "bytes=1-5000000", 1, 5000001},
		{"all by range", "bytes=0-", 0, len(data)},
		{"suffix", "bytes=-100000", len(data) - 100000, len(data)},
	} {
		written.Store(0)
		req, err := http.NewRequest("GET", "http://"+ln.Addr().String()+"/v2/up/a/blobs/"+string(d), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(id, secret)
		if tt.rng != "" {
			req.Header.Set("Range", tt.rng)
		}
		resp, err := client.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.Equal(got, data[tt.from:tt.to]) || resp.Header.Get("X-Weir-Cache") != "hit" {
			t.Errorf("%s: status %d, %d bytes, cache %q, %v", tt.name, resp.StatusCode, len(got), resp.Header.Get("X-Weir-Cache"), err)
		}
		if r, w := read.Load(), written.Load(); r != 0 || w > 1024 {
			t.Errorf("%s: %d bytes were read into memory and %d written from it, want 0 and the header", tt.name, r, w)
		}
	}
}

// wired is the face over a real registry whose repository up/a has one blob.
func wired(t *testing.T, data []byte, read *atomic.Int64) (h http.Handler, id, secret string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	folder := t.TempDir()
	dir, err := vfs.OpenDir(folder)
	must(err)
	t.Cleanup(func() { dir.Close() })
	files := counted{dir, read}
	store, err := disk.Open(files)
	must(err)
	spools, err := blob.OpenSpools(blob.SpoolsOptions{FS: files, Dir: "spool", BootID: "boot", KeepFree: func(int64) int64 { return 0 }})
	must(err)
	d := digest.FromBytes(data)
	spool, err := spools.Open(blob.Key{Host: "up.example", Digest: d}, int64(len(data)))
	must(err)
	_, err = spool.Write(data)
	must(err)
	must(store.Commit(t.Context(), spool))
	db, err := meta.Open(t.Context(), meta.Options{Path: filepath.Join(folder, "weir.db")})
	must(err)
	t.Cleanup(func() { db.Close() })
	must(db.Claim(t.Context(), d, time.Now()))
	must(db.PutBlob(t.Context(), d, int64(len(data)), true, []string{"up/a"}, time.Now()))

	rules, problems := rule.NewSet([]rule.Rule{{Prefix: "up", Upstream: "up.example", Kind: rule.Generic, Off: true}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	cache := pullthrough.New(pullthrough.Options{Index: db, Store: store, Spools: spools, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(cache.Close)
	reg := registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: rules, Cache: cache, DB: db})
	keys, err := seal.Open(dir, "keys")
	must(err)
	who := auth.New(db, keys, auth.Options{ARN: reg.ARN})
	id, secret, _, err = who.CreateRoot(t.Context(), "123456789012")
	must(err)
	return ociapi.New(reg, who, asIs, slog.New(slog.DiscardHandler), nil), id, secret
}
