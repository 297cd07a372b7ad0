package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/registry"
)

// usersPath is the section of users.
const usersPath = Path + "users"

// userPath is the page of a user. The name is no part of the path, which would not stand
// names of nothing but dots.
func userPath(name string) string { return Path + "user?name=" + url.QueryEscape(name) }

// userRoutes has the pages of users, their policies and access keys.
func (c *console) userRoutes() {
	c.page("GET /console/users", (*visit).users)
	c.page("GET /console/users/new", (*visit).newUserPage)
	c.page("POST /console/users/new", (*visit).newUser)
	c.page("GET /console/user", (*visit).user)
	c.page("GET /console/user/delete", (*visit).deleteUserPage)
	c.page("POST /console/user/delete", (*visit).deleteUser)
	c.page("POST /console/user/attach", (*visit).attachPolicy)
	c.page("POST /console/user/detach", (*visit).detachPolicy)
	c.page("GET /console/user/policy", (*visit).userPolicyPage)
	c.page("POST /console/user/policy", (*visit).putUserPolicy)
	c.page("GET /console/user/policy/delete", (*visit).deleteUserPolicyPage)
	c.page("POST /console/user/policy/delete", (*visit).deleteUserPolicy)
	c.page("POST /console/user/key", (*visit).createKey)
	c.page("POST /console/user/key/active", (*visit).setKeyActive)
	c.page("GET /console/user/key/delete", (*visit).deleteKeyPage)
	c.page("POST /console/user/key/delete", (*visit).deleteKey)
}

// onUser is what the visitor may do with a user.
type onUser struct {
	caller iam.Caller
	arn    string
}

func (v *visit) onUser(name string) onUser {
	return onUser{v.caller(), iam.Caller{Name: name, Account: v.ID}.ARN()}
}

// May says whether it is one of iam's actions.
func (u onUser) May(action string) bool { return u.refusal(action) == nil }

// refusal is nil if it is one of iam's actions.
func (u onUser) refusal(action string) error { return u.caller.Allowed(action, u.arn) }

// usersAtOnce is how many users a page has.
const usersAtOnce = 50

type usersPage struct {
	Users     []userRow
	After     string // the name that the page goes on after
	Next      string
	MayCreate bool
}

// userRow is a user of the list.
type userRow struct {
	Name        string
	Created     time.Time
	Managed     []string
	Own         []string
	Keys        int
	Idle        int  // of Keys, those that do not count
	KeysVisible bool // the visitor may see the keys
}

func (v *visit) users() error {
	p := usersPage{After: v.query("after"), MayCreate: v.onUser("*").May("iam:CreateUser")}
	users, next, err := v.Admin.Users(v.ctx(), v.caller(), p.After, usersAtOnce)
	if err != nil {
		return err
	}
	p.Next = next
	for _, u := range users {
		row := userRow{Name: u.Name, Created: u.Created}
		row.Managed, row.Own = policiesOf(u)
		if v.onUser(u.Name).May("iam:ListAccessKeys") {
			keys, err := v.Admin.Keys(v.ctx(), v.caller(), u.Name)
			if err != nil && errs.CodeOf(err) != errs.UserUnknown { // it was deleted just now
				return err
			}
			row.KeysVisible, row.Keys = true, len(keys)
			for _, k := range keys {
				if !counts(k, v.now) {
					row.Idle++
				}
			}
		}
		p.Users = append(p.Users, row)
	}
	return v.show(http.StatusOK, "users", &Page{Title: v.T("Users"), Section: usersPath, Data: p})
}

// policiesOf returns the names of a user's managed policies, and of its own.
func policiesOf(u *admin.User) (managed, own []string) {
	for _, p := range u.Policies {
		if name, is := strings.CutPrefix(p, "inline:"); is {
			own = append(own, name)
		} else {
			managed = append(managed, p)
		}
	}
	return managed, own
}

// counts says whether somebody can sign in with a key.
func counts(k admin.Key, now time.Time) bool {
	return k.Active && (k.Expires.IsZero() || k.Expires.After(now))
}

// managed is a managed policy that a user may be given.
type managed struct {
	Name  string
	About string // a text
	Has   bool   // the user has it, or is to get it
}

// managedPolicies returns all of them, with a mark at those in has.
func managedPolicies(has []string) []managed {
	about := map[string]string{
		"AmazonEC2ContainerRegistryFullAccess": "Everything in the registry.",
		"AmazonEC2ContainerRegistryPowerUser":  "Pull what is held, and push. No fetching from upstreams, no deleting of repositories.",
		"AmazonEC2ContainerRegistryPullOnly":   "Pull, and fetch from upstreams. For nodes and CI.",
		"AmazonEC2ContainerRegistryReadOnly":   "Look at everything, and pull what is held. No fetching from upstreams.",
	}
	var all []managed
	for _, name := range iam.ManagedNames() {
		all = append(all, managed{name, about[name], slices.Contains(has, name)})
	}
	return all
}

type newUserForm struct {
	Name    string
	Managed []managed
}

