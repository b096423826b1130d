"""Whether the locks of a file system tell one machine that another holds them.

Pure but for ``mount_of``, which asks the kernel. On a disk of this machine a lock always does. On a
network file system it depends on its kind and on how it is mounted; what is not known to carry
locks is not relied on.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

_MOUNTS: Final = Path("/proc/self/mountinfo")
_NFS: Final = ("nfs", "nfs4")
_CARRIES_LOCKS: Final = frozenset({"ceph", "gfs2", "gpfs", "lustre", "ocfs2"})
"""File systems of clusters, with locks among all machines."""

_CARRIES_NO_LOCKS: Final = frozenset({"9p", "afs", "cifs", "smb3", "smbfs", "vboxsf", "virtiofs"})


class Mount(msgspec.Struct, frozen=True):
    """A mounted file system: its kind, and the options of its super block."""

    kind: str
    options: frozenset[str] = frozenset()

    @property
    def is_shared(self) -> bool:
        """Whether other machines may have it as well."""
        return (
            self.kind in _NFS
            or self.kind in _CARRIES_LOCKS
            or self.kind in _CARRIES_NO_LOCKS
            or self.kind.startswith("fuse.")
        )


def mount_of(path: Path) -> Mount | None:
    """The file system that a path is on, None when the kernel does not list it."""
    try:
        return find_mount(_MOUNTS.read_text(), path.stat().st_dev)
    except OSError:
        return None


def find_mount(mounts: str, device: int) -> Mount | None:
    """The mount of a device in the text of ``/proc/self/mountinfo`` (proc(5))."""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.splitlines():
        place, _, about = line.partition(" - ")
        if number == place.split()[2]:
            kind, _, options = about.split(" ", 2)
            return Mount(kind, frozenset(options.split(",")))
    return None


def doubt_about(mount: Mount | None) -> str | None:
    """Why the locks of a file system cannot be relied on; None when they can."""
    if mount is None or not mount.is_shared or mount.kind in _CARRIES_LOCKS:
        return None
    if mount.kind not in _NFS:
        return f"locks of {mount.kind} may not leave this machine"
    if mount.options & {"nolock", "local_lock=flock", "local_lock=all"}:
        return "this NFS is mounted without locks"
    if mount.kind == "nfs" and not any(option.startswith("vers=4") for option in mount.options):
        return "NFS before version 4 keeps the locks of a machine that is dead"
    return None
