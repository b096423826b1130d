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

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final

import msgspec

from s3front.locations.base import Capabilities, DataNotFoundError, ObjectInfo, Stored
from s3front.locations.http_client import Response
from s3front.locations.location_config import Location, Surroundings
from s3front.locations.remote_store import (
    MARK,
    PART_OF,
    UPLOAD,
    Finding,
    PlaceError,
    RemoteStore,
    Trouble,
    mark_of,
    new_mark,
)
from s3front.locations.s3_answers import S3AnswerError, unquoted
from s3front.locations.s3_bucket import (
    ENCRYPTION_HEADER,
    S3Bucket,
    Versioning,
)
from s3front.locations.s3_client import Body, S3Call, S3Client
from s3front.locations.s3_details import S3Details
from s3front.locations.s3_found import NULL_VERSION, find_mark, look_at, of_version
from s3front.locations.s3_look import look
from s3front.locations.s3_objects import (
    free_name,
    is_unused_name,
    object_headers,
    unused_name,
)
from s3front.s3_errors import S3Error
from shared.process.logs import EventLog

PUT_BYTES_MAX: Final = 5 * 1024**3

_MD5: Final = re.compile("[0-9a-f]{32}")
_DIGEST_IN_THREAD_BYTES: Final = 256 * 1024


class AwsS3Store(RemoteStore):
    """See the module and ``RemoteStore``; ``name`` is the location's. Make it inside the event
    loop; ``close`` it."""

    def __init__(self, name: str, details: S3Details, log: EventLog) -> None:
        self._name = name
        self._details = details
        self._log = log
        self._client = S3Client(details)
        self._bucket = S3Bucket(self._client, name, log, versions=details.versions)
        self._has_omitted = False

    @property
    def type(self) -> str:
        return "aws_s3"

    @property
    def capabilities(self) -> Capabilities:
        habits = self._bucket.known_habits
        return Capabilities(
            ranges=True,
            versions=self._bucket.known_versioning is Versioning.ON,
            create_only=habits is not None and habits.create_only,
            checksums=habits is None or habits.md5,
            encryption=self._details.encryption is not None,
            blob_bytes_max=PUT_BYTES_MAX,
        )

    async def close(self) -> None:
        await self._client.close()

    # -- Writing ----------------------------------------------------------------------------------

    async def put(self, size: int, body: Body, info: ObjectInfo, mark: str = "") -> Stored:
        mark = mark or new_mark()
        versioning = await self._bucket.versioning()
        habits = await self._bucket.habits()
        name = free_name(
            info, bucket_match=self._details.bucket_match, is_amazon=self._details.is_amazon
        )
        new = _NewBlob(size, await _with_md5(body), self._headers(info, mark), mark)
        if name is not None and versioning is Versioning.ON:
            return await self._stored(name, new)
        if name is not None and versioning is Versioning.OFF and habits.create_only:
            stored = await self._stored_once(name, new)
            if stored is not None:
                return stored
        return await self._stored(self._unused_name(info, mark), new)

    def _unused_name(self, info: ObjectInfo, mark: str) -> str:
        details = self._details
        return unused_name(
            info, mark, bucket_match=details.bucket_match, is_amazon=details.is_amazon
        )

    def _headers(self, info: ObjectInfo, mark: str) -> dict[str, str]:
        headers, omitted = object_headers(info, mark)
        if self._details.encryption is not None:
            headers[ENCRYPTION_HEADER] = self._details.encryption
        if omitted and not self._has_omitted:
            self._has_omitted = True
            self._log.warning(
                "metadata of an object has no room at a location, and is in its record alone",
                location=self._name,
                bucket=info.bucket,
                key=info.key,
            )
        return headers

    async def _stored_once(self, name: str, new: _NewBlob) -> Stored | None:
        """Store a blob under a name that nobody has; None, and nothing is gone of its body, if
        somebody has it."""
        streams = not isinstance(new.body.data, bytes)
        if streams and not await self._is_free(name):
            return None
        try:
            return await self._stored(name, new, {"If-None-Match": "*"})
        except S3AnswerError as error:
            if error.status not in (409, 412):
                raise
        if streams:
            raise PlaceError(Trouble.BUSY, "the name was taken while the object was sent")
        return None

    async def _is_free(self, name: str) -> bool:
        try:
            return await look_at(self._client, name) is None
        except S3AnswerError as error:
            # Who may not list a bucket does not learn that there is no such object.
            if error.status == 403:
                return False
            raise

    async def _stored(self, name: str, new: _NewBlob, condition: Mapping[str, str] = {}) -> Stored:
        headers = {**new.headers, **new.body.headers, **condition}
        call = S3Call("PUT", name, headers=headers, body=new.body.data, size=new.size)
        answer = await self._client.done(call)
        version = self._bucket.saw(answer)
        etag = unquoted(answer.get("ETag"))
        stored = Stored(name, new.size, version, etag, {MARK: new.mark}, self._md5_in(answer))
        if new.body.md5 is not None and stored.md5 not in (None, new.body.md5):
            await self.delete(stored)
            raise PlaceError(Trouble.BROKEN, "other bytes were stored than those that were sent")
        return stored

    def _md5_in(self, answer: Mapping[str, str]) -> str | None:
        """The MD5 of what was stored at once, in hex, if the answer says it."""
        etag, habits = unquoted(answer.get("ETag")), self._bucket.known_habits
        if etag is None or _MD5.fullmatch(etag) is None or habits is None or not habits.md5:
            return None
        # Amazon S3 API reference, "Object": so encrypted, it is another one.
        return None if answer.get(ENCRYPTION_HEADER, "").startswith("aws:kms") else etag

    # -- Reading ----------------------------------------------------------------------------------

    async def open(self, blob: Stored, start: int, end: int) -> S3Reader:
        if UPLOAD in blob.extra or PART_OF in blob.extra:
            raise DataNotFoundError(blob.key)
        version = None if blob.version == NULL_VERSION else blob.version
        if version is not None or blob.etag is None:
            return await self._open(blob, (start, end), blob.version)
        try:
            return await self._open(blob, (start, end), None)
        except (DataNotFoundError, S3AnswerError) as error:
            if isinstance(error, S3AnswerError) and error.status != 412:
                raise
            # What was stored before versions were kept is a version since.
            found = await look_at(self._client, blob.key, NULL_VERSION)
            if found is None or found.etag != blob.etag:
                raise
        return await self._open(blob, (start, end), NULL_VERSION)

    async def _open(self, blob: Stored, span: tuple[int, int], version: str | None) -> S3Reader:
        start, end = span
        is_whole = start == 0 and end == blob.size - 1
        headers = {"Accept-Encoding": "identity"}
        if not is_whole:
            headers["Range"] = f"bytes={start}-{end}"
        if blob.etag is not None and version in (None, NULL_VERSION):
            headers["If-Match"] = f'"{blob.etag}"'
        try:
            response = await self._client.ask(S3Call("GET", blob.key, of_version(version), headers))
        except S3AnswerError as error:
            if error.is_absence or error.status == 405:  # a delete marker
                raise DataNotFoundError(blob.key) from None
            if error.place_code == "InvalidObjectState":
                raise S3Error("InvalidObjectState") from error
            raise
        wanted = "" if is_whole else f"bytes {start}-{end}/{blob.size}"
        if (
            response.headers.get("Content-Range", "") == wanted
            and response.status == (200 if is_whole else 206)
            and response.length in (None, end - start + 1)
            and ("If-Match" not in headers or _etag_in(response) == blob.etag)
        ):
            return S3Reader(response, end - start + 1)
        response.close()
        raise PlaceError(Trouble.BROKEN, "an object is another one than that which was stored")

    # -- Removing ---------------------------------------------------------------------------------

    async def delete(self, blob: Stored) -> None:
        if PART_OF in blob.extra:
            return
        if blob.version not in (None, NULL_VERSION):
            await self._remove(blob.key, blob.version)
            return
        mark = mark_of(blob)
        versioning = await self._bucket.versioning()
        version = None if versioning is Versioning.OFF else NULL_VERSION
        if not is_unused_name(blob.key, mark):
            found = await look_at(self._client, blob.key, version)
            if found is None or not _is_same(found.mark, mark, found.etag, blob.etag):
                return
        await self._remove(blob.key, version)

    async def _remove(self, name: str, version: str | None) -> None:
        try:
            await self._client.done(S3Call("DELETE", name, of_version(version)))
        except S3AnswerError as error:
            if not error.is_absence:
                raise

    async def remove_strays(self, info: ObjectInfo, mark: str) -> None:
        details = self._details
        versioning = await self._bucket.versioning()
        keeps = versioning is not Versioning.OFF
        own = self._unused_name(info, mark)
        natural = free_name(info, bucket_match=details.bucket_match, is_amazon=details.is_amazon)
        for name in (natural, own):
            if name is None:
                continue
            found = await find_mark(self._client, name, mark, versions=keeps)
            if found is not None:
                await self._remove(name, found.version)

    # -- Looking ----------------------------------------------------------------------------------

    async def look(self, *, thorough: bool) -> Sequence[Finding]:
        return await look(self._client, self._bucket, self._details, thorough=thorough)


