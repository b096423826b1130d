"""The methods of the metadata service, one by one, without a socket."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dmd.hold import deletions_held
from dmd.metadata import record_keys
from dmd.metadata.commit import CommitSettings
from dmd.metadata.engines.base import EngineFatalError
from dmd.metadata.engines.memory import MemoryEngine
from dmd.metadata.metadata_service import MetadataService
from dmd.metadata.pages import Stream
from dmd.metadata.writer import Writer
from shared import limits, version_id
from shared.errors import ServiceError
from shared.rpc.envelope import Call
from shared.version_id import TICKS_PER_MILLISECOND
from tests.unit.dmd.metadata.support import RecordingLog

UUID = "d300da26-03c1-4a56-a2e0-65aee683b485"
EMOJI = "\U0001f600"


class Daemon:
    """A service over memory, called as the RPC would call it."""

    def __init__(self, path: Path) -> None:
        self.engine = MemoryEngine()
        self.writer = Writer(self.engine, RecordingLog(), _unexpected)
        self.service = MetadataService(self.engine, self.writer, UUID, path)

    async def call(self, name: str, *arguments: Any, sub: list[str] | None = None) -> Any:
        sub_level = ["b1"] if sub is None else sub
        return await self.service.call(Call(name, list(arguments), sub_level, None))

    async def refusal(self, name: str, *arguments: Any, sub: list[str] | None = None) -> str:
        """The name of the error that a call ends with."""
        with pytest.raises(ServiceError) as caught:
            await self.call(name, *arguments, sub=sub)
        return caught.value.code

    async def answer(self, name: str, *arguments: Any) -> str:
        """What a call returns or is refused with, as text."""
        try:
            return str(await self.call(name, *arguments))
        except ServiceError as error:
            return str(error)

    async def pages(self, name: str, *arguments: Any, sub: list[str] | None = None) -> list[Any]:
        stream = await self.call(name, *arguments, sub=sub)
        assert isinstance(stream, Stream)
        return list(stream.pages)

    async def items(self, *arguments: Any, sub: list[str] | None = None) -> list[Any]:
        """All items of createReadStream."""
        pages = await self.pages("createReadStream", *arguments, sub=sub)
        return [item for page in pages for item in page]

    async def fill(self, *names: str) -> None:
        for name in names:
            await self.call("put", name, f"value of {name}", {})


def _unexpected(error: EngineFatalError) -> None:
    raise AssertionError(error)


def put(key: str, value: str = "{}", sub: str = "b1") -> dict[str, Any]:
    return {"type": "put", "subLevel": [sub], "key": key, "value": value}


def delete(key: str, sub: str = "b1") -> dict[str, Any]:
    return {"type": "del", "subLevel": [sub], "key": key}


def read(key: str, sub: str = "b1") -> dict[str, Any]:
    return {"subLevel": [sub], "key": key}


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    made = Daemon(tmp_path)
    yield made
    await made.writer.close()


# -- getManifest, getUUID, getDiskUsage ---------------------------------------------------------


async def test_the_manifest_lists_every_method_but_itself(daemon: Daemon) -> None:
    manifest = await daemon.call("getManifest")
    assert manifest["apiVersion"] == "1.0"
    names = [entry["name"] for entry in manifest["api"]]
    assert names[:7] == [
        "createReadStream",
        "rawListKeys",
        "getUUID",
        "put",
        "del",
        "get",
        "getDiskUsage",
    ]
    assert set(names[7:]) == {"getMany", "batch", "list"}


async def test_every_listing_of_the_manifest_exists(daemon: Daemon) -> None:
    manifest = await daemon.call("getManifest")
    assert {"DelimiterMaster", "MPU", "DelimiterOrphanDeleteMarker"} <= set(manifest["listings"])
    for name in manifest["listings"]:
        assert await daemon.call("list", {"type": name}) is not None


async def test_every_method_of_the_manifest_exists(daemon: Daemon) -> None:
    manifest = await daemon.call("getManifest")
    refusals = [await daemon.answer(entry["name"]) for entry in manifest["api"]]
    assert not any("unknown method" in refusal for refusal in refusals)


@pytest.mark.parametrize("name", ["", "getmanifest", "call", "_get", "__init__", "nonsense"])
async def test_an_unknown_method_is_an_invalid_argument(daemon: Daemon, name: str) -> None:
    assert await daemon.refusal(name) == "InvalidArgument"


async def test_the_uuid_is_that_of_the_deployment(daemon: Daemon) -> None:
    assert await daemon.call("getUUID") == UUID


async def test_the_disk_usage_is_in_bytes(daemon: Daemon) -> None:
    usage = await daemon.call("getDiskUsage")
    assert set(usage) == {"available", "free", "total"}
    assert 0 < usage["available"] <= usage["free"] <= usage["total"]


async def test_the_disk_usage_of_memory_is_nothing(daemon: Daemon) -> None:
    in_memory = MetadataService(daemon.engine, daemon.writer, UUID, None)
    usage = await in_memory.call(Call("getDiskUsage", [], [], None))
    assert usage == {"available": 0, "free": 0, "total": 0}


# -- put, get, del ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["k", "", "\0", "k\0version", EMOJI, "a/b c%20+", "!#", "é" * 100, "k" * 1974]
)
async def test_a_value_is_read_back_under_its_key(daemon: Daemon, key: str) -> None:
    assert await daemon.call("put", key, '{"a":1}', {}) is None
    assert await daemon.call("get", key, {}) == '{"a":1}'


@pytest.mark.parametrize("value", ["", "no json", "\0", EMOJI, " {} ", "x" * 1_000_000])
async def test_a_value_is_any_text_and_kept_as_it_is(daemon: Daemon, value: str) -> None:
    await daemon.call("put", "k", value, {})
    assert await daemon.call("get", "k", {}) == value


async def test_a_key_belongs_to_its_sub_level(daemon: Daemon) -> None:
    await daemon.call("put", "k", "one", {}, sub=["b1"])
    await daemon.call("put", "k", "deep", {}, sub=["b1", "deep"])
    await daemon.call("put", "k", "root", {}, sub=[])
    assert await daemon.call("get", "k", {}, sub=["b1"]) == "one"
    assert await daemon.call("get", "k", {}, sub=["b1", "deep"]) == "deep"
    assert await daemon.call("get", "k", {}, sub=[]) == "root"
    assert await daemon.refusal("get", "k", {}, sub=["b2"]) == "ObjNotFound"


async def test_an_absent_key_is_not_found(daemon: Daemon) -> None:
    assert await daemon.refusal("get", "k", {}) == "ObjNotFound"


async def test_a_deleted_key_is_not_found(daemon: Daemon) -> None:
    await daemon.fill("k")
    assert await daemon.call("del", "k", {}) is None
    assert await daemon.refusal("get", "k", {}) == "ObjNotFound"


async def test_deleting_an_absent_key_succeeds(daemon: Daemon) -> None:
    assert await daemon.call("del", "k", {}) is None


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("put", ["k", "{}"]),
        ("put", ["k", "{}", None]),
        ("put", ["k", "{}", {"unknown": 1, "sync": True, "replayId": "x"}, "more"]),
        ("put", ["k", "{}", {"versioning": None, "versionId": None}]),
        ("put", ["k", "{}", {"versioning": False, "isNull": False, "deleteNullKey": False}]),
        ("get", ["k"]),
        ("get", ["k", None]),
        ("get", ["k", {"unknown": 1}]),
        ("del", ["k"]),
        ("del", ["k", None]),
    ],
)
async def test_options_that_mean_nothing_are_ignored(
    daemon: Daemon, name: str, arguments: list[Any]
) -> None:
    await daemon.fill("k")
    await daemon.call(name, *arguments)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("put", []),
        ("put", ["k"]),
        ("put", ["k", None, {}]),
        ("put", ["k", {"a": 1}, {}]),
        ("put", [None, "{}", {}]),
        ("put", [1, "{}", {}]),
        ("put", ["k", "{}", "options"]),
        ("put", ["k", "{}", []]),
        ("put", ["k", "a\ud800", {}]),
        ("put", ["k\ud800", "{}", {}]),
        ("get", []),
        ("get", [None]),
        ("get", [["k"]]),
        ("get", ["k", 1]),
        ("get", ["k\ud800"]),
        ("del", []),
        ("del", [{}]),
        ("del", ["k", "options"]),
        ("createReadStream", ["options"]),
        ("createReadStream", [{"gt": 5}]),
        ("createReadStream", [{"lt": "\ud800"}]),
        ("rawListKeys", [7]),
        ("rawListKeys", [{"gte": []}]),
        ("getMany", []),
        ("getMany", [{}]),
        ("getMany", [["k"]]),
        ("getMany", [[{"key": "k"}]]),
        ("getMany", [[{"subLevel": ["b1"]}]]),
        ("getMany", [[{"subLevel": "b1", "key": "k"}]]),
        ("getMany", [[{"subLevel": [1], "key": "k"}]]),
        ("batch", []),
        ("batch", ["operations"]),
        ("batch", [[None]]),
        ("batch", [[{"type": "put", "subLevel": ["b1"], "key": "k"}]]),
        ("batch", [[{"type": "put", "subLevel": ["b1"], "key": "k", "value": 1}]]),
        ("batch", [[{"type": "move", "subLevel": ["b1"], "key": "k"}]]),
        ("batch", [[{"type": "del", "key": "k"}]]),
        ("batch", [[{"type": "del", "subLevel": ["b1"], "key": "k", "options": "versioning"}]]),
        ("batch", [[], "options"]),
        ("batch", [[], {"requires": {}}]),
        ("batch", [[], {"requires": [{}]}]),
    ],
)
async def test_malformed_arguments_are_refused(
    daemon: Daemon, name: str, arguments: list[Any]
) -> None:
    assert await daemon.refusal(name, *arguments) == "InvalidArgument"


@pytest.mark.parametrize("name", ["put", "createReadStream"])
async def test_a_sub_level_with_a_mark_in_its_name_is_refused(daemon: Daemon, name: str) -> None:
    first = {} if name == "createReadStream" else "k"
    assert await daemon.refusal(name, first, "{}", sub=["a!b"]) == "InvalidArgument"


@pytest.mark.parametrize("name", ["put", "get", "del"])
async def test_a_key_beyond_the_limit_of_the_engine_is_too_long(daemon: Daemon, name: str) -> None:
    arguments = ["k" * 1975, "{}"][: 2 if name == "put" else 1]
    assert await daemon.refusal(name, *arguments) == "KeyTooLongError"


# -- versions -----------------------------------------------------------------------------------

OLD = "98204666944465999998RG001  "
NEW = "98204666944465999990RG001  "
PLACEHOLDER = '{ "isPHD": true, "versionId": "98204666944465999980RG001  7" }'


async def version(daemon: Daemon, key: str, value: str, **options: Any) -> str:
    """Put with options; the version ID of the answer."""
    answer = await daemon.call("put", key, value, options)
    return str(json.loads(answer)["versionId"])


async def test_a_new_version_is_the_master_too(daemon: Daemon) -> None:
    answer = await daemon.call("put", "k", '{"n":1}', {"versioning": True})
    match = re.fullmatch(r'\{"versionId":"(\d{20}RG001  0)"\}', answer)
    assert match is not None
    version_id = match[1]
    value = f'{{"n":1,"versionId":"{version_id}"}}'
    assert await daemon.items() == [
        {"key": "k", "value": value},
        {"key": f"k\0{version_id}", "value": value},
    ]


async def test_each_version_is_read_by_its_id(daemon: Daemon) -> None:
    first = await version(daemon, "k", '{"n":1}', versioning="")
    second = await version(daemon, "k", '{"n":2}', versioning=True)
    assert second < first
    assert json.loads(await daemon.call("get", "k", {"versionId": first}))["n"] == 1
    assert json.loads(await daemon.call("get", "k", {"versionId": second}))["n"] == 2
    assert json.loads(await daemon.call("get", "k", {"versionId": ""}))["n"] == 2
    assert await daemon.refusal("get", "k", {"versionId": "x"}) == "ObjNotFound"
    assert await daemon.refusal("get", "k", {"versionId": "null"}) == "ObjNotFound"


async def test_the_null_key_is_read_by_its_name(daemon: Daemon) -> None:
    assert await daemon.call("put", "k", "any text", {"versionId": "null"}) == (
        '{"versionId":"null"}'
    )
    assert await daemon.call("get", "k", {"versionId": "null"}) == "any text"
    assert await daemon.refusal("get", "k") == "ObjNotFound"


async def test_the_version_before_is_the_master_when_a_deletion_is_answered(
    daemon: Daemon,
) -> None:
    first = await version(daemon, "k", '{"n":1}', versioning=True)
    second = await version(daemon, "k", '{"n":2}', versioning=True)
    answer = await daemon.call("del", "k", {"versionId": second})
    assert answer == f'{{"versionId":"{second}"}}'
    value = f'{{"n":1,"versionId":"{first}"}}'
    assert await daemon.items({"keys": False}) == [value, value]
    await daemon.call("del", "k", {"versionId": first})
    assert await daemon.items() == []


@pytest.mark.parametrize("method", ["get", "getMany"])
async def test_a_placeholder_is_replaced_when_it_is_read(daemon: Daemon, method: str) -> None:
    await daemon.call("put", f"k\0{NEW}", '{"n":2}', {})
    await daemon.call("put", f"k\0{OLD}", '{"n":1}', {})
    await daemon.call("put", "k", PLACEHOLDER, {})
    if method == "get":
        assert await daemon.call("get", "k") == '{"n":2}'
    else:
        found = await daemon.call("getMany", [read("k"), read("other")])
        assert found == [{"value": '{"n":2}', "revision": 4}, None]
    assert await daemon.items({"values": False, "limit": 1}) == ["k"]
    assert (await daemon.items({"keys": False}))[0] == '{"n":2}'


@pytest.mark.parametrize("method", ["get", "getMany"])
async def test_a_placeholder_of_nothing_is_removed_when_it_is_read(
    daemon: Daemon, method: str
) -> None:
    await daemon.call("put", "k", PLACEHOLDER, {})
    if method == "get":
        assert await daemon.refusal("get", "k") == "ObjNotFound"
    else:
        assert await daemon.call("getMany", [read("k")]) == [None]
    assert await daemon.items() == []


async def test_the_id_of_the_replication_group_is_part_of_a_version_id(daemon: Daemon) -> None:
    settings = CommitSettings(replication_group_id="PARIS", version_info=False)
    writer = Writer(daemon.engine, RecordingLog(), _unexpected, settings)
    service = MetadataService(daemon.engine, writer, UUID, None)
    call = Call("put", ["k", "{}", {"versioning": True}], ["b1"], None)
    assert re.fullmatch(r'\{"versionId":"\d{20}PARIS  "\}', await service.call(call))
    await writer.close()


async def test_a_batch_answers_with_the_version_ids(daemon: Daemon) -> None:
    old = await version(daemon, "old", "{}", versioning=True)
    operations = [
        {**put("k", '{"n":1}'), "options": {"versioning": True}},
        put("plain"),
        {**delete("old"), "options": {"versionId": old}},
        {**put("k", '{"n":2}'), "options": {"versionId": ""}},
        {**put("k"), "options": None},
    ]
    result = await daemon.call("batch", operations)
    made, _, deleted, suspended, _ = result["versionIds"]
    assert result["versionIds"] == [made, None, old, suspended, None]
    assert result["revisions"] == [2, 3, None, 4, 5]
    assert deleted == old
    assert suspended < made < old
    assert await daemon.items({"values": False}) == ["k", f"k\0{made}", "plain"]


async def test_a_batch_without_versions_has_no_version_ids(daemon: Daemon) -> None:
    assert set(await daemon.call("batch", [put("k")])) == {"revisions"}


async def test_a_refused_batch_makes_no_version(daemon: Daemon) -> None:
    operation = {**put("k"), "options": {"versioning": True}}
    requires = [{**read("k"), "present": True}]
    assert await daemon.refusal("batch", [operation], {"requires": requires}) == (
        "PreconditionFailed"
    )
    assert await daemon.items() == []


async def test_a_batch_returns_the_versions_that_it_replaced_or_removed(daemon: Daemon) -> None:
    first = await version(daemon, "k", '{"n":1}', versioning=True)
    second = await version(daemon, "k", '{"n":2}', versioning=True)
    null = await version(daemon, "null", '{"n":0}', versionId="")
    operations = [
        {**put("k", '{"n":3}'), "options": {"versioning": True}},
        {**delete("k"), "options": {"versionId": first}},
        {**put("k", '{"n":4}'), "options": {"versionId": second}},
        {**delete("null"), "options": {"versionId": null}},
        {**delete("k"), "options": {"versionId": "null"}},
    ]
    result = await daemon.call("batch", operations, {"returnPrevious": True})
    previous = [entry and json.loads(entry["value"])["n"] for entry in result["previous"]]
    assert previous == [2, 1, 2, 0, None]


async def test_a_deleted_version_of_a_batch_gives_up_its_data(daemon: Daemon) -> None:
    record = json.dumps({"location": [{"key": "data", "dataStoreName": "here"}]})
    made = await version(daemon, "k", record, versioning=True)
    operation = {**delete("k"), "options": {"versionId": made}, "release": True}
    await daemon.call("batch", [operation])
    (entry,) = await daemon.items({"keys": False}, sub=["..deletions"])
    assert json.loads(entry) == {"location": [{"key": "data", "dataStoreName": "here"}]}


@pytest.mark.parametrize(
    "options",
    [
        {"versionId": 1},
        {"versionId": True},
        {"versionId": []},
        {"versionId": "\ud800"},
    ],
)
@pytest.mark.parametrize("name", ["put", "get", "del"])
async def test_a_version_id_that_is_no_text_is_refused(
    daemon: Daemon, name: str, options: dict[str, Any]
) -> None:
    arguments = ["k", "{}"][: 2 if name == "put" else 1]
    assert await daemon.refusal(name, *arguments, options) == "InvalidArgument"


@pytest.mark.parametrize("value", ["", "text", "[]", "{", "}", "null", "7"])
async def test_a_version_that_is_no_object_is_refused(daemon: Daemon, value: str) -> None:
    for options in ({"versioning": True}, {"versionId": ""}, {"versionId": OLD}):
        assert await daemon.refusal("put", "k", value, options) == "InvalidArgument"


async def test_a_null_mark_that_is_neither_true_nor_false_is_refused(daemon: Daemon) -> None:
    assert await daemon.refusal("put", "k", "{}", {"versionId": OLD, "isNull": "yes"}) == (
        "InvalidArgument"
    )


@pytest.mark.parametrize("name", ["put", "del"])
async def test_a_key_that_leaves_no_room_for_a_version_is_too_long(
    daemon: Daemon, name: str
) -> None:
    arguments = ["k" * 1911, "{}"][: 2 if name == "put" else 1]
    assert await daemon.refusal(name, *arguments, {"versionId": OLD}) == "KeyTooLongError"
    assert await daemon.refusal(name, "k", *arguments[1:], {"versionId": "x" * 1975}) == (
        "KeyTooLongError"
    )


async def test_version_ids_go_on_after_a_restart_with_a_clock_set_back(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await version(daemon, "k", "{}", versioning=True)
    restarted = Writer(daemon.engine, RecordingLog(), _unexpected)
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)
    service = MetadataService(daemon.engine, restarted, UUID, None)
    answers = [
        await service.call(Call("put", ["k", "{}", {"versioning": True}], ["b1"], None))
        for _ in range(2)
    ]
    second, third = (json.loads(answer)["versionId"] for answer in answers)
    assert third < second < first
    assert await daemon.call("get", "k") == f'{{"versionId":"{third}"}}'
    await restarted.close()


@pytest.mark.parametrize(("ahead_ms", "counts"), [(10**9, True), (10**14 - 1, False)])
async def test_a_version_is_newer_than_one_from_elsewhere_whose_clock_is_ahead(
    daemon: Daemon, ahead_ms: int, counts: bool
) -> None:
    now_ms = time.time_ns() // 10**6 if counts else 0
    given = version_id.make((now_ms + ahead_ms) * TICKS_PER_MILLISECOND, "RG002")
    await daemon.call("put", "k", f'{{"versionId":"{given}"}}', {"versionId": given})
    # An ID that no clock has made would leave no room for others.
    made = await version(daemon, "k", "{}", versioning=True)
    assert (made < given) is counts
    assert version_id.tick_of(made) is not None


# -- getMany ------------------------------------------------------------------------------------


async def test_get_many_reads_several_sub_levels_in_the_order_asked(daemon: Daemon) -> None:
    await daemon.call("put", "k", "in b1", {}, sub=["b1"])
    await daemon.call("put", "k", "in b2", {}, sub=["b2"])
    found = await daemon.call("getMany", [read("k", "b2"), read("x"), read("k"), read("k")])
    assert found == [
        {"value": "in b2", "revision": 2},
        None,
        {"value": "in b1", "revision": 1},
        {"value": "in b1", "revision": 1},
    ]


@pytest.mark.parametrize(
    ("known", "answer"),
    [(known, {"value": "new", "revision": 2}) for known in (0, 1, 3)] + [(2, {"same": True})],
)
async def test_a_record_that_is_known_is_not_told_again(
    daemon: Daemon, known: int, answer: dict[str, Any]
) -> None:
    for value in ("old", "new"):
        await daemon.call("put", "k", value, {})
    asked = {**read("k"), "ifRevisionNot": known}
    assert await daemon.call("getMany", [asked, read("k")]) == [
        answer,
        {"value": "new", "revision": 2},
    ]
    assert await daemon.call("get", "k", {"ifRevisionNot": known}) == answer.get("value", answer)


async def test_what_a_batch_appends_is_read_in_order(daemon: Daemon) -> None:
    operations = [
        {"type": "append", "subLevel": ["..queue"], "value": str(number)} for number in range(3)
    ]
    put = {"type": "put", "subLevel": ["bucket"], "key": "k", "value": "{}"}
    for _ in range(2):
        result = await daemon.call("batch", [*operations, put], {})
    keys = await daemon.items({"values": False}, sub=["..queue"])
    assert [key.partition(".")[2] for key in keys[3:]] == [
        f"{revision:020}" for revision in result["revisions"][:3]
    ]
    values = await daemon.items({"keys": False}, sub=["..queue"])
    assert values == ["0", "1", "2"] * 2
    assert "append" in (await daemon.call("getManifest"))["extensions"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "k"},
        {"release": True},
        {"options": {}},
        {"value": 5},
        {"subLevel": "queue"},
        {"subLevel": ["a!b"]},
    ],
)
async def test_an_append_with_more_or_less_is_refused(
    daemon: Daemon, wrong: dict[str, Any]
) -> None:
    operation = {"type": "append", "subLevel": ["..queue"], "value": "x", **wrong}
    assert await daemon.refusal("batch", [operation], {}) == "InvalidArgument"
    assert await daemon.items({"values": False}, sub=["..queue"]) == []


async def test_a_known_record_that_is_gone_is_not_there(daemon: Daemon) -> None:
    await daemon.fill("k")
    await daemon.call("del", "k", {})
    assert await daemon.call("getMany", [{**read("k"), "ifRevisionNot": 1}]) == [None]
    assert await daemon.refusal("get", "k", {"ifRevisionNot": 1}) == "ObjNotFound"


@pytest.mark.parametrize("revision", ["1", True, 1.0, [1]])
async def test_a_known_revision_is_a_number(daemon: Daemon, revision: Any) -> None:
    await daemon.fill("k")
    asked = {**read("k"), "ifRevisionNot": revision}
    assert await daemon.refusal("getMany", [asked]) == "InvalidArgument"
    assert await daemon.refusal("get", "k", {"ifRevisionNot": revision}) == "InvalidArgument"


async def test_a_version_that_is_known(daemon: Daemon) -> None:
    answer = await daemon.call("put", "k", "{}", {"versioning": True})
    options = {"versionId": json.loads(answer)["versionId"]}
    assert await daemon.call("get", "k", {**options, "ifRevisionNot": 1}) == {"same": True}
    assert await daemon.call("get", "k", {**options, "ifRevisionNot": 2}) != {"same": True}


async def test_get_many_of_nothing_is_nothing(daemon: Daemon) -> None:
    assert await daemon.call("getMany", []) == []


@pytest.mark.parametrize("method", ["getMany", "batch"])
async def test_an_array_is_accepted_up_to_its_limit(daemon: Daemon, method: str) -> None:
    entries = [{**read("k"), "type": "del"}] * (limits.BATCH_OPERATIONS_MAX + 1)
    await daemon.call(method, entries[1:])
    assert await daemon.refusal(method, entries) == "InvalidArgument"


async def test_requirements_are_accepted_up_to_their_limit(daemon: Daemon) -> None:
    requires = [{**read("k"), "absent": True}] * (limits.BATCH_REQUIREMENTS_MAX + 1)
    await daemon.call("batch", [], {"requires": requires[1:]})
    assert await daemon.refusal("batch", [], {"requires": requires}) == "InvalidArgument"


# -- batch --------------------------------------------------------------------------------------


async def test_a_batch_changes_several_sub_levels_at_once(daemon: Daemon) -> None:
    await daemon.fill("old")
    result = await daemon.call("batch", [put("a"), put("b", sub="b2"), delete("old")])
    assert result == {"revisions": [2, 3, None]}
    assert await daemon.items({"values": False}) == ["a"]
    assert await daemon.items({"values": False}, sub=["b2"]) == ["b"]


async def test_an_empty_batch_is_a_test_of_its_requirements(daemon: Daemon) -> None:
    assert await daemon.call("batch", [], {}) == {"revisions": []}
    requires = [{**read("k"), "present": True}]
    assert await daemon.refusal("batch", [], {"requires": requires}) == "PreconditionFailed"


async def test_a_batch_whose_requirements_hold_is_applied(daemon: Daemon) -> None:
    await daemon.fill("k")
    requires = [
        {**read("k"), "revision": 1},
        {**read("other"), "absent": True},
        {"subLevel": ["b2"], "empty": {}},
    ]
    result = await daemon.call("batch", [put("k", "new")], {"requires": requires})
    assert result == {"revisions": [2]}


async def test_a_batch_is_refused_with_the_index_of_what_does_not_hold(daemon: Daemon) -> None:
    await daemon.fill("k")
    requires = [{**read("k"), "present": True}, {**read("k"), "revision": 2}]
    with pytest.raises(ServiceError) as caught:
        await daemon.call("batch", [put("a"), delete("k")], {"requires": requires})
    assert caught.value.code == "PreconditionFailed"
    assert caught.value.fields == {"requirement": "1"}
    assert await daemon.items({"values": False}) == ["k"]


async def test_a_batch_with_one_malformed_operation_changes_nothing(daemon: Daemon) -> None:
    assert await daemon.refusal("batch", [put("a"), {"type": "put"}]) == "InvalidArgument"
    assert await daemon.items({}) == []


async def test_a_batch_returns_what_it_replaced_when_asked(daemon: Daemon) -> None:
    await daemon.fill("k")
    operations = [put("k", "new"), delete("k"), delete("absent"), put("fresh")]
    result = await daemon.call("batch", operations, {"returnPrevious": True})
    assert result == {
        "revisions": [2, None, None, 3],
        "previous": [
            {"value": "value of k", "revision": 1},
            {"value": "new", "revision": 2},
            None,
            None,
        ],
    }


async def test_a_put_gives_the_record_a_new_revision(daemon: Daemon) -> None:
    await daemon.fill("k", "k")
    assert (await daemon.call("getMany", [read("k")]))[0]["revision"] == 2


async def test_a_size_that_no_projection_can_hold_is_stored_all_the_same(daemon: Daemon) -> None:
    record = json.dumps({"content-length": 10**30})
    await daemon.call("put", "k", record, {})
    assert await daemon.call("get", "k") == record


# -- createReadStream, rawListKeys --------------------------------------------------------------


async def test_a_stream_has_keys_and_values_in_order(daemon: Daemon) -> None:
    await daemon.fill("b", "a", EMOJI, "\uffff", "a\0v", "é")
    assert await daemon.items() == [
        {"key": key, "value": f"value of {key}"} for key in ("a", "a\0v", "b", "é", "\uffff", EMOJI)
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (None, "abcde"),
        ({}, "abcde"),
        ({"gt": "b"}, "cde"),
        ({"gte": "b", "lt": "d"}, "bc"),
        ({"lte": "b"}, "ab"),
        ({"start": "b", "end": "d"}, "bcd"),
        ({"reverse": True}, "edcba"),
        ({"reverse": True, "start": "d", "end": "b"}, "dcb"),
        ({"reverse": True, "gt": "b", "limit": 2}, "ed"),
        ({"reverse": 1, "start": "d", "end": "b"}, "dcb"),
        ({"limit": 2}, "ab"),
        ({"limit": 0}, ""),
        ({"limit": -1}, "abcde"),
        ({"limit": None}, "abcde"),
        ({"limit": 100}, "abcde"),
        ({"gt": "e"}, ""),
        ({"gt": "d", "lt": "b"}, ""),
        ({"fillCache": False, "lastModified": "x"}, "abcde"),
    ],
)
async def test_a_stream_has_the_range_that_its_options_name(
    daemon: Daemon, options: dict[str, Any] | None, expected: str
) -> None:
    await daemon.fill(*"abcde")
    assert [item["key"] for item in await daemon.items(options)] == list(expected)


async def test_a_stream_without_values_is_of_keys(daemon: Daemon) -> None:
    await daemon.fill("a", "b")
    assert await daemon.items({"values": False}) == ["a", "b"]


async def test_a_stream_without_keys_is_of_values(daemon: Daemon) -> None:
    await daemon.fill("a", "b")
    assert await daemon.items({"keys": False}) == ["value of a", "value of b"]


async def test_an_empty_range_has_no_page(daemon: Daemon) -> None:
    assert await daemon.pages("createReadStream", {}) == []


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("limit", [None, 1, 199, 200, 201, 400, 450, 451])
async def test_pages_cover_a_long_range_once(
    daemon: Daemon, reverse: bool, limit: int | None
) -> None:
    names = [f"{number:04}" for number in range(450)]
    await daemon.call("batch", [put(name) for name in names])
    pages = await daemon.pages(
        "createReadStream", {"values": False, "reverse": reverse, "limit": limit}
    )
    assert all(0 < len(page) <= limits.STREAM_PACKET_ITEMS_MAX for page in pages)
    listed = [name for page in pages for name in page]
    assert listed == sorted(names, reverse=reverse)[:limit]


async def test_a_page_of_large_values_is_short(daemon: Daemon) -> None:
    for name in "abcd":
        await daemon.call("put", name, "x" * limits.STREAM_PACKET_BYTES_MAX, {})
    pages = await daemon.pages("createReadStream", {})
    assert [[item["key"] for item in page] for page in pages] == [["a"], ["b"], ["c"], ["d"]]


async def test_a_stream_holds_no_snapshot_between_its_pages(daemon: Daemon) -> None:
    names = [f"{number:04}" for number in range(limits.STREAM_PACKET_ITEMS_MAX + 1)]
    await daemon.call("batch", [put(name) for name in names])
    stream = await daemon.call("createReadStream", {"values": False})
    first = next(stream.pages)
    await daemon.call("batch", [delete(names[-1]), put("9998"), put("9999")])
    assert first == names[:-1]
    assert list(stream.pages) == [["9998", "9999"]]


async def test_a_stream_of_one_sub_level_has_nothing_of_another(daemon: Daemon) -> None:
    for sub in (["b1"], ["b10"], ["b1", "deep"], ["b"], []):
        await daemon.call("put", "k", "x", {}, sub=sub)
    assert await daemon.items({}) == [{"key": "k", "value": "x"}]


async def test_raw_keys_are_those_of_all_sub_levels(daemon: Daemon) -> None:
    await daemon.call("put", "k", "x", {}, sub=["b1"])
    await daemon.call("put", "k", "x", {}, sub=["x", "y"])
    await daemon.call("put", "k", "x", {}, sub=[])
    pages = await daemon.pages("rawListKeys", {}, sub=["whatever"])
    assert pages == [["!!k", "!b1!k", "!x#y!k"]]


async def test_raw_keys_may_be_bounded_and_limited(daemon: Daemon) -> None:
    await daemon.fill("a", "b", "c")
    assert await daemon.pages("rawListKeys", {"gt": "!b1!a", "limit": 1}) == [["!b1!b"]]


# -- damage -------------------------------------------------------------------------------------


@pytest.fixture
async def damaged(daemon: Daemon) -> Daemon:
    """A store whose record "k" does not match its checksum."""
    await daemon.fill("a", "k")
    key = record_keys.physical(["b1"], "k", daemon.engine.key_bytes_max)
    with daemon.engine.transaction() as transaction:
        value = transaction.get(key)
        assert value is not None
        transaction.put(key, value[:-1] + b"?")
    return daemon


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("get", ["k"]),
        ("getMany", [[read("a"), read("k")]]),
        ("getMany", [[{**read("k"), "ifRevisionNot": 1}]]),
        ("batch", [[delete("k")], {"returnPrevious": True}]),
        ("batch", [[], {"requires": [{**read("k"), "revision": 2}]}]),
    ],
)
async def test_a_damaged_record_is_an_internal_error(
    damaged: Daemon, name: str, arguments: list[Any]
) -> None:
    assert await damaged.refusal(name, *arguments) == "InternalError"


async def test_a_damaged_record_ends_a_stream_with_an_error(damaged: Daemon) -> None:
    stream = await damaged.call("createReadStream", {})
    with pytest.raises(ServiceError, match="InternalError"):
        list(stream.pages)


async def test_a_damaged_record_can_be_replaced(damaged: Daemon) -> None:
    await damaged.fill("k")
    assert await damaged.call("get", "k") == "value of k"


async def test_the_queue_of_deletions_is_shown_empty_while_they_are_held(
    daemon: Daemon, tmp_path: Path
) -> None:
    await daemon.call("put", "1", '{"location":[]}', sub=["..deletions"])
    with deletions_held(tmp_path):
        assert await daemon.items({}, sub=["..deletions"]) == []
        assert await daemon.call("get", "1", sub=["..deletions"]) == '{"location":[]}'
    assert len(await daemon.items({}, sub=["..deletions"])) == 1
