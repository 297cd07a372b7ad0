package console

import (
	"maps"
	"net/http"
	"slices"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
)

// settingsPath is the section of settings.
const settingsPath = Path + "settings"

// settingsRoutes has the page of settings and its forms.
func (c *console) settingsRoutes() {
	c.page("GET /console/settings", (*visit).settings)
	c.page("POST /console/settings/account", (*visit).putAccountSetting)
	c.page("POST /console/settings/exclusions/add", (*visit).addExclusion)
	c.page("POST /console/settings/exclusions/remove", (*visit).removeExclusion)
}

// seen is a part of a page, for those who may see it.
type seen[T any] struct {
	May bool
	Of  T
}

// see is the part that of is, or none where err says that the visitor may not see it.
func see[T any](of T, err error) (seen[T], error) {
	switch {
	case err == nil:
		return seen[T]{true, of}, nil
	case errs.CodeOf(err) == errs.Denied:
		return seen[T]{}, nil
	}
	return seen[T]{}, err
}

type settingsPage struct {
	Account    seen[[]accountSetting]
	Scanning   seen[rule.Scanning]
	Signing    seen[[]admin.SigningRule]
	Exclusions seen[[]string]
	Exclusion  string // to add, as it was typed
	Mirrors    seen[[]mirror]
	InForce    seen[[]admin.Value]
}

type accountSetting struct {
	admin.AccountChoice
	About string // a text
}

type mirror struct{ Host, For string }

func (v *visit) settingsPage() (*settingsPage, error) {
	p := &settingsPage{}
	account, err := v.Admin.AccountSettings(v.ctx(), v.caller())
	if p.Account, err = see(described(account), err); err != nil {
		return nil, err
	}
	scanning, err := v.Admin.Scanning(v.ctx(), v.caller())
	if p.Scanning, err = see(scanning, err); err != nil {
		return nil, err
	}
	signing, err := v.Admin.Signing(v.ctx(), v.caller())
	if errs.CodeOf(err) == errs.SettingUnknown {
		err = nil
	}
	if p.Signing, err = see(signing, err); err != nil {
		return nil, err
	}
	exclusions, _, err := v.Admin.Exclusions(v.ctx(), v.caller(), "", 0)
	if p.Exclusions, err = see(exclusions, err); err != nil {
		return nil, err
	}
	mirrors, err := v.Admin.Mirrors(v.ctx(), v.caller())
	var list []mirror
	for _, host := range slices.Sorted(maps.Keys(mirrors)) {
		list = append(list, mirror{host, mirrors[host]})
	}
	if p.Mirrors, err = see(list, err); err != nil {
		return nil, err
	}
	values, err := v.Admin.InForce(v.ctx(), v.caller())
	p.InForce, err = see(values, err)
	return p, err
}

// described is account settings with what they are about.
func described(all []admin.AccountChoice) []accountSetting {
	about := map[string]string{
		"BASIC_SCAN_TYPE_VERSION": "Which scanner basic scanning names. weir has none: it is kept for ECR's clients.",
		"BLOB_MOUNTING":           "Whether a push may take over layers of another repository that the pusher may pull from.",
		"REGISTRY_POLICY_SCOPE":   "Whether the registry policy decides on all of ECR's actions (V2), or on replication, fetching from upstreams and creating repositories only (V1).",
	}
	var list []accountSetting
	for _, s := range all {
		list = append(list, accountSetting{s, about[s.Name]})
	}
	return list
}

func (v *visit) settings() error {
	p, err := v.settingsPage()
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "settings", &Page{Title: v.T("Settings"), Section: settingsPath, Data: p})
}

// settingsDone ends a form of the page: with done, or with what is wrong above it.
func (v *visit) settingsDone(cause error, done string) error {
	if cause == nil {
		return v.done(settingsPath, done)
	}
	p, err := v.settingsPage()
	if err != nil {
		return err
	}
	p.Exclusion = v.formValue("add")
	return v.refuseIn(cause, "settings", &Page{Title: v.T("Settings"), Section: settingsPath, Data: p})
}

func (v *visit) putAccountSetting() error {
	v.does("ecr:PutAccountSetting", v.formValue("name"))
	err := v.Admin.PutAccountSetting(v.ctx(), v.caller(), v.formValue("name"), v.formValue("value"))
	return v.settingsDone(err, "The setting was saved.")
}

func (v *visit) addExclusion() error {
	v.does("ecr:RegisterPullTimeUpdateExclusion", v.formValue("add"))
	_, err := v.Admin.RegisterExclusion(v.ctx(), v.caller(), v.formValue("add"))
	return v.settingsDone(err, "Pulls by this principal change no pull times from now on.")
}

func (v *visit) removeExclusion() error {
	v.does("ecr:DeregisterPullTimeUpdateExclusion", v.formValue("principal"))
	err := v.Admin.DeregisterExclusion(v.ctx(), v.caller(), v.formValue("principal"))
	return v.settingsDone(err, "Pulls by this principal change pull times again.")
}
