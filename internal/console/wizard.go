package console

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
)

// The steps of the wizard.
const (
	stepUpstream = 1 + iota
	stepCredential
	stepNamespace
	stepReview
)

// wizard is a rule in the making. All of it is in the address of the step's page, so that
// nothing of it is kept here, and going back and forth changes nothing. A secret's value is
// in none.
type wizard struct {
	Step   int
	Kind   rule.Kind
	Host   string
	Secret string // its name
	Role   string
	Prefix string
	Upper  string // goes before the upstream's names
}

// wizardOf reads a wizard from what get has.
func wizardOf(get func(string) string) wizard {
	w := wizard{
		Kind: rule.Kind(get("kind")), Host: strings.TrimSpace(get("host")), Secret: strings.TrimSpace(get("secret")), Role: strings.TrimSpace(get("role")),
		Prefix: strings.TrimSpace(get("prefix")), Upper: strings.TrimSpace(get("upper")), Step: stepUpstream,
	}
	if n, err := strconv.Atoi(get("at")); err == nil && n >= stepUpstream && n <= stepReview {
		w.Step = n
	}
	if w.Kind == "" || w.Host == "" && w.Kind.FixedHost() == "" {
		w.Step = stepUpstream
	}
	if host := w.Kind.FixedHost(); host != "" {
		w.Host = host
	}
	return w
}

// At is the address of a step with all that is known.
func (w wizard) At(step int) string {
	return address(rulesPath+"/new", "at", strconv.Itoa(step), "kind", string(w.Kind), "host", w.Host, "secret", w.Secret, "role", w.Role, "prefix", w.Prefix, "upper", w.Upper)
}

// Public says that there is nothing to log in for.
func (w wizard) Public() bool { return w.Kind == rule.ECRPublic || w.Kind == rule.K8s }

// Machine says that the upstream is asked as an account of AWS's.
func (w wizard) Machine() bool { return w.Kind == rule.ECR }

// input is the rule so far.
func (w wizard) input(v *visit) admin.RuleInput {
	in := admin.RuleInput{Prefix: w.Prefix, UpstreamURL: w.Host, Upstream: string(w.Kind), CustomRole: w.Role, UpstreamPrefix: w.Upper}
	if w.Kind == rule.Generic {
		in.Upstream = "" // which is no word of ECR's
	}
	if w.Secret != "" {
		in.Credential = v.secretARN(w.Secret)
	}
	return in
}

// onWizard is the data of a step's page.
type onWizard struct {
	wizard
	KindName  string
	Steps     []wizardStep
	Kinds     []kindChoice
	Needs     bool // no rule of this kind is created without a credential
	Form      credentialForm
	Validated admin.Validation
	Example   example
}

// wizardStep is one of the wizard's, in the list of them.
type wizardStep struct {
	N    int
	Name string // text
}

// kindChoice is a kind of upstream in the first step.
type kindChoice struct {
	admin.UpstreamKind
	Name  string // text
	Typed string // its host, where each has another
	Hint  string // what such a host looks like
}

// credentialForm is the second step.
type credentialForm struct {
	Choice  string // none, existing or new
	Secrets secretChoice
	Name    string // behind the prefix that it has to have
	User    string
	Made    string // name of a secret that this step made, and the upstream does not take
	Away    bool   // the upstream gave no answer that tells
}

func (v *visit) newRulePage() error {
	if err := v.Admin.May(v.ctx(), v.caller(), createRule); err != nil {
		return err
	}
	w := wizardOf(v.query)
	forward := v.query("next") != ""
	switch {
	case w.Step == stepUpstream && forward:
		return v.chooseUpstream(w)
	case w.Step == stepNamespace && w.Prefix == "" && !forward:
		w.Prefix = suggestedPrefix(w.Kind, w.Host)
	case w.Step == stepNamespace && forward:
		_, _, err := v.Admin.CheckRule(v.ctx(), v.caller(), w.input(v))
		if w.Prefix == "" {
			err = errs.New(errs.ParamInvalid, "a prefix is needed; %s takes every name that no other rule takes", rule.Root)
		}
		if err != nil {
			return v.showStep(w, err, credentialForm{})
		}
		return v.redirect(w.At(stepReview))
	}
	return v.showStep(w, nil, credentialForm{})
}

// chooseUpstream takes the first step's form.
func (v *visit) chooseUpstream(w wizard) error {
	if w.Kind.FixedHost() == "" {
		w.Host = strings.TrimSpace(v.query("host-" + string(w.Kind)))
	}
	err := v.checkUpstream(&w)
	if err != nil {
		return v.showStep(w, err, credentialForm{})
	}
	return v.redirect(w.At(stepCredential))
}

