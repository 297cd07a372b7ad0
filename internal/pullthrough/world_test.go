package pullthrough_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/blob/disk"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/vfs"
)

// world is a cache over the real index and store, and a scripted upstream for
// each rule. It lives in a synctest bubble, in fake time.
type world struct {
	t      *testing.T
	dir    string
	fs     vfs.FS // of the store and the spools; the database has files of its own
	commit func() // called after each commit of the database
	boot   string
	free   int64 // what the spools keep free
	db     *meta.DB
	store  *disk.Store
	cache  *pullthrough.Cache
	rules  *rule.Set
	ups    map[string]*script // by prefix
	closed bool

	mu   sync.Mutex
	told []string // by Imported
}

func hub(prefix string) rule.Rule {
	return rule.Rule{Prefix: prefix, Kind: rule.Generic, Upstream: "up.test", Window: rule.DefaultWindow, Prefetch: rule.PrefetchOff}
}

func newWorld(t *testing.T, rules ...rule.Rule) *world {
	t.Helper()
	w := prepare(t, rules...)
	fs, err := vfs.OpenDir(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	w.fs = fs
	w.open()
	t.Cleanup(w.close)
	return w
}

// prepare returns a world that is not open yet and has no fs.
func prepare(t *testing.T, rules ...rule.Rule) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), ups: map[string]*script{}, boot: "boot"}
	if len(rules) == 0 {
		rules = []rule.Rule{hub("hub")}
	}
	var problems []error
	if w.rules, problems = rule.NewSet(rules); problems != nil {
		t.Fatal(problems)
	}
	shared := map[string]*script{}
	for _, r := range rules {
		if shared[r.Upstream] == nil {
			shared[r.Upstream] = newScript()
		}
		w.ups[r.Prefix] = shared[r.Upstream]
	}
	return w
}

func (w *world) open() {
	w.t.Helper()
	var err error
	if w.db, err = meta.Open(w.t.Context(), meta.Options{Path: w.dir + "/weir.db", OnCommit: w.commit}); err != nil {
		w.t.Fatal(err)
	}
	if w.store, err = disk.Open(w.fs); err != nil {
		w.t.Fatal(err)
	}
	spools, err := blob.OpenSpools(blob.SpoolsOptions{FS: w.fs, Dir: "spool", BootID: w.boot, KeepFree: func(int64) int64 { return w.free }})
	if err != nil {
		w.t.Fatal(err)
	}
	w.cache = pullthrough.New(pullthrough.Options{
		Index: w.db, Store: w.store, Spools: spools, Logger: slog.New(slog.NewTextHandler(testLog{w.t}, nil)),
		Upstream: func(r *rule.Rule) pullthrough.Upstream { return w.ups[r.Prefix] },
		Login:    func(_ context.Context, r *rule.Rule) string { return w.ups[r.Prefix].credential() },
		Imported: w.imported,
	})
	w.closed = false
}

func (w *world) close() {
	if w.closed {
		return
	}
	w.closed = true
	w.cache.Close()
	if err := w.db.Close(); err != nil {
		w.t.Error(err)
	}
}

// restart ends the cache and its database and opens them again.
func (w *world) restart() {
	w.close()
	w.open()
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Logf("%s", bytes.TrimSuffix(p, []byte("\n")))
	return len(p), nil
}

func (w *world) scope(repo string) pullthrough.Scope {
	r, name := w.rules.Match(repo)
	if r == nil {
		w.t.Fatalf("no rule for %s", repo)
	}
	return pullthrough.Scope{Rule: r, Repository: name}
}

func (w *world) tag(repo, tag string) (pullthrough.Answer, error) {
	return w.cache.Manifest(w.t.Context(), w.scope(repo), oci.Reference{Tag: tag})
}

func (w *world) pull(repo string, d digest.Digest) ([]byte, error) {
	return w.pullRange(repo, d, 0, -1)
}

