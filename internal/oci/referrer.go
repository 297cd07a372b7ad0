package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/opencontainers/go-digest"
)

// MaxReferrer is the longest that a referrer may be as JSON, in bytes: a list of one
// has room in what clients read. Annotations that are longer are left out.
const MaxReferrer = 1 << 20

// Referrer is a manifest that is about another, as a list of referrers has it.
type Referrer struct {
	MediaType    string            `json:"mediaType"`
	Digest       digest.Digest     `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// Referrer describes the manifest as the distribution specification has it listed
// ("Listing Referrers"): what it is by its artifactType, else by its config's media
// type, and its own annotations. An index without an artifactType says not what it is.
// Errors: errs.ManifestInvalid.
func (m *Manifest) Referrer() (Referrer, error) {
	e, err := m.Edges()
	if err != nil {
		return Referrer{}, err
	}
	r := Referrer{MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Raw)), ArtifactType: e.ArtifactType}
	for _, x := range e.List {
		if r.ArtifactType == "" && !e.Index && x.Kind == EdgeConfig {
			r.ArtifactType = x.MediaType
		}
	}
	var raw struct {
		Annotations map[string]string `json:"annotations"`
	}
	if json.Unmarshal(m.Raw, &raw) == nil { // else they are no annotations
		r.Annotations = raw.Annotations
	}
	return r.bounded(), nil
}

// bounded leaves out annotations that no list has room for.
func (r Referrer) bounded() Referrer {
	n := 0
	for k, v := range r.Annotations {
		n += len(k) + len(v)
	}
	if n > MaxReferrer/6 { // an escaped byte may take six
		r.Annotations = nil
	}
	return r
}

// ParseReferrers reads a list of referrers that somebody else made: an index, by the
// referrers API or by a fallback tag. What in it cannot be asked for is left out, and
// so is what is named again. ok is false if raw is no index.
func ParseReferrers(raw []byte) (list []Referrer, ok bool) {
	var index struct {
		MediaType string       `json:"mediaType"`
		Manifests referrerList `json:"manifests"`
	}
	if json.Unmarshal(raw, &index) != nil || index.Manifests == nil {
		return nil, false
	}
	if isIndex, known := family(index.MediaType); known && !isIndex {
		return nil, false
	}
	return index.Manifests, true
}

// referrerList is read element by element: what is no referrer takes no memory.
type referrerList []Referrer

func (l *referrerList) UnmarshalJSON(b []byte) error {
	in := json.NewDecoder(bytes.NewReader(b))
	if t, err := in.Token(); err != nil || t != json.Delim('[') {
		return err
	}
	*l = referrerList{}
	seen := map[digest.Digest]bool{}
	for in.More() {
		var r Referrer
		var odd *json.UnmarshalTypeError
		if err := in.Decode(&r); errors.As(err, &odd) {
			continue
		} else if err != nil {
			return err
		}
		if _, err := ParseDigest(string(r.Digest)); err != nil || seen[r.Digest] || r.Size < 0 || !ValidManifestType(r.MediaType) {
			continue
		}
		seen[r.Digest] = true
		*l = append(*l, r.bounded())
	}
	return nil
}

// FallbackTag is the tag under which clients keep the referrers of d at a registry
// that has no API for them ("Referrers Tag Schema").
func FallbackTag(d digest.Digest) string {
	alg, hex, _ := strings.Cut(string(d), ":")
	return alg[:min(len(alg), 32)] + "-" + hex[:min(len(hex), 64)]
}
