package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/rule"
)

// The account settings that ECR has, and what each may be; the first is what it is until
// somebody sets it.
var accountSettings = map[string][]string{
	basicScanType:       {"AWS_NATIVE", "CLAIR"},
	registryPolicyScope: {"V2", "V1"},
	blobMounting:        {"ENABLED", "DISABLED"},
}

const (
	basicScanType       = "BASIC_SCAN_TYPE_VERSION"
	registryPolicyScope = "REGISTRY_POLICY_SCOPE"
	blobMounting        = "BLOB_MOUNTING"
)

// maxWildcards is how many * a filter of the scanning configuration may have.
const maxWildcards = 4

// PutScanning replaces the registry's scanning configuration; a type that is not given
// is rule.ScanningBasic. Action: ecr:PutRegistryScanningConfiguration.
// Errors: errs.ParamInvalid.
func (a *Admin) PutScanning(ctx context.Context, c iam.Caller, s rule.Scanning) (rule.Scanning, error) {
	if err := a.may(ctx, c, "ecr:PutRegistryScanningConfiguration"); err != nil {
		return rule.Scanning{}, err
	}
	if s.Type == "" {
		s.Type = rule.ScanningBasic
	}
	if err := checkScanning(s); err != nil {
		return rule.Scanning{}, err
	}
	return s, a.putSetting(ctx, meta.ScanningSetting, meta.SettingName, s)
}

func checkScanning(s rule.Scanning) error {
	may := []string{rule.ScanOnPush, rule.ScanManual}
	if s.Type == rule.ScanningEnhanced {
		may = []string{rule.ScanOnPush, rule.ScanContinuous}
	}
	for i, r := range s.Rules {
		if !slices.Contains(may, r.Frequency) {
			return invalid("scanFrequency", fmt.Sprintf("%s is no frequency of the scan type %s: it has %s", r.Frequency, s.Type, strings.Join(may, " and ")))
		}
		if slices.ContainsFunc(s.Rules[:i], func(o rule.ScanningRule) bool { return o.Frequency == r.Frequency }) {
			return invalid("rules", "two rules have the frequency "+r.Frequency)
		}
		for _, f := range r.Filters {
			if strings.Count(f, "*") > maxWildcards {
				return invalid("repositoryFilters", fmt.Sprintf("%s has more than %d wildcards", f, maxWildcards))
			}
		}
	}
	return nil
}

// Scanning returns the registry's scanning configuration.
// Action: ecr:GetRegistryScanningConfiguration.
func (a *Admin) Scanning(ctx context.Context, c iam.Caller) (rule.Scanning, error) {
	if err := a.may(ctx, c, "ecr:GetRegistryScanningConfiguration"); err != nil {
		return rule.Scanning{}, err
	}
	return a.scanning(ctx)
}

func (a *Admin) scanning(ctx context.Context) (rule.Scanning, error) {
	s := rule.Scanning{Type: rule.ScanningBasic}
	_, err := a.setting(ctx, meta.ScanningSetting, &s)
	return s, err
}

// SigningRule says with which profile of AWS Signer the images of repositories are to be
// signed; without filters, of all.
type SigningRule struct {
	Profile string // ARN
	Filters []string
}

// PutSigning replaces the registry's signing configuration. It is kept, and nothing here
// signs. Action: ecr:PutSigningConfiguration.
func (a *Admin) PutSigning(ctx context.Context, c iam.Caller, rules []SigningRule) error {
	if err := a.may(ctx, c, "ecr:PutSigningConfiguration"); err != nil {
		return err
	}
	return a.putSetting(ctx, meta.SigningSetting, meta.SettingName, rules)
}

// Signing returns the registry's signing configuration.
// Action: ecr:GetSigningConfiguration. Errors: errs.SettingUnknown.
func (a *Admin) Signing(ctx context.Context, c iam.Caller) ([]SigningRule, error) {
	if err := a.may(ctx, c, "ecr:GetSigningConfiguration"); err != nil {
		return nil, err
	}
	var rules []SigningRule
	there, err := a.setting(ctx, meta.SigningSetting, &rules)
	if err == nil && !there {
		err = a.noSigning()
	}
	return rules, err
}

// DeleteSigning removes the registry's signing configuration and returns it.
// Action: ecr:DeleteSigningConfiguration. Errors: errs.SettingUnknown.
func (a *Admin) DeleteSigning(ctx context.Context, c iam.Caller) ([]SigningRule, error) {
	if err := a.may(ctx, c, "ecr:DeleteSigningConfiguration"); err != nil {
		return nil, err
	}
	var rules []SigningRule
	err := a.changeSetting(ctx, meta.SigningSetting, meta.SettingName, func(s *meta.Setting, _ int) (*meta.Setting, error) {
		if s == nil {
			return nil, a.noSigning()
		}
		return nil, json.Unmarshal(s.Value, &rules)
	})
	if err != nil {
		return nil, err
	}
	return rules, nil
}

