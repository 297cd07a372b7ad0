package meta

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
)

// Tagged says which images a list has, by whether a tag is theirs.
type Tagged string

// What a list may be narrowed to.
const (
	AnyImages      Tagged = "any"
	TaggedImages   Tagged = "tagged"
	UntaggedImages Tagged = "untagged"
)

// Which says which images a list has: those that both are true of. The zero value is
// all.
type Which struct {
	Tagged Tagged
	Status Status
}

// columns are what statements have of w.
func (w Which) columns() (tagged, status string) {
	if w.Tagged == "" {
		w.Tagged = AnyImages
	}
	return string(w.Tagged), w.Status.column()
}

// all says that no image is left out.
func (w Which) all() bool {
	tagged, _ := w.columns()
	return tagged == string(AnyImages) && w.Status == AnyStatus
}

// Image is a manifest as it is described.
type Image struct {
	Digest    digest.Digest
	MediaType string   // foreign
	Tags      []string // that are this digest, in the order of their bytes

	// Size is the bytes of the config and layers that it names, each once; of an
	// index the largest such sum of its children that are held. It is what the
	// manifests say, and 64 TiB for a blob of which they say more.
	Size int64

	ConfigType string        // media type of the config, foreign; "": it names none
	Subject    digest.Digest // "": it has none
	Stored     time.Time
	Pulled     time.Time // last pull by a client, or when it was stored; see Touch
	Storage
}

// ImageID is one name of an image: a digest and one of its tags, "" if it has none.
type ImageID struct {
	Digest digest.Digest
	Tag    string
}

// maxLooked is how many manifests are looked at for one page of those that are asked
// for. Between two of them there may be very many that are not.
const maxLooked = 4096

// Images returns up to limit manifests of a repository after the digest after, in the
// order of their bytes. What is told of one is of one moment, or of two when it
// changes meanwhile; a repository that is not there has none. Where which leaves any
// out, looked may be the digest of the last manifest that was looked at, and
// not the last that there is: what comes after it has to be asked for. Else it is "".
// Errors: errs.NameInvalid, errs.ParamInvalid.
func (db *DB) Images(ctx context.Context, repo string, which Which, after digest.Digest, limit int) (images []Image, looked digest.Digest, err error) {
	if err := checkList(repo, string(after)); err != nil {
		return nil, "", err
	}
	looked, err = db.looked(ctx, repo, which, after)
	if err == nil {
		tagged, status := which.columns()
		images, err = list(ctx, db.get(), listImages, []any{repo, string(after), tagged, int64(max(limit, 0)), status, upTo(looked)}, scanImage)
	}
	if err == nil {
		err = db.fillSome(ctx, repo, which, images)
	}
	if err != nil {
		return nil, "", fmt.Errorf("images of %s: %w", repo, err)
	}
	return images, looked, nil
}

// looked returns the digest at which the look for what which asks for ends, "" if that
// is the repository's end.
func (db *DB) looked(ctx context.Context, repo string, which Which, after digest.Digest) (digest.Digest, error) {
	if which.all() {
		return "", nil
	}
	last, err := list(ctx, db.get(), getDigestAfter, []any{repo, string(after), int64(maxLooked)}, func(rows *sql.Rows) (digest.Digest, error) {
		var d string
		err := rows.Scan(&d)
		return digest.Digest(d), err
	})
	if err != nil || len(last) == 0 {
		return "", err
	}
	return last[0], nil
}

// upTo is the last digest that counts if the look ends at looked.
func upTo(looked digest.Digest) string { return cmp.Or(string(looked), behind) }

// behind is text after every digest and every tag.
const behind = "~"

