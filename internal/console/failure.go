package console

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/httpx"
)

// Failure is what a page says of an error.
type Failure struct {
	Status  int
	Lead    string // in the visitor's language: what kind of thing it is
	Message string // in the words of what failed, which are English; may be ""
}

// failures has for each code the status of a page about it, and a text that says what kind
// of thing it is. What is not here is Internal.
func failures(code errs.Code) (status int, lead string) {
	switch code {
	case errs.RepoUnknown, errs.ManifestUnknown, errs.BlobUnknown, errs.RuleUnknown, errs.SecretUnknown, errs.UserUnknown, errs.KeyUnknown, errs.PolicyUnknown,
		errs.TemplateUnknown, errs.UploadUnknown, errs.LifecycleUnknown, errs.PreviewUnknown, errs.SettingUnknown, errs.ScanUnknown, errs.ChildUnknown, errs.ManifestBlobUnknown:
		return http.StatusNotFound, "This is not there."
	case errs.NameInvalid, errs.TagInvalid, errs.DigestInvalid, errs.DigestMismatch, errs.ManifestInvalid, errs.ManifestTooLarge, errs.ParamInvalid, errs.RangeInvalid,
		errs.UploadInvalid, errs.SizeInvalid, errs.UploadEmpty, errs.PartTooSmall, errs.UnsupportedUpstream:
		return http.StatusBadRequest, "This cannot be taken as it is."
	case errs.Unauthenticated:
		return http.StatusUnauthorized, "You are not signed in."
	case errs.Denied:
		return http.StatusForbidden, "You may not do this."
	case errs.RateLimited:
		return http.StatusTooManyRequests, "Too many attempts."
	case errs.RuleExists, errs.SecretExists, errs.UserExists, errs.RepoExists, errs.TemplateExists, errs.SettingExists, errs.BlobExists, errs.ImageExists:
		return http.StatusConflict, "This is there already."
	case errs.Conflict, errs.RepoNotEmpty, errs.TagImmutable, errs.ImageReferenced, errs.ImageArchived, errs.PreviewRunning, errs.StorageUnsupported, errs.LimitExceeded:
		return http.StatusConflict, "The state of things does not allow this."
	case errs.Unsupported:
		return http.StatusNotImplemented, "weir does not do this."
	case errs.UpstreamUnreachable, errs.UpstreamFailed, errs.UpstreamDenied, errs.UpstreamRateLimited:
		return http.StatusBadGateway, "The upstream did not give an answer that helps."
	case errs.UpstreamTimeout:
		return http.StatusGatewayTimeout, "The upstream did not answer in time."
	case errs.StorageFull:
		return http.StatusInsufficientStorage, "There is no room."
	case errs.Unavailable:
		return http.StatusServiceUnavailable, "weir is starting or ending."
	}
	return http.StatusInternalServerError, "Something in weir is wrong."
}

// failure is what a page says of err, which the request's line in the log has from here on;
// nil if there is nothing but the log for it.
func (v *visit) failure(err error) *Failure {
	code := errs.CodeOf(err)
	if code == errs.Internal {
		return nil
	}
	v.w.Cause = err
	status, lead := failures(code)
	f := &Failure{Status: status, Lead: v.T(lead)}
	if e := errs.As(err); e != nil {
		f.Message = e.Msg
	}
	return f
}

// writeError answers a request that failed.
func (c *console) writeError(w *httpx.ResponseWriter, r *http.Request, err error) {
	v := c.visit(w, r)
	if k, noCookie := r.Cookie(v.cookieName()); noCookie == nil {
		if s, noSession := c.Auth.Session(r, k.Value); noSession == nil {
			v.session = s
		}
	}
	if errs.CodeOf(err) == errs.Denied && r.Method == http.MethodGet && r.URL.Path != Path {
		if m := v.did(); m != "" { // it was done, and where it is shown is not the visitor's to see
			_ = v.done(Path, m)
			return
		}
	}
	status, lead := failures(errs.Internal)
	f := v.failure(err)
	if f == nil {
		f = &Failure{Status: status, Lead: v.T(lead), Message: v.T("The log of weir has it under the request ID %s.", w.ID())}
	}
	if e := errs.As(err); e != nil && e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.RetryAfter.Seconds())+1))
	}
	if failed := v.show(f.Status, "failed", &Page{Title: f.Lead, Error: f}); failed != nil {
		c.Logger.Error("a page about an error cannot be shown", "err", errors.Join(failed, err))
	}
}
