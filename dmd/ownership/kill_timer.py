"""A timer of the kernel that kills this process unless it is set again in time.

A process can be stopped, or cut off, in the middle of anything, so nothing that it checks itself
can keep it from writing too late. The kernel can: SIGKILL ends a stopped process as well
(DESIGN, section 9). The clock goes on while the machine sleeps.

Linux: timer_create(2), timer_settime(2), CLOCK_BOOTTIME.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from typing import Final

_TIMER_ABSTIME: Final = 1
_SIGEV_SIGNAL: Final = 0


class _SigEvent(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal_number", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("padding", ctypes.c_byte * 48),
    )


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class KillTimer:
    """See the module. Not inherited by child processes. Raises OSError when there is none."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)
        self._timer = ctypes.c_void_p()
        event = _SigEvent(None, signal.SIGKILL, _SIGEV_SIGNAL)
        _check(
            self._library.timer_create(
                time.CLOCK_BOOTTIME, ctypes.byref(event), ctypes.byref(self._timer)
            )
        )

    def kill_at(self, moment: float) -> None:
        """Kill this process when ``boot_seconds`` reaches ``moment``, in place of what was set."""
        seconds = int(moment)
        nanoseconds = int((moment - seconds) * 1e9)
        self._set(_TimeSpec(seconds, nanoseconds))

    def disarm(self) -> None:
        """Let this process live."""
        self._set(_TimeSpec(0, 0))

    def _set(self, value: _TimeSpec) -> None:
        spec = _TimerSpec(_TimeSpec(0, 0), value)
        _check(self._library.timer_settime(self._timer, _TIMER_ABSTIME, ctypes.byref(spec), None))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
