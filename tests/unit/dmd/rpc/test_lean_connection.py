"""A connection of the lean shell answers the same bytes alike, however they arrive."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from dmd.rpc.dispatch import Dispatcher
from dmd.rpc.lean_server import LeanConnection, LeanServer
from shared.rpc import codec, packets, websocket
from shared.rpc.envelope import METADATA_NAMESPACE, Call
from shared.rpc.streams import StreamSettings
from shared.rpc.websocket import BINARY, NO_CHANGE, PING, TEXT, FrameReader, frame
from tests.unit.dmd.metadata.support import RecordingLog

MASK = bytes.fromhex("37fa213d")
MESSAGE_BYTES_MAX = 3000


class Told:
    """A service that tells what came with a call."""

    async def call(self, call: Call) -> Any:
        assert call.attachments is not None
        received = [len(data) for data in call.attachments.received_bytes]
        return [call.name, len(call.arguments), received]


class Written(asyncio.Transport):
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """What it keeps is no matter here."""

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def pause_reading(self) -> None:
        """It is given bytes by hand."""

    resume_reading = pause_reading


async def answers(pieces: list[bytes]) -> tuple[list[tuple[int, bytes]], bool]:
    """The messages that a connection sends to bytes that arrive in these pieces, but for those
    about the connection itself; and whether it was ended."""
    log = RecordingLog()
    dispatcher = Dispatcher(Told(), StreamSettings(), log)
    server = LeanServer({METADATA_NAMESPACE: dispatcher}, log, message_bytes_max=MESSAGE_BYTES_MAX)
    connection, transport = LeanConnection(server), Written()
    connection.begin(transport, "key", b"")
    connection.data_received(
        frame(TEXT, packets.encode_connect(METADATA_NAMESPACE), websocket.NO_CHANGE)
    )
    await asyncio.sleep(0)
    transport.sent = b""
    for piece in pieces:
        if not transport.closing:
            connection.data_received(piece)
        await asyncio.sleep(0)
    reader = FrameReader(from_client=False, message_bytes_max=1 << 20)
    reader.feed(transport.sent)
    found = list(iter(reader.next, None))
    connection.connection_lost(None)
    return found, transport.closing


def packet(draw: random.Random, number: int) -> list[tuple[int, bytes]]:
    """The messages of a call with attachments; some are not as announced, or no call at all."""
    filler = "x" * draw.choice([0, 200, 2500])
    call = ["call", f"m{number}", {"rpcArgs": [filler], "subLevel": []}]
    announced = draw.choice([0, 0, 1, 1, 1, 2])
    text = packets.encode_event(METADATA_NAMESPACE, number, codec.encode(call), announced)
    if draw.random() < 0.1:
        text = draw.choice([text[:-1], b"2", b"", b"459", text.replace(b"call", b"calm")])
    sent = draw.choice([announced, announced, announced, announced, 0, 1])
    sizes = [draw.choice([0, 5, 126, 1024, 2999]) for _ in range(sent)]
    return [(TEXT, text), *((BINARY, bytes(size)) for size in sizes)]


@pytest.mark.parametrize("seed", range(30))
async def test_bytes_are_answered_alike_in_one_piece_and_in_many(seed: int) -> None:
    draw = random.Random(seed)
    whole: list[bytes] = []
    for number in range(12):
        messages = packet(draw, number)
        if draw.random() < 0.1:
            messages.append((PING, b"there?"))
        mask = draw.choice([NO_CHANGE, NO_CHANGE, NO_CHANGE, MASK])
        whole.append(b"".join(frame(opcode, data, mask) for opcode, data in messages))
    data = b"".join(whole)
    cuts = sorted(draw.randrange(len(data)) for _ in range(40))
    torn = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    a_packet_a_time = await answers(whole)
    assert a_packet_a_time == await answers(torn)
    assert a_packet_a_time[0]
    assert a_packet_a_time == await answers([data[at : at + 11] for at in range(0, len(data), 11)])
