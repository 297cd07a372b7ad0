package upstream

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/errs"
)

const (
	maxTokenAnswer = 1 << 20
	defaultLife    = 60 * time.Second // of a token without expires_in, by Docker's specification
	maxLife        = 12 * time.Hour
	maxSlots       = 4096
)

// slotKey is what a token is good for.
type slotKey struct{ origin, scope string }

// slot keeps the token of a key. The scope is the one to ask for, which is the key's
// own except where the origin named another.
type slot struct {
	scope string
	grant *grant
}

// grant is one token, being asked for or given. All but done is set before done closes.
type grant struct {
	challenge challenge
	scope     string
	by        [sha256.Size]byte // the sum of the credential that it is asked for with
	done      chan struct{}
	token     string
	renew     time.Time // 80 % of its life
	err       error
}

func (g *grant) given() bool {
	select {
	case <-g.done:
		return true
	default:
		return false
	}
}

// over says whether another token has to be asked for.
func (g *grant) over() bool {
	return g.given() && (g.err != nil || !time.Now().Before(g.renew))
}

// grant returns the key's token, and whether it is younger than this call. All who
// want one at the same time share one request, which no one's leaving ends. A token
// of another credential than basic is forgotten: whoever changed that may have done
// so because the old one must not be used any more.
func (r *Registry) grant(ctx context.Context, e *endpoint, key slotKey, c challenge, basic string, q *asked) (g *grant, fresh bool, err error) {
	by := sha256.Sum256([]byte(basic))
	r.mu.Lock()
	s := r.slots[key]
	if s == nil {
		r.makeRoom()
		s = &slot{scope: key.scope}
		r.slots[key] = s
	}
	if s.grant != nil && s.grant.by != by {
		s.grant = nil
	}
	fresh = s.grant == nil || !s.grant.given()
	if s.grant == nil || s.grant.over() {
		s.grant, fresh = &grant{challenge: c, scope: s.scope, by: by, done: make(chan struct{})}, true
		r.fetchGrant(e, key, s.grant, basic)
	}
	g = s.grant
	r.mu.Unlock()
	select {
	case <-g.done:
		return g, fresh, g.err
	case <-ctx.Done():
		return nil, false, r.ended(ctx, q)
	}
}

// makeRoom drops what is over, where there are too many; r.mu is held.
func (r *Registry) makeRoom() {
	if len(r.slots) < maxSlots {
		return
	}
	for k, s := range r.slots {
		if s.grant == nil || s.grant.given() {
			delete(r.slots, k)
		}
	}
}

// drop forgets a token that was refused, unless there is a younger one already.
func (r *Registry) drop(key slotKey, g *grant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.slots[key]; s != nil && s.grant == g {
		s.grant = nil
	}
}

// rescope remembers that an origin wants another scope for key.
func (r *Registry) rescope(key slotKey, scope string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.slots[key]; s != nil {
		s.scope = scope
	} else {
		r.makeRoom()
		r.slots[key] = &slot{scope: scope}
	}
}

// fetchGrant has g's token asked for; r.mu is held.
func (r *Registry) fetchGrant(e *endpoint, key slotKey, g *grant, basic string) {
	spawned := r.c.spawn(func() {
		ctx, cancel := context.WithTimeout(r.c.ctx, r.c.opts.TokenTimeout)
		defer cancel()
		asked := time.Now()
		var life time.Duration
		g.token, life, g.err = r.fetchToken(ctx, e, g.challenge, g.scope, basic, "token for "+clip(g.scope))
		g.renew = asked.Add(life * 8 / 10)
		if errs.CodeOf(g.err) == errs.UpstreamFailed {
			r.h.learn(key.origin, challenge{}) // the realm may have moved: let the origin say
		}
		close(g.done)
	})
	if !spawned {
		g.err = context.Canceled
		close(g.done)
	}
}

