package meta_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/rule"
)

var (
	east = rule.Destination{Region: "east", RegistryID: "111111111111"}
	west = rule.Destination{Region: "west", RegistryID: "222222222222"}
)

func sameCopy(t *testing.T, what string, want, got meta.Copy) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(meta.Copy{})); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// claimed claims what is due at second n for a minute; the zero Copy: nothing is.
func claimed(t *testing.T, db *meta.DB, to rule.Destination, claim string, n int) meta.Copy {
	t.Helper()
	c, ok, err := db.ClaimCopy(t.Context(), to, claim, at(n), at(n+60))
	check(t, err)
	diff(t, "something is due", ok, c.Repository != "")
	return c
}

func statuses(t *testing.T, db *meta.DB, repo, s string) string {
	t.Helper()
	text := ""
	for _, x := range must(db.ReplicationStatuses(t.Context(), repo, name(s)))(t) {
		word := "complete"
		if x.Waiting {
			word = "waiting"
		} else if x.Failure != "" {
			word = "failed " + x.Failure + " " + x.Reason
		}
		text += x.To.Region + " " + word + ";"
	}
	return text
}

func replicate(t *testing.T, db *meta.DB, to ...rule.Destination) {
	t.Helper()
	check(t, db.PutReplication(t.Context(), rule.Replication{{Destinations: to, Filters: []string{"r"}}}))
}

func testReplicationRules(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	own(t, db, "r", "r2", "s")
	diff(t, "none", rule.Replication(nil), must(db.Replication(ctx))(t))
	check(t, push(t, db, "r", "before", nil, "0"))
	rules := rule.Replication{
		{Destinations: []rule.Destination{east, west}, Filters: []string{"r2"}},
		{Destinations: []rule.Destination{east}, Filters: []string{"r"}},
		{Destinations: []rule.Destination{}},
	}
	check(t, db.PutReplication(ctx, rules))
	diff(t, "rules", rules, must(db.Replication(ctx))(t))
	wantCode(t, "no region", errs.ParamInvalid, db.PutReplication(ctx, rule.Replication{{Destinations: []rule.Destination{{RegistryID: "1"}}}}))

	var told atomic.Int64
	db.OnQueued(func() { told.Add(1) })
	check(t, push(t, db, "r", "m", nil, "1", "2"))
	check(t, push(t, db, "r2", "m", nil))
	check(t, push(t, db, "s", "m", nil, "1"))
	diff(t, "told", int64(2), told.Load())
	putManifest(t, db, "r3", "1", 1, "m") // a cached one
	check(t, push(t, db, "r3", "n", nil, "1"))
	m, e := manifest(t, "replica")
	check(t, db.PutImage(ctx, meta.Push{Repository: "r", Manifest: m, Edges: e, Tags: []string{"9"}, At: at(1), Replica: true}))

	diff(t, "queues", []meta.ReplicationQueue{{To: east, Length: 3, Oldest: at(1)}, {To: west, Length: 1, Oldest: at(1)}}, must(db.ReplicationQueues(ctx))(t))
	diff(t, "pushed before", "", statuses(t, db, "r", "before"))
	diff(t, "one rule", "east waiting;", statuses(t, db, "r", "m"))
	diff(t, "two rules", "east waiting;west waiting;", statuses(t, db, "r2", "m"))
	diff(t, "no rule", "", statuses(t, db, "s", "m"))

	check(t, db.PutReplication(ctx, rules[1:]))
	diff(t, "without a destination", []meta.ReplicationQueue{{To: east, Length: 3, Oldest: at(1)}}, must(db.ReplicationQueues(ctx))(t))
	check(t, db.PutReplication(ctx, rule.Replication{}))
	diff(t, "without any", 0, len(must(db.ReplicationQueues(ctx))(t)))
}

