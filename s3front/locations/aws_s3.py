"""An S3 service as a location: Amazon's, or whoever speaks its protocol.

In a bucket that keeps versions each blob is stored under its natural name, and its version is what
it is read and deleted by. In one that keeps none, or none any more, nothing may be overwritten:

* Where the service keeps to the condition that there is no object of this name, it decides. A body
  that comes as a stream can be sent only once, so the name is looked at before; when somebody else
  has taken it until all of it was sent, the client has to send it again.
* Else, and where versioning is suspended (a delete marker hides what the next object would take the
  place of), a blob has a name of its own.

A body is not signed: its MD5 goes with it when it is there as a whole, and is held against the ETag
otherwise, so that what arrived is what was sent, be it over TLS or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from s3front.locations.base import Capabilities, ObjectInfo, Stored
from s3front.locations.location_config import Location, Surroundings
from s3front.locations.outbound import DIRECT, Outbound
from s3front.locations.remote_store import (
    PART_OF,
    UPLOAD,
    Finding,
    RemoteStore,
    UploadedPart,
    mark_of,
)
from s3front.locations.s3_answers import S3AnswerError
from s3front.locations.s3_bucket import S3Bucket, Versioning
from s3front.locations.s3_client import Body, S3Client
from s3front.locations.s3_details import S3Details
from s3front.locations.s3_found import find_mark, look_at, remove
from s3front.locations.s3_look import look
from s3front.locations.s3_objects import NULL_VERSION
from s3front.locations.s3_reading import S3Reader, open_object
from s3front.locations.s3_suspended import COPY_BYTES_MAX
from s3front.locations.s3_uploads import PART_BYTES_MAX, PART_BYTES_MIN, PARTS_MAX, S3Uploads
from s3front.locations.s3_writing import S3Writing
from shared.process.logs import EventLog

PUT_BYTES_MAX: Final = 5 * 1024**3

_OF_ONE_MARK_MAX: Final = 8
"""How many objects have one mark at most: as often as one is sent, when answers are lost."""


class AwsS3Store(RemoteStore):
    """See the module and ``RemoteStore``; ``name`` is the location's. Make it inside the event
    loop; ``close`` it."""

    def __init__(
        self, name: str, details: S3Details, log: EventLog, outbound: Outbound = DIRECT
    ) -> None:
        self._details = details
        self._client = S3Client(details, outbound, outbound.pool(self.type))
        self._bucket = S3Bucket(self._client, name, log, versions=details.versions)
        self._writing = S3Writing(self._client, self._bucket, details, name, log)
        self._uploads = S3Uploads(self._client, self._bucket, self._writing)

    @property
    def type(self) -> str:
        return "aws_s3"

    @property
    def capabilities(self) -> Capabilities:
        habits = self._bucket.known_habits
        return Capabilities(
            ranges=True,
            versions=self._bucket.known_versioning is Versioning.ON,
            multipart=True,
            copy=True,
            tags=self._bucket.known_tags is not False,
            create_only=habits is not None and habits.create_only,
            checksums=habits is None or habits.md5,
            encryption=self._details.encryption is not None,
            blob_bytes_max=PUT_BYTES_MAX,
            part_bytes_min=PART_BYTES_MIN,
            part_bytes_max=PART_BYTES_MAX,
            parts_max=PARTS_MAX,
        )

    async def close(self) -> None:
        await self._client.close()

    async def put(self, size: int, body: Body, info: ObjectInfo, mark: str = "") -> Stored:
        return await self._writing.put(size, body, info, mark)

    async def open(self, blob: Stored, start: int, end: int) -> S3Reader:
        return await open_object(self._client, blob, start, end)

    async def delete(self, blob: Stored) -> None:
        if PART_OF in blob.extra:
            return
        if UPLOAD in blob.extra:
            await self._uploads.abort(blob)
        elif blob.version not in (None, NULL_VERSION):
            await remove(self._client, blob.key, blob.version)
        else:
            await self._delete_unversioned(blob)

    async def _delete_unversioned(self, blob: Stored) -> None:
        for version in await self._places_of_unversioned():
            if await self._is_there(blob, version):
                await remove(self._client, blob.key, version)
                return

    async def _places_of_unversioned(self) -> tuple[str | None, ...]:
        """Which versions what has none may be by now."""
        if await self._bucket.versioning() is Versioning.OFF:
            return (None,)
        return (NULL_VERSION, None)

    async def _is_there(self, blob: Stored, version: str | None) -> bool:
        """Whether what has its name is the blob: by its mark, unless another front-end has stored
        it, and its ETag. Whoever changes an object there in place leaves it its metadata, and the
        mark with them."""
        mark = mark_of(blob)
        found = await look_at(self._client, blob.key, version)
        if found is None or mark not in (None, found.mark):
            return False
        return found.etag == blob.etag or (mark is not None and None in (found.etag, blob.etag))

    async def remove_strays(self, info: ObjectInfo, mark: str) -> None:
        versions = await self._bucket.versioning() is not Versioning.OFF
        for name in self._writing.names(info, mark):
            await self._remove_strays_of(name, mark, versions=versions)
        for name in self._writing.former(info, mark):
            try:
                await self._remove_strays_of(name, mark, versions=versions)
            except S3AnswerError as error:
                if error.status != 400:
                    raise  # else the service takes no such name: there is nothing

    async def _remove_strays_of(self, name: str, mark: str, *, versions: bool) -> None:
        await self._uploads.remove_strays(name, mark)
        for _ in range(_OF_ONE_MARK_MAX):
            found = await find_mark(self._client, name, mark, versions=versions)
            if found is None:
                break
            await remove(self._client, name, found.version)

    async def look(self, *, thorough: bool) -> Sequence[Finding]:
        return await look(self._client, self._bucket, self._details, thorough=thorough)

    async def begin_upload(self, info: ObjectInfo, mark: str) -> Stored:
        return await self._uploads.begin(info, mark)

    async def put_part(self, upload: Stored, number: int, size: int, body: Body) -> Stored:
        return await self._uploads.put_part(upload, number, size, body)

    async def complete_upload(
        self, upload: Stored, parts: Sequence[UploadedPart], info: ObjectInfo
    ) -> Stored:
        return await self._uploads.complete(upload, parts, info)

    async def copy(
        self, source: RemoteStore, blob: Stored, info: ObjectInfo, mark: str
    ) -> Stored | None:
        if not isinstance(source, AwsS3Store) or source.type != self.type:
            return None
        if blob.size > COPY_BYTES_MAX:
            return None
        if not _is_one_account(source._details, self._details):
            return None
        try:
            return await self._writing.copy(source._details, blob, info, mark)
        except S3AnswerError as error:
            # Whoever may read there and write here may still not be allowed to do both in one.
            if error.status in (403, 412) or error.is_unknown_call or error.is_absence:
                return None
            raise

    async def put_tags(self, blob: Stored, tags: Mapping[str, str]) -> None:
        if blob.version not in (None, NULL_VERSION):
            await self._writing.put_tags(blob, tags)
            return
        for version in await self._places_of_unversioned():
            if await self._is_there(blob, version):
                await self._writing.put_tags(replace(blob, version=version), tags)
                return


def _is_one_account(one: S3Details, other: S3Details) -> bool:
    """Whether two buckets are reached at one endpoint with one key."""
    return (one.host, one.port, one.key_pair, one.profile) == (
        other.host,
        other.port,
        other.key_pair,
        other.profile,
    )


def make_store(location: Location, surroundings: Surroundings) -> AwsS3Store:
    """See ``LocationType.make``."""
    assert isinstance(location.details, S3Details)
    return AwsS3Store(location.name, location.details, surroundings.log, surroundings.outbound)
