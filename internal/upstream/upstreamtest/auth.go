package upstreamtest

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// token is what a Bearer token stands for.
type token struct {
	scopes  []string
	expires time.Time
}

// Revoke makes every token that was given out expired.
func (r *Registry) Revoke() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, t := range r.tokens {
		t.expires = time.Time{}
		r.tokens[k] = t
	}
}

// SetUser adds a user; from then on there are no anonymous tokens.
func (r *Registry) SetUser(name, password string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.opts.Users == nil {
		r.opts.Users = map[string]string{}
	}
	r.opts.Users[name] = password
}

// SetRealm makes challenges name this realm, whoever serves it.
func (r *Registry) SetRealm(url string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.site.Realm = url
}

// knows says whether the request has a user's password; without Authorization, whether
// there are no users.
func (r *Registry) knows(req *http.Request) bool {
	user, password, basic := req.BasicAuth()
	r.mu.Lock()
	defer r.mu.Unlock()
	want, ok := r.opts.Users[user]
	return basic && ok && want == password || !basic && len(r.opts.Users) == 0
}

// serveToken is the realm, at whatever path.
func (r *Registry) serveToken(w http.ResponseWriter, req *http.Request) {
	if !r.knows(req) {
		fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "incorrect username or password")
		return
	}
	if got := req.FormValue("service"); r.opts.Service != "" && got != r.opts.Service {
		fail(w, http.StatusBadRequest, "UNSUPPORTED", "service "+strconv.Quote(got))
		return
	}
	life := r.opts.TokenLife
	if life == 0 {
		life = 60 * time.Second
	}
	text := "token-" + rand.Text()
	r.mu.Lock()
	r.tokens[text] = token{strings.Fields(strings.Join(req.URL.Query()["scope"], " ")), time.Now().Add(life)}
	r.mu.Unlock()
	answer := map[string]any{"token": text}
	if r.is(TokenField) {
		answer = map[string]any{"access_token": text}
	}
	if r.opts.TokenLife != 0 {
		answer["expires_in"] = int(life / time.Second)
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}

// allowed says whether req may have repo, or for "" whether it has logged in; if not,
// it has answered.
func (r *Registry) allowed(w http.ResponseWriter, req *http.Request, repo string) bool {
	switch r.opts.Auth {
	case Basic:
		if r.knows(req) {
			return true
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="upstreamtest"`)
		fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
		return false
	case Token:
		return r.tokenAllows(w, req, repo)
	}
	return true
}

func (r *Registry) tokenAllows(w http.ResponseWriter, req *http.Request, repo string) bool {
	scope := "repository:" + repo + ":pull"
	push := req.Method != http.MethodGet && req.Method != http.MethodHead
	if push {
		scope += ",push"
	}
	text, _ := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	r.mu.Lock()
	t, given := r.tokens[text]
	r.mu.Unlock()
	expired := given && !time.Now().Before(t.expires)
	granted := repo == ""
	for _, s := range t.scopes {
		granted = granted || strings.HasPrefix(s, scope)
	}
	if expired && r.is(ExpiredForbidden) {
		fail(w, http.StatusForbidden, "DENIED", "Your authorization token has expired. Reauthenticate and try again.")
		return false
	}
	if given && !expired && granted && (repo == "" || push || r.known(repo) || !r.is(UnknownDenied)) {
		return true
	}
	challenge := fmt.Sprintf(`Bearer realm="%s",service="%s"`, r.realm(req), cmp.Or(r.opts.Service, "upstreamtest"))
	if repo != "" && !r.is(NoScopeInBearer) {
		challenge += fmt.Sprintf(`,scope="%s"`, scope)
	}
	if given {
		challenge += `,error="insufficient_scope"`
	}
	w.Header().Set("WWW-Authenticate", challenge)
	fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	return false
}

func (r *Registry) realm(req *http.Request) string {
	if s := r.where(); s.Realm != "" {
		return s.Realm
	}
	return "http://" + req.Host + "/token"
}

// signed returns the URL of a blob at the second host.
func (r *Registry) signed(path string) string {
	expires := strconv.FormatInt(time.Now().Add(r.opts.SignedLife).UnixNano(), 10)
	q := url.Values{"expires": {expires}, "signature": {r.sign(path, expires)}}
	base := ""
	if !r.is(RelativeLocation) {
		base = r.where().CDN
	}
	return base + path + "?" + q.Encode()
}

func (r *Registry) sign(path, expires string) string {
	h := hmac.New(sha256.New, r.secret)
	fmt.Fprint(h, path, " ", expires)
	return fmt.Sprintf("%x", h.Sum(nil))
}

// verifySigned checks a request at the second host as object stores do; if it is
// refused, it has answered.
func (r *Registry) verifySigned(w http.ResponseWriter, req *http.Request) bool {
	q := req.URL.Query()
	expires, _ := strconv.ParseInt(q.Get("expires"), 10, 64)
	problem, status := "", http.StatusForbidden
	switch {
	case req.Header.Get("Authorization") != "" && !r.is(RelativeLocation) || req.Header.Get("Cookie") != "":
		problem, status = "Only one auth mechanism allowed", http.StatusBadRequest
	case q.Get("signature") != r.sign(req.URL.Path, q.Get("expires")):
		problem = "SignatureDoesNotMatch"
	case time.Now().UnixNano() >= expires:
		problem = "Request has expired"
	default:
		return true
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>AccessDenied</Code><Message>%s</Message></Error>", problem)
	return false
}
