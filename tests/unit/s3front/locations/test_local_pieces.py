"""The files of large blobs, read in pieces beside the daemon."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from isal.isal_zlib import crc32

from s3front.locations import local_pieces
from s3front.locations.base import Stored
from s3front.locations.local_blobs import READ_BYTES_MAX, READS_BYTES, LocalBlobs
from s3front.locations.local_pieces import PIECE_BYTES, LocalPieces
from s3front.s3_errors import S3Error
from shared.blob_checksums import key_with_checksum
from shared.blob_files import blob_file
from shared.local_directory import local_identity

CONTENT = random.Random(1).randbytes(5 * PIECE_BYTES // 2)


@pytest.fixture
def blob(tmp_path: Path) -> Stored:
    key = key_with_checksum("0" * 12, crc32(CONTENT))
    path = Path(blob_file(str(tmp_path), key))
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return Stored(key, len(CONTENT))


@pytest.fixture
async def blobs(tmp_path: Path, blob: Stored) -> AsyncIterator[LocalBlobs]:
    """Blobs that may be read, as the daemon has said already."""

    async def tell() -> str | None:
        return local_identity(tmp_path)

    found = LocalBlobs(tmp_path, tell)
    assert await found.pieces(blob, 0, blob.size - 1) is None
    assert found._asking is not None
    await found._asking
    yield found
    await found.close()


def path_of(folder: Path, blob: Stored) -> Path:
    return Path(blob_file(str(folder), blob.key))


async def opened(blobs: LocalBlobs, blob: Stored, start: int = 0, end: int = -1) -> LocalPieces:
    found = await blobs.pieces(blob, start, blob.size - 1 if end < 0 else end)
    assert found is not None
    return found


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, len(CONTENT) - 1), (1, len(CONTENT) - 2), (7, 7 + PIECE_BYTES - 1), (9, 9)],
)
@pytest.mark.parametrize("cached", [True, False])
async def test_pieces_make_up_what_is_wanted(
    blobs: LocalBlobs,
    blob: Stored,
    monkeypatch: pytest.MonkeyPatch,
    start: int,
    end: int,
    cached: bool,
) -> None:
    if not cached:
        monkeypatch.setattr(local_pieces, "read_cached", lambda *_, **__: None)
    before = descriptors()
    reader = await opened(blobs, blob, start, end)
    pieces = [bytes(piece) async for piece in reader.blocks()]
    assert b"".join(pieces) == CONTENT[start : end + 1]
    assert {len(piece) for piece in pieces[:-1]} <= {PIECE_BYTES}
    again = await opened(blobs, blob, start, end)
    assert await again.read() == CONTENT[start : end + 1]
    for each in (reader, reader, again):
        each.close()
    assert (descriptors(), blobs._budget.taken) == (before, 0)


async def test_a_file_system_that_does_not_tell_what_it_has_in_memory(
    blobs: LocalBlobs, blob: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    preadv = os.preadv

    def waiting(descriptor: int, buffers: list[bytearray], offset: int, flags: int = 0) -> int:
        if flags:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return preadv(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", waiting)
    reader = await opened(blobs, blob)
    assert await reader.read() == CONTENT
    reader.close()


async def test_a_blob_that_is_deleted_meanwhile(
    tmp_path: Path, blobs: LocalBlobs, blob: Stored
) -> None:
    reader = await opened(blobs, blob)
    path_of(tmp_path, blob).unlink()
    assert await reader.read() == CONTENT
    reader.close()
    assert await blobs.pieces(blob, 0, blob.size - 1) is None


@pytest.mark.parametrize("size", [0, PIECE_BYTES, len(CONTENT) - 1])
async def test_a_file_that_is_cut_off_meanwhile(
    tmp_path: Path, blobs: LocalBlobs, blob: Stored, size: int
) -> None:
    """What comes is what was there; then the reading fails."""
    reader = await opened(blobs, blob)
    os.truncate(path_of(tmp_path, blob), size)
    came = bytearray()

    async def read() -> None:
        async for piece in reader.blocks():
            came.extend(piece)

    with pytest.raises(S3Error, match="InternalError"):
        await read()
    assert came == CONTENT[: size // PIECE_BYTES * PIECE_BYTES]
    reader.close()
    assert await blobs.pieces(blob, 0, blob.size - 1) is None
    assert blobs._budget.taken == 0


async def test_a_disk_that_fails(
    blobs: LocalBlobs, blob: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = descriptors()
    reader = await opened(blobs, blob)

    def failing(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "preadv", failing)
    with pytest.raises(S3Error, match="InternalError"):
        await anext(reader.blocks())
    reader.close()
    assert descriptors() == before


async def test_the_file_is_closed_once_no_thread_reads_it(
    blobs: LocalBlobs, blob: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number could be that of another file by then."""
    monkeypatch.setattr(local_pieces, "read_cached", lambda *_, **__: None)
    preadv, begun, goes_on = os.preadv, threading.Event(), threading.Event()

    def slow(descriptor: int, buffers: list[bytearray], offset: int) -> int:
        begun.set()
        assert goes_on.wait(20)
        return preadv(descriptor, buffers, offset)

    before = descriptors()
    reader = await opened(blobs, blob)
    monkeypatch.setattr(os, "preadv", slow)
    task = asyncio.create_task(reader.read())
    await asyncio.to_thread(begun.wait, 20)
    task.cancel()
    await asyncio.wait([task])
    reader.close()
    assert (descriptors(), blobs._budget.taken) == (before + 1, 0)
    assert reader._reading is not None
    goes_on.set()
    await asyncio.wrap_future(reader._reading)
    assert descriptors() == before


