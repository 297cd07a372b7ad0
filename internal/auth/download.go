package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
)

// DownloadPath is what the paths of download URLs begin with: repository and digest follow.
const DownloadPath = "/download/"

// downloadLife is how long a download URL holds: as long as ECR's do.
const downloadLife = time.Hour

// The parameters of a download URL.
const (
	paramKey       = "key"
	paramExpires   = "expires"
	paramSignature = "signature"
)

// DownloadURL returns a URL at base (scheme and host) by which whoever has it downloads one
// blob of one repository as c may, for an hour at most: what c's access key may do counts
// when it is used, and nothing once the key is off. Errors: errs.Denied for a caller
// without an access key.
func (a *Auth) DownloadURL(c iam.Caller, base, repo string, d digest.Digest) (string, error) {
	if c.KeyID == "" {
		return "", errs.New(errs.Denied, "a download URL is for an access key, and %s asks without one", c.Name)
	}
	expires := strconv.FormatInt(time.Now().Add(downloadLife).Unix(), 10)
	q := url.Values{paramKey: {c.KeyID}, paramExpires: {expires}, paramSignature: {a.downloadSignature(repo, d, expires, c.KeyID)}}
	return base + DownloadPath + repo + "/" + string(d) + "?" + q.Encode(), nil
}

// downloadSignature signs what a download URL says. No part has a line break in it: what is
// signed has one reading.
func (a *Auth) downloadSignature(repo string, d digest.Digest, expires, keyID string) string {
	h := hmac.New(sha256.New, a.downloads)
	h.Write([]byte(strings.Join([]string{a.registry, repo, string(d), expires, keyID}, "\n")))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// Download returns the caller whose download URL for a blob a request comes with. Errors:
// errs.Denied if it was not made here, is over, or its access key does not count any more.
func (a *Auth) Download(r *http.Request, repo string, d digest.Digest) (iam.Caller, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return iam.Caller{}, badURL(err)
	}
	keyID, expires := q.Get(paramKey), q.Get(paramExpires)
	want := a.downloadSignature(repo, d, expires, keyID)
	if subtle.ConstantTimeCompare([]byte(q.Get(paramSignature)), []byte(want)) != 1 {
		return iam.Caller{}, badURL(fmt.Errorf("download URL from %s: its signature is not of its key %q", a.Address(r), clip(keyID)))
	}
	until, err := strconv.ParseInt(expires, 10, 64)
	if err != nil {
		return iam.Caller{}, badURL(err)
	}
	if !time.Now().Before(time.Unix(until, 0)) {
		return iam.Caller{}, errs.New(errs.Denied, "this download URL was for an hour, which is over; GetDownloadUrlForLayer gives another")
	}
	k, err := a.active(r.Context(), keyID)
	if errs.CodeOf(err) == errs.Unauthenticated {
		return iam.Caller{}, errs.Wrap(errs.Denied, err, "the access key that this download URL was made for is not active any more")
	}
	if err != nil {
		return iam.Caller{}, err
	}
	c, err := a.caller(r.Context(), k)
	c.Context = a.Context(r)
	return c, err
}

func badURL(cause error) error {
	return errs.Wrap(errs.Denied, cause, "this is no download URL of this weir, or it was changed; GetDownloadUrlForLayer gives one")
}
