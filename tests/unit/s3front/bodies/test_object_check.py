"""Bytes that have changed where others keep them are not served as the object."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from s3front.bodies.checksums import FULL_OBJECT, Algorithm, encode_digest, new_checksum
from s3front.bodies.object_check import object_check
from s3front.bodies.object_reader import ObjectData
from s3front.locations.base import Capabilities, ObjectInfo
from s3front.objects.object_record import ObjectRecord
from s3front.objects.ranges import ByteRange
from s3front.s3_errors import S3Error
from tests.unit.s3front.places import BLOCK_BYTES, MemoryPlace, context_of, record_of

DATA = bytes(range(256)) * 64
INFO = ObjectInfo("bucket", "key", "text/plain", {})
QUICK = [algorithm for algorithm in Algorithm if algorithm.value.startswith(("CRC", "XXHASH"))]
OTHERS = [algorithm for algorithm in Algorithm if algorithm not in QUICK]


def value_of(algorithm: Algorithm, data: bytes) -> str:
    running = new_checksum(algorithm)
    running.update(data)
    return encode_digest(running.digest())


def record_with(
    key: str, algorithm: Algorithm | None, kind: str = FULL_OBJECT, etag: str = ""
) -> ObjectRecord:
    """The record of the bytes, with a checksum of them."""
    location = {"key": key, "size": len(DATA), "start": 0, "dataStoreType": "file"}
    record = record_of(len(DATA), [location], etag)
    document: dict[str, Any] = dict(record.document)
    if algorithm is not None:
        document["checksum"] = {
            "checksumAlgorithm": algorithm.value,
            "checksumValue": value_of(algorithm, DATA),
            "checksumType": kind,
        }
    return ObjectRecord(document)


def elsewhere() -> MemoryPlace:
    """A place that others run."""
    place = MemoryPlace()
    place.capabilities = Capabilities(ranges=True)
    return place


async def stored(place: MemoryPlace, data: bytes) -> str:
    return (await place.put(len(data), data, INFO)).key


async def sent(data: ObjectData) -> tuple[bytes, S3Error | None]:
    """What a client gets, and what its reply breaks off with."""
    received = b""
    try:
        async for block in data.sendable():
            received += bytes(block)  # type: ignore[arg-type]
    except S3Error as error:
        return received, error
    return received, None


WHOLE = ByteRange(0, len(DATA) - 1)
CHANGED = DATA[:-1] + b"x"


@pytest.mark.parametrize("algorithm", QUICK)
async def test_a_reply_of_changed_bytes_breaks_off(algorithm: Algorithm) -> None:
    place = elsewhere()
    context = context_of(place)
    for content, is_right in ((DATA, True), (CHANGED, False), (b"x" + DATA[1:], False)):
        record = record_with(await stored(place, content), algorithm)
        received, error = await sent(await ObjectData.open(context, record, WHOLE))
        if is_right:
            assert (received, error) == (DATA, None)
        else:
            assert error is not None
            assert error.code == "InternalError"
            assert received == content[: len(DATA) - BLOCK_BYTES]


@pytest.mark.parametrize("algorithm", Algorithm)
async def test_few_bytes_are_held_against_any_checksum(algorithm: Algorithm) -> None:
    place = elsewhere()
    context = context_of(place)
    right = record_with(await stored(place, DATA), algorithm)
    assert await (await ObjectData.open(context, right, WHOLE)).read() == DATA
    wrong = record_with(await stored(place, CHANGED), algorithm)
    with pytest.raises(S3Error, match="InternalError"):
        await (await ObjectData.open(context, wrong, WHOLE)).read()


async def test_few_bytes_are_held_against_their_etag_if_there_is_nothing_else() -> None:
    place = elsewhere()
    context = context_of(place)
    etag = hashlib.md5(DATA, usedforsecurity=False).hexdigest()
    wrong = record_with(await stored(place, CHANGED), None, etag=etag)
    with pytest.raises(S3Error, match="InternalError"):
        await (await ObjectData.open(context, wrong, WHOLE)).read()
    of_parts = record_with(await stored(place, CHANGED), None, etag=f"{etag}-2")
    assert await (await ObjectData.open(context, of_parts, WHOLE)).read() == CHANGED


async def test_a_part_of_an_object_is_held_against_nothing() -> None:
    place = elsewhere()
    record = record_with(await stored(place, CHANGED), Algorithm.CRC32)
    part = ByteRange(0, len(DATA) - 2)
    assert await (await ObjectData.open(context_of(place), record, part)).read() == DATA[:-1]


async def test_the_data_daemon_sees_to_its_own_bytes() -> None:
    place = MemoryPlace()
    assert place.capabilities.collected
    record = record_with(await stored(place, CHANGED), Algorithm.CRC32)
    assert await (await ObjectData.open(context_of(place), record, WHOLE)).read() == CHANGED


@pytest.mark.parametrize("algorithm", OTHERS)
def test_many_bytes_are_not_held_against_what_takes_long(algorithm: Algorithm) -> None:
    record = record_with("key", algorithm)
    assert object_check(record, few=False) is None
    assert object_check(record, few=True) is not None


def test_a_checksum_of_checksums_says_nothing_of_the_bytes() -> None:
    assert object_check(record_with("key", Algorithm.CRC32, "COMPOSITE"), few=True) is None
