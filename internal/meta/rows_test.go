package meta_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

func testStatements(t *testing.T, o meta.Options) {
	db := open(t, o)
	for i, text := range meta.Statements() {
		if text == "" {
			t.Errorf("statement %d has no text", i)
			continue
		}
		stmt, err := db.Pool().PrepareContext(t.Context(), text)
		if err != nil {
			t.Errorf("%v\n%s", err, text)
			continue
		}
		check(t, stmt.Close())
	}
}

func testRegistry(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	if _, err := db.Registry(ctx); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Registry before Init: %v", err)
	}
	first := meta.Registry{ID: "123456789012", Region: "local", Created: at(0)}
	diff(t, "first Init made it", true, must(db.Init(ctx, first))(t))
	diff(t, "second Init made it", false, must(db.Init(ctx, meta.Registry{ID: "999999999999", Region: "other", Created: at(1)}))(t))
	diff(t, "registry", first, must(db.Registry(ctx))(t))
	check(t, db.Close())
	diff(t, "registry after reopening", first, must(open(t, o).Registry(ctx))(t))
}

func testKeys(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	if _, err := db.Key(ctx, "AKIA1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unknown key: %v", err)
	}
	root := meta.Key{ID: "AKIA2", Principal: "root", Root: true, Active: true, Sealed: []byte{0, 0xff, 'x'}, Created: at(0)}
	user := meta.Key{ID: "AKIA1", Principal: "build@ci", Active: true, Sealed: []byte{}, Created: at(1), Expires: at(3600)}
	check(t, db.PutKey(ctx, root))
	check(t, db.PutKey(ctx, user))
	diff(t, "root key", root, must(db.Key(ctx, "AKIA2"))(t))
	diff(t, "key", user, must(db.Key(ctx, "AKIA1"))(t))
	diff(t, "keys by ID", []meta.Key{user, root}, must(db.Keys(ctx))(t))

	user.Active = false
	check(t, db.PutKey(ctx, user))
	diff(t, "key put again", user, must(db.Key(ctx, "AKIA1"))(t))
	check(t, db.PutKey(ctx, meta.Key{ID: "AKIA3", Principal: "p"}))
	diff(t, "key without anything", meta.Key{ID: "AKIA3", Principal: "p", Sealed: []byte{}}, must(db.Key(ctx, "AKIA3"))(t))
}

func testManifests(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	m, e := manifest(t, "m", "config c", "layer l", "layer l", "subject s")
	_, err := db.Manifest(ctx, "a/b", m.Digest)
	wantCode(t, "before", errs.ManifestUnknown, err)
	diff(t, "moved without a tag", false, must(db.PutManifest(ctx, "a/b", m, e, "", at(0)))(t))
	diff(t, "manifest", m, must(db.Manifest(ctx, "a/b", m.Digest))(t))
	_, err = db.Manifest(ctx, "a/c", m.Digest)
	wantCode(t, "in another repository", errs.ManifestUnknown, err)

	other := *m
	other.MediaType = oci.MediaTypeDocker
	must(db.PutManifest(ctx, "a/b", &other, e, "", at(1)))(t)
	diff(t, "media type stays", m, must(db.Manifest(ctx, "a/b", m.Digest))(t))
	must(db.PutManifest(ctx, "a/c", &other, e, "", at(1)))(t)
	diff(t, "media type is the repository's", &other, must(db.Manifest(ctx, "a/c", m.Digest))(t))

	large := &oci.Manifest{Descriptor: oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: name("large"), Size: oci.MaxManifestSize}, Raw: make([]byte, oci.MaxManifestSize)}
	must(db.PutManifest(ctx, "a/b", large, oci.Edges{}, "", at(1)))(t)
	db.DropCaches()
	if got := must(db.Manifest(ctx, "a/b", large.Digest))(t); !bytes.Equal(got.Raw, large.Raw) || got.Size != large.Size {
		t.Errorf("largest manifest came back with %d bytes", len(got.Raw))
	}
	large.Raw = append(large.Raw, 0)
	_, err = db.PutManifest(ctx, "a/b", large, oci.Edges{}, "", at(1))
	wantCode(t, "too large", errs.ManifestTooLarge, err)
}

