"""The lease on a directory, for a stand-by that takes over from an owner that fell silent.

Theory of operation. The owner renews its lease by writing a count into the file ``lease`` of the
directory, and then lets the kernel kill it one lease after the *beginning* of that renewal
(``dmd.ownership.kill_timer``). Whoever sees a count knows that the owner that wrote it is dead one
lease later, by any clock that runs evenly. So a stand-by that has seen no renewal for a lease and a
margin may begin, even if it cannot reach the owner's machine.

The lock on the directory (flock) goes with its owner's life. On one machine it is proof enough, and
nobody waits; across machines the file system may give a lock away while its owner still writes,
so the lease decides.

Where locks cannot tell who of several is the first to follow a dead owner, they *claim* the lease:
each looks whether the dead owner's lease is still the last one, writes its own, waits for longer
than anybody may take from looking to writing (the kernel sees to that), and looks again. Who wrote
last has it, and whoever looked later did not write.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from dmd.checked_json import decode, encode
from dmd.errors import StartupError
from dmd.ownership.kill_timer import KillTimer
from shared.boot_clock import boot_seconds
from shared.process.logs import EventLog

FILE_NAME: Final = "lease"
_RENEWALS_PER_LEASE: Final = 4
_MARGIN: Final = 0.5
"""Of a lease: clocks that run unevenly, and a file system that shows a renewal late."""

_CLAIM_LEASES: Final = 2
"""A claim is settled before others may take its owner for silent."""

_POLL_SECONDS: Final = 0.1
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class DamagedLeaseError(StartupError):
    """The file is there, and says nothing: it was not written by any owner, who each replace it
    whole."""


@dataclass(frozen=True, slots=True)
class LeaseState:
    """What the file says. ``boot`` names the start of the owner's machine, ``host`` and ``pid``
    tell people where it runs."""

    owner: str
    boot: str
    seconds: float
    count: int
    released: bool = False
    host: str = ""
    pid: int = 0

    @property
    def of_this_machine(self) -> bool:
        """Whether the owner runs on this machine, or ran on it since it started."""
        return self.boot == _boot_id()


def read_state(directory: Path) -> LeaseState | None:
    """The lease of a directory, None when it never had one.

    Raises DamagedLeaseError, and StartupError when it cannot be read.
    """
    path = directory / FILE_NAME
    try:
        return msgspec.json.decode(decode(path.read_bytes()), type=LeaseState)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StartupError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise DamagedLeaseError(
            f"{path}: cannot be read as a lease: {error}; remove the file when no daemon, on any "
            "machine, has this directory"
        ) from error


def wait_for_expiry(directory: Path, waiting: Callable[[LeaseState], None]) -> None:
    """Wait until the last owner of a directory is certainly dead; its lock is held by us.

    ``waiting`` is called once if there is something to wait for.
    """
    state = read_state(directory)
    if state is not None and not state.of_this_machine:
        wait_for_silence(directory, waiting)


def wait_for_silence(
    directory: Path,
    waiting: Callable[[LeaseState], None],
    renewed: Callable[[], None] = lambda: None,
) -> LeaseState | None:
    """Wait until the owner of a directory has renewed nothing for a lease and a margin, or has
    released its lease; the lease that is there then, None when there never was one.

    ``waiting`` is called once if there is something to wait for, ``renewed`` for every renewal.
    """
    state = read_state(directory)
    if state is None or state.released:
        return state
    waiting(state)
    seen = boot_seconds()
    while boot_seconds() < seen + state.seconds * (1 + _MARGIN):
        time.sleep(_POLL_SECONDS)
        newest = read_state(directory)
        if newest is None or newest.released:
            return newest
        if newest != state:
            renewed()
            state, seen = newest, boot_seconds()
    return state


def forget_lease(directory: Path) -> None:
    """Remove what the last owner's lease left; the directory is ours and has none from now on."""
    (directory / FILE_NAME).unlink(missing_ok=True)


class Lease:
    """Our lease, renewed by a thread from ``begin`` until ``release``. Methods raise StartupError
    when the lease cannot be taken.

    When a renewal fails, or the file is somebody else's, nothing is renewed any more: the timer
    ends the process. One that is damaged is nobody's, and replaced.
    """

    def __init__(self, directory: Path, seconds: float, log: EventLog | None = None) -> None:
        self._path = directory / FILE_NAME
        self._log = log
        owner, boot, host = str(uuid.uuid4()), _boot_id(), socket.gethostname()
        self._state = LeaseState(owner, boot, seconds, 0, host=host, pid=os.getpid())
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        try:
            self._timer = KillTimer()
        except OSError as error:
            raise self._problem(error) from error

    def claim(self, last: LeaseState | None) -> bool:
        """Be the one that follows an owner who is dead, and whose lease was the last one; False
        when somebody else is. Takes a lease and a half."""
        try:
            self._timer.kill_at(boot_seconds() + self._state.seconds)
            if read_state(self._path.parent) != last:
                self._timer.disarm()
                return False
            self._write(replace(self._state, seconds=self._state.seconds * _CLAIM_LEASES))
            self._timer.disarm()
        except OSError as error:
            raise self._problem(error) from error
        settled = boot_seconds() + self._state.seconds * (1 + _MARGIN)
        while boot_seconds() < settled:
            time.sleep(_POLL_SECONDS)
        self._timer.kill_at(boot_seconds() + self._state.seconds)
        ours = self._is_ours()
        if not ours:
            self._timer.disarm()
        return ours

    def begin(self) -> None:
        """Hold the lease from now on."""
        try:
            self._renew()
        except OSError as error:
            raise self._problem(error) from error
        self._thread.start()

    def release(self) -> None:
        """Give the directory up; nothing of it may be written afterwards.

        A lease that cannot be written any more is left to end by itself.
        """
        self._ended.set()
        # It may be held up by the file system; the timer ends that, and this process.
        self._thread.join()
        with contextlib.suppress(OSError):
            self._write(replace(self._state, released=True))
        self._timer.disarm()

    def _keep(self) -> None:
        try:
            while not self._ended.wait(self._state.seconds / _RENEWALS_PER_LEASE):
                if self._taken_by_another():
                    raise StartupError(f"{self._path}: somebody else has the lease")
                self._renew()
        except BaseException as error:
            if self._log is not None:
                self._log.error(
                    "the lease is not renewed any more: the kernel is going to kill this process",
                    reason=str(error) or repr(error),
                    lease_seconds=self._state.seconds,
                )
            raise

    def _taken_by_another(self) -> bool:
        try:
            return not self._is_ours()
        except DamagedLeaseError as error:
            if self._log is not None:
                self._log.error("the lease is damaged, and written anew", reason=str(error))
            return False

    def _is_ours(self) -> bool:
        state = read_state(self._path.parent)
        return state is not None and state.owner == self._state.owner

    def _renew(self) -> None:
        # From before the write: whoever sees it sees it later than that.
        begun = boot_seconds()
        self._state = replace(self._state, count=self._state.count + 1)
        self._write(self._state)
        self._timer.kill_at(begun + self._state.seconds)

    def _problem(self, error: OSError) -> StartupError:
        return StartupError(f"{self._path}: cannot take the lease: {error}")

    def _write(self, state: LeaseState) -> None:
        # A new file each time: a reader sees the old one or the new one, and no half of either.
        unfinished = self._path.with_name(f"{FILE_NAME}.{state.owner}")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, encode(state))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        unfinished.rename(self._path)


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()
