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
	served    bool // a manifest was given, and it is no pull
}

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
func (db *DB) Served(repo string, d digest.Digest, at time.Time) {
	if checkNames(repo, d) != nil {
		return
	}
	db.pulls.note(pullKey{repo: repo, digest: d, served: true}, at)
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

// latest returns when a manifest was last pulled by whatever tag, or served if that
// counts, as far as the database does not have it yet; the zero time for never.
func (p *pulls) latest(repo string, d digest.Digest, served bool) (at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range []map[pullKey]time.Time{p.m, p.going} {
		for k, t := range m {
			if k.repo == repo && k.digest == d && (served || !k.served) && at.Before(t) {
				at = t
			}
		}
	}
	return at
}

// of returns when manifests and blobs of a repository were last pulled, as far as the
// database does not have it yet.
func (p *pulls) of(repo string) map[digest.Digest]time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[digest.Digest]time.Time{}
	for _, m := range []map[pullKey]time.Time{p.m, p.going} {
		for k, t := range m {
			if k.repo == repo && !k.served && all[k.digest].Before(t) {
				all[k.digest] = t
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
	if k.served {
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
