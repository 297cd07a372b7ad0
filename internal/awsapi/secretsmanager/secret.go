package secretsmanager

import (
	"context"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/iam"
)

// ownKey is the only KMS key that there is: secrets are sealed with weir's own.
const ownKey = "alias/aws/secretsmanager"

// prefix is what the names of secrets begin with that rules can name.
const prefix = "ecr-pullthroughcache/"

const maxSecretID = 2048

type tag struct{ Key, Value string }

type createInput struct {
	Name               string
	Description        string
	ClientRequestToken string
	KmsKeyId           string
	Tags               []tag
	AddReplicaRegions  []struct{ Region string }
	Type               string
	secretInput
}

func (in createInput) about() string { return in.Name }

func (in createInput) check() error {
	var c checks
	c.required("name", in.Name, 512)
	c.optional("description", in.Description, 1, 2048)
	c.optional("clientRequestToken", in.ClientRequestToken, 32, 64)
	in.secretInput.check(&c)
	checkTags(&c, in.Tags)
	if err := c.err(); err != nil {
		return err
	}
	switch {
	case !strings.HasPrefix(in.Name, prefix):
		return invalidParameter("Invalid name. weir keeps the secrets of upstreams and no others: their names begin with %s.", prefix)
	case len(in.AddReplicaRegions) > 0:
		return invalidParameter("AddReplicaRegions: weir keeps no replicas, for %s.", noReplicas)
	case in.Type != "":
		return invalidParameter("Type: weir has no managed external secrets.")
	}
	return checkKey(in.KmsKeyId)
}

func checkKey(id string) error {
	if id != "" && id != ownKey {
		return invalidParameter("KmsKeyId: weir seals secrets with its own key, so it can only be left out, or %s.", ownKey)
	}
	return nil
}

func checkTags(c *checks, tags []tag) {
	for _, t := range tags {
		c.required("tags.key", t.Key, 128)
		c.length("tags.value", &t.Value, 0, 256)
	}
}

func toTags(in []tag) []admin.Tag {
	out := make([]admin.Tag, len(in))
	for i, t := range in {
		out[i] = admin.Tag(t)
	}
	return out
}

func fromTags(in []admin.Tag) []tag {
	out := make([]tag, len(in))
	for i, t := range in {
		out[i] = tag(t)
	}
	return out
}

// named is what most operations answer.
type named struct {
	ARN           string
	Name          string
	VersionId     string   `json:",omitempty"`
	VersionStages []string `json:",omitempty"`
}

func (o operations) create(ctx context.Context, c iam.Caller, in createInput) (named, error) {
	value, binary, err := in.value()
	if err != nil {
		return named{}, err
	}
	s, version, err := o.admin.CreateSecret(ctx, c, admin.CreateSecretInput{
		Name: in.Name, Description: in.Description, ClientToken: in.ClientRequestToken,
		Value: value, Binary: binary, Tags: toTags(in.Tags),
	})
	if err != nil {
		return named{}, err
	}
	return named{ARN: s.ARN, Name: s.Name, VersionId: version}, nil
}

// secretID names a secret: its name, its ARN, or its ARN without the last characters.
type secretID struct{ SecretId string }

func (in secretID) about() string { return in.SecretId }

func (in secretID) check() error {
	var c checks
	in.checkID(&c)
	return c.err()
}

func (in secretID) checkID(c *checks) { c.required("secretId", in.SecretId, maxSecretID) }

// described is a secret without its values. Members that do not apply are left out.
type described struct {
	ARN                    string
	Name                   string
	Description            string              `json:",omitempty"`
	CreatedDate            awsapi.Time         `json:",omitzero"`
	LastChangedDate        awsapi.Time         `json:",omitzero"`
	LastAccessedDate       awsapi.Time         `json:",omitzero"`
	DeletedDate            awsapi.Time         `json:",omitzero"` // when it goes
	Tags                   []tag               `json:",omitempty"`
	VersionIdsToStages     map[string][]string `json:",omitempty"` // DescribeSecret's name for it
	SecretVersionsToStages map[string][]string `json:",omitempty"` // ListSecrets' name for it
}

