package console

import (
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/registry"
)

// imagePage is an image with what is known of it. Of what the visitor may not know there is
// nothing.
type imagePage struct {
	registry.Image
	Repository string // its name
	Path       string // of the repository
	Can        can
	Deleting   bool   // the visitor is asked whether to delete it
	Tag        string // by which it is to be deleted
	Reference  string // by which clients pull it
	Others     int    // tags that are not shown

	Tree        []treeRow
	PartOf      []digest.Digest // indexes
	Config      *registry.Config
	ConfigWhy   string // a text: why the config is not shown
	Labels      []label
	About       *registry.AboutList
	AboutKinds  []string // of About.List, a text each
	Replication []copyRow
	Replicated  bool // whether there is anything is known
}

// tagsShown is how many tags of one image its page shows.
const tagsShown = 100

type label struct{ Name, Value string }

// copyRow is a copy at another registry.
type copyRow struct {
	registry.ReplicationStatus
	Word, Mark string
}

// treeRow is a part of an image.
type treeRow struct {
	Depth int
	What  string // a text
	oci.Descriptor
	Link bool // it has a page
	Held bool
	More bool // in place of parts that are not shown
}

func (v *visit) image(name string, d digest.Digest) error { return v.showImage(name, d, nil) }

// showImage shows an image's page, with what was wrong with a form of it.
func (v *visit) showImage(name string, d digest.Digest, cause error) error {
	s, may, err := v.repositoryOf(name)
	if err != nil {
		return err
	}
	if s.Name != name && cause == nil { // an alias of it
		return v.redirect(repositoryPath(s.Name) + "@" + string(d))
	}
	images, err := v.console.Registry.NamedImages(v.ctx(), v.caller(), s.Name, []registry.ImageID{{Digest: d}})
	if err != nil {
		return err
	}
	p := imagePage{
		Image: images[0], Repository: s.Name, Path: repositoryPath(s.Name), Can: may, Tag: v.query("tag"),
		Deleting: v.query("delete") != "" && may[iam.BatchDeleteImage], Reference: v.host() + "/" + s.Name + "@" + string(d),
	}
	if n := len(p.Tags); n > tagsShown {
		p.Tags, p.Others = p.Tags[:tagsShown], n-tagsShown
	}
	for _, add := range []func(*imagePage) error{v.addTree, v.addConfig, v.addAbout, v.addCopies} {
		if err := add(&p); err != nil {
			return err
		}
	}
	page := &Page{Title: s.Name + "@" + Format{}.Digest(d), Section: repositoriesPath, Data: p}
	if cause != nil {
		return v.again(cause, "image", page)
	}
	return v.show(http.StatusOK, "image", page)
}

// addTree adds what the image names.
func (v *visit) addTree(p *imagePage) error {
	if !p.Can[iam.BatchGetImage] {
		return nil
	}
	tree, err := v.console.Registry.Tree(v.ctx(), v.caller(), p.Repository, p.Digest)
	if err != nil {
		return err
	}
	p.Tree = treeRows(nil, tree, 0)
	p.Tree[0].Link, p.PartOf = false, tree.Of
	return nil
}

// treeRows adds a part, and what it names, to rows.
func treeRows(rows []treeRow, n registry.Node, depth int) []treeRow {
	row := treeRow{Depth: depth, What: partWord(n), Descriptor: n.Descriptor, Held: n.Held, Link: n.Kind == oci.EdgeChild && n.Held}
	if row.Platform != nil && row.Platform.OS == "unknown" {
		row.Platform = nil
	}
	rows = append(rows, row)
	for _, part := range n.Parts {
		rows = treeRows(rows, part, depth+1)
	}
	if n.More {
		rows = append(rows, treeRow{Depth: depth + 1, More: true})
	}
	return rows
}

// partWord says what a part is, as a text.
func partWord(n registry.Node) string {
	switch {
	case n.Kind == oci.EdgeConfig:
		return "Config"
	case n.Kind == oci.EdgeLayer:
		return "Layer"
	case n.Platform != nil && n.Platform.OS == "unknown": // as BuildKit has them
		return "Attestation"
	case n.MediaType == oci.MediaTypeIndex || n.MediaType == oci.MediaTypeDockerList:
		return "Index"
	}
	return "Image"
}

// addConfig adds what the config says.
func (v *visit) addConfig(p *imagePage) error {
	switch {
	case !p.Can[iam.GetDownloadURLForLayer]:
		return nil
	case p.Archived:
		p.ConfigWhy = "It is not read while the image is in the archive."
		return nil
	}
	c, err := v.console.Registry.Config(v.ctx(), v.caller(), p.Repository, p.Digest)
	if errs.CodeOf(err) == errs.ImageArchived {
		return nil
	}
	if err != nil {
		return err
	}
	why := map[string]string{
		registry.ConfigNone: "An index has none: each of its images has one.", registry.ConfigOther: "It has none that says how to run it.",
		registry.ConfigMissing: "It is not held: it comes with the first pull.", registry.ConfigLarge: "It is too long to be shown.",
		registry.ConfigBad: "It cannot be read: it is not what its media type says.",
	}
	if p.ConfigWhy = why[c.State]; p.ConfigWhy == "" {
		p.Config = &c
	}
	for i := 0; i+1 < len(c.Labels); i += 2 {
		p.Labels = append(p.Labels, label{c.Labels[i], c.Labels[i+1]})
	}
	return nil
}

// addAbout adds signatures and the like.
func (v *visit) addAbout(p *imagePage) error {
	if !p.Can[iam.BatchGetImage] {
		return nil
	}
	about, err := v.console.Registry.About(v.ctx(), v.caller(), p.Repository, p.Digest)
	if err != nil {
		return err
	}
	p.About = &about
	for _, a := range about.List {
		p.AboutKinds = append(p.AboutKinds, aboutWord(a))
	}
	return nil
}

// aboutWord says what something about an image is, as a text, as far as its type tells.
func aboutWord(a registry.About) string {
	t := strings.ToLower(a.ArtifactType)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(t, w) {
				return true
			}
		}
		return false
	}
	switch {
	case strings.HasSuffix(a.Tag, ".sig"), has("signature", "cosign", "notary", "sigstore.bundle"):
		return "Signature"
	case strings.HasSuffix(a.Tag, ".sbom"), has("spdx", "cyclonedx", "sbom", "syft"):
		return "SBOM"
	case strings.HasSuffix(a.Tag, ".att"), has("in-toto", "attestation", "provenance", "slsa"):
		return "Attestation"
	}
	return "Other"
}

// addCopies adds how far the copies at other registries are.
func (v *visit) addCopies(p *imagePage) error {
	if !p.Can[describeReplicated] {
		return nil
	}
	all, err := v.console.Registry.ReplicationStatus(v.ctx(), v.caller(), p.Repository, registry.ImageID{Digest: p.Digest})
	if err != nil {
		return err
	}
	p.Replicated = true
	for _, s := range all {
		row := copyRow{s, "done", "good"}
		switch {
		case s.Failure != "":
			row.Word, row.Mark = "failed", "bad"
		case s.Waiting:
			row.Word, row.Mark = "waiting", "warn"
		}
		p.Replication = append(p.Replication, row)
	}
	return nil
}
