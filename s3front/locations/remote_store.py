"""A place for object bytes that others run: an S3 service, Azure, a RING.

``RemoteStore`` is what a new type of such a place fills in. What it leaves out, the place does not
do, and ``capabilities`` do not say that it does.

**Names.** A place that keeps versions stores each blob under its natural name (``natural_name``)
and records say which version it is. A place without versions must never overwrite: a request that
is refused in the end, or a process that dies before its commit, would take acknowledged bytes with
it. So there a blob gets its natural name only where that is free, by a condition that the place
itself decides on (``capabilities.create_only``), and else a name of its own (``own_name``), which
its mark is a part of.

**Marks.** Each new blob, and each upload of parts, has a mark: forty hex digits, kept beside the
blob (``MARK_METADATA``) and in the journal of strays (``s3front.metadata.strays``) until a record
names it. By its mark ``remove_strays`` finds what a request has left that nobody acknowledged. What
a place may have done is never asked for again under the same mark: it would be there twice, and
with the note of the one that a record names the other would be forgotten. So whoever asks for it
again has another mark noted first (``Maker``, ``NewMark``).

**Uploads of parts.** Where ``capabilities.multipart`` says so, an upload is one of the place's own
from its beginning, so that the object is one blob there. ``begin_upload`` returns its handle, which
is kept in the upload's record; the parts' locations say which upload they are of (``PART_OF``) and
go with it.
"""

from __future__ import annotations

import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, Final, Protocol

import msgspec

from s3front.locations.base import (
    BlobFile,
    Capabilities,
    DataNotFoundError,
    DataReader,
    DataStore,
    ObjectInfo,
    Stored,
)
from s3front.s3_errors import S3Error
from shared.records.data_location import UPLOAD_ID

MARK_METADATA: Final = "twofold-mark"
"""The name under which a blob's mark is kept beside it, among its user metadata."""

UPLOAD: Final = UPLOAD_ID
"""The member of a data location that makes it an upload of parts which is not a blob yet: to
delete it is to abort the upload, and what it has become if it was completed."""

PART_OF: Final = "dataStorePartOf"
"""The member of a data location that makes it a part of an upload which is not completed: it goes
with that, so that to delete it is to do nothing."""

MARK: Final = "dataStoreMark"
"""The member of a data location that says the blob's mark."""

_SEPARATOR: Final = "~"
_MARK_DIGITS: Final = 40
_MOMENT_DIGITS: Final = 12


class Trouble(Enum):
    """What is wrong with a place, and so what may be tried."""

    UNREACHED = auto()
    """It was not asked: no connection. Nothing was done, and it can be asked again."""
    SILENT = auto()
    """It was asked and did not answer, or not to the end: what was asked may have been done."""
    BUSY = auto()
    """It has refused for now, and wants to be asked less (503, 429), or has failed inside (500). It
    can be asked again for anything: most likely nothing was done."""
    REFUSED = auto()
    """It does not let us: credentials, permissions, a bucket that is not there. Asking again is of
    no use until somebody changes something."""
    UNFIT = auto()
    """It does not take this one as it is, for instance its key, and is as good as ever for all
    others."""
    BROKEN = auto()
    """It answered with something else than what it has to."""


_CODES: Final = {
    Trouble.UNREACHED: "ServiceUnavailable",
    Trouble.SILENT: "ServiceUnavailable",
    Trouble.BUSY: "SlowDown",
    Trouble.REFUSED: "ServiceUnavailable",
    Trouble.UNFIT: "InternalError",
    Trouble.BROKEN: "InternalError",
}


class PlaceError(S3Error):
    """A place failed. ``reason`` is for those who run the server, and goes to the log as the cause:
    clients learn the code alone."""

    def __init__(self, trouble: Trouble, reason: str) -> None:
        super().__init__(_CODES[trouble])
        self.trouble = trouble
        self.reason = reason
        self.__cause__ = RuntimeError(reason)

    def __str__(self) -> str:
        """For those who run the server, too."""
        return f"{self.code}: {self.reason}"


class LostConnectionError(PlaceError):
    """A connection that was kept ended as the place was asked on it: most likely it had closed it
    already, and can be asked again; but it may have done what was asked. ``was_kept``: it had
    certainly answered on it before, so that this says nothing of the place."""

    def __init__(self, reason: str, *, was_kept: bool = True) -> None:
        super().__init__(Trouble.SILENT, reason)
        self.was_kept = was_kept


class NotAskedError(PlaceError):
    """The place was not asked: there are too many who ask it, or it is not asked for a while."""


def is_undone(error: BaseException) -> bool:
    """Whether it is certain that what failed so has left nothing at a place: it was not asked, or
    has refused it, or what was to be stored was what failed."""
    if isinstance(error, PlaceError) and not isinstance(error, NotAskedError):
        return error.trouble in (Trouble.UNREACHED, Trouble.REFUSED)
    return isinstance(error, S3Error | DataNotFoundError)


class UploadedPart(msgspec.Struct, frozen=True, gc=False):
    """A part of an upload: its number there, its size in bytes, its MD5 in hex, and what the place
    said when it was stored."""

    number: int
    size: int
    md5: str
    stored: Stored


class Finding(msgspec.Struct, frozen=True, gc=False):
    """What a look at a place found: whether something is as it should be (None: it is just so),
    and in words what is, or what is missing and how to mend it."""

    what: str
    is_good: bool | None
    words: str


NewMark = Callable[[], Awaitable[str]]
"""Has another mark noted in the journal, and gives it. Raises S3Error."""


