package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/upstream"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

// content is n bytes, other ones for each n.
func content(n int) []byte {
	return bytes.Repeat([]byte{byte(n), byte(n >> 8), 'x'}, n/3+1)[:n]
}

func blobPush(b []byte) upstream.BlobPush {
	return upstream.BlobPush{Digest: digest.FromBytes(b), Size: int64(len(b)), Open: func(offset, n int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b[offset : offset+n])), nil
	}}
}

var uploadID = regexp.MustCompile(`uploads/[A-Z0-9]{10,}`)

// pushed are the requests of the log, uploads without their IDs.
func (w *world) pushed() []string {
	all := w.reg.Requests()
	for i, s := range all {
		all[i] = uploadID.ReplaceAllString(s, "uploads/ID")
	}
	return all
}

// TestPush is a whole push with each way to log in, and the exact requests.
func TestPush(t *testing.T) {
	const scope = "GET /token repository:new:pull,push"
	layer := content(5000)
	for _, auth := range []upstreamtest.Auth{upstreamtest.Open, upstreamtest.Basic, upstreamtest.Token} {
		for _, absolute := range []bool{false, true} {
			o := upstreamtest.Options{Auth: auth, Users: map[string]string{user: secret}, Pushes: &upstreamtest.Pushes{Absolute: absolute}}
			in(t, o, func(t *testing.T, w *world) {
				p := w.connect(t, upstream.Host{Realms: []string{w.site.Realm}}, credential).Pusher(upstream.PushOptions{Header: http.Header{"X-Own": {"yes"}}})
				b := blobPush(layer)
				if has, err := p.HasBlob(t.Context(), "new", b.Digest, b.Size); has || err != nil {
					t.Fatal(has, err)
				}
				if sent, err := p.PushBlob(t.Context(), "new", b); err != nil || sent != 5000 {
					t.Fatal(sent, err)
				}
				if has, err := p.HasBlob(t.Context(), "new", b.Digest, b.Size); !has || err != nil {
					t.Fatal(has, err)
				}
				for _, ref := range []oci.Reference{{Digest: w.img.Digest}, tag} {
					if d, err := p.Head(t.Context(), "new", ref); d != "" || err != nil {
						t.Fatal(d, err)
					}
					if err := p.PutManifest(t.Context(), "new", ref, &w.img.Manifest); err != nil {
						t.Fatal(err)
					}
					if d, err := p.Head(t.Context(), "new", ref); d != w.img.Digest || err != nil {
						t.Fatal(d, err)
					}
				}
				blob, m := "/v2/new/blobs/"+string(b.Digest), "/v2/new/manifests/"
				want := []string{
					"HEAD " + blob, "POST /v2/new/blobs/uploads/", "PUT /v2/new/blobs/uploads/ID", "HEAD " + blob,
					"HEAD " + m + string(w.img.Digest), "PUT " + m + string(w.img.Digest), "HEAD " + m + string(w.img.Digest),
					"HEAD " + m + "v1", "PUT " + m + "v1", "HEAD " + m + "v1",
				}
				if auth != upstreamtest.Open {
					for i := range want {
						want[i] += " " + string(auth)
					}
					first := []string{"HEAD " + blob}
					if auth == upstreamtest.Token {
						first = append(first, scope+" basic")
					}
					want = append(first, want...)
				}
				if diff := cmp.Diff(want, w.pushed()); diff != "" {
					t.Errorf("%s: requests (-want +got):\n%s", auth, diff)
				}
				for _, q := range w.reg.Log() {
					if strings.HasPrefix(q.Path, "/v2/") && q.Header.Get("X-Own") != "yes" {
						t.Errorf("%s without the header", q)
					}
				}
			})
		}
	}
}