func testReplicationQueue(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	own(t, db, "r")
	replicate(t, db, east)
	check(t, push(t, db, "r", "a", nil, "t"))
	next := must(db.NextCopy(ctx, east))(t)
	diff(t, "due", at(1), next)
	diff(t, "nothing is due elsewhere", true, must(db.NextCopy(ctx, west))(t).IsZero())
	diff(t, "not due yet", "", claimed(t, db, east, "x", 0).Repository)

	a := claimed(t, db, east, "one", 1)
	want := meta.Copy{To: east, Repository: "r", Name: "t", Digest: name("a"), Queued: at(1), Attempts: 1}
	sameCopy(t, "the copy", want, a)
	diff(t, "tag", "t", a.Tag())
	diff(t, "claimed already", "", claimed(t, db, east, "two", 2).Repository)
	check(t, db.RenewCopy(ctx, a, at(100)))
	diff(t, "renewed", "", claimed(t, db, east, "two", 99).Repository)

	// The tag moves meanwhile: whoever has the claim keeps it, and then it is due again.
	check(t, push(t, db, "r", "b", nil, "t"))
	diff(t, "still claimed", "", claimed(t, db, east, "two", 50).Repository)
	diff(t, "the old image waits no more", "", statuses(t, db, "r", "a"))
	check(t, db.EndCopy(ctx, a, false, at(60)))
	diff(t, "the old image was copied", "east complete;", statuses(t, db, "r", "a"))
	b := claimed(t, db, east, "two", 60)
	diff(t, "the new image", name("b"), b.Digest)
	wantCode(t, "end of a claim that is over", errs.Conflict, db.EndCopy(ctx, a, false, at(61)))
	diff(t, "still waits", "east waiting;", statuses(t, db, "r", "b"))
	check(t, db.EndCopy(ctx, b, false, at(61)))
	diff(t, "is there", "east complete;", statuses(t, db, "r", "b"))
	diff(t, "queues", 0, len(must(db.ReplicationQueues(ctx))(t)))

	// A claim that nobody renews is over at its end.
	check(t, push(t, db, "r", "c", nil))
	c := claimed(t, db, east, "dead", 70)
	diff(t, "without a tag", "", c.Tag())
	again := claimed(t, db, east, "alive", 130)
	diff(t, "again", name("c"), again.Digest)
	diff(t, "attempts", 2, again.Attempts)
	wantCode(t, "renewal of what another has", errs.Conflict, db.RenewCopy(ctx, c, at(200)))
	check(t, db.PostponeCopy(ctx, c, at(1), "Late", "of no account"))
	check(t, db.FreeCopies(ctx, at(131)))
	if alone := o.Path != ""; alone {
		again = claimed(t, db, east, "after", 131)
		diff(t, "after a start", name("c"), again.Digest)
	}
	check(t, db.EndCopy(ctx, again, true, at(131)))
	diff(t, "no status", "", statuses(t, db, "r", "c"))

	for what, gone := range map[string]func() error{
		"tag":        func() error { _, err := db.DeleteTag(ctx, "r", "u", at(200)); return err },
		"last-tag":   func() error { _, err := db.DeleteTagged(ctx, "r", "u", "", at(200)); return err },
		"image":      func() error { _, err := db.DeleteManifest(ctx, "r", name("d"), at(200)); return err },
		"repository": func() error { _, err := db.DeleteRepository(ctx, "r", true); return err },
	} {
		_ = db.CreateRepository(ctx, meta.Repository{Name: "r", Created: at(0)})
		check(t, push(t, db, "r", "d", nil, "u"))
		d := claimed(t, db, east, what, 200)
		check(t, gone())
		diff(t, what+": queues", 0, len(must(db.ReplicationQueues(ctx))(t)))
		wantCode(t, what+": renewal", errs.Conflict, db.RenewCopy(ctx, d, at(300)))
		wantCode(t, what+": end", errs.Conflict, db.EndCopy(ctx, d, false, at(201)))
		if what != "tag" {
			diff(t, what+": status", "", statuses(t, db, "r", "d"))
		}
	}
}

