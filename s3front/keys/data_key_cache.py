"""Data keys that a key service has given out, kept for a while: a request seldom waits for one.

**New objects.** A data key serves the next objects of the same master key and context, for
``reuse_seconds`` and ``uses_max`` of them at most. Where the context names the object
(``sse.ARN_IN_CONTEXT``), it serves that one alone: so its client has asked for.

**Reading.** What was opened, and what was made here, opens more of the same for ``open_seconds``.
After ``FRESH_SECONDS`` of these it is opened anew while it is in use, beside the requests: so a
service that has disabled the key, or does not let this server use it any more, is obeyed within
about a minute, and reads go on for minutes when the service is away.

Requests that want the same key at the same time wait for one answer. At most ``keys_max`` keys are
held of each kind, those that were used last, and none for longer than it may be used.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Final, Generic, TypeVar

import msgspec

from s3front.encryption.key_wrapping import WrappingKey
from s3front.encryption.sse import ARN_IN_CONTEXT
from s3front.keys.base import AwayError, KeeperError, KeyContext, ServiceKeys

FRESH_SECONDS: Final = 60.0

T = TypeVar("T")


class CacheLimits(msgspec.Struct, frozen=True):
    """See the module."""

    reuse_seconds: float = 60.0
    uses_max: int = 10_000
    open_seconds: float = 300.0
    keys_max: int = 4096


class _Made:
    """A data key for new objects, and how many more of them it serves."""

    __slots__ = ("key", "uses_left")

    def __init__(self, key: WrappingKey, uses_left: int) -> None:
        self.key = key
        self.uses_left = uses_left


class CachedKeys:
    """A ``ServiceKeys`` around another one; see the module. ``clock`` is in
    seconds. Make it inside the event loop."""

    def __init__(
        self, inner: ServiceKeys, limits: CacheLimits, clock: Callable[[], float] | None = None
    ) -> None:
        self.inner = inner
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        clock = clock or self._loop.time
        self._made = _Kept[_Made](limits.reuse_seconds, limits.keys_max, self._loop, clock)
        self._opened = _Kept[bytes](limits.open_seconds, limits.keys_max, self._loop, clock)
        self._asking: dict[Hashable, asyncio.Task[Any]] = {}

    @property
    def name(self) -> str:
        return self.inner.name

    async def wrapping_key(self, key_id: str | None, context: KeyContext) -> WrappingKey:
        if _names_object(context) or not self._limits.reuse_seconds:
            return await self._new(key_id, context)
        wanted = ("new", key_id, _hashable(context))
        while True:
            made = self._made.get(wanted)
            if made is not None:
                made.uses_left -= 1
                if not made.uses_left:
                    self._made.drop(wanted)
                return made.key
            # Whoever finds all uses gone asks again.
            await self._shared(wanted, lambda: self._make(wanted, key_id, context))

    async def opened(self, key_id: str, wrapped: str, context: KeyContext) -> bytes:
        wanted = ("open", key_id, wrapped, _hashable(context))
        secret = self._opened.get(wanted)
        if secret is None:
            return await self._shared(wanted, lambda: self._open(wanted, key_id, wrapped, context))
        if self._opened.age(wanted) > FRESH_SECONDS and wanted not in self._asking:
            self._start(wanted, lambda: self._open(wanted, key_id, wrapped, context))
        return secret

    async def open_original(self, key_id: str, ciphered: bytes) -> bytes:
        wanted = ("original", key_id, ciphered)
        secret = self._opened.get(wanted)
        if secret is None:
            return await self._shared(wanted, lambda: self._original(wanted, key_id, ciphered))
        if self._opened.age(wanted) > FRESH_SECONDS and wanted not in self._asking:
            self._start(wanted, lambda: self._original(wanted, key_id, ciphered))
        return secret

    async def create(self, description: str) -> str:
        return await self.inner.create(description)

    async def rotate(self, description: str) -> str:
        made = await self.inner.rotate(description)
        self._made.clear()
        return made

    async def look(self) -> str | None:
        return await self.inner.look()

    async def close(self) -> None:
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        self._made.clear()
        self._opened.clear()
        await self.inner.close()

    # -- Asking the service -----------------------------------------------------------------------

    async def _new(self, key_id: str | None, context: KeyContext) -> WrappingKey:
        key = await self.inner.wrapping_key(key_id, context)
        its_own = key.key_id.partition(":")[2]
        self._opened.put(("open", its_own, key.wrapped, _hashable(context)), key.secret)
        return key

    async def _make(self, wanted: Hashable, key_id: str | None, context: KeyContext) -> None:
        key = await self._new(key_id, context)
        self._made.put(wanted, _Made(key, self._limits.uses_max))

    async def _open(
        self, wanted: Hashable, key_id: str, wrapped: str, context: KeyContext
    ) -> bytes:
        return await self._kept(wanted, self.inner.opened(key_id, wrapped, context))

    async def _original(self, wanted: Hashable, key_id: str, ciphered: bytes) -> bytes:
        return await self._kept(wanted, self.inner.open_original(key_id, ciphered))

    async def _kept(self, wanted: Hashable, asking: Coroutine[Any, Any, bytes]) -> bytes:
        try:
            secret = await asking
        except AwayError:
            raise
        except KeeperError:
            self._opened.drop(wanted)
            raise
        self._opened.put(wanted, secret)
        return secret

    async def _shared(self, wanted: Hashable, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What comes of asking, which is done once at a time, in a task of its own."""
        task: asyncio.Task[T] = self._asking.get(wanted) or self._start(wanted, ask)
        try:
            return await asyncio.shield(task)
        except KeeperError as error:
            failure = error
        # Each request has an error of its own: they write to it.
        raise failure.again()

    def _start(
        self, wanted: Hashable, ask: Callable[[], Coroutine[Any, Any, T]]
    ) -> asyncio.Task[T]:
        task = self._asking[wanted] = self._loop.create_task(ask())

        def ended(_task: asyncio.Task[T]) -> None:
            del self._asking[wanted]
            if not task.cancelled():
                task.exception()  # nobody may be waiting for it

        task.add_done_callback(ended)
        return task


