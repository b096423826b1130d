"""Blobs read beside the daemon: what is read there, and what is left to it."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NoReturn

import pytest
from isal.isal_zlib import crc32

from s3front.locations import local_blobs
from s3front.locations.base import Stored
from s3front.locations.local_blobs import (
    READ_BYTES_MAX,
    READS_BYTES,
    SMALL_BYTES_MAX,
    UNVERIFIED_BYTES_MIN,
    LocalBlobs,
    LocalReader,
)
from shared.blob_checksums import key_with_checksum
from shared.blob_files import blob_file
from shared.limits import PACKED_BLOB_BYTES_MAX
from shared.local_directory import local_identity
from shared.packed_reader import PACKED_FOLDER, segment_path
from shared.segment_records import (
    HEADER_BYTES,
    STATE_OFFSET,
    Place,
    State,
    key_of,
    pack_header,
    record_bytes,
)

CONTENT = bytes(range(256)) * 2048
LARGE = CONTENT * 4


class Daemon:
    """What the daemon says of its directory."""

    def __init__(self, identity: str | None) -> None:
        self.identity = identity
        self.asked = 0

    async def tell(self) -> str | None:
        self.asked += 1
        return self.identity


def file_of(folder: Path, key: str) -> Path:
    """The file of a blob, in a directory that exists."""
    path = Path(blob_file(str(folder), key))
    path.parent.mkdir(exist_ok=True)
    return path


def stored(folder: Path, content: bytes) -> Stored:
    """A blob that the daemon has stored."""
    key = key_with_checksum("0" * 12, crc32(content))
    file_of(folder, key).write_bytes(content)
    return Stored(key, len(content))


def whole(blobs: LocalBlobs, blob: Stored) -> LocalReader | None:
    return blobs.read(blob, 0, blob.size - 1)


def from_disk(blobs: LocalBlobs, blob: Stored) -> Awaitable[LocalReader | None]:
    return blobs.read_from_disk(blob, 0, blob.size - 1)


async def content_of(reader: LocalReader | None) -> bytes | None:
    if reader is None:
        return None
    try:
        return b"".join([bytes(block) async for block in reader.blocks()])
    finally:
        reader.close()


async def answered(blobs: LocalBlobs) -> None:
    """Wait for the daemon's answer."""
    assert blobs._asking is not None
    await blobs._asking


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(local_identity(tmp_path))


@pytest.fixture
async def blobs(tmp_path: Path, daemon: Daemon) -> AsyncIterator[LocalBlobs]:
    """Blobs that may be read, as the daemon has said already."""
    found = LocalBlobs(tmp_path, daemon.tell)
    assert whole(found, stored(tmp_path, b"asked for")) is None
    await answered(found)
    yield found
    await found.close()


async def test_the_daemon_is_asked_once(tmp_path: Path, blobs: LocalBlobs, daemon: Daemon) -> None:
    blob = stored(tmp_path, CONTENT)
    for _ in range(3):
        assert await content_of(whole(blobs, blob)) == CONTENT
    assert daemon.asked == 1


@pytest.mark.parametrize("identity", [None, "another directory"])
async def test_the_files_of_another_directory_are_left_alone(
    tmp_path: Path, identity: str | None
) -> None:
    daemon = Daemon(identity)
    blobs = LocalBlobs(tmp_path, daemon.tell)
    blob = stored(tmp_path, CONTENT)
    assert whole(blobs, blob) is None
    await answered(blobs)
    assert whole(blobs, blob) is None
    assert daemon.asked == 1
    await blobs.close()


async def test_part_of_a_large_blob(tmp_path: Path, blobs: LocalBlobs) -> None:
    blob = stored(tmp_path, LARGE)
    assert blob.size > READ_BYTES_MAX
    assert await content_of(blobs.read(blob, 1_000_000, 1_000_099)) == LARGE[1_000_000:1_000_100]
    assert whole(blobs, blob) is None


async def test_part_of_a_small_blob_is_verified_by_the_daemon(
    tmp_path: Path, blobs: LocalBlobs
) -> None:
    blob = stored(tmp_path, CONTENT[:UNVERIFIED_BYTES_MIN])
    assert blobs.read(blob, 1, 2) is None
    assert await content_of(whole(blobs, blob)) == CONTENT[:UNVERIFIED_BYTES_MIN]


async def test_damage_is_left_to_the_daemon(tmp_path: Path, blobs: LocalBlobs) -> None:
    blob = stored(tmp_path, CONTENT)
    path = file_of(tmp_path, blob.key)
    path.write_bytes(CONTENT[:-1] + b"?")
    assert whole(blobs, blob) is None
    path.write_bytes(CONTENT)
    assert await content_of(whole(blobs, blob)) == CONTENT


