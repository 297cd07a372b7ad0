package console

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
)

const (
	secretsPath = Path + "secrets"
	secretPath  = Path + "secret"

	secretsPage      = 50                      // secrets on a page of the list
	maxSecretChoices = 200                     // secrets to choose from; with more the name is typed
	credentialPrefix = "ecr-pullthroughcache/" // of secrets that rules may have
	defaultRecovery  = 30                      // days, as in AWS
)

// Actions on secrets that pages ask about.
const (
	listSecrets    = "secretsmanager:ListSecrets"
	createSecret   = "secretsmanager:CreateSecret"
	describeSecret = "secretsmanager:DescribeSecret"
	putSecretValue = "secretsmanager:PutSecretValue"
	deleteSecret   = "secretsmanager:DeleteSecret"
	restoreSecret  = "secretsmanager:RestoreSecret"
)

func (c *console) secretRoutes() {
	c.page("GET "+secretsPath, (*visit).secretsPage)
	c.page("GET "+secretsPath+"/new", (*visit).newSecretPage)
	c.page("POST "+secretsPath+"/new", (*visit).newSecret)
	c.page("GET "+secretPath, (*visit).secretPage)
	c.page("GET "+secretPath+"/delete", (*visit).deleteSecretPage)
	c.page("POST "+secretPath, (*visit).changeSecret)
}

// secretAt is the address of a secret's page. Its name is no part of a path, since it may
// have slashes and dots anywhere.
func secretAt(name string) string { return address(secretPath, "name", name) }

// secretChoice is the secrets that a rule may have, to choose from.
type secretChoice struct {
	Chosen    string   // name; "": none
	Names     []string // in their order
	Known     bool     // they are all there; else a name is to be typed
	MayCreate bool
}

func (v *visit) secretChoice(chosen string) (secretChoice, error) {
	choice := secretChoice{Chosen: chosen, MayCreate: v.mayCreateSecret()}
	secrets, more, err := v.Admin.Secrets(v.ctx(), v.caller(), credentialPrefix, maxSecretChoices, false)
	if errs.CodeOf(err) == errs.Denied {
		return choice, nil
	}
	if err != nil {
		return choice, err
	}
	for _, s := range secrets {
		if strings.HasPrefix(s.Name, credentialPrefix) {
			choice.Names = append(choice.Names, s.Name)
		}
	}
	choice.Known = len(choice.Names) < len(secrets) || more == ""
	if choice.Known && chosen != "" && !slices.Contains(choice.Names, chosen) {
		choice.Names = append(choice.Names, chosen) // it is what the rule has, or what was typed
	}
	return choice, nil
}

// mayCreateSecret says whether a secret that rules may have can be created, by some name.
func (v *visit) mayCreateSecret() bool {
	return v.caller().Allowed(createSecret, "*") == nil || v.caller().Allowed(createSecret, v.secretARN(credentialPrefix+"*")) == nil
}

// loginValue is the value of a secret that upstreams are asked with.
func loginValue(user, token string) []byte {
	value, err := json.Marshal(map[string]string{"username": user, "accessToken": token})
	if err != nil {
		panic(err) // strings always have JSON
	}
	return value
}

// shownSecret is a secret on a page.
type shownSecret struct {
	*admin.Secret
	Rules []string // prefixes of those that have it
	Known bool     // the visitor may know them

	// What the visitor may do with it.
	MaySee, MayPut, MayDelete, MayRestore bool
}

func (v *visit) shownSecret(s *admin.Secret, users map[string][]string, known bool) shownSecret {
	may := func(action string) bool { return v.caller().Allowed(action, s.ARN) == nil }
	return shownSecret{s, users[s.ARN], known, may(describeSecret), may(putSecretValue), may(deleteSecret), may(restoreSecret)}
}

