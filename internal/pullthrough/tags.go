package pullthrough

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weir-registry/weir/internal/errs"
)

const (
	listFor  = time.Minute      // an upstream's list counts for so long
	listWait = 10 * time.Second // the longest that a client waits for it where something is held
	maxLists = 32 << 20         // bytes of tags that are remembered

	perTag = 16 // bytes that a tag takes beside its own
)

// listRef sets the list of a repository's tags apart from a tag: it is none.
const listRef = "tags "

// TagList is a page of a repository's tags.
type TagList struct {
	Tags    []string // in the order of their bytes
	More    bool     // there are more after the last of Tags
	Source  Source
	Age     time.Duration // of the upstream's list; -1 where only what is held is listed
	Warning string        // why the list may lack tags of the upstream; "" if it does not
}

// Tags returns up to limit tags of a rule's repository after the tag after: those of
// the upstream and those that are held. The upstream's list is asked for whole, once
// for all who want it, and counts for a minute. While the upstream is away, is not to
// be asked, or lists without an end, what is known is listed, with a warning where
// somebody may expect more. Errors: errs.RepoUnknown, or what the upstream's answer means
// where nothing is held.
func (c *Cache) Tags(ctx context.Context, s Scope, after string, limit int) (TagList, error) {
	theirs, l, err := c.theirTags(ctx, s)
	if ctx.Err() != nil {
		return TagList{}, context.Cause(ctx)
	}
	held, herr := c.Index.Tags(ctx, s.Repository, after, limit+1)
	switch {
	case herr != nil && errs.CodeOf(herr) != errs.RepoUnknown:
		return TagList{}, herr
	case err != nil && (herr != nil || l.Warning == ""): // there is nothing to list
		return TagList{}, err
	case herr != nil && theirs == nil:
		return TagList{}, herr
	}
	from, found := slices.BinarySearch(theirs, after)
	if found {
		from++
	}
	theirs = theirs[from:]
	all := slices.Concat(held, theirs[:min(len(theirs), limit+1)])
	slices.Sort(all)
	all = slices.Compact(all)
	l.Tags, l.More = all[:min(len(all), limit)], len(all) > limit
	return l, nil
}

// theirTags returns the upstream's tags, nil where they are not known, and how they
// were come by. With nil, the error is why.
func (c *Cache) theirTags(ctx context.Context, s Scope) ([]string, TagList, error) {
	r, repo := s.Rule, s.Repository
	off := c.off(s)
	if off != nil {
		l := TagList{Source: Hit, Age: -1}
		if errs.CodeOf(off) != errs.ManifestUnknown { // the caller may not, and others may
			l.Warning = heldOnly(off)
			return nil, l, off
		}
		return nil, l, nil
	}
	key := s.key(listRef)
	if x, ok := c.lists.get(key); ok {
		return x.tags, x.as(Hit), nil
	}
	away := func(err error) ([]string, TagList, error) {
		return nil, TagList{Source: Stale, Age: -1, Warning: heldOnly(err)}, err
	}
	held, err := c.Index.Tags(ctx, repo, "", 1)
	if err != nil && errs.CodeOf(err) != errs.RepoUnknown {
		return nil, TagList{}, err
	}
	join := func() (*flight[tagList], bool) {
		return c.listing.join(c, key, func(ctx context.Context) (tagList, error) { return c.askTags(ctx, s) })
	}
	if len(held) == 0 {
		if err := c.refusedList(s, key); err != nil {
			return nil, TagList{}, err
		}
		f, lead := join()
		x, err := f.wait(ctx)
		if err != nil {
			return nil, TagList{}, err
		}
		return x.tags, x.as(source(lead)), nil
	}
	if err := c.notNowList(s, key); err != nil {
		c.probe(r.Upstream, func(ctx context.Context) error {
			f, _ := join()
			_, err := f.wait(ctx)
			return err
		})
		return away(err)
	}
	f, lead := join()
	x, done, err := f.waitUntil(ctx, min(listWait, c.Check))
	switch {
	case !done:
		return away(errs.New(errs.UpstreamTimeout, "%s has not listed its tags within %s", r.Upstream, listWait))
	case err != nil:
		return away(err)
	}
	return x.tags, x.as(source(lead)), nil
}

