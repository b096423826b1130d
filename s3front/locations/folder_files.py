"""The files of a folder that is a location. Blocking; errors are OSError.

A file is what a record says it is as long as it has the size and the time of its last change
(``fingerprint``) that were recorded: whoever else writes in the folder changes one of them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from s3front.locations.base import Stored
from s3front.locations.beneath import open_beneath, open_directory
from s3front.locations.folder_names import Names, decoded, hidden_names
from shared.file_writes import UNSYNCED_BYTES_MAX, append, begin_sync

MARK_ATTRIBUTE: Final = "user.twofold.mark"
"""The extended attribute that says a blob's mark, so that one with a natural name has it too."""

_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_NEW_MODE: Final = 0o666
"""As far as the process's mask lets it."""

_NO_NAMES: Final = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)
"""What file systems say of a name that they do not have: not all have those of Linux."""

_IN_THE_WAY: Final = (errno.ENOTDIR, errno.EXDEV, errno.ELOOP, *_NO_NAMES)
"""Why a directory of a natural name cannot be: a file or a link is there, or it is no name."""

_NOT_PLAIN: Final = "it is not a plain file"

_NO_ATTRIBUTES: Final = (errno.EOPNOTSUPP, errno.ENOSPC, errno.EDQUOT, errno.E2BIG)


class OtherFileError(Exception):
    """What is there is not what was recorded."""


def fingerprint(found: os.stat_result) -> str:
    """What tells a file from what it was before somebody changed it."""
    return f"{found.st_mtime_ns:x}-{found.st_size:x}"


@contextlib.contextmanager
def opened_root(folder: Path) -> Iterator[int]:
    """The folder itself, open. It may be mounted at any time, so it is opened for each use."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_file(folder: Path, path: bytes) -> tuple[int, os.stat_result]:
    """An open file of the folder. Raises OtherFileError for what is no plain file."""
    with opened_root(folder) as root:
        try:
            descriptor = open_beneath(root, path, _READ)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.ENODEV):
                raise OtherFileError(_NOT_PLAIN) from None
            raise
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OtherFileError(_NOT_PLAIN)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, found


def check(found: os.stat_result, blob: Stored) -> None:
    """Raises OtherFileError unless a file is still the one that was recorded."""
    if found.st_size != blob.size:
        raise OtherFileError(f"it has {found.st_size} bytes, where {blob.size} were recorded")
    if blob.etag != fingerprint(found):
        raise OtherFileError("it was changed after it was recorded")


def takes_marks(folder: Path, path: bytes) -> bool:
    """Whether files of the folder can have a mark beside them, and so their natural names."""
    descriptor, _ = open_file(folder, path)
    try:
        os.setxattr(descriptor, MARK_ATTRIBUTE, b"look")
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def look_at(folder: Path, path: bytes) -> os.stat_result:
    """What is known of a file that somebody else has put there. Raises OtherFileError for one that
    this server has stored."""
    descriptor, found = open_file(folder, path)
    try:
        if _attribute(descriptor) is not None:
            raise OtherFileError(f"it is an object's already ({MARK_ATTRIBUTE})")
    finally:
        os.close(descriptor)
    return found


def remove(folder: Path, path: bytes, blob: Stored, mark: str) -> None:
    """Remove a file if it is still the one that was recorded, and has this mark."""
    with opened_root(folder) as root, _parent(root, path) as (parent, name):
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        known = (found.st_size, fingerprint(found)) == (blob.size, blob.etag)
        if not (known and stat.S_ISREG(found.st_mode)):
            return
        if name.endswith(mark.encode()) or _mark_of(parent, name) == mark:
            os.unlink(name, dir_fd=parent)
            os.fsync(parent)


def remove_marked(folder: Path, names: Names, mark: str) -> None:
    """Remove what a blob with this mark has left under any of its names."""
    with opened_root(folder) as root:
        for each in (names, hidden_names(mark)):
            try:
                parent = open_directory(root, each.directory)
            except OSError as error:
                if error.errno in (errno.ENOENT, *_IN_THE_WAY):
                    continue
                raise
            try:
                _remove_marked(parent, each, mark)
            finally:
                os.close(parent)


def _remove_marked(parent: int, names: Names, mark: str) -> None:
    for name in (names.draft, names.own):
        with _absence():
            os.unlink(name, dir_fd=parent)
    if names.natural is not None:
        with _absence():
            if _mark_of(parent, names.natural) == mark:
                os.unlink(names.natural, dir_fd=parent)
    os.fsync(parent)


@contextlib.contextmanager
def _absence() -> Iterator[None]:
    """Nothing has a name, or can have it."""
    try:
        yield
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in _NO_NAMES:
            raise


def _mark_of(parent: int, name: bytes) -> str | None:
    try:
        descriptor = os.open(name, _READ | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except FileNotFoundError:
        raise
    except OSError:
        return None
    try:
        return _attribute(descriptor)
    finally:
        os.close(descriptor)


def _attribute(descriptor: int) -> str | None:
    try:
        return os.getxattr(descriptor, MARK_ATTRIBUTE).decode("ascii", "replace")
    except OSError:
        return None


@contextlib.contextmanager
def _parent(root: int, path: bytes) -> Iterator[tuple[int, bytes]]:
    """The open directory of a file, and its name there."""
    directory, _, name = path.rpartition(b"/")
    parent = open_directory(root, directory)
    try:
        yield parent, name
    finally:
        os.close(parent)


class OpenFile:
    """A file that is read. ``close`` may come from another thread in the middle of a read, which
    ends first: its descriptor is never another file's. One that nobody has any more is closed."""

    def __init__(self, descriptor: int, blob: Stored) -> None:
        self._descriptor = descriptor
        self._blob = blob
        self._lock = threading.Lock()
        self._unwanted = False
        self._closed = False

    def __del__(self) -> None:
        self.close()

    def read(self, offset: int, length: int) -> bytearray:
        """Bytes of the blob as it was recorded. Raises OtherFileError."""
        data = bytearray(length)
        try:
            with self._lock:
                self._fill(data, offset)
                check(os.fstat(self._descriptor), self._blob)
        finally:
            if self._unwanted:
                self.close()
        return data

    def _fill(self, data: bytearray, offset: int) -> None:
        if self._closed:
            raise OSError(errno.EBADF, "the file is closed")
        rest = memoryview(data)
        while rest:
            count = os.preadv(self._descriptor, [rest], offset)
            if not count:
                raise OtherFileError("it is shorter than it was recorded")
            rest, offset = rest[count:], offset + count

    def close(self) -> None:
        """Close it, now or at the end of a read; never waits."""
        self._unwanted = True
        if self._lock.acquire(blocking=False):
            try:
                if not self._closed:
                    self._closed = True
                    os.close(self._descriptor)
            finally:
                self._lock.release()


