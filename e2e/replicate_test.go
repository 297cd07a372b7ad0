package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// replicateConfig copies to the distribution, with tokens, and to another weir.
const replicateConfig = `listen: %[1]s
data: %[2]s/data
registry: {id: "111111111111", region: here}
rules: []
templates: [{prefix: prod, applied_for: [CREATE_ON_PUSH]}]
replication:
  destinations:
    - {region: distribution, registry_id: "222222222222", url: "http://%[3]s", kind: oci, prefix: site-a, credential: there}
    - {region: weir, registry_id: "333333333333", url: "http://%[4]s", credential: weir}
credentials:
  there: {username: %[5]s, password_file: %[2]s/there}
  weir: {username: %[6]s, password_file: %[2]s/weir}
upstreams:
  "%[3]s": {realms: ["http://%[7]s/token"]}
`

const replicateRules = `{"rules":[{"destinations":[{"region":"distribution","registryId":"222222222222"},{"region":"weir","registryId":"333333333333"}],` +
	`"repositoryFilters":[{"filter":"prod/","filterType":"PREFIX_MATCH"}]}]}`

// TestReplicate copies images to the distribution behind a token service and to a
// second weir. In each round the source is killed in the middle of it, or the line to the
// destinations is cut; in the end both have every image, whole.
func TestReplicate(t *testing.T) {
	u := newUpstream(t)
	b := newWeir(t, map[string]string{}, func(s *server) string {
		return fmt.Sprintf("listen: %s\ndata: %s/data\nregistry: {id: \"333333333333\", region: weir}\nrules: []\n", s.addr, s.dir)
	})
	a := newWeir(t, map[string]string{"there": upstreamPassword, "weir": b.secret}, func(s *server) string {
		return fmt.Sprintf(replicateConfig, s.addr, s.dir, u.front.addr, b.addr, upstreamUser, b.id, u.realmHost())
	})
	aws := newAWS(t, a)
	aws.text(t, "ecr", "put-replication-configuration", "--replication-configuration", replicateRules)

	there := func(host string, img v1.Image, repo string, auth authn.Basic) error {
		ref, err := name.ParseReference(host+"/"+repo, name.Insecure)
		if err != nil {
			return err
		}
		got, err := remote.Image(ref, remote.WithAuth(&auth))
		if err != nil {
			return err
		}
		want, err := img.Digest()
		if have, err2 := got.Digest(); err != nil || err2 != nil || have != want {
			return fmt.Errorf("it is %s, want %s", have, want)
		}
		return validate.Image(got)
	}
	for round, disturb := range []func(){
		func() {},
		func() { a.kill(t) },
		func() {
			u.kill()
			b.p.end(syscall.SIGKILL)
			<-time.After(3 * time.Second)
			b.start(t)
			u.revive(t)
		},
	} {
		img, err := random.Image(24<<20, 3)
		if err != nil {
			t.Fatal(err)
		}
		tag := fmt.Sprintf("v%d", round)
		ref, err := name.ParseReference(a.addr+"/prod/app:"+tag, name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, img, remote.WithAuth(&authn.Basic{Username: a.id, Password: a.secret})); err != nil {
			t.Fatal(err)
		}
		<-time.After(200 * time.Millisecond) // in the middle of the first layer
		begin := time.Now()
		disturb()
		statuses := func() string {
			return aws.text(t, "ecr", "describe-image-replication-status", "--repository-name", "prod/app", "--image-id", "imageTag="+tag,
				"--query", "replicationStatuses[].[region,registryId,status]", "--output", "text")
		}
		const want = "distribution\t222222222222\tCOMPLETE\nweir\t333333333333\tCOMPLETE"
		for deadline := time.Now().Add(3 * time.Minute); statuses() != want; <-time.After(500 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("round %d: after 3 minutes: %s\n%s", round, statuses(), a.p.output())
			}
		}
		t.Logf("round %d: %s", round, time.Since(begin).Round(time.Millisecond))
		if err := there(u.back, img, "site-a/prod/app:"+tag, authn.Basic{Username: upstreamUser, Password: upstreamPassword}); err != nil {
			t.Errorf("round %d: distribution: %v", round, err)
		}
		if err := there(b.addr, img, "prod/app:"+tag, authn.Basic{Username: b.id, Password: b.secret}); err != nil {
			t.Errorf("round %d: weir: %v", round, err)
		}
	}
	if resp, err := http.Get("http://" + a.addr + "/healthz"); err != nil || resp.StatusCode != http.StatusOK {
		t.Error(err)
	}
	for _, secret := range []string{upstreamPassword, a.secret, b.secret} {
		if strings.Contains(a.p.output()+b.p.output(), secret) {
			t.Error("a secret is in a log")
		}
	}
}
