"""Segments of bodies: another process writes them, and the data service has their blobs."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from dmd.data.base import BlobNotFoundError
from dmd.data.disk import DiskOptions
from dmd.data.packed.body_segments import BodySegments
from dmd.data.packed.packed_store import PackedStore
from shared.packed_reader import PackedReader
from shared.segment_records import FIRST_OF_BODIES, HEADER_BYTES, place_of
from tests.faults.disk import FailingDisk, failing_disk
from tests.unit.dmd.data.packed.test_packed_store import (
    KIB,
    SEGMENT_BYTES,
    CountingDisk,
    flip,
    get,
    keys_in,
    open_store,
    put,
    segments,
    used_bytes,
)

NAMES = [f"{FIRST_OF_BODIES + number:08x}.segment" for number in range(3)]


@pytest.fixture
def disk() -> FailingDisk:
    return failing_disk()


@pytest.fixture
def bodies(tmp_path: Path, disk: FailingDisk) -> Iterator[BodySegments]:
    made = BodySegments(tmp_path, disk, lambda: True, SEGMENT_BYTES)
    yield made
    made.close()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[PackedStore]:
    made = open_store(tmp_path)
    yield made
    await made.close()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[PackedReader]:
    made = PackedReader(tmp_path)
    yield made
    made.close()


def written(bodies: BodySegments, *contents: bytes) -> list[str]:
    """Write bodies as one group; their keys."""
    keys = [bodies.add(content) for content in contents]
    bodies.write()
    return keys


# -- As the data service sees them --------------------------------------------------------------


async def test_the_data_service_has_their_blobs_as_its_own(
    store: PackedStore, bodies: BodySegments
) -> None:
    own = await put(store, b"own")
    keys = written(bodies, b"one", b"", b"x" * 10_000)
    assert all(store.may_hold(key) for key in keys)
    assert [await get(store, key) for key in keys] == [b"one", b"", b"x" * 10_000]
    assert sorted(await keys_in(store)) == sorted([own, *keys])
    await store.quarantine(keys[0])
    await store.delete(keys[1])
    with pytest.raises(BlobNotFoundError):
        await store.open(keys[1])
    assert [blob.quarantined for blob in (await store.inventory(None, 9)).blobs] == [
        *(False, True, False)
    ]
    assert await get(store, keys[0]) == b"one"


async def test_an_inventory_lists_what_nobody_has_asked_for(
    store: PackedStore, bodies: BodySegments
) -> None:
    keys = written(bodies, b"one")
    assert await keys_in(store) == keys
    keys += written(bodies, b"two")
    bodies.close()
    keys += written(bodies, b"three")
    assert await keys_in(store) == keys


async def test_a_key_of_none_of_their_segments_is_no_key(store: PackedStore) -> None:
    key = f"{1:012x}{FIRST_OF_BODIES:08x}{0:08x}{0:012x}"
    assert not store.may_hold(key)


async def test_no_block_of_a_segment_that_grows_becomes_a_hole(
    store: PackedStore, bodies: BodySegments, tmp_path: Path
) -> None:
    """What is appended next may lie in the block at its end."""
    (first,) = written(bodies, b"x" * 100)
    await store.delete(first)
    await store.reclaim()
    (second,) = written(bodies, b"y" * 100)
    await store.delete(second)
    await store.reclaim()
    (third,) = written(bodies, b"z" * 100)
    assert segments(tmp_path) == NAMES[:1]
    assert await get(store, third) == b"z" * 100
    assert place_of(third).offset == 2 * place_of(second).offset > 0


async def test_what_was_deleted_while_a_segment_grew_is_given_back_when_the_next_one_begins(
    store: PackedStore, bodies: BodySegments, tmp_path: Path
) -> None:
    keys = written(bodies, *[b"x" * 4 * KIB] * 64)
    assert place_of(keys[-1]).segment == FIRST_OF_BODIES
    for key in keys[:-1]:
        await store.delete(key)
    assert used_bytes(tmp_path) > 64 * 4 * KIB
    (kept,) = written(bodies, b"the first of the next")
    assert place_of(kept).segment == FIRST_OF_BODIES + 1
    await store.delete(keys[-1])
    assert await get(store, kept) == b"the first of the next"
    await store.close()
    assert segments(tmp_path) == NAMES[1:2]


async def test_a_segment_whose_writer_has_ended_is_given_back(
    store: PackedStore, bodies: BodySegments, tmp_path: Path
) -> None:
    first, second = written(bodies, b"x" * 100 * KIB, b"y")
    await store.delete(first)
    used = used_bytes(tmp_path)
    bodies.close()
    await store.reclaim()
    assert used_bytes(tmp_path) <= used - 96 * KIB
    await store.delete(second)
    assert segments(tmp_path) == []


async def test_a_full_disk_ends_a_segment_so_that_what_was_deleted_in_it_is_given_back(
    store: PackedStore,
    bodies: BodySegments,
    disk: FailingDisk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else there was never room again: deletions in a segment that grows free nothing."""
    monkeypatch.setattr("dmd.data.packed.growing.COMPLETE_BYTES_MIN", 64 * KIB)
    first, second, kept = written(bodies, b"x" * 100 * KIB, b"y", b"kept" * KIB)
    await store.delete(first)
    used = used_bytes(tmp_path)
    disk.fail("write", errno.ENOSPC)
    with pytest.raises(OSError, match="No space"):
        written(bodies, b"refused")
    disk.repair()
    await store.delete(second)
    assert used_bytes(tmp_path) <= used - 96 * KIB
    (after,) = written(bodies, b"after")
    assert [await get(store, key) for key in (kept, after)] == [b"kept" * KIB, b"after"]


