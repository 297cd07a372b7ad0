package meta

import (
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// How much is remembered: rows, and bytes of manifests.
const (
	maxRows          = 1 << 16
	maxKeys          = 1 << 12
	maxRepos         = 1 << 12
	maxManifestBytes = 64 << 20
	maxPolicyBytes   = 16 << 20
)

type tagKey struct{ repo, tag string }

type digestKey struct {
	repo   string
	digest digest.Digest
}

// forget is what a write changed of what may be cached.
type forget struct {
	tags  []tagKey
	blobs []digest.Digest

	manifests []digestKey
	links     []digestKey
	archived  []digestKey

	keys     []string
	users    []string
	repos    []string
	registry bool                 // its policy
	pulled   map[tagKey]time.Time // pull times change in place
	all      bool                 // whatever is remembered of repositories
}

// caches remember rows. What is remembered is what is committed, as far as this
// process wrote it: a write forgets before it returns, and a read that a write
// overtook is not remembered. That nothing exists is never remembered, except that a
// user has no policies, that the registry has none, and that a name is no repository's.
type caches struct {
	alone bool // no other process writes: more than what a digest names may be kept

	mu        sync.Mutex
	writes    uint64 // so many writes have been applied
	tags      lru[tagKey, rule.Tag]
	manifests lru[digestKey, *oci.Manifest]
	links     lru[digestKey, struct{}]      // of held blobs
	blobs     lru[digest.Digest, rule.Blob] // held ones
	keys      lru[string, Key]
	policies  lru[string, []UserPolicy] // by user
	repos     lru[string, Repository]
	access    lru[string, Access]
	registry  lru[struct{}, RegistryPolicy]
	archived  lru[digestKey, bool] // of repositories with an archive
}

func (c *caches) open(alone bool) {
	c.alone = alone
	c.tags.limit = maxRows
	c.manifests.limit = maxManifestBytes
	c.links.limit = maxRows
	c.blobs.limit = maxRows
	c.keys.limit = maxKeys
	c.policies.limit = maxPolicyBytes
	c.repos.limit = maxRepos
	c.access.limit = maxRows
	c.registry.limit = 1
	c.archived.limit = maxRows
}

// apply makes the cache right after a commit.
func (c *caches) apply(f forget) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes++
	if f.all {
		c.tags.clear()
		c.manifests.clear()
		c.links.clear()
		c.archived.clear()
	}
	for _, k := range f.tags {
		c.tags.remove(k)
	}
	for _, d := range f.blobs {
		c.blobs.remove(d)
	}
	for _, k := range f.manifests {
		c.manifests.remove(k)
	}
	for _, k := range f.links {
		c.links.remove(k)
	}
	for _, k := range f.archived {
		c.archived.remove(k)
	}
	for _, k := range f.keys {
		c.keys.remove(k)
	}
	for _, u := range f.users {
		c.policies.remove(u)
	}
	for _, r := range f.repos {
		c.repos.remove(r)
		c.access.remove(r)
	}
	if f.registry {
		c.registry.clear()
	}
	for k, at := range f.pulled {
		if t := c.tags.peek(k); t != nil && t.Pulled.Before(at) {
			t.Pulled = at
		}
	}
}

// clear forgets everything.
func (c *caches) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes++
	c.tags.clear()
	c.manifests.clear()
	c.links.clear()
	c.blobs.clear()
	c.keys.clear()
	c.policies.clear()
	c.repos.clear()
	c.access.clear()
	c.registry.clear()
	c.archived.clear()
}

// remember returns l's value of k, or what load returns, which it keeps at a cost if
// no write came between.
func remember[K comparable, V any](c *caches, l *lru[K, V], keep bool, k K, cost func(V) int, load func() (V, error)) (V, error) {
	c.mu.Lock()
	v, ok := l.get(k)
	writes := c.writes
	c.mu.Unlock()
	if ok {
		return v, nil
	}
	v, err := load()
	if err != nil || !keep {
		return v, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writes == writes {
		l.put(k, v, cost(v))
	}
	return v, nil
}

// one is the cost of a row.
func one[V any](V) int { return 1 }

// blob returns what is remembered of a blob that the repository may serve, and the
// number of writes to give to keepBlob if it is not.
func (c *caches) blob(repo string, d digest.Digest) (b rule.Blob, ok bool, writes uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b, ok = c.blobs.get(d); ok {
		_, ok = c.links.get(digestKey{repo, d})
	}
	return b, ok, c.writes
}

// keepBlob remembers a blob that the repository may serve.
func (c *caches) keepBlob(repo string, d digest.Digest, b rule.Blob, writes uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.alone || !b.Linked || !b.Held || c.writes != writes {
		return
	}
	c.blobs.put(d, b, 1)
	c.links.put(digestKey{repo, d}, struct{}{}, 1)
}
