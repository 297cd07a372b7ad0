package registry

import (
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/oci"
)

// What may be done to an image, in the words of ECR's events.
const (
	Pushing  = "PUSH"
	Deleting = "DELETE"
	Moving   = "UPDATE_STORAGE_CLASS"
)

// The storage classes.
const (
	Standard = "STANDARD"
	Archived = "ARCHIVE"
)

// ImageChange is something that was done to an image, under one of its names.
type ImageChange struct {
	Action     string // Pushing, Deleting or Moving
	Repository string
	Digest     digest.Digest
	Tag        string // "": the image has none

	MediaType    string // not of a deletion
	ArtifactType string // the same
	Referrer     bool   // of a push: it has a subject
	StorageClass string // of a move: the new one, STANDARD or ARCHIVE
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

// moved tells of an image that was brought into the archive, or out of it, under the name
// that it was called by.
func (r *Registry) moved(repo string, i Image, tag string, archived bool) {
	class := Standard
	if archived {
		class = Archived
	}
	r.changed(ImageChange{
		Action: Moving, Repository: repo, Digest: i.Digest, Tag: tag, MediaType: i.MediaType, ArtifactType: i.ArtifactType, StorageClass: class,
	})
}

// deleted tells of names that are gone, and returns them.
func (r *Registry) deleted(repo string, gone ...ImageID) []ImageID {
	for _, id := range gone {
		r.changed(ImageChange{Action: Deleting, Repository: repo, Digest: id.Digest, Tag: id.Tag})
	}
	return gone
}
