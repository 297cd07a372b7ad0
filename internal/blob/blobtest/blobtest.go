// Package blobtest has the suite that every blob.Store must pass, and what tests
// of stores need to fill spools.
package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/errs"
)

// New returns an empty store, and spools that it can commit.
type New func(t *testing.T) (blob.Store, *blob.Spools)

// Data returns n bytes, the same ones for a seed.
func Data(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = r.Read(b) // never fails
	return b
}

// SHA256 returns data's digest.
func SHA256(data []byte) digest.Digest {
	return digest.Digest(fmt.Sprintf("sha256:%x", sha256.Sum256(data)))
}

// SHA512 returns data's digest.
func SHA512(data []byte) digest.Digest {
	return digest.Digest(fmt.Sprintf("sha512:%x", sha512.Sum512(data)))
}

// Fill opens a spool for d and writes data to it in pieces.
func Fill(t testing.TB, spools *blob.Spools, host string, d digest.Digest, data []byte) *blob.Spool {
	t.Helper()
	sp, err := spools.Open(blob.Key{Host: host, Digest: d}, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for piece := range slices.Chunk(data, 4000) {
		if n, err := sp.Write(piece); err != nil || n != len(piece) {
			t.Fatalf("write: %d, %v", n, err)
		}
	}
	return sp
}

// Put stores data under d.
func Put(t testing.TB, store blob.Store, spools *blob.Spools, d digest.Digest, data []byte) {
	t.Helper()
	if err := store.Commit(t.Context(), Fill(t, spools, "up.test", d, data)); err != nil {
		t.Fatal(err)
	}
}

// Check fails unless the store has data under d.
func Check(t testing.TB, store blob.Store, d digest.Digest, data []byte) {
	t.Helper()
	r, err := store.Open(t.Context(), d)
	if err != nil {
		t.Errorf("open: %v", err)
		return
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, data) {
		t.Errorf("read %s: %d bytes, %v; want %d", d, len(got), err, len(data))
	}
	size, err := store.Stat(t.Context(), d)
	if err != nil || size != int64(len(data)) || r.Size() != size {
		t.Errorf("size %d, %d, %v; want %d", size, r.Size(), err, len(data))
	}
}

// Run runs the suite.
func Run(t *testing.T, open New) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, store blob.Store, spools *blob.Spools)
	}{
		{"missing", missing},
		{"malformed digests", malformed},
		{"sizes and algorithms", sizes},
		{"unverified", unverified},
		{"there already", already},
		{"key is free after", keyIsFree},
		{"ranges", ranges},
		{"delete", remove},
		{"all", all},
		{"ended context", endedContext},
		{"many at once", atOnce},
	} {
		t.Run(c.name, func(t *testing.T) {
			store, spools := open(t)
			c.test(t, store, spools)
			if n, bytes := spools.Active(); n != 0 || bytes != 0 {
				t.Errorf("%d spools with %d bytes are still open", n, bytes)
			}
		})
	}
}

func missing(t *testing.T, store blob.Store, _ *blob.Spools) {
	d := SHA256(nil)
	if _, err := store.Open(t.Context(), d); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open: %v", err)
	}
	if _, err := store.Stat(t.Context(), d); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat: %v", err)
	}
	if err := store.Delete(t.Context(), d); err != nil {
		t.Errorf("delete: %v", err)
	}
	for info, err := range store.All(t.Context()) {
		t.Errorf("an empty store has %v, %v", info, err)
	}
}

func malformed(t *testing.T, store blob.Store, spools *blob.Spools) {
	hex := SHA256(nil).Encoded()
	for _, d := range []digest.Digest{
		"", "sha256:", "sha256:../../x", digest.Digest("md5:" + hex[:32]), digest.Digest("sha256:" + hex[:63]),
		digest.Digest("sha256:" + hex[:62] + "AB"), digest.Digest("sha512:" + hex), digest.Digest("../sha256:" + hex),
	} {
		_, oerr := store.Open(t.Context(), d)
		_, serr := store.Stat(t.Context(), d)
		derr := store.Delete(t.Context(), d)
		_, perr := spools.Open(blob.Key{Host: "up.test", Digest: d}, 1)
		for _, err := range []error{oerr, serr, derr, perr} {
			if errs.CodeOf(err) != errs.DigestInvalid {
				t.Errorf("%q: %v", d, err)
			}
		}
	}
}

func sizes(t *testing.T, store blob.Store, spools *blob.Spools) {
	for _, n := range []int{0, 1, 4095, 4096, 70000, 1 << 20} {
		data := Data(uint64(n), n)
		if _, err := store.Stat(t.Context(), SHA512(data)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%d bytes under an algorithm that nobody stored: %v", n, err)
		}
		Put(t, store, spools, SHA256(data), data)
		Check(t, store, SHA256(data), data)
		if _, err := store.Stat(t.Context(), SHA512(data)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%d bytes are stored under sha256 and there under sha512: %v", n, err)
		}
		Put(t, store, spools, SHA512(data), data)
		Check(t, store, SHA512(data), data)
	}
}