// checkUpstream refuses an upstream that no rule can have. The kind of another registry's
// host is what the host tells.
func (v *visit) checkUpstream(w *wizard) error {
	known := false
	for _, k := range v.Admin.UpstreamKinds() {
		known = known || k.Kind == w.Kind
	}
	if !known {
		return errs.New(errs.ParamInvalid, "choose one of the upstreams")
	}
	if err := rule.ValidHost(w.Host); err != nil {
		return err
	}
	is := rule.KindOf(w.Host)
	if w.Kind == rule.Generic {
		w.Kind = is
		if host := is.FixedHost(); host != "" {
			w.Host = host
		}
	}
	if w.Kind != is {
		return errs.New(errs.ParamInvalid, "%s is not a host of this kind: one looks like %s", w.Host, hostHint(w.Kind))
	}
	return nil
}

// hostHint is what hosts of a kind look like where each is another.
func hostHint(k rule.Kind) string {
	switch k {
	case rule.ECR:
		return "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	case rule.Azure:
		return "example.azurecr.io"
	case rule.Generic:
		return "registry.example.com:5000"
	}
	return k.FixedHost()
}

// suggestedPrefix is the prefix that ECR's console suggests, and of another registry its
// host.
func suggestedPrefix(k rule.Kind, host string) string {
	switch k {
	case rule.K8s:
		return "kubernetes"
	case rule.GitHub:
		return "github"
	case rule.Azure:
		return "azure"
	case rule.GitLab:
		return "gitlab"
	case rule.Generic:
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if rule.ValidPrefix(host) != nil {
			return "upstream"
		}
		return host
	}
	return string(k)
}

// showStep shows a step, with what is wrong above its form.
func (v *visit) showStep(w wizard, cause error, form credentialForm) error {
	data := onWizard{wizard: w, KindName: kindName(w.Kind), Form: form, Steps: []wizardStep{
		{stepUpstream, "Upstream"}, {stepCredential, "Credential"}, {stepNamespace, "Namespace"}, {stepReview, "Review and create"},
	}}
	kinds := v.Admin.UpstreamKinds()
	// Those that need nothing typed come first.
	typed := func(k admin.UpstreamKind) bool { return k.Host == "" }
	kinds = append(slices.DeleteFunc(slices.Clone(kinds), typed), slices.DeleteFunc(kinds, func(k admin.UpstreamKind) bool { return !typed(k) })...)
	for _, k := range kinds {
		c := kindChoice{UpstreamKind: k, Name: kindName(k.Kind), Hint: hostHint(k.Kind)}
		if k.Kind == w.Kind && k.Host == "" {
			c.Typed = w.Host
		}
		data.Kinds = append(data.Kinds, c)
		data.Needs = data.Needs || k.Kind == w.Kind && k.NeedsCredential
	}
	var err error
	switch w.Step {
	case stepCredential:
		if data.Form.Choice == "" {
			data.Form.Choice = "none"
			if w.Secret != "" || data.Needs {
				data.Form.Choice = "existing"
			}
		}
		if data.Form.Secrets, err = v.secretChoice(w.Secret); err != nil {
			return err
		}
	case stepNamespace, stepReview:
		data.Example = exampleOf(&rule.Rule{Prefix: strings.TrimSuffix(w.Prefix, "/"), Kind: w.Kind, Upstream: w.Host, UpstreamPrefix: strings.TrimSuffix(w.Upper, "/")}, v.host())
	}
	if w.Step == stepReview {
		_, last, err := v.Admin.CheckRule(v.ctx(), v.caller(), w.input(v))
		data.Validated = last
		if cause == nil {
			cause = err
		}
	}
	return v.section(rulesPath, cause, "rule-new", v.T("Create a pull through cache rule"), data)
}

// newRule is what the wizard's forms send that ask the upstream, or make something.
func (v *visit) newRule() error {
	w := wizardOf(v.formValue)
	switch v.formValue("do") {
	case "credential":
		w.Step = stepCredential
		return v.chooseCredential(w)
	case "verify":
		v.does(validateRule, w.Host)
		w.Step = stepReview
		if _, err := v.Admin.TryRule(v.ctx(), v.caller(), w.input(v)); err != nil {
			return v.showStep(w, err, credentialForm{})
		}
		return v.redirect(w.At(stepReview))
	case "create":
		v.does(createRule, w.Prefix)
		w.Step = stepReview
		r, err := v.Admin.CreateRule(v.ctx(), v.caller(), w.input(v))
		if err != nil {
			return v.showStep(w, err, credentialForm{})
		}
		if v.Admin.May(v.ctx(), v.caller(), describeRules) != nil { // who may make one need not be one who may see it
			return v.done(rulesPath+"/new", "The rule was created.")
		}
		return v.done(rulePath(r.Prefix), "The rule was created.")
	}
	return unknownForm()
}

