package awsapi

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"
)

// errToken is why a request with a session token is refused: none is issued here.
var errToken = errors.New("it comes with a session token")

// verifier verifies Signature Version 4 in the Authorization header: over the
// headers that the client chose to sign, which must have host and every x-amz-*
// header of the request, over the query and over the body. It does not know
// signed URLs, chunked payloads and session tokens, and refuses them.
type verifier struct {
	who  *auth.Auth
	skew time.Duration
	now  func() time.Time
}

// signature is an Authorization header, taken apart.
type signature struct {
	keyID, date, region, service string
	headers                      []string // signed, in lower case and order
	value                        string
}

func (s *signature) scope() string {
	return strings.Join([]string{s.date, s.region, s.service, terminator}, "/")
}

// claim is what a request says of its signature, before that is verified.
type claim struct {
	*signature
	at     time.Time
	secret string
	caller iam.Caller // whose access key it names
}

// claim reads a request's signature and finds its access key, which counts. Errors:
// as verify.
func (v *verifier) claim(ctx context.Context, r *http.Request) (*claim, error) {
	s, err := parseAuthorization(r.Header.Values("Authorization"))
	if err != nil {
		return nil, err
	}
	at, err := v.signedAt(r, s)
	if err != nil {
		return nil, err
	}
	if err := mustSign(r, s); err != nil {
		return nil, err
	}
	secret, caller, err := v.who.Secret(ctx, s.keyID)
	if errs.CodeOf(err) == errs.Unauthenticated || err == nil && len(r.Header.Values("X-Amz-Security-Token")) > 0 {
		x := except("UnrecognizedClientException", errs.Unauthenticated, "The security token included in the request is invalid.")
		x.err.Err = fmt.Errorf("access key %q: %w", clip(s.keyID), cmp.Or(err, errToken))
		return nil, x
	}
	if err != nil {
		return nil, err
	}
	if err := v.inTime(at); err != nil {
		return nil, err
	}
	return &claim{s, at, secret, caller}, nil
}

