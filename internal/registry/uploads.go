package registry

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
)

const (
	// chunk is how many bytes are written at once.
	chunk = 256 << 10
	// sift is how many uploads are read at once.
	sift = 1000
)

// Upload is a blob that a client is sending, as far as weir has it.
type Upload struct {
	ID   string
	Size int64 // bytes that are durable
}

// Part is a part of a blob as a client sends it.
type Part struct {
	Body   io.Reader // nil: nothing comes
	Start  int64     // where it begins, as the client says; -1: it does not
	End    int64     // its last byte, if Start is not -1
	Length int64     // how many bytes the client says that come; -1: it does not
}

// SiftUploads removes the bytes of uploads that no row knows, as a crash leaves them.
// It is called before the registry serves.
func SiftUploads(ctx context.Context, db *meta.DB, uploads *blob.Uploads) error {
	known := map[string]bool{}
	for after := ""; ; {
		rows, err := db.Uploads(ctx, after, sift)
		if err != nil {
			return err
		}
		for _, u := range rows {
			known[u.ID] = true
			after = u.ID
		}
		if len(rows) < sift {
			break
		}
	}
	return uploads.Sift(func(id string) bool { return known[id] })
}

// StartUpload begins an upload to a repository. Bytes are hashed with algorithm as
// they come, sha256 if it is "". Errors: errs.Denied, Unauthenticated, NameInvalid,
// RepoUnknown, DigestInvalid.
func (r *Registry) StartUpload(ctx context.Context, c iam.Caller, repo string, algorithm digest.Algorithm) (Upload, error) {
	row, err := r.target(ctx, c, iam.InitiateLayerUpload, repo, true)
	if err != nil {
		return Upload{}, err
	}
	switch algorithm {
	case "":
		algorithm = digest.SHA256
	case digest.SHA256, digest.SHA512:
	default:
		return Upload{}, errs.New(errs.DigestInvalid, "digest algorithm %q is not supported: sha256 and sha512 are", algorithm)
	}
	now := time.Now()
	u := meta.Upload{ID: newUploadID(), Repository: row.Name, Algorithm: algorithm, Started: now, Updated: now}
	return Upload{ID: u.ID}, r.asked(repo, r.db.PutUpload(ctx, u))
}

// newUploadID returns a random UUID: ECR's upload IDs have this form.
func newUploadID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Upload tells what there is of an upload. Errors: errs.Denied, Unauthenticated,
// NameInvalid, RepoUnknown, UploadUnknown.
func (r *Registry) Upload(ctx context.Context, c iam.Caller, repo, id string) (Upload, error) {
	row, err := r.target(ctx, c, iam.UploadLayerPart, repo, false)
	if err != nil {
		return Upload{}, err
	}
	u, err := r.db.Upload(ctx, row.Name, id)
	return Upload{u.ID, u.Size}, err
}

// CancelUpload forgets an upload. Errors: as Upload, and errs.UploadInvalid while
// another request writes to it.
func (r *Registry) CancelUpload(ctx context.Context, c iam.Caller, repo, id string) error {
	row, err := r.target(ctx, c, iam.UploadLayerPart, repo, false)
	if err != nil {
		return err
	}
	if _, err := r.db.Upload(ctx, row.Name, id); err != nil {
		return err
	}
	return r.uploads.Remove(id, func() error { return r.db.DeleteUpload(ctx, row.Name, id) })
}

// AppendUpload adds a part to an upload. What came of a body that breaks off, or that
// there is no room for, stays; a part that is not what it says is left out wholly.
// The Upload is also right, as far as it is known, if there is an error.
// Errors: as Upload, errs.UploadInvalid while another request writes to it,
// errs.RangeInvalid for a part that does not begin where the upload ends,
// errs.SizeInvalid for one of another length than it says, errs.StorageFull.
func (r *Registry) AppendUpload(ctx context.Context, c iam.Caller, repo, id string, p Part) (Upload, error) {
	s, err := r.openUpload(ctx, c, iam.UploadLayerPart, repo, id)
	if err != nil {
		return Upload{}, err
	}
	err = s.receive(ctx, p)
	if saving := s.save(ctx); saving != nil {
		err = joined(err, saving)
	}
	return Upload{id, s.row.Size}, s.end(err)
}

// FinishUpload adds a last part, if there is one, and makes the upload a blob of its
// repository. If the bytes do not have the digest, the last part is left out again.
// Errors: as AppendUpload, and errs.DigestMismatch.
func (r *Registry) FinishUpload(ctx context.Context, c iam.Caller, repo, id string, d digest.Digest, p Part) (Upload, error) {
	s, err := r.openUpload(ctx, c, iam.CompleteLayerUpload, repo, id)
	if err != nil {
		return Upload{}, err
	}
	before := s.state()
	if err = s.receive(ctx, p); err == nil {
		err = s.verify(ctx, d, before)
	}
	if err == nil {
		err = r.asked(repo, r.commit(ctx, s.row.Repository, s.file))
	}
	if err == nil {
		return Upload{id, s.row.Size}, nil
	}
	return Upload{id, s.row.Size}, s.end(joined(err, s.save(ctx)))
}

// commit takes a verified upload into the store, and then into the rows: a row never
// says what is not so.
func (r *Registry) commit(ctx context.Context, repo string, up *blob.Upload) error {
	ctx = context.WithoutCancel(ctx)
	d, size := up.Digest(), up.Size()
	if err := r.db.Claim(ctx, d, time.Now()); err != nil {
		return err
	}
	if err := r.store.Commit(ctx, up); err != nil {
		return err
	}
	return r.db.FinishUpload(ctx, repo, up.ID(), d, size, time.Now())
}