// usersOf returns the prefixes of the rules that have each secret, by ARN; known says
// whether the visitor may know them.
func (v *visit) usersOf() (users map[string][]string, known bool, err error) {
	rules, _, err := v.Admin.Rules(v.ctx(), v.caller(), nil, "", 0)
	if errs.CodeOf(err) == errs.Denied {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	users = map[string][]string{}
	for _, r := range rules {
		if r.Credential != "" {
			users[r.Credential] = append(users[r.Credential], r.Prefix)
		}
	}
	return users, true, nil
}

func (v *visit) secretsPage() error {
	after := v.query("after")
	secrets, next, err := v.Admin.Secrets(v.ctx(), v.caller(), after, secretsPage, true)
	if err != nil {
		return err
	}
	users, known, err := v.usersOf()
	if err != nil {
		return err
	}
	var all []shownSecret
	for _, s := range secrets {
		all = append(all, v.shownSecret(s, users, known))
	}
	return v.section(secretsPath, nil, "secrets", v.T("Secrets"), struct {
		Secrets []shownSecret
		pager
		Known     bool
		MayCreate bool
	}{all, pagerOf(secretsPath, after, next), known, v.mayCreateSecret()})
}

// secretInQuestion returns a secret as it is shown.
func (v *visit) secretInQuestion(name string) (shownSecret, error) {
	s, err := v.Admin.Secret(v.ctx(), v.caller(), name)
	if err != nil {
		return shownSecret{}, err
	}
	users, known, err := v.usersOf()
	if err != nil {
		return shownSecret{}, err
	}
	return v.shownSecret(s, users, known), nil
}

// valueForm is where a secret's value is typed. What was typed comes back but for the value
// itself.
type valueForm struct {
	How  string // login, or json
	User string
}

// value reads a valueForm. Errors: errs.ParamInvalid.
func (v *visit) value() (valueForm, []byte, error) {
	form := valueForm{How: v.formValue("how"), User: v.formValue("user")}
	document, token := strings.TrimSpace(v.r.PostForm.Get("json")), v.r.PostForm.Get("token")
	if document != "" && token != "" {
		return form, nil, errs.New(errs.ParamInvalid, "an access token and JSON are typed, and only one can be the value: leave the other out")
	}
	if form.How == "json" {
		if !json.Valid([]byte(document)) {
			return form, nil, errs.New(errs.ParamInvalid, "the value is not JSON")
		}
		return form, []byte(document), nil
	}
	if form.User == "" || token == "" {
		return form, nil, errs.New(errs.ParamInvalid, "a user name and an access token are needed")
	}
	return form, loginValue(form.User, token), nil
}

// onSecret is the data of a secret's page.
type onSecret struct {
	shownSecret
	Value valueForm
}

func (v *visit) secretPage() error { return v.showSecret(v.query("name"), nil, valueForm{}) }

func (v *visit) showSecret(name string, cause error, form valueForm) error {
	s, err := v.secretInQuestion(name)
	if err != nil {
		return cmp.Or(cause, err) // who may not see it is still told what was wrong
	}
	if form.How == "" {
		form.How = "login"
		if !strings.HasPrefix(s.Name, credentialPrefix) {
			form.How = "json"
		}
	}
	return v.section(secretsPath, cause, "secret", s.Name, onSecret{s, form})
}

// changeSecret is every form of a secret's pages.
func (v *visit) changeSecret() error {
	name := v.formValue("name")
	switch v.formValue("do") {
	case "value":
		v.does(putSecretValue, name)
		form, value, err := v.value()
		if err == nil {
			_, _, err = v.Admin.PutSecretValue(v.ctx(), v.caller(), name, "", value, false, nil)
		}
		if err != nil {
			return v.showSecret(name, err, form)
		}
		return v.done(secretAt(name), "The secret has its new value, which the next request to an upstream uses.")
	case "restore":
		v.does(restoreSecret, name)
		if _, err := v.Admin.RestoreSecret(v.ctx(), v.caller(), name); err != nil {
			return v.showSecret(name, err, valueForm{})
		}
		return v.done(secretAt(name), "The secret is not marked for deletion any more.")
	case "delete":
		return v.deleteSecret(name)
	}
	return unknownForm()
}

// secretForm is the data of the page that makes a secret.
type secretForm struct {
	Name, Description string
	Value             valueForm
}

func (v *visit) newSecretPage() error {
	if !v.mayCreateSecret() {
		return v.caller().Allowed(createSecret, v.secretARN(credentialPrefix+"*"))
	}
	return v.showNewSecret(nil, secretForm{Name: credentialPrefix, Value: valueForm{How: "login"}})
}

func (v *visit) showNewSecret(cause error, form secretForm) error {
	return v.section(secretsPath, cause, "secret-new", v.T("Create a secret"), form)
}

func (v *visit) newSecret() error {
	form := secretForm{Name: v.formValue("name"), Description: v.formValue("description")}
	v.does(createSecret, form.Name)
	var value []byte
	var err error
	if form.Value, value, err = v.value(); err == nil {
		_, _, err = v.Admin.CreateSecret(v.ctx(), v.caller(), admin.CreateSecretInput{Name: form.Name, Description: form.Description, Value: value})
	}
	if err != nil {
		return v.showNewSecret(err, form)
	}
	if _, err := v.Admin.Secret(v.ctx(), v.caller(), form.Name); err != nil { // who may make one need not be one who may see it
		return v.done(secretsPath+"/new", "The secret was created.")
	}
	return v.done(secretAt(form.Name), "The secret was created.")
}

// deletion is the data of the page that deletes a secret.
type deletion struct {
	shownSecret
	Days   string
	AtOnce bool
}

func (v *visit) deleteSecretPage() error {
	return v.showDeleteSecret(v.query("name"), nil, strconv.Itoa(defaultRecovery), false)
}

func (v *visit) showDeleteSecret(name string, cause error, days string, atOnce bool) error {
	s, err := v.secretInQuestion(name)
	if err == nil {
		err = v.caller().Allowed(deleteSecret, s.ARN)
	}
	if err != nil {
		return err
	}
	return v.section(secretsPath, cause, "secret-delete", v.T("Delete %s?", s.Name), deletion{s, days, atOnce})
}

func (v *visit) deleteSecret(name string) error {
	v.does(deleteSecret, name)
	typed, atOnce := v.formValue("days"), v.formValue("how") == "now"
	days, err := strconv.Atoi(typed)
	if atOnce {
		days, err = 0, nil
	} else if err != nil || days < 1 {
		err = errs.New(errs.ParamInvalid, "the days are a number from 7 to 30")
	}
	if err == nil {
		_, err = v.Admin.DeleteSecret(v.ctx(), v.caller(), name, time.Duration(min(days, 1000))*24*time.Hour)
	}
	if err != nil {
		return v.showDeleteSecret(name, err, typed, atOnce)
	}
	if atOnce {
		to := secretsPath
		if v.Admin.May(v.ctx(), v.caller(), listSecrets) != nil {
			to = Path
		}
		return v.done(to, "The secret was deleted.")
	}
	return v.done(secretAt(name), "The secret is marked for deletion. Until then it can be restored.")
}
