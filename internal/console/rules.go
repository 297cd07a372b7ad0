package console

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/rule"
)

const (
	rulesPath = Path + "rules"
	rulesPage = 50 // rules on a page of the list
)

// Actions on rules that pages ask about.
const (
	createRule    = "ecr:CreatePullThroughCacheRule"
	describeRules = "ecr:DescribePullThroughCacheRules"
	updateRule    = "ecr:UpdatePullThroughCacheRule"
	deleteRule    = "ecr:DeletePullThroughCacheRule"
	validateRule  = "ecr:ValidatePullThroughCacheRule"
)

func (c *console) ruleRoutes() {
	c.page("GET "+rulesPath, (*visit).rulesPage)
	c.page("GET "+rulesPath+"/new", (*visit).newRulePage)
	c.page("POST "+rulesPath+"/new", (*visit).newRule)
	c.page("GET "+rulesPath+"/edit", (*visit).editRulePage)
	c.page("GET "+rulesPath+"/delete", (*visit).deleteRulePage)
	c.page("GET "+Path+"rule/{prefix...}", (*visit).rulePage)
	c.page("POST "+Path+"rule/{prefix...}", (*visit).changeRule)
}

// rulePath is the address of a rule's page. All characters of a prefix stand for themselves
// in one.
func rulePath(prefix string) string { return Path + "rule/" + prefix }

// section shows a page of a section of the menu, with what is wrong above it unless cause is
// nil; a cause that is not about the page is returned.
func (v *visit) section(path string, cause error, template, title string, data any) error {
	p := &Page{Title: title, Section: path, Data: data}
	if cause != nil {
		return v.refuseIn(cause, template, p)
	}
	return v.show(http.StatusOK, template, p)
}

// kindName is what people call a kind of upstream. It is a text.
func kindName(k rule.Kind) string {
	switch k {
	case rule.ECR:
		return "Amazon ECR private registry"
	case rule.ECRPublic:
		return "Amazon ECR Public"
	case rule.Quay:
		return "Quay"
	case rule.K8s:
		return "Kubernetes"
	case rule.DockerHub:
		return "Docker Hub"
	case rule.GitHub:
		return "GitHub Container Registry"
	case rule.Azure:
		return "Microsoft Azure Container Registry"
	case rule.GitLab:
		return "GitLab Container Registry"
	case rule.Chainguard:
		return "Chainguard"
	}
	return "Another registry"
}

// shownRule is a rule on a page.
type shownRule struct {
	*rule.Rule
	admin.RuleFacts
	Kind         string // in the visitor's language, as all that follow
	Window       string
	Login        login
	Traffic      admin.RuleTraffic
	HitRate      string // of 31 days; "": nothing was pulled
	Repositories int64  // -1: the visitor may not know
}

// login is what an upstream is asked with.
type login struct {
	Secret  string // its name, "" for none
	Seen    bool   // the visitor may see the secret's page
	Named   string // name of a credential of the configuration
	Machine bool   // AWS credentials of the machine
	Role    string
}

// Upper is what goes before the upstream's names.
func (r shownRule) Upper() string {
	if r.UpstreamPrefix == rule.Root {
		return ""
	}
	return r.UpstreamPrefix
}

// shown collects what there is to show of rules.
func (v *visit) shown(rules []*rule.Rule) ([]shownRule, error) {
	if len(rules) == 0 {
		return nil, nil
	}
	var prefixes []string
	for _, r := range rules {
		prefixes = append(prefixes, r.Prefix)
	}
	facts, err := v.Admin.RuleFacts(v.ctx(), v.caller(), prefixes)
	if err != nil {
		return nil, err
	}
	traffic, err := v.Admin.RuleTraffic(v.ctx(), v.caller())
	if err != nil && errs.CodeOf(err) != errs.Unsupported {
		return nil, err
	}
	counts, err := v.Registry.RuleRepositories(v.ctx(), v.caller(), prefixes)
	if err != nil && errs.CodeOf(err) != errs.Denied {
		return nil, err
	}
	var all []shownRule
	for _, r := range rules {
		s := shownRule{
			Rule: r, RuleFacts: facts[r.Prefix], Kind: v.T(kindName(r.Kind)), Login: v.login(r),
			Traffic: traffic[r.Prefix], HitRate: percent(traffic[r.Prefix].Month.Hits, traffic[r.Prefix].Month.Pulls), Repositories: -1,
		}
		s.Window = v.window(r, s.HeldOnly)
		if n, ok := counts[r.Prefix]; ok {
			s.Repositories = n
		}
		all = append(all, s)
	}
	return all, nil
}

// window is how long a check of a rule's tags counts, in words.
func (v *visit) window(r *rule.Rule, heldOnly bool) string {
	switch {
	case heldOnly:
		return v.T("held only")
	case r.Window == rule.Never:
		return v.T("for ever")
	case r.Window < time.Second:
		return v.T("each pull checks")
	}
	return Format{v.texts, v.lang, v.now}.Span(r.Window)
}

