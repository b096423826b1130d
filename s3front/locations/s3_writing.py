"""New objects at an S3 service: what they are called, what they are stored with, and storing them.

See ``aws_s3`` for when a blob has its natural name.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping
from typing import Final
from xml.etree.ElementTree import Element

import msgspec
from msgspec.structs import replace

from s3front.locations.base import ObjectInfo, Stored
from s3front.locations.remote_store import MARK, PlaceError, Trouble, is_undone, named, new_mark
from s3front.locations.s3_answers import S3AnswerError, etag_in, etag_said, unquoted
from s3front.locations.s3_bucket import ENCRYPTION_HEADER, S3Bucket, Versioning
from s3front.locations.s3_client import Body, S3Call, S3Client
from s3front.locations.s3_details import S3Details
from s3front.locations.s3_found import copy_source, look_at, of_version, remove
from s3front.locations.s3_objects import (
    TAGGING_HEADER,
    fitting_tags,
    former_names,
    free_name,
    object_headers,
    tag_document,
    tagging,
    unused_name,
    with_tags_as_metadata,
)
from s3front.locations.s3_suspended import (
    LONG_STALL_SECONDS_MAX,
    MD5,
    OF_PARTS,
    Moving,
    is_exposed,
    null_version,
    remove_if_there,
)
from shared.process.logs import EventLog

_CREATE_ONLY: Final = {"If-None-Match": "*"}
_DIGEST_IN_THREAD_BYTES: Final = 256 * 1024


class SentBody(msgspec.Struct, frozen=True):
    """Bytes to send, with their MD5 in hex and the header that says it, if they are there."""

    data: Body
    md5: str | None
    headers: Mapping[str, str]


class _NewBlob(msgspec.Struct, frozen=True):
    size: int
    body: SentBody
    headers: Mapping[str, str]
    mark: str


class _Stored:
    """What is done while a new blob is there: when the place is not reached then, or refuses it,
    that does not tell that nothing is left."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if isinstance(error, PlaceError) and is_undone(error):
            raise PlaceError(Trouble.SILENT, f"a new blob is left: {error.reason}") from None


_STORED: Final = _Stored()