func fromSecret(s *admin.Secret) described {
	return described{
		ARN:              s.ARN,
		Name:             s.Name,
		Description:      s.Description,
		CreatedDate:      awsapi.Time{Time: s.Created},
		LastChangedDate:  awsapi.Time{Time: s.Changed},
		LastAccessedDate: awsapi.Time{Time: s.Accessed},
		DeletedDate:      awsapi.Time{Time: s.DeleteAt},
		Tags:             fromTags(s.Tags),
	}
}

// stages are the versions that have any.
func stages(s *admin.Secret) map[string][]string {
	m := map[string][]string{}
	for _, v := range s.Versions {
		if len(v.Stages) > 0 {
			m[v.ID] = v.Stages
		}
	}
	return m
}

func (o operations) describe(ctx context.Context, c iam.Caller, in secretID) (described, error) {
	s, err := o.admin.Secret(ctx, c, in.SecretId)
	if err != nil {
		return described{}, err
	}
	d := fromSecret(s)
	d.VersionIdsToStages = stages(s)
	return d, nil
}

// policy answers that there is none: tools ask for it whenever they look at a secret.
func (o operations) policy(ctx context.Context, c iam.Caller, in secretID) (named, error) {
	s, err := o.admin.SecretPolicy(ctx, c, in.SecretId)
	if err != nil {
		return named{}, err
	}
	return named{ARN: s.ARN, Name: s.Name}, nil
}

type deleteInput struct {
	secretID
	ForceDeleteWithoutRecovery bool
	RecoveryWindowInDays       *int64
}

// The days in which a deleted secret can be restored.
const (
	minWindow     = 7
	maxWindow     = 30
	defaultWindow = 30
)

func (in deleteInput) check() error {
	switch days := in.RecoveryWindowInDays; {
	case days != nil && in.ForceDeleteWithoutRecovery:
		return invalidParameter("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
	case days != nil && (*days < minWindow || *days > maxWindow):
		return invalidParameter("The RecoveryWindowInDays value must be between %d and %d days (inclusive).", minWindow, maxWindow)
	}
	return in.secretID.check()
}

func (in deleteInput) window() time.Duration {
	const day = 24 * time.Hour
	switch {
	case in.ForceDeleteWithoutRecovery:
		return 0
	case in.RecoveryWindowInDays != nil:
		return time.Duration(*in.RecoveryWindowInDays) * day
	}
	return defaultWindow * day
}

type deleted struct {
	named
	DeletionDate awsapi.Time `json:",omitzero"`
}

func (o operations) delete(ctx context.Context, c iam.Caller, in deleteInput) (deleted, error) {
	s, err := o.admin.DeleteSecret(ctx, c, in.SecretId, in.window())
	if err != nil {
		return deleted{}, err
	}
	return deleted{named{ARN: s.ARN, Name: s.Name}, awsapi.Time{Time: s.DeleteAt}}, nil
}

func (o operations) restore(ctx context.Context, c iam.Caller, in secretID) (named, error) {
	s, err := o.admin.RestoreSecret(ctx, c, in.SecretId)
	if err != nil {
		return named{}, err
	}
	return named{ARN: s.ARN, Name: s.Name}, nil
}

type tagInput struct {
	secretID
	Tags []tag
}

func (in tagInput) check() error {
	var c checks
	in.checkID(&c)
	if in.Tags == nil {
		c.add("tags", "not be null")
	}
	checkTags(&c, in.Tags)
	return c.err()
}

type nothing struct{}

func (o operations) tag(ctx context.Context, c iam.Caller, in tagInput) (nothing, error) {
	return nothing{}, o.admin.TagSecret(ctx, c, in.SecretId, toTags(in.Tags))
}

type untagInput struct {
	secretID
	TagKeys []string
}

func (in untagInput) check() error {
	var c checks
	in.checkID(&c)
	if in.TagKeys == nil {
		c.add("tagKeys", "not be null")
	}
	for _, k := range in.TagKeys {
		c.required("tagKeys.member", k, 128)
	}
	return c.err()
}

func (o operations) untag(ctx context.Context, c iam.Caller, in untagInput) (nothing, error) {
	return nothing{}, o.admin.UntagSecret(ctx, c, in.SecretId, in.TagKeys)
}