// TestPushBlob: bodies come whole whatever the other end takes and wherever it breaks.
func TestPushBlob(t *testing.T) {
	tests := []struct {
		name   string
		pushes upstreamtest.Pushes
		size   int
		chunk  int64
		puts   int // bodies that are sent: PUT and PATCH
	}{
		{"empty", upstreamtest.Pushes{}, 0, 0, 1},
		{"whole", upstreamtest.Pushes{}, 100, 100, 1},
		{"parts", upstreamtest.Pushes{}, 1000, 300, 5},
		{"parts, absolute", upstreamtest.Pushes{Absolute: true}, 901, 300, 5},
		{"takes no parts", upstreamtest.Pushes{NoParts: true}, 1000, 300, 2},
		{"too large", upstreamtest.Pushes{MaxBody: 5 << 20}, 9 << 20, 0, 4},
		{"too large parts", upstreamtest.Pushes{MaxBody: 5 << 20}, 20 << 20, 16 << 20, 7},
		{"cut once", upstreamtest.Pushes{CutAfter: 100, Cuts: 1}, 1000, 300, 5},
		{"cut often", upstreamtest.Pushes{CutAfter: 100, Cuts: 8}, 1000, 900, 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, upstreamtest.Options{Auth: upstreamtest.Token, Pushes: &tt.pushes}, func(t *testing.T, w *world) {
				p := w.connect(t, upstream.Host{}, nil).Pusher(upstream.PushOptions{Chunk: tt.chunk})
				b := content(tt.size)
				if _, err := p.PushBlob(t.Context(), "new", blobPush(b)); err != nil {
					t.Fatalf("%v\n%s", err, strings.Join(w.pushed(), "\n"))
				}
				bodies := 0
				for _, s := range w.pushed() {
					if strings.HasPrefix(s, "PUT ") || strings.HasPrefix(s, "PATCH ") {
						bodies++
					}
				}
				if !w.reg.Has("new", string(digest.FromBytes(b))) || bodies != tt.puts {
					t.Errorf("%d bodies, want %d:\n%s", bodies, tt.puts, strings.Join(w.pushed(), "\n"))
				}
				if n := w.reg.Uploads(); n != 0 {
					t.Errorf("%d uploads are left", n)
				}
			})
		})
	}
}

// TestPushMount: a blob that another repository has there costs no byte; a token service
// that gives nobody two repositories at once costs the mount.
func TestPushMount(t *testing.T) {
	for _, mount := range []bool{true, false} {
		in(t, upstreamtest.Options{Auth: upstreamtest.Token, Pushes: &upstreamtest.Pushes{Mount: mount}}, func(t *testing.T, w *world) {
			p := w.connect(t, upstream.Host{}, nil).Pusher(upstream.PushOptions{})
			_, layer := w.layer(0)
			b := blobPush(layer)
			b.From = "app"
			sent, err := p.PushBlob(t.Context(), "new", b)
			if err != nil || sent > 0 == mount || !w.reg.Has("new", string(b.Digest)) {
				t.Fatal(sent, err)
			}
			want := "GET /token repository:new:pull,push repository:app:pull"
			if got := w.pushed(); len(got) < 2 || got[1] != want {
				t.Errorf("requests: %q", got)
			}
		})
	}
	in(t, upstreamtest.Options{Pushes: &upstreamtest.Pushes{}}, func(t *testing.T, w *world) {
		p := w.connect(t, upstream.Host{}, nil).Pusher(upstream.PushOptions{})
		w.reg.Script(upstreamtest.Fault{Method: "POST", Times: 1, Status: 403})
		b := blobPush(content(10))
		b.From = "secret"
		if sent, err := p.PushBlob(t.Context(), "new", b); err != nil || sent != 10 {
			t.Error(sent, err)
		}
	})
}

// TestPushTokens: a token that is over in the middle is renewed, and the body sent again.
func TestPushTokens(t *testing.T) {
	for _, quirks := range [][]upstreamtest.Quirk{nil, {upstreamtest.ExpiredForbidden}, {upstreamtest.NoScopeInBearer}} {
		in(t, upstreamtest.Options{Auth: upstreamtest.Token, Users: map[string]string{user: secret}, Quirks: quirks, Pushes: &upstreamtest.Pushes{}}, func(t *testing.T, w *world) {
			p := w.connect(t, upstream.Host{Realms: []string{w.site.Realm}}, credential).Pusher(upstream.PushOptions{Chunk: 100})
			b := blobPush(content(250))
			open := b.Open
			b.Open = func(offset, n int64) (io.ReadCloser, error) {
				if offset == 100 {
					w.reg.Revoke()
					b.Open = open
				}
				return open(offset, n)
			}
			again := b
			again.Open = func(offset, n int64) (io.ReadCloser, error) { return b.Open(offset, n) }
			if _, err := p.PushBlob(t.Context(), "new", again); err != nil || !w.reg.Has("new", string(b.Digest)) {
				t.Errorf("%v: %v\n%s", quirks, err, strings.Join(w.pushed(), "\n"))
			}
			w.reg.Revoke()
			if err := p.PutManifest(t.Context(), "new", tag, &w.img.Manifest); err != nil {
				t.Errorf("%v: %v", quirks, err)
			}
		})
	}
}

