"""A directory of files as a location: each is a blob, whose key is its path below the directory.

Others may read and write there as they like. A file that they change is not what was recorded any
more: to read it is an error, and never gives other bytes than an object has; to remove an object
leaves it alone. Nothing here writes over a file, or changes one.

Files are read and written in threads, as disks and network file systems make one wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from typing import Final, Protocol, TypeVar

from msgspec.structs import replace

from s3front.locations.base import Capabilities, DataNotFoundError, ObjectInfo, Stored
from s3front.locations.folder import FolderDetails
from s3front.locations.folder_files import (
    NewFile,
    OpenFile,
    OtherFileError,
    check,
    fingerprint,
    look_at,
    open_file,
    opened_root,
    remove,
    remove_marked,
    takes_marks,
)
from s3front.locations.folder_names import HIDDEN, decoded, encoded, is_path, names_of
from s3front.locations.remote_store import (
    MARK,
    Finding,
    PlaceError,
    RemoteStore,
    Trouble,
    mark_of,
    named,
    natural_name,
    new_mark,
)
from s3front.s3_errors import S3Error

READ_BYTES: Final = 1024 * 1024
"""What is read at once."""

WRITE_BYTES: Final = 1024 * 1024
"""What is gathered before it is written."""

DISCARD_SECONDS_MAX: Final = 5.0
"""How long the end of a failed blob is waited for; it comes all the same."""

_THREADS: Final = 8

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MISSING: Final = (errno.ENOENT, errno.ENOTDIR)
_REFUSED: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSYS, errno.EOPNOTSUPP)
_UNFIT: Final = {
    errno.EXDEV: "a link leads out of the folder",
    errno.ELOOP: "a link leads out of the folder",
    errno.EILSEQ: "the file system does not have such names",
    errno.EINVAL: "the file system does not have such names",
    errno.ENAMETOOLONG: "the file system does not have such names",
}
"""What is wrong with one name, and nothing to those of others."""
_LOOK: Final = ObjectInfo("look", "//", "", {})
"""Which cannot be a path, so that its blob is kept where the names of none are."""

_T = TypeVar("_T")


class _Run(Protocol):
    async def __call__(self, call: Callable[[], _T]) -> _T: ...


class FolderStore(RemoteStore):
    """See ``remote_store.RemoteStore``. Make it inside the event loop; ``close`` it."""

    type = "folder"
    capabilities = Capabilities(ranges=True, create_only=True, adopts=True)

    def __init__(self, details: FolderDetails) -> None:
        self._details = details
        self._folder = details.path
        self._threads = ThreadPoolExecutor(_THREADS, "folder")

    async def close(self) -> None:
        self._threads.shutdown(wait=False)

    async def put(
        self, size: int, body: bytes | AsyncGenerator[bytes, None], info: ObjectInfo, mark: str = ""
    ) -> Stored:
        self._check_writable()
        mark = mark or new_mark()
        names = names_of(info, mark, bucket_match=self._details.bucket_match)
        blocks = _gathered(body)
        file = NewFile(self._folder, names, mark)
        try:
            await self._run(file.begin)
            async for pieces in blocks:
                await self._run(partial(file.write, pieces))
            stored = await self._run(file.publish)
        except FileNotFoundError:
            await self._discard(file)
            raise PlaceError(Trouble.SILENT, "a directory was removed") from None
        except BaseException:  # a cancellation as well: no record will name it
            await self._discard(file)
            raise
        finally:
            await blocks.aclose()
            if not isinstance(body, bytes):
                await body.aclose()  # which the blocks do only if they have begun
        await self._run(file.close)
        return replace(stored, extra={MARK: mark})

    async def _discard(self, file: NewFile) -> None:
        discarding = asyncio.get_running_loop().run_in_executor(self._threads, file.discard)
        await asyncio.wait([discarding], timeout=DISCARD_SECONDS_MAX)

    async def open(self, blob: Stored, start: int, end: int) -> FolderReader:
        path = encoded(blob.key)
        if not _is_blob(path):
            raise DataNotFoundError(named(blob))
        try:
            file = await self._run(lambda: self._opened(path, blob))
        except FileNotFoundError:
            raise DataNotFoundError(named(blob)) from None
        except OtherFileError as error:
            raise _other(blob, error) from error
        return FolderReader(self._run, file, blob, start, end)

    def _opened(self, path: bytes, blob: Stored) -> OpenFile:
        """Blocks. What nobody waits for any more closes itself. Raises OtherFileError."""
        descriptor, found = open_file(self._folder, path)
        file = OpenFile(descriptor, blob)
        check(found, blob)
        return file

    async def delete(self, blob: Stored) -> None:
        """Remove a file that this server has stored, and nobody has changed since; others are
        somebody else's, and stay. So do all where the folder is read only."""
        path, mark = encoded(blob.key), mark_of(blob)
        if self._details.read_only or mark is None or not _is_blob(path):
            return
        with contextlib.suppress(FileNotFoundError):
            await self._run(lambda: remove(self._folder, path, blob, mark))

    async def remove_strays(self, info: ObjectInfo, mark: str) -> None:
        if not self._details.read_only:
            names = names_of(info, mark, bucket_match=self._details.bucket_match)
            await self._run(lambda: remove_marked(self._folder, names, mark))

    async def find(self, info: ObjectInfo) -> Stored | None:
        path = encoded(natural_name(info, bucket_match=self._details.bucket_match))
        if not is_path(path):
            return None
        try:
            found = await self._run(lambda: look_at(self._folder, path))
        except FileNotFoundError:
            return None
        except OtherFileError as error:
            raise S3Error(
                "InvalidRequest", f"The location has something under this name, but {error}."
            ) from error
        return Stored(decoded(path), found.st_size, etag=fingerprint(found))

    async def look(self, *, thorough: bool) -> Sequence[Finding]:
        folder = str(self._folder)

        def entries() -> int:
            with opened_root(self._folder) as root:
                return len(os.listdir(root))

        count = await self._run(entries)
        found = [Finding(folder, True, f"is there, with {count} files and directories in it")]
        if self._details.read_only:
            found.append(Finding("store a blob", None, "not wanted: readOnly"))
        elif thorough:
            found += await self._try()
        return found

    async def _try(self) -> list[Finding]:
        """Store, read and remove a blob; what fails ends it."""
        found: list[Finding] = []
        what = "store a blob"
        try:
            blob = await self.put(4, b"look", _LOOK)
            found.append(Finding(what, True, "works"))
            if not await self._run(lambda: takes_marks(self._folder, encoded(blob.key))):
                words = "are not those of their objects: there are no extended attributes (user.*)"
                found.append(Finding("names of new blobs", None, words))
            what = "read part of a blob"
            reader = await self.open(blob, 1, 2)
            good = await reader.read() == b"oo"
            found.append(Finding(what, good, "works" if good else "gives other bytes"))
            what = "remove a blob"
            await self.delete(blob)
            found.append(Finding(what, True, "works"))
        except PlaceError as error:
            found.append(Finding(what, False, error.reason))
        except (S3Error, DataNotFoundError) as error:
            found.append(Finding(what, False, str(error)))
        return found

    def _check_writable(self) -> None:
        if self._details.read_only:
            raise S3Error("NotImplemented", "The location is a folder that is only read.")

    async def _run(self, call: Callable[[], _T]) -> _T:
        """Do something in a thread. Raises FileNotFoundError, and S3Error for other failures."""
        attempt = partial(self._attempt, call)
        return await asyncio.get_running_loop().run_in_executor(self._threads, attempt)

    def _attempt(self, call: Callable[[], _T]) -> _T:
        try:
            return call()
        except OSError as error:
            failure = self._failure(error)
        raise failure

    def _failure(self, error: OSError) -> Exception:
        # Not all of the error, whose file is called as an object is.
        reason = f"folder {self._folder}: {error.strerror or type(error).__name__}"
        if error.errno in _MISSING:
            if self._folder.is_dir():
                return FileNotFoundError(error.errno, str(error))
            return PlaceError(Trouble.UNREACHED, f"{reason}: the folder is not there")
        if error.errno in _FULL:
            return S3Error("InsufficientStorage")
        if error.errno in _REFUSED:
            return PlaceError(Trouble.REFUSED, reason)
        if error.errno in _UNFIT:
            return PlaceError(Trouble.UNFIT, f"{reason}: {_UNFIT[error.errno]}")
        return PlaceError(Trouble.SILENT, reason)


