package meta

import (
	"context"
	"database/sql"
	"fmt"
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
// another is held tells only that somebody looked at it. Children of no or of an unknown platform (attestations) are not needed; the
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
}

func newSurvey(r runner, repo string) *survey {
	return &survey{r, repo, map[digest.Digest]*image{}, nil}
}

// image is one held manifest.
type image struct {
	children []child
	missing  []oci.Edge // as far as it is not a tag's platforms that decide
}

func (m *image) ready() bool { return len(m.missing) == 0 }

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
	members, ok := s.loaded[d]
	if !ok {
		var err error
		if members, err = list(ctx, s.runner, listMembers, []any{s.repo, string(d)}, scanMember); err != nil {
			return nil, err
		}
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
			var err error
			if c.image, err = s.look(ctx, x.Digest, depth+1); err != nil {
				return nil, err
			}
		}
		m.children = append(m.children, c)
	}
	if len(m.children) > 0 {
		m.missing = missingOf(m.children, func(child) bool { return false })
	}
	return m, nil
}

// missingOf is what an index's children lack if those are needed that need says, and
// at least one.
func missingOf(children []child, need func(child) bool) []oci.Edge {
	var missing, started, absent []oci.Edge
	one := false
	for _, c := range counting(children) {
		if c.ready() {
			one = true
			continue
		}
		if need(c) {
			missing = append(missing, c.missing()...)
		}
		if c.image != nil {
			started = append(started, c.missing()...)
		} else {
			absent = append(absent, c.missing()...)
		}
	}
	switch {
	case one || len(missing) > 0:
		return missing
	case len(started) > 0:
		return started
	}
	return absent
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
}

func scanMember(rows *sql.Rows) (member, error) { return scanMemberAfter(rows) }

// scanMemberAfter scans the columns of a member, after others.
func scanMemberAfter(rows *sql.Rows, others ...any) (member, error) {
	var m member
	var kind, d string
	var mediaType, platform []byte
	if err := rows.Scan(append(others, &kind, &d, &mediaType, &m.Size, &platform, &m.servable, &m.manifest)...); err != nil {
		return m, err
	}
	m.Kind, m.Digest, m.MediaType = oci.EdgeKind(kind), digest.Digest(d), string(mediaType)
	var err error
	m.Platform, err = unmarshalPlatform(platform)
	return m, err
}