class Maker(Protocol):
    """What makes something new at a place. See ``RemoteStore`` for what it does."""

    async def put(
        self, size: int, body: bytes | AsyncGenerator[bytes, None], info: ObjectInfo, mark: str
    ) -> Stored: ...

    async def begin_upload(self, info: ObjectInfo, mark: str) -> Stored: ...

    async def copy(
        self, source: RemoteStore, blob: Stored, info: ObjectInfo, mark: str
    ) -> Stored | None: ...


class RemoteStore(ABC):
    """See the module, and ``base.DataStore`` for what is not described here."""

    @property
    @abstractmethod
    def type(self) -> str: ...

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """As far as they are known: what is probed is known after the first look."""

    @abstractmethod
    async def put(
        self, size: int, body: bytes | AsyncGenerator[bytes, None], info: ObjectInfo, mark: str = ""
    ) -> Stored: ...

    def maker(self, _new_mark: NewMark) -> Maker:
        """Who is to be asked for what is new: the mark that it gets is the one that is noted last,
        as more than one is asked for if the place is asked again."""
        return self

    def new_file(self, _size: int) -> BlobFile | None:
        return None

    @abstractmethod
    async def open(self, blob: Stored, start: int, end: int) -> DataReader: ...

    @abstractmethod
    async def delete(self, blob: Stored) -> None:
        """Remove a blob, an upload (``UPLOAD``) or nothing (``PART_OF``). Never removes another
        blob that has got the name since, and does no harm when it is done twice."""

    async def delete_many(self, blobs: Sequence[Stored]) -> None:
        """The same of up to ``capabilities.deletes_at_once`` blobs, where those are more than
        one."""
        raise NotImplementedError

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    async def remove_strays(self, info: ObjectInfo, mark: str) -> None:
        """Remove every blob and every upload with this mark, which was for an object of this bucket
        and key; of nothing that is there is no error. Raises PlaceError."""

    @abstractmethod
    async def look(self, *, thorough: bool) -> Sequence[Finding]:
        """Look at the place: whether it is there, lets us in, and keeps versions. ``thorough``:
        try each capability and each permission as well, with objects that are removed again.
        Raises PlaceError when there is nothing to look at."""

    async def begin_upload(self, info: ObjectInfo, mark: str) -> Stored:
        """Begin an upload of parts; its handle, with members ``UPLOAD`` and ``MARK``."""
        raise NotImplementedError

    async def put_part(
        self, upload: Stored, number: int, size: int, body: bytes | AsyncGenerator[bytes, None]
    ) -> Stored:
        """Store a part in place of an earlier one of its number; like ``put``."""
        raise NotImplementedError

    async def complete_upload(
        self, upload: Stored, parts: Sequence[UploadedPart], info: ObjectInfo
    ) -> Stored:
        """Make the blob of the parts, of which there is one at least, none of them empty. Asked
        again after it was completed, with the same parts, it answers the same. Raises S3Error:
        InvalidPart, EntityTooSmall, and PlaceError."""
        raise NotImplementedError

    async def copy(
        self, source: RemoteStore, blob: Stored, info: ObjectInfo, mark: str
    ) -> Stored | None:
        """Copy a whole blob of ``source``, a store of this type, into a new one, at the place
        itself; None where it has to come through this process. The answer has an ``md5``."""
        return None

    async def find(self, info: ObjectInfo) -> Stored | None:
        """The blob that somebody else has put where that of an object of this bucket and key would
        be, None where there is none. It stays when the object is deleted. Raises InvalidRequest
        for what cannot become an object, and PlaceError."""
        raise NotImplementedError

    async def put_tags(self, blob: Stored, tags: Mapping[str, str]) -> None:
        """Replace the tags that are kept beside a blob; of one that is gone is no error."""
        raise NotImplementedError


def new_mark() -> str:
    """A mark that no other blob has. Its last twelve digits are when it was made, in ms."""
    moment = int(time.time() * 1000)
    return f"{secrets.token_hex((_MARK_DIGITS - _MOMENT_DIGITS) // 2)}{moment:0{_MOMENT_DIGITS}x}"


def moment_of(mark: str) -> datetime | None:
    """When a mark was made, by the clock of whoever made it; None for what says nothing of it."""
    try:
        return datetime.fromtimestamp(int(mark[-_MOMENT_DIGITS:], 16) / 1000, UTC)
    except (ValueError, OverflowError):
        return None


def mark_of(blob: Stored) -> str | None:
    """The mark of a stored blob, None where its record says none: another front-end's."""
    found = blob.extra.get(MARK)
    return found if isinstance(found, str) else None


def named(blob: Stored) -> str:
    """What a blob is called in logs, which are not to have the keys of objects."""
    return mark_of(blob) or "a blob without a mark"


def in_log(store: DataStore, blob: Stored) -> dict[str, str]:
    """The same as a field of a line; the names of blobs that no others see say nothing."""
    if store.capabilities.collected:
        return {"data_key": blob.key}
    return {"mark": named(blob)}


def natural_name(info: ObjectInfo, *, bucket_match: bool) -> str:
    """The name of an object's blob as CloudServer has it: the object's key, behind that of its
    bucket unless the place is one bucket's alone (reference/cloudserver-features.md, section 5)."""
    return info.key if bucket_match else f"{info.bucket}/{info.key}"


def own_name(natural: str, mark: str, bytes_max: int) -> str:
    """A name that no other blob has, which begins as the natural one does, as far as that fits."""
    ending = _SEPARATOR + mark
    kept = natural.encode("utf-8", "surrogatepass")[: bytes_max - len(ending)]
    return kept.decode("utf-8", "ignore") + ending


def members(**found: Any) -> dict[str, Any]:
    """Members of a data location, without those that are None."""
    return {name: value for name, value in found.items() if value is not None}
