"""Who may own a metadata directory, and what stops a daemon from starting on one."""

from __future__ import annotations

import errno
import fcntl
import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from dmd.errors import SettingNeededError, StartupError
from dmd.metadata.daemon import MetadataDaemon, MetadataSettings
from dmd.metadata.engines.base import EngineFatalError
from dmd.metadata.engines.lmdb import FILE_NAME, LmdbEngine
from dmd.metadata.metadata_directory import FORMAT_VERSION
from dmd.metadata.record_keys import FORMAT_KEY
from dmd.ownership import lease, owned_directory
from dmd.ownership.owned_directory import OwnedDirectory, Ownership
from shared.local_directory import Mount
from shared.rpc.streams import StreamSettings
from tests.unit.dmd.metadata.support import HarmlessTimer, RecordingLog


def settings(path: Path | None, port: int = 0) -> MetadataSettings:
    return MetadataSettings(path, "127.0.0.1", port, StreamSettings())


def unexpected(error: EngineFatalError) -> None:
    raise AssertionError(error)


async def start(path: Path | None, port: int = 0) -> MetadataDaemon:
    return await MetadataDaemon.start(settings(path, port), RecordingLog(), unexpected)


async def refusal(path: Path, port: int = 0) -> str:
    """The line that says why a daemon does not start."""
    with pytest.raises(StartupError) as caught:
        await start(path, port)
    message = str(caught.value)
    assert "\n" not in message
    return message


def as_file(path: Path) -> None:
    path.write_text("not a directory")


# -- ownership ----------------------------------------------------------------------------------


def test_a_directory_has_one_owner_at_a_time(tmp_path: Path) -> None:
    owner = OwnedDirectory(tmp_path)
    with pytest.raises(StartupError, match="another daemon owns"):
        OwnedDirectory(tmp_path)
    owner.release()
    OwnedDirectory(tmp_path).release()


def test_a_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="missing: the directory does not exist"):
        OwnedDirectory(tmp_path / "missing")


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    as_file(tmp_path / "file")
    with pytest.raises(StartupError, match="file: "):
        OwnedDirectory(tmp_path / "file")


def test_a_directory_that_nobody_can_write_to_is_named() -> None:
    # Linux lets not even root make files there.
    with pytest.raises(StartupError, match=r"^/proc"):
        OwnedDirectory(Path("/proc"))


def test_a_lock_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(StartupError, match="lock: Is a directory"):
        OwnedDirectory(tmp_path)


def test_a_directory_where_nothing_can_be_locked_is_owned_by_a_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_locks(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lease, "KillTimer", HarmlessTimer)
    monkeypatch.setattr(fcntl, "flock", without_locks)  # such a file system is hard to come by
    with pytest.raises(SettingNeededError, match="No locks available") as caught:
        OwnedDirectory(tmp_path, Ownership(1, standby=True))
    assert caught.value.key == "fenceCommand"
    assert str(tmp_path) in str(caught.value)
    owner = OwnedDirectory(tmp_path, Ownership(1))
    assert owned_directory.is_owned(tmp_path)
    with pytest.raises(StartupError, match="another daemon owns"):
        OwnedDirectory(tmp_path, Ownership(1))
    owner.release()
    assert not owned_directory.is_owned(tmp_path)


def test_a_stand_by_of_another_machine_needs_a_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "KillTimer", HarmlessTimer)
    shared = Mount("nfs4", frozenset({"vers=4.2"}))
    monkeypatch.setattr(owned_directory, "mount_of", lambda _path: shared)
    with pytest.raises(SettingNeededError, match="machines share it") as caught:
        OwnedDirectory(tmp_path, Ownership(standby=True))
    assert caught.value.key == "leaseSeconds"
    OwnedDirectory(tmp_path, Ownership(1, standby=True)).release()


# -- a daemon that starts -----------------------------------------------------------------------


async def test_the_uuid_is_made_once_and_kept(tmp_path: Path) -> None:
    for _ in range(2):
        await (await start(tmp_path)).close()
        text = (tmp_path / "uuid").read_text()
        assert str(uuid.UUID(text)) == text
    first = text
    await (await start(tmp_path)).close()
    assert (tmp_path / "uuid").read_text() == first


async def test_a_uuid_that_the_original_wrote_is_kept(tmp_path: Path) -> None:
    (tmp_path / "uuid").write_text("d300da26-03c1-4a56-a2e0-65aee683b485")
    await (await start(tmp_path)).close()
    assert (tmp_path / "uuid").read_text() == "d300da26-03c1-4a56-a2e0-65aee683b485"


async def test_a_leveldb_beside_a_store_of_ours_is_left_alone(tmp_path: Path) -> None:
    await (await start(tmp_path)).close()
    (tmp_path / "rootDB").mkdir()
    await (await start(tmp_path)).close()


async def test_a_daemon_in_memory_needs_no_directory() -> None:
    daemon = await start(None)
    assert daemon.port > 0
    await daemon.close()


async def test_closing_gives_the_directory_up(tmp_path: Path) -> None:
    daemon = await start(tmp_path)
    await daemon.close()
    OwnedDirectory(tmp_path).release()


# -- a daemon that does not ---------------------------------------------------------------------


async def test_a_second_daemon_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    daemon = await start(tmp_path)
    assert "another daemon owns" in await refusal(tmp_path)
    await daemon.close()


async def test_a_leveldb_of_the_original_is_not_ours_to_read(tmp_path: Path) -> None:
    (tmp_path / "rootDB").mkdir()
    assert "LevelDB" in await refusal(tmp_path)
    assert not (tmp_path / FILE_NAME).exists()


@pytest.mark.parametrize(
    ("version", "reason"),
    [(str(FORMAT_VERSION + 1), "newer release"), ("banana", "format version 'banana'")],
)
async def test_a_format_that_is_not_known_is_refused(
    tmp_path: Path, version: str, reason: str
) -> None:
    await (await start(tmp_path)).close()
    engine = LmdbEngine(tmp_path)
    with engine.transaction() as transaction:
        transaction.put(FORMAT_KEY, version.encode())
    engine.close()
    assert reason in await refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"banana", b"\xff\xfe", b"d300da26-03c1"])
async def test_a_uuid_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "uuid").write_bytes(content)
    assert await refusal(tmp_path)
    assert (tmp_path / "uuid").read_bytes() == content


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    daemon = await start(None)
    other = tmp_path / "other"
    other.mkdir()
    assert f"cannot listen on 127.0.0.1:{daemon.port}" in await refusal(other, daemon.port)
    await daemon.close()


def _leveldb(path: Path) -> None:
    (path / "rootDB").mkdir()


def _bad_uuid(path: Path) -> None:
    (path / "uuid").write_text("banana")


def _no_store(path: Path) -> None:
    as_file(path / FILE_NAME)


@pytest.mark.parametrize("spoil", [_leveldb, _bad_uuid, _no_store])
async def test_a_daemon_that_did_not_start_gives_the_directory_up(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(tmp_path)
    await refusal(tmp_path)
    owner = None
    with suppress(StartupError):
        owner = OwnedDirectory(tmp_path)
    assert owner is not None
    owner.release()
