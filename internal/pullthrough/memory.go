package pullthrough

import (
	"context"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
)

// The three memories are kept apart on purpose: one typo must not close a whole
// upstream, and a limit on manifests must not stop blobs. An error in one that is of a
// whole host or account answers for other repositories than the one that it came of, and
// names none.

const (
	strikes       = 2                // transport failures in a row that open a path
	firstProbe    = 5 * time.Second  // after a path opened
	lastProbe     = 60 * time.Second // the longest time between two probes
	coldPause     = time.Second      // a failure so young answers for the next miss, too
	recentContact = 5 * time.Second  // an answer so young says that the upstream is there
	maxQuota      = 15 * time.Minute // the longest that one 429 is believed
	defaultQuota  = time.Minute      // for a 429 without Retry-After
	maxEntries    = 10_000           // of a memory by reference
)

// paths remembers, by upstream host, whether there is a way to it.
type paths struct {
	mu sync.Mutex
	m  map[string]*path
}

type path struct {
	fails   int
	since   time.Time // of the first of fails
	err     *errs.Error
	failed  time.Time
	contact time.Time
	probing bool
}

func (p *paths) get(host string) *path {
	if p.m == nil {
		p.m = map[string]*path{}
	}
	if p.m[host] == nil {
		p.m[host] = &path{}
	}
	return p.m[host]
}

func (p *paths) ok(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.get(host)
	x.fails, x.err, x.contact = 0, nil, time.Now()
}

func (p *paths) failed(host string, err *errs.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.get(host)
	x.err, x.failed = err.WithoutName(), time.Now()
	if x.fails++; x.fails == 1 {
		x.since = x.failed
	}
}

// open returns why the host's held tags are served without asking, nil if they are not.
func (p *paths) open(host string) *errs.Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x := p.get(host); x.fails >= strikes {
		return x.err
	}
	return nil
}

// justFailed returns the failure that answers for a miss, nil if it should try.
func (p *paths) justFailed(host string) *errs.Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x := p.get(host); x.err != nil && time.Since(x.failed) < coldPause {
		return x.err
	}
	return nil
}

// inContact says whether the host answered a moment ago.
func (p *paths) inContact(host string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.get(host)
	return x.fails == 0 && !x.contact.IsZero() && time.Since(x.contact) < recentContact
}

// startProbe is true for the one caller that has to probe the open path.
func (p *paths) startProbe(host string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.get(host)
	if x.fails < strikes || x.probing {
		return false
	}
	x.probing = true
	return true
}

func (p *paths) endProbe(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.get(host).probing = false
}

// probe asks an open path's upstream again, by a check that is due anyway, until
// it answers: after 5 s, then more and more rarely, up to once a minute.
func (c *Cache) probe(host string, check func(context.Context) error) {
	if !c.paths.startProbe(host) {
		return
	}
	c.spawn(func(ctx context.Context) {
		defer c.paths.endProbe(host)
		for pause := firstProbe; ; pause = min(2*pause, lastProbe) {
			t := time.NewTimer(pause)
			select {
			case <-ctx.Done():
				t.Stop()
				return
			case <-t.C:
			}
			if c.paths.open(host) == nil || check(ctx) == nil || c.paths.open(host) == nil {
				return
			}
		}
	})
}

// quotas remembers, by host and credential, until when an upstream wants no
// counted requests.
type quotas struct {
	mu sync.Mutex
	m  map[string]quota
}

type quota struct {
	until time.Time
	heads bool // HEAD was refused as well
	err   *errs.Error
}

func (q *quotas) limited(key string, head bool, err *errs.Error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.m == nil {
		q.m = map[string]quota{}
	}
	d := err.RetryAfter
	if d <= 0 {
		d = defaultQuota
	}
	q.m[key] = quota{time.Now().Add(min(d, maxQuota)), head || q.m[key].heads, err.WithoutName()}
}

// exceeded returns why a manifest (head: a check by HEAD) is not to be asked for
// now, with the time that is left.
func (q *quotas) exceeded(key string, head bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	x, ok := q.m[key]
	if !ok {
		return nil
	}
	left := time.Until(x.until)
	if left <= 0 {
		delete(q.m, key)
		return nil
	}
	if head && !x.heads {
		return nil
	}
	return &errs.Error{Code: errs.UpstreamRateLimited, Msg: x.err.Msg, RetryAfter: left, Err: x.err.Err}
}

// answers remembers for seconds what an upstream said of one reference.
type answers struct {
	mu sync.Mutex
	m  map[refKey]answer
}

type answer struct {
	err   *errs.Error
	login string // of a refusal: who was refused
	until time.Time
}

