"""Whether two processes mean the same directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared import local_directory
from shared.local_directory import Mount, is_in_memory, local_identity


def test_a_directory_is_the_same_by_any_name(tmp_path: Path) -> None:
    path, other, link = tmp_path / "a", tmp_path / "b", tmp_path / "link"
    path.mkdir()
    other.mkdir()
    link.symlink_to(path)
    assert local_identity(path) == local_identity(link) == local_identity(other / ".." / "a")
    assert local_identity(path) != local_identity(other)
    assert local_identity(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("kind", "shared", "in_memory"),
    [
        *(("ext4", False, False), ("tmpfs", False, True), ("nfs4", True, False)),
        *(("ceph", True, False), ("9p", True, False), ("fuse.sshfs", True, False)),
    ],
)
def test_what_other_machines_may_have_is_not_ours_alone(
    kind: str, shared: bool, in_memory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_directory, "mount_of", lambda _path: Mount(kind))
    assert (local_identity(tmp_path) is None) == shared
    assert is_in_memory(tmp_path) == in_memory
