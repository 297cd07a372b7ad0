package upstreamtest

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/oci"
)

// tagsList is the ref of a list of tags.
const tagsList = "list"

// splitList takes the path of a list apart; ref is tagsList or a subject's digest.
func splitList(path string) (repo, ref string, ok bool) {
	if repo, ok = strings.CutSuffix(path, "/tags/list"); ok {
		return repo, tagsList, true
	}
	return split(path, "/referrers/")
}

func (r *Registry) serveList(w *answer, req *http.Request, repo, ref string) {
	switch {
	case ref == tagsList:
		r.serveTags(w, req, repo)
	case r.is(ReferrersPage):
		w.Header().Set("Location", "/packages/"+repo)
		w.WriteHeader(http.StatusSeeOther)
	case r.is(NoReferrers):
		http.NotFound(w, req)
	default:
		r.serveReferrers(w, req, repo, digest.Digest(ref))
	}
}

func (r *Registry) serveTags(w *answer, req *http.Request, repo string) {
	if !r.known(repo) {
		fail(w, http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry")
		return
	}
	r.mu.Lock()
	var tags []string
	for tag := range r.repos[repo].tags {
		tags = append(tags, tag)
	}
	r.mu.Unlock()
	slices.Sort(tags)
	tags = page(r, w, req, tags, func(tag string) string { return tag })
	w.Header().Set("Content-Type", "application/json")
	r.body(w, req, encode(map[string]any{"name": repo, "tags": tags}), http.StatusOK)
}

func (r *Registry) serveReferrers(w *answer, req *http.Request, repo string, subject digest.Digest) {
	list := []oci.Referrer{}
	r.mu.Lock()
	if x := r.repos[repo]; x != nil {
		for _, m := range x.manifests {
			e, err := m.Edges()
			about := func(e oci.Edge) bool { return e.Kind == oci.EdgeSubject && e.Digest == subject }
			if ref, bad := m.Referrer(); err == nil && bad == nil && slices.ContainsFunc(e.List, about) {
				list = append(list, ref)
			}
		}
	}
	r.mu.Unlock()
	slices.SortFunc(list, func(a, b oci.Referrer) int { return cmp.Compare(a.Digest, b.Digest) })
	list = page(r, w, req, list, func(x oci.Referrer) string { return string(x.Digest) })
	w.Header().Set("Content-Type", oci.MediaTypeIndex)
	r.body(w, req, encode(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeIndex, "manifests": list}), http.StatusOK)
}

// page cuts a list to what is asked for, with a Link to the rest.
func page[T any](r *Registry, w *answer, req *http.Request, all []T, name func(T) string) []T {
	q := req.URL.Query()
	if last := q.Get("last"); last != "" {
		all = all[slices.IndexFunc(append(all, *new(T)), func(x T) bool { return name(x) > last || name(x) == "" }):]
	}
	n, _ := strconv.Atoi(q.Get("n"))
	if r.opts.Page > 0 && (n == 0 || n > r.opts.Page) {
		n = r.opts.Page
	}
	if n == 0 || n >= len(all) {
		return all
	}
	next := req.URL.Path + "?" + url.Values{"last": {name(all[n-1])}, "n": {strconv.Itoa(n)}}.Encode()
	if r.is(ForeignLink) {
		next = "http://inside.test:8080" + next
	}
	w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next"`, next))
	return all[:n]
}

// NewReferrer returns an artifact about subject, with one blob. Its bytes depend on
// subject, type and seed alone.
func NewReferrer(subject oci.Descriptor, artifactType string, seed uint64) Image {
	img := Image{Config: []byte("{}"), Layers: [][]byte{encode(map[string]any{"about": subject.Digest, "seed": seed})}}
	img.Manifest = manifest(oci.MediaTypeManifest, map[string]any{
		"artifactType": artifactType,
		"config":       descriptor("application/vnd.oci.empty.v1+json", img.Config),
		"layers":       []any{descriptor("application/json", img.Layers[0])},
		"subject":      map[string]any{"mediaType": subject.MediaType, "digest": subject.Digest, "size": subject.Size},
		"annotations":  map[string]string{"seed": fmt.Sprint(seed)},
	})
	return img
}

// PutFallback points the fallback tag of subject at an index of referrers, as clients
// do at registries without the API.
func (r *Registry) PutFallback(repo string, subject digest.Digest, referrers ...Image) digest.Digest {
	list := []oci.Referrer{}
	for _, x := range referrers {
		if ref, err := x.Referrer(); err == nil {
			list = append(list, ref)
		}
	}
	raw := encode(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeIndex, "manifests": list})
	return r.PutManifest(repo, oci.FallbackTag(subject), oci.MediaTypeIndex, raw)
}
