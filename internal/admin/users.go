package admin

import (
	"context"
	"time"

	"github.com/weir-registry/weir/internal/iam"
)

// User is a principal with a name. What it may do is in its policies.
type User struct {
	Name     string
	Created  time.Time
	Policies []string // names of managed policies, and "inline:<name>" of its own
}

// Key is an access key without its secret.
type Key struct {
	ID      string
	User    string
	Active  bool
	Created time.Time
	Expires time.Time // zero: never
}

// CreateUser creates a user with managed policies, by name or ARN.
// Action: iam:CreateUser, and iam:AttachUserPolicy where there are policies.
// Errors: errs.UserExists, errs.ParamInvalid.
func (a *Admin) CreateUser(ctx context.Context, c iam.Caller, name string, policies []string) (*User, error) {
	return nil, notBuilt()
}

// User returns a user. Action: iam:GetUser. Errors: errs.UserUnknown.
func (a *Admin) User(ctx context.Context, c iam.Caller, name string) (*User, error) {
	return nil, notBuilt()
}

// Users returns up to limit users after the name after, in the order of their names,
// and the name to go on after, "" at the end; a limit under 1 is none.
// Action: iam:ListUsers.
func (a *Admin) Users(ctx context.Context, c iam.Caller, after string, limit int) (users []*User, next string, err error) {
	return nil, "", notBuilt()
}

// DeleteUser deletes a user and its policies.
// Action: iam:DeleteUser. Errors: errs.UserUnknown, errs.Conflict while it has access
// keys.
func (a *Admin) DeleteUser(ctx context.Context, c iam.Caller, name string) error {
	return notBuilt()
}

// PutUserPolicy stores a policy document of the user's own under a name.
// Action: iam:PutUserPolicy. Errors: errs.UserUnknown, errs.ParamInvalid.
func (a *Admin) PutUserPolicy(ctx context.Context, c iam.Caller, user, policyName, document string) error {
	return notBuilt()
}

// UserPolicy returns a policy document of the user's own, as it was put.
// Action: iam:GetUserPolicy. Errors: errs.UserUnknown, errs.PolicyUnknown.
func (a *Admin) UserPolicy(ctx context.Context, c iam.Caller, user, policyName string) (document string, err error) {
	return "", notBuilt()
}

// DeleteUserPolicy removes a policy document of the user's own.
// Action: iam:DeleteUserPolicy. Errors: errs.UserUnknown, errs.PolicyUnknown.
func (a *Admin) DeleteUserPolicy(ctx context.Context, c iam.Caller, user, policyName string) error {
	return notBuilt()
}

// AttachPolicy gives a user a managed policy, by name or ARN.
// Action: iam:AttachUserPolicy. Errors: errs.UserUnknown, errs.ParamInvalid.
func (a *Admin) AttachPolicy(ctx context.Context, c iam.Caller, user, policy string) error {
	return notBuilt()
}

// DetachPolicy takes a managed policy from a user.
// Action: iam:DetachUserPolicy. Errors: errs.UserUnknown, errs.PolicyUnknown.
func (a *Admin) DetachPolicy(ctx context.Context, c iam.Caller, user, policy string) error {
	return notBuilt()
}

// CreateKey creates an access key and returns its secret, which nobody is told again.
// expires is zero for never.
// Action: iam:CreateAccessKey. Errors: errs.UserUnknown, errs.ParamInvalid if expires
// is past.
func (a *Admin) CreateKey(ctx context.Context, c iam.Caller, user string, expires time.Time) (k Key, secret string, err error) {
	return Key{}, "", notBuilt()
}

// Keys returns a user's access keys by ID; those of all users if user is "". The root
// key is nobody's.
// Action: iam:ListAccessKeys. Errors: errs.UserUnknown.
func (a *Admin) Keys(ctx context.Context, c iam.Caller, user string) ([]Key, error) {
	return nil, notBuilt()
}

// SetKeyActive makes an access key count or not count. The root key always counts.
// Action: iam:UpdateAccessKey on the key's user. Errors: errs.KeyUnknown.
func (a *Admin) SetKeyActive(ctx context.Context, c iam.Caller, id string, active bool) error {
	return notBuilt()
}

// DeleteKey deletes an access key, but never the root key.
// Action: iam:DeleteAccessKey on the key's user. Errors: errs.KeyUnknown.
func (a *Admin) DeleteKey(ctx context.Context, c iam.Caller, id string) error {
	return notBuilt()
}

// Policies returns a principal's policies, none for one that there is not. Nobody is
// asking: it is for who finds out who is asking.
func (a *Admin) Policies(ctx context.Context, principal string) ([]iam.Policy, error) {
	return nil, notBuilt()
}
