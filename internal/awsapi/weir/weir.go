// Package weir has the operations that ECR has none of, under the target prefix
// Weir_20261125: Explain and CheckNow of images, what lifecycle
// policies did, ListMirrors, the hosts that upstreams
// need, and users with their policies and access keys. They are signed for ecr, as ECR's
// are, or for weir.
//
// Who may do what is decided below it, in registry and admin. An access key's secret
// is told once, by CreateKey, and is nowhere in a log.
package weir

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/registry"
)

// plane is what the operations ask of the registry: *registry.Registry.
type plane interface {
	Explain(ctx context.Context, c iam.Caller, repo string, ref oci.Reference) (registry.Explanation, error)
	PullDecisions(ctx context.Context, c iam.Caller, repo string, who iam.Caller) ([]registry.Decision, error)
	Check(ctx context.Context, c iam.Caller, repo, tag string) (registry.CheckResult, error)
	LifecycleEvents(ctx context.Context, c iam.Caller, repo string, before int64, limit int) ([]registry.LifecycleEvent, error)
}

type operations struct {
	reg    plane
	people people
	rules  rules
}

// control is the control plane: *admin.Admin.
type control interface {
	people
	rules
}

// Service returns the operations on a registry and its control plane.
func Service(reg *registry.Registry, a *admin.Admin) awsapi.Service { return service(reg, a) }

func service(reg plane, a control) awsapi.Service {
	o := operations{reg, a, a}
	return awsapi.Service{
		Name:    "weir",
		Target:  "Weir_20261125",
		Signing: []string{"ecr", "weir"},
		Operations: map[string]awsapi.Operation{
			"Explain":  awsapi.JSON(o.explain),
			"CheckNow": awsapi.JSON(o.checkNow),

			"ListLifecycleEvents": awsapi.JSON(o.listLifecycleEvents),

			"ListMirrors":       awsapi.JSON(o.listMirrors),
			"ListUpstreamHosts": awsapi.JSON(o.listUpstreamHosts),

			"CreateUser":    awsapi.JSON(o.createUser),
			"ListUsers":     awsapi.JSON(o.listUsers),
			"DeleteUser":    awsapi.JSON(o.deleteUser),
			"PutUserPolicy": awsapi.JSON(o.putUserPolicy),
			"CreateKey":     awsapi.JSON(o.createKey),
			"ListKeys":      awsapi.JSON(o.listKeys),
			"SetKeyActive":  awsapi.JSON(o.setKeyActive),
			"DeleteKey":     awsapi.JSON(o.deleteKey),
		},
		Exceptions: map[errs.Code]string{errs.Conflict: "DeleteConflictException"},
	}
}

// imageInput names an image.
type imageInput struct {
	RepositoryName string `json:"repositoryName"`
	Reference      string `json:"reference"` // tag or digest; of CheckNow a tag
	UserName       string `json:"userName"`  // of Explain: who is to pull; empty: nobody
}

// explanation is why a reference is answered as it is. Members without a value
// are left out.
type explanation struct {
	RepositoryName string        `json:"repositoryName"` // the cached repository
	Reference      string        `json:"reference"`
	Rule           string        `json:"rule"`               // its prefix
	Upstream       string        `json:"upstream"`           // host/repository there
	HeldOnly       string        `json:"heldOnly,omitempty"` // why the upstream is never asked
	Held           bool          `json:"held"`
	ImageDigest    digest.Digest `json:"imageDigest,omitempty"`    // what is served
	CompleteDigest digest.Digest `json:"completeDigest,omitempty"` // the last whole image of the tag
	Missing        []edge        `json:"missing,omitempty"`        // what is not here of ImageDigest
	Fresh          bool          `json:"fresh"`
	Fixed          bool          `json:"fixed"`
	Orphaned       bool          `json:"orphaned"`
	CheckedAt      awsapi.Time   `json:"checkedAt,omitzero"`
	NextCheckAt    awsapi.Time   `json:"nextCheckAt,omitzero"`
	Away           string        `json:"away,omitempty"`     // why the upstream is not asked just now
	Archived       string        `json:"archived,omitempty"` // why what is held is not pulled
	History        []move        `json:"history,omitempty"`
	Decisions      []decision    `json:"decisions,omitempty"` // on a pull by the user
}

type decision struct {
	Action  string `json:"action"`
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason"` // the statement and the policy that decide
}

type edge struct {
	Kind   oci.EdgeKind  `json:"kind"`
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
}

type move struct {
	From digest.Digest `json:"from,omitempty"` // left out where the tag was new
	To   digest.Digest `json:"to"`
	At   awsapi.Time   `json:"at"`
}

func (o operations) explain(ctx context.Context, c *awsapi.Call, in imageInput) (*explanation, error) {
	c.About(in.RepositoryName, in.Reference)
	ref, err := oci.ParseReference(in.Reference)
	if err != nil {
		return nil, err
	}
	x, err := o.reg.Explain(ctx, c.Caller, in.RepositoryName, ref)
	if err != nil {
		return nil, err
	}
	out := &explanation{
		RepositoryName: x.Repository,
		Reference:      x.Reference,
		Rule:           x.Rule,
		Upstream:       x.Upstream,
		HeldOnly:       x.HeldOnly,
		Held:           x.Held,
		ImageDigest:    x.Digest,
		CompleteDigest: x.Complete,
		Fresh:          x.Fresh,
		Fixed:          x.Fixed,
		Orphaned:       x.Orphaned,
		CheckedAt:      awsapi.Time{Time: x.Checked},
		NextCheckAt:    awsapi.Time{Time: x.Next},
		Away:           x.Away,
		Archived:       x.Archived,
	}
	for _, e := range x.Missing {
		out.Missing = append(out.Missing, edge{e.Kind, e.Digest, e.Size})
	}
	for _, m := range x.History {
		out.History = append(out.History, move{m.From, m.To, awsapi.Time{Time: m.At}})
	}
	if in.UserName == "" {
		return out, nil
	}
	who, err := o.people.As(ctx, c.Caller, in.UserName)
	if err != nil {
		return nil, err
	}
	decisions, err := o.reg.PullDecisions(ctx, c.Caller, in.RepositoryName, who)
	for _, d := range decisions {
		out.Decisions = append(out.Decisions, decision(d))
	}
	return out, err
}

// checkResult is what the upstream says that a tag is.
type checkResult struct {
	ImageDigest    digest.Digest `json:"imageDigest"`
	PreviousDigest digest.Digest `json:"previousDigest,omitempty"` // left out where the tag was not held
	Moved          bool          `json:"moved"`
	Blocked        bool          `json:"blocked"` // it is another, but the tag never changes here
	CheckedAt      awsapi.Time   `json:"checkedAt,omitzero"`
}

func (o operations) checkNow(ctx context.Context, c *awsapi.Call, in imageInput) (*checkResult, error) {
	c.About(in.RepositoryName, in.Reference)
	r, err := o.reg.Check(ctx, c.Caller, in.RepositoryName, in.Reference)
	if err != nil {
		return nil, err
	}
	return &checkResult{r.Digest, r.Was, r.Moved, r.Blocked, awsapi.Time{Time: r.At}}, nil
}
