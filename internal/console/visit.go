package console

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/httpx"
	"github.com/weir-registry/weir/internal/iam"
)

// visit is a request for a page.
type visit struct {
	*console
	w       *httpx.ResponseWriter
	r       *http.Request
	session auth.Session // the zero Session: nobody is signed in
	lang    language
	theme   string // light, dark, or "" for what the browser has
	now     time.Time
}

// visit returns a request as a visit of nobody.
func (c *console) visit(w *httpx.ResponseWriter, r *http.Request) *visit {
	v := &visit{console: c, w: w, r: r, lang: languageOf(r), now: time.Now()}
	if k, err := r.Cookie(themeCookie); err == nil && (k.Value == "light" || k.Value == "dark") {
		v.theme = k.Value
	}
	return v
}

func (v *visit) ctx() context.Context { return v.r.Context() }

// caller is who is signed in.
func (v *visit) caller() iam.Caller { return v.session.Caller }

// enter finds out whose visit it is, and says whether it goes on: who is not signed in is
// sent to sign in, and a form that is not of this session is refused.
func (v *visit) enter() (bool, error) {
	k, err := v.r.Cookie(v.cookieName())
	if err != nil && v.elsewhere() {
		return false, v.render(http.StatusOK, "again", v.T("One moment"), v.r.URL.RequestURI())
	}
	if err == nil {
		v.session, err = v.Auth.Session(v.r, k.Value)
	}
	if err != nil && !errors.Is(err, http.ErrNoCookie) && errs.CodeOf(err) != errs.Unauthenticated {
		return false, err
	}
	if err != nil {
		if v.r.Method == http.MethodPost {
			return false, errs.Wrap(errs.Unauthenticated, err, "you are signed out, and nothing was changed: sign in, and do it again")
		}
		to := Path + "sign-in"
		if at := v.r.URL.RequestURI(); at != Path {
			to += "?next=" + url.QueryEscape(at)
		}
		return false, v.redirect(to)
	}
	v.w.Principal = v.session.Caller.Name
	if v.session.Renewed != "" && !strings.HasPrefix(v.r.URL.Path, livePath) { // which comes again by itself
		v.setSession(v.session.Renewed)
	}
	if v.r.Method == http.MethodPost && subtle.ConstantTimeCompare([]byte(v.r.PostForm.Get("form")), []byte(v.session.Form)) != 1 {
		return false, errs.New(errs.Denied, "this form is not of this session, and nothing was changed: go back, load the page again, and do it again")
	}
	return true, nil
}

// elsewhere says that a link on another site led here. The cookie of the session does not
// come along then; it does when the page itself asks again.
func (v *visit) elsewhere() bool {
	return v.r.Method == http.MethodGet && v.r.Header.Get("Sec-Fetch-Site") == "cross-site" && v.r.Header.Get("Sec-Fetch-Mode") == "navigate"
}

// maxLogged is how many bytes of a name that was sent are worth a place in the log.
const maxLogged = 256

// does says for the log which of IAM's actions a form is, and what it is on. A repository is
// in a field of its own.
func (v *visit) does(action, on string) {
	v.w.Action, v.w.Reference = action, on[:min(len(on), maxLogged)]
}

// at says for the log which repository a page or form is about.
func (v *visit) at(repository string) { v.w.Repository = repository[:min(len(repository), maxLogged)] }

// redirect sends the browser to a path of the console.
func (v *visit) redirect(to string) error {
	v.w.Header().Set("Location", to)
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// done ends what a form does: the browser goes to a path of the console, where message is
// shown, or to the overview if the visitor may not see that. The message is one of the
// console's own texts.
func (v *visit) done(to, message string) error {
	sep := "?"
	if strings.Contains(to, "?") {
		sep = "&"
	}
	return v.redirect(to + sep + "done=" + url.QueryEscape(message) + "&did=" + v.didMark(message))
}

// didMark goes with a message in an address, so that no link from elsewhere says that this
// session has done something.
func (v *visit) didMark(message string) string {
	h := hmac.New(sha256.New, []byte(v.session.Form))
	h.Write([]byte(message))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:12])
}

// did is the message that the page's address has, "" if it is not of this session.
func (v *visit) did() string {
	m := v.query("done")
	if v.texts.known(m) && subtle.ConstantTimeCompare([]byte(v.query("did")), []byte(v.didMark(m))) == 1 {
		return m
	}
	return ""
}

