"""Connections that are cut at random bytes: every mutation takes effect once or not at all, and its
caller is told which."""

from __future__ import annotations

import asyncio
import json
import os
import random
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from s3front.rpc.rpc_client import RpcClient, RpcOutcomeUnknownError, RpcUnavailableError
from shared.rpc.envelope import RemoteError, clock_ms
from tests.interop.cutting_proxy import cutting_proxy
from tests.interop.daemons import MetadataProcess, metadata_process
from tests.interop.proxy import Proxy, proxy_of
from tests.interop.raw_client import NAMESPACE, RawClient
from tests.interop.test_rpc_client import client_of
from tests.unit.dmd.metadata.support import until

SOAK = os.environ.get("TWOFOLD_SOAK") == "1"
ROUNDS = 2000 if SOAK else 200
"""Of one kind of calls; versions (``test_cut_versions``) are another."""

WORKERS = 8
BYTES_MAX = 6000
"""What a connection carries before it is cut, at most; some are cut while they are made."""


@dataclass
class Chain:
    """One key, each value of which was put under the condition that the last one is still there."""

    name: str
    sub: list[str]
    revision: int | None = None
    value: str | None = None
    unknown: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)

    async def extend(self, client: RpcClient, number: int) -> None:
        """One put whose condition holds, and one whose condition does not."""
        value = f"{self.name} {number}"
        try:
            self.revision = await self._put(client, value, self.revision)
            self.value = value
        except RemoteError as error:
            self.wrong.append(f"{value}: {error}, although nobody else writes {self.name}")
        except (RpcOutcomeUnknownError, RpcUnavailableError):
            self.unknown += 1
            await self._look(client, value)
        try:
            await self._put(client, f"{value} refused", (self.revision or 0) + 10**9)
            self.wrong.append(f"{value}: a condition that does not hold was not noticed")
        except RemoteError:
            self.refused += 1
        except (RpcOutcomeUnknownError, RpcUnavailableError):
            self.unknown += 1

    async def _put(self, client: RpcClient, value: str, expected: int | None) -> int:
        requirement: dict[str, Any] = {"subLevel": self.sub, "key": self.name}
        requirement |= {"absent": True} if expected is None else {"revision": expected}
        operation = {"type": "put", "subLevel": self.sub, "key": self.name, "value": value}
        while True:
            try:
                result = await client.call("batch", [[operation], {"requires": [requirement]}])
            except RpcUnavailableError:
                continue  # it was not sent: this says nothing, and harms nothing
            revision: int = result["revisions"][0]
            return revision

    async def _look(self, client: RpcClient, value: str) -> None:
        """See what became of a put of unknown outcome."""
        stored = await read(client, self.sub, self.name)
        if stored is not None and stored[0] == value:
            self.value, self.revision = stored


async def read(client: RpcClient, sub: list[str], key: str) -> tuple[str, int] | None:
    """Value and revision of a record, however often that has to be asked."""
    while True:
        try:
            (found,) = await client.call("getMany", [[{"subLevel": sub, "key": key}]])
        except (RpcOutcomeUnknownError, RpcUnavailableError):
            continue
        return None if found is None else (found["value"], found["revision"])


