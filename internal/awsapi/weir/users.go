package weir

import (
	"context"
	"time"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
)

// people is what the operations ask of the control plane: *admin.Admin.
type people interface {
	CreateUser(ctx context.Context, c iam.Caller, name string, policies []string) (*admin.User, error)
	Users(ctx context.Context, c iam.Caller, after string, limit int) (users []*admin.User, next string, err error)
	DeleteUser(ctx context.Context, c iam.Caller, name string) error
	PutUserPolicy(ctx context.Context, c iam.Caller, user, policyName, document string) error
	CreateKey(ctx context.Context, c iam.Caller, user string, expires time.Time) (k admin.Key, secret string, err error)
	Keys(ctx context.Context, c iam.Caller, user string) ([]admin.Key, error)
	SetKeyActive(ctx context.Context, c iam.Caller, id string, active bool) error
	DeleteKey(ctx context.Context, c iam.Caller, id string) error
	As(ctx context.Context, c iam.Caller, user string) (iam.Caller, error)
	Mirrors(ctx context.Context, c iam.Caller) (map[string]string, error)
}

// maxPage is how many users ListUsers returns at once.
const maxPage = 1000

// nothing is the answer of operations that have none.
type nothing struct{}

type userInput struct {
	UserName string   `json:"userName"`
	Policies []string `json:"policies"` // of CreateUser: managed ones, by name or ARN
}

type user struct {
	UserName  string      `json:"userName"`
	CreatedAt awsapi.Time `json:"createdAt"`
	Policies  []string    `json:"policies"` // managed by their names, others as inline:NAME
}

type userOutput struct {
	User user `json:"user"`
}

func viewUser(u *admin.User) user {
	return user{u.Name, awsapi.Time{Time: u.Created}, append([]string{}, u.Policies...)}
}

func (o operations) createUser(ctx context.Context, c *awsapi.Call, in userInput) (*userOutput, error) {
	c.About("", in.UserName)
	u, err := o.people.CreateUser(ctx, c.Caller, in.UserName, in.Policies)
	if err != nil {
		return nil, err
	}
	return &userOutput{viewUser(u)}, nil
}

type listUsersInput struct {
	NextToken string `json:"nextToken"` // of the page before
}

type listUsersOutput struct {
	Users     []user `json:"users"`
	NextToken string `json:"nextToken,omitempty"`
}

func (o operations) listUsers(ctx context.Context, c *awsapi.Call, in listUsersInput) (*listUsersOutput, error) {
	users, next, err := o.people.Users(ctx, c.Caller, in.NextToken, maxPage)
	if err != nil {
		return nil, err
	}
	out := &listUsersOutput{Users: []user{}, NextToken: next}
	for _, u := range users {
		out.Users = append(out.Users, viewUser(u))
	}
	return out, nil
}

func (o operations) deleteUser(ctx context.Context, c *awsapi.Call, in userInput) (nothing, error) {
	c.About("", in.UserName)
	return nothing{}, o.people.DeleteUser(ctx, c.Caller, in.UserName)
}

type policyInput struct {
	UserName       string `json:"userName"`
	PolicyName     string `json:"policyName"`
	PolicyDocument string `json:"policyDocument"`
}

func (o operations) putUserPolicy(ctx context.Context, c *awsapi.Call, in policyInput) (nothing, error) {
	c.About("", in.UserName)
	return nothing{}, o.people.PutUserPolicy(ctx, c.Caller, in.UserName, in.PolicyName, in.PolicyDocument)
}

type keyInput struct {
	UserName    string  `json:"userName"`    // of CreateKey and ListKeys, which has "" for all users
	ExpiresAt   float64 `json:"expiresAt"`   // of CreateKey: seconds since 1970; 0: never
	AccessKeyID string  `json:"accessKeyId"` // of the others
	Active      *bool   `json:"active"`      // of SetKeyActive
}

type key struct {
	AccessKeyID string      `json:"accessKeyId"`
	UserName    string      `json:"userName"`
	Active      bool        `json:"active"`
	CreatedAt   awsapi.Time `json:"createdAt"`
	ExpiresAt   awsapi.Time `json:"expiresAt,omitzero"` // left out: never
}

func viewKey(k admin.Key) key {
	return key{k.ID, k.User, k.Active, awsapi.Time{Time: k.Created}, awsapi.Time{Time: k.Expires}}
}

type createKeyOutput struct {
	Key             key    `json:"key"`
	SecretAccessKey string `json:"secretAccessKey"` // told this once
}

// latest is the last time that an access key may expire at: of four digits.
const latest = 253402300799

func (o operations) createKey(ctx context.Context, c *awsapi.Call, in keyInput) (*createKeyOutput, error) {
	c.About("", in.UserName)
	var expires time.Time
	if in.ExpiresAt != 0 {
		if in.ExpiresAt < 0 || in.ExpiresAt > latest {
			return nil, errs.New(errs.ParamInvalid, "expiresAt is not a time: it is seconds since 1970")
		}
		expires = time.UnixMilli(int64(in.ExpiresAt * 1000))
	}
	k, secret, err := o.people.CreateKey(ctx, c.Caller, in.UserName, expires)
	if err != nil {
		return nil, err
	}
	return &createKeyOutput{viewKey(k), secret}, nil
}

type listKeysOutput struct {
	Keys []key `json:"keys"`
}

func (o operations) listKeys(ctx context.Context, c *awsapi.Call, in keyInput) (*listKeysOutput, error) {
	c.About("", in.UserName)
	keys, err := o.people.Keys(ctx, c.Caller, in.UserName)
	if err != nil {
		return nil, err
	}
	out := &listKeysOutput{Keys: []key{}}
	for _, k := range keys {
		out.Keys = append(out.Keys, viewKey(k))
	}
	return out, nil
}

func (o operations) setKeyActive(ctx context.Context, c *awsapi.Call, in keyInput) (nothing, error) {
	c.About("", in.AccessKeyID)
	if in.Active == nil {
		return nothing{}, errs.New(errs.ParamInvalid, "active is missing: true or false")
	}
	return nothing{}, o.people.SetKeyActive(ctx, c.Caller, in.AccessKeyID, *in.Active)
}

func (o operations) deleteKey(ctx context.Context, c *awsapi.Call, in keyInput) (nothing, error) {
	c.About("", in.AccessKeyID)
	return nothing{}, o.people.DeleteKey(ctx, c.Caller, in.AccessKeyID)
}
