package ociapi

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/httpx"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/registry"
)

// manifest answers GET and HEAD with the manifest's bytes as they came, whatever
// the client accepts: what a tag means must not depend on who asks.
func (f *face) manifest(w *httpx.ResponseWriter, r *http.Request, c iam.Caller, req Request) error {
	w.Action = iam.BatchGetImage
	m, err := f.reg.Manifest(r.Context(), c, req.Repository, req.Reference, !req.Head)
	if err != nil {
		return err
	}
	w.Upstream, w.Content, w.Rule = m.Upstream, true, m.Rule
	w.Kept = m.Source == registry.Hit || m.Source == registry.Stale
	came(w, m.Source, m.Age, m.Warning)
	h := w.Header()
	h.Set("Docker-Content-Digest", string(m.Digest))
	h.Set("Etag", etag(m.Digest))
	if settled(w, r, etag(m.Digest)) {
		return nil
	}
	h.Set("Content-Type", m.MediaType)
	h.Set("Content-Length", strconv.Itoa(len(m.Raw)))
	w.WriteHeader(http.StatusOK)
	if req.Head {
		return nil
	}
	m.Given()
	_, err = w.Write(m.Raw)
	return err
}

// came tells how an answer was come by, and why it may be old.
func came(w *httpx.ResponseWriter, source registry.Source, age time.Duration, text string) {
	w.Cache = string(source)
	cache := string(source)
	if age >= 0 {
		cache += fmt.Sprintf("; age=%d", int64(age.Seconds()))
	}
	w.Header().Set("X-Weir-Cache", cache)
	if text != "" {
		w.Header().Set("Warning", warning(text))
	}
}

// warning is a Warning header of the distribution specification, "Warnings": code
// 299, no agent, and a quoted text of one line.
func warning(text string) string {
	clean := func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}
	text = strings.Map(clean, text)
	text = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)
	return `299 - "` + text + `"`
}