func (a *Admin) noSigning() error {
	return errs.New(errs.SettingUnknown, "Signing configuration does not exist in the registry with id '%s'", a.o.ID)
}

// AccountSetting returns what an account setting is. Action: ecr:GetAccountSetting.
// Errors: errs.ParamInvalid for a name that ECR has not.
func (a *Admin) AccountSetting(ctx context.Context, c iam.Caller, name string) (string, error) {
	if err := a.may(ctx, c, "ecr:GetAccountSetting"); err != nil {
		return "", err
	}
	if err := checkAccountSetting(name); err != nil {
		return "", err
	}
	all, err := a.accountSettings(ctx)
	return all[name], err
}

// AccountChoice is an account setting with what it may be.
type AccountChoice struct {
	Name, Value string
	Choices     []string // the first is what it is until somebody sets it
}

// AccountSettings returns every account setting, by name. Action: ecr:GetAccountSetting.
func (a *Admin) AccountSettings(ctx context.Context, c iam.Caller) ([]AccountChoice, error) {
	if err := a.may(ctx, c, "ecr:GetAccountSetting"); err != nil {
		return nil, err
	}
	values, err := a.accountSettings(ctx)
	if err != nil {
		return nil, err
	}
	var all []AccountChoice
	for _, name := range slices.Sorted(maps.Keys(accountSettings)) {
		all = append(all, AccountChoice{name, values[name], slices.Clone(accountSettings[name])})
	}
	return all, nil
}

// PutAccountSetting changes an account setting. Action: ecr:PutAccountSetting.
// Errors: errs.ParamInvalid for a name or value that ECR has not.
func (a *Admin) PutAccountSetting(ctx context.Context, c iam.Caller, name, value string) error {
	if err := a.may(ctx, c, "ecr:PutAccountSetting"); err != nil {
		return err
	}
	if err := checkAccountSetting(name); err != nil {
		return err
	}
	if may := accountSettings[name]; !slices.Contains(may, value) {
		return invalid("value", fmt.Sprintf("%s is one of %s", name, strings.Join(may, ", ")))
	}
	return a.putSetting(ctx, meta.AccountSetting, name, value)
}

func checkAccountSetting(name string) error {
	if _, there := accountSettings[name]; !there {
		return invalid("name", fmt.Sprintf("it is one of %s, %s, %s", basicScanType, registryPolicyScope, blobMounting))
	}
	return nil
}

// accountSettings returns all by name.
func (a *Admin) accountSettings(ctx context.Context) (map[string]string, error) {
	all := map[string]string{}
	for name, may := range accountSettings {
		all[name] = may[0]
	}
	stored, err := a.o.DB.Settings(ctx, meta.AccountSetting, "", meta.Everything)
	if err != nil {
		return nil, err
	}
	for _, s := range stored {
		var value string
		if err := json.Unmarshal(s.Value, &value); err != nil {
			return nil, fmt.Errorf("account setting %s: %w", s.Name, err)
		}
		all[s.Name] = value
	}
	return all, nil
}

// setting reads the one setting of a kind into v, and says whether there is one.
func (a *Admin) setting(ctx context.Context, kind string, v any) (there bool, err error) {
	all, err := a.o.DB.Settings(ctx, kind, "", 1)
	if err != nil || len(all) == 0 {
		return false, err
	}
	if err := json.Unmarshal(all[0].Value, v); err != nil {
		return false, fmt.Errorf("setting %s: %w", kind, err)
	}
	return true, nil
}

func (a *Admin) putSetting(ctx context.Context, kind, name string, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return a.changeSetting(ctx, kind, name, func(*meta.Setting, int) (*meta.Setting, error) {
		return &meta.Setting{Value: value, Created: a.now()}, nil
	})
}

// changeSetting changes a setting and publishes all, one call at a time.
func (a *Admin) changeSetting(ctx context.Context, kind, name string, f func(*meta.Setting, int) (*meta.Setting, error)) error {
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := a.o.DB.ChangeSetting(ctx, kind, name, f); err != nil {
		return err
	}
	// The change is durable: who asked for it may leave, the rest is to be told.
	return a.loadSettings(context.WithoutCancel(ctx))
}

// loadSettings makes the stored settings those that hold.
func (a *Admin) loadSettings(ctx context.Context) error {
	scanning, err := a.scanning(ctx)
	if err != nil {
		return err
	}
	account, err := a.accountSettings(ctx)
	if err != nil {
		return err
	}
	exclusions, err := a.o.DB.Settings(ctx, meta.ExclusionSetting, "", meta.Everything)
	if err != nil {
		return err
	}
	s := &rule.Settings{Scanning: scanning, NoMounts: account[blobMounting] == "DISABLED", OldScope: account[registryPolicyScope] == "V1"}
	for _, e := range exclusions {
		s.Unnoted = append(s.Unnoted, e.Name)
	}
	a.settings.Store(s)
	a.o.SettingsChanged(s)
	return nil
}