// formValue is what a field of the form has, without space around it.
func (v *visit) formValue(name string) string { return strings.TrimSpace(v.r.PostForm.Get(name)) }

// query is a parameter of the page's address.
func (v *visit) query(name string) string { return v.r.URL.Query().Get(name) }

// host is under which clients know the registry.
func (v *visit) host() string {
	if v.Host != "" {
		return v.Host
	}
	if v.Port == "" {
		return v.r.Host
	}
	name, _, err := net.SplitHostPort(v.r.Host)
	if err != nil {
		name = strings.Trim(v.r.Host, "[]")
	}
	return net.JoinHostPort(name, v.Port)
}

// Page is what every template gets.
type Page struct {
	Format         // texts and numbers in the visitor's language
	Title   string // in that language
	Section string // of the menu, that is shown as current
	Done    string // what a form has done, "" on other pages
	Error   *Failure
	Data    any // of the page

	visit *visit
}

// render writes a page; template is its name, title in the visitor's language. Where the
// browser wants a part of the page, it gets the page and takes the part.
func (v *visit) render(status int, template, title string, data any) error {
	return v.show(status, template, &Page{Title: title, Data: data})
}

// refuse is render for a form that cannot be done as it is filled in: with what is wrong
// above it. An error that is not about the form is returned.
func (v *visit) refuse(cause error, template, title string, data any) error {
	f := v.failure(cause)
	if f == nil {
		return cause
	}
	return v.show(f.Status, template, &Page{Title: title, Data: data, Error: f})
}

func (v *visit) show(status int, template string, p *Page) error {
	p.Format, p.visit = v.format(), v
	if m := v.did(); m != "" {
		p.Done = v.T(m)
	}
	var b bounded
	if err := v.pages.write(&b, template, p); err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.Header().Set("Content-Language", string(v.lang))
	v.w.WriteHeader(status)
	_, err := v.w.Write(b.text.Bytes())
	return err
}

// maxPage is how many bytes a page may have: it is made in memory. What pages show is bounded
// where it is read, so that none comes near.
const maxPage = 16 << 20

// bounded is a page that is being made.
type bounded struct{ text bytes.Buffer }

// Write adds to the page. Errors: errs.LimitExceeded.
func (b *bounded) Write(p []byte) (int, error) {
	if b.text.Len()+len(p) > maxPage {
		return 0, errs.New(errs.LimitExceeded, "this page would have more than %d MiB, and is not shown; the API tells the same page by page", maxPage>>20)
	}
	return b.text.Write(p)
}

// About is the page for a part of it that is about less.
func (p *Page) About(data any) *Page {
	q := *p
	q.Data = data
	return &q
}

// format is how the visitor reads.
func (v *visit) format() Format { return Format{v.texts, v.lang, v.now} }

// T is a text of the console in the visitor's language.
func (v *visit) T(text string, args ...any) string { return v.texts.in(v.lang, text, args...) }

// What templates ask of a page beside texts.

func (p *Page) Lang() string     { return string(p.visit.lang) }
func (p *Page) Theme() string    { return p.visit.theme }
func (p *Page) SignedIn() bool   { return p.visit.session.Form != "" }
func (p *Page) User() string     { return p.visit.session.Caller.Name }
func (p *Page) Root() bool       { return p.visit.session.Caller.Root }
func (p *Page) Form() string     { return p.visit.session.Form }
func (p *Page) Registry() string { return p.visit.ID }
func (p *Page) Region() string   { return p.visit.Region }
func (p *Page) Host() string     { return p.visit.host() }
func (p *Page) Version() string  { return p.visit.Version }
func (p *Page) Menu() []section  { return menu }

// Here is the page's address, to come back to. What answers a form has none: it is that of
// its section.
func (p *Page) Here() string {
	if p.visit.r.Method == http.MethodPost && p.SignedIn() {
		return cmp.Or(p.Section, Path)
	}
	return p.visit.r.URL.RequestURI()
}

// Answers says that the page answers a form: it has what no address has.
func (p *Page) Answers() bool { return p.visit.r.Method == http.MethodPost }

// Plain says that what is typed can be read on its way.
func (p *Page) Plain() bool { return !p.visit.encrypted() && !loopback(p.visit.r.Host) }

// May says whether the visitor may do an action that is on nothing in particular.
func (p *Page) May(action string) bool {
	return p.visit.Admin.May(p.visit.ctx(), p.visit.caller(), action) == nil
}

// Static is the address of a file of the console's own.
func (p *Page) Static(file string) string { return p.visit.static.path(file) }
