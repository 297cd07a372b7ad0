package awsapi

import (
	"bytes"
	"context"
	"encoding/xml"
	"mime"
	"net/http"
	"net/url"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/httpx"
)

// isQuery says whether a request speaks the Query protocol: a form, and no header
// that names an operation.
func isQuery(r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && media == "application/x-www-form-urlencoded" && len(r.Header.Values("X-Amz-Target")) == 0
}

// Form returns an operation on the Query protocol.
func Form[Out any](f func(ctx context.Context, c *Call, in url.Values) (Out, error)) Operation {
	return func(ctx context.Context, c *Call, body []byte) (any, error) {
		in, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, malformed(err)
		}
		return f(ctx, c, in)
	}
}

func malformed(err error) error {
	x := except("MalformedQueryString", errs.ParamInvalid, "The body is not a form.")
	x.status, x.err.Err = http.StatusNotFound, err // 404, as AWS has it
	return x
}

func (f *face) serveQuery(w *httpx.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost || r.URL.EscapedPath() != "/" {
		x := except("InvalidAction", errs.Unsupported, "Operations are called by POST / here.")
		x.status = http.StatusNotFound
		return x
	}
	body, err := read(r)
	if err != nil {
		return err
	}
	caller, service, err := f.verify(r.Context(), r, body)
	if err != nil {
		return err
	}
	w.Principal = caller.Name
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return malformed(err)
	}
	s, name, op, err := f.action(w, form, service)
	if err != nil {
		return err
	}
	out, err := op(r.Context(), &Call{caller, w, r.Host}, body)
	if err != nil {
		return s.translate(err)
	}
	answer, err := queryAnswer(s.Namespace, name, w.ID(), out)
	if err != nil {
		return err
	}
	write(w, http.StatusOK, contentXML, answer)
	return w.Err()
}

// action finds what a form calls. service is what the request was signed for.
func (f *face) action(w *httpx.ResponseWriter, form url.Values, service string) (*Service, string, Operation, error) {
	name, version := form.Get("Action"), form.Get("Version")
	if len(form["Action"]) != 1 || len(form["Version"]) > 1 {
		return nil, "", nil, except("MissingAction", errs.Unsupported, "The form needs one Action and one Version, or the request an X-Amz-Target header.")
	}
	for i := range f.services {
		s := &f.services[i]
		op := s.Operations[name]
		if s.Target != "" || version != s.Version || op == nil {
			continue
		}
		return s, name, op, s.called(w, name, service)
	}
	return nil, "", nil, except("InvalidAction", errs.Unsupported, "Could not find operation %s for version %s. There are those of %s.", clip(name), clip(version), f.built)
}

// queryAnswer wraps what an operation gave as the Query protocol has it.
func queryAnswer(namespace, op, id string, out any) ([]byte, error) {
	var b bytes.Buffer
	e := xml.NewEncoder(&b)
	response := xml.StartElement{Name: xml.Name{Local: op + "Response"}, Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: namespace}}}
	err := e.EncodeToken(response)
	if err == nil {
		err = e.EncodeElement(out, xml.StartElement{Name: xml.Name{Local: op + "Result"}})
	}
	if err == nil {
		err = e.EncodeElement(struct {
			ID string `xml:"RequestId"`
		}{id}, xml.StartElement{Name: xml.Name{Local: "ResponseMetadata"}})
	}
	if err == nil {
		err = e.EncodeToken(response.End())
	}
	if err == nil {
		err = e.Close()
	}
	return b.Bytes(), err
}

// queryName is the name that a common failure has on the Query protocol: some differ
// from JSON's.
func queryName(exception string) string {
	switch exception {
	case "UnrecognizedClientException":
		return "InvalidClientTokenId"
	case "InvalidSignatureException":
		return "SignatureDoesNotMatch"
	case "IncompleteSignatureException":
		return "IncompleteSignature"
	case "MissingAuthenticationTokenException":
		return "MissingAuthenticationToken"
	case "AccessDeniedException":
		return "AccessDenied"
	case "ThrottlingException":
		return "Throttling"
	case "ServerException":
		return "InternalFailure"
	case "ServiceUnavailableException":
		return "ServiceUnavailable"
	case "UnknownOperationException":
		return "InvalidAction"
	case "InvalidParameterException":
		return "InvalidParameterValue"
	}
	return exception
}

// writeQueryError answers in XML: 403 to who is not known or may not, as STS does.
func (f *face) writeQueryError(w *httpx.ResponseWriter, out wire, msg string) {
	name := queryName(out.exception)
	switch name {
	case "InvalidClientTokenId", "SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken", "AccessDenied":
		out.status = http.StatusForbidden
	}
	who := "Sender"
	if out.status >= http.StatusInternalServerError {
		who = "Receiver"
	}
	type failure struct{ Type, Code, Message string }
	body, err := xml.Marshal(struct {
		XMLName   xml.Name `xml:"ErrorResponse"`
		Namespace string   `xml:"xmlns,attr,omitempty"`
		Error     failure
		ID        string `xml:"RequestId"`
	}{Namespace: f.namespace, Error: failure{who, name, msg}, ID: w.ID()})
	if err != nil { // strings always have XML
		body = nil
	}
	write(w, out.status, contentXML, body)
}