func testReplicationFails(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	own(t, db, "r")
	replicate(t, db, east)
	check(t, push(t, db, "r", "a", nil, "t"))
	a := claimed(t, db, east, "one", 1)
	wantCode(t, "no word", errs.ParamInvalid, db.PostponeCopy(ctx, a, at(10), "two words", ""))
	check(t, db.PostponeCopy(ctx, a, at(10), "Refused", "a stranger's \xff words"))
	diff(t, "not due", "", claimed(t, db, east, "two", 9).Repository)
	diff(t, "still waits", "east waiting;", statuses(t, db, "r", "a"))
	a = claimed(t, db, east, "three", 10)
	check(t, push(t, db, "r", "b", nil))
	diff(t, "too early", 0, len(must(db.GiveUpCopies(ctx, at(1), at(10), 10))(t)))
	all := must(db.GiveUpCopies(ctx, at(2), at(10), 10))(t)
	diff(t, "the other is being copied", 1, len(all))
	diff(t, "never tried", "east failed NotTried it was never tried;", statuses(t, db, "r", "b"))
	check(t, db.PostponeCopy(ctx, a, at(20), "Refused", "a stranger's \xff words"))
	all = must(db.GiveUpCopies(ctx, at(2), at(10), 10))(t)
	diff(t, "given up", []meta.GivenUp{{To: east, Repository: "r", Name: "t", Digest: name("a"), Failure: "Refused", Reason: "a stranger's \xff words"}}, all)
	diff(t, "failed", "east failed Refused a stranger's \xff words;", statuses(t, db, "r", "a"))
	check(t, push(t, db, "r", "a", nil, "t"))
	diff(t, "pushed again", "east waiting;", statuses(t, db, "r", "a"))

	// What went wrong with what was there before is nothing of what is pushed meanwhile,
	// be it the same image.
	for n := 40; n < 42; n++ {
		a = claimed(t, db, east, fmt.Sprint("before", n), n)
		diff(t, "attempts", 1, a.Attempts)
		m, e := manifest(t, "c")
		check(t, db.PutImage(ctx, meta.Push{Repository: "r", Manifest: m, Edges: e, Tags: []string{"t"}, At: at(n + 1)}))
		check(t, db.PostponeCopy(ctx, a, at(900), "Refused", "the old one's"))
		diff(t, "due", at(n+1), must(db.NextCopy(ctx, east))(t))
	}
	all = must(db.GiveUpCopies(ctx, at(50), at(50), 10))(t)
	diff(t, "given up", []meta.GivenUp{{To: east, Repository: "r", Name: "t", Digest: name("c"), Failure: meta.NotTried, Reason: "it was never tried"}}, all)
}

// testReplicationHurry: what a clock that was ahead put off is due when it is right.
func testReplicationHurry(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	own(t, db, "r")
	hurry := func(n int) int64 {
		return must(db.HurryCopies(ctx, east, at(n), at(n+100)))(t)
	}
	diff(t, "nothing is queued", int64(0), hurry(0))
	replicate(t, db, east, west)
	for i, tag := range []string{"now", "late", "claimed", "pushed"} {
		m, e := manifest(t, tag)
		when := at(i)
		if tag == "pushed" {
			when = at(5000)
		}
		check(t, db.PutImage(ctx, meta.Push{Repository: "r", Manifest: m, Edges: e, Tags: []string{tag}, At: when}))
	}
	check(t, db.EndCopy(ctx, claimed(t, db, east, "a", 0), false, at(0)))
	check(t, db.PostponeCopy(ctx, claimed(t, db, east, "b", 4000), at(4060), "Refused", ""))
	diff(t, "the other", name("claimed"), claimed(t, db, east, "c", 4000).Digest)
	diff(t, "what is due soon", int64(0), hurry(4900))
	diff(t, "due", at(4060), must(db.NextCopy(ctx, east))(t))

	diff(t, "what is due late", int64(3), hurry(10))
	queues := must(db.ReplicationQueues(ctx))(t)
	diff(t, "queues", []meta.ReplicationQueue{{To: east, Length: 3, Oldest: at(1)}, {To: west, Length: 4, Oldest: at(0)}}, queues)
	got := map[string]bool{}
	for range 3 {
		c := claimed(t, db, east, fmt.Sprint("d", len(got)), 10)
		got[c.Name] = true
		if c.Name == "pushed" {
			diff(t, "queued", at(10), c.Queued)
		}
	}
	diff(t, "due now", map[string]bool{"late": true, "claimed": true, "pushed": true}, got)
	diff(t, "again", int64(0), hurry(10))
}

