package meta_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// TestHotReads pins what reads cost: nothing if they are of what is there and was read
// before, and what a write changed is read once.
func TestHotReads(t *testing.T) {
	ctx := t.Context()
	db := open(t, meta.Options{Path: filepath.Join(t.TempDir(), "weir.db")})
	putManifest(t, db, "r", "t", 0, "m", "layer l")
	putManifest(t, db, "r", "other", 0, "m", "layer l")
	putBlob(t, db, "l", 0, "r", "s")
	check(t, db.PutKey(ctx, meta.Key{ID: "k", Principal: "p"}))
	reads := map[string]func() error{
		"tag":            func() error { _, err := db.Tag(ctx, "r", "t"); return err },
		"other tag":      func() error { _, err := db.Tag(ctx, "r", "other"); return err },
		"manifest":       func() error { _, err := db.Manifest(ctx, "r", name("m")); return err },
		"blob":           func() error { _, err := db.Blob(ctx, "r", name("l")); return err },
		"blob elsewhere": func() error { _, err := db.Blob(ctx, "s", name("l")); return err },
		"key":            func() error { _, err := db.Key(ctx, "k"); return err },
		"repository":     func() error { _, err := db.DescribeRepository(ctx, "r"); return err },
		"policies":       func() error { _, err := db.UserPolicies(ctx, "p"); return err },
		"access":         func() error { _, err := db.Access(ctx, "r"); return err },
		"no access":      func() error { _, err := db.Access(ctx, "none"); return err },
		"registry":       func() error { _, err := db.RegistryPolicy(ctx); return err },
	}
	cost := func() map[string]int64 {
		t.Helper()
		costs := map[string]int64{}
		for what, read := range reads {
			before := db.Queries()
			check(t, read())
			if n := db.Queries() - before; n != 0 {
				costs[what] = n
			}
		}
		return costs
	}
	diff(t, "first reads", map[string]int64{"tag": 1, "other tag": 1, "manifest": 1, "blob": 1, "blob elsewhere": 1, "key": 1, "policies": 1, "repository": 1, "access": 1, "no access": 1, "registry": 1}, cost())
	hot := map[string]int64{}
	diff(t, "second reads", hot, cost())
	for _, tt := range []struct {
		name  string
		write func() error
		want  map[string]int64
	}{
		{"check", func() error { return db.CheckTag(ctx, "r", "t", at(1), false) }, map[string]int64{"tag": 1}},
		{"put of a manifest without tag", func() error {
			m, e := manifest(t, "m2")
			_, err := db.PutManifest(ctx, "r", m, e, "", at(1))
			return err
		}, hot},
		{"move of a tag", func() error {
			m, e := manifest(t, "m2")
			_, err := db.PutManifest(ctx, "r", m, e, "t", at(1))
			return err
		}, map[string]int64{"tag": 1}},
		{"put of another blob", func() error { return store(ctx, db, name("l2"), 1, false, []string{"r"}, at(1)) }, hot},
		{"put of a key", func() error { return db.PutKey(ctx, meta.Key{ID: "k", Principal: "q"}) }, map[string]int64{"key": 1}},
		{"change of a key", func() error {
			return db.ChangeKey(ctx, "k", func(k *meta.Key) (*meta.Key, error) { k.Active = true; return k, nil })
		}, map[string]int64{"key": 1}},
		{"change of a user", func() error {
			return db.ChangeUser(ctx, "p", func(*meta.User, int) (*meta.User, error) { return &meta.User{Name: "p"}, nil })
		}, map[string]int64{"policies": 1}},
		{"change of a repository", func() error { _, err := db.PutMutability(ctx, "r", rule.Mutable, nil); return err }, map[string]int64{"repository": 1, "access": 1}},
		{"policy of a repository", func() error { return db.PutRepositoryPolicy(ctx, "r", document("P")) }, map[string]int64{"repository": 1, "access": 1}},
		{"policy of another repository", func() error { return db.PutRepositoryPolicy(ctx, "s", document("P")) }, hot},
		{"policy of the registry", func() error { return db.PutRegistryPolicy(ctx, document("P")) }, map[string]int64{"registry": 1}},
		{"change of a rule", func() error {
			return db.ChangeRule(ctx, "p", func(*rule.Rule, int) (*rule.Rule, error) { return nil, nil })
		}, hot},
		{"link", func() error { _, err := db.Link(ctx, "x", name("l"), at(1)); return err }, hot},
		{"pull", func() error { db.Touch("r", "t", name("m2"), at(1)); return nil }, hot},
	} {
		check(t, tt.write())
		diff(t, "reads after "+tt.name, tt.want, cost())
		diff(t, "reads after those after "+tt.name, hot, cost())
	}
	check(t, db.DropBlob(ctx, name("l")))
	costs := cost()
	if costs["blob"] != 1 || costs["blob elsewhere"] != 1 || len(costs) != 2 {
		t.Errorf("reads after a drop cost %v", costs)
	}
}

