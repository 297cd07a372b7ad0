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
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/awsapi/ecr"
	"github.com/weir-registry/weir/internal/awsapi/secretsmanager"
	"github.com/weir-registry/weir/internal/awsapi/sts"
	"github.com/weir-registry/weir/internal/awsapi/weir"
	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/blob/disk"
	"github.com/weir-registry/weir/internal/cert"
	"github.com/weir-registry/weir/internal/config"
	"github.com/weir-registry/weir/internal/console"
	"github.com/weir-registry/weir/internal/held"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/metrics"
	"github.com/weir-registry/weir/internal/ociapi"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/replicate"
	"github.com/weir-registry/weir/internal/retain"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/seal"
	"github.com/weir-registry/weir/internal/traffic"
	"github.com/weir-registry/weir/internal/upstream"
	"github.com/weir-registry/weir/internal/vfs"
)

// Options of a weir. The zero value works.
type Options struct {
	Version        string    // of this binary, for upstreams and the log
	Stdout, Stderr io.Writer // nil: nothing is written
}

// Weir is a whole server but for its listeners. Close it.
type Weir struct {
	Registry meta.Registry
	Key      Key // the root access key

	config     *config.Config
	log        *slog.Logger
	dir        *vfs.Dir
	store      blob.Store
	made       bool // the data folder, at this start
	db         *meta.DB
	admin      *admin.Admin
	cert       *cert.Pair   // nil: plain http
	oci, aws   http.Handler // the faces
	download   http.Handler // of URLs that aws gives
	console    http.Handler
	metrics    *metrics.Metrics
	traffic    *traffic.Counter
	held       *held.Counter
	sweeper    *retain.Sweeper
	lifecycle  *retain.Lifecycle
	replicator *replicate.Replicator
	copiedBy   *upstream.Client // asks where copies go
	who        *auth.Auth
	draining   atomic.Bool
	closers    []func() error // in the order in which things were opened
}

