package meta

import (
	"context"
	"database/sql"
	"io/fs"
	"time"
)

// OpenWith is Open with other migrations than those of the binary.
func OpenWith(ctx context.Context, o Options, migrations fs.FS) (*DB, error) {
	return open(ctx, o, migrations, writeDeadline)
}

// OpenWithin is Open with another time for each write than writeDeadline.
func OpenWithin(ctx context.Context, o Options, within time.Duration) (*DB, error) {
	return open(ctx, o, embedded(), within)
}

// Migrations returns those of the binary.
func Migrations() fs.FS { return embedded() }

// Statements returns the text of every statement.
func Statements() []string {
	all := make([]string, queries)
	for q := range queries {
		all[q] = q.text()
	}
	return all
}

// Pool returns the pool that writes.
func (db *DB) Pool() *sql.DB { return db.writes }

// Reads returns the pool that reads.
func (db *DB) Reads() *sql.DB { return db.reads }

// DropCaches forgets what is remembered in memory.
func (db *DB) DropCaches() { db.cache.clear() }

// CacheRows returns how many tags, links, blobs and keys are remembered.
func (db *DB) CacheRows() (tags, links, blobs, keys int) {
	c := &db.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.tags.m), len(c.links.m), len(c.blobs.m), len(c.keys.m)
}

// CacheBytes returns the cost of the manifests that are remembered.
func (db *DB) CacheBytes() int {
	db.cache.mu.Lock()
	defer db.cache.mu.Unlock()
	return db.cache.manifests.cost
}

// LimitCacheBytes bounds CacheBytes to less than the usual.
func (db *DB) LimitCacheBytes(n int) { db.cache.manifests.limit = n }

// CacheRepositories returns how many repositories, and what decides on how many, are
// remembered.
func (db *DB) CacheRepositories() (repos, access int) {
	db.cache.mu.Lock()
	defer db.cache.mu.Unlock()
	return len(db.cache.repos.m), len(db.cache.access.m)
}

// LimitCacheRepositories bounds them to the cost of so many that have nothing.
func (db *DB) LimitCacheRepositories(n int) {
	db.cache.repos.limit, db.cache.access.limit = n, n
}

// MaxPulls is how many pull times wait at most.
const MaxPulls = maxPulls

// Pulls returns how many pull times wait.
func (db *DB) Pulls() int {
	db.pulls.mu.Lock()
	defer db.pulls.mu.Unlock()
	return len(db.pulls.m)
}

// LRU is the memory of one kind of row.
type LRU = lru[string, int]

// NewLRU returns an LRU of a limited cost.
func NewLRU(limit int) *LRU { return &LRU{limit: limit} }

func (l *lru[K, V]) Get(k K) (V, bool)      { return l.get(k) }
func (l *lru[K, V]) Put(k K, v V, cost int) { l.put(k, v, cost) }
func (l *lru[K, V]) Remove(k K)             { l.remove(k) }
