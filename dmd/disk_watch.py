"""Warns in the log while there is still time: the disk of a directory is nearly full."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from shared.limits import DISK_LOW_SHARE, is_low
from shared.process.logs import EventLog

_LOOK_SECONDS: Final = 30.0
_REMIND_LOOKS: Final = 120
"""While it stays so, it is said again once an hour."""


async def watch_disk(directory: Path, log: EventLog) -> None:
    """Look at the disk of a directory now and then, as long as this runs. Never raises."""
    low_for = 0
    while True:
        try:
            figures = await asyncio.to_thread(os.statvfs, directory)
        except OSError as error:
            log.warning("the disk cannot be looked at", directory=str(directory), reason=str(error))
        else:
            available = figures.f_bavail * figures.f_frsize
            total = figures.f_blocks * figures.f_frsize
            if not is_low(available, total):
                if low_for:
                    log.info("the disk has room again", directory=str(directory))
                low_for = 0
            else:
                if low_for % _REMIND_LOOKS == 0:
                    log.warning(
                        "the disk is nearly full: make room, or delete objects",
                        directory=str(directory),
                        available_bytes=available,
                        total_bytes=total,
                        low_below=f"{DISK_LOW_SHARE:.0%}",
                    )
                low_for += 1
        await asyncio.sleep(_LOOK_SECONDS)
