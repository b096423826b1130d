"""Telling whether two processes mean the same directory, on the same machine.

Used where both services of the daemon have to know that they share the data directory. Reads what
the kernel says; keeps nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dmd.ownership.file_locks import Mount, mount_of

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_IN_MEMORY: Final = ("tmpfs", "ramfs")


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
