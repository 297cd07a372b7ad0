package oci_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/oci"
)

func TestReferrer(t *testing.T) {
	d := digest.FromString("x")
	config := fmt.Sprintf(`"config":{"mediaType":"application/vnd.example.config+json","digest":%q,"size":2}`, d)
	for _, tt := range []struct {
		name, mediaType, raw string
		artifactType         string
		annotations          map[string]string
	}{
		{"artifact type", oci.MediaTypeManifest, `{"artifactType":"application/sbom",` + config + `,"layers":[],"annotations":{"a":"b"}}`, "application/sbom", map[string]string{"a": "b"}},
		{"config", oci.MediaTypeManifest, `{` + config + `,"layers":[]}`, "application/vnd.example.config+json", nil},
		{"empty artifact type", oci.MediaTypeManifest, `{"artifactType":"",` + config + `,"layers":[]}`, "application/vnd.example.config+json", nil},
		{"index", oci.MediaTypeIndex, `{"manifests":[],"annotations":{"a":"b"}}`, "", map[string]string{"a": "b"}},
		{"index with a type", oci.MediaTypeIndex, `{"artifactType":"application/sbom","manifests":[]}`, "application/sbom", nil},
		{"withdrawn artifact manifest", oci.MediaTypeArtifact, `{"artifactType":"application/sbom","blobs":[]}`, "application/sbom", nil},
		{"annotations that are none", oci.MediaTypeManifest, `{"artifactType":"application/sbom","layers":[],"annotations":{"a":1}}`, "application/sbom", nil},
		{"annotations that no list has room for", oci.MediaTypeManifest, `{"artifactType":"application/sbom","layers":[],"annotations":{"a":"` + strings.Repeat("x", oci.MaxReferrer) + `"}}`, "application/sbom", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &oci.Manifest{Descriptor: oci.Descriptor{MediaType: tt.mediaType, Digest: d}, Raw: []byte(tt.raw)}
			got, err := m.Referrer()
			if err != nil {
				t.Fatal(err)
			}
			want := oci.Referrer{MediaType: tt.mediaType, Digest: d, Size: int64(len(tt.raw)), ArtifactType: tt.artifactType, Annotations: tt.annotations}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseReferrers(t *testing.T) {
	good := oci.Referrer{MediaType: oci.MediaTypeManifest, Digest: digest.FromString("x"), Size: 7, ArtifactType: "application/sbom", Annotations: map[string]string{"a": "b"}}
	text := func(r oci.Referrer) string {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	odd := func(change func(*oci.Referrer)) string {
		r := good
		r.Digest = digest.FromString("odd")
		change(&r)
		return text(r)
	}
	for _, tt := range []struct {
		name, raw string
		want      []oci.Referrer
		ok        bool
	}{
		{"one", `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeIndex + `","manifests":[` + text(good) + `]}`, []oci.Referrer{good}, true},
		{"none", `{"schemaVersion":2,"manifests":[]}`, []oci.Referrer{}, true},
		{"null", `{"schemaVersion":2,"manifests":null}`, nil, false},
		{"twice", `{"manifests":[` + text(good) + `,` + text(good) + `]}`, []oci.Referrer{good}, true},
		{"what cannot be asked for", `{"manifests":[7,null,{},` +
			odd(func(r *oci.Referrer) { r.Digest = "sha256:short" }) + `,` +
			odd(func(r *oci.Referrer) { r.Size = -1 }) + `,` +
			odd(func(r *oci.Referrer) { r.MediaType = "text/html" }) + `,` + text(good) + `]}`, []oci.Referrer{good}, true},
		{"a manifest", `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeManifest + `","layers":[]}`, nil, false},
		{"a manifest that has manifests", `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeManifest + `","manifests":[]}`, nil, false},
		{"HTML", `<html></html>`, nil, false},
		{"a list", `[]`, nil, false},
		{"nothing", ``, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := oci.ParseReferrers([]byte(tt.raw))
			if ok != tt.ok {
				t.Errorf("ok is %t", ok)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFallbackTag(t *testing.T) {
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		d := alg.FromString("x")
		tag := oci.FallbackTag(d)
		if want := alg.String() + "-" + d.Encoded()[:64]; tag != want {
			t.Errorf("%s: %s", d, tag)
		}
		if _, err := oci.ParseTag(tag); err != nil {
			t.Error(err)
		}
	}
}