func percent(part, whole int64) string {
	if whole <= 0 {
		return ""
	}
	return strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 1, 64) + "%"
}

// login says what a rule's upstream is asked with.
func (v *visit) login(r *rule.Rule) login {
	l := login{Role: r.CustomRole}
	switch name, isARN := strings.CutPrefix(r.Credential, v.secretARN("")); {
	case isARN:
		l.Secret = name[:max(strings.LastIndexByte(name, '-'), 0)] // without the end that tells it from an earlier one
		l.Seen = v.caller().Allowed(describeSecret, r.Credential) == nil
	case r.Credential != "":
		l.Named = r.Credential
	case r.Kind == rule.ECR:
		l.Machine = true
	}
	return l
}

// secretARN is the ARN of a secret without its end, which stands for the secret that has
// the name now.
func (v *visit) secretARN(name string) string {
	return "arn:aws:secretsmanager:" + v.Region + ":" + v.ID + ":secret:" + name
}

func (v *visit) rulesPage() error {
	after := v.query("after")
	rules, next, err := v.Admin.Rules(v.ctx(), v.caller(), nil, after, rulesPage)
	if err != nil {
		return err
	}
	shown, err := v.shown(rules)
	if err != nil {
		return err
	}
	return v.section(rulesPath, nil, "rules", v.T("Pull through cache rules"), struct {
		Rules []shownRule
		pager
	}{shown, pagerOf(rulesPath, after, next)})
}

// pager is what leads to the other pages of a list.
type pager struct{ First, Following string }

func pagerOf(path, after, next string) (p pager) {
	if after != "" {
		p.First = path
	}
	if next != "" {
		p.Following = address(path, "after", next)
	}
	return p
}

// ruleInQuestion returns the rule with a prefix as it is shown.
func (v *visit) ruleInQuestion(prefix string) (shownRule, error) {
	rules, _, err := v.Admin.Rules(v.ctx(), v.caller(), []string{prefix}, "", 0)
	if err != nil {
		return shownRule{}, err
	}
	shown, err := v.shown(rules)
	if err != nil {
		return shownRule{}, err
	}
	return shown[0], nil
}

// whyEgress has a text for each reason to reach a host.
func whyEgress(w rule.Why) string {
	switch w {
	case rule.ForUpstream:
		return "manifests, and blobs that it has itself"
	case rule.ForRealm:
		return "tokens"
	case rule.ForLogin:
		return "passwords from AWS"
	case rule.ForBlobs:
		return "blobs: it is known to redirect there"
	case rule.ForAllowed:
		return "the configuration allows redirects there"
	}
	return "it led there"
}

// egressRow is a host on a rule's page.
type egressRow struct {
	Host, Proxy string
	Why         []string // texts
}

// onRule is the data of a rule's page.
type onRule struct {
	shownRule
	Example    example
	Upstream   *upstreamView // how things stand with it; nil: nobody asks it
	Egress     []egressRow
	Incomplete string // why Egress does not have everything
	Repository string // of the form that checks a tag: below the prefix
	Tag        string
}

func (v *visit) rulePage() error {
	return v.showRule(v.r.PathValue("prefix"), nil, "", "")
}

func (v *visit) showRule(prefix string, cause error, repository, tag string) error {
	r, err := v.ruleInQuestion(prefix)
	if err != nil {
		return cmp.Or(cause, err) // who may not see it is still told what was wrong
	}
	data := onRule{shownRule: r, Example: exampleOf(r.Rule, v.host()), Repository: repository, Tag: tag}
	states, err := v.Admin.UpstreamStates(v.ctx(), v.caller())
	if err != nil && !withheld(err) {
		return err
	}
	for _, u := range states {
		if slices.Contains(u.Rules, r.Prefix) {
			view, _ := v.upstreamView(u)
			data.Upstream = &view
		}
	}
	upstreams, err := v.Admin.UpstreamHosts(v.ctx(), v.caller(), []string{r.Prefix})
	if err != nil && !withheld(err) {
		return err
	}
	for _, u := range upstreams {
		data.Incomplete = u.Failure
		for _, e := range u.Egress {
			row := egressRow{Host: e.Host, Proxy: e.Proxy}
			for _, w := range e.Why {
				row.Why = append(row.Why, whyEgress(w))
			}
			data.Egress = append(data.Egress, row)
		}
	}
	return v.section(rulesPath, cause, "rule", r.Prefix, data)
}

// changeRule is every form of a rule's pages.
func (v *visit) changeRule() error {
	prefix := v.r.PathValue("prefix")
	switch v.formValue("do") {
	case "verify":
		v.does(validateRule, prefix)
		if _, _, err := v.Admin.ValidateRule(v.ctx(), v.caller(), prefix); err != nil {
			return v.showRule(prefix, err, "", "")
		}
		return v.done(rulePath(prefix), "The upstream was asked: the result is below.")
	case "check":
		return v.checkRuleTag(prefix)
	case "edit":
		return v.editRule(prefix)
	case "delete":
		v.does(deleteRule, prefix)
		if _, err := v.Admin.DeleteRule(v.ctx(), v.caller(), prefix); err != nil {
			return v.showRule(prefix, err, "", "")
		}
		return v.done(rulesPath, "The rule was deleted. What it brought is kept and served.")
	}
	return unknownForm()
}

