"""The command that makes sure that the owner of a directory writes no more.

It is the operator's: it may switch the other machine off, or its access to the file system. It is
told who the owner is by its environment, and what it says with its exit code is believed: with 0
the owner writes no more, whatever it is doing.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from dmd.ownership.lease import LeaseState
from shared import limits


def fence(command: Sequence[str], directory: Path, owner: LeaseState) -> str | None:
    """Run the command; None when the owner is fenced off, else why that is not known."""
    about = {
        "TWOFOLD_FENCE_DIRECTORY": str(directory),
        "TWOFOLD_FENCE_HOST": owner.host,
        "TWOFOLD_FENCE_PID": str(owner.pid),
        "TWOFOLD_FENCE_BOOT": owner.boot,
        "TWOFOLD_FENCE_OWNER": owner.owner,
    }
    try:
        # A session of its own, so that what it has started can be ended with it.
        process = subprocess.Popen(  # noqa: S603  # the operator's own program
            list(command),
            env=os.environ | about,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        return f"cannot run {command[0]}: {error.strerror}"
    try:
        code = process.wait(limits.FENCE_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"no result within {limits.FENCE_SECONDS_MAX:g} seconds"
    return None if code == 0 else f"exit code {code}"
