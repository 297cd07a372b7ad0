package meta_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
)

func strict(t *testing.T, db *meta.DB, repo, s string, edges []string, tags ...string) error {
	t.Helper()
	m, e := manifest(t, s, edges...)
	return db.PutImage(t.Context(), meta.Push{Repository: repo, Manifest: m, Edges: e, Tags: tags, At: at(1), Strict: true})
}

// testStrictPush: what ECR's API refuses of pushes, beside what all refuse.
func testStrictPush(t *testing.T, o meta.Options) {
	db := open(t, o)
	own(t, db, "r", "s")
	check(t, strict(t, db, "r", "m", nil))
	for _, tt := range []struct {
		name  string
		s     string
		edges []string
		tags  []string
		want  errs.Code
	}{
		{"again", "m", nil, nil, errs.ImageExists},
		{"by a tag", "m", nil, []string{"a"}, 0},
		{"by that tag", "m", nil, []string{"a"}, errs.ImageExists},
		{"without it", "m", nil, nil, errs.ImageExists},
		{"by one more", "m", nil, []string{"a", "b"}, 0},
		{"another by that tag", "n", nil, []string{"a"}, 0},
		{"back", "m", nil, []string{"a"}, 0},
		{"index of both", "i", []string{"child m", "child n"}, nil, 0},
		{"index of one that is not there", "j", []string{"child m", "child x"}, nil, errs.ChildUnknown},
		{"image of a layer that is not there", "k", []string{"config c"}, nil, errs.ManifestBlobUnknown},
		{"about what is not there", "l", []string{"subject x"}, nil, 0},
	} {
		if err := strict(t, db, "r", tt.s, tt.edges, tt.tags...); errs.CodeOf(err) != tt.want || tt.want == 0 && err != nil {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	wantCode(t, "children in another repository", errs.ChildUnknown, strict(t, db, "s", "i", []string{"child m"}))
	check(t, push(t, db, "s", "i", []string{"child m"})) // others need them not
	_, err := db.Manifest(t.Context(), "r", name("j"))
	wantCode(t, "what was refused", errs.ManifestUnknown, err)
}

// testStrictTogether: of several who push one image, one changes something.
func testStrictTogether(t *testing.T, o meta.Options) {
	db := pair(t, o)
	own(t, db[0], "r")
	for i := range rounds {
		var first atomic.Int32
		put := func(db *meta.DB) func() error {
			return func() error {
				err := strict(t, db, "r", fmt.Sprint("m", i), nil, "t")
				if errs.CodeOf(err) == errs.ImageExists {
					return nil
				}
				first.Add(1)
				return err
			}
		}
		together(t, put(db[0]), put(db[1]), put(db[0]))
		diff(t, "pushes that changed something", int32(1), first.Load())
	}
}

// testChildTogether: an index that was pushed strictly has its images, whoever deletes
// meanwhile.
func testChildTogether(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := pair(t, o)
	own(t, db[0], "r")
	for i := range rounds {
		child, index := fmt.Sprint("m", i), fmt.Sprint("i", i)
		check(t, push(t, db[0], "r", child, nil))
		var pushed, deleted error
		together(t,
			func() error { pushed = strict(t, db[0], "r", index, []string{"child " + child}); return nil },
			func() error { _, deleted = db[1].DeleteManifest(ctx, "r", name(child), at(2)); return nil },
		)
		switch {
		case pushed == nil && errs.CodeOf(deleted) == errs.ImageReferenced:
		case deleted == nil && errs.CodeOf(pushed) == errs.ChildUnknown:
		default:
			t.Errorf("pushed: %v; deleted: %v", pushed, deleted)
		}
	}
}

func testBlobType(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	own(t, db, "r", "s")
	upload(t, db, "r", "c")
	upload(t, db, "r", "l")
	upload(t, db, "s", "l")
	check(t, push(t, db, "r", "m", []string{"config c", "layer l"}))
	check(t, push(t, db, "r", "about", []string{"subject x"}))
	_, e := manifest(t, "m", "config c", "layer l")
	for _, tt := range []struct {
		repo, s, want string
		named         bool
	}{
		{"r", "c", e.List[0].MediaType, true},
		{"r", "l", e.List[1].MediaType, true},
		{"s", "l", "", false},
		{"r", "x", "", false}, // named otherwise
		{"r", "nowhere", "", false},
	} {
		got, named, err := db.BlobType(ctx, tt.repo, name(tt.s))
		if err != nil || got != tt.want || named != tt.named {
			t.Errorf("%s in %s: %q, %v, %v; want %q, %v", tt.s, tt.repo, got, named, err, tt.want, tt.named)
		}
	}
	_, _, err := db.BlobType(ctx, "R", name("c"))
	wantCode(t, "no name", errs.NameInvalid, err)
}
