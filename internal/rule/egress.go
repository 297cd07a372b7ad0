package rule

import (
	"cmp"
	"net"
	"net/url"
	"strings"
)

// Why is what weir reaches a host for.
type Why string

const (
	ForUpstream Why = "upstream" // manifests, and blobs where it has them itself
	ForRealm    Why = "realm"    // tokens
	ForLogin    Why = "login"    // passwords of an ECR, which AWS gives
	ForBlobs    Why = "blobs"    // where the upstream is publicly known to redirect to
	ForAllowed  Why = "allowed"  // where configuration allows it to redirect to
	ForSeen     Why = "seen"     // where it did lead
)

// Whys returns every reason, the surest first.
func Whys() []Why {
	return []Why{ForUpstream, ForRealm, ForLogin, ForBlobs, ForAllowed, ForSeen}
}

// Egress is a place that weir has to reach for an upstream.
type Egress struct {
	Host  string // host:port; a * in it is for what the upstream fills in
	Why   Why
	Proxy string // host:port of the proxy that is asked for it; "": none
}

// EgressTo is the place that a URL leads to, by a proxy unless that is nil.
func EgressTo(u *url.URL, why Why, proxy *url.URL) Egress {
	e := Egress{Host: address(u), Why: why}
	if proxy != nil {
		e.Proxy = address(proxy)
	}
	return e
}

// address is the host:port of a URL.
func address(u *url.URL) string {
	port := "443"
	switch u.Scheme {
	case "http":
		port = "80"
	case "socks5", "socks5h":
		port = "1080"
	}
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port))
}

// Realm returns the URL that the upstream of this kind at host hands out tokens at, ""
// where that is not known.
func (k Kind) Realm(host string) string {
	switch k {
	case DockerHub:
		return "https://auth.docker.io/token"
	case ECRPublic:
		return "https://public.ecr.aws/token/"
	case Quay:
		return "https://quay.io/v2/auth"
	case GitHub:
		return "https://ghcr.io/token"
	case GitLab:
		return "https://gitlab.com/jwt/auth"
	case Azure:
		return "https://" + host + "/oauth2/token"
	case Chainguard:
		return "https://cgr.dev/token"
	}
	switch {
	case host == "gcr.io", strings.HasSuffix(host, "-docker.pkg.dev"):
		return "https://" + host + "/v2/token"
	case host == "nvcr.io":
		return "https://nvcr.io/proxy_auth"
	}
	return ""
}

// BlobHosts returns the hosts that the upstream of this kind at host is publicly known
// to redirect to, for blobs above all. A * in them is for what the host does not tell,
// such as a region. The table in docs/upstreams.md is the same.
func (k Kind) BlobHosts(host string) []string {
	switch k {
	case DockerHub:
		return []string{
			"production.cloudflare.docker.com",
			"production.cloudfront.docker.com",
			"docker-images-prod.6aa30f8b08e16409b46e0173d6de2f56.r2.cloudflarestorage.com",
		}
	case ECRPublic:
		return []string{"d2glxqk2uabbnd.cloudfront.net", "d5l0dvt14r5h8.cloudfront.net"}
	case K8s:
		return []string{"*.pkg.dev", "prod-registry-k8s-io-*.s3.dualstack.*.amazonaws.com"}
	case Quay:
		return quayBlobs()
	case GitHub:
		return []string{"pkg-containers.githubusercontent.com"}
	case GitLab:
		return []string{"cdn.registry.gitlab-static.net", "storage.googleapis.com"}
	case Azure:
		name, ok := strings.CutSuffix(host, ".azurecr.io")
		if !ok {
			name = "*"
		}
		return []string{"*.blob.core.windows.net", name + ".*.data.azurecr.io"}
	case Chainguard:
		return []string{"9236a389bd48b984df91adc1bc924620.r2.cloudflarestorage.com"}
	case ECR:
		return ecrBlobs(host)
	}
	switch {
	case host == "mcr.microsoft.com":
		return []string{"*.data.mcr.microsoft.com"}
	case host == "gcr.io", strings.HasSuffix(host, "-docker.pkg.dev"):
		return []string{"storage.googleapis.com"}
	case host == "nvcr.io":
		return []string{"layers.nvcr.io"}
	case host == "registry.access.redhat.com":
		return quayBlobs()
	}
	return nil
}

func quayBlobs() []string {
	return []string{"cdn.quay.io", "cdn01.quay.io", "cdn02.quay.io", "cdn03.quay.io", "cdn04.quay.io", "cdn05.quay.io", "cdn06.quay.io"}
}

// ecrBlobs is the bucket of a registry of Amazon's; another one at a host of its own,
// such as another weir, has its blobs itself.
func ecrBlobs(host string) []string {
	m := ecrHost.FindStringSubmatch(host)
	if m == nil {
		return nil
	}
	region, domain := m[1], m[2]
	switch domain { // the dual stack has domains of its own, which the bucket is not in
	case "on.aws":
		domain = "amazonaws.com"
	case "on.amazonwebservices.com.cn":
		domain = "amazonaws.com.cn"
	}
	return []string{"prod-" + region + "-starport-layer-bucket.s3." + region + "." + domain}
}
