package meta_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/rule"
)

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage")
	check(t, os.WriteFile(garbage, []byte(strings.Repeat("this is no database ", 100)), 0o600))
	for _, tt := range []struct {
		name string
		o    meta.Options
		says string
	}{
		{"neither", meta.Options{}, "neither a path nor a URL"},
		{"both", meta.Options{Path: "x", URL: "postgres:///x"}, "both a path and a URL"},
		{"no folder", meta.Options{Path: filepath.Join(dir, "none", "weir.db")}, filepath.Join(dir, "none", "weir.db")},
		{"a folder", meta.Options{Path: dir}, dir},
		{"not a database", meta.Options{Path: garbage}, garbage},
		{"no server", meta.Options{URL: "postgres://user:hunter2@/db?host=" + dir}, "db on " + dir},
		{"bad URL", meta.Options{URL: "postgres://user:hunter2@host:port/db"}, "open database"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db, err := meta.Open(t.Context(), tt.o)
			if err == nil {
				db.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %q does not say %q, or tells the password", err, tt.says)
			}
		})
	}
}

func TestFileIsPrivate(t *testing.T) {
	// A name in which a URI has something else to say.
	path := filepath.Join(t.TempDir(), "a b?c=d#e%20f&_pragma=x.db")
	db := open(t, meta.Options{Path: path})
	putManifest(t, db, "r", "t", 0, "m")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info := must(os.Stat(path + suffix))(t)
		diff(t, "mode of "+suffix, fs.FileMode(0o600), info.Mode())
	}
	check(t, db.Close())
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(path + suffix); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s after Close: %v", suffix, err)
		}
	}
	diff(t, "tag", name("m"), must(open(t, meta.Options{Path: path}).Tag(t.Context(), "r", "t"))(t).Digest)
}

func TestPragmasOfEveryConnection(t *testing.T) {
	db := open(t, meta.Options{Path: filepath.Join(t.TempDir(), "weir.db")})
	ctx := t.Context()
	for what, pool := range map[string]*sql.DB{"writes": db.Pool(), "reads": db.Reads()} {
		for i := range pool.Stats().MaxOpenConnections {
			conn := must(pool.Conn(ctx))(t) // another one each time: none is given back
			defer conn.Close()
			for pragma, want := range map[string]string{
				"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "trusted_schema": "0", "busy_timeout": "5000",
			} {
				var got string
				check(t, conn.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&got))
				diff(t, fmt.Sprintf("%s of connection %d of %s", pragma, i, what), want, got)
			}
		}
	}
}

// TestPlans: no statement walks through a table, or a repository's part of one, but
// those that list it, or delete a repository.
func TestPlans(t *testing.T) {
	db := open(t, meta.Options{Path: filepath.Join(t.TempDir(), "weir.db")})
	full := []string{"SCAN registry", "SCAN access_keys", "SCAN rules", "SCAN templates", "SCAN own", "SCAN below", "SCAN sizes", "SCAN replication", "SCAN CONSTANT ROW", "VALUES CLAUSE"}
	for _, text := range meta.Statements() {
		// That no tag is left, SQLite asks by the tags' own key, whatever indexes there are.
		whole := strings.HasPrefix(text, "DELETE FROM repositories") || strings.HasPrefix(text, "DELETE FROM manifests") || strings.HasSuffix(strings.TrimRight(text, ")"), "WHERE repository = $1")
		rows := must(db.Pool().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, slices.Repeat([]any{nil}, strings.Count(text, "$"))...))(t)
		for rows.Next() {
			var id, parent, unused int
			var step string
			check(t, rows.Scan(&id, &parent, &unused, &step))
			allowed := slices.ContainsFunc(full, func(s string) bool { return strings.HasSuffix(step, s) })
			key := strings.Contains(step, "autoindex_lifecycle_policies_1") // which has a row for a repository
			counts := strings.Contains(text, "COUNT(*), MIN(queued_at)") || strings.Contains(text, "FROM blobs WHERE state = 'held'") && strings.HasPrefix(text, "SELECT COUNT(*)")
			walks := strings.HasPrefix(step, "SCAN") && !allowed && !counts || strings.Contains(step, "(repository=?)") && !whole && !key
			if walks || strings.Contains(step, "AUTOMATIC") || strings.Contains(step, "TEMP B-TREE FOR ORDER BY") {
				t.Errorf("%s\n%s", step, text)
			}
		}
		check(t, rows.Err())
		check(t, rows.Close())
	}
}

// TestBubble is everything in fake time: nothing waits for the real clock, and Close
// leaves no goroutine behind, or the bubble would not end.
func TestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		o := meta.Options{Path: filepath.Join(t.TempDir(), "weir.db")}
		db := must(meta.Open(ctx, o))(t)
		putManifest(t, db, "r", "t", 0, "old", ships["old"]...)
		hold(t, db, oldAmd)
		diff(t, "complete", name("old"), must(db.Tag(ctx, "r", "t"))(t).Complete)

		pulled := time.Now()
		db.Touch("r", "t", name("old"), pulled)
		<-time.After(9 * time.Second)
		synctest.Wait()
		diff(t, "pull time after 9 s", time.Time{}, must(db.Tag(ctx, "r", "t"))(t).Pulled)
		<-time.After(time.Second)
		synctest.Wait()
		diff(t, "pull time after 10 s", pulled.UTC(), must(db.Tag(ctx, "r", "t"))(t).Pulled)

		// What nobody pulls costs nothing.
		before := db.Queries()
		<-time.After(24 * time.Hour)
		synctest.Wait()
		diff(t, "queries of a quiet day", before, db.Queries())

		pulled = time.Now()
		db.Touch("r", "t", name("old"), pulled)
		check(t, db.Close())
		check(t, db.Close())
		db = must(meta.Open(ctx, o))(t)
		diff(t, "pull time at Close", pulled.UTC(), must(db.Tag(ctx, "r", "t"))(t).Pulled)
		check(t, db.Close())
	})
}

