"""What ``dmd restore`` refuses, it refuses before it has copied anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmd.jobs.backup import restore
from dmd.jobs.errors import JobError
from dmd.metadata.metadata_directory import open_engine


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A backup of no records, and of blobs in two folders."""
    folder = tmp_path / "backup"
    folder.mkdir()
    open_engine(folder).close()
    for name in ("0", "7"):
        (folder / "data" / name).mkdir(parents=True)
        (folder / "data" / name / "blob").write_bytes(b"bytes")
    (folder / "data" / "about.json").write_text("{}")
    return folder


def new_folder(path: Path) -> Path:
    path.mkdir()
    return path


def restored(backup: Path, metadata: Path, data: Path) -> str | None:
    """The reason why there was no restore."""
    try:
        restore(backup, metadata, data, lambda _done, _of: None)
    except JobError as error:
        return str(error)
    return None


def test_both_halves_are_restored(backup: Path, tmp_path: Path) -> None:
    metadata, data = new_folder(tmp_path / "metadata"), new_folder(tmp_path / "data")
    assert restored(backup, metadata, data) is None
    assert (metadata / "metadata.lmdb").exists()
    assert (data / "7" / "blob").read_bytes() == b"bytes"


def test_metadata_that_are_there(backup: Path, tmp_path: Path) -> None:
    metadata, data = new_folder(tmp_path / "metadata"), new_folder(tmp_path / "data")
    open_engine(metadata).close()
    assert "there is a metadata store already" in (restored(backup, metadata, data) or "")
    assert list(data.iterdir()) == []


def test_blobs_that_are_there_and_were_never_served(backup: Path, tmp_path: Path) -> None:
    """Those of CloudServer, or what a restore that was killed has left."""
    metadata, data = new_folder(tmp_path / "metadata"), new_folder(tmp_path / "data")
    (data / "7").mkdir()
    (data / "7" / "old").write_bytes(b"old")
    assert "there is a data store already" in (restored(backup, metadata, data) or "")
    assert not (data / "0").exists()
    assert [path.name for path in (data / "7").iterdir()] == ["old"]
