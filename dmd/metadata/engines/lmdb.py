"""The durable engine: one LMDB 1.0 environment.

It keeps to the conditions under which LMDB lost nothing in kill and power-cut trials
(reference/lmdb.md): format 1.0, default durability (a commit returns after its fsync), no
``writemap``, a huge sparse map that is never resized, an environment made under another name and
renamed when it is complete.
"""

from __future__ import annotations

import errno
import os
from bisect import bisect_left
from collections.abc import Callable, Iterator
from io import FileIO
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Self, cast

import lmdb

from dmd.errors import DamagedMetadataError, StartupError
from dmd.metadata.engines.base import EngineError, EngineFatalError, EngineFullError
from dmd.metadata.engines.lmdb_ahead import ReadAhead
from dmd.metadata.engines.lmdb_pages import Damage, PageFile, PageView, choose_meta

FILE_NAME = "metadata.lmdb"
MAP_BYTES = 1 << 40
"""Address space, not disk: the file grows as it is written."""

LIBRARY_VERSION = 1
"""py-lmdb opens LMDB 1.0 when asked for 1, and 0.9 (keys of 511 bytes) otherwise."""

KEY_BYTES_NEEDED = 1978
_READERS_MAX = 512


class _View:
    """The store in a transaction, which those below begin and end."""

    _ahead: ReadAhead | None = None
    _transaction: lmdb.Transaction

    def __init__(self, environment: lmdb.Environment, key_bytes_max: int, file: FileIO) -> None:
        self._environment = environment
        self._key_bytes_max = key_bytes_max
        self._file = file

    def get(self, key: bytes) -> bytes | None:
        # LMDB finds nothing at a key that is too long, but refuses an empty one.
        # Bytes, since the transaction has no buffers.
        return self._transaction.get(key) if key else None  # type: ignore[return-value]

    def range(
        self, lower: bytes, upper: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        # A bound longer than any key lies just after its own longest possible prefix, so the
        # search starts at the prefix and the comparison below decides about the prefix itself.
        with self._transaction.cursor() as cursor:
            if reverse:
                yield from self._descend(cursor, lower, upper)
            elif cursor.set_range(lower[: self._key_bytes_max]):
                for key, value in _as_bytes(cursor.iternext()):
                    if key >= upper:
                        return
                    if key >= lower:
                        yield key, value

    def _descend(
        self, cursor: lmdb.Cursor, lower: bytes, upper: bytes
    ) -> Iterator[tuple[bytes, bytes]]:
        found = cursor.set_range(upper[: self._key_bytes_max]) or cursor.last()
        if not found:
            return
        for key, value in _as_bytes(cursor.iterprev()):
            if key < lower:
                return
            if key < upper:
                yield key, value

    def first(self, lower: bytes, upper: bytes, count: int) -> list[tuple[bytes, bytes]]:
        if len(lower) > self._key_bytes_max:
            return list(islice(self.range(lower, upper), count))
        with self._transaction.cursor() as cursor:
            if not cursor.set_range(lower):
                return []
            items = list(islice(_as_bytes(cursor.iternext()), count))
        if items and items[-1][0] >= upper:
            del items[bisect_left(items, upper, key=itemgetter(0)) :]
        return items

    def first_apart(
        self, lower: bytes, upper: bytes, count: int, behind: bytes
    ) -> list[tuple[bytes, bytes]]:
        items = self.first(lower, upper, 1)
        with self._transaction.cursor() as cursor:
            while items and len(items) < count:
                following = items[-1][0] + behind
                if len(following) > self._key_bytes_max:
                    rest = count - len(items)
                    return items + self.first_apart(following, upper, rest, behind)
                if not cursor.set_range(following):
                    break
                item = cast("tuple[bytes, bytes]", cursor.item())
                if item[0] >= upper:
                    break
                items.append(item)
        return items

    def expect(
        self, lower: bytes, upper: bytes, count: int, *, on_disk: bool = False
    ) -> Callable[[], None] | None:
        if self._ahead is None:
            self._ahead = ReadAhead(self._file.fileno())
        return self._ahead.expect(lower, upper, count, on_disk=on_disk)

    def put(self, key: bytes, value: bytes) -> None:
        self._transaction.put(key, value)

    def delete(self, key: bytes) -> None:
        if key:  # LMDB refuses an empty key even here
            self._transaction.delete(key)


class _Snapshot(_View):
    """A transaction that reads, as long as its view is used."""

    def __enter__(self) -> Self:
        try:
            self._transaction = self._environment.begin()
        except lmdb.Error as error:
            raise EngineError(str(error)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        self._transaction.abort()
        if isinstance(error, lmdb.Error):
            raise EngineError(str(error)) from error


class _Writing(_Snapshot):
    """The one transaction that writes: it commits when its view is left without an error."""

    def __enter__(self) -> Self:
        try:
            self._transaction = self._environment.begin(write=True)
        except lmdb.PanicError as error:
            # After a failed write of a meta page LMDB takes no more transactions until re-opened.
            raise EngineFatalError(str(error)) from error
        except lmdb.Error as error:
            raise EngineError(str(error)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if error is not None:
            self._transaction.abort()
            if isinstance(error, lmdb.Error):
                raise _engine_error(error) from error
            return
        try:
            self._transaction.commit()
        except lmdb.Error as failure:
            if _is_full(failure):
                raise EngineFullError(str(failure)) from failure
            raise EngineFatalError(str(failure)) from failure


class LmdbEngine:
    """See ``base.Engine``. ``directory`` exists and is writable; the caller owns it (its lock).

    ``map_bytes`` bounds the size of the store. ``read_only`` reads a store that another process
    may own and write.
    """

    def __init__(
        self, directory: Path, map_bytes: int = MAP_BYTES, *, read_only: bool = False
    ) -> None:
        path = self._path = directory / FILE_NAME
        try:
            if not path.exists() and not read_only:
                _create(path, map_bytes)
            if path.stat().st_size == 0:
                # LMDB would begin an empty store in it. Creation never leaves such a file, so
                # something cut it off.
                raise StartupError(f"{path}: the metadata store is an empty file; restore it")
            check_beginning(path)
            self._environment = open_environment(path, map_bytes, read_only=read_only)
            self._file = path.open("rb", buffering=0)
        except (lmdb.Error, OSError) as error:
            raise StartupError(f"{path}: cannot open the metadata store: {error}") from error
        self.key_bytes_max = self._environment.max_key_size()
        version = self._environment.lib_version()
        if version[0] != LIBRARY_VERSION or self.key_bytes_max < KEY_BYTES_NEEDED:
            raise StartupError(
                f"{path}: LMDB {version} holds keys of {self.key_bytes_max} bytes; "
                f"{KEY_BYTES_NEEDED} are needed (install lmdb >= 3.0 from its wheel)"
            )
        self._environment.reader_check()

    def snapshot(self) -> _Snapshot:
        return _Snapshot(self._environment, self.key_bytes_max, self._file)

    def transaction(self) -> _Writing:
        return _Writing(self._environment, self.key_bytes_max, self._file)

    def has_free(self, size: int) -> bool:
        """Whether so many bytes inside the store are used again before its file grows."""
        with self._path.open("rb") as file:
            meta, _ = choose_meta(file.fileno())
            if meta is None:
                return False
            damaged: list[Damage] = []
            view = PageView(PageFile(file.fileno(), meta.page_bytes), meta, damaged.append)
            wanted = -(-size // meta.page_bytes)
            return sum(1 for _ in islice(view.free_pages(lambda *_: None), wanted)) == wanted

    def backup(self, directory: Path) -> None:
        path = directory / FILE_NAME
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            # The library writes into the file, and leaves it to us to make it durable.
            self._environment.copyfd(descriptor, compact=True)
            os.fsync(descriptor)
        except (lmdb.Error, OSError) as error:
            path.unlink()
            raise EngineError(str(error)) from error
        finally:
            os.close(descriptor)

    def close(self) -> None:
        self._environment.close()
        self._file.close()


def check_beginning(path: Path) -> None:
    """Refuse a store that the library would not open, or that would end its process at once.

    Raises DamagedMetadataError, OSError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _, problems = choose_meta(descriptor)
        if problems:
            raise DamagedMetadataError(path, "; ".join(problems))
    finally:
        os.close(descriptor)


def _as_bytes(items: Iterator[Any]) -> Iterator[tuple[bytes, bytes]]:
    """What a cursor yields without ``buffers=True``; the library's types leave both open."""
    return cast("Iterator[tuple[bytes, bytes]]", items)


def _engine_error(error: lmdb.Error) -> EngineError:
    return EngineFullError(str(error)) if _is_full(error) else EngineError(str(error))


def _is_full(error: lmdb.Error) -> bool:
    """Whether something failed for want of space; if that is a commit, the store is as it was.

    LMDB writes its pages before the meta page that makes them current, so a commit that fails for
    want of space (a short write included) changed nothing. Any other failure may have hit the
    fsync itself, after which the page cache proves nothing about the disk.
    """
    text = str(error)
    return (
        isinstance(error, lmdb.MapFullError)
        or os.strerror(errno.ENOSPC) in text
        or os.strerror(errno.EDQUOT) in text
        or "MDB_SHORT_WRITE" in text
    )


def open_environment(
    path: Path, map_bytes: int = MAP_BYTES, *, read_only: bool = False
) -> lmdb.Environment:
    """The library's handle of a store. Raises lmdb.Error, OSError."""
    return lmdb.open(
        str(path),
        subdir=False,
        lib_version=LIBRARY_VERSION,
        map_size=map_bytes,
        max_readers=_READERS_MAX,
        readahead=False,
        readonly=read_only,
    )


def _create(path: Path, map_bytes: int) -> None:
    """Make an empty environment that a power cut cannot leave half-made."""
    unfinished = path.with_name(path.name + ".new")
    unfinished_lock = path.with_name(unfinished.name + "-lock")
    for leftover in (unfinished, unfinished_lock):
        leftover.unlink(missing_ok=True)
    environment = open_environment(unfinished, map_bytes)
    try:
        # A first commit writes the meta pages out.
        with environment.begin(write=True) as transaction:
            transaction.put(b"\0", b"")
            transaction.delete(b"\0")
    finally:
        environment.close()
    _fsync(unfinished)
    unfinished.rename(path)
    _fsync(path.parent)
    unfinished_lock.unlink(missing_ok=True)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
