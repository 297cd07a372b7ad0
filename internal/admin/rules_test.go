package admin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/rule"
)

func strict(o *admin.Options) { o.Strict = true }

// credential makes a secret that a rule can have, and returns its ARN.
func (h *house) credential(name, value string) string {
	h.t.Helper()
	s, _, err := h.CreateSecret(h.t.Context(), root, admin.CreateSecretInput{Name: "ecr-pullthroughcache/" + name, Value: []byte(value)})
	check(h.t, err)
	return s.ARN
}

func (h *house) create(in admin.RuleInput) *rule.Rule {
	h.t.Helper()
	r, err := h.CreateRule(h.t.Context(), root, in)
	check(h.t, err)
	return r
}

func TestCreateRule(t *testing.T) {
	const badURL = "The upstream registry URL %s is invalid. Specify a valid upstream registry URL and try again"
	const needsSecret = "The specified upstream registry requires authentication. Specify a valid Secrets Manager ARN"
	const gone = "The ARN of the secret specified in the pull through cache rule was not found."
	bad := func(host string) string { return fmt.Sprintf(badURL, host) }
	either, both := [2]bool{true, true}, [2]bool{}
	notStrict := [2]bool{true, false}
	tests := []struct {
		name string
		in   admin.RuleInput
		ok   [2]bool // usually, and when strict
		kind rule.Kind
		code errs.Code
		msg  string
	}{
		{"ecr-public", admin.RuleInput{Prefix: "a1", UpstreamURL: "public.ecr.aws", Upstream: "ecr-public"}, either, rule.ECRPublic, 0, ""},
		{"k8s", admin.RuleInput{Prefix: "a1", UpstreamURL: "registry.k8s.io"}, either, rule.K8s, 0, ""},
		{"quay", admin.RuleInput{Prefix: "a1", UpstreamURL: "quay.io", Upstream: "quay"}, either, rule.Quay, 0, ""},
		{"quay with a credential", admin.RuleInput{Prefix: "a1", UpstreamURL: "quay.io", Credential: "SECRET"}, either, rule.Quay, 0, ""},
		{"docker-hub", admin.RuleInput{Prefix: "a1", UpstreamURL: "registry-1.docker.io", Upstream: "docker-hub", Credential: "SECRET"}, either, rule.DockerHub, 0, ""},
		{"docker-hub without", admin.RuleInput{Prefix: "a1", UpstreamURL: "registry-1.docker.io"}, notStrict, rule.DockerHub, errs.UnsupportedUpstream, needsSecret},
		{"github without", admin.RuleInput{Prefix: "a1", UpstreamURL: "ghcr.io"}, notStrict, rule.GitHub, errs.UnsupportedUpstream, needsSecret},
		{"gitlab without", admin.RuleInput{Prefix: "a1", UpstreamURL: "registry.gitlab.com"}, notStrict, rule.GitLab, errs.UnsupportedUpstream, needsSecret},
		{"chainguard without", admin.RuleInput{Prefix: "a1", UpstreamURL: "cgr.dev"}, notStrict, rule.Chainguard, errs.UnsupportedUpstream, needsSecret},
		{"azure without", admin.RuleInput{Prefix: "a1", UpstreamURL: "corp.azurecr.io"}, notStrict, rule.Azure, errs.UnsupportedUpstream, needsSecret},
		{"azure", admin.RuleInput{Prefix: "a1", UpstreamURL: "corp.azurecr.io", Upstream: "azure-container-registry", Credential: "SECRET"}, either, rule.Azure, 0, ""},
		{"ecr", admin.RuleInput{Prefix: "a1", UpstreamURL: "999999999999.dkr.ecr.eu-west-1.amazonaws.com", Upstream: "ecr", CustomRole: "arn:aws:iam::999999999999:role/x"}, either, rule.ECR, 0, ""},
		{"generic", admin.RuleInput{Prefix: "a1", UpstreamURL: "harbor.example.com"}, notStrict, rule.Generic, errs.UnsupportedUpstream, bad("harbor.example.com")},
		{"generic with a port", admin.RuleInput{Prefix: "a1", UpstreamURL: "10.0.0.1:5000", Credential: "SECRET"}, notStrict, rule.Generic, errs.UnsupportedUpstream, bad("10.0.0.1:5000")},

		{"azure's own domain", admin.RuleInput{Prefix: "a1", UpstreamURL: "azurecr.io", Upstream: "azure-container-registry"}, both, "", errs.UnsupportedUpstream, bad("azurecr.io")},
		{"another host", admin.RuleInput{Prefix: "a1", UpstreamURL: "quay.io", Upstream: "docker-hub"}, both, "", errs.UnsupportedUpstream, bad("quay.io")},
		{"no value of ECR's", admin.RuleInput{Prefix: "a1", UpstreamURL: "up.test", Upstream: "generic"}, both, "", errs.ParamInvalid, "'upstreamRegistry'"},
		{"Docker Hub by its other name", admin.RuleInput{Prefix: "a1", UpstreamURL: "docker.io"}, both, "", errs.UnsupportedUpstream, "registry-1.docker.io"},
		{"scheme", admin.RuleInput{Prefix: "a1", UpstreamURL: "https://quay.io"}, both, "", errs.UnsupportedUpstream, bad("https://quay.io")},
		{"path", admin.RuleInput{Prefix: "a1", UpstreamURL: "quay.io/org"}, both, "", errs.UnsupportedUpstream, bad("quay.io/org")},
		{"no host", admin.RuleInput{Prefix: "a1"}, both, "", errs.ParamInvalid, "'upstreamRegistryUrl'"},

		{"ROOT", admin.RuleInput{Prefix: "ROOT", UpstreamURL: "quay.io"}, either, rule.Quay, 0, ""},
		{"ROOT twice", admin.RuleInput{Prefix: "ROOT", UpstreamURL: "quay.io", UpstreamPrefix: "ROOT"}, either, rule.Quay, 0, ""},
		{"ROOT with an upstream prefix", admin.RuleInput{Prefix: "ROOT", UpstreamURL: "quay.io", UpstreamPrefix: "team"}, both, "", errs.ParamInvalid, "'upstreamRepositoryPrefix'"},
		{"upstream prefix", admin.RuleInput{Prefix: "a1", UpstreamURL: "quay.io", UpstreamPrefix: "team/x"}, either, rule.Quay, 0, ""},
		{"bad upstream prefix", admin.RuleInput{Prefix: "a1", UpstreamURL: "quay.io", UpstreamPrefix: "Team"}, both, "", errs.ParamInvalid, "'upstreamRepositoryPrefix'"},
		{"nested prefix", admin.RuleInput{Prefix: "a1/b__c/d-e", UpstreamURL: "quay.io"}, either, rule.Quay, 0, ""},
		{"slash at the end", admin.RuleInput{Prefix: "a1/", UpstreamURL: "quay.io"}, either, rule.Quay, 0, ""},
		{"bad prefix", admin.RuleInput{Prefix: "a1//b", UpstreamURL: "quay.io"}, both, "", errs.ParamInvalid, "'ecrRepositoryPrefix'"},
		{"no prefix", admin.RuleInput{UpstreamURL: "quay.io"}, both, "", errs.ParamInvalid, "'ecrRepositoryPrefix'"},
		{"one character", admin.RuleInput{Prefix: "a", UpstreamURL: "quay.io"}, notStrict, rule.Quay, errs.ParamInvalid, "'ecrRepositoryPrefix'"},
		{"thirty", admin.RuleInput{Prefix: strings.Repeat("a", 30), UpstreamURL: "quay.io"}, either, rule.Quay, 0, ""},
		{"thirty-one", admin.RuleInput{Prefix: strings.Repeat("a", 31), UpstreamURL: "quay.io"}, notStrict, rule.Quay, errs.ParamInvalid, "'ecrRepositoryPrefix'"},
		{"long upstream prefix", admin.RuleInput{Prefix: "a1", UpstreamURL: "quay.io", UpstreamPrefix: strings.Repeat("a", 31)}, notStrict, rule.Quay, errs.ParamInvalid, "'upstreamRepositoryPrefix'"},

		{"secret that is not there", admin.RuleInput{Prefix: "a1", UpstreamURL: "quay.io", Credential: "arn:aws:secretsmanager:local:123456789012:secret:ecr-pullthroughcache/none-AbCdEf"}, both, "", errs.SecretUnknown, gone},
		{"azure with a secret that is not there", admin.RuleInput{Prefix: "a1", UpstreamURL: "corp.azurecr.io", Credential: "arn:aws:secretsmanager:local:123456789012:secret:ecr-pullthroughcache/none-AbCdEf"}, both, "", errs.SecretUnknown, gone},
		{"secret marked for deletion", admin.RuleInput{Prefix: "a1", UpstreamURL: "quay.io", Credential: "DELETED"}, both, "", errs.SecretUnknown, gone},
		{"secret of another registry", admin.RuleInput{Prefix: "a1", UpstreamURL: "quay.io", Credential: "arn:aws:secretsmanager:local:999999999999:secret:ecr-pullthroughcache/x-AbCdEf"}, both, "", errs.ParamInvalid, "'credentialArn'"},
		{"secret of another name", admin.RuleInput{Prefix: "a1", UpstreamURL: "quay.io", Credential: "arn:aws:secretsmanager:local:123456789012:secret:x-AbCdEf"}, both, "", errs.ParamInvalid, "'credentialArn'"},
		{"no ARN", admin.RuleInput{Prefix: "a1", UpstreamURL: "quay.io", Credential: "hub"}, both, "", errs.ParamInvalid, "'credentialArn'"},
		{"long role", admin.RuleInput{Prefix: "a1", UpstreamURL: "quay.io", CustomRole: strings.Repeat("r", 2049)}, both, "", errs.ParamInvalid, "'customRoleArn'"},
	}
	for i, options := range [][]func(*admin.Options){nil, {strict}} {
		h := newHouse(t, options...)
		secret := h.credential("x", "test")
		deleted := h.credential("deleted", "test")
		_, err := h.DeleteSecret(t.Context(), root, deleted, 7*24*time.Hour)
		check(t, err)
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s, strict %v", tt.name, i == 1), func(t *testing.T) {
				in := tt.in
				in.Credential = strings.NewReplacer("SECRET", secret, "DELETED", deleted).Replace(in.Credential)
				r, err := h.CreateRule(t.Context(), root, in)
				if !tt.ok[i] {
					if wantCode(t, "error", tt.code, err); err != nil && !strings.Contains(err.Error(), tt.msg) {
						t.Errorf("%v does not say %q", err, tt.msg)
					}
					diff(t, "rules", 0, len(h.RuleSet().Rules()))
					return
				}
				check(t, err)
				want := &rule.Rule{
					Prefix: strings.TrimSuffix(in.Prefix, "/"), Kind: tt.kind, Upstream: in.UpstreamURL, UpstreamPrefix: in.UpstreamPrefix,
					Credential: in.Credential, CustomRole: in.CustomRole, Window: rule.DefaultWindow, Prefetch: rule.PrefetchLayer,
					Created: h.now, Updated: h.now,
				}
				diff(t, "created", want, r)
				got, _, err := h.Rules(t.Context(), root, []string{in.Prefix}, "", 0)
				check(t, err)
				diff(t, "described", []*rule.Rule{want}, got)
				diff(t, "published", want, h.sets[len(h.sets)-1].Rules()[0])
				gone, err := h.DeleteRule(t.Context(), root, in.Prefix)
				check(t, err)
				diff(t, "deleted", want, gone)
				diff(t, "rules", 0, len(h.RuleSet().Rules()))
			})
		}
	}
}