// TestPushScope: a token is asked for in the repository that is pushed to, whatever more the
// other end names of that, and for something else only where it says so.
func TestPushScope(t *testing.T) {
	for named, want := range map[string]string{
		"":                           "repository:new:pull,push",
		"repository:new:*":           "repository:new:pull,push",
		"repository:new:pull,delete": "repository:new:pull,push",
		"repository:other:pull,push": "repository:other:pull,push",
		"registry:catalog:*":         "registry:catalog:*",
	} {
		in(t, upstreamtest.Options{Auth: upstreamtest.Token, Users: map[string]string{user: secret}, Pushes: &upstreamtest.Pushes{}}, func(t *testing.T, w *world) {
			challenge := `Bearer realm="` + w.site.Realm + `",service="upstreamtest"`
			if named != "" {
				challenge += `,scope="` + named + `"`
			}
			w.reg.Script(upstreamtest.Fault{Method: "POST", Times: 1, Status: 401, Header: http.Header{"Www-Authenticate": {challenge}}})
			p := w.connect(t, upstream.Host{Realms: []string{w.site.Realm}}, credential).Pusher(upstream.PushOptions{})
			_, _ = p.PushBlob(t.Context(), "new", blobPush(content(10)))
			var asked []string
			for _, q := range w.pushed() {
				if scope, ok := strings.CutPrefix(q, "GET /token "); ok {
					asked = append(asked, strings.TrimSuffix(scope, " basic"))
				}
			}
			if len(asked) == 0 || asked[0] != want {
				t.Errorf("%q: asked for %q, want %q", named, asked, want)
			}
		})
	}
}

// TestPushFails: what the other end says keeps its class, and no secret is told.
func TestPushFails(t *testing.T) {
	elsewhere := "https://elsewhere.test/upload?secret=s3cret"
	tests := []struct {
		name   string
		pushes upstreamtest.Pushes
		fault  upstreamtest.Fault
		code   errs.Code
		says   string
	}{
		{"not taken", upstreamtest.Pushes{}, upstreamtest.Fault{Method: "POST", Status: 403}, errs.UpstreamDenied, "403"},
		{"no repository", upstreamtest.Pushes{}, upstreamtest.Fault{Method: "POST", Status: 404}, errs.RepoUnknown, "404"},
		{"busy", upstreamtest.Pushes{}, upstreamtest.Fault{Method: "POST", Status: 429, Header: http.Header{"Retry-After": {"7"}}}, errs.UpstreamRateLimited, "429"},
		{"full", upstreamtest.Pushes{}, upstreamtest.Fault{Method: "PUT", Status: 507}, errs.UpstreamFailed, "507"},
		{"away", upstreamtest.Pushes{}, upstreamtest.Fault{Method: "PUT", Status: 503}, errs.UpstreamUnreachable, "503"},
		{"upload is lost", upstreamtest.Pushes{Gone: true}, upstreamtest.Fault{}, errs.RepoUnknown, "upload unknown"},
		{"no Location", upstreamtest.Pushes{}, upstreamtest.Fault{Method: "POST", Status: 202}, errs.UpstreamFailed, "without saying where"},
		{"malformed Location", upstreamtest.Pushes{Location: "http://[::1"}, upstreamtest.Fault{}, errs.UpstreamFailed, "without saying where"},
		{"loopback", upstreamtest.Pushes{Location: "https://127.0.0.1/upload"}, upstreamtest.Fault{}, errs.UpstreamFailed, "loopback"},
		{"elsewhere", upstreamtest.Pushes{Location: elsewhere}, upstreamtest.Fault{}, errs.UpstreamUnreachable, "no such host"},
		{"redirect to a page", upstreamtest.Pushes{}, upstreamtest.Fault{Method: "PUT", Status: 303, Header: http.Header{"Location": {"/page"}}}, errs.UpstreamFailed, "303"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, upstreamtest.Options{Auth: upstreamtest.Basic, Users: map[string]string{user: secret}, Pushes: &tt.pushes}, func(t *testing.T, w *world) {
				p := w.connect(t, upstream.Host{}, credential).Pusher(upstream.PushOptions{})
				if tt.fault.Status != 0 {
					w.reg.Script(tt.fault)
				}
				_, err := p.PushBlob(t.Context(), "new", blobPush(content(100)))
				if errs.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("%v (%s), want %s", err, errs.CodeOf(err), tt.code)
				}
				if e := errs.As(err); tt.code == errs.UpstreamRateLimited && e.RetryAfter != 7*time.Second {
					t.Errorf("again after %s", e.RetryAfter)
				}
			})
		})
	}
}