// testManyEdges: what an index names comes back in its order, however much it is.
func testManyEdges(t *testing.T, o meta.Options) {
	db := open(t, o)
	for _, n := range []int{0, 1, 31, 32, 33, 64, 5000} {
		var children []string
		for i := range n {
			children = append(children, fmt.Sprintf("child m%d linux/cpu%d", n-i, i))
		}
		m, e := manifest(t, fmt.Sprint("index", n), children...)
		must(db.PutManifest(t.Context(), "r", m, e, "t", at(0)))(t)
		diff(t, fmt.Sprintf("%d children", n), e.List, must(db.Missing(t.Context(), "r", m.Digest, ""))(t))
	}
}

// testForeignBytes puts what an upstream may say into every field that is its own.
func testForeignBytes(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	nasty := "application/x; a=\"\x00\xff\xfe\u2028'\""
	m := &oci.Manifest{Descriptor: oci.Descriptor{MediaType: nasty, Digest: name("m"), Size: 4}, Raw: []byte("\x00\xff'\"")}
	platform := &oci.Platform{OS: "a\x00b", Architecture: "'; DROP TABLE tags; --", Variant: "\u2028", OSVersion: "\x7f"}
	e := oci.Edges{List: []oci.Edge{{Kind: oci.EdgeChild, Descriptor: oci.Descriptor{MediaType: nasty, Digest: name("c"), Size: 1, Platform: platform}}}, ArtifactType: nasty}
	must(db.PutManifest(ctx, "r", m, e, "t", at(0)))(t)
	db.DropCaches()
	diff(t, "manifest", m, must(db.Manifest(ctx, "r", m.Digest))(t))
	diff(t, "edge", e.List, must(db.Missing(ctx, "r", m.Digest, ""))(t))

	empty := &oci.Manifest{Descriptor: oci.Descriptor{Digest: name("empty")}}
	must(db.PutManifest(ctx, "r", empty, oci.Edges{}, "", at(0)))(t)
	db.DropCaches()
	got := must(db.Manifest(ctx, "r", empty.Digest))(t)
	if got.MediaType != "" || len(got.Raw) != 0 {
		t.Errorf("empty manifest came back as %+v", got)
	}
}

