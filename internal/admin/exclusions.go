package admin

import (
	"context"
	"regexp"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
)

// maxExclusions is how many principals may be excluded, as in ECR.
const maxExclusions = 100

// principal is the form of an ARN that may be excluded.
var principal = regexp.MustCompile(`^arn:aws(-[a-z]+)*:iam::[0-9]{12}:(role|user)/[\w+=,.@-]+(/[\w+=,.@-]+)*$`)

// RegisterExclusion has pulls by the principal with an ARN change no pull times from now
// on, and returns since when. Action: ecr:RegisterPullTimeUpdateExclusion.
// Errors: errs.ParamInvalid, errs.SettingExists, errs.LimitExceeded.
func (a *Admin) RegisterExclusion(ctx context.Context, c iam.Caller, arn string) (time.Time, error) {
	if err := a.may(ctx, c, "ecr:RegisterPullTimeUpdateExclusion"); err != nil {
		return time.Time{}, err
	}
	if err := checkPrincipal(arn); err != nil {
		return time.Time{}, err
	}
	created := a.now()
	err := a.changeSetting(ctx, meta.ExclusionSetting, arn, func(s *meta.Setting, n int) (*meta.Setting, error) {
		switch {
		case s != nil:
			return nil, errs.New(errs.SettingExists, "The pull time update exclusion for '%s' already exists in the registry with id '%s'", arn, a.o.ID)
		case n >= maxExclusions:
			return nil, errs.New(errs.LimitExceeded, "The registry with id '%s' has %d pull time update exclusions, and may have no more. Deregister one that is not needed any more.", a.o.ID, n)
		}
		return &meta.Setting{Created: created}, nil
	})
	if err != nil {
		return time.Time{}, err
	}
	return created, nil
}

// DeregisterExclusion has pulls by a principal change pull times again.
// Action: ecr:DeregisterPullTimeUpdateExclusion.
// Errors: errs.ParamInvalid, errs.SettingUnknown.
func (a *Admin) DeregisterExclusion(ctx context.Context, c iam.Caller, arn string) error {
	if err := a.may(ctx, c, "ecr:DeregisterPullTimeUpdateExclusion"); err != nil {
		return err
	}
	if err := checkPrincipal(arn); err != nil {
		return err
	}
	return a.changeSetting(ctx, meta.ExclusionSetting, arn, func(s *meta.Setting, _ int) (*meta.Setting, error) {
		if s == nil {
			return nil, errs.New(errs.SettingUnknown, "The pull time update exclusion for '%s' does not exist in the registry with id '%s'", arn, a.o.ID)
		}
		return nil, nil
	})
}

// Exclusions returns up to limit ARNs of excluded principals after the ARN after, in
// order, and the one to go on after, "" at the end; a limit under 1 is none.
// Action: ecr:ListPullTimeUpdateExclusions.
func (a *Admin) Exclusions(ctx context.Context, c iam.Caller, after string, limit int) (arns []string, nextAfter string, err error) {
	if err := a.may(ctx, c, "ecr:ListPullTimeUpdateExclusions"); err != nil {
		return nil, "", err
	}
	all, err := a.o.DB.Settings(ctx, meta.ExclusionSetting, after, page(limit))
	if err != nil {
		return nil, "", err
	}
	all, nextAfter = next(all, limit, func(s meta.Setting) string { return s.Name })
	for _, s := range all {
		arns = append(arns, s.Name)
	}
	return arns, nextAfter, nil
}

func checkPrincipal(arn string) error {
	if len(arn) > 200 || !principal.MatchString(arn) {
		return invalid("principalArn", "it is not the ARN of a role or a user")
	}
	return nil
}
