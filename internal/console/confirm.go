package console

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"

	"github.com/weir-registry/weir/internal/errs"
)

// question is what a page asks before something is done that nobody can undo.
type question struct {
	Section string   // of the menu
	Title   string   // in the visitor's language, as all words of it
	Text    []string // what is done, and what is not
	Action  string   // path that the form is sent to
	Fields  []field  // what it has
	Button  string
	Back    string // path for those who would rather not
}

// field is one of a form.
type field struct{ Name, Value string }

// ask shows a question.
func (v *visit) ask(q question) error {
	return v.show(http.StatusOK, "confirm", &Page{Title: q.Title, Section: q.Section, Data: q})
}

// askAgain shows a question whose answer could not be followed, with what is wrong.
func (v *visit) askAgain(cause error, q question) error {
	return v.refuseIn(cause, "confirm", &Page{Title: q.Title, Section: q.Section, Data: q})
}

// refuseIn is refuse for a page with a section: p is shown with what is wrong above it.
func (v *visit) refuseIn(cause error, template string, p *Page) error {
	f := v.failure(cause)
	if f == nil {
		return cause
	}
	p.Error = f
	return v.show(f.Status, template, p)
}

// fingerprint stands for what a form was made of: one that was made of something else is not
// to replace what is there.
func fingerprint(of any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%#v", of))
	return hex.EncodeToString(sum[:8])
}

// policyWas is the fingerprint of a policy; "" for none, which has no form with one.
func policyWas(text string) string {
	if text == "" {
		return ""
	}
	return fingerprint(text)
}

// unchanged is nil if the policy that a form of the page was made of still is what reading it
// gives: is, or err. Who may write it and not read it is asked no more than by the API, and
// what else is wrong with reading, the writing is told as well.
// Errors: errs.Conflict.
func (v *visit) unchanged(is string, err error) error {
	switch {
	case errs.CodeOf(err) == errs.PolicyUnknown || errs.CodeOf(err) == errs.LifecycleUnknown:
		is = ""
	case err != nil:
		return nil
	}
	if v.formValue("was") == policyWas(is) {
		return nil
	}
	return errs.New(errs.Conflict, "The policy was changed since this form was loaded, and nothing was saved. What holds now is below: to replace it, save again.")
}

// holds is what a policy is beside the form that changes it.
type holds struct {
	Was string // stands for it in the form
	Now string // where the form has another text that could not be saved
}

func holdsNow(text, typed string, failed bool) holds {
	h := holds{Was: policyWas(text)}
	if failed && unix(text) != typed {
		h.Now = text
	}
	return h
}

// formText is what a text area of the form has, with the line ends that it was given by
// the page and without space around it.
func (v *visit) formText(name string) string {
	return strings.TrimSpace(unix(v.r.PostForm.Get(name)))
}

// unix is a text with line feeds where browsers send line ends of their own.
func unix(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") }

// formLines is what a text area has that is a list, one to a line.
func (v *visit) formLines(name string) []string {
	all := []string{}
	for line := range strings.Lines(v.formText(name)) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}
