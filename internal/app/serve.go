package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/httpx"
)

// Serve answers on l until ctx ends. Then readyz fails, l is closed, and bodies
// that are being sent get timeouts.shutdown to come to their end; what is left
// then is broken off. It returns nil after that.
func (w *Weir) Serve(ctx context.Context, l net.Listener) error {
	o := httpx.ServerOptions{Grace: time.Duration(w.config.Timeouts.Shutdown), Logger: w.log}
	if t := w.config.TLS; t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return fmt.Errorf("tls: %w", err)
		}
		o.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	stop := context.AfterFunc(ctx, func() {
		w.draining.Store(true)
		w.log.Info("draining", "timeout", o.Grace)
		end()
	})
	defer stop()
	if err := httpx.NewServer(w.Handler, o).Serve(serving, l); err != nil {
		return fmt.Errorf("cannot serve: %w", err)
	}
	w.log.Info("ended")
	return nil
}

// route puts the faces on their paths. It is no http.ServeMux, because that
// answers paths with ".." or "//" by a redirect before the face sees them.
func (w *Weir) route(oci, aws http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == "/v2" || strings.HasPrefix(path, "/v2/"):
			oci.ServeHTTP(rw, r)
		case path == "/" && r.Method == http.MethodPost:
			aws.ServeHTTP(rw, r)
		case path == "/healthz":
			answer(rw, http.StatusOK, "ok")
		case path == "/readyz":
			w.ready(rw, r)
		default:
			answer(rw, http.StatusNotFound, "nothing is here: the registry is at /v2/")
		}
	})
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
