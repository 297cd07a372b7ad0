package meta_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/weir-registry/weir/internal/meta"
)

// latest returns the number of the binary's last schema.
func latest(t *testing.T) int {
	t.Helper()
	entries := must(fs.ReadDir(meta.Migrations(), "migrations/sqlite"))(t)
	return len(entries)
}

// step is the file that leads to a schema, n after the binary's last.
func step(t *testing.T, n int) string {
	t.Helper()
	return fmt.Sprintf("%04d.sql", latest(t)+n)
}

// with returns the binary's migrations and further ones for both engines.
func with(t *testing.T, more map[string]string) fstest.MapFS {
	t.Helper()
	all := fstest.MapFS{}
	err := fs.WalkDir(meta.Migrations(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := fs.ReadFile(meta.Migrations(), name)
		all[name] = &fstest.MapFile{Data: text}
		return err
	})
	check(t, err)
	for name, text := range more {
		for _, dialect := range []string{"sqlite", "postgres"} {
			all["migrations/"+dialect+"/"+name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return all
}

// testSlowUpgrade: that a schema takes longer than a write may keeps weir from nothing.
func testSlowUpgrade(t *testing.T, o meta.Options) {
	db, err := meta.OpenWithin(t.Context(), o, time.Nanosecond)
	check(t, err)
	if err := db.PutKey(t.Context(), meta.Key{ID: "AKIA", Principal: "p", Created: time.Now()}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a write has no end: %v", err)
	}
	check(t, db.Close())
	putManifest(t, open(t, o), "r", "t", 1, "m")
}

func testMigration(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	putManifest(t, db, "r", "t", 1, "m")
	check(t, db.Close())

	next := with(t, map[string]string{
		step(t, 1): "CREATE TABLE novelty (name BIGINT NOT NULL); INSERT INTO novelty (name) VALUES (1);",
		step(t, 2): "UPDATE novelty SET name = name + 1;",
	})
	// A copy that an interrupted attempt left in part is in nobody's way.
	before := fmt.Sprintf("%s.before-%d", o.Path, latest(t)+1)
	if o.Path != "" {
		check(t, os.WriteFile(before+".part", []byte("half"), 0o600))
		check(t, os.WriteFile(before, []byte("earlier"), 0o600))
	}
	for range 2 {
		db := must(meta.OpenWith(ctx, o, next))(t)
		var n int
		check(t, db.Pool().QueryRowContext(ctx, "SELECT name FROM novelty").Scan(&n))
		diff(t, "both steps, once", 2, n)
		diff(t, "tag", name("m"), must(db.Tag(ctx, "r", "t"))(t).Digest)
		check(t, db.Close())
	}
	if o.Path == "" {
		return
	}
	copied := open(t, meta.Options{Path: before})
	diff(t, "tag in the copy", name("m"), must(copied.Tag(ctx, "r", "t"))(t).Digest)
	info := must(os.Stat(before))(t)
	diff(t, "mode of the copy", fs.FileMode(0o600), info.Mode())
	if _, err := os.Stat(before + ".part"); err == nil {
		t.Error("the part file is still there")
	}
}

func testNewerSchema(t *testing.T, o meta.Options) {
	db := must(meta.OpenWith(t.Context(), o, with(t, map[string]string{step(t, 1): "CREATE TABLE novelty (name BIGINT)"})))(t)
	check(t, db.Close())
	_, err := meta.Open(t.Context(), o)
	if err == nil {
		t.Fatal("a newer schema was opened")
	}
	for _, words := range []string{fmt.Sprintf("schema %d", latest(t)+1), fmt.Sprintf("up to %d", latest(t)), "newer weir", ".before-"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("error %q does not say %q", err, words)
		}
	}
}

func testFailedMigration(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	putManifest(t, db, "r", "t", 1, "m")
	check(t, db.Close())
	_, err := meta.OpenWith(ctx, o, with(t, map[string]string{
		step(t, 1): "DELETE FROM tag_history; DELETE FROM tags;",
		step(t, 2): "UPDATE nowhere SET name = 1;",
	}))
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("schema %d", latest(t)+2)) {
		t.Errorf("error of a failed migration: %v", err)
	}
	db = open(t, o)
	diff(t, "nothing of it happened", name("m"), must(db.Tag(ctx, "r", "t"))(t).Digest)
	check(t, db.Close())

	_, err = meta.OpenWith(ctx, o, with(t, map[string]string{step(t, 2): "SELECT 1"}))
	if err == nil || !strings.Contains(err.Error(), step(t, 1)) {
		t.Errorf("error of a gap in the migrations: %v", err)
	}
}

// testUpgrade: what was written under schema 1 is all there under the present one.
func testUpgrade(t *testing.T, o meta.Options) {
	first := fstest.MapFS{}
	for name, f := range with(t, nil) {
		if strings.HasSuffix(name, "/0001.sql") {
			first[name] = f
		}
	}
	check(t, must(meta.OpenWith(t.Context(), o, first))(t).Close())
	db := open(t, o)
	check(t, db.PutKey(t.Context(), meta.Key{ID: "AKIA1", Principal: "root", Root: true}))
	diff(t, "rules", 0, len(must(db.Rules(t.Context()))(t)))
	if o.Path == "" {
		return
	}
	if _, err := os.Stat(o.Path + ".before-2"); err != nil {
		t.Errorf("no copy of schema 1: %v", err)
	}
}

// testUpgradePushed: under schema 11 nobody noted what was pushed to cached repositories.
func testUpgradePushed(t *testing.T, o meta.Options) {
	ctx := t.Context()
	old := with(t, nil)
	for name := range old {
		if path.Base(name) > "0011.sql" {
			delete(old, name)
		}
	}
	db := must(meta.OpenWith(ctx, o, old))(t)
	repository := func(name, kind string) {
		_, err := db.Pool().ExecContext(ctx, `INSERT INTO repositories (name, created_at, kind, mutability, exclusions, resource_tags, scan_on_push, policy)
			VALUES ($1, 1, $2, 'MUTABLE', $3, $3, FALSE, $3)`, name, kind, []byte{})
		check(t, err)
	}
	pulls, pushes := someRule("hub", 1), someRule("quay/team", 2)
	pulls.Push, pushes.Push = false, true
	putRule(t, db, pulls)
	putRule(t, db, pushes)
	for _, name := range []string{"gone/app", "hub/app", "hub-other/app", "quay/team/app", "quay/teams/app"} {
		repository(name, meta.Cached)
	}
	repository("quay/team/own", meta.Own)
	pushed := func() (names []string) {
		check(t, db.Close())
		db = open(t, o)
		for _, r := range must(db.DescribeRepositories(ctx, "", 9))(t) {
			if r.Pushed {
				names = append(names, r.Name)
			}
		}
		return names
	}
	diff(t, "of a rule with pushes, or of none", []string{"gone/app", "hub-other/app", "quay/team/app", "quay/teams/app"}, pushed())
	putManifest(t, db, "hub/app", "", 1, "m1")
	putManifest(t, db, "hub/new", "", 1, "m1")
	own(t, db, "own")
	check(t, push(t, db, "own", "m1", nil))
	diff(t, "pulls", []string{"gone/app", "hub-other/app", "quay/team/app", "quay/teams/app"}, pushed())
	check(t, push(t, db, "hub/app", "m1", nil))
	diff(t, "at once", true, must(db.DescribeRepository(ctx, "hub/app"))(t).Pushed)
	diff(t, "a push", []string{"gone/app", "hub-other/app", "hub/app", "quay/team/app", "quay/teams/app"}, pushed())
	diff(t, "those with a lifecycle", []meta.Lifecycle{{Repository: "hub/new", Cached: true}}, must(db.Lifecycles(ctx, "", 9))(t))
}
