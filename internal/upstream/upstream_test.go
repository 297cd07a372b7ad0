package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/upstream"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

const (
	user   = "robot"
	secret = "s3cret-of-the-robot"
)

func credential(context.Context) (string, string, error) { return user, secret, nil }

// world is a network in memory with one registry, and a client that knows it as
// registry.test, by TLS: nothing of it is listed, so the guard judges every address.
type world struct {
	*upstreamtest.Network
	reg    *upstreamtest.Registry
	site   upstreamtest.Site
	img    upstreamtest.Image
	opts   upstream.Options
	log    bytes.Buffer
	client *upstream.Client
	up     *upstream.Registry
}

// in runs a test in fake time.
func in(t *testing.T, o upstreamtest.Options, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{Network: upstreamtest.NewNetwork(), reg: upstreamtest.New(o), img: upstreamtest.NewIndex(1, 2, 100_000, 3000)}
		t.Cleanup(w.Close)
		w.site = w.reg.On(w.Network, "registry.test")
		w.reg.Push("app", "v1", w.img)
		w.opts = upstream.Options{
			Resolve: w.Resolve,
			Dial:    w.Dial,
			Logger:  slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		}
		test(t, w)
	})
}

// connect makes the client, with a credential or without.
func (w *world) connect(t *testing.T, h upstream.Host, cred upstream.Credential) *upstream.Registry {
	t.Helper()
	h.CA = w.CA()
	if h.Proxy == "" {
		h.Proxy = "direct" // whatever the environment of the tests says
	}
	w.opts.Hosts = map[string]upstream.Host{"registry.test": h}
	c, err := upstream.New(w.opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w.client = c
	w.up = c.Registry("registry.test", rule.Generic, cred)
	return w.up
}

func (w *world) layer(i int) (digest.Digest, []byte) {
	b := w.img.Children[0].Layers[i]
	return digest.FromBytes(b), b
}

var tag = oci.Reference{Tag: "v1"}

// pull gets the index, the first platform's manifest and all its blobs, one by one.
func (w *world) pull(t *testing.T) {
	t.Helper()
	ctx, child := t.Context(), w.img.Children[0]
	m, err := w.up.Manifest(ctx, "app", tag)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w.img.Manifest, *m); diff != "" {
		t.Fatalf("index (-want +got):\n%s", diff)
	}
	m, err = w.up.Manifest(ctx, "app", oci.Reference{Digest: child.Digest})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(child.Manifest, *m); diff != "" {
		t.Fatalf("manifest (-want +got):\n%s", diff)
	}
	for _, want := range append([][]byte{child.Config}, child.Layers...) {
		got, start, _, err := w.read(ctx, digest.FromBytes(want), 0, -1)
		if err != nil || start != 0 || !bytes.Equal(got, want) {
			t.Fatalf("blob: %d bytes from %d, %v", len(got), start, err)
		}
	}
}

// read opens a part of a blob of app and reads it to its end.
func (w *world) read(ctx context.Context, d digest.Digest, offset, n int64) (b []byte, start, total int64, err error) {
	body, start, total, err := w.up.Blob(ctx, "app", d, offset, n)
	if err != nil {
		return nil, 0, 0, err
	}
	defer body.Close()
	b, err = io.ReadAll(body)
	return b, start, total, err
}

// requests compares the requests that arrived with want, where blobs are short names.
func (w *world) requests(t *testing.T, want ...string) {
	t.Helper()
	long := map[string]string{
		"INDEX": w.img.Digest.String(), "CHILD": w.img.Children[0].Digest.String(),
		"CONFIG": digest.FromBytes(w.img.Children[0].Config).String(),
		"LAYER0": digest.FromBytes(w.img.Children[0].Layers[0]).String(),
		"LAYER1": digest.FromBytes(w.img.Children[0].Layers[1]).String(),
	}
	got := w.reg.Requests()
	for i := range got {
		for name, d := range long {
			got[i] = strings.Replace(got[i], d, name, 1)
		}
	}
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	w.reg.Forget()
}

// fails checks an error's code, that its message has each of the words, and that
// neither it nor the log has a secret.
func (w *world) fails(t *testing.T, err error, code errs.Code, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %v", code)
		return
	}
	e := errs.As(err)
	if e == nil || e.Code != code {
		t.Errorf("error %q is %v, want %v", err, errs.CodeOf(err), code)
		return
	}
	for _, word := range append(words, "registry.test") {
		if !strings.Contains(e.Msg, word) {
			t.Errorf("message %q does not name %q", e.Msg, word)
		}
	}
	if other := e.WithoutName().Msg; !strings.HasPrefix(other, "registry.test: ") || strings.Contains(other, "app") {
		t.Errorf("others are told %q", other)
	}
	w.clean(t, err.Error()+w.log.String())
}

// clean fails if a text has something secret in it.
func (w *world) clean(t *testing.T, text string) {
	t.Helper()
	for _, bad := range []string{secret, "token-", "cm9ib3Q6", "signature=", "expires=", "Bearer", "Basic "} {
		if strings.Contains(text, bad) {
			t.Errorf("%q has %q in it", text, bad)
		}
	}
}

