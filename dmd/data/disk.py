"""The system calls of the file store, one method each.

They block, and run in the store's threads only, but for two that never wait. All raise OSError.
Tests replace single methods to show what the store does on a full or a failing disk.
``DiskOptions`` are the two settings of the original that change what reaches the disk, and when.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from isal.isal_zlib import crc32

from dmd.data.base import StoreError, StoreFullError
from dmd.data.mapped_file import mapped
from shared import file_writes
from shared.cached_file import OPEN_FLAGS, NotCachedError, open_cached, read_cached
from shared.pipes import PIPE_BYTES, SPLICE_FLAGS, Pipe

SEND_WAIT_MS: Final = 2
"""How long a thread waits for a reader: one that reads all the time takes the next bytes sooner, so
that a visit to the thread is worth while; one that does not costs no more than this."""

RECEIVE_WAIT_MS: Final = 20
GATHER_SECONDS: Final = 0.0005
"""How long a thread waits for a sender, and, once there is something and much is to come, for more:
what has come together is moved together."""

_BUFFER_BYTES: Final = 512 * 1024
_BUFFERS_KEPT_MAX: Final = 4

_COPIED_BYTES_MAX: Final = 4 * 1024 * 1024
"""The checksum of so many bytes costs 0.06 ms/MiB from a copy, and mapped 0.06 of these and 0.12 of
256 KiB; of 16 MiB it costs 0.14 from a copy and 0.07 mapped."""


class DiskOptions(msgspec.Struct, frozen=True):
    """``no_sync`` (S3DATA_NOSYNC): answer before the bytes are durable. A crash then loses blobs.

    ``no_cache`` (S3DATA_NOCACHE): drop what was written or read from the page cache, for a machine
    whose memory is needed elsewhere.
    """

    no_sync: bool = False
    no_cache: bool = False


class Disk:
    """File operations on blobs; the sizes and offsets are bytes.

    ``in_memory``: they are on a file system that is (``shared.local_directory``).
    """

    def __init__(self, options: DiskOptions, *, in_memory: bool = False) -> None:
        self._options = options
        self._in_memory = in_memory
        self._buffers: list[bytearray] = []
        self._tells_cached = not options.no_cache
        """Whether it is known of files what the system has of them in memory."""

    def create(self, path: Path) -> int:
        """Create a file that must not exist yet; return its descriptor."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return os.open(path, flags, 0o600)

    def write(self, descriptor: int, pieces: Sequence[bytes]) -> None:
        """Append all pieces."""
        file_writes.append(descriptor, pieces)

    def receive(self, socket_descriptor: int, pipe: Pipe, descriptor: int, length: int) -> int:
        """Append up to ``length`` bytes that come from a socket that does not block.

        Returns how many: fewer when no more come for ``RECEIVE_WAIT_MS``. Raises ConnectionError
        when the socket has ended.
        """
        readable = select.poll()
        readable.register(socket_descriptor, select.POLLIN)
        received = 0
        while received < length:
            wanted = min(length - received, PIPE_BYTES)
            try:
                pipe.filled = os.splice(
                    socket_descriptor, pipe.write_end, wanted, flags=SPLICE_FLAGS
                )
            except BlockingIOError:
                if not readable.poll(RECEIVE_WAIT_MS):
                    break
                if length - received > PIPE_BYTES:
                    time.sleep(GATHER_SECONDS)
                continue
            if not pipe.filled:
                raise ConnectionResetError("the body ends early")
            received += pipe.filled
            self._empty(pipe, descriptor)
        return received

    def _empty(self, pipe: Pipe, descriptor: int) -> None:
        while pipe.filled:
            try:
                pipe.filled -= os.splice(pipe.read_end, descriptor, pipe.filled)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                # A file system that knows no splice.
                data = os.read(pipe.read_end, pipe.filled)
                pipe.filled -= len(data)
                self.write(descriptor, [data])

    def begin_sync(self, descriptor: int) -> None:
        """Let the disk begin with what has been written, so that ``sync`` has less to wait for.

        Errors of it are ``sync``'s to tell.
        """
        if not self._options.no_sync:
            file_writes.begin_sync(descriptor)

    def sync(self, descriptor: int) -> None:
        """Make a file's bytes durable."""
        if not self._options.no_sync:
            os.fsync(descriptor)
        if self._options.no_cache:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def link(self, temporary: Path, final: Path) -> None:
        """Give a file its final name; FileExistsError when that is taken.

        A link, and not a rename: rename replaces what has the name, and its variant that does not
        (renameat2, RENAME_NOREPLACE) is missing from Python's library and from NFS. A link is
        exclusive on every file system that has links; where one has none, start-up says so.
        """
        os.link(temporary, final)

    def sync_directory(self, path: Path) -> None:
        """Make the names in a directory durable."""
        if not self._options.no_sync:
            file_writes.sync_directory(path)

    def open(self, path: Path) -> int:
        """Open a file for reading."""
        return os.open(path, OPEN_FLAGS)

    def open_cached(self, path: Path) -> int | None:
        """The same without waiting; None when ``open`` has to be asked. Of the methods, this and
        the next are for the event loop."""
        return open_cached(str(path)) if self._tells_cached else None

    @property
    def lets_others_read(self) -> bool:
        """Whether what is read may stay in memory: others read as they like."""
        return not self._options.no_cache

    @property
    def lets_others_write(self) -> bool:
        """Whether what others write, synced and left in memory, is as it is to be."""
        return not self._options.no_cache and not self._options.no_sync

    def read_cached(self, descriptor: int, offset: int, length: int) -> bytearray | None:
        """``length`` bytes from ``offset``, without waiting; None when ``read`` has to be asked."""
        if not self._tells_cached:
            return None
        try:
            return read_cached(descriptor, offset, length, in_memory=self._in_memory)
        except NotCachedError:
            self._tells_cached = False
            return None

    def read(self, descriptor: int, offset: int, length: int) -> bytes:
        """Read up to ``length`` bytes from ``offset``; fewer only at the end of the file."""
        data = os.pread(descriptor, length, offset)
        while data and len(data) < length:
            more = os.pread(descriptor, length - len(data), offset + len(data))
            if not more:
                break
            data += more
        if self._options.no_cache:
            os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)
        return data

    def checksum(self, descriptor: int, offset: int, length: int, value: int = 0) -> int:
        """The CRC-32 of ``length`` bytes from ``offset``, behind bytes whose CRC-32 is ``value``.

        The bytes stay in the page cache for whoever comes next. Many are looked at there, as
        copying them costs twice as much; where they cannot be, and of few, which stay in the
        processor's cache, they are read.
        """
        if length > _COPIED_BYTES_MAX:
            with contextlib.suppress(OSError), mapped(descriptor, offset, length) as view:
                return crc32(view, value)
        return self._checksum_of_copy(descriptor, offset, length, value)

    def _checksum_of_copy(self, descriptor: int, offset: int, length: int, value: int) -> int:
        """Buffers are used again: a new one costs as much as reading into it."""
        buffer = self._buffers.pop() if self._buffers else bytearray(_BUFFER_BYTES)
        end = offset + length
        with memoryview(buffer) as view:
            while offset < end:
                count = os.preadv(descriptor, [view[: end - offset]], offset)
                if not count:
                    raise OSError(errno.EIO, "the file is shorter than it was")
                value = crc32(view[:count], value)
                offset += count
        if len(self._buffers) < _BUFFERS_KEPT_MAX:
            self._buffers.append(buffer)
        return value

    def send(
        self,
        socket_descriptor: int,
        pipe: Pipe,
        descriptor: int,
        part: tuple[int, int],
        look: Callable[[int, int], None],
    ) -> int:
        """Send a ``part`` of a file, from an offset to another, to a socket that does not block.

        The bytes go through ``pipe``, and what is in it already are the first of them; what the
        socket does not take stays there. ``look`` is called with the offsets of what has come into
        the pipe, before any of it is sent; what it raises is raised.

        ``sendfile`` does the same with a pipe of its own, of a sixteenth of the size, which takes
        twice as much time (measured: 0.07 ms for a MiB).

        Returns how many were sent: fewer when the socket takes no more for ``SEND_WAIT_MS``, or at
        the end of the file. Raises BlockingIOError when it takes none.
        """
        writable = select.poll()
        writable.register(socket_descriptor, select.POLLOUT)
        start, end = part
        offset = start
        while offset < end:
            if not pipe.filled:
                wanted = min(end - offset, PIPE_BYTES)
                pipe.filled = os.splice(descriptor, pipe.write_end, wanted, offset_src=offset)
                if not pipe.filled:
                    break
                look(offset, offset + pipe.filled)
            try:
                wanted = min(end - offset, pipe.filled)
                count = os.splice(pipe.read_end, socket_descriptor, wanted, flags=SPLICE_FLAGS)
            except BlockingIOError:
                if writable.poll(SEND_WAIT_MS):
                    continue
                if offset == start:
                    raise
                break
            pipe.filled -= count
            offset += count
        if self._options.no_cache:
            os.posix_fadvise(descriptor, start, offset - start, os.POSIX_FADV_DONTNEED)
        return offset - start

    def remove(self, path: Path) -> None:
        """Remove a name."""
        path.unlink()

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name in the same file system, in place of whatever has it."""
        old.rename(new)


def store_error(error: OSError) -> StoreError:
    """What a store raises for a failed system call: names the error, not the path."""
    name = errno.errorcode.get(error.errno or 0, "unknown error")
    kind = StoreFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else StoreError
    failure = kind(f"{name}: {error.strerror or error}")
    failure.__cause__ = error
    return failure


@contextlib.contextmanager
def store_errors() -> Iterator[None]:
    """Raise the OSErrors of a block as StoreErrors.

    What a socket says is no error of the store.
    """
    try:
        yield
    except (BlockingIOError, ConnectionError):
        raise
    except OSError as error:
        raise store_error(error) from error
