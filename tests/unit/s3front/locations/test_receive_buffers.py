"""What the bodies of responses take before anybody reads them."""

from __future__ import annotations

import asyncio

import pytest

from s3front.locations.receive_buffers import (
    READ_BYTES_MAX,
    RESPONSES_BYTES,
    SHARE_BYTES_MAX,
    SHARE_BYTES_MIN,
    ReceiveBuffers,
    Share,
    receive_buffers,
)
from shared.http1.body import IncomingBody


def test_few_bodies_get_all_that_makes_them_fast() -> None:
    buffers = ReceiveBuffers()
    shares = [Share(buffers) for _ in range(8)]
    assert (buffers.share_bytes, len(buffers.room())) == (SHARE_BYTES_MAX, READ_BYTES_MAX)
    assert len(shares) == buffers.count


def test_many_bodies_have_little_each() -> None:
    buffers = ReceiveBuffers()
    shares = [Share(buffers) for _ in range(256)]
    assert buffers.share_bytes == RESPONSES_BYTES // 256 == len(buffers.room())
    shares += [Share(buffers) for _ in range(10_000)]
    assert buffers.share_bytes == SHARE_BYTES_MIN == len(buffers.room())


def test_a_body_that_is_let_go_of_leaves_its_share_to_the_others() -> None:
    buffers = ReceiveBuffers()
    shares = [Share(buffers) for _ in range(1000)]
    shares.clear()
    assert (buffers.count, buffers.share_bytes) == (0, SHARE_BYTES_MAX)


@pytest.mark.parametrize(
    ("length", "is_held", "count"),
    [
        (None, False, 1),
        (1_000_000, False, 1),
        (65_536, False, 0),
        (1_000_000, True, 0),
        (0, False, 0),
    ],
)
def test_only_what_may_lie_here_has_a_share(length: int | None, is_held: bool, count: int) -> None:
    buffers = ReceiveBuffers()
    body = IncomingBody(None, length, chunked=length is None)
    body.held = is_held
    share = buffers.share_of(body)
    assert (buffers.count, share is not None) == (count, count == 1)


def test_bytes_that_were_taken_stay_as_they_are() -> None:
    buffers = ReceiveBuffers()
    buffers.room()[:3] = b"one"
    taken = buffers.taken(3)
    buffers.room()[:3] = b"two"
    assert (taken, buffers.taken(3)) == (b"one", b"two")


def test_each_event_loop_has_its_own() -> None:
    async def here() -> ReceiveBuffers:
        loop = asyncio.get_running_loop()
        assert receive_buffers(loop) is receive_buffers(loop)
        return receive_buffers(loop)

    assert asyncio.run(here()) is not asyncio.run(here())
