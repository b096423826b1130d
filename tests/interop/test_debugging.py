"""What a daemon shows of its frames, and the sizes that it can be told."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.interop.daemons import metadata_process
from tests.interop.raw_client import NAMESPACE, RawClient, event_of, raw_client

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


async def test_the_frames_are_shown_when_asked_for(tmp_path: Path, sub: list[str]) -> None:
    with metadata_process(tmp_path, debug="express:*,socket.io*") as daemon:
        async with raw_client(daemon.port) as raw:
            await raw.result(7, "put", ["k", "v" * 5000, {}], sub)
        output = daemon.process.output
    lines = [line for line in output.splitlines() if "socket.io-parser" in line]
    assert re.fullmatch(rf"{TIME} socket\.io-parser decoded 0{NAMESPACE},", lines[0])
    put, answer = (line for line in lines if f"{NAMESPACE},7" in line)
    assert re.match(rf'{TIME} socket\.io-parser decoded 2{NAMESPACE},7\["call","put",', put)
    assert re.search(r"v… \(\d+ characters more\)$", put)
    assert len(put) < 1200
    assert re.fullmatch(rf"{TIME} socket\.io-parser encoded 3{NAMESPACE},7\[null,null\]", answer)


@pytest.mark.parametrize("debug", ["", "express:*", "*,-socket.io*"])
async def test_the_frames_are_not_shown_otherwise(
    tmp_path: Path, sub: list[str], debug: str
) -> None:
    with metadata_process(tmp_path, debug=debug) as daemon:
        async with raw_client(daemon.port) as raw:
            await raw.result(7, "put", ["k", "v", {}], sub)
        output = daemon.process.output
    assert "socket.io-parser" not in output
    assert "Received packet" not in output


async def packets(raw: RawClient, sub: list[str]) -> list[list[Any]]:
    """The items of a stream, packet by packet."""
    await raw.result(2, "createReadStream", [{"values": False}], sub)
    found: list[list[Any]] = []
    while True:
        number, name, payload = event_of(await raw.next())
        await raw.send(f"43{NAMESPACE},{number}[null]")
        if name == "stream-end":
            return found
        found.append(payload["data"])


@pytest.mark.parametrize("setting", [{"streamMaxPacketItems": 2}, {"streamMaxPacketSizeBytes": 70}])
async def test_packets_have_the_size_that_is_set(
    tmp_path: Path, sub: list[str], setting: dict[str, Any]
) -> None:
    with metadata_process(tmp_path, **setting) as daemon:
        async with raw_client(daemon.port) as raw:
            operations = [
                {"type": "put", "subLevel": sub, "key": key, "value": ""} for key in "abcde"
            ]
            await raw.result(1, "batch", [operations], [])
            assert await packets(raw, sub) == [["a", "b"], ["c", "d"], ["e"]]


async def test_a_message_has_the_size_that_is_set(tmp_path: Path, sub: list[str]) -> None:
    with metadata_process(tmp_path, maxMessageSizeBytes=10_000) as daemon:
        url = f"{daemon.url}/socket.io/?EIO=4&transport=polling"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            assert json.loads((await response.text())[1:])["maxPayload"] == 10_000
        async with raw_client(daemon.port) as raw:
            await raw.result(1, "put", ["k", "v" * 9000, {}], sub)
            with suppress(ConnectionError):
                await raw.call(2, "put", ["k", "v" * 10_000, {}], sub)
            await raw.until_closed()