// TestManyPulls: pull times do not pile up, whatever comes.
func TestManyPulls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := must(meta.Open(t.Context(), meta.Options{Path: filepath.Join(t.TempDir(), "weir.db")}))(t)
		putManifest(t, db, "r", "t", 0, "m")
		for i := range meta.MaxPulls/2 + 1 {
			db.Touch("r", fmt.Sprint(i), name("m"), at(1))
		}
		synctest.Wait() // without any time passing
		diff(t, "pull times that wait after half of what may", 0, db.Pulls())
		for i := range 3 * meta.MaxPulls {
			db.Touch("r", fmt.Sprint(i), name("m"), at(1))
			if n := db.Pulls(); n > meta.MaxPulls {
				t.Fatalf("%d pull times wait", n)
			}
		}
		check(t, db.Close())
	})
}

// TestCrash opens what the disk holds after each commit, and what it holds if the end
// of the log did not get there.
func TestCrash(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	path := filepath.Join(dir, "weir.db")
	var copies []string
	db := open(t, meta.Options{Path: path, OnCommit: func() {
		clone := filepath.Join(dir, fmt.Sprint("clone", len(copies)))
		for _, suffix := range []string{"", "-wal"} {
			check(t, os.WriteFile(clone+suffix, must(os.ReadFile(path+suffix))(t), 0o600))
		}
		copies = append(copies, clone)
	}})
	copies = nil // those of Open are no writes of ours
	var want [][]rule.Move
	const writes = 30
	for i := range writes {
		putManifest(t, db, "r", "t", i, fmt.Sprint("m", i), "layer l")
		want = append(want, must(db.History(ctx, "r", "t", 100))(t))
	}
	diff(t, "commits", writes, len(copies))
	for i, clone := range copies {
		wal := must(os.ReadFile(clone + "-wal"))(t)
		db := open(t, meta.Options{Path: clone})
		diff(t, "history", want[i], must(db.History(ctx, "r", "t", 100))(t))
		diff(t, "tag", want[i][0].To, must(db.Tag(ctx, "r", "t"))(t).Digest)
		check(t, db.Close())
		if i == 0 {
			continue
		}
		torn := clone + "-torn"
		check(t, os.WriteFile(torn, must(os.ReadFile(copies[0]))(t), 0o600))
		check(t, os.WriteFile(torn+"-wal", wal[:len(wal)-1], 0o600))
		db = open(t, meta.Options{Path: torn})
		diff(t, "history without the last frame", want[i-1], must(db.History(ctx, "r", "t", 100))(t))
		check(t, db.Close())
	}
}

func TestContext(t *testing.T) {
	held, release := make(chan struct{}), make(chan struct{})
	var block bool
	db := open(t, meta.Options{Path: filepath.Join(t.TempDir(), "weir.db"), OnCommit: func() {
		if block {
			close(held)
			<-release
		}
	}})
	check(t, db.Claim(t.Context(), name("b"), at(0)))
	ctx, cancel := context.WithCancel(t.Context())
	block = true
	done := make(chan error)
	go func() { done <- db.PutBlob(ctx, name("b"), 1, false, []string{"r"}, at(0)) }()
	<-held
	waiter, stop := context.WithCancelCause(t.Context())
	why := errors.New("why")
	stop(why)
	if err := db.DropBlob(waiter, name("b")); !errors.Is(err, why) {
		t.Errorf("a write that gave up its turn: %v", err)
	}
	waiting := make(chan error)
	waiter, stop = context.WithCancelCause(t.Context())
	go func() { waiting <- db.DropBlob(waiter, name("b")) }()
	stop(why)
	if err := <-waiting; !errors.Is(err, why) {
		t.Errorf("a write that gave up waiting: %v", err)
	}
	cancel()
	block = false
	close(release)
	if err := <-done; err != nil {
		t.Errorf("a write whose client left: %v", err)
	}
	diff(t, "blob", true, must(db.Blob(t.Context(), "r", name("b")))(t).Held)
	if _, err := db.Tag(ctx, "r", "t"); !errors.Is(err, context.Canceled) {
		t.Errorf("a read whose client left: %v", err)
	}
}

// TestFull: a full disk is told as such, and what was there stays.
func TestFull(t *testing.T) {
	ctx := t.Context()
	db := open(t, meta.Options{Path: filepath.Join(t.TempDir(), "weir.db")})
	putManifest(t, db, "r", "t", 0, "m")
	var pages int
	check(t, db.Pool().QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages))
	if _, err := db.Pool().ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
		t.Fatal(err)
	}
	m, e := manifest(t, "large")
	m.Raw = make([]byte, 1<<20)
	_, err := db.PutManifest(ctx, "r", m, e, "t", at(1))
	wantCode(t, "put on a full disk", errs.StorageFull, err)
	diff(t, "tag", name("m"), must(db.Tag(ctx, "r", "t"))(t).Digest)
	_, err = db.Manifest(ctx, "r", m.Digest)
	wantCode(t, "nothing of it is there", errs.ManifestUnknown, err)
}