// session is an upload while one request has it.
type session struct {
	db    *meta.DB
	row   meta.Upload // as it is in the database
	file  *blob.Upload
	every int64 // registry.Options.SaveEvery
}

// openUpload opens an upload for an action of c's. Errors: as Upload, errs.UploadInvalid
// while another request writes to it.
func (r *Registry) openUpload(ctx context.Context, c iam.Caller, action, repo, id string) (*session, error) {
	row, err := r.target(ctx, c, action, repo, false)
	if err != nil {
		return nil, err
	}
	repo = row.Name
	s := &session{db: r.db, every: r.saveEvery}
	// An ID that is no row's must not become a file's name.
	if _, err := r.db.Upload(ctx, repo, id); err != nil {
		return nil, err
	}
	s.file, err = r.uploads.Open(id, func() (blob.UploadState, error) {
		row, err := r.db.Upload(ctx, repo, id)
		s.row = row
		return s.state(), err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// end puts the upload away after what came to err. One that was forgotten meanwhile, with
// its repository, leaves no bytes.
func (s *session) end(err error) error {
	if errs.CodeOf(err) == errs.UploadUnknown {
		return joined(err, s.file.Abort())
	}
	return joined(err, s.file.Close())
}

func (s *session) state() blob.UploadState {
	return blob.UploadState{Size: s.row.Size, Algorithm: s.row.Algorithm, Hash: s.row.Hash}
}

// save makes durable what has come, whatever became of the request.
func (s *session) save(ctx context.Context) error {
	state, err := s.file.Save()
	if err != nil {
		return err
	}
	return s.note(ctx, state)
}

// note writes the row.
func (s *session) note(ctx context.Context, state blob.UploadState) error {
	row := s.row
	row.Size, row.Algorithm, row.Hash, row.Updated = state.Size, state.Algorithm, state.Hash, time.Now()
	if err := s.db.SaveUpload(context.WithoutCancel(ctx), row); err != nil {
		return err
	}
	s.row = row
	return nil
}

// receive writes a part. Of a part that is not what it says nothing is left.
func (s *session) receive(ctx context.Context, p Part) error {
	if p.Start >= 0 && p.Start != s.row.Size {
		return errs.New(errs.RangeInvalid, "the part begins at byte %d, but the upload has %d bytes, and goes on from there", p.Start, s.row.Size)
	}
	want := p.Length
	if p.Start >= 0 {
		n := p.End - p.Start + 1
		if n <= 0 || want >= 0 && want != n {
			return errs.New(errs.SizeInvalid, "Content-Range is of %d bytes, and the body has %d", n, want)
		}
		want = n
	}
	if p.Body == nil {
		return nil
	}
	if want > 0 {
		if err := s.file.Reserve(want); err != nil {
			return err
		}
	}
	before := s.state()
	came, err := s.copy(ctx, p.Body)
	if err == nil && want >= 0 && came != want {
		err = errs.New(errs.SizeInvalid, "%d bytes came where %d were said to come; none of them is kept", came, want)
		return joined(err, s.rewind(ctx, before))
	}
	return err
}

// rewind goes back to the state before a part. The row goes first, if a long part was
// saved on its way: bytes without a row are cut off, a row without its bytes would be
// an upload that is lost.
func (s *session) rewind(ctx context.Context, before blob.UploadState) error {
	var err error
	if s.row.Size > before.Size {
		err = s.note(ctx, before)
	}
	return joined(s.file.Rewind(before), err)
}

// copy writes what comes and returns how much that was.
func (s *session) copy(ctx context.Context, body io.Reader) (came int64, err error) {
	buf := make([]byte, chunk)
	for saved := s.file.Size(); ; {
		n, err := fill(body, buf)
		came += int64(n)
		if _, werr := s.file.Write(buf[:n]); werr != nil {
			return came, werr
		}
		switch {
		case err == io.EOF:
			return came, nil
		case err != nil:
			return came, errs.Wrap(errs.SizeInvalid, err, "the body broke off; the upload has its %d bytes so far", s.file.Size())
		}
		if s.file.Size()-saved >= s.every {
			if err := s.save(ctx); err != nil {
				return came, err
			}
			saved = s.file.Size()
		}
	}
}

// fill reads until buf is full or body ends, and returns how it ended.
func fill(body io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = body.Read(buf[n:])
		n += m
	}
	return n, err
}

// verify says whether the upload's bytes have the digest, and goes back to an earlier
// state if they have not.
func (s *session) verify(ctx context.Context, d digest.Digest, before blob.UploadState) error {
	if err := s.file.Aim(d); err != nil {
		return joined(err, s.rewind(ctx, before))
	}
	if s.file.Verified() {
		return nil
	}
	err := errs.New(errs.DigestMismatch, "the %d bytes of the upload do not have digest %s; it stays as it was before this request, with %d", s.file.Size(), d, before.Size)
	return joined(err, s.rewind(ctx, before))
}

// dropUploads removes the bytes of uploads whose repository was deleted. What a request is
// writing to, that one removes.
func (r *Registry) dropUploads(ctx context.Context, repo string, ids []string) {
	for _, id := range ids {
		// What cannot be removed now goes at the next start.
		_ = r.uploads.Remove(id, func() error {
			if _, err := r.db.Upload(ctx, repo, id); errs.CodeOf(err) != errs.UploadUnknown {
				return errs.New(errs.Conflict, "upload %s is there", id)
			}
			return nil
		})
	}
}
