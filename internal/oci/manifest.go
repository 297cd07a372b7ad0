package oci

import (
	"bytes"
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

// Foreign says whether d is a layer that registries need not have, by its media type:
// Docker's foreign layers, the image specification's nondistributable ones.
func (d Descriptor) Foreign() bool {
	t := base(d.MediaType)
	return strings.HasPrefix(t, "application/vnd.oci.image.layer.nondistributable.v1.tar") ||
		t == "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" || t == "application/vnd.docker.image.rootfs.foreign.diff.tar"
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

// Edges is what a manifest names, in the order in which it names it. A digest that
// is named twice (Docker's empty layer often is) is there twice.
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

// rawDescriptor is checked while it is read: a hostile list ends at its first
// element that names nothing, before the next takes memory, and a key that is
// given twice never mixes two descriptors.
type rawDescriptor struct{ Descriptor }

func (d *rawDescriptor) UnmarshalJSON(b []byte) error {
	var raw struct {
		MediaType string    `json:"mediaType"`
		Digest    string    `json:"digest"`
		Size      int64     `json:"size"`
		Platform  *Platform `json:"platform"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	dg, err := ParseDigest(raw.Digest)
	if err != nil {
		return errs.New(errs.ManifestInvalid, "manifest names content that cannot be asked for: %v", err)
	}
	if raw.Size < 0 {
		return errs.New(errs.ManifestInvalid, "manifest names %s with size %d", dg, raw.Size)
	}
	*d = rawDescriptor{Descriptor{raw.MediaType, dg, raw.Size, raw.Platform}}
	return nil
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

// parse reads a manifest as Go's other clients do: keys without regard to case,
// and the last of two equal keys counts.
func parse(raw []byte) (*rawManifest, error) {
	if !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) {
		return nil, errs.New(errs.ManifestInvalid, "manifest is not a JSON object")
	}
	var m rawManifest
	if err := json.Unmarshal(raw, &m); err != nil {
		if e := errs.As(err); e != nil {
			return nil, e
		}
		return nil, errs.Wrap(errs.ManifestInvalid, err, "manifest is not a JSON object of the specification's form")
	}
	return &m, nil
}

// index says whether m, served as mediaType, is an index. A document that one
// client would read as an index and another as a manifest is refused
// (CVE-2021-41190): what it names would depend on who reads it.
func (m *rawManifest) index(mediaType string) (bool, error) {
	index, known := family(mediaType)
	inner, innerKnown := family(m.MediaType)
	switch {
	case !known && innerKnown:
		index = inner
	case !known:
		index = m.Manifests != nil
	}
	if innerKnown && inner != index || index && (m.Config != nil || len(m.Layers) > 0) || !index && len(m.Manifests) > 0 {
		return false, errs.New(errs.ManifestInvalid, "document of type %q (mediaType %q) is both an index and a manifest", clip(mediaType), clip(m.MediaType))
	}
	return index, nil
}

// family says whether a media type is an index's, and whether it is known at all.
func family(mediaType string) (index, known bool) {
	switch base(mediaType) {
	case MediaTypeIndex, MediaTypeDockerList:
		return true, true
	case MediaTypeManifest, MediaTypeDocker, MediaTypeArtifact, MediaTypeDockerV1, MediaTypeDockerV1Sign:
		return false, true
	}
	return false, false
}

// IsIndex says whether a manifest of a media type names other manifests.
func IsIndex(mediaType string) bool {
	switch mediaType { // as nearly all are written
	case MediaTypeIndex, MediaTypeDockerList:
		return true
	case MediaTypeManifest, MediaTypeDocker:
		return false
	}
	index, _ := family(mediaType)
	return index
}

// base is a media type in lower case without its parameters.
func base(mediaType string) string {
	b, _, _ := mime.ParseMediaType(mediaType)
	return b
}

// Edges walks the manifest. Unknown fields and media types are ignored; what is
// named must have a digest that ParseDigest accepts and a size that is not
// negative (a missing one is 0). Errors: errs.ManifestInvalid.
func (m *Manifest) Edges() (Edges, error) {
	raw, err := parse(m.Raw)
	if err != nil {
		return Edges{}, err
	}
	t := base(m.MediaType)
	if t == MediaTypeDockerV1 || t == MediaTypeDockerV1Sign || raw.SchemaVersion == 1 {
		return Edges{}, errs.New(errs.ManifestInvalid, "Docker image manifest schema 1 is not supported")
	}
	e := Edges{ArtifactType: raw.ArtifactType}
	if e.Index, err = raw.index(m.MediaType); err != nil {
		return Edges{}, err
	}
	add := func(kind EdgeKind, list ...rawDescriptor) {
		for _, d := range list {
			e.List = append(e.List, Edge{kind, d.Descriptor})
		}
	}
	add(EdgeChild, raw.Manifests...)
	if raw.Config != nil {
		add(EdgeConfig, *raw.Config)
	}
	if !e.Index {
		add(EdgeLayer, raw.Layers...)
		add(EdgeLayer, raw.Blobs...)
	}
	if raw.Subject != nil {
		add(EdgeSubject, *raw.Subject)
	}
	return e, nil
}

// ManifestType returns the media type of a manifest: what the header said if
// that is a manifest's, else the mediaType field inside, else what its fields
// tell. A page of HTML, or anything else that is no JSON object, is refused, and
// so is a document that is an index by one of the three and a manifest by another.
// Errors: errs.ManifestInvalid.
func ManifestType(header string, raw []byte) (string, error) {
	t := ""
	switch base(header) {
	case "", "application/json", "application/octet-stream", "text/plain": // they say less than the document does
	default:
		t = header
	}
	if header != "" && base(header) == "" || t != "" && !ValidManifestType(t) {
		return "", errs.New(errs.ManifestInvalid, "content type %q is not a manifest's", clip(header))
	}
	m, err := parse(raw)
	if err != nil {
		return "", err
	}
	switch inner := base(m.MediaType); {
	case t != "":
	case m.MediaType != "" && inner != "application/json":
		if t = m.MediaType; !ValidManifestType(t) {
			return "", errs.New(errs.ManifestInvalid, "mediaType %q is not a manifest's", clip(t))
		}
	case m.Manifests != nil:
		t = MediaTypeIndex
	case m.Config != nil || m.Layers != nil:
		t = MediaTypeManifest
	default:
		return "", errs.New(errs.ManifestInvalid, "document is neither a manifest nor an index")
	}
	if _, err := m.index(t); err != nil {
		return "", err
	}
	return t, nil
}

// ValidManifestType says whether s may be a manifest's Content-Type: one of the
// known families, application/json, or any application/...+json, in printable
// ASCII. Nothing that a browser would run is among them.
func ValidManifestType(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	t, _, err := mime.ParseMediaType(s)
	if err != nil || len(s) > 255 || strings.TrimSpace(s) != s {
		return false
	}
	switch t {
	case "application/json", MediaTypeDockerV1Sign:
		return true
	}
	return strings.HasPrefix(t, "application/") && strings.HasSuffix(t, "+json")
}
