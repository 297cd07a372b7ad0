package upstream

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/weir-registry/weir/internal/errs"
)

const (
	maxReason = 200 // bytes of an upstream's own words in a message
	maxRetry  = time.Hour * 24
)

// lacking are the answers of registries that do not have what was asked for, beside
// 404. 303 leads to a page for people.
var lacking = []int{
	http.StatusSeeOther, http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotAcceptable,
	http.StatusGone, http.StatusUnsupportedMediaType, http.StatusNotImplemented,
}

// asked is one question to an upstream, for its requests and its messages.
type asked struct {
	method   string
	repo     string // of a token's: its scopes
	path     string // behind /v2/
	query    string // of a list's page
	header   http.Header
	blob     bool
	list     bool
	push     bool   // of a Pusher
	from     string // another repository that is read for it; "": none
	optional bool   // of an API that registries may lack
	what     string // "manifest library/nginx:latest"

	body    func() (io.ReadCloser, error) // called for each request; nil: none
	length  int64                         // of the body
	missing errs.Code
}

// fail makes the error of a question; at is the host that failed, where it is another.
func (r *Registry) fail(q *asked, at string, code errs.Code, cause error, format string, args ...any) *errs.Error {
	host, why := r.h.name+": ", fmt.Sprintf(format, args...)
	if at != "" && at != r.h.name {
		why = at + ": " + why
	}
	return &errs.Error{Code: code, Msg: host + q.what + ": " + why, Unnamed: host + why, Err: cause}
}

// names says whether an upstream's words may tell the repository or the reference that q
// asks for: whether any part of them is found there.
func (q *asked) names(words string) bool {
	words = strings.ToLower(words)
	parts := strings.FieldsFunc(q.repo+"/"+q.path, func(c rune) bool { return strings.ContainsRune("/: ", c) })
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(words, strings.ToLower(part)) })
}

// ended returns the error of a context that is over, nil if it is not.
func (r *Registry) ended(ctx context.Context, q *asked) error {
	switch err := ctx.Err(); {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return r.fail(q, "", errs.UpstreamTimeout, err, "no answer in time")
	default:
		return fmt.Errorf("%s: %s: %w", r.h.name, q.what, err)
	}
}

