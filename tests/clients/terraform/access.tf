# Who may do what, as Terraform's provider for AWS has it: every kind of identity, and one bucket with
# all that says who may use it. `step` changes some of each.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

variable "endpoint" { type = string }
variable "step" { type = string }
variable "name" { type = string }

provider "aws" {
  region                  = "us-east-1"
  s3_use_path_style       = true
  skip_metadata_api_check = true
  max_retries             = 2
  endpoints {
    iam = var.endpoint
    sts = var.endpoint
    s3  = var.endpoint
  }
}

data "aws_caller_identity" "me" {}

data "aws_iam_policy_document" "reading" {
  statement {
    sid       = "reading"
    actions   = var.step == "first" ? ["s3:GetObject"] : ["s3:GetObject", "s3:ListBucket"]
    resources = [aws_s3_bucket.reports.arn, "${aws_s3_bucket.reports.arn}/*"]
  }
}

resource "aws_iam_user" "anna" {
  name          = "${var.name}-anna"
  path          = "/staff/"
  tags          = { step = var.step }
  force_destroy = true
}

resource "aws_iam_access_key" "anna" {
  user   = aws_iam_user.anna.name
  status = var.step == "first" ? "Active" : "Inactive"
}

resource "aws_iam_user_policy" "anna" {
  name   = "reading"
  user   = aws_iam_user.anna.name
  policy = data.aws_iam_policy_document.reading.json
}

resource "aws_iam_policy" "reading" {
  name        = "${var.name}-reading"
  path        = "/reports/"
  description = "What a reader may"
  policy      = data.aws_iam_policy_document.reading.json
  tags        = { step = var.step }
}

resource "aws_iam_user_policy_attachment" "anna" {
  user       = aws_iam_user.anna.name
  policy_arn = aws_iam_policy.reading.arn
}

resource "aws_iam_group" "readers" {
  name = "${var.name}-readers"
}

resource "aws_iam_user_group_membership" "anna" {
  user   = aws_iam_user.anna.name
  groups = [aws_iam_group.readers.name]
}

resource "aws_iam_group_policy" "readers" {
  name   = "reading"
  group  = aws_iam_group.readers.name
  policy = data.aws_iam_policy_document.reading.json
}

resource "aws_iam_group_policy_attachment" "readers" {
  group      = aws_iam_group.readers.name
  policy_arn = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "AWS"
      identifiers = [aws_iam_user.anna.arn]
    }
    condition {
      test     = "StringEquals"
      variable = "sts:ExternalId"
      values   = [var.step]
    }
  }
}

resource "aws_iam_role" "reader" {
  name                 = "${var.name}-reader"
  description          = var.step
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  max_session_duration = 7200
  permissions_boundary = aws_iam_policy.reading.arn
  tags                 = { step = var.step }
}

resource "aws_iam_role_policy" "reader" {
  name   = "reading"
  role   = aws_iam_role.reader.id
  policy = data.aws_iam_policy_document.reading.json
}

resource "aws_iam_role_policy_attachment" "reader" {
  role       = aws_iam_role.reader.name
  policy_arn = aws_iam_policy.reading.arn
}

resource "aws_iam_openid_connect_provider" "login" {
  url             = "https://${var.name}.example.com"
  client_id_list  = var.step == "first" ? ["app"] : ["app", "other"]
  thumbprint_list = ["abababababababababababababababababababab"]
}

resource "aws_s3_bucket" "reports" {
  bucket        = "${var.name}-reports"
  force_destroy = true
}

resource "aws_s3_object" "report" {
  bucket  = aws_s3_bucket.reports.id
  key     = "2026/report.txt"
  content = "all well"
}

resource "aws_s3_bucket_ownership_controls" "reports" {
  bucket = aws_s3_bucket.reports.id
  rule {
    object_ownership = var.step == "first" ? "BucketOwnerPreferred" : "ObjectWriter"
  }
}

resource "aws_s3_bucket_public_access_block" "reports" {
  bucket                  = aws_s3_bucket.reports.id
  block_public_acls       = false
  block_public_policy     = false
  ignore_public_acls      = var.step != "first"
  restrict_public_buckets = false
}

resource "aws_s3_bucket_acl" "reports" {
  depends_on = [
    aws_s3_bucket_ownership_controls.reports,
    aws_s3_bucket_public_access_block.reports,
  ]
  bucket = aws_s3_bucket.reports.id
  acl    = var.step == "first" ? "public-read" : "private"
}

data "aws_iam_policy_document" "public" {
  statement {
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.reports.arn}/${var.step}/*"]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
  }
}

resource "aws_s3_bucket_policy" "reports" {
  depends_on = [aws_s3_bucket_public_access_block.reports]
  bucket     = aws_s3_bucket.reports.id
  policy     = data.aws_iam_policy_document.public.json
}

output "account" {
  value = data.aws_caller_identity.me.account_id
}

output "key" {
  value = aws_iam_access_key.anna.id
}

output "secret" {
  value     = aws_iam_access_key.anna.secret
  sensitive = true
}
