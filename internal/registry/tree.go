package registry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
)

// How much of an image is told at most.
const (
	maxParts    = 200     // of one manifest
	maxNodes    = 2000    // of all whose parts are told
	maxExpanded = 64      // children of an index whose parts are told
	maxAbout    = 100     // of what is about an image
	maxRead     = 8 << 20 // bytes of manifests that are read of what is about an image
	maxNotes    = 20      // annotations of one
	maxIndexes  = 20      // that name an image
	maxConfig   = 1 << 20 // bytes of a config that is read
	maxValues   = 500     // labels, lines of history and the like
	maxValue    = 4096    // bytes of one
)

// Node is an image, or something that it names, with what that names.
type Node struct {
	oci.Edge
	Held  bool // its bytes are here, and the repository may serve them
	Parts []Node
	More  bool            // there are more parts than are told
	Of    []digest.Digest // of the image itself: some of the indexes that name it
}

// Tree returns what an image names: of an index its children and what those name that are
// held, as far as it is known. It asks no upstream. Who may pull the manifest may know.
// Action: ecr:BatchGetImage.
// Errors: errs.Denied, Unauthenticated, NameInvalid, RepoUnknown, ManifestUnknown.
func (r *Registry) Tree(ctx context.Context, c iam.Caller, repo string, d digest.Digest) (Node, error) {
	row, err := r.described(ctx, c, iam.BatchGetImage, repo)
	if err != nil {
		return Node{}, err
	}
	m, err := r.namedAs(ctx, row.Name, repo, ImageID{Digest: d})
	if err != nil {
		return Node{}, err
	}
	top := Node{Held: true, Edge: oci.Edge{Descriptor: oci.Descriptor{MediaType: m.MediaType, Digest: m.Digest}}}
	left := maxNodes
	if err := r.parts(ctx, row.Name, &top, &left); err != nil {
		return Node{}, err
	}
	if top.Of, err = r.db.Indexes(ctx, row.Name, m.Digest, maxIndexes); err != nil {
		return Node{}, err
	}
	expanded := 0
	for i := range top.Parts {
		if p := &top.Parts[i]; p.Kind == oci.EdgeChild && p.Held {
			if expanded++; expanded > maxExpanded || left == 0 {
				p.More = true
				continue
			}
			if err := r.parts(ctx, row.Name, p, &left); err != nil {
				return Node{}, err
			}
		}
	}
	return top, nil
}

// parts adds to p what it names, of which up to left are told.
func (r *Registry) parts(ctx context.Context, repo string, p *Node, left *int) error {
	members, more, err := r.db.Members(ctx, repo, p.Digest, min(maxParts, *left))
	p.More, *left = more, *left-len(members)
	for _, m := range members {
		p.Parts = append(p.Parts, Node{Edge: m.Edge, Held: m.Held})
	}
	return err
}

// What there is of an image's config.
const (
	ConfigRead    = "read"
	ConfigNone    = "none"    // an index, or an artifact without one
	ConfigOther   = "other"   // it is not an image's
	ConfigMissing = "missing" // it is not held
	ConfigLarge   = "large"   // larger than is read
	ConfigBad     = "bad"     // it is not what its media type says
)

// Config is what an image's config says. All of it is foreign, and cut where it is long.
type Config struct {
	State   string // one of the words above; the rest is only of ConfigRead
	Created time.Time
	Author  string
	oci.Platform
	User, WorkingDir, StopSignal        string
	Env, Entrypoint, Cmd, Ports, Labels []string // Labels: name and value by turns
	History                             []Step
	More                                bool // there is more than is told
}

// Step is one line of a config's history.
type Step struct {
	Created   time.Time
	CreatedBy string
	Comment   string
	Empty     bool // it made no layer
}

