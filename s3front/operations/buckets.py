"""Operations on buckets, other than listing their objects."""

from __future__ import annotations

from s3front.authz.condition_keys import LOCATION
from s3front.authz.decide import authorize
from s3front.authz.new_buckets import OWNERSHIP_HEADER
from s3front.bodies.request_document import interpreted, read_document
from s3front.configurations.acl_headers import ACL_HEADERS, acl_of_headers
from s3front.context import Context
from s3front.iam.account_changes import stays
from s3front.metadata.gateway import ChangedError
from s3front.objects.object_lock import is_enabled
from s3front.operations.body_keys import with_said
from s3front.operations.chosen_location import unsupported_type
from s3front.operations.decide_again import ATTEMPTS_MAX, read_again
from s3front.operations.encrypted_buckets import (
    NEW_BUCKET,
    NEW_BUCKET_KEY_ID,
    members_of_new_bucket,
    wanted_of_new_bucket,
)
from s3front.operations.granting import account_block
from s3front.port.reply import REGION_HEADER, xml_reply
from s3front.port.request import Reply, Request
from s3front.port.target import is_new_bucket_name
from s3front.port.xml import escape, parse
from s3front.routes import Level, Operation
from s3front.s3_errors import S3Error, not_implemented
from shared import limits
from shared.failpoints import FailPoint, failpoint
from shared.records.bucket import DEFAULT_LOCATION, BucketRecord, Versioning
from shared.records.times import now

_LOCK_HEADER = "x-amz-bucket-object-lock-enabled"


async def create_bucket(context: Context, request: Request) -> Reply:
    """CreateBucket (Amazon S3 API reference).

    A name that is taken is refused with 409, except that a location with ``legacyAwsBehavior``
    answers 200 to the owner who wants it in such a location, as us-east-1 does.
    """
    body = await read_document(context, request, limits.XML_BODY_BYTES_MAX, may_be_empty=True)
    named = await interpreted(body, _named_location)
    context = with_said(context, {} if named is None else {LOCATION: named})
    location = _wanted_location(context, named)
    name = context.target.bucket
    assert name is not None
    if not is_new_bucket_name(name):
        raise S3Error("InvalidBucketName", fields={"BucketName": name})
    locks = request.headers.get(_LOCK_HEADER) == "true"
    encrypts = wanted_of_new_bucket(request.headers) is not None
    acl = acl_of_headers(request.headers, context.services.directory, of_bucket=True)
    if context.stored_bucket is None:
        principal = context.principal
        record = BucketRecord.create(name, principal.canonical_id, principal.name, now(), location)
        if locks:
            enabled = {"Status": Versioning.ENABLED}
            record = record.changed({"objectLockEnabled": True, "versioningConfiguration": enabled})
        record = record.changed(await members_of_new_bucket(context, name, request.headers))
        ownership, block = request.headers.get(OWNERSHIP_HEADER), account_block(context, record)
        record = context.services.new_buckets.begun(record, ownership, acl, block)
        account_id = principal.account_id
        assert account_id is not None, "nobody makes buckets without a signature"
        requires = stays(context.services.directory, account_id)
        try:
            await context.services.buckets.create(record, context.request_id, requires)
        except ChangedError as error:
            # Somebody was faster; who it was decides the answer. It may have been who removed the
            # account, so that there is no bucket.
            found = await context.services.buckets.read(name, context.request_id)
            authorize(context.access.on(None if found is None else found.record, None))
            if found is None:
                raise S3Error("OperationAborted") from error
            return _answer_existing(context, found.record, location, locks=locks, encrypts=encrypts)
        return Reply(200, {"Location": f"/{name}"})
    record = context.stored_bucket.record
    return _answer_existing(context, record, location, locks=locks, encrypts=encrypts)