@pytest.mark.parametrize("size", [0, len(CONTENT) - 1, len(CONTENT) + 1])
async def test_a_file_of_another_size_is_left_to_the_daemon(
    tmp_path: Path, blobs: LocalBlobs, size: int
) -> None:
    blob = stored(tmp_path, CONTENT)
    os.truncate(file_of(tmp_path, blob.key), size)
    assert whole(blobs, blob) is None
    assert blobs.read(blob, 0, 9) is None


@pytest.mark.parametrize("key", ["0" * 40, "0" * 200, "a"])
async def test_a_key_without_a_checksum_is_left_to_the_daemon(
    tmp_path: Path, blobs: LocalBlobs, key: str
) -> None:
    file_of(tmp_path, key).write_bytes(CONTENT)
    assert whole(blobs, Stored(key, len(CONTENT))) is None


async def test_what_is_gone_or_no_file_is_left_to_the_daemon(
    tmp_path: Path, blobs: LocalBlobs
) -> None:
    blob = stored(tmp_path, CONTENT)
    path = file_of(tmp_path, blob.key)
    path.unlink()
    assert whole(blobs, blob) is None
    path.mkdir()
    assert whole(blobs, blob) is None
    path.rmdir()
    path.symlink_to(file_of(tmp_path, stored(tmp_path, LARGE).key))
    assert whole(blobs, blob) is None