func TestRuleTwice(t *testing.T) {
	h := newHouse(t)
	h.create(admin.RuleInput{Prefix: "quay", UpstreamURL: "quay.io"})
	for _, prefix := range []string{"quay", "quay/"} {
		_, err := h.CreateRule(t.Context(), root, admin.RuleInput{Prefix: prefix, UpstreamURL: "registry.k8s.io"})
		wantCode(t, prefix, errs.RuleExists, err)
	}
	diff(t, "upstream", "quay.io", h.RuleSet().Rules()[0].Upstream)
	h.create(admin.RuleInput{Prefix: "quay/nested", UpstreamURL: "registry.k8s.io"})
	r, _ := h.RuleSet().Match("quay/nested/x")
	diff(t, "longest prefix", "registry.k8s.io", r.Upstream)
}

func TestFiftyRules(t *testing.T) {
	for _, isStrict := range []bool{true, false} {
		h := newHouse(t, func(o *admin.Options) { o.Strict = isStrict })
		for n := range 50 {
			h.create(admin.RuleInput{Prefix: fmt.Sprint("p", n), UpstreamURL: "quay.io"})
		}
		_, err := h.CreateRule(t.Context(), root, admin.RuleInput{Prefix: "one-more", UpstreamURL: "quay.io"})
		if isStrict {
			wantCode(t, "strict", errs.LimitExceeded, err)
		} else {
			check(t, err)
		}
	}
}

