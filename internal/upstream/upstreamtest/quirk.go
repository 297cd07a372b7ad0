package upstreamtest

// Quirk is one way in which real registries differ from the specification, or use
// the room that it leaves. All of them must work with a good client.
type Quirk string

const (
	HeadDenied       Quirk = "HEAD is 401"                            // public.ecr.aws, for manifests and blobs
	HeadUnsupported  Quirk = "HEAD is 405"                            // proxies in front of a registry
	NoDigest         Quirk = "no Docker-Content-Digest"               // static file servers
	UnknownDenied    Quirk = "401 for unknown repositories"           // Docker Hub, with a valid token
	ExpiredForbidden Quirk = "403 for an expired token"               // Amazon ECR
	Chunked          Quirk = "no Content-Length"                      // registries that stream from elsewhere
	Gzip             Quirk = "gzip Content-Encoding, unasked"         // compressing proxies; to be refused for blobs
	RangeIgnored     Quirk = "Range is ignored"                       // 200 with the whole blob
	NoScopeInBearer  Quirk = "challenge without scope"                // some answer /v2/-like challenges everywhere
	TokenField       Quirk = "access_token instead of token"          // OAuth 2 servers
	RelativeLocation Quirk = "relative Location"                      // redirects without scheme and host
	RangeUnavailable Quirk = "416 for every range that is not from 0" // CDNs that lost the object
	NoReferrers      Quirk = "no referrers API"                       // 404: registries of before 1.1
	ReferrersPage    Quirk = "303 for referrers"                      // ghcr.io: to a page for people
	ForeignLink      Quirk = "Link to a host inside"                  // registries that do not know their name
)

// Quirks returns every quirk, for tests that walk them.
func Quirks() []Quirk {
	return []Quirk{HeadDenied, HeadUnsupported, NoDigest, UnknownDenied, ExpiredForbidden, Chunked, Gzip,
		RangeIgnored, NoScopeInBearer, TokenField, RelativeLocation, RangeUnavailable,
		NoReferrers, ReferrersPage, ForeignLink}
}
