"""Ownership of a directory, that of the metadata or that of the blobs, by one daemon process.

Two ways, after what the file system is and what the operator has set:

* By the lock on the directory, where locks can be relied on: it goes with its owner's life. With
  ``leaseSeconds`` there is a lease besides, for directories that machines share: a lock that the
  file system gives away too early does no harm, because the lease's owner dies in time.
* By a lease, where they cannot (some network file systems, and whatever is not known to carry
  locks): whoever finds a lease that is being renewed stands back, and an owner that does not renew
  its lease is killed by the kernel. What the machine of such an owner may still have to write is
  the operator's to stop: ``fenceCommand`` does it, and no stand-by begins without one.

A process that only writes now and then, a job, owns a directory in the same way as long as it runs.

A lock is on a file, and not on its name: when a directory is emptied, moved or replaced under its
owner, the next daemon locks another file, and what the owner still writes may be gone. So an owner
by lock looks whether the name still is that of its file, and ends when it is not.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path
from typing import Final

import msgspec

from dmd.errors import SettingNeededError, StartupError
from dmd.ownership.fence import fence
from dmd.ownership.file_locks import doubt_about
from dmd.ownership.lease import (
    Lease,
    LeaseState,
    forget_lease,
    read_state,
    wait_for_expiry,
    wait_for_silence,
)
from shared import limits
from shared.config.model import DirectoryLocks, DirectoryOwner
from shared.local_directory import mount_of
from shared.process.logs import EventLog
from shared.process.vital import stop_process

_LOCK_NAME: Final = "lock"
_POLL_SECONDS: Final = 0.1
_LOOK_SECONDS: Final = 1.0


class Ownership(msgspec.Struct, frozen=True):
    """How a directory is owned.

    ``lease_seconds``: the owner dies when it has not renewed its lease for so long, so that a
    stand-by may take over (``dmd.ownership.lease``); 0: the lock alone, or, where locks cannot be
    relied on, ``limits.LEASE_SECONDS``. ``standby``: wait for the owner to end instead of failing.
    ``locks``: whether to rely on those of the file system, or find out. ``fence_command``: what to
    run where they cannot be relied on; empty for nothing. ``watched``: end the process when the
    directory is replaced while a lock on it is what says who owns it.
    """

    lease_seconds: float = 0
    standby: bool = False
    locks: DirectoryLocks = "detect"
    fence_command: tuple[str, ...] = ()
    watched: bool = False

    @classmethod
    def of(cls, settings: DirectoryOwner, *, standby: bool = False) -> Ownership:
        """What the section of a daemon says of its directory."""
        return cls(
            settings.lease_seconds,
            standby,
            settings.directory_locks,
            settings.fence_command,
            watched=True,
        )


class OwnedDirectory:
    """A directory that this process alone may write, until ``release`` or the process's end.

    Raises StartupError when it is missing, not writable, or owned by another process. A stand-by
    blocks until it owns it.
    """

    def __init__(
        self, path: Path, ownership: Ownership | None = None, log: EventLog | None = None
    ) -> None:
        self._path = path
        self._ownership = ownership or Ownership()
        self._log = log
        self._lease: Lease | None = None
        self._released = threading.Event()
        self._looking: threading.Thread | None = None
        self._descriptor = _open_lock(path)
        try:
            doubt = self._doubt()
            if doubt is None:
                self._own_by_lock()
            else:
                self._own_by_lease(doubt)
        except BaseException:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Give the directory up."""
        self._released.set()
        if self._looking is not None:
            self._looking.join()
        try:
            if self._lease is not None:
                self._lease.release()
        finally:
            os.close(self._descriptor)

    def _doubt(self) -> str | None:
        """Why the locks of this directory cannot be relied on; None when they can."""
        try:
            _lock(self._descriptor)
        except OSError as error:
            return error.strerror or str(error)
        if self._ownership.locks == "unreliable":
            return "the setting directoryLocks says so"
        if self._ownership.locks == "reliable":
            return None
        return doubt_about(mount_of(self._path))

    # -- By the lock ------------------------------------------------------------------------------

    def _own_by_lock(self) -> None:
        mount = mount_of(self._path)
        is_shared = mount is not None and mount.is_shared
        if self._ownership.standby and is_shared and not self._ownership.lease_seconds:
            raise SettingNeededError(
                "leaseSeconds", f"a stand-by for {self._path} needs it, because machines share it"
            )
        if not _lock(self._descriptor):
            self._stand_back()
            self._say("standing by", directory=str(self._path))
            while not _lock(self._descriptor):
                time.sleep(_POLL_SECONDS)
        wait_for_expiry(self._path, self._waiting)
        if self._ownership.lease_seconds:
            self._lease = Lease(self._path, self._ownership.lease_seconds, self._log)
            self._lease.begin()
        else:
            forget_lease(self._path)
        if self._ownership.watched:
            self._looking = threading.Thread(target=self._look, name="directory-watch", daemon=True)
            self._looking.start()

    def _look(self) -> None:
        """End the process when the directory is not the one that it owns any more."""
        while not self._released.wait(_LOOK_SECONDS):
            if not self._is_in_place():
                stop_process(f"{self._path} was emptied, moved or replaced while it was in use")

    def _is_in_place(self) -> bool:
        try:
            found = os.stat(self._path / _LOCK_NAME)
            owned = os.fstat(self._descriptor)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True  # the disk fails, which others say better
        return os.path.samestat(found, owned)

    # -- By the lease -----------------------------------------------------------------------------

    def _own_by_lease(self, doubt: str) -> None:
        seconds = self._ownership.lease_seconds or limits.LEASE_SECONDS
        self._say(
            "locks cannot be relied on: a lease decides, and a start takes one and a half of it",
            directory=str(self._path),
            reason=doubt,
            lease_seconds=seconds,
        )
        if self._ownership.standby:
            if not self._ownership.fence_command:
                raise SettingNeededError(
                    "fenceCommand",
                    f"a stand-by for {self._path} needs it, because locks there cannot be relied "
                    f"on: {doubt}",
                )
            self._say("standing by", directory=str(self._path))
        while True:
            last = wait_for_silence(self._path, self._waiting, self._stand_back)
            if last is None or last.released:
                if not self._has_lock():
                    # Somebody beside this process owns it without a lease.
                    self._stand_back()
                    time.sleep(_POLL_SECONDS)
                    continue
            elif not self._is_over(last):
                continue  # it is asked again after another lease of silence
            lease = Lease(self._path, seconds, self._log)
            if lease.claim(last):
                lease.begin()
                self._lease = lease
                break
        self._has_lock()  # from now on, if it was the last owner's until then

    def _has_lock(self) -> bool:
        """Lock, as far as that keeps others out; False when somebody else has locked."""
        try:
            return _lock(self._descriptor)
        except OSError:
            return True

    def _stand_back(self) -> None:
        """There is an owner."""
        if not self._ownership.standby:
            raise StartupError(f"{self._path}: another daemon owns this directory")

    def _is_over(self, last: LeaseState) -> bool:
        """Whether the owner of a lease that was not renewed writes no more."""
        if last.of_this_machine:
            return True  # the kernel has killed it
        if not self._ownership.fence_command:
            # Started by somebody: a stand-by would not be here.
            if self._log is not None:
                self._log.warning(
                    "the owner before has fallen silent, and its process is dead by now; nothing "
                    "is known of what its machine has still to write (fenceCommand)",
                    host=last.host,
                    owner_pid=last.pid,
                )
            return True
        problem = fence(self._ownership.fence_command, self._path, last)
        if problem is not None:
            text = f"the owner on {last.host} is not fenced off, and may be writing: {problem}"
            if not self._ownership.standby:
                raise StartupError(f"{self._path}: {text}")
            if self._log is not None:
                self._log.warning(text)
            return False
        self._say("the owner is fenced off", host=last.host, owner_pid=last.pid)
        return True

    # -- What the log says ------------------------------------------------------------------------

    def _waiting(self, state: LeaseState) -> None:
        self._say("waiting for a lease to end", seconds=state.seconds)

    def _say(self, event: str, **fields: object) -> None:
        if self._log is not None:
            self._log.info(event, **fields)


def is_owned(path: Path) -> bool:
    """Whether some process owns a directory at the moment. Raises StartupError.

    A daemon that starts at this very moment may find the directory owned by the one who asks.
    """
    descriptor = _open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        locks = doubt_about(mount_of(path)) is None
    except BlockingIOError:
        return True
    except OSError:
        locks = False
    finally:
        os.close(descriptor)
    if locks:
        return False
    # Where locks cannot be relied on, owners have leases.
    state = read_state(path)
    return state is not None and not state.released


def _open_lock(path: Path) -> int:
    if not path.is_dir():
        raise StartupError(f"{path}: the directory does not exist; create it first")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise StartupError(f"{path}: the directory is not readable and writable")
    try:
        return os.open(path / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartupError(f"{path / _LOCK_NAME}: {error.strerror}") from error


def _lock(descriptor: int) -> bool:
    """Lock, if nobody else has; raises OSError when the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
