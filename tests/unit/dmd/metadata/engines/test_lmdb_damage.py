"""Damage to the pages of a metadata store: found, told, and gone around; nothing wrong comes out.

Each round damages a copy of the same store, by a seeded chance. With TWOFOLD_SOAK=1 there are many
more of them.
"""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import orjson
import pytest

from dmd.errors import DamagedMetadataError, StartupError
from dmd.jobs.dump import dump, load
from dmd.jobs.salvage import Salvage
from dmd.metadata import record_keys, stored
from dmd.metadata.engines.base import EngineError
from dmd.metadata.engines.lmdb import FILE_NAME, LmdbEngine
from dmd.metadata.engines.lmdb_format import HEADER_BYTES, Leaf, Long, Meta, PageError, parse_page
from dmd.metadata.engines.lmdb_pages import Damage, PageFile, PageView, read_metas
from dmd.metadata.engines.lmdb_reader import PageStore
from dmd.metadata.engines.lmdb_survey import check_whole, survey
from dmd.metadata.metadata_directory import open_engine
from tests.faults.damage import KINDS, NothingToDamageError, damage
from tests.servers import REPOSITORY

ROUNDS = 1000 if os.environ.get("TWOFOLD_SOAK") else 10
SEED = 20261128
PAGE = 4096


@dataclass
class Filled:
    """A store, what it holds, and in which pages each record lies."""

    folder: Path
    records: dict[bytes, stored.Stored]
    pages: dict[bytes, set[int]]

    def copy(self, folder: Path) -> Path:
        folder.mkdir()
        shutil.copy(self.folder / FILE_NAME, folder / FILE_NAME)
        return folder


def _fill(folder: Path) -> dict[bytes, stored.Stored]:
    chance = random.Random(SEED)
    records: dict[bytes, stored.Stored] = {}
    engine = open_engine(folder)
    revision = 0
    for _ in range(30):
        with engine.transaction() as transaction:
            for _ in range(chance.choice((1, 20, 60))):
                revision += 1
                tail = "k" * chance.choice((1, 40, 900))
                name = f"{chance.choice('abc')}/{chance.randrange(1500):05}{tail}"
                key = record_keys.prefix(["bucket"]) + name.encode()
                if key in records and chance.random() < 0.5:
                    transaction.delete(key)
                    del records[key]
                    continue
                size = chance.choice((20, 200, 700, 6000))
                value = orjson.dumps({"text": "x" * size, "revision": revision})
                records[key] = stored.Stored(revision, stored.NO_PROJECTION, b"", value)
                transaction.put(key, stored.pack(key, records[key]))
            counter = stored.Stored(revision, stored.NO_PROJECTION, b"", b"")
            transaction.put(
                record_keys.REVISION_KEY, stored.pack(record_keys.REVISION_KEY, counter)
            )
    engine.close()
    return records


@contextmanager
def view_of(folder: Path) -> Iterator[tuple[PageView, list[Damage]]]:
    """The newest state of a store, and what of it turns out to be damaged."""
    told: list[Damage] = []
    with (folder / FILE_NAME).open("rb") as file:
        metas = [meta for meta in read_metas(file.fileno()) if isinstance(meta, Meta)]
        newest = max(metas, key=lambda meta: meta.transaction)
        yield PageView(PageFile(file.fileno(), newest.page_bytes), newest, told.append), told


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    folder = tmp_path_factory.mktemp("store")
    records = _fill(folder)
    places: dict[bytes, set[int]] = {}
    with view_of(folder) as (view, _), (folder / FILE_NAME).open("rb") as file:
        used: list[int] = []
        list(view.walk(lambda page, _count: used.append(page)).items(b"", None))
        for number in used:
            try:
                page = parse_page(os.pread(file.fileno(), PAGE, number * PAGE), number)
            except PageError:
                continue  # a value of its own
            if isinstance(page, Leaf):
                for key, value in zip(page.keys, page.values, strict=True):
                    own = (
                        range(value.page, value.page + value.pages)
                        if isinstance(value, Long)
                        else ()
                    )
                    places[key] = {number, *own}
    assert records.keys() <= places.keys()
    return Filled(folder, records, places)


def damaged_pages(before: Path, after: Path) -> set[int]:
    """The pages that are not what they were."""
    old, new = before.read_bytes(), after.read_bytes()
    return {
        start // PAGE
        for start in range(0, len(old), PAGE)
        if old[start : start + PAGE] != new[start : start + PAGE]
    }


