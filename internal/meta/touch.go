package meta

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// Pull times are written so long after the first that was noted, and not later than
// when half of so many are waiting; so many in one transaction.
const (
	pullDelay = 10 * time.Second
	maxPulls  = 1 << 13
	pullBatch = 1 << 8
)

type pullKey struct {
	repo, tag string
	digest    digest.Digest
	how       use
}

// use is what somebody did with something.
type use int

const (
	wasPulled use = iota
	wasServed     // a manifest was given, and it is no pull
	wasNeeded     // a manifest was given or told, which is no pull either, and more may hang on it
	uses
)

// used is when each was last done; zero: never.
type used [uses]time.Time

// pulls collects pull times and writes them in batches.
type pulls struct {
	mu    sync.Mutex
	m     map[pullKey]time.Time // nil after stop
	going map[pullKey]time.Time // being written; not changed any more
	first chan struct{}         // there is something to write
	many  chan struct{}         // and it should not wait
	quit  chan struct{}
	done  sync.WaitGroup
}

// Touch notes that a client pulled d from the repository, by tag if that is not "". d
// is a manifest's digest or a blob's. A blob is also touched when a push was told that
// it need not be sent: the push counts on the link from then on. The time is durable some 10 s later, or when
// Close returns; a process that dies loses it, and so does one that cannot keep up.
// What is not there, or malformed, is ignored.
func (db *DB) Touch(repo, tag string, d digest.Digest, at time.Time) {
	if checkNames(repo, d) != nil || tag != "" && checkTagNames(repo, tag) != nil {
		return
	}
	db.pulls.note(pullKey{repo: repo, tag: tag, digest: d}, at)
}

// Served notes that a client was given a manifest, where that is to change no pull time:
// the client still comes for the blobs that it names, so they stay as long as after a
// pull. Otherwise it is as Touch.
func (db *DB) Served(repo string, d digest.Digest, at time.Time) { db.use(wasServed, repo, d, at) }

// Needed notes that somebody counts on a manifest and does not pull it: a push was told
// that it is there, or a client was given it who comes for what it names, and whose pulls
// are to change no pull time. What it says is lifecycle.Image.Needed; otherwise it is as
// Served.
func (db *DB) Needed(repo string, d digest.Digest, at time.Time) { db.use(wasNeeded, repo, d, at) }

func (db *DB) use(how use, repo string, d digest.Digest, at time.Time) {
	if checkNames(repo, d) != nil {
		return
	}
	db.pulls.note(pullKey{repo: repo, digest: d, how: how}, at)
}

func (p *pulls) note(k pullKey, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, again := p.m[k]
	if p.m == nil || !again && len(p.m) == maxPulls {
		return
	}
	if !again || old.Before(at) {
		p.m[k] = at
	}
	signal(p.first)
	if len(p.m) > maxPulls/2 {
		signal(p.many)
	}
}

// signal makes sure that c holds a token.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (p *pulls) start(flush func(map[pullKey]time.Time)) {
	p.m = map[pullKey]time.Time{}
	p.first, p.many, p.quit = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{})
	p.done.Go(func() {
		for p.wait() {
			flush(p.take(map[pullKey]time.Time{}))
			p.written()
		}
		flush(p.take(nil))
	})
}

// wait returns true when there is something to write, false when it is the last time.
func (p *pulls) wait() bool {
	select {
	case <-p.first:
	case <-p.quit:
		return false
	}
	timer := time.NewTimer(pullDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.many:
	case <-p.quit:
		return false
	}
	return true
}

// take returns what was collected and goes on with next.
func (p *pulls) take(next map[pullKey]time.Time) map[pullKey]time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.going, p.m = p.m, next
	return p.going
}

// written says that what was taken is in the database.
func (p *pulls) written() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.going = nil
}

func (u *used) add(k pullKey, at time.Time) {
	if u[k.how].Before(at) {
		u[k.how] = at
	}
}

// latest returns when a manifest or a blob was last used, by whatever tag, as far as the
// database does not have it yet.
func (p *pulls) latest(repo string, d digest.Digest) (u used) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range []map[pullKey]time.Time{p.m, p.going} {
		for k, at := range m {
			if k.repo == repo && k.digest == d {
				u.add(k, at)
			}
		}
	}
	return u
}

// of returns it of all that a repository has.
func (p *pulls) of(repo string) map[digest.Digest]used {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[digest.Digest]used{}
	for _, m := range []map[pullKey]time.Time{p.m, p.going} {
		for k, at := range m {
			if k.repo == repo {
				u := all[k.digest]
				u.add(k, at)
				all[k.digest] = u
			}
		}
	}
	return all
}

// stop writes what is left and waits until that is done.
func (p *pulls) stop() {
	if p.quit == nil {
		return // not started
	}
	close(p.quit)
	p.done.Wait()
}

// flush writes pull times.
func (db *DB) flush(m map[pullKey]time.Time) {
	// In one order everywhere, so that two processes do not wait for each other.
	keys := slices.SortedFunc(maps.Keys(m), func(a, b pullKey) int {
		return cmp.Or(cmp.Compare(a.repo, b.repo), cmp.Compare(a.tag, b.tag), cmp.Compare(a.digest, b.digest))
	})
	for batch := range slices.Chunk(keys, pullBatch) {
		err := db.tx(context.Background(), func(ctx context.Context, t *tx) error {
			t.forget.pulled = map[tagKey]time.Time{}
			var repos []pullKey // of images, each with its last pull
			for _, k := range batch {
				is, err := t.touch(ctx, k, m[k])
				if err != nil {
					return err
				}
				switch last := len(repos) - 1; {
				case !is:
				case last < 0 || repos[last].repo != k.repo:
					repos = append(repos, k)
				case m[repos[last]].Before(m[k]):
					repos[last] = k
				}
			}
			for _, k := range repos {
				if _, err := t.exec(ctx, touchRepository, k.repo, micros(m[k])); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			db.log.Warn("pull times are lost", "count", len(batch), "error", err)
		}
	}
}

// touch says whether it was an image that was pulled.
func (t *tx) touch(ctx context.Context, k pullKey, at time.Time) (is bool, err error) {
	if k.how == wasNeeded {
		if _, err := t.exec(ctx, putNeeded, k.repo, string(k.digest), micros(at)); err != nil {
			return false, err
		}
	}
	if k.how != wasPulled {
		_, err := t.exec(ctx, touchNamed, k.repo, string(k.digest), micros(at))
		return false, err
	}
	if k.tag != "" {
		if _, err := t.exec(ctx, touchTag, k.repo, k.tag, micros(at)); err != nil {
			return false, err
		}
		tag := tagKey{k.repo, k.tag}
		if t.forget.pulled[tag].Before(at) {
			t.forget.pulled[tag] = fromMicros(micros(at))
		}
	}
	n, err := t.exec(ctx, touchManifest, k.repo, string(k.digest), micros(at))
	if err != nil || n > 0 {
		return true, err
	}
	if _, err := t.exec(ctx, touchBlob, string(k.digest), micros(at)); err != nil {
		return false, err
	}
	_, err = t.exec(ctx, renewLink, k.repo, string(k.digest), micros(at))
	return false, err
}
