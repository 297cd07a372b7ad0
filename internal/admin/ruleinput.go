package admin

import (
	"context"
	"fmt"
	"strings"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/rule"
)

// RuleInput is what a rule is created from, in ECR's words.
type RuleInput struct {
	Prefix         string // ecrRepositoryPrefix; a slash at its end does not count
	UpstreamURL    string // upstreamRegistryUrl: a bare host
	Upstream       string // upstreamRegistry: a kind of ECR's, or "": the host tells
	Credential     string // credentialArn; "": anonymous
	CustomRole     string // customRoleArn
	UpstreamPrefix string // upstreamRepositoryPrefix; "" is kept apart from ROOT, which means the same
}

// RuleSet returns the rules that hold now.
func (a *Admin) RuleSet() *rule.Set { return a.rules.Load() }

// The lengths that ECR takes of a prefix, and of a role's ARN.
const (
	minPrefix = 2
	maxPrefix = 30
	maxRole   = 2048
)

// newRule checks what can be said of a rule by itself; it has no credential yet.
func (a *Admin) newRule(in RuleInput) (*rule.Rule, error) {
	r := &rule.Rule{
		Prefix: bare(in.Prefix), Upstream: in.UpstreamURL, UpstreamPrefix: bare(in.UpstreamPrefix),
		Window: rule.DefaultWindow, Prefetch: rule.PrefetchLayer,
	}
	if err := a.checkPrefix("ecrRepositoryPrefix", in.Prefix); err != nil {
		return nil, err
	}
	if in.UpstreamPrefix != "" {
		if err := a.checkPrefix("upstreamRepositoryPrefix", in.UpstreamPrefix); err != nil {
			return nil, err
		}
		if r.Prefix == rule.Root && r.UpstreamPrefix != rule.Root {
			return nil, invalid("upstreamRepositoryPrefix", "only a rule whose ecrRepositoryPrefix is not ROOT can have an upstream repository prefix")
		}
	}
	var err error
	r.Kind, err = a.kind(in.UpstreamURL, in.Upstream)
	return r, err
}

func (a *Admin) checkPrefix(field, prefix string) error {
	if err := rule.ValidPrefix(bare(prefix)); err != nil {
		return invalid(field, "it is neither a repository name nor ROOT")
	}
	if a.o.Strict && (len(prefix) < minPrefix || len(prefix) > maxPrefix) {
		return invalid(field, fmt.Sprintf("its length is not %d to %d", minPrefix, maxPrefix))
	}
	return nil
}

// kind returns the kind of upstream that a host is. said is what the caller says it is.
func (a *Admin) kind(host, said string) (rule.Kind, error) {
	if host == "" {
		return "", invalid("upstreamRegistryUrl", "it is required")
	}
	if err := rule.ValidHost(host); err != nil {
		return "", badUpstream(host, "")
	}
	kind := rule.KindOf(host)
	if said != "" {
		if !ofECR(rule.Kind(said)) {
			return "", invalid("upstreamRegistry", "it is none of ECR's")
		}
		if rule.Kind(said) != kind {
			return "", badUpstream(host, "")
		}
	}
	switch {
	case kind == rule.DockerHub && host != kind.FixedHost():
		return "", badUpstream(host, "Docker Hub's registry is "+kind.FixedHost()+".")
	case kind == rule.Generic && a.o.Strict:
		return "", badUpstream(host, "")
	}
	return kind, nil
}

// ofECR says whether a kind is a value of ECR's upstreamRegistry.
func ofECR(k rule.Kind) bool {
	for _, known := range rule.Kinds() {
		if k == known {
			return k != rule.Generic
		}
	}
	return false
}

func badUpstream(host, why string) error {
	msg := fmt.Sprintf("The upstream registry URL %s is invalid. Specify a valid upstream registry URL and try again", host)
	if why != "" {
		msg += ". " + why
	}
	return errs.New(errs.UnsupportedUpstream, "%s", msg)
}

// needsCredential says whether ECR has no rule of this kind without a credential.
func needsCredential(k rule.Kind) bool {
	switch k {
	case rule.DockerHub, rule.GitHub, rule.Azure, rule.GitLab, rule.Chainguard:
		return true
	}
	return false
}

// setCredential gives a rule a secret and a role, if the caller may have its upstream
// get the secret.
func (a *Admin) setCredential(ctx context.Context, c iam.Caller, r *rule.Rule, credential, role string) error {
	if len(role) > maxRole {
		return invalid("customRoleArn", fmt.Sprintf("it is longer than %d bytes", maxRole))
	}
	if credential == "" && a.o.Strict && needsCredential(r.Kind) {
		return errs.New(errs.UnsupportedUpstream, "The specified upstream registry requires authentication. Specify a valid Secrets Manager ARN and try again")
	}
	r.Credential, r.CustomRole = "", role
	if credential == "" {
		return nil
	}
	name, ok := strings.CutPrefix(credential, a.secretARN(""))
	if !ok || !strings.HasPrefix(name, credentialPrefix) {
		return invalid("credentialArn", "it is not the ARN of a secret of this registry whose name begins with "+credentialPrefix)
	}
	// The host that gets the secret is the kind's own, or else the caller's choice: then
	// the caller must be one who may see the secret.
	if r.Kind.FixedHost() == "" {
		if _, err := a.find(ctx, c, getSecretValue, credential); err != nil && errs.CodeOf(err) != errs.SecretUnknown {
			return err
		}
	}
	s, err := a.lookUp(ctx, credential)
	if errs.CodeOf(err) == errs.SecretUnknown || err == nil && !s.Deleted.IsZero() {
		return errs.New(errs.SecretUnknown, "The ARN of the secret specified in the pull through cache rule was not found. Update the pull through cache rule with a valid secret ARN and try again.")
	}
	if err != nil {
		return err
	}
	r.Credential = a.arnOf(s)
	return nil
}

// invalid refuses a parameter in ECR's words.
func invalid(field, why string) error {
	return errs.New(errs.ParamInvalid, "Invalid parameter at '%s' failed to satisfy constraint: '%s'", field, why)
}
