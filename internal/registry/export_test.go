package registry

import (
	"context"

	"github.com/opencontainers/go-digest"
)

// ArrivingTags are the tags that Arriving tells of a blob.
func ArrivingTags(ctx context.Context, r *Registry, repo string, d digest.Digest) ([]string, error) {
	return r.arrivingTags(ctx, repo, d)
}
