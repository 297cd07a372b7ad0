package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
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

const (
	maxSecretName  = 512
	maxDescription = 2048
	maxTags        = 50
	suffixLength   = 6

	minWindow = 7 * 24 * time.Hour
	maxWindow = 30 * 24 * time.Hour
)

var secretName = regexp.MustCompile(`^[A-Za-z0-9/_+=.@!-]+$`)

// CreateSecret creates a secret. versionID is "" without a value. Created again with
// the same name, token and value, it is the same secret.
// Action: secretsmanager:CreateSecret. Errors: errs.SecretExists, errs.ParamInvalid,
// errs.LimitExceeded (tags), errs.Conflict while one of this name is marked for
// deletion.
func (a *Admin) CreateSecret(ctx context.Context, c iam.Caller, in CreateSecretInput) (s *Secret, versionID string, err error) {
	if err := c.Allowed("secretsmanager:CreateSecret", a.secretARN(in.Name)); err != nil {
		return nil, "", err
	}
	if len(in.Name) > maxSecretName || !secretName.MatchString(in.Name) {
		return nil, "", errs.New(errs.ParamInvalid, "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	}
	tags, err := setTags(nil, in.Tags)
	if err != nil {
		return nil, "", err
	}
	if err := checkDescription(in.Description); err != nil {
		return nil, "", err
	}
	if in.Value != nil {
		if err := checkVersion(in.ClientToken, in.Value, nil); err != nil {
			return nil, "", err
		}
	}
	if err := a.o.DB.PurgeSecrets(ctx, a.now()); err != nil {
		return nil, "", err
	}
	err = a.o.DB.ChangeSecret(ctx, in.Name, func(old *meta.Secret) (*meta.Secret, error) {
		now := a.now()
		if old != nil {
			id, err := a.createdAgain(old, in)
			s, versionID = a.view(old), id
			return old, err
		}
		made := &meta.Secret{
			Name: in.Name, Suffix: newSuffix(), Description: in.Description,
			Tags: encodeTags(tags), Created: now, Changed: now,
		}
		versionID = ""
		if in.Value != nil {
			if versionID, err = a.addVersion(made, in.ClientToken, in.Value, in.Binary, nil); err != nil {
				return nil, err
			}
		}
		s = a.view(made)
		return made, nil
	})
	if err != nil {
		return nil, "", err
	}
	return s, versionID, nil
}

// createdAgain returns the version that an earlier, equal creation made of old.
func (a *Admin) createdAgain(old *meta.Secret, in CreateSecretInput) (versionID string, err error) {
	if !old.Deleted.IsZero() {
		return "", errs.New(errs.Conflict, "You can't create this secret because a secret with this name is already scheduled for deletion.")
	}
	i := slices.IndexFunc(old.Versions, func(v meta.SecretVersion) bool { return v.ID == in.ClientToken })
	if i < 0 || in.Value == nil {
		return "", errs.New(errs.SecretExists, "The operation failed because the secret %s already exists.", in.Name)
	}
	if err := a.sameValue(old, old.Versions[i], in.Value, in.Binary); err != nil {
		return "", err
	}
	return in.ClientToken, nil
}

// Secret describes a secret, also one that is marked for deletion. Here and in all
// that follows, id is its name, its ARN, or its ARN without the last hyphen and six
// characters; an ARN of an earlier secret of the same name is unknown.
// Action: secretsmanager:DescribeSecret. Errors: errs.SecretUnknown.
func (a *Admin) Secret(ctx context.Context, c iam.Caller, id string) (*Secret, error) {
	return a.describe(ctx, c, "secretsmanager:DescribeSecret", id)
}

// SecretPolicy decides on secretsmanager:GetResourcePolicy and returns the secret,
// which never has a policy of its own here. Errors: errs.SecretUnknown.
func (a *Admin) SecretPolicy(ctx context.Context, c iam.Caller, id string) (*Secret, error) {
	return a.describe(ctx, c, "secretsmanager:GetResourcePolicy", id)
}

// SecretVersions is Secret for secretsmanager:ListSecretVersionIds.
// Errors: errs.SecretUnknown.
func (a *Admin) SecretVersions(ctx context.Context, c iam.Caller, id string) (*Secret, error) {
	return a.describe(ctx, c, "secretsmanager:ListSecretVersionIds", id)
}

func (a *Admin) describe(ctx context.Context, c iam.Caller, action, id string) (*Secret, error) {
	s, err := a.find(ctx, c, action, id)
	if err != nil {
		return nil, err
	}
	return a.view(s), nil
}

// Secrets returns up to limit secrets after the name after, in the order of their
// names, and the name to go on after, "" at the end; a limit under 1 is none. Those
// marked for deletion are among them only with deleted.
// Action: secretsmanager:ListSecrets.
func (a *Admin) Secrets(ctx context.Context, c iam.Caller, after string, limit int, deleted bool) (secrets []*Secret, nextAfter string, err error) {
	if err := c.Allowed("secretsmanager:ListSecrets", anything); err != nil {
		return nil, "", err
	}
	if err := a.o.DB.PurgeSecrets(ctx, a.now()); err != nil {
		return nil, "", err
	}
	rows, err := a.o.DB.Secrets(ctx, after, page(limit), deleted)
	if err != nil {
		return nil, "", err
	}
	for _, s := range rows {
		secrets = append(secrets, a.view(s))
	}
	secrets, nextAfter = next(secrets, limit, func(s *Secret) string { return s.Name })
	return secrets, nextAfter, nil
}

// DeleteSecret marks a secret for deletion after window, 7 to 30 days; 0 deletes it at
// once, and then it is no error that there is none.
// Action: secretsmanager:DeleteSecret. Errors: errs.SecretUnknown, errs.ParamInvalid,
// errs.Conflict if it is marked already.
func (a *Admin) DeleteSecret(ctx context.Context, c iam.Caller, id string, window time.Duration) (*Secret, error) {
	s, err := a.find(ctx, c, "secretsmanager:DeleteSecret", id)
	if errs.CodeOf(err) == errs.SecretUnknown && window == 0 {
		now := a.now()
		name := strings.TrimPrefix(id, a.secretARN(""))
		return &Secret{ARN: a.secretARN(name), Name: name, Deleted: now, DeleteAt: now}, nil
	}
	if err != nil {
		return nil, err
	}
	if window != 0 && (window < minWindow || window > maxWindow) {
		return nil, errs.New(errs.ParamInvalid, "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
	}
	var deleted *Secret
	err = a.changeSecret(ctx, s, func(s *meta.Secret) (*meta.Secret, error) {
		if !s.Deleted.IsZero() && window != 0 {
			return nil, marked()
		}
		s.Deleted = a.now()
		s.DeleteAt = s.Deleted.Add(window)
		deleted = a.view(s)
		if window == 0 {
			return nil, nil
		}
		return s, nil
	})
	if err != nil {
		return nil, err
	}
	return deleted, nil
}

// RestoreSecret takes the mark for deletion away, if there is one.
// Action: secretsmanager:RestoreSecret. Errors: errs.SecretUnknown.
func (a *Admin) RestoreSecret(ctx context.Context, c iam.Caller, id string) (*Secret, error) {
	return a.change(ctx, c, "secretsmanager:RestoreSecret", id, func(s *meta.Secret) error {
		s.Deleted, s.DeleteAt = time.Time{}, time.Time{}
		return nil
	})
}

// TagSecret sets tags, in place of those with the same keys.
// Action: secretsmanager:TagResource. Errors: errs.SecretUnknown, errs.ParamInvalid,
// errs.LimitExceeded over 50, errs.Conflict if the secret is marked for deletion.
func (a *Admin) TagSecret(ctx context.Context, c iam.Caller, id string, tags []Tag) error {
	_, err := a.change(ctx, c, "secretsmanager:TagResource", id, func(s *meta.Secret) error {
		all, err := setTags(decodeTags(s.Tags), tags)
		if err != nil {
			return err
		}
		s.Tags = encodeTags(all)
		return unmarked(s)
	})
	return err
}

// UntagSecret removes the tags with keys, as far as there are any.
// Action: secretsmanager:UntagResource. Errors: errs.SecretUnknown, errs.Conflict if
// the secret is marked for deletion.
func (a *Admin) UntagSecret(ctx context.Context, c iam.Caller, id string, keys []string) error {
	_, err := a.change(ctx, c, "secretsmanager:UntagResource", id, func(s *meta.Secret) error {
		s.Tags = encodeTags(slices.DeleteFunc(decodeTags(s.Tags), func(t Tag) bool { return slices.Contains(keys, t.Key) }))
		return unmarked(s)
	})
	return err
}

// change decides, and changes a secret that is there; f may be called again.
func (a *Admin) change(ctx context.Context, c iam.Caller, action, id string, f func(*meta.Secret) error) (changed *Secret, err error) {
	s, err := a.find(ctx, c, action, id)
	if err != nil {
		return nil, err
	}
	err = a.changeSecret(ctx, s, func(s *meta.Secret) (*meta.Secret, error) {
		if err := f(s); err != nil {
			return nil, err
		}
		changed = a.view(s)
		return s, nil
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

// changeSecret changes the very secret that was found, and not one that took its name
// meanwhile.
func (a *Admin) changeSecret(ctx context.Context, found *meta.Secret, f func(*meta.Secret) (*meta.Secret, error)) error {
	err := a.o.DB.ChangeSecret(ctx, found.Name, func(s *meta.Secret) (*meta.Secret, error) {
		if s == nil || s.Suffix != found.Suffix || a.gone(s) {
			return nil, noSecret()
		}
		return f(s)
	})
	if err == nil {
		a.forgetValidations(a.arnOf(found))
	}
	return err
}

// find returns the secret that id means, if c may do action on it. Who may not is told
// the same whether it is there or not.
func (a *Admin) find(ctx context.Context, c iam.Caller, action, id string) (*meta.Secret, error) {
	asked := id
	if !strings.HasPrefix(id, "arn:") {
		asked = a.secretARN(id)
	}
	s, err := a.lookUp(ctx, id)
	if err == nil {
		denied := c.Allowed(action, a.arnOf(s))
		if denied == nil {
			return s, nil
		}
		if err = c.Allowed(action, asked); err == nil {
			err = denied
		}
		return nil, err
	}
	if denied := c.Allowed(action, asked); denied != nil {
		return nil, denied
	}
	return nil, err
}

// lookUp returns the secret that id means.
func (a *Admin) lookUp(ctx context.Context, id string) (*meta.Secret, error) {
	for _, m := range a.meanings(id) {
		s, err := a.o.DB.Secret(ctx, m.name)
		if errs.CodeOf(err) == errs.SecretUnknown {
			continue
		}
		if err != nil {
			return nil, err
		}
		if (m.suffix == "" || m.suffix == s.Suffix) && !a.gone(s) {
			return s, nil
		}
	}
	return nil, noSecret()
}

// meaning is a name, and the suffix that the secret must have, "" for any.
type meaning struct{ name, suffix string }

// meanings returns what id may mean, the likeliest first: an ARN that ends like a whole
// one may also be a part of one.
func (a *Admin) meanings(id string) []meaning {
	rest, isARN := strings.CutPrefix(id, a.secretARN(""))
	if !isARN {
		if strings.HasPrefix(id, "arn:") {
			return nil // of another registry or service
		}
		return []meaning{{name: id}}
	}
	if m, ok := whole(rest); ok {
		return []meaning{m, {name: rest}}
	}
	return []meaning{{name: rest}}
}

// whole takes the last part of a whole ARN apart.
func whole(rest string) (meaning, bool) {
	i := len(rest) - suffixLength - 1
	if i < 1 || rest[i] != '-' {
		return meaning{}, false
	}
	return meaning{rest[:i], rest[i+1:]}, true
}

func (a *Admin) secretARN(rest string) string {
	return fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s", a.o.Region, a.o.ID, rest)
}

func (a *Admin) arnOf(s *meta.Secret) string { return a.secretARN(s.Name + "-" + s.Suffix) }

// newSuffix returns six letters and digits at random; two digits come twice as often.
func newSuffix() string {
	return random(suffixLength, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz012345678901")
}

// gone says whether a secret's recovery window is over.
func (a *Admin) gone(s *meta.Secret) bool {
	return !s.DeleteAt.IsZero() && !a.now().Before(s.DeleteAt)
}

func noSecret() error {
	return errs.New(errs.SecretUnknown, "Secrets Manager can't find the specified secret.")
}

func marked() error {
	return errs.New(errs.Conflict, "You can't perform this operation on the secret because it was marked for deletion.")
}

func unmarked(s *meta.Secret) error {
	if s.Deleted.IsZero() {
		return nil
	}
	return marked()
}

// view is a secret as callers see it.
func (a *Admin) view(s *meta.Secret) *Secret {
	v := &Secret{
		ARN: a.arnOf(s), Name: s.Name, Description: s.Description, Tags: decodeTags(s.Tags),
		Created: s.Created, Changed: s.Changed, Accessed: s.Accessed, Deleted: s.Deleted, DeleteAt: s.DeleteAt,
	}
	for _, version := range s.Versions {
		v.Versions = append(v.Versions, viewVersion(version))
	}
	return v
}

func viewVersion(v meta.SecretVersion) SecretVersion {
	return SecretVersion{ID: v.ID, Stages: slices.Clone(v.Stages), Created: v.Created}
}

func checkDescription(s string) error {
	if len(s) > maxDescription {
		return errs.New(errs.ParamInvalid, "The description is longer than %d bytes.", maxDescription)
	}
	return nil
}

// setTags returns all with tags set, none of them twice.
func setTags(all, tags []Tag) ([]Tag, error) {
	for i, t := range tags {
		if t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 {
			return nil, errs.New(errs.ParamInvalid, "A tag's key has 1 to 128 bytes and its value up to 256.")
		}
		same := func(other Tag) bool { return other.Key == t.Key }
		if slices.ContainsFunc(tags[:i], same) {
			return nil, errs.New(errs.ParamInvalid, "The tag key %q is there twice.", t.Key)
		}
		if j := slices.IndexFunc(all, same); j >= 0 {
			all[j] = t
		} else {
			all = append(all, t)
		}
	}
	if len(all) > maxTags {
		return nil, errs.New(errs.LimitExceeded, "A secret has at most %d tags.", maxTags)
	}
	return all, nil
}

func encodeTags(tags []Tag) []byte {
	if len(tags) == 0 {
		return nil
	}
	text, err := json.Marshal(tags)
	if err != nil {
		panic(err) // strings always have JSON
	}
	return text
}

// decodeTags returns none where they are damaged: what a secret is for does not hang
// on its tags.
func decodeTags(text []byte) (tags []Tag) {
	if len(bytes.TrimSpace(text)) == 0 || json.Unmarshal(text, &tags) != nil {
		return nil
	}
	return tags
}