def failing_with(code: int) -> Callable[..., NoReturn]:
    def failing(*_: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    return failing


async def test_what_is_not_in_memory_waits_for_the_disk(
    tmp_path: Path, blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = stored(tmp_path, CONTENT)
    with monkeypatch.context() as patched:
        patched.setattr(local_blobs, "read_cached", lambda *_, **__: None)
        assert whole(blobs, blob) is None
        assert await content_of(await from_disk(blobs, blob)) == CONTENT
        part = await blobs.read_from_disk(blob, 1000, 1999)
        assert await content_of(part) == CONTENT[1000:2000]
    assert await content_of(whole(blobs, blob)) == CONTENT


async def test_what_the_disk_does_not_give_is_left_to_the_daemon(
    tmp_path: Path, blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = stored(tmp_path, CONTENT)
    with monkeypatch.context() as patched:
        patched.setattr(os, "preadv", failing_with(errno.EIO))
        assert await from_disk(blobs, blob) is None
    path = file_of(tmp_path, blob.key)
    for content in (CONTENT[:-1] + b"?", CONTENT[:-1], CONTENT + b"?"):
        path.write_bytes(content)
        assert await from_disk(blobs, blob) is None
    path.unlink()
    assert await from_disk(blobs, blob) is None
    small = stored(tmp_path, CONTENT[:UNVERIFIED_BYTES_MIN])
    assert await blobs.read_from_disk(small, 1, 2) is None
    large = stored(tmp_path, LARGE)
    assert await from_disk(blobs, large) is None
    assert await from_disk(blobs, Stored("0" * 40, len(CONTENT))) is None
    assert blobs._budget.left == READS_BYTES


async def test_nothing_is_read_from_a_disk_that_is_not_the_daemons(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path, Daemon(None).tell)
    assert await from_disk(blobs, stored(tmp_path, CONTENT)) is None
    await blobs.close()


async def test_a_file_system_that_does_not_tell_is_left_to_the_daemon_for_good(
    tmp_path: Path, blobs: LocalBlobs, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = stored(tmp_path, CONTENT)

    def failing(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    with monkeypatch.context() as patched:
        patched.setattr(os, "preadv", failing)
        assert whole(blobs, blob) is None
    assert whole(blobs, blob) is None
    assert daemon.asked == 1


async def test_what_slow_clients_hold_is_bounded(tmp_path: Path, blobs: LocalBlobs) -> None:
    blob = stored(tmp_path, LARGE)
    readers = []
    for _ in range(READS_BYTES // READ_BYTES_MAX):
        reader = blobs.read(blob, 0, READ_BYTES_MAX - 1)
        assert reader is not None
        readers.append(reader)
    assert blobs.read(blob, 0, 0) is None
    readers.pop().close()
    assert await content_of(blobs.read(blob, 0, READ_BYTES_MAX - 1)) == LARGE[:READ_BYTES_MAX]
    for reader in readers:
        reader.close()
        reader.close()
    assert blobs._budget.taken == 0


# --- Packed blobs ---------------------------------------------------------------------------------


def packed(folder: Path, content: bytes) -> Stored:
    """A blob that the daemon has packed."""
    place = Place(1, 64)
    key = key_of(0, place)
    header = pack_header(key, len(content), crc32(content), 0)
    segment = segment_path(folder / PACKED_FOLDER, place.segment)
    segment.parent.mkdir(exist_ok=True)
    record = header + content
    segment.write_bytes(bytes(place.offset) + record.ljust(record_bytes(len(content)), b"\0"))
    return Stored(key, len(content))


def spoil(folder: Path, offset: int, data: bytes) -> None:
    """Change the bytes at ``offset`` of the record."""
    with segment_path(folder / PACKED_FOLDER, 1).open("r+b") as segment:
        segment.seek(64 + offset)
        segment.write(data)


def flip(folder: Path, offset: int) -> None:
    """Make the byte at ``offset`` of the record another one, whatever it is."""
    record = segment_path(folder / PACKED_FOLDER, 1).read_bytes()
    spoil(folder, offset, bytes([record[64 + offset] ^ 0xFF]))


@pytest.mark.parametrize("content", [b"?", CONTENT, LARGE[:PACKED_BLOB_BYTES_MAX]])
async def test_a_packed_blob(tmp_path: Path, blobs: LocalBlobs, content: bytes) -> None:
    blob = packed(tmp_path, content)
    assert await content_of(whole(blobs, blob)) == content
    assert await content_of(blobs.read(blob, blob.size - 1, blob.size - 1)) == content[-1:]


async def test_damage_to_a_packed_blob_is_left_to_the_daemon_for_a_part_too(
    tmp_path: Path, blobs: LocalBlobs
) -> None:
    blob = packed(tmp_path, CONTENT)
    spoil(tmp_path, HEADER_BYTES + len(CONTENT) - 1, b"?")
    assert whole(blobs, blob) is None
    assert blobs.read(blob, 0, 0) is None


@pytest.mark.parametrize("state", [State.QUARANTINED, State.DELETED, State.OLD_DELETED])
async def test_a_packed_blob_in_another_state_is_left_to_the_daemon(
    tmp_path: Path, blobs: LocalBlobs, state: State
) -> None:
    blob = packed(tmp_path, CONTENT)
    spoil(tmp_path, STATE_OFFSET, state.value)
    assert whole(blobs, blob) is None


@pytest.mark.parametrize("size", [1, len(CONTENT) - 1, len(CONTENT) + 1])
async def test_a_packed_blob_of_another_size_is_left_to_the_daemon(
    tmp_path: Path, blobs: LocalBlobs, size: int
) -> None:
    blob = packed(tmp_path, CONTENT)
    assert whole(blobs, Stored(blob.key, size)) is None
    assert await content_of(whole(blobs, blob)) == CONTENT


async def test_another_blob_at_its_place_is_not_it(tmp_path: Path, blobs: LocalBlobs) -> None:
    blob = packed(tmp_path, CONTENT)
    assert await content_of(whole(blobs, blob)) == CONTENT
    other = packed(tmp_path, CONTENT[::-1])
    assert whole(blobs, blob) is None
    assert await content_of(whole(blobs, other)) == CONTENT[::-1]


async def test_a_small_packed_blob_is_had_at_once_when_its_segment_is_open(
    tmp_path: Path, blobs: LocalBlobs
) -> None:
    blob = packed(tmp_path, CONTENT[:SMALL_BYTES_MAX])
    assert blobs.content(blob.key, blob.size) is None
    assert await content_of(whole(blobs, blob)) == CONTENT[:SMALL_BYTES_MAX]
    assert blobs.content(blob.key, blob.size) == CONTENT[:SMALL_BYTES_MAX]


@pytest.mark.parametrize("size", [1, SMALL_BYTES_MAX - 1, SMALL_BYTES_MAX + 1])
async def test_a_blob_of_another_size_is_not_had_at_once(
    tmp_path: Path, blobs: LocalBlobs, size: int
) -> None:
    blob = packed(tmp_path, CONTENT[:SMALL_BYTES_MAX])
    assert whole(blobs, blob) is not None
    assert blobs.content(blob.key, size) is None


async def test_a_large_blob_or_a_file_is_not_had_at_once(tmp_path: Path, blobs: LocalBlobs) -> None:
    for blob in (packed(tmp_path, CONTENT), stored(tmp_path, CONTENT[:99])):
        assert whole(blobs, blob) is not None
        assert blobs.content(blob.key, blob.size) is None
    assert blobs.content("no key", 1) is None


@pytest.mark.parametrize("offset", [0, STATE_OFFSET, 8, 16, 20, HEADER_BYTES - 1, HEADER_BYTES])
async def test_a_damaged_blob_is_not_had_at_once(
    tmp_path: Path, blobs: LocalBlobs, offset: int
) -> None:
    blob = packed(tmp_path, CONTENT[:99])
    assert whole(blobs, blob) is not None
    flip(tmp_path, offset)
    assert blobs.content(blob.key, blob.size) is None


async def test_what_is_not_in_memory_is_not_had_at_once(
    tmp_path: Path, blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = packed(tmp_path, CONTENT[:99])
    assert whole(blobs, blob) is not None

    def failing(*_: object) -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with monkeypatch.context() as patched:
        patched.setattr(os, "preadv", failing)
        assert blobs.content(blob.key, blob.size) is None
    assert blobs.content(blob.key, blob.size) == CONTENT[:99]
