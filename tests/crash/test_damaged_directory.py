"""Damage to every kind of file of a data directory, seeded: detected, said, and contained.

Each round takes the same directory, damages some of its files (``tests.faults.damage``), before a
store opens it or under one that has, and goes on working with it. Whatever happens:

* A store opens, or says in one line why not, and touches nothing then.
* No blob is ever read to its end with other bytes than were stored.
* A blob whose own bytes are whole is served, listed, and not taken for garbage in quarantine.
* Nothing of a blob that was not deleted is given back to the file system, damaged or not.
* New blobs can be stored and read.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dmd.checked_json import encode
from dmd.data.base import BlobNotFoundError, StoreError
from dmd.data.both import BothStores
from dmd.data.data_directory import DataDirectory
from dmd.data.disk import Disk, DiskOptions
from dmd.data.file_store import SMALL_BYTES_MAX, FileStore
from dmd.data.packed.packed_store import PackedStore
from dmd.errors import StartupError
from shared.blob_files import directory_number
from shared.segment_records import HEADER_BYTES, place_of
from tests.faults.damage import KINDS, NothingToDamageError, damage
from tests.unit.dmd.data.harness import put
from tests.unit.dmd.metadata.support import RecordingLog

SOAK = os.environ.get("TWOFOLD_SOAK") == "1"
ROUNDS = 5000 if SOAK else 10
SEED = random.randrange(2**32) if SOAK else 20_261_128

SEGMENT_BYTES = 64 * 1024
SMALL_SIZES = [0, 1, 20, 21, 500, 1000, 4052, 4053, 9000, 20_000]
LARGE_SIZES = [70_000, SMALL_BYTES_MAX, SMALL_BYTES_MAX + 1, 1_500_000]
SLICE_BYTES = 100_000


@dataclass
class Stage:
    """A directory, what its files held before any damage, and what blobs there are."""

    path: Path
    files: dict[Path, bytes] = field(default_factory=dict)
    live: dict[str, bytes] = field(default_factory=dict)
    quarantined: list[str] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    """What was done to the files in this round."""

    def open(self) -> BothStores:
        directory = DataDirectory(self.path)
        disk, log = Disk(DiskOptions(no_sync=True)), RecordingLog()
        packed = PackedStore(directory.packed, disk, log, SEGMENT_BYTES)
        return BothStores(FileStore(directory, disk, log), packed)

    def all_files(self) -> list[Path]:
        """Those of the stores, and those that describe them."""
        found = [Path(folder, name) for folder, _, names in os.walk(self.path) for name in names]
        return sorted(found)

    def remember(self) -> None:
        self.files = {path: path.read_bytes() for path in self.all_files()}

    def contents(self) -> dict[Path, bytes]:
        """What the files hold, but for the lease, which whoever opens the directory may end."""
        paths = (path for path in self.all_files() if path.name != "lease")
        return {path: path.read_bytes() for path in paths}

    def restore(self) -> None:
        """Make everything as it was."""
        for path in self.all_files():
            if path not in self.files:
                path.unlink()
        for path, content in self.files.items():
            path.write_bytes(content)

    def place(self, key: str) -> tuple[Path, int, int]:
        """The file that a blob is in, and its first byte there and the one behind its last."""
        content = self.live[key]
        path = self.path / str(directory_number(key)) / key
        if path in self.files:
            return path, 0, len(content)
        place = place_of(key)
        path = self.path / "packed" / f"{place.segment:08x}.segment"
        return path, place.offset, place.offset + HEADER_BYTES + len(content)

    def held(self, key: str) -> bytes:
        """What is on the disk in the place of a blob."""
        path, start, end = self.place(key)
        return path.read_bytes()[start:end] if path.exists() else b""

    def is_whole(self, key: str) -> bool:
        path, start, end = self.place(key)
        return self.held(key) == self.files[path][start:end] and (
            path.parent.name == "packed" or path.stat().st_size == len(self.live[key])
        )


async def lay_out(path: Path) -> Stage:
    """Packed blobs in several segments, large ones, some deleted, some in quarantine."""
    chance = random.Random(1)
    stage = Stage(path)
    store = stage.open()
    for size in [*SMALL_SIZES * 4, *LARGE_SIZES]:
        content = chance.randbytes(size)
        stage.live[await put(store, content)] = content
    keys = sorted(stage.live)
    for key in chance.sample(keys, 8):
        del stage.live[key]
        await store.delete(key)
    stage.quarantined = chance.sample(sorted(stage.live), 4)
    for key in stage.quarantined:
        del stage.live[key]
        await store.quarantine(key)
    await store.adopt("d300da26-03c1-4a56-a2e0-65aee683b485")
    await store.close()
    lease = {"owner": "o", "boot": "b", "seconds": 1.0, "count": 1, "released": True}
    (path / "lease").write_bytes(encode(lease))
    (path / "lock").write_bytes(b"a lock holds nothing, and nothing that it holds matters")
    (path / "incoming" / "7").write_bytes(chance.randbytes(5000))
    (path / "about.new").write_bytes(b'{"formatVersion"')
    stage.remember()
    return stage


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    return await lay_out(tmp_path)


def do_damage(stage: Stage, chance: random.Random) -> None:
    """Damage some files."""
    stage.damage = []
    # All kinds of files alike, however many there are of each.
    groups: dict[str, list[Path]] = {}
    for path in filter(Path.exists, stage.files):
        folder = path.parent.name
        groups.setdefault("blob" if folder.isdigit() else path.suffix + folder, []).append(path)
    for _ in range(chance.choice([1, 1, 2, 5])):
        path = chance.choice(groups[chance.choice(sorted(groups))])
        block = chance.choice([64, 512, 4096])
        with suppress(NothingToDamageError):
            stage.damage.append(damage(path, chance.choice(KINDS), chance, block_bytes=block))


async def read(store: BothStores, key: str) -> bytes | None:
    """The bytes of a blob; None when they do not come to their end."""
    try:
        blob = await store.open(key)
    except (BlobNotFoundError, StoreError):
        return None
    try:
        pieces = [
            await blob.read(offset, min(SLICE_BYTES, blob.size - offset))
            for offset in range(0, blob.size, SLICE_BYTES)
        ]
    except StoreError:
        return None
    finally:
        await blob.close()
    return b"".join(pieces)


async def look(stage: Stage, store: BothStores) -> set[str]:
    """Every blob, and the inventory; the keys of those that were served."""
    served = set()
    for key, content in stage.live.items():
        found = await read(store, key)
        assert found in (None, content), f"{key} is served with other bytes"
        if found is not None:
            served.add(key)
        assert found is not None or not stage.is_whole(key), f"{key} is whole, and not served"
    cursor: str | None = None
    listed: dict[str, bool] = {}
    while True:
        page = await store.inventory(cursor, 1000)
        listed |= {blob.key: blob.quarantined for blob in page.blobs}
        cursor = page.cursor
        if cursor is None:
            break
    assert served <= listed.keys()
    assert not [key for key in served if listed[key]]
    return served


async def work(stage: Stage, store: BothStores, chance: random.Random) -> None:
    """Look at everything, delete, collect and store, and look again."""
    served = await look(stage, store)
    gone = chance.sample(sorted(served), min(5, len(served)))
    held = {key: stage.held(key) for key in stage.live if key not in gone}
    kept = dict(stage.live)
    for key in gone:
        await store.delete(key)
        del stage.live[key]
    for key in stage.quarantined:
        with suppress(BlobNotFoundError, StoreError):
            await store.purge(key)
    await store.reclaim()
    assert await look(stage, store) == served - set(gone)
    changed = [key for key, before in held.items() if stage.held(key) != before]
    assert not changed, "bytes of blobs that nobody has deleted are gone"
    for size in (10, 5000, 300_000):
        content = chance.randbytes(size)
        assert await read(store, await put(store, content)) == content
    stage.live = kept


async def one_round(stage: Stage, chance: random.Random) -> str:
    """What became of it: "refused" or "served"."""
    beneath = chance.random() < 0.3
    store: BothStores | None = None
    if beneath:
        store = stage.open()
        do_damage(stage, chance)
    else:
        do_damage(stage, chance)
        before = stage.contents()
        try:
            store = stage.open()
        except StartupError as error:
            text = str(error)
            assert "\n" not in text
            assert str(stage.path) in text
            assert "about.json" in text or "lease" in text
            assert any("about.json" in one or "lease" in one for one in stage.damage)
            assert stage.contents() == before
            return "refused"
    try:
        await work(stage, store, chance)
    finally:
        await store.close()
    return "served"


@pytest.mark.timeout(120 + ROUNDS)
async def test_damage_is_contained(stage: Stage) -> None:
    outcomes = []
    for number in range(ROUNDS):
        seed = f"{SEED}/{number}"
        stage.restore()
        try:
            outcomes.append(await one_round(stage, random.Random(seed)))
        except BaseException as error:
            error.add_note(f"seed {seed}: {stage.damage}")
            raise
    assert outcomes.count("served") > ROUNDS / 2
    assert "refused" in outcomes


@pytest.fixture(autouse=True)
def remove_folders(tmp_path: Path) -> Iterator[None]:
    """Thousands of folders, whatever became of the test."""
    yield
    shutil.rmtree(tmp_path, ignore_errors=True)
