"""What is sent in one turn of the event loop leaves in one write."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from shared.loop.turn_writer import TurnWriter


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


@pytest.fixture
def transport() -> Transport:
    return Transport()


@pytest.fixture
async def writer(transport: Transport) -> TurnWriter:
    return TurnWriter(cast(Any, transport))


async def test_frames_of_one_turn_leave_together_at_its_end(
    writer: TurnWriter, transport: Transport
) -> None:
    writer.add(b"a")
    writer.add(b"b")
    assert transport.written == []
    await asyncio.sleep(0)
    assert transport.written == [b"ab"]


async def test_frames_that_leave_now_are_behind_those_that_wait(
    writer: TurnWriter, transport: Transport
) -> None:
    writer.add(b"a")
    writer.write([b"b", b"c"])
    assert transport.written == [b"abc"]
    await asyncio.sleep(0)
    assert transport.written == [b"abc"]


async def test_a_corked_writer_waits_for_its_caller(
    writer: TurnWriter, transport: Transport
) -> None:
    writer.cork()
    writer.add(b"a")
    await asyncio.sleep(0)
    assert transport.written == []
    writer.write()
    assert transport.written == [b"a"]
    writer.add(b"b")
    await asyncio.sleep(0)
    assert transport.written == [b"a", b"b"]


async def test_a_closed_writer_writes_nothing(writer: TurnWriter, transport: Transport) -> None:
    writer.add(b"a")
    writer.close()
    writer.write([b"b"])
    await asyncio.sleep(0)
    assert transport.written == []
