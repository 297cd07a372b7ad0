package meta

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// TagRow is a tag in a list for people.
type TagRow struct {
	Name string
	rule.Tag
	MediaType string    // of the image, foreign
	Stored    time.Time // when the image came
	Size      int64     // of the image, as Image's
	Index     bool      // it names manifests
	Platforms []PlatformRow
	Missing   []oci.Edge // what the image needs and that is not here; see DB.Missing
	Archived  bool

	// Vast is true of an image that, with what it names, names more than is looked at for a
	// page. Platforms are some of its then, and Size and Missing are not known.
	Vast bool
}

// PlatformRow is a platform of an index: what its child says that it is for. It is foreign.
type PlatformRow struct {
	oci.Platform
	Held  bool // the child's manifest
	Ready bool // and all that it names
}

// How much is looked at for one page of tags. What an image names is foreign: it may be very much.
const (
	maxTagsLooked = 10_000 // tags, for those that have a part

	maxMembers     = 1000   // that one manifest names
	maxTagMembers  = 4000   // that an image and all below it name
	maxPageMembers = 20_000 // that the images of a page name

	maxTogether  = 100    // members of a manifest that is read together with others
	maxPreloaded = 10_000 // members that are read together
	maxPlatform  = 1024   // bytes of a platform
)

// BrowseTags returns up to limit tags of a repository that have part somewhere in their
// names, in upper or lower case, after the tag after, in the order of their bytes. What is
// told of one is of one moment, or of several when it changes meanwhile. With a part, looked may be
// the last tag that was looked at, and not the last that there is, as that of Images.
// Errors: errs.NameInvalid, errs.ParamInvalid.
func (db *DB) BrowseTags(ctx context.Context, repo, part, after string, limit int) (tags []TagRow, looked string, err error) {
	if err := checkList(repo, part, after); err != nil {
		return nil, "", err
	}
	part = strings.ToLower(part)
	if part != "" {
		found, err := list(ctx, db.get(), getTagAfter, []any{repo, after, int64(maxTagsLooked)}, text[string])
		if err != nil {
			return nil, "", fmt.Errorf("tags of %s: %w", repo, err)
		}
		if len(found) > 0 {
			looked = found[0]
		}
	}
	args := []any{repo, after, part, int64(max(limit, 0)), upTo(digest.Digest(looked))}
	tags, err = list(ctx, db.get(), browseTags, args, scanTagRow)
	if err == nil {
		err = db.fillTags(ctx, repo, part, tags)
	}
	if err != nil {
		return nil, "", fmt.Errorf("tags of %s: %w", repo, err)
	}
	return tags, looked, nil
}

func scanTagRow(rows *sql.Rows) (TagRow, error) {
	var r TagRow
	var d, complete string
	var checked, pulled, stored int64
	var mediaType []byte
	err := rows.Scan(&r.Name, &d, &complete, &checked, &pulled, &r.Orphaned, &mediaType, &stored, &r.Archived)
	r.Digest, r.Complete, r.MediaType = digest.Digest(d), digest.Digest(complete), string(mediaType)
	r.Checked, r.Pulled, r.Stored = fromMicros(checked), fromMicros(pulled), fromMicros(stored)
	return r, err
}

// fillTags adds what the manifests of a page of tags, and their children, name.
func (db *DB) fillTags(ctx context.Context, repo, part string, tags []TagRow) error {
	if len(tags) == 0 {
		return nil
	}
	s := newSurvey(db.get(), repo)
	s.page = &bounds{page: maxPageMembers}
	args := []any{repo, tags[0].Name, tags[len(tags)-1].Name, part}
	top, err := membersOfPage(ctx, db.get(), listPageMembers, args)
	if err != nil {
		return err
	}
	if s.loaded, err = membersOfPage(ctx, db.get(), listPageChildren, args); err != nil {
		return err
	}
	maps.Copy(s.loaded, top)
	type image struct{ digest, complete digest.Digest }
	filled := map[image]*TagRow{}
	for i := range tags {
		t := &tags[i]
		of := image{t.Digest, t.Complete}
		if same := filled[of]; same != nil {
			t.Size, t.Index, t.Platforms, t.Missing, t.Vast = same.Size, same.Index, same.Platforms, same.Missing, same.Vast
			continue
		}
		if err := s.fillTag(ctx, t); err != nil {
			return err
		}
		filled[of] = t
	}
	return nil
}

