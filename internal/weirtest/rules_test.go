package weirtest_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/smithy-go"

	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

// refused checks that an operation was refused with a code and in words.
func refused(t *testing.T, err error, code, words string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), words) {
		t.Errorf("%v, want %s with %q", err, code, words)
	}
}

// prefixes returns those of all rules, as ECR's API describes them.
func (c clients) prefixes(t *testing.T) (all []string) {
	t.Helper()
	out, err := c.ecr.DescribePullThroughCacheRules(t.Context(), &ecr.DescribePullThroughCacheRulesInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range out.PullThroughCacheRules {
		all = append(all, *r.EcrRepositoryPrefix)
	}
	slices.Sort(all)
	return all
}

func (c clients) create(t *testing.T, prefix, host string) error {
	_, err := c.ecr.CreatePullThroughCacheRule(t.Context(), &ecr.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: &prefix, UpstreamRegistryUrl: &host})
	return err
}

func (c clients) delete(t *testing.T, prefix string) error {
	_, err := c.ecr.DeletePullThroughCacheRule(t.Context(), &ecr.DeletePullThroughCacheRuleInput{EcrRepositoryPrefix: &prefix})
	return err
}

func status(s *weirtest.Server, path string) int {
	resp := s.Do(http.MethodGet, path, nil)
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// A rule of the file is the file's; what it brought outlives it.
func TestRuleOfTheFile(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	img := upstreamtest.NewImage(1, 3000)
	up.Push("app", "1", img)
	up.Push("app", "2", upstreamtest.NewImage(2, 3000))
	site := up.Listen(t)
	settings := weirtest.Settings(site, "", "")
	s := weirtest.Start(t, settings)
	c := clientsOf(s)
	pull := func(what string) {
		t.Helper()
		if got := status(s, "/v2/up/app/manifests/1"); got != 200 {
			t.Errorf("%s: manifest %d", what, got)
		}
		for d := range img.Blobs() {
			if got := status(s, "/v2/up/app/blobs/"+d.String()); got != 200 {
				t.Errorf("%s: blob %d", what, got)
			}
		}
	}
	pull("with the rule")
	refused(t, c.create(t, "up", "quay.io"), "PullThroughCacheRuleAlreadyExistsException", "managed by configuration")
	refused(t, c.delete(t, "up"), "ValidationException", "managed by configuration")
	_, err := c.ecr.UpdatePullThroughCacheRule(t.Context(), &ecr.UpdatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("up")})
	refused(t, err, "ValidationException", "managed by configuration")

	s.Restart(strings.Replace(settings, "rules: [", "rules: []\n#", 1))
	c = clientsOf(s)
	if got := c.prefixes(t); len(got) != 0 {
		t.Errorf("rules %v", got)
	}
	pull("without the rule")
	if got := status(s, "/v2/up/app/manifests/2"); got != 404 {
		t.Errorf("what is not held: %d", got)
	}
	if err := c.create(t, "up", site.Host); err != nil {
		t.Fatal(err)
	}
	if got := status(s, "/v2/up/app/manifests/2"); got != 200 {
		t.Errorf("with a rule of the API: %d", got)
	}
	s.Restart(strings.Replace(settings, "rules: [", "rules: []\n#", 1))
	c = clientsOf(s)
	if got := c.prefixes(t); !slices.Equal(got, []string{"up"}) {
		t.Errorf("rules after a restart: %v", got)
	}
	if err := c.delete(t, "up"); err != nil {
		t.Fatal(err)
	}
	if got := status(s, "/v2/up/app/manifests/2"); got != 200 {
		t.Errorf("what the API's rule brought: %d", got)
	}
}

// Without a list of rules there are some, which are in nobody's way.
func TestBuiltinRules(t *testing.T) {
	s := weirtest.Start(t, "")
	c := clientsOf(s)
	want := []string{"docker-hub", "ecr-public", "kubernetes", "quay"}
	if got := c.prefixes(t); !slices.Equal(got, want) {
		t.Errorf("rules %v", got)
	}
	if err := c.create(t, "ecr-public", "public.ecr.aws"); err != nil {
		t.Fatal(err)
	}
	refused(t, c.create(t, "ecr-public", "public.ecr.aws"), "PullThroughCacheRuleAlreadyExistsException", "ecr-public")
	if got := c.prefixes(t); !slices.Equal(got, want) {
		t.Errorf("rules with one created: %v", got)
	}
	if err := c.delete(t, "ecr-public"); err != nil {
		t.Fatal(err)
	}
	refused(t, c.delete(t, "quay"), "ValidationException", "configuration")
}