class S3Writing:
    """See the module; ``name`` is the location's."""

    def __init__(
        self, client: S3Client, bucket: S3Bucket, details: S3Details, name: str, log: EventLog
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._details = details
        self._name = name
        self._log = log
        self._has_omitted = False
        self.moving = Moving(client, bucket, details.bucket)

    async def put(self, size: int, body: Body, info: ObjectInfo, mark: str) -> Stored:
        """See ``RemoteStore.put``."""
        mark = mark or new_mark()
        versioning = await self._bucket.versioning()
        habits = await self._bucket.habits()
        headers, tags_left = await self.headers(info, mark)
        new = _NewBlob(size, await with_md5(body, info.md5), headers, mark)
        name, stored = self.natural(info), None
        if name is not None and versioning is Versioning.ON:
            stored = await self._stored(name, new)
            with _STORED:
                stored = await self._settled(stored, headers)
        elif name is not None and versioning is Versioning.OFF and habits.create_only:
            stored = await self._stored_once(name, new)
            if stored is not None:
                with _STORED:
                    if await self._bucket.versioning() is Versioning.SUSPENDED:
                        stored = await self._settled(stored, headers)
        if stored is None:
            stored = await self._stored(self.unused(info, mark), new)
        if tags_left:
            await self._put_left_tags(stored, info.tags)
        return stored

    # -- Names and headers ------------------------------------------------------------------------

    def natural(self, info: ObjectInfo) -> str | None:
        """The natural name of an object's blob; None where the service may not take it."""
        details = self._details
        return free_name(info, bucket_match=details.bucket_match, is_amazon=details.is_amazon)

    def unused(self, info: ObjectInfo, mark: str) -> str:
        """A name that no other blob has."""
        details = self._details
        return unused_name(
            info, mark, bucket_match=details.bucket_match, is_amazon=details.is_amazon
        )

    def names(self, info: ObjectInfo, mark: str) -> list[str]:
        """The names that a blob may have."""
        natural = self.natural(info)
        return [*([] if natural is None else [natural]), self.unused(info, mark)]

    def former(self, info: ObjectInfo, mark: str) -> list[str]:
        """More names, which older blobs may have."""
        details = self._details
        return former_names(
            info, mark, bucket_match=details.bucket_match, is_amazon=details.is_amazon
        )

    async def name(self, info: ObjectInfo, mark: str) -> str:
        """The name of a blob that nobody decides about at the moment in which it is there."""
        natural = self.natural(info)
        if natural is not None and await self._bucket.versioning() is Versioning.ON:
            return natural
        return self.unused(info, mark)

    async def headers(self, info: ObjectInfo, mark: str) -> tuple[dict[str, str], bool]:
        """Those of a new object, and whether its tags have to be put when it is there."""
        if self._client.is_google:
            info = with_tags_as_metadata(info)
        headers, omitted = object_headers(info, mark)
        if self._details.encryption is not None:
            headers[ENCRYPTION_HEADER] = self._details.encryption
        tags = fitting_tags(info.tags)
        if omitted or len(tags) < len(info.tags):
            self._note_omitted("metadata of an object has no room there", mark)
        if not tags or not await self._bucket.keeps_tags():
            return headers, False
        header = tagging(tags)
        if header is not None:
            headers[TAGGING_HEADER] = header
        return headers, header is None

    async def leaves_tags(self, info: ObjectInfo) -> bool:
        """Whether an object's tags have to be put when it is there."""
        return tagging(fitting_tags(info.tags)) is None and await self._bucket.keeps_tags()

    # -- Storing ----------------------------------------------------------------------------------

    async def _stored_once(self, name: str, new: _NewBlob) -> Stored | None:
        """Store a blob under a name that nobody has; None, and nothing is gone of its body, if
        somebody has it."""
        streams = not isinstance(new.body.data, bytes)
        if streams and not await self._is_free(name):
            return None
        try:
            return await self._stored(name, new, _CREATE_ONLY)
        except S3AnswerError as error:
            if error.status not in (409, 412):
                raise
        if streams:
            raise PlaceError(Trouble.BUSY, "the name was taken while the object was sent")
        return None

    async def _settled(self, blob: Stored, headers: Mapping[str, str]) -> Stored:
        """A new blob, where nobody can take the place of it."""
        return await self.moving.move(blob, headers) if is_exposed(blob) else blob

    async def _take_back(self, blob: Stored) -> None:
        """Remove a new blob, and nothing that has taken its place. Raises PlaceError, SILENT if it
        is still there."""
        try:
            if is_exposed(blob):
                await remove_if_there(self._client, blob, await null_version(self._bucket))
            else:
                await remove(self._client, blob.key, blob.version)
        except PlaceError as error:
            raise PlaceError(Trouble.SILENT, f"a new blob is left: {error.reason}") from None

    async def _is_free(self, name: str) -> bool:
        try:
            return await look_at(self._client, name) is None
        except S3AnswerError as error:
            # Who may not list a bucket does not learn that there is no such object.
            if error.status == 403:
                return False
            raise

    async def _stored(
        self, name: str, new: _NewBlob, condition: Mapping[str, str] | None = None
    ) -> Stored:
        headers = {**new.headers, **new.body.headers, **(condition or {})}
        call = S3Call("PUT", name, headers=headers, body=new.body.data, size=new.size, makes=True)
        answer = await self._client.done(call)
        etag, md5 = self.said_of(answer, new.body, call.what)
        version = self._bucket.saw(answer)
        stored = Stored(name, new.size, version, etag, {MARK: new.mark}, md5)
        if new.body.md5 is not None and md5 not in (None, new.body.md5):
            await self._take_back(stored)
            raise PlaceError(Trouble.BROKEN, "other bytes were stored than those that were sent")
        return stored

    def said_of(
        self, answer: Mapping[str, str], sent: SentBody, what: str
    ) -> tuple[str, str | None]:
        """The ETag of what was sent and stored at once, and its MD5 if that is one. Raises
        PlaceError for an answer which cannot be that of the service."""
        etag, md5, habits = etag_in(answer, what), self.md5_in(answer), self._bucket.known_habits
        # Of what came without its MD5, MinIO may make up an ETag, as if it had parts.
        is_made_up = sent.md5 is None and OF_PARTS.fullmatch(etag) is not None
        is_known = habits is not None and habits.md5 and not habits.is_guess
        if md5 is None and is_known and not is_made_up and not _is_encrypted(answer):
            raise PlaceError(Trouble.BROKEN, f"{what}: the ETag is no MD5, as others are there")
        return etag, md5

    def md5_in(self, answer: Mapping[str, str]) -> str | None:
        """The MD5 of what was stored at once, in hex, if the answer says it as an ETag."""
        etag, habits = unquoted(answer.get("ETag")), self._bucket.known_habits
        if etag is None or MD5.fullmatch(etag) is None or habits is None or not habits.md5:
            return None
        return None if _is_encrypted(answer) else etag

    # -- Copies, tags -----------------------------------------------------------------------------

    async def copy(
        self, source: S3Details, blob: Stored, info: ObjectInfo, mark: str
    ) -> Stored | None:
        """Copy a blob of a bucket that is reached as this one; None when there is another one.
        Raises PlaceError."""
        await self._bucket.habits()
        name = await self.name(info, mark)
        own_headers, tags_left = await self.headers(info, mark)
        if self._client.is_google:
            blob = replace(blob, version=None)
            if blob.etag is None:
                return None
        headers = {
            **own_headers,
            "x-amz-copy-source": copy_source(source.bucket, blob.key, blob.version),
            "x-amz-metadata-directive": "REPLACE",
            "x-amz-tagging-directive": "REPLACE",
        }
        if blob.version is None and blob.etag is not None:
            headers["x-amz-copy-source-if-match"] = f'"{blob.etag}"'
        call = S3Call(
            "PUT", name, headers=headers, stall_seconds=LONG_STALL_SECONDS_MAX, makes=True
        )
        answer, tree = await self._client.read(call)
        etag = etag_said(tree, call.what)
        version = self._bucket.saw(answer)
        md5 = self.md5_in({**answer, "ETag": etag})
        stored = Stored(name, blob.size, version, etag, {MARK: mark}, md5)
        if blob.version is None and _are_others(etag, blob.etag):
            # Not every service looks at conditions.
            await self._take_back(stored)
            return None
        with _STORED:
            stored = await self._settled(stored, own_headers)
        if tags_left:
            await self._put_left_tags(stored, info.tags)
        return stored

    async def _put_left_tags(self, new: Stored, tags: Mapping[str, str]) -> None:
        """Give a new object its tags, or take it back. Raises PlaceError, SILENT if it is still
        there."""
        try:
            await self.put_tags(new, tags)
        except PlaceError:
            await self._take_back(new)
            raise

    async def put_tags(self, blob: Stored, tags: Mapping[str, str]) -> None:
        """See ``RemoteStore.put_tags``."""
        if not await self._bucket.keeps_tags():
            return
        query = (("tagging", ""), *of_version(blob.version))
        call = S3Call("DELETE", blob.key, query)
        if tags:
            body = await with_md5(tag_document(fitting_tags(tags)))
            call = S3Call("PUT", blob.key, query, body.headers, body.data)
        try:
            await self._client.done(call)
        except S3AnswerError as error:
            if error.place_code == "InvalidTag":
                self._note_omitted("the service does not take the tags of an object", named(blob))
            elif not error.is_absence and error.status != 405:  # a delete marker
                raise

    def _note_omitted(self, what: str, mark: str) -> None:
        """Say once that records know more than the place."""
        if not self._has_omitted:
            self._has_omitted = True
            self._log.warning(f"{what}: its record alone has it", location=self._name, mark=mark)


async def with_md5(body: Body, known: str | None = None) -> SentBody:
    """The body, and its MD5 if it is there as a whole; ``known`` is that, in hex, if it is."""
    if not isinstance(body, bytes):
        return SentBody(body, None, {})
    if known is not None:
        digest = bytes.fromhex(known)
    elif len(body) > _DIGEST_IN_THREAD_BYTES:
        digest = await asyncio.to_thread(_md5, body)
    else:
        digest = _md5(body)
    return SentBody(body, digest.hex(), {"Content-MD5": base64.b64encode(digest).decode()})


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _is_encrypted(answer: Mapping[str, str]) -> bool:
    """Whether its ETag is another one for that (Amazon S3 API reference, "Object")."""
    return answer.get(ENCRYPTION_HEADER, "").startswith("aws:kms")


def _are_others(one: str | None, other: str | None) -> bool:
    """Whether two ETags are those of other bytes, as far as they tell."""
    return one != other and all(
        etag is not None and MD5.fullmatch(etag) is not None for etag in (one, other)
    )


def text_in(tree: Element, name: str, what: str) -> str:
    """What an element of an answer says, which has to be there. Raises PlaceError."""
    text = tree.findtext(name)
    if not text:
        raise PlaceError(Trouble.BROKEN, f"{what}: the answer has no {name}")
    return text
