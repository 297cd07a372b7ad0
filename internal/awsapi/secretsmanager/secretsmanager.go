// Package secretsmanager speaks the part of AWS Secrets Manager's API (2017-10-17)
// that people use to keep the credentials of upstreams: secrets whose names begin with
// ecr-pullthroughcache/, which a pull through cache rule names by ARN.
//
// It guarantees AWS's wire shapes, exceptions and words, in which tools look for
// what went wrong. Every operation of the service is known; those that weir does not do
// (rotation, replicas, resource policies, random passwords) fail with
// InvalidRequestException and say so. Who may do what, and what is kept, is admin's.
package secretsmanager

import (
	"context"
	"time"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
)

// plane is what the operations ask of the control plane: *admin.Admin.
type plane interface {
	CreateSecret(ctx context.Context, c iam.Caller, in admin.CreateSecretInput) (s *admin.Secret, versionID string, err error)
	Secret(ctx context.Context, c iam.Caller, id string) (*admin.Secret, error)
	Secrets(ctx context.Context, c iam.Caller, after string, limit int, deleted bool) (secrets []*admin.Secret, next string, err error)
	SecretValue(ctx context.Context, c iam.Caller, id, versionID, stage string) (s *admin.Secret, v admin.SecretVersion, value []byte, binary bool, err error)
	SecretPolicy(ctx context.Context, c iam.Caller, id string) (*admin.Secret, error)
	SecretVersions(ctx context.Context, c iam.Caller, id string) (*admin.Secret, error)
	PutSecretValue(ctx context.Context, c iam.Caller, id, clientToken string, value []byte, binary bool, stages []string) (*admin.Secret, admin.SecretVersion, error)
	UpdateSecret(ctx context.Context, c iam.Caller, id string, description *string, clientToken string, value []byte, binary bool) (s *admin.Secret, versionID string, err error)
	MoveStage(ctx context.Context, c iam.Caller, id, stage, from, to string) (*admin.Secret, error)
	DeleteSecret(ctx context.Context, c iam.Caller, id string, window time.Duration) (*admin.Secret, error)
	RestoreSecret(ctx context.Context, c iam.Caller, id string) (*admin.Secret, error)
	TagSecret(ctx context.Context, c iam.Caller, id string, tags []admin.Tag) error
	UntagSecret(ctx context.Context, c iam.Caller, id string, keys []string) error
}

type operations struct {
	admin plane
	pages awsapi.Pages
}

// Service returns the operations on a control plane. pageKey is 32 bytes, for paging
// tokens.
func Service(a *admin.Admin, pageKey []byte) awsapi.Service { return service(a, pageKey) }

func service(a plane, pageKey []byte) awsapi.Service {
	o := operations{a, awsapi.NewPages(pageKey)}
	ops := map[string]awsapi.Operation{
		"CreateSecret":             operation(o.create),
		"DeleteSecret":             operation(o.delete),
		"DescribeSecret":           operation(o.describe),
		"GetResourcePolicy":        operation(o.policy),
		"GetSecretValue":           operation(o.value),
		"ListSecretVersionIds":     operation(o.versions),
		"ListSecrets":              operation(o.list),
		"PutSecretValue":           operation(o.put),
		"RestoreSecret":            operation(o.restore),
		"TagResource":              operation(o.tag),
		"UntagResource":            operation(o.untag),
		"UpdateSecret":             operation(o.update),
		"UpdateSecretVersionStage": operation(o.moveStage),
	}
	for name, why := range map[string]string{
		"BatchGetSecretValue":          "ask for one secret at a time, by GetSecretValue",
		"CancelRotateSecret":           noRotation,
		"DeleteResourcePolicy":         noPolicies,
		"GetRandomPassword":            "upstreams make the passwords that weir keeps",
		"PutResourcePolicy":            noPolicies,
		"RemoveRegionsFromReplication": noReplicas,
		"ReplicateSecretToRegions":     noReplicas,
		"RotateSecret":                 noRotation,
		"StopReplicationToReplica":     noReplicas,
		"ValidateResourcePolicy":       noPolicies,
	} {
		ops[name] = awsapi.Refuse("InvalidRequestException", "weir does not do secretsmanager:%s: %s.", name, why)
	}
	return awsapi.Service{
		Name:       "secretsmanager",
		Target:     "secretsmanager",
		Signing:    []string{"secretsmanager"},
		Operations: ops,
		Exceptions: exceptions(),
	}
}

const (
	noRotation = "there are no functions to run; put a new value in by PutSecretValue, and the next request to the upstream uses it"
	noPolicies = "who may use a secret is in the policies of users"
	noReplicas = "there is one region here"
)

// exceptions are the service's own names of failures. Their words are admin's.
func exceptions() map[errs.Code]string {
	return map[errs.Code]string{
		errs.SecretUnknown: "ResourceNotFoundException",
		errs.SecretExists:  "ResourceExistsException",
		errs.Conflict:      "InvalidRequestException",
		errs.Unsupported:   "InvalidRequestException",
		errs.ParamInvalid:  "InvalidParameterException",
		errs.NameInvalid:   "InvalidParameterException",
		errs.LimitExceeded: "LimitExceededException",
		errs.Internal:      "InternalServiceError",
		errs.StorageFull:   "InternalServiceError",
	}
}

// operation wraps one: the model's constraints, and what it is about in the access line.
func operation[In input, Out any](f func(context.Context, iam.Caller, In) (Out, error)) awsapi.Operation {
	return awsapi.JSON(func(ctx context.Context, c *awsapi.Call, in In) (Out, error) {
		c.About("", in.about())
		var none Out
		if err := in.check(); err != nil {
			return none, err
		}
		return f(ctx, c.Caller, in)
	})
}

// input is what an operation takes.
type input interface {
	about() string // the secret's name or ID; "" if it is about none
	check() error  // the constraints of the API's model
}
