"""The lease on a directory, for a stand-by that takes over from an owner that fell silent.

Theory of operation. The owner renews its lease by writing a count into the file ``lease`` of the
directory, and then lets the kernel kill it one lease after the *beginning* of that renewal
(``dmd.kill_timer``). Whoever sees a count knows that the owner that wrote it is dead one lease
later, by any clock that runs evenly. So a stand-by that has seen no renewal for a lease and a
margin may begin, even if it cannot reach the owner's machine.

The lock on the directory (flock) goes with its owner's life. On one machine it is proof enough, and
nobody waits; across machines the file system may give a lock away while its owner still writes,
so the lease decides.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from dmd.errors import StartupError
from dmd.kill_timer import KillTimer, boot_seconds

FILE_NAME: Final = "lease"
_RENEWALS_PER_LEASE: Final = 4
_MARGIN: Final = 0.5
"""Of a lease: clocks that run unevenly, and a file system that shows a renewal late."""

_POLL_SECONDS: Final = 0.1
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class LeaseState:
    """What the file says. ``boot`` names the start of the owner's machine."""

    owner: str
    boot: str
    seconds: float
    count: int
    released: bool = False


def read_state(directory: Path) -> LeaseState | None:
    """The lease of a directory, None when it never had one; raises StartupError."""
    path = directory / FILE_NAME
    try:
        return LeaseState(**orjson.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise StartupError(f"{path}: cannot be read as a lease: {error}") from error


def wait_for_expiry(directory: Path, waiting: Callable[[LeaseState], None]) -> None:
    """Wait until the last owner of a directory is certainly dead; its lock is held by us.

    ``waiting`` is called once if there is something to wait for.
    """
    state = read_state(directory)
    if state is None or state.released or state.boot == _boot_id():
        return
    waiting(state)
    seen = boot_seconds()
    while boot_seconds() < seen + state.seconds * (1 + _MARGIN):
        time.sleep(_POLL_SECONDS)
        newest = read_state(directory)
        if newest is None or newest.released:
            return
        if newest != state:
            state, seen = newest, boot_seconds()


def forget_lease(directory: Path) -> None:
    """Remove what the last owner's lease left; the directory is ours and has none from now on."""
    (directory / FILE_NAME).unlink(missing_ok=True)


class Lease:
    """Our lease, renewed by a thread until ``release``. Raises StartupError when it cannot begin.

    When a renewal fails, or the file is no longer ours, nothing is renewed any more: the timer ends
    the process.
    """

    def __init__(self, directory: Path, seconds: float) -> None:
        self._path = directory / FILE_NAME
        self._seconds = seconds
        self._owner = str(uuid.uuid4())
        self._count = 0
        self._ended = threading.Event()
        try:
            self._timer = KillTimer()
            self._renew()
        except OSError as error:
            raise StartupError(f"{self._path}: cannot take the lease: {error}") from error
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Give the directory up; nothing of it may be written afterwards."""
        self._ended.set()
        self._thread.join()
        self._write(released=True)
        self._timer.disarm()

    def _keep(self) -> None:
        while not self._ended.wait(self._seconds / _RENEWALS_PER_LEASE):
            try:
                if not self._is_ours():
                    return
                self._renew()
            except (OSError, StartupError):
                return

    def _is_ours(self) -> bool:
        state = read_state(self._path.parent)
        return state is not None and state.owner == self._owner

    def _renew(self) -> None:
        # From before the write: whoever sees it sees it later than that.
        begun = boot_seconds()
        self._count += 1
        self._write(released=False)
        self._timer.kill_at(begun + self._seconds)

    def _write(self, *, released: bool) -> None:
        state = {
            "owner": self._owner,
            "boot": _boot_id(),
            "seconds": self._seconds,
            "count": self._count,
            "released": released,
        }
        # A new file each time: a reader sees the old one or the new one, and no half of either.
        unfinished = self._path.with_name(f"{FILE_NAME}.{self._owner}")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, orjson.dumps(state))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        unfinished.rename(self._path)


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()
