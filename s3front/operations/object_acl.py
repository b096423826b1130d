"""GetObjectAcl and PutObjectAcl."""

from __future__ import annotations

from s3front.authz.ownership import Owner, acls_count, owner_of_bucket
from s3front.configurations.acl_document import show_acl
from s3front.configurations.acl_headers import ACL_HEADERS
from s3front.context import Context
from s3front.metadata.kept_buckets import StoredBucket
from s3front.objects.object_record import ObjectRecord
from s3front.operations.changes import change_version
from s3front.operations.get_object import described_version, existing_record
from s3front.operations.granting import check_acl, read_acl, require_owner
from s3front.operations.honoured import DOCUMENT
from s3front.port.request import Reply, Request
from s3front.routes import Level, Operation
from shared.records.bucket import BucketRecord


async def get_object_acl(context: Context, _request: Request) -> Reply:
    """Who was granted what of an object (Amazon S3 API reference). Where lists do not count, it is
    the owner's of its bucket."""
    record, bucket = existing_record(context, context.current), context.bucket.record
    acl = record.document.get("acl") if acls_count(bucket) else None
    owner, accounts = _owner_of(bucket, record), context.services.directory
    reply = show_acl(acl, owner, owner_of_bucket(bucket), accounts)
    return Reply(reply.status, {**reply.headers, **described_version(context, record)}, reply.body)


async def put_object_acl(context: Context, request: Request) -> Reply:
    """Replace the list of an object, or of a version (Amazon S3 API reference)."""
    existing_record(context, context.current, changes=True)  # before its document is asked for
    wanted = await read_acl(context, request, of_bucket=False)

    def change(bucket: StoredBucket, record: ObjectRecord) -> ObjectRecord:
        require_owner(wanted, _owner_of(bucket.record, record).id)
        check_acl(context, bucket.record, wanted.acl)
        return record.changed({"acl": wanted.acl, "originOp": "s3:ObjectAcl:Put"})

    record = await change_version(context, change)
    return Reply(200, described_version(context, record))


def _owner_of(bucket: BucketRecord, record: ObjectRecord) -> Owner:
    """Whose an object is, as things are in its bucket now."""
    document = record.document
    if not acls_count(bucket) or not document.get("owner-id"):
        return owner_of_bucket(bucket)
    return Owner(str(document["owner-id"]), str(document.get("owner-display-name") or ""))


GET_OBJECT_ACL = Operation(
    "GetObjectAcl",
    Level.OBJECT,
    get_object_acl,
    ("s3:GetObjectAcl",),
    version_actions=("s3:GetObjectVersionAcl",),
)
PUT_OBJECT_ACL = Operation(
    "PutObjectAcl",
    Level.OBJECT,
    put_object_acl,
    ("s3:PutObjectAcl",),
    version_actions=("s3:PutObjectVersionAcl",),
    headers=DOCUMENT | ACL_HEADERS,
)
