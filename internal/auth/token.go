package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
)

// TokenUser is the user name that goes with a registry token, as in ECR.
const TokenUser = "AWS"

const (
	tokenLife   = 12 * time.Hour
	tokenFormat = "weir1"
	maxToken    = 1024
)

// Token returns a registry token for the access key of c: base64 of TokenUser, a
// colon and the password that Basic takes until expires, after at most 12 hours,
// and for no longer than the access key counts. It is shorter than 1 KiB. Errors:
// errs.Denied or Unauthenticated unless c may have one.
func (a *Auth) Token(ctx context.Context, c iam.Caller) (token string, expires time.Time, err error) {
	if err := c.Allowed(iam.GetAuthorizationToken, "*"); err != nil {
		return "", time.Time{}, err
	}
	if c.KeyID == "" {
		return "", time.Time{}, errs.New(errs.Denied, "a registry token is for an access key, and %s asks without one", c.Name)
	}
	k, err := a.active(ctx, c.KeyID)
	if err != nil {
		return "", time.Time{}, err
	}
	expires = time.Now().Add(tokenLife).UTC().Truncate(time.Second)
	if !k.Expires.IsZero() && k.Expires.Before(expires) {
		expires = k.Expires.UTC().Truncate(time.Second)
	}
	password := a.sign(tokenClaims{a.registry, expires, k.ID})
	token = base64.StdEncoding.EncodeToString([]byte(TokenUser + ":" + password))
	if len(token) >= maxToken {
		return "", time.Time{}, fmt.Errorf("registry token for access key %s has %d bytes", clip(k.ID), len(token))
	}
	return token, expires, nil
}

// tokenClaims is what a token says. That it is for an access key and not for a
// principal lets it die with the key.
type tokenClaims struct {
	registry string
	expires  time.Time
	keyID    string
}

// sign returns a token's password: format, registry, expiry and access key, and
// the HMAC of all of it, separated by dots. It has no character that a shell, a
// header or a JSON string would need to escape.
func (a *Auth) sign(t tokenClaims) string {
	text := strings.Join([]string{tokenFormat, t.registry, strconv.FormatInt(t.expires.Unix(), 10), t.keyID}, ".")
	return text + "." + a.signature(text)
}

func (a *Auth) signature(text string) string {
	h := hmac.New(sha256.New, a.signing)
	h.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// claims returns what a token says, if it was signed here. The signature is
// compared as text, so that it has one spelling only.
func (a *Auth) claims(password string) (tokenClaims, error) {
	if len(password) >= maxToken {
		return tokenClaims{}, errors.New("the token is too long")
	}
	dot := strings.LastIndexByte(password, '.')
	if dot < 0 {
		return tokenClaims{}, errors.New("it is no registry token")
	}
	text, signature := password[:dot], password[dot+1:]
	if subtle.ConstantTimeCompare([]byte(signature), []byte(a.signature(text))) != 1 {
		return tokenClaims{}, errors.New("the token was changed, is of another weir, or was signed with another keys file")
	}
	parts := strings.SplitN(text, ".", 4)
	if len(parts) < 4 || parts[0] != tokenFormat {
		return tokenClaims{}, errors.New("the token is of another version")
	}
	seconds, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return tokenClaims{}, fmt.Errorf("the token's expiry: %w", err)
	}
	return tokenClaims{parts[1], time.Unix(seconds, 0), parts[3]}, nil
}

// token returns who asks with a registry token. Nobody is slowed down for a wrong
// one: a signature cannot be guessed, and all who have tokens have one user name.
func (a *Auth) token(ctx context.Context, remote netip.Addr, password string) (iam.Caller, error) {
	t, err := a.claims(password)
	if err == nil && t.registry != a.registry {
		err = fmt.Errorf("the token is for registry %s", t.registry)
	}
	if err != nil {
		return iam.Caller{}, incorrect(fmt.Errorf("registry token from %s: %w", remote, err))
	}
	if !time.Now().Before(t.expires) {
		return iam.Caller{}, errs.New(errs.Denied, "Your authorization token has expired. Reauthenticate and try again.")
	}
	k, err := a.active(ctx, t.keyID)
	if errs.CodeOf(err) == errs.Unauthenticated {
		return iam.Caller{}, errs.Wrap(errs.Unauthenticated, err, "the access key that this authorization token was made for is not active any more")
	}
	if err != nil {
		return iam.Caller{}, err
	}
	return a.caller(ctx, k)
}
