package app

import (
	"context"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/registry"
)

// openUploads opens the folder of what clients send, and removes what a crash left
// there of uploads that no row knows.
func (w *Weir) openUploads(ctx context.Context) (*blob.Uploads, error) {
	uploads, err := blob.OpenUploads(blob.UploadsOptions{FS: w.dir, Dir: "uploads", KeepFree: w.config.Storage.KeepFree.Of})
	if err == nil {
		err = registry.SiftUploads(ctx, w.db, uploads)
	}
	if err != nil {
		return nil, w.inFolder(err)
	}
	return uploads, nil
}
