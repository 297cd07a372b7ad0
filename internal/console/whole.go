package console

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/rule"
)

// The sections of what holds for the whole registry.
const (
	policyPath      = Path + "registry-policy"
	replicationPath = Path + "replication"
)

// wholeRoutes has the pages of the registry's policy and of replication.
func (c *console) wholeRoutes() {
	c.page("GET /console/registry-policy", (*visit).registryPolicy)
	c.page("POST /console/registry-policy", (*visit).putRegistryPolicy)
	c.page("GET /console/registry-policy/delete", (*visit).deleteRegistryPolicyPage)
	c.page("POST /console/registry-policy/delete", (*visit).deleteRegistryPolicy)
	c.page("GET /console/replication", (*visit).replication)
	c.page("POST /console/replication", (*visit).putReplication)
}

type registryPolicyPage struct {
	There    bool
	Document string
	Holds    holds
}

func (v *visit) showRegistryPolicy(cause error, p registryPolicyPage) error {
	page := &Page{Title: v.T("Registry policy"), Section: policyPath, Data: p}
	if cause != nil {
		text, err := v.Registry.RegistryPolicy(v.ctx(), v.caller())
		if err == nil {
			p.There, p.Holds = true, holdsNow(text, p.Document, true)
			page.Data = p
		}
		return v.refuseIn(cause, "registry-policy", page)
	}
	return v.show(http.StatusOK, "registry-policy", page)
}

func (v *visit) registryPolicy() error {
	text, err := v.Registry.RegistryPolicy(v.ctx(), v.caller())
	if err != nil && errs.CodeOf(err) != errs.PolicyUnknown {
		return err
	}
	return v.showRegistryPolicy(nil, registryPolicyPage{err == nil, text, holdsNow(text, text, false)})
}

func (v *visit) putRegistryPolicy() error {
	p := registryPolicyPage{There: v.formValue("there") != "", Document: v.formText("document")}
	v.does(iam.PutRegistryPolicy, "")
	err := v.Admin.May(v.ctx(), v.caller(), iam.PutRegistryPolicy)
	if err == nil {
		err = v.unchanged(v.Registry.RegistryPolicy(v.ctx(), v.caller()))
	}
	if err == nil {
		err = v.Registry.PutRegistryPolicy(v.ctx(), v.caller(), p.Document)
	}
	if err != nil {
		return v.showRegistryPolicy(err, p)
	}
	return v.wholeDone(policyPath, iam.GetRegistryPolicy, "The registry policy was saved.")
}

// wholeDone goes to the page at path, if the visitor may do what it shows.
func (v *visit) wholeDone(path, action, done string) error {
	if v.Admin.May(v.ctx(), v.caller(), action) != nil {
		path = Path
	}
	return v.done(path, done)
}

func (v *visit) deleteRegistryPolicyQuestion() question {
	return question{
		Section: policyPath,
		Title:   v.T("Delete the registry policy"),
		Text:    []string{v.T("What only it allows nobody may do any more; what only it denies others may do then. Policies of users and repositories stay.")},
		Action:  policyPath + "/delete", Button: v.T("Delete policy"), Back: policyPath,
	}
}

func (v *visit) deleteRegistryPolicyPage() error {
	if _, err := v.Registry.RegistryPolicy(v.ctx(), v.caller()); err != nil {
		return err
	}
	if err := v.Admin.May(v.ctx(), v.caller(), iam.DeleteRegistryPolicy); err != nil {
		return err
	}
	return v.ask(v.deleteRegistryPolicyQuestion())
}

func (v *visit) deleteRegistryPolicy() error {
	v.does(iam.DeleteRegistryPolicy, "")
	if _, err := v.Registry.DeleteRegistryPolicy(v.ctx(), v.caller()); err != nil {
		return v.askAgain(err, v.deleteRegistryPolicyQuestion())
	}
	return v.wholeDone(policyPath, iam.GetRegistryPolicy, "The policy was deleted.")
}

type replicationPage struct {
	Destinations []destination
	Rules        []replicationRule // as they are
	Form         []replicationRule // and a further one, to fill in
	Was          string            // stands for the rules that the form was made of
}

type destination struct {
	admin.Destination
	Here bool   // rules name it
	Why  string // a text about Failure
}

