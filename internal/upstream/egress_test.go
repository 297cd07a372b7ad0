package upstream_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/upstream"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

func TestEgress(t *testing.T) {
	const ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	for _, test := range []struct {
		name, upstream string
		kind           rule.Kind
		host           upstream.Host
		want           []rule.Egress
	}{
		{"known kind", "ghcr.io", rule.GitHub, upstream.Host{}, []rule.Egress{
			{Host: "ghcr.io:443", Why: "upstream"}, {Host: "ghcr.io:443", Why: "realm"}, {Host: "pkg-containers.githubusercontent.com:443", Why: "blobs"},
		}},
		{"realm elsewhere", "registry.gitlab.com", rule.GitLab, upstream.Host{}, []rule.Egress{
			{Host: "registry.gitlab.com:443", Why: "upstream"}, {Host: "gitlab.com:443", Why: "realm"},
			{Host: "cdn.registry.gitlab-static.net:443", Why: "blobs"}, {Host: "storage.googleapis.com:443", Why: "blobs"},
		}},
		{"any other", "harbor.corp:8443", rule.Generic, upstream.Host{
			Realms: []string{"https://sso.corp/token", "http://10.0.0.7:8080"}, AllowHosts: []string{"cdn.corp", "10.0.0.5:9000", "[fd00::1]"},
		}, []rule.Egress{
			{Host: "harbor.corp:8443", Why: "upstream"}, {Host: "sso.corp:443", Why: "realm"}, {Host: "10.0.0.7:8080", Why: "realm"},
			{Host: "cdn.corp:443", Why: "allowed"}, {Host: "10.0.0.5:9000", Why: "allowed"}, {Host: "[fd00::1]:443", Why: "allowed"},
		}},
		// A mirror is asked instead, and redirects where it will.
		{"mirrors", "registry.k8s.io", rule.K8s, upstream.Host{Endpoints: []string{"https://mirror.corp/k8s", "http://10.0.0.5"}}, []rule.Egress{
			{Host: "mirror.corp:443", Why: "upstream"}, {Host: "10.0.0.5:80", Why: "upstream"},
		}},
		{"mirror, and then the upstream", "cgr.dev", rule.Chainguard, upstream.Host{Endpoints: []string{"https://mirror.corp", "https://cgr.dev:443"}}, []rule.Egress{
			{Host: "mirror.corp:443", Why: "upstream"}, {Host: "cgr.dev:443", Why: "upstream"}, {Host: "cgr.dev:443", Why: "realm"},
			{Host: "9236a389bd48b984df91adc1bc924620.r2.cloudflarestorage.com:443", Why: "blobs"},
		}},
		{"proxy, without its password", ecr, rule.ECR, upstream.Host{Proxy: "http://user:hidden@proxy.corp:3128"}, []rule.Egress{
			{Host: ecr + ":443", Why: "upstream", Proxy: "proxy.corp:3128"},
			{Host: "prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com:443", Why: "blobs", Proxy: "proxy.corp:3128"},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.host.Proxy == "" {
				test.host.Proxy = "direct"
			}
			c, err := upstream.New(upstream.Options{Hosts: map[string]upstream.Host{test.upstream: test.host}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			got, err := c.Egress(test.upstream, test.kind)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEgressOfMalformedHost(t *testing.T) {
	c, err := upstream.New(upstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if all, err := c.Egress("https://quay.io", rule.Quay); errs.CodeOf(err) != errs.ParamInvalid || all != nil {
		t.Errorf("%v, %v", all, err)
	}
}

// What redirects and realms led to is told with the rest, whoever was asked.
func TestEgressSeen(t *testing.T) {
	in(t, upstreamtest.Options{Auth: upstreamtest.Token, Redirect: true}, func(t *testing.T, w *world) {
		up := w.connect(t, upstream.Host{}, nil)
		before, err := w.client.Egress("registry.test", rule.Generic)
		if err != nil {
			t.Fatal(err)
		}
		want := []rule.Egress{{Host: "registry.test:443", Why: "upstream"}}
		if diff := cmp.Diff(want, before); diff != "" {
			t.Errorf("before the first request (-want +got):\n%s", diff)
		}
		w.pull(t)
		for _, s := range up.Hosts() {
			want = append(want, rule.Egress{Host: s, Why: "seen"})
		}
		if len(want) < 3 {
			t.Fatalf("only %v were seen", up.Hosts())
		}
		after, err := w.client.Egress("registry.test", rule.Generic)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, after); diff != "" {
			t.Errorf("after a pull (-want +got):\n%s", diff)
		}
	})
}
