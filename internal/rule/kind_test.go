package rule_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
)

func TestKindOf(t *testing.T) {
	for _, test := range []struct {
		host string
		want rule.Kind
	}{
		{"public.ecr.aws", rule.ECRPublic},
		{"quay.io", rule.Quay},
		{"registry.k8s.io", rule.K8s},
		{"registry-1.docker.io", rule.DockerHub},
		{"docker.io", rule.DockerHub},
		{"index.docker.io", rule.DockerHub},
		{"ghcr.io", rule.GitHub},
		{"registry.gitlab.com", rule.GitLab},
		{"cgr.dev", rule.Chainguard},
		{"myregistry.azurecr.io", rule.Azure},
		{"123456789012.dkr.ecr.eu-central-1.amazonaws.com", rule.ECR},
		{"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", rule.ECR},
		{"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", rule.ECR},
		{"123456789012.dkr-ecr.eu-west-1.on.aws", rule.ECR},
		{"x.dkr.ecr.eu-west-1.amazonaws.com", rule.Generic},
		{"123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example", rule.Generic},
		{"123456789012.dkr.ecr.a.evil.example/.amazonaws.com", rule.Generic},
		{"evilazurecr.io", rule.Generic},
		{"quay.io.evil.example", rule.Generic},
		{"mcr.microsoft.com", rule.Generic},
		{"quay.io:8443", rule.Generic},
		{"127.0.0.1:5001", rule.Generic},
		{"", rule.Generic},
	} {
		t.Run(test.host, func(t *testing.T) {
			if got := rule.KindOf(test.host); got != test.want {
				t.Errorf("KindOf(%q) = %s, want %s", test.host, got, test.want)
			}
		})
	}
}

// The names are ECR's values of upstreamRegistry; each kind with one host is found
// by that host.
func TestKinds(t *testing.T) {
	want := []rule.Kind{
		"ecr", "ecr-public", "quay", "k8s", "docker-hub", "github-container-registry", "azure-container-registry",
		"gitlab-container-registry", "chainguard", "generic",
	}
	if diff := cmp.Diff(want, rule.Kinds()); diff != "" {
		t.Errorf("Kinds (-want +got):\n%s", diff)
	}
	for _, k := range rule.Kinds() {
		host := k.FixedHost()
		if (host == "") != (k == rule.ECR || k == rule.Azure || k == rule.Generic) {
			t.Errorf("%s has the fixed host %q", k, host)
		}
		if host == "" {
			continue
		}
		if err := rule.ValidHost(host); err != nil || rule.KindOf(host) != k {
			t.Errorf("host %s of %s: kind %s, %v", host, k, rule.KindOf(host), err)
		}
	}
}

func TestValidHost(t *testing.T) {
	for _, test := range []struct {
		name, in string
		ok       bool
	}{
		{"name", "quay.io", true},
		{"one label", "localhost", true},
		{"port", "registry.corp:8443", true},
		{"underscore", "my_registry.corp", true},
		{"IPv4", "10.0.0.1", true},
		{"IPv4 with port", "127.0.0.1:5001", true},
		{"IPv6", "[::1]", true},
		{"IPv6 with port", "[fd00::1]:5000", true},
		{"longest label", strings.Repeat("a", 63) + ".example", true},
		{"empty", "", false},
		{"scheme", "https://quay.io", false},
		{"path", "quay.io/org", false},
		{"user", "user@quay.io", false},
		{"user and password", "u:p@quay.io:443", false},
		{"query", "quay.io?x", false},
		{"upper case", "Quay.io", false},
		{"dot at the end", "quay.io.", false},
		{"empty label", "quay..io", false},
		{"dash first", "-quay.io", false},
		{"dash last", "quay-.io", false},
		{"label too long", strings.Repeat("a", 64) + ".example", false},
		{"name too long", strings.Repeat("a.", 127) + "example", false},
		{"no port", "quay.io:", false},
		{"port 0", "quay.io:0", false},
		{"port too high", "quay.io:65536", false},
		{"port with sign", "quay.io:+443", false},
		{"port with zero", "quay.io:0443", false},
		{"port by name", "quay.io:https", false},
		{"only a port", ":443", false},
		{"IPv6 without brackets", "::1", false},
		{"IPv6 in long form", "[0:0:0:0:0:0:0:1]:5000", false},
		{"IPv6 in upper case", "[FD00::1]", false},
		{"IPv6 with zone", "[fe80::1%eth0]:5000", false},
		{"IPv4 in brackets", "[127.0.0.1]:5000", false},
		{"name in brackets", "[quay.io]:443", false},
		{"open bracket", "[::1", false},
		{"space", "quay.io ", false},
		{"newline", "quay.io\n", false},
		{"not ASCII", "qüay.io", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := rule.ValidHost(test.in)
			if (err == nil) != test.ok {
				t.Fatalf("ValidHost(%q) = %v", test.in, err)
			}
			if err != nil && errs.CodeOf(err) != errs.ParamInvalid {
				t.Errorf("code %v", errs.CodeOf(err))
			}
		})
	}
}

// ecrPrefix is ECR's pattern of ecrRepositoryPrefix. It allows 2 to 30 characters;
// weir 1 to 256.
var ecrPrefix = regexp.MustCompile(`^([a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*\/?|ROOT)$`)

func TestPrefixGrammar(t *testing.T) {
	for _, test := range []struct {
		in   string
		want string // prefix of the rule; "": refused
	}{
		{"ecr-public", "ecr-public"},
		{"team/app", "team/app"},
		{"team/", "team"},
		{"ROOT", "ROOT"},
		{"a", "a"},
		{strings.Repeat("p", 31), strings.Repeat("p", 31)},
		{"a__b---c.d", "a__b---c.d"},
		{"", ""},
		{"/", ""},
		{"team//", ""},
		{"/team", ""},
		{"ROOT/", ""},
		{"root-", ""},
		{"Root", ""},
		{"team/ROOT", ""},
		{"a..b", ""},
		{"a___b", ""},
		{"*", ""},
		{"team/*", ""},
		{"..", ""},
		{"team\n", ""},
	} {
		t.Run(test.in, func(t *testing.T) {
			if ecr := ecrPrefix.MatchString(test.in); ecr != (test.want != "") {
				t.Fatalf("ECR's pattern says %v", ecr)
			}
			s, problems := rule.NewSet([]rule.Rule{{Prefix: test.in, Kind: rule.Quay, Upstream: "quay.io"}})
			if test.want == "" {
				if len(problems) != 1 || errs.CodeOf(problems[0]) != errs.ParamInvalid || len(s.Rules()) != 0 {
					t.Fatalf("taken: %v, problems %v", s.Rules(), problems)
				}
				return
			}
			if len(problems) != 0 || s.Rules()[0].Prefix != test.want {
				t.Fatalf("rules %v, problems %v", s.Rules(), problems)
			}
		})
	}
}
