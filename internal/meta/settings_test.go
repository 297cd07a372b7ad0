package meta_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
)

func testSettings(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	put := func(kind, name, value string, n int) {
		t.Helper()
		check(t, db.ChangeSetting(ctx, kind, name, func(*meta.Setting, int) (*meta.Setting, error) {
			return &meta.Setting{Value: []byte(value), Created: at(n)}, nil
		}))
	}
	all := func(kind, after string, limit int) []meta.Setting {
		t.Helper()
		return must(db.Settings(ctx, kind, after, limit))(t)
	}
	diff(t, "none", 0, len(all("a", "", 10)))
	for i, name := range []string{"c", "B", "b", "a"} {
		put("a", name, "\x00\xff"+name, i)
	}
	put("b", "a", "", 9)
	one := func(name string, n int) meta.Setting {
		return meta.Setting{Name: name, Value: []byte("\x00\xff" + name), Created: at(n)}
	}
	diff(t, "all of a kind, by bytes", []meta.Setting{one("B", 1), one("a", 3), one("b", 2), one("c", 0)}, all("a", "", meta.Everything))
	diff(t, "a page", []meta.Setting{one("a", 3), one("b", 2)}, all("a", "B", 2))
	diff(t, "another kind", []meta.Setting{{Name: "a", Value: []byte{}, Created: at(9)}}, all("b", "", 1))

	check(t, db.ChangeSetting(ctx, "a", "b", func(s *meta.Setting, n int) (*meta.Setting, error) {
		diff(t, "what is there", one("b", 2), *s)
		diff(t, "how many", 4, n)
		return nil, nil
	}))
	check(t, db.ChangeSetting(ctx, "a", "b", func(s *meta.Setting, n int) (*meta.Setting, error) {
		if s != nil || n != 3 {
			t.Errorf("after the deletion: %v, %d", s, n)
		}
		return nil, nil
	}))
	own := errors.New("own")
	if err := db.ChangeSetting(ctx, "a", "a", func(*meta.Setting, int) (*meta.Setting, error) { return nil, own }); !errors.Is(err, own) {
		t.Errorf("its own error: %v", err)
	}
	diff(t, "which changes nothing", []meta.Setting{one("a", 3)}, all("a", "B", 1))
	for what, err := range map[string]error{
		"name":  db.ChangeSetting(ctx, "a", "\x00", nil),
		"kind":  db.ChangeSetting(ctx, "", "a", nil),
		"long":  db.ChangeSetting(ctx, "a", strings.Repeat("a", 257), nil),
		"after": func() error { _, err := db.Settings(ctx, "a", "\xff", 1); return err }(),
	} {
		wantCode(t, what, errs.ParamInvalid, err)
	}
}

// testSettingsTogether: what two decide by what is there, they decide one after the
// other.
func testSettingsTogether(t *testing.T, o meta.Options) {
	one := open(t, o)
	two := one
	if o.Path == "" { // another process
		two = open(t, o)
	}
	const most = 5
	full := errors.New("full")
	var wg sync.WaitGroup
	failed := make([]error, 12)
	for i := range failed {
		db := []*meta.DB{one, two}[i%2]
		wg.Go(func() {
			failed[i] = db.ChangeSetting(t.Context(), "k", fmt.Sprintf("n%d", i), func(_ *meta.Setting, n int) (*meta.Setting, error) {
				if n >= most {
					return nil, full
				}
				return &meta.Setting{}, nil
			})
		})
	}
	wg.Wait()
	refused := 0
	for _, err := range failed {
		if errors.Is(err, full) {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	diff(t, "refused", len(failed)-most, refused)
	diff(t, "kept", most, len(must(one.Settings(t.Context(), "k", "", meta.Everything))(t)))
}

func testScanOnPush(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	check(t, db.CreateRepository(ctx, meta.Repository{Name: "a", Created: at(0), ScanOnPush: true}))
	check(t, db.CreateRepository(ctx, meta.Repository{Name: "b", Created: at(0)}))
	of := func(name string) bool {
		t.Helper()
		return must(db.DescribeRepository(ctx, name))(t).ScanOnPush
	}
	diff(t, "created with it", true, of("a"))
	diff(t, "created without", false, of("b"))
	diff(t, "changed", false, must(db.PutScanOnPush(ctx, "a", false))(t).ScanOnPush)
	diff(t, "changed to it", true, must(db.PutScanOnPush(ctx, "b", true))(t).ScanOnPush)
	diff(t, "then", false, of("a"))
	diff(t, "then too", true, of("b"))
	_, err := db.PutScanOnPush(ctx, "c", true)
	wantCode(t, "no repository", errs.RepoUnknown, err)
	_, err = db.PutScanOnPush(ctx, "C", true)
	wantCode(t, "malformed name", errs.NameInvalid, err)
}