// testMalformed hands every method what must never reach a column of text.
func testMalformed(t *testing.T, o meta.Options) {
	db := open(t, o)
	good, e := manifest(t, "m", "layer l")
	with := func(d digest.Digest) *oci.Manifest {
		return &oci.Manifest{Descriptor: oci.Descriptor{Digest: d}}
	}
	edges := func(d digest.Digest) oci.Edges {
		return oci.Edges{List: []oci.Edge{{Kind: oci.EdgeLayer, Descriptor: oci.Descriptor{Digest: d}}}}
	}
	type methods map[string]func(ctx context.Context, bad string) error
	second := func(_ any, err error) error { return err }
	byRepo := methods{
		"Tag":         func(ctx context.Context, s string) error { return second(db.Tag(ctx, s, "t")) },
		"Manifest":    func(ctx context.Context, s string) error { return second(db.Manifest(ctx, s, good.Digest)) },
		"PutManifest": func(ctx context.Context, s string) error { return second(db.PutManifest(ctx, s, good, e, "t", at(0))) },
		"CheckTag":    func(ctx context.Context, s string) error { return db.CheckTag(ctx, s, "t", at(0), true) },
		"Blob":        func(ctx context.Context, s string) error { return second(db.Blob(ctx, s, good.Digest)) },
		"PutBlob": func(ctx context.Context, s string) error {
			return db.PutBlob(ctx, good.Digest, 1, true, []string{"ok", s}, at(0))
		},
		"Link":      func(ctx context.Context, s string) error { return second(db.Link(ctx, s, good.Digest, at(0))) },
		"Parents":   func(ctx context.Context, s string) error { return second(db.Parents(ctx, s, good.Digest)) },
		"EdgeKinds": func(ctx context.Context, s string) error { return second(db.EdgeKinds(ctx, s, good.Digest)) },
		"Missing":   func(ctx context.Context, s string) error { return second(db.Missing(ctx, s, good.Digest, "")) },
		"History":   func(ctx context.Context, s string) error { return second(db.History(ctx, s, "t", 1)) },
		"Tags":      func(ctx context.Context, s string) error { return second(db.Tags(ctx, s, "", 1)) },
	}
	byTag := methods{
		"Tag":      func(ctx context.Context, s string) error { return second(db.Tag(ctx, "r", s)) },
		"CheckTag": func(ctx context.Context, s string) error { return db.CheckTag(ctx, "r", s, at(0), true) },
		"History":  func(ctx context.Context, s string) error { return second(db.History(ctx, "r", s, 1)) },
	}
	byDigest := methods{
		"Manifest": func(ctx context.Context, s string) error { return second(db.Manifest(ctx, "r", digest.Digest(s))) },
		"PutManifest": func(ctx context.Context, s string) error {
			return second(db.PutManifest(ctx, "r", with(digest.Digest(s)), e, "", at(0)))
		},
		"PutManifest edges": func(ctx context.Context, s string) error {
			return second(db.PutManifest(ctx, "r", good, edges(digest.Digest(s)), "", at(0)))
		},
		"Blob": func(ctx context.Context, s string) error { return second(db.Blob(ctx, "r", digest.Digest(s))) },
		"PutBlob": func(ctx context.Context, s string) error {
			return db.PutBlob(ctx, digest.Digest(s), 1, true, nil, at(0))
		},
		"Link":      func(ctx context.Context, s string) error { return second(db.Link(ctx, "r", digest.Digest(s), at(0))) },
		"DropBlob":  func(ctx context.Context, s string) error { return db.DropBlob(ctx, digest.Digest(s)) },
		"Parents":   func(ctx context.Context, s string) error { return second(db.Parents(ctx, "r", digest.Digest(s))) },
		"EdgeKinds": func(ctx context.Context, s string) error { return second(db.EdgeKinds(ctx, "r", digest.Digest(s))) },
		"Missing":   func(ctx context.Context, s string) error { return second(db.Missing(ctx, "r", digest.Digest(s), "")) },
	}
	byWord := methods{
		"PutKey":           func(ctx context.Context, s string) error { return db.PutKey(ctx, meta.Key{ID: s, Principal: "p"}) },
		"PutKey principal": func(ctx context.Context, s string) error { return db.PutKey(ctx, meta.Key{ID: "k", Principal: s}) },
		"Init": func(ctx context.Context, s string) error {
			return second(db.Init(ctx, meta.Registry{ID: s, Region: "r"}))
		},
		"Init region": func(ctx context.Context, s string) error {
			return second(db.Init(ctx, meta.Registry{ID: "1", Region: s}))
		},
	}
	for _, group := range []struct {
		what string
		code errs.Code
		methods
	}{
		{"repository", errs.NameInvalid, byRepo},
		{"tag", errs.TagInvalid, byTag},
		{"digest", errs.DigestInvalid, byDigest},
		{"word", errs.ParamInvalid, byWord},
	} {
		for what, bad := range map[string]string{"NUL": "a\x00", "not UTF-8": "a\xff", "a space": "a b", "empty": ""} {
			for method, call := range group.methods {
				wantCode(t, method+" with "+group.what+" of "+what, group.code, call(t.Context(), bad))
			}
		}
	}
	for what, bad := range map[string]string{"NUL": "a\x00", "not UTF-8": "a\xff"} {
		_, err := db.Repositories(t.Context(), bad, 1)
		wantCode(t, "Repositories after "+what, errs.ParamInvalid, err)
		_, err = db.Tags(t.Context(), "r", bad, 1)
		wantCode(t, "Tags after "+what, errs.ParamInvalid, err)
		_, err = db.Key(t.Context(), bad)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Key of %s: %v", what, err)
		}
		db.Touch("r", bad, good.Digest, at(0))
		db.Touch(bad, "t", good.Digest, at(0))
		db.Touch("r", "t", digest.Digest(bad), at(0))
	}
	_, err := db.PutManifest(t.Context(), "r", good, e, "a\x00", at(0))
	wantCode(t, "PutManifest with a malformed tag", errs.TagInvalid, err)
	_, err = db.Missing(t.Context(), "r", good.Digest, "a\x00")
	wantCode(t, "Missing like a malformed digest", errs.DigestInvalid, err)
	wantCode(t, "PutBlob of a negative size", errs.ParamInvalid, db.PutBlob(t.Context(), good.Digest, -1, true, nil, at(0)))
	diff(t, "pull times that wait", 0, db.Pulls())
	diff(t, "repositories", []string(nil), must(db.Repositories(t.Context(), "", 10))(t))
}