class _Body(msgspec.Struct, frozen=True):
    """Bytes to send, with their MD5 in hex if that is known."""

    data: Body
    md5: str | None
    headers: Mapping[str, str]


class _NewBlob(msgspec.Struct, frozen=True):
    size: int
    body: _Body
    headers: Mapping[str, str]
    mark: str


class S3Reader:
    """An object that is being read; see ``base.DataReader``."""

    def __init__(self, response: Response, length: int) -> None:
        self._response = response
        self._length = length

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        left = self._length
        try:
            while block := await self._response.read():
                left -= len(block)
                if left < 0:
                    break
                yield block
        except OSError as error:
            raise _cut(error) from None
        if left:
            raise _cut(None)

    async def read(self) -> bytes:
        try:
            found = await self._response.read_all(self._length)
        except OSError as error:
            raise _cut(error) from None
        if len(found) != self._length:
            raise _cut(None)
        return found

    def close(self) -> None:
        self._response.close()


def _etag_in(response: Response) -> str | None:
    return unquoted(response.headers.get("ETag"))


def _cut(error: OSError | None) -> PlaceError:
    reason = "it has another length" if error is None else str(error) or "silent for too long"
    return PlaceError(Trouble.SILENT, f"an object was not read to its end: {reason}")


def _is_same(
    found_mark: str | None, mark: str | None, found_etag: str | None, etag: str | None
) -> bool:
    """Whether what is there is what a record means: by its mark, or, where another front-end has
    stored it, its ETag."""
    return found_mark == mark if mark is not None else found_etag == etag


async def _with_md5(body: Body) -> _Body:
    if not isinstance(body, bytes):
        return _Body(body, None, {})
    if len(body) > _DIGEST_IN_THREAD_BYTES:
        digest = await asyncio.to_thread(_md5, body)
    else:
        digest = _md5(body)
    return _Body(body, digest.hex(), {"Content-MD5": base64.b64encode(digest).decode()})


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def make_store(location: Location, surroundings: Surroundings) -> AwsS3Store:
    """See ``LocationType.make``."""
    assert isinstance(location.details, S3Details)
    return AwsS3Store(location.name, location.details, surroundings.log)