// fillSome is fillImages for images between which there may be others.
func (db *DB) fillSome(ctx context.Context, repo string, which Which, images []Image) error {
	if len(images) == 0 || which.all() {
		return db.fillImages(ctx, repo, images)
	}
	between, err := list(ctx, db.get(), countManifests, []any{repo, string(images[0].Digest), string(images[len(images)-1].Digest)}, func(rows *sql.Rows) (n int, err error) {
		err = rows.Scan(&n)
		return n, err
	})
	if err != nil || between[0] <= 2*len(images) {
		return errors.Join(err, db.fillImages(ctx, repo, images))
	}
	for i := range images {
		if err := db.fillImages(ctx, repo, images[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// Image returns one. Errors: errs.ManifestUnknown, errs.NameInvalid,
// errs.DigestInvalid.
func (db *DB) Image(ctx context.Context, repo string, d digest.Digest) (Image, error) {
	if err := checkNames(repo, d); err != nil {
		return Image{}, err
	}
	images, err := list(ctx, db.get(), getImage, []any{repo, string(d)}, scanImage)
	if err == nil {
		err = db.fillImages(ctx, repo, images)
	}
	if err != nil {
		return Image{}, fmt.Errorf("image %s@%s: %w", repo, d, err)
	}
	if len(images) == 0 {
		return Image{}, errs.New(errs.ManifestUnknown, "manifest %s is not held in %s", d, repo)
	}
	return images[0], nil
}

// ImageIDs returns up to limit names of a repository's manifests after the name after,
// by digest, then tag: one for each tag, and one for a manifest that has none. looked is
// as that of Images: a name that comes after all names of the last manifest.
// Errors: errs.NameInvalid, errs.ParamInvalid.
func (db *DB) ImageIDs(ctx context.Context, repo string, which Which, after ImageID, limit int) (ids []ImageID, looked ImageID, err error) {
	if err := checkList(repo, string(after.Digest), after.Tag); err != nil {
		return nil, ImageID{}, err
	}
	last, err := db.looked(ctx, repo, which, after.Digest)
	if err == nil {
		tagged, status := which.columns()
		args := []any{repo, string(after.Digest), tagged, after.Tag, int64(max(limit, 0)), status, upTo(last)}
		ids, err = list(ctx, db.get(), listImageIDs, args, func(rows *sql.Rows) (ImageID, error) {
			var d, tag string
			err := rows.Scan(&d, &tag)
			return ImageID{digest.Digest(d), tag}, err
		})
	}
	if err != nil {
		return nil, ImageID{}, fmt.Errorf("names of the images of %s: %w", repo, err)
	}
	if last != "" {
		looked = ImageID{last, behind}
	}
	return ids, looked, nil
}

func checkList(repo string, after ...string) error {
	if _, err := oci.ParseRepository(repo); err != nil {
		return err
	}
	for _, s := range after {
		if err := checkText(s); err != nil {
			return err
		}
	}
	return nil
}

func scanImage(rows *sql.Rows) (Image, error) {
	var d string
	var mediaType []byte
	var stored, pulled int64
	err := rows.Scan(&d, &mediaType, &stored, &pulled)
	return Image{Digest: digest.Digest(d), MediaType: string(mediaType), Stored: fromMicros(stored), Pulled: fromMicros(pulled)}, err
}

// fillImages adds what is not in the manifests' own rows. images are in order, and
// there is little between the first and the last that is not among them.
func (db *DB) fillImages(ctx context.Context, repo string, images []Image) error {
	if len(images) == 0 {
		return nil
	}
	byDigest := make(map[digest.Digest]*Image, len(images))
	for i := range images {
		byDigest[images[i].Digest] = &images[i]
	}
	between := []any{repo, string(images[0].Digest), string(images[len(images)-1].Digest)}
	for _, part := range []struct {
		q    query
		scan func(*sql.Rows) (digest.Digest, func(*Image), error)
	}{{listImageTags, scanImageTag}, {listImageEdges, scanImageEdge}, {listImageSizes, scanImageSize}, {listImageStorage, scanImageStorage}} {
		_, err := list(ctx, db.get(), part.q, between, func(rows *sql.Rows) (struct{}, error) {
			d, add, err := part.scan(rows)
			if m := byDigest[d]; err == nil && m != nil {
				add(m)
			}
			return struct{}{}, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func scanImageTag(rows *sql.Rows) (digest.Digest, func(*Image), error) {
	var d, tag string
	err := rows.Scan(&d, &tag)
	return digest.Digest(d), func(m *Image) { m.Tags = append(m.Tags, tag) }, err
}

func scanImageEdge(rows *sql.Rows) (digest.Digest, func(*Image), error) {
	var parent, kind, d string
	var mediaType []byte
	err := rows.Scan(&parent, &kind, &d, &mediaType)
	return digest.Digest(parent), func(m *Image) {
		if oci.EdgeKind(kind) == oci.EdgeSubject {
			m.Subject = digest.Digest(d)
		} else {
			m.ConfigType = string(mediaType)
		}
	}, err
}

func scanImageSize(rows *sql.Rows) (digest.Digest, func(*Image), error) {
	var d string
	var size int64
	err := rows.Scan(&d, &size)
	return digest.Digest(d), func(m *Image) { m.Size = size }, err
}
