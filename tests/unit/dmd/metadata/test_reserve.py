"""Room for deletions on a full disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmd.metadata.mutations import Delete, Mutation, Put, Versioned, frees
from dmd.metadata.reserve import FILE_NAME, Reserve
from dmd.metadata.versioned_writes import DeleteVersion, PutVersion, RepairMaster
from tests.unit.dmd.metadata.support import RecordingLog, put, until

SIZE = 1 << 20


def held(directory: Path) -> int:
    return (directory / FILE_NAME).stat().st_blocks * 512


async def test_the_reserve_is_given_up_once_and_taken_back(tmp_path: Path) -> None:
    log = RecordingLog()
    reserve = Reserve(tmp_path, SIZE, lambda: 0, log)
    assert (reserve.is_spent, reserve.has_room(), held(tmp_path)) == (False, True, SIZE)
    assert reserve.release()
    assert (reserve.is_spent, reserve.has_room(), held(tmp_path)) == (True, False, 0)
    assert not reserve.release()
    await until(reserve.has_room)
    assert (reserve.is_spent, held(tmp_path)) == (False, SIZE)
    assert log.events == [
        "no room for new metadata: only deletions are done",
        "there is room for metadata again",
    ]


def test_a_reserve_of_an_earlier_run_is_kept(tmp_path: Path) -> None:
    Reserve(tmp_path, SIZE, lambda: 0, RecordingLog())
    before = (tmp_path / FILE_NAME).stat()
    assert not Reserve(tmp_path, SIZE, lambda: 0, RecordingLog()).is_spent
    assert (tmp_path / FILE_NAME).stat() == before


def test_no_reserve_takes_no_space(tmp_path: Path) -> None:
    Reserve(tmp_path, SIZE, lambda: 0, RecordingLog())
    reserve = Reserve(tmp_path, 0, lambda: 0, RecordingLog())
    assert not (tmp_path / FILE_NAME).exists()
    assert not reserve.release()


def test_a_reserve_that_cannot_be_made_refuses_nothing(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).symlink_to(FILE_NAME)
    log = RecordingLog()
    reserve = Reserve(tmp_path, SIZE, lambda: 0, log)
    assert (reserve.is_spent, reserve.has_room()) == (False, True)
    assert log.events == ["no reserve for deletions"]


@pytest.mark.parametrize(
    ("mutation", "expected"),
    [
        (Mutation((put(b"!b!k"),)), False),
        (Mutation((Delete(b"!b!k"),)), True),
        (Mutation((put(b"!b!k"), Delete(b"!b!l"))), True),
        (Mutation((Versioned(PutVersion(b"!b!k", b"{}")),)), False),
        (Mutation((Versioned(DeleteVersion(b"!b!k", "1")),)), True),
        (Mutation((Versioned(RepairMaster(b"!b!k")),)), True),
        (Mutation((Put(b"!..leases!workers", b"{}", 0, b""),)), True),
        (Mutation(()), False),
    ],
    ids=repr,
)
def test_what_is_done_without_room(mutation: Mutation, expected: bool) -> None:
    assert frees(mutation) is expected
