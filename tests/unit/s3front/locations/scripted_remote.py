"""A place that others run, which does what a test tells it, and a log that keeps its lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from s3front.locations.base import Capabilities, DataNotFoundError, ObjectInfo, Stored
from s3front.locations.place_limits import PlaceLimits
from s3front.locations.remote_store import (
    UPLOAD,
    Finding,
    PlaceError,
    RemoteStore,
    Trouble,
    UploadedPart,
)
from s3front.locations.resilience import ResilientStore
from s3front.port.request import Passage

Act = Callable[[], object] | BaseException
"""What becomes of a call: an exception that it raises, or something to wait for."""

BLOCK = b"b" * 1000


def trouble(kind: Trouble, reason: str = "as scripted") -> PlaceError:
    return PlaceError(kind, reason)


class ScriptedRemote(RemoteStore):
    """Each call does the next of ``script``, and succeeds once that is at its end; ``always`` is
    what every call does then."""

    type = "scripted"
    capabilities = Capabilities(ranges=True, multipart=True, copy=True, tags=True, versions=True)

    def __init__(self, *script: Act) -> None:
        self.script = list(script)
        self.always: Act | None = None
        self.asked: list[str] = []
        self.marks: list[str] = []
        """Those of what it was to make."""
        self.running = 0
        self.most_running = 0
        self.read_script: list[Act] = []
        """The same for the blocks of bodies that are read."""
        self.open_readers = 0
        self.closed = False

    async def _next(self, name: str) -> None:
        self.asked.append(name)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await act(self.script.pop(0) if self.script else self.always)
        finally:
            self.running -= 1

    async def put(
        self, size: int, body: bytes | AsyncGenerator[bytes, None], info: ObjectInfo, mark: str = ""
    ) -> Stored:
        self.marks.append(mark)
        return await self._store("put", size, body)

    async def put_part(
        self, upload: Stored, number: int, size: int, body: bytes | AsyncGenerator[bytes, None]
    ) -> Stored:
        return await self._store("put_part", size, body)

    async def _store(
        self, name: str, size: int, body: bytes | AsyncGenerator[bytes, None]
    ) -> Stored:
        await self._next(name)
        if not isinstance(body, bytes):
            body = b"".join([block async for block in body])
        assert len(body) == size
        return Stored("key", size, "version")

    async def open(self, blob: Stored, start: int, end: int) -> ScriptedReader:
        await self._next("open")
        return ScriptedReader(self, self.read_script)

    async def delete(self, blob: Stored) -> None:
        await self._next("delete")

    async def close(self) -> None:
        self.closed = True

    async def remove_strays(self, info: ObjectInfo, mark: str) -> None:
        await self._next("remove_strays")

    async def look(self, *, thorough: bool) -> Sequence[Finding]:
        await self._next("look")
        return ()

    async def begin_upload(self, info: ObjectInfo, mark: str) -> Stored:
        self.marks.append(mark)
        await self._next("begin_upload")
        return Stored("key", 0, None, None, {UPLOAD: "id"})

    async def complete_upload(
        self, upload: Stored, parts: Sequence[UploadedPart], info: ObjectInfo
    ) -> Stored:
        await self._next("complete_upload")
        return Stored("key", sum(part.size for part in parts), "version")

    async def copy(
        self, source: RemoteStore, blob: Stored, info: ObjectInfo, mark: str
    ) -> Stored | None:
        self.marks.append(mark)
        await self._next("copy")
        return blob if source is self else None

    async def put_tags(self, blob: Stored, tags: Mapping[str, str]) -> None:
        await self._next("put_tags")


class ScriptedReader:
    """Gives a block for each entry of its script, and fails where that says so."""

    def __init__(self, remote: ScriptedRemote, script: Sequence[Act]) -> None:
        self._remote = remote
        self._script = list(script)
        self._is_open = True
        remote.open_readers += 1

    async def blocks(self) -> AsyncGenerator[bytes | bytearray | Passage, None]:
        yield BLOCK
        for step in self._script:
            await act(step)
            yield BLOCK

    async def read(self) -> bytes:
        for step in self._script:
            await act(step)
        return BLOCK * (len(self._script) + 1)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._remote.open_readers -= 1


async def act(what: Act | None) -> None:
    if isinstance(what, BaseException):
        raise what
    if what is not None and asyncio.iscoroutine(result := what()):
        await result


async def hang() -> None:
    """Never comes to an end by itself."""
    await asyncio.get_running_loop().create_future()


class KeptLog:
    """Keeps its lines: events with their fields."""

    shows_debug = False

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def debug(self, event: str, /, **fields: Any) -> None:
        self.lines.append((event, fields))

    info = warning = error = debug

    @property
    def events(self) -> list[str]:
        return [event for event, _ in self.lines]


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def resilient(remote: ScriptedRemote, log: KeptLog | None = None, **limits: int) -> ResilientStore:
    """The wrapper of a place, called ``away``."""
    return ResilientStore(remote, "away", PlaceLimits(**limits), log or KeptLog())


NOT_FOUND = DataNotFoundError("key")
