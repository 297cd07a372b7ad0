package admin

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
)

// User is a principal with a name. What it may do is in its policies.
type User struct {
	Name     string
	Created  time.Time
	Policies []string // names of managed policies, and "inline:<name>" of its own
}

// inline goes before the name of a policy of a user's own.
const inline = "inline:"

var userName = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{1,64}$`)

// CreateUser creates a user with managed policies, by name or ARN.
// Action: iam:CreateUser, and iam:AttachUserPolicy where there are policies.
// Errors: errs.UserExists, errs.ParamInvalid.
func (a *Admin) CreateUser(ctx context.Context, c iam.Caller, name string, policies []string) (*User, error) {
	if err := c.Allowed("iam:CreateUser", a.userARN(name)); err != nil {
		return nil, err
	}
	if len(policies) > 0 {
		if err := c.Allowed("iam:AttachUserPolicy", a.userARN(name)); err != nil {
			return nil, err
		}
	}
	if !userName.MatchString(name) {
		return nil, errs.New(errs.ParamInvalid, "The user name %q is not 1 to 64 letters, digits and +=,.@_-.", name)
	}
	// Callers without a user have these names in the log.
	if name == "root" || name == "anonymous" {
		return nil, errs.New(errs.ParamInvalid, "The user name %s is taken.", name)
	}
	u := &meta.User{Name: name, Created: a.now()}
	for _, p := range policies {
		managed, err := managedName(p)
		if err != nil {
			return nil, err
		}
		u.Policies = withPolicy(u.Policies, meta.UserPolicy{Name: managed})
	}
	err := a.o.DB.ChangeUser(ctx, name, func(old *meta.User, _ int) (*meta.User, error) {
		if old != nil {
			return nil, errs.New(errs.UserExists, "User with name %s already exists.", name)
		}
		return u, nil
	})
	if err != nil {
		return nil, err
	}
	return viewUser(u), nil
}

// User returns a user. Action: iam:GetUser. Errors: errs.UserUnknown.
func (a *Admin) User(ctx context.Context, c iam.Caller, name string) (*User, error) {
	if err := c.Allowed("iam:GetUser", a.userARN(name)); err != nil {
		return nil, err
	}
	u, err := a.o.DB.User(ctx, name)
	if err != nil {
		return nil, err
	}
	return viewUser(u), nil
}

// Users returns up to limit users after the name after, in the order of their names,
// and the name to go on after, "" at the end; a limit under 1 is none.
// Action: iam:ListUsers.
func (a *Admin) Users(ctx context.Context, c iam.Caller, after string, limit int) (users []*User, nextAfter string, err error) {
	if err := c.Allowed("iam:ListUsers", anything); err != nil {
		return nil, "", err
	}
	rows, err := a.o.DB.Users(ctx, after, page(limit))
	if err != nil {
		return nil, "", err
	}
	for _, u := range rows {
		users = append(users, viewUser(u))
	}
	users, nextAfter = next(users, limit, func(u *User) string { return u.Name })
	return users, nextAfter, nil
}

// DeleteUser deletes a user and its policies.
// Action: iam:DeleteUser. Errors: errs.UserUnknown, errs.Conflict while it has access
// keys.
func (a *Admin) DeleteUser(ctx context.Context, c iam.Caller, name string) error {
	if err := c.Allowed("iam:DeleteUser", a.userARN(name)); err != nil {
		return err
	}
	if !userName.MatchString(name) {
		return noUser(name)
	}
	return a.o.DB.ChangeUser(ctx, name, func(u *meta.User, keys int) (*meta.User, error) {
		if u == nil {
			return nil, noUser(name)
		}
		if keys > 0 {
			return nil, errs.New(errs.Conflict, "Cannot delete user %s: it has access keys. Delete them first.", name)
		}
		return nil, nil
	})
}

func (a *Admin) userARN(name string) string { return "arn:aws:iam::" + a.o.ID + ":user/" + name }

func noUser(name string) error {
	return errs.New(errs.UserUnknown, "The user with name %s cannot be found.", name)
}

func viewUser(u *meta.User) *User {
	v := &User{Name: u.Name, Created: u.Created}
	for _, p := range u.Policies {
		v.Policies = append(v.Policies, p.Name)
	}
	return v
}

// withPolicy returns policies with p in its place by name, instead of one of its name.
func withPolicy(policies []meta.UserPolicy, p meta.UserPolicy) []meta.UserPolicy {
	i, there := slices.BinarySearchFunc(policies, p.Name, func(p meta.UserPolicy, name string) int { return strings.Compare(p.Name, name) })
	if there {
		policies[i] = p
		return policies
	}
	return slices.Insert(policies, i, p)
}
