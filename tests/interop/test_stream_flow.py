"""The flow of a stream: its window, its time-out, hang-ups, connections that end."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from dmd.metadata.daemon import MetadataDaemon, MetadataSettings
from dmd.metadata.engines.memory import MemoryEngine
from shared.rpc.streams import Producer, StreamSettings
from tests.interop.conftest import IMPATIENT_ACK_TIMEOUT_MS
from tests.interop.daemons import MetadataProcess
from tests.interop.raw_client import NAMESPACE, RawClient, event_of, raw_client
from tests.unit.dmd.metadata.support import RecordingLog, until

WINDOW = 5
ITEMS_A_PACKET = 200
PACKETS = 12
KEYS = [f"{number:05}" for number in range((PACKETS - 1) * ITEMS_A_PACKET + 1)]
TIMEOUT_ERROR = {
    "message": 'Callback function "anonymous" timed out.',
    "code": "ETIMEDOUT",
    "info": f"stream timeout: did not receive ack after {IMPATIENT_ACK_TIMEOUT_MS}ms",
}


async def fill(raw: RawClient, sub: list[str]) -> None:
    """Store as many keys as make PACKETS packets."""
    for start in range(0, len(KEYS), 1000):
        operations = [
            {"type": "put", "subLevel": sub, "key": key, "value": "v"}
            for key in KEYS[start : start + 1000]
        ]
        await raw.result(1, "batch", [operations], [])


async def begin(raw: RawClient, sub: list[str], number: int = 2) -> str:
    """Start a stream of keys; its ID."""
    marker = await raw.result(number, "createReadStream", [{"values": False}], sub)
    stream_id: str = marker["$streamId"]
    return stream_id


async def take_packets(raw: RawClient, stream_id: str, count: int) -> list[tuple[int, list[str]]]:
    """So many stream-data packets: acknowledgement number and items of each."""
    packets = []
    for _ in range(count):
        number, name, payload = event_of(await raw.next())
        assert number is not None
        assert (name, payload["streamId"]) == ("stream-data", stream_id)
        packets.append((number, payload["data"]))
    return packets


async def acknowledge(raw: RawClient, number: int | None) -> None:
    await raw.send(f"43{NAMESPACE},{number}[null]")


async def hang_up(raw: RawClient, stream_id: str) -> None:
    await raw.send(f'42{NAMESPACE},["stream-hangup",{json.dumps({"streamId": stream_id})}]')


async def read_all(raw: RawClient, *stream_ids: str) -> dict[str, list[str]]:
    """Acknowledge every packet of these streams until all have ended; the items of each."""
    items: dict[str, list[str]] = {stream_id: [] for stream_id in stream_ids}
    ended = 0
    while ended < len(stream_ids):
        number, name, payload = event_of(await raw.next())
        await acknowledge(raw, number)
        if name == "stream-end":
            ended += 1
        else:
            items[payload["streamId"]] += payload["data"]
    return items


# -- the window ---------------------------------------------------------------------------------


async def test_unacknowledged_packets_are_five_at_most(raw: RawClient, sub: list[str]) -> None:
    await fill(raw, sub)
    stream_id = await begin(raw, sub)
    packets = await take_packets(raw, stream_id, WINDOW)
    await raw.silence(0.1)

    await acknowledge(raw, packets[0][0])
    await take_packets(raw, stream_id, 1)
    await raw.silence(0.1)

    await acknowledge(raw, packets[1][0])
    await acknowledge(raw, packets[2][0])
    await take_packets(raw, stream_id, 2)
    await raw.silence(0.1)


async def test_a_window_of_another_size_is_kept(
    tmp_path_factory: pytest.TempPathFactory, sub: list[str]
) -> None:
    settings = MetadataSettings(None, "127.0.0.1", 0, StreamSettings(pending_acks_max=2))
    daemon = await MetadataDaemon.start(settings, RecordingLog(), _unexpected)
    async with raw_client(daemon.port) as raw:
        await fill(raw, sub)
        await take_packets(raw, await begin(raw, sub), 2)
        await raw.silence(0.1)
    await daemon.close()


async def test_acknowledged_packets_bring_all_of_a_long_stream(
    raw: RawClient, sub: list[str]
) -> None:
    await fill(raw, sub)
    stream_id = await begin(raw, sub)
    assert await read_all(raw, stream_id) == {stream_id: KEYS}


async def test_a_packet_has_so_many_items_at_most(raw: RawClient, sub: list[str]) -> None:
    await fill(raw, sub)
    packets = await take_packets(raw, await begin(raw, sub), WINDOW)
    assert [len(items) for _, items in packets] == [ITEMS_A_PACKET] * WINDOW


async def test_two_streams_of_a_connection_have_windows_of_their_own(
    raw: RawClient, sub: list[str]
) -> None:
    await fill(raw, sub)
    first = await begin(raw, sub, 2)
    await take_packets(raw, first, WINDOW)
    second = await begin(raw, sub, 3)
    packets = await take_packets(raw, second, WINDOW)
    await raw.silence(0.1)
    await acknowledge(raw, packets[0][0])
    await take_packets(raw, second, 1)


async def test_two_streams_of_a_connection_are_read_at_the_same_time(
    raw: RawClient, sub: list[str]
) -> None:
    await fill(raw, sub)
    first = await begin(raw, sub, 2)
    packets = await take_packets(raw, first, WINDOW)
    second = await begin(raw, sub, 3)
    for number, _ in packets:
        await acknowledge(raw, number)
    items = await read_all(raw, first, second)
    assert [*(key for _, keys in packets for key in keys), *items[first]] == KEYS
    assert items[second] == KEYS


# -- the time-out -------------------------------------------------------------------------------


async def test_a_consumer_that_does_not_acknowledge_gets_five_packets_and_one_error(
    impatient: RawClient, sub: list[str]
) -> None:
    await fill(impatient, sub)
    loop = asyncio.get_running_loop()
    stream_id = await begin(impatient, sub)
    started = loop.time()
    await take_packets(impatient, stream_id, WINDOW)

    number, name, payload = event_of(await impatient.next())
    assert (number, name) == (None, "stream-error")
    assert payload == {"streamId": stream_id, "error": TIMEOUT_ERROR}
    assert 0.2 < loop.time() - started < 5
    await impatient.silence(2 * IMPATIENT_ACK_TIMEOUT_MS / 1000)


async def test_the_time_runs_from_the_oldest_packet(impatient: RawClient, sub: list[str]) -> None:
    await fill(impatient, sub)
    stream_id = await begin(impatient, sub)
    packets = await take_packets(impatient, stream_id, WINDOW)
    # One acknowledgement makes room for one packet more, and no longer wait for the other four.
    await acknowledge(impatient, packets[0][0])
    await take_packets(impatient, stream_id, 1)
    assert event_of(await impatient.next())[1] == "stream-error"


async def test_a_late_acknowledgement_after_the_error_is_ignored(
    impatient: RawClient, sub: list[str]
) -> None:
    await fill(impatient, sub)
    stream_id = await begin(impatient, sub)
    packets = await take_packets(impatient, stream_id, WINDOW)
    assert event_of(await impatient.next())[1] == "stream-error"
    for number, _ in packets:
        await acknowledge(impatient, number)
    assert await impatient.result(3, "getUUID", [], [])


# -- hang-up ------------------------------------------------------------------------------------


async def test_a_hang_up_stops_the_packets(impatient: RawClient, sub: list[str]) -> None:
    await fill(impatient, sub)
    stream_id = await begin(impatient, sub)
    packets = await take_packets(impatient, stream_id, WINDOW)
    await hang_up(impatient, stream_id)
    for number, _ in packets:
        await acknowledge(impatient, number)
    # Neither packets nor an end, nor the error of a time-out.
    await impatient.silence(2 * IMPATIENT_ACK_TIMEOUT_MS / 1000)


async def test_a_hang_up_without_acknowledgements_ends_the_wait_for_them(
    impatient: RawClient, sub: list[str]
) -> None:
    await fill(impatient, sub)
    stream_id = await begin(impatient, sub)
    await take_packets(impatient, stream_id, WINDOW)
    await hang_up(impatient, stream_id)
    await impatient.silence(2 * IMPATIENT_ACK_TIMEOUT_MS / 1000)


async def test_a_hang_up_leaves_other_streams_alone(raw: RawClient, sub: list[str]) -> None:
    await fill(raw, sub)
    left = await begin(raw, sub, 2)
    await take_packets(raw, left, WINDOW)
    await hang_up(raw, left)
    kept = await begin(raw, sub, 3)
    assert await read_all(raw, kept) == {kept: KEYS}


async def test_a_hang_up_after_the_end_is_ignored(raw: RawClient, sub: list[str]) -> None:
    stream_id = await begin(raw, sub)
    await read_all(raw, stream_id)
    await hang_up(raw, stream_id)
    await hang_up(raw, stream_id)
    assert await raw.result(3, "getUUID", [], [])


async def test_nobody_hangs_up_the_stream_of_another_connection(
    daemon: MetadataProcess, raw: RawClient, sub: list[str]
) -> None:
    await fill(raw, sub)
    stream_id = await begin(raw, sub)
    packets = await take_packets(raw, stream_id, WINDOW)
    async with raw_client(daemon.port) as other:
        await hang_up(other, stream_id)
        assert await other.result(1, "getUUID", [], [])
    await acknowledge(raw, packets[0][0])
    await take_packets(raw, stream_id, 1)


# -- what remains of a stream -------------------------------------------------------------------


def _unexpected(error: Exception) -> None:
    raise AssertionError(error)


def producers() -> int:
    """How many streams this process remembers."""
    gc.collect()
    return sum(isinstance(thing, Producer) for thing in gc.get_objects())


@dataclass
class LocalDaemon:
    """A daemon inside this process, so that its memory can be looked at."""

    port: int
    engine: MemoryEngine


@pytest.fixture
async def local(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalDaemon]:
    engine = MemoryEngine()
    monkeypatch.setattr("dmd.metadata.daemon.MemoryEngine", lambda: engine)
    settings = MetadataSettings(None, "127.0.0.1", 0, StreamSettings(ack_timeout_seconds=30))
    daemon = await MetadataDaemon.start(settings, RecordingLog(), _unexpected)
    yield LocalDaemon(daemon.port, engine)
    await daemon.close()


@pytest.mark.parametrize("acknowledging", [True, False])
async def test_nothing_remains_of_streams_that_were_hung_up(
    local: LocalDaemon, sub: list[str], acknowledging: bool
) -> None:
    async with raw_client(local.port) as raw:
        await fill(raw, sub)
        for number in range(10):
            stream_id = await begin(raw, sub, number)
            packets = await take_packets(raw, stream_id, WINDOW)
            await hang_up(raw, stream_id)
            for ack, _ in packets if acknowledging else []:
                await acknowledge(raw, ack)
        await until(lambda: producers() == 0)
        assert await raw.result(99, "getUUID", [], [])


@pytest.mark.parametrize("acknowledging", [True, False])
async def test_nothing_remains_of_streams_that_were_read_to_their_end(
    local: LocalDaemon, sub: list[str], acknowledging: bool
) -> None:
    async with raw_client(local.port) as raw:
        await raw.result(1, "put", ["k", "v", {}], sub)
        for number in range(10):
            await begin(raw, sub, number)
            for _ in range(2):
                ack, _, _ = event_of(await raw.next())
                if acknowledging:
                    await acknowledge(raw, ack)
        await until(lambda: producers() == 0)
        assert await raw.result(99, "getUUID", [], [])


async def test_nothing_remains_of_the_streams_of_a_connection_that_ended(
    local: LocalDaemon, sub: list[str]
) -> None:
    async with raw_client(local.port) as raw:
        await fill(raw, sub)
        for number in range(3):
            await take_packets(raw, await begin(raw, sub, number), WINDOW)
        assert producers() == 3
    await until(lambda: producers() == 0)


async def test_a_stream_that_meets_damage_ends_with_an_error(
    local: LocalDaemon, sub: list[str]
) -> None:
    async with raw_client(local.port) as raw:
        await raw.result(1, "put", ["k", "v", {}], sub)
        with local.engine.transaction() as transaction:
            transaction.put(f"!{sub[0]}!k".encode(), b"\0" * 30)
        marker = await raw.result(2, "createReadStream", [{}], sub)
        number, name, payload = event_of(await raw.next())
    assert (number, name) == (None, "stream-error")
    assert payload["streamId"] == marker["$streamId"]
    assert payload["error"]["type"] == "InternalError"
