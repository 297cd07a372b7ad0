package meta

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/oci"
)

// maxDepth is how many indexes may be nested before an image counts as not ready.
const maxDepth = 8

// Missing returns what is not here of what d needs to be served without the upstream;
// nothing: d is offline-ready.
//
// An image manifest needs its config and every layer, held and linked. An index needs
// at least one of its children, and those children whose platform is in use, which
// like, an earlier digest of the tag, tells: the platforms of like's children that are
// offline-ready. If like is "" or tells none, one child is enough: that the manifest of
// another is held tells only that somebody looked at it. What several children need is
// there once. Children of no or of an unknown platform (attestations) are not needed; the
// latter do not count as the one either, unless all are such.
//
// A manifest that is not held is itself what is missing (Kind EdgeChild; size -1 where
// no index tells it), and what it names is not known yet. If no child is here or on
// its way, all children that count are returned, though one would do.
// Errors: errs.NameInvalid, errs.DigestInvalid.
func (db *DB) Missing(ctx context.Context, repo string, d, like digest.Digest) ([]oci.Edge, error) {
	if err := checkNames(repo, d); err != nil {
		return nil, err
	}
	if like != "" {
		if _, err := oci.ParseDigest(string(like)); err != nil {
			return nil, err
		}
	}
	missing, err := newSurvey(db.get(), repo).missing(ctx, d, like)
	if err != nil {
		return nil, fmt.Errorf("missing of %s@%s: %w", repo, d, err)
	}
	return missing, nil
}

// survey finds out what is missing of manifests of one repository. It looks at each
// manifest once, so it is good for as long as nothing changes.
type survey struct {
	runner
	repo   string
	seen   map[digest.Digest]*image
	loaded map[digest.Digest][]member // what manifests name, as far as that was read already
	page   *bounds                    // what is looked at is for a page; nil: it is not, and everything is
}

// bounds is how much more is looked at for a page.
type bounds struct {
	page, tag int  // members
	over      bool // more would have been, of the tag
}

// begin begins with another tag.
func (b *bounds) begin() { b.tag, b.over = maxTagMembers, false }

// spend says whether n members more are still looked at.
func (b *bounds) spend(n int) bool {
	b.tag, b.page = b.tag-n, b.page-n
	b.over = b.over || b.tag < 0 || b.page < 0
	return !b.over
}

func newSurvey(r runner, repo string) *survey {
	return &survey{runner: r, repo: repo, seen: map[digest.Digest]*image{}}
}

// image is one held manifest.
type image struct {
	children []child
	missing  []oci.Edge // as far as it is not a tag's platforms that decide
	size     int64      // see sizeOf; only for a page
	vast     bool       // more is named than is looked at: what is missing is not known
}

func (m *image) ready() bool { return len(m.missing) == 0 && !m.vast }

// child is one manifest that an index names.
type child struct {
	oci.Edge
	slot    string // platform, and which of its children of that platform; "": no platform
	unknown bool   // platform unknown/unknown
	image   *image // nil: not held
}

func (c child) ready() bool { return c.image != nil && c.image.ready() }

// missing is what the child lacks.
func (c child) missing() []oci.Edge {
	if c.image == nil {
		return []oci.Edge{c.Edge}
	}
	return c.image.missing
}

// missing is Missing.
func (s *survey) missing(ctx context.Context, d, like digest.Digest) ([]oci.Edge, error) {
	var held bool
	if err := s.row(ctx, hasManifest, []any{s.repo, string(d)}, &held); err != nil {
		return nil, err
	}
	if !held {
		return []oci.Edge{{Kind: oci.EdgeChild, Descriptor: oci.Descriptor{Digest: d, Size: -1}}}, nil
	}
	return s.missingOfHeld(ctx, d, like)
}

func (s *survey) missingOfHeld(ctx context.Context, d, like digest.Digest) ([]oci.Edge, error) {
	m, err := s.look(ctx, d, 0)
	if err != nil || len(m.children) == 0 {
		return m.missing, err
	}
	inUse, err := s.inUse(ctx, like)
	if err != nil {
		return nil, err
	}
	if len(inUse) == 0 {
		return m.missing, nil
	}
	return missingOf(m.children, func(c child) bool { return inUse[c.slot] }), nil
}

// inUse returns the slots of like's children that are ready.
func (s *survey) inUse(ctx context.Context, like digest.Digest) (map[string]bool, error) {
	if like == "" {
		return nil, nil
	}
	m, err := s.look(ctx, like, 0)
	if err != nil {
		return nil, err
	}
	slots := map[string]bool{}
	for _, c := range m.children {
		if c.slot != "" && c.ready() {
			slots[c.slot] = true
		}
	}
	return slots, nil
}