// membersOfPage returns what manifests name, by manifest. Those that name much are left out,
// and some of very many.
func membersOfPage(ctx context.Context, r runner, q query, args []any) (map[digest.Digest][]member, error) {
	all := map[digest.Digest][]member{}
	var last digest.Digest
	rows, err := list(ctx, r, q, args, func(rows *sql.Rows) (_ struct{}, err error) {
		var parent string
		m, err := scanShortMemberAfter(rows, &parent)
		last = digest.Digest(parent)
		all[last] = append(all[last], m)
		return struct{}{}, err
	})
	if len(rows) == maxPreloaded {
		delete(all, last) // there may be more of it
	}
	maps.DeleteFunc(all, func(_ digest.Digest, members []member) bool { return len(members) > maxTogether })
	return all, err
}

// fillTag adds what t's image names.
func (s *survey) fillTag(ctx context.Context, t *TagRow) (err error) {
	s.page.begin()
	m, err := s.look(ctx, t.Digest, 0) // a tag is only of what is held
	if err != nil {
		return err
	}
	t.Size = m.size
	for _, c := range m.children {
		t.Index = true
		if c.image != nil {
			t.Size = max(t.Size, c.image.size)
		}
		if c.Platform != nil && !c.unknown && (c.image == nil || !c.image.vast) {
			t.Platforms = append(t.Platforms, PlatformRow{*c.Platform, c.image != nil, c.ready()})
		}
	}
	if !m.vast {
		t.Missing, err = s.missingOfHeld(ctx, t.Digest, t.Complete)
	}
	if m.vast || s.page.over {
		t.Vast, t.Size, t.Missing = true, 0, nil
	}
	return err
}

// sizeOf is the bytes of the config and layers among members, each once, counted as
// statements do.
func sizeOf(members []member) (size int64) {
	const most = 1 << 46
	counted := map[digest.Digest]int64{}
	for _, m := range members {
		if m.Kind != oci.EdgeChild {
			counted[m.Digest] = max(counted[m.Digest], min(m.Size, most))
		}
	}
	for _, n := range counted {
		size = min(size, math.MaxInt64-n) + n
	}
	return size
}

// MoveRow is one row of the history of a repository's tags. N tells the rows of a tag apart.
type MoveRow struct {
	Tag string
	N   int64
	rule.Move
}

// Moves returns up to limit moves of a repository's tags before the move before, of the
// tag tag if that is not "", newest first: of one tag in the order in which they were written,
// of all by the clock. The zero MoveRow is before none.
// Errors: errs.NameInvalid, errs.ParamInvalid.
func (db *DB) Moves(ctx context.Context, repo, tag string, before MoveRow, limit int) ([]MoveRow, error) {
	if err := checkList(repo, tag, before.Tag); err != nil {
		return nil, err
	}
	n, at := before.N, micros(before.At)
	if before == (MoveRow{}) {
		n, at = math.MaxInt64, math.MaxInt64
	}
	q, args := listRepositoryMoves, []any{repo, at, before.Tag, n, int64(max(limit, 0))}
	if tag != "" {
		q, args = listTagMoves, []any{repo, tag, n, int64(max(limit, 0))}
	}
	moves, err := list(ctx, db.get(), q, args, func(rows *sql.Rows) (m MoveRow, err error) {
		var from, to string
		err = rows.Scan(&m.Tag, &m.N, &from, &to, &at)
		m.From, m.To, m.At = digest.Digest(from), digest.Digest(to), fromMicros(at)
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("history of %s: %w", repo, err)
	}
	return moves, nil
}
