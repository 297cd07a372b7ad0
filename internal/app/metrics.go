package app

import (
	"net/http"
	"time"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/config"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/metrics"
)

// getMetrics is the action that /metrics asks for where it is not at an address of
// its own.
const getMetrics = "weir:GetMetrics"

// scrapes answers /metrics: to anybody at an address of its own, else to callers
// with a key who may.
func (w *Weir) scrapes(a config.Address) http.Handler {
	all := w.metrics.Handler()
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		// A server without means for deadlines has none.
		_ = http.NewResponseController(rw).SetWriteDeadline(time.Now().Add(30 * time.Second))
		if !a.Plain {
			if err := mayScrape(r, w.who); err != nil {
				refuseScrape(rw, err)
				return
			}
		}
		rw.Header().Set("X-Content-Type-Options", "nosniff")
		rw.Header().Set("Cache-Control", "no-store")
		all.ServeHTTP(rw, r)
	})
}

// swept is what metrics tell of the sweeps.
func (w *Weir) swept() metrics.Swept {
	t := w.sweeper.Totals()
	return metrics.Swept{Blobs: t.Blobs, Bytes: t.Bytes, Last: t.Last}
}

// lifecycled is what metrics tell of lifecycle policies.
func (w *Weir) lifecycled() metrics.Lifecycle { return metrics.Lifecycle(w.lifecycle.Totals()) }

// expires is what tells when the certificate in use expires; nil without one.
func (w *Weir) expires() func() time.Time {
	if w.cert == nil {
		return nil
	}
	return w.cert.Expires
}

func mayScrape(r *http.Request, who *auth.Auth) error {
	id, secret, ok := r.BasicAuth()
	if !ok {
		return errs.New(errs.Unauthenticated, "metrics need an access key, as user name and password: they are without one only at an address of their own (listeners.metrics)")
	}
	c, err := who.Basic(r.Context(), who.Address(r), id, secret)
	if err != nil {
		return err
	}
	return c.Allowed(getMetrics, "*")
}

func refuseScrape(rw http.ResponseWriter, err error) {
	status, body := http.StatusInternalServerError, "internal error"
	switch errs.CodeOf(err) {
	case errs.Unauthenticated:
		status, body = http.StatusUnauthorized, errs.As(err).Msg
		rw.Header().Set("WWW-Authenticate", `Basic realm="weir"`)
	case errs.RateLimited:
		status, body = http.StatusTooManyRequests, errs.As(err).Msg
	case errs.Denied:
		status, body = http.StatusForbidden, errs.As(err).Msg
	}
	answer(rw, status, body)
}