class FolderReader:
    """See ``base.DataReader``. ``run`` does something in a thread."""

    def __init__(self, run: _Run, file: OpenFile, blob: Stored, start: int, end: int) -> None:
        self._run = run
        self._file = file
        self._blob = blob
        self._next = start
        self._end = end

    async def blocks(self) -> AsyncGenerator[bytearray, None]:
        while self._next <= self._end:
            yield await self._piece()

    async def read(self) -> bytes:
        pieces = []
        while self._next <= self._end:
            pieces.append(await self._piece())
        return b"".join(pieces)

    def close(self) -> None:
        self._file.close()

    async def _piece(self) -> bytearray:
        offset = self._next
        length = min(READ_BYTES, self._end + 1 - offset)
        try:
            data = await self._run(lambda: self._file.read(offset, length))
        except OtherFileError as error:
            raise _other(self._blob, error) from error
        self._next += length
        return data


def _is_blob(path: bytes) -> bool:
    """Whether a record's key can be that of a blob: a path below the folder."""
    return is_path(path) or is_path(path.removeprefix(HIDDEN + b"/"))


def _other(blob: Stored, error: OtherFileError) -> PlaceError:
    return PlaceError(Trouble.BROKEN, f"{named(blob)} is not what the record says: {error}")


async def _gathered(
    body: bytes | AsyncGenerator[bytes, None],
) -> AsyncGenerator[Sequence[bytes], None]:
    """A body in pieces that are worth a thread; it is closed."""
    if isinstance(body, bytes):
        yield (body,)
        return
    pieces: list[bytes] = []
    size = 0
    async with aclosing(body):
        async for block in body:
            pieces.append(block)
            size += len(block)
            if size >= WRITE_BYTES:
                yield pieces
                pieces, size = [], 0
    if pieces:
        yield pieces
