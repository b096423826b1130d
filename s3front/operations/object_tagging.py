"""GetObjectTagging, PutObjectTagging and DeleteObjectTagging."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from s3front.authz.condition_keys import REQUEST_TAGS
from s3front.bodies.request_document import interpreted, read_document
from s3front.context import Context
from s3front.metadata import gateway
from s3front.metadata.object_store import record_of
from s3front.metadata.tag_changes import TagChange
from s3front.objects.object_record import ObjectRecord
from s3front.objects.tag_sets import parse_tagging, tag_set_xml
from s3front.objects.versioning import shown_id
from s3front.operations.body_keys import with_tags
from s3front.operations.changes import change_version
from s3front.operations.get_object import described_version, existing_record
from s3front.operations.honoured import DOCUMENT
from s3front.port.reply import xml_reply
from s3front.port.request import Reply, Request
from s3front.routes import Level, Operation
from shared import limits
from shared.records.members import UnreadableRecordError


async def get_object_tagging(context: Context, _request: Request) -> Reply:
    """The tags of an object, none included (Amazon S3 API reference)."""
    record = existing_record(context, context.current)
    reply = xml_reply("Tagging", tag_set_xml(record.tags))
    return Reply(reply.status, {**reply.headers, **described_version(context, record)}, reply.body)


async def put_object_tagging(context: Context, request: Request) -> Reply:
    """Replace all tags of an object (Amazon S3 API reference).

    One that came from CloudServer with more than S3 allows may keep as many: clients change one by
    writing all of them back.
    """
    if not context.undecided:
        existing_record(context, context.current, changes=True)
    body = await read_document(context, request, limits.XML_BODY_BYTES_MAX)
    found = record_of(context.current)
    tags_max = max(limits.TAGS_MAX, 0 if found is None else len(found.tags))
    tags = await interpreted(body, partial(parse_tagging, tags_max=tags_max))
    context = with_tags(context, tags)
    record = await _set(context, tags, "s3:ObjectTagging:Put")
    return Reply(200, described_version(context, record))


async def delete_object_tagging(context: Context, _request: Request) -> Reply:
    """Remove all tags of an object (Amazon S3 API reference)."""
    record = await _set(context, {}, "s3:ObjectTagging:Delete")
    return Reply(204, described_version(context, record))


async def _set(context: Context, tags: Mapping[str, str], origin: str) -> ObjectRecord:
    members = {"tags": dict(tags), "originOp": origin}
    outbox = partial(_kept_elsewhere, context)
    return await change_version(context, lambda _bucket, record: record.changed(members), outbox)


def _kept_elsewhere(context: Context, record: ObjectRecord) -> Sequence[gateway.Operation]:
    """What has the tags of a record changed where its bytes are as well; nothing for most."""
    try:
        locations = record.locations
    except UnreadableRecordError:
        return ()
    bucket = context.bucket.name
    return [
        TagChange(bucket, context.key, shown_id(record), location.store_name).operation()
        for location in locations[:1]
        if context.services.locations.keeps_tags(location)
    ]


GET_OBJECT_TAGGING = Operation(
    "GetObjectTagging",
    Level.OBJECT,
    get_object_tagging,
    ("s3:GetObjectTagging",),
    version_actions=("s3:GetObjectVersionTagging",),
)
PUT_OBJECT_TAGGING = Operation(
    "PutObjectTagging",
    Level.OBJECT,
    put_object_tagging,
    ("s3:PutObjectTagging",),
    version_actions=("s3:PutObjectVersionTagging",),
    headers=DOCUMENT,
    body_keys=REQUEST_TAGS,
)
DELETE_OBJECT_TAGGING = Operation(
    "DeleteObjectTagging",
    Level.OBJECT,
    delete_object_tagging,
    ("s3:DeleteObjectTagging",),
    version_actions=("s3:DeleteObjectVersionTagging",),
)
