package registry

import (
	"context"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/rule"
)

// The actions that scans and signatures ask for.
const (
	getScanning       = "ecr:BatchGetRepositoryScanningConfiguration"
	startScan         = "ecr:StartImageScan"
	describeFindings  = "ecr:DescribeImageScanFindings"
	describeSignature = "ecr:DescribeImageSigningStatus"
)

// Scanning is how often a repository's images are to be scanned.
type Scanning struct {
	Name, ARN string
	OnPush    bool     // by the repository's own setting, or the frequency
	Frequency string   // a word of package rule
	Filters   []string // of the registry's scanning configuration, that say so
}

// Scannings returns of each repository how often its images are to be scanned, and the
// names of those that are not there.
// Action: ecr:BatchGetRepositoryScanningConfiguration.
// Errors: errs.Denied, Unauthenticated, NameInvalid.
func (r *Registry) Scannings(ctx context.Context, c iam.Caller, names []string) (found []Scanning, missing []string, err error) {
	for _, name := range names {
		row, err := r.described(ctx, c, getScanning, name)
		if errs.CodeOf(err) == errs.RepoUnknown {
			missing = append(missing, name)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		s := Scanning{Name: row.Name, ARN: r.ARN(row.Name)}
		s.Frequency, s.Filters = r.settings.Load().Scanning.For(row.Name, row.ScanOnPush)
		s.OnPush = row.ScanOnPush || s.Frequency == rule.ScanOnPush
		found = append(found, s)
	}
	return found, missing, nil
}

// PutScanOnPush says of a repository whether what is pushed there is to be scanned. It is
// kept and told, and nothing scans. Action: ecr:PutImageScanningConfiguration.
// Errors: errs.Denied, Unauthenticated, NameInvalid, RepoUnknown.
func (r *Registry) PutScanOnPush(ctx context.Context, c iam.Caller, repo string, on bool) (Repository, error) {
	row, err := r.described(ctx, c, putScanning, repo)
	if err != nil {
		return Repository{}, err
	}
	row, err = r.db.PutScanOnPush(ctx, row.Name, on)
	return r.repository(row), r.asked(repo, err)
}

// StartScan refuses to scan an image that is there: weir has no scanner.
// Action: ecr:StartImageScan. Errors: errs.Unsupported, and as NamedImages.
func (r *Registry) StartScan(ctx context.Context, c iam.Caller, repo string, id ImageID) (ImageID, error) {
	id, err := r.imageFor(ctx, c, startScan, repo, id)
	if err == nil {
		err = errs.New(errs.Unsupported, "weir has no scanner for images of any type, and nothing was started. Scan the image where it is pulled.")
	}
	return id, err
}

// Scanned says that an image that is there was never scanned.
// Action: ecr:DescribeImageScanFindings. Errors: errs.ScanUnknown, and as NamedImages.
func (r *Registry) Scanned(ctx context.Context, c iam.Caller, repo string, id ImageID) (ImageID, error) {
	asked := id
	id, err := r.imageFor(ctx, c, describeFindings, repo, id)
	if err == nil {
		err = errs.New(errs.ScanUnknown, "Image scan does not exist for the image with '%s' in the repository with name '%s' in the registry with id '%s'. weir has no scanner.", quoted(asked), repo, r.id)
	}
	return id, err
}

// Signed returns the whole name of an image that is there. Nothing here signs, so there
// is nothing to tell of it. Action: ecr:DescribeImageSigningStatus.
// Errors: as NamedImages.
func (r *Registry) Signed(ctx context.Context, c iam.Caller, repo string, id ImageID) (ImageID, error) {
	return r.imageFor(ctx, c, describeSignature, repo, id)
}

// imageFor finds an image, after the decision whether c may do action in its repository.
func (r *Registry) imageFor(ctx context.Context, c iam.Caller, action, repo string, id ImageID) (ImageID, error) {
	row, err := r.described(ctx, c, action, repo)
	if err != nil {
		return ImageID{}, err
	}
	m, err := r.namedAs(ctx, row.Name, repo, id)
	if err != nil {
		return ImageID{}, err
	}
	return ImageID{Digest: m.Digest, Tag: id.Tag}, nil
}