// TestPushLocationWithoutTLS: an upload that goes on at the registry's own host goes on
// with TLS, whatever the registry knows of what is in front of it.
func TestPushLocationWithoutTLS(t *testing.T) {
	o := upstreamtest.Options{Pushes: &upstreamtest.Pushes{Location: "http://registry.test/v2/new/blobs/uploads/x?_state=s"}}
	in(t, o, func(t *testing.T, w *world) {
		p := w.connect(t, upstream.Host{}, nil).Pusher(upstream.PushOptions{})
		_, err := p.PushBlob(t.Context(), "new", blobPush(content(100)))
		if errs.CodeOf(err) != errs.RepoUnknown { // the test's registry knows no upload x
			t.Errorf("%v\n%s", err, strings.Join(w.pushed(), "\n"))
		}
	})
}

// TestPushRedirect: a registry that moved takes pushes at its new place, without the
// credential of the old one.
func TestPushRedirect(t *testing.T) {
	in(t, upstreamtest.Options{Auth: upstreamtest.Basic, Users: map[string]string{user: secret}}, func(t *testing.T, w *world) {
		to := upstreamtest.New(upstreamtest.Options{Pushes: &upstreamtest.Pushes{Absolute: true}})
		to.On(w.Network, "moved.test")
		w.Serve("registry.test:443", http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			http.Redirect(rw, req, "https://moved.test"+req.URL.RequestURI(), http.StatusTemporaryRedirect)
		}))
		p := w.connect(t, upstream.Host{}, credential).Pusher(upstream.PushOptions{})
		b := blobPush(content(2 << 20))
		if _, err := p.PushBlob(t.Context(), "new", b); err != nil || !to.Has("new", string(b.Digest)) {
			t.Error(err)
		}
		for _, q := range to.Log() {
			if q.Auth != "" {
				t.Errorf("%s has a credential", q)
			}
		}
	})
}

// TestPushStalls: the other end that takes no more bytes is left, one that is slow is not.
func TestPushStalls(t *testing.T) {
	in(t, upstreamtest.Options{Pushes: &upstreamtest.Pushes{}}, func(t *testing.T, w *world) {
		p := w.connect(t, upstream.Host{}, nil).Pusher(upstream.PushOptions{Stall: 10 * time.Second})
		w.reg.Script(upstreamtest.Fault{Method: "PUT", Hang: true})
		start := time.Now()
		_, err := p.PushBlob(t.Context(), "new", blobPush(content(8<<20)))
		if errs.CodeOf(err) != errs.UpstreamTimeout || time.Since(start) > 30*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		w.reg.Script(upstreamtest.Fault{Method: "PUT", Delay: time.Minute})
		if _, err := p.PushBlob(t.Context(), "new", blobPush(content(100))); err != nil {
			t.Errorf("slow answer: %v", err)
		}
		w.reg.Script(upstreamtest.Fault{Method: "PUT", Hang: true})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			synctest.Wait()
			cancel()
		}()
		if _, err := p.PushBlob(ctx, "new", blobPush(content(200))); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		w.reg.Release()
	})
}

// TestPushAnswerWithoutBody: an answer whose body never comes holds nobody up, whatever
// it is the answer to.
func TestPushAnswerWithoutBody(t *testing.T) {
	stall := func(method, path string, status int) upstreamtest.Fault {
		return upstreamtest.Fault{
			Method: method, Path: path, Status: status, Body: `{"errors":[]}`, Stall: true,
			Header: http.Header{"Content-Type": {"application/json"}, "Content-Length": {"100"}, "Location": {"/v2/new/blobs/uploads/x"}},
		}
	}
	faults := map[string]upstreamtest.Fault{
		"begun":     stall("POST", "", 202),
		"part":      stall("PATCH", "", 202),
		"cancelled": stall("DELETE", "", 200),
		"blob":      stall("PUT", "/blobs/", 201),
		"manifest":  stall("PUT", "/manifests/", 201),
		"busy":      stall("", "", 503),
		"refused":   stall("PUT", "", 400),
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			in(t, upstreamtest.Options{Pushes: &upstreamtest.Pushes{}}, func(t *testing.T, w *world) {
				p := w.connect(t, upstream.Host{}, nil).Pusher(upstream.PushOptions{Chunk: 100})
				w.reg.Script(fault)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // in case it does not end
				defer cancel()
				start := time.Now()
				_, _ = p.PushBlob(ctx, "new", blobPush(content(250)))
				_ = p.PutManifest(ctx, "new", tag, &w.img.Manifest)
				if took := time.Since(start); took > 2*time.Minute {
					t.Errorf("took %s", took)
				}
				w.reg.Release()
				<-time.After(time.Second) // a server takes its time to close a connection
			})
		})
	}
}

