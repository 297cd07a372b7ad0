package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
)

// What a list may have; a registry of good will stays far below.
const (
	maxListPage  = 8 << 20  // bytes of one page
	maxListBytes = 32 << 20 // of all pages
	maxListPages = 200
	maxTags      = 100_000
	maxReferrers = 10_000
	// bytes of all referrers of a manifest: they are kept, and read whole at each request
	maxReferrersBytes = oci.MaxManifestSize
	maxNext           = 4096 // bytes of the query that leads to the next page

	// Amazon ECR refuses more; who has less room gives fewer.
	askedPerPage = "n=1000"
)

// Tags returns all tags of a repository in the order of their bytes, each once; what
// is no tag in the list is left out.
//
// A list that breaks off after its first page is returned as far as it came, with the
// error; so is one that has more than weir reads, or no end: errs.LimitExceeded. A
// repository that is not there is errs.RepoUnknown; for the other errors see Registry.
func (r *Registry) Tags(ctx context.Context, repo string) ([]string, error) {
	q := &asked{
		method: http.MethodGet, repo: repo, list: true,
		path: repo + "/tags/list", query: askedPerPage,
		header:  r.header("application/json"),
		what:    "tags of " + repo,
		missing: errs.RepoUnknown,
	}
	var tags []string
	err := r.pages(ctx, q, func(page int, raw []byte) error {
		if page == 0 {
			tags = nil
		}
		found, ok := readTags(raw)
		if !ok {
			return r.fail(q, "", errs.UpstreamFailed, nil, "sent no list of tags")
		}
		tags = append(tags, found...)
		if len(tags) > maxTags {
			tags = tags[:maxTags]
			return r.fail(q, "", errs.LimitExceeded, nil, "more tags than weir reads (%d)", maxTags)
		}
		return nil
	})
	slices.Sort(tags)
	return slices.Compact(tags), err
}

// readTags reads a page of tags; false if it is none.
func readTags(raw []byte) ([]string, bool) {
	var page struct {
		Name *string
		Tags tagList
	}
	if json.Unmarshal(raw, &page) != nil || page.Name == nil && page.Tags == nil {
		return nil, false
	}
	return page.Tags, true
}

// tagList is read element by element: what is no tag takes no memory.
type tagList []string

func (l *tagList) UnmarshalJSON(b []byte) error {
	*l = tagList{}
	in := json.NewDecoder(bytes.NewReader(b))
	if t, err := in.Token(); err != nil || t != json.Delim('[') {
		return err // null is a list of none
	}
	for in.More() && len(*l) <= maxTags {
		var x json.RawMessage
		if err := in.Decode(&x); err != nil {
			return err
		}
		var s string
		if json.Unmarshal(x, &s) != nil {
			continue
		}
		if t, err := oci.ParseTag(s); err == nil {
			*l = append(*l, t)
		}
	}
	return nil
}

// Referrers returns what the upstream's referrers API lists about a manifest, all or
// nothing. A registry without the API is errs.Unsupported, whatever it answers there:
// 404, 405, a page for people. A list with more than weir reads, or without an end, is
// errs.LimitExceeded; for the other errors see Registry.
func (r *Registry) Referrers(ctx context.Context, repo string, d digest.Digest) ([]oci.Referrer, error) {
	q := &asked{
		method: http.MethodGet, repo: repo, list: true, optional: true,
		path:    repo + "/referrers/" + d.String(),
		header:  r.header(oci.MediaTypeIndex),
		what:    "referrers of " + repo + "@" + d.String(),
		missing: errs.Unsupported,
	}
	var all []oci.Referrer
	seen, size := map[digest.Digest]bool{}, 0
	err := r.pages(ctx, q, func(page int, raw []byte) error {
		if page == 0 {
			all, size = nil, 0
			clear(seen)
		}
		list, ok := oci.ParseReferrers(raw)
		if !ok {
			return r.fail(q, "", errs.Unsupported, nil, "sent no list of referrers")
		}
		for _, x := range list {
			if !seen[x.Digest] {
				seen[x.Digest] = true
				all = append(all, x)
			}
		}
		if size += len(raw); len(all) > maxReferrers || size > maxReferrersBytes {
			return r.fail(q, "", errs.LimitExceeded, nil, "more referrers than weir reads (%d, and %d bytes)", maxReferrers, maxReferrersBytes)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// pages asks for a list page by page and has each taken. All are asked of the
// upstream's own URL: of a Link only the query counts, so that it leads nowhere else.
func (r *Registry) pages(ctx context.Context, q *asked, take func(page int, raw []byte) error) error {
	return r.inOrder(ctx, func(e *endpoint) error {
		next, total := *q, 0
		seen := map[string]bool{}
		for page := 0; ; page++ {
			if page == maxListPages || seen[next.query] || total > maxListBytes {
				return r.fail(q, "", errs.LimitExceeded, nil, "a list that does not end after %d pages and %d bytes", page, total)
			}
			seen[next.query] = true
			res, err := r.askOne(ctx, e, &next)
			if err != nil {
				return laterPage(page, err)
			}
			raw, err := r.readPage(ctx, q, res)
			if err == nil {
				err = take(page, raw)
			}
			if err != nil {
				return laterPage(page, err)
			}
			total += len(raw)
			more := false
			if next.query, more = nextPage(res.Header); !more {
				return nil
			}
		}
	})
}

// laterPage is the error of a page: of one that was promised, no answer says that there
// is no such list.
func laterPage(page int, err error) error {
	if e := errs.As(err); page > 0 && e != nil && (e.Code == errs.Unsupported || e.Code == errs.RepoUnknown) {
		return &errs.Error{Code: errs.UpstreamFailed, Msg: e.Msg, Unnamed: e.Unnamed, Err: e.Err}
	}
	return err
}

func (r *Registry) readPage(ctx context.Context, q *asked, res *http.Response) ([]byte, error) {
	defer res.Body.Close()
	at := res.Request.URL.Host
	if res.ContentLength > maxListPage {
		return nil, r.fail(q, at, errs.UpstreamFailed, nil, "%d bytes are more than a page of a list may have (%d)", res.ContentLength, maxListPage)
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxListPage+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, r.ended(ctx, q)
	case err != nil:
		return nil, r.fail(q, at, errs.UpstreamUnreachable, err, "broke off after %d bytes", len(raw))
	case len(raw) > maxListPage:
		return nil, r.fail(q, at, errs.UpstreamFailed, nil, "more bytes than a page of a list may have (%d)", maxListPage)
	}
	return raw, nil
}

// nextPage returns the query of the Link (RFC 8288) that leads on; false if none does.
func nextPage(h http.Header) (query string, ok bool) {
	for _, line := range h.Values("Link") {
		for {
			_, rest, found := strings.Cut(line, "<")
			target, params, closed := strings.Cut(rest, ">")
			if !found || !closed {
				break
			}
			params, line = cutUnquoted(params, ',')
			if !leadsOn(params) {
				continue
			}
			u, err := url.Parse(target)
			if err != nil || len(u.RawQuery) > maxNext {
				return "", false
			}
			return u.RawQuery, true
		}
	}
	return "", false
}

// cutUnquoted cuts at the first sep that is in no quotes.
func cutUnquoted(s string, sep byte) (before, after string) {
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// leadsOn says whether a link's parameters have the relation next.
func leadsOn(params string) bool {
	for params != "" {
		var p string
		p, params = cutUnquoted(params, ';')
		key, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if !strings.EqualFold(strings.TrimSpace(key), "rel") {
			continue
		}
		for rel := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
			if strings.EqualFold(rel, "next") {
				return true
			}
		}
	}
	return false
}
