package ociapi_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/ociapi"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/seal"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

// script is a registry that answers what it is told.
type script struct {
	ociapi.Pusher // nil: what pushes and deletes is not scripted
	manifest      *registry.Manifest
	blob          *scriptedBlob
	info          registry.BlobInfo
	err           error

	tagList *registry.TagList
	listed  *registry.ReferrerList
	catalog []string
	more    bool // names in the catalog

	calls   []string
	callers []iam.Caller
}

// asIs is names without mirrors.
func asIs(_, _, repo string) (string, error) { return repo, nil }

// names has one mirror: up.example's, by ns or by its own name.
func (s *script) names(host, ns, repo string) (string, error) {
	switch {
	case ns == "up.example", ns == "" && host == "mirror.example":
		return "up/" + repo, nil
	case ns == "":
		return repo, nil
	}
	return "", errs.New(errs.RepoUnknown, "%s is not mirrored here", ns)
}

func (s *script) called(what string, c iam.Caller, repo, ref string) {
	s.calls = append(s.calls, fmt.Sprintf("%s %s %s by %s", what, repo, ref, c.Name))
	s.callers = append(s.callers, c)
}

func (s *script) Manifest(_ context.Context, c iam.Caller, repo string, ref oci.Reference, pull bool) (*registry.Manifest, error) {
	s.called(map[bool]string{true: "pull", false: "look at"}[pull], c, repo, ref.String())
	return s.manifest, s.err
}

func (s *script) Blob(_ context.Context, c iam.Caller, repo string, d digest.Digest) (ociapi.Content, error) {
	s.called("blob", c, repo, string(d))
	if s.err != nil {
		return nil, s.err
	}
	return s.blob, nil
}

func (s *script) StatBlob(_ context.Context, c iam.Caller, repo string, d digest.Digest) (registry.BlobInfo, string, error) {
	s.called("stat", c, repo, string(d))
	return s.info, "up.example", s.err
}

func (s *script) Tags(_ context.Context, c iam.Caller, repo, after string, limit int) (*registry.TagList, error) {
	s.called("tags", c, repo, fmt.Sprintf("%q %d", after, limit))
	return s.tagList, s.err
}

func (s *script) Referrers(_ context.Context, c iam.Caller, repo string, q registry.ReferrerQuery) (*registry.ReferrerList, error) {
	s.called("referrers", c, repo, fmt.Sprintf("%s %q %q %d", q.Subject, q.Types, q.After, q.Limit))
	return s.listed, s.err
}

func (s *script) Catalog(_ context.Context, c iam.Caller, after string, limit int) ([]string, bool, error) {
	s.called("catalog", c, fmt.Sprintf("%q", after), fmt.Sprint(limit))
	return s.catalog, s.more, s.err
}

// scriptedBlob is a blob: held if it has content, else arriving.
type scriptedBlob struct {
	content  io.ReadSeeker
	data     []byte
	unknown  bool  // its length, until it is verified
	cut      int   // arriving: the error comes after so many bytes; 0: none does
	err      error // that error, or that of Verified
	source   registry.Source
	verified int
	closed   int
	asked    []string
}

func (b *scriptedBlob) Length() int64 {
	if b.unknown && b.verified == 0 {
		return -1
	}
	return int64(len(b.data))
}
func (b *scriptedBlob) WasKept() bool                           { return b.source == registry.Hit }
func (b *scriptedBlob) From() (registry.Source, string, string) { return b.source, "up.example", "up" }
func (b *scriptedBlob) Close() error                            { b.closed++; return nil }
func (b *scriptedBlob) Verified(context.Context) error {
	if b.cut == 0 && b.err != nil {
		return b.err
	}
	b.verified++
	return nil
}

func (b *scriptedBlob) WriteRange(_ context.Context, w registry.Sink, start, end int64) error {
	b.asked = append(b.asked, fmt.Sprintf("[%d,%d)", start, end))
	if end < 0 {
		end = int64(len(b.data))
	}
	if b.content != nil {
		if _, err := b.content.Seek(start, io.SeekStart); err != nil {
			return err
		}
		_, err := io.Copy(w, &io.LimitedReader{R: b.content, N: end - start})
		return err
	}
	if b.cut > 0 {
		w.Write(b.data[start : start+int64(b.cut)])
		w.Flush()
		return b.err
	}
	w.Flush()
	_, err := w.Write(b.data[start:end])
	return err
}

// keys is access keys in memory.
type keys map[string]meta.Key

func (k keys) Key(_ context.Context, id string) (meta.Key, error) {
	key, ok := k[id]
	if !ok {
		return meta.Key{}, fs.ErrNotExist
	}
	return key, nil
}
func (k keys) PutKey(_ context.Context, key meta.Key) error { k[key.ID] = key; return nil }

// server is the face on loopback with a root key.
type server struct {
	*httptest.Server
	who        *auth.Auth
	script     *script
	log        bytes.Buffer
	id, secret string
}

func arn(repo string) string { return "arn:aws:ecr:local:123456789012:repository/" + repo }

// start serves s. anonymous are repositories that loopback may pull.
func start(t *testing.T, s *script, anonymous ...string) *server {
	t.Helper()
	sealed, err := seal.Open(vfstest.NewMem(nil), "keys")
	if err != nil {
		t.Fatal(err)
	}
	o := auth.Options{ARN: arn}
	if len(anonymous) > 0 {
		o.Anonymous = []auth.AnonymousRule{{CIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Repositories: anonymous}}
	}
	who := auth.New(keys{}, sealed, o)
	srv := &server{who: who, script: s}
	if srv.id, srv.secret, _, err = who.CreateRoot(t.Context(), "123456789012"); err != nil {
		t.Fatal(err)
	}
	srv.Server = httptest.NewServer(ociapi.NewScripted(s, who, s.names, slog.New(slog.NewTextHandler(&srv.log, nil)), nil))
	t.Cleanup(srv.Close)
	return srv
}

// logged ends the server, so that every line is written, and returns its log.
func (s *server) logged() string {
	s.Close()
	return s.log.String()
}

// do sends a request as root, unless header has other credentials.
func (s *server) do(t *testing.T, method, path string, header http.Header) (*http.Response, []byte, error) {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	if _, ok := req.Header["Authorization"]; !ok {
		req.SetBasicAuth(s.id, s.secret)
	} else if req.Header.Get("Authorization") == "" {
		req.Header.Del("Authorization")
	}
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := s.Client().Transport.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// index is a manifest answer.
func index(source registry.Source, age time.Duration, warning string) *registry.Manifest {
	raw := []byte(`{"schemaVersion":2, "manifests":[] }` + "\n")
	return &registry.Manifest{
		Answer: pullthrough.Answer{
			Manifest: &oci.Manifest{Descriptor: oci.Descriptor{MediaType: oci.MediaTypeIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw))}, Raw: raw},
			Source:   source, Age: age, Warning: warning,
		},
		Upstream: "up.example",
	}
}

// safe checks what every answer of the face has.
func safe(t *testing.T, resp *http.Response) {
	t.Helper()
	for k, want := range map[string]string{
		"X-Content-Type-Options":          "nosniff",
		"Content-Security-Policy":         "default-src 'none'; sandbox",
		"Content-Disposition":             "attachment",
		"Docker-Distribution-Api-Version": "registry/2.0",
	} {
		if got := resp.Header.Get(k); got != want {
			t.Errorf("%s is %q, want %q", k, got, want)
		}
	}
	if resp.Header.Get("X-Request-Id") == "" {
		t.Error("no X-Request-Id")
	}
}

var errCut = errs.New(errs.UpstreamFailed, "up.example broke off")
