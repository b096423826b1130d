"""AWS's query protocol on the port of S3: the calls of IAM and of STS, one family a module."""
