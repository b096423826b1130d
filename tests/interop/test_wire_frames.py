"""The frames of the metadata RPC, byte by byte where they are determined (dmd-wire, sections 1-4).

Engine.IO prefixes every message with its packet type, 4; the reference shows frames without it.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.interop.daemons import MetadataProcess, metadata_process
from tests.interop.raw_client import NAMESPACE, RawClient, event_of, raw_client
from tests.interop.test_rpc_client import client_of

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
UIDS = "8880d3461d41b880d7a7:0123456789abcdef0123"
MESSAGE_BYTES_MAX = 100_000_000


async def answer(raw: RawClient, frame: str) -> str:
    """Send a frame of the namespace and take the next one; both without type and namespace."""
    number, _, _ = frame.partition("[")
    await raw.send(f"42{NAMESPACE},{frame}")
    reply = await raw.next()
    start = f"43{NAMESPACE},{number}"
    assert reply.startswith(start)
    return reply.removeprefix(start)


# -- the connection -----------------------------------------------------------------------------


async def test_the_handshake_has_the_values_of_the_original(daemon: MetadataProcess) -> None:
    url = f"{daemon.url}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        text = await response.text()
    assert text.startswith("0")
    handshake = json.loads(text[1:])
    assert set(handshake) == {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}
    del handshake["sid"]
    assert handshake == {
        "upgrades": ["websocket"],
        "pingInterval": 25000,
        "pingTimeout": 20000,
        "maxPayload": 100000000,
    }


async def test_a_websocket_has_nothing_to_upgrade_to(daemon: MetadataProcess) -> None:
    async with raw_client(daemon.port, join=False) as raw:
        handshake = json.loads((await raw.next()).removeprefix("0"))
    assert handshake["upgrades"] == []
    assert handshake["pingInterval"] == 25000
    assert handshake["pingTimeout"] == 20000
    assert handshake["maxPayload"] == 100000000


@pytest.mark.parametrize(
    "query", ["EIO=3&transport=polling", "transport=polling", "EIO=5&transport=polling"]
)
async def test_another_protocol_version_is_refused(daemon: MetadataProcess, query: str) -> None:
    url = f"{daemon.url}/socket.io/?{query}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 400
        assert await response.text() == '{"code":5,"message":"Unsupported protocol version"}'


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("EIO=4", '{"code":0,"message":"Transport unknown"}'),
        ("EIO=4&transport=pigeon", '{"code":0,"message":"Transport unknown"}'),
        ("EIO=4&transport=polling&sid=bogus", '{"code":1,"message":"Session ID unknown"}'),
        ("EIO=4&transport=websocket", '{"code":3,"message":"Bad request"}'),
    ],
)
async def test_a_bad_handshake_is_refused_in_the_words_of_the_original(
    daemon: MetadataProcess, query: str, body: str
) -> None:
    url = f"{daemon.url}/socket.io/?{query}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert (response.status, await response.text()) == (400, body)
        assert response.content_type == "application/json"


async def test_a_post_begins_no_session(daemon: MetadataProcess) -> None:
    url = f"{daemon.url}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as session, session.post(url, data=b"4") as response:
        refused = '{"code":2,"message":"Bad handshake method"}'
        assert (response.status, await response.text()) == (400, refused)
        assert response.headers["Connection"] == "close"  # its body is not read


async def test_a_websocket_is_refused_with_the_message_alone(daemon: MetadataProcess) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
    }
    url = f"{daemon.url}/socket.io/?EIO=4&transport=websocket&sid=bogus"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        assert (response.status, await response.text()) == (400, "Session ID unknown")


async def test_an_older_websocket_client_is_refused(daemon: MetadataProcess) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="400"):
            await session.ws_connect(f"{daemon.url}/socket.io/?EIO=3&transport=websocket")


async def test_the_namespace_is_joined_without_authentication(daemon: MetadataProcess) -> None:
    async with raw_client(daemon.port, join=False) as raw:
        await raw.next()
        await raw.send(f"40{NAMESPACE},")
        assert re.fullmatch(rf'40{NAMESPACE},{{"sid":"[^"]+"}}', await raw.next())


async def test_an_unknown_namespace_is_refused_beside_a_known_one(raw: RawClient) -> None:
    await raw.send("40/MDFile/unknown,")
    assert (await raw.next()).startswith("44/MDFile/unknown,")
    assert await answer(raw, '1["call","get",{"rpcArgs":["k"],"subLevel":["none"]}]')


async def test_two_clients_have_acknowledgement_numbers_of_their_own(
    daemon: MetadataProcess, raw: RawClient, sub: list[str]
) -> None:
    async with raw_client(daemon.port) as other:
        await raw.call(1, "put", ["k", "one", {}], sub)
        await other.call(1, "put", ["l", "two", {}], sub)
        assert await raw.next() == f"43{NAMESPACE},1[null,null]"
        assert await other.next() == f"43{NAMESPACE},1[null,null]"
        await raw.call(2, "get", ["l", {}], sub)
        await other.call(2, "get", ["k", {}], sub)
        assert await raw.next() == f'43{NAMESPACE},2[null,"two"]'
        assert await other.next() == f'43{NAMESPACE},2[null,"one"]'


# -- calls --------------------------------------------------------------------------------------


async def test_a_put_is_answered_with_two_nulls(raw: RawClient) -> None:
    frame = (
        r'1["call","put",{"rpcArgs":["b1","{\"a\":1}",{}],'
        f'"reqUids":"{UIDS}","subLevel":["__metastore"]}}]'
    )
    assert await answer(raw, frame) == "[null,null]"


async def test_a_get_is_answered_with_null_and_the_text(raw: RawClient, sub: list[str]) -> None:
    await raw.result(1, "put", ["k", '{"a":1}', {}], sub)
    assert (
        await answer(raw, f'2["call","get",{{"rpcArgs":["k",{{}}],"subLevel":["{sub[0]}"]}}]')
        == r'[null,"{\"a\":1}"]'
    )


async def test_a_del_is_answered_with_two_nulls(raw: RawClient, sub: list[str]) -> None:
    frame = f'7["call","del",{{"rpcArgs":["k",null],"subLevel":["{sub[0]}"]}}]'
    assert await answer(raw, frame) == "[null,null]"


async def test_the_uuid_is_a_text(raw: RawClient) -> None:
    text = await answer(raw, '13["call","getUUID",{"rpcArgs":[],"subLevel":[]}]')
    assert re.fullmatch(rf'\[null,"{UUID}"\]', text)


async def test_the_manifest_begins_with_the_methods_of_the_original(raw: RawClient) -> None:
    text = await answer(raw, '1["call","getManifest",{"rpcArgs":[],"subLevel":[]}]')
    assert text.startswith(
        '[null,{"apiVersion":"1.0","api":[{"name":"createReadStream"},{"name":"rawListKeys"},'
        '{"name":"getUUID"},{"name":"put"},{"name":"del"},{"name":"get"},{"name":"getDiskUsage"}'
    )


async def test_not_found_is_one_flattened_error(raw: RawClient, sub: list[str]) -> None:
    frame = f'3["call","get",{{"rpcArgs":["k",{{}}],"subLevel":["{sub[0]}"]}}]'
    assert await answer(raw, frame) == (
        '[{"is_arsenal_error":true,"code":404,"description":"This object does not exist",'
        '"type":"ObjNotFound"}]'
    )


@pytest.mark.parametrize(
    "arguments",
    [
        '["call"]',
        '["call",null]',
        '["call","get"]',
        '["call","get",null]',
        '["call",{"rpcArgs":[],"subLevel":[]}]',
        '["call","get",{}]',
        '["call","get",{"rpcArgs":["k"]}]',
        '["call","getManifest",{"rpcArgs":[]}]',
        '["call","getUUID",{"rpcArgs":[]}]',
        '["call","get",{"rpcArgs":"k","subLevel":[]}]',
        '["call","get",{"rpcArgs":["k"],"subLevel":"b1"}]',
        '["call","get",{"rpcArgs":["k"],"subLevel":[null]}]',
        '["call","get",{"rpcArgs":[],"subLevel":["b1"]}]',
        '["call","put",{"rpcArgs":["k"],"subLevel":["b1"]}]',
        '["call","put",{"rpcArgs":[],"subLevel":["b1"]}]',
        '["call","nonsense",{"rpcArgs":[],"subLevel":[]}]',
        r'["call","get",{"rpcArgs":["\ud800"],"subLevel":["b1"]}]',
    ],
)
async def test_a_malformed_call_is_one_invalid_argument(raw: RawClient, arguments: str) -> None:
    (error,) = json.loads(await answer(raw, f"5{arguments}"))
    assert (error["is_arsenal_error"], error["code"]) == (True, 400)
    assert error["type"] == "InvalidArgument"
    assert error["description"]


async def test_the_connection_lives_on_after_json_of_any_depth(raw: RawClient) -> None:
    nested = "[" * 50_000 + "]" * 50_000
    await raw.send(f'42{NAMESPACE},1["call","get",{nested}]')
    await raw.send(f"42{NAMESPACE},2[")
    await raw.call(3, "getUUID", [], [])
    assert (await raw.next()).startswith(f"43{NAMESPACE},3[null,")


async def test_a_call_that_wants_no_answer_gets_none(raw: RawClient, sub: list[str]) -> None:
    params = json.dumps({"rpcArgs": ["k", "v", {}], "subLevel": sub})
    await raw.send(f'42{NAMESPACE},["call","put",{params}]')
    while await raw.result(1, "getMany", [[{"subLevel": sub, "key": "k"}]], []) == [None]:
        pass
    await raw.silence(0.05)


async def test_unknown_events_are_ignored(raw: RawClient) -> None:
    await raw.send(f'42{NAMESPACE},["stream-data",{{"streamId":"x","data":[]}}]')
    await raw.send(f'42{NAMESPACE},["stream-hangup"]')
    await raw.send(f'42{NAMESPACE},["stream-hangup",null]')
    await raw.send(f'42{NAMESPACE},["stream-hangup",{{"streamId":["x"]}}]')
    await raw.send(f'42{NAMESPACE},["whatever",1,2]')
    await raw.send(f"43{NAMESPACE},0[null]")
    await raw.send(f"43{NAMESPACE},999[null]")
    await raw.call(1, "getUUID", [], [])
    assert (await raw.next()).startswith(f"43{NAMESPACE},1[null,")


async def test_request_uids_of_any_shape_do_no_harm(raw: RawClient) -> None:
    for uids in ("null", "17", "[]", f'"{"x" * 5000}"'):
        frame = f'1["call","getUUID",{{"rpcArgs":[],"subLevel":[],"reqUids":{uids}}}]'
        assert (await answer(raw, frame)).startswith("[null,")


# -- streams ------------------------------------------------------------------------------------


async def test_a_stream_is_a_marker_then_packets_then_its_end(
    raw: RawClient, sub: list[str]
) -> None:
    await raw.result(1, "put", ["k", "v", {}], sub)
    marker = await raw.result(2, "createReadStream", [{}], sub)
    stream_id = marker["$streamId"]
    assert re.fullmatch(UUID, stream_id)
    assert marker == {"$streamId": stream_id, "readable": True, "writable": False}

    assert re.fullmatch(
        rf'42{NAMESPACE},\d+\["stream-data",'
        rf'{{"streamId":"{stream_id}","data":\[{{"key":"k","value":"v"}}\]}}\]',
        await raw.next(),
    )
    assert re.fullmatch(
        rf'42{NAMESPACE},\d+\["stream-end",{{"streamId":"{stream_id}"}}\]', await raw.next()
    )
    await raw.silence(0.05)


async def test_an_empty_stream_is_a_marker_and_an_end(raw: RawClient, sub: list[str]) -> None:
    marker = await raw.result(1, "createReadStream", [{}], sub)
    assert event_of(await raw.next())[1:] == ("stream-end", {"streamId": marker["$streamId"]})


async def test_every_stream_has_an_id_of_its_own(raw: RawClient, sub: list[str]) -> None:
    ids = set()
    for number in range(3):
        ids.add((await raw.result(number, "createReadStream", [{}], sub))["$streamId"])
        await raw.next()
    assert len(ids) == 3


# -- limits -------------------------------------------------------------------------------------


async def test_a_message_of_nearly_100_mb_is_served(raw: RawClient, sub: list[str]) -> None:
    value = "x" * (MESSAGE_BYTES_MAX - 1000)
    assert await raw.result(1, "put", ["k", value, {}], sub) is None
    assert await raw.result(2, "get", ["k", {}], sub) == value


async def test_a_larger_websocket_message_ends_its_connection_alone(
    daemon: MetadataProcess, raw: RawClient
) -> None:
    async with raw_client(daemon.port) as other:
        # The daemon may be gone before all of it is sent.
        with suppress(ConnectionError):
            await other.send("4" + "x" * MESSAGE_BYTES_MAX)
        await other.until_closed()
    assert await raw.result(1, "getUUID", [], [])


async def test_a_larger_request_of_long_polling_is_refused_before_it_is_read(
    daemon: MetadataProcess,
) -> None:
    assert await post_status(daemon, f"Content-Length: {MESSAGE_BYTES_MAX + 1}") == 413


async def test_a_request_of_long_polling_without_a_length_is_refused(
    daemon: MetadataProcess,
) -> None:
    assert await post_status(daemon, "Transfer-Encoding: chunked") == 411


async def post_status(daemon: MetadataProcess, header: str) -> int:
    """The status that the header of a POST to a session gets, when no body follows."""
    async with aiohttp.ClientSession() as session:
        polling = Polling(session, daemon)
        await polling.open()
    target = polling.url.removeprefix(daemon.url)
    reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
    writer.write(f"POST {target} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n".encode())
    async with asyncio.timeout(10):
        line = await reader.readline()
    writer.close()
    return int(line.split()[1])


# -- long-polling -------------------------------------------------------------------------------


class Polling:
    """A client that stays with long-polling."""

    def __init__(self, session: aiohttp.ClientSession, daemon: MetadataProcess) -> None:
        self._session = session
        self.url = f"{daemon.url}/socket.io/?EIO=4&transport=polling"

    async def open(self) -> None:
        (handshake,) = await self.receive()
        self.url += f"&sid={json.loads(handshake[1:])['sid']}"

    async def receive(self) -> list[str]:
        async with self._session.get(self.url) as response:
            assert response.status == 200
            return (await response.text()).split("\x1e")

    async def send(self, *frames: str) -> None:
        async with self._session.post(self.url, data="\x1e".join(frames)) as response:
            assert response.status == 200

    async def receive_count(self, count: int) -> list[str]:
        frames: list[str] = []
        async with asyncio.timeout(20):
            while len(frames) < count:
                frames += await self.receive()
        return frames


async def test_one_request_of_long_polling_carries_any_number_of_calls(
    daemon: MetadataProcess, sub: list[str]
) -> None:
    async with aiohttp.ClientSession() as session:
        client = Polling(session, daemon)
        await client.open()
        await client.send(f"40{NAMESPACE},")
        assert (await client.receive())[0].startswith(f"40{NAMESPACE},")
        params: dict[str, Any] = {"rpcArgs": [str(uuid.uuid4()), "v", {}], "subLevel": sub}
        numbers = range(100)
        await client.send(
            *(f'42{NAMESPACE},{n}["call","put",{json.dumps(params)}]' for n in numbers)
        )
        answers = await client.receive_count(100)
    assert sorted(answers) == sorted(f"43{NAMESPACE},{n}[null,null]" for n in numbers)


async def test_a_request_of_long_polling_may_arrive_in_pieces(
    daemon: MetadataProcess, sub: list[str]
) -> None:
    async with aiohttp.ClientSession() as session:
        client = Polling(session, daemon)
        await client.open()
        await client.send(f"40{NAMESPACE},")
        assert (await client.receive())[0].startswith(f"40{NAMESPACE},")
        params = json.dumps({"rpcArgs": ["k", "v" * 3_000_000, {}], "subLevel": sub})
        await client.send(f'42{NAMESPACE},1["call","put",{params}]')
        assert await client.receive_count(1) == [f"43{NAMESPACE},1[null,null]"]


NO_PACKETS = (
    f"42{NAMESPACE},1{{",
    f"42{NAMESPACE},1[]",
    f"42{NAMESPACE},1null",
    f"42{NAMESPACE},1[{{}}]",
    f'42{NAMESPACE},1["connect",{{}}]',
    f"43{NAMESPACE},1",
    f'44{NAMESPACE},{{"message":"no"}}',
    f'451-{NAMESPACE},1["call",{{"_placeholder":true,"num":0}}]',
    "bAAAA",
    "4",
    "4x",
)


@pytest.mark.parametrize("packet", NO_PACKETS)
async def test_what_is_no_packet_is_dropped_from_long_polling_without_a_word(
    daemon: MetadataProcess, packet: str
) -> None:
    logged = len(daemon.process.output)
    async with aiohttp.ClientSession() as session:
        client = Polling(session, daemon)
        await client.open()
        await client.send(f"40{NAMESPACE},")
        assert (await client.receive())[0].startswith(f"40{NAMESPACE},")
        call = f'42{NAMESPACE},2["call","getUUID",{{"rpcArgs":[],"subLevel":[]}}]'
        await client.send(packet, call)
        (answer,) = await client.receive_count(1)
    assert answer.startswith(f"43{NAMESPACE},2[null,")
    assert "error" not in daemon.process.output[logged:]


BAD_BODIES = (b"\xff\xfe", b"x", b"", b"9\x1e\x1e", b"bAA=A")


@pytest.mark.parametrize("body", BAD_BODIES)
async def test_a_bad_body_of_long_polling_is_no_error_of_the_daemon(
    daemon: MetadataProcess, body: bytes
) -> None:
    logged = len(daemon.process.output)
    async with aiohttp.ClientSession() as session:
        client = Polling(session, daemon)
        await client.open()
        async with session.post(client.url, data=body) as response:
            assert response.status == 200
    assert "error" not in daemon.process.output[logged:]


async def test_a_body_of_long_polling_that_breaks_off_is_no_error_of_the_daemon(
    daemon: MetadataProcess,
) -> None:
    logged = len(daemon.process.output)
    async with aiohttp.ClientSession() as session:
        client = Polling(session, daemon)
        await client.open()
        _, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
        target = client.url.removeprefix(daemon.url)
        head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n42"
        writer.write(head.encode())
        await writer.drain()
        writer.close()
        # What comes behind it is served.
        await client.send(f"40{NAMESPACE},")
        assert (await client.receive())[0].startswith(f"40{NAMESPACE},")
    assert "error" not in daemon.process.output[logged:]


LARGE_BYTES = MESSAGE_BYTES_MAX + 1_000_000


async def test_messages_may_be_larger_than_those_of_the_original(
    tmp_path: Path, sub: list[str]
) -> None:
    value = "v" * LARGE_BYTES
    with metadata_process(tmp_path, maxMessageSizeBytes=LARGE_BYTES + 1000) as daemon:
        async with client_of(daemon.url, connect_wait_seconds=10) as client:
            await client.call("put", ["k", value, {}], sub)
            assert await client.call("get", ["k"], sub) == value
        async with aiohttp.ClientSession() as session:
            polling = Polling(session, daemon)
            await polling.open()
            await polling.send(f"40{NAMESPACE},")
            assert (await polling.receive())[0].startswith(f"40{NAMESPACE},")
            params = json.dumps({"rpcArgs": ["k", value, {}], "subLevel": sub})
            await polling.send(f'42{NAMESPACE},1["call","put",{params}]')
            assert await polling.receive_count(1) == [f"43{NAMESPACE},1[null,null]"]
