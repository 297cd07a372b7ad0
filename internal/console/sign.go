package console

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/errs"
)

// The cookies. That of the session goes only to this host, and not along with requests
// that other sites make.
const (
	sessionCookie = "weir-session"
	themeCookie   = "weir-theme"
	langCookie    = "weir-language"
)

// encrypted says whether the browser asks by TLS.
func (v *visit) encrypted() bool { return v.Auth.Context(v.r).TLS }

// cookieName is what the session's cookie is called. By TLS no other host can set one of
// its name, whatever the domain that they share; that needs the path to be all of the
// host, and nothing but the console reads it.
func (v *visit) cookieName() string {
	if v.encrypted() {
		return "__Host-" + sessionCookie
	}
	return sessionCookie
}

func (v *visit) setSession(value string) {
	k := &http.Cookie{Name: v.cookieName(), Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: v.encrypted()}
	if value == "" {
		k.MaxAge = -1
	}
	http.SetCookie(v.w, k)
}

// signIn is what the form of the sign-in page is filled with.
type signIn struct {
	KeyID, Next string
	Hours       int // that a session lasts at most
}

func (v *visit) signInPage() error {
	next := nextOf(v.query("next"))
	if k, err := v.r.Cookie(v.cookieName()); err == nil {
		if _, err := v.Auth.Session(v.r, k.Value); err == nil {
			return v.redirect(next)
		}
	}
	return v.render(http.StatusOK, "sign-in", v.T("Sign in"), signIn{Next: next, Hours: int(auth.SessionLife / time.Hour)})
}

func (v *visit) signIn() error {
	in := signIn{KeyID: v.formValue("key"), Next: nextOf(v.formValue("next")), Hours: int(auth.SessionLife / time.Hour)}
	value, err := v.Auth.SignIn(v.r, in.KeyID, v.formValue("secret"))
	if err != nil {
		return v.refuse(err, "sign-in", v.T("Sign in"), in)
	}
	v.setSession(value)
	if s, err := v.Auth.Session(v.r, value); err == nil {
		v.w.Principal, v.w.Reference = s.Caller.Name, s.Caller.KeyID
	}
	return v.redirect(in.Next)
}

func (v *visit) signOut() error {
	if k, err := v.r.Cookie(v.cookieName()); err == nil {
		if s, err := v.Auth.Session(v.r, k.Value); err == nil {
			v.w.Principal, v.w.Reference = s.Caller.Name, s.Caller.KeyID
		}
		v.Auth.SignOut(k.Value)
	}
	v.setSession("")
	v.session = auth.Session{}
	return v.done(Path+"sign-in", "You are signed out.")
}

// setPreferences keeps language and theme in the browser, for whoever uses it.
func (v *visit) setPreferences() error {
	for name, ok := range map[string]func(string) bool{
		themeCookie: func(s string) bool { return s == "light" || s == "dark" || s == "auto" },
		langCookie:  func(s string) bool { return languageNamed(s) != "" },
	} {
		value := v.formValue(strings.TrimPrefix(name, "weir-"))
		if value == "" {
			continue
		}
		if !ok(value) {
			return errs.New(errs.ParamInvalid, "there is no %s %q", strings.TrimPrefix(name, "weir-"), value)
		}
		http.SetCookie(v.w, &http.Cookie{Name: name, Value: value, Path: Path, MaxAge: 365 * 24 * 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: v.encrypted()})
	}
	return v.redirect(nextOf(v.formValue("next")))
}

// nextOf is a page of the console to go to, and the overview for anything else: not a page
// of another host.
func nextOf(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.Host != "" || u.Scheme != "" || u.Opaque != "" || !strings.HasPrefix(u.Path, Path) || strings.ContainsAny(path, "\\\n\r") ||
		strings.HasPrefix(u.Path, Path+"sign-") {
		return Path
	}
	return u.RequestURI()
}

// loopback says whether a host of a request is this machine.
func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
