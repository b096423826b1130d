"""What a place for object bytes must offer.

A location stores immutable blobs under keys that it makes itself. It streams in bounded memory in
both directions, and speaks of failures in S3's terms: ServiceUnavailable when the place is away,
InternalError when it answered with an error.

A new type is one file of this folder, with a class that follows ``DataStore`` (for a place that
others run: a subclass of ``remote_store.RemoteStore``) and what reads its details
(``location_config.LocationType``), and one row of ``registry.TYPES``. What wraps a store passes on
the ``capabilities`` of what it wraps, as far as it keeps them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Protocol

import msgspec

from s3front.port.request import Passage
from shared.records.data_location import STORED_SIZE, DataLocation

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

_VERSION: Final = "dataStoreVersionId"
"""The member of a data location that says which version of its key a place has to be asked for."""


class DataNotFoundError(Exception):
    """No blob has this key: it was deleted, or never existed."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a place does itself, so that its bytes need not come through this process."""

    ranges: bool = False
    """It reads part of a blob without the rest. Of one that does not, blobs are read whole."""

    versions: bool = False
    """Its keys have versions, and ``Stored.version`` is needed to read a blob again."""

    multipart: bool = False
    """It takes the parts of an upload as parts of an upload of its own, and puts them together."""

    copy: bool = False
    """It copies from one of its blobs to another."""

    tags: bool = False
    """It keeps an object's tags beside its bytes."""

    create_only: bool = False
    """It can store a blob on the condition that there is none of this key, whoever else does."""

    checksums: bool = False
    """It says, or verifies, a checksum of what it has stored."""

    encryption: bool = False
    """It encrypts what it stores."""

    adopts: bool = False
    """What others have put there, under the name of an object, can become that object's
    (``RemoteStore.find``)."""

    deletes_at_once: int = 1
    """How many blobs it removes by one request (``RemoteStore.delete_many``)."""

    collected: bool = False
    """What no record names there is found and removed by somebody else (``dmd gc``). In any other
    place each new blob is noted in the journal of strays before it is stored."""

    blob_bytes_max: int | None = None
    """The largest blob that it stores by one ``put``; None for whatever S3 allows."""

    part_bytes_min: int = 0
    part_bytes_max: int | None = None
    parts_max: int | None = None
    """The limits of its own uploads: bytes of each part but the last, and their number."""


class ObjectInfo(msgspec.Struct, frozen=True, gc=False):
    """What the bytes are of: for places that name their blobs by it, or keep it beside them."""

    bucket: str
    key: str
    content_type: str
    user_metadata: Mapping[str, str]
    """Without the prefix of its headers, as records have it."""
    headers: Mapping[str, str] = _NOTHING
    """Cache-Control and its kin, by their names in records (``object_record.STANDARD_HEADERS``)."""
    tags: Mapping[str, str] = _NOTHING
    md5: str | None = None
    """Of the bytes, in hex, where it is known before they are stored."""


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A blob as its place knows it: what storing it gave, and what reading it takes.

    ``etag`` is the place's own, None where it says none; ``size`` is in bytes, of what is stored.
    ``extra`` are further members of the data location that its place needs to find it again.
    ``md5`` is that of the bytes as the place has them, in hex, if it says so when it stores them:
    it is held against that of the bytes that were sent.
    """

    key: str
    size: int
    version: str | None = None
    etag: str | None = None
    extra: Mapping[str, Any] = _NOTHING
    md5: str | None = None

    def members(self) -> Mapping[str, Any]:
        """What a data location keeps of it, besides the key."""
        return self.extra if self.version is None else {**self.extra, _VERSION: self.version}


def stored_blob(location: DataLocation) -> Stored:
    """The blob that a data location names."""
    key, members = location.key, location.members
    if members is None:
        return Stored(key, location.size)
    size = location.stored_size if STORED_SIZE in members else location.size
    version = members.get(_VERSION)
    # Behind the number of the part.
    etag = location.store_etag.partition(":")[2] or None
    return Stored(key, size, version if isinstance(version, str) else None, etag, members)


class DataReader(Protocol):
    """An open blob, or a part of it: readable to its end even if the blob is deleted meanwhile."""

    def blocks(self) -> AsyncGenerator[bytes | bytearray | Passage, None]:
        """The bytes, in order; raises S3Error when the place fails."""

    async def read(self) -> bytes:
        """All the bytes at once, in place of ``blocks``; for few of them. Raises S3Error."""

    def close(self) -> None:
        """Release it, read to the end or not."""


class BlobFile(Protocol):
    """The file of one new blob, written by this process. Blocking; used by one thread at a time."""

    def store(self, pieces: Sequence[bytes]) -> Stored | None:
        """Store a whole blob durably; None when that failed, and nothing of it is stored."""

    def write(self, pieces: Sequence[bytes]) -> None:
        """Append bytes. Raises S3Error."""

    def publish(self) -> Stored:
        """Make the blob durable, once all of it is there. Raises S3Error."""

    def discard(self) -> None:
        """Remove every trace; raises nothing."""


class DataStore(Protocol):
    """One place."""

    @property
    def type(self) -> str:
        """The location type as records name it (``dataStoreType``)."""

    @property
    def capabilities(self) -> Capabilities:
        """What it does itself."""

    async def put(
        self, size: int, body: bytes | AsyncGenerator[bytes, None], info: ObjectInfo, mark: str = ""
    ) -> Stored:
        """Store ``size`` bytes durably.

        ``mark`` is the blob's in the journal of strays, for places that are not ``collected``.
        When the iterator raises, nothing is stored and its exception is raised. Raises
        S3Error.
        """

    def new_file(self, size: int) -> BlobFile | None:
        """A file for a blob of ``size`` bytes that is written by this process itself, in place of
        ``put``; None where that is to be asked for, as most have it."""

    async def open(self, blob: Stored, start: int, end: int) -> DataReader:
        """Open bytes ``start`` to ``end`` (included) of a blob; of a place without ``ranges``
        these are all of them.

        Raises DataNotFoundError and S3Error.
        """

    async def delete(self, blob: Stored) -> None:
        """Remove a blob; one that is gone is no error. Raises S3Error."""

    async def close(self) -> None:
        """Give up its connections; it is not used afterwards."""


class DaemonStore(DataStore, Protocol):
    """The data daemon."""

    async def disk_usage(self) -> tuple[int, int]:
        """The bytes that are available where the blobs are, and all that there are. Raises
        S3Error."""
