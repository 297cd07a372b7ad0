package upstream

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weir-registry/weir/internal/rule"
)

// What requests are for, and what comes of them: the words of Count.
var (
	kinds   = [...]string{"manifest", "head", "blob", "token", "list", "push"} // token: logins, too
	classes = [...]string{"ok", "redirect", "denied", "not_found", "rate_limited", "client_error", "server_error", "no_answer", "cancelled"}
)

const (
	kindManifest = iota
	kindHead
	kindBlob
	kindToken
	kindList
	kindPush
)

const (
	classOK = iota
	classRedirect
	classDenied
	classNotFound
	classRateLimited
	classClientError
	classServerError
	classNoAnswer
	classCancelled
)

// Stats is what one upstream was asked and sent, at whatever host, since the client
// was made.
type Stats struct {
	Host   string
	Bytes  uint64  // of answers' bodies
	Counts []Count // without those of 0

	// The upstream's own count of what may still be asked, as it told last; -1 where
	// it never did. Docker Hub tells.
	Remaining, Limit int64
}

// Count is the number of requests of a kind with one outcome.
type Count struct {
	Kind, Class string
	N           uint64
}

// Stats returns what every upstream was asked, by host.
func (c *Client) Stats() []Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []Stats
	for _, h := range c.hosts {
		if h == nil {
			continue
		}
		t := &h.tally
		s := Stats{Host: h.name, Bytes: t.bytes.Load(), Remaining: t.remaining.Load() - 1, Limit: t.limit.Load() - 1}
		for k := range t.requests {
			for class := range t.requests[k] {
				if n := t.requests[k][class].Load(); n > 0 {
					s.Counts = append(s.Counts, Count{kinds[k], classes[class], n})
				}
			}
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Stats) int { return cmp.Compare(a.Host, b.Host) })
	return all
}

// Quota returns what the upstream said last of how much this credential may ask for.
func (r *Registry) Quota() rule.Quota {
	if q := r.quota.Load(); q != nil {
		return *q
	}
	return rule.Quota{}
}

// told takes in what an answer says of the quota.
func (r *Registry) told(res *http.Response, err error) {
	if err != nil {
		return
	}
	remaining, ok := quotaOf(res.Header, "Ratelimit-Remaining")
	if !ok {
		return
	}
	q := r.Quota()
	q.Told, q.Remaining = time.Now(), remaining
	if limit, ok := quotaOf(res.Header, "Ratelimit-Limit"); ok {
		q.Limit = limit
	}
	_, params, _ := strings.Cut(res.Header.Get("Ratelimit-Limit"), ";")
	if seconds, ok := strings.CutPrefix(strings.TrimSpace(params), "w="); ok {
		if n, err := strconv.ParseInt(seconds, 10, 32); err == nil && n > 0 {
			q.Window = time.Duration(n) * time.Second
		}
	}
	r.quota.Store(&q)
}

// tally counts for Stats. Counting looks nothing up.
type tally struct {
	requests         [len(kinds)][len(classes)]atomic.Uint64
	bytes            atomic.Uint64
	remaining, limit atomic.Int64 // and 1; 0: never told
}

// count takes in what came of a request, and has its body counted.
func (t *tally) count(ctx context.Context, q *asked, res *http.Response, err error) {
	t.requests[q.kind()][classOf(ctx, res, err)].Add(1)
	if err != nil {
		return
	}
	res.Body = &countedBody{res.Body, t}
	if n, ok := quotaOf(res.Header, "Ratelimit-Remaining"); ok {
		t.remaining.Store(n + 1)
	}
	if n, ok := quotaOf(res.Header, "Ratelimit-Limit"); ok {
		t.limit.Store(n + 1)
	}
}

func (q *asked) kind() int {
	switch {
	case q.push:
		return kindPush
	case q.path == "":
		return kindToken
	case q.blob:
		return kindBlob
	case q.list:
		return kindList
	case q.method == http.MethodHead:
		return kindHead
	}
	return kindManifest
}

func classOf(ctx context.Context, res *http.Response, err error) int {
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return classCancelled
	case err != nil:
		return classNoAnswer
	case res.StatusCode == http.StatusUnauthorized, res.StatusCode == http.StatusForbidden:
		return classDenied
	case res.StatusCode == http.StatusNotFound:
		return classNotFound
	case res.StatusCode == http.StatusTooManyRequests:
		return classRateLimited
	}
	switch res.StatusCode / 100 {
	case 2:
		return classOK
	case 3:
		return classRedirect
	case 5:
		return classServerError
	}
	return classClientError
}

// quotaOf reads a header such as "76;w=21600".
func quotaOf(h http.Header, name string) (int64, bool) {
	value, _, _ := strings.Cut(h.Get(name), ";")
	n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	return n, err == nil && n >= 0
}

// countedBody counts what is read of a body.
type countedBody struct {
	io.ReadCloser
	t *tally
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.t.bytes.Add(uint64(n))
	return n, err
}
