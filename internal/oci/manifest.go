package oci

import (
	"encoding/json"
	"mime"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
)

// MaxManifestSize is the largest manifest that weir takes, in bytes: the
// distribution specification's 4 MiB, which is also what containerd reads.
const MaxManifestSize = 4 << 20

// The media types that weir knows by name.
const (
	MediaTypeIndex        = "application/vnd.oci.image.index.v1+json"
	MediaTypeManifest     = "application/vnd.oci.image.manifest.v1+json"
	MediaTypeArtifact     = "application/vnd.oci.artifact.manifest.v1+json"
	MediaTypeDockerList   = "application/vnd.docker.distribution.manifest.list.v2+json"
	MediaTypeDocker       = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerV1     = "application/vnd.docker.distribution.manifest.v1+json"
	MediaTypeDockerV1Sign = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// Accept is the list that every manifest request to an upstream carries,
// whatever the client asked: what a tag means must not depend on who asked first.
var Accept = []string{
	MediaTypeIndex, MediaTypeManifest, MediaTypeDockerList, MediaTypeDocker, MediaTypeArtifact,
}

// Platform is the platform of an index's child.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
	OSVersion    string `json:"os.version,omitempty"`
}

// String is os/architecture[/variant].
func (p *Platform) String() string {
	if p == nil {
		return ""
	}
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// Descriptor names content by digest, as in the image specification.
type Descriptor struct {
	MediaType string
	Digest    digest.Digest
	Size      int64
	Platform  *Platform // of an index's child, where the index says it
}

// Manifest is a manifest or index exactly as it came. Raw is never re-encoded.
type Manifest struct {
	Descriptor
	Raw []byte
}

// EdgeKind says how a manifest names a digest.
type EdgeKind string

const (
	EdgeChild   EdgeKind = "child"   // index -> manifest
	EdgeConfig  EdgeKind = "config"  // manifest -> config blob
	EdgeLayer   EdgeKind = "layer"   // manifest -> layer blob
	EdgeSubject EdgeKind = "subject" // manifest -> the manifest that it is about
)

// Edge is one digest that a manifest names.
type Edge struct {
	Kind EdgeKind
	Descriptor
}

// Edges is what a manifest names, in the order in which it names it.
type Edges struct {
	List         []Edge
	ArtifactType string
	Index        bool // an index or manifest list, even an empty one
}

// Blobs returns the config and layer edges.
func (e Edges) Blobs() []Edge {
	var blobs []Edge
	for _, x := range e.List {
		if x.Kind == EdgeConfig || x.Kind == EdgeLayer {
			blobs = append(blobs, x)
		}
	}
	return blobs
}

// Children returns the child edges.
func (e Edges) Children() []Edge {
	var c []Edge
	for _, x := range e.List {
		if x.Kind == EdgeChild {
			c = append(c, x)
		}
	}
	return c
}

type rawDescriptor struct {
	MediaType string    `json:"mediaType"`
	Digest    string    `json:"digest"`
	Size      int64     `json:"size"`
	Platform  *Platform `json:"platform"`
}

type rawManifest struct {
	SchemaVersion int             `json:"schemaVersion"`
	MediaType     string          `json:"mediaType"`
	ArtifactType  string          `json:"artifactType"`
	Manifests     []rawDescriptor `json:"manifests"`
	Config        *rawDescriptor  `json:"config"`
	Layers        []rawDescriptor `json:"layers"`
	Blobs         []rawDescriptor `json:"blobs"` // of the withdrawn artifact manifest
	Subject       *rawDescriptor  `json:"subject"`
}

// Edges walks the manifest. Unknown fields and media types are ignored; what is
// named must have a digest that ParseDigest accepts and a size that is not
// negative. Errors: errs.ManifestInvalid.
func (m *Manifest) Edges() (Edges, error) {
	var raw rawManifest
	if err := json.Unmarshal(m.Raw, &raw); err != nil {
		return Edges{}, errs.Wrap(errs.ManifestInvalid, err, "manifest is not a JSON object")
	}
	family, _, _ := strings.Cut(m.MediaType, ";")
	switch family {
	case MediaTypeDockerV1, MediaTypeDockerV1Sign:
		return Edges{}, errs.New(errs.ManifestInvalid, "Docker image manifest schema 1 is not supported")
	}
	if raw.SchemaVersion == 1 {
		return Edges{}, errs.New(errs.ManifestInvalid, "Docker image manifest schema 1 is not supported")
	}
	e := Edges{ArtifactType: raw.ArtifactType}
	e.Index = family == MediaTypeIndex || family == MediaTypeDockerList || raw.Manifests != nil
	add := func(kind EdgeKind, d rawDescriptor) error {
		dg, err := ParseDigest(d.Digest)
		if err != nil {
			return errs.Wrap(errs.ManifestInvalid, err, "manifest names a %s with a bad digest", kind)
		}
		if d.Size < 0 {
			return errs.New(errs.ManifestInvalid, "manifest names %s %s with size %d", kind, dg, d.Size)
		}
		e.List = append(e.List, Edge{kind, Descriptor{d.MediaType, dg, d.Size, d.Platform}})
		return nil
	}
	for _, d := range raw.Manifests {
		if err := add(EdgeChild, d); err != nil {
			return Edges{}, err
		}
	}
	if raw.Config != nil && !e.Index {
		if err := add(EdgeConfig, *raw.Config); err != nil {
			return Edges{}, err
		}
	}
	for _, list := range [][]rawDescriptor{raw.Layers, raw.Blobs} {
		for _, d := range list {
			if e.Index {
				break
			}
			if err := add(EdgeLayer, d); err != nil {
				return Edges{}, err
			}
		}
	}
	if raw.Subject != nil {
		if err := add(EdgeSubject, *raw.Subject); err != nil {
			return Edges{}, err
		}
	}
	return e, nil
}

// ManifestType returns the media type of a manifest: what the header said if
// that is a manifest's, else the mediaType field inside, else what its fields
// tell. A page of HTML, or anything else that is no JSON object, is refused.
// Errors: errs.ManifestInvalid.
func ManifestType(header string, raw []byte) (string, error) {
	if ValidManifestType(header) {
		// A generic application/json says less than the document does.
		if base, _, _ := mime.ParseMediaType(header); base != "application/json" {
			return header, checkObject(raw)
		}
	} else if base, _, err := mime.ParseMediaType(header); header != "" && (err != nil || base != "application/octet-stream" && base != "text/plain") {
		return "", errs.New(errs.ManifestInvalid, "content type %q is not a manifest's", clip(header))
	}
	var m rawManifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return "", errs.Wrap(errs.ManifestInvalid, err, "manifest is not a JSON object")
	}
	switch {
	case m.MediaType != "" && ValidManifestType(m.MediaType):
		return m.MediaType, nil
	case m.MediaType != "":
		return "", errs.New(errs.ManifestInvalid, "mediaType %q is not a manifest's", clip(m.MediaType))
	case m.Manifests != nil:
		return MediaTypeIndex, nil
	case m.Config != nil || m.Layers != nil:
		return MediaTypeManifest, nil
	}
	return "", errs.New(errs.ManifestInvalid, "document is neither a manifest nor an index")
}

func checkObject(raw []byte) error {
	var m rawManifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return errs.Wrap(errs.ManifestInvalid, err, "manifest is not a JSON object")
	}
	return nil
}

// ValidManifestType says whether s may be a manifest's Content-Type: one of the
// known families, application/json, or any application/...+json. Nothing that a
// browser would run is among them.
func ValidManifestType(s string) bool {
	base, _, err := mime.ParseMediaType(s)
	if err != nil || len(s) > 255 {
		return false
	}
	switch base {
	case "application/json", MediaTypeDockerV1Sign:
		return true
	}
	return strings.HasPrefix(base, "application/") && strings.HasSuffix(base, "+json")
}
