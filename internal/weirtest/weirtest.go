// Package weirtest starts whole weirs on loopback for tests: the wiring that ships,
// a real data folder, a real listener, and a scripted upstream in front of which it
// stands. The guard on upstream addresses is on: the upstream's addresses are
// listed one by one, as a user's configuration would.
//
// Everything ends with the test. It guarantees nothing about speed.
package weirtest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-registry/weir/internal/app"
	"github.com/weir-registry/weir/internal/config"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

// Server is a weir that runs in this process.
type Server struct {
	Addr   string   // host:port of the first listener; another one after Restart
	Others []string // of those that the settings have beside it
	Key    app.Key  // the root access key
	Folder string   // has weir.yaml, and the data folder data
	Log    *Log

	t    testing.TB
	weir *app.Weir
	stop func()
}

// Settings is a configuration for a weir with one rule, prefix "up", for the
// registry at site; more is appended as it is.
func Settings(site upstreamtest.Site, rule, more string) string {
	if rule != "" {
		rule = ", " + rule
	}
	allow := strings.Join(site.Allow, `", "`)
	return fmt.Sprintf(`rules: [{prefix: up, upstream: "%[1]s"%[2]s}]
upstreams: {"%[1]s": {endpoints: ["%[3]s"], allow_hosts: ["%[4]s"], realms: ["%[5]s"]}}
%[6]s`, site.Host, rule, site.URL, allow, site.Realm, more)
}

// Start runs a weir with a configuration (YAML, without listen and data) in a new
// folder.
func Start(t testing.TB, settings string) *Server {
	t.Helper()
	s := &Server{Folder: t.TempDir(), Log: &Log{}, t: t, stop: func() {}}
	t.Cleanup(s.Stop)
	s.Restart(settings)
	return s
}

// Restart ends the weir as SIGTERM does, and starts it with other settings in the
// same folder.
func (s *Server) Restart(settings string) {
	s.t.Helper()
	s.Stop()
	name := filepath.Join(s.Folder, "weir.yaml")
	text := "listen: 127.0.0.1:0\ndata: data\nlog: {level: debug}\n" + settings
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	c, err := config.Load(name, nil)
	if err != nil {
		s.t.Fatalf("settings of the test:\n%v", err)
	}
	listeners, err := app.Listen(c)
	if err != nil {
		s.t.Fatal(err)
	}
	w, err := app.New(s.t.Context(), c, app.Options{Version: "test", Stderr: s.Log})
	if err != nil {
		for _, l := range listeners {
			l.Close()
		}
		s.t.Fatal(err)
	}
	s.weir = w
	s.Addr, s.Key, s.Others = listeners[0].Addr().String(), w.Key, nil
	for _, l := range listeners[1:] {
		s.Others = append(s.Others, l.Addr().String())
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := w.Serve(ctx, listeners...); err != nil {
			s.t.Error(err)
		}
	})
	s.stop = sync.OnceFunc(func() {
		cancel()
		serving.Wait()
		if err := w.Close(); err != nil {
			s.t.Error(err)
		}
	})
}

// Stop ends the weir as SIGTERM does, and waits for its end.
func (s *Server) Stop() { s.stop() }

// As returns the server as it is asked with another access key, for Do and Try only.
func (s *Server) As(key app.Key) *Server {
	return &Server{Addr: s.Addr, Key: key, Folder: s.Folder, Log: s.Log, t: s.t}
}

// Sweep removes what nothing needs any more, as of a time that need not be the
// present, and returns how many blobs it removed.
func (s *Server) Sweep(now time.Time) int {
	s.t.Helper()
	swept, err := s.weir.Sweep(context.Background(), now)
	if err != nil {
		s.t.Error(err)
	}
	return swept.Blobs
}

// ApplyLifecycles does what lifecycle policies say, as of a time that need not be the
// present.
func (s *Server) ApplyLifecycles(now time.Time) {
	s.t.Helper()
	if err := s.weir.ApplyLifecycles(context.Background(), now); err != nil {
		s.t.Error(err)
	}
}

// Do asks weir for a path with the root access key, and expects an answer. The
// caller closes the body.
func (s *Server) Do(method, path string, header http.Header) *http.Response {
	s.t.Helper()
	resp, err := s.Try(method, path, header)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

// Try is Do for what may break off before there is an answer, and for other
// goroutines than the test's own.
func (s *Server) Try(method, path string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequest(method, "http://"+s.Addr+path, nil)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if req.Header.Get("Authorization") == "" {
		req.SetBasicAuth(s.Key.ID, s.Key.Secret)
	}
	return http.DefaultTransport.RoundTrip(req)
}

// Log is what a weir logged. It is safe for use by many goroutines.
type Log struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write appends.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns everything that was logged.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
