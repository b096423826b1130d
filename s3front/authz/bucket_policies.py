"""The policy in the record of a bucket: CloudServer's member and, ours, whom it means. Pure.

AWS keeps the unique IDs of the users and roles that a policy names, so that it gives nothing to
others that are called so later (IAM user guide, "AWS JSON policy elements: Principal"). The
document stays as it was put, as another server may read it; and as another server may also put one,
the IDs say which document they are of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson

from s3front.policies.grammar import stored_policy
from s3front.policies.policy import Kind, Policy
from s3front.policies.statement_principals import NO_IDS
from shared.records.bucket import POLICY_MEMBER, BucketRecord
from shared.records.derived import remembered

_MEANT_MEMBER: Final = "bucketPolicyPrincipals"


def bucket_policy(bucket: BucketRecord) -> Policy | None:
    """The policy that a bucket has, compiled once for each record."""
    return remembered(bucket, _compiled)


def policy_members(
    document: Mapping[str, Any] | None, ids: Mapping[str, str] = NO_IDS
) -> dict[str, Any]:
    """The members of the record of a bucket with a policy, and whom it means (``Policy.ids``);
    None: without."""
    if document is None:
        return {POLICY_MEMBER: None, _MEANT_MEMBER: None}
    meant = {"policy": _digest(document), "ids": dict(ids)}
    return {POLICY_MEMBER: document, _MEANT_MEMBER: meant}


def _compiled(bucket: BucketRecord) -> Policy | None:
    document = bucket.document.get(POLICY_MEMBER)
    if not document:
        return None
    meant = bucket.document.get(_MEANT_MEMBER)
    ids: Any = NO_IDS
    if isinstance(meant, dict) and meant.get("policy") == _digest(document):
        ids = meant.get("ids")
    if not isinstance(ids, Mapping) or not all(isinstance(each, str) for each in ids.values()):
        ids = NO_IDS
    return stored_policy(document, Kind.BUCKET, ids)


def _digest(document: Any) -> str:
    text = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:32]
