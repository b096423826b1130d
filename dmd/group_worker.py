"""A thread that takes all that waits as one group.

What is submitted in one turn of the event loop is handed over together, and while the thread works
on a group the next one gathers: nothing waits for a timer, and a burst costs as few visits as it
can.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from shared.process.vital import watch

Item = TypeVar("Item")
Result = TypeVar("Result")


class Worker(Generic[Item, Result]):
    """Calls ``work`` with groups of items, in its own thread; made and used in one event loop.

    ``work`` returns a result or an exception for every item, in order; one that it raises is every
    item's. When it returns None the thread ends, and nothing is answered any more. A group has at
    most ``items_max`` items, and several of them only when they are not larger than ``size_max``
    together, as ``size_of`` measures them. ``done`` is told of each item in the event loop when its
    group has been worked on, also when nobody waits for it any more. Whatever else ends the thread
    ends the process (``shared.process.vital``), and so does a group that is worked on for too long.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Sequence[Item]], Sequence[Result | Exception] | None],
        *,
        items_max: int,
        size_max: int,
        size_of: Callable[[Item], int],
        done: Callable[[Item], None] | None = None,
    ) -> None:
        self.name = name
        self.work_under_way: int | None = None
        """The number of the group that is worked on (``shared.process.vital.Watched``)."""
        self._work = work
        self._items_max = items_max
        self._size_of = size_of
        self._done = done
        self._size_max = size_max
        self._loop = asyncio.get_running_loop()
        self._submitted: list[_Waiting[Item, Result]] = []
        self._queue: queue.SimpleQueue[list[_Waiting[Item, Result]] | None] = queue.SimpleQueue()
        # The thread's own: what it took from the queue, and whether nothing follows.
        self._backlog: deque[_Waiting[Item, Result]] = deque()
        self._last_taken = False
        self._unwatch = watch(self)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, item: Item) -> asyncio.Future[Result]:
        """Have an item worked on. The work is done even if the future is cancelled."""
        waiting: _Waiting[Item, Result] = _Waiting(item, self._loop.create_future())
        if not self._submitted:
            self._loop.call_soon(self._hand_over)
        self._submitted.append(waiting)
        return waiting.future

    async def close(self) -> None:
        """Do what waits, then end the thread."""
        self._hand_over()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._unwatch()

    def _hand_over(self) -> None:
        if self._submitted:
            self._queue.put(self._submitted)
            self._submitted = []

    def _run(self) -> None:
        number = 0
        while group := self._gather():
            number += 1
            self.work_under_way = number
            results = self._results([waiting.item for waiting in group])
            self.work_under_way = None
            if results is None:
                return
            self._loop.call_soon_threadsafe(self._answer, group, results)

    def _answer(
        self,
        group: Sequence[_Waiting[Item, Result]],
        results: Sequence[Result | Exception],
    ) -> None:
        done = self._done
        for waiting, result in zip(group, results, strict=True):
            future = waiting.future
            if done is not None:
                done(waiting.item)
            if future.done():
                continue  # cancelled
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

    def _results(self, items: Sequence[Item]) -> Sequence[Result | Exception] | None:
        try:
            results = self._work(items)
        except Exception as error:
            return [error] * len(items)
        assert results is None or len(results) == len(items)
        return results

    def _gather(self) -> list[_Waiting[Item, Result]]:
        """Wait for an item and take those behind it; nothing when none will follow."""
        backlog = self._backlog
        if not backlog and not self._last_taken:
            taken = self._queue.get()
            if taken is not None and len(taken) == 1 and self._queue.empty():
                return taken  # the usual one, alone
            self._take(taken)
        while len(backlog) < self._items_max and not self._last_taken and not self._queue.empty():
            self._take(self._queue.get())  # at once: nobody else takes
        group: list[_Waiting[Item, Result]] = []
        size = 0
        while backlog and len(group) < self._items_max:
            size += self._size_of(backlog[0].item)
            if group and size > self._size_max:
                break  # the first of the next group
            group.append(backlog.popleft())
        return group

    def _take(self, entry: list[_Waiting[Item, Result]] | None) -> None:
        if entry is None:
            self._last_taken = True
        else:
            self._backlog.extend(entry)


class _Waiting(Generic[Item, Result]):
    __slots__ = ("future", "item")

    def __init__(self, item: Item, future: asyncio.Future[Result]) -> None:
        self.item = item
        self.future = future