// chooseCredential takes the second step's form: it makes the secret where it is to be a
// new one, and asks the upstream with it.
func (v *visit) chooseCredential(w wizard) error {
	form := credentialForm{Choice: v.formValue("credential"), Name: v.formValue("name"), User: v.formValue("user"), Made: v.formValue("made")}
	if err := v.Admin.May(v.ctx(), v.caller(), createRule); err != nil {
		return err
	}
	if form.Choice != "new" && v.r.PostForm.Get("token") != "" {
		return v.showStep(w, errs.New(errs.ParamInvalid, "an access token is typed, but no new secret is chosen: choose it, or leave the token out"), form)
	}
	switch form.Choice {
	case "existing":
		if w.Secret == "" {
			return v.showStep(w, errs.New(errs.ParamInvalid, "choose a secret"), form)
		}
	case "new":
		name, err := v.storeCredential(form)
		if name != "" {
			form.Made, w.Secret = name, name
		}
		if err != nil {
			return v.showStep(w, err, form)
		}
	default:
		w.Secret = ""
	}
	if _, _, err := v.Admin.CheckRule(v.ctx(), v.caller(), withoutPrefix(w.input(v))); err != nil {
		return v.showStep(w, err, form)
	}
	if v.formValue("anyway") != "" || v.Admin.May(v.ctx(), v.caller(), validateRule) != nil {
		return v.redirect(w.At(stepNamespace))
	}
	result, err := v.Admin.TryRule(v.ctx(), v.caller(), w.input(v))
	if err == nil && result.Failure != "" {
		form.Away = result.Away || w.Machine() // whose login fails the same way without a way to AWS
		code := errs.UpstreamDenied
		if result.Away {
			code = errs.UpstreamFailed
		}
		err = errs.New(code, "%s", result.Failure)
	}
	if err != nil {
		return v.showStep(w, err, form)
	}
	return v.done(w.At(stepNamespace), "The upstream was asked, and all is well.")
}

func withoutPrefix(in admin.RuleInput) admin.RuleInput {
	in.Prefix, in.UpstreamPrefix = "", ""
	return in
}

// storeCredential makes the secret of the second step, or gives it another value if the
// step made it before, and returns its name if it is there.
func (v *visit) storeCredential(form credentialForm) (name string, err error) {
	if form.Name != "" {
		name = credentialPrefix + strings.TrimPrefix(form.Name, credentialPrefix)
	}
	again := name != "" && name == form.Made
	token := v.r.PostForm.Get("token")
	if again && token == "" && v.formValue("anyway") != "" {
		return name, nil // it is stored; only the upstream's answer was waited for
	}
	if name == "" || form.User == "" || token == "" {
		err := errs.New(errs.ParamInvalid, "a new secret needs a name, a user name and an access token")
		if again {
			return name, err
		}
		return "", err
	}
	value := loginValue(form.User, token)
	if again {
		v.does(putSecretValue, name)
		_, _, err = v.Admin.PutSecretValue(v.ctx(), v.caller(), name, "", value, false, nil)
		return name, err
	}
	v.does(createSecret, name)
	_, _, err = v.Admin.CreateSecret(v.ctx(), v.caller(), admin.CreateSecretInput{Name: name, Value: value})
	if err != nil {
		return "", err
	}
	return name, nil
}

// example is what a rule makes of names; Command is "" for a rule that cannot be.
type example struct {
	Command  string // that pulls
	Upstream string // what it asks for there
	Cached   string // the repository here
}

// exampleOf follows a name that such an upstream has through a rule.
func exampleOf(r *rule.Rule, host string) example {
	set, problems := rule.NewSet([]rule.Rule{*r})
	if len(problems) > 0 {
		return example{}
	}
	repo, tag := "team/app", "1.0"
	switch r.Kind {
	case rule.ECRPublic:
		repo, tag = "docker/library/alpine", "latest"
	case rule.K8s:
		repo, tag = "pause", "3.10"
	case rule.Quay:
		repo, tag = "prometheus/node-exporter", "latest"
	case rule.DockerHub:
		repo, tag = "nginx", "latest"
	case rule.Chainguard:
		repo, tag = "chainguard/static", "latest"
	}
	if r.Prefix != rule.Root {
		repo = set.Rules()[0].Prefix + "/" + repo
	}
	made, cached := set.Match(repo)
	if made == nil {
		return example{}
	}
	return example{
		Command:  "docker pull " + host + "/" + repo + ":" + tag,
		Upstream: made.Upstream + "/" + made.UpstreamRepository(cached) + ":" + tag,
		Cached:   cached,
	}
}
