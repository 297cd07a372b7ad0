package oci_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
)

// dg returns a digest that ends in n.
func dg(n int) digest.Digest { return digest.Digest(fmt.Sprintf("sha256:%064x", n)) }

// desc is a descriptor in JSON.
func desc(n int, more ...string) string {
	return fmt.Sprintf(`{"mediaType":"m%d","digest":"%s","size":%d%s}`, n, dg(n), n, strings.Join(append([]string{""}, more...), ","))
}

func edge(kind oci.EdgeKind, n int) oci.Edge {
	return oci.Edge{Kind: kind, Descriptor: oci.Descriptor{MediaType: fmt.Sprintf("m%d", n), Digest: dg(n), Size: int64(n)}}
}

func TestEdges(t *testing.T) {
	onAMD64, attestation := edge(oci.EdgeChild, 1), edge(oci.EdgeChild, 2)
	onAMD64.Platform = &oci.Platform{OS: "linux", Architecture: "amd64", Variant: "v2", OSVersion: "6"}
	attestation.Platform = &oci.Platform{OS: "unknown", Architecture: "unknown"}
	image := `{"schemaVersion":2,"config":` + desc(1) + `,"layers":[` + desc(2) + `,` + desc(3) + `,` + desc(2) + `]}`
	imageEdges := oci.Edges{List: []oci.Edge{edge(oci.EdgeConfig, 1), edge(oci.EdgeLayer, 2), edge(oci.EdgeLayer, 3), edge(oci.EdgeLayer, 2)}}
	for _, test := range []struct {
		name, mediaType, raw string
		want                 oci.Edges
	}{
		{"image", oci.MediaTypeManifest, image, imageEdges},
		{"docker image", oci.MediaTypeDocker, image, imageEdges},
		{"media type with parameters", "Application/vnd.docker.distribution.manifest.v2+JSON ; charset=utf-8", image, imageEdges},
		{"media type of no family", "application/vnd.example+json", image, imageEdges},
		{"no media type", "", image, imageEdges},
		{"mediaType of the other image format", oci.MediaTypeManifest, `{"mediaType":"` + oci.MediaTypeDocker + `",` + image[1:], imageEdges},
		{"white space around", oci.MediaTypeManifest, "\r\n\t " + image + "\n", imageEdges},
		{"empty manifests beside layers", oci.MediaTypeManifest, `{"manifests":[],` + image[1:], imageEdges},
		{"null manifests beside layers", oci.MediaTypeManifest, `{"manifests":null,` + image[1:], imageEdges},
		{"unknown fields", oci.MediaTypeManifest, `{"manifest":7,"annotations":{"a":1},"fsLayers":"x",` + image[1:], imageEdges},
		{
			"index", oci.MediaTypeIndex,
			`{"manifests":[` + desc(1, `"platform":{"os":"linux","architecture":"amd64","variant":"v2","os.version":"6","features":["x"]}`) + `,` +
				desc(2, `"platform":{"os":"unknown","architecture":"unknown"}`) + `,` + desc(3, `"platform":null`) + `]}`,
			oci.Edges{Index: true, List: []oci.Edge{onAMD64, attestation, edge(oci.EdgeChild, 3)}},
		},
		{"empty index", oci.MediaTypeIndex, `{"manifests":[]}`, oci.Edges{Index: true}},
		{"index without the list", oci.MediaTypeDockerList, `{"config":null,"layers":null}`, oci.Edges{Index: true}},
		{"index by its mediaType alone", "application/vnd.example+json", `{"mediaType":"` + oci.MediaTypeIndex + `"}`, oci.Edges{Index: true}},
		{"index by its fields alone", "", `{"manifests":[` + desc(1) + `]}`, oci.Edges{Index: true, List: []oci.Edge{edge(oci.EdgeChild, 1)}}},
		{"index with empty layers", oci.MediaTypeIndex, `{"layers":[],"manifests":[` + desc(1) + `]}`, oci.Edges{Index: true, List: []oci.Edge{edge(oci.EdgeChild, 1)}}},
		{
			"subject and artifact type", oci.MediaTypeManifest,
			`{"artifactType":"application/x","subject":` + desc(9) + `,"config":` + desc(1) + `,"layers":[]}`,
			oci.Edges{ArtifactType: "application/x", List: []oci.Edge{edge(oci.EdgeConfig, 1), edge(oci.EdgeSubject, 9)}},
		},
		{
			"subject of an index", oci.MediaTypeIndex, `{"subject":` + desc(9) + `,"manifests":[]}`,
			oci.Edges{Index: true, List: []oci.Edge{edge(oci.EdgeSubject, 9)}},
		},
		{"artifact manifest", oci.MediaTypeArtifact, `{"blobs":[` + desc(4) + `]}`, oci.Edges{List: []oci.Edge{edge(oci.EdgeLayer, 4)}}},
		{"foreign layer", oci.MediaTypeManifest, `{"layers":[` + desc(4, `"urls":["http://169.254.169.254/"]`) + `]}`, oci.Edges{List: []oci.Edge{edge(oci.EdgeLayer, 4)}}},
		{"size is missing", oci.MediaTypeManifest, `{"layers":[{"mediaType":"m0","digest":"` + string(dg(0)) + `"}]}`, oci.Edges{List: []oci.Edge{edge(oci.EdgeLayer, 0)}}},
		{"empty object", oci.MediaTypeManifest, `{}`, oci.Edges{}},

		// Equal keys: the last one counts, whole, and nothing of the first is left in it.
		{
			"list given twice", oci.MediaTypeManifest, `{"layers":[` + desc(1, `"platform":{"os":"x"}`) + `,` + desc(2) + `],"layers":[{"digest":"` + string(dg(0)) + `"}]}`,
			oci.Edges{List: []oci.Edge{{Kind: oci.EdgeLayer, Descriptor: oci.Descriptor{Digest: dg(0)}}}},
		},
		{
			"config given twice", oci.MediaTypeManifest, `{"config":` + desc(1) + `,"config":{"digest":"` + string(dg(0)) + `"}}`,
			oci.Edges{List: []oci.Edge{{Kind: oci.EdgeConfig, Descriptor: oci.Descriptor{Digest: dg(0)}}}},
		},
		{"config taken back", oci.MediaTypeManifest, `{"config":` + desc(1) + `,"config":null}`, oci.Edges{}},
		{"digest given twice", oci.MediaTypeManifest, `{"layers":[{"mediaType":"m1","size":1,"digest":"` + string(dg(7)) + `","digest":"` + string(dg(1)) + `"}]}`, oci.Edges{List: []oci.Edge{edge(oci.EdgeLayer, 1)}}},
		{"keys in other case", oci.MediaTypeManifest, `{"LAYERS":[{"MediaType":"m1","Size":1,"DIGEST":"` + string(dg(1)) + `"}]}`, oci.Edges{List: []oci.Edge{edge(oci.EdgeLayer, 1)}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := oci.Manifest{Descriptor: oci.Descriptor{MediaType: test.mediaType}, Raw: []byte(test.raw)}
			got, err := m.Edges()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("edges (-want +got):\n%s", diff)
			}
			if string(m.Raw) != test.raw {
				t.Errorf("Raw was changed to %q", m.Raw)
			}
		})
	}
}

