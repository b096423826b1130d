"""Noting which metadata is served beside the blobs, on one machine (``dmd.belonging``).

A new installation makes its metadata directory's UUID when the data daemon runs already, so it is
looked for until it is there.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from dmd.belonging import read_uuid
from dmd.data.data_directory import DataDirectory
from dmd.errors import StartupError
from shared.process.logs import EventLog

_FIRST_WAIT_SECONDS: Final = 0.5
_WAIT_SECONDS_MAX: Final = 60.0


async def note_metadata_beside(
    directory: DataDirectory, metadata: Path, log: EventLog, *, anew: bool
) -> None:
    """Note the metadata in a directory as soon as there is some; with ``anew`` in place of what is
    named. Never raises."""
    wait = _FIRST_WAIT_SECONDS
    while True:
        try:
            found = await asyncio.to_thread(read_uuid, metadata)
            if found is not None:
                named = directory.named_metadata
                if not named or found in named or anew:
                    await asyncio.to_thread(directory.note_metadata, found)
                else:
                    log.warning(
                        "the objects are those of other metadata than the one beside them",
                        metadata=found,
                        named=sorted(named),
                        advice="dmd check",
                    )
                return
        except (OSError, StartupError) as error:
            log.warning("the metadata beside the objects could not be noted", reason=str(error))
        await asyncio.sleep(wait)
        wait = min(2 * wait, _WAIT_SECONDS_MAX)
