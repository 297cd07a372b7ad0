package secretsmanager

import (
	"context"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
)

const maxValue = 65536 // bytes of a secret's value

// secretInput is a secret's value in an input: text, or bytes in base64.
type secretInput struct {
	SecretString *string
	SecretBinary []byte // nil: left out
}

func (in secretInput) check(c *checks) {
	if in.SecretString != nil {
		c.number("secretString", "have length", len(*in.SecretString), 1, maxValue)
	}
	if in.SecretBinary != nil {
		c.number("secretBinary", "have length", len(in.SecretBinary), 1, maxValue)
	}
}

// value returns what there is, nil if nothing.
func (in secretInput) value() (value []byte, binary bool, err error) {
	switch {
	case in.SecretString != nil && in.SecretBinary != nil:
		return nil, false, invalidParameter("You can't specify both a binary secret value and a string secret value in the same secret.")
	case in.SecretString != nil:
		return []byte(*in.SecretString), false, nil
	}
	return in.SecretBinary, in.SecretBinary != nil, nil
}

type valueInput struct {
	secretID
	VersionId    string
	VersionStage string
}

func (in valueInput) check() error {
	var c checks
	in.checkID(&c)
	c.optional("versionId", in.VersionId, 32, 64)
	c.optional("versionStage", in.VersionStage, 1, 256)
	return c.err()
}

type secretValue struct {
	named
	SecretString *string     `json:",omitempty"`
	SecretBinary []byte      `json:",omitempty"`
	CreatedDate  awsapi.Time `json:",omitzero"` // of the version
}

func (o operations) value(ctx context.Context, c iam.Caller, in valueInput) (secretValue, error) {
	s, v, value, binary, err := o.admin.SecretValue(ctx, c, in.SecretId, in.VersionId, in.VersionStage)
	if err != nil {
		return secretValue{}, err
	}
	out := secretValue{named: named{s.ARN, s.Name, v.ID, v.Stages}, CreatedDate: awsapi.Time{Time: v.Created}}
	if binary {
		out.SecretBinary = value
	} else {
		text := string(value)
		out.SecretString = &text
	}
	return out, nil
}

type putInput struct {
	secretID
	ClientRequestToken string
	VersionStages      []string
	RotationToken      string
	secretInput
}

func (in putInput) check() error {
	var c checks
	in.checkID(&c)
	c.optional("clientRequestToken", in.ClientRequestToken, 32, 64)
	in.secretInput.check(&c)
	if in.VersionStages != nil {
		c.number("versionStages", "have length", len(in.VersionStages), 1, 20)
	}
	for _, s := range in.VersionStages {
		c.required("versionStages.member", s, 256)
	}
	if err := c.err(); err != nil {
		return err
	}
	if in.RotationToken != "" {
		return invalidParameter("RotationToken: weir runs no rotation.")
	}
	return nil
}

func (o operations) put(ctx context.Context, c iam.Caller, in putInput) (named, error) {
	value, binary, err := in.value()
	if err != nil {
		return named{}, err
	}
	if value == nil {
		return named{}, awsapi.Except("InvalidRequestException", errs.ParamInvalid, "You must provide either SecretString or SecretBinary.")
	}
	s, v, err := o.admin.PutSecretValue(ctx, c, in.SecretId, in.ClientRequestToken, value, binary, in.VersionStages)
	if err != nil {
		return named{}, err
	}
	return named{s.ARN, s.Name, v.ID, v.Stages}, nil
}

type updateInput struct {
	secretID
	ClientRequestToken string
	Description        *string
	KmsKeyId           string
	Type               string
	secretInput
}

func (in updateInput) check() error {
	var c checks
	in.checkID(&c)
	c.optional("clientRequestToken", in.ClientRequestToken, 32, 64)
	c.length("description", in.Description, 0, 2048)
	in.secretInput.check(&c)
	if err := c.err(); err != nil {
		return err
	}
	if in.Type != "" {
		return invalidParameter("Type: weir has no managed external secrets.")
	}
	return checkKey(in.KmsKeyId)
}

func (o operations) update(ctx context.Context, c iam.Caller, in updateInput) (named, error) {
	value, binary, err := in.value()
	if err != nil {
		return named{}, err
	}
	s, version, err := o.admin.UpdateSecret(ctx, c, in.SecretId, in.Description, in.ClientRequestToken, value, binary)
	if err != nil {
		return named{}, err
	}
	return named{ARN: s.ARN, Name: s.Name, VersionId: version}, nil
}

type moveInput struct {
	secretID
	VersionStage        string
	MoveToVersionId     string
	RemoveFromVersionId string
}

func (in moveInput) check() error {
	var c checks
	in.checkID(&c)
	c.required("versionStage", in.VersionStage, 256)
	c.optional("moveToVersionId", in.MoveToVersionId, 32, 64)
	c.optional("removeFromVersionId", in.RemoveFromVersionId, 32, 64)
	return c.err()
}

func (o operations) moveStage(ctx context.Context, c iam.Caller, in moveInput) (named, error) {
	s, err := o.admin.MoveStage(ctx, c, in.SecretId, in.VersionStage, in.RemoveFromVersionId, in.MoveToVersionId)
	if err != nil {
		return named{}, err
	}
	return named{ARN: s.ARN, Name: s.Name}, nil
}

type versionsInput struct {
	secretID
	IncludeDeprecated bool
	MaxResults        *int
	NextToken         string
}

func (in versionsInput) check() error {
	var c checks
	in.checkID(&c)
	checkPage(&c, in.MaxResults, in.NextToken)
	return c.err()
}

type version struct {
	VersionId     string
	VersionStages []string    `json:",omitempty"`
	CreatedDate   awsapi.Time `json:",omitzero"`
}

type versionList struct {
	ARN       string
	Name      string
	Versions  []version
	NextToken string `json:",omitempty"`
}

func (o operations) versions(ctx context.Context, c iam.Caller, in versionsInput) (versionList, error) {
	s, err := o.admin.SecretVersions(ctx, c, in.SecretId)
	if err != nil {
		return versionList{}, err
	}
	var all []admin.SecretVersion
	for _, v := range s.Versions {
		if in.IncludeDeprecated || len(v.Stages) > 0 {
			all = append(all, v)
		}
	}
	list := []any{s.ARN, in.IncludeDeprecated}
	page, next, err := cut(o.pages, "ListSecretVersionIds", list, all, func(v admin.SecretVersion) string { return v.ID }, in.MaxResults, in.NextToken)
	if err != nil {
		return versionList{}, err
	}
	out := versionList{ARN: s.ARN, Name: s.Name, Versions: make([]version, len(page)), NextToken: next}
	for i, v := range page {
		out.Versions[i] = version{v.ID, v.Stages, awsapi.Time{Time: v.Created}}
	}
	return out, nil
}
