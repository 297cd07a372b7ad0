package upstream_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/upstream"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

func TestStatuses(t *testing.T) {
	jsonType := http.Header{"Content-Type": {"application/json"}}
	for _, test := range []struct {
		status         int
		head, get, blb errs.Code
	}{
		{400, errs.UpstreamFailed, errs.UpstreamFailed, errs.UpstreamFailed},
		{401, errs.UpstreamDenied, errs.UpstreamDenied, errs.UpstreamDenied},
		{403, errs.UpstreamDenied, errs.UpstreamDenied, errs.UpstreamDenied},
		{404, errs.ManifestUnknown, errs.ManifestUnknown, errs.BlobUnknown},
		{405, errs.Unsupported, errs.UpstreamFailed, errs.UpstreamFailed},
		{407, errs.UpstreamUnreachable, errs.UpstreamUnreachable, errs.UpstreamUnreachable},
		{410, errs.UpstreamFailed, errs.UpstreamFailed, errs.UpstreamFailed},
		{416, errs.UpstreamFailed, errs.UpstreamFailed, errs.RangeInvalid},
		{429, errs.UpstreamRateLimited, errs.UpstreamRateLimited, errs.UpstreamRateLimited},
		{500, errs.UpstreamFailed, errs.UpstreamFailed, errs.UpstreamFailed},
		{501, errs.Unsupported, errs.UpstreamFailed, errs.UpstreamFailed},
		{502, errs.UpstreamUnreachable, errs.UpstreamUnreachable, errs.UpstreamUnreachable},
		{503, errs.UpstreamUnreachable, errs.UpstreamUnreachable, errs.UpstreamUnreachable},
		{504, errs.UpstreamTimeout, errs.UpstreamTimeout, errs.UpstreamTimeout},
		{599, errs.UpstreamFailed, errs.UpstreamFailed, errs.UpstreamFailed},
		{201, errs.UpstreamFailed, errs.UpstreamFailed, errs.UpstreamFailed},
		{204, errs.UpstreamFailed, errs.UpstreamFailed, errs.UpstreamFailed},
		{304, errs.UpstreamFailed, errs.UpstreamFailed, errs.UpstreamFailed},
	} {
		t.Run(http.StatusText(test.status), func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				w.reg.Script(upstreamtest.Fault{Status: test.status, Header: jsonType})
				w.connect(t, upstream.Host{}, nil)
				_, err := w.up.Head(t.Context(), "app", tag)
				w.fails(t, err, test.head, "manifest app:v1")
				_, err = w.up.Manifest(t.Context(), "app", tag)
				w.fails(t, err, test.get, "manifest app:v1")
				d, _ := w.layer(0)
				_, _, _, err = w.up.Blob(t.Context(), "app", d, 5, -1)
				w.fails(t, err, test.blb, "blob app@"+d.String())
			})
		})
	}
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.reg.Script(upstreamtest.Fault{Status: 206})
		w.connect(t, upstream.Host{}, nil)
		_, err := w.up.Manifest(t.Context(), "app", tag)
		w.fails(t, err, errs.UpstreamFailed, "206")
	})
}

func TestRetryAfter(t *testing.T) {
	for _, test := range []struct {
		name, value string
		want        time.Duration
	}{
		{"none", "", 0},
		{"seconds", "120", 2 * time.Minute},
		{"date", "Sat, 01 Jan 2000 00:05:00 GMT", 5 * time.Minute}, // fake time begins at midnight
		{"date that is over", "Fri, 31 Dec 1999 23:00:00 GMT", 0},
		{"negative", "-5", 0},
		{"years", "99999999999", 24 * time.Hour},
		{"date in years", "Sat, 01 Jan 2050 00:05:00 GMT", 24 * time.Hour},
		{"nonsense", "soon", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				w.reg.Script(upstreamtest.Fault{Status: 429, Header: http.Header{"Retry-After": {test.value}}})
				w.connect(t, upstream.Host{}, nil)
				_, err := w.up.Manifest(t.Context(), "app", tag)
				w.fails(t, err, errs.UpstreamRateLimited, "429")
				if got := errs.As(err).RetryAfter; got != test.want {
					t.Errorf("RetryAfter %s, want %s", got, test.want)
				}
			})
		})
	}
}