def read_tolerantly(folder: Path) -> tuple[dict[bytes, stored.Stored], list[str]]:
    """What a job that goes on past damage reads, and what it is told."""
    told: list[str] = []
    found: dict[bytes, stored.Stored] = {}
    store = PageStore(folder, lambda entry: told.append(str(entry)))
    with store.snapshot() as view:
        survey(view, told.append, lambda _count: None)
        for key, value in view.range(record_keys.RECORDS_LOWER, record_keys.RECORDS_UPPER):
            try:
                found[key] = stored.unpack(key, value)
            except stored.CorruptRecordError as error:
                told.append(str(error))
    store.close()
    return found, told


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_found_and_told(filled: Filled, tmp_path: Path, kind: str) -> None:
    for number in range(ROUNDS):
        chance = random.Random(f"{SEED} {kind} {number}")
        folder = filled.copy(tmp_path / str(number))
        done = damage_or_none(folder / FILE_NAME, kind, chance)
        changed = damaged_pages(filled.folder / FILE_NAME, folder / FILE_NAME)
        try:
            found, told = read_tolerantly(folder)
        except DamagedMetadataError:
            # Neither meta page leads anywhere.
            with view_of(filled.folder) as (view, _):
                assert {0, 1} <= changed or view.meta.records.root in changed, done
            continue
        wrong = {key for key, entry in found.items() if filled.records.get(key) != entry}
        assert not wrong or any("read as of transaction" in line for line in told), done
        missing = filled.records.keys() - found.keys()
        assert told or not missing, done
        assert all("\n" not in line for line in told), done
        if told:
            with pytest.raises(DamagedMetadataError):
                check_strictly(folder)
        shutil.rmtree(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_salvage_brings_out_what_is_whole(filled: Filled, tmp_path: Path, kind: str) -> None:
    for number in range(ROUNDS):
        chance = random.Random(f"{SEED} {kind} {number}")
        folder = filled.copy(tmp_path / str(number))
        done = damage_or_none(folder / FILE_NAME, kind, chance)
        changed = damaged_pages(filled.folder / FILE_NAME, folder / FILE_NAME)
        report = Salvage()
        output = BytesIO()
        dump(folder, output, lambda _count: None, report)
        found = dumped(output)
        for key, (revision, record) in found.items():
            known = filled.records.get(key)
            current = known is not None and (known.revision, known.record) == (revision, record)
            assert current or report.uncertain, (done, key)
        lost = filled.records.keys() - found.keys()
        assert all(filled.pages[key] & changed for key in lost), done
        assert report.lost in (-1, *range(len(lost), len(lost) + 3)), (done, report.lost, len(lost))
        assert bool(report.problems) or not lost, done
        if number % 10 == 0:
            restored = tmp_path / f"restored-{number}"
            restored.mkdir()
            output.seek(0)
            assert load(output, restored, lambda _count: None) == len(found)
        shutil.rmtree(folder)


def test_salvage_goes_on_past_what_looks_like_a_long_value_of_no_pages(
    filled: Filled, tmp_path: Path
) -> None:
    folder = filled.copy(tmp_path / "copy")
    key = next(iter(filled.records))
    (number,) = filled.pages[key]
    node = struct.pack("<HHHH", 5, 0, 1, 4) + b"name"  # and zeros: page 0, of which there are 0
    with (folder / FILE_NAME).open("r+b") as file:
        file.seek(number * PAGE + HEADER_BYTES)
        file.write(node.ljust(PAGE - HEADER_BYTES, b"\0"))
    report, output = Salvage(), BytesIO()
    dump(folder, output, lambda _count: None, report)
    found = dumped(output)
    assert key not in found
    assert all(number in filled.pages[lost] for lost in filled.records.keys() - found.keys())


def damage_or_none(path: Path, kind: str, chance: random.Random) -> str:
    try:
        return damage(path, kind, chance)
    except NothingToDamageError:
        return "nothing"


def check_strictly(folder: Path) -> None:
    """What the daemon does before it opens a store that it has reason to doubt; checksums are not
    for it."""
    check_whole(folder / FILE_NAME)
    store = PageStore(folder)
    try:
        with store.snapshot() as view:
            for key, value in view.range(record_keys.RECORDS_LOWER, record_keys.RECORDS_UPPER):
                stored.unpack(key, value)
    except (EngineError, stored.CorruptRecordError) as error:
        raise DamagedMetadataError(folder, error) from error
    finally:
        store.close()


def dumped(output: BytesIO) -> dict[bytes, tuple[int, bytes]]:
    lines = [orjson.loads(line) for line in output.getvalue().splitlines()[1:-1]]
    return {
        record_keys.prefix(line["s"]) + line["k"].encode(): (line["r"], line["v"].encode())
        for line in lines
    }


@pytest.mark.parametrize("slot", [0, 1])
def test_either_meta_page_is_enough(filled: Filled, tmp_path: Path, slot: int) -> None:
    folder = filled.copy(tmp_path / "copy")
    with (folder / FILE_NAME).open("r+b") as file:
        file.seek(slot * PAGE)
        file.write(bytes(PAGE))
    with pytest.raises(StartupError, match=f"meta page {slot}: it is no meta page.*--salvage"):
        LmdbEngine(folder)
    report = Salvage()
    output = BytesIO()
    dump(folder, output, lambda _count: None, report)
    assert f"meta page {slot}: it is no meta page" in report.problems
    with view_of(filled.folder) as (view, _):
        newest = view.meta.transaction % 2
    found = dumped(output)
    if slot != newest:
        assert (report.lost, report.uncertain) == (0, False)
        assert found == {k: (e.revision, e.record) for k, e in filled.records.items()}
    else:
        # The state before the last commit.
        assert report.uncertain
        assert any("what was committed last is missing" in line for line in report.problems)
        assert len(found.keys() ^ filled.records.keys()) < 100


READER = """
import sys
from pathlib import Path
from dmd.errors import StartupError
from dmd.metadata import record_keys, stored
from dmd.metadata.engines.base import EngineError
from dmd.metadata.engines.lmdb import LmdbEngine
try:
    engine = LmdbEngine(Path(sys.argv[1]))
except StartupError as error:
    sys.exit(0)
for line in sys.stdin:
    key = bytes.fromhex(line)
    try:
        with engine.snapshot() as reader:
            value = reader.get(key)
        if value is not None:
            print(line.strip(), stored.unpack(key, value).revision, flush=True)
    except (EngineError, stored.CorruptRecordError):
        pass
try:
    with engine.snapshot() as reader:
        for key, value in reader.range(record_keys.RECORDS_LOWER, record_keys.RECORDS_UPPER):
            try:
                print(key.hex(), stored.unpack(key, value).revision, flush=True)
            except stored.CorruptRecordError:
                pass
except EngineError:
    pass
"""
"""Reads by the library: every key by itself, then all of them."""


@pytest.mark.parametrize("kind", KINDS)
def test_the_library_serves_nothing_wrong(filled: Filled, tmp_path: Path, kind: str) -> None:
    """It may fail, or end its process; what passes for a record is one that was stored."""
    wanted = "\n".join(key.hex() for key in filled.records)
    for number in range(max(ROUNDS // 5, 2)):
        folder = filled.copy(tmp_path / str(number))
        done = damage_or_none(folder / FILE_NAME, kind, random.Random(f"{SEED} {kind} {number}"))
        read = subprocess.run(
            [sys.executable, "-c", READER, str(folder)],
            input=wanted,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        assert read.returncode <= 0, (done, read.stderr)
        lines = [line.split() for line in read.stdout.splitlines()]
        served = {(bytes.fromhex(key), int(revision)) for key, revision in lines}
        wrong = served - {(key, entry.revision) for key, entry in filled.records.items()}
        if wrong:
            # An old copy of a page in the place of another one: the library does not look at the
            # numbers of pages. Everything that reads pages by itself does.
            assert kind == "swap", (done, wrong)
            with pytest.raises(DamagedMetadataError):
                check_strictly(folder)
        shutil.rmtree(folder)


@pytest.mark.parametrize("pages", [2**29, 2], ids=["beyond the file", "within it"])
def test_no_more_is_read_than_a_value_has(filled: Filled, pages: int) -> None:
    """A flipped bit makes two pages two terabytes."""
    with (filled.folder / FILE_NAME).open("rb") as file, pytest.raises(PageError):
        PageFile(file.fileno(), PAGE).read_long(Long(3, pages, 1, 100))
