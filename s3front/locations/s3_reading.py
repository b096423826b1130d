"""Reading objects of an S3 service: the one that a record means, or an error."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from s3front.locations.base import DataNotFoundError, Stored
from s3front.locations.http_client import Response
from s3front.locations.remote_store import PART_OF, UPLOAD, PlaceError, Trouble, named
from s3front.locations.s3_answers import S3AnswerError, unquoted
from s3front.locations.s3_bucket import version_of
from s3front.locations.s3_checksum import ASKING, Checksum, checksum_of
from s3front.locations.s3_client import S3Call, S3Client
from s3front.locations.s3_found import look_at, of_version
from s3front.locations.s3_objects import NULL_VERSION
from s3front.s3_errors import S3Error


async def open_object(client: S3Client, blob: Stored, start: int, end: int) -> S3Reader:
    """See ``RemoteStore.open``. What has no version has to have the ETag that it was stored
    with."""
    if UPLOAD in blob.extra or PART_OF in blob.extra:
        raise DataNotFoundError(named(blob))
    if blob.version not in (None, NULL_VERSION) or blob.etag is None:
        return await _open(client, blob, (start, end), blob.version)
    try:
        return await _open(client, blob, (start, end), None)
    except DataNotFoundError as error:
        failure: Exception = error
    except S3AnswerError as error:
        if error.status != 412:
            raise
        failure = error
    # What was stored before versions were kept is a version since.
    found = await look_at(client, blob.key, NULL_VERSION)
    if found is None or found.etag != blob.etag:
        raise failure if isinstance(failure, DataNotFoundError) else _overwritten(blob)
    return await _open(client, blob, (start, end), NULL_VERSION)


async def _open(
    client: S3Client, blob: Stored, span: tuple[int, int], version: str | None
) -> S3Reader:
    start, end = span
    is_whole = start == 0 and end == blob.size - 1
    headers = {"Accept-Encoding": "gzip" if client.is_google else "identity"}
    if is_whole:
        headers.update({} if client.is_google else ASKING)
    else:
        headers["Range"] = f"bytes={start}-{end}"
    if blob.etag is not None and version in (None, NULL_VERSION):
        headers["If-Match"] = f'"{blob.etag}"'
    try:
        response = await client.ask(S3Call("GET", blob.key, of_version(version), headers))
    except S3AnswerError as error:
        if error.is_absence or error.status == 405:  # a delete marker
            raise DataNotFoundError(named(blob)) from None
        if error.place_code == "InvalidObjectState":
            raise S3Error("InvalidObjectState") from error
        raise
    said = client.headers_of(response)
    etag = unquoted(said.get("ETag"))
    if not etag and version_of(said) is None:
        response.close()
        raise PlaceError(Trouble.BROKEN, "GET object: the answer has neither ETag nor version")
    wanted = "" if is_whole else f"bytes {start}-{end}/{blob.size}"
    if (
        response.headers.get("Content-Range", "") == wanted
        and response.status == (200 if is_whole else 206)
        and response.length in (None, end - start + 1)
        and (etag == blob.etag or _is_version(said, version, blob.etag))
    ):
        checksum = checksum_of(said) if is_whole else None
        return S3Reader(response, end - start + 1, checksum)
    response.close()
    raise _overwritten(blob)


def _is_version(said: Mapping[str, str], version: str | None, etag: str | None) -> bool:
    """Whether an answer that has another ETag than the record has the object nevertheless."""
    if version in (None, NULL_VERSION):
        return etag is None
    return version_of(said) == version


def _overwritten(blob: Stored) -> PlaceError:
    """The service has something else under the name of a blob. No name goes to the log."""
    reason = f"somebody else has overwritten or changed an object there: {named(blob)}"
    return PlaceError(Trouble.BROKEN, reason)


class S3Reader:
    """An object that is being read; see ``base.DataReader``. What the service says a ``checksum``
    of is given out but for its end, until it is found to be right."""

    def __init__(self, response: Response, length: int, checksum: Checksum | None) -> None:
        self._response = response
        self._length = length
        self._checksum = checksum

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        left, last = self._length, b""
        try:
            while block := await self._response.read():
                left -= len(block)
                if left < 0:
                    break
                if self._checksum is not None:
                    self._checksum.add(block)
                if left:
                    yield block
                else:
                    last = block
        except OSError as error:
            raise _cut(error) from None
        if left:
            raise _cut(None)
        self._check()
        if last:
            yield last

    async def read(self) -> bytes:
        try:
            found = await self._response.read_all(self._length + 1)
        except OSError as error:
            raise _cut(error) from None
        if len(found) != self._length:
            raise _cut(None)
        if self._checksum is not None:
            self._checksum.add(found)
        self._check()
        return found

    def _check(self) -> None:
        if self._checksum is not None and not self._checksum.is_right:
            raise PlaceError(Trouble.BROKEN, "other bytes came than those of the object")

    def close(self) -> None:
        self._response.close()


def _cut(error: OSError | None) -> PlaceError:
    reason = "it has another length" if error is None else str(error) or "silent for too long"
    return PlaceError(Trouble.SILENT, f"an object was not read to its end: {reason}")
