"""Files of blobs that this process writes itself, beside the data daemon that owns them.

Theory of operation. To hand a megabyte to the daemon costs as much as to store it: it is copied
into a socket and out of it, and both ends are woken for it, again and again. So where the daemon
has its directory on this machine, and runs as the same user, and says that others may, a front-end
stores a large blob as the daemon would: bytes in a file without a name, synced; its final name,
which no other has; the directory synced; and only then is the key told. Blobs are never changed
and have exactly one key, so nobody else has to know of it before a record names it.

Rules.

1. The daemon's word holds while the connection is open over which it came. A daemon that ends, and
   may come back with another directory, ends its connections with it.
2. The directory may be emptied, moved or replaced at any time. No blob counts as stored unless the
   directory that was offered is in its place after the last sync.
3. A file without a name goes with its process: what is not complete leaves no trace. What a crash
   leaves later is a whole blob whose key nobody was told, for garbage collection to find.
4. Whatever is not plain is left to the daemon, which has the right error: where there are no such
   files, as on network file systems, and whatever fails. Then it is not tried again for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from isal.isal_zlib import crc32

from s3front.locations.base import Stored
from s3front.locations.direct_writes import DIRECT_BYTES_MAX, gathered, write_directly
from s3front.s3_errors import S3Error
from shared.blob_checksums import key_with_checksum
from shared.blob_files import INCOMING_FOLDER, directory_number
from shared.failpoints import FailPoint, failpoint
from shared.file_writes import UNSYNCED_BYTES_MAX, append, begin_sync, sync_directory
from shared.local_directory import local_identity

ASK_AGAIN_SECONDS: Final = 60.0

BYTES_MAX: Final = 16 * 1024 * 1024
"""Larger blobs are given to the daemon: two processes that receive and write at once have stored 64
MiB sooner, while of 8 MiB this process alone has."""

_NEW_FILE: Final = os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


class Offer(msgspec.Struct, frozen=True):
    """What the daemon says: the identity of its directory (``shared.local_directory``), and from
    what size on, in bytes, others may write the files of blobs there, None: of none. ``holds``
    tells whether that is so still."""

    directory: str
    bytes_min: int | None
    holds: Callable[[], bool]


class LocalFiles:
    """Where new files of blobs are written, if ``folder`` is the daemon's. Make it in the event
    loop. ``ask`` gives the daemon's offer, None when it makes none; it raises nothing."""

    def __init__(self, folder: Path, ask: Callable[[], Awaitable[Offer | None]]) -> None:
        self._folder = folder
        self._ask = ask
        self._loop = asyncio.get_running_loop()
        self._asking: asyncio.Task[None] | None = None
        self._ask_at = 0.0
        self._offer: Offer | None = None
        self._place: Place | None = None

    def new(self, size: int) -> LocalFile | None:
        """A file for a blob of ``size`` bytes; None when the daemon has to be given them."""
        if size > BYTES_MAX:
            return None
        offer, place = self._offer, self._place
        if offer is None or place is None or place.failed or not offer.holds():
            self._begin_to_ask()
            return None
        bytes_min = offer.bytes_min
        return None if bytes_min is None or size < bytes_min else LocalFile(place)

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    def _begin_to_ask(self) -> None:
        """Learn whose the directory is, while the daemon is given what is to be stored now."""
        if self._asking is not None and not self._asking.done():
            return
        now = self._loop.time()
        if self._place is not None:
            # There was an offer: a daemon that ended is likely to be back with the same.
            self._ask_at = now + ASK_AGAIN_SECONDS if self._place.failed else now
            self._offer = self._place = None
        if now >= self._ask_at:
            self._ask_at = now + ASK_AGAIN_SECONDS
            self._asking = self._loop.create_task(self._learn())

    async def _learn(self) -> None:
        offer = await self._ask()
        if offer is not None:
            self._place = await asyncio.to_thread(find_place, self._folder, offer.directory)
            self._offer = offer


