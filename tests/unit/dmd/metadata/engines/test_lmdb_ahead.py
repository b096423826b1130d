"""Reading ahead of a listing: which leaves a range has, and when they are asked for."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest

from dmd.metadata.engines import lmdb_ahead
from dmd.metadata.engines.lmdb import FILE_NAME, LmdbEngine
from dmd.metadata.engines.lmdb_ahead import leaves
from dmd.metadata.engines.lmdb_format import Leaf, parse_page
from dmd.metadata.engines.lmdb_pages import PageFile, newest_meta

COUNT = 2000
KEYS = [b"!bucket!%06d" % number for number in range(COUNT)]


@pytest.fixture
def engine(tmp_path: Path) -> LmdbEngine:
    """A store of so many keys that came in any order."""
    made = LmdbEngine(tmp_path)
    keys = KEYS.copy()
    Random(1).shuffle(keys)
    with made.transaction() as transaction:
        for key in keys:
            transaction.put(key, key * 60)
    return made


def keys_of(path: Path, numbers: list[int]) -> list[bytes]:
    """The keys that some leaves have."""
    with path.open("rb") as file:
        meta, _ = newest_meta(file.fileno())
        assert meta is not None
        pages = PageFile(file.fileno(), meta.page_bytes)
        found: list[bytes] = []
        for number in numbers:
            page = parse_page(pages.read(number), number)
            assert isinstance(page, Leaf)
            found += page.keys
    return found


@pytest.mark.parametrize("first", [0, 1, 1234, COUNT - 1])
@pytest.mark.parametrize("last", [1235, COUNT - 1])
def test_the_leaves_of_a_range_have_its_keys(
    engine: LmdbEngine, tmp_path: Path, first: int, last: int
) -> None:
    path = tmp_path / FILE_NAME
    lower, upper = sorted((KEYS[first], KEYS[last] + b"x"))
    with path.open("rb") as file:
        meta, _ = newest_meta(file.fileno())
        assert meta is not None
        numbers = leaves(PageFile(file.fileno(), meta.page_bytes), meta, lower, upper, 10 * COUNT)
    found = keys_of(path, numbers)
    wanted = [key for key in KEYS if lower <= key < upper]
    begin = found.index(wanted[0])
    assert found[begin : begin + len(wanted)] == wanted
    # No leaf more than has a key of the range, but for the first and the last.
    assert len(found) <= len(wanted) + 2 * max(len(keys_of(path, [each])) for each in numbers)
    engine.close()


def test_a_part_of_a_range_takes_about_as_many_leaves_as_it_has_keys(
    engine: LmdbEngine, tmp_path: Path
) -> None:
    path = tmp_path / FILE_NAME
    with path.open("rb") as file:
        meta, _ = newest_meta(file.fileno())
        assert meta is not None
        pages = PageFile(file.fileno(), meta.page_bytes)
        found = keys_of(path, leaves(pages, meta, KEYS[1000], b'"', 500))
        assert leaves(pages, meta, KEYS[1000], KEYS[1000], 0) != []
    assert KEYS[1000] in found
    assert 250 < len(found) < 1000
    engine.close()


def test_a_store_without_an_index_has_nothing_to_look_up(tmp_path: Path) -> None:
    engine = LmdbEngine(tmp_path)
    with engine.transaction() as transaction:
        transaction.put(b"k", b"v")
    with (tmp_path / FILE_NAME).open("rb") as file:
        meta, _ = newest_meta(file.fileno())
        assert meta is not None
        assert leaves(PageFile(file.fileno(), meta.page_bytes), meta, b"a", b"z", 10) == []
    engine.close()


def test_leaves_are_asked_for_once_the_disk_was_waited_for(
    engine: LmdbEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = 5
    pieces: list[tuple[int, int]] = []
    monkeypatch.setattr(lmdb_ahead, "getrusage", lambda _who: SimpleNamespace(ru_majflt=faults))
    monkeypatch.setattr(
        os, "posix_fadvise", lambda _file, start, length, _advice: pieces.append((start, length))
    )
    with engine.snapshot() as reader:
        assert reader.expect(KEYS[0], b'"', 1000) is None
        assert reader.expect(KEYS[10], b'"', 990) is None
        assert pieces == []
        faults += 1
        waits = reader.expect(KEYS[20], b'"', 980)
        assert reader.expect(KEYS[30], b'"', 970) is None
        asked_before = len(pieces)
        assert reader.expect(KEYS[30], b'"', 970, on_disk=True) is not None
        assert len(pieces) > asked_before
    assert waits is not None
    waits()
    page_bytes = os.sysconf("SC_PAGESIZE")
    asked = {
        page
        for start, length in pieces
        for page in range(start // page_bytes, (start + length) // page_bytes)
    }
    with (tmp_path / FILE_NAME).open("rb") as file:
        meta, _ = newest_meta(file.fileno())
        assert meta is not None
        pages = PageFile(file.fileno(), meta.page_bytes)
        numbers = leaves(pages, meta, KEYS[20], b'"', 980)
    assert asked >= set(numbers)
    assert asked_before < len(numbers)
    engine.close()
    waits()  # whoever waits when the store is closed does so for nothing