func TestRulePages(t *testing.T) {
	h := newHouse(t)
	for _, p := range []string{"b", "ROOT", "a", "c"} {
		h.create(admin.RuleInput{Prefix: p, UpstreamURL: "quay.io"})
	}
	var pages [][]string
	for after := ""; ; {
		rules, next, err := h.Rules(t.Context(), root, nil, after, 2)
		check(t, err)
		var page []string
		for _, r := range rules {
			page = append(page, r.Prefix)
		}
		pages = append(pages, page)
		if after = next; next == "" {
			break
		}
	}
	diff(t, "pages", [][]string{{"ROOT", "a"}, {"b", "c"}}, pages)
	all, next, err := h.Rules(t.Context(), root, nil, "", 0)
	check(t, err)
	diff(t, "without a limit", 4, len(all))
	diff(t, "end", "", next)
	named, _, err := h.Rules(t.Context(), root, []string{"c", "a", "c/"}, "", 1)
	check(t, err)
	diff(t, "named", 2, len(named))
	_, _, err = h.Rules(t.Context(), root, []string{"a", "z"}, "", 0)
	wantCode(t, "unknown", errs.RuleUnknown, err)
}

func TestUpdateRule(t *testing.T) {
	h := newHouse(t)
	made := h.create(admin.RuleInput{Prefix: "hub", UpstreamURL: "registry-1.docker.io", UpstreamPrefix: "team"})
	secret := h.credential("x", "test")
	h.pass(time.Hour)
	got, err := h.UpdateRule(t.Context(), root, "hub", secret, "role")
	check(t, err)
	want := *made
	want.Credential, want.CustomRole, want.Updated = secret, "role", h.now
	diff(t, "updated", &want, got)
	diff(t, "held", &want, h.RuleSet().Rules()[0])
	h.start()
	diff(t, "after a restart", &want, h.RuleSet().Rules()[0])

	for _, tt := range []struct {
		name, prefix, credential string
		code                     errs.Code
	}{
		{"no rule", "nothing", "", errs.RuleUnknown},
		{"no secret", "hub", secret[:len(secret)-1] + "_", errs.SecretUnknown},
		{"no ARN", "hub", "x", errs.ParamInvalid},
	} {
		_, err := h.UpdateRule(t.Context(), root, tt.prefix, tt.credential, "")
		wantCode(t, tt.name, tt.code, err)
	}
	h.start(strict)
	_, err = h.UpdateRule(t.Context(), root, "hub", "", "")
	wantCode(t, "strict without a credential", errs.UnsupportedUpstream, err)
	diff(t, "as it was", &want, h.RuleSet().Rules()[0])
	_, err = h.DeleteRule(t.Context(), root, "nothing")
	wantCode(t, "delete of nothing", errs.RuleUnknown, err)
}

