package upstream

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/weir-registry/weir/internal/errs"
)

// Login finds out whether the upstream takes the credential, as `docker login` does:
// it asks for /v2/, for a token where the upstream wants one (never one that is kept),
// and for /v2/ with that. Without a credential it finds out whether the upstream and its
// token realm can be reached. The errors are those of the other methods, and their
// messages name the user; nil: all is well, for a login that has rights to nothing, too.
func (r *Registry) Login(ctx context.Context) error {
	return r.inOrder(ctx, func(e *endpoint) error { return r.loginAt(ctx, e) })
}

func (r *Registry) loginAt(ctx context.Context, e *endpoint) error {
	q := &asked{method: http.MethodGet, what: "login", missing: errs.UpstreamFailed, header: r.header("*/*")}
	user, secret, err := r.credential(ctx, q)
	if err != nil {
		return err
	}
	basic := ""
	q.what = "login without a credential"
	if user != "" || secret != "" {
		q.what = fmt.Sprintf("login as %q", clip(user))
		basic = basicOf(user, secret)
	}
	res, err := r.base(ctx, e, q, "")
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusUnauthorized {
		return r.status(q, res)
	}
	led := origin(res.Request.URL) != e.origin // elsewhere, where no credential goes
	c, offered := readChallenge(res.Header, true)
	switch open := res.StatusCode == http.StatusOK; {
	case basic == "" && (open || led):
		discard(res)
		return nil
	case led:
		discard(res)
		return r.fail(q, "", errs.UpstreamDenied, nil, "it leads to %s, where its credential does not go", res.Request.URL.Host)
	case open, offered && c.scheme == "basic" && basic != "":
		discard(res)
		return r.accepts(ctx, e, q, basic)
	case offered && c.scheme == "bearer":
		discard(res)
		return r.loginBearer(ctx, e, q, c, basic)
	case offered:
		discard(res)
		return r.fail(q, "", errs.UpstreamDenied, nil, "it wants a user name and a password")
	}
	return r.status(q, res)
}

// loginBearer asks for a token. A realm that gives nobody one without saying for which
// repository, as some do not, has been reached.
func (r *Registry) loginBearer(ctx context.Context, e *endpoint, q *asked, c challenge, basic string) error {
	within, cancel := context.WithTimeout(ctx, r.c.opts.TokenTimeout)
	defer cancel()
	token, _, err := r.fetchToken(within, e, c, "", basic, q.what)
	switch {
	case basic == "" && (err == nil || errs.CodeOf(err) == errs.UpstreamDenied || errs.CodeOf(err) == errs.UpstreamFailed):
		return nil
	case err != nil:
		return err
	}
	return r.accepts(ctx, e, q, "Bearer "+token)
}

// accepts asks for /v2/ with an Authorization.
func (r *Registry) accepts(ctx context.Context, e *endpoint, q *asked, authorization string) error {
	res, err := r.base(ctx, e, q, authorization)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return r.status(q, res)
	}
	discard(res)
	return nil
}

// base asks for /v2/. Authorization goes to the endpoint alone.
func (r *Registry) base(ctx context.Context, e *endpoint, q *asked, authorization string) (*http.Response, error) {
	u := *e.url
	u.Path += "/v2/"
	return r.follow(ctx, e, &u, q, func(u *url.URL) (*http.Response, error) {
		if origin(u) != e.origin {
			return r.send(ctx, e, u, q, "")
		}
		return r.send(ctx, e, u, q, authorization)
	})
}
