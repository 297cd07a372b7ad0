package ociapi

import (
	"net/http"
	"strings"
)

// precondition returns the status that answers a conditional request by itself, as
// RFC 9110, section 13.2.2, has it, 0 if none does. Nothing here has a date of
// modification, so conditions by date are not evaluated.
func precondition(r *http.Request, etag string) int {
	switch must := r.Header.Values("If-Match"); {
	case len(must) > 0 && !matches(must, etag, false):
		return http.StatusPreconditionFailed
	case matches(r.Header.Values("If-None-Match"), etag, true):
		return http.StatusNotModified
	}
	return 0
}

// settled answers a request whose precondition does, and says whether it did.
func settled(w http.ResponseWriter, r *http.Request, etag string) bool {
	status := precondition(r, etag)
	switch status {
	case 0:
		return false
	case http.StatusPreconditionFailed:
		w.Header().Set("Content-Length", "0") // for HEAD, too
	}
	w.WriteHeader(status)
	return true
}

// matches says whether a conditional header names an entity tag; weak: the weak one
// will do.
func matches(header []string, etag string, weak bool) bool {
	for _, h := range header {
		for tag := range strings.SplitSeq(h, ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || tag == etag || weak && tag == "W/"+etag {
				return true
			}
		}
	}
	return false
}