func (v *visit) newUserPage() error {
	return v.show(http.StatusOK, "user-new", &Page{Title: v.T("Create user"), Section: usersPath, Data: newUserForm{Managed: managedPolicies(nil)}})
}

func (v *visit) newUser() error {
	in := newUserForm{v.formValue("name"), managedPolicies(v.r.PostForm["policy"])}
	v.does("iam:CreateUser", in.Name)
	_, err := v.Admin.CreateUser(v.ctx(), v.caller(), in.Name, v.r.PostForm["policy"])
	if err != nil {
		return v.refuseIn(err, "user-new", &Page{Title: v.T("Create user"), Section: usersPath, Data: in})
	}
	if !v.onUser(in.Name).May("iam:GetUser") {
		return v.done(Path, "The user was created.")
	}
	return v.done(userPath(in.Name), "The user was created. Create an access key to sign in and pull with.")
}

// userPage is all that a page has on a user.
type userPage struct {
	onUser
	Name, ARN  string
	Created    time.Time
	Managed    []managed // all there are
	Own        []string
	Keys       []keyRow
	Days       string // that a new key is to count for, as it was typed
	Repository string // what is asked about
	Decisions  []registry.Decision
}

type keyRow struct {
	admin.Key
	Expired bool
}

func (v *visit) user() error {
	name := v.query("name")
	p, err := v.userPage(name)
	if err != nil {
		return err
	}
	p.Repository = strings.TrimSpace(v.query("repository"))
	page := &Page{Title: v.T("User %s", name), Section: usersPath, Data: p}
	if p.Repository == "" {
		return v.show(http.StatusOK, "user", page)
	}
	who, err := v.Admin.As(v.ctx(), v.caller(), name)
	if err == nil {
		p.Decisions, err = v.Registry.PullDecisions(v.ctx(), v.caller(), p.Repository, who)
	}
	if err != nil {
		return v.refuseIn(err, "user", page)
	}
	return v.show(http.StatusOK, "user", page)
}

func (v *visit) userPage(name string) (*userPage, error) {
	u, err := v.Admin.User(v.ctx(), v.caller(), name)
	if err != nil {
		return nil, err
	}
	p := &userPage{onUser: v.onUser(name), Name: u.Name, Created: u.Created}
	p.ARN = p.arn
	has, own := policiesOf(u)
	p.Managed, p.Own = managedPolicies(has), own
	if !p.May("iam:ListAccessKeys") {
		return p, nil
	}
	keys, err := v.Admin.Keys(v.ctx(), v.caller(), name)
	for _, k := range keys {
		p.Keys = append(p.Keys, keyRow{k, !k.Expires.IsZero() && !k.Expires.After(v.now)})
	}
	return p, err
}

// userDone ends a form of a user's page: with done, or with what is wrong above the page.
func (v *visit) userDone(name string, cause error, done string) error {
	if cause == nil {
		if !v.onUser(name).May("iam:GetUser") {
			return v.done(Path, done)
		}
		return v.done(userPath(name), done)
	}
	p, err := v.userPage(name)
	if err != nil {
		return cause // whoever may not see the user sees what is wrong all the same
	}
	p.Days = v.formValue("days")
	return v.refuseIn(cause, "user", &Page{Title: v.T("User %s", name), Section: usersPath, Data: p})
}

func (v *visit) attachPolicy() error {
	name := v.formValue("name")
	v.does("iam:AttachUserPolicy", name+" "+v.formValue("policy"))
	return v.userDone(name, v.Admin.AttachPolicy(v.ctx(), v.caller(), name, v.formValue("policy")), "The policy was attached.")
}

func (v *visit) detachPolicy() error {
	name := v.formValue("name")
	v.does("iam:DetachUserPolicy", name+" "+v.formValue("policy"))
	return v.userDone(name, v.Admin.DetachPolicy(v.ctx(), v.caller(), name, v.formValue("policy")), "The policy was detached.")
}

func (v *visit) deleteUserQuestion(name string) question {
	return question{
		Section: usersPath,
		Title:   v.T("Delete user %s", name),
		Text:    []string{v.T("The user and the policies of its own are deleted. Access keys have to be deleted first. What the user pushed stays."), v.T("Policies of repositories that name the user stay, and count again for a user of this name.")},
		Action:  Path + "user/delete", Fields: []field{{"name", name}}, Button: v.T("Delete user"), Back: userPath(name),
	}
}

func (v *visit) deleteUserPage() error {
	name := v.query("name")
	if _, err := v.Admin.User(v.ctx(), v.caller(), name); err != nil {
		return err
	}
	if err := v.onUser(name).refusal("iam:DeleteUser"); err != nil {
		return err
	}
	return v.ask(v.deleteUserQuestion(name))
}

func (v *visit) deleteUser() error {
	name := v.formValue("name")
	v.does("iam:DeleteUser", name)
	if err := v.Admin.DeleteUser(v.ctx(), v.caller(), name); err != nil {
		return v.askAgain(err, v.deleteUserQuestion(name))
	}
	if v.Admin.May(v.ctx(), v.caller(), "iam:ListUsers") != nil {
		return v.done(Path, "The user was deleted.")
	}
	return v.done(usersPath, "The user was deleted.")
}