// testReplicationMany: a step of the queue costs as many statements whether one copy or
// a thousand wait. That each of them finds its row by an index is TestPlans'.
func testReplicationMany(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	own(t, db, "r")
	replicate(t, db, east)
	step := func(i int) int64 {
		before := db.Queries()
		c := claimed(t, db, east, fmt.Sprint("c", i), 100)
		must(db.NextCopy(ctx, east))(t)
		check(t, db.EndCopy(ctx, c, false, at(101)))
		return db.Queries() - before
	}
	check(t, push(t, db, "r", "first", nil, "first"))
	one := step(0)
	m, e := manifest(t, "m")
	for i := range 1000 / 50 {
		var tags []string
		for j := range 50 {
			tags = append(tags, fmt.Sprintf("t%d", 50*i+j))
		}
		check(t, db.PutImage(ctx, meta.Push{Repository: "r", Manifest: m, Edges: e, Tags: tags, At: at(1)}))
	}
	diff(t, "a thousand", int64(1000), must(db.ReplicationQueues(ctx))(t)[0].Length)
	diff(t, "statements of a step", one, step(1))
}

// testClaimTogether: nothing is claimed by two.
func testClaimTogether(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := pair(t, o)
	own(t, db[0], "r")
	replicate(t, db[0], east)
	for i := range rounds {
		check(t, push(t, db[0], "r", fmt.Sprint("m", i), nil))
	}
	var got [4][]meta.Copy
	var fs []func() error
	for n := range got {
		fs = append(fs, func() error {
			for i := 0; ; i++ {
				c, ok, err := db[n%2].ClaimCopy(ctx, east, fmt.Sprint(n, "-", i), at(2), at(60))
				if err != nil || !ok {
					return err
				}
				got[n] = append(got[n], c)
			}
		})
	}
	together(t, fs...)
	seen := map[string]bool{}
	for _, all := range got {
		for _, c := range all {
			if seen[c.Name] {
				t.Errorf("%s was claimed twice", c.Name)
			}
			seen[c.Name] = true
		}
	}
	diff(t, "claimed", rounds, len(seen))
}

// testPushCopyTogether: whatever is pushed under a tag last is what is copied last, by
// however many who copy.
func testPushCopyTogether(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := pair(t, o)
	own(t, db[0], "r")
	replicate(t, db[0], east)
	var there atomic.Value // what the destination has under the tag
	there.Store(name(""))
	copying := func(ctx context.Context, db *meta.DB, who string) error {
		for i := range 3 * rounds {
			c, ok, err := db.ClaimCopy(ctx, east, fmt.Sprint(who, i), at(1000), at(2000))
			if err != nil {
				return err
			}
			if ok {
				there.Store(c.Digest)
				if err := db.EndCopy(ctx, c, false, at(1000)); err != nil {
					return err
				}
			}
		}
		return nil
	}
	together(t,
		func() error {
			for i := range rounds {
				m, e := manifest(t, fmt.Sprint("m", i))
				if err := db[0].PutImage(ctx, meta.Push{Repository: "r", Manifest: m, Edges: e, Tags: []string{"t"}, At: at(i)}); err != nil {
					return err
				}
			}
			return nil
		},
		func() error { return copying(ctx, db[1], "a") },
		func() error { return copying(ctx, db[0], "b") },
	)
	check(t, copying(ctx, db[0], "c"))
	diff(t, "copied last", any(name(fmt.Sprint("m", rounds-1))), there.Load())
}
