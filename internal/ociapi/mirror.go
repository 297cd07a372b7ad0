package ociapi

import (
	"net/http"
	"net/url"

	"github.com/weir-registry/weir/internal/errs"
)

// Names returns the name here of a repository that a client asked a host for: as it is
// for this registry's own names, and the cached name where the host, or ns, which
// containerd sends to mirrors ("" if it did not), is an upstream's.
type Names func(host, ns, repo string) (string, error)

// place gives a request the repository's name here, which everything after it sees: the
// decision, the log and the answer. Mirrors are only read from: what is written has to
// be meant for this registry. Errors: those of Names, errs.ParamInvalid, errs.Denied.
func (f *face) place(r *http.Request, req *Request) error {
	if req.Repository == "" {
		return nil
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(q["ns"]) > 1 {
		return errs.New(errs.ParamInvalid, "the query is malformed, or has ns twice")
	}
	name, err := f.names(r.Host, q.Get("ns"), req.Repository)
	if err != nil {
		return err
	}
	if name != req.Repository && r.Method != http.MethodGet && r.Method != http.MethodHead {
		return errs.New(errs.Denied, "%s was asked for as a mirror has it, and mirrors are read-only: write to %s by this registry's own name", req.Repository, name)
	}
	req.Repository = name
	return nil
}
