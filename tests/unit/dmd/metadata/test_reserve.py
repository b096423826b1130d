"""Room for deletions on a full disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from dmd.metadata.mutations import Delete, Mutation, Put, Versioned, frees
from dmd.metadata.reserve import FILE_NAME, Reserve
from dmd.metadata.versioned_writes import DeleteVersion, PutVersion, RepairMaster
from tests.unit.dmd.metadata.support import RecordingLog, put, until

SIZE = 1 << 20


def held(directory: Path) -> int:
    return (directory / FILE_NAME).stat().st_blocks * 512


def nothing_free(_size: int) -> bool:
    return False


def no_room(*_: int) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_the_reserve_is_given_up_once_and_taken_back(tmp_path: Path) -> None:
    log = RecordingLog()
    reserve = Reserve(tmp_path, SIZE, nothing_free, log)
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


def test_room_inside_the_store_is_never_all_given_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is deleted makes room there, while others have filled the disk."""
    for name in ("_LOOK_SECONDS", "_LOOK_INSIDE_SECONDS"):
        monkeypatch.setattr(f"dmd.metadata.reserve.{name}", 0.0)
    free = [2 * SIZE - 1]
    with monkeypatch.context() as full:
        full.setattr("os.posix_fallocate", no_room)
        reserve = Reserve(tmp_path, SIZE, lambda size: free[0] >= size, RecordingLog())
        assert (reserve.is_spent, reserve.has_room()) == (True, False)
        free[0] = 2 * SIZE
        assert (reserve.has_room(), reserve.is_spent, reserve.is_whole) == (True, False, False)
        free[0] = SIZE
        assert reserve.has_room()
        free[0] = SIZE - 1
        assert (reserve.has_room(), reserve.is_spent) == (False, True)
        free[0] = 2 * SIZE - 1
        assert not reserve.has_room()
    assert (reserve.has_room(), reserve.is_whole, held(tmp_path)) == (True, True, SIZE)


def test_a_reserve_of_an_earlier_run_is_kept(tmp_path: Path) -> None:
    Reserve(tmp_path, SIZE, nothing_free, RecordingLog())
    before = (tmp_path / FILE_NAME).stat()
    assert not Reserve(tmp_path, SIZE, nothing_free, RecordingLog()).is_spent
    assert (tmp_path / FILE_NAME).stat() == before


def test_no_reserve_takes_no_space(tmp_path: Path) -> None:
    Reserve(tmp_path, SIZE, nothing_free, RecordingLog())
    reserve = Reserve(tmp_path, 0, nothing_free, RecordingLog())
    assert not (tmp_path / FILE_NAME).exists()
    assert not reserve.release()


def test_a_reserve_that_cannot_be_made_refuses_nothing(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).symlink_to(FILE_NAME)
    log = RecordingLog()
    reserve = Reserve(tmp_path, SIZE, nothing_free, log)
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
