package upstreamtest

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Pushes is how a Registry takes pushes.
type Pushes struct {
	Absolute bool   // Location with scheme and host
	Location string // is sent as Location of an upload that begins, whatever is right; "": what is right
	NoParts  bool   // a part with Content-Range is 416
	MaxBody  int64  // a longer body is 413; 0: any is taken
	Mount    bool   // blobs are mounted
	CutAfter int64  // the connection of each body that is longer breaks after so many bytes of it; 0: none does
	Cuts     int    // so often, all in all
	Gone     bool   // uploads are unknown by the time of their first byte
}

// upload is a blob on its way in.
type upload struct {
	repo  string
	bytes []byte
}

// servePush answers what writes, and the state of uploads; false: it is something else.
func (r *Registry) servePush(w *answer, req *http.Request, path string) bool {
	repo, id, isUpload := split(path, "/blobs/uploads/")
	_, ref, isManifest := split(path, "/manifests/")
	switch {
	case !isUpload && (!isManifest || req.Method != http.MethodPut):
		return false
	case isManifest:
		repo, _, _ = split(path, "/manifests/")
	}
	p := r.opts.Pushes
	if p == nil || !r.allowed(w, req, repo) {
		return p != nil
	}
	if p.MaxBody > 0 && req.ContentLength > p.MaxBody {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return true
	}
	switch {
	case isManifest:
		raw, _ := io.ReadAll(req.Body)
		tag := ref
		if strings.Contains(ref, ":") {
			tag = ""
		}
		d := r.PutManifest(repo, tag, req.Header.Get("Content-Type"), raw)
		w.Header().Set("Docker-Content-Digest", string(d))
		w.WriteHeader(http.StatusCreated)
	case req.Method == http.MethodPost:
		r.startUpload(w, req, repo)
	default:
		r.goOn(w, req, repo, id)
	}
	return true
}

func (r *Registry) startUpload(w *answer, req *http.Request, repo string) {
	q := req.URL.Query()
	if b, ok := r.blob(q.Get("from"), digest.Digest(q.Get("mount"))); ok && r.opts.Pushes.Mount {
		r.PutBlob(repo, b)
		w.WriteHeader(http.StatusCreated)
		return
	}
	id := rand.Text()
	r.mu.Lock()
	r.uploads[id] = &upload{repo: repo}
	r.mu.Unlock()
	r.locate(w, req, repo, id)
	if s := r.opts.Pushes.Location; s != "" {
		w.Header().Set("Location", s)
	}
	w.WriteHeader(http.StatusAccepted)
}

// locate says where an upload goes on.
func (r *Registry) locate(w *answer, req *http.Request, repo, id string) {
	base := ""
	if r.opts.Pushes.Absolute {
		base = r.where().URL
	}
	w.Header().Set("Location", base+"/v2/"+repo+"/blobs/uploads/"+id+"?_state=s&n="+rand.Text())
}

func (r *Registry) goOn(w *answer, req *http.Request, repo, id string) {
	r.mu.Lock()
	u := r.uploads[id]
	r.mu.Unlock()
	if u == nil || u.repo != repo || r.opts.Pushes.Gone || req.URL.Query().Get("_state") != "s" {
		fail(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
		return
	}
	if span := req.Header.Get("Content-Range"); span != "" {
		first, _, _ := strings.Cut(span, "-")
		if first != strconv.Itoa(len(u.bytes)) || r.opts.Pushes.NoParts {
			fail(w, http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID", "invalid range")
			return
		}
	}
	switch req.Method {
	case http.MethodPatch, http.MethodPut:
		r.receive(req, u)
	case http.MethodDelete:
		r.mu.Lock()
		delete(r.uploads, id)
		r.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
		return
	}
	r.locate(w, req, repo, id)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(len(u.bytes)-1, 0)))
	switch req.Method {
	case http.MethodGet:
		w.WriteHeader(http.StatusNoContent)
	case http.MethodPatch:
		w.WriteHeader(http.StatusAccepted)
	case http.MethodPut:
		want := digest.Digest(req.URL.Query().Get("digest"))
		if digest.FromBytes(u.bytes) != want {
			fail(w, http.StatusBadRequest, "DIGEST_INVALID", "provided digest did not match uploaded content")
			return
		}
		r.PutBlob(repo, bytes.Clone(u.bytes))
		w.WriteHeader(http.StatusCreated)
	}
}

// receive takes in a body, or a part of it.
func (r *Registry) receive(req *http.Request, u *upload) {
	r.mu.Lock()
	cut := r.opts.Pushes.CutAfter
	if cut > 0 && req.ContentLength > cut && r.cuts < r.opts.Pushes.Cuts {
		r.cuts++
	} else {
		cut = 0
	}
	r.mu.Unlock()
	b, err := io.ReadAll(io.LimitReader(req.Body, cmp.Or(cut, 1<<40)))
	u.bytes = append(u.bytes, b...)
	if err != nil || cut > 0 {
		panic(http.ErrAbortHandler)
	}
}

// Uploads returns how many uploads were begun and neither ended nor cancelled.
func (r *Registry) Uploads() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range r.uploads {
		if _, done := r.repo(u.repo).blobs[digest.FromBytes(u.bytes)]; !done {
			n++
		}
	}
	return n
}

// Has says whether a repository has a manifest by tag or digest, or a blob.
func (r *Registry) Has(repo, ref string) bool {
	_, ok := r.manifest(repo, ref)
	return ok || r.has(repo, ref)
}

// Tagged returns what a tag is, "" if it is not there.
func (r *Registry) Tagged(repo, tag string) digest.Digest {
	m, _ := r.manifest(repo, tag)
	return m.Digest
}
