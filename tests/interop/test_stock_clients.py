"""The metadata service, driven by the Socket.IO clients of others, over each of their transports.

A client that begins with long-polling makes its first calls there and upgrades meanwhile, as the
original's does.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.interop.daemons import MetadataProcess
from tests.interop.stock_clients import CLIENTS, StockClient, StreamEvent, connect

EMOJI = "\U0001f600"
ODD_KEYS = ["k\0version", "\0", "\x7fM", "é", "\uffff", EMOJI, "a/b c%20+&", "\u2028", "!b#"]

MALFORMED_CALLS: list[tuple[str, dict[str, Any]]] = [
    ("put", {"rpcArgs": ["k"], "subLevel": ["b"]}),
    ("put", {"rpcArgs": [], "subLevel": ["b"]}),
    ("get", {"rpcArgs": [], "subLevel": ["b"]}),
    ("del", {"rpcArgs": [], "subLevel": ["b"]}),
    ("batch", {"rpcArgs": [], "subLevel": []}),
    ("unknown", {"rpcArgs": [], "subLevel": []}),
    ("getUUID", {"rpcArgs": []}),
    ("getManifest", {}),
]
RANGES: list[tuple[dict[str, Any] | None, str]] = [
    (None, "abcdef"),
    ({}, "abcdef"),
    ({"gt": "b"}, "cdef"),
    ({"gte": "b"}, "bcdef"),
    ({"lt": "e"}, "abcd"),
    ({"lte": "e"}, "abcde"),
    ({"start": "b", "end": "e"}, "bcde"),
    ({"gt": "b", "gte": "a", "lt": "e", "lte": "f"}, "cd"),
    ({"reverse": True}, "fedcba"),
    ({"reverse": True, "start": "e", "end": "b"}, "edcb"),
    ({"reverse": True, "gte": "b", "limit": 2}, "fe"),
    ({"limit": 3}, "abc"),
    ({"limit": -1}, "abcdef"),
    ({"limit": 0}, ""),
    ({"gt": "f"}, ""),
]


def put(sub: list[str], key: str, value: str = "{}") -> dict[str, Any]:
    return {"type": "put", "subLevel": sub, "key": key, "value": value}


async def fill(client: StockClient, sub: list[str], names: list[str]) -> None:
    await client.result("batch", [[put(sub, name, f"value of {name}") for name in names]], [])


# -- calls --------------------------------------------------------------------------------------


async def test_the_manifest_names_the_methods(client: StockClient) -> None:
    manifest = await client.result("getManifest", [], [])
    names = {entry["name"] for entry in manifest["api"]}
    assert {"createReadStream", "rawListKeys", "getUUID", "put", "del", "get"} <= names
    assert {"getDiskUsage", "getMany", "batch"} <= names


async def test_the_connection_becomes_a_websocket(client: StockClient) -> None:
    await client.until_websocket()
    assert await client.result("getUUID", [], [])


async def test_put_get_and_del(client: StockClient, sub: list[str]) -> None:
    assert await client.reply("put", ["k", '{"a":1}', {}], sub) == [None, None]
    assert await client.reply("get", ["k", {}], sub) == [None, '{"a":1}']
    assert await client.reply("del", ["k", {}], sub) == [None, None]
    assert (await client.error("get", ["k", {}], sub))["type"] == "ObjNotFound"


async def test_options_that_were_undefined_arrive_as_null(
    client: StockClient, sub: list[str]
) -> None:
    assert await client.reply("put", ["k", "v", None], sub) == [None, None]
    assert await client.reply("get", ["k", None], sub) == [None, "v"]


async def test_an_error_is_one_flattened_argument(client: StockClient, sub: list[str]) -> None:
    assert await client.reply("get", ["k", {}], sub) == [
        {
            "is_arsenal_error": True,
            "code": 404,
            "description": "This object does not exist",
            "type": "ObjNotFound",
        }
    ]


async def test_a_malformed_call_is_an_error_and_the_connection_lives_on(
    client: StockClient,
) -> None:
    answers = [await client.emit_acknowledged(name, params) for name, params in MALFORMED_CALLS]
    assert [[error.get("type") for error in answer] for answer in answers] == [
        ["InvalidArgument"] for _ in MALFORMED_CALLS
    ]
    assert await client.result("getUUID", [], [])


async def test_a_batch_is_applied_when_its_requirements_hold(
    client: StockClient, sub: list[str]
) -> None:
    created = await client.result(
        "batch", [[put(sub, "k")], {"requires": [{"subLevel": sub, "empty": {}}]}], []
    )
    (revision,) = created["revisions"]
    unchanged = {"requires": [{"subLevel": sub, "key": "k", "revision": revision}]}
    delete = {"type": "del", "subLevel": sub, "key": "k"}
    changed = await client.result("batch", [[put(sub, "l"), delete], unchanged], [])
    assert changed["revisions"][0] > revision
    assert changed["revisions"][1] is None
    assert await client.items({"values": False}, sub) == ["l"]


async def test_a_batch_is_refused_when_a_requirement_does_not_hold(
    client: StockClient, sub: list[str]
) -> None:
    requires = [
        {"subLevel": sub, "key": "k", "absent": True},
        {"subLevel": sub, "key": "k", "present": True},
    ]
    error = await client.error("batch", [[put(sub, "k")], {"requires": requires}], [])
    assert (error["type"], error["code"]) == ("PreconditionFailed", 412)
    assert int(error["requirement"]) == 1
    assert await client.items({}, sub) == []


async def test_get_many_reads_what_there_is(client: StockClient, sub: list[str]) -> None:
    created = await client.result("batch", [[put(sub, "k", "v")]], [])
    reads = [{"subLevel": sub, "key": "k"}, {"subLevel": sub, "key": "absent"}]
    assert await client.result("getMany", [reads], []) == [
        {"value": "v", "revision": created["revisions"][0]},
        None,
    ]


async def test_keys_of_any_characters_are_kept(client: StockClient, sub: list[str]) -> None:
    for key in ODD_KEYS:
        assert await client.reply("put", [key, key, {}], sub) == [None, None]
    assert [await client.result("get", [key, {}], sub) for key in ODD_KEYS] == ODD_KEYS


async def test_a_value_of_a_mebibyte_is_kept(client: StockClient, sub: list[str]) -> None:
    value = '{"text":"' + "é\u2028" * (256 * 1024) + '"}'
    assert await client.reply("put", ["k", value, {}], sub) == [None, None]
    assert await client.reply("get", ["k", {}], sub) == [None, value]
    assert await client.items({"keys": False}, sub) == [value]


async def test_many_calls_at_once_are_answered_each(client: StockClient, sub: list[str]) -> None:
    names = [f"{number:03}" for number in range(100)]
    await asyncio.gather(*(client.result("put", [name, name, {}], sub) for name in names))
    found = await asyncio.gather(*(client.result("get", [name, {}], sub) for name in names))
    assert found == names


# -- streams ------------------------------------------------------------------------------------


async def test_a_stream_has_the_range_that_its_options_name(
    client: StockClient, sub: list[str]
) -> None:
    await fill(client, sub, list("abcdef"))
    streamed = [await client.items(options, sub) for options, _ in RANGES]
    assert ["".join(item["key"] for item in items) for items in streamed] == [
        expected for _, expected in RANGES
    ]


async def test_a_stream_of_keys_alone_and_of_values_alone(
    client: StockClient, sub: list[str]
) -> None:
    await fill(client, sub, ["a", "b"])
    assert await client.items({"values": False}, sub) == ["a", "b"]
    assert await client.items({"keys": False}, sub) == ["value of a", "value of b"]


async def test_a_stream_is_in_the_order_of_utf8_bytes(client: StockClient, sub: list[str]) -> None:
    await fill(client, sub, ODD_KEYS)
    assert await client.items({"values": False}, sub) == sorted(ODD_KEYS, key=str.encode)


async def test_a_long_stream_is_complete(client: StockClient, sub: list[str]) -> None:
    names = [f"{number:05}" for number in range(2500)]
    for start in range(0, len(names), 1000):
        await fill(client, sub, names[start : start + 1000])
    assert await client.items({"values": False}, sub) == names


async def test_raw_keys_are_streamed(client: StockClient, sub: list[str]) -> None:
    await fill(client, sub, ["a", "b"])
    prefix = f"!{sub[0]}!"
    options = {"gte": prefix, "lt": f'!{sub[0]}"'}
    marker = await client.result("rawListKeys", [options], [])
    event = await client.next_event()
    assert event.payload == {
        "streamId": marker["$streamId"],
        "data": [f"{prefix}a", f"{prefix}b"],
    }
    assert (await client.next_event()).name == "stream-end"


async def test_a_hang_up_in_mid_stream_stops_it(client: StockClient, sub: list[str]) -> None:
    await fill(client, sub, [f"{number:05}" for number in range(1024)])
    await client.acknowledge(False)
    stream_id = await client.begin_stream({"values": False, "limit": 1023}, sub)
    for _ in range(5):
        assert (await client.next_event()).name == "stream-data"
    await client.hang_up(stream_id)
    await client.acknowledge(True)
    # What follows is the next stream's alone.
    assert await client.items({"limit": 1, "values": False}, sub) == ["00000"]


async def test_a_hang_up_after_the_end_is_ignored(client: StockClient, sub: list[str]) -> None:
    stream_id = await client.begin_stream({}, sub)
    assert await client.next_event() == StreamEvent("stream-end", {"streamId": stream_id})
    await client.hang_up(stream_id)
    assert await client.items({}, sub) == []


# -- several clients ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_client_that_stays_with_long_polling_is_served(
    daemon: MetadataProcess, sub: list[str], kind: str
) -> None:
    async with connect(kind, daemon, ["polling"]) as client:
        await fill(client, sub, ["a", "b"])
        assert await client.items({"values": False}, sub) == ["a", "b"]


async def test_a_node_client_sends_more_calls_than_16_in_one_request(
    daemon: MetadataProcess, sub: list[str]
) -> None:
    async with connect("node", daemon, ["polling"]) as client:
        await asyncio.gather(*(client.result("put", [str(n), "v", {}], sub) for n in range(200)))
        assert len(await client.items({"values": False}, sub)) == 200


async def test_clients_of_both_kinds_share_the_daemon(
    daemon: MetadataProcess, sub: list[str]
) -> None:
    async with (
        connect("python", daemon, ["websocket"]) as one,
        connect("node", daemon, ["polling", "websocket"]) as two,
    ):
        names = [f"{number:04}" for number in range(1000)]
        await fill(one, sub, names)
        streamed = await asyncio.gather(
            one.items({"values": False}, sub), two.items({"values": False, "reverse": True}, sub)
        )
        assert list(streamed) == [names, names[::-1]]
