// Package awsapi speaks AWS's JSON 1.1 protocol: POST /, the operation in
// X-Amz-Target, JSON in and out, every request signed with Signature Version 4.
// The operations are in the packages below it.
//
// It guarantees: an operation runs only for a request whose signature verifies
// over its host, target, date and body; whoever changes a signed byte is refused;
// a refusal because of a clock tells whose is off by how much. A request can be
// sent again by who has seen it until its time is over, as with AWS: TLS is what
// helps against that.
package awsapi

import (
	"bytes"
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
}

// About names in the access line what the call is about.
func (c *Call) About(repository, reference string) {
	c.w.Repository, c.w.Reference = repository, reference
}

// Operation answers a call: body is JSON, and so is what comes back.
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

// Service is the operations under one target prefix.
type Service struct {
	Name       string   // in IAM's actions: Name:Operation
	Target     string   // what X-Amz-Target has before the dot
	Signing    []string // the names under which clients sign for it
	Operations map[string]Operation
}

// Options of a handler.
type Options struct {
	Auth   *auth.Auth       // required
	Logger *slog.Logger     // nil: slog.Default()
	Skew   time.Duration    // how far a client's clock may be off, whole minutes; 0: 5 min
	Now    func() time.Time // nil: time.Now
}

type face struct {
	verifier
	services []Service
	built    string // what there is, for messages
}

// New returns the handler of POST /.
func New(o Options, services ...Service) http.Handler {
	f := &face{verifier: verifier{o.Auth, o.Skew, o.Now}, services: services}
	if f.skew == 0 {
		f.skew = 5 * time.Minute
	}
	if f.now == nil {
		f.now = time.Now
	}
	var all []string
	for _, s := range services {
		for op := range s.Operations {
			all = append(all, s.Target+"."+op)
		}
	}
	slices.Sort(all)
	f.built = strings.Join(all, ", ")
	return httpx.New(httpx.Options{WriteError: writeError, Logger: o.Logger}, f.serve)
}

func (f *face) serve(w *httpx.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("X-Amzn-Requestid", w.ID())
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if r.Method != http.MethodPost || r.URL.EscapedPath() != "/" {
		x := except("UnknownOperationException", errs.Unsupported, "Operations are called by POST / here.")
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
	op, err := f.operation(w, r.Header.Values("X-Amz-Target"), service)
	if err != nil {
		return err
	}
	out, err := op(r.Context(), &Call{caller, w}, body)
	if err != nil {
		return err
	}
	answer, err := json.Marshal(out)
	if err != nil {
		return err
	}
	write(w, http.StatusOK, answer)
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
		x := except("RequestEntityTooLargeException", errs.ParamInvalid, "The body is longer than %d bytes.", long.Limit)
		x.status = http.StatusRequestEntityTooLarge
		return nil, x
	}
	return nil, errs.Wrap(errs.ParamInvalid, err, "the request's body did not arrive whole")
}

// operation finds what is called. service is what the request was signed for.
func (f *face) operation(w *httpx.ResponseWriter, target []string, service string) (Operation, error) {
	if len(target) != 1 {
		return nil, f.unknown("The request needs one X-Amz-Target header.")
	}
	prefix, name, _ := strings.Cut(target[0], ".")
	for _, s := range f.services {
		op := s.Operations[name]
		if s.Target != prefix || op == nil {
			continue
		}
		w.Action = s.Name + ":" + name
		if !slices.Contains(s.Signing, service) {
			return nil, invalid("Credential should be scoped to correct service: '%s'.", s.Signing[0])
		}
		return op, nil
	}
	return nil, f.unknown("The operation " + clip(target[0]) + " is not built yet.")
}

func (f *face) unknown(msg string) error {
	return except("UnknownOperationException", errs.Unsupported, "%s There are: %s.", msg, f.built)
}