func heldOnly(err error) string {
	why := "the upstream could not be asked"
	if e := errs.As(err); e != nil {
		why = e.Msg
	}
	return "only what is held here is listed: " + why
}

// refusedList is refused for lists, whose quota is their own: who asks for too many
// lists may still have manifests.
func (c *Cache) refusedList(s Scope, key refKey) error {
	if err := c.answered(s.Rule, key); err != nil {
		return err
	}
	if err := c.listed.exceeded(quotaKey(s.Rule), false); err != nil {
		return err
	}
	if err := c.paths.justFailed(s.Rule.Upstream); err != nil {
		return err
	}
	return nil
}

// notNowList is notNow for lists.
func (c *Cache) notNowList(s Scope, key refKey) error {
	if err := c.paths.open(s.Rule.Upstream); err != nil {
		return err
	}
	if err := c.listed.exceeded(quotaKey(s.Rule), false); err != nil {
		return err
	}
	return c.answered(s.Rule, key)
}

// askTags asks the upstream for all its tags and remembers them.
func (c *Cache) askTags(ctx context.Context, s Scope) (tagList, error) {
	r, key := s.Rule, s.key(listRef)
	if x, ok := c.lists.get(key); ok {
		return x, nil // another flight ended since this one was found to be needed
	}
	ctx, cancel := context.WithTimeout(ctx, c.Check)
	defer cancel()
	tags, err := c.Upstream(r).Tags(ctx, r.UpstreamRepository(s.Repository))
	err = timedOut(err, r)
	c.noteList(s, key, len(tags) > 0, err)
	e := errs.As(err)
	if err != nil && (len(tags) == 0 || e == nil) {
		return tagList{}, err
	}
	if tags == nil {
		tags = []string{}
	}
	x := tagList{tags: tags, at: time.Now()}
	if err != nil {
		x.warning = fmt.Sprintf("not all tags of the upstream are listed: %s", e.Msg)
		c.Logger.Warn("list of tags is not whole", "repository", s.Repository, "upstream", r.Upstream, "tags", len(tags), "error", err)
	}
	if err == nil || errs.CodeOf(err) == errs.LimitExceeded {
		c.lists.put(key, x)
	}
	return x, nil
}

// noteList remembers what an attempt at a list told, as note does. One that broke off
// after its first page tells nothing against the host, which answered.
func (c *Cache) noteList(s Scope, key refKey, begun bool, err error) {
	if code := errs.CodeOf(err); begun && (code == errs.UpstreamUnreachable || code == errs.UpstreamTimeout) {
		err = nil
	}
	if e := errs.As(err); e != nil && e.Code == errs.UpstreamRateLimited {
		c.listed.limited(quotaKey(s.Rule), false, e)
	}
	c.note(s.Rule, key, false, false, err)
}

// tagList is an upstream's list of tags, which nobody changes.
type tagList struct {
	tags    []string
	at      time.Time
	warning string // why it is not whole; "" if it is
}

func (x tagList) as(src Source) TagList {
	return TagList{Source: src, Age: time.Since(x.at), Warning: x.warning}
}

func (x tagList) bytes() int {
	n := 0
	for _, t := range x.tags {
		n += len(t) + perTag
	}
	return n
}

// lists remembers upstreams' lists of tags for a minute.
type lists struct {
	mu    sync.Mutex
	m     map[refKey]tagList
	bytes int
}

func (l *lists) get(key refKey) (tagList, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x, ok := l.m[key]
	if ok && time.Since(x.at) >= listFor {
		l.drop(key)
		return tagList{}, false
	}
	return x, ok
}

// put makes room by what is over, and if that is not enough, by anything.
func (l *lists) put(key refKey, x tagList) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.m == nil {
		l.m = map[refKey]tagList{}
	}
	l.drop(key)
	n := x.bytes()
	for _, all := range []bool{false, true} {
		for k, old := range l.m {
			full := l.bytes+n > maxLists || len(l.m) >= maxEntries
			if full && (all || time.Since(old.at) >= listFor) {
				l.drop(k)
			}
		}
	}
	l.m[key], l.bytes = x, l.bytes+n
}

// drop forgets a list; l.mu is held.
func (l *lists) drop(key refKey) {
	if x, ok := l.m[key]; ok {
		l.bytes -= x.bytes()
		delete(l.m, key)
	}
}
