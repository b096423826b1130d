"""The record log over the wire, as the Socket.IO clients of others see it (reference/dmd-wire.md,
section 9)."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.interop.daemons import MetadataProcess, metadata_process
from tests.interop.raw_client import RawClient, raw_client
from tests.interop.stock_clients import KINDS, TRANSPORTS, StockClient, connect

NAMESPACE = "/MDFile/recordLog"
LOG = "s3-recordlog"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Reader:
    """A client of the record log, and one of the metadata whose changes it reads."""

    def __init__(self, log: StockClient, metadata: StockClient) -> None:
        self.metadata = metadata
        self._log = log

    async def reply(self, name: str, *arguments: Any, log_name: str = LOG) -> list[Any]:
        params = {"rpcArgs": list(arguments), "logName": log_name}
        return await self._log.emit_acknowledged(name, params)

    async def read(self, **options: Any) -> tuple[dict[str, Any], list[Any]]:
        """The info and the items of readRecords."""
        error, result = await self.reply("readRecords", options)
        assert error is None
        marker = result["log"]
        assert (marker["readable"], marker["writable"]) == (True, False)
        items: list[Any] = []
        while (event := await self._log.next_event()).name == "stream-data":
            assert event.payload["streamId"] == marker["$streamId"]
            items += event.payload["data"]
        assert event.name == "stream-end"
        return result["info"], items

    async def last(self) -> int:
        """The number of the last record; 0 in an empty log."""
        info, _ = await self.read()
        return info["end"] or 0


@pytest.fixture(scope="module")
def logged_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MetadataProcess]:
    """A daemon that logs."""
    folder = tmp_path_factory.mktemp("logged")
    with metadata_process(folder, {"enabled": True}) as running:
        yield running


@pytest.fixture(params=KINDS, ids="-".join)
async def reader(
    request: pytest.FixtureRequest, logged_daemon: MetadataProcess
) -> AsyncIterator[Reader]:
    kind, way = request.param
    async with AsyncExitStack() as stack:
        log = connect(kind, logged_daemon, TRANSPORTS[way], NAMESPACE)
        metadata = connect(kind, logged_daemon, TRANSPORTS[way])
        yield Reader(
            await stack.enter_async_context(log), await stack.enter_async_context(metadata)
        )


async def test_changes_are_read_in_their_order(reader: Reader, sub: list[str]) -> None:
    last = await reader.last()
    await reader.metadata.result("put", ["k", '{"n":1}', {}], sub)
    await reader.metadata.result("del", ["k", {}], sub)
    info, items = await reader.read(startSeq=last + 1)
    assert info == {"start": last + 1, "end": last + 2}
    assert all(TIME.fullmatch(item.pop("timestamp")) for item in items)
    assert items == [
        {"db": sub[0], "entries": [{"type": "put", "key": "k", "value": '{"n":1}'}]},
        {"db": sub[0], "entries": [{"type": "del", "key": "k"}]},
    ]


async def test_a_version_is_logged_with_its_master(reader: Reader, sub: list[str]) -> None:
    last = await reader.last()
    answer = await reader.metadata.result("put", ["k", "{}", {"versioning": True}], sub)
    version_id = json.loads(answer)["versionId"]
    _, items = await reader.read(startSeq=last + 1)
    assert [item["entries"][0]["key"] for item in items] == ["k", f"k\0{version_id}"]


async def test_a_cursor_follows_the_log(reader: Reader, sub: list[str]) -> None:
    cursor = await reader.last() + 1
    seen: list[str] = []
    for group in ("abc", "", "defgh"):
        for name in group:
            await reader.metadata.result("put", [name, "{}", {}], sub)
        info, items = await reader.read(startSeq=cursor, limit=100)
        seen += [item["entries"][0]["key"] for item in items]
        cursor = (info["end"] or cursor - 1) + 1
    assert "".join(seen) == "abcdefgh"


async def test_many_records_come_in_several_packets(reader: Reader, sub: list[str]) -> None:
    last = await reader.last()
    operations = [
        {"type": "put", "subLevel": sub, "key": f"{number:04}", "value": "{}"}
        for number in range(1000)
    ]
    await reader.metadata.result("batch", [operations], [])
    info, items = await reader.read(startSeq=last + 1)
    assert info == {"start": last + 1, "end": last + 1000}
    assert [item["entries"][0]["key"] for item in items] == [op["key"] for op in operations]


async def test_a_range_is_read(reader: Reader, sub: list[str]) -> None:
    last = await reader.last()
    for name in "abcd":
        await reader.metadata.result("put", [name, "{}", {}], sub)
    info, items = await reader.read(startSeq=last + 2, endSeq=last + 3)
    assert info == {"start": last + 2, "end": last + 3}
    assert [item["entries"][0]["key"] for item in items] == ["b", "c"]
    assert await reader.read(startSeq=last + 5) == ({"start": None, "end": None}, [])


async def test_the_other_methods_answer(reader: Reader) -> None:
    ((error), *rest) = await reader.reply("pruneRecords", {})
    assert (error["type"], error["code"], rest) == ("NotImplemented", 501, [])
    operation = {"type": "del", "prefix": ["b"], "key": "k"}
    none, (shown,) = await reader.reply("createLogRecordOps", [operation])
    assert none is None
    assert shown["prefix"] == ["..recordLogs", LOG]
    assert int(shown["key"]) == await reader.last() + 1


async def test_wrong_calls_are_answered(reader: Reader) -> None:
    for options, log_name in (({"startSeq": "x"}, LOG), ("options", LOG), ({}, "a!b")):
        (error,) = await reader.reply("readRecords", options, log_name=log_name)
        assert error["type"] == "InvalidArgument"
    info, _ = await reader.read(limit=0)
    assert info == {"start": None, "end": None}


# -- frames ---------------------------------------------------------------------------------------


@pytest.fixture
async def raw_log(logged_daemon: MetadataProcess) -> AsyncIterator[RawClient]:
    async with raw_client(logged_daemon.port) as raw:
        await raw.join(NAMESPACE)
        yield raw


async def frame(raw: RawClient, arguments: str) -> str:
    """The acknowledgement of a call."""
    await raw.send(f"42{NAMESPACE},9{arguments}")
    return (await raw.next()).removeprefix(f"43{NAMESPACE},9")


async def test_both_namespaces_share_a_connection(raw_log: RawClient) -> None:
    await raw_log.call(1, "getUUID", [], [])
    assert (await raw_log.next()).startswith("43/MDFile/metadata,1[null,")
    assert await frame(
        raw_log, '["call","getManifest",{"rpcArgs":[],"logName":"s3-recordlog"}]'
    ) == (
        '[null,{"apiVersion":"1.0","api":[{"name":"createLogRecordOps"},{"name":"pruneRecords"},'
        '{"name":"readRecords"}]}]'
    )


async def test_the_frames_of_an_empty_log(raw_log: RawClient) -> None:
    text = await frame(raw_log, '["call","readRecords",{"rpcArgs":[{}],"logName":"empty"}]')
    match = re.fullmatch(
        r'\[null,\{"info":\{"start":null,"end":null\},'
        r'"log":\{"\$streamId":"([0-9a-f-]{36})","readable":true,"writable":false\}\}\]',
        text,
    )
    assert match is not None
    assert re.fullmatch(
        rf'42{NAMESPACE},\d+\["stream-end",\{{"streamId":"{match[1]}"\}}\]', await raw_log.next()
    )


@pytest.mark.parametrize(
    "arguments", ['["call","readRecords"]', '["call","readRecords",{"rpcArgs":[],"logName":5}]']
)
async def test_a_malformed_call_is_one_invalid_argument(raw_log: RawClient, arguments: str) -> None:
    (error,) = json.loads(await frame(raw_log, arguments))
    assert error["type"] == "InvalidArgument"


async def test_without_a_log_there_is_no_namespace(daemon: MetadataProcess) -> None:
    async with raw_client(daemon.port) as raw:
        await raw.send(f"40{NAMESPACE},")
        assert (await raw.next()).startswith(f"44{NAMESPACE},")


# -- over restarts --------------------------------------------------------------------------------


async def test_a_cursor_is_good_over_a_restart_and_refused_after_a_gap(
    tmp_path: Path, sub: list[str]
) -> None:
    async def change_and_read(start: int | None, record_log: dict[str, Any]) -> Any:
        with metadata_process(tmp_path, record_log) as running:
            async with connect("python", running, ["websocket"]) as metadata:
                await metadata.result("put", ["k", "{}", {}], sub)
                if start is None:
                    return None
                async with connect("python", running, ["websocket"], NAMESPACE) as log:
                    reader = Reader(log, metadata)
                    return (await reader.reply("readRecords", {"startSeq": start}))[-1]

    on = {"enabled": True}
    assert (await change_and_read(1, on))["info"] == {"start": 1, "end": 1}
    assert (await change_and_read(1, on))["info"] == {"start": 1, "end": 2}
    assert await change_and_read(None, {"enabled": False}) is None
    error = await change_and_read(3, on)
    assert (error["type"], error["code"]) == ("RecordsTrimmed", 410)
    assert (error["firstSeq"], error["lastSeq"]) == ("4", "4")