// deep is valid JSON that is nested n times.
func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestEdgesRefused(t *testing.T) {
	layer := func(s string) string { return `{"layers":[` + s + `]}` }
	for _, test := range []struct{ name, mediaType, raw string }{
		{"nothing", oci.MediaTypeManifest, ``},
		{"white space", oci.MediaTypeManifest, " \n"},
		{"null", oci.MediaTypeManifest, `null`},
		{"list", oci.MediaTypeManifest, `[]`},
		{"string", oci.MediaTypeManifest, `"{}"`},
		{"HTML", oci.MediaTypeManifest, "<!DOCTYPE html><html><body>Sign in</body></html>"},
		{"byte order mark", oci.MediaTypeManifest, "\ufeff{}"},
		{"two documents", oci.MediaTypeManifest, `{}{}`},
		{"cut", oci.MediaTypeManifest, layer(desc(1))[:90]},
		{"comment", oci.MediaTypeManifest, `{/**/}`},
		{"nested too deep", oci.MediaTypeManifest, `{"x":` + deep(20_000) + `}`},
		{"nested too deep in a layer", oci.MediaTypeManifest, layer(deep(20_000))},
		{"layer is null", oci.MediaTypeManifest, layer(`null`)},
		{"layer is a string", oci.MediaTypeManifest, layer(`"x"`)},
		{"layer without digest", oci.MediaTypeManifest, layer(`{"size":1}`)},
		{"layer with a path for digest", oci.MediaTypeManifest, layer(`{"digest":"sha256:../../../../etc/passwd"}`)},
		{"layer with an unknown algorithm", oci.MediaTypeManifest, layer(`{"digest":"md5:00"}`)},
		{"negative size", oci.MediaTypeManifest, layer(`{"digest":"` + string(dg(1)) + `","size":-1}`)},
		{"size over int64", oci.MediaTypeManifest, layer(`{"digest":"` + string(dg(1)) + `","size":9223372036854775808}`)},
		{"fractional size", oci.MediaTypeManifest, layer(`{"digest":"` + string(dg(1)) + `","size":1.5}`)},
		{"layers is an object", oci.MediaTypeManifest, `{"layers":{}}`},
		{"config is a list", oci.MediaTypeManifest, `{"config":[]}`},
		{"bad subject", oci.MediaTypeManifest, `{"subject":{}}`},
		{"bad child", oci.MediaTypeIndex, `{"manifests":[{"digest":"x"}]}`},
		{"platform is a string", oci.MediaTypeIndex, `{"manifests":[` + desc(1, `"platform":"linux/amd64"`) + `]}`},
		{"schema 1 by its media type", oci.MediaTypeDockerV1Sign + "; charset=utf-8", `{"schemaVersion":1}`},
		{"schema 1 unsigned", oci.MediaTypeDockerV1, `{}`},
		{"schema 1 by its version", oci.MediaTypeManifest, `{"schemaVersion":1,"fsLayers":[]}`},
		{"index served as a manifest", oci.MediaTypeManifest, `{"manifests":[` + desc(1) + `]}`},
		{"manifest served as an index", oci.MediaTypeIndex, layer(desc(1))},
		{"config in an index", oci.MediaTypeDockerList, `{"manifests":[],"config":` + desc(1) + `}`},
		{"mediaType says index, header manifest", oci.MediaTypeDocker, `{"mediaType":"` + oci.MediaTypeIndex + `"}`},
		{"mediaType says manifest, header index", oci.MediaTypeIndex, `{"mediaType":"` + oci.MediaTypeManifest + `","manifests":[]}`},
		{"both, of no known type", "application/vnd.example+json", `{"manifests":[],"layers":[` + desc(1) + `]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := oci.Manifest{Descriptor: oci.Descriptor{MediaType: test.mediaType}, Raw: []byte(test.raw)}
			e, err := m.Edges()
			wantCode(t, err, errs.ManifestInvalid)
			if diff := cmp.Diff(oci.Edges{}, e); diff != "" {
				t.Errorf("edges beside an error (-want +got):\n%s", diff)
			}
		})
	}
}

// A manifest of the allowed size must not cost many times its size in memory: the
// first element that names nothing ends the list.
func TestHugeLists(t *testing.T) {
	fill := func(element string) []byte {
		n := (oci.MaxManifestSize - 20) / (len(element) + 1)
		return []byte(`{"layers":[` + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + `]}`)
	}
	for _, test := range []struct {
		name string
		raw  []byte
		ok   bool
	}{
		{"empty objects", fill(`{}`), false},
		{"nulls", fill(`null`), false},
		{"numbers", fill(`1`), false},
		{"lists", fill(`[]`), false},
		{"layers", fill(`{"digest":"` + string(dg(1)) + `"}`), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := oci.Manifest{Descriptor: oci.Descriptor{MediaType: oci.MediaTypeManifest}, Raw: test.raw}
			before := allocated()
			e, err := m.Edges()
			used := allocated() - before
			if (err == nil) != test.ok {
				t.Fatalf("%d edges, error %v", len(e.List), err)
			}
			if limit := uint64(16 * oci.MaxManifestSize); used > limit {
				t.Errorf("%d bytes allocated for a manifest of %d, limit %d", used, len(test.raw), limit)
			}
		})
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestEdgesByKind(t *testing.T) {
	e := oci.Edges{List: []oci.Edge{edge(oci.EdgeConfig, 1), edge(oci.EdgeChild, 2), edge(oci.EdgeLayer, 3), edge(oci.EdgeSubject, 4), edge(oci.EdgeChild, 5)}}
	if diff := cmp.Diff([]oci.Edge{edge(oci.EdgeConfig, 1), edge(oci.EdgeLayer, 3)}, e.Blobs()); diff != "" {
		t.Errorf("Blobs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]oci.Edge{edge(oci.EdgeChild, 2), edge(oci.EdgeChild, 5)}, e.Children()); diff != "" {
		t.Errorf("Children (-want +got):\n%s", diff)
	}
}

func TestManifestType(t *testing.T) {
	image := `{"config":` + desc(1) + `,"layers":[]}`
	typed := func(mediaType string) string { return `{"mediaType":"` + mediaType + `"}` }
	for _, test := range []struct{ name, header, raw, want string }{
		{"header", oci.MediaTypeDocker, image, oci.MediaTypeDocker},
		{"header with parameters stays as it is", oci.MediaTypeManifest + "; charset=utf-8", image, oci.MediaTypeManifest + "; charset=utf-8"},
		{"header of no known family", "application/vnd.example.v1+json", `{}`, "application/vnd.example.v1+json"},
		{"header before mediaType", oci.MediaTypeManifest, typed(oci.MediaTypeDocker), oci.MediaTypeManifest},
		{"schema 1", oci.MediaTypeDockerV1Sign, `{"schemaVersion":1}`, oci.MediaTypeDockerV1Sign},
		{"no header", "", typed(oci.MediaTypeDocker), oci.MediaTypeDocker},
		{"generic JSON", "application/json; charset=utf-8", typed(oci.MediaTypeIndex), oci.MediaTypeIndex},
		{"octet stream", "application/octet-stream", typed(oci.MediaTypeIndex), oci.MediaTypeIndex},
		{"plain text", "text/plain; charset=utf-8", typed(oci.MediaTypeManifest), oci.MediaTypeManifest},
		{"image by its fields", "", image, oci.MediaTypeManifest},
		{"image by its layers", "application/json", `{"layers":[]}`, oci.MediaTypeManifest},
		{"index by its fields", "", `{"manifests":[]}`, oci.MediaTypeIndex},
		{"generic JSON twice", "application/json", `{"mediaType":"application/json",` + image[1:], oci.MediaTypeManifest},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := oci.ManifestType(test.header, []byte(test.raw))
			if err != nil || got != test.want {
				t.Errorf("ManifestType = %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestManifestTypeRefused(t *testing.T) {
	const html = "<!DOCTYPE html><html></html>"
	image := `{"config":` + desc(1) + `,"layers":[` + desc(2) + `]}`
	for _, test := range []struct{ name, header, raw string }{
		{"HTML", "text/html; charset=utf-8", html},
		{"HTML said to be a manifest", oci.MediaTypeManifest, html},
		{"HTML said to be JSON", "application/json", html},
		{"HTML without a header", "", html},
		{"manifest said to be HTML", "text/html", image},
		{"manifest said to be a script", "application/javascript", image},
		{"manifest said to be a picture", "image/svg+json", image},
		{"no media type at all", "json", image},
		{"broken parameters", oci.MediaTypeManifest + "; =", image},
		{"header with a control character", oci.MediaTypeManifest + ";\n a=b", image},
		{"header of two types", "application/json, text/html", image},
		{"error document", "application/json", `{"errors":[{"code":"DENIED"}]}`},
		{"empty object", "", `{}`},
		{"null with a manifest's header", oci.MediaTypeManifest, `null`},
		{"mediaType is HTML's", "application/json", `{"mediaType":"text/html",` + image[1:]},
		{"mediaType with a line break", "", `{"mediaType":"application/vnd.a+json;\n a=b"}`},
		{"mediaType with NUL", "", `{"mediaType":"application/vnd.a+json; a=\"\u0000\""}`},
		{"mediaType not ASCII", "", `{"mediaType":"application/vnd.a+json; a=\"ä\""}`},
		{"mediaType with space around", "", `{"mediaType":" application/vnd.a+json"}`},
		{"mediaType too long", "", `{"mediaType":"application/` + strings.Repeat("a", 255) + `+json"}`},
		{"header index, body manifest", oci.MediaTypeIndex, image},
		{"header manifest, body index", oci.MediaTypeManifest, `{"manifests":[` + desc(1) + `]}`},
		{"header manifest, mediaType index", oci.MediaTypeManifest, `{"mediaType":"` + oci.MediaTypeDockerList + `"}`},
		{"mediaType manifest, body index", "", `{"mediaType":"` + oci.MediaTypeManifest + `","manifests":[` + desc(1) + `]}`},
		{"no type, both bodies", "", `{"manifests":[` + desc(1) + `],` + image[1:]},
		{"bad layer", oci.MediaTypeManifest, `{"layers":[{}]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := oci.ManifestType(test.header, []byte(test.raw))
			wantCode(t, err, errs.ManifestInvalid)
			if got != "" {
				t.Errorf("type %q beside an error", got)
			}
		})
	}
}

// What an upstream is asked for must be what weir can take.
func TestAccept(t *testing.T) {
	for _, a := range oci.Accept {
		if !oci.ValidManifestType(a) {
			t.Errorf("%q is asked for, but is no manifest type", a)
		}
		m := oci.Manifest{Descriptor: oci.Descriptor{MediaType: a}, Raw: []byte(`{}`)}
		if _, err := m.Edges(); err != nil {
			t.Errorf("%q is asked for, but Edges says %v", a, err)
		}
	}
}

func TestPlatform(t *testing.T) {
	for _, test := range []struct {
		name string
		p    *oci.Platform
		want string
	}{
		{"none", nil, ""},
		{"plain", &oci.Platform{OS: "linux", Architecture: "amd64"}, "linux/amd64"},
		{"variant", &oci.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}, "linux/arm/v7"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.p.String(); got != test.want {
				t.Errorf("String() = %q, want %q", got, test.want)
			}
		})
	}
}