func unknownForm() error {
	return errs.New(errs.ParamInvalid, "this form is of no page of this console: load the page again, and do it again")
}

// checkRuleTag has a tag of a rule's repository checked at its upstream.
func (v *visit) checkRuleTag(prefix string) error {
	repository, tag := v.formValue("repository"), v.formValue("tag")
	name := repository
	if prefix != rule.Root {
		name = prefix + "/" + repository
	}
	v.at(name)
	v.does(iam.BatchImportUpstreamImage, tag)
	if repository == "" || tag == "" {
		return v.showRule(prefix, errs.New(errs.ParamInvalid, "a repository and a tag are needed"), repository, tag)
	}
	result, err := v.Registry.Check(v.ctx(), v.caller(), name, tag)
	if err != nil {
		return v.showRule(prefix, err, repository, tag)
	}
	switch {
	case result.Blocked:
		return v.done(rulePath(prefix), "The upstream has another image for this tag, but the tag never changes here: it was left as it is.")
	case result.Was == "":
		return v.done(rulePath(prefix), "The upstream has this tag. It is here from now on.")
	case result.Moved:
		return v.done(rulePath(prefix), "The tag has moved: it is the upstream's newer image from now on.")
	}
	return v.done(rulePath(prefix), "The tag is still the same image at the upstream.")
}

// ruleForm is the data of the page that changes a rule.
type ruleForm struct {
	shownRule
	Secrets secretChoice
	Role    string
}

func (v *visit) editRulePage() error {
	if err := v.Admin.May(v.ctx(), v.caller(), updateRule); err != nil {
		return err
	}
	r, err := v.ruleInQuestion(v.query("prefix"))
	if err != nil {
		return err
	}
	return v.showEdit(r, nil, r.Login.Secret, r.CustomRole)
}

func (v *visit) showEdit(r shownRule, cause error, secret, role string) error {
	choice, err := v.secretChoice(secret)
	if err != nil {
		return err
	}
	return v.section(rulesPath, cause, "rule-edit", v.T("Change %s", r.Prefix), ruleForm{r, choice, role})
}

// editRule changes a rule's credential, and has its upstream asked with it if the visitor
// may.
func (v *visit) editRule(prefix string) error {
	v.does(updateRule, prefix)
	secret, role := v.formValue("secret"), v.formValue("role")
	r, err := v.ruleInQuestion(prefix)
	if err != nil {
		return err
	}
	arn := ""
	if secret != "" {
		arn = v.secretARN(secret)
	}
	if r.Rule.Kind != rule.ECR {
		role = r.CustomRole // which the form does not have
	}
	if _, err := v.Admin.UpdateRule(v.ctx(), v.caller(), prefix, arn, role); err != nil {
		return v.showEdit(r, err, secret, role)
	}
	if v.Admin.May(v.ctx(), v.caller(), validateRule) == nil {
		if _, _, err := v.Admin.ValidateRule(v.ctx(), v.caller(), prefix); err != nil {
			return v.showRule(prefix, err, "", "")
		}
	}
	return v.done(rulePath(prefix), "The rule was changed.")
}

func (v *visit) deleteRulePage() error {
	if err := v.Admin.May(v.ctx(), v.caller(), deleteRule); err != nil {
		return err
	}
	r, err := v.ruleInQuestion(v.query("prefix"))
	if err != nil {
		return err
	}
	next, err := v.Admin.Successor(v.ctx(), v.caller(), r.Prefix)
	if err != nil {
		return err
	}
	then := v.T("Nothing new is cached through this rule from then on, and no upstream is asked any more: what is not held is not found.")
	if next != nil {
		then = v.T("From then on the rule %s takes these names, and what is not held is asked for at %s, under other names there.", next.Prefix, next.Upstream)
		if next.Prefix == r.Prefix {
			then = v.T("From then on the built-in rule with this prefix takes these names, and what is not held is asked for at %s, without a credential.", next.Upstream)
		}
	}
	q := question{
		Section: rulesPath, Title: v.T("Delete the rule %s?", r.Prefix), Action: rulePath(r.Prefix), Fields: []field{{"do", "delete"}},
		Button: v.T("Delete the rule"), Back: rulePath(r.Prefix),
		Text: []string{
			then,
			v.T("What is held is kept and served as before, and the repositories stay. A rule with the same prefix goes on with them."),
		},
	}
	if r.Login.Secret != "" {
		q.Text = append(q.Text, v.T("The secret %s stays.", r.Login.Secret))
	}
	return v.ask(q)
}
