package meta_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// rounds is how often two writers meet in each test below.
const rounds = 25

// pair opens the database twice, as two nodes do, where two processes may have it
// open, and once else.
func pair(t *testing.T, o meta.Options) [2]*meta.DB {
	t.Helper()
	a := open(t, o)
	if o.URL == "" {
		return [2]*meta.DB{a, a}
	}
	return [2]*meta.DB{a, open(t, o)}
}

// together runs all functions at once.
func together(t *testing.T, fs ...func() error) {
	t.Helper()
	start := make(chan struct{})
	var wg sync.WaitGroup
	for _, f := range fs {
		wg.Go(func() {
			<-start
			if err := f(); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
}

// testFinishTogether: whoever comes last of those who bring the parts of an image must
// see that it is complete, although none saw the others' parts when it began.
func testFinishTogether(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := pair(t, o)
	for i := range rounds {
		s := func(thing string) string { return fmt.Sprint(thing, i) }
		tag := s("t")
		putManifest(t, db[0], "r", tag, 0, s("index"), "child "+s("m")+" linux/amd64")
		putBlob(t, db[0], s("l2"), 0)
		m, e := manifest(t, s("m"), "config "+s("c"), "layer "+s("l1"), "layer "+s("l2"))
		together(t,
			func() error {
				_, err := db[0].PutManifest(ctx, "r", m, e, "", at(1))
				return err
			},
			func() error { return store(ctx, db[1], name(s("c")), 10, false, []string{"r"}, at(1)) },
			func() error { return store(ctx, db[0], name(s("l1")), 10, false, []string{"r"}, at(1)) },
			func() error {
				_, err := db[1].Link(ctx, "r", name(s("l2")), at(1))
				return err
			},
		)
		diff(t, "complete", name(s("index")), must(db[0].Tag(ctx, "r", tag))(t).Complete)
	}
}

// testMoveTogether: the history of a tag is a chain that ends at the tag.
func testMoveTogether(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := pair(t, o)
	move := func(db *meta.DB, who string) func() error {
		return func() error {
			for i := range rounds {
				m, e := manifest(t, fmt.Sprint(who, i%3))
				if _, err := db.PutManifest(ctx, "r", m, e, "t", at(i)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	together(t, move(db[0], "a"), move(db[1], "b"), move(db[1], "a"))
	moves := must(db[0].History(ctx, "r", "t", 1000))(t)
	if len(moves) == 0 || moves[len(moves)-1].From != "" {
		t.Fatalf("history does not begin with the tag: %v", moves)
	}
	for i, m := range moves[:len(moves)-1] {
		if m.From != moves[i+1].To || m.From == m.To {
			t.Errorf("move %d is from %s to %s, the one before went to %s", len(moves)-i, m.From, m.To, moves[i+1].To)
		}
	}
	diff(t, "the tag is where the last move led", moves[0].To, must(db[1].Tag(ctx, "r", "t"))(t).Digest)
}

func testInitTogether(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := pair(t, o)
	var created [4]bool
	var fs []func() error
	for i := range created {
		fs = append(fs, func() (err error) {
			created[i], err = db[i%2].Init(ctx, meta.Registry{ID: fmt.Sprint(i), Region: "local", Created: at(i)})
			return err
		})
	}
	together(t, fs...)
	winner := ""
	for i, c := range created {
		if c {
			winner += fmt.Sprint(i)
		}
	}
	diff(t, "the one that made it", must(db[0].Registry(ctx))(t).ID, winner)
}

// testLinkDropTogether: a blob that was dropped last is not served, whatever was
// linked meanwhile; one that was put last is.
func testLinkDropTogether(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := pair(t, o)
	for i := range rounds {
		d := name(fmt.Sprint("b", i))
		check(t, store(ctx, db[0], d, 10, false, []string{"first"}, at(0)))
		var linked bool
		together(t,
			func() (err error) {
				linked, err = db[0].Link(ctx, "r", d, at(1))
				return err
			},
			func() error { return db[1].DropBlob(ctx, d) },
		)
		want := rule.Blob{Linked: linked, Size: -1}
		diff(t, "after a drop", want, must(db[0].Blob(ctx, "r", d))(t))

		together(t,
			func() error { return store(ctx, db[0], d, 10, false, []string{"r"}, at(2)) },
			func() error {
				_, err := db[1].Link(ctx, "r", d, at(2))
				return err
			},
		)
		diff(t, "after a put", rule.Blob{Linked: true, Held: true, Size: 10}, must(db[1].Blob(ctx, "r", d))(t))
	}
}

// testPublicTogether: public is not lost between two who put the same blob.
func testPublicTogether(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := pair(t, o)
	for i := range rounds {
		d := name(fmt.Sprint("b", i))
		together(t,
			func() error { return store(ctx, db[0], d, 10, true, []string{"a"}, at(1)) },
			func() error { return store(ctx, db[1], d, 10, false, []string{"b"}, at(1)) },
			func() error { return db[1].DropBlob(ctx, name("another")) },
		)
		for _, repo := range []string{"a", "b"} {
			diff(t, "blob in "+repo, rule.Blob{Linked: true, Held: true, Public: true, Size: 10}, must(db[0].Blob(ctx, repo, d))(t))
		}
	}
}

// testOpenTogether: of several that find no schema one makes it.
func testOpenTogether(t *testing.T, o meta.Options) {
	if o.Path != "" {
		// One process opens a file at a time, whoever owns the folder sees to it.
		check(t, open(t, o).Close())
	}
	dbs := make([]*meta.DB, 4)
	var fs []func() error
	for i := range dbs {
		fs = append(fs, func() (err error) {
			dbs[i], err = meta.Open(t.Context(), o)
			return err
		})
	}
	together(t, fs...)
	for _, db := range dbs {
		if db == nil {
			t.Fatal("not all opened")
		}
		_, err := db.PutManifest(t.Context(), "r", &oci.Manifest{Descriptor: oci.Descriptor{Digest: digest.FromString("m")}}, oci.Edges{}, "t", at(0))
		check(t, err)
	}
	for _, db := range dbs {
		check(t, db.Close())
	}
}
