package console

import (
	"net/http"
	"strings"
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