// Config returns what the config of an image says, if it is held; no upstream is asked.
// Action: ecr:GetDownloadUrlForLayer. Errors: errs.Denied, Unauthenticated, NameInvalid,
// RepoUnknown, ManifestUnknown, ImageArchived.
func (r *Registry) Config(ctx context.Context, c iam.Caller, repo string, d digest.Digest) (Config, error) {
	row, err := r.described(ctx, c, iam.GetDownloadURLForLayer, repo)
	if err != nil {
		return Config{}, err
	}
	m, err := r.namedAs(ctx, row.Name, repo, ImageID{Digest: d})
	if err == nil {
		err = r.outside(ctx, row.Name, oci.Reference{Digest: m.Digest})
	}
	if err != nil {
		return Config{}, err
	}
	members, _, err := r.db.Members(ctx, row.Name, m.Digest, maxParts)
	if err != nil {
		return Config{}, err
	}
	i := slices.IndexFunc(members, func(m meta.Member) bool { return m.Kind == oci.EdgeConfig })
	switch {
	case i < 0:
		return Config{State: ConfigNone}, nil
	case !imageConfig(members[i].MediaType):
		return Config{State: ConfigOther}, nil
	case !members[i].Held:
		return Config{State: ConfigMissing}, nil
	}
	return r.readConfig(ctx, members[i].Digest)
}

// imageConfig says whether a media type is that of what a container is run with.
func imageConfig(mediaType string) bool {
	return mediaType == "application/vnd.oci.image.config.v1+json" || mediaType == "application/vnd.docker.container.image.v1+json"
}

// readConfig reads a blob that is held.
func (r *Registry) readConfig(ctx context.Context, d digest.Digest) (Config, error) {
	f, err := r.store.Open(ctx, d)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{State: ConfigMissing}, nil
	}
	if err != nil {
		return Config{}, err
	}
	defer f.Close()
	if f.Size() > maxConfig {
		return Config{State: ConfigLarge}, nil
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxConfig))
	if err != nil {
		return Config{}, err
	}
	return parseConfig(raw), nil
}

// rawConfig is what is read of a config; what has another form is left out with the rest.
type rawConfig struct {
	Created *time.Time `json:"created"`
	Author  string     `json:"author"`
	oci.Platform
	Config struct {
		User, WorkingDir, StopSignal string
		Env, Entrypoint, Cmd         []string
		ExposedPorts                 map[string]struct{}
		Labels                       map[string]string
	} `json:"config"`
	History []struct {
		Created   *time.Time `json:"created"`
		CreatedBy string     `json:"created_by"`
		Comment   string     `json:"comment"`
		Empty     bool       `json:"empty_layer"`
	} `json:"history"`
}

