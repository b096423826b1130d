"""Answering while the work still goes on, so that no client or proxy gives the connection up.

Used by the operations that may take longer than a client waits: a Complete of many parts, and
copies. As AWS does (Amazon S3 API reference, CompleteMultipartUpload and CopyObject), the status
200 is then sent before the outcome is known, followed by white space; an error that comes after it
is a document in the place of the result, which SDKs know. Work that ends in good time is answered
as any other, an error with its own status.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, Final

from s3front.port.reply import XML_TYPE
from s3front.port.request import Reply, StreamedBody
from s3front.port.xml import DECLARATION

QUIET_SECONDS_MAX: Final = 5.0
"""How long a connection stays silent: a fraction of the minute that most clients wait."""


async def answered_in_time(
    work: Coroutine[Any, Any, Reply], quiet_seconds: float = QUIET_SECONDS_MAX
) -> Reply:
    """The reply that ``work`` makes, or one that has begun and waits for it.

    ``work`` replies with an XML document and status 200. What it raises is raised here, or by the
    blocks of the body. A client that leaves cancels it.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task], timeout=quiet_seconds)
    except asyncio.CancelledError:
        await _cancel(task)
        raise
    if task.done():
        return task.result()
    return Reply(200, {"Content-Type": XML_TYPE}, StreamedBody(None, _blocks(task, quiet_seconds)))


async def _blocks(task: asyncio.Task[Reply], quiet_seconds: float) -> AsyncGenerator[bytes, None]:
    declaration = DECLARATION.encode()
    try:
        # White space may stand behind the declaration, and not before it.
        yield declaration
        while not task.done():
            await asyncio.wait([task], timeout=quiet_seconds)
            if not task.done():
                yield b" "
        body = task.result().body
        assert isinstance(body, bytes)
        yield body.removeprefix(declaration)
    finally:
        await _cancel(task)


async def _cancel(task: asyncio.Task[Reply]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task
