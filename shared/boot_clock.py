"""A clock that goes on while the machine sleeps: for what grows old all the same."""

from __future__ import annotations

import time


def boot_seconds() -> float:
    """The time since the machine was started, with the time that it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
