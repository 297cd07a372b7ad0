package rule

import (
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/weir-registry/weir/internal/errs"
)

// Kind is what sort of registry an upstream is: the values of ECR's
// upstreamRegistry, and Generic for any other OCI registry.
type Kind string

const (
	ECR        Kind = "ecr"
	ECRPublic  Kind = "ecr-public"
	Quay       Kind = "quay"
	K8s        Kind = "k8s"
	DockerHub  Kind = "docker-hub"
	GitHub     Kind = "github-container-registry"
	Azure      Kind = "azure-container-registry"
	GitLab     Kind = "gitlab-container-registry"
	Chainguard Kind = "chainguard"
	Generic    Kind = "generic"
)

// Kinds returns every kind, ECR's first.
func Kinds() []Kind {
	return []Kind{ECR, ECRPublic, Quay, K8s, DockerHub, GitHub, Azure, GitLab, Chainguard, Generic}
}

// FixedHost returns the only host that a kind has, "" where each user has one of
// their own.
func (k Kind) FixedHost() string {
	switch k {
	case ECRPublic:
		return "public.ecr.aws"
	case Quay:
		return "quay.io"
	case K8s:
		return "registry.k8s.io"
	case DockerHub:
		return "registry-1.docker.io"
	case GitHub:
		return "ghcr.io"
	case GitLab:
		return "registry.gitlab.com"
	case Chainguard:
		return "cgr.dev"
	}
	return ""
}

// ecrHost is the form of Amazon ECR's registry hosts, as its own clients check it, with
// region and domain.
var ecrHost = regexp.MustCompile(`^\d{12}\.dkr[.-]ecr(?:-fips)?\.([a-z0-9][a-z0-9-]*)\.(amazonaws\.(?:com|com\.cn|eu)|on\.(?:aws|amazonwebservices\.com\.cn))$`)

// KindOf returns the kind of an upstream host.
func KindOf(host string) Kind {
	switch host {
	case "docker.io", "index.docker.io":
		return DockerHub
	}
	for _, k := range Kinds() {
		if f := k.FixedHost(); f != "" && f == host {
			return k
		}
	}
	switch {
	case strings.HasSuffix(host, ".azurecr.io"):
		return Azure
	case ecrHost.MatchString(host):
		return ECR
	}
	return Generic
}

// ValidHost checks an upstream's host or host:port: no scheme, no path, no user, and
// in the one form that it has (lower case, IPv6 addresses shortest and in brackets),
// because memories, credentials and the address guard are keyed by it.
// Errors: errs.ParamInvalid.
func ValidHost(s string) error {
	if s == "" {
		return errs.New(errs.ParamInvalid, "upstream host is empty")
	}
	if strings.Contains(s, "://") {
		return errs.New(errs.ParamInvalid, "upstream %q has a scheme: give the bare host (how it is reached belongs under upstreams)", s)
	}
	host := s
	if _, port, err := net.SplitHostPort(s); err == nil {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 || strconv.Itoa(n) != port {
			return errs.New(errs.ParamInvalid, "upstream %q has a bad port", s)
		}
		host = strings.TrimSuffix(s, ":"+port)
	}
	if in, ok := strings.CutPrefix(host, "["); ok {
		in, ok = strings.CutSuffix(in, "]")
		if a, err := netip.ParseAddr(in); ok && err == nil && a.Is6() && a.Zone() == "" && in == a.String() {
			return nil
		}
		return errs.New(errs.ParamInvalid, "upstream %q is not an IPv6 address in its shortest form, in brackets", s)
	}
	if len(host) > 253 {
		return errs.New(errs.ParamInvalid, "upstream host is longer than 253 bytes")
	}
	for label := range strings.SplitSeq(host, ".") {
		ok := label != "" && len(label) <= 63 && label[0] != '-' && label[len(label)-1] != '-'
		for i := 0; ok && i < len(label); i++ {
			c := label[i]
			ok = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_'
		}
		if !ok {
			return errs.New(errs.ParamInvalid, "upstream %q is not a lower-case host or host:port", s)
		}
	}
	return nil
}
