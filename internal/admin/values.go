package admin

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
)

// The stages that weir moves by itself.
const (
	StageCurrent  = "AWSCURRENT"
	StagePrevious = "AWSPREVIOUS"
)

const (
	getSecretValue   = "secretsmanager:GetSecretValue"
	credentialPrefix = "ecr-pullthroughcache/" // of the names of secrets that rules may have

	maxValue    = 64 << 10
	maxVersions = 100
	maxStages   = 20
)

// SecretValue returns one version's value, by its ID, by its stage, or by both; neither
// is AWSCURRENT.
// Action: secretsmanager:GetSecretValue. Errors: errs.SecretUnknown for the secret or
// the version, errs.Conflict if it is marked for deletion, or if the version has not
// the stage.
func (a *Admin) SecretValue(ctx context.Context, c iam.Caller, id, versionID, stage string) (s *Secret, v SecretVersion, value []byte, binary bool, err error) {
	found, err := a.find(ctx, c, getSecretValue, id)
	if err == nil {
		err = unmarked(found)
	}
	var version meta.SecretVersion
	if err == nil {
		version, err = pick(found, versionID, stage)
	}
	if err == nil {
		value, err = a.open(found, version)
	}
	if err != nil {
		return nil, SecretVersion{}, nil, false, err
	}
	a.accessed(ctx, found)
	return a.view(found), viewVersion(version), value, version.Binary, nil
}

// pick returns the version that is asked for.
func pick(s *meta.Secret, versionID, stage string) (meta.SecretVersion, error) {
	none := meta.SecretVersion{}
	if versionID == "" {
		if stage == "" {
			stage = StageCurrent
		}
		if i := holder(s, stage); i >= 0 {
			return s.Versions[i], nil
		}
		return none, errs.New(errs.SecretUnknown, "Secrets Manager can't find the specified secret value for staging label: %s", stage)
	}
	i := slices.IndexFunc(s.Versions, func(v meta.SecretVersion) bool { return v.ID == versionID })
	if i < 0 {
		return none, errs.New(errs.SecretUnknown, "Secrets Manager can't find the specified secret value for VersionId: %s", versionID)
	}
	if stage != "" && !slices.Contains(s.Versions[i].Stages, stage) {
		return none, errs.New(errs.Conflict, "You provided a VersionStage that is not associated to the provided VersionId.")
	}
	return s.Versions[i], nil
}

// accessed notes the day of a read. That it could not be noted keeps nobody from what
// was read.
func (a *Admin) accessed(ctx context.Context, s *meta.Secret) {
	day := a.now().Truncate(24 * time.Hour)
	if !s.Accessed.Before(day) {
		return
	}
	if err := a.o.DB.TouchSecret(ctx, s.Name, day); err != nil {
		a.o.Logger.Warn("read of a secret not noted", "secret", s.Name, "err", err)
		return
	}
	s.Accessed = day
}

// PutSecretValue adds a version with stages, AWSCURRENT if there are none; AWSPREVIOUS
// goes to the version that was current. Called again with the same token and value it
// changes nothing.
// Action: secretsmanager:PutSecretValue. Errors: errs.SecretUnknown, errs.ParamInvalid,
// errs.Conflict if it is marked for deletion, errs.SecretExists if the token's version
// has another value.
func (a *Admin) PutSecretValue(ctx context.Context, c iam.Caller, id, clientToken string, value []byte, binary bool, stages []string) (*Secret, SecretVersion, error) {
	var version SecretVersion
	s, err := a.change(ctx, c, "secretsmanager:PutSecretValue", id, func(s *meta.Secret) error {
		if err := checkVersion(clientToken, value, stages); err != nil {
			return err
		}
		if err := unmarked(s); err != nil {
			return err
		}
		id, err := a.addVersion(s, clientToken, value, binary, stages)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(s.Versions, func(v meta.SecretVersion) bool { return v.ID == id })
		version = viewVersion(s.Versions[i])
		return nil
	})
	if err != nil {
		return nil, SecretVersion{}, err
	}
	return s, version, nil
}

