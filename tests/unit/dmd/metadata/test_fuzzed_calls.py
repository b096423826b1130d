"""Calls that no client of ours makes: each is answered or refused, none is an internal error."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from dmd.metadata.commit import CommitSettings
from dmd.metadata.engines.base import EngineFatalError
from dmd.metadata.engines.memory import MemoryEngine
from dmd.metadata.metadata_service import MetadataService
from dmd.metadata.record_log import RecordLogSettings
from dmd.metadata.record_log_namespace import RecordLogDispatcher
from dmd.metadata.record_log_service import RecordLogService
from dmd.metadata.writer import Writer
from dmd.rpc.dispatch import Dispatcher, Peer
from shared.rpc import codec
from shared.rpc.streams import StreamSettings
from tests.unit.dmd.metadata.support import RecordingLog

CALLS = 100_000 if os.environ.get("TWOFOLD_SOAK") else 1000
SEED = 20261128

_TEXTS = (
    "",
    "a",
    "b",
    "\0",
    "\ud800",
    "\U0010ffff",
    "!",
    "#",
    "a!b",
    "..deletions",
    "__metastore",
    "x" * 3000,
    "null",
    "ü",
    "98",
    "overview..|..k..|..id",
    "{}",
    '{"versionId":"98"}',
    "[]",
    "nul",
    '{"isPHD":true,"versionId":"1"}',
    '{"location":"text"}',
    '{"a":' * 400 + "1" + "}" * 400,
    '{"versionId":5,"isNull":"x","content-length":{},"last-modified":7,"location":[1]}',
    '{"isDeleteMarker":true,"originOp":3,"tags":[],"owner-id":false,"dataStoreName":{}}',
)
_NUMBERS = (0, -1, 1, 2, 3, 2**31, 2**63, 2**64, -(2**70), 10**400, 0.5, -0.0, 1e308)
_NAMES = (
    "versionId",
    "versioning",
    "isNull",
    "deleteNullKey",
    "gt",
    "gte",
    "lt",
    "lte",
    "start",
    "end",
    "limit",
    "reverse",
    "keys",
    "values",
    "type",
    "prefix",
    "delimiter",
    "marker",
    "keyMarker",
    "versionIdMarker",
    "uploadIdMarker",
    "maxKeys",
    "within",
    "beforeDate",
    "excludedDataStoreName",
    "maxScannedLifecycleListingEntries",
    "filterKey",
    "filterKeyStartsWith",
    "requires",
    "release",
    "returnPrevious",
    "options",
    "subLevel",
    "key",
    "value",
    "revision",
    "absent",
    "present",
    "empty",
    "startSeq",
    "endSeq",
)
_METHODS = (
    *("put", "del", "batch", "list", "createReadStream") * 4,
    *("get", "rawListKeys", "getMany", "readRecords", "createLogRecordOps") * 2,
    *("getUUID", "getDiskUsage", "getManifest", "pruneRecords", "nothing", ""),
)
_TYPES = (
    "Delimiter",
    "DelimiterMaster",
    "DelimiterVersions",
    "MPU",
    "Basic",
    "DelimiterCurrent",
    "DelimiterNonCurrent",
    "DelimiterOrphanDeleteMarker",
)


class Chance:
    """Makes arguments, some of them as they should be."""

    def __init__(self, seed: object) -> None:
        self._random = random.Random(str(seed))

    def one(self, choices: Any) -> Any:
        return self._random.choice(choices)

    def often(self) -> bool:
        return self._random.random() < 0.8

    def value(self, depth: int = 0) -> Any:
        kinds = ["text", "text", "number", "constant"] + ["object", "array"] * (depth < 3)
        match self.one(kinds):
            case "text":
                return self.one(_TEXTS)
            case "number":
                return self.one(_NUMBERS)
            case "constant":
                return self.one((None, True, False))
            case "object":
                return self.options(depth + 1)
        return [self.value(depth + 1) for _ in range(self.one((0, 1, 2, 5)))]

    def options(self, depth: int = 0) -> Any:
        return {self.one(_NAMES): self.value(depth + 1) for _ in range(self.one((0, 1, 2, 4)))}

    def sub_level(self) -> Any:
        return [self.one(("bucket", "mpuShadowBucketbucket", "__metastore", "..deletions"))]

    def text(self) -> Any:
        return self.one(_TEXTS) if self.often() else self.value()

    def operation(self) -> Any:
        return {
            "type": self.one(("put", "del")),
            "subLevel": self.sub_level(),
            "key": self.text(),
            "value": self.text(),
            **({} if self.often() else self.options()),
        }

    def requirement(self) -> Any:
        form = self.one(
            ({"revision": 1}, {"absent": True}, {"present": True}, {"isNull": False}, {"empty": {}})
        )
        return {"subLevel": self.sub_level(), "key": self.text(), **form}

    def arguments(self, method: str) -> Any:
        match method:
            case "put":
                return [self.text(), self.text(), self.options()]
            case "batch":
                operations = [self.operation() for _ in range(self.one((0, 1, 2, 7)))]
                requires = [self.requirement() for _ in range(self.one((0, 0, 1)))]
                return [operations, {"requires": requires, **self.options()}]
            case "getMany":
                return [[{"subLevel": self.sub_level(), "key": self.text()}] * self.one((0, 1, 3))]
            case "list":
                return [{"type": self.one(_TYPES), **self.options()}]
        return [self.text(), self.options()]

    def seldom(self) -> bool:
        return self._random.random() < 0.03

    def call(self) -> list[Any]:
        method = self.one(_METHODS)
        params = {
            "rpcArgs": self.value() if self.seldom() else self.arguments(method),
            "subLevel": self.value() if self.seldom() else self.sub_level(),
            "reqUids": self.text(),
        }
        if not self.often():
            params["operationId"] = self.one(("id-1", "id-2", "id-3", "id-4"))
        if self.seldom():
            params["operationId"] = self.one(("", "ü", 5, "x" * 200))
        if self.seldom():
            params["notAfterMs"] = self.one((*_NUMBERS, None, "x", float("nan"), float("inf")))
        if self.seldom():
            params["logName"] = self.value()
        return [self.value(), self.value()] if self.seldom() else [method, params]


class Client(Peer):
    """Takes whatever it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[Any] = []

    async def emit(self, event: str, payload: dict[str, Any], on_ack: Any) -> None:
        codec.encode((event, payload))
        if event == "stream-error":
            self.errors.append(payload["error"])
        if on_ack is not None:
            on_ack()

    def forget(self, producer: Any) -> None: ...