// look returns a held manifest with everything below it.
func (s *survey) look(ctx context.Context, d digest.Digest, depth int) (*image, error) {
	if m := s.seen[d]; m != nil {
		return m, nil
	}
	m := &image{}
	s.seen[d] = m
	members, err := s.members(ctx, d, m)
	if err != nil {
		return nil, err
	}
	count := map[string]int{}
	for _, x := range members {
		if x.Kind != oci.EdgeChild {
			if !x.servable {
				m.missing = append(m.missing, x.Edge)
			}
			continue
		}
		c := child{Edge: x.Edge}
		if p := platform(x.Platform); p != "" {
			count[p]++
			c.slot = fmt.Sprintf("%s#%d", p, count[p])
		} else {
			c.unknown = x.Platform != nil
		}
		if x.manifest && depth < maxDepth {
			if c.image, err = s.look(ctx, x.Digest, depth+1); err != nil {
				return nil, err
			}
			m.vast = m.vast || c.image.vast
		}
		m.children = append(m.children, c)
	}
	if len(m.children) > 0 && !m.vast {
		m.missing = missingOf(m.children, func(child) bool { return false })
	}
	if s.page != nil && s.page.over {
		delete(s.seen, d) // another tag may have room for it
	}
	return m, nil
}

// members returns what d, which is m, names: for a page not more than is looked at.
func (s *survey) members(ctx context.Context, d digest.Digest, m *image) (members []member, err error) {
	if s.page == nil {
		return list(ctx, s.runner, listMembers, []any{s.repo, string(d)}, scanMember)
	}
	if m.vast = !s.page.spend(1); m.vast {
		return nil, nil
	}
	members, ok := s.loaded[d]
	if !ok {
		members, err = list(ctx, s.runner, listSomeMembers, []any{s.repo, string(d), int64(maxMembers) + 1}, scanShortMember)
	}
	m.size = sizeOf(members)
	m.vast = !s.page.spend(len(members)) || len(members) > maxMembers || slices.ContainsFunc(members, func(x member) bool { return x.long })
	return members[:min(len(members), maxMembers)], err
}

// missingOf is what an index's children lack if those are needed that need says, and
// at least one.
func missingOf(children []child, need func(child) bool) []oci.Edge {
	var missing, started, absent edgeSet
	one := false
	for _, c := range counting(children) {
		if c.ready() {
			one = true
			continue
		}
		if need(c) {
			missing.addOf(c)
		}
		if c.image != nil {
			started.addOf(c)
		} else {
			absent.addOf(c)
		}
	}
	switch {
	case one || len(missing.list) > 0:
		return missing.list
	case len(started.list) > 0:
		return started.list
	}
	return absent.list
}

// edgeSet is edges, each once: indexes may name one image very often, and each other.
type edgeSet struct {
	list     []oci.Edge
	children map[digest.Digest]bool // that were added
	edges    map[edgeKey]bool
}

type edgeKey struct {
	kind   oci.EdgeKind
	digest digest.Digest
}

// addOf adds what c lacks.
func (s *edgeSet) addOf(c child) {
	if s.children[c.Digest] {
		return
	}
	if s.children == nil {
		s.children, s.edges = map[digest.Digest]bool{}, map[edgeKey]bool{}
	}
	s.children[c.Digest] = true
	for _, e := range c.missing() {
		if k := (edgeKey{e.Kind, e.Digest}); !s.edges[k] {
			s.edges[k] = true
			s.list = append(s.list, e)
		}
	}
}

// counting returns the children one of which must be ready.
func counting(children []child) []child {
	var known []child
	for _, c := range children {
		if !c.unknown {
			known = append(known, c)
		}
	}
	if len(known) == 0 {
		return children
	}
	return known
}

// platform is what makes a client take one child and not another, "" if nothing does.
// Of a Windows version only the build counts: the revision after it is another with
// each image.
func platform(p *oci.Platform) string {
	if p == nil || p.OS == "unknown" && p.Architecture == "unknown" {
		return ""
	}
	build := strings.SplitN(p.OSVersion, ".", 4)
	return p.String() + " " + strings.Join(build[:min(len(build), 3)], ".")
}

type member struct {
	oci.Edge
	servable bool // held and linked
	manifest bool // held as a manifest
	long     bool // it has a platform that is longer than is read
}

func scanMember(rows *sql.Rows) (member, error) {
	m, platform, err := scanMemberAfter(rows)
	if err == nil {
		m.Platform, err = unmarshalPlatform(platform)
	}
	return m, err
}

// scanShortMember scans a shortMember.
func scanShortMember(rows *sql.Rows) (member, error) { return scanShortMemberAfter(rows) }

// scanShortMemberAfter scans a shortMember, after others.
func scanShortMemberAfter(rows *sql.Rows, others ...any) (member, error) {
	m, platform, err := scanMemberAfter(rows, others...)
	if m.long = len(platform) > maxPlatform; err == nil && !m.long {
		m.Platform, err = unmarshalPlatform(platform)
	}
	return m, err
}

// scanMemberAfter scans the columns of a member, after others.
func scanMemberAfter(rows *sql.Rows, others ...any) (m member, platform []byte, err error) {
	var kind, d string
	var mediaType []byte
	err = rows.Scan(append(others, &kind, &d, &mediaType, &m.Size, &platform, &m.servable, &m.manifest)...)
	m.Kind, m.Digest, m.MediaType = oci.EdgeKind(kind), digest.Digest(d), string(mediaType)
	return m, platform, err
}