// TestCredentialForStranger: who may make rules but not see a secret cannot have it sent
// to a host of their choice.
func TestCredentialForStranger(t *testing.T) {
	h := newHouse(t)
	secret := h.credential("x", "test")
	rules := allow("*", "ecr:*")
	for _, tt := range []struct {
		host string
		ok   bool
	}{
		{"quay.io", true}, {"registry-1.docker.io", true}, {"evil.example", false}, {"evil.azurecr.io", false},
		{"666666666666.dkr.ecr.eu-west-1.amazonaws.com", false},
	} {
		_, err := h.CreateRule(t.Context(), rules, admin.RuleInput{Prefix: "a", UpstreamURL: tt.host, Credential: secret})
		if tt.ok {
			check(t, err)
			_, err = h.DeleteRule(t.Context(), rules, "a")
			check(t, err)
			continue
		}
		wantCode(t, tt.host, errs.Denied, err)
		if err != nil && !strings.Contains(err.Error(), "secretsmanager:GetSecretValue") {
			t.Errorf("%v", err)
		}
		h.create(admin.RuleInput{Prefix: "b", UpstreamURL: tt.host})
		_, err = h.UpdateRule(t.Context(), rules, "b", secret, "")
		wantCode(t, "update of "+tt.host, errs.Denied, err)
		_, err = h.DeleteRule(t.Context(), root, "b")
		check(t, err)
	}
	both := allow("*", "ecr:*", "secretsmanager:GetSecretValue")
	_, err := h.CreateRule(t.Context(), both, admin.RuleInput{Prefix: "a", UpstreamURL: "mine.example", Credential: secret})
	check(t, err)
}

