"""Calls that run in a thread, one after the other, while the event loop does something else."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")


class InTurn(Generic[_Argument, _Result]):
    """Calls a blocking function with one argument after the other, in their order, in a thread of
    the event loop's pool.

    The thread takes the next argument by itself: between two calls it does not wait for the event
    loop, which may be copying megabytes. Without arguments it holds no thread.
    """

    def __init__(self, function: Callable[[_Argument], _Result]) -> None:
        self._function = function
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: deque[tuple[_Argument, asyncio.Future[_Result]]] = deque()
        self._thread: asyncio.Future[None] | None = None
        self._busy = False

    def submit(self, argument: _Argument) -> asyncio.Future[_Result]:
        """The result for an argument, in time. After a call that raised none is made."""
        future: asyncio.Future[_Result] = self._loop.create_future()
        with self._lock:
            self._waiting.append((argument, future))
            begins, self._busy = not self._busy, True
        if begins:
            self._thread = self._loop.run_in_executor(None, self._run)
        return future

    async def aclose(self) -> None:
        """Drop what was not begun, and wait for the call that was."""
        with self._lock:
            self._waiting.clear()
        if self._thread is not None:
            await asyncio.wait([self._thread])

    def _run(self) -> None:
        while (job := self._next()) is not None:
            argument, future = job
            try:
                result = self._function(argument)
            except Exception as error:
                # Still busy: whatever is submitted from now on waits for ever.
                self._loop.call_soon_threadsafe(_fail, future, error)
                return
            self._loop.call_soon_threadsafe(_finish, future, result)

    def _next(self) -> tuple[_Argument, asyncio.Future[_Result]] | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._busy = False
            return None


def _finish(future: asyncio.Future[_Result], result: _Result) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[_Result], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # seen: nobody may be waiting any more, and asyncio would report that