func unverified(t *testing.T, store blob.Store, spools *blob.Spools) {
	data := Data(1, 10000)
	for name, got := range map[string][]byte{"none": nil, "short": data[:9999], "long": append(data[:10000:10000], 0), "wrong": Data(2, 10000)} {
		sp := Fill(t, spools, "up.test", SHA256(data), got)
		if err := store.Commit(t.Context(), sp); errs.CodeOf(err) != errs.DigestMismatch {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := store.Stat(t.Context(), SHA256(data)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: stat: %v", name, err)
		}
		if err := sp.Abort(); err != nil {
			t.Errorf("%s: abort: %v", name, err)
		}
	}
}

func already(t *testing.T, store blob.Store, spools *blob.Spools) {
	data := Data(1, 100000)
	d := SHA256(data)
	one := Fill(t, spools, "one.test", d, data)
	two := Fill(t, spools, "two.test", d, data)
	before, err := two.Reader()
	if err != nil {
		t.Fatal(err)
	}
	for _, sp := range []*blob.Spool{one, two} {
		if err := store.Commit(t.Context(), sp); err != nil {
			t.Fatal(err)
		}
		Check(t, store, d, data)
	}
	got, err := io.ReadAll(before)
	if err := errors.Join(err, before.Close()); err != nil || !bytes.Equal(got, data) {
		t.Errorf("reader of the spool that was dropped: %d bytes, %v", len(got), err)
	}
}

func keyIsFree(t *testing.T, store blob.Store, spools *blob.Spools) {
	data := Data(1, 5000)
	Put(t, store, spools, SHA256(data), data)
	sp, err := spools.Open(blob.Key{Host: "up.test", Digest: SHA256(data)}, 5000)
	if err != nil {
		t.Fatal(err)
	}
	if sp.Size() != 0 {
		t.Errorf("a new spool has %d bytes", sp.Size())
	}
	if err := sp.Abort(); err != nil {
		t.Error(err)
	}
	Check(t, store, SHA256(data), data)
}

func ranges(t *testing.T, store blob.Store, spools *blob.Spools) {
	data := Data(1, 100000)
	Put(t, store, spools, SHA256(data), data)
	r, err := store.Open(t.Context(), SHA256(data))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	buf := make([]byte, 1000)
	if at, err := r.Seek(-1000, io.SeekEnd); err != nil || at != 99000 {
		t.Errorf("seek: %d, %v", at, err)
	}
	if n, err := r.ReadAt(buf, 5); err != nil || !bytes.Equal(buf[:n], data[5:1005]) {
		t.Errorf("read at: %d, %v", n, err)
	}
	if n, err := io.ReadFull(r, buf); err != nil || !bytes.Equal(buf, data[99000:]) {
		t.Errorf("read after a seek: %d, %v", n, err)
	}
	if n, err := r.Read(buf); n != 0 || err != io.EOF {
		t.Errorf("read at the end: %d, %v", n, err)
	}
	if n, err := r.ReadAt(buf, 99500); n != 500 || err != io.EOF {
		t.Errorf("read at, beyond the end: %d, %v", n, err)
	}
}

func remove(t *testing.T, store blob.Store, spools *blob.Spools) {
	data := Data(1, 100000)
	d := SHA256(data)
	Put(t, store, spools, d, data)
	r, err := store.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Delete(t.Context(), d); err != nil {
		t.Errorf("delete: %v", err)
	}
	if _, err := store.Open(t.Context(), d); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open after delete: %v", err)
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, data) {
		t.Errorf("a reader from before: %d bytes, %v", len(got), err)
	}
	Put(t, store, spools, d, data)
	Check(t, store, d, data)
}

func all(t *testing.T, store blob.Store, spools *blob.Spools) {
	want := map[digest.Digest]int64{}
	for i := range 20 {
		data := Data(uint64(i), i*100)
		d := SHA256(data)
		if i%4 == 0 {
			d = SHA512(data)
		}
		Put(t, store, spools, d, data)
		want[d] = int64(len(data))
	}
	got := map[digest.Digest]int64{}
	for info, err := range store.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := got[info.Digest]; twice || info.ModTime.IsZero() {
			t.Errorf("%v, twice: %v", info, twice)
		}
		got[info.Digest] = info.Size
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for range store.All(t.Context()) {
		break // must be possible
	}
}

func endedContext(t *testing.T, store blob.Store, spools *blob.Spools) {
	data := Data(1, 100)
	d := SHA256(data)
	Put(t, store, spools, d, data)
	other := Fill(t, spools, "other.test", d, data)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, oerr := store.Open(ctx, d)
	_, serr := store.Stat(ctx, d)
	errs := []error{oerr, serr, store.Delete(ctx, d), store.Commit(ctx, other)}
	for _, err := range store.All(ctx) {
		errs = append(errs, err)
	}
	for i, err := range errs {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if err := other.Abort(); err != nil {
		t.Error(err)
	}
	Check(t, store, d, data)
}

// atOnce has writers and readers of a few blobs from several hosts, and one who deletes.
func atOnce(t *testing.T, store blob.Store, spools *blob.Spools) {
	var wg sync.WaitGroup
	for i := range 4 {
		data := Data(uint64(i), 50000)
		d := SHA256(data)
		for h := range 3 {
			wg.Go(func() {
				sp := Fill(t, spools, fmt.Sprint(h, ".test"), d, data)
				if err := store.Commit(t.Context(), sp); err != nil {
					t.Error(err)
				}
				r, err := store.Open(t.Context(), d)
				if errors.Is(err, fs.ErrNotExist) && i == 0 {
					return // deleted
				}
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(r)
				if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			})
		}
		if i == 0 {
			wg.Go(func() {
				if err := store.Delete(t.Context(), d); err != nil {
					t.Error(err)
				}
			})
		}
	}
	for range 3 {
		wg.Go(func() {
			for info, err := range store.All(t.Context()) {
				if err != nil || info.Size != 50000 {
					t.Errorf("%v, %v", info, err)
				}
			}
		})
	}
	wg.Wait()
}