// What an upstream says itself is told to others than who asked only if it has nothing of
// what was asked for in it.
func TestUnnamed(t *testing.T) {
	for _, test := range []struct {
		name, path, said string
		told             bool
	}{
		{"of the account", "/manifests/", "You have reached your limit", true},
		{"of the repository", "/manifests/", "no access to Team/App", false},
		{"of a part of its name", "/manifests/", "project team is not yours", false},
		{"of the tag", "/manifests/", "there is no v1.2", false},
		{"of the credential", "/token", "incorrect username or password", true},
		{"of the scope", "/token", "no repository:team/app:pull for you", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{Auth: upstreamtest.Token}, func(t *testing.T, w *world) {
				w.reg.Script(upstreamtest.Fault{Path: test.path, Status: 403, Header: http.Header{"Content-Type": {"application/json"}},
					Body: fmt.Sprintf(`{"errors":[{"message":%q}]}`, test.said)})
				w.connect(t, upstream.Host{}, nil)
				_, err := w.up.Manifest(t.Context(), "team/app", oci.Reference{Tag: "v1.2"})
				w.fails(t, err, errs.UpstreamDenied, "team/app", "403 Forbidden ("+test.said+")")
				other := errs.As(err).WithoutName().Msg
				if !strings.HasSuffix(other, "403 Forbidden") && !strings.HasSuffix(other, "403 Forbidden ("+test.said+")") || strings.Contains(other, test.said) != test.told {
					t.Errorf("others are told %q", other)
				}
			})
		})
	}
}

// What is no manifest, or not the one that was asked for, is refused with its reason.
func TestBadManifests(t *testing.T) {
	header := func(kv ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(kv); i += 2 {
			h[kv[i]] = []string{kv[i+1]}
		}
		return h
	}
	other := digest.FromString("other")
	const digestKey = "Docker-Content-Digest"
	for _, test := range []struct {
		name  string
		fault upstreamtest.Fault
		code  errs.Code
		words []string
	}{
		{"page with 200", upstreamtest.HTML(), errs.UpstreamFailed, []string{"text/html"}},
		{"page that says JSON", upstreamtest.Fault{Status: 200, Header: header("Content-Type", "application/json"), Body: "<html>"}, errs.UpstreamFailed, []string{"not a JSON object"}},
		{"wrong Content-Type", upstreamtest.Fault{Header: header("Content-Type", "image/png")}, errs.UpstreamFailed, []string{"image/png"}},
		{"other digest", upstreamtest.Fault{Header: header(digestKey, other.String())}, errs.UpstreamFailed, []string{other.String()}},
		{"no digest in its header", upstreamtest.Fault{Header: header(digestKey, "v1")}, errs.UpstreamFailed, []string{digestKey}},
		{"unknown algorithm", upstreamtest.Fault{Header: header(digestKey, "blake3:"+strings.Repeat("0", 64))}, errs.UpstreamFailed, []string{digestKey}},
		{"one wrong bit", upstreamtest.Fault{Corrupt: true}, errs.UpstreamFailed, []string{"do not have the digest"}},
		{"too long", upstreamtest.Fault{Length: oci.MaxManifestSize + 1}, errs.UpstreamFailed, []string{"4194305"}},
		{"endless", upstreamtest.Fault{Endless: true}, errs.UpstreamFailed, []string{"more bytes"}},
		{"cut", upstreamtest.Fault{Cut: true, At: 100}, errs.UpstreamUnreachable, []string{"broke off after 100"}},
		{"cut, no length", upstreamtest.Fault{Cut: true, At: 100, NoLength: true}, errs.UpstreamUnreachable, []string{"broke off after 100"}},
		{"cut at the first byte", upstreamtest.Fault{Cut: true}, errs.UpstreamUnreachable, []string{"broke off after 0"}},
		{"compressed", upstreamtest.Fault{Header: header("Content-Encoding", "gzip")}, errs.UpstreamFailed, []string{"Content-Encoding gzip"}},
		{"empty", upstreamtest.Fault{Status: 200, Header: header("Content-Type", oci.MediaTypeIndex)}, errs.UpstreamFailed, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				w.reg.Script(test.fault)
				w.connect(t, upstream.Host{}, nil)
				_, err := w.up.Manifest(t.Context(), "app", tag)
				w.fails(t, err, test.code, append(test.words, "manifest app:v1")...)
			})
		})
	}
}

