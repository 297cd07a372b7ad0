package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/blob/disk"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/vfs"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

// world is a registry that takes pushes, on a disk that can crash.
type world struct {
	*registry.Registry
	t     *testing.T
	db    *meta.DB
	fs    vfs.FS
	store *disk.Store
}

// newWorld has the own repositories team/app and team/base, hub/app that a rule
// caches, and mirror/app under a rule that allows pushes.
func newWorld(t *testing.T, fsys vfs.FS) *world {
	t.Helper()
	w := &world{t: t, db: newDB(t)}
	for _, name := range []string{"team/app", "team/base"} {
		if err := w.db.CreateRepository(t.Context(), meta.Repository{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	w.start(fsys)
	return w
}

// start opens what is on fsys, as after a restart.
func (w *world) start(fsys vfs.FS) {
	w.t.Helper()
	rules, problems := rule.NewSet([]rule.Rule{
		{Prefix: "hub", Kind: rule.Generic, Upstream: "up.test"},
		{Prefix: "mirror", Kind: rule.Generic, Upstream: "up.test", Push: true},
	})
	if problems != nil {
		w.t.Fatal(problems)
	}
	var err error
	w.fs = fsys
	if w.store, err = disk.Open(fsys); err != nil {
		w.t.Fatal(err)
	}
	uploads, err := blob.OpenUploads(blob.UploadsOptions{FS: fsys, Dir: "uploads", KeepFree: func(int64) int64 { return 0 }})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := registry.SiftUploads(w.t.Context(), w.db, uploads); err != nil {
		w.t.Fatal(err)
	}
	cache := pullthrough.New(pullthrough.Options{Index: w.db, Store: w.store})
	w.t.Cleanup(cache.Close)
	w.Registry = registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: rules, Cache: cache, DB: w.db, Store: w.store, Uploads: uploads, SaveEvery: 300 << 10})
}

func onDisk(t *testing.T) *vfs.Dir {
	t.Helper()
	dir, err := vfs.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}

func (w *world) begin() string {
	w.t.Helper()
	u, err := w.StartUpload(w.t.Context(), root, "team/app", "")
	if err != nil {
		w.t.Fatal(err)
	}
	return u.ID
}

func stream(s string) registry.Part {
	return registry.Part{Body: strings.NewReader(s), Start: -1, Length: -1}
}

func chunkOf(start int64, s string) registry.Part {
	return registry.Part{Body: strings.NewReader(s), Start: start, End: start + int64(len(s)) - 1, Length: int64(len(s))}
}

// cut is a body that breaks off.
func cut(s string) registry.Part {
	return registry.Part{Body: io.MultiReader(strings.NewReader(s), broken{io.ErrUnexpectedEOF}), Start: -1, Length: int64(len(s)) + 5}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// blob pushes a blob in one request.
func (w *world) blob(repo, content string) digest.Digest {
	w.t.Helper()
	d := digest.FromString(content)
	u, err := w.StartUpload(w.t.Context(), root, repo, "")
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.FinishUpload(w.t.Context(), root, repo, u.ID, d, stream(content)); err != nil {
		w.t.Fatal(err)
	}
	return d
}

// content is a blob as a repository serves it.
func (w *world) content(repo string, d digest.Digest) string {
	w.t.Helper()
	b, err := w.Blob(w.t.Context(), root, repo, d)
	if err != nil {
		w.t.Fatalf("%s in %s: %v", d, repo, err)
	}
	defer b.Close()
	var got flushed
	if err := b.WriteRange(w.t.Context(), &got, 0, -1); err != nil {
		w.t.Fatal(err)
	}
	return got.String()
}

type flushed struct{ bytes.Buffer }

func (*flushed) Flush() {}

// TestMalformedUploads: whatever is wrong with a request, it is told so, what was
// acknowledged before stays, and the upload can be gone on with.
func TestMalformedUploads(t *testing.T) {
	const have, rest = "hello ", "world"
	whole := digest.FromString(have + rest)
	tests := []struct {
		name   string
		repo   string // "": team/app
		id     string // "": the upload's
		part   registry.Part
		finish digest.Digest // "": a PATCH
		want   errs.Code
		size   int64 // afterwards
	}{
		{name: "gap", part: chunkOf(7, "orld"), want: errs.RangeInvalid, size: 6},
		{name: "overlap", part: chunkOf(5, " world"), want: errs.RangeInvalid, size: 6},
		{name: "from the start again", part: chunkOf(0, have), want: errs.RangeInvalid, size: 6},
		{name: "gap at the end", part: chunkOf(7, "orld"), finish: whole, want: errs.RangeInvalid, size: 6},
		{name: "longer than its range", part: registry.Part{Body: strings.NewReader("world!"), Start: 6, End: 10, Length: -1}, want: errs.SizeInvalid, size: 6},
		{name: "shorter than its range", part: registry.Part{Body: strings.NewReader("worl"), Start: 6, End: 10, Length: -1}, want: errs.SizeInvalid, size: 6},
		{name: "range of another length than the body", part: registry.Part{Body: strings.NewReader(rest), Start: 6, End: 11, Length: 5}, want: errs.SizeInvalid, size: 6},
		{name: "range without a body", part: registry.Part{Start: 6, End: 10, Length: 0}, want: errs.SizeInvalid, size: 6},
		{name: "wrong digest", part: stream("there"), finish: whole, want: errs.DigestMismatch, size: 6},
		{name: "wrong digest of another algorithm", part: stream("there"), finish: digest.SHA512.FromString("x"), want: errs.DigestMismatch, size: 6},
		{name: "too early", finish: whole, part: registry.Part{Start: -1}, want: errs.DigestMismatch, size: 6},
		{name: "no digest", finish: "sha256:abc", part: stream(rest), want: errs.DigestInvalid, size: 6},
		{name: "body cut in the middle", part: cut("wo"), want: errs.SizeInvalid, size: 8},
		{name: "last body cut in the middle", part: cut("wo"), finish: whole, want: errs.SizeInvalid, size: 8},
		{name: "unknown upload", id: "0d9b2eac-3c4c-4a4f-9d3e-6f2f3f0e7c11", part: stream(rest), want: errs.UploadUnknown, size: 6},
		{name: "no ID", id: "../x", part: stream(rest), want: errs.UploadUnknown, size: 6},
		{name: "another repository's", repo: "team/base", part: stream(rest), want: errs.UploadUnknown, size: 6},
		{name: "another repository's, at the end", repo: "team/base", part: stream(rest), finish: whole, want: errs.UploadUnknown, size: 6},
		{name: "no repository", repo: "team/none", part: stream(rest), want: errs.RepoUnknown, size: 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, onDisk(t))
			ctx, id := t.Context(), w.begin()
			if u, err := w.AppendUpload(ctx, root, "team/app", id, chunkOf(0, have)); err != nil || u.Size != 6 {
				t.Fatal(u, err)
			}
			repo, upload := "team/app", id
			if tt.repo != "" {
				repo = tt.repo
			}
			if tt.id != "" {
				upload = tt.id
			}
			var err error
			if tt.finish != "" {
				_, err = w.FinishUpload(ctx, root, repo, upload, tt.finish, tt.part)
			} else {
				_, err = w.AppendUpload(ctx, root, repo, upload, tt.part)
			}
			if err == nil || errs.CodeOf(err) != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			u, err := w.Upload(ctx, root, "team/app", id)
			if err != nil || u.Size != tt.size {
				t.Fatalf("afterwards it is %+v, %v; want %d bytes", u, err, tt.size)
			}
			if _, err := w.FinishUpload(ctx, root, "team/app", id, whole, chunkOf(u.Size, (have + rest)[u.Size:])); err != nil {
				t.Fatalf("going on: %v", err)
			}
			if got := w.content("team/app", whole); got != have+rest {
				t.Errorf("the blob is %q", got)
			}
			if _, err := w.Upload(ctx, root, "team/app", id); errs.CodeOf(err) != errs.UploadUnknown {
				t.Errorf("the finished upload: %v", err)
			}
		})
	}
}

