package app

import (
	"context"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/seal"
)

// openAdmin puts the control plane before what it rules: reg gets the rules that hold,
// ups the secrets that they name.
func (w *Weir) openAdmin(ctx context.Context, keys *seal.Keys, reg *registry.Registry, ups *upstreams, cache *pullthrough.Cache, tell *teller) error {
	o := admin.Options{
		DB:      w.db,
		Keys:    keys,
		ID:      w.Registry.ID,
		Region:  w.Registry.Region,
		Changed: reg.SetRules,

		DeclaredTemplates: w.config.RepositoryTemplates(),
		TemplatesChanged:  reg.SetTemplates,
		SettingsChanged:   reg.SetSettings,

		Destinations: w.destinations(),
		Copies:       w.copies,

		Validate: func(ctx context.Context, r *rule.Rule) error {
			err := ups.check(ctx, r)
			if err == nil {
				cache.LoggedIn(r)
			}
			return err
		},
		Egress:  ups.egress,
		Traffic: w.traffic.Report,
		Events:  tell.last,
		Space:   w.space,
		Standing: func(r *rule.Rule) rule.Standing {
			s := cache.Standing(r)
			s.Quota = ups.registry(r).Quota()
			return s
		},
		HeldOnly: w.config.HeldOnly,
		Strict:   w.config.ECR.Strict,
		Mirrors:  w.config.Mirrors,
		InForce:  inForce(w.config),
		Logger:   w.log,
	}
	for _, r := range w.config.RuleSet().Rules() {
		if w.config.Builtin() {
			builtin := *r
			builtin.Created, builtin.Updated = w.Registry.Created, w.Registry.Created
			o.Builtin = append(o.Builtin, builtin)
			continue
		}
		o.Declared = append(o.Declared, *r)
	}
	var err error
	if w.admin, err = admin.New(ctx, o); err != nil {
		return inFolder(w.config.Data, err)
	}
	ups.secret = w.admin.Credential
	return nil
}
