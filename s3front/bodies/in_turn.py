"""Calls that run in threads, one after the other, while the event loop does something else."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Generic, TypeVar

THREAD_BYTES_MIN: Final = 128 * 1024
"""From this size on, what is to be done with bytes is worth a hop to a thread."""

_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")


class InTurn(Generic[_Argument, _Result]):
    """Calls a blocking function with one argument after the other, in their order, in a pool.

    The next call does not wait for the event loop, which may be copying megabytes, but for its turn
    in the pool: whoever has much to do does not keep a thread from others.
    """

    def __init__(self, function: Callable[[_Argument], _Result], pool: ThreadPoolExecutor) -> None:
        self._function = function
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: deque[tuple[_Argument, asyncio.Future[_Result]]] = deque()
        self._call: Future[None] | None = None
        self._busy = False
        self._failure: Exception | None = None

    def submit(self, argument: _Argument) -> asyncio.Future[_Result]:
        """The result for an argument, in time. After a call that raised none is made: what it
        raised is what all that wait, and come later, get."""
        future: asyncio.Future[_Result] = self._loop.create_future()
        with self._lock:
            if self._failure is not None:
                _fail([future], self._failure)
                return future
            self._waiting.append((argument, future))
            if not self._busy:
                self._begin()
        return future

    async def aclose(self) -> None:
        """Drop what was not begun, and wait for the call that was, however often this is cancelled:
        afterwards nobody uses what the function works on."""
        with self._lock:
            self._waiting.clear()
        if self._call is None:
            return
        ended = asyncio.wrap_future(self._call)
        cancelled: asyncio.CancelledError | None = None
        while not ended.done():
            try:
                await asyncio.wait([ended])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    def _begin(self) -> None:
        """Have the next argument called with; under the lock."""
        self._busy = bool(self._waiting)
        if self._busy:
            self._call = self._pool.submit(self._call_next)

    def _call_next(self) -> None:
        with self._lock:
            if not self._waiting:
                return  # closed meanwhile
            argument, future = self._waiting.popleft()
        try:
            result = self._function(argument)
            with self._lock:
                self._begin()
        except Exception as error:
            with self._lock:
                self._failure = error
                failed = [future, *(waiting for _, waiting in self._waiting)]
                self._waiting.clear()
            self._loop.call_soon_threadsafe(_fail, failed, error)
            return
        self._loop.call_soon_threadsafe(_finish, future, result)


def _finish(future: asyncio.Future[_Result], result: _Result) -> None:
    if not future.done():
        future.set_result(result)


def _fail(futures: Sequence[asyncio.Future[_Result]], error: Exception) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)
            # Seen: nobody may be waiting any more, and asyncio would report that.
            future.exception()