async def test_an_empty_segment_stays_as_it_may_just_have_been_made(
    store: PackedStore, tmp_path: Path
) -> None:
    (tmp_path / NAMES[0]).touch()
    await store.reclaim()
    assert segments(tmp_path) == NAMES[:1]


async def test_a_number_that_is_used_again_is_another_segment(
    store: PackedStore, bodies: BodySegments, reader: PackedReader, tmp_path: Path
) -> None:
    (first,) = written(bodies, b"first")
    assert reader.read(first) == b"first"
    bodies.close()
    await store.delete(first)
    assert segments(tmp_path) == []
    (second,) = written(bodies, b"second")
    assert place_of(second) == place_of(first)
    assert reader.read(second) is None  # the other one is open still
    assert reader.read(second) == b"second"
    await store.delete(second)  # and makes no hole: it grows
    (third,) = written(bodies, b"third")
    assert await get(store, third) == b"third"


async def test_restarts_of_either_process_while_the_other_one_runs(tmp_path: Path) -> None:
    store, bodies = (
        open_store(tmp_path),
        BodySegments(tmp_path, failing_disk(), lambda: True, SEGMENT_BYTES),
    )
    keys: dict[str, bytes] = {}
    for number in range(4):
        content = b"%d" % number
        keys[await put(store, content)] = content
        keys[written(bodies, content)[0]] = content
        if number % 2:
            bodies.close()
            bodies = BodySegments(tmp_path, failing_disk(), lambda: True, SEGMENT_BYTES)
        else:
            await store.close()
            store = open_store(tmp_path)
        keys[written(bodies, content)[0]] = content
        keys[await put(store, content)] = content
    assert {key: await get(store, key) for key in keys} == keys
    numbers = {place_of(key).segment for key in keys}
    assert numbers == {1, *range(FIRST_OF_BODIES, FIRST_OF_BODIES + 3)}
    await store.close()
    bodies.close()


# -- The writer ---------------------------------------------------------------------------------


def test_writers_never_share_a_segment(tmp_path: Path, bodies: BodySegments) -> None:
    other = BodySegments(tmp_path, failing_disk(), lambda: True, SEGMENT_BYTES)
    keys = [written(each, b"x")[0] for each in (bodies, other, bodies, other)]
    numbers = [place_of(key).segment for key in keys]
    assert numbers == [FIRST_OF_BODIES, FIRST_OF_BODIES + 1] * 2
    other.close()


def test_what_is_forgotten_is_never_written(bodies: BodySegments, reader: PackedReader) -> None:
    forgotten = bodies.add(b"forgotten")
    bodies.forget()
    bodies.write()
    (key,) = written(bodies, b"written")
    assert place_of(key) == place_of(forgotten)
    assert reader.read(forgotten) is None
    assert reader.read(key) == b"written"