def _answer_existing(
    context: Context, record: BucketRecord, wanted: str, *, locks: bool, encrypts: bool
) -> Reply:
    fields = {"BucketName": record.name}
    if record.owner_id != context.principal.canonical_id:
        raise S3Error("BucketAlreadyExists", fields=fields)
    find = context.services.locations.find
    places = [find(record.location), find(wanted)]
    is_as_wanted = record.demands_encryption or not encrypts
    if is_as_wanted and all(place is not None and place.legacy_aws_behavior for place in places):
        if locks and not is_enabled(record.document):
            raise S3Error(
                "InvalidBucketState",
                "Object Lock configuration cannot be enabled on existing buckets",
                fields,
            )
        return Reply(200, {"Location": f"/{record.name}"})
    raise S3Error("BucketAlreadyOwnedByYou", fields=fields)


def _wanted_location(context: Context, named: str | None) -> str:
    """The location that the request names, else that of the endpoint it was sent to."""
    name = named
    if name is None:
        endpoint = context.target.endpoint
        name = context.services.endpoints.get(endpoint or "", DEFAULT_LOCATION)
    fields = {"LocationConstraint": name}
    location = context.services.locations.find(name)
    if location is None:
        raise S3Error("InvalidLocationConstraint", fields=fields)
    if not location.is_supported:
        message = f"The specified location-constraint is not valid: {unsupported_type(location)}"
        raise S3Error("InvalidLocationConstraint", message, fields)
    return name


def _named_location(body: bytes) -> str | None:
    if not body.strip():
        return None
    tree = parse(body, "CreateBucketConfiguration")
    for child in tree:
        if child.tag != "LocationConstraint":
            raise not_implemented(child.tag, child.tag)
    return (tree.findtext("LocationConstraint") or "").strip() or None


async def head_bucket(context: Context, _request: Request) -> Reply:
    """HeadBucket (Amazon S3 API reference)."""
    return Reply(
        200,
        {
            REGION_HEADER: context.bucket.record.location,
            "x-amz-access-point-alias": "false",
            "Content-Type": "application/xml",
        },
    )


async def get_bucket_location(context: Context, _request: Request) -> Reply:
    """GetBucketLocation (Amazon S3 API reference): empty for us-east-1."""
    location = context.bucket.record.location
    return xml_reply("LocationConstraint", "" if location == DEFAULT_LOCATION else escape(location))


async def delete_bucket(context: Context, _request: Request) -> Reply:
    """DeleteBucket (Amazon S3 API reference): only one without objects.

    Uploads under way do not keep it; they end with it. The commit requires that the bucket is still
    the one that was read, that no object is in it, and no upload that it does not end: so nothing
    can slip in meanwhile. Of very many uploads, some are ended before.
    """
    services, bucket = context.services, context.bucket
    changes = 0
    while changes < ATTEMPTS_MAX:
        ending = await services.uploads.ending_all(bucket.name, context.request_id)
        try:
            await services.buckets.delete(bucket, ending, context.request_id)
        except ChangedError:
            changes += 1
            bucket, _ = await read_again(context, bucket)
        else:
            failpoint(FailPoint.AFTER_RECORD_COMMIT)
            if ending.is_complete:
                return Reply(204)
    raise S3Error("OperationAborted")


CREATE_BUCKET = Operation(
    "CreateBucket",
    Level.NEW_BUCKET,
    create_bucket,
    ("s3:CreateBucket",),
    header_actions={
        **dict.fromkeys(ACL_HEADERS, ("s3:PutBucketAcl",)),
        OWNERSHIP_HEADER: ("s3:PutBucketOwnershipControls",),
        _LOCK_HEADER: ("s3:PutBucketObjectLockConfiguration", "s3:PutBucketVersioning"),
        NEW_BUCKET: ("s3:PutEncryptionConfiguration",),
    },
    headers=ACL_HEADERS | {OWNERSHIP_HEADER, _LOCK_HEADER, NEW_BUCKET, NEW_BUCKET_KEY_ID},
    body_keys=frozenset((LOCATION,)),
)
HEAD_BUCKET = Operation(
    "HeadBucket", Level.BUCKET, head_bucket, ("s3:ListBucket",), tells_region=True
)
GET_BUCKET_LOCATION = Operation(
    "GetBucketLocation",
    Level.BUCKET,
    get_bucket_location,
    ("s3:GetBucketLocation",),
)
DELETE_BUCKET = Operation(
    "DeleteBucket",
    Level.BUCKET,
    delete_bucket,
    ("s3:DeleteBucket",),
)
