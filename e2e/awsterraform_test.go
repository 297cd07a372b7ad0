package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// newTerraform is Terraform in a folder of its own with a server's root key, which
// installs its provider from the mirror.
func newTerraform(t *testing.T, s *server, mirror, image string) command {
	t.Helper()
	path, err := exec.LookPath("terraform")
	if err != nil {
		t.Fatal(err)
	}
	resources, err := os.ReadFile("testdata/terraform/main.tf")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	rc := fmt.Sprintf("disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror)
	wrapper := fmt.Sprintf("#!/bin/sh\nexec %q -chdir=%q \"$@\"\n", path, dir)
	for name, text := range map[string]string{"main.tf": string(resources), "terraform.rc": rc, "terraform": wrapper} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	env := awsEnv(filepath.Join(s.dir, "data", "credentials"), awsRegion)
	return command{filepath.Join(dir, "terraform"), append(env, "TF_CLI_CONFIG_FILE="+filepath.Join(dir, "terraform.rc"), "TF_IN_AUTOMATION=1", "TF_INPUT=0",
		"TF_VAR_endpoint=http://"+s.addr, "TF_VAR_password="+upstreamPassword, "TF_VAR_image="+image)}
}

// pushOwn pushes an image to a repository that is there, and returns its digest.
func (s *server) pushOwn(t *testing.T, repo, tag string) string {
	t.Helper()
	img, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(s.addr + "/" + repo + ":" + tag)
	if err == nil {
		err = remote.Write(ref, img, remote.WithAuth(&authn.Basic{Username: s.id, Password: s.secret}), remote.WithContext(t.Context()))
	}
	if err != nil {
		t.Fatal(err)
	}
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

// Terraform makes all that its provider knows of ECR, and finds nothing to change after
// that; it changes what can be changed, finds nothing again, and takes all away.
func TestTerraform(t *testing.T) {
	mirror, err := exec.Command("../scripts/terraform-mirror").Output()
	if err != nil {
		fmt.Fprintln(os.Stderr, "TestTerraform DID NOT RUN: scripts/terraform-mirror says what is missing")
		return
	}
	t.Parallel()
	s := newEmptyServer(t, newUpstream(t))
	aws, tf := newAWS(t, s), newTerraform(t, s, strings.TrimSpace(string(mirror)), "there/app")
	aws.text(t, "ecr", "create-repository", "--repository-name", "there/app")
	digest := s.pushOwn(t, "there/app", "v1")

	tf.ok(t, "init", "-no-color")
	for _, round := range []struct{ second, mutability, sid string }{{"false", "IMMUTABLE", "new policy"}, {"true", "MUTABLE", "pullers"}} {
		out := tf.ok(t, "apply", "-no-color", "-auto-approve", "-var=second="+round.second)
		want := strings.Join([]string{awsID, "AWS", "registry.example.com", upstreamPassword, "v1", digest, "own/app,there/app", round.mutability}, " ")
		if !strings.Contains(out, `read = "`+want+`"`) {
			t.Errorf("apply printed no %s:\n%s", want, out)
		}
		if out, err := tf.run(t, "", "plan", "-no-color", "-detailed-exitcode", "-var=second="+round.second); err != nil {
			t.Errorf("a plan after apply is not empty: %v\n%s", err, out)
		}
		if v := aws.validate(t, "corp"); !v.Valid {
			t.Errorf("the rule that Terraform made: %+v", v)
		}
		var policy struct{ PolicyText string }
		aws.ask(t, &policy, "ecr", "get-repository-policy", "--repository-name", "own/app")
		if !strings.Contains(policy.PolicyText, `"Sid":"`+round.sid+`"`) {
			t.Errorf("the policy that Terraform set: %s", policy.PolicyText)
		}
	}
	tf.ok(t, "destroy", "-no-color", "-auto-approve", "-var=second=true")
	destroyed(t, aws)
}

// destroyed looks whether Terraform left anything behind.
func destroyed(t *testing.T, aws awsCLI) {
	t.Helper()
	var rules cacheRules
	aws.ask(t, &rules, "ecr", "describe-pull-through-cache-rules")
	if left := slices.DeleteFunc(rules.Rules, func(r cacheRule) bool { return r.Prefix == "declared" }); len(left) > 0 {
		t.Errorf("rules after destroy: %+v", left)
	}
	var secrets struct{ SecretList []any }
	aws.ask(t, &secrets, "secretsmanager", "list-secrets")
	if len(secrets.SecretList) > 0 {
		t.Errorf("secrets after destroy: %+v", secrets.SecretList)
	}
	var repos repositories
	aws.ask(t, &repos, "ecr", "describe-repositories")
	if len(repos.Repositories) != 1 || repos.Repositories[0].Name != "there/app" {
		t.Errorf("repositories after destroy: %+v", repos.Repositories)
	}
	aws.refused(t, "RegistryPolicyNotFoundException", "Registry policy does not exist in the registry with id '"+awsID+"'", "ecr", "get-registry-policy")
	var registry struct {
		ReplicationConfiguration struct{ Rules []any }
	}
	aws.ask(t, &registry, "ecr", "describe-registry")
	if len(registry.ReplicationConfiguration.Rules) > 0 {
		t.Errorf("replication after destroy: %+v", registry)
	}
	var scanning struct {
		ScanningConfiguration struct {
			ScanType string
			Rules    []any
		}
	}
	aws.ask(t, &scanning, "ecr", "get-registry-scanning-configuration")
	if scanning.ScanningConfiguration.ScanType != "BASIC" || len(scanning.ScanningConfiguration.Rules) > 0 {
		t.Errorf("scanning after destroy: %+v", scanning)
	}
}
