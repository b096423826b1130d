"""GetBucketAcl and PutBucketAcl."""

from __future__ import annotations

from s3front.authz.ownership import acls_count, owner_of_bucket
from s3front.configurations.acl_document import show_acl
from s3front.configurations.acl_headers import ACL_HEADERS
from s3front.context import Context
from s3front.operations.changes import change_bucket
from s3front.operations.granting import check_acl, read_acl, require_owner
from s3front.operations.honoured import DOCUMENT
from s3front.port.request import Reply, Request
from s3front.routes import Level, Operation
from shared.records.bucket import BucketRecord


async def get_bucket_acl(context: Context, _request: Request) -> Reply:
    """Who was granted what of a bucket (Amazon S3 API reference). Where lists do not count, it is
    the owner's."""
    record = context.bucket.record
    acl = record.document.get("acl") if acls_count(record) else None
    owner = owner_of_bucket(record)
    return show_acl(acl, owner, owner, context.services.directory)


async def put_bucket_acl(context: Context, request: Request) -> Reply:
    """Replace the list of a bucket (Amazon S3 API reference)."""
    wanted = await read_acl(context, request, of_bucket=True)

    def change(record: BucketRecord) -> BucketRecord:
        require_owner(wanted, record.owner_id)
        check_acl(context, record, wanted.acl)
        return record.changed({"acl": wanted.acl})

    await change_bucket(context, change)
    return Reply(200)


GET_BUCKET_ACL = Operation(
    "GetBucketAcl",
    Level.BUCKET,
    get_bucket_acl,
    ("s3:GetBucketAcl",),
)
PUT_BUCKET_ACL = Operation(
    "PutBucketAcl",
    Level.BUCKET,
    put_bucket_acl,
    ("s3:PutBucketAcl",),
    headers=DOCUMENT | ACL_HEADERS,
)
