package ociapi

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/httpx"
)

// wire is how a class of failure looks to a container client.
type wire struct {
	code   string // of the distribution specification, "Error Codes"; a few are Docker's
	status int
}

// wireOf has every errs.Code.
func wireOf(c errs.Code) wire {
	switch c {
	case errs.RepoUnknown, errs.RuleUnknown:
		return wire{"NAME_UNKNOWN", http.StatusNotFound}
	case errs.ManifestUnknown,
		errs.ImageArchived: // 404 as in ECR: whoever pushes it again asks first, and any other failure would stop them
		return wire{"MANIFEST_UNKNOWN", http.StatusNotFound}
	case errs.BlobUnknown:
		return wire{"BLOB_UNKNOWN", http.StatusNotFound}
	case errs.ManifestBlobUnknown, errs.ChildUnknown:
		return wire{"MANIFEST_BLOB_UNKNOWN", http.StatusNotFound}
	case errs.NameInvalid:
		return wire{"NAME_INVALID", http.StatusBadRequest}
	case errs.TagInvalid:
		return wire{"TAG_INVALID", http.StatusBadRequest}
	case errs.DigestInvalid, errs.DigestMismatch:
		return wire{"DIGEST_INVALID", http.StatusBadRequest}
	case errs.ManifestInvalid:
		return wire{"MANIFEST_INVALID", http.StatusBadRequest}
	case errs.ManifestTooLarge:
		return wire{"MANIFEST_INVALID", http.StatusRequestEntityTooLarge}
	case errs.ParamInvalid, errs.UnsupportedUpstream:
		return wire{"UNSUPPORTED", http.StatusBadRequest}
	case errs.UserUnknown, errs.KeyUnknown, errs.PolicyUnknown, errs.TemplateUnknown,
		errs.LifecycleUnknown, errs.PreviewUnknown, errs.SettingUnknown, errs.ScanUnknown:
		return wire{"UNKNOWN", http.StatusNotFound}
	case errs.RuleExists, errs.SecretExists, errs.UserExists, errs.Conflict,
		errs.RepoExists, errs.RepoNotEmpty, errs.TemplateExists, errs.PreviewRunning, errs.StorageUnsupported,
		errs.SettingExists, errs.BlobExists, errs.ImageExists:
		return wire{"UNKNOWN", http.StatusConflict}
	case errs.UploadUnknown:
		return wire{"BLOB_UPLOAD_UNKNOWN", http.StatusNotFound}
	case errs.UploadInvalid:
		return wire{"BLOB_UPLOAD_INVALID", http.StatusConflict}
	case errs.UploadEmpty, errs.PartTooSmall:
		return wire{"BLOB_UPLOAD_INVALID", http.StatusBadRequest}
	case errs.SizeInvalid:
		return wire{"SIZE_INVALID", http.StatusBadRequest}
	case errs.TagImmutable:
		return wire{"TAG_INVALID", http.StatusBadRequest}
	case errs.ImageReferenced:
		return wire{"DENIED", http.StatusConflict}
	case errs.RangeInvalid:
		return wire{"RANGE_INVALID", http.StatusRequestedRangeNotSatisfiable}
	case errs.Unauthenticated:
		return wire{"UNAUTHORIZED", http.StatusUnauthorized}
	case errs.Denied, errs.UpstreamDenied, errs.SecretUnknown, errs.LimitExceeded:
		return wire{"DENIED", http.StatusForbidden}
	case errs.Unsupported:
		return wire{"UNSUPPORTED", http.StatusMethodNotAllowed}
	case errs.RateLimited, errs.UpstreamRateLimited:
		return wire{"TOOMANYREQUESTS", http.StatusTooManyRequests}
	case errs.StorageFull:
		return wire{"UNKNOWN", http.StatusInsufficientStorage}
	case errs.UpstreamUnreachable, errs.UpstreamFailed:
		return wire{"UNKNOWN", http.StatusBadGateway}
	case errs.UpstreamTimeout:
		return wire{"UNKNOWN", http.StatusGatewayTimeout}
	case errs.Unavailable:
		return wire{"UNAVAILABLE", http.StatusServiceUnavailable}
	case errs.Internal:
		return wire{"UNKNOWN", http.StatusInternalServerError}
	}
	return wire{}
}

// absentError is an endpoint that is not there: 404, where another method of it
// would not help. Clients that look for referrers go on with the fallback tag then.
type absentError struct{ err *errs.Error }

func (e absentError) Error() string { return e.err.Error() }
func (e absentError) Unwrap() error { return e.err }

func absent(format string, args ...any) error {
	return absentError{errs.New(errs.Unsupported, format, args...)}
}

// methodError is a method that an endpoint has not.
type methodError struct {
	err   *errs.Error
	allow string // those that it has
}

func (e methodError) Error() string { return e.err.Error() }
func (e methodError) Unwrap() error { return e.err }

func noMethod(allow string) error {
	return methodError{errs.New(errs.Unsupported, "there is no such method here; there are %s", allow), allow}
}

type wireErrors struct {
	Errors []wireError `json:"errors"`
}

type wireError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Detail  any    `json:"detail,omitempty"`
}

// writeError answers in the form of the distribution specification. The text of
// an error without an errs.Code stays here.
func writeError(w *httpx.ResponseWriter, r *http.Request, err error) {
	e := errs.As(err)
	if e == nil {
		e = errs.New(errs.Internal, "")
	}
	out := wireOf(e.Code)
	var missing absentError
	if errors.As(err, &missing) {
		out.status = http.StatusNotFound
	}
	var page pageError
	if errors.As(err, &page) {
		out.code = "PAGINATION_NUMBER_INVALID"
	}
	msg, detail := e.Msg, e.Detail
	if e.Code == errs.Internal {
		msg, detail = "internal error; the log has it under request ID "+w.ID(), nil
	}
	body, jsonErr := json.Marshal(wireErrors{[]wireError{{out.code, msg, detail}}})
	if jsonErr != nil { // a detail that has no JSON
		body, _ = json.Marshal(wireErrors{[]wireError{{Code: out.code, Message: msg}}})
	}
	h := w.Header()
	for _, k := range []string{"Etag", "Docker-Content-Digest", "X-Weir-Cache"} {
		h.Del(k) // of the answer that this was to be
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	switch out.status {
	case http.StatusUnauthorized:
		h.Set("Www-Authenticate", `Basic realm="weir"`)
	case http.StatusMethodNotAllowed:
		allow := "GET, HEAD"
		var method methodError
		if errors.As(err, &method) {
			allow = method.allow
		}
		h.Set("Allow", allow)
	}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(float64(e.RetryAfter)/float64(time.Second)))))
	}
	w.WriteHeader(out.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a failure is in the access line
	}
}