func testTags(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	_, err := db.Tag(ctx, "r", "t")
	wantCode(t, "before", errs.ManifestUnknown, err)
	diff(t, "first put moves", true, putManifest(t, db, "r", "t", 1, "m1", "layer l"))
	diff(t, "tag", rule.Tag{Digest: name("m1"), Checked: at(1)}, must(db.Tag(ctx, "r", "t"))(t))
	diff(t, "same again moves", false, putManifest(t, db, "r", "t", 2, "m1", "layer l"))
	check(t, db.CheckTag(ctx, "r", "t", at(3), true))
	diff(t, "other moves", true, putManifest(t, db, "r", "t", 4, "m2", "layer l"))
	diff(t, "tag after a move", rule.Tag{Digest: name("m2"), Checked: at(4)}, must(db.Tag(ctx, "r", "t"))(t))
	diff(t, "back moves", true, putManifest(t, db, "r", "t", 5, "m1", "layer l"))
	diff(t, "untagged moves", false, putManifest(t, db, "r", "", 6, "m3", "layer l"))

	moves := []rule.Move{
		{From: name("m2"), To: name("m1"), At: at(5)},
		{From: name("m1"), To: name("m2"), At: at(4)},
		{From: "", To: name("m1"), At: at(1)},
	}
	diff(t, "history", moves, must(db.History(ctx, "r", "t", 10))(t))
	diff(t, "last two moves", moves[:2], must(db.History(ctx, "r", "t", 2))(t))
	for _, none := range []int{0, -1} {
		diff(t, "no moves", []rule.Move(nil), must(db.History(ctx, "r", "t", none))(t))
	}
	diff(t, "history of another tag", []rule.Move(nil), must(db.History(ctx, "r", "t2", 10))(t))
	diff(t, "history elsewhere", []rule.Move(nil), must(db.History(ctx, "r2", "t", 10))(t))
	diff(t, "old manifest stays", name("m2"), must(db.Manifest(ctx, "r", name("m2")))(t).Digest)
}

func testHistoryClock(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	putManifest(t, db, "r", "t", 100, "m1")
	putManifest(t, db, "r", "t", 1, "m2")
	putManifest(t, db, "r", "t", 1, "m3")
	diff(t, "history", []rule.Move{
		{From: name("m2"), To: name("m3"), At: at(1)},
		{From: name("m1"), To: name("m2"), At: at(1)},
		{From: "", To: name("m1"), At: at(100)},
	}, must(db.History(ctx, "r", "t", 10))(t))
	diff(t, "checked goes back with the clock", at(1), must(db.Tag(ctx, "r", "t"))(t).Checked)
}

// testHistoryTrimmed: of very many moves of a tag the last stay, and of those before it,
// that the tag was what they left.
func testHistoryTrimmed(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	const n = 450
	putManifest(t, db, "r", "other", 0, "m0")
	for i := range n {
		putManifest(t, db, "r", "t", i, fmt.Sprint("m", i/2)) // each stays for two
		if i%2 > 0 {
			must(db.DeleteTag(ctx, "r", "t", at(i)))(t)
		}
	}
	moves := must(db.History(ctx, "r", "t", n))(t)
	diff(t, "moves that are kept", 150, len(moves))
	for i, m := range moves {
		want := rule.Move{From: name(fmt.Sprint("m", n/2-1-i/2)), At: at(n - 1 - i)}
		if i%2 > 0 {
			want = rule.Move{To: want.From, At: want.At}
		}
		diff(t, "the last ones", want, m)
	}
	diff(t, "another tag's", 1, len(must(db.History(ctx, "r", "other", 9))(t)))
	left := must(db.Left(ctx, "r"))(t)
	for i := range n / 2 {
		if s := fmt.Sprint("m", i); !left[name(s)] {
			t.Errorf("%s is not known as left any more", s)
		}
	}
	must(db.DeleteManifest(ctx, "r", name("m7"), at(n)))(t)
	if must(db.Left(ctx, "r"))(t)[name("m7")] {
		t.Error("what is gone is known as left")
	}
	putManifest(t, db, "r", "t", n, "m9")
	diff(t, "another one", rule.Move{To: name("m9"), At: at(n)}, must(db.History(ctx, "r", "t", 1))(t)[0])
}

