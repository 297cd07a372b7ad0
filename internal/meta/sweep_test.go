package meta_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/rule"
)

// sweepLinks sweeps all links, a few at a time.
func sweepLinks(t *testing.T, db *meta.DB, linked, pulled time.Time) (dropped int) {
	t.Helper()
	for after := (meta.Link{}); ; {
		n, last, err := db.SweepLinks(t.Context(), after, 2, linked, pulled)
		check(t, err)
		dropped += n
		if after = last; after == (meta.Link{}) {
			return dropped
		}
	}
}

// unlinked returns all blobs that are to go, read a few at a time.
func unlinked(t *testing.T, db *meta.DB, before time.Time) (blobs []digest.Digest) {
	t.Helper()
	for after := digest.Digest(""); ; {
		some, last, err := db.Unlinked(t.Context(), after, 2, before, before)
		check(t, err)
		blobs = append(blobs, some...)
		if after = last; after == "" {
			return blobs
		}
	}
}

func testSweepLinks(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	for i, b := range []string{"named", "config", "child", "old", "young", "elsewhere"} {
		putBlob(t, db, b, i, "r", "s")
	}
	putManifest(t, db, "r", "", 0, "m", "config config", "layer named")
	putManifest(t, db, "r", "", 0, "index", "child child") // naming gives a child's blob nothing
	putManifest(t, db, "s", "", 0, "m2", "layer elsewhere")
	for _, repo := range []string{"r", "s"} {
		must(db.Link(ctx, repo, name("young"), at(1000)))(t)
	}
	linked := func(repo string) (is []string) {
		t.Helper()
		for _, b := range []string{"named", "config", "child", "old", "young", "elsewhere"} {
			if must(db.Blob(ctx, repo, name(b)))(t).Linked {
				is = append(is, b)
			}
		}
		return is
	}
	linked("r") // into memory
	diff(t, "dropped too early", 0, sweepLinks(t, db, at(-1), at(999)))
	diff(t, "dropped so soon after the pull", 0, sweepLinks(t, db, at(999), at(-1)))
	diff(t, "dropped", 7, sweepLinks(t, db, at(999), at(999)))
	diff(t, "of r stay", []string{"named", "config", "young"}, linked("r"))
	diff(t, "of s stay", []string{"young", "elsewhere"}, linked("s"))

	// A push that is told that it need not send a blob counts on its link.
	db.Touch("r", "", name("young"), at(3000))
	check(t, db.Close())
	db = open(t, o)
	diff(t, "dropped of what a push counts on", 1, sweepLinks(t, db, at(2000), at(5000)))
	diff(t, "of r stay", []string{"named", "config", "young"}, linked("r"))
	db.Touch("r", "", name("young"), at(9000)) // not written yet
	diff(t, "dropped of what a push was just told", 0, sweepLinks(t, db, at(8000), at(8000)))
}

func testSweepBlobs(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	putBlob(t, db, "linked", 0, "r")
	putBlob(t, db, "free", 0)
	putBlob(t, db, "young", 100)
	check(t, db.Claim(ctx, name("claimed"), at(0)))
	check(t, db.Claim(ctx, name("claimed again"), at(0)))
	check(t, db.Claim(ctx, name("claimed again"), at(100)))
	putBlob(t, db, "held and claimed", 0)
	check(t, db.Claim(ctx, name("held and claimed"), at(100)))
	diff(t, "a claim is nothing to serve", rule.Blob{Size: -1}, must(db.Blob(ctx, "r", name("claimed")))(t))

	blobs := unlinked(t, db, at(50))
	set := map[digest.Digest]bool{}
	for _, d := range blobs {
		set[d] = true
	}
	diff(t, "to go", map[digest.Digest]bool{name("free"): true, name("claimed"): true}, set)
	diff(t, "linked since", true, must(db.Link(ctx, "r", name("free"), at(60)))(t))
	diff(t, "going", []digest.Digest{name("claimed")}, must(db.Going(ctx, blobs, at(50), at(50)))(t))
	diff(t, "no link to what goes", false, must(db.Link(ctx, "r", name("claimed"), at(60)))(t))
	wantCode(t, "PutBlob of what goes", errs.Unavailable, db.PutBlob(ctx, name("claimed"), 1, false, nil, at(60)))
	wantCode(t, "PutBlob of what nobody claimed", errs.Unavailable, db.PutBlob(ctx, name("new"), 1, false, nil, at(60)))

	// What a sweep left half done another one finds, whatever the time.
	diff(t, "left", []digest.Digest{name("claimed")}, unlinked(t, db, at(-100)))
	diff(t, "going again", []digest.Digest{name("claimed")}, must(db.Going(ctx, []digest.Digest{name("claimed"), name("linked")}, at(-100), at(-100)))(t))
	check(t, db.Gone(ctx, []digest.Digest{name("claimed"), name("linked")}))
	diff(t, "linked is no sweep's", true, must(db.Blob(ctx, "r", name("linked")))(t).Held)
	diff(t, "left after all", []digest.Digest(nil), unlinked(t, db, at(-100)))
	putBlob(t, db, "claimed", 70, "r")
	diff(t, "stored again", rule.Blob{Linked: true, Held: true, Size: 10}, must(db.Blob(ctx, "r", name("claimed")))(t))

	// A row that was dropped keeps its links: it is no sweep's either, until they go.
	check(t, db.DropBlob(ctx, name("linked")))
	diff(t, "dropped", []digest.Digest(nil), unlinked(t, db, at(50)))
	diff(t, "its link", 1, sweepLinks(t, db, at(1), at(1)))
	diff(t, "dropped, unlinked", []digest.Digest{name("linked")}, unlinked(t, db, at(50)))
}

