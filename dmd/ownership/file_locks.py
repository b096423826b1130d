"""Whether the locks of a file system tell one machine that another holds them. Pure.

On a disk of this machine a lock always does. On a network file system it depends on its kind and on
how it is mounted; what is not known to carry locks is not relied on.
"""

from __future__ import annotations

from shared.local_directory import CARRY_LOCKS, NFS, Mount


def doubt_about(mount: Mount | None) -> str | None:
    """Why the locks of a file system cannot be relied on; None when they can."""
    if mount is None or not mount.is_shared or mount.kind in CARRY_LOCKS:
        return None
    if mount.kind not in NFS:
        return f"locks of {mount.kind} may not leave this machine"
    if mount.options & {"nolock", "local_lock=flock", "local_lock=all"}:
        return "this NFS is mounted without locks"
    if mount.kind == "nfs" and not any(option.startswith("vers=4") for option in mount.options):
        return "NFS before version 4 keeps the locks of a machine that is dead"
    return None
