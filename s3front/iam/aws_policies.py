"""Managed policies of AWS's own that have a meaning here: programs attach them by their ARNs. Pure.

Documents: AWS managed policy reference guide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from s3front.iam.records import ManagedPolicy, PolicyVersion

AWS_ACCOUNT: Final = "aws"
"""In place of the ID of an account, in their ARNs."""


def _policy(
    name: str, unique_id: str, description: str, *statements: Mapping[str, Any]
) -> ManagedPolicy:
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", **statement} for statement in statements],
    }
    created = "2015-02-06T18:40:00Z"
    return ManagedPolicy(
        account=AWS_ACCOUNT,
        name=name,
        id=unique_id,
        created=created,
        updated=created,
        description=description,
        versions=(PolicyVersion(id="v1", text=orjson.dumps(document).decode(), created=created),),
    )


_S3_READ: Final = (
    *("s3:Get*", "s3:List*", "s3:Describe*"),
    *("s3-object-lambda:Get*", "s3-object-lambda:List*"),
)
_IAM_READ: Final = (
    *("iam:GenerateCredentialReport", "iam:GenerateServiceLastAccessedDetails"),
    *("iam:Get*", "iam:List*", "iam:SimulateCustomPolicy", "iam:SimulatePrincipalPolicy"),
)

AWS_POLICIES: Final[Sequence[ManagedPolicy]] = (
    _policy(
        "AdministratorAccess",
        "ANPAIWMBCKSKIEE64ZLYK",
        "Provides full access to AWS services and resources.",
        {"Action": "*", "Resource": "*"},
    ),
    _policy(
        "AmazonS3FullAccess",
        "ANPAIFIR6V6BVTRAHWINE",
        "Provides full access to all buckets via the AWS Management Console.",
        {"Action": ["s3:*", "s3-object-lambda:*"], "Resource": "*"},
    ),
    _policy(
        "AmazonS3ReadOnlyAccess",
        "ANPAIZTJ4DXE7G6AGAE6M",
        "Provides read only access to all buckets via the AWS Management Console.",
        {"Action": list(_S3_READ), "Resource": "*"},
    ),
    _policy(
        "IAMFullAccess",
        "ANPAI7XKCFMBPM3QQRRVQ",
        "Provides full access to IAM via the AWS Management Console.",
        {"Action": ["iam:*"], "Resource": "*"},
    ),
    _policy(
        "IAMReadOnlyAccess",
        "ANPAJKSO7NDY4T57MWDSQ",
        "Provides read only access to IAM via the AWS Management Console.",
        {"Action": list(_IAM_READ), "Resource": "*"},
    ),
)

_BY_ARN: Final = {policy.arn: policy for policy in AWS_POLICIES}


def aws_policy(arn: str) -> ManagedPolicy | None:
    """The policy of an ARN."""
    return _BY_ARN.get(arn)