// UpdateSecret changes the description (nil: it stays) and, if value is not nil, adds a
// version as PutSecretValue does; versionID is "" otherwise.
// Action: secretsmanager:UpdateSecret. Errors: as PutSecretValue.
func (a *Admin) UpdateSecret(ctx context.Context, c iam.Caller, id string, description *string, clientToken string, value []byte, binary bool) (s *Secret, versionID string, err error) {
	s, err = a.change(ctx, c, "secretsmanager:UpdateSecret", id, func(s *meta.Secret) error {
		if err := unmarked(s); err != nil {
			return err
		}
		if description != nil {
			if err := checkDescription(*description); err != nil {
				return err
			}
			s.Description, s.Changed = *description, a.now()
		}
		versionID = ""
		if value == nil {
			return nil
		}
		err := checkVersion(clientToken, value, nil)
		if err == nil {
			versionID, err = a.addVersion(s, clientToken, value, binary, nil)
		}
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return s, versionID, nil
}

// MoveStage moves a stage: from is the version that has it, "" if none has; to is the
// version that gets it, "" takes it away. AWSCURRENT cannot be taken away; where it
// moves, AWSPREVIOUS goes to the version that had it.
// Action: secretsmanager:UpdateSecretVersionStage. Errors: errs.SecretUnknown,
// errs.ParamInvalid, errs.Conflict if the secret is marked for deletion.
func (a *Admin) MoveStage(ctx context.Context, c iam.Caller, id, stage, from, to string) (*Secret, error) {
	return a.change(ctx, c, "secretsmanager:UpdateSecretVersionStage", id, func(s *meta.Secret) error {
		if err := unmarked(s); err != nil {
			return err
		}
		if err := checkStages([]string{stage}); err != nil {
			return err
		}
		if stage == StageCurrent && to == "" {
			return errs.New(errs.ParamInvalid, "You can only move staging label %s to a different secret version. It can't be completely removed.", stage)
		}
		has := ""
		if i := holder(s, stage); i >= 0 {
			has = s.Versions[i].ID
		}
		switch {
		case from == "" && has != "" && has != to:
			return errs.New(errs.ParamInvalid, "The parameter RemoveFromVersionId can't be empty. Staging label %s is currently attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.", stage, has)
		case from != "" && from != has:
			return errs.New(errs.ParamInvalid, "The staging label %s is not attached to version %s.", stage, from)
		}
		i := -1
		if to != "" {
			i = slices.IndexFunc(s.Versions, func(v meta.SecretVersion) bool { return v.ID == to })
			if i < 0 {
				return errs.New(errs.SecretUnknown, "Secrets Manager can't find the specified secret value for VersionId: %s", to)
			}
		}
		give(s, stage, i)
		s.Changed = a.now()
		prune(s)
		return nil
	})
}

// holder returns the index of the version that has a stage, -1 if none has.
func holder(s *meta.Secret, stage string) int {
	return slices.IndexFunc(s.Versions, func(v meta.SecretVersion) bool { return slices.Contains(v.Stages, stage) })
}

// give lets only the version with the index to have a stage, none if it is negative.
func give(s *meta.Secret, stage string, to int) {
	had := holder(s, stage)
	if had == to {
		return
	}
	if had >= 0 {
		v := &s.Versions[had]
		v.Stages = slices.DeleteFunc(slices.Clone(v.Stages), func(other string) bool { return other == stage })
	}
	if to >= 0 {
		s.Versions[to].Stages = append(slices.Clone(s.Versions[to].Stages), stage)
	}
	if stage == StageCurrent && had >= 0 {
		give(s, StagePrevious, had)
	}
}

// addVersion adds a version, or finds that an equal request added it, and returns its
// ID. The first version is always current.
func (a *Admin) addVersion(s *meta.Secret, token string, value []byte, binary bool, stages []string) (string, error) {
	if token == "" {
		token = newVersionID()
	}
	if i := slices.IndexFunc(s.Versions, func(v meta.SecretVersion) bool { return v.ID == token }); i >= 0 {
		return token, a.sameValue(s, s.Versions[i], value, binary)
	}
	now := a.now()
	s.Versions = append(s.Versions, meta.SecretVersion{
		ID: token, Stages: []string{}, Binary: binary, Sealed: a.o.Keys.Seal(value, valueContext(s, token)), Created: now,
	})
	last := len(s.Versions) - 1
	if len(stages) == 0 || last == 0 && !slices.Contains(stages, StageCurrent) {
		stages = append(slices.Clone(stages), StageCurrent)
	}
	for _, stage := range stages {
		give(s, stage, last)
	}
	s.Changed = now
	prune(s)
	return token, nil
}

// prune drops the oldest versions without stages while there are too many.
func prune(s *meta.Secret) {
	for len(s.Versions) > maxVersions {
		i := slices.IndexFunc(s.Versions, func(v meta.SecretVersion) bool { return len(v.Stages) == 0 })
		if i < 0 {
			return
		}
		s.Versions = slices.Delete(s.Versions, i, i+1)
	}
}

// sameValue refuses to change the value of a version.
func (a *Admin) sameValue(s *meta.Secret, v meta.SecretVersion, value []byte, binary bool) error {
	is, err := a.open(s, v)
	if err != nil {
		return err
	}
	if v.Binary != binary || !bytes.Equal(is, value) {
		return errs.New(errs.SecretExists, "You can't modify the value of version %s: it already exists with another value.", v.ID)
	}
	return nil
}

func (a *Admin) open(s *meta.Secret, v meta.SecretVersion) ([]byte, error) {
	value, err := a.o.Keys.Open(v.Sealed, valueContext(s, v.ID))
	if err != nil {
		return nil, fmt.Errorf("value of secret %s, version %s: %w", s.Name, v.ID, err)
	}
	return value, nil
}

// valueContext binds a sealed value to its secret and version. No part has a space.
func valueContext(s *meta.Secret, versionID string) []byte {
	return []byte("secret " + s.Name + " " + s.Suffix + " " + versionID)
}

// newVersionID returns a random UUID.
func newVersionID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// checkVersion checks what a version is to be made from.
func checkVersion(token string, value []byte, stages []string) error {
	if len(value) == 0 {
		return errs.New(errs.ParamInvalid, "You must provide either SecretString or SecretBinary.")
	}
	if len(value) > maxValue {
		return errs.New(errs.ParamInvalid, "The secret value is longer than %d bytes.", maxValue)
	}
	if token != "" && (len(token) < 32 || len(token) > 64 || !word(token)) {
		return errs.New(errs.ParamInvalid, "ClientRequestToken must be 32-64 characters long.")
	}
	return checkStages(stages)
}

func checkStages(stages []string) error {
	if len(stages) > maxStages {
		return errs.New(errs.ParamInvalid, "A version has at most %d staging labels.", maxStages)
	}
	for _, stage := range stages {
		if !word(stage) {
			return errs.New(errs.ParamInvalid, "The staging label %q is not 1 to 256 printable ASCII characters without a space.", stage)
		}
	}
	return nil
}

// word says whether s is 1 to 256 printable ASCII characters without a space.
func word(s string) bool {
	return s != "" && len(s) <= 256 && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
}

// Credential returns what a rule's secret says for its upstream, from the version that
// is current at this moment. Nobody is asking: it is for weir's own requests. arn is
// the whole ARN, so that a secret that was created again is another.
// Errors, in words for who made the rule: errs.SecretUnknown if it is not there, is
// marked for deletion, or has no value; errs.ParamInvalid if its value is not the JSON
// {"username", "accessToken"}.
func (a *Admin) Credential(ctx context.Context, arn string) (username, accessToken string, err error) {
	rest, _ := strings.CutPrefix(arn, a.secretARN(""))
	m, ok := whole(rest)
	s, err := a.lookUp(ctx, arn)
	switch {
	case err != nil && errs.CodeOf(err) != errs.SecretUnknown:
		return "", "", err
	case err != nil || !ok || m != (meaning{s.Name, s.Suffix}):
		return "", "", errs.New(errs.SecretUnknown, "the secret %s does not exist: it was deleted, or deleted and created again, which gives it another ARN", arn)
	case !s.Deleted.IsZero():
		return "", "", errs.New(errs.SecretUnknown, "the secret %s is marked for deletion", s.Name)
	}
	i := holder(s, StageCurrent)
	if i < 0 {
		return "", "", errs.New(errs.SecretUnknown, "the secret %s has no value", s.Name)
	}
	value, err := a.open(s, s.Versions[i])
	if err != nil {
		return "", "", err
	}
	var in struct {
		Username    string `json:"username"`
		AccessToken string `json:"accessToken"`
	}
	// The decoder's error would quote the secret.
	if json.Unmarshal(value, &in) != nil || in.Username == "" || in.AccessToken == "" {
		return "", "", errs.New(errs.ParamInvalid, `the value of the secret %s is not the JSON {"username": "...", "accessToken": "..."}`, s.Name)
	}
	a.accessed(ctx, s)
	return in.Username, in.AccessToken, nil
}
