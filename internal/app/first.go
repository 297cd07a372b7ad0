package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"time"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/meta"
)

// openRegistry reads who this registry is, or says so for ever at the first start.
func (w *Weir) openRegistry(ctx context.Context) error {
	want := w.config.Registry
	reg, err := w.db.Registry(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		reg, err = makeRegistry(ctx, w.db, want.ID, want.Region)
	}
	if err != nil {
		return w.inFolder(err)
	}
	if want.ID != "" && want.ID != reg.ID {
		return fixed("id", want.ID, w.config.Data, reg.ID)
	}
	if want.Region != "" && want.Region != reg.Region {
		return fixed("region", want.Region, w.config.Data, reg.Region)
	}
	w.Registry = reg
	return nil
}

func fixed(key, want, dir, is string) error {
	return fmt.Errorf("the configuration says registry.%s is %s, but in data folder %s it is %s since the first start: it cannot change, because ARNs and clients' settings have it", key, want, dir, is)
}

func makeRegistry(ctx context.Context, db *meta.DB, id, region string) (meta.Registry, error) {
	if id == "" {
		n, err := rand.Int(rand.Reader, big.NewInt(9e11))
		if err != nil {
			return meta.Registry{}, err
		}
		id = fmt.Sprint(n.Int64() + 1e11) // 12 digits, the first not 0: spreadsheets and YAML eat it
	}
	if region == "" {
		region = "local"
	}
	if _, err := db.Init(ctx, meta.Registry{ID: id, Region: region, Created: time.Now()}); err != nil {
		return meta.Registry{}, err
	}
	return db.Registry(ctx)
}

// openRootKey makes the root access key at the first start. Its file is written
// again if it is gone, as after a crash in the middle of a first start: whoever
// has the data folder has the sealed key and what opens it anyway.
func (w *Weir) openRootKey(ctx context.Context, who *auth.Auth) error {
	id, secret, _, err := who.CreateRoot(ctx, w.Registry.ID)
	if err != nil {
		return w.inFolder(err)
	}
	w.Key, err = ReadKey(w.config.Data)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if secret == "" {
		if secret, _, err = who.Secret(ctx, id); err != nil {
			return fmt.Errorf("data folder %s has no %s file, and the root access key in its database cannot be read: %w", w.config.Data, KeyFile, err)
		}
	}
	w.Key = Key{id, secret}
	if err := writeKey(w.dir, w.Key); err != nil {
		return w.inFolder(err)
	}
	return nil
}