func testCheckTag(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	wantCode(t, "unknown tag", errs.ManifestUnknown, db.CheckTag(ctx, "r", "t", at(1), false))
	putManifest(t, db, "r", "t", 1, "m")
	for _, want := range []rule.Tag{
		{Checked: at(2), Orphaned: true},
		{Checked: at(1), Orphaned: true},
		{Checked: at(3)},
		{Checked: time.Time{}},
		{Checked: time.Date(1969, 1, 1, 0, 0, 0, 1000, time.UTC)},
	} {
		check(t, db.CheckTag(ctx, "r", "t", want.Checked, want.Orphaned))
		want.Digest, want.Complete = name("m"), name("m")
		diff(t, "tag", want, must(db.Tag(ctx, "r", "t"))(t))
		db.DropCaches()
		diff(t, "tag as stored", want, must(db.Tag(ctx, "r", "t"))(t))
	}
}

func testLists(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	_, err := db.Tags(ctx, "a", "", 10)
	wantCode(t, "tags of no repository", errs.RepoUnknown, err)
	// In the order of bytes, which is no language's.
	repos := []string{"a", "a-b", "a.b", "a/b", "a0", "a_b", "aa", "b"}
	tags := []string{"0", "A", "B", "Z", "_", "a", "a-", "a.", "aa", "b"}
	for i := range repos {
		putManifest(t, db, repos[len(repos)-1-i], "", 0, "m")
	}
	diff(t, "no tags", []string(nil), must(db.Tags(ctx, "a", "", 10))(t))
	for i := range tags {
		putManifest(t, db, "a", tags[len(tags)-1-i], 0, "m")
	}
	page := func(list func(after string, limit int) ([]string, error), limit int) (all []string) {
		for after := ""; ; after = all[len(all)-1] {
			names := must(list(after, limit))(t)
			if len(names) > limit {
				t.Fatalf("%d names where at most %d were asked for", len(names), limit)
			}
			if all = append(all, names...); len(names) < limit {
				return all
			}
		}
	}
	for _, limit := range []int{1, 2, 3, 100} {
		diff(t, "repositories", repos, page(func(after string, limit int) ([]string, error) { return db.Repositories(ctx, after, limit) }, limit))
		diff(t, "tags", tags, page(func(after string, limit int) ([]string, error) { return db.Tags(ctx, "a", after, limit) }, limit))
	}
	diff(t, "after what is not there", []string{"aa", "b"}, must(db.Repositories(ctx, "a_c", 10))(t))
	diff(t, "no limit, no names", []string(nil), must(db.Repositories(ctx, "", 0))(t))
	diff(t, "negative limit, no names", []string(nil), must(db.Repositories(ctx, "", -1))(t))
	diff(t, "how many", int64(len(repos)), must(db.CountCached(ctx, ""))(t))
	diff(t, "how many of one", int64(1), must(db.CountCached(ctx, "a"))(t))
	_, err = db.CountCached(ctx, "a\x00")
	wantCode(t, "of a malformed name", errs.ParamInvalid, err)
}

