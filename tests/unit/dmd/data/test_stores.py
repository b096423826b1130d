"""What every store of blobs does: the contract of ``dmd.data.base``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dmd.data.administration import Command, administer
from dmd.data.base import BlobInfo, BlobNotFoundError, BlobStore, LengthMismatchError
from dmd.data.blob_keys import created_at_ms, now_ms
from dmd.data.both import BothStores, open_both_stores
from dmd.data.data_directory import DataDirectory
from dmd.data.disk import DiskOptions
from dmd.data.file_store import SMALL_BYTES_MAX
from dmd.data.memory_store import MemoryStore
from shared.blob_files import is_blob_key
from shared.limits import PACKED_BLOB_BYTES, PACKED_BLOB_BYTES_MAX
from shared.local_directory import local_identity
from tests.unit.dmd.data.harness import content_of, get, put
from tests.unit.dmd.metadata.support import RecordingLog, until

SIZES = [
    0,
    1,
    PACKED_BLOB_BYTES,
    PACKED_BLOB_BYTES + 1,
    SMALL_BYTES_MAX,
    SMALL_BYTES_MAX + 1,
    3 * 1024 * 1024 + 7,
]
LARGE = b"0123456789abcdef" * 200_000
ROUNDS = 200 if os.environ.get("TWOFOLD_SOAK") else 6
"""Of two that race."""


def open_store(kind: str, directory: Path) -> BlobStore:
    """A store of a kind: where blobs go, and whether they are synced and cached."""
    if kind == "memory":
        return MemoryStore()
    careless = kind.endswith("-direct")
    options = DiskOptions(no_sync=careless, no_cache=careless)
    packed_bytes_max = {"file": 0, "packed": PACKED_BLOB_BYTES_MAX}.get(
        kind.removesuffix("-direct"), PACKED_BLOB_BYTES
    )
    return open_both_stores(DataDirectory(directory), options, RecordingLog(), packed_bytes_max)


@pytest.fixture(params=["file", "file-direct", "packed", "packed-direct", "both", "memory"])
async def store(request: pytest.FixtureRequest, directory: Path) -> AsyncIterator[BlobStore]:
    made = open_store(request.param, directory)
    yield made
    await made.close()


async def listed(store: BlobStore, count: int = 1000) -> list[BlobInfo]:
    """The whole inventory, in pages of about ``count``."""
    found: list[BlobInfo] = []
    cursor = None
    while True:
        page = await store.inventory(cursor, count)
        found += page.blobs
        cursor = page.cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("size", SIZES)
async def test_a_blob_comes_back_as_it_was_stored(store: BlobStore, size: int) -> None:
    content = (LARGE * 2)[:size]
    assert await get(store, await put(store, content)) == content


async def test_a_blob_may_arrive_in_many_pieces(store: BlobStore) -> None:
    pieces = [LARGE[start : start + 997] for start in range(0, len(LARGE), 997)]
    assert await get(store, await put(store, *pieces)) == LARGE


async def test_a_blob_may_arrive_byte_by_byte(store: BlobStore) -> None:
    pieces = [bytes([number % 251]) for number in range(5000)]
    assert await get(store, await put(store, *pieces)) == b"".join(pieces)


@pytest.mark.parametrize("content", [b"small blob", LARGE])
async def test_a_part_of_a_blob_can_be_read(store: BlobStore, content: bytes) -> None:
    blob = await store.open(await put(store, content))
    part = await blob.read(3, 5)
    await blob.close()
    assert part == content[3:8]


async def test_a_new_key_is_a_blob_key_of_this_moment(store: BlobStore) -> None:
    before = now_ms()
    key = await put(store, b"x")
    assert is_blob_key(key)
    assert before <= created_at_ms(key) <= now_ms()


@pytest.mark.parametrize("key", ["0" * 40, "", "00", "a" * 300, "../lock", "about.json"])
async def test_an_unknown_key_opens_nothing(store: BlobStore, key: str) -> None:
    with pytest.raises(BlobNotFoundError):
        await store.open(key)


@pytest.mark.parametrize("key", ["0" * 40, "", "00", "a" * 300, "../lock", "about.json"])
async def test_an_unknown_key_deletes_nothing(store: BlobStore, key: str) -> None:
    with pytest.raises(BlobNotFoundError):
        await store.delete(key)


async def test_a_deleted_blob_is_gone(store: BlobStore) -> None:
    key = await put(store, b"x")
    await store.delete(key)
    with pytest.raises(BlobNotFoundError):
        await store.open(key)


@pytest.mark.parametrize("content", [b"small blob", LARGE])
async def test_a_blob_deleted_while_open_can_be_read_to_its_end(
    store: BlobStore, content: bytes
) -> None:
    key = await put(store, content)
    blob = await store.open(key)
    await store.delete(key)
    assert await content_of(blob) == content
    await blob.close()


@pytest.mark.parametrize("size", [10, 1024 * 1024])
async def test_an_upload_with_bytes_missing_is_refused(store: BlobStore, size: int) -> None:
    upload = await store.create(size)
    await upload.write(b"x" * (size - 1))
    with pytest.raises(LengthMismatchError):
        await upload.commit()
    await upload.abort()


async def test_an_upload_with_more_bytes_than_declared_is_refused(store: BlobStore) -> None:
    upload = await store.create(3)
    with pytest.raises(LengthMismatchError):
        await upload.write(b"four")
    await upload.abort()


async def test_abort_after_commit_leaves_the_blob(store: BlobStore) -> None:
    upload = await store.create(1)
    await upload.write(b"x")
    key = await upload.commit()
    await upload.abort()
    assert await get(store, key) == b"x"


async def test_abort_may_be_repeated(store: BlobStore) -> None:
    usage = await store.disk_usage()
    upload = await store.create(1024)
    await upload.abort()
    await upload.abort()
    assert (await store.disk_usage()).total == usage.total


async def test_disk_usage_is_plausible(store: BlobStore) -> None:
    usage = await store.disk_usage()
    assert 0 < usage.available <= usage.free <= usage.total


async def test_an_inventory_lists_every_blob_once(store: BlobStore) -> None:
    sizes = {await put(store, LARGE[:size]): size for size in [*range(20), *SIZES]}
    assert {blob.key: blob.size for blob in await listed(store)} == sizes


async def test_an_inventory_comes_in_pages(store: BlobStore) -> None:
    keys = {await put(store, b"x") for _ in range(10)}
    assert sorted(blob.key for blob in await listed(store, 3)) == sorted(keys)


async def test_an_inventory_says_when_a_blob_was_made(store: BlobStore) -> None:
    before = now_ms() - 1000  # the clock of a file system is that of its last tick
    await put(store, b"small")
    await put(store, LARGE)
    assert all(before <= blob.created_ms <= now_ms() for blob in await listed(store))


@pytest.mark.parametrize("content", [b"small blob", LARGE])
async def test_a_deleted_blob_is_not_listed(store: BlobStore, content: bytes) -> None:
    await store.delete(await put(store, content))
    assert await listed(store) == []


@pytest.mark.parametrize("content", [b"small blob", LARGE])
async def test_a_blob_can_be_quarantined_and_restored(store: BlobStore, content: bytes) -> None:
    key = await put(store, content)
    seen = []
    for change in (store.quarantine, store.quarantine, store.restore, store.restore):
        await change(key)
        seen += [blob.quarantined for blob in await listed(store)]
    assert seen == [True, True, False, False]


@pytest.mark.parametrize("content", [b"small blob", LARGE])
async def test_a_blob_that_is_opened_leaves_the_quarantine(
    store: BlobStore, content: bytes
) -> None:
    key = await put(store, content)
    await store.quarantine(key)
    assert await get(store, key) == content
    assert [blob.quarantined for blob in await listed(store)] == [False]


@pytest.mark.parametrize("content", [b"small blob", LARGE])
async def test_a_blob_in_quarantine_can_be_deleted(store: BlobStore, content: bytes) -> None:
    key = await put(store, content)
    await store.quarantine(key)
    await store.delete(key)
    assert await listed(store) == []


@pytest.mark.parametrize("content", [b"small blob", LARGE])
async def test_a_purge_removes_what_is_in_quarantine_and_nothing_else(
    store: BlobStore, content: bytes
) -> None:
    key = await put(store, content)
    with pytest.raises(BlobNotFoundError):
        await store.purge(key)
    assert await get(store, key) == content
    await store.quarantine(key)
    await store.purge(key)
    assert await listed(store) == []
    with pytest.raises(BlobNotFoundError):
        await store.open(key)


@pytest.mark.parametrize("content", [b"small blob", LARGE])
async def test_of_a_purge_and_a_read_one_wins(store: BlobStore, content: bytes) -> None:
    for _ in range(ROUNDS):
        key = await put(store, content)
        await store.quarantine(key)
        outcomes = await asyncio.gather(get(store, key), store.purge(key), return_exceptions=True)
        left = [blob.quarantined for blob in await listed(store)]
        if outcomes[0] == content and isinstance(outcomes[1], BlobNotFoundError):
            assert left == [False]
            await store.delete(key)
        else:
            assert (isinstance(outcomes[0], BlobNotFoundError), outcomes[1], left) == (
                True,
                None,
                [],
            )


async def test_owners_are_adopted_and_disowned(store: BlobStore) -> None:
    await store.disown("a")  # the directory is shared by tests
    await store.adopt("a")
    await store.adopt("a")
    assert list(await store.owners()).count("a") == 1
    await store.disown("a")
    assert "a" not in await store.owners()


@pytest.mark.parametrize("key", ["", "x", "../lock", "0" * 40, "f" * 40])
async def test_an_unknown_blob_cannot_be_quarantined(store: BlobStore, key: str) -> None:
    for change in (store.quarantine, store.restore, store.purge):
        with pytest.raises(BlobNotFoundError):
            await change(key)


async def test_large_and_small_blobs_share_a_directory(directory: Path) -> None:
    store = open_store("both", directory)
    assert isinstance(store, BothStores)
    small, large = await put(store, b"small"), await put(store, LARGE)
    await store.close()
    again = open_store("file", directory)
    assert (await get(again, small), await get(again, large)) == (b"small", LARGE)
    await again.close()


@pytest.mark.parametrize("kind", ["file", "packed", "both"])
@pytest.mark.parametrize("taken", [1, 1000, 65_537])
async def test_a_system_that_takes_few_bytes_at_a_time_loses_none(
    directory: Path, kind: str, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """write(2) may always write less than it was given."""
    write = os.write

    def short_write(descriptor: int, data: bytes) -> int:
        return write(descriptor, data[:taken])

    def short_writev(descriptor: int, pieces: list[bytes]) -> int:
        return write(descriptor, b"".join(pieces)[:taken])

    monkeypatch.setattr(os, "write", short_write)
    monkeypatch.setattr(os, "writev", short_writev)
    content = LARGE[: 20_000 if taken == 1 else 700_000]
    store = open_store(kind, directory)
    keys = [await put(store, content), await put(store, b"small")]
    assert [await get(store, key) for key in keys] == [content, b"small"]
    await store.close()


# -- a directory of a release whose states were one bit apart ----------------------------------


def as_format_2(directory: Path) -> None:
    """Give all records the codes of that time, and the directory its description."""
    codes = {b"LIVE": b"L\0\0\0", b"quar": b"Q\0\0\0", b"gone": b"D\0\0\0"}
    for path in (directory / "packed").iterdir():
        content = path.read_bytes()
        for offset in range(0, len(content), 64):
            if content[offset : offset + 4] == b"2FBL":
                state = codes[content[offset + 4 : offset + 8]]
                content = content[: offset + 4] + state + content[offset + 8 :]
        path.write_bytes(content)
    (directory / "about.json").write_text('{"formatVersion": 2, "owners": []}')


async def test_a_directory_of_format_2_keeps_what_is_live_and_what_is_deleted(
    directory: Path,
) -> None:
    store = open_both_stores(DataDirectory(directory), DiskOptions(), RecordingLog())
    live, aside, gone = [await put(store, bytes([number]) * 100) for number in range(3)]
    await store.quarantine(aside)
    await store.delete(gone)
    await store.close()
    as_format_2(directory)

    async def found(store: BothStores) -> dict[str, bool]:
        blobs = (await store.inventory(None, 100)).blobs
        return {blob.key: blob.quarantined for blob in blobs}

    store = open_both_stores(DataDirectory(directory), DiskOptions(), RecordingLog())
    assert await found(store) == {live: False, aside: True}
    with pytest.raises(BlobNotFoundError):
        await store.open(gone)
    await until(lambda: b"oldSegments" not in (directory / "about.json").read_bytes())
    assert await found(store) == {live: False, aside: True}
    await store.purge(aside)
    assert await get(store, live) == bytes(100)
    await store.close()
    # From now on the old code for deleted is nothing but damage to the old one for live.
    segment = directory / "packed" / "00000001.segment"
    content = bytearray(segment.read_bytes())
    assert content[4:8] == b"L\0\0\0"
    content[4] ^= 0x08
    segment.write_bytes(content)
    store = open_both_stores(DataDirectory(directory), DiskOptions(), RecordingLog())
    assert await get(store, live) == bytes(100)
    assert await found(store) == {live: False}
    await store.close()


async def test_small_blobs_may_be_packed_beside_a_store_that_packs(directory: Path) -> None:
    told = {}
    for kind in ("file", "packed", "both", "memory"):
        store = open_store(kind, directory)
        told[kind] = (await administer(store, Command("GET", "packed"))).document
        await store.close()
    identity = local_identity(directory)
    assert told == {
        "file": {"directory": None, "sizeMaxBytes": 0},
        "packed": {"directory": identity, "sizeMaxBytes": PACKED_BLOB_BYTES_MAX},
        "both": {"directory": identity, "sizeMaxBytes": PACKED_BLOB_BYTES},
        "memory": {"directory": None, "sizeMaxBytes": 0},
    }


async def test_files_may_be_read_beside_a_store_that_lets_them_stay_in_memory(
    directory: Path,
) -> None:
    told = {}
    for kind in ("file", "file-direct", "both", "memory"):
        store = open_store(kind, directory)
        told[kind] = (await administer(store, Command("GET", "files"))).document["directory"]
        await store.close()
    identity = local_identity(directory)
    assert told == {"file": identity, "file-direct": None, "both": identity, "memory": None}
