package console

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/weir-registry/weir/internal/errs"
)

// ownPolicy is the form of a policy of a user's own.
type ownPolicy struct {
	onUser
	Name     string // of the user
	Policy   string // its name
	New      bool
	Document string
	Holds    holds
}

func (v *visit) showUserPolicy(cause error, p ownPolicy) error {
	page := &Page{Title: v.T("Policy %s of user %s", p.Policy, p.Name), Section: usersPath, Data: p}
	if p.New {
		page.Title = v.T("New policy of user %s", p.Name)
	}
	if cause != nil {
		text, err := v.Admin.UserPolicy(v.ctx(), v.caller(), p.Name, p.Policy)
		if err == nil && !p.New {
			p.Holds = holdsNow(text, p.Document, true)
			page.Data = p
		}
		return v.refuseIn(cause, "user-policy", page)
	}
	return v.show(http.StatusOK, "user-policy", page)
}

func (v *visit) userPolicyPage() error {
	p := ownPolicy{Name: v.query("name"), Policy: v.query("policy")}
	p.onUser, p.New = v.onUser(p.Name), p.Policy == ""
	if p.New {
		if _, err := v.Admin.User(v.ctx(), v.caller(), p.Name); err != nil {
			return err
		}
		if err := p.refusal("iam:PutUserPolicy"); err != nil {
			return err
		}
		p.Document = `{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchImportUpstreamImage"],
      "Resource": "arn:aws:ecr:` + v.Region + ":" + v.ID + `:repository/docker-hub/*"
    }
  ]
}`
		return v.showUserPolicy(nil, p)
	}
	var err error
	if p.Document, err = v.Admin.UserPolicy(v.ctx(), v.caller(), p.Name, p.Policy); err != nil {
		return err
	}
	p.Holds = holdsNow(p.Document, p.Document, false)
	return v.showUserPolicy(nil, p)
}

func (v *visit) putUserPolicy() error {
	p := ownPolicy{Name: v.formValue("name"), Policy: v.formValue("policy"), New: v.formValue("new") != "", Document: v.formText("document")}
	p.onUser = v.onUser(p.Name)
	v.does("iam:PutUserPolicy", p.Name+" "+p.Policy)
	if p.New {
		// What a form calls new is not to replace anything.
		u, err := v.Admin.User(v.ctx(), v.caller(), p.Name)
		if err == nil && slices.Contains(u.Policies, "inline:"+p.Policy) {
			err = errs.New(errs.Conflict, "The user %s has a policy %s already: change that one, or give this one another name.", p.Name, p.Policy)
		}
		if errs.CodeOf(err) == errs.Conflict {
			return v.showUserPolicy(err, p)
		}
	}
	err := p.refusal("iam:PutUserPolicy")
	if err == nil {
		err = v.unchanged(v.Admin.UserPolicy(v.ctx(), v.caller(), p.Name, p.Policy))
	}
	if err == nil {
		err = v.Admin.PutUserPolicy(v.ctx(), v.caller(), p.Name, p.Policy, p.Document)
	}
	if err != nil {
		return v.showUserPolicy(err, p)
	}
	return v.userDone(p.Name, nil, "The policy was saved.")
}

func (v *visit) deleteUserPolicyQuestion(name, policy string) question {
	return question{
		Section: usersPath,
		Title:   v.T("Delete policy %s of user %s", policy, name),
		Text:    []string{v.T("What only this policy allows the user may not do any more; what only this policy denies the user may do then.")},
		Action:  Path + "user/policy/delete", Fields: []field{{"name", name}, {"policy", policy}}, Button: v.T("Delete policy"),
		Back: Path + "user/policy?name=" + url.QueryEscape(name) + "&policy=" + url.QueryEscape(policy),
	}
}

func (v *visit) deleteUserPolicyPage() error {
	name, policy := v.query("name"), v.query("policy")
	if _, err := v.Admin.UserPolicy(v.ctx(), v.caller(), name, policy); err != nil {
		return err
	}
	if err := v.onUser(name).refusal("iam:DeleteUserPolicy"); err != nil {
		return err
	}
	return v.ask(v.deleteUserPolicyQuestion(name, policy))
}

func (v *visit) deleteUserPolicy() error {
	name, policy := v.formValue("name"), v.formValue("policy")
	v.does("iam:DeleteUserPolicy", name+" "+policy)
	if err := v.Admin.DeleteUserPolicy(v.ctx(), v.caller(), name, policy); err != nil {
		return v.askAgain(err, v.deleteUserPolicyQuestion(name, policy))
	}
	return v.userDone(name, nil, "The policy was deleted.")
}
