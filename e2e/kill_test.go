package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

// TestKill ends weir with kill -9 while a cold blob arrives, at chosen offsets and
// at random, and pulls again after a restart: the bytes are right, what had come is
// not fetched a second time, and nothing is left over. $WEIR_KILL_ROUNDS says how
// often (12), $WEIR_KILL_SEED repeats a run.
//
// It says nothing about a loss of power: the kernel keeps what it was given.
func TestKill(t *testing.T) {
	rounds := number(t, "WEIR_KILL_ROUNDS", 12)
	seed := uint64(number(t, "WEIR_KILL_SEED", time.Now().UnixNano()))
	t.Logf("WEIR_KILL_SEED=%d", seed)
	const large, small = 12 << 20, 3 << 20
	points := []struct {
		name string
		at   func(*rand.Rand) int64
		late bool // not stopped: weir is somewhat further when it dies
	}{
		{"first byte", func(*rand.Rand) int64 { return 1 }, false},
		{"middle", func(*rand.Rand) int64 { return large / 2 }, false},
		{"last chunk", func(*rand.Rand) int64 { return large - 1 }, false},
		{"after the last byte", func(*rand.Rand) int64 { return large }, true},
		{"random", func(r *rand.Rand) int64 { return 1 + r.Int64N(large) }, true},
		{"random stop", func(r *rand.Rand) int64 { return 1 + r.Int64N(large-1) }, false},
	}
	for i := range rounds {
		p := points[i%int64(len(points))]
		t.Run(fmt.Sprintf("%d %s", i, p.name), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			k := newKill(t, upstreamtest.NewImage(rng.Uint64(), large, small))
			after := time.Duration(0)
			if p.late {
				after = time.Duration(rng.Int64N(int64(4 * time.Millisecond)))
			}
			k.round(t, p.at(rng), p.late, after)
		})
	}
}

func number(t *testing.T, env string, otherwise int64) int64 {
	t.Helper()
	s := os.Getenv(env)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	return n
}

// kill is one weir with a data folder of its own, and one image behind it.
type kill struct {
	addr, data, config string
	img                upstreamtest.Image
	up                 *upstreamtest.Registry
	gate               *gate
}

const killConfig = `listen: %s
data: %s
anonymous: [{cidr: [127.0.0.0/8], repositories: ["*"]}]
rules: [{prefix: ROOT, upstream: upstream.test}]
upstreams: {upstream.test: {endpoints: ["http://%s"]}}
log: {level: warn}
`

func newKill(t *testing.T, img upstreamtest.Image) *kill {
	t.Helper()
	up := upstreamtest.New(upstreamtest.Options{Redirect: true, Quirks: []upstreamtest.Quirk{upstreamtest.RelativeLocation}})
	up.Push("app", "v1", img)
	g, endpoint := newGate(t, up)
	dir := t.TempDir()
	k := &kill{addr: freeAddr(t, "127.0.0.1"), data: filepath.Join(dir, "data"), config: filepath.Join(dir, "weir.yaml"), img: img, up: up, gate: g}
	if err := os.WriteFile(k.config, fmt.Appendf(nil, killConfig, k.addr, k.data, endpoint), 0o600); err != nil {
		t.Fatal(err)
	}
	return k
}

// round kills weir when the first layer's bytes up to at have been sent, and after
// some more time, and looks at what is left.
func (k *kill) round(t *testing.T, at int64, passing bool, after time.Duration) {
	t.Helper()
	layer := k.img.Layers[0]
	reached := k.gate.stopAt(digest.FromBytes(layer).String(), at, passing).reached
	p := serve(t, k.addr, k.config)
	done := make(chan error, 1)
	go func() { done <- k.pull(t.Context()) }()
	select {
	case <-reached:
	case err := <-done:
		if !passing || err != nil {
			t.Fatalf("the pull ended before offset %d: %v", at, err)
		}
		done <- err // the client was as quick as the gate
	case <-time.After(clientLimit):
		t.Fatalf("offset %d was not reached within %v", at, clientLimit)
	}
	if after > 0 {
		<-time.After(after)
	}
	p.end(syscall.SIGKILL)
	if err := <-done; err == nil && !passing {
		t.Errorf("killed at offset %d, and the client took the pull for whole", at)
	}
	k.blobs(t)
	asked := k.up.Requests()

	k.gate.release()
	p = serve(t, k.addr, k.config)
	if err := k.pull(t.Context()); err != nil {
		t.Errorf("the pull after the restart: %v", err)
	}
	if err := p.end(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if got, want := k.blobs(t), len(k.img.Blobs()); got != want {
		t.Errorf("%d blobs in the store, want %d", got, want)
	}
	if left := k.files(t, "spool"); len(left) > 0 {
		t.Errorf("left in spool: %v", left)
	}
	size := int64(len(k.img.Raw))
	for _, b := range k.img.Blobs() {
		size += int64(len(b))
	}
	if got := k.gate.total(); float64(got) > 1.02*float64(size) {
		t.Errorf("killed at offset %d: the upstream sent %d bytes in all for an image of %d (%.3f):\n%s\nkill -9\n%s",
			at, got, size, float64(got)/float64(size), strings.Join(asked, "\n"), strings.Join(k.up.Requests()[len(asked):], "\n"))
	}
}

// pull is a client that hashes: the manifest, then all blobs at once.
func (k *kill) pull(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clientLimit)
	defer cancel()
	tr := &http.Transport{DisableCompression: true}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr}
	if err := k.fetch(ctx, c, "manifests/v1", k.img.Digest.String()); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for d := range k.img.Blobs() {
		g.Go(func() error { return k.fetch(ctx, c, "blobs/"+d.String(), d.String()) })
	}
	return g.Wait()
}

func (k *kill) fetch(ctx context.Context, c *http.Client, path, want string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+k.addr+"/v2/app/"+path, nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return fmt.Errorf("%s: %s %s", path, resp.Status, body)
	}
	h, buf, n := sha256.New(), make([]byte, 64<<10), int64(0)
	for {
		m, err := resp.Body.Read(buf)
		h.Write(buf[:m])
		n += int64(m)
		k.gate.got(want, n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: after %d bytes: %w", path, n, err)
		}
	}
	if got := "sha256:" + hex.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("%s: a whole answer of %d bytes with digest %s, want %s", path, n, got, want)
	}
	return nil
}

// blobs compares every blob in the store with its name, and counts them.
func (k *kill) blobs(t *testing.T) int {
	t.Helper()
	files := k.files(t, "blobs")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != filepath.Base(name) {
			t.Errorf("%s in the store has other bytes (%d of them)", strings.TrimPrefix(name, k.data), len(b))
		}
	}
	return len(files)
}

func (k *kill) files(t *testing.T, folder string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(filepath.Join(k.data, folder), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}