def test_a_group_is_written_and_synced_once(tmp_path: Path) -> None:
    disk = CountingDisk(DiskOptions())
    bodies = BodySegments(tmp_path, disk, lambda: True)
    keys = written(bodies, *[b"x"] * 100)
    assert disk.syncs == 1
    written(bodies)
    assert disk.syncs == 1
    assert len({place_of(key).segment for key in keys}) == 1
    bodies.close()


@pytest.mark.parametrize("operation", ["write", "sync", "create", "sync_directory"])
async def test_what_a_failing_disk_refuses_is_not_there(
    operation: str, store: PackedStore, bodies: BodySegments, disk: FailingDisk
) -> None:
    if operation in ("write", "sync"):
        written(bodies, b"before")
    disk.fail(operation, errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        written(bodies, b"refused")
    disk.repair()
    bodies.forget()
    (key,) = written(bodies, b"after")
    assert await get(store, key) == b"after"
    found = [await get(store, each) for each in await keys_in(store)]
    assert found == ([b"before", b"after"] if operation in ("write", "sync") else [b"after"])
    # Nobody knows what a sync that failed has left of a segment.
    assert (place_of(key).offset > 0) == (operation == "write")


def test_the_folder_is_made_with_the_first_body(tmp_path: Path) -> None:
    bodies = BodySegments(tmp_path / "packed", failing_disk(), lambda: True)
    assert not (tmp_path / "packed").exists()
    written(bodies, b"x")
    assert segments(tmp_path / "packed") == NAMES[:1]
    bodies.close()


def test_none_begins_where_no_data_service_is(tmp_path: Path) -> None:
    ready = False
    bodies = BodySegments(tmp_path / "packed", failing_disk(), lambda: ready)
    with pytest.raises(OSError, match="no data daemon has") as refused:
        bodies.add(b"x")
    assert refused.value.errno == errno.ESTALE
    assert list(tmp_path.iterdir()) == []
    ready = True
    written(bodies, b"x")
    assert segments(tmp_path / "packed") == NAMES[:1]
    bodies.close()


# -- The reader ---------------------------------------------------------------------------------


def empty(folder: Path) -> None:
    for segment in folder.iterdir():
        segment.unlink()


def move(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


def replace(folder: Path) -> None:
    move(folder)
    shutil.copytree(folder.with_name("moved"), folder)


@pytest.mark.parametrize("change", [empty, move, replace])
def test_nothing_counts_as_written_where_nobody_finds_it(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """The bodies of a directory that is emptied or moved under them were acknowledged, and gone."""
    folder = tmp_path / "packed"
    bodies = BodySegments(folder, failing_disk(), lambda: True, SEGMENT_BYTES)
    written(bodies, b"before")
    change(folder)
    bodies.add(b"after")
    with pytest.raises(OSError, match="emptied, moved or replaced"):
        bodies.write()
    key = written(bodies, b"after")[0]
    bodies.close()
    reader = PackedReader(folder)
    assert reader.read(key) == b"after"
    reader.close()


async def test_whole_live_blobs_are_read_and_no_others(
    store: PackedStore, bodies: BodySegments, reader: PackedReader, tmp_path: Path
) -> None:
    own = await put(store, b"own")
    live, damaged, quarantined, deleted = written(bodies, b"live" * 5000, b"b", b"c", b"d")
    flip(tmp_path, damaged, HEADER_BYTES)
    await store.quarantine(quarantined)
    await store.delete(deleted)
    assert reader.read(own) == b"own"
    assert reader.read(live) == b"live" * 5000
    assert [reader.read(key) for key in (damaged, quarantined, deleted)] == [None] * 3
    assert reader.read(live[:-1] + ("0" if live[-1] != "0" else "1")) is None
    assert [reader.read(key) for key in ("", "x", "../1", "f" * 40, live[:-1])] == [None] * 5


def test_a_reader_keeps_few_segments_open(
    tmp_path: Path, bodies: BodySegments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.packed_reader.OPEN_SEGMENTS_MAX", 2)
    keys = []
    for number in range(5):
        keys += written(bodies, b"%d" % number)
        bodies.close()
    before = len(os.listdir("/proc/self/fd"))
    reader = PackedReader(tmp_path)
    for number, key in [*enumerate(keys)] * 2:
        assert reader.read(key) == b"%d" % number
    assert len(os.listdir("/proc/self/fd")) == before + 2
    reader.close()
    assert len(os.listdir("/proc/self/fd")) == before