// TestPushNoProgress: an upload that gets no further ends, however the other end turns.
func TestPushNoProgress(t *testing.T) {
	tests := map[string]struct {
		size     int
		chunk    int64
		statuses map[string]int // by method
	}{
		"neither parts nor whole": {9 << 20, 0, map[string]int{"PATCH": 405, "PUT": 413}},
		"neither whole nor parts": {9 << 20, 16 << 20, map[string]int{"PATCH": 405, "PUT": 413}},
		"back and forth":          {1000, 300, map[string]int{"PATCH": 503, "PUT": 201}},
		"every other part":        {1000, 300, map[string]int{"PATCH": 0, "PUT": 201}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				requests, parts, states := 0, 0, 0
				w.Serve("registry.test:443", http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
					if requests++; requests > 100 {
						cancel()
					}
					rw.Header().Set("Location", "/up/1")
					status := http.StatusNoContent
					switch req.Method {
					case "POST":
						status = http.StatusAccepted
					case "GET":
						states++
						rw.Header().Set("Range", []string{"0-0", "0-99"}[states%2])
						if tt.statuses["PATCH"] == 0 {
							rw.Header().Set("Range", "0-0")
						}
					case "PATCH", "PUT":
						if status = tt.statuses[req.Method]; status == 0 {
							parts++
							status = []int{503, 202}[parts%2]
						}
					}
					rw.WriteHeader(status)
				}))
				p := w.connect(t, upstream.Host{}, nil).Pusher(upstream.PushOptions{Chunk: tt.chunk})
				if _, err := p.PushBlob(ctx, "new", blobPush(content(tt.size))); err == nil || ctx.Err() != nil {
					t.Errorf("%v after %d requests", err, requests)
				}
				<-time.After(time.Second) // a server takes its time to close a connection
			})
		})
	}
}

