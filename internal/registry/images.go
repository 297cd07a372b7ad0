package registry

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/pullthrough"
)

const (
	// fetchers is how many images of one request are fetched at once.
	fetchers = 8
	// maxFetched is how many bytes the manifests of one request may have together.
	maxFetched = 16 << 20
)

// FetchedImage is what one of several images that were asked for came to: a manifest or an
// error.
type FetchedImage struct {
	ID  ImageID
	Err error
	*Manifest
}

// FetchImages returns the manifests of images, each as a pull of it, in the order of ids.
// An ID with tag and digest is of the image that has both; errs.Conflict if none has.
// Those of a rule's repository are asked for upstream, a few at a time.
// Errors: errs.Denied, Unauthenticated, NameInvalid, RepoUnknown; errs.LimitExceeded for
// more bytes than an answer can have; errs.UpstreamDenied if the rule's credential cannot be
// read; of one image, in its place: Manifest's, TagInvalid, DigestInvalid, ParamInvalid (an
// ID that is empty), UpstreamTimeout for what has not come when within is over: that goes on
// coming, for whoever asks again.
func (r *Registry) FetchImages(ctx context.Context, c iam.Caller, repo string, ids []ImageID, within time.Duration) ([]FetchedImage, error) {
	s, err := r.find(ctx, c, iam.BatchGetImage, repo)
	if err != nil {
		return nil, r.asked(repo, err)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	late := errs.New(errs.UpstreamTimeout, "it has not come within %s, with the images that were asked for before it; ask for it again", within)
	timed, cancel := context.WithTimeoutCause(ctx, within, late)
	defer cancel()
	images := make([]FetchedImage, len(ids))
	var (
		bytes   atomic.Int64 // of all manifests so far
		work    = make(chan int)
		workers sync.WaitGroup
	)
	for range min(fetchers, len(ids)) {
		workers.Go(func() {
			for i := range work {
				m, err := r.fetchImage(timed, c, s, ids[i])
				if err != nil && context.Cause(timed) == error(late) {
					err = late
				}
				images[i] = FetchedImage{ids[i], err, m}
				switch {
				case err != nil && ofAll(err):
					stop(err)
				case err == nil && bytes.Add(m.Size) > maxFetched:
					stop(errs.New(errs.LimitExceeded, "the manifests of these images have more than %d bytes together: ask for fewer images at once", maxFetched))
				}
			}
		})
	}
	for i := range ids {
		select {
		case work <- i:
		case <-timed.Done():
			images[i] = FetchedImage{ID: ids[i], Err: late}
		}
	}
	close(work)
	workers.Wait()
	return images, context.Cause(ctx)
}

// fetchImage is FetchImages for one image of a repository that was decided on.
func (r *Registry) fetchImage(ctx context.Context, c iam.Caller, s pullthrough.Scope, id ImageID) (*Manifest, error) {
	ref, err := referenceOf(id)
	if err != nil {
		return nil, err
	}
	m, err := r.manifest(ctx, c, s, ref, true)
	if err == nil && id.Digest != "" && m.Digest != id.Digest {
		return nil, errs.New(errs.Conflict, "tag %s of %s is %s", id.Tag, s.Repository, m.Digest)
	}
	if err == nil {
		m.Given()
	}
	return m, err
}

// ofAll says whether an error with one image of several is one of the whole request.
func ofAll(err error) bool {
	switch errs.CodeOf(err) {
	case errs.Internal, errs.Denied, errs.Unauthenticated, errs.Unavailable, errs.StorageFull, errs.RepoUnknown:
		return true
	}
	return errors.Is(err, errs.ErrNoCredential)
}

// referenceOf checks an ID and returns by what its image is asked for. Errors: errs.TagInvalid,
// errs.DigestInvalid, errs.ParamInvalid.
func referenceOf(id ImageID) (ref oci.Reference, err error) {
	if id.Digest == "" && id.Tag == "" {
		return ref, errs.New(errs.ParamInvalid, "Invalid request parameters: both tag and digest cannot be null")
	}
	if id.Digest != "" {
		if _, err := oci.ParseDigest(string(id.Digest)); err != nil {
			return ref, err
		}
	}
	if id.Tag == "" {
		return oci.Reference{Digest: id.Digest}, nil
	}
	if _, err := oci.ParseTag(id.Tag); err != nil {
		return ref, err
	}
	return oci.Reference{Tag: id.Tag}, nil
}
