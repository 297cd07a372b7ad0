package replicate_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/blob/disk"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/replicate"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/upstream"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/vfs"
)

const user, secret = "robot", "s3cret-of-the-robot"

var (
	east = rule.Destination{Region: "east", RegistryID: "111111111111"}
	west = rule.Destination{Region: "west", RegistryID: "222222222222"}
)

// world is a registry's rows and bytes, and two registries that images are copied to.
type world struct {
	*upstreamtest.Network
	t          *testing.T
	east, west *upstreamtest.Registry
	db         *meta.DB
	store      *disk.Store
	spools     *blob.Spools
	log        lines
	options    replicate.Options
	r          *replicate.Replicator
	outcomes   outcomes

	noCredential error // why there is none
}

// lines is a log that is written and read at once.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// in runs a test in fake time. o is how both registries are.
func in(t *testing.T, o upstreamtest.Options, test func(t *testing.T, w *world)) {
	t.Helper()
	fs, err := vfs.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer fs.Close()
	synctest.Test(t, func(t *testing.T) {
		if o.Pushes == nil {
			o.Pushes = &upstreamtest.Pushes{Mount: true}
		}
		w := &world{t: t, Network: upstreamtest.NewNetwork(), east: upstreamtest.New(o), west: upstreamtest.New(o)}
		defer w.Close()
		w.east.On(w.Network, "east.test")
		w.west.On(w.Network, "west.test")
		w.db, err = meta.Open(t.Context(), meta.Options{Path: filepath.Join(t.TempDir(), "weir.db")})
		w.must(err)
		defer w.db.Close()
		w.store, err = disk.Open(fs)
		w.must(err)
		w.spools, err = blob.OpenSpools(blob.SpoolsOptions{FS: fs, Dir: "spool", KeepFree: func(int64) int64 { return 0 }})
		w.must(err)
		host := func(name string) upstream.Host {
			return upstream.Host{CA: w.CA(), Proxy: "direct", Realms: []string{"https://auth." + name + "/token"}}
		}
		client, err := upstream.New(upstream.Options{
			Hosts:   map[string]upstream.Host{"east.test": host("east.test"), "west.test": host("west.test")},
			Resolve: w.Resolve, Dial: w.Dial,
		})
		w.must(err)
		defer client.Close()
		cred := func(context.Context) (string, string, error) { return user, secret, w.noCredential }
		pusher := func(host string) *upstream.Pusher {
			return client.Registry(host, rule.Generic, cred).Pusher(upstream.PushOptions{})
		}
		w.options = replicate.Options{Ended: w.outcomes.add, DB: w.db, Store: w.store, Logger: slog.New(slog.NewTextHandler(&w.log, nil)), Destinations: []replicate.Destination{
			{Destination: east, Host: "east.test", Push: pusher("east.test")},
			{Destination: west, Host: "west.test", Push: pusher("west.test"), Prefix: "copies/of"},
		}}
		w.r = replicate.Run(w.options)
		defer func() { w.r.Close() }()
		w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east, west}})
		test(t, w)
	})
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) rules(rules ...rule.ReplicationRule) {
	w.t.Helper()
	w.must(w.db.PutReplication(w.t.Context(), rules))
}

// bring stores bytes and links them to a repository, as a push does.
func (w *world) bring(repo string, data []byte) {
	w.t.Helper()
	ctx, d := w.t.Context(), digest.FromBytes(data)
	sp, err := w.spools.Open(blob.Key{Host: "here", Digest: d}, int64(len(data)))
	w.must(err)
	_, err = io.Copy(sp, bytes.NewReader(data))
	w.must(err)
	w.must(w.db.Claim(ctx, d, time.Now()))
	w.must(w.store.Commit(ctx, sp))
	w.must(w.db.PutBlob(ctx, d, int64(len(data)), false, []string{repo}, time.Now()))
}

// push pushes an image with all that it names to a repository, which is made.
func (w *world) push(repo string, img upstreamtest.Image, tags ...string) {
	w.t.Helper()
	_ = w.db.CreateRepository(w.t.Context(), meta.Repository{Name: repo, Created: time.Now()})
	for _, child := range img.Children {
		w.push(repo, child)
	}
	for _, data := range append([][]byte{img.Config}, img.Layers...) {
		if data != nil {
			w.bring(repo, data)
		}
	}
	w.put(repo, img.Manifest, tags...)
}

func (w *world) put(repo string, m oci.Manifest, tags ...string) {
	w.t.Helper()
	e, err := m.Edges()
	w.must(err)
	w.must(w.db.PutImage(w.t.Context(), meta.Push{Repository: repo, Manifest: &m, Edges: e, Tags: tags, At: time.Now()}))
}

// status is how far the copies of an image are.
func (w *world) status(repo string, img upstreamtest.Image) string {
	w.t.Helper()
	all, err := w.db.ReplicationStatuses(w.t.Context(), repo, img.Digest)
	w.must(err)
	var words []string
	for _, s := range all {
		word := "COMPLETE"
		if s.Waiting {
			word = "IN_PROGRESS"
		} else if s.Failure != "" {
			word = "FAILED " + s.Failure
		}
		words = append(words, s.To.Region+" "+word)
	}
	return strings.Join(words, ", ")
}

// until waits for something, for an hour at most, and returns how long that took.
func (w *world) until(what string, ok func() bool) time.Duration {
	w.t.Helper()
	start := time.Now()
	for time.Since(start) < time.Hour {
		synctest.Wait()
		if ok() {
			return time.Since(start)
		}
		<-time.After(100 * time.Millisecond)
	}
	w.t.Fatalf("%s: not after an hour\n%s", what, w.log.String())
	return 0
}

// drained waits until nothing is queued.
func (w *world) drained() time.Duration {
	w.t.Helper()
	return w.until("the queue is empty", func() bool {
		all, err := w.db.ReplicationQueues(w.t.Context())
		w.must(err)
		return len(all) == 0
	})
}
