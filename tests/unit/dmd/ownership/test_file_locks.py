"""Which file systems have locks that other machines see."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dmd.ownership.file_locks import doubt_about
from shared.local_directory import Mount, find_mount, mount_of

MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
90 27 0:50 / /srv/a rw,relatime shared:2 master:7 - nfs host:/a rw,vers=3,hard,local_lock=none
91 27 0:51 /sub /srv/b\\040c rw - nfs4 host:/b rw,vers=4.2,local_lock=none
"""


@pytest.mark.parametrize(
    ("device", "kind"), [((254, 0), "ext4"), ((0, 50), "nfs"), ((0, 51), "nfs4"), ((0, 5), None)]
)
def test_a_mount_is_found_by_its_device(device: tuple[int, int], kind: str | None) -> None:
    found = find_mount(MOUNTS, os.makedev(*device))
    assert (found and found.kind) == kind


def test_the_mount_of_a_directory_of_this_machine(tmp_path: Path) -> None:
    found = mount_of(tmp_path)
    assert found is None or doubt_about(found) is None


@pytest.mark.parametrize(
    ("kind", "options", "shared", "doubt"),
    [
        ("ext4", "rw", False, None),
        ("tmpfs", "rw,size=4k", False, None),
        ("overlay", "rw", False, None),
        ("fuseblk", "rw", False, None),
        ("ceph", "rw", True, None),
        ("nfs4", "rw,vers=4.2,local_lock=none", True, None),
        ("nfs", "rw,vers=4.0,local_lock=posix", True, None),
        ("nfs", "rw,vers=3,local_lock=none", True, "before version 4"),
        ("nfs", "rw", True, "before version 4"),
        ("nfs", "rw,vers=3,nolock,local_lock=all", True, "without locks"),
        ("nfs4", "rw,vers=4.2,local_lock=flock", True, "without locks"),
        ("cifs", "rw", True, "locks of cifs may not leave this machine"),
        ("fuse.sshfs", "rw", True, "locks of fuse.sshfs may not leave this machine"),
        ("virtiofs", "rw", True, "locks of virtiofs may not leave this machine"),
    ],
)
def test_what_can_be_relied_on(kind: str, options: str, shared: bool, doubt: str | None) -> None:
    mount = Mount(kind, frozenset(options.split(",")))
    assert mount.is_shared is shared
    if doubt is None:
        assert doubt_about(mount) is None
    else:
        assert doubt in (doubt_about(mount) or "")


def test_an_unknown_mount_is_of_this_machine() -> None:
    assert doubt_about(None) is None
