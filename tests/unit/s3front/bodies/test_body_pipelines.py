"""The writer and the reader pipeline, from a source to a place and back, whatever the place can do
and whatever is stored in place of the bytes."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.auth.identity import UNSIGNED
from s3front.bodies.checksums import Algorithm
from s3front.bodies.digested_body import Source
from s3front.bodies.form_file import FormFile
from s3front.bodies.object_reader import CopiedBody, ObjectData, plain_blob, require_whole
from s3front.bodies.object_writer import store_body
from s3front.bodies.stored_body import Destination, StoredBody, delete_data
from s3front.bodies.upload_body import UploadBody
from s3front.context import Context
from s3front.encryption.segments import HEADER_BYTES, SEGMENT_BYTES, TAG_BYTES, stored_size
from s3front.encryption.sse import AES256, ALGORITHM_MEMBER, CUSTOMER_MEMBER
from s3front.keys.sealing import Sealing
from s3front.locations.base import Stored
from s3front.objects.object_record import ObjectRecord
from s3front.objects.ranges import ByteRange
from s3front.port.request import Request
from s3front.s3_errors import S3Error
from shared import limits
from shared.records.data_location import data_locations
from tests.unit.dmd.metadata.support import RecordingLog
from tests.unit.s3front.pieces import Pieces
from tests.unit.s3front.places import (
    INFO,
    SEALING,
    MemoryPlace,
    MemoryReader,
    context_of,
    record_of,
)

LARGE = 300_000
"""More than what is verified before anything is sent on."""

SIZES = (1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 1000, LARGE)
STORED = SEGMENT_BYTES + TAG_BYTES
CONTENT = random.Random(7).randbytes(LARGE)
MD5 = Algorithm.MD5


def content_md5(data: bytes) -> dict[str, str]:
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    return {"Content-MD5": base64.b64encode(digest).decode()}


def pieces_of(data: bytes) -> Sequence[bytes]:
    return [data[at : at + 10_000] for at in range(0, len(data), 10_000)]


def headers_of(fields: dict[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(fields))


def upload(data: bytes, fields: dict[str, str] | None = None) -> Source:
    body = Pieces(pieces_of(data), len(data))
    request = Request("PUT", "/bucket/key", headers_of(fields or {}), body, "", True)
    return UploadBody(UNSIGNED, request)


def form(data: bytes, fields: dict[str, str] | None = None) -> Source:
    return FormFile(headers_of(fields or {}), Pieces(pieces_of(data)))


SOURCES = {"upload": upload, "form": form}


async def stored(
    place: MemoryPlace, source: Source, sealing: Sealing | None = None
) -> tuple[Context, StoredBody]:
    context = context_of(place)
    destination = Destination(place, "here", INFO, 3, sealing)
    return context, await store_body(context, source, destination, MD5)


def kept(body: StoredBody) -> ObjectRecord:
    """The body as the record of it is read again."""
    return record_of(body.size, [entry.document() for entry in body.locations], body.md5)


async def joined(blocks: AsyncGenerator[Any, None]) -> bytes:
    return b"".join([block async for block in blocks])


async def read_in_each_way(
    context: Context, record: ObjectRecord, start: int, end: int
) -> set[bytes]:
    part = ByteRange(start, end)

    async def data() -> ObjectData:
        return await ObjectData.open(context, record, part)

    return {
        await joined((await data()).sendable()),
        await (await data()).read(),
        await joined((await data()).verified()),
    }


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("sealing", [None, SEALING])
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
async def test_what_is_stored_is_read(
    source: Any, sealing: Sealing | None, ranges: bool, size: int
) -> None:
    place = MemoryPlace(ranges=ranges)
    data = CONTENT[:size]
    context, body = await stored(place, source(data, content_md5(data)), sealing)
    (blob,) = place.blobs.values()
    assert (blob == data) == (sealing is None)
    assert len(blob) == (size if sealing is None else stored_size(size))
    assert (body.size, body.md5) == (size, hashlib.md5(data, usedforsecurity=False).hexdigest())
    assert place.infos == [INFO]
    (location,) = body.locations
    assert (location.size, location.store_name, location.store_type) == (size, "here", "file")
    assert location.store_etag == f"3:{body.md5}"
    assert location.stored_size == len(blob)  # for scrub and check
    edges = {0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, size // 2, size - 1}
    wanted = sorted(edge for edge in edges if edge < size)
    for start in wanted:
        for end in wanted:
            if start <= end:
                read = await read_in_each_way(context, kept(body), start, end)
                assert read == {data[start : end + 1]}


async def test_a_range_of_what_is_transformed_costs_what_it_touches() -> None:
    place = MemoryPlace()
    context, body = await stored(place, upload(CONTENT), SEALING)
    middle = LARGE // 2 // SEGMENT_BYTES
    start = middle * SEGMENT_BYTES + 5
    data = await ObjectData.open(context, kept(body), ByteRange(start, start + 1))
    assert await data.read() == CONTENT[start : start + 2]
    assert [(first, last) for _, first, last in place.opened] == [
        (HEADER_BYTES + middle * STORED, HEADER_BYTES + (middle + 1) * STORED - 1)
    ]


@pytest.mark.parametrize("size", [10, LARGE])
@pytest.mark.parametrize("sealing", [None, SEALING])
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
async def test_what_is_refused_is_never_complete(
    source: Any, sealing: Sealing | None, size: int
) -> None:
    place = MemoryPlace()
    with pytest.raises(S3Error, match="BadDigest"):
        await stored(place, source(CONTENT[:size], content_md5(b"else")), sealing)
    assert not place.blobs


async def test_a_copy_of_damaged_bytes_is_never_complete() -> None:
    place = MemoryPlace()
    context, body = await stored(place, upload(CONTENT))
    (key,) = place.blobs
    place.blobs[key] = CONTENT[:-1] + b"x"
    data = await ObjectData.open(context, kept(body), ByteRange(0, LARGE - 1))
    destination = Destination(place, "here", INFO)
    with pytest.raises(S3Error, match="InternalError"):
        await store_body(context, CopiedBody(data, LARGE), destination, MD5)
    assert [*place.blobs] == [key]


@pytest.mark.parametrize("given", [0, LARGE - 1, LARGE + 1])
async def test_a_copy_of_another_size_is_never_complete(given: int) -> None:
    """Of a blob of which nothing is known, at a place that gives less than it should, or more."""

    class WrongPlace(MemoryPlace):
        async def open(self, blob: Stored, start: int, end: int) -> MemoryReader:
            return MemoryReader(bytes(given))

    source, place = WrongPlace(), MemoryPlace()
    record = record_of(LARGE, [entry("a", 0, LARGE)], "unknown")
    data = await ObjectData.open(context_of(source), record, ByteRange(0, LARGE - 1))
    destination = Destination(place, "here", INFO)
    with pytest.raises(S3Error, match="InternalError"):
        await store_body(context_of(place), CopiedBody(data, LARGE), destination, MD5)
    assert not place.blobs


@pytest.mark.parametrize("size", [10, LARGE])
async def test_a_copy_is_an_object_of_its_own(size: int) -> None:
    place = MemoryPlace()
    context, body = await stored(place, upload(CONTENT[:size]), SEALING)
    data = await ObjectData.open(context, kept(body), ByteRange(0, size - 1))
    copy = await store_body(context, CopiedBody(data, size), Destination(place, "here", INFO), MD5)
    assert place.blobs[copy.locations[0].key] == CONTENT[:size]
    assert copy.locations[0].members is None  # nothing of how its source was stored
    assert copy.md5 == body.md5


async def test_no_bytes_need_no_blob() -> None:
    place = MemoryPlace()
    for source in (upload(b""), form(b"")):
        _, body = await stored(place, source)
        assert (body.size, body.locations, place.blobs) == (0, [], {})


@pytest.mark.parametrize("sealing", [None, SEALING])
async def test_what_a_place_says_comes_back_to_it(sealing: Sealing | None) -> None:
    says = {"version": "v7", "etag": "its-own", "extra": {"blockId": "b"}}
    place = MemoryPlace(says=says)
    context, body = await stored(place, upload(b"0123"), sealing)
    (document,) = [entry.document() for entry in body.locations]
    assert document["dataStoreVersionId"] == "v7"
    assert document["dataStoreETag"] == "3:its-own"
    assert document["blockId"] == "b"
    data = await ObjectData.open(context, kept(body), ByteRange(0, 3))
    assert await data.read() == b"0123"
    await delete_data(context, data_locations([document], 4))
    asked = [place.opened[0][0], *place.deleted]
    assert [(blob.version, blob.extra["blockId"]) for blob in asked] == [("v7", "b")] * 2


# --- The file of a form --------------------------------------------------------------------------


@pytest.fixture
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FORM_STRETCH_BYTES", 100_000)


@pytest.mark.usefixtures("short_stretches")
@pytest.mark.parametrize("sealing", [None, SEALING])
async def test_a_large_form_is_several_blobs(sealing: Sealing | None) -> None:
    place = MemoryPlace()
    context, body = await stored(place, form(CONTENT), sealing)
    assert [entry.size for entry in body.locations] == [100_000] * 3
    assert [entry.start for entry in body.locations] == [0, 100_000, 200_000]
    assert {entry.store_etag for entry in body.locations} == {f"3:{body.md5}"}
    for start, end in ((0, LARGE - 1), (99_999, 100_000), (150_000, 250_001)):
        read = await read_in_each_way(context, kept(body), start, end)
        assert read == {CONTENT[start : end + 1]}


@pytest.mark.usefixtures("short_stretches")
async def test_a_large_form_that_is_refused_leaves_nothing() -> None:
    place = MemoryPlace()
    with pytest.raises(S3Error, match="BadDigest"):
        await stored(place, form(CONTENT, content_md5(b"else")))
    assert len(place.deleted) == 2  # the last was never stored
    assert not place.blobs


# --- Records whose data cannot be read -----------------------------------------------------------


def entry(key: str, start: int, size: int, **members: object) -> dict[str, Any]:
    known = {"dataStoreName": "here", "dataStoreType": "file"}
    return {"key": key, "start": start, "size": size, **known, **members}


WHOLE = entry("a", 0, 10)
MISPLACED = {
    "a gap": [entry("a", 0, 4), entry("b", 5, 5)],
    "an end that is missing": [entry("a", 0, 9)],
    "a beginning that is missing": [entry("a", 1, 9)],
    "bytes twice": [entry("a", 0, 6), entry("b", 4, 6)],
    "as many twice as are missing": [entry("a", 0, 5), entry("b", 3, 5)],
    "all of it twice": [WHOLE, entry("b", 0, 10)],
    "another order": [entry("b", 5, 5), entry("a", 0, 5)],
    "nothing": [],
}


@pytest.mark.parametrize("entries", MISPLACED.values(), ids=MISPLACED)
async def test_bytes_that_are_not_each_there_once(entries: list[dict[str, Any]]) -> None:
    place, log = MemoryPlace(), RecordingLog()
    context = context_of(place, log=log)
    with pytest.raises(S3Error, match="InternalError"):
        await ObjectData.open(context, record_of(10, entries), ByteRange(0, 9))
    assert place.opened == []
    assert log.events == ["a record does not name all of its data"]


UNREADABLE = {
    "encrypted by the original": {"cryptoScheme": 1, "cipheredDataKey": "AAAA"},
    "an encrypted part": {"sseCryptoScheme": 1, "sseCipheredDataKey": "AAAA"},
    "a type that is not known": {"dataStoreType": "tape"},
    "a type that is not built in": {"dataStoreType": "aws_s3", "dataStoreVersionId": "v"},
}


@pytest.mark.parametrize("members", UNREADABLE.values(), ids=UNREADABLE)
async def test_unreadable_data_is_refused_before_anything_is_answered(
    members: dict[str, object],
) -> None:
    """Wherever in the object it is; what does not touch it is read."""
    place = MemoryPlace()
    place.blobs["a"] = b"01234"
    context = context_of(place)
    record = record_of(10, [entry("a", 0, 5), entry("b", 5, 5, **members)])
    for part in (ByteRange(0, 9), ByteRange(4, 5), ByteRange(9, 9)):
        with pytest.raises(S3Error, match="NotImplemented"):
            await ObjectData.open(context, record, part)
    assert place.opened == []
    data = await ObjectData.open(context, record, ByteRange(1, 4))
    assert await data.read() == b"1234"


# --- Encrypted bytes that were altered ------------------------------------------------------------


async def test_altered_bytes_are_refused_before_the_reply_begins() -> None:
    place = MemoryPlace()
    context, body = await stored(place, upload(CONTENT), SEALING)
    (key,) = place.blobs
    sealed = bytearray(place.blobs[key])
    sealed[HEADER_BYTES + 5] ^= 1
    place.blobs[key] = bytes(sealed)
    data = await ObjectData.open(context, kept(body), ByteRange(0, LARGE - 1))
    with pytest.raises(S3Error, match="InternalError"):
        await data.begun()


async def test_what_is_altered_later_ends_the_reply_before_it() -> None:
    place = MemoryPlace()
    context, body = await stored(place, upload(CONTENT), SEALING)
    (key,) = place.blobs
    sealed = bytearray(place.blobs[key])
    sealed[HEADER_BYTES + 2 * STORED + 5] ^= 1
    place.blobs[key] = bytes(sealed)
    data = await ObjectData.open(context, kept(body), ByteRange(0, LARGE - 1))
    given = []

    async def read() -> None:
        async for block in await data.begun():
            given.append(block)

    with pytest.raises(S3Error, match="InternalError"):
        await read()
    expected = CONTENT[: 2 * SEGMENT_BYTES]
    assert (
        b"".join(bytes(each) for each in given if isinstance(each, bytes | bytearray)) == expected
    )


async def test_a_blob_in_the_place_of_another_is_refused() -> None:
    place = MemoryPlace()
    context, one = await stored(place, upload(CONTENT), SEALING)
    _, other = await stored(place, upload(CONTENT), SEALING)
    keys = [each.locations[0].key for each in (one, other)]
    place.blobs[keys[0]], place.blobs[keys[1]] = place.blobs[keys[1]], place.blobs[keys[0]]
    for body in (one, other):
        data = await ObjectData.open(context, kept(body), ByteRange(0, LARGE - 1))
        with pytest.raises(S3Error, match="InternalError"):
            await data.begun()


async def test_a_record_of_another_key_opens_nothing() -> None:
    place = MemoryPlace()
    context, body = await stored(place, upload(CONTENT), SEALING)
    elsewhere = replace(context, target=replace(context.target, key="other"))
    with pytest.raises(S3Error, match="InternalError"):
        await ObjectData.open(elsewhere, kept(body), ByteRange(0, LARGE - 1))


@pytest.mark.usefixtures("short_stretches")
async def test_no_two_blobs_of_an_object_share_a_key() -> None:
    _, body = await stored(MemoryPlace(), form(CONTENT), SEALING)
    wrapped = [(each.members or {})["cipheredDataKey"] for each in body.locations]
    assert len(set(wrapped)) == len(wrapped) == 3


@pytest.mark.usefixtures("short_stretches")
@pytest.mark.parametrize("order", [(1, 0, 2), (0, 0, 2), (0, 2, 2)])
async def test_blobs_that_changed_places_are_refused(order: tuple[int, int, int]) -> None:
    """Each of one size, and with the key of its object."""
    context, body = await stored(MemoryPlace(), form(CONTENT), SEALING)
    documents = [entry.document() for entry in body.locations]
    moved = [{**documents[number], "start": at * 100_000} for at, number in enumerate(order)]
    record = encrypted_record(LARGE, moved)
    with pytest.raises(S3Error, match="InternalError"):
        await ObjectData.open(context, record, ByteRange(0, LARGE - 1))
    # With the numbers that they would have to have, they do not open.
    renamed = [
        {**document, "blobNumber": documents[at]["blobNumber"]} for at, document in enumerate(moved)
    ]
    with pytest.raises(S3Error, match="InternalError"):
        await ObjectData.open(context, encrypted_record(LARGE, renamed), ByteRange(0, LARGE - 1))


@pytest.mark.parametrize("size", [10, LARGE])
@pytest.mark.parametrize("kept", ["storedSize", "blobNumber"])
async def test_a_location_that_lost_its_encryption_is_refused(size: int, kept: str) -> None:
    """Never ciphertext in the place of what it is of."""
    context, body = await stored(MemoryPlace(), upload(CONTENT[:size]), SEALING)
    (document,) = [entry.document() for entry in body.locations]
    ours = {"cryptoScheme", "cipheredDataKey", "masterKeyId", "storedSize", "blobNumber"}
    for name in ours - {kept}:
        del document[name]
    record = encrypted_record(size, [document])
    assert plain_blob(record) is None
    with pytest.raises(S3Error, match="InternalError"):
        await ObjectData.open(context, record, ByteRange(0, size - 1))


async def test_plain_bytes_are_none_of_a_clients_key() -> None:
    context, body = await stored(MemoryPlace(), upload(CONTENT[:10]))
    record = record_of(10, [entry.document() for entry in body.locations], body.md5)
    claimed = record.changed({CUSTOMER_MEMBER: AES256})
    assert plain_blob(record) is not None
    assert plain_blob(claimed) is None
    with pytest.raises(S3Error, match="InternalError"):
        await ObjectData.open(context, claimed, ByteRange(0, 9))


def encrypted_record(size: int, locations: list[dict[str, Any]]) -> ObjectRecord:
    return record_of(size, locations).changed({ALGORITHM_MEMBER: AES256})


@pytest.mark.parametrize(("size", "start"), [(9, 0), (11, 0), (0, 0), (10, 1), (11, 1)])
async def test_locations_that_do_not_add_up_are_refused(size: int, start: int) -> None:
    context, body = await stored(MemoryPlace(), upload(CONTENT[:10]))
    documents = [{**entry.document(), "start": start} for entry in body.locations]
    record = record_of(size, documents, body.md5)
    with pytest.raises(S3Error, match="InternalError"):
        require_whole(context, record)
    with pytest.raises(S3Error, match="InternalError"):
        await ObjectData.open(context, record, ByteRange(1, 2))