// TestMemoryIsExact does anything in any order and compares what memory says with what
// the database says.
func TestMemoryIsExact(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	ctx := t.Context()
	db := open(t, meta.Options{Path: filepath.Join(t.TempDir(), "weir.db")})
	repos, tags, blobs := []string{"r", "s"}, []string{"t", "u"}, []string{"c1", "l1", "c2", "l2"}
	manifests := map[string][]string{
		"m1": {"config c1", "layer l1"}, "m2": {"config c2", "layer l2"},
		"i1": {"child m1 linux/amd64", "child m2 linux/arm64"}, "i2": {"child m2 linux/amd64"},
	}
	pick := func(list []string) string { return list[rng.IntN(len(list))] }
	write := func(n int) string {
		repo, tag, blob := pick(repos), pick(tags), pick(blobs)
		m := pick([]string{"m1", "m2", "i1", "i2"})
		switch rng.IntN(14) {
		case 0, 1:
			putManifest(t, db, repo, tag, n, m, manifests[m]...)
			return "put " + repo + ":" + tag + " " + m
		case 2:
			putManifest(t, db, repo, "", n, m, manifests[m]...)
			return "put " + repo + " " + m
		case 3:
			check(t, store(ctx, db, name(blob), 10, rng.IntN(2) == 0, []string{repo}, at(n)))
			return "put " + repo + " " + blob
		case 4:
			must(db.Link(ctx, repo, name(blob), at(n)))(t)
			return "link " + repo + " " + blob
		case 5:
			check(t, db.DropBlob(ctx, name(blob)))
			return "drop " + blob
		case 6:
			_ = db.CheckTag(ctx, repo, tag, at(n), rng.IntN(2) == 0) // may not be there
			return "check " + repo + ":" + tag
		case 7:
			policies := []meta.UserPolicy{{Name: fmt.Sprint("p", n), Document: []byte{}}}
			check(t, db.ChangeUser(ctx, tag, func(u *meta.User, _ int) (*meta.User, error) {
				if u != nil && rng.IntN(3) == 0 {
					return nil, nil
				}
				return &meta.User{Name: tag, Policies: policies}, nil
			}))
			return "change user " + tag
		case 8:
			_ = db.ChangeKey(ctx, tag, func(k *meta.Key) (*meta.Key, error) { // may not be there
				if rng.IntN(3) == 0 {
					return nil, nil
				}
				k.Active = !k.Active
				return k, nil
			})
			return "change key " + tag
		case 9:
			_ = db.PutRepositoryPolicy(ctx, repo, document(fmt.Sprint("S", n))) // may not be there
			return "put policy of " + repo
		case 10:
			_, _ = db.DeleteRepositoryPolicy(ctx, repo) // may not be there
			return "delete policy of " + repo
		case 11:
			_, _ = db.DeleteRepository(ctx, repo, true) // may not be there
			return "delete " + repo
		case 12:
			if rng.IntN(3) == 0 {
				_, _ = db.DeleteRegistryPolicy(ctx) // may not be there
				return "delete policy of the registry"
			}
			check(t, db.PutRegistryPolicy(ctx, document(fmt.Sprint("S", n))))
			return "put policy of the registry"
		}
		check(t, db.PutKey(ctx, meta.Key{ID: pick(tags), Principal: fmt.Sprint("p", n), Active: rng.IntN(2) == 0}))
		return "put key"
	}
	type state struct {
		Tags      map[string]rule.Tag
		Manifests map[string]*oci.Manifest
		Blobs     map[string]rule.Blob
		Keys      map[string]meta.Key
		Policies  map[string][]meta.UserPolicy
		Access    map[string]string // kind, and the Sid of the policy
		Registry  string
	}
	read := func() state {
		s := state{map[string]rule.Tag{}, map[string]*oci.Manifest{}, map[string]rule.Blob{}, map[string]meta.Key{}, map[string][]meta.UserPolicy{}, map[string]string{}, ""}
		all := must(db.RegistryPolicy(ctx))(t)
		s.Registry = sidOf(all.Policy) + string(all.Document)
		for _, repo := range repos {
			a := must(db.Access(ctx, repo))(t)
			s.Access[repo] = a.Kind + " " + sidOf(a.Policy)
			for _, tag := range tags {
				s.Tags[repo+":"+tag], _ = db.Tag(ctx, repo, tag)
			}
			for _, b := range blobs {
				s.Blobs[repo+"@"+b] = must(db.Blob(ctx, repo, name(b)))(t)
			}
			for m := range manifests {
				s.Manifests[repo+"@"+m], _ = db.Manifest(ctx, repo, name(m))
			}
		}
		for _, k := range tags {
			s.Keys[k], _ = db.Key(ctx, k)
			s.Policies[k] = must(db.UserPolicies(ctx, k))(t)
		}
		return s
	}
	for n := range 400 {
		read()
		did := write(n)
		memory := read()
		db.DropCaches()
		diff(t, "memory after "+did, read(), memory)
		if t.Failed() {
			return
		}
	}
}

