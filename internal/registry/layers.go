package registry

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// ECR's limits on the parts of a layer.
const (
	MaxParts = 4200
	MinPart  = 5 << 20 // bytes, of all but the last
)

// AppendLayerPart adds a part to an upload, as ECR has it: the part says where it begins
// and ends, and comes whole or not at all. A part that came last, and comes again with
// the same bytes, is what a client sends that never had its answer: it changes nothing.
// The Upload is also right, as far as it is known, if there is an error.
// Errors: errs.Denied, Unauthenticated, NameInvalid, RepoUnknown, UploadUnknown,
// errs.UploadInvalid while another request writes to it, errs.RangeInvalid for a part that
// does not begin where the upload ends, errs.SizeInvalid for one of another length than it
// says, errs.LimitExceeded for one more than MaxParts, errs.StorageFull.
func (r *Registry) AppendLayerPart(ctx context.Context, c iam.Caller, repo, id string, p Part) (Upload, error) {
	s, err := r.openUpload(ctx, c, iam.UploadLayerPart, repo, id)
	if err != nil {
		return Upload{}, err
	}
	err = s.count(ctx, p)
	return Upload{id, s.row.Size}, s.end(err)
}

// count receives a part that counts as one.
func (s *session) count(ctx context.Context, p Part) error {
	n, was := p.End-p.Start+1, s.row
	switch {
	case n <= 0 || n != p.Length:
		return errs.New(errs.SizeInvalid, "The part is said to be bytes %d to %d of the layer, and it has %d bytes", p.Start, p.End, p.Length)
	case was.Parts > 0 && p.Start == was.Size-was.LastPart && n == was.LastPart:
		same, err := s.file.Holds(p.Start, p.Body)
		if err == nil && !same {
			err = errs.New(errs.RangeInvalid, "The part begins at byte %d, where another part was received, and the upload goes on at byte %d", p.Start, was.Size)
		}
		return err
	case p.Start != was.Size:
		return errs.New(errs.RangeInvalid, "The part begins at byte %d, and is not consecutive: the upload goes on at byte %d", p.Start, was.Size)
	case was.Parts >= MaxParts:
		return errs.New(errs.LimitExceeded, "A layer can have %d parts, and these have come; send larger ones", MaxParts)
	}
	before := s.state()
	if err := s.receive(ctx, p); err != nil {
		return joined(err, s.rewind(ctx, before))
	}
	if was.Parts > 0 && was.LastPart < MinPart {
		s.row.ShortParts++
	}
	s.row.Parts, s.row.LastPart = was.Parts+1, n
	return s.save(ctx)
}

// FinishLayer makes an upload a blob of its repository, as ECR has it. An upload of what
// the repository has already ends with it. Errors: errs.Denied, Unauthenticated,
// NameInvalid, RepoUnknown, UploadUnknown, errs.UploadInvalid while another request writes
// to it, errs.UploadEmpty, errs.PartTooSmall, errs.DigestInvalid, errs.DigestMismatch,
// errs.BlobExists.
func (r *Registry) FinishLayer(ctx context.Context, c iam.Caller, repo, id string, d digest.Digest) error {
	s, err := r.openUpload(ctx, c, iam.CompleteLayerUpload, repo, id)
	if err != nil {
		return err
	}
	switch {
	case s.row.Size == 0:
		err = errs.New(errs.UploadEmpty, "The upload with id '%s' in the repository with name '%s' in registry with id '%s' cannot be completed because it does not have any parts", id, repo, r.id)
	case s.row.ShortParts > 0:
		err = errs.New(errs.PartTooSmall, "The upload with id '%s' has parts of less than %d bytes that are not its last; begin it again with larger ones", id, MinPart)
	default:
		err = s.verify(ctx, d, s.state())
	}
	if err == nil {
		err = r.already(ctx, s, d)
	}
	if err == nil {
		err = r.asked(repo, r.commit(ctx, s.row.Repository, s.file))
	}
	if err == nil {
		return nil
	}
	return s.end(err)
}

// already ends an upload of a blob that its repository has, with errs.BlobExists.
func (r *Registry) already(ctx context.Context, s *session, d digest.Digest) error {
	repo := s.row.Repository
	b, err := r.db.Blob(ctx, repo, d)
	if err != nil || !b.Held || !b.Linked {
		return err
	}
	r.db.Touch(repo, "", d, time.Now()) // it is what the client goes on with
	if err := r.db.DeleteUpload(ctx, repo, s.row.ID); err != nil {
		return err
	}
	err = errs.New(errs.BlobExists, "The layer with digest '%s' already exists in the repository with name '%s' in registry with id '%s'", d, repo, r.id)
	return joined(err, s.file.Abort())
}

// Layer is what a repository knows of a blob.
type Layer struct {
	rule.Blob
	MediaType string // as a manifest of the repository says; "": none names it
}

// Layers tells of blobs whether the repository has them, without asking an upstream:
// nil for what is no digest. Action: ecr:BatchCheckLayerAvailability.
// Errors: errs.Denied, Unauthenticated, NameInvalid, RepoUnknown.
func (r *Registry) Layers(ctx context.Context, c iam.Caller, repo string, digests []string) ([]*Layer, error) {
	row, err := r.described(ctx, c, iam.BatchCheckLayerAvailability, repo)
	if err != nil {
		return nil, err
	}
	layers := make([]*Layer, len(digests))
	for i, s := range digests {
		d, err := oci.ParseDigest(s)
		if err != nil {
			continue
		}
		b, err := r.db.Blob(ctx, row.Name, d)
		if err != nil {
			return nil, err
		}
		if row.Archives && b.Linked {
			if b.Archived, err = r.db.InArchive(ctx, row.Name, d); err != nil {
				return nil, err
			}
		}
		layers[i] = &Layer{Blob: b}
		if b.Held && b.Linked {
			r.db.Touch(row.Name, "", d, time.Now()) // a push that asks need not send it: it stays
			if layers[i].MediaType, _, err = r.db.BlobType(ctx, row.Name, d); err != nil {
				return nil, err
			}
		}
	}
	return layers, nil
}

// FetchLayer says whether a client would get a blob now, and has it on its way in when it
// returns nil: of a rule's repository it is asked for upstream.
// Errors: as Blob, and errs.Conflict for a blob of an own repository that no manifest there
// names.
func (r *Registry) FetchLayer(ctx context.Context, c iam.Caller, repo string, d digest.Digest) error {
	s, err := r.find(ctx, c, iam.GetDownloadURLForLayer, repo)
	if err != nil {
		return r.asked(repo, err)
	}
	if _, err := oci.ParseDigest(string(d)); err != nil {
		return err
	}
	b, err := r.cache.Blob(ctx, s, d)
	if errs.CodeOf(err) == errs.BlobUnknown && s.Rule.Upstream == "" {
		return errs.Wrap(errs.BlobUnknown, err, "The layer with digest %s does not exist within the repository with name '%s' in the registry with id '%s'", d, repo, r.id)
	}
	if err != nil {
		return err
	}
	if err := b.Close(); err != nil || !s.Own {
		return err
	}
	_, named, err := r.db.BlobType(ctx, s.Repository, d)
	if err == nil && !named {
		err = errs.New(errs.Conflict, "The layer with digest %s is not associated with an image of the repository with name '%s' in the registry with id '%s'", d, repo, r.id)
	}
	return err
}
