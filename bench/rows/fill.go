package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// What there is: a repository of nearly all images, each with a tag but a few; one in
// which only a few have a tag; and very many repositories of two images each.
const (
	big, bigImages       = "bench/big", 900_000
	bare, bareImages     = "bench/bare", 80_000
	small, smallRepos    = "small/%05d", 9_998
	few                  = 100 // untagged in big, tagged in bare
	imagesOfSmall        = 2
	mediaType            = "application/vnd.oci.image.manifest.v1+json"
	configType, configSz = "application/vnd.oci.image.config.v1+json", 1469
	layerType, layerSz   = "application/vnd.oci.image.layer.v1.tar+gzip", 30_000_000
)

// filler writes rows as weir does, all in one transaction that need not survive a
// crash.
type filler struct {
	*sql.Tx
	repository, manifest, edge, tag *sql.Stmt
	n                               uint64
	at                              time.Time
}

// fill adds all rows to a database that a weir of this version has made.
func fill(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(0)&_pragma=journal_mode(off)&_pragma=cache_size(-1500000)&_pragma=foreign_keys(0)")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	f := &filler{Tx: tx, at: time.Now().Add(-time.Hour)}
	for _, s := range []struct {
		to   **sql.Stmt
		text string
	}{
		{&f.repository, `INSERT INTO repositories (name, created_at, kind, images, image_bytes) VALUES ($1, $2, 'own', $3, $4)`},
		{&f.manifest, `INSERT INTO manifests (repository, digest, media_type, stored_at, pulled_at, raw) VALUES ($1, $2, $3, $4, $4, $5)`},
		{&f.edge, `INSERT INTO edges (repository, parent, seq, kind, digest, media_type, size, platform) VALUES ($1, $2, $3, $4, $5, $6, $7, x'')`},
		{&f.tag, `INSERT INTO tags (repository, tag, digest, complete, checked_at, pulled_at, orphaned) VALUES ($1, $2, $3, $3, $4, $4, 0)`},
	} {
		if *s.to, err = tx.PrepareContext(ctx, s.text); err != nil {
			return err
		}
	}
	if err := f.images(big, bigImages, func(i int) bool { return i%(bigImages/few) != 0 }); err != nil {
		return err
	}
	if err := f.images(bare, bareImages, func(i int) bool { return i%(bareImages/few) == 0 }); err != nil {
		return err
	}
	for i := range smallRepos {
		if err := f.images(fmt.Sprintf(small, i), imagesOfSmall, func(i int) bool { return i == 0 }); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	// A server's statistics are old or none: so are these.
	_, err = db.ExecContext(ctx, `PRAGMA journal_mode = WAL`)
	return err
}

type image struct {
	digest, config string
	raw            []byte
}

// images adds a repository. Rows go in by digest, so that they are appended.
func (f *filler) images(repo string, n int, tagged func(i int) bool) error {
	at := f.at.UnixMicro()
	if _, err := f.repository.Exec(repo, at, n, n*(configSz+layerSz)); err != nil {
		return err
	}
	layer := f.digest()
	all := make([]image, n)
	for i := range all {
		config := f.digest()
		raw := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
			mediaType, configType, config, configSz, layerType, layer, layerSz)
		sum := sha256.Sum256(raw)
		all[i] = image{"sha256:" + hex.EncodeToString(sum[:]), config, raw}
	}
	slices.SortFunc(all, func(a, b image) int {
		if a.digest < b.digest {
			return -1
		}
		return 1
	})
	for i, m := range all {
		if _, err := f.manifest.Exec(repo, m.digest, []byte(mediaType), at, m.raw); err != nil {
			return err
		}
		if _, err := f.edge.Exec(repo, m.digest, 0, "config", m.config, []byte(configType), configSz); err != nil {
			return err
		}
		if _, err := f.edge.Exec(repo, m.digest, 1, "layer", layer, []byte(layerType), layerSz); err != nil {
			return err
		}
		if !tagged(i) {
			continue
		}
		if _, err := f.tag.Exec(repo, fmt.Sprintf("v%07d", i), m.digest, at); err != nil {
			return err
		}
	}
	return nil
}

// digest is another one each time, the same in each run.
func (f *filler) digest() string {
	f.n++
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, f.n))
	return "sha256:" + hex.EncodeToString(sum[:])
}