// verify returns who signed the request and for which service. Errors:
// *exception with the codes and texts of AWS.
func (v *verifier) verify(ctx context.Context, r *http.Request, body []byte) (iam.Caller, string, error) {
	s, err := v.claim(ctx, r)
	if err != nil {
		return iam.Caller{}, "", err
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	if h := r.Header.Values("X-Amz-Content-Sha256"); len(h) > 0 && (len(h) > 1 || h[0] != hash) {
		return iam.Caller{}, "", invalid("The value passed in x-amz-content-sha256 is not the SHA-256 of the request's body.")
	}
	canonical := canonicalRequest(r, s.signature, hash)
	toSign := stringToSign(s.signature, s.at, canonical)
	if subtle.ConstantTimeCompare([]byte(s.value), []byte(sign(s.secret, s.signature, toSign))) != 1 {
		return iam.Caller{}, "", mismatch(s.signature, canonical, toSign)
	}
	s.caller.Context = v.who.Context(r)
	return s.caller, s.service, nil
}

func incomplete(format string, args ...any) error {
	return except("IncompleteSignatureException", errs.Unauthenticated, format, args...)
}

func invalid(format string, args ...any) error {
	return except("InvalidSignatureException", errs.Unauthenticated, format, args...)
}

// mismatch tells the client what it should have signed, as AWS does. That stays
// out of the log: a session token may be in it.
func mismatch(s *signature, canonical, toSign string) error {
	x := except("InvalidSignatureException", errs.Unauthenticated, "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	x.err.Err = fmt.Errorf("access key %q", clip(s.keyID))
	x.detail = "\n\nThe Canonical String for this request should have been\n'" + canonical + "'\n\nThe String-to-Sign should have been\n'" + toSign + "'\n"
	return x
}

// parseAuthorization takes the header apart.
func parseAuthorization(values []string) (*signature, error) {
	if len(values) == 0 {
		return nil, except("MissingAuthenticationTokenException", errs.Unauthenticated, "Missing Authentication Token")
	}
	rest, ok := strings.CutPrefix(values[0], algorithm+" ")
	if !ok || len(values) > 1 {
		return nil, incomplete("Authorization header requires one signature of algorithm %s.", algorithm)
	}
	params := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		k, val, _ := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := params[k]; twice {
			return nil, incomplete("Authorization header has '%s' more than once.", clip(k))
		}
		params[k] = val
	}
	for _, k := range []string{"Credential", "Signature", "SignedHeaders"} {
		if params[k] == "" {
			return nil, incomplete("Authorization header requires '%s' parameter.", k)
		}
	}
	cred := strings.Split(params["Credential"], "/")
	if len(cred) != 5 || slices.Contains(cred, "") {
		return nil, incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", clip(params["Credential"]))
	}
	if cred[4] != terminator {
		return nil, invalid("Credential should be scoped with a valid terminator: '%s', not '%s'.", terminator, clip(cred[4]))
	}
	s := &signature{keyID: cred[0], date: cred[1], region: cred[2], service: cred[3], value: params["Signature"]}
	s.headers = strings.Split(params["SignedHeaders"], ";")
	for i, h := range s.headers {
		if h == "" || h != strings.ToLower(h) || i > 0 && h <= s.headers[i-1] {
			return nil, incomplete("SignedHeaders must be in lower case, sorted, and each of them once.")
		}
	}
	return s, nil
}

// signedAt returns the time of the signature, which its scope must agree with.
func (v *verifier) signedAt(r *http.Request, s *signature) (time.Time, error) {
	text := r.Header.Get("X-Amz-Date")
	at, err := time.Parse(timeFormat, text)
	if err != nil {
		return at, incomplete("The request requires an 'X-Amz-Date' header in ISO 8601 form, such as 20150830T123600Z, got '%s'", clip(text))
	}
	if day := text[:8]; day != s.date {
		return at, invalid("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.", clip(s.date), day, text)
	}
	return at, nil
}

// inTime compares the client's clock with ours, in AWS's words, which SDKs look
// for, and for people in plain ones.
func (v *verifier) inTime(at time.Time) error {
	now := v.now().UTC().Truncate(time.Second)
	tolerance := fmt.Sprintf("%d min.", int(v.skew.Minutes()))
	if early := now.Add(-v.skew); at.Before(early) {
		return invalid("Signature expired: %s is now earlier than %s (%s - %s) The client's clock is %s behind weir's.",
			at.Format(timeFormat), early.Format(timeFormat), now.Format(timeFormat), tolerance, now.Sub(at))
	}
	if late := now.Add(v.skew); at.After(late) {
		return invalid("Signature not yet current: %s is still later than %s (%s + %s) The client's clock is %s ahead of weir's.",
			at.Format(timeFormat), late.Format(timeFormat), now.Format(timeFormat), tolerance, at.Sub(now))
	}
	return nil
}

// mustSign checks that what decides about a request is signed.
func mustSign(r *http.Request, s *signature) error {
	if !slices.Contains(s.headers, "host") {
		return invalid("'Host' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for k := range r.Header {
		if k := strings.ToLower(k); strings.HasPrefix(k, "x-amz-") && !slices.Contains(s.headers, k) {
			return invalid("'%s' must be a 'SignedHeader' in the AWS Authorization.", clip(k))
		}
	}
	for _, h := range s.headers {
		if h != "host" && h != "content-length" && len(r.Header.Values(h)) == 0 {
			return invalid("'%s' is a 'SignedHeader' in the AWS Authorization, but the request has no such header.", clip(h))
		}
	}
	return nil
}

// canonicalRequest is step 1 of AWS's "Create a signed AWS API request". The path
// is always / here.
func canonicalRequest(r *http.Request, s *signature, bodyHash string) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n/\n" + canonicalQuery(r.URL.RawQuery) + "\n")
	for _, h := range s.headers {
		values := slices.Clone(r.Header.Values(h))
		switch {
		case h == "host":
			values = []string{r.Host}
		case h == "content-length":
			values = []string{strconv.FormatInt(r.ContentLength, 10)}
		}
		for i, v := range values {
			values[i] = trimAll(v)
		}
		b.WriteString(h + ":" + strings.Join(values, ",") + "\n")
	}
	b.WriteString("\n" + strings.Join(s.headers, ";") + "\n" + bodyHash)
	return b.String()
}

// canonicalQuery sorts a query by name and then value; a name without = has an
// empty value. Signers escape what they send, so it is as it should be.
func canonicalQuery(raw string) string {
	if raw == "" {
		return ""
	}
	pairs := strings.Split(raw, "&")
	for i, p := range pairs {
		if !strings.Contains(p, "=") {
			pairs[i] = p + "="
		}
	}
	slices.SortFunc(pairs, func(a, b string) int {
		ak, av, _ := strings.Cut(a, "=")
		bk, bv, _ := strings.Cut(b, "=")
		if c := strings.Compare(ak, bk); c != 0 {
			return c
		}
		return strings.Compare(av, bv)
	})
	return strings.Join(pairs, "&")
}

// trimAll removes spaces around a value and doubled ones in it.
func trimAll(s string) string {
	s = strings.Trim(s, " ")
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return s
}

func stringToSign(s *signature, at time.Time, canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return strings.Join([]string{algorithm, at.Format(timeFormat), s.scope(), hex.EncodeToString(sum[:])}, "\n")
}

func sign(secret string, s *signature, toSign string) string {
	key := []byte("AWS4" + secret)
	for _, part := range []string{s.date, s.region, s.service, terminator} {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, toSign))
}

func mac(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s))
	return h.Sum(nil)
}

// clip keeps what a stranger sent short enough for a message.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
