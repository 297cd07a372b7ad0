package pullthrough

import (
	"context"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
)

// maxReferrerPage is the most that a page of referrers has, in bytes of JSON, about.
const maxReferrerPage = 1 << 20

// ReferrerList is a page of what there is about a manifest.
type ReferrerList struct {
	Referrers []oci.Referrer // by digest
	More      bool           // there are more after the last of Referrers
	Source    Source
	Age       time.Duration // since the last check that counts; -1 if there was none
	Warning   string        // why the list may be old or not whole; "" if it is neither
}

// ReferrerQuery asks for a page of what there is about a manifest.
type ReferrerQuery struct {
	Subject digest.Digest
	Types   []string      // only of one of these artifact types; none: of any
	After   digest.Digest // the page begins after it
	Limit   int           // at most so many, and at least one if there is one
}

// Referrers returns what there is about a manifest: what the upstream lists, by its API
// or under the fallback tag, checked in the rule's window as tags are; and of what is
// held here the manifests that have it as subject or that a fallback tag's index has.
// That something is listed gives nobody the right to it.
//
// That the upstream has no such list, or does not know the subject, is a list of none.
// While it is away, what is known is listed with a warning. Errors: what the
// upstream's answer means where neither the subject nor anything about it is held.
func (c *Cache) Referrers(ctx context.Context, s Scope, q ReferrerQuery) (ReferrerList, error) {
	theirs, l, err := c.theirReferrers(ctx, s, q.Subject)
	if err != nil {
		return ReferrerList{}, err
	}
	listed, err := c.fallback(ctx, s.Repository, q.Subject)
	if err != nil {
		return ReferrerList{}, err
	}
	theirs = merge(listed, theirs)
	room := maxReferrerPage
	for at := q.After; ; {
		const chunk = 100
		held, err := c.Index.Referring(ctx, s.Repository, q.Subject, at, chunk)
		if err != nil {
			return ReferrerList{}, err
		}
		end := digest.Digest("")
		if len(held) == chunk {
			end = held[chunk-1]
		}
		for _, x := range merge(held, span(theirs, at, end)) {
			x, err := c.describe(ctx, s.Repository, x)
			if err != nil {
				return ReferrerList{}, err
			}
			if x.MediaType == "" { // deleted meanwhile
				continue
			}
			if len(q.Types) > 0 && !slices.Contains(q.Types, x.ArtifactType) {
				continue
			}
			if room -= size(x); len(l.Referrers) > 0 && (room < 0 || len(l.Referrers) == q.Limit) {
				l.More = true
				return l, nil
			}
			l.Referrers = append(l.Referrers, x)
		}
		if end == "" {
			return l, nil
		}
		at = end
	}
}

// span returns those of a sorted list after the digest after, up to last; "": all.
func span(list []oci.Referrer, after, last digest.Digest) []oci.Referrer {
	behind := func(d digest.Digest) int {
		i, _ := slices.BinarySearchFunc(list, d, func(x oci.Referrer, d digest.Digest) int {
			if x.Digest <= d {
				return -1
			}
			return 1
		})
		return i
	}
	if last == "" {
		return list[behind(after):]
	}
	return list[behind(after):behind(last)]
}

// merge returns held, which describe has still to describe, and theirs, by digest and
// each once: what is held is described by its own bytes, whoever else describes it.
func merge(held []digest.Digest, theirs []oci.Referrer) []oci.Referrer {
	var all []oci.Referrer
	for _, d := range held {
		all = append(all, oci.Referrer{Digest: d})
	}
	all = append(all, theirs...)
	slices.SortStableFunc(all, byDigest)
	return slices.CompactFunc(all, func(x, y oci.Referrer) bool { return x.Digest == y.Digest })
}

// describe returns x as it is listed; without a media type if it is not held after all.
func (c *Cache) describe(ctx context.Context, repo string, x oci.Referrer) (oci.Referrer, error) {
	if x.MediaType != "" {
		return x, nil
	}
	m, err := c.Index.Manifest(ctx, repo, x.Digest)
	if errs.CodeOf(err) == errs.ManifestUnknown {
		return x, nil
	}
	if err != nil {
		return x, err
	}
	return m.Referrer() // no error: it was read when it came
}

func byDigest(a, b oci.Referrer) int {
	switch {
	case a.Digest < b.Digest:
		return -1
	case a.Digest > b.Digest:
		return 1
	}
	return 0
}

// size is about how long x is as JSON.
func size(x oci.Referrer) int {
	n := 200 + len(x.MediaType) + len(x.ArtifactType)
	for k, v := range x.Annotations {
		n += len(k) + len(v) + 8
	}
	return n
}

// fallback returns the manifests that a held fallback tag of subject lists, that are
// held themselves and are about nothing else.
func (c *Cache) fallback(ctx context.Context, repo string, subject digest.Digest) ([]digest.Digest, error) {
	t, err := c.Index.Tag(ctx, repo, oci.FallbackTag(subject))
	if errs.CodeOf(err) == errs.ManifestUnknown {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	index, err := c.Index.Manifest(ctx, repo, t.Digest)
	if err != nil {
		return nil, err
	}
	listed, _ := oci.ParseReferrers(index.Raw) // of no index there are none
	var held []digest.Digest
	for _, x := range listed {
		m, err := c.Index.Manifest(ctx, repo, x.Digest)
		if errs.CodeOf(err) == errs.ManifestUnknown {
			continue
		}
		if err != nil {
			return nil, err
		}
		if e, err := m.Edges(); err == nil && !aboutOther(e, subject) {
			held = append(held, x.Digest)
		}
	}
	return held, nil
}

func aboutOther(e oci.Edges, subject digest.Digest) bool {
	return slices.ContainsFunc(e.List, func(x oci.Edge) bool { return x.Kind == oci.EdgeSubject && x.Digest != subject })
}
