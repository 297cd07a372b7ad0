package pullthrough_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// TestNamingGivesNoAccess: an upstream that mallory controls names the digest of
// somebody's private layer in every way that a manifest can. Naming is not having.
func TestNamingGivesNoAccess(t *testing.T) {
	corp, evil := hub("hub"), hub("evil")
	corp.Credential, evil.Upstream = "corp", "evil.test"
	desc := func(d digest.Digest, mediaType string) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d,"urls":["https://evil.test/x"]}`, mediaType, d, 2*chunk)
	}
	const layer, foreign = "application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	for _, tt := range []struct {
		name string
		raw  func(d digest.Digest) string
	}{
		{"layer", func(d digest.Digest) string { return `{"schemaVersion":2,"layers":[` + desc(d, layer) + `]}` }},
		{"foreign layer", func(d digest.Digest) string { return `{"schemaVersion":2,"layers":[` + desc(d, foreign) + `]}` }},
		{"config", func(d digest.Digest) string { return `{"schemaVersion":2,"config":` + desc(d, layer) + `,"layers":[]}` }},
		{"subject", func(d digest.Digest) string {
			return `{"schemaVersion":2,"layers":[],"subject":` + desc(d, oci.MediaTypeManifest) + `}`
		}},
		{"child", func(d digest.Digest) string {
			return `{"schemaVersion":2,"manifests":[` + desc(d, oci.MediaTypeManifest) + `]}`
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				im := w.ups["hub"].image("secret", "v1", 1, 1, 2*chunk)
				w.wantTag("hub/secret", "v1", im.manifest.Digest, "miss", false)
				w.whole("hub/secret", im)
				for _, d := range []digest.Digest{im.layers[0], im.config, im.manifest.Digest} {
					mt := oci.MediaTypeManifest
					if tt.name == "child" {
						mt = oci.MediaTypeIndex
					}
					w.ups["evil"].put("x", "v1", mt, []byte(tt.raw(d)))
					<-time.After(2 * day)
					if _, err := w.tag("evil/x", "v1"); err != nil {
						t.Fatal(err)
					}
					if got, err := w.pull("evil/x", d); errs.CodeOf(err) != errs.BlobUnknown || len(got) > 0 {
						t.Errorf("blob %s: %d bytes, %v", d, len(got), err)
					}
					if _, err := w.cache.StatBlob(t.Context(), w.scope("evil/x"), d); errs.CodeOf(err) != errs.BlobUnknown {
						t.Errorf("HEAD of blob %s: %v", d, err)
					}
					if _, err := w.cache.Manifest(t.Context(), w.scope("evil/x"), oci.Reference{Digest: d}); errs.CodeOf(err) != errs.ManifestUnknown {
						t.Errorf("manifest %s: %v", d, err)
					}
				}
			}, corp, evil)
		})
	}
}

// TestProof: held bytes are shared with another repository only after its own
// upstream gave it one byte of them, or if anybody may have them.
func TestProof(t *testing.T) {
	corp, other, open, machine := hub("corp"), hub("other"), hub("open"), hub("machine")
	corp.Credential, other.Credential, machine.Kind = "corp", "other", rule.ECR
	for _, tt := range []struct {
		name  string
		first string // whose repository holds the blob
		then  string
		asked []string
		away  bool
		code  errs.Code
	}{
		{name: "private bytes, upstream agrees", first: "corp", then: "other", asked: []string{"BLOB app blob 0+1"}},
		{name: "private bytes, upstream away", first: "corp", then: "other", away: true, asked: []string{"BLOB app blob 0+1"}, code: errs.UpstreamUnreachable},
		{name: "bytes of an ECR, with the machine's rights", first: "machine", then: "other", asked: []string{"BLOB app blob 0+1"}},
		{name: "public bytes", first: "open", then: "corp"},
		{name: "public bytes, upstream away", first: "open", then: "corp", away: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				up := w.ups["corp"]
				d, data := up.blob(1, 3*chunk)
				if _, err := w.pull(tt.first+"/app", d); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				up.asked()
				if tt.away {
					up.refusing(answers(errs.UpstreamUnreachable, 0))
				}
				for range 2 {
					got, err := w.pull(tt.then+"/app", d)
					if errs.CodeOf(err) != tt.code || err == nil && !bytes.Equal(got, data) {
						t.Errorf("%d bytes, %v", len(got), err)
					}
				}
				w.wantAsked("corp", tt.asked...)
			}, corp, other, open, machine)
		})
	}
}

// TestJoinNeedsProof: joining a private transfer shares bytes, not rights.
func TestJoinNeedsProof(t *testing.T) {
	corp, other := hub("corp"), hub("other")
	corp.Credential, other.Credential = "corp", "other"
	for _, refused := range []bool{false, true} {
		t.Run(fmt.Sprintf("refused %t", refused), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				up := w.ups["corp"]
				d, data := up.blob(1, 30*chunk)
				up.refusing(func(_ context.Context, op, repo, ref string) error {
					if refused && repo == "mine" {
						return errs.New(errs.UpstreamDenied, "not yours")
					}
					return nil
				})
				go w.pull("corp/app", d)
				<-time.After(3 * time.Millisecond)
				got, err := w.pull("other/mine", d)
				synctest.Wait()
				<-time.After(time.Minute)
				if refused {
					if errs.CodeOf(err) != errs.UpstreamDenied || len(got) > 0 {
						t.Errorf("%d bytes, %v", len(got), err)
					}
					if row, err := w.db.Blob(t.Context(), "other/mine", d); err != nil || row.Linked {
						t.Errorf("linked: %+v, %v", row, err)
					}
					return
				}
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				w.wantAsked("corp", "BLOB app blob", "BLOB mine blob 0+1")
				if row, err := w.db.Blob(t.Context(), "other/mine", d); err != nil || !row.Linked {
					t.Errorf("not linked: %+v, %v", row, err)
				}
			}, corp, other)
		})
	}
}

// TestOthersFailureIsNoAnswer: a repository whose upstream does not have a blob
// does not spoil it for one whose upstream does.
func TestOthersFailureIsNoAnswer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		d, data := up.blob(1, 3*chunk)
		up.refusing(func(_ context.Context, op, repo, ref string) error {
			<-time.After(time.Second)
			if repo == "bad" {
				return errs.New(errs.BlobUnknown, "not here")
			}
			return nil
		})
		go w.pull("hub/bad", d)
		<-time.After(time.Millisecond)
		got, err := w.pull("hub/good", d)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		synctest.Wait()
		if _, err := w.pull("hub/bad", d); err != nil {
			// The bytes are public now: anybody may have them.
			t.Error(err)
		}
	})
}

// TestBadHostHarmsNoOther: a host that trickles or lies about a popular digest
// does not keep it from those who get it elsewhere.
func TestBadHostHarmsNoOther(t *testing.T) {
	good, evil := hub("hub"), hub("evil")
	evil.Upstream = "evil.test"
	inWorld(t, func(t *testing.T, w *world) {
		d, data := w.ups["hub"].blob(1, 3*chunk)
		w.ups["evil"].blob(1, 3*chunk)
		w.ups["evil"].opening(func(ctx context.Context, d digest.Digest, data []byte, offset, n int64) (io.ReadCloser, int64, int64, error) {
			b := w.ups["evil"].body(ctx, make([]byte, len(data)), -1)
			b.stop = chunk
			return b, 0, int64(len(data)), nil
		})
		go w.pull("evil/x", d)
		<-time.After(10 * time.Millisecond)
		start := time.Now()
		got, err := w.pull("hub/app", d)
		if err != nil || !bytes.Equal(got, data) || time.Since(start) > time.Second {
			t.Errorf("%d bytes after %s, %v", len(got), time.Since(start), err)
		}
		<-time.After(time.Hour)
	}, good, evil)
}

// TestWithoutUpstream: a caller that may not import gets what is held, and never
// makes weir ask.
func TestWithoutUpstream(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		im := up.image("app", "v1", 1, 1, 100)
		s := w.scope("hub/app")
		s.NoUpstream = errs.New(errs.Denied, "ecr:BatchImportUpstreamImage")
		if _, err := w.cache.Manifest(t.Context(), s, oci.Reference{Tag: "v1"}); errs.CodeOf(err) != errs.Denied {
			t.Errorf("cold tag: %v", err)
		}
		if _, err := w.cache.Manifest(t.Context(), s, oci.Reference{Digest: im.manifest.Digest}); errs.CodeOf(err) != errs.Denied {
			t.Errorf("cold digest: %v", err)
		}
		if _, err := w.cache.Blob(t.Context(), s, im.config); errs.CodeOf(err) != errs.Denied {
			t.Errorf("cold blob: %v", err)
		}
		if _, err := w.cache.StatBlob(t.Context(), s, im.config); errs.CodeOf(err) != errs.Denied {
			t.Errorf("cold HEAD: %v", err)
		}
		if _, err := w.cache.CheckNow(t.Context(), s, "v1"); errs.CodeOf(err) != errs.Denied {
			t.Errorf("check: %v", err)
		}
		w.wantAsked("hub")
		if _, err := w.tag("hub/app", "v1"); err != nil {
			t.Fatal(err)
		}
		w.whole("hub/app", im)
		up.asked()
		<-time.After(2 * day)
		if a, err := w.cache.Manifest(t.Context(), s, oci.Reference{Tag: "v1"}); err != nil || a.Digest != im.manifest.Digest {
			t.Errorf("held tag: %v", err)
		}
		if b, err := w.cache.Blob(t.Context(), s, im.config); err != nil {
			t.Errorf("held blob: %v", err)
		} else {
			b.Close()
		}
		w.wantAsked("hub")
	})
}
