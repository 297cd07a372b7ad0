package weir_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
)

// folk is a control plane that writes down what it is asked.
type folk struct {
	users []*admin.User
	next  string
	keys  []admin.Key
	err   error
	calls []string

	upstreams []admin.Upstream
}

func (f *folk) As(_ context.Context, c iam.Caller, user string) (iam.Caller, error) {
	return iam.Caller{Name: user}, f.called("as %s by %s", user, c.Name)
}

func (f *folk) Mirrors(_ context.Context, c iam.Caller) (map[string]string, error) {
	return map[string]string{"hub.example": "docker.io", "a.example": "team"}, f.called("mirrors by %s", c.Name)
}

func (f *folk) called(format string, args ...any) error {
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	return f.err
}

func (f *folk) CreateUser(_ context.Context, c iam.Caller, name string, policies []string) (*admin.User, error) {
	return &admin.User{Name: name, Created: at, Policies: policies}, f.called("create %s %q by %s", name, policies, c.Name)
}

func (f *folk) Users(_ context.Context, c iam.Caller, after string, limit int) ([]*admin.User, string, error) {
	return f.users, f.next, f.called("users after %q, %d by %s", after, limit, c.Name)
}

func (f *folk) DeleteUser(_ context.Context, c iam.Caller, name string) error {
	return f.called("delete %s by %s", name, c.Name)
}

func (f *folk) PutUserPolicy(_ context.Context, c iam.Caller, user, policyName, document string) error {
	return f.called("policy %s %s %s by %s", user, policyName, document, c.Name)
}

func (f *folk) CreateKey(_ context.Context, c iam.Caller, user string, expires time.Time) (admin.Key, string, error) {
	return admin.Key{ID: "AKIANEW", User: user, Active: true, Created: at, Expires: expires}, "s3cret", f.called("key for %s, until %s, by %s", user, expires.UTC().Format(time.RFC3339Nano), c.Name)
}

func (f *folk) Keys(_ context.Context, c iam.Caller, user string) ([]admin.Key, error) {
	return f.keys, f.called("keys of %q by %s", user, c.Name)
}

func (f *folk) SetKeyActive(_ context.Context, c iam.Caller, id string, active bool) error {
	return f.called("active %s %v by %s", id, active, c.Name)
}

func (f *folk) DeleteKey(_ context.Context, c iam.Caller, id string) error {
	return f.called("delete key %s by %s", id, c.Name)
}

func (f *folk) UpstreamHosts(_ context.Context, c iam.Caller, prefixes []string) ([]admin.Upstream, error) {
	return f.upstreams, f.called("hosts of %q by %s", prefixes, c.Name)
}

