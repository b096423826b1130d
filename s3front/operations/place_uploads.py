"""Uploads of parts that are an upload at the place of their location as well, from beginning to end
(``s3front.locations.remote_store``), so that the object is one blob there.

The overview record keeps the handle of the place's upload as its ``location``: whoever removes that
record without making an object of the upload gives the handle up in the same commit, as any record
does with its data. It is queued for deletion, and that ends the place's upload, and removes what it
has become. What is decided so (DESIGN, section 5):

* Create, and a crash: the journal of strays has the mark of the upload until the overview is
  committed.
* UploadPart twice, of one number: the place keeps the last one that came, the metadata the last one
  that was committed. When these are two, Complete is refused with InvalidPart, as the place holds
  the parts against their ETags; the part is sent again.
* Complete and Complete: both ask the place, which answers the same; the one whose commit comes late
  reads again, and finds the object.
* Complete and Abort: whoever commits first. After Abort, its entry in the queue removes what the
  place has made of the parts.
* A crash between the place's completion and the commit, or a precondition that is refused then: the
  upload is still there. Complete asks the place again, which answers the same; Abort removes it.
* Complete again with other parts, when the place was asked to complete those of before, and has not
  refused them: InvalidPart. The record of the upload says which they were, as places may answer
  what they have made of them, whatever they are asked. Abort is what is left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from s3front.bodies.remote_writer import begin_noting, marked
from s3front.bodies.stored_body import Destination, delete_data, forget_notes
from s3front.context import Context
from s3front.locations.base import Capabilities, DataStore, Stored, stored_blob
from s3front.locations.remote_store import (
    PART_OF,
    UPLOAD,
    RemoteStore,
    UploadedPart,
    is_undone,
    mark_of,
)
from s3front.metadata.gateway import ChangedError
from s3front.metadata.strays import StrayNote
from s3front.metadata.upload_store import StoredPart, StoredUpload
from s3front.operations.chosen_location import destination, info_of
from s3front.operations.object_headers import DescribedObject
from s3front.s3_errors import S3Error
from shared import limits
from shared.failpoints import FailPoint, failpoint
from shared.records.data_location import DataLocation
from shared.records.upload import UploadRecord

_COMPLETES: Final = "completesParts"
"""Member of an overview (ours): a digest of the numbers and ETags of parts."""


_REFUSALS: Final = ("InvalidPart", "EntityTooSmall")


class PlaceUpload(NamedTuple):
    """An upload that was begun at a place: its handle, and its note in the journal."""

    handle: DataLocation
    notes: Sequence[StrayNote]


async def begin_there(
    context: Context, location: str, described: DescribedObject, tags: Mapping[str, str]
) -> PlaceUpload | None:
    """Begin an upload of the target at its location; None for a place that has no such thing.
    Raises S3Error."""
    place = destination(context, location, described, tags)
    store = place.store
    if not isinstance(store, RemoteStore) or not _takes_uploads(store.capabilities):
        return None
    noting = await begin_noting(context, place)
    try:
        handle = await store.maker(noting.new_mark).begin_upload(place.info, noting.mark)
    except S3Error as error:
        if is_undone(error):
            await forget_notes(context, (noting.last,))
        raise
    noted = noting.last
    failpoint(FailPoint.AFTER_DATA_STORED)
    return PlaceUpload(_location(place, marked(handle, noted.mark), 0, ""), (noted,))


async def give_up_there(context: Context, begun: PlaceUpload) -> None:
    """End an upload whose record was refused. A failure is logged and not raised."""
    if await delete_data(context, (begun.handle,)):
        await forget_notes(context, begun.notes)


def handle_of(context: Context, upload: UploadRecord) -> tuple[RemoteStore, Stored] | None:
    """The place of an upload, and its handle there; None for one that is ours alone. Raises
    NotImplemented for a place that is not known any more."""
    location = upload.handle
    if location is None:
        return None
    store: DataStore = context.services.locations.holder(location)
    assert isinstance(store, RemoteStore)
    return store, stored_blob(location)


def is_part_of_its_upload(location: DataLocation) -> bool:
    """Whether data goes with an upload of its place's own."""
    return PART_OF in (location.members or ())


