package config_test

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/config"
	"github.com/weir-registry/weir/internal/rule"
)

var update = flag.Bool("update", false, "write golden files")

// TestBad loads broken files and compares every problem that is reported.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d broken files, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			_, err := config.Load(name, nil)
			if err == nil {
				t.Fatal("no problem was found")
			}
			got := err.Error() + "\n"
			if strings.Contains(got, "hunter2") || strings.Contains(got, "secret@") {
				t.Errorf("a secret is in the message:\n%s", got)
			}
			golden(t, strings.TrimSuffix(name, ".yaml")+".golden", got)
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; go test -update writes it):\n%s", name, diff)
	}
}

func TestFull(t *testing.T) {
	c, err := config.Load("testdata/good/full.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	got := []any{c.Data, c.Registry, c.TrustedProxies, c.Storage.KeepFree.Of(1), time.Duration(c.Timeouts.Shutdown), c.Credentials, c.Events}
	want := []any{
		"testdata/good/data",
		config.Registry{ID: "012345678901", Region: "here", Host: "weir.example:5000"},
		[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")},
		int64(5 << 30),
		90 * time.Minute,
		map[string]config.Credential{
			"hub": {Username: "u", PasswordFile: "testdata/files/password"},
			"q":   {File: "testdata/files/secret.json"},
		},
		config.Events{Log: "testdata/good/events.json", Webhooks: []config.Webhook{
			{URL: "https://hooks.example/x?y=z", SecretFile: "testdata/files/hook-secret", Types: []string{"ECR Image Action"}},
			{URL: "http://127.0.0.1:8080", SecretFile: "testdata/files/hook-secret"},
		}},
	}
	if secret, err := c.Events.Webhooks[0].Secret(); err != nil || string(secret) != "0123456789abcdef" {
		t.Errorf("secret of a webhook: %q, %v", secret, err)
	}
	prefixes := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(want, got, prefixes); diff != "" {
		t.Error(diff)
	}
	rules := []*rule.Rule{
		{Prefix: "hub", Kind: rule.DockerHub, Upstream: "registry-1.docker.io", Credential: "hub", Window: 7 * 24 * time.Hour, Fixed: []string{"v*"}, Prefetch: rule.PrefetchLayer, VerifyRanges: true, Push: true},
		{Prefix: "local", Kind: rule.Generic, Upstream: "127.0.0.1:5001", UpstreamPrefix: "team/images", Off: true, Prefetch: rule.PrefetchLayer},
		{Prefix: "q", Kind: rule.Quay, Upstream: "quay.io", Credential: "q", Window: rule.Never, Prefetch: rule.PrefetchLayer},
	}
	if diff := cmp.Diff(rules, c.RuleSet().Rules()); diff != "" {
		t.Error(diff)
	}
	templates := []rule.Template{
		{Prefix: rule.Root, AppliedFor: []string{rule.ForPullThrough}, Mutability: rule.Mutable},
		{
			Prefix: "team", AppliedFor: []string{rule.ForCreateOnPush, rule.ForPullThrough}, Description: "the team's own",
			Mutability: rule.ImmutableWithExclusion, Exclusions: []string{"dev-*", "latest"},
			Tags: []rule.ResourceTag{{Key: "cost"}, {Key: "team", Value: "a"}},

			RepositoryPolicy: `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}}` + "\n",
		},
	}
	if diff := cmp.Diff(templates, c.RepositoryTemplates()); diff != "" {
		t.Error(diff)
	}
	replication := config.Replication{
		Destinations: []config.Destination{
			{Region: "site-b", RegistryID: "222222222222", URL: "https://Weir.site-b.example:5000", Kind: config.DestinationWeir, Credential: "q"},
			{Region: "backup", RegistryID: "333333333333", URL: "http://127.0.0.1:5003/base", Kind: config.DestinationOCI, Prefix: "site-a", Credential: "hub"},
			{Region: "backup2", RegistryID: "333333333333", URL: "http://127.0.0.1:5003/base", Kind: config.DestinationOCI},
		},
		GiveUpAfter: config.Duration(48 * time.Hour),
	}
	if diff := cmp.Diff(replication, c.Replication); diff != "" {
		t.Error(diff)
	}
	if d := c.Replication.Destinations[0]; d.Host() != "weir.site-b.example:5000" || d.Named() != (rule.Destination{Region: "site-b", RegistryID: "222222222222"}) {
		t.Errorf("%s, %v", d.Host(), d.Named())
	}
	if _, ok := c.Upstreams["registry-1.docker.io"]; !ok {
		t.Errorf("upstreams has %v: docker.io means registry-1.docker.io", c.Upstreams)
	}
	for name, want := range map[string]string{"hub": "u hunter2", "q": "u t0ken"} {
		user, secret, err := c.Credentials[name].Read()
		if got := user + " " + secret; err != nil || got != want {
			t.Errorf("credential %s: %q, %v", name, got, err)
		}
	}
}

func TestDefault(t *testing.T) {
	c, err := config.Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range c.RuleSet().Rules() {
		got = append(got, r.String()+" "+r.Window.String())
	}
	want := []string{
		"docker-hub -> registry-1.docker.io 24h0m0s",
		"ecr-public -> public.ecr.aws 24h0m0s",
		"kubernetes -> registry.k8s.io 24h0m0s",
		"quay -> quay.io 24h0m0s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for total, want := range map[int64]int64{10 << 30: 2 << 30, 100 << 30: 10 << 30} {
		if got := c.Storage.KeepFree.Of(total); got != want {
			t.Errorf("of %d bytes %d stay free, want %d", total, got, want)
		}
	}
}

func TestOverride(t *testing.T) {
	listen := func(s string) func(*config.Config) { return func(c *config.Config) { c.Listen = s } }
	if c, err := config.Load("testdata/good/full.yaml", listen("localhost:1")); err != nil || c.Listen != "localhost:1" {
		t.Errorf("%v, %v", c, err)
	}
	_, err := config.Load("testdata/good/full.yaml", listen("0.0.0.0:1"))
	if ps, ok := errors.AsType[config.Problems](err); !ok || len(ps) != 1 || ps[0].File != "" || ps[0].Key != "listen" {
		t.Errorf("a bad flag gives %v", err)
	}
}

func TestUnreadable(t *testing.T) {
	for name, want := range map[string]string{
		"testdata/nowhere.yaml": "testdata/nowhere.yaml: no such file or directory",
		"testdata":              "testdata: is a folder, not a file",
	} {
		if _, err := config.Load(name, nil); err == nil || err.Error() != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		name := filepath.Join(t.TempDir(), "weir.yaml")
		if err := os.WriteFile(name, src, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(name, nil)
		if err == nil && c.RuleSet() == nil {
			t.Fatal("no problem and no rules")
		}
	})
}

// TestUntagged: days are whole, or there are none.
func TestUntagged(t *testing.T) {
	for text, want := range map[string]config.Days{"never": 0, "1d": 1, "45d": 45} {
		var d config.Days
		if err := d.UnmarshalText([]byte(text)); err != nil || d != want || d.String() != text {
			t.Errorf("%s is %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "0d", "d", "30", "-1d", "1.5d", "36h", "Never", "99999d"} {
		var d config.Days
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %v", text, d)
		}
	}
}
