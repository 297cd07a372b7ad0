package admin

import (
	"context"
	"time"

	"github.com/weir-registry/weir/internal/iam"
)

// The stages that weir moves by itself.
const (
	StageCurrent  = "AWSCURRENT"
	StagePrevious = "AWSPREVIOUS"
)

// Tag is a pair that people put on a secret.
type Tag struct{ Key, Value string }

// Secret is what is known of a secret but for its values.
type Secret struct {
	ARN         string // ends with six characters that are new at each creation
	Name        string
	Description string
	Created     time.Time
	Changed     time.Time
	Accessed    time.Time // the day of the last read of a value, 00:00 UTC; zero: never
	Deleted     time.Time // when it was marked for deletion; zero: it is not
	DeleteAt    time.Time // when it goes for good; zero: it is not marked
	Tags        []Tag     // in the order in which they were set
	Versions    []SecretVersion
}

// SecretVersion is one value of a secret, without the value. One without stages is
// deprecated: it can be asked for by its ID, and the oldest go when there are more than
// a hundred.
type SecretVersion struct {
	ID      string
	Stages  []string
	Created time.Time
}

// CreateSecretInput is what a secret is created from.
type CreateSecretInput struct {
	Name        string
	Description string
	ClientToken string // the ID of the first version; "": weir makes one
	Value       []byte // nil: the secret has no version
	Binary      bool   // Value was given as SecretBinary
	Tags        []Tag
}

// CreateSecret creates a secret. versionID is "" without a value. Created again with
// the same name, token and value, it is the same secret.
// Action: secretsmanager:CreateSecret. Errors: errs.SecretExists, errs.ParamInvalid,
// errs.LimitExceeded (tags), errs.Conflict while one of this name is marked for
// deletion.
func (a *Admin) CreateSecret(ctx context.Context, c iam.Caller, in CreateSecretInput) (s *Secret, versionID string, err error) {
	return nil, "", notBuilt()
}

// Secret describes a secret, also one that is marked for deletion. Here and in all
// that follows, id is its name, its ARN, or its ARN without the last hyphen and six
// characters; an ARN of an earlier secret of the same name is unknown.
// Action: secretsmanager:DescribeSecret. Errors: errs.SecretUnknown.
func (a *Admin) Secret(ctx context.Context, c iam.Caller, id string) (*Secret, error) {
	return nil, notBuilt()
}

// Secrets returns up to limit secrets after the name after, in the order of their
// names, and the name to go on after, "" at the end; a limit under 1 is none. Those
// marked for deletion are among them only with deleted.
// Action: secretsmanager:ListSecrets.
func (a *Admin) Secrets(ctx context.Context, c iam.Caller, after string, limit int, deleted bool) (secrets []*Secret, next string, err error) {
	return nil, "", notBuilt()
}

// SecretValue returns one version's value, by its ID, by its stage, or by both; neither
// is AWSCURRENT.
// Action: secretsmanager:GetSecretValue. Errors: errs.SecretUnknown for the secret or
// the version, errs.Conflict if it is marked for deletion, or if the version has not
// the stage.
func (a *Admin) SecretValue(ctx context.Context, c iam.Caller, id, versionID, stage string) (s *Secret, v SecretVersion, value []byte, binary bool, err error) {
	return nil, SecretVersion{}, nil, false, notBuilt()
}

// PutSecretValue adds a version with stages, AWSCURRENT if there are none; AWSPREVIOUS
// goes to the version that was current. Called again with the same token and value it
// changes nothing.
// Action: secretsmanager:PutSecretValue. Errors: errs.SecretUnknown, errs.ParamInvalid,
// errs.Conflict if it is marked for deletion, errs.SecretExists if the token's version
// has another value.
func (a *Admin) PutSecretValue(ctx context.Context, c iam.Caller, id, clientToken string, value []byte, binary bool, stages []string) (*Secret, SecretVersion, error) {
	return nil, SecretVersion{}, notBuilt()
}

// UpdateSecret changes the description (nil: it stays) and, if value is not nil, adds a
// version as PutSecretValue does; versionID is "" otherwise.
// Action: secretsmanager:UpdateSecret. Errors: as PutSecretValue.
func (a *Admin) UpdateSecret(ctx context.Context, c iam.Caller, id string, description *string, clientToken string, value []byte, binary bool) (s *Secret, versionID string, err error) {
	return nil, "", notBuilt()
}

// MoveStage moves a stage: from is the version that has it, "" if none has; to is the
// version that gets it, "" takes it away. AWSCURRENT cannot be taken away; where it
// moves, AWSPREVIOUS goes to the version that had it.
// Action: secretsmanager:UpdateSecretVersionStage. Errors: errs.SecretUnknown,
// errs.ParamInvalid, errs.Conflict if the secret is marked for deletion.
func (a *Admin) MoveStage(ctx context.Context, c iam.Caller, id, stage, from, to string) (*Secret, error) {
	return nil, notBuilt()
}

// DeleteSecret marks a secret for deletion after window, 7 to 30 days; 0 deletes it at
// once, and then it is no error that there is none.
// Action: secretsmanager:DeleteSecret. Errors: errs.SecretUnknown, errs.ParamInvalid,
// errs.Conflict if it is marked already.
func (a *Admin) DeleteSecret(ctx context.Context, c iam.Caller, id string, window time.Duration) (*Secret, error) {
	return nil, notBuilt()
}

// RestoreSecret takes the mark for deletion away, if there is one.
// Action: secretsmanager:RestoreSecret. Errors: errs.SecretUnknown.
func (a *Admin) RestoreSecret(ctx context.Context, c iam.Caller, id string) (*Secret, error) {
	return nil, notBuilt()
}

// TagSecret sets tags, in place of those with the same keys.
// Action: secretsmanager:TagResource. Errors: errs.SecretUnknown, errs.ParamInvalid,
// errs.LimitExceeded over 50, errs.Conflict if the secret is marked for deletion.
func (a *Admin) TagSecret(ctx context.Context, c iam.Caller, id string, tags []Tag) error {
	return notBuilt()
}

// UntagSecret removes the tags with keys, as far as there are any.
// Action: secretsmanager:UntagResource. Errors: errs.SecretUnknown, errs.Conflict if
// the secret is marked for deletion.
func (a *Admin) UntagSecret(ctx context.Context, c iam.Caller, id string, keys []string) error {
	return notBuilt()
}

// SecretPolicy decides on secretsmanager:GetResourcePolicy and returns the secret,
// which never has a policy of its own here. Errors: errs.SecretUnknown.
func (a *Admin) SecretPolicy(ctx context.Context, c iam.Caller, id string) (*Secret, error) {
	return nil, notBuilt()
}

// SecretVersions is Secret for secretsmanager:ListSecretVersionIds.
// Errors: errs.SecretUnknown.
func (a *Admin) SecretVersions(ctx context.Context, c iam.Caller, id string) (*Secret, error) {
	return nil, notBuilt()
}

// Credential returns what a rule's secret says for its upstream, from the version that
// is current at this moment. Nobody is asking: it is for weir's own requests. arn is
// the whole ARN, so that a secret that was created again is another.
// Errors, in words for who made the rule: errs.SecretUnknown if it is not there, is
// marked for deletion, or has no value; errs.ParamInvalid if its value is not the JSON
// {"username", "accessToken"}.
func (a *Admin) Credential(ctx context.Context, arn string) (username, accessToken string, err error) {
	return "", "", notBuilt()
}
