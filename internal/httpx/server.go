package httpx

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/weir-registry/weir/internal/errs"
)

// parting is how long requests have to answer that the server ends.
const parting = time.Second

// ServerOptions of a Server.
type ServerOptions struct {
	TLS    *tls.Config   // nil: plain HTTP
	Grace  time.Duration // how long running requests may take once the server is to end; 0: 30 s
	Logger *slog.Logger  // nil: slog.Default()
}

// Server serves a handler until it is told to end, and then drains. It has no
// overall time limit for a request: the response writer renews a deadline while a
// client takes bytes.
type Server struct {
	http   *http.Server
	grace  time.Duration
	tls    bool
	cancel context.CancelCauseFunc

	mu     sync.Mutex
	over   bool
	active sync.WaitGroup
}

// NewServer returns a Server that does not listen yet.
func NewServer(h http.Handler, o ServerOptions) *Server {
	if o.Grace == 0 {
		o.Grace = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	s := &Server{grace: o.Grace, tls: o.TLS != nil, cancel: cancel}
	s.http = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !s.enter() {
				panic(http.ErrAbortHandler)
			}
			defer s.active.Done()
			h.ServeHTTP(w, r)
		}),
		TLSConfig:         o.TLS,
		ReadHeaderTimeout: 20 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
	return s
}

// Serve accepts connections on listeners, which it closes, until ctx ends. Then
// it accepts no more, lets running requests end for at most Grace, tells those
// that are left that the server ends, and breaks them off. No handler runs when
// it returns. The error is nil after a drain, else why a listener failed.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	failed := make(chan error, len(listeners))
	var accepting sync.WaitGroup
	for _, l := range listeners {
		accepting.Go(func() { failed <- s.accept(l) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.drain()
	accepting.Wait()
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.active.Wait()
	return err
}

// enter counts a request, and says false for one that slipped in at the very end.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	s.active.Add(1)
	return true
}

func (s *Server) accept(l net.Listener) error {
	var err error
	if s.tls {
		err = s.http.ServeTLS(l, "", "")
	} else {
		err = s.http.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *Server) drain() {
	for _, step := range []time.Duration{s.grace, parting} {
		ctx, cancel := context.WithTimeout(context.Background(), step)
		err := s.http.Shutdown(ctx)
		cancel()
		if err == nil {
			break
		}
		s.cancel(errs.New(errs.Unavailable, "weir is shutting down"))
	}
	s.cancel(errs.New(errs.Unavailable, "weir is shutting down"))
	s.http.Close()
}
