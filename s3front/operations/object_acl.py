"""GetObjectAcl."""

from __future__ import annotations

from s3front.configurations.acl import show_object_acl
from s3front.context import Context
from s3front.operations.get_object import described_version, existing_record
from s3front.port.request import Reply, Request
from s3front.routes import Level, Operation


async def get_object_acl(context: Context, _request: Request) -> Reply:
    """Who was granted what of an object (Amazon S3 API reference)."""
    record = existing_record(context, context.current)
    reply = show_object_acl(context.bucket.record, record)
    return Reply(reply.status, {**reply.headers, **described_version(context, record)}, reply.body)


GET_OBJECT_ACL = Operation(
    "GetObjectAcl",
    Level.OBJECT,
    get_object_acl,
    ("s3:GetObjectAcl",),
    version_actions=("s3:GetObjectVersionAcl",),
)
