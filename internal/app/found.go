package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/meta"
)

// page is how many names are read from the database at once.
const page = 1000

// found counts what a data folder has.
type found struct {
	repositories, tags, blobs int
	bytes                     int64
}

func (f found) String() string {
	return strings.Join([]string{
		count(f.repositories, "repository", "repositories"),
		count(f.tags, "tag", "tags"),
		count(f.blobs, "blob", "blobs"),
		size(f.bytes),
	}, ", ")
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func look(ctx context.Context, db *meta.DB, store blob.Store) (found, error) {
	var f found
	for after := ""; ; {
		repos, err := db.Repositories(ctx, after, page)
		if err != nil {
			return f, err
		}
		for _, repo := range repos {
			n, err := tags(ctx, db, repo)
			if err != nil {
				return f, err
			}
			f.tags += n
		}
		f.repositories += len(repos)
		if len(repos) < page {
			break
		}
		after = repos[len(repos)-1]
	}
	for info, err := range store.All(ctx) {
		if err != nil {
			return f, err
		}
		f.blobs++
		f.bytes += info.Size
	}
	return f, nil
}

func tags(ctx context.Context, db *meta.DB, repo string) (n int, err error) {
	for after := ""; ; {
		tags, err := db.Tags(ctx, repo, after, page)
		if err != nil {
			return n, err
		}
		n += len(tags)
		if len(tags) < page {
			return n, nil
		}
		after = tags[len(tags)-1]
	}
}
