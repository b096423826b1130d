"""RestoreObject. No storage class archives objects yet, so there is never one to restore."""

from __future__ import annotations

import re

from s3front.bodies.request_document import interpreted, read_document
from s3front.context import Context
from s3front.operations.get_object import existing_record
from s3front.port.request import Reply, Request
from s3front.port.xml import parse
from s3front.routes import Level, Operation
from s3front.s3_errors import S3Error
from shared import limits

_DAYS = re.compile(r"[0-9]{1,9}\Z")
_TIERS = frozenset(("Standard", "Bulk", "Expedited"))
_MEMBERS = frozenset(
    (
        "Days",
        "GlacierJobParameters",
        "Type",
        "Tier",
        "Description",
        "SelectParameters",
        "OutputLocation",
    )
)


async def restore_object(context: Context, request: Request) -> Reply:
    """RestoreObject (Amazon S3 API reference), of an object that is not archived."""
    record = existing_record(context, context.current)
    body = await read_document(context, request, limits.XML_BODY_BYTES_MAX, may_be_empty=True)
    if body.strip():
        # AWS's SDKs send none when they are told nothing, and that is as far as it gets then, too.
        await interpreted(body, _check_document)
    raise S3Error(
        "InvalidObjectState",
        "Restore is not allowed for the object's current storage class",
        {"StorageClass": record.storage_class},
    )


def _check_document(body: bytes) -> None:
    """Refuse a document that is none of S3's."""
    tree = parse(body, "RestoreRequest")
    if any(child.tag not in _MEMBERS for child in tree):
        raise S3Error("MalformedXML")
    kind = tree.findtext("Type")
    days = tree.findtext("Days")
    tiers = [tree.findtext("Tier"), tree.findtext("GlacierJobParameters/Tier")]
    if kind not in (None, "SELECT") or any(tier not in (None, *_TIERS) for tier in tiers):
        raise S3Error("MalformedXML")
    if tree.find("GlacierJobParameters") is not None and tiers[1] is None:
        raise S3Error("MalformedXML")
    if days is None:
        if kind is None:
            raise S3Error("MalformedXML")
        return
    if _DAYS.match(days.strip()) is None:
        raise S3Error("MalformedXML")
    if int(days) < 1:
        raise S3Error(
            "InvalidArgument",
            "Days must be a positive integer.",
            {"ArgumentName": "Days", "ArgumentValue": days},
        )


RESTORE_OBJECT = Operation(
    "RestoreObject",
    Level.OBJECT,
    restore_object,
    ("s3:RestoreObject",),
    version_actions=("s3:RestoreObject",),
    headers=frozenset(("x-amz-sdk-checksum-algorithm",)),
)
