// Package app is the wiring: New puts a weir together from its configuration, top
// to bottom, and is the only place that picks what stores what. Run is `weir
// serve`.
//
// It guarantees that one process at a time has a data folder, that the registry's
// ID and region stay what the first start made them, that no secret is printed or
// logged, and that a weir that was told to end lets bodies come to their end
// within timeouts.shutdown.
package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/awsapi/weir"
	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/blob/disk"
	"github.com/weir-registry/weir/internal/config"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/ociapi"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/seal"
	"github.com/weir-registry/weir/internal/vfs"
)

// Options of a weir. The zero value works.
type Options struct {
	Version        string    // of this binary, for upstreams and the log
	Stdout, Stderr io.Writer // nil: nothing is written
}

// Weir is a whole server but for its listener. Close it.
type Weir struct {
	Handler  http.Handler
	Registry meta.Registry
	Key      Key // the root access key

	config   *config.Config
	log      *slog.Logger
	dir      *vfs.Dir
	store    blob.Store
	made     bool // the data folder, at this start
	db       *meta.DB
	draining atomic.Bool
	closers  []func() error // in the order in which things were opened
}

// Run serves until ctx ends, and then drains. Its error is for the person who
// started weir.
func Run(ctx context.Context, c *config.Config, o Options) error {
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	w, err := New(ctx, c, o)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	err = w.greet(ctx, o.Stdout, l.Addr())
	if err == nil {
		err = w.Serve(ctx, l)
	} else {
		l.Close()
	}
	return errors.Join(err, w.Close())
}

// New opens the data folder and puts a weir together.
func New(ctx context.Context, c *config.Config, o Options) (_ *Weir, err error) {
	w := &Weir{config: c, log: logger(c.Log, o.Stderr)}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()

	// The folder, and what keeps bytes and rows in it.
	var lock io.Closer
	if w.dir, lock, w.made, err = openFolder(c.Data); err != nil {
		return nil, err
	}
	w.closers = append(w.closers, w.dir.Close, lock.Close)
	if w.store, err = disk.Open(w.dir); err != nil {
		return nil, w.inFolder(err)
	}
	w.db, err = meta.Open(ctx, meta.Options{Path: filepath.Join(c.Data, "weir.db"), Logger: w.log})
	if err != nil {
		return nil, w.inFolder(err)
	}
	w.closers = append(w.closers, w.db.Close)
	spools, err := blob.OpenSpools(blob.SpoolsOptions{FS: w.dir, Dir: "spool", BootID: bootID(), KeepFree: c.Storage.KeepFree.Of})
	if err != nil {
		return nil, w.inFolder(err)
	}

	// The heart: rules, upstreams, and what is kept of them.
	if err := w.openRegistry(ctx); err != nil {
		return nil, err
	}
	ups, err := newUpstreams(c, o.Version, w.log)
	if err != nil {
		return nil, err
	}
	w.closers = append(w.closers, ups.close)
	cache := pullthrough.New(pullthrough.Options{
		Index:    w.db,
		Store:    w.store,
		Spools:   spools,
		Upstream: ups.of,
		HeldOnly: c.HeldOnly,
		Wait:     time.Duration(c.Timeouts.Wait),
		Check:    time.Duration(c.Timeouts.Check),
		Stall:    time.Duration(c.Timeouts.Stall),
		Logger:   w.log,
	})
	w.closers = append(w.closers, func() error { cache.Close(); return nil })
	reg := registry.New(registry.Options{ID: w.Registry.ID, Region: w.Registry.Region, Rules: c.RuleSet(), Cache: cache})

	// Who is asking, and the faces.
	keys, err := seal.Open(w.dir, "keys")
	if err != nil {
		return nil, w.inFolder(err)
	}
	who := auth.New(w.db, keys, auth.Options{
		Anonymous:      anonymous(c),
		TrustedProxies: c.TrustedProxies,
		ARN:            reg.ARN,
	})
	if err := w.openRootKey(ctx, who); err != nil {
		return nil, err
	}
	w.Handler = w.route(ociapi.New(reg, who, w.log), weir.New(reg, who, w.log))
	return w, nil
}

// Close ends what runs in the background and gives the folder back. It is to be
// called after Serve has returned.
func (w *Weir) Close() error {
	var all []error
	for _, f := range slices.Backward(w.closers) {
		all = append(all, f())
	}
	w.closers = nil
	return errors.Join(all...)
}

// bootID names this run of the kernel: what was written before it without fsync
// may be gone.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return rand.Text() // nothing is resumed where nobody can tell
	}
	return strings.TrimSpace(string(id))
}