func TestRequests(t *testing.T) {
	blobs := func(auth string, redirected bool) []string {
		var lines []string
		for _, d := range []string{"CONFIG", "LAYER0", "LAYER1"} {
			lines = append(lines, "GET /v2/app/blobs/"+d+auth)
			if redirected {
				lines = append(lines, "GET /cdn/app/blobs/"+d)
			}
		}
		return lines
	}
	manifests := func(auth string) []string {
		return []string{"GET /v2/app/manifests/v1" + auth, "GET /v2/app/manifests/CHILD" + auth}
	}
	for _, test := range []struct {
		name  string
		opts  upstreamtest.Options
		cred  upstream.Credential
		learn []string // before the first answer, the first time
		auth  string
	}{
		{name: "open", opts: upstreamtest.Options{}},
		{name: "open, redirected", opts: upstreamtest.Options{Redirect: true}},
		{
			name: "anonymous token", opts: upstreamtest.Options{Auth: upstreamtest.Token, TokenLife: time.Hour, Redirect: true}, auth: " token",
			learn: []string{"GET /v2/app/manifests/v1", "GET /token repository:app:pull"},
		},
		{
			name: "token for a credential", opts: upstreamtest.Options{Auth: upstreamtest.Token, Users: map[string]string{user: secret}, TokenLife: time.Hour}, auth: " token",
			cred:  credential,
			learn: []string{"GET /v2/app/manifests/v1", "GET /token repository:app:pull basic"},
		},
		{
			name: "basic", opts: upstreamtest.Options{Auth: upstreamtest.Basic, Users: map[string]string{user: secret}, Redirect: true}, auth: " basic",
			cred:  credential,
			learn: []string{"GET /v2/app/manifests/v1"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, test.opts, func(t *testing.T, w *world) {
				w.connect(t, upstream.Host{Realms: []string{w.site.Realm}}, test.cred)
				w.pull(t)
				all := append(manifests(test.auth), blobs(test.auth, test.opts.Redirect)...)
				w.requests(t, append(test.learn, all...)...)
				w.pull(t)
				w.requests(t, all...)
				w.clean(t, w.log.String())
			})
		})
	}
}

// What every request to a registry carries, whoever asked for what.
func TestHeaders(t *testing.T) {
	in(t, upstreamtest.Options{Auth: upstreamtest.Token, Redirect: true}, func(t *testing.T, w *world) {
		w.opts.UserAgent = "weir/test"
		w.connect(t, upstream.Host{}, nil)
		w.pull(t)
		if _, err := w.up.Head(t.Context(), "app", tag); err != nil {
			t.Fatal(err)
		}
		for _, q := range w.reg.Log() {
			if got := q.Header.Get("User-Agent"); got != "weir/test" {
				t.Errorf("%s: User-Agent %q", q, got)
			}
			if got := q.Header.Get("Accept-Encoding"); got != "identity" {
				t.Errorf("%s: Accept-Encoding %q", q, got)
			}
			if got := q.Header.Get("Accept"); strings.Contains(q.Path, "/manifests/") && got != strings.Join(oci.Accept, ", ") {
				t.Errorf("%s: Accept %q", q, got)
			}
			for _, no := range []string{"Cookie", "Referer", "Range"} {
				if got := q.Header.Get(no); got != "" {
					t.Errorf("%s: %s %q", q, no, got)
				}
			}
		}
	})
}

// A new repository of a host whose challenge is known asks for its token first.
func TestChallengeIsRemembered(t *testing.T) {
	in(t, upstreamtest.Options{Auth: upstreamtest.Token, TokenLife: time.Hour}, func(t *testing.T, w *world) {
		w.reg.Push("other/app", "v1", w.img)
		w.connect(t, upstream.Host{}, nil)
		for _, repo := range []string{"app", "other/app"} {
			if _, err := w.up.Manifest(t.Context(), repo, tag); err != nil {
				t.Fatal(err)
			}
		}
		// Another rule with the same host knows it, too, but has no token of the first's.
		if _, err := w.client.Registry("registry.test", rule.Generic, nil).Manifest(t.Context(), "app", tag); err != nil {
			t.Fatal(err)
		}
		w.requests(t,
			"GET /v2/app/manifests/v1",
			"GET /token repository:app:pull",
			"GET /v2/app/manifests/v1 token",
			"GET /token repository:other/app:pull",
			"GET /v2/other/app/manifests/v1 token",
			"GET /token repository:app:pull",
			"GET /v2/app/manifests/v1 token")
		if diff := cmp.Diff([]string{"auth.registry.test:443"}, w.up.Hosts()); diff != "" {
			t.Errorf("hosts (-want +got):\n%s", diff)
		}
	})
}

func TestHead(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.connect(t, upstream.Host{}, nil)
		got, err := w.up.Head(t.Context(), "app", tag)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(w.img.Descriptor, got); diff != "" {
			t.Errorf("descriptor (-want +got):\n%s", diff)
		}
		w.requests(t, "HEAD /v2/app/manifests/v1")
		_, err = w.up.Head(t.Context(), "app", oci.Reference{Tag: "v2"})
		w.fails(t, err, errs.ManifestUnknown, "app:v2", "404")
	})
}

func TestCancelled(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault upstreamtest.Fault
	}{
		{"before the answer", upstreamtest.Fault{Hang: true}},
		{"while the manifest arrives", upstreamtest.Fault{Stall: true, At: 10, NoLength: true}},
		{"while a token is asked for", upstreamtest.Fault{Path: "/token", Hang: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{Auth: upstreamtest.Token}, func(t *testing.T, w *world) {
				w.connect(t, upstream.Host{}, nil)
				w.reg.Script(test.fault)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				_, err := w.up.Manifest(ctx, "app", tag)
				if !errors.Is(err, context.Canceled) || errs.As(err) != nil {
					t.Errorf("cancelled: %v", err)
				}
				ctx, cancel = context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err = w.up.Manifest(ctx, "app", tag)
				w.fails(t, err, errs.UpstreamTimeout)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v does not match context.DeadlineExceeded", err)
				}
			})
		})
	}
}
