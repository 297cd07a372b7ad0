package registry

import (
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/oci"
)

// What may be done to an image, in the words of ECR's events.
const (
	Pushing  = "PUSH"
	Deleting = "DELETE"
)

// ImageChange is something that was done to an image, under one of its names.
type ImageChange struct {
	Action     string // Pushing or Deleting
	Repository string
	Digest     digest.Digest
	Tag        string // "": the image has none

	// Of a push:
	MediaType    string
	ArtifactType string
	Referrer     bool // it has a subject
}

// artifactType is what a manifest with these edges says that it is: its artifactType if
// its config says nothing, else its config's media type.
func artifactType(e oci.Edges) string {
	config := ""
	for _, edge := range e.List {
		if edge.Kind == oci.EdgeConfig {
			config = edge.MediaType
		}
	}
	if e.ArtifactType != "" && (config == "" || config == emptyConfig) {
		return e.ArtifactType
	}
	return config
}

// pushed tells of a manifest that was pushed, under each of its names.
func (r *Registry) pushed(repo string, m *oci.Manifest, e oci.Edges, tags []string) {
	change := ImageChange{Action: Pushing, Repository: repo, Digest: m.Digest, MediaType: m.MediaType, ArtifactType: artifactType(e)}
	for _, edge := range e.List {
		change.Referrer = change.Referrer || edge.Kind == oci.EdgeSubject
	}
	if len(tags) == 0 {
		r.changed(change)
	}
	for _, tag := range tags {
		change.Tag = tag
		r.changed(change)
	}
}

// deleted tells of names that are gone, and returns them.
func (r *Registry) deleted(repo string, gone ...ImageID) []ImageID {
	for _, id := range gone {
		r.changed(ImageChange{Action: Deleting, Repository: repo, Digest: id.Digest, Tag: id.Tag})
	}
	return gone
}
