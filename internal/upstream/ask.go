package upstream

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/errs"
)

const (
	maxRedirects = 5
	maxDrain     = 64 << 10         // of an answer that is thrown away, so that its connection lives
	wordsTimeout = 10 * time.Second // of the body of an answer that is thrown away, or tells what is wrong
)

// header is what every request has.
func (r *Registry) header(accept ...string) http.Header {
	return http.Header{"User-Agent": {r.c.opts.UserAgent}, "Accept-Encoding": {"identity"}, "Accept": accept}
}

// ask sends a question to the endpoints in order and returns the first answer: status
// 200, or 206 to a range. The caller closes its body.
func (r *Registry) ask(ctx context.Context, q *asked) (*http.Response, error) {
	var res *http.Response
	err := r.inOrder(ctx, func(e *endpoint) (err error) {
		res, err = r.askOne(ctx, e, q)
		return err
	})
	return res, err
}

// inOrder has endpoints asked until one is not away.
func (r *Registry) inOrder(ctx context.Context, ask func(*endpoint) error) error {
	if r.bad != nil {
		return r.bad
	}
	var err error
	for i, e := range r.h.order() {
		if i > 0 {
			r.c.opts.Logger.Warn("endpoint is away; asking the next", "upstream", r.h.name, "next", e.url.Host, "error", err)
		}
		if err = ask(e); err == nil {
			e.note(time.Time{})
			return nil
		}
		code := errs.CodeOf(err)
		if away := code == errs.UpstreamUnreachable || code == errs.UpstreamTimeout; !away || ctx.Err() != nil {
			return err
		}
		e.note(time.Now())
	}
	return err
}

func (r *Registry) askOne(ctx context.Context, e *endpoint, q *asked) (*http.Response, error) {
	u := *e.url
	u.Path += "/v2/" + q.path
	if q.query != "" {
		u.RawQuery = q.query
	}
	res, err := r.follow(ctx, e, &u, q, func(u *url.URL) (*http.Response, error) {
		return r.authorized(ctx, e, u, q)
	})
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK && (res.StatusCode != http.StatusPartialContent || q.header.Get("Range") == "") {
		return nil, r.status(q, res)
	}
	if enc := res.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		res.Body.Close()
		return nil, r.fail(q, res.Request.URL.Host, errs.UpstreamFailed, nil, "sent Content-Encoding %s, which was not asked for", clip(enc))
	}
	return res, nil
}

// follow sends to u, and on to where redirects lead.
func (r *Registry) follow(ctx context.Context, e *endpoint, u *url.URL, q *asked, send func(*url.URL) (*http.Response, error)) (*http.Response, error) {
	for hop := 0; ; hop++ {
		if err := r.h.permit(e, u); err != nil {
			return nil, r.transport(ctx, e, u, q, err)
		}
		r.h.see(u)
		res, err := send(u)
		if err != nil {
			return nil, err
		}
		switch res.StatusCode {
		case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
			if q.push && q.method != http.MethodHead { // the body is not wanted there
				return res, nil
			}
		default:
			return res, nil
		}
		if q.optional && res.StatusCode == http.StatusSeeOther {
			return res, nil
		}
		discard(res)
		location := res.Header.Get("Location")
		next, err := u.Parse(location)
		if location == "" || err != nil { // whose text would have the URL
			return nil, r.fail(q, u.Host, errs.UpstreamFailed, nil, "redirects without saying where")
		}
		if hop == maxRedirects {
			return nil, r.fail(q, u.Host, errs.UpstreamFailed, nil, "more than %d redirects", maxRedirects)
		}
		next.Fragment = ""
		u = next
	}
}

// authorized sends to u with what its origin is known to want, and once more with a
// fresh token if it turns out to want another.
func (r *Registry) authorized(ctx context.Context, e *endpoint, u *url.URL, q *asked) (*http.Response, error) {
	at := origin(u)
	key := slotKey{at, scopeOf(u)}
	if at == e.origin {
		key.scope = q.scope()
	}
	if key.scope == "" {
		return r.send(ctx, e, u, q, "") // a signed URL, or nothing that tokens are for
	}
	c := r.challenge(e, at)
	header, g, fresh, err := r.authorization(ctx, e, key, c, q)
	if err != nil {
		return nil, err
	}
	res, err := r.send(ctx, e, u, q, header)
	if err != nil || res.StatusCode != http.StatusUnauthorized && res.StatusCode != http.StatusForbidden {
		return res, err
	}
	next, offered := readChallenge(res.Header, r.cred != nil && at == e.origin)
	if res.StatusCode == http.StatusForbidden && !offered {
		next, offered = c, g != nil
	}
	scope := next.scopeFor(key.scope)
	switch {
	case next.scheme == "basic" && header != "" && g == nil, !offered && strings.HasPrefix(header, "Basic "):
		return r.renewed(ctx, e, u, q, header, res)
	case !offered:
		return res, nil
	case g != nil && fresh && next.realm == g.challenge.realm && next.service == g.challenge.service && scope == g.scope:
		return res, nil
	}
	discard(res)
	r.h.learn(at, next)
	if g != nil {
		r.drop(key, g)
	}
	if scope != key.scope {
		r.rescope(key, scope)
	}
	header, _, _, err = r.authorization(ctx, e, key, next, q)
	if err != nil {
		return nil, err
	}
	return r.send(ctx, e, u, q, header)
}