async def stay_with(
    context: Context, upload: StoredUpload, parts: Sequence[StoredPart]
) -> StoredUpload:
    """Commit which parts the place is about to be asked to complete; the upload as it is then.
    Raises InvalidPart when it was asked to complete others, and ChangedError."""
    if not any(part.record.size for part in parts):
        return upload  # there is nothing to ask
    names = [f"{part.record.number} {part.record.etag}" for part in parts]
    wanted = hashlib.sha256("\n".join(names).encode()).hexdigest()
    document = upload.record.document
    if _COMPLETES in document:
        if document[_COMPLETES] != wanted:
            raise S3Error("InvalidPart", fields={"UploadId": upload.upload_id})
        return upload
    record = UploadRecord({**document, _COMPLETES: wanted})
    bucket = context.bucket.name
    return await context.services.uploads.replace(bucket, upload, record, context.request_id)


async def stay_no_longer(context: Context, upload: StoredUpload, refusal: S3Error) -> None:
    """Take back what ``stay_with`` has committed, if the place has refused these parts as they are:
    it has made nothing of them, and the next ones may be others. Raises S3Error."""
    document = upload.record.document
    if _COMPLETES not in document or refusal.code not in _REFUSALS:
        return
    record = UploadRecord({name: document[name] for name in document if name != _COMPLETES})
    with suppress(ChangedError):  # somebody else has, or has completed it
        await context.services.uploads.replace(
            context.bucket.name, upload, record, context.request_id
        )


async def complete_there(
    context: Context,
    upload: UploadRecord,
    parts: Sequence[StoredPart],
    described: DescribedObject,
    etag: str,
) -> list[DataLocation]:
    """Have the place make one blob of the parts; where it is. None of bytes that are none: then the
    upload is still to be ended there. ``etag`` is that of the object.

    Raises S3Error: InvalidPart, EntityTooSmall, NoSuchUpload, and what ``PlaceError`` says.
    """
    found = handle_of(context, upload)
    assert found is not None
    store, handle = found
    listed = [_uploaded(part, handle) for part in parts if part.record.size]
    if not listed:
        return []
    info = info_of(context, described, upload.tags)
    blob = await store.complete_upload(handle, listed, info)
    size = sum(part.size for part in listed)
    if blob.size != size:
        context.log.error(
            "a place made something else of an upload's parts",
            location=upload.location,
            mark=mark_of(handle),
        )
        raise S3Error("InternalError")
    failpoint(FailPoint.AFTER_PLACE_COMPLETION)
    assert upload.handle is not None
    place = Destination(store, upload.handle.store_name, info)
    return [_location(place, marked(blob, mark_of(handle) or ""), size, f"1:{blob.etag or etag}")]


def _takes_uploads(capabilities: Capabilities) -> bool:
    """Whether any upload that S3 allows can be one of a place's own, but for the size of parts."""
    most = capabilities.parts_max
    return capabilities.multipart and (most is None or most >= limits.PARTS_MAX)


def _location(place: Destination, blob: Stored, size: int, etag: str) -> DataLocation:
    return DataLocation(
        key=blob.key,
        size=size,
        start=0,
        store_name=place.name,
        store_type=place.store.type,
        store_etag=etag,
        members=blob.members(),
    )


def _uploaded(part: StoredPart, handle: Stored) -> UploadedPart:
    record = part.record
    parts_of = [(each.members or {}).get(PART_OF) for each in record.locations]
    if parts_of != [handle.extra[UPLOAD]]:
        raise S3Error(
            "NotImplemented",
            "A part of this upload is not stored where its upload is. This server cannot complete "
            "it.",
            {"PartNumber": str(record.number)},
        )
    return UploadedPart(record.number, record.size, record.etag, stored_blob(record.locations[0]))
