package app

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/config"
	"github.com/weir-registry/weir/internal/metrics"
	"github.com/weir-registry/weir/internal/ociapi"
	"github.com/weir-registry/weir/internal/replicate"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/upstream"
)

// openReplication starts to copy what was pushed to where replication rules say. The
// destinations are reached by a client of their own: that an address is written for one
// of them is no reason to reach an upstream there.
func (w *Weir) openReplication(ctx context.Context, version string, ended func(replicate.Outcome)) error {
	c := w.config
	hosts := map[string]config.Upstream{}
	for _, d := range c.Replication.Destinations {
		u := c.Upstreams[d.Host()]
		if len(u.Endpoints) == 0 {
			u.Endpoints = []string{d.URL}
		}
		hosts[d.Host()] = u
	}
	ups, err := upstreamsOf(c, hosts, version, w.log)
	if err != nil {
		return err
	}
	w.copiedBy = ups.client
	w.closers = append(w.closers, ups.close)
	o := replicate.Options{DB: w.db, Store: w.store, GiveUp: time.Duration(c.Replication.GiveUpAfter), Logger: w.log, Ended: ended}
	for _, d := range c.Replication.Destinations {
		push := upstream.PushOptions{}
		if d.Kind == config.DestinationWeir {
			push.Header = http.Header{ociapi.ReplicationHeader: {w.Registry.ID + "/" + w.Registry.Region}}
		}
		at := ups.registry(&rule.Rule{Upstream: d.Host(), Kind: rule.KindOf(d.Host()), Credential: d.Credential})
		o.Destinations = append(o.Destinations, replicate.Destination{Destination: d.Named(), Host: d.Host(), Prefix: d.Prefix, Push: at.Pusher(push)})
	}
	rules, err := w.db.Replication(ctx)
	if err != nil {
		return w.inFolder(err)
	}
	for _, d := range rules.Destinations() {
		if !slices.Contains(w.destinations(), d) {
			w.log.Warn("a replication rule names a destination that the configuration has no address for: what is pushed waits for it, and fails in the end; add it under replication: destinations", "region", d.Region, "registry", d.RegistryID)
		}
	}
	w.replicator = replicate.Run(o)
	w.closers = append(w.closers, func() error { w.replicator.Close(); return nil })
	return nil
}

// destinations are those that replication rules may name.
func (w *Weir) destinations() []rule.Destination {
	var all []rule.Destination
	for _, d := range w.config.Replication.Destinations {
		all = append(all, d.Named())
	}
	return all
}

// copies is what the control plane tells of the destinations; it is asked once weir serves.
func (w *Weir) copies(ctx context.Context) ([]admin.Destination, error) {
	states, err := w.replicator.States(ctx)
	all := make([]admin.Destination, len(states))
	for i, s := range states {
		all[i] = admin.Destination(s)
	}
	return all, err
}

// replicated is what metrics tell of the copies.
func (w *Weir) replicated() ([]metrics.Replicated, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stats, err := w.replicator.Stats(ctx)
	all := make([]metrics.Replicated, len(stats))
	for i, s := range stats {
		all[i] = metrics.Replicated(s)
	}
	return all, err
}