// TestPushManifestStalls: a manifest that the other end does not read is not waited for.
func TestPushManifestStalls(t *testing.T) {
	in(t, upstreamtest.Options{Pushes: &upstreamtest.Pushes{}}, func(t *testing.T, w *world) {
		p := w.connect(t, upstream.Host{}, nil).Pusher(upstream.PushOptions{Stall: 10 * time.Second})
		w.reg.Script(upstreamtest.Fault{Method: "PUT", Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		// The last bytes are those that are handed over and never taken.
		for _, size := range []int{4 << 20, 300_000} {
			raw := content(size)
			m := &oci.Manifest{Raw: raw, Descriptor: oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: digest.FromBytes(raw), Size: int64(size)}}
			start := time.Now()
			err := p.PutManifest(ctx, "new", tag, m)
			if took := time.Since(start); errs.CodeOf(err) != errs.UpstreamTimeout || took > 6*time.Minute {
				t.Errorf("%d bytes: %v after %s", size, err, took)
			}
		}
		w.reg.Release()
		<-time.After(time.Second) // a server takes its time to close a connection
	})
}

// TestPushOtherDigest: a registry that says it stored something else is not believed.
func TestPushOtherDigest(t *testing.T) {
	in(t, upstreamtest.Options{Pushes: &upstreamtest.Pushes{}}, func(t *testing.T, w *world) {
		p := w.connect(t, upstream.Host{}, nil).Pusher(upstream.PushOptions{})
		w.reg.Script(upstreamtest.Fault{Method: "PUT", Status: 201, Header: http.Header{"Docker-Content-Digest": {string(digest.FromString("x"))}}})
		if err := p.PutManifest(t.Context(), "new", tag, &w.img.Manifest); errs.CodeOf(err) != errs.UpstreamFailed {
			t.Error(err)
		}
	})
}

// TestPushPages: a page for people, which has status 200 too, is not taken for a word that
// something is there.
func TestPushPages(t *testing.T) {
	b := blobPush(content(100))
	d := string(b.Digest)
	tests := []struct {
		name   string
		status int
		header http.Header
		has    bool
		stored bool
	}{
		{"page", 200, http.Header{"Content-Type": {"text/html; charset=utf-8"}, "Content-Length": {"40"}}, false, false},
		{"page of the size", 200, http.Header{"Content-Type": {"text/html"}, "Content-Length": {"100"}}, false, false},
		{"accepted page", 202, http.Header{"Content-Type": {"text/html"}}, false, false},
		{"digest", 200, http.Header{"Docker-Content-Digest": {d}, "Content-Length": {"100"}}, true, true},
		{"digest alone", 200, http.Header{"Docker-Content-Digest": {d}}, true, true},
		{"another digest", 200, http.Header{"Docker-Content-Digest": {string(digest.FromString("x"))}, "Content-Length": {"100"}}, false, false},
		{"a store's answer", 200, http.Header{"Content-Type": {"binary/octet-stream"}, "Content-Length": {"100"}}, true, false},
		{"another size", 200, http.Header{"Content-Type": {"binary/octet-stream"}, "Content-Length": {"101"}}, false, false},
		{"nothing said", 200, http.Header{}, false, false},
		{"created", 201, http.Header{}, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, upstreamtest.Options{Pushes: &upstreamtest.Pushes{}}, func(t *testing.T, w *world) {
				p := w.connect(t, upstream.Host{}, nil).Pusher(upstream.PushOptions{Chunk: 60})
				if tt.status == 200 {
					w.reg.Script(upstreamtest.Fault{Method: "HEAD", Status: 200, Header: tt.header})
					if has, err := p.HasBlob(t.Context(), "new", b.Digest, b.Size); has != tt.has || err != nil {
						t.Errorf("has it: %t, %v", has, err)
					}
				}
				header := tt.header.Clone()
				header.Del("Content-Length")
				w.reg.Script(upstreamtest.Fault{Method: "PUT", Status: tt.status, Header: header})
				m := &oci.Manifest{Raw: content(100), Descriptor: oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: b.Digest}}
				err := p.PutManifest(t.Context(), "new", tag, m)
				if (err == nil) != tt.stored || err != nil && errs.CodeOf(err) != errs.UpstreamFailed {
					t.Errorf("manifest: %v", err)
				}
				for _, size := range []int{100, 60} { // in parts, and whole
					other := blobPush(content(size))
					if header.Get("Docker-Content-Digest") == d {
						header = http.Header{"Docker-Content-Digest": {string(other.Digest)}}
						w.reg.Script(upstreamtest.Fault{Method: "PUT", Status: tt.status, Header: header})
					}
					if tt.status != 202 {
						_, err = p.PushBlob(t.Context(), "new", other)
					}
					if (err == nil) != tt.stored || err != nil && errs.CodeOf(err) != errs.UpstreamFailed {
						t.Errorf("blob of %d: %v", size, err)
					}
				}
			})
		})
	}
}

// FuzzPush has a registry write anything into the headers of an upload: no panic, no
// connection but to public addresses.
func FuzzPush(f *testing.F) {
	for _, s := range []string{"/v2/new/blobs/uploads/x?y=z", "https://127.0.0.1/", "//[::1]/", "https://0x7f.1/", "?", "\x7f"} {
		f.Add(s, "0-99")
	}
	for _, s := range []string{"0--1", "0-", "1-5", "bytes=0-9223372036854775807", "0-9999"} {
		f.Add("/v2/x", s)
	}
	n := upstreamtest.NewNetwork()
	f.Cleanup(n.Close)
	f.Fuzz(func(t *testing.T, location, span string) {
		puts := 0
		n.Serve("registry.test:443", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Location", location)
			w.Header().Set("Range", span)
			switch req.Method {
			case "GET":
				w.WriteHeader(http.StatusNoContent)
			case "POST":
				w.WriteHeader(http.StatusAccepted)
			case "PATCH":
				if puts++; puts < 5 {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(http.StatusAccepted)
			default:
				w.WriteHeader(http.StatusCreated)
			}
		}))
		c, err := upstream.New(upstream.Options{Hosts: map[string]upstream.Host{"registry.test": {CA: n.CA(), Proxy: "direct"}}, Resolve: n.Resolve, Dial: n.Dial})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = c.Registry("registry.test", "generic", nil).Pusher(upstream.PushOptions{Chunk: 50}).PushBlob(t.Context(), "new", blobPush(content(100)))
		for _, d := range n.Dials() {
			if !strings.HasPrefix(d, "198.51.100.") {
				t.Fatalf("dialled %s", d)
			}
		}
	})
}
