"""Sets of keys on disk, and the journal of garbage collection."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dmd.jobs.errors import JobError
from dmd.jobs.gc_journal import FILE_NAME, LAYOUT, Journal, read_journal
from dmd.jobs.partitions import PARTITIONS, Partitions
from tests.unit.full_disk import full_disk

ENTRIES = [(os.urandom(20), number) for number in range(20_000)]


def test_every_entry_is_in_the_partition_of_its_key(tmp_path: Path) -> None:
    with Partitions(tmp_path, LAYOUT) as first, Partitions(tmp_path, LAYOUT) as second:
        for key, number in ENTRIES:
            first.add(key, number)
            second.add(key, number + 1)
        found = []
        for partition in range(PARTITIONS):
            entries = list(first.read(partition))
            assert entries == list(first.read(partition))
            assert [(key, number + 1) for key, number in entries] == list(second.read(partition))
            found += entries
    assert sorted(found) == sorted(ENTRIES)


@pytest.mark.parametrize("entries", [100, 10_000])
def test_a_full_disk_is_named(tmp_path: Path, entries: int) -> None:
    """Whether it shows at once, or when what was held back is written."""

    def fill(partitions: Partitions) -> None:
        for _ in range(entries):
            partitions.add(bytes(20), 0)
        list(partitions.read(0))

    with Partitions(tmp_path, LAYOUT) as partitions:
        with full_disk(), pytest.raises(OSError, match="too large") as told:
            fill(partitions)
        assert told.value.filename == str(tmp_path)


def test_nothing_shows_in_the_folder(tmp_path: Path) -> None:
    with Partitions(tmp_path, LAYOUT) as partitions:
        partitions.add(*ENTRIES[0])
        assert list(tmp_path.iterdir()) == []


def test_a_journal_grows_and_is_replaced(tmp_path: Path) -> None:
    assert list(read_journal(tmp_path)) == []
    with Journal(tmp_path, ENTRIES[:3]) as journal:
        journal.add(*ENTRIES[3])
        journal.sync()
        assert list(read_journal(tmp_path)) == ENTRIES[:4]
    with Journal(tmp_path, ENTRIES):
        assert list(read_journal(tmp_path)) == ENTRIES
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("missing", [1, 8, 27])
def test_an_entry_that_was_cut_off_is_none(tmp_path: Path, missing: int) -> None:
    with Journal(tmp_path, ENTRIES[:5]):
        pass
    path = tmp_path / FILE_NAME
    os.truncate(path, path.stat().st_size - missing)
    assert list(read_journal(tmp_path)) == ENTRIES[:4]


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"Twofold gc journal 2\n")
    with pytest.raises(JobError, match="journal"):
        list(read_journal(tmp_path))
