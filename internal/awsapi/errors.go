package awsapi

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/httpx"
)

// exception is a failure in AWS's words, where the table of weir's own says less.
type exception struct {
	name   string
	status int // 0: 400
	err    *errs.Error
	detail string // goes on the message, and never into the log

	members map[string]any // beside the message, on JSON; nil: none
}

func (e *exception) Error() string { return e.name + ": " + e.err.Error() }
func (e *exception) Unwrap() error { return e.err }

func except(name string, code errs.Code, format string, args ...any) *exception {
	return &exception{name: name, err: errs.New(code, format, args...)}
}

// Except returns a failure with AWS's name for it, where the tables of the protocol
// and of the service say less. Its status is 400.
func Except(name string, code errs.Code, format string, args ...any) error {
	return except(name, code, format, args...)
}

// With is err under an exception that has members beside its message. err has an
// errs.Code.
func With(err error, name string, members map[string]any) error {
	return &exception{name: name, err: errs.As(err), members: members}
}

// wire is how a class of failure looks to an AWS client.
type wire struct {
	exception string
	status    int
}

// wireOf has every errs.Code: the exceptions that ECR's model declares, and the
// common ones of AWS.
func wireOf(c errs.Code) wire {
	switch c {
	case errs.RepoUnknown:
		return wire{"RepositoryNotFoundException", http.StatusBadRequest}
	case errs.ManifestUnknown:
		return wire{"ImageNotFoundException", http.StatusBadRequest}
	case errs.BlobUnknown, errs.ManifestBlobUnknown:
		return wire{"LayersNotFoundException", http.StatusBadRequest}
	case errs.NameInvalid, errs.TagInvalid, errs.DigestInvalid, errs.ManifestInvalid, errs.ManifestTooLarge, errs.ParamInvalid:
		return wire{"InvalidParameterException", http.StatusBadRequest}
	case errs.DigestMismatch:
		return wire{"InvalidLayerException", http.StatusBadRequest}
	case errs.UploadUnknown:
		return wire{"UploadNotFoundException", http.StatusBadRequest}
	case errs.UploadInvalid, errs.SizeInvalid, errs.RangeInvalid:
		return wire{"InvalidLayerPartException", http.StatusBadRequest}
	case errs.Unauthenticated:
		return wire{"UnrecognizedClientException", http.StatusBadRequest}
	case errs.Denied:
		return wire{"AccessDeniedException", http.StatusBadRequest}
	case errs.Unsupported:
		return wire{"UnsupportedOperationException", http.StatusBadRequest}
	case errs.RateLimited:
		return wire{"ThrottlingException", http.StatusBadRequest}
	case errs.RuleUnknown:
		return wire{"PullThroughCacheRuleNotFoundException", http.StatusBadRequest}
	case errs.RuleExists:
		return wire{"PullThroughCacheRuleAlreadyExistsException", http.StatusBadRequest}
	case errs.UnsupportedUpstream:
		return wire{"UnsupportedUpstreamRegistryException", http.StatusBadRequest}
	case errs.SecretUnknown:
		return wire{"ResourceNotFoundException", http.StatusBadRequest}
	case errs.SecretExists:
		return wire{"ResourceExistsException", http.StatusBadRequest}
	case errs.UserUnknown, errs.KeyUnknown, errs.PolicyUnknown:
		return wire{"NoSuchEntityException", http.StatusBadRequest}
	case errs.UserExists:
		return wire{"EntityAlreadyExistsException", http.StatusBadRequest}
	case errs.LimitExceeded:
		return wire{"LimitExceededException", http.StatusBadRequest}
	case errs.RepoExists:
		return wire{"RepositoryAlreadyExistsException", http.StatusBadRequest}
	case errs.RepoNotEmpty:
		return wire{"RepositoryNotEmptyException", http.StatusBadRequest}
	case errs.TemplateUnknown:
		return wire{"TemplateNotFoundException", http.StatusBadRequest}
	case errs.TemplateExists:
		return wire{"TemplateAlreadyExistsException", http.StatusBadRequest}
	case errs.TagImmutable:
		return wire{"ImageTagAlreadyExistsException", http.StatusBadRequest}
	case errs.ImageArchived:
		return wire{"ImageArchivedException", http.StatusBadRequest}
	case errs.LifecycleUnknown:
		return wire{"LifecyclePolicyNotFoundException", http.StatusBadRequest}
	case errs.PreviewUnknown:
		return wire{"LifecyclePolicyPreviewNotFoundException", http.StatusBadRequest}
	case errs.PreviewRunning:
		return wire{"LifecyclePolicyPreviewInProgressException", http.StatusBadRequest}
	case errs.StorageUnsupported:
		return wire{"ImageStorageClassUpdateNotSupportedException", http.StatusBadRequest}
	case errs.SettingUnknown:
		return wire{"SigningConfigurationNotFoundException", http.StatusBadRequest}
	case errs.SettingExists:
		return wire{"ExclusionAlreadyExistsException", http.StatusBadRequest}
	case errs.ScanUnknown:
		return wire{"ScanNotFoundException", http.StatusBadRequest}
	case errs.UploadEmpty:
		return wire{"EmptyUploadException", http.StatusBadRequest}
	case errs.PartTooSmall:
		return wire{"LayerPartTooSmallException", http.StatusBadRequest}
	case errs.BlobExists:
		return wire{"LayerAlreadyExistsException", http.StatusBadRequest}
	case errs.ImageExists:
		return wire{"ImageAlreadyExistsException", http.StatusBadRequest}
	case errs.ChildUnknown:
		return wire{"ReferencedImagesNotFoundException", http.StatusBadRequest}
	case errs.Conflict, errs.ImageReferenced:
		return wire{"InvalidRequestException", http.StatusBadRequest}
	case errs.UpstreamUnreachable, errs.UpstreamTimeout, errs.UpstreamFailed, errs.UpstreamDenied, errs.UpstreamRateLimited:
		return wire{"UnableToGetUpstreamImageException", http.StatusBadRequest}
	case errs.Unavailable:
		return wire{"ServiceUnavailableException", http.StatusServiceUnavailable}
	case errs.StorageFull, errs.Internal:
		return wire{"ServerException", http.StatusInternalServerError}
	}
	return wire{}
}

