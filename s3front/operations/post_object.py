"""PostObject: an upload by a form, as browsers send it.

Who may, and what the form may say, was decided before (``s3front.auth.payload_form``). The order of
durability is that of PutObject; but how long the file is shows only when it ends, so that one which
is large is stored in several blobs, and the last of them is held back until all has been verified.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from urllib.parse import quote, urlsplit

from msgspec import structs

from s3front.bodies.checksums import (
    DEFAULT_ALGORITHM,
    BodyDigests,
    ExpectedDigests,
    decode_content_md5,
    encode_digest,
    expected_checksum,
    verify_digests,
)
from s3front.bodies.object_data import delete_data
from s3front.bodies.upload_body import boot_seconds
from s3front.context import Context
from s3front.objects.object_lock import LOCK_HEADERS, wanted_lock
from s3front.objects.object_record import Checksum, NewObject, ObjectRecord
from s3front.objects.versioning import version_headers
from s3front.operations.chosen_location import chosen_location
from s3front.operations.object_headers import checksum_headers, new_object_headers
from s3front.operations.object_url import object_url
from s3front.operations.put_object import check_write_conditions, commit_object, require_digest
from s3front.operations.tag_sets import parse_tagging
from s3front.port.reply import XML_TYPE
from s3front.port.request import Headers, Reply, Request
from s3front.port.xml import DECLARATION, element
from s3front.routes import WRITE_ACTIONS, Level, Operation, refuse_unimplemented
from s3front.s3_errors import S3Error
from shared import limits
from shared.records.data_location import DataLocation
from shared.records.times import now

_THREAD_BYTES_MIN = 128 * 1024
"""Blocks from this size on are worth a thread hop."""


async def post_object(context: Context, request: Request) -> Reply:
    """Store the file of a form (Amazon S3 API reference, POST Object)."""
    fields = request.headers
    refuse_unimplemented(fields, LOCK_HEADERS)
    check_write_conditions(fields, context.current)
    described = new_object_headers(fields, encoded_words=False)
    lock = wanted_lock(fields, context.bucket.record.document, now())
    tagging = fields.get("tagging")
    tags = parse_tagging(tagging.encode()) if tagging else {}
    location = chosen_location(context, fields)
    upload = _Upload(context, fields, location)
    locations = await upload.store(request)
    principal = context.principal
    record = await commit_object(
        context,
        fields,
        NewObject(
            key=context.key,
            owner_id=principal.canonical_id,
            owner_name=principal.name,
            size=upload.digests.length,
            etag=upload.digests.md5_hex(),
            content_type=described.content_type,
            modified=now(),
            locations=locations,
            store_name=location,
            headers=described.standard,
            user_metadata=described.user_metadata,
            checksum=upload.checksum,
            website_redirect=described.website_redirect,
            storage_class=described.storage_class,
            tags=tags,
            origin="s3:ObjectCreated:Post",
            lock=lock.members(),
        ),
        upload.complete_at,
    )
    return _reply(context, request, record)


class _Upload:
    """The file on its way into a location."""

    def __init__(self, context: Context, fields: Headers, location: str) -> None:
        lower = {name.lower(): value for name, value in fields.items()}
        checksum = expected_checksum(lower)
        if checksum is not None and checksum.in_trailer:
            raise S3Error(
                "InvalidRequest", "The value specified in the x-amz-trailer header is not supported"
            )
        md5 = decode_content_md5(lower.get("content-md5"))
        self._expected = ExpectedDigests(md5, None, checksum)
        require_digest(fields, self._expected)
        self._algorithm = checksum.algorithm if checksum is not None else DEFAULT_ALGORITHM
        self.digests = BodyDigests([self._algorithm])
        self._context = context
        self._location = location
        self._store = context.services.locations.store(location)
        self._stored: list[DataLocation] = []
        self.complete_at = math.inf
        """A moment (``boot_seconds``) before the first blob was made."""

    @property
    def checksum(self) -> Checksum:
        """The file's checksum, once it is stored."""
        value = encode_digest(self.digests.digest(self._algorithm))
        return Checksum(self._algorithm.value, value)

    async def store(self, request: Request) -> list[DataLocation]:
        """Store the file; when that fails, or the file is not what it should be, nothing stays."""
        try:
            await self._receive(request)
        except BaseException:  # a cancellation as well: no record will name what is stored
            await delete_data(self._context, self._stored)
            raise
        # All blobs are of one part, as records number them.
        etag = f"1:{self.digests.md5_hex()}"
        return [structs.replace(stored, store_etag=etag) for stored in self._stored]

    async def _receive(self, request: Request) -> None:
        held: list[bytes] = []
        size = 0
        await request.body.hold(limits.FORM_STRETCH_BYTES)
        async with aclosing(request.body.blocks()) as blocks:
            async for block in blocks:
                if size >= limits.FORM_STRETCH_BYTES:
                    await self._put(held, size)
                    held, size = [], 0
                await self._digest(block)
                held.append(block)
                size += len(block)
        verify_digests(self._expected, self.digests)
        if held:
            await self._put(held, size)

    async def _digest(self, block: bytes) -> None:
        if len(block) < _THREAD_BYTES_MIN:
            self.digests.update(block)
        else:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, self.digests.update, block)

    async def _put(self, blocks: Sequence[bytes], size: int) -> None:
        body = blocks[0] if len(blocks) == 1 else _each(blocks)
        self.complete_at = min(self.complete_at, boot_seconds())
        key = await self._store.put(size, body)
        start = sum(stored.size for stored in self._stored)
        self._stored.append(DataLocation(key, size, start, self._location, self._store.type, ""))


async def _each(blocks: Sequence[bytes]) -> AsyncGenerator[bytes, None]:
    for block in blocks:
        yield block


# --- The reply ----------------------------------------------------------------------------------


def _reply(context: Context, request: Request, record: ObjectRecord) -> Reply:
    """What the form asked for: a page to go to, or a status, 204 when it asked for neither."""
    fields, bucket, key = request.headers, context.bucket.name, context.key
    etag = f'"{record.etag}"'
    place = object_url(context, request, encoded_key=quote(key))
    headers = {"ETag": etag, "Location": place}
    headers |= {**version_headers(record), **checksum_headers(record.checksum)}
    page = fields.get("success_action_redirect") or fields.get("redirect")
    if page is not None and _is_page(page):
        result = f"bucket={quote(bucket, safe='')}&key={quote(key)}&etag={quote(etag)}"
        url, mark, anchor = page.partition("#")
        url += f"{'&' if urlsplit(page).query else '?'}{result}{mark}{anchor}"
        return Reply(303, {**headers, "Location": url})
    status = fields.get("success_action_status")
    if status == "201":
        content = (
            element("Location", place)
            + element("Bucket", bucket)
            + element("Key", key)
            + element("ETag", etag)
        )
        body = f"{DECLARATION}<PostResponse>{content}</PostResponse>".encode()
        return Reply(201, {**headers, "Content-Type": XML_TYPE}, body)
    return Reply(200 if status == "200" else 204, headers)


def _is_page(url: str) -> bool:
    """Whether a browser can be sent there; an address that is none is ignored, as AWS does."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and url.isascii()


POST_OBJECT = Operation(
    "PostObject",
    Level.BUCKET,
    post_object,
    ("s3:PutObject",),
    header_actions={**WRITE_ACTIONS, "tagging": "s3:PutObjectTagging"},
    form=True,
)
