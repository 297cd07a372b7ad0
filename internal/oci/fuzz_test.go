package oci_test

import (
	"bytes"
	"mime"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
)

// The distribution specification's own words for names and tags.
var (
	specName = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	specTag  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

func FuzzParseRepository(f *testing.F) {
	for _, s := range []string{"", "a", "a/b", "a__b-c--d.e/f", "a___b", "a..b", "a/../b", "/", "A", "a\n", "a.-b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := oci.ParseRepository(s)
		if want := specName.MatchString(s) && len(s) <= oci.MaxRepository; (err == nil) != want {
			t.Fatalf("ParseRepository(%q) = %v, the specification says %v", s, err, want)
		}
		if err == nil && got != s {
			t.Fatalf("ParseRepository(%q) = %q", s, got)
		}
		if err != nil && (got != "" || errs.CodeOf(err) != errs.NameInvalid) {
			t.Fatalf("ParseRepository(%q) = %q, %v", s, got, err)
		}
	})
}

func FuzzParseDigest(f *testing.F) {
	for _, s := range []string{"", "sha256:" + hex256, "sha512:" + hex512, "sha256:" + hex512, "sha384:" + hex256, "sha256", "SHA256:" + hex256, ":"} {
		f.Add(s)
	}
	spec := regexp.MustCompile(`^(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$`)
	f.Fuzz(func(t *testing.T, s string) {
		d, err := oci.ParseDigest(s)
		if want := spec.MatchString(s); (err == nil) != want {
			t.Fatalf("ParseDigest(%q) = %v, want ok %v", s, err, want)
		}
		if err != nil {
			if d != "" || errs.CodeOf(err) != errs.DigestInvalid {
				t.Fatalf("ParseDigest(%q) = %q, %v", s, d, err)
			}
			return
		}
		if err := d.Validate(); err != nil || string(d) != s {
			t.Fatalf("ParseDigest(%q) = %q, which go-digest refuses: %v", s, d, err)
		}
		h := oci.NewHash(d)
		if want := d.Algorithm().Size(); h.Size() != want {
			t.Fatalf("the hash of %s has %d bytes, want %d", d, h.Size(), want)
		}
		h.Write([]byte(s))
		if !oci.SumIs(h, d.Algorithm().FromString(s)) || oci.SumIs(h, d) {
			t.Fatalf("SumIs is wrong for %s", d)
		}
	})
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"", "latest", "sha256:" + hex256, "a@sha256:" + hex256, "-", ".", "..", "v1.0_x-y", "sha512:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := oci.ParseReference(s)
		_, digestErr := oci.ParseDigest(s)
		if want := specTag.MatchString(s) || digestErr == nil; (err == nil) != want {
			t.Fatalf("ParseReference(%q) = %v, want ok %v", s, err, want)
		}
		if err != nil {
			if r != (oci.Reference{}) {
				t.Fatalf("ParseReference(%q) = %+v beside an error", s, r)
			}
			return
		}
		if (r.Tag == "") == (r.Digest == "") || r.String() != s {
			t.Fatalf("ParseReference(%q) = %+v", s, r)
		}
	})
}

func addManifests(add func(mediaType string, raw []byte)) {
	image := `{"schemaVersion":2,"config":` + desc(1) + `,"layers":[` + desc(2) + `],"subject":` + desc(3) + `}`
	for _, mediaType := range []string{"", oci.MediaTypeIndex, oci.MediaTypeManifest, oci.MediaTypeDockerV1Sign, "application/json", "application/x+json; a=b", "text/html"} {
		for _, raw := range []string{
			image, `{"manifests":[` + desc(1, `"platform":{"os":"linux"}`) + `]}`, `{"layers":[],"layers":[` + desc(1) + `]}`,
			`null`, `{}`, `<html>`, deep(100), `{"mediaType":"` + oci.MediaTypeIndex + `"}`,
		} {
			add(mediaType, []byte(raw))
		}
	}
}

func FuzzEdges(f *testing.F) {
	addManifests(func(mediaType string, raw []byte) { f.Add(mediaType, raw) })
	f.Fuzz(func(t *testing.T, mediaType string, raw []byte) {
		m := oci.Manifest{Descriptor: oci.Descriptor{MediaType: mediaType}, Raw: bytes.Clone(raw)}
		e, err := m.Edges()
		if !bytes.Equal(m.Raw, raw) {
			t.Fatal("Raw was changed")
		}
		if err != nil {
			if diff := cmp.Diff(oci.Edges{}, e); diff != "" || errs.CodeOf(err) != errs.ManifestInvalid {
				t.Fatalf("error %v with edges %s", err, diff)
			}
			return
		}
		for _, x := range e.List {
			if _, err := oci.ParseDigest(string(x.Digest)); err != nil || x.Size < 0 {
				t.Fatalf("edge %+v: %v", x, err)
			}
			if blob := x.Kind == oci.EdgeConfig || x.Kind == oci.EdgeLayer; blob && e.Index || x.Kind == oci.EdgeChild && !e.Index {
				t.Fatalf("index %v has an edge %+v", e.Index, x)
			}
		}
		again, err := m.Edges()
		if diff := cmp.Diff(e, again); err != nil || diff != "" {
			t.Fatalf("second walk: %v %s", err, diff)
		}
	})
}

func FuzzManifestType(f *testing.F) {
	addManifests(func(mediaType string, raw []byte) { f.Add(mediaType, raw) })
	f.Fuzz(func(t *testing.T, header string, raw []byte) {
		before := bytes.Clone(raw)
		got, err := oci.ManifestType(header, raw)
		if !bytes.Equal(before, raw) {
			t.Fatal("the document was changed")
		}
		if err != nil {
			if got != "" || errs.CodeOf(err) != errs.ManifestInvalid {
				t.Fatalf("%q, %v", got, err)
			}
			return
		}
		base, _, err := mime.ParseMediaType(got)
		if err != nil || !oci.ValidManifestType(got) || !strings.HasPrefix(base, "application/") || base == "application/json" {
			t.Fatalf("ManifestType(%q, %q) = %q", header, raw, got)
		}
		if i := strings.IndexFunc(got, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
			t.Fatalf("type %q has a character that a TEXT column or a header may not take", got)
		}
		// A type that was given to a document is one that the document can be read by,
		// unless it is schema 1, which weir does not walk.
		m := oci.Manifest{Descriptor: oci.Descriptor{MediaType: got}, Raw: raw}
		if _, err := m.Edges(); err != nil && !strings.Contains(err.Error(), "schema 1") {
			t.Fatalf("type %q, but no edges: %v", got, err)
		}
	})
}