class _Kept(Generic[T]):
    """Secrets by what they are of, for ``seconds``, ``most`` of them."""

    def __init__(
        self,
        seconds: float,
        most: int,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
    ) -> None:
        self._seconds = seconds
        self._most = most
        self._loop = loop
        self._clock = clock
        self._held: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()
        self._sweep: asyncio.TimerHandle | None = None

    def get(self, wanted: Hashable) -> T | None:
        found = self._held.get(wanted)
        if found is None or self._clock() - found[0] >= self._seconds:
            return None
        self._held.move_to_end(wanted)
        return found[1]

    def age(self, wanted: Hashable) -> float:
        """Seconds since it was put here."""
        return self._clock() - self._held[wanted][0]

    def put(self, wanted: Hashable, secret: T) -> None:
        if not self._seconds:
            return
        self._held[wanted] = (self._clock(), secret)
        self._held.move_to_end(wanted)
        while len(self._held) > self._most:
            self._held.popitem(last=False)
        if self._sweep is None:
            self._sweep = self._loop.call_later(self._seconds, self.drop_old)

    def drop(self, wanted: Hashable) -> None:
        self._held.pop(wanted, None)

    def clear(self) -> None:
        self._held.clear()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def drop_old(self) -> None:
        """Let go of what may not be used any more, and do it again when the next one is due."""
        until = self._clock() - self._seconds
        for wanted in [each for each, (since, _) in self._held.items() if since <= until]:
            del self._held[wanted]
        self._sweep = None
        if self._held:
            oldest = min(since for since, _ in self._held.values())
            self._sweep = self._loop.call_later(max(oldest - until, 0.05), self.drop_old)


def _names_object(context: KeyContext) -> bool:
    """Whether it is the context of one object, and not of a bucket: whose name has no slash."""
    return "/" in context.get(ARN_IN_CONTEXT, "")


def _hashable(context: KeyContext) -> Hashable:
    return tuple(sorted(context.items()))
