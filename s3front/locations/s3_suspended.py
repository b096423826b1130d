"""What was stored under a natural name in a bucket that turns out to keep versions no more.

Whoever stores under that name next takes the place of it: another process that does not know yet
that versioning was suspended, or somebody else. So nobody is told that it was stored before the
service has copied it to a name of its own, which no other blob ever has. When another one has
taken its place already, the copy is refused, as it is bound to the ETag, and the request fails.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from s3front.locations.base import Stored
from s3front.locations.remote_store import MARK, PlaceError, Trouble, mark_of, own_name
from s3front.locations.s3_answers import S3AnswerError, etag_said
from s3front.locations.s3_bucket import S3Bucket, Versioning
from s3front.locations.s3_client import S3Call, S3Client
from s3front.locations.s3_found import copy_source, look_at, remove
from s3front.locations.s3_objects import NAME_BYTES_MAX, NULL_VERSION, is_unused_name

COPY_BYTES_MAX: Final = 5 * 1024**3
"""The largest object that one call copies."""

LONG_STALL_SECONDS_MAX: Final = 300.0
"""How long the service may be silent over what takes it long to do, and what it does not do as one
that is asked and answers blanks meanwhile."""

MD5: Final = re.compile("[0-9a-f]{32}")
OF_PARTS: Final = re.compile("[0-9a-f]{32}-[0-9]+")

_TAKEN: Final = "versioning is suspended, and its name was taken by another object"


def is_exposed(blob: Stored) -> bool:
    """Whether a blob has neither a version nor a name of its own."""
    return blob.version is None and not is_unused_name(blob.key, mark_of(blob))


def name_instead(blob: Stored) -> str:
    """The name of its own that a blob with a natural one is moved to."""
    return own_name(blob.key, mark_of(blob) or "", NAME_BYTES_MAX)


async def null_version(bucket: S3Bucket) -> str | None:
    """What a blob is now that was stored as no version. Raises PlaceError."""
    return None if await bucket.versioning() is Versioning.OFF else NULL_VERSION


async def remove_if_there(client: S3Client, blob: Stored, version: str | None) -> bool:
    """Remove what is there as no version if it is the blob, and say so. Raises PlaceError."""
    found = await look_at(client, blob.key, version)
    if found is None or (found.mark, found.etag) != (mark_of(blob), blob.etag):
        return False
    await remove(client, blob.key, version)
    return True


class Moving:
    """Moves blobs of a bucket, which is called ``place`` at the service."""

    def __init__(self, client: S3Client, bucket: S3Bucket, place: str) -> None:
        self._client = client
        self._bucket = bucket
        self._place = place

    async def move(self, blob: Stored, headers: Mapping[str, str]) -> Stored:
        """The blob under a name of its own, stored with these headers. Raises PlaceError: BUSY when
        nothing of it may be left, SILENT when it may."""
        version = await null_version(self._bucket)
        try:
            return await self._moved(blob, version, headers)
        except PlaceError as error:
            reason = error.reason
        try:
            await remove_if_there(self._client, blob, version)
        except PlaceError as error:
            raise PlaceError(Trouble.SILENT, f"{reason}; left there: {error.reason}") from None
        raise PlaceError(Trouble.BUSY, reason)

    async def move_completed(self, blob: Stored, headers: Mapping[str, str]) -> Stored:
        """The same of what an upload of parts has become; of what was moved before it answers the
        same. When it fails with PlaceError, all is as it was, and it can be tried again."""
        version = await null_version(self._bucket)
        moved = await self.found_moved(blob)
        if moved is not None:
            await remove_if_there(self._client, blob, version)
            return moved
        if blob.size > COPY_BYTES_MAX:
            reason = "versioning is suspended, and an object is too large to be copied there"
            raise PlaceError(Trouble.BUSY, reason)
        try:
            return await self._moved(blob, version, headers)
        except PlaceError as error:
            raise PlaceError(Trouble.BUSY, error.reason) from None

    async def found_moved(self, blob: Stored) -> Stored | None:
        """What was moved before; None for nothing. Raises PlaceError."""
        name, mark = name_instead(blob), mark_of(blob)
        found = await look_at(self._client, name)
        if found is None or mark is None or found.mark != mark:
            return None
        version = None if found.version == NULL_VERSION else found.version
        return Stored(name, blob.size, version, found.etag, {MARK: mark})

    async def _moved(self, blob: Stored, version: str | None, headers: Mapping[str, str]) -> Stored:
        """Raises PlaceError, with the blob where it was."""
        condition = {"x-amz-copy-source-if-match": f'"{blob.etag}"'}
        copying = {
            **headers,
            **({} if blob.etag is None else condition),
            "x-amz-copy-source": copy_source(self._place, blob.key, version),
            "x-amz-metadata-directive": "REPLACE",
            "x-amz-tagging-directive": "REPLACE",
        }
        name = name_instead(blob)
        call = S3Call("PUT", name, headers=copying, stall_seconds=LONG_STALL_SECONDS_MAX)
        try:
            answer, tree = await self._client.read(call)
        except S3AnswerError as error:
            if error.status == 412 or error.is_absence:
                raise PlaceError(Trouble.BUSY, _TAKEN) from None
            raise
        etag = etag_said(tree, call.what)
        made = self._bucket.saw(answer)
        if not await remove_if_there(self._client, blob, version) and not _is_same(blob, etag):
            # Not every service looks at conditions: this may be a copy of the other object.
            await remove(self._client, name, made)
            raise PlaceError(Trouble.BUSY, _TAKEN)
        return Stored(name, blob.size, made, etag, blob.extra, blob.md5)


def _is_same(blob: Stored, etag: str) -> bool:
    return etag == blob.etag and MD5.fullmatch(etag) is not None