// TestMemoryIsNeverLate reads what is written at the same time: what a write that has
// returned wrote, every later read sees.
func TestMemoryIsNeverLate(t *testing.T) {
	ctx := t.Context()
	db := open(t, meta.Options{Path: filepath.Join(t.TempDir(), "weir.db")})
	putManifest(t, db, "r", "t", 0, "m")
	const writes = 100
	putPolicies := func(n int) {
		check(t, db.PutRepositoryPolicy(ctx, "r", document(fmt.Sprintf("S%03d", n))))
		check(t, db.PutRegistryPolicy(ctx, document(fmt.Sprintf("S%03d", n))))
	}
	putPolicies(0)
	var written atomic.Int64
	var state atomic.Int64 // of the blob, of four: held, being dropped, dropped, being put
	putBlob(t, db, "b", 0, "r")
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				n := written.Load()
				tag, err := db.Tag(ctx, "r", "t")
				if err != nil || tag.Checked.Before(at(int(n))) {
					t.Errorf("tag was checked at %v after write %d returned: %v", tag.Checked, n, err)
					return
				}
				a, err := db.Access(ctx, "r")
				all, failed := db.RegistryPolicy(ctx)
				if sid := fmt.Sprintf("S%03d", n); err != nil || failed != nil || sidOf(a.Policy) < sid || sidOf(all.Policy) < sid {
					t.Errorf("policies are %q and %q after write %d returned: %v, %v", sidOf(a.Policy), sidOf(all.Policy), n, err, failed)
					return
				}
				before := state.Load()
				b, err := db.Blob(ctx, "r", name("b"))
				settled := before%2 == 0 && state.Load() == before
				if err != nil || settled && b.Held != (before%4 == 0) {
					t.Errorf("blob is held: %t in state %d: %v", b.Held, before%4, err)
					return
				}
			}
		})
	}
	for n := range writes {
		check(t, db.CheckTag(ctx, "r", "t", at(n), false))
		putPolicies(n)
		written.Store(int64(n))
		state.Add(1)
		if n%2 == 0 {
			check(t, db.DropBlob(ctx, name("b")))
		} else {
			putBlob(t, db, "b", n, "r")
		}
		state.Add(1)
	}
	close(stop)
	wg.Wait()
}

func TestMemoryIsBounded(t *testing.T) {
	ctx := t.Context()
	db := open(t, meta.Options{Path: filepath.Join(t.TempDir(), "weir.db")})
	const limit = 1 << 20
	db.LimitCacheBytes(limit)
	large := make([]byte, limit/8)
	digests := make([]digest.Digest, 12)
	for i := range digests {
		digests[i] = name(fmt.Sprint("large", i))
		m := &oci.Manifest{Descriptor: oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: digests[i]}, Raw: large}
		must(db.PutManifest(ctx, "r", m, oci.Edges{}, "", at(0)))(t)
		must(db.Manifest(ctx, "r", digests[i]))(t)
		if n := db.CacheBytes(); n > limit {
			t.Fatalf("%d bytes of manifests are remembered", n)
		}
	}
	before := db.Queries()
	must(db.Manifest(ctx, "r", digests[len(digests)-1]))(t)
	diff(t, "queries of the newest", before, db.Queries())
	must(db.Manifest(ctx, "r", digests[0]))(t)
	diff(t, "queries of the oldest", before+1, db.Queries())

	// What is not there is asked for again and not remembered.
	for i := range 100 {
		_, _ = db.Tag(ctx, "r", fmt.Sprint("none", i))
		_, _ = db.Key(ctx, fmt.Sprint("none", i))
		_, _ = db.Blob(ctx, "r", name(fmt.Sprint("none", i)))
	}
	tags, links, blobs, keys := db.CacheRows()
	diff(t, "rows that are remembered", []int{0, 0, 0, 0}, []int{tags, links, blobs, keys})
}

