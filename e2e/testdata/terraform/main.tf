# Every resource of ECR's that there is, and data of all that can be read. A provider
# that does not get back what it sent shows it as a change in the next plan.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "endpoint" {}
variable "password" {}
variable "image" {} # a repository with an image that has the tag v1
variable "second" { # after the first apply: everything that can change does
  type    = bool
  default = false
}

provider "aws" {
  region = "us-east-1"
  endpoints {
    ecr            = var.endpoint
    sts            = var.endpoint
    secretsmanager = var.endpoint
  }
}

data "aws_caller_identity" "me" {}

locals {
  registry = data.aws_caller_identity.me.account_id
}

# The cache.

resource "aws_secretsmanager_secret" "corp" {
  name                    = "ecr-pullthroughcache/corp"
  description             = var.second ? "the upstream's, changed" : "the upstream's credential"
  recovery_window_in_days = 0
  tags                    = { team = var.second ? "other" : "platform" }
}

resource "aws_secretsmanager_secret_version" "corp" {
  secret_id     = aws_secretsmanager_secret.corp.id
  secret_string = jsonencode({ username = "upstream-user", accessToken = var.password })
}

resource "aws_secretsmanager_secret" "spare" {
  name                    = "ecr-pullthroughcache/spare"
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret_version" "spare" {
  secret_id     = aws_secretsmanager_secret.spare.id
  secret_string = jsonencode({ username = "upstream-user", accessToken = var.password })
}

resource "aws_ecr_pull_through_cache_rule" "corp" {
  ecr_repository_prefix = "corp"
  upstream_registry_url = "registry.example.com"
  credential_arn        = var.second ? aws_secretsmanager_secret.spare.arn : aws_secretsmanager_secret.corp.arn
  depends_on            = [aws_secretsmanager_secret_version.corp, aws_secretsmanager_secret_version.spare]
}

resource "aws_ecr_pull_through_cache_rule" "team" {
  ecr_repository_prefix      = "team"
  upstream_registry_url      = "public.ecr.aws"
  upstream_repository_prefix = "acme"
}

# Repositories.

resource "aws_ecr_repository" "app" {
  name                 = "own/app"
  image_tag_mutability = var.second ? "IMMUTABLE" : "MUTABLE"
  force_delete         = true
  tags                 = var.second ? { team = "b" } : { team = "a", cost = "7" }

  image_scanning_configuration {
    scan_on_push = !var.second
  }
}

resource "aws_ecr_lifecycle_policy" "app" {
  repository = aws_ecr_repository.app.name
  policy     = data.aws_ecr_lifecycle_policy_document.keep.json
}

data "aws_ecr_lifecycle_policy_document" "keep" {
  rule {
    priority    = 1
    description = "only so many"
    selection {
      tag_status   = "any"
      count_type   = "imageCountMoreThan"
      count_number = var.second ? 20 : 10
    }
  }
}

resource "aws_ecr_repository_policy" "app" {
  repository = aws_ecr_repository.app.name
  policy     = data.aws_iam_policy_document.read.json
}

data "aws_iam_policy_document" "read" {
  statement {
    sid     = var.second ? "pullers" : "new policy"
    effect  = "Allow"
    actions = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    principals {
      type        = "AWS"
      identifiers = ["*", local.registry]
    }
  }
}

resource "aws_ecr_repository_creation_template" "pulled" {
  prefix               = "pulled"
  description          = var.second ? "changed" : "made by pulls"
  applied_for          = var.second ? ["PULL_THROUGH_CACHE", "REPLICATION"] : ["PULL_THROUGH_CACHE"]
  image_tag_mutability = var.second ? "MUTABLE" : "IMMUTABLE"
  repository_policy    = data.aws_iam_policy_document.read.json
  lifecycle_policy     = data.aws_ecr_lifecycle_policy_document.keep.json
  resource_tags        = { team = var.second ? "b" : "a" }
  custom_role_arn      = "arn:aws:iam::${local.registry}:role/templates"

  encryption_configuration {
    encryption_type = "AES256"
  }
}

# The registry.

resource "aws_ecr_registry_policy" "registry" {
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = var.second ? "import" : "cache"
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::${local.registry}:user/ci" }
      Action    = ["ecr:CreateRepository", "ecr:BatchImportUpstreamImage"]
      Resource  = "arn:aws:ecr:*:*:repository/corp/*"
    }]
  })
}

resource "aws_ecr_replication_configuration" "registry" {
  replication_configuration {
    rule {
      destination {
        region      = "eu-west-1"
        registry_id = "999999999999"
      }
      repository_filter {
        filter      = var.second ? "own/app" : "own/"
        filter_type = "PREFIX_MATCH"
      }
    }
  }
}

resource "aws_ecr_registry_scanning_configuration" "registry" {
  scan_type = "BASIC"

  rule {
    scan_frequency = "SCAN_ON_PUSH"
    repository_filter {
      filter      = var.second ? "own/*" : "*"
      filter_type = "WILDCARD"
    }
  }
}

resource "aws_ecr_account_setting" "scanner" {
  name  = "BASIC_SCAN_TYPE_VERSION"
  value = "AWS_NATIVE"
}

resource "aws_ecr_account_setting" "scope" {
  name  = "REGISTRY_POLICY_SCOPE"
  value = var.second ? "V2" : "V1"
}

# What can be read.

data "aws_ecr_authorization_token" "token" {}

data "aws_ecr_pull_through_cache_rule" "corp" {
  ecr_repository_prefix = aws_ecr_pull_through_cache_rule.corp.ecr_repository_prefix
}

data "aws_secretsmanager_secret_version" "corp" {
  secret_id  = aws_secretsmanager_secret.corp.id
  depends_on = [aws_secretsmanager_secret_version.corp]
}

data "aws_ecr_repository" "image" {
  name = var.image
}

data "aws_ecr_repositories" "all" {
  depends_on = [aws_ecr_repository.app]
}

data "aws_ecr_image" "image" {
  repository_name = var.image
  image_tag       = "v1"
}

data "aws_ecr_repository_creation_template" "pulled" {
  prefix = aws_ecr_repository_creation_template.pulled.prefix
}

output "read" {
  value = join(" ", [
    local.registry,
    data.aws_ecr_authorization_token.token.user_name,
    data.aws_ecr_pull_through_cache_rule.corp.upstream_registry_url,
    nonsensitive(jsondecode(data.aws_secretsmanager_secret_version.corp.secret_string).accessToken),
    join(",", data.aws_ecr_repository.image.most_recent_image_tags),
    data.aws_ecr_image.image.image_digest,
    join(",", sort(data.aws_ecr_repositories.all.names)),
    data.aws_ecr_repository_creation_template.pulled.image_tag_mutability,
  ])
}