def unexpected(error: EngineFatalError) -> None:
    raise AssertionError(error)


class Fuzzed:
    """Both services, and what is wrong with their answers."""

    def __init__(self) -> None:
        self.log = RecordingLog()
        engine = MemoryEngine()
        record_log = RecordLogSettings("log")
        settings = CommitSettings(record_log=record_log)
        self.writer = Writer(engine, self.log, unexpected, settings)
        service = MetadataService(engine, self.writer, "uuid", None)
        log_service = RecordLogService(engine, record_log)
        stream = StreamSettings()
        self._dispatchers = (
            Dispatcher(service, stream, self.log),
            RecordLogDispatcher(log_service, stream, self.log),
        )
        self._client = Client()

    async def answer(self, chance: Chance) -> str | None:
        """Make a call; what is wrong with the answer."""
        call = chance.call()
        try:
            arguments = codec.loads(codec.encode(call))
        except (ValueError, TypeError):
            return None
        dispatcher = chance.one(self._dispatchers)
        reply = await dispatcher.answer(self._client, arguments)
        dispatcher.encode(reply)
        await dispatcher.drain(10)
        dispatcher._draining = False  # the next call is answered, too
        errors = [*([reply[0]] if reply[0] else []), *self._client.errors]
        self._client.errors.clear()
        wrong = [error for error in errors if error.get("code") == 500]
        return f"{call}: {wrong}" if wrong else None


@pytest.mark.parametrize("round_", range(4))
async def test_no_call_is_an_internal_error(round_: int) -> None:
    fuzzed = Fuzzed()
    wrong: list[str] = []
    for number in range(CALLS // 4):
        problem = await fuzzed.answer(Chance(f"{SEED} {round_} {number}"))
        if problem is not None:
            wrong.append(problem)
    await fuzzed.writer.close()
    assert not wrong, "\n".join(text[:600] for text in wrong[:10])
    assert not {"a call failed", "a mutation failed", "a stream failed"} & set(fuzzed.log.events)