func parseConfig(raw []byte) Config {
	var in rawConfig
	if json.Unmarshal(raw, &in) != nil {
		return Config{State: ConfigBad}
	}
	x := Config{State: ConfigRead, Created: timeOf(in.Created)}
	cut := func(s string) string {
		if len(s) > maxValue {
			x.More = true
			s = strings.ToValidUTF8(s[:maxValue], "")
		}
		return s
	}
	some := func(all []string) (some []string) {
		for _, s := range all {
			if len(some) == maxValues {
				x.More = true
				break
			}
			some = append(some, cut(s))
		}
		return some
	}
	x.Author = cut(in.Author)
	x.OS, x.Architecture, x.Variant, x.OSVersion = cut(in.OS), cut(in.Architecture), cut(in.Variant), cut(in.OSVersion)
	x.User, x.WorkingDir, x.StopSignal = cut(in.Config.User), cut(in.Config.WorkingDir), cut(in.Config.StopSignal)
	x.Env, x.Entrypoint, x.Cmd = some(in.Config.Env), some(in.Config.Entrypoint), some(in.Config.Cmd)
	x.Ports = some(slices.Sorted(maps.Keys(in.Config.ExposedPorts)))
	var labels []string
	for _, name := range slices.Sorted(maps.Keys(in.Config.Labels)) {
		labels = append(labels, name, in.Config.Labels[name])
	}
	x.Labels = some(labels)
	for _, h := range in.History {
		if len(x.History) == maxValues {
			x.More = true
			break
		}
		x.History = append(x.History, Step{timeOf(h.Created), cut(h.CreatedBy), cut(h.Comment), h.Empty})
	}
	return x
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// About is something that is about an image: a signature, an SBOM, an attestation.
type About struct {
	oci.Referrer
	Tag      string // by which it is about the image, as cosign's are; "": it says so itself
	Held     bool
	Archived bool
}

// AboutList is what there is about an image, as far as that is known here.
type AboutList struct {
	List    []About   // of many annotations the first, and the begin of long ones
	More    bool      // there is more than is told
	Checked time.Time // when the upstream last said what there is; zero: it was not asked
}

// About returns what is held about an image, and what its upstream said last that there
// is. It asks no upstream. Action: ecr:BatchGetImage. Errors: as Tree.
func (r *Registry) About(ctx context.Context, c iam.Caller, repo string, d digest.Digest) (AboutList, error) {
	row, err := r.described(ctx, c, iam.BatchGetImage, repo)
	if err != nil {
		return AboutList{}, err
	}
	m, err := r.namedAs(ctx, row.Name, repo, ImageID{Digest: d})
	if err != nil {
		return AboutList{}, err
	}
	held, err := r.db.Referring(ctx, row.Name, m.Digest, "", maxAbout+1)
	if err != nil {
		return AboutList{}, err
	}
	said, err := r.db.Referrers(ctx, row.Name, m.Digest)
	if err != nil {
		return AboutList{}, err
	}
	l := AboutList{Checked: said.Checked, More: len(held) > maxAbout}
	left := maxRead
	for _, d := range held[:min(len(held), maxAbout)] {
		if left <= 0 {
			l.More = true
			break
		}
		if err := r.addAbout(ctx, row, &l, d, "", &left); err != nil {
			return AboutList{}, err
		}
	}
	for _, x := range said.List {
		if slices.Contains(held, x.Digest) {
			continue
		}
		if len(l.List) >= maxAbout {
			l.More = true
			break
		}
		_, err := r.db.Manifest(ctx, row.Name, x.Digest)
		if err != nil && errs.CodeOf(err) != errs.ManifestUnknown {
			return AboutList{}, err
		}
		l.List = append(l.List, About{Referrer: brief(x), Held: err == nil})
	}
	return l, r.addTagged(ctx, row, &l, m.Digest, &left)
}

// brief is x with what is long in it cut.
func brief(x oci.Referrer) oci.Referrer {
	x.MediaType, x.ArtifactType = begin(x.MediaType), begin(x.ArtifactType)
	if x.Annotations == nil {
		return x
	}
	all := x.Annotations
	x.Annotations = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if len(x.Annotations) == maxNotes {
			break
		}
		x.Annotations[begin(name)] = begin(all[name])
	}
	return x
}

// begin is s, or as much of it as is told, without the memory of the rest.
func begin(s string) string {
	if len(s) > maxValue {
		s = strings.ToValidUTF8(s[:maxValue], "")
	}
	return strings.Clone(s)
}

// addAbout adds a manifest that is held, and takes its bytes from left.
func (r *Registry) addAbout(ctx context.Context, row meta.Repository, l *AboutList, d digest.Digest, tag string, left *int) error {
	m, err := r.db.Manifest(ctx, row.Name, d)
	if errs.CodeOf(err) == errs.ManifestUnknown { // it went a moment ago
		return nil
	}
	if err != nil {
		return err
	}
	*left -= len(m.Raw)
	x := About{Held: true, Tag: tag}
	if x.Referrer, err = m.Referrer(); err != nil {
		return err
	}
	x.Referrer = brief(x.Referrer)
	if row.Archives {
		if x.Archived, err = r.db.Archived(ctx, row.Name, d); err != nil {
			return err
		}
	}
	l.List = append(l.List, x)
	return nil
}

// addTagged adds what is about an image by its tag only: cosign's of old.
func (r *Registry) addTagged(ctx context.Context, row meta.Repository, l *AboutList, d digest.Digest, left *int) error {
	for _, what := range []string{"sig", "att", "sbom"} {
		tag := string(d.Algorithm()) + "-" + d.Encoded() + "." + what
		t, err := r.db.Tag(ctx, row.Name, tag)
		switch {
		case errs.CodeOf(err) == errs.ManifestUnknown, errs.CodeOf(err) == errs.TagInvalid: // a sha512 is too long for a tag
			continue
		case err != nil:
			return err
		}
		if err := r.addAbout(ctx, row, l, t.Digest, tag, left); err != nil {
			return err
		}
	}
	return nil
}
