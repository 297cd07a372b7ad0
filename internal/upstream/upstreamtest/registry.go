// Package upstreamtest is a scripted upstream registry for tests.
//
// A Registry answers /v2/ as the distribution specification says, with token or
// Basic authentication and, if asked, a redirect of blobs to a second host by
// signed URLs that expire. Quirks make it as odd as real registries are, Faults
// break single answers, and a log tells every request in the order of arrival.
//
// It is served on loopback (Registry.Listen) or on an in-memory Network
// (Registry.On), which works inside testing/synctest. It guarantees nothing about
// speed. It takes pushes over HTTP if it is told to (Options.Pushes).
package upstreamtest

import (
	"bytes"
	"crypto/rand"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/oci"
)

// Auth is how a Registry wants to be asked.
type Auth string

const (
	Open  Auth = ""      // anybody, without a challenge
	Token Auth = "token" // Bearer tokens from the registry's realm
	Basic Auth = "basic" // user name and password with each request
)

// Options of a Registry. The zero value is an open registry that behaves.
type Options struct {
	Auth       Auth
	Users      map[string]string // who may ask; empty: with Token, anonymous tokens too
	TokenLife  time.Duration     // how long tokens hold; 0: 60 s, and expires_in is left out
	Service    string            // of the challenge; "": "upstreamtest", and the realm takes any
	Redirect   bool              // blobs are answered by a redirect to the second host
	SignedLife time.Duration     // how long the URLs at the second host hold; 0: one minute
	Elsewhere  string            // base URL of another registry that all of /v2/ is redirected to (307)
	Page       int               // the most that a page of a list has; 0: as many as are asked for
	Pushes     *Pushes           // nil: none are taken
	Quirks     []Quirk
}

// Registry is a scripted registry. It is safe for use by many goroutines.
type Registry struct {
	opts   Options
	secret []byte // signs the URLs of the second host

	mu      sync.Mutex
	site    Site
	repos   map[string]*repository
	tokens  map[string]token
	faults  []*fault
	log     []*Request
	uploads map[string]*upload
	cuts    int           // that were made
	release chan struct{} // closed by Release
}

type repository struct {
	manifests map[digest.Digest]oci.Manifest
	tags      map[string]digest.Digest
	blobs     map[digest.Digest][]byte
}

// New returns an empty registry.
func New(o Options) *Registry {
	if o.SignedLife == 0 {
		o.SignedLife = time.Minute
	}
	o.Users, o.Quirks = maps.Clone(o.Users), slices.Clone(o.Quirks)
	return &Registry{
		opts:    o,
		secret:  []byte(rand.Text()),
		repos:   map[string]*repository{},
		tokens:  map[string]token{},
		uploads: map[string]*upload{},
		release: make(chan struct{}),
	}
}

func (r *Registry) repo(name string) *repository {
	if r.repos[name] == nil {
		r.repos[name] = &repository{map[digest.Digest]oci.Manifest{}, map[string]digest.Digest{}, map[digest.Digest][]byte{}}
	}
	return r.repos[name]
}

// Push stores an image with all that it names, and points tag at it unless tag is "".
func (r *Registry) Push(repo, tag string, img Image) {
	for _, child := range img.Children {
		r.Push(repo, "", child)
	}
	for _, b := range img.blobs() {
		r.PutBlob(repo, b)
	}
	r.PutManifest(repo, tag, img.MediaType, img.Raw)
}

// PutManifest stores any bytes as a manifest and points tag at them unless tag is "".
func (r *Registry) PutManifest(repo, tag, mediaType string, raw []byte) digest.Digest {
	d := digest.FromBytes(raw)
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.repo(repo)
	x.manifests[d] = oci.Manifest{
		Descriptor: oci.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(raw))},
		Raw:        bytes.Clone(raw),
	}
	if tag != "" {
		x.tags[tag] = d
	}
	return d
}

// PutBlob stores a blob under its sha256 digest. It keeps content: do not change it.
func (r *Registry) PutBlob(repo string, content []byte) digest.Digest {
	d := digest.FromBytes(content)
	r.PutBlobAs(repo, d, content)
	return d
}

// PutBlobAs stores a blob under any digest, also one that is not its own.
func (r *Registry) PutBlobAs(repo string, d digest.Digest, content []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.repo(repo).blobs[d] = content
}

// Remove makes a tag, manifest or blob unknown.
func (r *Registry) Remove(repo, ref string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.repo(repo)
	delete(x.tags, ref)
	delete(x.manifests, digest.Digest(ref))
	delete(x.blobs, digest.Digest(ref))
}

func (r *Registry) blob(repo string, d digest.Digest) ([]byte, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.repos[repo]
	if x == nil {
		return nil, false
	}
	b, ok := x.blobs[d]
	return b, ok
}

func (r *Registry) manifest(repo, ref string) (oci.Manifest, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.repos[repo]
	if x == nil {
		return oci.Manifest{}, false
	}
	d, ok := x.tags[ref]
	if !ok {
		d = digest.Digest(ref)
	}
	m, ok := x.manifests[d]
	return m, ok
}

func (r *Registry) known(repo string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.repos[repo] != nil
}

func (r *Registry) is(q Quirk) bool { return slices.Contains(r.opts.Quirks, q) }

var _ http.Handler = (*Registry)(nil)