func declare(rules ...rule.Rule) func(*admin.Options) {
	return func(o *admin.Options) { o.Declared = rules }
}

func TestDeclared(t *testing.T) {
	hub := rule.Rule{Prefix: "hub/", Kind: rule.DockerHub, Upstream: "registry-1.docker.io", Credential: "robot", Window: time.Hour}
	h := newHouse(t, declare(hub))
	diff(t, "calls of Changed", 1, len(h.sets))
	want := hub
	want.Prefix, want.Prefetch, want.Declared, want.Created, want.Updated = "hub", rule.PrefetchLayer, true, h.now, h.now
	diff(t, "declared", []*rule.Rule{&want}, h.RuleSet().Rules())

	_, err := h.CreateRule(t.Context(), root, admin.RuleInput{Prefix: "hub", UpstreamURL: "quay.io"})
	wantCode(t, "create", errs.RuleExists, err)
	_, update := h.UpdateRule(t.Context(), root, "hub", "", "")
	wantCode(t, "update", errs.Conflict, update)
	_, remove := h.DeleteRule(t.Context(), root, "hub/")
	wantCode(t, "delete", errs.Conflict, remove)
	for _, err := range []error{err, update, remove} {
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), "managed by configuration") {
			t.Errorf("the refusal does not say why: %v", err)
		}
	}
	h.create(admin.RuleInput{Prefix: "quay", UpstreamURL: "quay.io"})

	h.pass(time.Hour)
	h.start(declare(hub))
	diff(t, "unchanged after a restart", &want, h.RuleSet().Rules()[0])
	hub.Window = 2 * time.Hour
	h.start(declare(hub))
	want.Window, want.Updated = 2*time.Hour, h.now
	diff(t, "changed in the file", &want, h.RuleSet().Rules()[0])
	h.start()
	diff(t, "gone from the file", []string{"quay"}, prefixes(h))
	h.start(declare(rule.Rule{Prefix: "quay", Kind: rule.K8s, Upstream: "registry.k8s.io"}))
	diff(t, "the file wins", "registry.k8s.io", h.RuleSet().Rules()[0].Upstream)
	h.start()
	diff(t, "and takes it along", []string(nil), prefixes(h))

	if _, err := admin.New(t.Context(), admin.Options{DB: h.db, Keys: h.keys, Declared: []rule.Rule{{Prefix: "A"}}}); err == nil {
		t.Error("a rule that cannot be was declared")
	}
}

func prefixes(h *house) (all []string) {
	for _, r := range h.RuleSet().Rules() {
		all = append(all, r.Prefix)
	}
	return all
}

// TestBuiltin: a built-in rule is there until one takes its place, and again after it.
func TestBuiltin(t *testing.T) {
	builtin := func(o *admin.Options) {
		o.Builtin = []rule.Rule{{Prefix: "quay", Kind: rule.Quay, Upstream: "quay.io"}, {Prefix: "hub", Kind: rule.DockerHub, Upstream: "registry-1.docker.io"}}
	}
	h := newHouse(t, builtin)
	diff(t, "at first", []string{"hub", "quay"}, prefixes(h))
	_, err := h.DeleteRule(t.Context(), root, "quay")
	wantCode(t, "delete", errs.Conflict, err)
	h.create(admin.RuleInput{Prefix: "quay", UpstreamURL: "mirror.example"})
	h.start(builtin)
	diff(t, "replaced", []string{"hub", "quay"}, prefixes(h))
	diff(t, "upstream", "mirror.example", h.RuleSet().Rules()[1].Upstream)
	_, err = h.DeleteRule(t.Context(), root, "quay")
	check(t, err)
	diff(t, "upstream", "quay.io", h.RuleSet().Rules()[1].Upstream)
	h.start()
	diff(t, "without them", []string(nil), prefixes(h))
}

