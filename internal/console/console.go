// Package console is the face for people: pages under /console/, made by the server,
// that show what the APIs show and do what they do, with the same methods and so by the
// same policies.
//
// It guarantees:
//   - What comes from elsewhere (names, labels, errors of upstreams) is text on a page,
//     never markup. Pages load nothing from another host and run no script but the
//     console's own files; a page in a frame of another does not show.
//   - Nothing is changed but by a POST of a form that this console made for this session.
//   - Everything but what moves by itself works without script.
//   - What a caller may not do is not offered, as far as the page knows, and is refused
//     by the method in any case.
package console

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/httpx"
	"github.com/weir-registry/weir/internal/registry"
)

// Path is what the paths of all pages begin with.
const Path = "/console/"

// Options of a console. All are required but Host and Logger.
type Options struct {
	Registry *registry.Registry
	Admin    *admin.Admin
	Auth     *auth.Auth
	ID       string // registry ID, 12 digits
	Region   string
	Host     string // under which clients know the registry; "": that of the request
	Port     string // of the registry, where Host is "" and it is another than the console's; "": it is not
	Version  string // of this binary
	Logger   *slog.Logger

	// Draining says that the server is to end, and pages that move by themselves with it.
	Draining func() bool
}

type console struct {
	Options
	mux     *http.ServeMux
	pages   pages
	texts   texts
	static  static
	origins http.CrossOriginProtection
	streams streams
}

// New returns the handler of everything under Path.
func New(o Options) (http.Handler, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	c := &console{Options: o, mux: http.NewServeMux()}
	var err error
	if c.texts, err = readTexts(); err != nil {
		return nil, err
	}
	if c.static, err = readStatic(); err != nil {
		return nil, err
	}
	if c.pages, err = readPages(); err != nil {
		return nil, err
	}
	c.routes()
	return httpx.New(httpx.Options{Logger: o.Logger, WriteError: c.writeError}, c.serve), nil
}

// routes has every page. Those of one subject are in a file of their own.
func (c *console) routes() {
	c.open("GET /console/sign-in", (*visit).signInPage)
	c.open("POST /console/sign-in", (*visit).signIn)
	c.open("POST /console/sign-out", (*visit).signOut)
	c.open("POST /console/preferences", (*visit).setPreferences)
	c.open("GET /console/static/{file}", (*visit).serveStatic)
	c.overviewRoutes()
	c.repositoryRoutes()
	c.ruleRoutes()
	c.secretRoutes()
	c.userRoutes()
	c.templateRoutes()
	c.wholeRoutes()
	c.settingsRoutes()
}

// callKey finds the call that a request is of in its context.
type callKey struct{}

// call is a request on its way through the mux, which knows no errors.
type call struct {
	w   *httpx.ResponseWriter
	err error
}

// open puts a handler that nobody has to be signed in for at a pattern of http.ServeMux. The
// pattern is what the log calls it, until a form says what it does.
func (c *console) open(pattern string, h func(*visit) error) {
	c.mux.HandleFunc(pattern, func(_ http.ResponseWriter, r *http.Request) {
		at := r.Context().Value(callKey{}).(*call)
		at.w.Action = pattern
		at.err = h(c.visit(at.w, r))
	})
}

// page puts a handler for people who are signed in at a pattern of http.ServeMux. A POST
// reaches it only with the session's own form.
func (c *console) page(pattern string, h func(*visit) error) {
	c.open(pattern, func(v *visit) error {
		ok, err := v.enter()
		if err != nil || !ok {
			return err
		}
		return h(v)
	})
}

// maxForm is how long a form may be: a policy is the longest thing in one.
const maxForm = 256 << 10

func (c *console) serve(w *httpx.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if err := c.origins.Check(r); err != nil {
		return errs.Wrap(errs.Denied, err, "this form was sent by a page of another site")
	}
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			return errs.Wrap(errs.ParamInvalid, err, "the form cannot be read: it is longer than %d KiB, or not a form", maxForm>>10)
		}
	}
	at := &call{w: w}
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, at))
	handler, pattern := c.mux.Handler(r)
	switch {
	case pattern != "":
		c.mux.ServeHTTP(w, r) // which finds the handler again, and the parts of the path
	default:
		v := c.visit(w, r)
		if ok, err := v.enter(); err != nil || !ok {
			return err
		}
		answer := &found{header: http.Header{}}
		handler.ServeHTTP(answer, r) // 404, or 405
		if answer.status == http.StatusMethodNotAllowed {
			h.Set("Allow", answer.header.Get("Allow"))
		}
		return v.render(max(answer.status, http.StatusNotFound), "missing", v.T("Nothing is here"), nil)
	}
	return at.err
}

// found is what http.ServeMux answers where it has no handler.
type found struct {
	header http.Header
	status int
}

func (f *found) Header() http.Header         { return f.header }
func (f *found) WriteHeader(status int)      { f.status = status }
func (f *found) Write(p []byte) (int, error) { return len(p), nil }
