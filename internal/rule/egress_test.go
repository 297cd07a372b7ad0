package rule_test

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/rule"
)

// What follows from the host; the rest is compared with the table in docs/upstreams.md.
func TestKnownHosts(t *testing.T) {
	for _, test := range []struct {
		name, host string
		kind       rule.Kind
		realm      string
		blobs      []string
	}{
		{"Azure", "acme.azurecr.io", rule.Azure, "https://acme.azurecr.io/oauth2/token", []string{"*.blob.core.windows.net", "acme.*.data.azurecr.io"}},
		{"Azure by another name", "images.acme.example", rule.Azure, "https://images.acme.example/oauth2/token", []string{"*.blob.core.windows.net", "*.*.data.azurecr.io"}},
		{"ECR", "123456789012.dkr.ecr.eu-central-1.amazonaws.com", rule.ECR, "", []string{"prod-eu-central-1-starport-layer-bucket.s3.eu-central-1.amazonaws.com"}},
		{"ECR with FIPS", "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", rule.ECR, "", []string{"prod-us-gov-west-1-starport-layer-bucket.s3.us-gov-west-1.amazonaws.com"}},
		{"ECR in China", "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", rule.ECR, "", []string{"prod-cn-north-1-starport-layer-bucket.s3.cn-north-1.amazonaws.com.cn"}},
		{"ECR in the European cloud", "123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", rule.ECR, "", []string{"prod-eusc-de-east-1-starport-layer-bucket.s3.eusc-de-east-1.amazonaws.eu"}},
		{"ECR, dual stack", "123456789012.dkr-ecr.eu-west-1.on.aws", rule.ECR, "", []string{"prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com"}},
		{"ECR in China, dual stack", "123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", rule.ECR, "", []string{"prod-cn-north-1-starport-layer-bucket.s3.cn-north-1.amazonaws.com.cn"}},
		{"another weir", "weir.corp:5000", rule.ECR, "", nil},
		{"any other", "harbor.corp:8443", rule.Generic, "", nil},
		{"a name like a known one's", "evil-gcr.io", rule.Generic, "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.kind.Realm(test.host); got != test.realm {
				t.Errorf("realm %q, want %q", got, test.realm)
			}
			if diff := cmp.Diff(test.blobs, test.kind.BlobHosts(test.host)); diff != "" {
				t.Errorf("blobs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEgressTo(t *testing.T) {
	for _, test := range []struct {
		name, url, proxy string
		want             rule.Egress
	}{
		{"https", "https://quay.io/v2/auth", "", rule.Egress{Host: "quay.io:443"}},
		{"http", "http://mirror.corp", "", rule.Egress{Host: "mirror.corp:80"}},
		{"port", "http://mirror.corp:5000/path", "", rule.Egress{Host: "mirror.corp:5000"}},
		{"IPv6", "https://[fd00::1]", "", rule.Egress{Host: "[fd00::1]:443"}},
		{"pattern", "https://*.pkg.dev", "", rule.Egress{Host: "*.pkg.dev:443"}},
		{"proxy", "https://quay.io", "http://u:p@proxy.corp:3128", rule.Egress{Host: "quay.io:443", Proxy: "proxy.corp:3128"}},
		{"proxy without a port", "https://quay.io", "http://proxy.corp", rule.Egress{Host: "quay.io:443", Proxy: "proxy.corp:80"}},
		{"SOCKS", "https://quay.io", "socks5://proxy.corp", rule.Egress{Host: "quay.io:443", Proxy: "proxy.corp:1080"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			u, err := url.Parse(test.url)
			if err != nil {
				t.Fatal(err)
			}
			var proxy *url.URL
			if test.proxy != "" {
				if proxy, err = url.Parse(test.proxy); err != nil {
					t.Fatal(err)
				}
			}
			test.want.Why = rule.ForSeen
			if diff := cmp.Diff(test.want, rule.EgressTo(u, rule.ForSeen, proxy)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
