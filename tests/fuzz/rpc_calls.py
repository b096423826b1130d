"""Calls of the metadata RPC as Socket.IO packets: right in most things, and wrong in some."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final

from tests.fuzz import odd

NAMESPACE: Final = "/MDFile/metadata"
RECORD_LOG_NAMESPACE: Final = "/MDFile/recordLog"
SUB_LEVELS: Final[Sequence[list[str]]] = (
    *(["fuzz"], ["fuzz", "a"], ["mpuShadowBucketfuzz"], ["..deletions"], []),
)
_KEYS: Final = ("a", "b", "b/c", "overview..|..a..|..1", "1..|..00001", "ä", "x" * 1024)
_METHODS: Final = (
    *("createReadStream", "rawListKeys", "getUUID", "put", "del", "get", "getDiskUsage"),
    *("getMany", "batch", "list", "getManifest"),
)
_LISTINGS: Final = (
    *("Delimiter", "DelimiterMaster", "DelimiterVersions", "MPU", "Basic", "DelimiterCurrent"),
    *("DelimiterNonCurrent", "DelimiterOrphanDeleteMarker"),
)
_RATE = 0.08

versions: Final[deque[str]] = deque(["null", "", "98" + "0" * 12 + "RG001  1.1"], 40)
"""IDs that versions may have; whoever reads answers adds those that it sees."""


def frame(chance: Random, number: int) -> str:
    """A packet: mostly a call, or several in one event, with a number for its answer."""
    kind = chance.randrange(40)
    if kind < 28:
        arguments: list[Any] = ["call", *_call(chance)]
    elif kind < 36:
        arguments = ["batch", [_call(chance) for _ in range(chance.choice((0, 1, 3, 20)))]]
    elif kind == 36:
        arguments = ["stream-hangup", odd.pick(chance, [{"streamId": "x"}], odd.value, 0.5)]
    elif kind == 37:
        arguments = [odd.json_text(chance), odd.value(chance)]
    else:
        arguments = odd.pick(chance, [["call"], ["call", "get"], ["batch", 1], []], _array, 0.5)
    text = json.dumps(arguments, separators=(",", ":"))
    namespace = NAMESPACE
    if kind == 39:
        namespace = chance.choice((RECORD_LOG_NAMESPACE, "/", "/nowhere"))
    packet = f"42{namespace},{number}{text}"
    if chance.random() < 0.02:
        # Attachments are announced, and come or do not.
        packet = f"45{chance.randrange(4)}-{namespace},{number}{text}"
    elif chance.random() < 0.04:
        bad = odd.damaged(chance, packet.encode("utf-8", "surrogatepass"))
        packet = bad.decode("utf-8", "replace").replace("\x1e", "")
        # One that says goodbye, or leaves the namespace, would end the campaign's connection.
        return f"4{packet}" if packet[:1] not in "45" or packet[:2] == "41" else packet
    return packet


def record_log_frame(chance: Random, number: int) -> str:
    """A call to the record log."""
    name = odd.pick(
        chance, ("readRecords", "createLogRecordOps", "pruneRecords"), odd.json_text, _RATE
    )
    wanted = {
        key: _count(chance) for key in ("startSeq", "endSeq", "limit") if chance.random() < 0.8
    }
    operations = [{"type": "put", "prefix": ["a"], "key": "b", "value": "{}"}]
    likely: tuple[Any, ...] = ([wanted], [operations], [])
    params = {"rpcArgs": odd.pick(chance, likely, odd.value, 0.2), "logName": "main"}
    text = json.dumps(["call", name, _with_odd_members(chance, params)], separators=(",", ":"))
    return f"42{RECORD_LOG_NAMESPACE},{number}{text}"


def _array(chance: Random) -> list[Any]:
    return [odd.value(chance) for _ in range(chance.randrange(5))]


def _call(chance: Random) -> list[Any]:
    name = odd.pick(chance, _METHODS, odd.json_text, 0.03)
    make = _ARGUMENTS.get(name, _array)
    params: dict[str, Any] = {
        "rpcArgs": odd.pick(chance, (make(chance),), odd.value, _RATE / 2),
        "subLevel": _sub_level(chance),
    }
    if chance.random() < 0.2:
        params["reqUids"] = odd.json_text(chance)
    if chance.random() < 0.3:
        # Few of them, so that they come again, with other methods and other arguments.
        params["operationId"] = odd.pick(
            chance, [str(number) for number in range(200)], odd.value, _RATE
        )
    if chance.random() < 0.1:
        params["notAfterMs"] = odd.pick(chance, (1e15, 0, -1, 10**400), odd.value, 0.3)
    return [name, _with_odd_members(chance, params)]


def _with_odd_members(chance: Random, members: dict[str, Any]) -> Any:
    if chance.random() < 0.02:
        return odd.value(chance)
    if chance.random() < 0.04:
        members[chance.choice((*members, "x"))] = odd.value(chance)
    return members


def _sub_level(chance: Random) -> Any:
    return odd.pick(chance, SUB_LEVELS, odd.value, 0.04)


def _key(chance: Random) -> Any:
    return odd.pick(chance, _KEYS, odd.json_text if chance.random() < 0.7 else odd.value, _RATE)


def _count(chance: Random) -> Any:
    return odd.pick(chance, (0, 1, 10, 1000, -1), odd.value, 0.15)


def _record(chance: Random) -> Any:
    if chance.random() < 0.15:
        return odd.pick(chance, ("", "{}", "[]", "null", "{", "1"), odd.value, 0.3)
    members: dict[str, Any] = {
        "content-length": 1,
        "content-md5": "d41d8cd98f00b204e9800998ecf8427e",
        "last-modified": "2026-01-02T03:04:05.678Z",
        "owner-id": "o",
        "owner-display-name": "O",
        "x-amz-storage-class": "STANDARD",
        "location": [{"key": "0" * 40, "size": 1, "start": 0, "dataStoreName": "us-east-1"}],
        "tags": {"a": "b"},
        "dataStoreName": "us-east-1",
        "initiated": "2026-01-02T03:04:05.678Z",
        "eventualStorageBucket": "fuzz",
    }
    for name in chance.sample(sorted(members), 2):
        if chance.random() < 0.2:
            members[name] = odd.value(chance)
    for name in ("versionId", "isNull", "isDeleteMarker", "isPHD", "isNull2"):
        if chance.random() < 0.15:
            members[name] = odd.pick(chance, (True, False, *versions), odd.value, 0.1)
    if chance.random() < 0.01:
        members["padding"] = "p" * 100_000
    return json.dumps(members)


def _options(chance: Random) -> Any:
    if chance.random() < 0.3:
        return odd.pick(chance, (None, {}), odd.value, 0.1)
    options: dict[str, Any] = {}
    for name, likely in (
        ("versioning", (True, False, "")),
        ("versionId", tuple(versions)),
        ("isNull", (True, False)),
        ("deleteNullKey", (True,)),
        ("returnPrevious", (True,)),
    ):
        if chance.random() < 0.3:
            options[name] = odd.pick(chance, likely, odd.value, _RATE)
    return options


def _bounds(chance: Random) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name in ("gt", "gte", "lt", "lte", "start", "end"):
        if chance.random() < 0.15:
            options[name] = _key(chance)
    for name in ("reverse", "keys", "values"):
        if chance.random() < 0.15:
            options[name] = odd.pick(chance, (True, False), odd.value, _RATE)
    if chance.random() < 0.3:
        options["limit"] = _count(chance)
    return options


def _addressed(chance: Random) -> dict[str, Any]:
    return {"subLevel": _sub_level(chance), "key": _key(chance)}


def _requirement(chance: Random) -> Any:
    form: dict[str, Any] = chance.choice(
        (
            {"revision": chance.choice((0, 1, -1, 2**63, 2**64, 1.5, True))},
            {"absent": True},
            {"present": True},
            {"isNull": False},
            {"empty": _bounds(chance)},
        )
    )
    return _with_odd_members(chance, {**_addressed(chance), **form})


def _operation(chance: Random) -> Any:
    entry = {**_addressed(chance), "type": odd.pick(chance, ("put", "del"), odd.value, _RATE)}
    if entry["type"] == "put":
        entry["value"] = _record(chance)
    if chance.random() < 0.4:
        entry["options"] = _options(chance)
    if chance.random() < 0.3:
        entry["release"] = odd.pick(chance, (True,), odd.value, _RATE)
    return _with_odd_members(chance, entry)


def _batch(chance: Random) -> list[Any]:
    operations = [_operation(chance) for _ in range(chance.choice((0, 1, 1, 2, 5, 40)))]
    options: dict[str, Any] = {}
    if chance.random() < 0.3:
        options["requires"] = [_requirement(chance) for _ in range(chance.choice((0, 1, 2)))]
    if chance.random() < 0.3:
        options["returnPrevious"] = True
    return [operations, _with_odd_members(chance, options)]


def _listing(chance: Random) -> list[Any]:
    params: dict[str, Any] = {"type": odd.pick(chance, _LISTINGS, odd.value, _RATE)}
    for name in ("prefix", "delimiter", "marker", "keyMarker", "filterKey", "filterKeyStartsWith"):
        if chance.random() < 0.25:
            params[name] = odd.pick(chance, ("", "a", "b", "/", "b/"), odd.value, _RATE)
    for name in ("maxKeys", "maxScannedLifecycleListingEntries"):
        if chance.random() < 0.5:
            params[name] = _count(chance)
    for name, likely in (
        ("versionIdMarker", tuple(versions)),
        ("uploadIdMarker", ("1", "")),
        ("beforeDate", ("2026-01-02T03:04:05.678Z", *odd.DATES)),
        ("excludedDataStoreName", ("us-east-1",)),
        ("within", (True, False)),
    ):
        if chance.random() < 0.3:
            params[name] = odd.pick(chance, likely, odd.value, _RATE)
    return [{**params, **_bounds(chance)} if params["type"] == "Basic" else params]


_ARGUMENTS: Final[Mapping[str, Callable[[Random], list[Any]]]] = {
    "createReadStream": lambda chance: [_bounds(chance)],
    "rawListKeys": lambda chance: [_bounds(chance)],
    "put": lambda chance: [_key(chance), _record(chance), _options(chance)],
    "del": lambda chance: [_key(chance), _options(chance)],
    "get": lambda chance: [_key(chance), _options(chance)],
    "getMany": lambda chance: [[_addressed(chance) for _ in range(chance.randrange(4))]],
    "batch": _batch,
    "list": _listing,
}
