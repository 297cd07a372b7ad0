package meta

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
)

// RepositoryTotals is what a repository comes to. It is kept as images come and go.
type RepositoryTotals struct {
	Images int64 // manifests and indexes

	// Bytes is the sizes of its images together: of each manifest the bytes of the config
	// and layers that it names, each once. What two images share is counted with both;
	// an index adds nothing to the images that it names. It is what manifests say,
	// not what is on the disk, and 1 TiB for an image of which they say more.
	Bytes int64

	Pulled time.Time // last pull of an image by a client, as of the last time that pull times were written (see DB.Touch); zero: never
}

// RepositoryRow is a repository in a list for people.
type RepositoryRow struct {
	Repository
	RepositoryTotals
}

// RepositoryQuery asks for a page of repositories. The zero value asks for none of all.
type RepositoryQuery struct {
	Part  string // somewhere in the name, in upper or lower case
	Kind  string // Cached or Own; "": either
	After string // name
	Limit int

	// From and To leave out those that have neither a policy nor a name between them, or
	// that is one of them. "" for To: none is left out.
	From, To string
}

// BrowseRepositories returns up to q.Limit of the repositories that q asks for, in the
// order of their names' bytes. It looks at names, not at images. Errors: errs.ParamInvalid.
func (db *DB) BrowseRepositories(ctx context.Context, q RepositoryQuery) ([]RepositoryRow, error) {
	for _, s := range []string{q.Part, q.Kind, q.After, q.From, q.To} {
		if err := checkText(s); err != nil {
			return nil, err
		}
	}
	if q.To == "" {
		q.From, q.To = "", behind
	}
	args := []any{q.After, int64(max(q.Limit, 0)), strings.ToLower(q.Part), q.Kind, q.From, q.To}
	rows, err := list(ctx, db.get(), browseRepositories, args, func(rows *sql.Rows) (r RepositoryRow, err error) {
		var pulled int64
		r.Repository, err = scanRepositoryBefore(rows, &r.Images, &r.Bytes, &pulled)
		r.Pulled = fromMicros(pulled)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("browse repositories: %w", err)
	}
	return rows, nil
}

// Totals returns what a repository comes to. Errors: errs.NameInvalid, errs.RepoUnknown.
func (db *DB) Totals(ctx context.Context, repo string) (RepositoryTotals, error) {
	if err := checkList(repo); err != nil {
		return RepositoryTotals{}, err
	}
	found, err := list(ctx, db.get(), getTotals, []any{repo}, func(rows *sql.Rows) (r RepositoryTotals, err error) {
		var pulled int64
		err = rows.Scan(&r.Images, &r.Bytes, &pulled)
		r.Pulled = fromMicros(pulled)
		return r, err
	})
	if err != nil {
		return RepositoryTotals{}, fmt.Errorf("totals of %s: %w", repo, err)
	}
	if len(found) == 0 {
		return RepositoryTotals{}, errs.New(errs.RepoUnknown, "repository %s does not exist", repo)
	}
	return found[0], nil
}

// Member is something that a manifest names as its part. A media type is cut, and a platform
// left out, where it is longer than people need.
type Member struct {
	oci.Edge
	Held bool // the repository may serve it; of a child: its manifest is there
}

// Members returns up to limit parts of a held manifest, in its order, and whether there
// are more. Errors: errs.NameInvalid, errs.DigestInvalid.
func (db *DB) Members(ctx context.Context, repo string, d digest.Digest, limit int) (parts []Member, more bool, err error) {
	if err := checkNames(repo, d); err != nil {
		return nil, false, err
	}
	limit = max(limit, 0)
	all, err := list(ctx, db.get(), listSomeMembers, []any{repo, string(d), int64(limit) + 1}, scanShortMember)
	if err != nil {
		return nil, false, fmt.Errorf("parts of %s@%s: %w", repo, d, err)
	}
	for _, m := range all[:min(len(all), limit)] {
		parts = append(parts, Member{m.Edge, m.servable && m.Kind != oci.EdgeChild || m.manifest && m.Kind == oci.EdgeChild})
	}
	return parts, len(all) > limit, nil
}

// Indexes returns up to limit manifests of the repository that name d as a child, by digest.
// Errors: errs.NameInvalid, errs.DigestInvalid.
func (db *DB) Indexes(ctx context.Context, repo string, d digest.Digest, limit int) ([]digest.Digest, error) {
	if err := checkNames(repo, d); err != nil {
		return nil, err
	}
	all, err := list(ctx, db.get(), listSomeIndexes, []any{repo, string(d), int64(max(limit, 0))}, text[digest.Digest])
	if err != nil {
		return nil, fmt.Errorf("indexes of %s@%s: %w", repo, d, err)
	}
	return all, nil
}
