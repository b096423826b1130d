"""A RING as a location, through sproxyd, which runs on each of its connectors.

    PUT     <path><key>           store a blob                 200
    GET     <path><key>           read it, or a Range of it    200, 206; 404
    DELETE  <path><key>           remove it                    200; 404, 423
    POST    <path>.batch_delete   {"keys": [...]}              200
    GET     <path>.conf           the configuration: is it there?

Follows reference/cloudserver-features.md, section 5. Keys are made here, from the mark of each blob
(``sproxyd_keys``), so that what nobody acknowledged is found by its mark. A blob never changes: the
RING is told so by a header, and may answer from any of its copies. To store one again, with the
same bytes, is to store it once; so requests may go from host to host (``bootstrap``).

423 is what a blob says that another request removes at the same time.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Sequence
from typing import Final

import orjson

from s3front.locations.base import Capabilities, DataNotFoundError, ObjectInfo, Stored
from s3front.locations.bootstrap import STALL_SECONDS_MAX, Answer, Bootstrap, text_of
from s3front.locations.dmd_file import PASSAGE_BYTES_MIN
from s3front.locations.http_call import SourceError
from s3front.locations.http_client import Response
from s3front.locations.remote_store import (
    Finding,
    PlaceError,
    RemoteStore,
    Trouble,
    named,
    new_mark,
)
from s3front.locations.ring import SproxydDetails
from s3front.locations.ring_reader import RingReader
from s3front.locations.sproxyd_keys import KEY, sproxyd_key

BATCH_KEYS_MAX: Final = 100
"""The original's client sends 1,000; a deletion that comes to no end within seconds is begun again.
"""

_BLOB: Final = "application/octet-stream"
_JSON: Final = "application/json"
_TROUBLES: Final = {
    **dict.fromkeys((401, 403, 404, 405), Trouble.REFUSED),
    413: Trouble.UNFIT,  # a blob is too large for a server in front
}
_LOOK: Final = ObjectInfo("look", "look", _BLOB, {})
_LOOK_BODY: Final = b"twofold looks whether it can keep data here"


class SproxydStore(RemoteStore):
    """See ``remote_store.RemoteStore``. Make it inside the event loop; ``close`` it."""

    type = "scality"
    capabilities = Capabilities(ranges=True, deletes_at_once=BATCH_KEYS_MAX)

    def __init__(self, details: SproxydDetails, stall_seconds: float = STALL_SECONDS_MAX) -> None:
        self._hosts = Bootstrap("sproxyd", details.bootstrap, stall_seconds)
        self._path = details.base_path
        self._class = details.class_of_service

    async def close(self) -> None:
        await self._hosts.close()

    async def put(
        self, size: int, body: bytes | AsyncGenerator[bytes, None], info: ObjectInfo, mark: str = ""
    ) -> Stored:
        key = sproxyd_key(info.bucket, mark or new_mark(), self._class)
        headers = {**_headers(_BLOB), "Content-Length": str(size)}
        try:
            answer = await self._hosts.ask("PUT", self._path + key, headers, body)
        except SourceError as error:
            failure = error.error
        else:
            await self._finish(answer, (200,))
            return Stored(key, size)
        try:
            # Not where the other error is handled: each would name the other.
            raise failure
        finally:
            del failure

    async def open(self, blob: Stored, start: int, end: int) -> RingReader:
        if KEY.fullmatch(blob.key) is None:
            raise DataNotFoundError(named(blob))

        async def ask(offset: int) -> Answer:
            return await self._get(blob, offset, end)

        return RingReader(await ask(start), start, end, ask, self._hosts.leave)

    async def _get(self, blob: Stored, start: int, end: int) -> Answer:
        """The answer that holds the bytes ``start`` to ``end`` (included) of a blob."""
        whole = start == 0 and end == blob.size - 1
        length = end - start + 1
        headers = _headers(_BLOB)
        if not whole:
            headers["Range"] = f"bytes={start}-{end}"
        holds = length >= PASSAGE_BYTES_MIN
        answer = await self._hosts.ask("GET", self._path + blob.key, headers, holds=holds)
        response = answer.response
        if response.status == 404 and not _is_page(response):
            await text_of(response)
            raise DataNotFoundError(named(blob))
        if response.status != (200 if whole else 206) or _is_page(response):
            raise await self._refused(answer)
        if not _is_right(response, blob, start, end, whole=whole):
            response.close()
            found = response.headers.get("Content-Range", "no range")
            reason = f"sproxyd has other bytes of {named(blob)}: {response.length} of them, {found}"
            raise PlaceError(Trouble.BROKEN, f"{reason}, where {blob.size} were stored")
        return answer

    async def delete(self, blob: Stored) -> None:
        if KEY.fullmatch(blob.key) is not None:
            await self._delete(blob.key)

    async def delete_many(self, blobs: Sequence[Stored]) -> None:
        keys = [blob.key for blob in blobs if KEY.fullmatch(blob.key) is not None]
        body = orjson.dumps({"keys": keys})
        headers = {**_headers(_JSON), "Content-Length": str(len(body))}
        answer = await self._hosts.ask("POST", self._path + ".batch_delete", headers, body)
        await self._finish(answer, (200,))

    async def remove_strays(self, info: ObjectInfo, mark: str) -> None:
        await self._delete(sproxyd_key(info.bucket, mark, self._class))

    async def look(self, *, thorough: bool) -> Sequence[Finding]:
        found = [await self._look_at(host) for host in self._hosts.hosts]
        if not any(finding.is_good for finding in found):
            reasons = "; ".join(f"{finding.what}: {finding.words}" for finding in found)
            raise PlaceError(Trouble.UNREACHED, f"no sproxyd answers: {reasons}")
        if thorough:
            found += await self._try()
        return found

    async def _look_at(self, host: str) -> Finding:
        target = self._path + ".conf"
        try:
            response = await self._hosts.ask_host(host, "GET", target, _headers(_BLOB))
            await text_of(response)
        except OSError as error:
            return Finding(host, False, f"does not answer: {str(error) or 'not in time'}")
        if response.status != 200 or _is_page(response):
            words = f"answers {response.status} to {target}: is this sproxyd, and this its path?"
            return Finding(host, False, words)
        return Finding(host, True, "answers")

    async def _try(self) -> list[Finding]:
        """Store, read and remove a blob; what fails ends it."""
        found: list[Finding] = []
        what = "store a blob"
        try:
            blob = await self.put(len(_LOOK_BODY), _LOOK_BODY, _LOOK)
            found.append(Finding(what, True, "works"))
            what = "read part of a blob"
            reader = await self.open(blob, 8, 12)
            good = await reader.read() == _LOOK_BODY[8:13]
            found.append(Finding(what, good, "works" if good else "gives other bytes"))
            what = "remove a blob"
            await self.delete(blob)
            found.append(Finding(what, True, "works"))
        except DataNotFoundError:
            found.append(Finding(what, False, "what was stored is not there"))
        except PlaceError as error:
            found.append(Finding(what, False, error.reason))
        return found

    async def _delete(self, key: str) -> None:
        answer = await self._hosts.ask("DELETE", self._path + key, _headers(_BLOB))
        await self._finish(answer, (200, 204, 404, 423))

    async def _finish(self, answer: Answer, done: Sequence[int]) -> None:
        """Read an answer to its end, which has nothing to say but that it is done. Raises
        PlaceError."""
        if answer.response.status not in done or _is_page(answer.response):
            raise await self._refused(answer)
        text = await text_of(answer.response)
        if text.startswith("<"):
            raise PlaceError(Trouble.BROKEN, f"sproxyd {answer.host} answered with a web page")

    async def _refused(self, answer: Answer) -> PlaceError:
        trouble = _TROUBLES.get(answer.response.status, Trouble.BROKEN)
        if _is_page(answer.response):
            trouble = Trouble.BROKEN
        return await self._hosts.refusal(answer, trouble)


def _is_page(response: Response) -> bool:
    """Whether an answer is that of something in front, as no blob is a web page (``_BLOB``)."""
    return response.headers.get("Content-Type", "").lower().startswith("text/html")


def _is_right(response: Response, blob: Stored, start: int, end: int, *, whole: bool) -> bool:
    """Whether an answer holds these bytes of a blob, as far as it says."""
    if response.length not in (None, end - start + 1):
        return False
    expected = f"bytes {start}-{end}/{blob.size}"
    return whole or response.headers.get("Content-Range", expected) == expected


def _headers(content_type: str) -> dict[str, str]:
    """Those of every request. By its identifier it is found in the logs of sproxyd."""
    identifier = secrets.token_hex(10)
    return {
        "Content-Type": content_type,
        "X-Scal-Replica-Policy": "immutable",
        "X-Scal-Request-Uids": identifier,
        "X-Scal-Trace-Ids": identifier,
    }
