package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The resources that there are, and data of all that can be read. A provider that
// does not get back what it sent shows it as drift in the next plan.
const terraformMain = `
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  region = %[1]q
  endpoints {
    ecr            = %[2]q
    sts            = %[2]q
    secretsmanager = %[2]q
  }
}

resource "aws_secretsmanager_secret" "corp" {
  name                    = "ecr-pullthroughcache/corp"
  description             = "the upstream's credential"
  recovery_window_in_days = 0
  tags                    = { team = "platform" }
}

resource "aws_secretsmanager_secret_version" "corp" {
  secret_id     = aws_secretsmanager_secret.corp.id
  secret_string = jsonencode({ username = "upstream-user", accessToken = %[3]q })
}

resource "aws_ecr_pull_through_cache_rule" "corp" {
  ecr_repository_prefix = "corp"
  upstream_registry_url = "registry.example.com"
  credential_arn        = aws_secretsmanager_secret.corp.arn
  depends_on            = [aws_secretsmanager_secret_version.corp]
}

resource "aws_ecr_pull_through_cache_rule" "team" {
  ecr_repository_prefix      = "team"
  upstream_registry_url      = "public.ecr.aws"
  upstream_repository_prefix = "acme"
}

resource "aws_ecr_repository" "app" {
  name = "own/app"
}

data "aws_iam_policy_document" "read" {
  statement {
    sid     = "new policy"
    effect  = "Allow"
    actions = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    principals {
      type        = "AWS"
      identifiers = ["*", data.aws_caller_identity.me.account_id]
    }
  }
}

resource "aws_ecr_repository_policy" "app" {
  repository = aws_ecr_repository.app.name
  policy     = data.aws_iam_policy_document.read.json
}

resource "aws_ecr_registry_policy" "all" {
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "PullThroughCache"
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::${data.aws_caller_identity.me.account_id}:user/ci" }
      Action    = ["ecr:CreateRepository", "ecr:BatchImportUpstreamImage"]
      Resource  = "arn:aws:ecr:*:*:repository/corp/*"
    }]
  })
}

resource "aws_ecr_repository_creation_template" "team" {
  prefix            = "team"
  applied_for       = ["PULL_THROUGH_CACHE"]
  repository_policy = data.aws_iam_policy_document.read.json
}

data "aws_caller_identity" "me" {}

data "aws_ecr_authorization_token" "token" {}

data "aws_ecr_pull_through_cache_rule" "corp" {
  ecr_repository_prefix = aws_ecr_pull_through_cache_rule.corp.ecr_repository_prefix
}

data "aws_secretsmanager_secret_version" "corp" {
  secret_id  = aws_secretsmanager_secret.corp.id
  depends_on = [aws_secretsmanager_secret_version.corp]
}

output "read" {
  value = join(" ", [
    data.aws_caller_identity.me.account_id,
    data.aws_ecr_authorization_token.token.user_name,
    data.aws_ecr_pull_through_cache_rule.corp.upstream_registry_url,
    nonsensitive(jsondecode(data.aws_secretsmanager_secret_version.corp.secret_string).accessToken),
  ])
}
`

// newTerraform is Terraform in a folder of its own with a server's root key, which
// installs its provider from the mirror.
func newTerraform(t *testing.T, s *server, mirror string) command {
	t.Helper()
	path, err := exec.LookPath("terraform")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	rc := fmt.Sprintf("disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror)
	wrapper := fmt.Sprintf("#!/bin/sh\nexec %q -chdir=%q \"$@\"\n", path, dir)
	for name, text := range map[string]string{"main.tf": fmt.Sprintf(terraformMain, awsRegion, "http://"+s.addr, upstreamPassword), "terraform.rc": rc, "terraform": wrapper} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	env := awsEnv(filepath.Join(s.dir, "data", "credentials"), awsRegion)
	return command{filepath.Join(dir, "terraform"), append(env, "TF_CLI_CONFIG_FILE="+filepath.Join(dir, "terraform.rc"), "TF_IN_AUTOMATION=1", "TF_INPUT=0")}
}

// Terraform makes rules and a secret, finds nothing to change after that, and takes
// all away again.
func TestTerraform(t *testing.T) {
	mirror, err := exec.Command("../scripts/terraform-mirror").Output()
	if err != nil {
		fmt.Fprintln(os.Stderr, "TestTerraform DID NOT RUN: scripts/terraform-mirror says what is missing")
		return
	}
	t.Parallel()
	s := newEmptyServer(t, newUpstream(t))
	aws, tf := newAWS(t, s), newTerraform(t, s, strings.TrimSpace(string(mirror)))
	tf.ok(t, "init", "-no-color")
	out := tf.ok(t, "apply", "-no-color", "-auto-approve")
	if want := `read = "` + strings.Join([]string{awsID, "AWS", "registry.example.com", upstreamPassword}, " ") + `"`; !strings.Contains(out, want) {
		t.Errorf("apply printed no %s:\n%s", want, out)
	}
	if out, err := tf.run(t, "", "plan", "-no-color", "-detailed-exitcode"); err != nil {
		t.Errorf("a plan after apply is not empty: %v\n%s", err, out)
	}
	if v := aws.validate(t, "corp"); !v.Valid {
		t.Errorf("the rule that Terraform made: %+v", v)
	}
	var policy struct{ PolicyText string }
	aws.ask(t, &policy, "ecr", "get-repository-policy", "--repository-name", "own/app")
	if !strings.Contains(policy.PolicyText, `"Sid":"new policy"`) {
		t.Errorf("the policy that Terraform set: %s", policy.PolicyText)
	}
	tf.ok(t, "destroy", "-no-color", "-auto-approve")
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
}