// TestTwoWriters: of two requests that write to one upload, the second is refused, and
// nothing of it is mixed in.
func TestTwoWriters(t *testing.T) {
	w := newWorld(t, onDisk(t))
	ctx, id := t.Context(), w.begin()
	body, feed := io.Pipe()
	done := make(chan error)
	go func() {
		_, err := w.AppendUpload(ctx, root, "team/app", id, registry.Part{Body: body, Start: 0, End: 4, Length: 5})
		done <- err
	}()
	if _, err := io.WriteString(feed, "he"); err != nil { // it has it open by now
		t.Fatal(err)
	}
	if _, err := w.AppendUpload(ctx, root, "team/app", id, chunkOf(0, "HELLO")); errs.CodeOf(err) != errs.UploadInvalid {
		t.Errorf("second writer: %v", err)
	}
	if err := w.CancelUpload(ctx, root, "team/app", id); errs.CodeOf(err) != errs.UploadInvalid {
		t.Errorf("cancel: %v", err)
	}
	if _, err := io.WriteString(feed, "llo"); err != nil {
		t.Fatal(err)
	}
	feed.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := w.AppendUpload(ctx, root, "team/app", id, chunkOf(0, "HELLO")); errs.CodeOf(err) != errs.RangeInvalid {
		t.Errorf("second writer, late: %v", err)
	}
	d := digest.FromString("hello")
	if _, err := w.FinishUpload(ctx, root, "team/app", id, d, registry.Part{Start: -1}); err != nil {
		t.Fatal(err)
	}
	if got := w.content("team/app", d); got != "hello" {
		t.Errorf("the blob is %q", got)
	}
}