async def test_others_have_their_turn_between_pieces(blobs: LocalBlobs, blob: Stored) -> None:
    reader, turns = await opened(blobs, blob), []
    async for _ in reader.blocks():
        turns.append(1)
        asyncio.get_running_loop().call_soon(turns.append, 0)
    assert turns == [1, 0, 1, 0, 1]
    reader.close()


async def test_how_many_are_open_is_bounded(blobs: LocalBlobs, blob: Stored) -> None:
    """They leave half of the memory to those who are done at once."""
    readers = []
    while (reader := await blobs.pieces(blob, 0, blob.size - 1)) is not None:
        readers.append(reader)
    assert len(readers) == READS_BYTES // 2 // PIECE_BYTES
    quick = blobs.read(blob, 0, READ_BYTES_MAX - 1)
    assert quick is not None
    quick.close()
    readers.pop().close()
    readers.append(await opened(blobs, blob))
    for reader in readers:
        reader.close()
    assert blobs._budget.taken == 0


async def test_what_is_left_to_the_daemon(tmp_path: Path, blobs: LocalBlobs, blob: Stored) -> None:
    """A key without a checksum, of the original; a file of another size; no file at all."""
    before = descriptors()
    bare = Stored("0" * 40, blob.size)
    path_of(tmp_path, bare).parent.mkdir(exist_ok=True)
    path_of(tmp_path, bare).write_bytes(CONTENT)
    assert await blobs.pieces(bare, 0, bare.size - 1) is None
    assert await blobs.pieces(Stored(blob.key, blob.size + 1), 0, blob.size) is None
    path_of(tmp_path, blob).unlink()
    assert await blobs.pieces(blob, 0, blob.size - 1) is None
    path_of(tmp_path, blob).mkdir()
    assert await blobs.pieces(blob, 0, blob.size - 1) is None
    assert (descriptors(), blobs._budget.taken) == (before, 0)


async def test_nothing_is_read_where_the_daemon_has_another_directory(
    tmp_path: Path, blob: Stored
) -> None:
    async def tell() -> None:
        return None

    blobs = LocalBlobs(tmp_path, tell)
    assert await blobs.pieces(blob, 0, blob.size - 1) is None
    assert blobs._asking is not None
    await blobs._asking
    assert await blobs.pieces(blob, 0, blob.size - 1) is None
    await blobs.close()
