"""A hundred thousand calls of the metadata RPC, most of them odd in some way, on both transports.

None is answered with an error that only a fault of the daemon explains, nothing is logged as a
surprise, the process lives and stays small, and records that no call named are as they were.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

from tests.fuzz import rpc_calls
from tests.fuzz.rpc_connections import Packets, Polling, StockWebsocket, Websocket
from tests.fuzz.watch import Watched
from tests.interop.daemons import metadata_process
from tests.interop.raw_client import raw_client

SOAK = os.environ.get("TWOFOLD_SOAK") == "1"
CALLS = 100_000 if SOAK else 1_500
KINDS = (Websocket, StockWebsocket, Polling)
COUNTS = (CALLS * 7 // 10, CALLS // 10, CALLS // 5)
SEED = os.environ.get("TWOFOLD_FUZZ_SEED", "rpc")
BURST = 40
VIOLATIONS_SHOWN = 5
DEADLINE_SECONDS = 60
CONTROL = {f"key{number}": json.dumps({"number": number, "pad": "p" * 999}) for number in range(50)}
_MARK = 900_000_000
_VERSION_ID = re.compile(r'versionId[\\":]+([^\\"]{10,60})')


class Campaign:
    """Calls on one connection, which is made again when the daemon ends it."""

    def __init__(self, session: aiohttp.ClientSession, url: str, kind: type[Any]) -> None:
        self.codes: Counter[Any] = Counter()
        self.violations: list[str] = []
        self._session = session
        self._url = url
        self._kind = kind
        self._sent: dict[int, str] = {}

    async def run(self, first: int, count: int) -> None:
        connection = await self._open()
        for start in range(first, first + count, BURST):
            chance = Random(f"{SEED}/{start}")
            sent = [_frame(chance, number) for number in range(start, start + BURST)]
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    await self._burst(connection, sent, chance, start)
            except ConnectionError:
                self.codes["connection ended"] += 1
                connection = await self._open()
            except TimeoutError:
                self.violations.append(f"{start}: no answer to one of {sent}")
                break
        with contextlib.suppress(ConnectionError):
            await connection.close()

    async def _open(self) -> Packets:
        connection: Packets = await self._kind.open(self._session, self._url)
        assert (await connection.receive())[0].startswith("0{")
        for namespace in (rpc_calls.NAMESPACE, rpc_calls.RECORD_LOG_NAMESPACE):
            await connection.send([f"40{namespace},"])
            assert f'40{namespace},{{"sid"' in "".join(await connection.receive())
        return connection

    async def _burst(
        self, connection: Packets, sent: list[str], chance: Random, start: int
    ) -> None:
        """Send packets, and read until a call behind them is answered: a read, then a write."""
        marks = {_MARK + 2 * start, _MARK + 2 * start + 1}
        last = [
            f'42{rpc_calls.NAMESPACE},{_MARK + 2 * start}["call","getUUID",'
            '{"rpcArgs":[],"subLevel":[]}]',
            f'42{rpc_calls.NAMESPACE},{_MARK + 2 * start + 1}["call","put",'
            '{"rpcArgs":["mark","{}",{}],"subLevel":["mark"]}]',
        ]
        self._sent = dict(enumerate(sent, start))
        await connection.send([*sent, *last])
        while marks:
            acknowledged = []
            for packet in await connection.receive():
                if packet == "2":
                    acknowledged.append("3")
                elif packet.startswith("43"):
                    marks.discard(self._answered(packet))
                elif packet.startswith("42") and chance.random() < 0.9:
                    acknowledged.append(_acknowledgement(packet))
            if acknowledged:
                await connection.send(acknowledged)

    def _answered(self, packet: str) -> int:
        """Note an answer; returns its number."""
        head, bracket, rest = packet.partition("[")
        if found := _VERSION_ID.search(packet):
            rpc_calls.versions.append(found[1])
        arguments = json.loads(bracket + rest)
        number = int(head.rpartition(",")[2])
        replies = arguments[0] if arguments and isinstance(arguments[0], list) else [arguments]
        for reply in replies:
            error = reply[0] if reply else None
            code = error.get("code") if isinstance(error, dict) else None
            self.codes[code if error is not None else 200] += 1
            if code == 500 or (error is not None and code is None):
                self.violations.append(f"{error} to {self._sent.get(number)}")
        return number


def _frame(chance: Random, number: int) -> str:
    if chance.random() < 0.03:
        return rpc_calls.record_log_frame(chance, number)
    return rpc_calls.frame(chance, number)


def _acknowledgement(packet: str) -> str:
    """The answer to a packet of a stream, or its end."""
    head, bracket, rest = packet.partition("[")
    number = head.rpartition(",")[2]
    namespace = head[2:].partition(",")[0]
    if number:
        return f"43{namespace},{number}[null]"
    stream = json.loads(bracket + rest)[1]
    return f'42{namespace},["stream-hangup",{json.dumps(stream)}]'


async def _control(port: int) -> dict[str, Any]:
    async with raw_client(port) as client:
        return {
            key: await client.result(number, "get", [key, {}], ["control"])
            for number, key in enumerate(CONTROL)
        }


@pytest.mark.timeout(7200 if SOAK else 300)
async def test_no_call_is_answered_with_an_internal_error(tmp_path: Path) -> None:
    with metadata_process(tmp_path, {"enabled": True}) as daemon:
        async with raw_client(daemon.port) as client:
            for number, (key, value) in enumerate(CONTROL.items()):
                await client.result(number, "put", [key, value, {}], ["control"])
        async with contextlib.AsyncExitStack() as opened:
            campaigns = []
            for kind in KINDS:
                # Of its own: a kept connection would bring one kind to the server of another.
                session = await opened.enter_async_context(aiohttp.ClientSession())
                campaigns.append(Campaign(session, daemon.url, kind))
            for number, (campaign, count) in enumerate(zip(campaigns, COUNTS, strict=True)):
                await campaign.run(number * CALLS, count // 5)
            watched = Watched([daemon.process])
            await asyncio.gather(
                *(
                    campaign.run(number * CALLS + count // 5, count - count // 5)
                    for number, (campaign, count) in enumerate(zip(campaigns, COUNTS, strict=True))
                )
            )
        for campaign, count in zip(campaigns, COUNTS, strict=True):
            assert not campaign.violations, "\n".join(campaign.violations[:VIOLATIONS_SHOWN])
            assert campaign.codes[200] > count // 3, campaign.codes
        assert await _control(daemon.port) == CONTROL
        watched.assert_unharmed()
