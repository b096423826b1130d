"""Replies that begin before their work has ended."""

from __future__ import annotations

import asyncio

import pytest

from s3front.port.reply import xml_reply
from s3front.port.request import Reply, StreamedBody
from s3front.port.slow_work import answered_in_time
from s3front.port.xml import DECLARATION
from s3front.s3_errors import S3Error

QUIET_SECONDS = 0.01
RESULT = xml_reply("Result", "<A>1</A>")
pytestmark = pytest.mark.timeout(20)


class Work:
    """Work that goes on until it is told what to end with."""

    def __init__(self) -> None:
        self.end: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.cancelled = False

    async def run(self) -> Reply:
        try:
            return await self.end
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def begun(work: Work) -> StreamedBody:
    reply = await answered_in_time(work.run(), QUIET_SECONDS)
    assert (reply.status, reply.headers) == (200, {"Content-Type": "application/xml"})
    assert isinstance(reply.body, StreamedBody)
    assert reply.body.length is None
    return reply.body


async def test_quick_work_is_answered_as_it_is() -> None:
    work = Work()
    work.end.set_result(RESULT)
    assert await answered_in_time(work.run(), 60) is RESULT


async def test_a_quick_error_is_raised() -> None:
    work = Work()
    work.end.set_exception(S3Error("NoSuchUpload"))
    with pytest.raises(S3Error, match="NoSuchUpload"):
        await answered_in_time(work.run(), 60)


async def test_slow_work_sends_white_space_inside_one_document() -> None:
    work = Work()
    body = await begun(work)
    received = [await anext(body.blocks) for _ in range(4)]
    assert received == [DECLARATION.encode(), b" ", b" ", b" "]
    work.end.set_result(RESULT)
    received += [block async for block in body.blocks]
    assert isinstance(RESULT.body, bytes)
    document = b"".join(block for block in received if isinstance(block, bytes))
    assert document.replace(b"\n ", b"\n").replace(b"  ", b"") == RESULT.body


async def test_a_late_error_is_raised_by_the_body() -> None:
    work = Work()
    body = await begun(work)
    assert await anext(body.blocks) == DECLARATION.encode()
    work.end.set_exception(S3Error("InvalidPart"))
    with pytest.raises(S3Error, match="InvalidPart"):
        await anext(body.blocks)


async def test_a_client_that_leaves_cancels_the_work() -> None:
    work = Work()
    body = await begun(work)
    await anext(body.blocks)
    await body.blocks.aclose()
    assert work.cancelled


async def test_a_request_that_is_cancelled_cancels_the_work() -> None:
    work = Work()
    request = asyncio.ensure_future(answered_in_time(work.run(), 60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert work.cancelled
