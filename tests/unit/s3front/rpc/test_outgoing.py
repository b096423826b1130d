"""Which calls travel together."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from s3front.rpc.outgoing import OutgoingCall, envelopes
from shared import limits


def call(name: str = "get", key: str = "k", *, alone: bool = False) -> OutgoingCall:
    params = {"rpcArgs": [key], "subLevel": ["b"]}
    made = OutgoingCall(name, params, 100.0, asyncio.Future())
    made.alone = alone
    return made


def sent(calls: list[OutgoingCall], *, together: bool = True) -> list[Any]:
    """The arrays of the events; each carries the calls that it says."""
    events = []
    for raw, carried, _ in envelopes(calls, limits.RPC_BATCH_BYTES_MAX, together=together):
        event = json.loads(raw)
        said = event[1] if event[0] == "batch" else [event[1:]]
        assert said == [
            json.loads(one.text) for one in (carried if isinstance(carried, list) else [carried])
        ]
        events.append(event)
    return events


def shape(events: list[Any]) -> list[Any]:
    """The names of the calls of each event."""
    return [[c[0] for c in e[1]] if e[0] == "batch" else e[1] for e in events]


async def test_a_call_by_itself_is_a_call() -> None:
    params = {"rpcArgs": ["k"], "subLevel": ["b"]}
    assert sent([call()]) == [["call", "get", params]]


async def test_without_the_extension_every_call_is_one() -> None:
    assert shape(sent([call(), call("put"), call()], together=False)) == ["get", "put", "get"]


async def test_reads_and_mutations_travel_apart_and_in_order() -> None:
    calls = [call("put", "1"), call("get", "2"), call("batch", "3"), call("getMany"), call("del")]
    assert shape(sent(calls)) == [["get", "getMany"], ["put", "batch", "del"]]


async def test_one_of_a_kind_is_a_call() -> None:
    assert shape(sent([call("put"), call("get"), call("get")])) == [["get", "get"], "put"]


async def test_a_call_that_begins_a_stream_travels_alone() -> None:
    calls = [call(), call("createReadStream", alone=True), call()]
    assert shape(sent(calls)) == ["createReadStream", ["get", "get"]]


async def test_a_batch_has_so_many_calls_at_most() -> None:
    calls = [call(key=str(number)) for number in range(2 * limits.RPC_BATCH_CALLS_MAX + 1)]
    events = sent(calls)
    assert [len(event[1]) for event in events[:2]] == [limits.RPC_BATCH_CALLS_MAX] * 2
    assert len(events) == 3


async def test_a_batch_has_so_many_bytes_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RPC_BATCH_BYTES_MAX", 1000)
    calls = [call(key="x" * 400) for _ in range(5)] + [call(key="x" * 5000)]
    assert shape(sent(calls)) == [["get"] * 2, ["get"] * 2, "get", "get"]


async def test_a_named_operation_says_its_id_and_until_when() -> None:
    assert not call("put").repeatable
    params = {"rpcArgs": ["k"], "subLevel": ["b"]}
    named = OutgoingCall(
        "put", params, 100.0, asyncio.Future(), operation_id="id", server_ahead=20.0
    )
    assert named.repeatable
    assert json.loads(named.text)[1]["notAfterMs"] == 120_000
    named.renew(-99.5)
    assert json.loads(named.text)[1] == {
        "rpcArgs": ["k"],
        "subLevel": ["b"],
        "operationId": "id",
        "notAfterMs": 500,
    }
    named.renew(None)
    assert "notAfterMs" not in json.loads(named.text)[1]