class Place:
    """The daemon's directory, as it was found; used by threads."""

    def __init__(self, folder: Path, found: os.stat_result, present: set[int]) -> None:
        self.folder = str(folder)
        self.incoming = str(folder / INCOMING_FOLDER)
        self.failed = False
        """Whether a file could not be written here."""
        self.writes_directly = True
        """Whether bytes can go to the disk past the page cache, as far as that is known."""
        self._found = found
        self._present = present

    def give_name(self, descriptor: int, key: str) -> str:
        """Give a file without a name that of a blob, durably; returns its path. Raises OSError, and
        then it has none."""
        number = directory_number(key)
        folder = f"{self.folder}/{number}"
        path = f"{folder}/{key}"
        new = number not in self._present
        if new:
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, _FOLDER_MODE)
        names = os.open(folder, _FOLDER)
        try:
            # With a descriptor given the first name is followed (linkat, AT_SYMLINK_FOLLOW).
            os.link(f"/proc/self/fd/{descriptor}", key, src_dir_fd=names, dst_dir_fd=names)
            failpoint(FailPoint.AFTER_DATA_LINK)
            try:
                if new:
                    # Whoever made it, its name need not be durable yet.
                    sync_directory(self.folder)
                    self._present.add(number)
                os.fsync(names)
            except OSError:
                os.unlink(path)
                raise
        finally:
            os.close(names)
        return path

    def check(self) -> None:
        """Raises OSError when the directory is not in its place any more."""
        if not os.path.samestat(os.stat(self.folder), self._found):
            raise NotADirectoryError("the data directory was moved or replaced")


def find_place(folder: Path, identity: str) -> Place | None:
    """The directory, if it is the one of that identity, and the daemon can read what this process
    writes into it. Blocks."""
    try:
        found = os.stat(folder)
        if local_identity(folder) != identity or os.geteuid() != found.st_uid:
            return None
        if os.stat(folder / INCOMING_FOLDER).st_uid != found.st_uid:
            return None
        present = {int(name) for name in os.listdir(folder) if name.isascii() and name.isdigit()}
        sync_directory(folder)
    except OSError:
        return None
    return Place(folder, found, present)


class LocalFile:
    """The file of one new blob. Blocking; used by one thread at a time."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._descriptor: int | None = None
        self._final: str | None = None
        self._checksum = 0
        self._size = 0
        self._unsynced = 0

    def store(self, pieces: Sequence[bytes]) -> Stored | None:
        """Store a whole blob durably; None when that failed, and nothing of it is stored."""
        try:
            self._write_whole(pieces, sum(map(len, pieces)))
            return self._publish()
        except OSError:
            self._place.failed = True
            self.discard()
            return None

    def write(self, pieces: Sequence[bytes]) -> None:
        """Append bytes. Raises S3Error."""
        try:
            self._append(pieces)
        except OSError as error:
            raise self._failure(error) from error

    def publish(self) -> Stored:
        """Make the blob durable, then visible under its key. Raises S3Error."""
        try:
            return self._publish()
        except OSError as error:
            raise self._failure(error) from error

    def _write_whole(self, pieces: Sequence[bytes], size: int) -> None:
        """Write all the bytes, past the page cache if that can be."""
        if size > DIRECT_BYTES_MAX or not self._place.writes_directly:
            self._append(pieces)
            return
        failpoint(FailPoint.BEFORE_DATA_WRITE)
        with gathered(pieces) as content:
            self._descriptor = descriptor = os.open(self._place.incoming, _NEW_FILE, _FILE_MODE)
            if not write_directly(descriptor, content):
                self._place.writes_directly = False
            self._checksum = crc32(content)
        self._size = size
        failpoint(FailPoint.AFTER_DATA_WRITE)

    def _append(self, pieces: Sequence[bytes]) -> None:
        descriptor = self._descriptor
        if descriptor is None:
            failpoint(FailPoint.BEFORE_DATA_WRITE)
            descriptor = os.open(self._place.incoming, _NEW_FILE, _FILE_MODE)
            self._descriptor = descriptor
        append(descriptor, pieces)
        for piece in pieces:
            self._checksum = crc32(piece, self._checksum)
        size = sum(map(len, pieces))
        self._size += size
        self._unsynced += size
        if self._unsynced >= UNSYNCED_BYTES_MAX:
            self._unsynced = 0
            begin_sync(descriptor)
        failpoint(FailPoint.AFTER_DATA_WRITE)

    def _publish(self) -> Stored:
        descriptor = self._descriptor
        assert descriptor is not None
        os.fsync(descriptor)
        failpoint(FailPoint.AFTER_DATA_FSYNC)
        key = key_with_checksum(f"{time.time_ns() // 1_000_000:012x}", self._checksum)
        self._final = self._place.give_name(descriptor, key)
        failpoint(FailPoint.AFTER_DIRECTORY_FSYNC)
        self._place.check()
        self._close()
        return Stored(key, self._size)

    def discard(self) -> None:
        """Remove every trace; raises nothing."""
        self._close()
        if self._final is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._final)

    def _failure(self, error: OSError) -> S3Error:
        """What a client is told of bytes that nobody has any more."""
        self._place.failed = True
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return S3Error("InsufficientStorage" if full else "InternalError")

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):  # it is synced, or given up
                os.close(descriptor)