func TestCancelUpload(t *testing.T) {
	w := newWorld(t, onDisk(t))
	ctx, id := t.Context(), w.begin()
	if _, err := w.AppendUpload(ctx, root, "team/app", id, stream("x")); err != nil {
		t.Fatal(err)
	}
	if err := w.CancelUpload(ctx, root, "team/app", id); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"cancel": w.CancelUpload(ctx, root, "team/app", id),
		"state":  func() error { _, err := w.Upload(ctx, root, "team/app", id); return err }(),
		"append": func() error { _, err := w.AppendUpload(ctx, root, "team/app", id, stream("x")); return err }(),
	} {
		if errs.CodeOf(err) != errs.UploadUnknown {
			t.Errorf("%s: %v", what, err)
		}
	}
	if left, err := w.fs.ReadDir("uploads"); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestUploadAfterCrash: after a loss of power at any time an upload has what was
// acknowledged, byte for byte, and goes on without reading it again.
func TestUploadAfterCrash(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 20 {
		mem := vfstest.NewMem(nil)
		w := newWorld(t, mem)
		ctx, id := t.Context(), w.begin()
		var acknowledged strings.Builder
		for range rng.IntN(3) {
			s := strings.Repeat(string(rune('a'+rng.IntN(26))), 1+rng.IntN(5000))
			if _, err := w.AppendUpload(ctx, root, "team/app", id, stream(s)); err != nil {
				t.Fatal(err)
			}
			acknowledged.WriteString(s)
		}
		w.start(mem.CrashClone(rng))
		u, err := w.Upload(ctx, root, "team/app", id)
		if err != nil || u.Size != int64(acknowledged.Len()) {
			t.Fatalf("after the crash: %+v, %v; want %d bytes", u, err, acknowledged.Len())
		}
		content := acknowledged.String() + "end"
		d := digest.FromString(content)
		if _, err := w.FinishUpload(ctx, root, "team/app", id, d, chunkOf(u.Size, "end")); err != nil {
			t.Fatal(err)
		}
		if got := w.content("team/app", d); got != content {
			t.Errorf("the blob has %d bytes, want %d", len(got), len(content))
		}
	}
}

// TestRefusedPartAfterCrash: a long part is saved on its way and taken back when it turns
// out to be wrong. At no moment does the row tell of bytes that are not there: what was
// acknowledged before survives a crash at any.
func TestRefusedPartAfterCrash(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, push := range map[string]func(w *world, id string) error{
		"wrong length": func(w *world, id string) error {
			_, err := w.AppendUpload(w.t.Context(), root, "team/app", id, registry.Part{Body: strings.NewReader(long), Start: -1, Length: 1<<20 + 1})
			return err
		},
		"wrong digest": func(w *world, id string) error {
			_, err := w.FinishUpload(w.t.Context(), root, "team/app", id, digest.FromString("another"), stream(long))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			log := &vfstest.Log{}
			mem := vfstest.NewMem(log)
			w := newWorld(t, mem)
			id := w.begin()
			if _, err := w.AppendUpload(t.Context(), root, "team/app", id, stream("hello ")); err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(1, 2))
			saved := false
			log.Each(func(_ int, op string) {
				row, err := w.db.Upload(t.Context(), "team/app", id)
				if err != nil {
					t.Error(err)
				}
				info, err := mem.CrashClone(rng).Stat("uploads/" + id)
				if err != nil || info.Size() < row.Size || row.Size < 6 {
					t.Errorf("after a crash at %s the row has %d bytes, the file %+v, %v", op, row.Size, info, err)
				}
				saved = saved || row.Size > 6
			})
			if err := push(w, id); err == nil {
				t.Fatal("it is taken")
			}
			if !saved {
				t.Error("nothing was saved on the way")
			}
			if u, err := w.Upload(t.Context(), root, "team/app", id); err != nil || u.Size != 6 {
				t.Errorf("it is %+v, %v", u, err)
			}
		})
	}
}