@pytest.mark.timeout(7200 if SOAK else 120)
async def test_conditional_puts_over_connections_that_are_cut(
    daemon: MetadataProcess, sub: list[str]
) -> None:
    chance = random.Random(5)
    chains = [Chain(f"chain-{number}", sub) for number in range(WORKERS)]

    async with (
        cutting_proxy(daemon.port, chance, BYTES_MAX) as proxy,
        client_of(proxy.url, connect_wait_seconds=10, call_timeout_seconds=30) as client,
    ):

        async def work(chain: Chain) -> None:
            for number in range(ROUNDS // WORKERS):
                await chain.extend(client, number)

        await asyncio.gather(*(work(chain) for chain in chains))
        proxy.cutting = False
        assert proxy.cuts > ROUNDS / 20
        for chain in chains:
            assert chain.wrong == []
            # The revision that was answered is the one that is stored: it was written once.
            assert await read(client, sub, chain.name) == (chain.value, chain.revision)
    # There was a connection again in time, so everybody was told what happened.
    assert sum(chain.unknown for chain in chains) == 0
    assert sum(chain.refused for chain in chains) == ROUNDS


# -- One cut ------------------------------------------------------------------------------------


def is_acknowledgement(frame: str) -> bool:
    return frame.startswith(f"43{NAMESPACE},")


async def cut_before_the_answer(client: RpcClient, proxy: Proxy, call: asyncio.Task[Any]) -> None:
    """Let a call take effect, and lose its answer."""
    await until(lambda: bool(proxy.waiting) or call.done())
    proxy.held = lambda _frame: False
    proxy.waiting.clear()
    await proxy.cut()
    await until(lambda: client.connected)


async def test_a_put_whose_answer_was_lost_is_answered_as_it_would_have_been(
    daemon: MetadataProcess, raw: RawClient, sub: list[str]
) -> None:
    async with (
        proxy_of(daemon) as proxy,
        client_of(proxy.url, connect_wait_seconds=10, call_timeout_seconds=10) as client,
    ):
        await client.call("getUUID", [])
        proxy.held = is_acknowledgement
        operation = {"type": "put", "subLevel": sub, "key": "k", "value": "v"}
        requires = [{"subLevel": sub, "key": "k", "absent": True}]
        call = asyncio.create_task(client.call("batch", [[operation], {"requires": requires}]))
        await cut_before_the_answer(client, proxy, call)
        (revision,) = (await call)["revisions"]
    (stored,) = await raw.result(1, "getMany", [[{"subLevel": sub, "key": "k"}]], [])
    assert stored == {"value": "v", "revision": revision}


async def test_a_refusal_whose_answer_was_lost_stays_one(
    daemon: MetadataProcess, raw: RawClient, sub: list[str]
) -> None:
    async with (
        proxy_of(daemon) as proxy,
        client_of(proxy.url, connect_wait_seconds=10, call_timeout_seconds=10) as client,
    ):
        await client.call("getUUID", [])
        proxy.held = is_acknowledgement
        operation = {"type": "put", "subLevel": sub, "key": "k", "value": "v"}
        requires = [{"subLevel": sub, "key": "other", "present": True}]
        call = asyncio.create_task(client.call("batch", [[operation], {"requires": requires}]))
        await until(lambda: bool(proxy.waiting))
        # By the time it is asked again, the condition holds.
        await raw.result(1, "put", ["other", "v", {}], sub)
        await cut_before_the_answer(client, proxy, call)
        with pytest.raises(RemoteError, match="PreconditionFailed"):
            await call


async def test_an_answer_outlives_a_restart_of_the_daemon(tmp_path: Path, sub: list[str]) -> None:
    with metadata_process(tmp_path) as daemon:
        async with (
            proxy_of(daemon) as proxy,
            client_of(proxy.url, connect_wait_seconds=10, call_timeout_seconds=20) as client,
        ):
            await client.call("getUUID", [])
            proxy.held = is_acknowledgement
            operation = {"type": "put", "subLevel": sub, "key": "k", "value": "v"}
            requires = [{"subLevel": sub, "key": "k", "absent": True}]
            call = asyncio.create_task(client.call("batch", [[operation], {"requires": requires}]))
            await until(lambda: bool(proxy.waiting))
            proxy.held = lambda _frame: False
            proxy.waiting.clear()
            await asyncio.to_thread(daemon.process.kill)
            await asyncio.to_thread(daemon.start)
            assert (await call)["revisions"] == [1]
            assert await read(client, sub, "k") == ("v", 1)


async def test_without_a_connection_in_time_the_outcome_is_unknown(
    tmp_path: Path, sub: list[str]
) -> None:
    with metadata_process(tmp_path) as daemon:
        async with (
            proxy_of(daemon) as proxy,
            client_of(proxy.url, connect_wait_seconds=10, call_timeout_seconds=2) as client,
        ):
            await client.call("getUUID", [])
            proxy.held = is_acknowledgement
            call = asyncio.create_task(client.call("put", ["k", "v", {}], sub))
            await until(lambda: bool(proxy.waiting))
            await asyncio.to_thread(daemon.process.kill)
            with pytest.raises(RpcOutcomeUnknownError, match=r"put: no answer within 2 s"):
                await call


async def test_a_repeated_call_that_a_busy_daemon_turns_away_has_an_unknown_outcome(
    daemon: MetadataProcess, sub: list[str]
) -> None:
    async with (
        proxy_of(daemon) as proxy,
        client_of(proxy.url, connect_wait_seconds=10, call_timeout_seconds=10) as client,
    ):
        await client.call("getUUID", [])
        proxy.held = is_acknowledgement
        call = asyncio.create_task(client.call("put", ["k", "v", {}], sub))
        await until(lambda: bool(proxy.waiting))
        proxy.waiting.clear()
        proxy.held = lambda frame: is_acknowledgement(frame) and "api" not in frame
        await proxy.cut()
        await until(lambda: bool(proxy.waiting))
        (held,) = proxy.waiting
        number = held.removeprefix(f"43{NAMESPACE},").partition("[")[0]
        busy = '{"is_arsenal_error":true,"code":503,"type":"SlowDown","description":""}'
        await proxy.send_to_client(f"43{NAMESPACE},{number}[{busy}]")
        with pytest.raises(RpcOutcomeUnknownError):
            await call


# -- The rules, frame by frame ------------------------------------------------------------------


def frame(number: int, key: str, sub: list[str], **more: Any) -> str:
    params = {"rpcArgs": [key, "v", {}], "subLevel": sub, **more}
    return f'42{NAMESPACE},{number}["call","put",{json.dumps(params)}]'


async def test_a_repeated_id_gets_the_first_answer_and_another_call_none(
    raw: RawClient, sub: list[str]
) -> None:
    operation_id = uuid.uuid4().hex
    for number in (1, 2):
        await raw.send(frame(number, "one", sub, operationId=operation_id))
        assert await raw.next() == f"43{NAMESPACE},{number}[null,null]"
    await raw.send(frame(3, "two", sub, operationId=operation_id))
    assert "operationId is that of another call" in await raw.next()
    assert (await raw.result(4, "getMany", [[{"subLevel": sub, "key": "two"}]], [])) == [None]


async def test_a_call_whose_time_is_over_does_not_begin(raw: RawClient, sub: list[str]) -> None:
    await raw.send(frame(1, "late", sub, notAfterMs=-1))
    assert "ServiceUnavailable" in await raw.next()
    await raw.send(frame(2, "early", sub, notAfterMs=clock_ms() + 20_000))
    assert await raw.next() == f"43{NAMESPACE},2[null,null]"
    reads = [{"subLevel": sub, "key": key} for key in ("late", "early")]
    found = await raw.result(3, "getMany", [reads], [])
    assert [entry and entry["value"] for entry in found] == [None, "v"]


@pytest.mark.parametrize(
    "more",
    [
        {"operationId": ""},
        {"operationId": 5},
        {"operationId": "é"},
        {"operationId": "x" * 129},
        {"notAfterMs": "5"},
        {"notAfterMs": True},
        {"notAfterMs": 10**400},
        {"notAfterMs": float("nan")},
    ],
)
async def test_a_malformed_id_or_deadline_is_refused(
    raw: RawClient, sub: list[str], more: dict[str, Any]
) -> None:
    await raw.send(frame(1, "k", sub, **more))
    assert "InvalidArgument" in await raw.next()


async def test_answers_that_are_kept_are_not_seen(raw: RawClient, sub: list[str]) -> None:
    operation_id = uuid.uuid4().hex
    await raw.send(frame(1, "k", sub, operationId=operation_id))
    await raw.next()
    await raw.result(2, "rawListKeys", [{"lt": "!"}], [])
    assert "stream-end" in await raw.next()
