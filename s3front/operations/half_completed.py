"""Uploads that the original has begun to complete, and perhaps not ended.

It says so in the overview (``completeInProgress``), stores the object, and only then removes the
upload. When it stops in between, the object owns the parts' data already: giving that up with the
parts, or making a second object of it, would lose it.
"""

from __future__ import annotations

from s3front.context import Context
from s3front.metadata.kept_buckets import StoredBucket
from s3front.metadata.object_store import StoredObject
from s3front.metadata.upload_store import StoredUpload
from s3front.objects.object_record import ObjectRecord
from s3front.objects.versioning import NULL, Version
from shared import limits
from shared.listing.delimiter_versions import VersionsQuery

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
        part.number for part in parts if any(location.key in owned for location in part.locations)
    ]