// testFreed: blobs of a manifest that was deleted count as pulled when it was, also
// when the time is only in memory.
func testFreed(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	putBlob(t, db, "l", 0, "r")
	putManifest(t, db, "r", "t", 0, "m", "layer l")
	db.Touch("r", "t", name("m"), at(500))
	must(db.DeleteManifest(ctx, "r", name("m"), at(600)))(t)
	diff(t, "dropped while a client may come for it", 0, sweepLinks(t, db, at(999), at(499)))
	diff(t, "dropped", 1, sweepLinks(t, db, at(999), at(500)))
	diff(t, "to go while a client may read it", []digest.Digest(nil), unlinked(t, db, at(499)))
	diff(t, "to go", []digest.Digest{name("l")}, unlinked(t, db, at(500)))
}

// testServed: a manifest that was given without a pull keeps its blobs as one that was
// pulled does, before that is written and after, and has no other pull time.
func testServed(t *testing.T, o meta.Options) {
	ctx := t.Context()
	for n := range 4 {
		written, needed := n&1 > 0, n&2 > 0
		db := open(t, o)
		repo := fmt.Sprint("r", n)
		layer, m := repo+"-layer", repo+"-manifest"
		putBlob(t, db, layer, 0, repo)
		putManifest(t, db, repo, "t", 0, m, "layer "+layer)
		var want time.Time
		if needed {
			db.Needed(repo, name(m), at(500))
			want = at(500)
		} else {
			db.Served(repo, name(m), at(500))
		}
		if written {
			check(t, db.Close())
			db = open(t, o)
		}
		diff(t, "pulled", at(0), must(db.Image(ctx, repo, name(m)))(t).Pulled)
		diff(t, "needed", want, must(db.Facts(ctx, repo))(t).Images[0].Needed)
		diff(t, "tag pulled", true, must(db.Tag(ctx, repo, "t"))(t).Pulled.IsZero())
		must(db.DeleteManifest(ctx, repo, name(m), at(600)))(t)
		diff(t, "dropped while a client may come for it", 0, sweepLinks(t, db, at(999), at(499)))
		diff(t, "dropped", 1, sweepLinks(t, db, at(999), at(500)))
	}
}

// testLinkGoingTogether: a blob is linked or goes, never both.
func testLinkGoingTogether(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := pair(t, o)
	for i := range rounds {
		b := fmt.Sprint("b", i)
		putBlob(t, db[0], b, 0)
		var linked bool
		var going []digest.Digest
		together(t,
			func() (err error) {
				linked, err = db[0].Link(ctx, "r", name(b), at(1))
				return err
			},
			func() (err error) {
				going, err = db[1].Going(ctx, []digest.Digest{name(b)}, at(10), at(10))
				return err
			},
		)
		if linked == (len(going) > 0) {
			t.Errorf("linked is %t, going are %v", linked, going)
		}
		diff(t, "served", rule.Blob{Linked: linked, Held: linked, Size: map[bool]int64{true: 10, false: -1}[linked]}, must(db[1].Blob(ctx, "r", name(b)))(t))
	}
}