func TestManifestDigests(t *testing.T) {
	raw := upstreamtest.NewImage(3, 10).Raw
	sum256, sum512 := digest.SHA256.FromBytes(raw), digest.SHA512.FromBytes(raw)
	limit := append([]byte(`{"layers":[]`), bytes.Repeat([]byte(" "), oci.MaxManifestSize-13)...)
	limit = append(limit, '}')
	for _, test := range []struct {
		name string
		raw  []byte
		ref  oci.Reference
		said string // Docker-Content-Digest
		want digest.Digest
		code errs.Code
	}{
		{name: "tag, not said", raw: raw, ref: tag, want: sum256},
		{name: "tag, sha256", raw: raw, ref: tag, said: sum256.String(), want: sum256},
		{name: "tag, sha512", raw: raw, ref: tag, said: sum512.String(), want: sum512},
		{name: "digest, not said", raw: raw, ref: oci.Reference{Digest: sum256}, want: sum256},
		{name: "digest, the other algorithm said", raw: raw, ref: oci.Reference{Digest: sum512}, said: sum256.String(), want: sum512},
		{name: "digest, other bytes that are said", raw: raw, ref: oci.Reference{Digest: digest.FromString("x")}, said: sum256.String(), code: errs.UpstreamFailed},
		{name: "exactly 4 MiB", raw: limit, ref: tag, want: digest.FromBytes(limit)},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				w.reg.Script(upstreamtest.Fault{Status: 200, Body: string(test.raw), Header: http.Header{
					"Content-Type": {oci.MediaTypeManifest}, "Docker-Content-Digest": {test.said},
				}})
				w.connect(t, upstream.Host{}, nil)
				m, err := w.up.Manifest(t.Context(), "app", test.ref)
				if test.code != errs.Internal {
					w.fails(t, err, test.code, test.ref.String())
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				want := oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: test.want, Size: int64(len(test.raw))}
				if diff := cmp.Diff(want, m.Descriptor); diff != "" {
					t.Errorf("descriptor (-want +got):\n%s", diff)
				}
				if !bytes.Equal(m.Raw, test.raw) {
					t.Error("other bytes")
				}
			})
		})
	}
}

// Every quirk, at a registry that wants tokens and has a second host: what works, and
// the class of what cannot.
func TestQuirks(t *testing.T) {
	type outcome struct{ head, manifest, blob, rest errs.Code } // rest: the blob from byte 60,000
	for _, quirk := range upstreamtest.Quirks() {
		want := outcome{}
		start := int64(60_000)
		switch quirk {
		case upstreamtest.HeadDenied:
			want.head = errs.UpstreamDenied
		case upstreamtest.HeadUnsupported:
			want.head = errs.Unsupported
		case upstreamtest.Gzip:
			want = outcome{errs.UpstreamFailed, errs.UpstreamFailed, errs.UpstreamFailed, errs.UpstreamFailed}
		case upstreamtest.RangeUnavailable:
			want.rest = errs.RangeInvalid
		case upstreamtest.RangeIgnored:
			start = 0
		}
		t.Run(string(quirk), func(t *testing.T) {
			in(t, upstreamtest.Options{Auth: upstreamtest.Token, Redirect: true, Quirks: []upstreamtest.Quirk{quirk}}, func(t *testing.T, w *world) {
				w.connect(t, upstream.Host{}, nil)
				var got outcome
				m, err := w.up.Manifest(t.Context(), "app", tag)
				got.manifest = errs.CodeOf(err)
				if err == nil && m.Digest != w.img.Digest {
					t.Errorf("digest %s", m.Digest)
				}
				h, err := w.up.Head(t.Context(), "app", tag)
				got.head = errs.CodeOf(err)
				if err == nil && h.Digest != w.img.Digest && (h.Digest != "" || quirk != upstreamtest.NoDigest) {
					t.Errorf("HEAD says %s", h.Digest)
				}
				d, layer := w.layer(0)
				b, _, _, err := w.read(t.Context(), d, 0, -1)
				got.blob = errs.CodeOf(err)
				if err == nil && !bytes.Equal(b, layer) {
					t.Errorf("blob: %d other bytes", len(b))
				}
				b, from, total, err := w.read(t.Context(), d, 60_000, -1)
				got.rest = errs.CodeOf(err)
				if err == nil && (from != start || !bytes.Equal(b, layer[start:]) || total != 100_000 && (total != -1 || quirk != upstreamtest.Chunked)) {
					t.Errorf("range: %d bytes from %d of %d", len(b), from, total)
				}
				if got != want {
					t.Errorf("outcome %v, want %v", got, want)
				}
			})
		})
	}
}

