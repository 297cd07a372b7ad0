package registry

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/pullthrough"
)

// How much Arriving looks up and tells.
const (
	maxArriving  = 200
	maxArrivedAs = 3  // tags of each repository
	maxNamed     = 50 // arrivals whose tags are looked up

	remembered    = 10 * time.Second // tags of an arrival
	maxRemembered = 1000             // of them
)

// Arrival is a blob on its way in, as far as a caller may know of it.
type Arrival struct {
	pullthrough.Arrival             // its Clients are those of Repositories
	Repositories        []ArrivalAt // that get it, by name
}

// ArrivalAt is a repository that gets a blob.
type ArrivalAt struct {
	Repository string
	Clients    int
	Tags       []string // some of those of images that have the blob, as far as they were looked up
}

// Arriving tells what is on its way in for repositories that the caller may describe, with
// their images, the oldest first, and how many more there are that it does not tell.
// Actions: ecr:DescribeRepositories and ecr:DescribeImages.
// Errors: errs.Denied and Unauthenticated where that can be none.
func (r *Registry) Arriving(ctx context.Context, c iam.Caller) (arrivals []Arrival, more int, err error) {
	all, err := r.db.RegistryPolicy(ctx)
	if err != nil {
		return nil, 0, err
	}
	none := r.seesNone(c, all)
	if none != nil && (errs.CodeOf(none) != errs.Denied || c.Anonymous) {
		return nil, 0, none
	}
	seen := map[string]bool{}
	for _, a := range r.cache.Arriving() {
		told := Arrival{Arrival: a}
		for _, repo := range slices.Sorted(maps.Keys(a.Clients)) {
			may, known := seen[repo]
			if !known {
				if may, err = r.describesNamed(ctx, c, repo, all); err != nil {
					return nil, 0, err
				}
				seen[repo] = may
			}
			if may {
				told.Repositories = append(told.Repositories, ArrivalAt{Repository: repo, Clients: a.Clients[repo]})
			}
		}
		told.Clients = nil
		switch {
		case len(told.Repositories) == 0:
		case len(arrivals) == maxArriving:
			more++
		default:
			arrivals = append(arrivals, told)
		}
	}
	if len(arrivals) == 0 && none != nil { // policies of repositories let the caller see none either
		return nil, 0, none
	}
	for _, a := range arrivals[:min(len(arrivals), maxNamed)] {
		for i := range a.Repositories {
			at := &a.Repositories[i]
			if at.Tags, err = r.arrivingTags(ctx, at.Repository, a.Digest); err != nil {
				return nil, 0, err
			}
		}
	}
	return arrivals, more, nil
}

// arrivedTags remembers for a moment by which tags blobs arrive: everybody who looks asks
// for the same ones every second.
type arrivedTags struct {
	mu sync.Mutex
	m  map[arrivedKey]arrived
}

type arrivedKey struct {
	repo   string
	digest digest.Digest
}

type arrived struct {
	tags  []string
	until time.Time
}

// arrivingTags returns some tags of images of a repository that have a blob.
func (r *Registry) arrivingTags(ctx context.Context, repo string, d digest.Digest) ([]string, error) {
	t, key := &r.arrived, arrivedKey{repo, d}
	t.mu.Lock()
	was, ok := t.m[key]
	t.mu.Unlock()
	if ok && time.Now().Before(was.until) {
		return was.tags, nil
	}
	tags, err := r.db.TagsWith(ctx, repo, d, maxArrivedAs)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.m) >= maxRemembered || t.m == nil {
		t.m = map[arrivedKey]arrived{}
	}
	t.m[key] = arrived{tags, time.Now().Add(remembered)}
	return tags, nil
}

// describesNamed says whether c may describe a repository and its images. It need not be
// there yet.
func (r *Registry) describesNamed(ctx context.Context, c iam.Caller, repo string, all meta.RegistryPolicy) (bool, error) {
	p, err := r.place(ctx, repo)
	return err == nil && r.permitBy(c, iam.Request{Action: describeRepositories}, p, all) == nil &&
		r.permitBy(c, iam.Request{Action: iam.DescribeImages}, p, all) == nil, err
}

// seesNone returns the refusal of a caller whom no policy but a repository's own may let
// describe one; nil if another does.
func (r *Registry) seesNone(c iam.Caller, all meta.RegistryPolicy) error {
	overall := r.overallBy(iam.Request{Action: describeRepositories, Resource: r.ARN("*")}, all)
	d := c.Decide(overall)
	if d.Allowed || !d.Explicit && (c.Root || mayAnywhere(c, describeRepositories)) {
		return nil
	}
	return c.May(overall)
}
