"""Telling whether two processes mean the same directory, on the same machine, and on what.

Used where others than its owner read the data directory, or write to it. Reads what the kernel
says; keeps nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

NFS: Final = ("nfs", "nfs4")
CARRY_LOCKS: Final = frozenset({"ceph", "gfs2", "gpfs", "lustre", "ocfs2"})
"""File systems of clusters, with locks among all machines."""

_CARRY_NO_LOCKS: Final = frozenset({"9p", "afs", "cifs", "smb3", "smbfs", "vboxsf", "virtiofs"})

_MOUNTS: Final = Path("/proc/self/mountinfo")
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_IN_MEMORY: Final = ("tmpfs", "ramfs")


class Mount(msgspec.Struct, frozen=True):
    """A mounted file system: its kind, and the options of its super block."""

    kind: str
    options: frozenset[str] = frozenset()

    @property
    def is_shared(self) -> bool:
        """Whether other machines may have it as well."""
        return (
            self.kind in NFS
            or self.kind in CARRY_LOCKS
            or self.kind in _CARRY_NO_LOCKS
            or self.kind.startswith("fuse.")
        )


def mount_of(path: Path) -> Mount | None:
    """The file system that a path is on, None when the kernel does not list it."""
    try:
        return find_mount(_MOUNTS.read_text(), path.stat().st_dev)
    except OSError:
        return None


def find_mount(mounts: str, device: int) -> Mount | None:
    """The mount of a device in the text of ``/proc/self/mountinfo`` (proc(5)). Pure."""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.splitlines():
        place, _, about = line.partition(" - ")
        if number == place.split()[2]:
            kind, _, options = about.split(" ", 2)
            return Mount(kind, frozenset(options.split(",")))
    return None


def local_identity(path: Path) -> str | None:
    """The machine, since it was started, and the directory: equal for all that mean the same one,
    whatever they call it. None when it is not there, and for one on a file system that other
    machines may have: what is written there is its owner's affair alone."""
    try:
        found = path.stat()
        boot = _BOOT_ID.read_text("ascii").strip()
    except (OSError, ValueError):
        return None
    mount = mount_of(path)
    if mount is not None and mount.is_shared:
        return None
    return f"{boot}:{found.st_dev:x}:{found.st_ino:x}"


def is_in_memory(path: Path) -> bool:
    """Whether a path is on a file system whose files are never anywhere but in memory."""
    mount: Mount | None = mount_of(path)
    return mount is not None and mount.kind in _IN_MEMORY
