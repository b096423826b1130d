"""A place for blobs in memory, a keeper of a key, and what the pipelines work with."""

from __future__ import annotations

import itertools
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

from s3front.auth.identity import UNSIGNED
from s3front.context import Context
from s3front.encryption.key_wrapping import BoundTo, WrappingKey
from s3front.encryption.sse import AES256, ALGORITHM_MEMBER
from s3front.keys.base import KeyContext
from s3front.keys.sealing import Keys, Sealing
from s3front.locations.base import Capabilities, DataNotFoundError, ObjectInfo, Stored
from s3front.locations.location_config import Surroundings
from s3front.locations.registry import LocationRegistry
from s3front.objects.object_record import ObjectRecord
from s3front.port.request import Passage
from s3front.port.target import Target
from s3front.s3_errors import S3Error
from shared.process.logs import get_logger
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


class OneKey:
    """A keeper of one master key."""

    name = "file"
    secret = bytes(range(32))

    async def wrapping_key(self, key_id: str | None, context: KeyContext) -> WrappingKey:
        return WrappingKey(f"file:{key_id or 'only'}", self.secret)

    async def opened(self, key_id: str, wrapped: str, context: KeyContext) -> bytes:
        assert key_id == "only"
        return self.secret

    async def open_original(self, key_id: str, ciphered: bytes) -> bytes:
        raise NotImplementedError

    async def create(self, description: str) -> str:
        raise NotImplementedError

    async def look(self) -> str | None:
        return None

    async def close(self) -> None:
        """Nothing is open."""


BOUND = BoundTo("bucket", "key")
SEALING = Sealing(WrappingKey("file:only", OneKey.secret), BOUND, {ALGORITHM_MEMBER: AES256})


def context_of(place: MemoryPlace, log: RecordingLog | None = None) -> Context:
    services = SimpleNamespace(
        locations=LocationRegistry({}, Surroundings(place, get_logger())),
        keys=Keys({"file": OneKey()}, OneKey()),
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
