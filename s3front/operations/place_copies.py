"""Copies that a place makes itself, from one of its blobs to another: no bytes come through here.

Only of what needs no look at the bytes: the source is one blob, whole and as it is, its record has
the checksum that the copy is to have, and the MD5 that is the copy's ETag is known from it or told
by the place. Where both say an MD5, they are held against each other. All else is copied through
this process (``object_writer``), as are all parts of uploads.
"""

from __future__ import annotations

import re
from typing import Final

from s3front.bodies.checksums import FULL_OBJECT
from s3front.bodies.object_reader import plain_blob
from s3front.bodies.remote_writer import Noting, begin_noting, check_md5, marked
from s3front.bodies.stored_body import (
    Destination,
    StoredBody,
    delete_blob,
    forget_notes,
    located,
)
from s3front.context import Context
from s3front.locations.base import DataNotFoundError, Stored, stored_blob
from s3front.locations.remote_store import RemoteStore, is_undone
from s3front.objects.object_record import ObjectRecord
from s3front.operations.chosen_location import destination
from s3front.operations.copy_source import CopySource
from s3front.operations.put_object import WantedObject
from s3front.s3_errors import S3Error
from shared.boot_clock import boot_seconds
from shared.records.data_location import DataLocation

_MD5: Final = re.compile("[0-9a-f]{32}")


async def copied_there(
    context: Context, source: CopySource, wanted: WantedObject
) -> StoredBody | None:
    """The bytes of a source as those of the target, once their place has copied them; None where it
    cannot. Raises DataNotFoundError for a source that is gone, and S3Error."""
    record = source.record
    if wanted.protection is not None:
        return None  # it would be stored as it is there
    place = destination(context, wanted.location, wanted.described, wanted.tags)
    location = _copyable(context, place, record, wanted)
    if location is None:
        return None
    began = boot_seconds()
    noting = await begin_noting(context, place)
    blob = await _copy(context, place, location, noting)
    if blob is None:
        return None
    noted = noting.last
    md5 = record.etag if _MD5.fullmatch(record.etag) else blob.md5
    if md5 is None or blob.size != record.size:
        # Who does not say what it has made has not made it for us.
        if await delete_blob(context, place.store, blob):
            await forget_notes(context, (noted,))
        return None
    await check_md5(context, place, blob, md5, (noted,))
    assert record.checksum is not None
    return StoredBody(
        record.size,
        md5,
        {wanted.algorithm: record.checksum.value},
        located(place, ((blob, record.size),), md5),
        began,
        notes=(noted,),
    )


def _copyable(
    context: Context, place: Destination, record: ObjectRecord, wanted: WantedObject
) -> DataLocation | None:
    """Where the only blob of a source is, if its place may be asked to copy it."""
    if not place.store.capabilities.copy:
        return None
    location, checksum = plain_blob(record), record.checksum
    if location is None or location.store_type != place.store.type or checksum is None:
        return None
    has_checksum = (checksum.algorithm, checksum.kind) == (wanted.algorithm, FULL_OBJECT)
    return location if has_checksum else None


async def _copy(
    context: Context, place: Destination, location: DataLocation, noting: Noting
) -> Stored | None:
    holder, store = context.services.locations.holder(location), place.store
    assert isinstance(holder, RemoteStore)
    assert isinstance(store, RemoteStore)
    try:
        maker = store.maker(noting.new_mark)
        blob = await maker.copy(holder, stored_blob(location), place.info, noting.mark)
    except (S3Error, DataNotFoundError) as error:
        if is_undone(error):
            await forget_notes(context, (noting.last,))
        raise
    if blob is None:
        await forget_notes(context, (noting.last,))
        return None
    return marked(blob, noting.mark)
