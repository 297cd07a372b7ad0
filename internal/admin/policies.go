package admin

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
)

// maxPolicies is how many policies a user has at most, so that a decision stays cheap.
const maxPolicies = 20

var policyWord = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{1,128}$`)

// maxParsed is how many principals' parsed policies are remembered.
const maxParsed = 4096

// PutUserPolicy stores a policy document of the user's own under a name.
// Action: iam:PutUserPolicy. Errors: errs.UserUnknown, errs.ParamInvalid,
// errs.LimitExceeded.
func (a *Admin) PutUserPolicy(ctx context.Context, c iam.Caller, user, policyName, document string) error {
	if err := c.Allowed("iam:PutUserPolicy", a.userARN(user)); err != nil {
		return err
	}
	if !policyWord.MatchString(policyName) {
		return errs.New(errs.ParamInvalid, "The policy name %q is not 1 to 128 letters, digits and +=,.@_-.", policyName)
	}
	p, err := iam.ParsePolicy([]byte(document))
	if err != nil {
		return err
	}
	err = a.changePolicies(ctx, user, func(policies []meta.UserPolicy) ([]meta.UserPolicy, error) {
		return withPolicy(policies, meta.UserPolicy{Name: inline + policyName, Document: []byte(document)}), nil
	})
	if err != nil {
		return err
	}
	p.Name = policyName
	for _, w := range p.Warnings() {
		a.o.Logger.Warn("policy may deny more than is meant", "user", user, "why", w)
	}
	return nil
}

// UserPolicy returns a policy document of the user's own, as it was put.
// Action: iam:GetUserPolicy. Errors: errs.UserUnknown, errs.PolicyUnknown.
func (a *Admin) UserPolicy(ctx context.Context, c iam.Caller, user, policyName string) (document string, err error) {
	if err := c.Allowed("iam:GetUserPolicy", a.userARN(user)); err != nil {
		return "", err
	}
	u, err := a.o.DB.User(ctx, user)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(u.Policies, func(p meta.UserPolicy) bool { return p.Name == inline+policyName })
	if i < 0 {
		return "", noPolicy(user, policyName)
	}
	return string(u.Policies[i].Document), nil
}

// DeleteUserPolicy removes a policy document of the user's own.
// Action: iam:DeleteUserPolicy. Errors: errs.UserUnknown, errs.PolicyUnknown.
func (a *Admin) DeleteUserPolicy(ctx context.Context, c iam.Caller, user, policyName string) error {
	if err := c.Allowed("iam:DeleteUserPolicy", a.userARN(user)); err != nil {
		return err
	}
	return a.changePolicies(ctx, user, without(user, inline+policyName, policyName))
}

// AttachPolicy gives a user a managed policy, by name or ARN.
// Action: iam:AttachUserPolicy. Errors: errs.UserUnknown, errs.ParamInvalid,
// errs.LimitExceeded.
func (a *Admin) AttachPolicy(ctx context.Context, c iam.Caller, user, policy string) error {
	if err := c.Allowed("iam:AttachUserPolicy", a.userARN(user)); err != nil {
		return err
	}
	name, err := managedName(policy)
	if err != nil {
		return err
	}
	return a.changePolicies(ctx, user, func(policies []meta.UserPolicy) ([]meta.UserPolicy, error) {
		return withPolicy(policies, meta.UserPolicy{Name: name}), nil
	})
}

// DetachPolicy takes a managed policy from a user.
// Action: iam:DetachUserPolicy. Errors: errs.UserUnknown, errs.PolicyUnknown.
func (a *Admin) DetachPolicy(ctx context.Context, c iam.Caller, user, policy string) error {
	if err := c.Allowed("iam:DetachUserPolicy", a.userARN(user)); err != nil {
		return err
	}
	name := policy[strings.LastIndexByte(policy, '/')+1:]
	if strings.HasPrefix(name, inline) {
		return noPolicy(user, policy)
	}
	return a.changePolicies(ctx, user, without(user, name, policy))
}

// without returns what removes the policy with a name from a user's.
func without(user, name, asked string) func([]meta.UserPolicy) ([]meta.UserPolicy, error) {
	return func(policies []meta.UserPolicy) ([]meta.UserPolicy, error) {
		left := slices.DeleteFunc(slices.Clone(policies), func(p meta.UserPolicy) bool { return p.Name == name })
		if len(left) == len(policies) {
			return nil, noPolicy(user, asked)
		}
		return left, nil
	}
}

func (a *Admin) changePolicies(ctx context.Context, user string, f func([]meta.UserPolicy) ([]meta.UserPolicy, error)) error {
	if !userName.MatchString(user) {
		return noUser(user)
	}
	return a.o.DB.ChangeUser(ctx, user, func(u *meta.User, _ int) (*meta.User, error) {
		if u == nil {
			return nil, noUser(user)
		}
		policies, err := f(u.Policies)
		if err != nil {
			return nil, err
		}
		if len(policies) > max(maxPolicies, len(u.Policies)) {
			return nil, errs.New(errs.LimitExceeded, "A user has at most %d policies.", maxPolicies)
		}
		u.Policies = policies
		return u, nil
	})
}

// managedName returns the name of a managed policy, by name or ARN.
func managedName(policy string) (string, error) {
	p, ok := iam.Managed(policy)
	if !ok {
		return "", errs.New(errs.ParamInvalid, "There is no managed policy %s. There are: %s.", policy, strings.Join(iam.ManagedNames(), ", "))
	}
	return p.Name, nil
}

func noPolicy(user, policy string) error {
	return errs.New(errs.PolicyUnknown, "The user %s has no policy %s.", user, policy)
}

// As returns a user as a caller from where c is, for questions about what the user may do.
// Action: iam:SimulatePrincipalPolicy. Errors: errs.UserUnknown.
func (a *Admin) As(ctx context.Context, c iam.Caller, user string) (iam.Caller, error) {
	if err := c.Allowed("iam:SimulatePrincipalPolicy", a.userARN(user)); err != nil {
		return iam.Caller{}, err
	}
	if _, err := a.o.DB.User(ctx, user); err != nil {
		return iam.Caller{}, err
	}
	policies, err := a.Policies(ctx, user)
	if err != nil {
		return iam.Caller{}, err
	}
	return iam.Caller{Name: user, Account: a.o.ID, Policies: policies, Context: c.Context}, nil
}

// parsedPolicies is what a principal's stored policies say.
type parsedPolicies struct {
	rows     []meta.UserPolicy
	policies []iam.Policy
}

// Policies returns a principal's policies, none for one that there is not. Nobody is
// asking: it is for who finds out who is asking. They are not to be changed.
func (a *Admin) Policies(ctx context.Context, principal string) ([]iam.Policy, error) {
	rows, err := a.o.DB.UserPolicies(ctx, principal)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	a.mu.Lock()
	known, ok := a.parsed[principal]
	a.mu.Unlock()
	if ok && slices.EqualFunc(known.rows, rows, samePolicy) {
		return known.policies, nil
	}
	policies := make([]iam.Policy, 0, len(rows))
	for _, row := range rows {
		p, err := parsePolicy(row)
		if err != nil {
			// It may have been a deny: without it nothing may be decided.
			return nil, errors.Join(errors.New("stored policy "+row.Name+" of user "+principal), err)
		}
		policies = append(policies, p)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.parsed) >= maxParsed {
		clear(a.parsed)
	}
	a.parsed[principal] = parsedPolicies{rows, policies}
	return policies, nil
}

func samePolicy(x, y meta.UserPolicy) bool {
	return x.Name == y.Name && bytes.Equal(x.Document, y.Document)
}

func parsePolicy(row meta.UserPolicy) (iam.Policy, error) {
	name, own := strings.CutPrefix(row.Name, inline)
	if !own {
		p, ok := iam.Managed(row.Name)
		if !ok {
			return iam.Policy{}, errors.New("this weir has no such managed policy")
		}
		return p, nil
	}
	p, err := iam.ParsePolicy(row.Document)
	p.Name = name
	return p, err
}
