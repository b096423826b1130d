"""Uploads that the original has begun to complete, and perhaps not ended.

It says so in the overview (``completeInProgress``), stores the object, and only then removes the
upload. When it stops in between, the object owns the parts' data already: giving that up with the
parts, or making a second object of it, would lose it. And where that object has been replaced or
removed since, the data is about to go, or has gone, with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from s3front.bodies.blob_reading import opened
from s3front.context import Context
from s3front.locations.base import DataNotFoundError, stored_blob
from s3front.metadata.kept_buckets import StoredBucket
from s3front.metadata.object_store import StoredObject
from s3front.metadata.upload_store import StoredPart, StoredUpload
from s3front.objects.object_record import ObjectRecord
from s3front.objects.versioning import NULL, Version
from s3front.operations.place_uploads import is_part_of_its_upload
from shared import limits
from shared.listing.delimiter_versions import VersionsQuery
from shared.records.data_location import DataLocation
from shared.records.names import DEAD_LETTERS, DELETIONS

_VERSIONS_MAX = 200
"""How many versions of a key are looked at, the newest ones: more than there can be of one upload
that is still there."""


def is_made_by(current: StoredObject | None, upload_id: str) -> bool:
    """Whether an object is what this upload was completed to."""
    return current is not None and current.record.upload_id == upload_id


async def completed_object(
    context: Context, bucket: StoredBucket, current: StoredObject | None, upload: StoredUpload
) -> ObjectRecord | None:
    """The object that an upload, which is still there, has become; None for any other upload."""
    if current is not None and is_made_by(current, upload.upload_id):
        return current.record
    if not upload.record.is_completing or not bucket.record.has_versions:
        return None
    for version in await _versions(context, bucket, upload.key):
        if version is not None and is_made_by(version, upload.upload_id):
            return version.record
    return None


async def _versions(context: Context, bucket: StoredBucket, key: str) -> list[StoredObject | None]:
    """The newest versions of a key."""
    query = VersionsQuery(prefix=key, keys_max=_VERSIONS_MAX)
    services = context.services
    page = await services.listings.versions(bucket.name, query, context.request_id)
    wanted = [
        (key, Version(version_id))
        for name, version_id, _, listed in page.versions
        if name == key and version_id is not None and not listed.is_null
    ]
    wanted.append((key, NULL))
    _, found = await services.objects.read_versions(bucket.name, wanted, context.request_id)
    return found


async def used_parts(
    context: Context, bucket: str, upload: StoredUpload, record: ObjectRecord
) -> list[int]:
    """The numbers of the parts whose data a completed object owns."""
    owned = {location.key for location in record.locations}
    parts = await context.services.uploads.parts(
        bucket, upload.upload_id, 0, limits.PARTS_MAX, context.request_id
    )
    return [
        part.number
        for part in parts
        if any(
            location.key in owned and not is_part_of_its_upload(location)
            for location in part.locations
        )
    ]


async def are_given_up(context: Context, upload: StoredUpload, parts: Sequence[StoredPart]) -> bool:
    """Whether the object that an upload had become is no more, so that nothing can be made of its
    parts: their data waits for its deletion, or is deleted.

    It is to be asked after the object was looked for. The queue is read before the data is looked
    at: an entry leaves it when its data is gone.
    """
    if not upload.record.is_completing:
        return False
    locations = [location for part in parts for location in part.record.locations]
    named = {location.key for location in locations}
    for queue in (DELETIONS, DEAD_LETTERS):
        async for page in context.services.metadata.pages(queue, {}, context.request_id):
            if not all(named.isdisjoint(_texts(value)) for _, value in page):
                return True
    for location in locations:
        if not await _exists(context, location):
            return True
    return False


def _texts(value: str) -> list[str]:
    """The strings of a document, among others; also of one that is a string of another, as the
    entry of a dead letter is. Not parsed: a queue may be long, and entries of any form."""
    return value.replace("\\", "").split('"')


async def _exists(context: Context, location: DataLocation) -> bool:
    blob = stored_blob(location)
    try:
        reader = await opened(context.services.locations.holder(location), blob, 0, 0)
    except DataNotFoundError:
        return False
    reader.close()
    return True
