package app

import (
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/config"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/events"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/metrics"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/replicate"
	"github.com/weir-registry/weir/internal/retain"
)

// teller makes ECR's events of what the others tell.
type teller struct {
	events   *events.Emitter
	registry meta.Registry

	// arn names a repository. It is to be set before the first request.
	arn func(repo string) string
}

// openEvents starts handing events on to those whom the configuration names.
func (w *Weir) openEvents(version string) (*teller, error) {
	o := events.Options{
		Account: w.Registry.ID, Region: w.Registry.Region, Log: w.config.Events.Log, Agent: "weir/" + version, Logger: w.log,
	}
	for i, h := range w.config.Events.Webhooks {
		hook, err := webhook(h)
		if err != nil {
			return nil, fmt.Errorf("events.webhooks[%d]: %w", i, err)
		}
		o.Webhooks = append(o.Webhooks, hook)
	}
	t := &teller{events: events.New(o), registry: w.Registry}
	w.closers = append(w.closers, func() error { t.events.Close(); return nil })
	return t, nil
}

func webhook(h config.Webhook) (events.Webhook, error) {
	secret, err := h.Secret()
	if err != nil {
		return events.Webhook{}, err
	}
	hook := events.Webhook{URL: h.URL, Secret: secret, Types: h.Types}
	if h.CAFile == "" {
		return hook, nil
	}
	pem, err := os.ReadFile(h.CAFile)
	if err != nil {
		return events.Webhook{}, err
	}
	if hook.Roots, err = x509.SystemCertPool(); err != nil {
		hook.Roots = x509.NewCertPool()
	}
	hook.Roots.AppendCertsFromPEM(pem)
	return hook, nil
}

// imported tells of a manifest that an upstream was asked for.
func (t *teller) imported(i pullthrough.Import) {
	d := events.PullThrough{
		RuleVersion: "1", Status: "SUCCESS", Prefix: i.Rule.Prefix, Repository: i.Repository, Upstream: i.Rule.Upstream,
		Tag: i.Reference.Tag, Digest: string(i.Digest),
	}
	if i.Err != nil {
		d.Status, d.Digest = "FAILED", string(i.Reference.Digest)
		d.FailureCode, d.FailureReason = failureCode(errs.CodeOf(i.Err)), errs.As(i.Err).Msg
	}
	t.events.Emit(events.PullThroughAction, d, t.arn(i.Repository))
}

// failureCode is a failure in ECR's words for what may be wrong with an image, as far as
// it has any.
func failureCode(code errs.Code) string {
	switch code {
	case errs.UpstreamDenied:
		return "UpstreamAccessDenied"
	case errs.UpstreamRateLimited:
		return "UpstreamTooManyRequests"
	case errs.UpstreamUnreachable, errs.UpstreamTimeout, errs.UpstreamFailed:
		return "UpstreamUnavailable"
	case errs.ManifestUnknown, errs.RepoUnknown:
		return "ImageNotFound"
	}
	return code.String()
}

// changed tells of an image that a caller pushed, deleted or archived.
func (t *teller) changed(c registry.ImageChange) {
	kind := events.ImageAction
	if c.Referrer {
		kind = events.ReferrerAction
	}
	t.events.Emit(kind, events.Image{
		Result: "SUCCESS", Repository: c.Repository, Digest: string(c.Digest), Action: c.Action, Tag: c.Tag,
		MediaType: c.MediaType, ArtifactType: c.ArtifactType, StorageClass: c.StorageClass,
	})
}

// retained tells of an image that a lifecycle policy removed or archived, under each of
// its names.
func (t *teller) retained(c retain.Change) {
	d := events.Image{Result: "SUCCESS", Repository: c.Repository, Digest: string(c.Digest), Action: registry.Deleting}
	if c.Archived {
		d.Action, d.StorageClass = registry.Moving, registry.Archived
	}
	if len(c.Tags) == 0 {
		t.events.Emit(events.ImageAction, d)
	}
	for _, tag := range c.Tags {
		d.Tag = tag
		t.events.Emit(events.ImageAction, d)
	}
}

// replicated tells of a copy that is there, or is given up. In AWS the destination tells
// of it; here it is the source that knows.
func (t *teller) replicated(o replicate.Outcome) {
	d := events.Replication{
		Result: "SUCCESS", Repository: o.Repository, Digest: string(o.Digest), Action: "REPLICATE", Tag: o.Tag,
		SourceAccount: t.registry.ID, SourceRegion: t.registry.Region,
	}
	if o.Failed {
		d.Result = "FAILED"
	}
	t.events.Emit(events.ReplicationAction, d, "arn:aws:ecr:"+o.To.Region+":"+o.To.RegistryID+":repository/"+o.There)
}

// delivered is what metrics tell of the events.
func (t *teller) delivered() (all []metrics.EventSink) {
	for _, s := range t.events.Stats() {
		all = append(all, metrics.EventSink(s))
	}
	return all
}

// last returns the last events in the words of admin.
func (t *teller) last() []admin.Event {
	var all []admin.Event
	for _, e := range t.events.Last() {
		is := admin.Event{ID: e.ID, At: e.At}
		switch d := e.Detail.(type) {
		case events.Image:
			is.Kind, is.Action = admin.ImageEvent, d.Action
			if e.Kind == events.ReferrerAction {
				is.Kind = admin.ReferrerEvent
			}
			is.Repository, is.Tag, is.Digest = d.Repository, d.Tag, d.Digest
		case events.PullThrough:
			is.Kind, is.Where = admin.PullThroughEvent, d.Upstream
			is.Repository, is.Tag, is.Digest = d.Repository, d.Tag, d.Digest
			is.Failed, is.Code, is.Reason = d.Status != "SUCCESS", d.FailureCode, d.FailureReason
		case events.Replication:
			is.Kind = admin.ReplicationEvent
			is.Repository, is.Tag, is.Digest, is.Failed = d.Repository, d.Tag, d.Digest, d.Result != "SUCCESS"
			is.Where = destinationOf(e.Resources)
		}
		all = append(all, is)
	}
	return all
}

// destinationOf is the region and registry of the repository that an ARN names.
func destinationOf(resources []string) string {
	for _, arn := range resources {
		if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 {
			return parts[3] + " " + parts[4]
		}
	}
	return ""
}