// writeError answers in the form of the request's protocol. The text of an error
// without an errs.Code stays here.
func (f *face) writeError(w *httpx.ResponseWriter, r *http.Request, err error) {
	out, msg := answerTo(w, err)
	if isQuery(r) {
		f.writeQueryError(w, out, msg)
		return
	}
	answer := map[string]any{"__type": out.exception, "message": msg}
	var x *exception
	if errors.As(err, &x) {
		maps.Copy(answer, x.members)
	}
	body, err := json.Marshal(answer)
	if err != nil { // strings and numbers always have JSON
		body = nil
	}
	write(w, out.status, contentJSON, body)
}

// answerTo is what the client is told of err.
func answerTo(w *httpx.ResponseWriter, err error) (out wire, msg string) {
	out, msg = wireOf(errs.Internal), "internal error; the log has it under request ID "+w.ID()
	if e := errs.As(err); e != nil && e.Code != errs.Internal {
		out, msg = wireOf(e.Code), e.Msg
	}
	var x *exception
	if errors.As(err, &x) {
		out = wire{x.name, cmp.Or(x.status, http.StatusBadRequest)}
		if x.err.Code != errs.Internal {
			msg = x.err.Msg + x.detail
		}
	}
	return out, msg
}

const (
	contentJSON = "application/x-amz-json-1.1"
	contentXML  = "text/xml"
)

func write(w *httpx.ResponseWriter, status int, content string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", content)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a failure breaks the connection and is in the access line
}