// renewed sends once more where the credential has become another since it was
// refused, as refused may have made it; else it returns the refusal.
func (r *Registry) renewed(ctx context.Context, e *endpoint, u *url.URL, q *asked, refused string, res *http.Response) (*http.Response, error) {
	if r.refused != nil {
		r.refused()
	}
	header, err := r.basic(ctx, q)
	if err != nil || header == refused || header == "" {
		return res, nil // which says more than that there is no credential any more
	}
	discard(res)
	return r.send(ctx, e, u, q, header)
}

// authorization returns the header for an origin's challenge, with the token in it
// where it is one.
func (r *Registry) authorization(ctx context.Context, e *endpoint, key slotKey, c challenge, q *asked) (header string, g *grant, fresh bool, err error) {
	switch {
	case c.scheme == "basic" && r.cred != nil && key.origin == e.origin:
		header, err = r.basic(ctx, q)
		return header, nil, false, err
	case c.scheme == "bearer":
		basic := ""
		if key.origin == e.origin {
			if basic, err = r.basic(ctx, q); err != nil {
				return "", nil, false, err
			}
		}
		if g, fresh, err = r.grant(ctx, e, key, c, basic, q); err != nil {
			return "", nil, false, err
		}
		return "Bearer " + g.token, g, fresh, nil
	}
	return "", nil, false, nil
}

// send sends one request, as it is, to one URL that permit has passed.
func (r *Registry) send(ctx context.Context, e *endpoint, u *url.URL, q *asked, authorization string) (*http.Response, error) {
	header := q.header
	if authorization != "" {
		header = header.Clone()
		header.Set("Authorization", authorization)
	}
	req := (&http.Request{Method: q.method, URL: u, Host: u.Host, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	if q.body != nil {
		body, err := q.body()
		if err != nil {
			return nil, err
		}
		req.Body, req.GetBody, req.ContentLength = body, q.body, q.length
	}
	pool := r.h.direct
	p, err := r.h.proxy(u)
	if err != nil {
		return nil, r.fail(q, "", errs.UpstreamUnreachable, nil, "the environment's proxy is malformed")
	}
	if p != nil {
		pool = r.h.proxied
	}
	t := pool.api
	switch {
	case q.body != nil:
		t = pool.push
	case q.blob:
		t = pool.blob
	}
	res, err := t.RoundTrip(req)
	r.h.tally.count(ctx, q, res, err)
	r.told(res, err)
	if err != nil {
		return nil, r.transport(ctx, e, u, q, scrubbed(err, req))
	}
	return res, nil
}

// discard throws an answer away and keeps its connection if that is cheap.
func discard(res *http.Response) {
	defer inTime(res)()
	if res.ContentLength >= 0 && res.ContentLength <= maxDrain {
		io.Copy(io.Discard, res.Body)
	}
	res.Body.Close()
}

// inTime has an answer's body end soon, whatever the other end does, until stop is
// called: most bodies have no other end than that of their context, which may be far.
func inTime(res *http.Response) (stop func() bool) {
	return time.AfterFunc(wordsTimeout, func() { res.Body.Close() }).Stop
}

// scope is what a token for the question is asked for.
func (q *asked) scope() string {
	switch {
	case !q.push:
		return pullScope(q.repo)
	case q.from != "":
		return pushScope(q.repo) + " " + pullScope(q.from)
	}
	return pushScope(q.repo)
}

// pushScope is what a token for pushes to a repository is asked for.
func pushScope(repo string) string { return "repository:" + repo + ":pull,push" }

// pullScope is what a token for a repository is asked for.
func pullScope(repo string) string { return "repository:" + repo + ":pull" }

// scopeOf derives the scope from a URL of the distribution specification; "" if it is none.
func scopeOf(u *url.URL) string {
	path, ok := strings.CutPrefix(u.Path, "/v2/")
	for _, sep := range []string{"/manifests/", "/blobs/", "/referrers/", "/tags/list"} {
		if i := strings.LastIndex(path, sep); ok && i > 0 {
			return pullScope(path[:i])
		}
	}
	return ""
}

// scopeFor is the scope to ask for where own would do, unless the challenge names
// another repository, or something that is no repository.
func (c challenge) scopeFor(own string) string {
	first, _, _ := strings.Cut(own, " ")
	if c.scope == "" || strings.HasPrefix(c.scope, first[:strings.LastIndexByte(first, ':')+1]) {
		return own
	}
	return c.scope
}