func TestValidateRule(t *testing.T) {
	var asked []string
	var fail error
	validate := func(o *admin.Options) {
		o.Validate = func(_ context.Context, r *rule.Rule) error {
			asked = append(asked, r.Prefix)
			return fail
		}
	}
	h := newHouse(t, validate)
	h.create(admin.RuleInput{Prefix: "quay", UpstreamURL: "quay.io"})
	for _, tt := range []struct {
		name    string
		fail    error
		failure string
		code    errs.Code
	}{
		{"valid", nil, "", 0},
		{"in words", fmt.Errorf("x: %w", errs.Wrap(errs.UpstreamDenied, errors.New("secret"), "quay.io refuses the credential")), "quay.io refuses the credential", 0},
		{"no secret", errs.New(errs.SecretUnknown, "gone"), "gone", 0},
		{"weir's fault", errors.New("disk"), "", errs.Internal},
	} {
		fail = tt.fail
		r, failure, err := h.ValidateRule(t.Context(), root, "quay/")
		diff(t, tt.name, tt.failure, failure)
		if tt.name == "weir's fault" {
			wantCode(t, tt.name, errs.Internal, err)
			continue
		}
		check(t, err)
		diff(t, "rule", "quay", r.Prefix)
	}
	_, _, err := h.ValidateRule(t.Context(), root, "nothing")
	wantCode(t, "no rule", errs.RuleUnknown, err)
	diff(t, "asked", 4, len(asked))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	fail = errs.New(errs.UpstreamTimeout, "slow")
	if _, _, err := h.ValidateRule(ctx, root, "quay"); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller left: %v", err)
	}
	h.start()
	_, _, err = h.ValidateRule(t.Context(), root, "quay")
	wantCode(t, "nobody asks upstreams", errs.Unsupported, err)
}

// TestRulesTogether: what was published last is what is stored.
func TestRulesTogether(t *testing.T) {
	h := newHouse(t)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			p := fmt.Sprint("p", n)
			for range 5 {
				if _, err := h.CreateRule(t.Context(), root, admin.RuleInput{Prefix: p, UpstreamURL: "quay.io"}); err != nil {
					t.Error(err)
				}
				if _, err := h.DeleteRule(t.Context(), root, p); err != nil {
					t.Error(err)
				}
			}
			if _, err := h.CreateRule(t.Context(), root, admin.RuleInput{Prefix: p, UpstreamURL: "quay.io"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	diff(t, "rules", 8, len(prefixes(h)))
	diff(t, "published", 8, len(h.sets[len(h.sets)-1].Rules()))
}

func TestRuleAllowed(t *testing.T) {
	h := newHouse(t)
	for _, tt := range []struct {
		action string
		do     func(iam.Caller) error
	}{
		{"ecr:CreatePullThroughCacheRule", func(c iam.Caller) error {
			_, err := h.CreateRule(t.Context(), c, admin.RuleInput{Prefix: "a", UpstreamURL: "quay.io"})
			return err
		}},
		{"ecr:DescribePullThroughCacheRules", func(c iam.Caller) error { _, _, err := h.Rules(t.Context(), c, nil, "", 0); return err }},
		{"ecr:UpdatePullThroughCacheRule", func(c iam.Caller) error { _, err := h.UpdateRule(t.Context(), c, "a", "", ""); return err }},
		{"ecr:DeletePullThroughCacheRule", func(c iam.Caller) error { _, err := h.DeleteRule(t.Context(), c, "a"); return err }},
		{"ecr:CreatePullThroughCacheRule", func(c iam.Caller) error {
			_, _, err := h.CheckRule(t.Context(), c, admin.RuleInput{Prefix: "b", UpstreamURL: "quay.io"})
			return err
		}},
		{"ecr:DescribePullThroughCacheRules", func(c iam.Caller) error { _, err := h.RuleFacts(t.Context(), c, nil); return err }},
	} {
		check(t, tt.do(allow("*", tt.action)))
	}
}