func (a *answers) put(key refKey, x answer, d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.m = bounded(a.m, func(x answer) bool { return !time.Now().Before(x.until) })
	x.until = time.Now().Add(d)
	a.m[key] = x
}

func (a *answers) get(key refKey) (answer, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	x, ok := a.m[key]
	if ok && !time.Now().Before(x.until) {
		delete(a.m, key)
		return answer{}, false
	}
	return x, ok
}

func (a *answers) drop(key refKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.m, key)
}

// sizes remembers for half a minute that an upstream has a blob, and its size.
type sizes struct {
	mu sync.Mutex
	m  map[refKey]sized
}

type sized struct {
	size  int64
	until time.Time
}

func (s *sizes) put(key refKey, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m = bounded(s.m, func(x sized) bool { return !time.Now().Before(x.until) })
	s.m[key] = sized{size, time.Now().Add(30 * time.Second)}
}

func (s *sizes) get(key refKey) (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, ok := s.m[key]
	return x.size, ok && time.Now().Before(x.until)
}

// hosts remembers the upstream hosts that cannot do something.
type hosts struct {
	mu sync.Mutex
	m  map[string]bool
}

func (h *hosts) is(host string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.m[host]
}

func (h *hosts) put(host string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.m == nil {
		h.m = map[string]bool{}
	}
	h.m[host] = true
}

// budgets spreads the checks of held tags: when a clock jumps, every tag is due
// at once.
type budgets struct {
	mu sync.Mutex
	m  map[string]time.Time // by host: when the next check may start
}

const (
	checkEvery = time.Second / 20
	checkBurst = 40 * checkEvery
	checkQueue = time.Minute // checks due later than this are left to a later pull
)

// take returns how long a check of the host has to wait, false if too long.
func (b *budgets) take(host string) (time.Duration, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	next := b.m[host]
	if earliest := now.Add(-checkBurst); next.Before(earliest) {
		next = earliest
	}
	wait := next.Sub(now)
	if wait > checkQueue {
		return 0, false
	}
	if b.m == nil {
		b.m = map[string]time.Time{}
	}
	b.m[host] = next.Add(checkEvery)
	return max(wait, 0), true
}

// recent remembers which manifests clients were just given: of the images that
// share a layer, the one that is being pulled.
type recent struct {
	mu sync.Mutex
	m  map[served]servedAt
}

type served struct {
	repo string
	d    digest.Digest
}

type servedAt struct {
	at      time.Time
	fetched bool // its prefetch has been started
}

const recentFor = 10 * time.Minute

func (r *recent) served(repo string, d digest.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := served{repo, d}
	r.m = bounded(r.m, func(x servedAt) bool { return time.Since(x.at) > recentFor })
	old := r.m[key]
	r.m[key] = servedAt{time.Now(), old.fetched && time.Since(old.at) <= recentFor}
}

// chosen makes the manifest served last of those given the last of all.
func (r *recent) chosen(repo string, of []digest.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.last(repo, of); ok {
		r.m[last] = servedAt{time.Now(), r.m[last].fetched}
	}
}

// start returns the manifest served last of those given, if its prefetch has not
// been started, and marks it as started.
func (r *recent) start(repo string, of []digest.Digest) (digest.Digest, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, ok := r.last(repo, of)
	if !ok || r.m[last].fetched {
		return "", false
	}
	r.m[last] = servedAt{r.m[last].at, true}
	return last.d, true
}

// last returns the manifest served last of those given, if any was. r.mu is held.
func (r *recent) last(repo string, of []digest.Digest) (last served, ok bool) {
	var at time.Time
	for _, d := range of {
		if x, known := r.m[served{repo, d}]; known && time.Since(x.at) <= recentFor && (!ok || x.at.After(at)) {
			last, at, ok = served{repo, d}, x.at, true
		}
	}
	return last, ok
}

// unpulled remembers which manifests have just come and were not pulled yet.
type unpulled struct {
	mu sync.Mutex
	m  map[served]time.Time // when they came
}

func (u *unpulled) put(k served) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.m = bounded(u.m, func(at time.Time) bool { return time.Since(at) > recentFor })
	u.m[k] = time.Now()
}

// take says whether k came and was not pulled, and forgets it.
func (u *unpulled) take(k served) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	at, ok := u.m[k]
	delete(u.m, k)
	return ok && time.Since(at) <= recentFor
}

// bounded returns m with room for one more entry: it drops what is over, and if
// that is not enough, anything.
func bounded[K comparable, V any](m map[K]V, over func(V) bool) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	if len(m) < maxEntries {
		return m
	}
	for k, v := range m {
		if over(v) {
			delete(m, k)
		}
	}
	for k := range m {
		if len(m) < maxEntries/2 {
			break
		}
		delete(m, k)
	}
	return m
}