// Run serves until ctx ends, and then drains. Its error is for the person who
// started weir.
func Run(ctx context.Context, c *config.Config, o Options) error {
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	listeners, err := Listen(c)
	if err != nil {
		return err
	}
	w, err := New(ctx, c, o)
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	if err = w.greet(ctx, o.Stdout, listeners); err == nil {
		err = w.Serve(ctx, listeners...)
	} else {
		err = errors.Join(err, closeAll(listeners))
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

	if t := c.TLS; t.CertFile != "" {
		if w.cert, err = cert.Open(t.CertFile, t.KeyFile, w.log); err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
	}

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
	w.traffic = traffic.Run(traffic.Options{Index: w.db, Logger: w.log})
	w.closers = append(w.closers, func() error { w.traffic.Close(); return nil })
	w.openHeld()
	spools, err := blob.OpenSpools(blob.SpoolsOptions{FS: w.dir, Dir: "spool", BootID: bootID(), KeepFree: c.Storage.KeepFree.Of})
	if err != nil {
		return nil, w.inFolder(err)
	}

	// The heart: rules, upstreams, and what is kept of them.
	if err := w.openRegistry(ctx); err != nil {
		return nil, err
	}
	tell, err := w.openEvents(o.Version)
	if err != nil {
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
		Upstream: func(r *rule.Rule) pullthrough.Upstream { return counted{ups.of(r), w.traffic, r.Prefix} },
		Login:    ups.login,
		Imported: tell.imported,
		HeldOnly: c.HeldOnly,
		Wait:     time.Duration(c.Timeouts.Wait),
		Check:    time.Duration(c.Timeouts.Check),
		Stall:    time.Duration(c.Timeouts.Stall),
		Logger:   w.log,
	})
	w.closers = append(w.closers, func() error { cache.Close(); return nil })
	uploads, err := w.openUploads(ctx)
	if err != nil {
		return nil, err
	}
	reg := registry.New(registry.Options{
		ID:      w.Registry.ID,
		Region:  w.Registry.Region,
		Rules:   c.RuleSet(),
		Cache:   cache,
		DB:      w.db,
		Store:   w.store,
		Uploads: uploads,
		Logger:  w.log,
		Changed: tell.changed,
		Pulled:  w.traffic.Pulled,
		Strict:  c.ECR.Strict,
	})
	tell.arn = reg.ARN

	keys, err := seal.Open(w.dir, "keys")
	if err != nil {
		return nil, w.inFolder(err)
	}
	if err := w.openAdmin(ctx, keys, reg, ups, cache, tell); err != nil {
		return nil, err
	}

	// Who is asking, and the faces.
	who := auth.New(w.db, keys, auth.Options{
		Registry:       w.Registry.ID,
		Anonymous:      anonymous(c),
		TrustedProxies: c.TrustedProxies,
		ARN:            reg.ARN,
		Policies:       w.admin.Policies,
	})
	if err := w.openRootKey(ctx, who); err != nil {
		return nil, err
	}
	w.who = who
	w.sweeper = retain.Run(retain.Options{
		DB:      w.db,
		Store:   w.store,
		Uploads: uploads,
		Every:   time.Duration(c.Retain.SweepEvery),
		Grace:   time.Duration(c.Retain.Grace),
		Idle:    time.Duration(c.Retain.Idle),
		Logger:  w.log,
	})
	w.closers = append(w.closers, func() error { w.sweeper.Close(); return nil })
	w.lifecycle = retain.RunLifecycle(retain.LifecycleOptions{
		DB:       w.db,
		Every:    time.Duration(c.Retain.LifecycleEvery),
		Untagged: int(c.Retain.UntaggedCached),
		Grace:    time.Duration(c.Retain.Grace),
		Changed:  tell.retained,
		Logger:   w.log,
	})
	w.closers = append(w.closers, func() error { w.lifecycle.Close(); return nil })
	if err := w.openReplication(ctx, o.Version, tell.replicated); err != nil {
		return nil, err
	}
	w.metrics = metrics.New(metrics.Sources{
		Upstreams:  ups.client.Stats,
		CopiedBy:   w.copiedBy.Stats,
		Cache:      cache.State,
		Spools:     spools.Active,
		Disk:       w.dir.Space,
		KeepFree:   c.Storage.KeepFree.Of,
		Lifecycle:  w.lifecycled,
		Swept:      w.swept,
		Replicated: w.replicated,
		Events:     tell.delivered,
		Expires:    w.expires(),
	})
	w.oci = ociapi.New(reg, who, w.names, w.log, w.served)
	w.download = ociapi.NewDownloads(reg, who, w.log, w.served)
	w.aws = awsapi.New(
		awsapi.Options{Auth: who, Logger: w.log},
		ecr.Service(ecr.Options{
			Registry: reg,
			Admin:    w.admin,
			Auth:     who,
			ID:       w.Registry.ID,
			Region:   w.Registry.Region,
			Host:     c.Registry.Host,
			PageKey:  keys.Derive("paging tokens of ecr"),
			Strict:   c.ECR.Strict,
		}),
		secretsmanager.Service(w.admin, keys.Derive("paging tokens of secretsmanager")),
		sts.Service(),
		weir.Service(reg, w.admin),
	)
	w.console, err = console.New(console.Options{
		Registry: reg,
		Admin:    w.admin,
		Auth:     who,
		ID:       w.Registry.ID,
		Region:   w.Registry.Region,
		Host:     c.Registry.Host,
		Port:     registryPort(c),
		Version:  o.Version,
		Logger:   w.log,
		Draining: w.draining.Load,
	})
	return w, err
}

// Sweep removes at once what nothing needs at now, beside the sweeps that there are
// anyway.
func (w *Weir) Sweep(ctx context.Context, now time.Time) (retain.Swept, error) {
	return w.sweeper.Sweep(ctx, now)
}

// ApplyLifecycles does at once what lifecycle policies say at now, beside the runs that
// there are anyway.
func (w *Weir) ApplyLifecycles(ctx context.Context, now time.Time) error {
	return w.lifecycle.Run(ctx, now)
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
