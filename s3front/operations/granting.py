"""What requests say of access control lists, and whose the objects are that they make.

A list is checked against the bucket before any bytes are asked for, and again in the commit when
the bucket is another one by then (DESIGN, section 5).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from s3front.authz.acl_limits import require_settable, require_unblocked
from s3front.authz.ownership import Owner, owner_of_new
from s3front.authz.public_block import NO_BLOCK, PublicBlock
from s3front.bodies.request_document import interpreted, read_document
from s3front.configurations.acl_document import AclDocument, parse_acl
from s3front.configurations.acl_headers import CANNED_HEADER, acl_of_headers
from s3front.context import Context
from s3front.objects.object_record import PRIVATE_OBJECT_ACL, ObjectRecord
from s3front.port.request import Headers, Request
from s3front.s3_errors import S3Error
from shared import limits
from shared.records.bucket import BucketRecord
from shared.records.upload import UploadRecord

Acl = Mapping[str, Any]
"""A list, as records have it."""


def account_block(context: Context, bucket: BucketRecord) -> PublicBlock:
    """What the account that a bucket belongs to has blocked for all of its buckets."""
    owner = context.services.directory.owner(bucket.owner_id)
    return NO_BLOCK if owner is None else owner.block


def check_acl(context: Context, bucket: BucketRecord, acl: Acl | None) -> None:
    """Let a request set a list in this bucket, if it wants one; raises what ``require_settable``
    does."""
    if acl is not None:
        require_settable(bucket, acl, account_block(context, bucket))


# --- New objects ----------------------------------------------------------------------------------


def wanted_acl(context: Context, headers: Headers) -> Acl | None:
    """The list that a new object is to have; None where its request does not say. Raises what
    ``acl_of_headers`` and ``require_settable`` do."""
    acl = acl_of_headers(headers, context.services.directory, of_bucket=False)
    check_acl(context, context.bucket.record, acl)
    return acl


def owner_of(context: Context, bucket: BucketRecord, acl: Acl | None) -> Owner:
    """Whose an object is that the request makes, with this list."""
    principal = context.principal
    if principal.canonical_id == bucket.owner_id:  # as nearly always, whatever the setting is
        return Owner(principal.canonical_id, principal.name)
    return owner_of_new(bucket, principal, _canned(acl))


def owned_again(
    context: Context, bucket: BucketRecord, record: ObjectRecord, acl: Acl | None
) -> ObjectRecord:
    """The record of a new object as the bucket has it by now, which is another one than it was
    made for; raises what ``require_settable`` does."""
    check_acl(context, bucket, acl)
    owner = owner_of(context, bucket, acl)
    return record.changed({"owner-id": owner.id, "owner-display-name": owner.name})


def owner_of_upload(context: Context, bucket: BucketRecord, upload: UploadRecord) -> Owner:
    """Whose an object is that an upload becomes. Raises AccessDenied for a list that was fine when
    the upload began, and is blocked by now."""
    acl = upload.acl
    if acl is not None:
        require_unblocked(bucket, acl, account_block(context, bucket))
    return owner_of_new(bucket, Owner(*upload.owner), _canned(acl))


def acl_member(acl: Acl | None) -> Acl:
    """What the record of a new object has of a list."""
    return PRIVATE_OBJECT_ACL if acl is None else acl


def _canned(acl: Acl | None) -> str | None:
    canned = None if acl is None else acl.get("Canned")
    return canned if isinstance(canned, str) else None


# --- Lists of what is there -----------------------------------------------------------------------


async def read_acl(context: Context, request: Request, *, of_bucket: bool) -> AclDocument:
    """The list that PutBucketAcl or PutObjectAcl brings, in its headers or as a document; of
    headers the owner that it names is "". Raises what ``acl_of_headers`` and ``parse_acl`` do,
    MissingSecurityHeader for neither, and UnexpectedContent for both."""
    accounts = context.services.directory
    body = await read_document(context, request, limits.XML_BODY_BYTES_MAX, may_be_empty=True)
    # An account that was made a moment ago, elsewhere, can be given something at once.
    await accounts.refresh()
    acl = acl_of_headers(request.headers, accounts, of_bucket=of_bucket)
    if acl is not None:
        if body:
            raise S3Error("UnexpectedContent")
        return AclDocument(acl, "")
    if not body:
        raise S3Error("MissingSecurityHeader", fields={"MissingHeaderName": CANNED_HEADER})
    return await interpreted(body, partial(parse_acl, accounts=accounts, of_bucket=of_bucket))


def require_owner(document: AclDocument, owner_id: str) -> None:
    """A document names the owner, whom it cannot change: else AccessDenied."""
    if document.owner_id not in ("", owner_id):
        raise S3Error("AccessDenied")