// transport makes the error of a request to u that got no answer.
func (r *Registry) transport(ctx context.Context, e *endpoint, u *url.URL, q *asked, err error) error {
	if over := r.ended(ctx, q); over != nil {
		return over
	}
	at, code, reason := u.Host, errs.UpstreamUnreachable, clip(err.Error())
	if p, _ := r.h.proxy(u); p != nil {
		at += " through the proxy " + p.Host
	}
	var (
		no      *refusal
		dial    *dialError
		dns     *net.DNSError
		timeout net.Error
	)
	switch {
	case errors.As(err, &no):
		if origin(u) != e.origin {
			code = errs.UpstreamFailed // the upstream is there, but leads astray
		}
		at, reason, err = "", no.why, nil
	case errors.As(err, &dns) && dns.IsNotFound:
		reason = "no such host in DNS"
	case errors.As(err, &dns):
		reason = "DNS does not answer"
	case errors.Is(err, syscall.ECONNREFUSED):
		reason = "connection refused"
	case errors.As(err, &dial) && errors.Is(err, context.DeadlineExceeded):
		reason = fmt.Sprintf("no connection within %s", r.c.opts.DialTimeout)
	case errors.As(err, &dial):
		reason = "no connection"
	case strings.Contains(reason, "TLS handshake timeout"):
		reason = fmt.Sprintf("no TLS within %s", r.c.opts.DialTimeout)
	case errors.As(err, &timeout) && timeout.Timeout():
		code, reason = errs.UpstreamTimeout, fmt.Sprintf("no answer within %s", r.c.opts.HeaderTimeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		reason = "closed the connection without an answer"
	}
	return r.fail(q, at, code, err, "%s", reason)
}

// status makes the error of an answer that is not the one asked for, and closes it.
func (r *Registry) status(q *asked, res *http.Response) error {
	defer res.Body.Close()
	var code errs.Code
	var cause error
	switch s := res.StatusCode; {
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		code = errs.UpstreamDenied
		// What a token was given for, it may lack rights to.
		if s == http.StatusUnauthorized && !strings.HasPrefix(res.Request.Header.Get("Authorization"), "Bearer ") {
			cause = errs.ErrNoLogin
		}
	case s == http.StatusNotFound:
		code = q.missing
	case s == http.StatusTooManyRequests:
		code = errs.UpstreamRateLimited
	case s == http.StatusBadGateway, s == http.StatusServiceUnavailable, s == http.StatusProxyAuthRequired:
		code = errs.UpstreamUnreachable
	case s == http.StatusGatewayTimeout:
		code = errs.UpstreamTimeout
	case s == http.StatusRequestedRangeNotSatisfiable && q.header.Get("Range") != "":
		code = errs.RangeInvalid
	case q.optional && slices.Contains(lacking, s):
		code = errs.Unsupported
	case q.method == http.MethodHead && (s == http.StatusMethodNotAllowed || s == http.StatusNotImplemented):
		code = errs.Unsupported
	default:
		code = errs.UpstreamFailed
	}
	text := strconv.Itoa(res.StatusCode)
	if name := http.StatusText(res.StatusCode); name != "" {
		text += " " + name
	}
	at := res.Request.URL.Host
	e := r.fail(q, at, code, cause, "%s", text)
	if said := reason(res); said != "" {
		unnamed := e.Unnamed
		if e = r.fail(q, at, code, cause, "%s (%s)", text, said); q.names(said) {
			e.Unnamed = unnamed
		}
	}
	e.RetryAfter = retryAfter(res.Header.Get("Retry-After"))
	return e
}

// reason returns what a registry or a token service says in JSON, without what it may
// have quoted of the request.
func reason(res *http.Response) string {
	if !strings.Contains(res.Header.Get("Content-Type"), "json") {
		return ""
	}
	defer inTime(res)()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 8<<10))
	if err != nil {
		return ""
	}
	var body struct {
		Errors  []struct{ Code, Message string }
		Details string
		Message string
	}
	if json.Unmarshal(raw, &body) != nil {
		return ""
	}
	said := body.Details
	if said == "" {
		said = body.Message
	}
	if len(body.Errors) > 0 {
		if said = body.Errors[0].Message; said == "" {
			said = body.Errors[0].Code
		}
	}
	return clip(scrub(said, res.Request))
}

// scrub takes out of s what a request had that no message may have.
func scrub(s string, req *http.Request) string {
	for _, secret := range secrets(req) {
		s = strings.ReplaceAll(s, secret, "***")
	}
	return s
}

// scrubbed is err without what its text may quote of an answer that quotes the request.
func scrubbed(err error, req *http.Request) error {
	if text := err.Error(); scrub(text, req) != text {
		return errors.New(scrub(text, req))
	}
	return err
}

// secrets returns the token, the credential and the query of a request.
func secrets(req *http.Request) []string {
	var all []string
	add := func(s string) {
		if s != "" {
			all = append(all, s)
		}
	}
	add(req.URL.RawQuery)
	for _, values := range req.URL.Query() {
		for _, v := range values {
			if len(v) > 16 && !strings.HasPrefix(v, "repository:") {
				add(v)
			}
		}
	}
	_, value, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	add(value)
	if plain, err := base64.StdEncoding.DecodeString(value); err == nil {
		_, secret, _ := strings.Cut(string(plain), ":")
		add(secret)
	}
	return all
}

// clip keeps a stranger's words short and printable.
func clip(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "..."
	}
	return strings.TrimSpace(s)
}

// retryAfter reads seconds or a date; 0 if it is neither, or over.
func retryAfter(s string) time.Duration {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Duration(min(max(n, 0), int64(maxRetry/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return min(max(time.Until(at), 0), maxRetry)
	}
	return 0
}
