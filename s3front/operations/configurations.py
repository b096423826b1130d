"""Reading, setting and removing the documents that a bucket may have: the same for each of them.

What is special to a document is a row of ``s3front.configurations.table``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from s3front.authz.condition_keys import REQUEST_TAGS
from s3front.bodies.request_document import interpreted, read_document
from s3front.configurations.base import Configuration, Put
from s3front.configurations.table import CONFIGURATIONS
from s3front.context import Context
from s3front.operations.body_keys import with_tags
from s3front.operations.changes import change_bucket
from s3front.operations.honoured import DOCUMENT
from s3front.port.request import Reply, Request
from s3front.routes import Level, Operation, Routes, one_of
from shared import limits
from shared.records.bucket import BucketRecord


def add_to(table: Routes, configurations: Sequence[Configuration] = CONFIGURATIONS) -> None:
    """Route them."""
    for each in configurations:
        place = one_of(each.sub_resource) if each.identified else each.sub_resource
        reading = Operation(each.get, Level.BUCKET, partial(_get, each), (each.get_action,))
        table.add("GET", reading, place)
        if each.put is not None:
            handler, action = partial(_put, each.put), each.put.action
            setting = Operation(
                each.put.name,
                Level.BUCKET,
                handler,
                (action,),
                headers=DOCUMENT,
                body_keys=_body_keys(each),
            )
            table.add("PUT", setting, place)
        if each.delete is not None:
            handler, action = partial(_delete, each), each.delete_action
            removing = Operation(
                each.delete, Level.BUCKET, handler, (action,), body_keys=_body_keys(each)
            )
            table.add("DELETE", removing, place)


def _body_keys(each: Configuration) -> frozenset[str]:
    """Those that setting the document tells to policies, or removing it, which is the same action,
    and has no tags."""
    return frozenset() if each.put is None or each.put.tags is None else REQUEST_TAGS


async def _get(each: Configuration, context: Context, _request: Request) -> Reply:
    return each.read(context.bucket.record)


async def _put(put: Put, context: Context, request: Request) -> Reply:
    body = await read_document(
        context, request, limits.XML_BODY_BYTES_MAX, digest_required=put.digest_required
    )
    members = await interpreted(body, put.parse)
    if put.tags is not None:
        context = with_tags(context, put.tags(members))

    def change(record: BucketRecord) -> BucketRecord:
        return put.changed(record, members)

    await change_bucket(context, change)
    return Reply(put.status)


async def _delete(each: Configuration, context: Context, _request: Request) -> Reply:
    if each.put is not None and each.put.tags is not None:
        context = with_tags(context, {})
    record = context.bucket.record
    if not each.is_set(record):
        return each.unset_removed(record)
    await change_bucket(context, each.without)
    return Reply(204)