class NewFile:
    """The file of one new blob: ``begin`` it, ``write``, and ``publish`` or ``discard``.

    Whoever waits for one of them may give up, and ask for ``discard`` while it goes on in its
    thread: that waits for its end then.
    """

    def __init__(self, folder: Path, names: Names, mark: str) -> None:
        self._folder = folder
        self._names = names
        self._mark = mark
        self._lock = threading.Lock()
        self._size = 0
        self._unsynced = 0
        self._file = self._parent = -1
        self._given: list[bytes] = []

    def begin(self) -> None:
        """Make a draft: under the names for any object, if others are in the way of its own."""
        with self._lock, opened_root(self._folder) as root:
            try:
                self._parent = open_directory(root, self._names.directory, make=True)
            except OSError as error:
                if error.errno not in _IN_THE_WAY:
                    raise
                self._names = hidden_names(self._mark)
                self._parent = open_directory(root, self._names.directory, make=True)
            draft = self._names.draft
            self._file = os.open(draft, _NEW | os.O_CLOEXEC, _NEW_MODE, dir_fd=self._parent)
            self._given.append(draft)

    def write(self, pieces: Sequence[bytes]) -> None:
        """Append bytes."""
        with self._lock:
            append(self._file, pieces)
            size = sum(map(len, pieces))
            self._size += size
            self._unsynced += size
            if self._unsynced >= UNSYNCED_BYTES_MAX:
                self._unsynced = 0
                begin_sync(self._file)

    def publish(self) -> Stored:
        """Make it durable, then visible under a name that no file has had."""
        with self._lock:
            names = self._names
            marked = self._set_mark()
            os.fsync(self._file)
            name = names.natural if marked else None
            if name is None or not self._give(name):
                name = names.own
                if not self._give(name):
                    raise FileExistsError(errno.EEXIST, "the name of a new blob is taken", name)
            os.unlink(names.draft, dir_fd=self._parent)
            self._given.remove(names.draft)
            os.fsync(self._parent)
            found = os.fstat(self._file)
            if found.st_size != self._size:
                raise OSError(errno.EIO, "not all bytes are there")
            return Stored(decoded(names.path(name)), self._size, etag=fingerprint(found))

    def close(self) -> None:
        """Once it is published."""
        with self._lock:
            self._close()

    def discard(self) -> None:
        """Remove every trace; raises nothing."""
        with self._lock:
            for name in self._given:
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=self._parent)
            self._given.clear()
            self._close()

    def _set_mark(self) -> bool:
        """Say its mark beside it, as it can have a natural name only then; whether that worked."""
        if self._names.natural is None:
            return False
        try:
            os.setxattr(self._file, MARK_ATTRIBUTE, self._mark.encode())
        except OSError as error:
            if error.errno in _NO_ATTRIBUTES:
                return False
            raise
        return True

    def _give(self, name: bytes) -> bool:
        """Give it one more name; False when there is such a file."""
        try:
            os.link(self._names.draft, name, src_dir_fd=self._parent, dst_dir_fd=self._parent)
        except FileExistsError:
            return False
        self._given.append(name)
        return True

    def _close(self) -> None:
        for descriptor in (self._file, self._parent):
            if descriptor >= 0:
                with contextlib.suppress(OSError):  # it is synced, or given up
                    os.close(descriptor)
        self._file = self._parent = -1