func (w *world) pullRange(repo string, d digest.Digest, start, end int64) ([]byte, error) {
	b, err := w.cache.Blob(w.t.Context(), w.scope(repo), d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	var s sink
	err = b.WriteRange(w.t.Context(), &s, start, end)
	return s.Bytes(), err
}

// spoolFiles counts what is left in the spool folder.
func (w *world) spoolFiles() int {
	entries, err := os.ReadDir(w.dir + "/spool")
	if err != nil {
		w.t.Fatal(err)
	}
	return len(entries)
}

type sink struct {
	bytes.Buffer
	flushes int
	slow    time.Duration // per write
}

func (s *sink) Flush() { s.flushes++ }

func (s *sink) Write(p []byte) (int, error) {
	if s.slow > 0 {
		<-time.After(s.slow)
	}
	return s.Buffer.Write(p)
}

// script is an upstream that does as it is told, and writes down what it is asked.
type script struct {
	mu        sync.Mutex
	log       []string
	sent      int64
	manifests map[string]*oci.Manifest // "repo ref"
	blobs     map[digest.Digest][]byte
	tags      map[string][]string       // by repo
	broken    error                     // ends every list of tags
	referrers map[string][]oci.Referrer // "repo digest"; nil: there is no API
	login     string                    // the rule's credential now

	// refuse answers a request with an error; op is HEAD, GET, BLOB, TAGS or REFERRERS.
	refuse func(ctx context.Context, op, repo, ref string) error
	// open replaces the body of a blob.
	open func(ctx context.Context, d digest.Digest, data []byte, offset, n int64) (io.ReadCloser, int64, int64, error)
}

func newScript() *script {
	return &script{manifests: map[string]*oci.Manifest{}, blobs: map[digest.Digest][]byte{}, tags: map[string][]string{}}
}

// refusing has every request answered by f first; nil: by nothing.
func (s *script) refusing(f func(ctx context.Context, op, repo, ref string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = f
}

// rotate gives the rule another credential.
func (s *script) rotate(login string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.login = login
}

func (s *script) credential() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.login
}

// opening has blobs opened by f; nil: as they are.
func (s *script) opening(f func(ctx context.Context, d digest.Digest, data []byte, offset, n int64) (io.ReadCloser, int64, int64, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = f
}

// asked returns the requests since the last call, sorted: they form a multiset.
func (s *script) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.log
	s.log = nil
	slices.Sort(log)
	return log
}

func (s *script) ask(ctx context.Context, op, repo, ref string) error {
	s.mu.Lock()
	s.log = append(s.log, op+" "+repo+" "+ref)
	refuse := s.refuse
	s.mu.Unlock()
	if refuse != nil {
		return refuse(ctx, op, repo, ref)
	}
	return nil
}

func (s *script) Head(ctx context.Context, repo string, ref oci.Reference) (oci.Descriptor, error) {
	if err := s.ask(ctx, "HEAD", repo, ref.String()); err != nil {
		return oci.Descriptor{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.manifests[repo+" "+ref.String()]; m != nil {
		return m.Descriptor, nil
	}
	return oci.Descriptor{}, errs.New(errs.ManifestUnknown, "up.test has no %s:%s", repo, ref)
}

func (s *script) Manifest(ctx context.Context, repo string, ref oci.Reference) (*oci.Manifest, error) {
	if err := s.ask(ctx, "GET", repo, ref.String()); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.manifests[repo+" "+ref.String()]; m != nil {
		return m, nil
	}
	return nil, errs.New(errs.ManifestUnknown, "up.test has no %s:%s", repo, ref)
}

func (s *script) Tags(ctx context.Context, repo string) ([]string, error) {
	if err := s.ask(ctx, "TAGS", repo, "list"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if tags, ok := s.tags[repo]; ok {
		return slices.Clone(tags), s.broken
	}
	return nil, errs.New(errs.RepoUnknown, "up.test has no %s", repo)
}

func (s *script) Referrers(ctx context.Context, repo string, d digest.Digest) ([]oci.Referrer, error) {
	if err := s.ask(ctx, "REFERRERS", repo, string(d)); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.referrers == nil {
		return nil, errs.New(errs.Unsupported, "up.test lists no referrers")
	}
	return slices.Clone(s.referrers[repo+" "+string(d)]), nil
}

func (s *script) Blob(ctx context.Context, repo string, d digest.Digest, offset, n int64) (io.ReadCloser, int64, int64, error) {
	ref := "blob"
	if offset > 0 || n >= 0 {
		ref = fmt.Sprintf("blob %d+%d", offset, n)
	}
	if err := s.ask(ctx, "BLOB", repo, ref); err != nil {
		return nil, 0, 0, err
	}
	s.mu.Lock()
	data, ok := s.blobs[d]
	open := s.open
	s.mu.Unlock()
	if !ok {
		return nil, 0, 0, errs.New(errs.BlobUnknown, "up.test has no blob %s", d)
	}
	if n >= 0 && offset+n > int64(len(data)) {
		return nil, 0, 0, errs.New(errs.RangeInvalid, "up.test has no byte %d of %s", offset, d)
	}
	if open != nil {
		return open(ctx, d, data, offset, n)
	}
	return s.body(ctx, data[offset:], n), offset, int64(len(data)), nil
}

// body gives 64 KiB at a time, one each millisecond.
func (s *script) body(ctx context.Context, data []byte, n int64) *body {
	if n >= 0 {
		data = data[:n]
	}
	return &body{s: s, ctx: ctx, data: data, stop: -1}
}

type body struct {
	s    *script
	ctx  context.Context
	data []byte
	stop int64 // after so many bytes: err, or a stall if err is nil; -1: never
	err  error
	pos  int64
}

func (b *body) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Millisecond):
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
	rest := b.data[b.pos:]
	if b.stop >= 0 {
		rest = b.data[b.pos:min(b.stop, int64(len(b.data)))]
		if len(rest) == 0 {
			if b.err != nil {
				return 0, b.err
			}
			<-b.ctx.Done()
			return 0, b.ctx.Err()
		}
	}
	if len(rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, rest[:min(len(rest), 64<<10)])
	b.pos += int64(n)
	b.s.mu.Lock()
	b.s.sent += int64(n)
	b.s.mu.Unlock()
	return n, nil
}

func (b *body) Close() error { return nil }

// blob puts n seeded random bytes upstream.
func (s *script) blob(seed uint64, n int) (digest.Digest, []byte) {
	data := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	r.Read(data)
	d := digest.FromBytes(data)
	s.mu.Lock()
	s.blobs[d] = data
	s.mu.Unlock()
	return d, data
}

type image struct {
	manifest *oci.Manifest
	config   digest.Digest
	layers   []digest.Digest
}

// image puts an image of n layers of size bytes upstream, under repo:tag.
func (s *script) image(repo, tag string, seed uint64, n, size int) image {
	var im image
	desc := func(d digest.Digest, data []byte, mt string) map[string]any {
		return map[string]any{"mediaType": mt, "digest": d, "size": len(data)}
	}
	cd, cdata := s.blob(seed<<4, 300)
	im.config = cd
	var layers []any
	for i := range n {
		d, data := s.blob(seed<<4+uint64(i)+1, size)
		im.layers = append(im.layers, d)
		layers = append(layers, desc(d, data, "application/vnd.oci.image.layer.v1.tar"))
	}
	raw, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeManifest, "layers": layers,
		"config": desc(cd, cdata, "application/vnd.oci.image.config.v1+json"),
	})
	if err != nil {
		panic(err)
	}
	im.manifest = s.put(repo, tag, oci.MediaTypeManifest, raw)
	return im
}

// put puts a manifest upstream, under its digest and tag, if any.
func (s *script) put(repo, tag, mediaType string, raw []byte) *oci.Manifest {
	m := &oci.Manifest{Descriptor: oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}, Raw: raw}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manifests[repo+" "+string(m.Digest)] = m
	if tag != "" {
		s.manifests[repo+" "+tag] = m
	}
	return m
}