// testMountSweepTogether: of a mount and a sweep of the only link, the mount has a
// blob that stays, or none.
func testMountSweepTogether(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := pair(t, o)
	check(t, db[0].CreateRepository(ctx, meta.Repository{Name: "s", Created: at(0)}))
	for i := range rounds {
		b := fmt.Sprint("b", i)
		putBlob(t, db[0], b, 0, "r")
		var mounted bool
		var going []digest.Digest
		together(t,
			func() (err error) {
				mounted, err = db[0].Mount(ctx, "s", "r", name(b), at(100))
				return err
			},
			func() error {
				_, _, err := db[1].SweepLinks(ctx, meta.Link{}, 1000, at(10), at(10))
				if err == nil {
					going, err = db[1].Going(ctx, []digest.Digest{name(b)}, at(10), at(10))
				}
				return err
			},
		)
		if mounted == (len(going) > 0) {
			t.Errorf("mounted is %t, going are %v", mounted, going)
		}
		diff(t, "served", mounted, must(db[1].Blob(ctx, "s", name(b)))(t).Held)
	}
}

// testPushSweepTogether: a manifest is stored with all its blobs, or refused.
func testPushSweepTogether(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := pair(t, o)
	check(t, db[0].CreateRepository(ctx, meta.Repository{Name: "r", Created: at(0)}))
	for i := range rounds {
		b := fmt.Sprint("b", i)
		putBlob(t, db[0], b, 0, "r")
		m, e := manifest(t, fmt.Sprint("m", i), "layer "+b)
		pushed := true
		together(t,
			func() error {
				err := db[0].PutImage(ctx, meta.Push{Repository: "r", Manifest: m, Edges: e, At: at(100)})
				if errs.CodeOf(err) == errs.ManifestBlobUnknown {
					pushed, err = false, nil
				}
				return err
			},
			func() error {
				_, _, err := db[1].SweepLinks(ctx, meta.Link{}, 1000, at(10), at(10))
				if err == nil {
					_, err = db[1].Going(ctx, []digest.Digest{name(b)}, at(10), at(10))
				}
				return err
			},
		)
		diff(t, "served", pushed, must(db[1].Blob(ctx, "r", name(b)))(t).Held)
	}
}

// shelf has the bytes of blobs, as a store does.
type shelf struct {
	mu sync.Mutex
	m  map[digest.Digest]bool
}

func (s *shelf) set(d digest.Digest, there bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m[d] = there
}

// testCommitGoingTogether: whatever order two commits and a sweep of one blob come in,
// the bytes are there if the row says so, and nobody waits for ever.
func testCommitGoingTogether(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := pair(t, o)
	bytes := shelf{m: map[digest.Digest]bool{}}
	for i := range rounds {
		d := name(fmt.Sprint("b", i))
		check(t, store(ctx, db[0], d, 10, false, nil, at(0)))
		bytes.set(d, true)
		commit := func(db *meta.DB, repo string) func() error {
			return func() error {
				if err := db.Claim(ctx, d, at(100)); err != nil {
					return err
				}
				bytes.set(d, true)
				return db.PutBlob(ctx, d, 10, false, []string{repo}, at(100))
			}
		}
		sweep := func() error {
			going, err := db[1].Going(ctx, []digest.Digest{d}, at(10), at(10))
			for _, d := range going {
				bytes.set(d, false)
			}
			if err == nil {
				err = db[1].Gone(ctx, going)
			}
			return err
		}
		together(t, commit(db[0], "r"), sweep, commit(db[1], "s"))
		for _, repo := range []string{"r", "s"} {
			diff(t, "served", rule.Blob{Linked: true, Held: true, Size: 10}, must(db[0].Blob(ctx, repo, d))(t))
		}
		diff(t, "bytes", true, bytes.m[d])
	}
}

func testDropUpload(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	check(t, db.CreateRepository(ctx, meta.Repository{Name: "r", Created: at(0)}))
	check(t, db.PutUpload(ctx, meta.Upload{ID: "u", Repository: "r", Algorithm: digest.SHA256, Started: at(0), Updated: at(5)}))
	wantCode(t, "upload that is not idle", errs.UploadUnknown, db.DropUpload(ctx, "u", at(5)))
	wantCode(t, "unknown upload", errs.UploadUnknown, db.DropUpload(ctx, "v", at(6)))
	check(t, db.DropUpload(ctx, "u", at(6)))
	_, err := db.Upload(ctx, "r", "u")
	wantCode(t, "dropped upload", errs.UploadUnknown, err)
}
