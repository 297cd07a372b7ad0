package admin_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/rule"
)

// TestValidationRemembered: what came of asking an upstream is known for every rule with
// that upstream and credential, until the credential is another.
func TestValidationRemembered(t *testing.T) {
	ctx := t.Context()
	var fail error
	during := func() {}
	ask := func(o *admin.Options) {
		o.Validate = func(context.Context, *rule.Rule) error { during(); return fail }
	}
	h := newHouse(t, ask)
	secret := h.credential("hub", `{"username":"u","accessToken":"t"}`)
	in := admin.RuleInput{UpstreamURL: "registry-1.docker.io", Credential: secret}
	last := func() admin.Validation {
		t.Helper()
		_, v, err := h.CheckRule(ctx, root, in)
		check(t, err)
		return v
	}
	diff(t, "before", admin.Validation{}, last())

	for code, away := range map[errs.Code]bool{
		errs.UpstreamDenied: false, errs.SecretUnknown: false, errs.ParamInvalid: false,
		errs.UpstreamUnreachable: true, errs.UpstreamTimeout: true, errs.UpstreamFailed: true, errs.UpstreamRateLimited: true,
	} {
		h.pass(time.Minute)
		fail = errs.New(code, "because")
		v, err := h.TryRule(ctx, root, in)
		check(t, err)
		diff(t, code.String(), admin.Validation{At: h.now, Failure: "because", Away: away}, v)
		diff(t, "remembered", v, last())
	}
	fail = nil
	v, err := h.TryRule(ctx, root, in)
	check(t, err)
	in.Prefix = "hub"
	h.create(in)
	facts, err := h.RuleFacts(ctx, root, []string{"hub"})
	check(t, err)
	diff(t, "of the rule that was made", map[string]admin.RuleFacts{"hub": {Validated: v}}, facts)

	in.Prefix = ""
	_, _, err = h.PutSecretValue(ctx, root, secret, "", []byte("other"), false, nil)
	check(t, err)
	diff(t, "another value", admin.Validation{}, last())
	during = func() {
		during = func() {}
		_, _, err := h.PutSecretValue(ctx, root, secret, "", []byte("third"), false, nil)
		check(t, err)
	}
	_, _, err = h.ValidateRule(ctx, root, "hub")
	check(t, err)
	diff(t, "another value meanwhile", admin.Validation{}, last())
	_, _, err = h.ValidateRule(ctx, root, "hub")
	check(t, err)
	diff(t, "asked by the rule", v, last())

	for n := range 1000 { // not for ever more
		_, err := h.TryRule(ctx, root, admin.RuleInput{UpstreamURL: fmt.Sprintf("up%d.test", n)})
		check(t, err)
	}
	diff(t, "after very many", admin.Validation{}, last())
	h.start(ask)
	diff(t, "after a restart", admin.Validation{}, last())
}

// TestCheckRule: it refuses what CreateRule would, and makes nothing.
func TestCheckRule(t *testing.T) {
	ctx := t.Context()
	h := newHouse(t, strict, func(o *admin.Options) {
		o.Validate = func(context.Context, *rule.Rule) error { t.Error("the upstream was asked"); return nil }
	})
	h.create(admin.RuleInput{Prefix: "there", UpstreamURL: "quay.io"})
	before := h.commits.Load()
	for _, tt := range []struct {
		name string
		in   admin.RuleInput
		code errs.Code
	}{
		{"prefix is taken", admin.RuleInput{Prefix: "there/", UpstreamURL: "quay.io"}, errs.RuleExists},
		{"bad prefix", admin.RuleInput{Prefix: "There", UpstreamURL: "quay.io"}, errs.ParamInvalid},
		{"bad upstream", admin.RuleInput{UpstreamURL: "up.test"}, errs.UnsupportedUpstream},
		{"another kind", admin.RuleInput{UpstreamURL: "quay.io", Upstream: "k8s"}, errs.UnsupportedUpstream},
		{"no upstream", admin.RuleInput{}, errs.ParamInvalid},
		{"no credential", admin.RuleInput{UpstreamURL: "ghcr.io"}, errs.UnsupportedUpstream},
		{"no such secret", admin.RuleInput{UpstreamURL: "quay.io", Credential: "arn:aws:secretsmanager:local:123456789012:secret:ecr-pullthroughcache/x"}, errs.SecretUnknown},
	} {
		r, _, err := h.CheckRule(ctx, root, tt.in)
		wantCode(t, tt.name, tt.code, err)
		if r != nil {
			t.Errorf("%s: %v", tt.name, r)
		}
		if tt.in.Prefix == "" {
			_, err = h.TryRule(ctx, root, tt.in)
			wantCode(t, "trying "+tt.name, tt.code, err)
		}
	}
	for n := range 49 {
		h.create(admin.RuleInput{Prefix: fmt.Sprint("p", n), UpstreamURL: "quay.io"})
	}
	_, _, err := h.CheckRule(ctx, root, admin.RuleInput{Prefix: "more", UpstreamURL: "quay.io"})
	wantCode(t, "one too many", errs.LimitExceeded, err)
	_, _, err = h.CheckRule(ctx, root, admin.RuleInput{UpstreamURL: "quay.io"})
	check(t, err)
	_, err = h.CreateRule(ctx, root, admin.RuleInput{UpstreamURL: "quay.io"})
	wantCode(t, "creating one without a prefix", errs.ParamInvalid, err)
	diff(t, "commits", before+49, h.commits.Load())

	for _, c := range []iam.Caller{allow("*", "ecr:CreatePullThroughCacheRule"), allow("*", "ecr:ValidatePullThroughCacheRule")} {
		_, err := h.TryRule(ctx, c, admin.RuleInput{UpstreamURL: "quay.io"})
		wantCode(t, "trying by half a right", errs.Denied, err)
	}
}

// TestUpstreamKinds: what is offered can be created, and what needs a credential needs it.
func TestUpstreamKinds(t *testing.T) {
	for _, options := range [][]func(*admin.Options){nil, {strict}} {
		h := newHouse(t, options...)
		for _, k := range h.UpstreamKinds() {
			host := k.Host
			switch k.Kind {
			case rule.ECR:
				host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
			case rule.Azure:
				host = "corp.azurecr.io"
			case rule.Generic:
				host = "up.test"
			}
			_, _, err := h.CheckRule(t.Context(), root, admin.RuleInput{UpstreamURL: host})
			if needs := errs.CodeOf(err) == errs.UnsupportedUpstream; needs != k.NeedsCredential || err != nil && !needs {
				t.Errorf("%+v: %v", k, err)
			}
		}
	}
}

// TestBuiltinFacts: nobody made them, and one that is made takes their place.
func TestBuiltinFacts(t *testing.T) {
	h := newHouse(t, func(o *admin.Options) {
		o.Builtin = []rule.Rule{{Prefix: "quay", Kind: rule.Quay, Upstream: "quay.io"}}
		o.HeldOnly = true
	})
	facts := func() map[string]admin.RuleFacts {
		all, err := h.RuleFacts(t.Context(), root, nil)
		check(t, err)
		return all
	}
	diff(t, "built in", map[string]admin.RuleFacts{"quay": {Builtin: true, HeldOnly: true}}, facts())
	_, _, err := h.CheckRule(t.Context(), root, admin.RuleInput{Prefix: "quay", UpstreamURL: "quay.io"})
	check(t, err)
	h.create(admin.RuleInput{Prefix: "quay", UpstreamURL: "quay.io"})
	diff(t, "created", map[string]admin.RuleFacts{"quay": {HeldOnly: true}}, facts())
}
