package ociapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/httpx"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/registry"
)

// How long pages are where the client does not say, and at most. A client that says
// nothing may not follow Links: most repositories have all their tags in one page.
const (
	tagsPerPage         = 10_000
	repositoriesPerPage = 100
	maxRepositories     = 1000
	maxReferrers        = 500
)

// lister is what this face asks of the registry for lists.
type lister interface {
	Tags(ctx context.Context, c iam.Caller, repo, after string, limit int) (*registry.TagList, error)
	Referrers(ctx context.Context, c iam.Caller, repo string, q registry.ReferrerQuery) (*registry.ReferrerList, error)
	Catalog(ctx context.Context, c iam.Caller, after string, limit int) (names []string, more bool, err error)
}

// pageError is a page that cannot be: Docker has a code for it.
type pageError struct{ err *errs.Error }

func (e pageError) Error() string { return e.err.Error() }
func (e pageError) Unwrap() error { return e.err }

// pageSize reads n: at most most, and other where the client does not say.
func pageSize(q url.Values, other, most int) (int, error) {
	s := q.Get("n")
	if s == "" {
		return other, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil && n == 0 { // an n that is too large for a number is one that is too large
		return 0, pageError{errs.New(errs.ParamInvalid, "n is %q, and not the number of results that a page is to have", s)}
	}
	return int(min(n, uint64(most))), nil
}

// link leads to the page after last, with whatever else the client asked for. It has no
// host: the client knows better than weir by which name it came.
func link(r *http.Request, last string, n int) string {
	q := r.URL.Query()
	q.Set("last", last)
	if n > 0 {
		q.Set("n", strconv.Itoa(n))
	}
	return fmt.Sprintf(`<%s?%s>; rel="next"`, r.URL.EscapedPath(), q.Encode())
}

// tags answers end-8a and end-8b.
func (f *face) tags(w *httpx.ResponseWriter, r *http.Request, c iam.Caller, req Request) error {
	w.Action = iam.ListImages
	q := r.URL.Query()
	n, err := pageSize(q, tagsPerPage, tagsPerPage)
	if err != nil {
		return err
	}
	l, err := f.reg.Tags(r.Context(), c, req.Repository, q.Get("last"), n)
	if err != nil {
		return err
	}
	w.Upstream = l.Upstream
	came(w, l.Source, l.Age, l.Warning)
	if l.More && len(l.Tags) > 0 {
		w.Header().Set("Link", link(r, l.Tags[len(l.Tags)-1], n))
	}
	return list(w, req, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{req.Repository, append([]string{}, l.Tags...)})
}

// catalog answers Docker's /v2/_catalog.
func (f *face) catalog(w *httpx.ResponseWriter, r *http.Request, c iam.Caller, req Request) error {
	w.Action = "ecr:DescribeRepositories"
	q := r.URL.Query()
	n, err := pageSize(q, repositoriesPerPage, maxRepositories)
	if err != nil {
		return err
	}
	names, more, err := f.reg.Catalog(r.Context(), c, q.Get("last"), n)
	if err != nil {
		return err
	}
	if more && len(names) > 0 {
		w.Header().Set("Link", link(r, names[len(names)-1], n))
	}
	return list(w, req, "application/json", struct {
		Repositories []string `json:"repositories"`
	}{append([]string{}, names...)})
}

// referrers answers end-12a and end-12b.
func (f *face) referrers(w *httpx.ResponseWriter, r *http.Request, c iam.Caller, req Request) error {
	w.Action = iam.BatchGetImage
	q := r.URL.Query()
	ask := registry.ReferrerQuery{Subject: req.Digest, After: digest.Digest(q.Get("last")), Limit: maxReferrers}
	for _, t := range q["artifactType"] {
		if t != "" {
			ask.Types = append(ask.Types, t)
		}
	}
	l, err := f.reg.Referrers(r.Context(), c, req.Repository, ask)
	if errs.CodeOf(err) == errs.RepoUnknown {
		// 404 would say that there is no such API, and clients would go on with tags.
		l, err = registry.NoReferrers(), nil
	}
	if err != nil {
		return err
	}
	w.Upstream = l.Upstream
	came(w, l.Source, l.Age, l.Warning)
	if len(ask.Types) > 0 {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	if l.More && len(l.Referrers) > 0 {
		w.Header().Set("Link", link(r, string(l.Referrers[len(l.Referrers)-1].Digest), 0))
	}
	return list(w, req, oci.MediaTypeIndex, struct {
		SchemaVersion int            `json:"schemaVersion"`
		MediaType     string         `json:"mediaType"`
		Manifests     []oci.Referrer `json:"manifests"`
	}{2, oci.MediaTypeIndex, append([]oci.Referrer{}, l.Referrers...)})
}

func list(w *httpx.ResponseWriter, req Request, mediaType string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if req.Head {
		return nil
	}
	_, err = w.Write(body)
	return err
}