// copyFailure is a text for the word of a failure.
func copyFailure(word string) string {
	switch word {
	case "DestinationUnreachable":
		return "It cannot be reached."
	case "DestinationTimeout":
		return "It does not answer in time."
	case "DestinationThrottled":
		return "It limits how often it is asked."
	case "DestinationAccessDenied":
		return "It does not take the credential, or denies copies."
	case "DestinationRepositoryNotFound":
		return "It has not the repository, and makes none."
	case "DestinationRefused":
		return "It refused a copy."
	case "ContentMissing":
		return "A part of an image is not here any more."
	case "ContentUnsupported":
		return "It does not take images of this kind."
	}
	return "Something in weir is wrong."
}

// replicationRule is a rule as the form has it.
type replicationRule struct {
	Number  int
	To      []choice // every destination that there is, REGION/REGISTRY
	Filters string   // one to a line
}

// maxReplicationRules is how many rules there may be, as in ECR.
const maxReplicationRules = 10

func (v *visit) replicationPage() (*replicationPage, error) {
	rules, err := v.Registry.Describe(v.ctx(), v.caller())
	if err != nil {
		return nil, err
	}
	known, err := v.Admin.Destinations(v.ctx(), v.caller())
	if err != nil {
		return nil, err
	}
	p := &replicationPage{Was: fingerprint(rules)}
	named := rules.Destinations()
	for _, d := range known {
		p.Destinations = append(p.Destinations, destination{d, slices.Contains(named, d.Destination), copyFailure(d.Failure)})
	}
	for _, d := range named {
		if !slices.ContainsFunc(known, func(k admin.Destination) bool { return k.Destination == d }) {
			p.Destinations = append(p.Destinations, destination{Destination: admin.Destination{Destination: d}, Here: true})
		}
	}
	p.Rules = p.rows(rules)
	p.Form = p.withOneMore(rules)
	return p, nil
}

// withOneMore is rules for the form, with an empty one behind them while there may be more.
func (p *replicationPage) withOneMore(rules rule.Replication) []replicationRule {
	if len(rules) < maxReplicationRules {
		rules = append(slices.Clone(rules), rule.ReplicationRule{})
	}
	return p.rows(rules)
}

func (p *replicationPage) rows(rules rule.Replication) []replicationRule {
	var all []replicationRule
	for i, r := range rules {
		row := replicationRule{Number: i + 1, Filters: strings.Join(r.Filters, "\n")}
		for _, d := range p.Destinations {
			row.To = append(row.To, choice{Value: word(d.Destination.Destination), Has: slices.Contains(r.Destinations, d.Destination.Destination)})
		}
		all = append(all, row)
	}
	return all
}

// word is a destination as a form has it.
func word(d rule.Destination) string { return d.Region + "/" + d.RegistryID }

func (v *visit) replication() error {
	p, err := v.replicationPage()
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "replication", &Page{Title: v.T("Replication"), Section: replicationPath, Data: p})
}

// replicationForm reads the rules of the form. One without destinations and filters is none.
func (v *visit) replicationForm() rule.Replication {
	rules := rule.Replication{}
	for n := 1; n <= maxReplicationRules; n++ {
		var r rule.ReplicationRule
		for _, to := range v.r.PostForm["to-"+strconv.Itoa(n)] {
			region, id, _ := strings.Cut(to, "/")
			r.Destinations = append(r.Destinations, rule.Destination{Region: region, RegistryID: id})
		}
		if filters := v.formLines("filters-" + strconv.Itoa(n)); len(filters) > 0 {
			r.Filters = filters
		}
		if len(r.Destinations) > 0 || len(r.Filters) > 0 {
			rules = append(rules, r)
		}
	}
	return rules
}

func (v *visit) putReplication() error {
	v.does("ecr:PutReplicationConfiguration", "")
	rules := v.replicationForm()
	p, err := v.replicationPage()
	if err == nil && p.Was != v.formValue("was") {
		err = errs.New(errs.Conflict, "The replication rules were changed since this form was loaded, and nothing was saved. What holds now is below.")
		return v.refuseIn(err, "replication", &Page{Title: v.T("Replication"), Section: replicationPath, Data: p})
	}
	if err != nil {
		return err
	}
	for i, r := range rules {
		if len(r.Destinations) == 0 {
			err = errs.New(errs.ParamInvalid, "Rule %d has filters and no destination: choose one, or empty the filters to take the rule away.", i+1)
		}
	}
	if err == nil {
		err = v.Admin.PutReplication(v.ctx(), v.caller(), rules)
	}
	if err != nil {
		p.Form = p.withOneMore(rules)
		return v.refuseIn(err, "replication", &Page{Title: v.T("Replication"), Section: replicationPath, Data: p})
	}
	return v.done(replicationPath, "The replication rules were saved.")
}
