"""Waiting for work in a thread that uses what its caller owns."""

from __future__ import annotations

import asyncio
from typing import TypeVar

_T = TypeVar("_T")


async def to_the_end(work: asyncio.Future[_T]) -> _T:
    """Return the result of work in a thread, and end no sooner than it does.

    A caller that is cancelled waits, too: the thread uses a descriptor or a buffer of the caller's.
    """
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        if not work.done():
            await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # seen here, or asyncio reports it as never retrieved
        raise