func testTouch(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	putManifest(t, db, "r", "t", 1, "m", "layer l")
	putBlob(t, db, "l", 1, "r")
	db.Touch("r", "t", name("m"), at(5))
	db.Touch("r", "t", name("m"), at(4))
	db.Touch("r", "", name("m"), at(7))
	db.Touch("r", "", name("l"), at(6))
	db.Touch("r", "none", name("m"), at(8))
	db.Touch("none", "t", name("none"), at(8))
	check(t, db.Close())
	db.Touch("r", "t", name("m"), at(9))

	db = open(t, o)
	diff(t, "tag", at(5), must(db.Tag(ctx, "r", "t"))(t).Pulled)
	pulled := func(query string) time.Time {
		var n int64
		check(t, db.Pool().QueryRowContext(ctx, query).Scan(&n))
		return time.UnixMicro(n).UTC()
	}
	// Tag none does not exist, but the manifest was served.
	diff(t, "manifest", at(8), pulled("SELECT pulled_at FROM manifests"))
	diff(t, "blob", at(6), pulled("SELECT pulled_at FROM blobs"))
	db.Touch("r", "t", name("m"), at(2))
	check(t, db.Close())
	db = open(t, o)
	diff(t, "pull times do not go back", at(5), must(db.Tag(ctx, "r", "t"))(t).Pulled)
	if _, err := db.Tag(ctx, "r", "none"); errs.CodeOf(err) != errs.ManifestUnknown {
		t.Errorf("a pull made a tag: %v", err)
	}
}

func testQueries(t *testing.T, o meta.Options) {
	db := open(t, o)
	diff(t, "queries of Open", int64(0), db.Queries())
	must(db.Repositories(t.Context(), "", 1))(t)
	diff(t, "queries of a read", int64(1), db.Queries())
	check(t, db.DropBlob(t.Context(), name("b")))
	diff(t, "queries of a write", int64(2), db.Queries())
}

func testCollation(t *testing.T, o meta.Options) {
	db := open(t, o)
	var byBytes, byLanguage bool
	check(t, db.Pool().QueryRowContext(t.Context(), `SELECT 'a' > 'B' COLLATE "C", 'a' > 'B'`).Scan(&byBytes, &byLanguage))
	if !byBytes || byLanguage {
		t.Errorf("a > B: %t by bytes, %t by the database, whose collation proves nothing", byBytes, byLanguage)
	}
	wrong := dump(t, db.Pool(), `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = 'public' AND data_type NOT IN ('bigint', 'bytea', 'boolean') AND (data_type <> 'text' OR collation_name IS DISTINCT FROM 'C')`)
	diff(t, "columns of other types or collations", []string(nil), wrong)
}

func testProcesses(t *testing.T, o meta.Options) {
	ctx := t.Context()
	a, b := open(t, o), open(t, o)
	putManifest(t, a, "r", "t", 1, "m1", "layer l")
	must(b.Tag(ctx, "r", "t"))(t)
	putManifest(t, a, "r", "t", 2, "m2", "layer l")
	diff(t, "tag", rule.Tag{Digest: name("m2"), Checked: at(2)}, must(b.Tag(ctx, "r", "t"))(t))
	putBlob(t, a, "l", 3, "r")
	diff(t, "blob", rule.Blob{Linked: true, Held: true, Size: 10}, must(b.Blob(ctx, "r", name("l")))(t))
	check(t, a.DropBlob(ctx, name("l")))
	diff(t, "dropped blob", rule.Blob{Linked: true, Size: 10}, must(b.Blob(ctx, "r", name("l")))(t))
	key := meta.Key{ID: "k", Principal: "p", Active: true, Sealed: []byte{1}}
	check(t, a.PutKey(ctx, key))
	must(b.Key(ctx, "k"))(t)
	key.Active = false
	check(t, a.PutKey(ctx, key))
	diff(t, "revoked key", key, must(b.Key(ctx, "k"))(t))
}

func testManifestMemory(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	putManifest(t, db, "r", "t", 1, "m")
	must(db.Manifest(ctx, "r", name("m")))(t)
	before := db.Queries()
	must(db.Manifest(ctx, "r", name("m")))(t)
	cost := int64(0)
	if o.URL != "" { // whether it is still there
		cost = 1
	}
	diff(t, "queries of a manifest", before+cost, db.Queries())
	must(db.Tag(ctx, "r", "t"))(t)
	diff(t, "queries of a tag", before+cost+1, db.Queries())
}

// dump returns the texts that a query gives.
func dump(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows := must(db.QueryContext(t.Context(), query))(t)
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		check(t, rows.Scan(&s))
		all = append(all, s)
	}
	check(t, rows.Err())
	return all
}