// TestMemoryOfRepositories: what repositories bring along counts, and not only that they
// are so many.
func TestMemoryOfRepositories(t *testing.T) {
	ctx := t.Context()
	const n, limit = 40, 100
	var tags []rule.ResourceTag
	size := 0
	for i := range 50 {
		tag := rule.ResourceTag{Key: fmt.Sprintf("%03d", i) + strings.Repeat("k", 125), Value: strings.Repeat("v", 256)}
		tags = append(tags, tag)
		size += len(tag.Key) + len(tag.Value)
	}
	statement := string(document("S"))
	policy := []byte(statement + strings.Repeat(" ", 10_000-len(statement)))
	for what, row := range map[string]meta.Repository{
		"nothing":  {},
		"tags":     {ResourceTags: tags},
		"a policy": {Policy: policy},
	} {
		t.Run(what, func(t *testing.T) {
			db := open(t, meta.Options{Path: filepath.Join(t.TempDir(), "weir.db")})
			db.LimitCacheRepositories(limit)
			for i := range n {
				row.Name = fmt.Sprintf("r/%d", i)
				check(t, db.CreateRepository(ctx, row))
				must(db.DescribeRepository(ctx, row.Name))(t)
				must(db.Access(ctx, row.Name))(t)
			}
			repos, access := db.CacheRepositories()
			if what == "nothing" {
				diff(t, "remembered", []int{n, n}, []int{repos, access})
				return
			}
			had := len(row.Policy)
			if row.ResourceTags != nil {
				had = size
			}
			if repos*had > limit*2048 || access*had > limit*1024 || repos == 0 || access == 0 {
				t.Errorf("%d repositories, and what decides on %d, with %d bytes each", repos, access, had)
			}
		})
	}
}

func TestLRU(t *testing.T) {
	l := meta.NewLRU(3)
	l.Put("a", 1, 1)
	l.Put("b", 2, 1)
	l.Put("c", 3, 1)
	l.Get("a")
	l.Put("d", 4, 1) // b was used longest ago
	l.Put("big", 5, 4)
	l.Remove("none")
	has := func() (s string) {
		for _, k := range []string{"a", "b", "c", "d", "big"} {
			if v, ok := l.Get(k); ok {
				s += fmt.Sprint(k, v, " ")
			}
		}
		return s
	}
	diff(t, "four of cost 1 in 3", "a1 c3 d4 ", has())
	l.Put("c", 6, 2) // a was read first above
	diff(t, "one that grew", "c6 d4 ", has())
	l.Put("c", 7, 9)
	diff(t, "one that outgrew all", "d4 ", has())
	l.Remove("d")
	diff(t, "nothing", "", has())
	l.Put("a", 8, 3)
	diff(t, "all of it", "a8 ", has())
}

func BenchmarkHotTag(b *testing.B) {
	db, err := meta.Open(b.Context(), meta.Options{Path: filepath.Join(b.TempDir(), "weir.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	m := &oci.Manifest{Descriptor: oci.Descriptor{Digest: name("m")}}
	if _, err := db.PutManifest(b.Context(), "r", m, oci.Edges{}, "t", at(0)); err != nil {
		b.Fatal(err)
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := db.Tag(b.Context(), "r", "t"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkPutBlob(b *testing.B) {
	db, err := meta.Open(b.Context(), meta.Options{Path: filepath.Join(b.TempDir(), "weir.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	var n atomic.Int64
	for b.Loop() {
		if err := store(b.Context(), db, name(fmt.Sprint(n.Add(1))), 1, false, []string{"r"}, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}
