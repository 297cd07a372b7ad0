package console

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
)

// newKey is an access key as it is shown once.
type newKey struct {
	admin.Key
	Secret string
	Login  string // a line that logs docker in
	Pull   string // a manifest of Kubernetes with it
	Back   string // path
}

// maxKeyDays is for how long an access key may count that does not count for ever.
const maxKeyDays = 36500

// createKey answers with the page that has the secret: it is nowhere else, and this page
// cannot be loaded again.
func (v *visit) createKey() error {
	name := v.formValue("name")
	v.does("iam:CreateAccessKey", name)
	var expires time.Time
	if days := v.formValue("days"); days != "" {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 || n > maxKeyDays {
			return v.userDone(name, errs.New(errs.ParamInvalid, "%q is not a number of days from 1 to %d: leave it empty for a key that never expires.", days, maxKeyDays), "")
		}
		expires = v.now.Add(time.Duration(n) * 24 * time.Hour)
	}
	k, secret, err := v.Admin.CreateKey(v.ctx(), v.caller(), name, expires)
	if err != nil {
		return v.userDone(name, err, "")
	}
	v.does("iam:CreateAccessKey", name+" "+k.ID)
	p := newKey{
		Key: k, Secret: secret, Back: Path,
		Login: "echo " + secret + " | docker login -u " + k.ID + " --password-stdin " + v.host(),
	}
	if p.Pull, err = pullSecret(v.host(), k.ID, secret); err != nil {
		return err
	}
	if v.onUser(name).May("iam:GetUser") {
		p.Back = userPath(name)
	}
	return v.show(http.StatusOK, "user-key", &Page{Title: v.T("New access key of user %s", name), Section: usersPath, Data: p})
}

// pullSecret is a manifest of a Kubernetes secret for imagePullSecrets.
func pullSecret(host, id, secret string) (string, error) {
	type login struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}
	auths, err := json.Marshal(map[string]map[string]login{"auths": {host: {id, secret}}})
	return `apiVersion: v1
kind: Secret
metadata:
  name: weir
type: kubernetes.io/dockerconfigjson
stringData:
  .dockerconfigjson: '` + strings.ReplaceAll(string(auths), "'", "''") + "'\n", err
}

func (v *visit) setKeyActive() error {
	name, id, active := v.formValue("name"), v.formValue("key"), v.formValue("active") == "true"
	v.does("iam:UpdateAccessKey", name+" "+id)
	done := "The access key is disabled."
	if active {
		done = "The access key is enabled."
	}
	return v.userDone(name, v.Admin.SetKeyActive(v.ctx(), v.caller(), id, active), done)
}

func (v *visit) deleteKeyQuestion(name, id string) question {
	return question{
		Section: usersPath,
		Title:   v.T("Delete access key %s", id),
		Text:    []string{v.T("Whoever uses this access key can neither sign in, pull nor push with it from now on. To try that first, disable it.")},
		Action:  Path + "user/key/delete", Fields: []field{{"name", name}, {"key", id}}, Button: v.T("Delete access key"), Back: userPath(name),
	}
}

func (v *visit) deleteKeyPage() error {
	name := v.query("name")
	keys, err := v.Admin.Keys(v.ctx(), v.caller(), name)
	if err != nil {
		return err
	}
	if err := v.onUser(name).refusal("iam:DeleteAccessKey"); err != nil {
		return err
	}
	for _, k := range keys {
		if k.ID == v.query("key") && name != "" {
			return v.ask(v.deleteKeyQuestion(name, k.ID))
		}
	}
	return errs.New(errs.KeyUnknown, "The user %s has no access key %s.", name, v.query("key"))
}

func (v *visit) deleteKey() error {
	name, id := v.formValue("name"), v.formValue("key")
	v.does("iam:DeleteAccessKey", name+" "+id)
	if err := v.Admin.DeleteKey(v.ctx(), v.caller(), id); err != nil {
		return v.askAgain(err, v.deleteKeyQuestion(name, id))
	}
	return v.userDone(name, nil, "The access key was deleted.")
}
