// Package iam says who is asking and what they may do, in IAM's words. It does
// no I/O: faces find out who is asking, registry and admin ask Allowed.
//
// Policies are IAM's identity-based ones, of which Managed has the four that AWS
// publishes for ECR, and those on a repository and on the registry. What is guaranteed:
//   - Nothing allows but a statement; an explicit deny stands above every allow,
//     whosever policy each is in.
//   - Root is bound by no policy but the denies on resources, and may always change
//     those. A policy on a resource gives nothing to who is anonymous.
//   - A document with anything in it that weir does not evaluate (an element, a
//     condition operator, a policy variable) is refused when it is parsed, and never
//     ignored when it is evaluated.
//   - A condition key that a request does not have makes a condition false, or true
//     if its operator is negated; ...IfExists and ForAllValues are true without it.
//   - A decision takes time in proportion to the length of the patterns times that of
//     what they are compared with, whatever the patterns, and an allowing one with
//     statements that have no conditions allocates nothing.
//
// Not here: other accounts, boundaries, roles, sessions.
package iam

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"

	"github.com/weir-registry/weir/internal/errs"
)

// The actions of ECR that weir's data plane asks for.
const (
	GetAuthorizationToken    = "ecr:GetAuthorizationToken"
	GetDownloadURLForLayer   = "ecr:GetDownloadUrlForLayer"
	BatchGetImage            = "ecr:BatchGetImage"
	BatchImportUpstreamImage = "ecr:BatchImportUpstreamImage"
	DescribeImages           = "ecr:DescribeImages"
	ListImages               = "ecr:ListImages"

	BatchCheckLayerAvailability = "ecr:BatchCheckLayerAvailability"
	InitiateLayerUpload         = "ecr:InitiateLayerUpload"
	UploadLayerPart             = "ecr:UploadLayerPart"
	CompleteLayerUpload         = "ecr:CompleteLayerUpload"
	PutImage                    = "ecr:PutImage"
	BatchDeleteImage            = "ecr:BatchDeleteImage"

	ReplicateImage = "ecr:ReplicateImage" // in place of what else a push asks for, where another registry replicates
)

// The actions on policies of resources.
const (
	SetRepositoryPolicy    = "ecr:SetRepositoryPolicy"
	GetRepositoryPolicy    = "ecr:GetRepositoryPolicy"
	DeleteRepositoryPolicy = "ecr:DeleteRepositoryPolicy"
	PutRegistryPolicy      = "ecr:PutRegistryPolicy"
	GetRegistryPolicy      = "ecr:GetRegistryPolicy"
	DeleteRegistryPolicy   = "ecr:DeleteRegistryPolicy"
)

// Caller is who is asking. The zero value is nobody and may do nothing.
type Caller struct {
	Name      string // for the log: user name, "root" or "anonymous"
	KeyID     string // access key; empty for anonymous callers
	Account   string // the registry's ID, which is in the caller's ARN; may be empty
	Root      bool   // the registry's owner: may do everything that no policy on a resource denies
	Anonymous bool
	// The request is another registry's, that copies an image here: it is decided on as
	// ReplicateImage, behind the denies of what that stands in for, and what it brings goes
	// no further.
	Replicates bool
	Policies   []Policy
	Context    Context // of the request that this caller makes
}

// ARN returns the caller's Amazon resource name, "" for nobody, for anonymous
// callers and where the account is not known.
func (c Caller) ARN() string {
	switch {
	case c.Name == "" || c.Anonymous || c.Account == "":
		return ""
	case c.Root:
		return "arn:aws:iam::" + c.Account + ":root"
	}
	return "arn:aws:iam::" + c.Account + ":user/" + c.Name
}

// UserID returns what IAM calls the unique ID: of root the account, of users one
// that follows from account and name, so that a user that is deleted and made
// again has the same. It is "" where ARN is.
func (c Caller) UserID() string {
	switch {
	case c.ARN() == "":
		return ""
	case c.Root:
		return c.Account
	}
	sum := sha256.Sum256([]byte("weir user " + c.Account + " " + c.Name))
	return "AIDA" + base32.StdEncoding.EncodeToString(sum[:])[:17]
}

// PullPolicy allows pulling, and filling the cache, of repositories whose ARN
// matches one of resources.
func PullPolicy(resources ...string) Policy {
	return Policy{Statements: []Statement{{
		Actions:   []string{GetDownloadURLForLayer, BatchGetImage, BatchImportUpstreamImage, DescribeImages, ListImages},
		Resources: resources,
	}}}
}

// Allowed returns nil if c may do action on resource (an ARN, or "*" for actions
// on nothing in particular).
// Errors: errs.Unauthenticated if nobody is asking, errs.Denied otherwise, both
// naming the action and the resource; the cause, for the log, is the Decision's
// reason.
func (c Caller) Allowed(action, resource string) error {
	return c.May(Request{Action: action, Resource: resource})
}

// May is Allowed for a request with condition keys of its own, and with the policies of
// its resource.
func (c Caller) May(r Request) error {
	d := decide(&c, &r)
	if d.Allowed {
		return nil
	}
	return c.denied(r.Action, r.Resource, d)
}

// NotDenied returns nil unless an explicit deny stands against what r asks for: it asks
// for no allow. Errors: as May.
func (c Caller) NotDenied(r Request) error {
	d := decide(&c, &r)
	if !d.Explicit {
		return nil
	}
	return c.denied(r.Action, r.Resource, d)
}

// Decide returns what Allowed goes by, with the reason.
func (c Caller) Decide(r Request) Decision { return decide(&c, &r) }

func (c Caller) denied(action, resource string, d Decision) error {
	cause := errors.New(d.Reason())
	if c.Name == "" || c.Anonymous {
		return errs.Wrap(errs.Unauthenticated, cause, "authentication required: anonymous callers are not authorized to perform %s on %s", action, resource)
	}
	who := c.ARN()
	if who == "" {
		who = c.Name
	}
	why := "because no identity-based policy allows the " + action + " action"
	if d.Explicit {
		why = "with an explicit deny in an identity-based policy"
		if d.by.policy.Kind != OfUser {
			why = "with an explicit deny in a resource-based policy"
		}
	}
	return errs.Wrap(errs.Denied, cause, "User: %s is not authorized to perform: %s on resource: %s %s", who, action, resource, why)
}