// Nothing that an upstream writes gets into a message unbounded or with line breaks.
func TestReasons(t *testing.T) {
	long, err := json.Marshal(map[string]string{"message": strings.Repeat("long\n", 10_000)})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, mediaType, body, want string }{
		{"message", "application/json; charset=utf-8", `{"errors":[{"code":"DENIED","message":"no"}]}`, "(no)"},
		{"code alone", "application/json", `{"errors":[{"code":"DENIED"}]}`, "(DENIED)"},
		{"details", "application/json", `{"details":"who?"}`, "(who?)"},
		{"page", "text/html", "<h1>no</h1>", "500 Internal Server Error"},
		{"not JSON", "application/json", "no", "500 Internal Server Error"},
		{"other JSON", "application/json", `[1]`, "500 Internal Server Error"},
		{"over 8 KiB", "application/json", string(long), "500 Internal Server Error"},
		{"long", "application/json", string(long[:5000]) + `"}`, "(long long "},
		{"terminal codes", "application/json", `{"message":"a\u001b[31mb\u0000"}`, "(a [31mb)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				w.reg.Script(upstreamtest.Fault{Status: 500, Body: test.body, Header: http.Header{"Content-Type": {test.mediaType}}})
				w.connect(t, upstream.Host{}, nil)
				_, err := w.up.Manifest(t.Context(), "app", tag)
				w.fails(t, err, errs.UpstreamFailed, test.want)
				if len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\n\x1b\x00") {
					t.Errorf("message %q", err)
				}
			})
		})
	}
}

// The challenges that registries send, and what else may be in that header.
func TestChallenges(t *testing.T) {
	const realm = `https://auth.registry.test/token`
	for _, test := range []struct {
		name   string
		header []string
		scope  string // of the token request; "": none is made
	}{
		{"usual", []string{`Bearer realm="` + realm + `",service="s",scope="repository:app:pull"`}, "repository:app:pull"},
		{"blanks and case", []string{`bearer  Realm = "` + realm + `" , SERVICE="s"`}, "repository:app:pull"},
		{"not quoted", []string{`Bearer realm=` + realm + `,service=s`}, "repository:app:pull"},
		{"escaped", []string{`Bearer realm="https://auth.registry.test\/token"`}, "repository:app:pull"},
		{"comma in a value", []string{`Bearer realm="` + realm + `",scope="repository:app:pull,push"`}, "repository:app:pull"},
		{"another repository's scope", []string{`Bearer realm="` + realm + `",scope="repository:mirror/app:pull"`}, "repository:mirror/app:pull"},
		{"scope that is no repository", []string{`Bearer realm="` + realm + `",scope="aws"`}, "aws"},
		{"Basic first", []string{`Basic realm="x", Bearer realm="` + realm + `"`}, "repository:app:pull"},
		{"two lines", []string{`Basic realm="x"`, `Bearer realm="` + realm + `"`}, "repository:app:pull"},
		{"negotiate", []string{`Negotiate`, `Bearer realm="` + realm + `"`}, "repository:app:pull"},
		{"no realm", []string{`Bearer service="s"`}, ""},
		{"never closed", []string{`Bearer realm="` + realm}, ""},
		{"Basic", []string{`Basic realm="x"`}, ""},
		{"garbage", []string{`,,, = "=`}, ""},
		{"empty", []string{``}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				w.reg.Script(upstreamtest.Fault{Path: "/v2/", Times: 1, Status: 401, Header: http.Header{"Www-Authenticate": test.header}})
				w.connect(t, upstream.Host{}, nil)
				_, err := w.up.Manifest(t.Context(), "app", tag)
				if test.scope == "" {
					w.fails(t, err, errs.UpstreamDenied)
					w.requests(t, "GET /v2/app/manifests/v1")
					return
				}
				if err != nil {
					t.Error(err)
				}
				w.requests(t, "GET /v2/app/manifests/v1", "GET /token "+test.scope, "GET /v2/app/manifests/v1 token")
			})
		})
	}
}