func TestUsers(t *testing.T) {
	const seconds = "1795597200.500"
	for _, tt := range []struct {
		name, operation, in string
		folk                folk
		status              int
		want                string
		calls               []string
	}{
		{
			name: "mirrors", operation: "ListMirrors", in: `{}`,
			status: 200, want: `{"mirrors":[{"host":"a.example","target":"team"},{"host":"hub.example","target":"docker.io"}]}`,
			calls: []string{`mirrors by root`},
		},
		{
			name: "create user", operation: "CreateUser", in: `{"userName":"ci","policies":["AmazonEC2ContainerRegistryPullOnly"]}`,
			status: 200, want: `{"user":{"userName":"ci","createdAt":` + seconds + `,"policies":["AmazonEC2ContainerRegistryPullOnly"]}}`,
			calls: []string{`create ci ["AmazonEC2ContainerRegistryPullOnly"] by root`},
		},
		{
			name: "user is there", operation: "CreateUser", in: `{"userName":"ci"}`, folk: folk{err: errs.New(errs.UserExists, "there is a ci")},
			status: 400, want: `{"__type":"EntityAlreadyExistsException","message":"there is a ci"}`, calls: []string{`create ci [] by root`},
		},
		{
			name: "list users", operation: "ListUsers", in: `{"nextToken":"a"}`,
			folk:   folk{users: []*admin.User{{Name: "b", Created: at}, {Name: "c", Created: at, Policies: []string{"inline:x"}}}, next: "c"},
			status: 200, want: `{"users":[{"userName":"b","createdAt":` + seconds + `,"policies":[]},{"userName":"c","createdAt":` + seconds + `,"policies":["inline:x"]}],"nextToken":"c"}`,
			calls: []string{`users after "a", 1000 by root`},
		},
		{
			name: "no users", operation: "ListUsers", in: `{}`,
			status: 200, want: `{"users":[]}`, calls: []string{`users after "", 1000 by root`},
		},
		{
			name: "delete user", operation: "DeleteUser", in: `{"userName":"ci"}`,
			status: 200, want: `{}`, calls: []string{`delete ci by root`},
		},
		{
			name: "user has keys", operation: "DeleteUser", in: `{"userName":"ci"}`, folk: folk{err: errs.New(errs.Conflict, "it has keys")},
			status: 400, want: `{"__type":"DeleteConflictException","message":"it has keys"}`, calls: []string{`delete ci by root`},
		},
		{
			name: "no such user", operation: "DeleteUser", in: `{"userName":"ci"}`, folk: folk{err: errs.New(errs.UserUnknown, "no ci")},
			status: 400, want: `{"__type":"NoSuchEntityException","message":"no ci"}`, calls: []string{`delete ci by root`},
		},
		{
			name: "policy", operation: "PutUserPolicy", in: `{"userName":"ci","policyName":"p","policyDocument":"{}"}`,
			status: 200, want: `{}`, calls: []string{`policy ci p {} by root`},
		},
		{
			name: "create key", operation: "CreateKey", in: `{"userName":"ci","expiresAt":1795597200.5}`,
			status: 200, want: `{"key":{"accessKeyId":"AKIANEW","userName":"ci","active":true,"createdAt":` + seconds + `,"expiresAt":` + seconds + `},"secretAccessKey":"s3cret"}`,
			calls: []string{`key for ci, until 2026-11-25T09:00:00.5Z, by root`},
		},
		{
			name: "create key for ever", operation: "CreateKey", in: `{"userName":"ci"}`,
			status: 200, want: `{"key":{"accessKeyId":"AKIANEW","userName":"ci","active":true,"createdAt":` + seconds + `},"secretAccessKey":"s3cret"}`,
			calls: []string{`key for ci, until 0001-01-01T00:00:00Z, by root`},
		},
		{
			name: "key in the year 10000", operation: "CreateKey", in: `{"userName":"ci","expiresAt":253402300800}`,
			status: 400, want: `{"__type":"InvalidParameterException","message":"expiresAt is not a time: it is seconds since 1970"}`,
		},
		{
			name: "key refused", operation: "CreateKey", in: `{"userName":"ci"}`, folk: folk{err: errs.New(errs.Denied, "no")},
			status: 400, want: `{"__type":"AccessDeniedException","message":"no"}`, calls: []string{`key for ci, until 0001-01-01T00:00:00Z, by root`},
		},
		{
			name: "list keys", operation: "ListKeys", in: `{"userName":"ci"}`, folk: folk{keys: []admin.Key{{ID: "AKIA1", User: "ci", Created: at, Expires: at}}},
			status: 200, want: `{"keys":[{"accessKeyId":"AKIA1","userName":"ci","active":false,"createdAt":` + seconds + `,"expiresAt":` + seconds + `}]}`,
			calls: []string{`keys of "ci" by root`},
		},
		{
			name: "no keys of all", operation: "ListKeys", in: `{}`,
			status: 200, want: `{"keys":[]}`, calls: []string{`keys of "" by root`},
		},
		{
			name: "disable key", operation: "SetKeyActive", in: `{"accessKeyId":"AKIA1","active":false}`,
			status: 200, want: `{}`, calls: []string{`active AKIA1 false by root`},
		},
		{
			name: "neither", operation: "SetKeyActive", in: `{"accessKeyId":"AKIA1"}`,
			status: 400, want: `{"__type":"InvalidParameterException","message":"active is missing: true or false"}`,
		},
		{
			name: "delete key", operation: "DeleteKey", in: `{"accessKeyId":"AKIA1"}`,
			status: 200, want: `{}`, calls: []string{`delete key AKIA1 by root`},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &script{folk: tt.folk}
			status, got := call(t, s, "Weir_20261125."+tt.operation, "ecr", tt.in)
			if diff := cmp.Diff(tt.want, got); diff != "" || status != tt.status {
				t.Errorf("status %d, want %d, (-want +got):\n%s", status, tt.status, diff)
			}
			if diff := cmp.Diff(tt.calls, s.folk.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}
