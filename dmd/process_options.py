"""The options of the daemon's processes, which `dmd start` hands on to them."""

from __future__ import annotations

from typing import Final

MEMORY_OPTION: Final = "--memory"
"""Keep everything in memory."""

STANDBY_OPTION: Final = "--standby"
"""Wait until the directory's owner ends."""

NEW_METADATA_OPTION: Final = "--new-metadata"
"""Begin with empty metadata although the data directory holds objects of other metadata."""
