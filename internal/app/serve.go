package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/config"
	"github.com/weir-registry/weir/internal/console"
	"github.com/weir-registry/weir/internal/httpx"
)

// Listener is an open address of the configuration's.
type Listener struct {
	net.Listener
	For config.Address
}

// Listen opens every address that the configuration has, or none.
func Listen(c *config.Config) (all []Listener, err error) {
	for _, a := range c.Addresses() {
		l, err := net.Listen("tcp", a.Address)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cannot listen: %w", err), closeAll(all))
		}
		all = append(all, Listener{l, a})
	}
	return all, nil
}

func closeAll(all []Listener) (err error) {
	for _, l := range all {
		err = errors.Join(err, l.Close())
	}
	return err
}

// Serve answers on listeners, which it closes, until ctx ends. Then readyz fails,
// they accept no more, and bodies that are being sent get timeouts.shutdown to come
// to their end; what is left then is broken off. It returns nil after that.
func (w *Weir) Serve(ctx context.Context, listeners ...Listener) error {
	grace := time.Duration(w.config.Timeouts.Shutdown)
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	stop := context.AfterFunc(ctx, func() {
		w.draining.Store(true)
		w.log.Info("draining", "timeout", grace)
		end()
	})
	defer stop()
	failed := make([]error, len(listeners))
	var servers sync.WaitGroup
	for i, l := range listeners {
		o := httpx.ServerOptions{Grace: grace, Logger: w.log}
		if w.cert != nil && !l.For.Plain {
			o.TLS = &tls.Config{GetCertificate: w.cert.Get, MinVersion: tls.VersionTLS12}
		}
		servers.Go(func() {
			defer end() // one that fails ends them all
			failed[i] = httpx.NewServer(w.route(l.For), o).Serve(serving, l)
		})
	}
	servers.Wait()
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("cannot serve: %w", err)
	}
	w.log.Info("ended")
	return nil
}

// route puts what an address is for on its paths, under whatever host name. It is
// no http.ServeMux, because that answers paths with ".." or "//" by a redirect
// before the face sees them.
func (w *Weir) route(a config.Address) http.Handler {
	scrapes := w.scrapes(a)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case a.Registry && (path == "/v2" || strings.HasPrefix(path, "/v2/")):
			w.oci.ServeHTTP(rw, r)
		case path == "/healthz":
			answer(rw, http.StatusOK, "ok")
		case path == "/readyz":
			w.ready(rw, r)
		case a.Metrics && path == "/metrics" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			scrapes.ServeHTTP(rw, r)
		case a.API && path == "/" && r.Method == http.MethodPost:
			w.aws.ServeHTTP(rw, r)
		case a.API && path == "/" && r.Method == http.MethodGet:
			http.Redirect(rw, r, console.Path, http.StatusFound)
		case a.API && strings.HasPrefix(path+"/", console.Path):
			w.console.ServeHTTP(rw, r)
		case a.API && strings.HasPrefix(path, auth.DownloadPath):
			w.download.ServeHTTP(rw, r)
		default:
			answer(rw, http.StatusNotFound, elsewhere(a))
		}
	})
}

// elsewhere says what an address has instead of what it was asked for.
func elsewhere(a config.Address) string {
	var has []string
	if a.Registry {
		has = append(has, "the registry is at /v2/")
	}
	if a.API {
		has = append(has, "the console is at "+console.Path+", the API is POST /")
	}
	if a.Metrics {
		has = append(has, "metrics are at /metrics")
	}
	return "nothing is here: " + strings.Join(has, ", ")
}

// ready says whether requests should come here. It asks no upstream, and a full
// disk does not take away a weir that can serve what it holds.
func (w *Weir) ready(rw http.ResponseWriter, r *http.Request) {
	if w.draining.Load() {
		answer(rw, http.StatusServiceUnavailable, "draining")
		return
	}
	if _, err := w.db.Registry(r.Context()); err != nil {
		w.log.Error("not ready", "err", err)
		answer(rw, http.StatusServiceUnavailable, "the database does not answer")
		return
	}
	body := "ready"
	if free, total, err := w.dir.Space(); err == nil && free < w.config.Storage.KeepFree.Of(total) {
		body = fmt.Sprintf("ready, but the disk is full: %s free of %s; what is held is served, and new blobs are not kept", size(free), size(total))
	}
	answer(rw, http.StatusOK, body)
}

func answer(rw http.ResponseWriter, status int, body string) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	rw.Header().Set("Cache-Control", "no-store")
	rw.WriteHeader(status)
	io.WriteString(rw, body+"\n")
}

// size is a number of bytes for people.
func size(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n)/1024, 0
	for ; v >= 1024 && i < len(units)-1; i++ {
		v /= 1024
	}
	return fmt.Sprintf("%.1f %ciB", v, units[i])
}

// registryPort is the port of the registry where it is not that of the API, "" where it is.
func registryPort(c *config.Config) string {
	for _, a := range c.Addresses() {
		if a.Registry && !a.API {
			_, port, _ := net.SplitHostPort(a.Address) // which was checked
			return port
		}
	}
	return ""
}