// TestUploadOnFullDisk: what there is no room for is refused as such, and the upload
// stays and goes on when there is.
func TestUploadOnFullDisk(t *testing.T) {
	mem := vfstest.NewMem(nil)
	inject := vfstest.NewInject(mem)
	w := newWorld(t, inject)
	ctx, id := t.Context(), w.begin()
	if _, err := w.AppendUpload(ctx, root, "team/app", id, stream("hello ")); err != nil {
		t.Fatal(err)
	}
	inject.Set(vfstest.After(3, syscall.ENOSPC))
	u, err := w.AppendUpload(ctx, root, "team/app", id, stream("world"))
	if errs.CodeOf(err) != errs.StorageFull || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("on a full disk: %v", err)
	}
	inject.Set(nil)
	again, err := w.Upload(ctx, root, "team/app", id)
	if err != nil || again != u || u.Size < 6 {
		t.Fatalf("it is %+v, was %+v, %v", again, u, err)
	}
	d := digest.FromString("hello world")
	if _, err := w.FinishUpload(ctx, root, "team/app", id, d, chunkOf(u.Size, "hello world"[u.Size:])); err != nil {
		t.Fatal(err)
	}
}

// TestSiftUploads: bytes that no row knows go at the start.
func TestSiftUploads(t *testing.T) {
	dir := onDisk(t)
	w := newWorld(t, dir)
	id := w.begin()
	if _, err := w.AppendUpload(t.Context(), root, "team/app", id, stream("x")); err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFile(dir, filepath.Join("uploads", "stray"), []byte("y"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start(dir)
	if _, err := dir.Stat("uploads/stray"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stray: %v", err)
	}
	if _, err := dir.Stat("uploads/" + id); err != nil {
		t.Error(err)
	}
}

// TestPushDecides: where pushes may go.
func TestPushDecides(t *testing.T) {
	w := newWorld(t, onDisk(t))
	ctx := t.Context()
	put(t, w.db, "old/app", "v1", oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[]}`) // its rule is gone
	w.SetTemplates(rule.NewTemplates([]rule.Template{
		{Prefix: "made", AppliedFor: []string{rule.ForCreateOnPush}, Mutability: rule.Immutable},
		{Prefix: "other", AppliedFor: []string{rule.ForPullThrough}},
	}))
	for _, tt := range []struct {
		repo  string
		want  errs.Code // Internal: none
		words string
		kind  string // of the repository, if it is taken
	}{
		{"team/app", errs.Internal, "", meta.Own},
		{"hub/app", errs.Denied, "rule hub fills it from up.test", ""},
		{"mirror/app", errs.Internal, "", meta.Cached},
		{"old/app", errs.Denied, "rule that is gone", ""},
		{"nowhere", errs.RepoUnknown, "The repository with name 'nowhere' does not exist in the registry with id '123456789012'", ""},
		{"other/app", errs.RepoUnknown, "does not exist", ""},
		{"made/app", errs.Internal, "", meta.Own},
		{"made", errs.RepoUnknown, "does not exist", ""},
	} {
		_, start := w.StartUpload(ctx, root, tt.repo, "")
		_, mount := w.Mount(ctx, root, tt.repo, "team/base", digest.FromString("x"))
		_, image := w.PutManifest(ctx, root, tt.repo, registry.ManifestPush{Reference: oci.Reference{Tag: "t"}, Raw: []byte(`{"schemaVersion":2,"manifests":[]}`)})
		for what, err := range map[string]error{"upload": start, "mount": mount, "manifest": image} {
			if errs.CodeOf(err) != tt.want || tt.want == errs.Internal && err != nil || err != nil && !strings.Contains(err.Error(), tt.words) {
				t.Errorf("%s to %s: %v, want %s", what, tt.repo, err, tt.want)
			}
		}
		if row, err := w.db.DescribeRepository(ctx, tt.repo); tt.kind != "" && (err != nil || row.Kind != tt.kind) {
			t.Errorf("%s is %+v, %v", tt.repo, row, err)
		}
	}
	if row, err := w.db.DescribeRepository(ctx, "made/app"); err != nil || row.Mutability != rule.Immutable {
		t.Errorf("made by the template: %+v, %v", row, err)
	}
}

// TestNamingGivesNothing: to name a digest in a manifest, in whatever way, does not let
// a repository serve it.
func TestNamingGivesNothing(t *testing.T) {
	w := newWorld(t, onDisk(t))
	ctx := t.Context()
	secret := w.blob("team/base", "secret")
	public := digest.FromString("public")
	if err := w.db.Claim(ctx, public, epoch); err != nil {
		t.Fatal(err)
	}
	if err := w.db.PutBlob(ctx, public, 6, true, []string{"hub/app"}, epoch); err != nil {
		t.Fatal(err)
	}
	config := w.blob("team/app", "{}")
	desc := func(mediaType string, d digest.Digest) string {
		return `{"mediaType":"` + mediaType + `","digest":"` + string(d) + `","size":6}`
	}
	image := `{"schemaVersion":2,"config":` + desc("application/vnd.oci.image.config.v1+json", config) + `,"layers":[`
	for name, raw := range map[string]string{
		"foreign layer":        image + desc("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", secret) + `]}`,
		"nondistributable one": image + desc("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", secret) + `]}`,
		"subject":              image + `],"subject":` + desc(oci.MediaTypeManifest, secret) + `}`,
		"child":                `{"schemaVersion":2,"manifests":[` + desc(oci.MediaTypeManifest, secret) + `]}`,
	} {
		if _, err := w.PutManifest(ctx, root, "team/app", registry.ManifestPush{Reference: oci.Reference{Tag: "t"}, Raw: []byte(raw)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, d := range []digest.Digest{secret, public} {
			if _, err := w.Blob(ctx, root, "team/app", d); errs.CodeOf(err) != errs.BlobUnknown {
				t.Errorf("%s: GET: %v", name, err)
			}
			if _, _, err := w.StatBlob(ctx, root, "team/app", d); errs.CodeOf(err) != errs.BlobUnknown {
				t.Errorf("%s: HEAD: %v", name, err)
			}
		}
	}
	_, err := w.PutManifest(ctx, root, "team/app", registry.ManifestPush{Reference: oci.Reference{Tag: "t"}, Raw: []byte(image + desc("application/vnd.oci.image.layer.v1.tar", secret) + `]}`)})
	if errs.CodeOf(err) != errs.ManifestBlobUnknown || !strings.Contains(err.Error(), string(secret)) {
		t.Errorf("a layer that is not there: %v", err)
	}
}

// TestMountNeedsRight: a mount gives what its caller could read anyway.
func TestMountNeedsRight(t *testing.T) {
	w := newWorld(t, onDisk(t))
	ctx := t.Context()
	d := w.blob("team/base", "layer")
	pusher := func(read ...string) iam.Caller {
		policies := []iam.Policy{{Statements: []iam.Statement{{Actions: []string{iam.InitiateLayerUpload}, Resources: []string{w.ARN("team/app")}}}}}
		for _, repo := range read {
			policies = append(policies, iam.PullPolicy(w.ARN(repo)))
		}
		return iam.Caller{Name: "p", KeyID: "AKIA", Policies: policies}
	}
	for _, tt := range []struct {
		name   string
		caller iam.Caller
		from   string
		want   bool
	}{
		{"no right to the source", pusher(), "team/base", false},
		{"no right to any source", pusher("team/none"), "", false},
		{"no such source", pusher("*"), "nowhere", false},
		{"malformed source", pusher("*"), "../x", false},
		{"source", pusher("team/base"), "team/base", true},
	} {
		if got, err := w.Mount(ctx, tt.caller, "team/app", tt.from, d); err != nil || got != tt.want {
			t.Errorf("%s: %v, %v", tt.name, got, err)
		}
		if err := w.DeleteBlob(ctx, root, "team/app", d); (err == nil) != tt.want {
			t.Errorf("%s: deletion of the link: %v", tt.name, err)
		}
	}
	if got, err := w.Mount(ctx, pusher("team/base"), "team/app", "", d); err != nil || !got {
		t.Errorf("from any: %v, %v", got, err)
	}
	if got := w.content("team/app", d); got != "layer" {
		t.Errorf("the blob is %q", got)
	}
}

func TestPutManifest(t *testing.T) {
	w := newWorld(t, onDisk(t))
	ctx := t.Context()
	index := []byte(`{"schemaVersion":2,"manifests":[]}`)
	sum256, sum512 := digest.FromBytes(index), digest.SHA512.FromBytes(index)
	subject := digest.FromString("subject")
	about := []byte(`{"schemaVersion":2,"mediaType":"` + oci.MediaTypeIndex + `","manifests":[],"subject":{"mediaType":"x/y","digest":"` + string(subject) + `","size":1}}`)
	tag := oci.Reference{Tag: "v1"}
	for _, tt := range []struct {
		name string
		push registry.ManifestPush
		want errs.Code
		got  registry.Pushed
	}{
		{"tag", registry.ManifestPush{Reference: tag, Raw: index}, 0, registry.Pushed{Digest: sum256, Tags: []string{"v1"}}},
		{"digest", registry.ManifestPush{Reference: oci.Reference{Digest: sum256}, Raw: index}, 0, registry.Pushed{Digest: sum256}},
		{"sha512", registry.ManifestPush{Reference: oci.Reference{Digest: sum512}, Raw: index}, 0, registry.Pushed{Digest: sum512}},
		{"tag of sha512", registry.ManifestPush{Reference: tag, Algorithm: digest.SHA512, Raw: index}, 0, registry.Pushed{Digest: sum512, Tags: []string{"v1"}}},
		{"tag with a digest", registry.ManifestPush{Reference: tag, Digest: sum512, Raw: index}, 0, registry.Pushed{Digest: sum512, Tags: []string{"v1"}}},
		{"digest with tags", registry.ManifestPush{Reference: oci.Reference{Digest: sum256}, Tags: []string{"a", "b"}, Raw: index}, 0, registry.Pushed{Digest: sum256, Tags: []string{"a", "b"}}},
		{"subject", registry.ManifestPush{Reference: tag, Raw: about}, 0, registry.Pushed{Digest: digest.FromBytes(about), Subject: subject, Tags: []string{"v1"}}},
		{"own type", registry.ManifestPush{Reference: tag, ContentType: "application/vnd.acme.thing+json", Raw: []byte(`{"any":"thing"}`)}, 0,
			registry.Pushed{Digest: digest.FromString(`{"any":"thing"}`), Tags: []string{"v1"}}},
		{"wrong digest", registry.ManifestPush{Reference: oci.Reference{Digest: subject}, Raw: index}, errs.DigestMismatch, registry.Pushed{}},
		{"wrong digest of a tag", registry.ManifestPush{Reference: tag, Digest: subject, Raw: index}, errs.DigestMismatch, registry.Pushed{}},
		{"schema 1", registry.ManifestPush{Reference: tag, ContentType: oci.MediaTypeDockerV1Sign, Raw: []byte(`{"schemaVersion":1,"name":"x","fsLayers":[]}`)}, errs.ManifestInvalid, registry.Pushed{}},
		{"page", registry.ManifestPush{Reference: tag, ContentType: "text/html", Raw: []byte(`<html>`)}, errs.ManifestInvalid, registry.Pushed{}},
		{"no JSON", registry.ManifestPush{Reference: tag, ContentType: oci.MediaTypeManifest, Raw: []byte(`x`)}, errs.ManifestInvalid, registry.Pushed{}},
		{"image of nothing", registry.ManifestPush{Reference: tag, ContentType: oci.MediaTypeManifest + "; charset=utf-8", Raw: []byte(`{}`)}, errs.ManifestInvalid, registry.Pushed{}},
		{"image without a config", registry.ManifestPush{Reference: tag, ContentType: oci.MediaTypeDocker, Raw: []byte(`{"schemaVersion":2,"layers":[]}`)}, errs.ManifestInvalid, registry.Pushed{}},
		{"too large", registry.ManifestPush{Reference: tag, Raw: make([]byte, oci.MaxManifestSize+1)}, errs.ManifestTooLarge, registry.Pushed{}},
		{"many tags", registry.ManifestPush{Reference: tag, Tags: make([]string, registry.MaxPushTags), Raw: index}, errs.ParamInvalid, registry.Pushed{}},
	} {
		got, err := w.PutManifest(ctx, root, "team/app", tt.push)
		if errs.CodeOf(err) != tt.want || (err == nil) != (tt.want == 0) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
		mediaType := got.MediaType
		got.MediaType = ""
		if diff := cmp.Diff(tt.got, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		if err != nil {
			continue
		}
		m, err := w.Manifest(ctx, root, "team/app", oci.Reference{Digest: got.Digest}, true)
		if err != nil || !bytes.Equal(m.Raw, tt.push.Raw) || m.MediaType != mediaType {
			t.Errorf("%s comes back as %v, %v", tt.name, m, err)
		}
	}
}

// TestSHA512Blob: an upload's digest may be of another algorithm than it was hashed with.
func TestSHA512Blob(t *testing.T) {
	w := newWorld(t, onDisk(t))
	d := digest.SHA512.FromString("hello")
	for _, algorithm := range []digest.Algorithm{"", digest.SHA256, digest.SHA512} {
		u, err := w.StartUpload(t.Context(), root, "team/app", algorithm)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range []string{"he", "llo"} {
			if _, err := w.AppendUpload(t.Context(), root, "team/app", u.ID, chunkOf(int64(2*i), s)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.FinishUpload(t.Context(), root, "team/app", u.ID, d, registry.Part{Start: -1}); err != nil {
			t.Fatal(err)
		}
		if got := w.content("team/app", d); got != "hello" {
			t.Errorf("the blob is %q", got)
		}
	}
	if _, err := w.StartUpload(t.Context(), root, "team/app", "md5"); errs.CodeOf(err) != errs.DigestInvalid {
		t.Errorf("md5: %v", err)
	}
}

// held is an upstream that answers a manifest when it is let.
type held struct {
	pullthrough.Upstream
	asked, let chan struct{}
}

func (h held) Manifest(context.Context, string, oci.Reference) (*oci.Manifest, error) {
	close(h.asked)
	<-h.let
	raw := []byte(`{"schemaVersion":2,"manifests":[],"annotations":{"from":"upstream"}}`)
	return &oci.Manifest{Descriptor: oci.Descriptor{MediaType: oci.MediaTypeIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw))}, Raw: raw}, nil
}

// TestPushOvertakesPull: an immutable tag that is pushed while a pull of it is on its way
// stays what was pushed, and the pull gets that.
func TestPushOvertakesPull(t *testing.T) {
	ctx, db := t.Context(), newDB(t)
	rules, problems := rule.NewSet([]rule.Rule{{Prefix: "mirror", Kind: rule.Generic, Upstream: "up.test", Push: true}})
	if problems != nil {
		t.Fatal(problems)
	}
	up := held{asked: make(chan struct{}), let: make(chan struct{})}
	cache := pullthrough.New(pullthrough.Options{Index: db, Upstream: func(*rule.Rule) pullthrough.Upstream { return up }})
	t.Cleanup(cache.Close)
	reg := registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: rules, Cache: cache, DB: db})
	if err := db.CreateRepository(ctx, meta.Repository{Name: "mirror/app", Kind: meta.Cached, Mutability: rule.Immutable}); err != nil {
		t.Fatal(err)
	}
	type answer struct {
		m   *registry.Manifest
		err error
	}
	pulled := make(chan answer)
	go func() {
		m, err := reg.Manifest(ctx, root, "mirror/app", oci.Reference{Tag: "v1"}, true)
		pulled <- answer{m, err}
	}()
	<-up.asked
	p, err := reg.PutManifest(ctx, root, "mirror/app", registry.ManifestPush{Reference: oci.Reference{Tag: "v1"}, ContentType: oci.MediaTypeIndex, Raw: []byte(`{"schemaVersion":2,"manifests":[]}`)})
	close(up.let)
	if err != nil {
		t.Fatal(err)
	}
	if a := <-pulled; a.err != nil || a.m.Manifest.Digest != p.Digest {
		t.Errorf("the pull got %+v, %v", a.m, a.err)
	}
	if m, err := reg.Manifest(ctx, root, "mirror/app", oci.Reference{Tag: "v1"}, true); err != nil || m.Manifest.Digest != p.Digest {
		t.Errorf("the tag is %+v, %v", m, err)
	}
}

// TestRuleOverOwn: a rule that takes the prefix of a repository that was pushed to leaves
// it alone, by whichever of its names it is called: it is read and written as before, and
// no upstream is asked for it.
func TestRuleOverOwn(t *testing.T) {
	ctx := t.Context()
	for _, tt := range []struct {
		repo, prefix string
		names        []string // that mean it
	}{
		{"team/app", "team", []string{"team/app"}},
		{"hub/tool", "hub", []string{"hub/tool"}}, // one word: the rule has it as hub/library/tool
		{"hub/library/app", "hub", []string{"hub/library/app", "hub/app"}},
		{"library/app", rule.Root, []string{"library/app", "app"}},
	} {
		for _, name := range tt.names {
			t.Run(tt.repo+" as "+name, func(t *testing.T) {
				w := newWorld(t, onDisk(t))
				if err := w.db.CreateRepository(ctx, meta.Repository{Name: tt.repo}); err != nil && errs.CodeOf(err) != errs.RepoExists {
					t.Fatal(err)
				}
				w.SetRules(new(rule.Set))
				push := func(repo, tag, raw string) digest.Digest {
					t.Helper()
					p, err := w.PutManifest(ctx, root, repo, registry.ManifestPush{Reference: oci.Reference{Tag: tag}, ContentType: oci.MediaTypeIndex, Raw: []byte(raw)})
					if err != nil {
						t.Fatal(err)
					}
					return p.Digest
				}
				before := push(tt.repo, "v1", `{"schemaVersion":2,"manifests":[]}`)
				layer := w.blob(tt.repo, "layer")
				rules, problems := rule.NewSet([]rule.Rule{{Prefix: tt.prefix, Kind: rule.DockerHub, Upstream: "registry-1.docker.io", Window: 1}})
				if problems != nil {
					t.Fatal(problems)
				}
				w.SetRules(rules) // whose upstream there is none of: asking it would panic
				m, err := w.Manifest(ctx, root, name, oci.Reference{Tag: "v1"}, true)
				if err != nil || m.Manifest.Digest != before || m.Upstream != "" {
					t.Errorf("%+v, %v", m, err)
				}
				if _, err := w.Manifest(ctx, root, name, oci.Reference{Tag: "v0"}, true); errs.CodeOf(err) != errs.ManifestUnknown {
					t.Errorf("a tag that it has not: %v", err)
				}
				if got := w.content(name, layer); got != "layer" {
					t.Errorf("its layer is %q", got)
				}
				if _, err := w.Check(ctx, root, name, "v1"); errs.CodeOf(err) != errs.Unsupported {
					t.Errorf("a check on demand: %v", err)
				}
				push(name, "v2", `{"schemaVersion":2,"manifests":[],"annotations":{}}`)
				w.blob(name, "another layer")
				if l, err := w.Tags(ctx, root, name, "", 10); err != nil || !slices.Equal(l.Tags, []string{"v1", "v2"}) {
					t.Errorf("its tags are %+v, %v", l, err)
				}
				if ids, _, err := w.ImageIDs(ctx, root, name, registry.Which{}, registry.ImageID{}, 10); err != nil || len(ids) != 2 {
					t.Errorf("its images are %+v, %v", ids, err)
				}
				if repos, _, err := w.Repositories(ctx, root, []string{name}, "", 0); err != nil || repos[0].Name != tt.repo {
					t.Errorf("%+v, %v", repos, err)
				}
				if _, err := w.CreateRepository(ctx, root, registry.NewRepository{Name: name}); errs.CodeOf(err) != errs.RepoExists {
					t.Errorf("created anew: %v", err)
				}
				may := func(repo string) iam.Caller {
					return iam.Caller{Name: "ann", Policies: []iam.Policy{iam.PullPolicy("arn:aws:ecr:local:123456789012:repository/" + repo)}}
				}
				if _, err := w.Manifest(ctx, may(tt.repo), name, oci.Reference{Tag: "v1"}, true); err != nil {
					t.Errorf("by who may pull it: %v", err)
				}
				if _, err := w.Manifest(ctx, may(name), name, oci.Reference{Tag: "v1"}, true); name != tt.repo && errs.CodeOf(err) != errs.Denied {
					t.Errorf("by who may pull what it is not: %v", err)
				}
				if _, err := w.DeleteRepository(ctx, root, name, true); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