// fetchToken asks the realm of c for a token of scope, "" for one that proves no more
// than a login. authorization is that of the credential, "" where the realm is not to
// have it: it goes to no realm that is not known for the upstream.
func (r *Registry) fetchToken(ctx context.Context, e *endpoint, c challenge, scope, authorization, what string) (string, time.Duration, error) {
	q := &asked{
		method: http.MethodGet, repo: scope, what: what, missing: errs.UpstreamFailed,
		header: r.header("application/json"),
	}
	u, err := r.realm(e, c.realm)
	if err != nil {
		return "", 0, r.fail(q, "", errs.UpstreamFailed, err, "its token realm is not a URL that weir asks")
	}
	if authorization != "" && origin(u) != e.origin && !r.h.knownRealm(u) {
		line := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
		return "", 0, r.fail(q, "", errs.UpstreamDenied, errs.ErrNoLogin,
			"it wants the credential sent to %s, which is not known for it; if that is right, add under upstreams: %q: {realms: [%q]}", line, r.h.name, line)
	}
	query := u.Query()
	if c.service != "" {
		query.Set("service", c.service)
	}
	for one := range strings.FieldsSeq(scope) {
		query.Add("scope", one)
	}
	u.RawQuery = query.Encode()
	home := origin(u)
	res, err := r.follow(ctx, e, u, q, func(u *url.URL) (*http.Response, error) {
		if origin(u) != home {
			return r.send(ctx, e, u, q, "")
		}
		return r.send(ctx, e, u, q, authorization)
	})
	if err != nil {
		return "", 0, err
	}
	if res.StatusCode != http.StatusOK {
		return "", 0, r.status(q, res)
	}
	defer res.Body.Close()
	return r.readToken(ctx, e, q, res)
}

// realm is the URL of a realm. One at the upstream's own host that forgot the TLS in
// front of it is taken for what it means.
func (r *Registry) realm(e *endpoint, s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("malformed") // the cause would quote it
	}
	if u.Scheme == "http" && e.url.Scheme == "https" && strings.EqualFold(u.Hostname(), e.url.Hostname()) {
		u.Scheme, u.Host = e.url.Scheme, e.url.Host
	}
	u.Fragment = ""
	return u, nil
}

// basic returns the Authorization of the credential as it is now, "" where it is an
// anonymous one.
func (r *Registry) basic(ctx context.Context, q *asked) (string, error) {
	user, secret, err := r.credential(ctx, q)
	if user == "" && secret == "" || err != nil {
		return "", err
	}
	return basicOf(user, secret), nil
}

func basicOf(user, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret))
}

// CredentialSum is a sum of the credential as it is now, which is another for every
// other one; "" where there is none or it cannot be read.
func (r *Registry) CredentialSum(ctx context.Context) string {
	if r.cred == nil {
		return ""
	}
	user, secret, err := r.cred(ctx)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(basicOf(user, secret)))
	return string(sum[:])
}

// credential reads the credential, two empty strings where there is none.
func (r *Registry) credential(ctx context.Context, q *asked) (user, secret string, err error) {
	if r.cred == nil {
		return "", "", nil
	}
	user, secret, err = r.cred(ctx)
	if err == nil {
		return user, secret, nil
	}
	if over := r.ended(ctx, q); over != nil {
		return "", "", over
	}
	why := "its credential cannot be read"
	if e := errs.As(err); e != nil && e.Code != errs.Internal {
		why += ": " + e.Msg
	}
	return "", "", r.fail(q, "", errs.UpstreamDenied, fmt.Errorf("%w: %w", errs.ErrNoCredential, err), "%s", why)
}

func (r *Registry) readToken(ctx context.Context, e *endpoint, q *asked, res *http.Response) (string, time.Duration, error) {
	at := res.Request.URL.Host
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxTokenAnswer))
	if err != nil {
		return "", 0, r.transport(ctx, e, res.Request.URL, q, err)
	}
	var answer struct {
		Token       string  `json:"token"`
		AccessToken string  `json:"access_token"`
		ExpiresIn   float64 `json:"expires_in"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil { // its text has no part of the answer but one character
		return "", 0, r.fail(q, at, errs.UpstreamFailed, err, "its answer is not a token")
	}
	token := answer.Token
	if token == "" {
		token = answer.AccessToken
	}
	if token == "" || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", 0, r.fail(q, at, errs.UpstreamFailed, nil, "its answer has no token")
	}
	life := defaultLife
	if answer.ExpiresIn > 0 {
		life = time.Duration(min(answer.ExpiresIn, maxLife.Seconds()) * float64(time.Second))
	}
	return token, life, nil
}
