"""Where the folders of tests are: in memory, when there is enough of it.

Making and removing the folders of a data directory, and syncing what is in them, costs a disk more
than most tests do besides; what a process syncs before it is killed is as safe in memory as on a
disk. What a run leaves there, folders of tests that failed or of a run that was killed, goes when
the next one begins.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108
_NAME = "twofold-"
_NEEDED_BYTES = 6 * 1024**3
"""More than all tests of a run store, with what their processes need besides."""


def folder_in_memory() -> Path | None:
    """A new folder in memory for the tests of this process; None when there is no room for them,
    and for the long campaigns, which are to meet a real disk."""
    if os.environ.get("TWOFOLD_SOAK") == "1" or not os.access(_MEMORY, os.W_OK):
        return None
    _remove_old()
    rooms = (shutil.disk_usage(_MEMORY).free, _available_bytes(), _allowed_bytes())
    if min(rooms) < _NEEDED_BYTES:
        return None
    folder = _MEMORY / f"{_NAME}{os.getpid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _remove_old() -> None:
    """Remove what runs that have ended left behind."""
    for folder in _MEMORY.glob(f"{_NAME}*"):
        if not Path("/proc", folder.name.removeprefix(_NAME)).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _available_bytes() -> int:
    """The memory of the machine that is free or can be made so (proc(5))."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return 0


def _allowed_bytes() -> int:
    """What the control group of this container allows, as far as it can be seen from inside."""
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return _NEEDED_BYTES
    return _NEEDED_BYTES if limit == "max" else int(limit)
