"""A place for blobs in memory, a transform of their bytes, and what the pipelines work with."""

from __future__ import annotations

import itertools
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast
from zlib import crc32

from s3front.auth.identity import UNSIGNED
from s3front.context import Context
from s3front.encryption.transform import NO_TRANSFORMS, Transform, Transforms
from s3front.locations.base import Capabilities, DataNotFoundError, ObjectInfo, Stored
from s3front.locations.location_config import Surroundings
from s3front.locations.registry import LocationRegistry
from s3front.objects.object_record import ObjectRecord
from s3front.port.request import Passage
from s3front.port.target import Target
from s3front.s3_errors import S3Error
from shared.process.logs import get_logger
from shared.records.data_location import DataLocation
from tests.unit.dmd.metadata.support import RecordingLog

INFO = ObjectInfo("bucket", "key", "text/plain", {"a": "b"})
BLOCK_BYTES = 4096

_NUMBERS = itertools.count()
"""No two blobs of a process have one key: what is known of a blob is kept by it."""


class MemoryReader:
    def __init__(self, data: bytes) -> None:
        self._data = data

    async def blocks(self) -> AsyncGenerator[bytes | Passage, None]:
        for offset in range(0, len(self._data), BLOCK_BYTES):
            yield self._data[offset : offset + BLOCK_BYTES]

    async def read(self) -> bytes:
        return self._data

    def close(self) -> None:
        """Nothing is open."""


class MemoryPlace:
    """Keeps what it is given; ``says`` is what it answers of each blob besides its key."""

    type = "file"

    def __init__(self, *, ranges: bool = True, says: Mapping[str, Any] | None = None) -> None:
        self.capabilities = Capabilities(ranges=ranges, collected=True)
        self.blobs: dict[str, bytes] = {}
        self.infos: list[ObjectInfo] = []
        self.opened: list[tuple[Stored, int, int]] = []
        self.deleted: list[Stored] = []
        self.closed = False
        self._says = says or {}

    async def put(
        self, size: int, body: bytes | AsyncGenerator[bytes, None], info: ObjectInfo, mark: str = ""
    ) -> Stored:
        data = body if isinstance(body, bytes) else b"".join([block async for block in body])
        assert len(data) == size
        key = f"blob{next(_NUMBERS)}"
        self.blobs[key] = data
        self.infos.append(info)
        return Stored(key, size, **self._says)

    def new_file(self, _size: int) -> MemoryFile | None:
        return None

    async def open(self, blob: Stored, start: int, end: int) -> MemoryReader:
        self.opened.append((blob, start, end))
        if blob.key not in self.blobs:
            raise DataNotFoundError(blob.key)
        assert blob.size == len(self.blobs[blob.key])
        assert self.capabilities.ranges or (start, end) == (0, blob.size - 1)
        return MemoryReader(self.blobs[blob.key][start : end + 1])

    async def disk_usage(self) -> tuple[int, int]:
        raise NotImplementedError

    async def delete(self, blob: Stored) -> None:
        self.deleted.append(blob)
        self.blobs.pop(blob.key, None)

    async def close(self) -> None:
        self.closed = True


class Sealed:
    """A transform: blocks of ``PLAIN`` bytes, each with every bit turned and a checksum behind."""

    PLAIN = 64
    STORED = 68

    def members(self) -> Mapping[str, Any]:
        return {"cryptoScheme": "sealed"}

    def stored_size(self, size: int) -> int:
        return size + 4 * -(-size // self.PLAIN)

    def encoder(self) -> _Sealer:
        return _Sealer()

    def stored_range(self, start: int, end: int, size: int) -> tuple[int, int]:
        first, last = start // self.PLAIN, end // self.PLAIN
        return first * self.STORED, min((last + 1) * self.STORED, self.stored_size(size)) - 1

    def decoder(self, start: int, end: int, size: int) -> _Opener:
        before = start // self.PLAIN * self.PLAIN
        return _Opener(start - before, end - before + 1)


class _Pieces:
    """Bytes in pieces of one size, and a rest."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held = b""

    def update(self, data: bytes) -> bytes:
        held = self._held + data
        full = len(held) // self._size * self._size
        self._held = held[full:]
        pieces = [held[at : at + self._size] for at in range(0, full, self._size)]
        return b"".join(map(self.make, pieces))

    def finish(self) -> bytes:
        return self.make(self._held) if self._held else b""

    def make(self, piece: bytes) -> bytes:
        raise NotImplementedError


class _Sealer(_Pieces):
    def __init__(self) -> None:
        super().__init__(Sealed.PLAIN)

    def make(self, piece: bytes) -> bytes:
        return piece.translate(_TURNED) + crc32(piece).to_bytes(4, "big")


class _Opener(_Pieces):
    def __init__(self, start: int, end: int) -> None:
        super().__init__(Sealed.STORED)
        self._start = start
        self._left = end

    def make(self, piece: bytes) -> bytes:
        plain = piece[:-4].translate(_TURNED)
        if crc32(plain) != int.from_bytes(piece[-4:], "big"):
            raise S3Error("InternalError")
        wanted = plain[self._start : self._left]
        self._start, self._left = 0, self._left - len(plain)
        return wanted


_TURNED = bytes(255 - value for value in range(256))


class Opening:
    """Knows the one transform."""

    async def of(self, location: DataLocation) -> Transform:
        assert location.document()["cryptoScheme"] == "sealed"
        return Sealed()


def context_of(
    place: MemoryPlace, transforms: Transforms = NO_TRANSFORMS, log: RecordingLog | None = None
) -> Context:
    services = SimpleNamespace(
        locations=LocationRegistry({}, Surroundings(place, get_logger())),
        transforms=transforms,
        one_hop=None,
        log=log or RecordingLog(),
    )
    target = Target("bucket", "key", "/bucket/key", "", {}, None)
    access = cast(Any, None)  # the bytes of what may be read or written, nobody asks for again
    return Context(cast(Any, services), "id", target, UNSIGNED, access, None, None)


def record_of(size: int, locations: list[dict[str, Any]], etag: str = "") -> ObjectRecord:
    """An object of so many bytes, in these data locations."""
    return ObjectRecord({"content-length": size, "content-md5": etag, "location": locations})


class PlaceOfFiles(MemoryPlace):
    """A place whose blobs are files that its user writes, while ``writable``. ``failure`` is what
    writing the blocks of one ends with."""

    def __init__(self, *, writable: bool = True, failure: S3Error | None = None) -> None:
        super().__init__()
        self.writable = writable
        self.failure = failure
        self.files: list[MemoryFile] = []

    def new_file(self, _size: int) -> MemoryFile:
        self.files.append(MemoryFile(self))
        return self.files[-1]


class MemoryFile:
    """See ``base.BlobFile``."""

    def __init__(self, place: PlaceOfFiles) -> None:
        self._place = place
        self._data = bytearray()
        self.stored: Stored | None = None
        self.discarded = threading.Event()

    def store(self, pieces: Sequence[bytes]) -> Stored | None:
        if not self._place.writable:
            return None
        self.write(pieces)
        return self.publish()

    def write(self, pieces: Sequence[bytes]) -> None:
        if self._place.failure is not None:
            raise self._place.failure
        self._data += b"".join(pieces)

    def publish(self) -> Stored:
        self.stored = Stored(f"file{next(_NUMBERS)}", len(self._data))
        self._place.blobs[self.stored.key] = bytes(self._data)
        return self.stored

    def discard(self) -> None:
        if self.stored is not None:
            self._place.blobs.pop(self.stored.key)
        self.discarded.set()
