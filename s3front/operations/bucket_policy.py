"""GetBucketPolicy, PutBucketPolicy, DeleteBucketPolicy and GetBucketPolicyStatus.

The record of a bucket has the document as the original stores it, as JSON; what it means is in
``s3front.policies``, and what it gives whom is decided in ``s3front.authz``.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import orjson

from s3front.authz.bucket_policies import bucket_policy, policy_members
from s3front.authz.decide import decide
from s3front.authz.public_block import block_of
from s3front.bodies.request_document import interpreted, read_document
from s3front.context import Context
from s3front.iam.policy_principals import as_named_now, meant_by, unknown_principal
from s3front.metadata.object_store import record_of
from s3front.operations.changes import change_bucket
from s3front.operations.granting import account_block
from s3front.operations.honoured import DOCUMENT
from s3front.policies.grammar import parse_policy
from s3front.policies.policy import Kind, Policy
from s3front.policies.policy_error import PolicyError
from s3front.policies.public import is_public
from s3front.port.reply import xml_reply
from s3front.port.request import Reply, Request
from s3front.port.xml import element
from s3front.routes import Level, Operation
from s3front.s3_errors import S3Error
from shared import limits
from shared.records.bucket import POLICY_MEMBER, BucketRecord
from shared.records.derived import remembered

_PUT: Final = "s3:PutBucketPolicy"
_INLINE_BYTES_MAX: Final = 2_048
_CONFIRM: Final = "x-amz-confirm-remove-self-bucket-access"


async def get_bucket_policy(context: Context, _request: Request) -> Reply:
    """The policy's JSON (Amazon S3 API reference), with the users and roles whom it means by the
    names that they have now."""
    policy = _required(context.bucket.record)
    shown = as_named_now(policy, context.services.directory)
    return Reply(200, {"Content-Type": "application/json"}, orjson.dumps(shown))


async def get_bucket_policy_status(context: Context, _request: Request) -> Reply:
    """Whether the policy is public (Amazon S3 API reference)."""
    public = remembered(_required(context.bucket.record), is_public)
    return xml_reply("PolicyStatus", element("IsPublic", "true" if public else "false"))


async def put_bucket_policy(context: Context, request: Request) -> Reply:
    """Set or replace the policy (Amazon S3 API reference)."""
    body = await read_document(context, request, limits.XML_BODY_BYTES_MAX)
    # Each of its actions is looked for among all that there are.
    parse = partial(_parse, bucket=context.bucket.name)
    policy = await interpreted(body, parse, inline_bytes_max=_INLINE_BYTES_MAX)
    confirmed = request.headers.get(_CONFIRM, "").lower() == "true"
    # Somebody whom another front-end has made a moment ago is no stranger.
    await context.services.directory.refresh()
    unknown = unknown_principal(policy, context.services.directory)
    if unknown is not None:
        raise S3Error("MalformedPolicy", "Invalid principal in policy", {"Detail": unknown})

    def change(record: BucketRecord) -> BucketRecord:
        _require_unblocked(context, record, policy)
        ids = meant_by(policy, context.services.directory)
        changed = record.changed(policy_members(policy.document, ids))
        if not confirmed:
            _require_repairable(context, changed)
        return changed

    await change_bucket(context, change)
    return Reply(204)


async def delete_bucket_policy(context: Context, _request: Request) -> Reply:
    """Remove the policy, if there is one (Amazon S3 API reference)."""
    if context.bucket.record.document.get(POLICY_MEMBER):
        await change_bucket(context, lambda record: record.changed(policy_members(None)))
    return Reply(204)


def _required(record: BucketRecord) -> Policy:
    policy = bucket_policy(record)
    if policy is None:
        raise S3Error("NoSuchBucketPolicy", fields={"BucketName": record.name})
    return policy


def _parse(body: bytes, bucket: str) -> Policy:
    """The policy of a request; raises MalformedPolicy."""
    try:
        return parse_policy(body, Kind.BUCKET, bucket=bucket)
    except PolicyError as error:
        fields = {} if error.detail is None else {"Detail": error.detail}
        raise S3Error("MalformedPolicy", error.message, fields) from error


def _require_unblocked(context: Context, record: BucketRecord, policy: Policy) -> None:
    """Refuse a public policy where such are blocked: AccessDenied."""
    block = block_of(record.document) | account_block(context, record)
    if block.block_public_policy and remembered(policy, is_public):
        raise S3Error(
            "AccessDenied",
            f"User: {context.principal.arn} is not authorized to perform: {_PUT} on resource: "
            f'"arn:aws:s3:::{record.name}" because public policies are prevented by the '
            "BlockPublicPolicy setting in S3 Block Public Access.",
        )


def _require_repairable(context: Context, record: BucketRecord) -> None:
    """Refuse a policy that keeps its writer from changing it again, unless that is confirmed:
    AccessDenied."""
    access = context.access.to(_PUT).on(record, record_of(context.current))
    if not decide(access).allowed:
        raise S3Error(
            "AccessDenied",
            "The policy would keep you from changing it again. If that is wanted, say so with the "
            f"header {_CONFIRM}: true.",
        )


GET_BUCKET_POLICY = Operation(
    "GetBucketPolicy", Level.BUCKET, get_bucket_policy, ("s3:GetBucketPolicy",)
)
GET_BUCKET_POLICY_STATUS = Operation(
    "GetBucketPolicyStatus", Level.BUCKET, get_bucket_policy_status, ("s3:GetBucketPolicyStatus",)
)
PUT_BUCKET_POLICY = Operation(
    "PutBucketPolicy",
    Level.BUCKET,
    put_bucket_policy,
    (_PUT,),
    headers=DOCUMENT | {_CONFIRM},
)
DELETE_BUCKET_POLICY = Operation(
    "DeleteBucketPolicy", Level.BUCKET, delete_bucket_policy, ("s3:DeleteBucketPolicy",)
)
