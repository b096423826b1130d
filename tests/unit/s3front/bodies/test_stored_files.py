"""Bodies that this process stores in files itself, where their place lets it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import threading

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.auth.identity import UNSIGNED
from s3front.bodies.checksums import Algorithm
from s3front.bodies.object_reader import ObjectData
from s3front.bodies.object_writer import store_body
from s3front.bodies.stored_body import Destination, StoredBody
from s3front.bodies.upload_body import UploadBody
from s3front.encryption.segments import stored_size
from s3front.keys.sealing import Sealing
from s3front.locations.base import Stored
from s3front.objects.ranges import ByteRange
from s3front.port.request import Request
from s3front.s3_errors import S3Error
from tests.unit.s3front.pieces import Pieces
from tests.unit.s3front.places import INFO, SEALING, MemoryFile, PlaceOfFiles, context_of, record_of

SMALL = 256 * 1024
AT_ONCE = 1024 * 1024
CONTENT = random.Random(7).randbytes(3 * AT_ONCE)
PIECE = 200_000


def upload(data: bytes, declared: bytes | None = None, length: int | None = None) -> UploadBody:
    """A body in pieces, with the digest of ``declared``, and another ``length`` if one is given."""
    md5 = hashlib.md5(data if declared is None else declared, usedforsecurity=False).digest()
    headers = CIMultiDictProxy(CIMultiDict({"Content-MD5": base64.b64encode(md5).decode()}))
    pieces = [data[at : at + PIECE] for at in range(0, len(data), PIECE)]
    body = Pieces(pieces, len(data) if length is None else length)
    return UploadBody(UNSIGNED, Request("PUT", "/bucket/key", headers, body, "", True))


def storing(
    place: PlaceOfFiles, body: UploadBody, sealing: Sealing | None = None
) -> asyncio.Task[StoredBody]:
    destination = Destination(place, "here", INFO, 1, sealing)
    return asyncio.create_task(
        store_body(context_of(place), body, destination, Algorithm.CRC64NVME)
    )


async def read(place: PlaceOfFiles, body: StoredBody) -> bytes:
    """The plain bytes that a record of the body names."""
    record = record_of(body.size, [entry.document() for entry in body.locations], body.md5)
    data = await ObjectData.open(context_of(place), record, ByteRange(0, body.size - 1))
    return await data.read()


async def discarded(file: MemoryFile) -> None:
    """It is discarded in a thread of its own time."""
    assert await asyncio.to_thread(file.discarded.wait, 10)


@pytest.mark.parametrize("size", [SMALL + 1, AT_ONCE, AT_ONCE + 1, len(CONTENT)])
async def test_a_large_body_is_stored_in_a_file(size: int) -> None:
    place = PlaceOfFiles()
    body = await storing(place, upload(CONTENT[:size]))
    (file,) = place.files
    assert file.stored is not None
    assert place.blobs == {file.stored.key: CONTENT[:size]}
    assert [(each.key, each.size) for each in body.locations] == [(file.stored.key, size)]
    assert body.md5 == hashlib.md5(CONTENT[:size], usedforsecurity=False).hexdigest()
    assert body.complete_at > 0
    assert not file.discarded.is_set()


@pytest.mark.parametrize("size", [SMALL + 1, AT_ONCE, len(CONTENT)])
async def test_what_is_encrypted_is_stored_in_a_file(size: int) -> None:
    place = PlaceOfFiles()
    body = await storing(place, upload(CONTENT[:size]), SEALING)
    (file,) = place.files
    assert file.stored is not None
    assert [each.stored_size for each in body.locations] == [stored_size(size)]
    assert await read(place, body) == CONTENT[:size]


@pytest.mark.parametrize("sealing", [None, SEALING])
async def test_what_is_small_is_given_to_the_place(sealing: Sealing | None) -> None:
    place = PlaceOfFiles()
    await storing(place, upload(CONTENT[:SMALL]), sealing)
    assert not place.files
    assert len(place.blobs) == 1


@pytest.mark.parametrize("sealing", [None, SEALING])
async def test_what_could_not_be_stored_is_given_to_the_place(sealing: Sealing | None) -> None:
    place = PlaceOfFiles(writable=False)
    body = await storing(place, upload(CONTENT[:AT_ONCE]), sealing)
    assert [*place.blobs] == [body.locations[0].key]
    assert await read(place, body) == CONTENT[:AT_ONCE]
    assert place.infos == [INFO]


@pytest.mark.parametrize("size", [AT_ONCE, len(CONTENT)])
@pytest.mark.parametrize("length", [None, -1, +1])
async def test_nothing_is_stored_of_a_body_that_is_refused(size: int, length: int | None) -> None:
    place = PlaceOfFiles()
    data = CONTENT[:size]
    wrong = upload(data, b"other") if length is None else upload(data, data, size + length)
    code = "BadDigest" if length is None else "IncompleteBody"
    with pytest.raises(S3Error, match=code):
        await storing(place, wrong)
    assert not place.blobs
    assert all(file.stored is None for file in place.files)


async def test_blocks_that_cannot_be_written() -> None:
    place = PlaceOfFiles(failure=S3Error("InsufficientStorage"))
    with pytest.raises(S3Error, match="InsufficientStorage"):
        await storing(place, upload(CONTENT))
    await discarded(place.files[0])
    assert not place.blobs


@pytest.mark.parametrize("size", [AT_ONCE, len(CONTENT)])
async def test_what_nobody_waits_for_any_more_is_removed(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """It has become durable all the same, and no record will name it."""
    reached, go_on = threading.Event(), threading.Event()
    publish = MemoryFile.publish

    def slowly(file: MemoryFile) -> Stored:
        reached.set()
        go_on.wait(10)
        return publish(file)

    monkeypatch.setattr(MemoryFile, "publish", slowly)
    place = PlaceOfFiles()
    task = storing(place, upload(CONTENT[:size]))
    await asyncio.to_thread(reached.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await discarded(place.files[0])
    assert place.files[0].stored is not None
    assert not place.blobs
