// Package awsapi speaks AWS's JSON 1.1 protocol (POST /, the operation in
// X-Amz-Target, JSON in and out) and its Query protocol (POST /, a form with the
// operation in Action, XML out), every request signed with Signature Version 4.
// The operations are in the packages below it, each a Service.
//
// It guarantees: an operation runs only for a request whose signature verifies
// over its host, target, date and body; whoever changes a signed byte is refused;
// a refusal because of a clock tells whose is off by how much. A request can be
// sent again by who has seen it until its time is over, as with AWS: TLS is what
// helps against that.
package awsapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/httpx"
	"github.com/weir-registry/weir/internal/iam"
)

// Call is an operation being called.
type Call struct {
	Caller iam.Caller
	w      *httpx.ResponseWriter
	host   string
}

// Base returns scheme and host of the address that the call came to, as its client
// knows it: the host is signed, and a trusted proxy says whether it took it encrypted.
func (c *Call) Base() string {
	if c.Caller.Context.TLS {
		return "https://" + c.host
	}
	return "http://" + c.host
}

// About names in the access line what the call is about.
func (c *Call) About(repository, reference string) {
	c.w.Repository, c.w.Reference = repository, reference
}

// Operation answers a call: body is JSON, and so is what comes back; of a service
// on the Query protocol a form, and what encoding/xml writes.
type Operation func(ctx context.Context, c *Call, body []byte) (any, error)

// JSON returns an operation whose input is read into an In. Members that In does
// not have are ignored, as AWS does.
func JSON[In, Out any](f func(ctx context.Context, c *Call, in In) (Out, error)) Operation {
	return func(ctx context.Context, c *Call, body []byte) (any, error) {
		var in In
		if len(body) > 0 {
			if err := json.Unmarshal(body, &in); err != nil || bytes.TrimLeft(body, " \t\r\n")[0] != '{' {
				x := except("SerializationException", errs.ParamInvalid, "The body is not the JSON object of this operation.")
				x.err.Err = err
				return nil, x
			}
		}
		return f(ctx, c, in)
	}
}

// Refuse returns an operation that is known and does nothing but fail, with an
// exception and in words.
func Refuse(name, format string, args ...any) Operation {
	return func(context.Context, *Call, []byte) (any, error) {
		return nil, Except(name, errs.Unsupported, format, args...)
	}
}

// Service is the operations under one target prefix, or of one version on the
// Query protocol.
type Service struct {
	Name       string   // in IAM's actions: Name:Operation
	Target     string   // what X-Amz-Target has before the dot; "": it speaks Query
	Version    string   // on the Query protocol: what the form's Version is
	Namespace  string   // on the Query protocol: of the XML
	Signing    []string // the names under which clients sign for it
	Operations map[string]Operation

	// Long has the operations whose inputs may be longer than httpx.MaxBody, and how
	// long; nil: none. Only JSON's.
	Long map[string]int64

	// Exceptions are the names of failures that the service has others for than
	// ECR; nil: none.
	Exceptions map[errs.Code]string
}

// translate gives a failure the service's own name, unless the operation has.
func (s *Service) translate(err error) error {
	var x *exception
	code := errs.CodeOf(err)
	if errors.As(err, &x) || s.Exceptions[code] == "" {
		return err
	}
	e := errs.As(err)
	if e == nil {
		e = errs.Wrap(errs.Internal, err, "internal error")
	}
	return &exception{name: s.Exceptions[code], status: wireOf(code).status, err: e}
}

// Options of a handler.
type Options struct {
	Auth   *auth.Auth       // required
	Logger *slog.Logger     // nil: slog.Default()
	Skew   time.Duration    // how far a client's clock may be off, whole minutes; 0: 5 min
	Now    func() time.Time // nil: time.Now
	Long   Long
}

type face struct {
	verifier
	services  []Service
	built     string // the services, for messages
	namespace string // of errors on the Query protocol
	long      Long
	memory    *memory // of long bodies
}

// New returns the handler of POST /, for all of the services.
func New(o Options, services ...Service) http.Handler {
	f := &face{verifier: verifier{o.Auth, o.Skew, o.Now}, services: services, long: o.Long.orDefault()}
	f.memory = newMemory(f.long.Memory)
	if f.skew == 0 {
		f.skew = 5 * time.Minute
	}
	if f.now == nil {
		f.now = time.Now
	}
	var all []string
	for _, s := range services {
		f.namespace = cmp.Or(f.namespace, s.Namespace)
		all = append(all, cmp.Or(s.Target, s.Name))
	}
	slices.Sort(all)
	f.built = strings.Join(all, ", ")
	return httpx.New(httpx.Options{WriteError: f.writeError, Logger: o.Logger}, f.serve)
}

func (f *face) serve(w *httpx.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("X-Amzn-Requestid", w.ID())
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if isQuery(r) {
		return f.serveQuery(w, r)
	}
	if r.Method != http.MethodPost || r.URL.EscapedPath() != "/" {
		x := except("UnknownOperationException", errs.Unsupported, "Operations are called by POST / here.")
		x.status = http.StatusNotFound
		return x
	}
	body, done, err := f.body(w, r)
	if err != nil {
		return err
	}
	defer done()
	caller, service, err := f.verify(r.Context(), r, body)
	if err != nil {
		return err
	}
	w.Principal = caller.Name
	s, op, err := f.operation(w, r.Header.Values("X-Amz-Target"), service)
	if err != nil {
		return err
	}
	out, err := op(r.Context(), &Call{caller, w, r.Host}, body)
	if err != nil {
		return s.translate(err)
	}
	answer, err := json.Marshal(out)
	if err != nil {
		return err
	}
	write(w, http.StatusOK, contentJSON, answer)
	return w.Err()
}

// read returns the body. A client that sends too much or too slowly is refused.
func read(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	var long *http.MaxBytesError
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, &long):
		return nil, tooLong(long.Limit)
	}
	return nil, errs.Wrap(errs.ParamInvalid, err, "the request's body did not arrive whole")
}

func tooLong(limit int64) error {
	x := except("RequestEntityTooLargeException", errs.ParamInvalid, "The body is longer than %d bytes.", limit)
	x.status = http.StatusRequestEntityTooLarge
	return x
}

// operation finds what is called. service is what the request was signed for.
func (f *face) operation(w *httpx.ResponseWriter, target []string, service string) (*Service, Operation, error) {
	if len(target) != 1 {
		return nil, nil, f.unknown("The request needs one X-Amz-Target header.")
	}
	prefix, name, _ := strings.Cut(target[0], ".")
	for i := range f.services {
		s := &f.services[i]
		op := s.Operations[name]
		if s.Target == "" || s.Target != prefix || op == nil {
			continue
		}
		return s, op, s.called(w, name, service)
	}
	return nil, nil, f.unknown("The operation " + clip(target[0]) + " does not exist.")
}

// called notes the operation for the access line. It fails where the request was
// signed for another service.
func (s *Service) called(w *httpx.ResponseWriter, op, signedFor string) error {
	w.Action = s.Name + ":" + op
	if !slices.Contains(s.Signing, signedFor) {
		return invalid("Credential should be scoped to correct service: '%s'.", s.Signing[0])
	}
	return nil
}

func (f *face) unknown(msg string) error {
	return except("UnknownOperationException", errs.Unsupported, "%s There are those of %s.", msg, f.built)
}
