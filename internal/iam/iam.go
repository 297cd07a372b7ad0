// Package iam says who is asking and what they may do, in IAM's words. It does
// no I/O: faces find out who is asking, registry and admin ask Allowed.
package iam

import (
	"strings"

	"github.com/weir-registry/weir/internal/errs"
)

// The actions of ECR that weir's data plane asks for.
const (
	GetDownloadURLForLayer   = "ecr:GetDownloadUrlForLayer"
	BatchGetImage            = "ecr:BatchGetImage"
	BatchImportUpstreamImage = "ecr:BatchImportUpstreamImage"
	DescribeImages           = "ecr:DescribeImages"
	ListImages               = "ecr:ListImages"
)

// Caller is who is asking. The zero value is nobody and may do nothing.
type Caller struct {
	Name      string // for the log: user name, "root" or "anonymous"
	KeyID     string // access key; empty for anonymous callers
	Root      bool   // the registry's owner: may do everything
	Anonymous bool
	Policies  []Policy
}

// Policy is an identity policy: what is not allowed is denied, and an explicit
// deny stands above every allow.
type Policy struct {
	Statements []Statement
}

// Statement allows or denies actions on resources. Patterns have * (any number
// of characters, '/' included) and ? (one character). Actions match without
// regard to case, resources with it, as in IAM.
type Statement struct {
	Deny      bool
	Actions   []string
	Resources []string
}

// PullPolicy allows pulling, and filling the cache, of repositories whose ARN
// matches one of resources.
func PullPolicy(resources ...string) Policy {
	return Policy{[]Statement{{
		Actions:   []string{GetDownloadURLForLayer, BatchGetImage, BatchImportUpstreamImage, DescribeImages, ListImages},
		Resources: resources,
	}}}
}

// Allowed returns nil if c may do action on resource (an ARN).
// Errors: errs.Unauthenticated if nobody is asking, errs.Denied otherwise, both
// naming the action and the resource.
func (c Caller) Allowed(action, resource string) error {
	if c.Root {
		return nil
	}
	allow := false
	for _, p := range c.Policies {
		for _, s := range p.Statements {
			if !s.matches(action, resource) {
				continue
			}
			if s.Deny {
				return c.denied(action, resource, "an explicit deny in an identity-based policy")
			}
			allow = true
		}
	}
	if allow {
		return nil
	}
	return c.denied(action, resource, "no identity-based policy allows the "+action+" action")
}

func (c Caller) denied(action, resource, why string) error {
	if c.Name == "" || c.Anonymous {
		return errs.New(errs.Unauthenticated, "authentication required: anonymous callers are not authorized to perform %s on %s", action, resource)
	}
	return errs.New(errs.Denied, "User: %s is not authorized to perform: %s on resource: %s because %s", c.Name, action, resource, why)
}

func (s Statement) matches(action, resource string) bool {
	return matchAny(s.Actions, action, true) && matchAny(s.Resources, resource, false)
}

func matchAny(patterns []string, s string, fold bool) bool {
	for _, p := range patterns {
		if fold {
			p, s = strings.ToLower(p), strings.ToLower(s)
		}
		if Match(p, s) {
			return true
		}
	}
	return false
}

// Match says whether s matches pattern with IAM's wildcards * and ?, byte by byte. It
// takes at most len(pattern)*len(s) steps, whatever the pattern.
func Match(pattern, s string) bool {
	star, mark, p, i := -1, 0, 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
