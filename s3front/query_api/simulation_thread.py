"""Work that takes long and that nobody else waits for: in a thread of its own, one after the other.

The default executor is everybody's: who fills it with his own work holds up the documents and
digests of all others. Here few may wait, and fewer of one account, so that an answer comes in some
seconds or is refused at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from s3front.query_api.errors import QueryError

WAITING_MAX: Final = 16
"""Calls that are worked on or wait, of which"""
WAITING_OF_ACCOUNT_MAX: Final = 4
"""are of one account."""

_Result = TypeVar("_Result")


class OneThread:
    """See the module. ``name`` is that of the thread, which is there from the first call on."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, name)
        self._waiting: Counter[str] = Counter()

    async def run(self, account_id: str, work: Callable[[], _Result]) -> _Result:
        """What some work of an account gives, or raises. Raises Throttling when too much waits."""
        waiting = self._waiting
        if waiting.total() >= WAITING_MAX or waiting[account_id] >= WAITING_OF_ACCOUNT_MAX:
            raise QueryError("Throttling", "Rate exceeded")
        waiting[account_id] += 1
        working = asyncio.get_running_loop().run_in_executor(self._thread, work)
        # Whoever goes away takes his place with him only once the thread is done with it.
        working.add_done_callback(partial(self._done, account_id))
        return await asyncio.shield(working)

    def _done(self, account_id: str, working: asyncio.Future[_Result]) -> None:
        if not working.cancelled():
            working.exception()  # known, also where nobody waits any more
        self._waiting[account_id] -= 1
        if not self._waiting[account_id]:
            del self._waiting[account_id]
