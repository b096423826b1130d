"""The log of changes: what is logged, what is trimmed, and what readers are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dmd.metadata import record_keys, record_log
from dmd.metadata.commit import CommitSettings, Committer
from dmd.metadata.engines.base import Engine, EngineError
from dmd.metadata.engines.lmdb import LmdbEngine
from dmd.metadata.engines.memory import KEY_BYTES_MAX, MemoryEngine
from dmd.metadata.mutations import Mutation, Versioned, apply
from dmd.metadata.pages import PacketSize
from dmd.metadata.record_log import LogState, RecordLogSettings, read_state
from dmd.metadata.record_log_namespace import with_sub_level
from dmd.metadata.record_log_service import LogStream, RecordLogService
from dmd.metadata.versioned_writes import DeleteVersion, PutVersion
from shared.errors import ServiceError
from shared.records.names import DELETIONS, LEASES, RECORD_LOGS
from shared.rpc.envelope import Call
from tests.unit.dmd.metadata.support import deleting, put

NAME = "s3-recordlog"
NOW_MS = 1_493_769_634_808
NOW = "2017-05-03T00:00:34.808Z"
DAY_MS = 24 * 3600 * 1000


class Log:
    """A store that is logged, and the service that reads its log."""

    def __init__(self, engine: Engine | None = None, **settings: Any) -> None:
        self.engine = engine or MemoryEngine()
        self.settings = RecordLogSettings(NAME, **settings)
        self.committer = Committer(CommitSettings(record_log=self.settings))
        self.service = RecordLogService(self.engine, self.settings, PacketSize(items_max=2))
        self.now_ms = NOW_MS

    def apply(self, *mutations: Mutation) -> list[Any]:
        """Apply mutations in one commit."""
        with self.engine.transaction() as transaction:
            commit = self.committer.begin(transaction, self.now_ms)
            outcomes = [apply(commit, mutation) for mutation in mutations]
            commit.save()
        return outcomes

    def put(self, *names: str, record: bytes = b"{}") -> None:
        """Put records in the sub-level b1, each in a commit of its own."""
        for name in names:
            self.apply(Mutation((put(record_keys.prefix(["b1"]) + name.encode(), record),)))

    def unlogged(self, name: str) -> None:
        """A change by a daemon whose log is switched off."""
        with self.engine.transaction() as transaction:
            record_log.settle(transaction, None)
            commit = Committer(CommitSettings()).begin(transaction, self.now_ms)
            apply(commit, Mutation((put(record_keys.prefix(["b1"]) + name.encode()),)))
            commit.save()

    def start(self) -> None:
        """What the daemon does when it starts with the log switched on."""
        with self.engine.transaction() as transaction:
            record_log.settle(transaction, NAME)

    @property
    def state(self) -> LogState:
        with self.engine.snapshot() as reader:
            return read_state(reader, NAME)

    @property
    def stored(self) -> list[int]:
        """The numbers that are on disk."""
        with self.engine.snapshot() as reader:
            return [
                number
                for number, _, _ in record_log.records(reader, NAME, 0, record_log.SEQUENCE_MAX)
            ]

    async def call(self, name: str, *arguments: Any, log_name: str | None = NAME) -> Any:
        sub_level = [] if log_name is None else [log_name]
        return await self.service.call(Call(name, list(arguments), sub_level, None))

    async def read(self, **options: Any) -> tuple[Any, list[Any]]:
        """The info and all entries of readRecords."""
        stream = await self.call("readRecords", options)
        assert isinstance(stream, LogStream)
        return stream.pages.info, [entry for page in stream.pages for entry in page]

    async def names(self, **options: Any) -> list[str]:
        """The keys of the changes that are read."""
        _, entries = await self.read(**options)
        return [entry["entries"][0]["key"] for entry in entries]

    async def refusal(self, name: str, *arguments: Any) -> str:
        with pytest.raises(ServiceError) as caught:
            await self.call(name, *arguments)
        return caught.value.code


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def filled(log: Log) -> Log:
    """A log of the changes a to e, numbered 1 to 5."""
    log.put(*"abcde")
    return log


# -- what is logged -------------------------------------------------------------------------------


async def test_a_put_and_a_deletion_are_logged_with_their_time(log: Log) -> None:
    log.put("k", record=b'{"a":"\xc3\xa9"}')
    log.apply(deleting(b"!b1!k"))
    assert await log.read() == (
        {"start": 1, "end": 2},
        [
            {
                "timestamp": NOW,
                "db": "b1",
                "entries": [{"type": "put", "key": "k", "value": '{"a":"é"}'}],
            },
            {"timestamp": NOW, "db": "b1", "entries": [{"type": "del", "key": "k"}]},
        ],
    )


def test_the_records_lie_where_the_original_has_them(log: Log) -> None:
    log.put("k\0v")
    with log.engine.snapshot() as reader:
        ((key, record),) = [
            (key, record)
            for _, key, record in record_log.records(reader, NAME, 0, record_log.SEQUENCE_MAX)
        ]
    assert key == b"!..recordLogs#s3-recordlog!0000000000000001"
    assert record.decode() == (
        f'{{"type":"put","db":"b1","key":"k\\u0000v","value":"{{}}","timestamp":"{NOW}"}}'
    )


async def test_a_version_is_logged_as_the_records_that_it_changes(log: Log) -> None:
    key = b"!b1!k"
    (made,) = log.apply(Mutation((Versioned(PutVersion(key, b"{}")),)))
    (version_id,) = made.version_ids
    log.apply(Mutation((Versioned(DeleteVersion(key, version_id)),)))
    _, entries = await log.read()
    changes = [(entry["entries"][0]["type"], entry["entries"][0]["key"]) for entry in entries]
    version = f"k\0{version_id}"
    assert changes == [("put", "k"), ("put", version), ("del", version), ("del", "k")]


@pytest.mark.parametrize(
    ("sub_level", "db"), [(["__metastore"], "__metastore"), (["a", "b"], "a"), ([], None)]
)
async def test_the_database_is_the_first_name_of_the_sub_level(
    log: Log, sub_level: list[str], db: str | None
) -> None:
    log.apply(Mutation((put(record_keys.prefix(sub_level) + b"k"),)))
    _, (entry,) = await log.read()
    assert entry.get("db") == db


@pytest.mark.parametrize("name", [DELETIONS, LEASES, RECORD_LOGS])
async def test_the_sub_levels_of_the_daemon_are_not_logged(log: Log, name: str) -> None:
    log.apply(
        Mutation((put(record_keys.prefix([name]) + b"k"),)),
        deleting(record_keys.prefix([name]) + b"k"),
    )
    assert await log.read() == ({"start": None, "end": None}, [])


def test_what_is_not_committed_is_not_logged(log: Log) -> None:
    log.put("a")
    with pytest.raises(EngineError):
        log.apply(Mutation((put(b"!b1!b"), put(b"!b1!" + b"x" * KEY_BYTES_MAX))))
    log.put("c")
    assert (log.stored, log.state.last) == ([1, 2], 2)


async def test_the_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    for name in "abc":
        engine = LmdbEngine(tmp_path)
        log = Log(engine)
        log.start()
        log.put(name)
        names = await log.names()
        engine.close()
    assert names == ["a", "b", "c"]


# -- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "info", "expected"),
    [
        ({}, (1, 5), "abcde"),
        ({"startSeq": None, "endSeq": None, "limit": None}, (1, 5), "abcde"),
        ({"startSeq": 0}, (1, 5), "abcde"),
        ({"startSeq": 3}, (3, 5), "cde"),
        ({"startSeq": 5}, (5, 5), "e"),
        ({"startSeq": 6}, (None, None), ""),
        ({"startSeq": 10**30}, (None, None), ""),
        ({"endSeq": 2}, (1, 2), "ab"),
        ({"endSeq": 99}, (1, 5), "abcde"),
        ({"endSeq": 0}, (None, None), ""),
        ({"endSeq": -1}, (None, None), ""),
        ({"startSeq": 4, "endSeq": 3}, (None, None), ""),
        ({"limit": 2}, (1, 2), "ab"),
        ({"startSeq": 2, "limit": 3}, (2, 4), "bcd"),
        ({"startSeq": 4, "limit": 3}, (4, 5), "de"),
        ({"startSeq": 2, "endSeq": 3, "limit": 9}, (2, 3), "bc"),
        ({"limit": 0}, (None, None), ""),
        ({"limit": -1}, (1, 5), "abcde"),
    ],
)
async def test_a_range_of_records_is_read(
    filled: Log, options: dict[str, Any], info: tuple[Any, Any], expected: str
) -> None:
    found, _ = await filled.read(**options)
    assert found == {"start": info[0], "end": info[1]}
    assert await filled.names(**options) == list(expected)


async def test_what_is_logged_after_the_call_is_not_read(filled: Log) -> None:
    stream = await filled.call("readRecords", {"startSeq": 4})
    filled.put("f")
    assert [len(page) for page in stream.pages] == [2]


@pytest.mark.parametrize(
    "options",
    [{"startSeq": "1"}, {"endSeq": 1.5}, {"limit": True}, {"limit": []}, "options", 7],
)
async def test_options_that_are_no_whole_numbers_are_refused(log: Log, options: Any) -> None:
    assert await log.refusal("readRecords", options) == "InvalidArgument"


async def test_a_log_that_does_not_exist_is_empty(filled: Log) -> None:
    stream = await filled.call("readRecords", {}, log_name="other")
    assert (stream.pages.info, list(stream.pages)) == ({"start": None, "end": None}, [])


async def test_without_a_name_the_log_that_is_written_is_read(filled: Log) -> None:
    stream = await filled.call("readRecords", log_name=None)
    assert stream.pages.info == {"start": 1, "end": 5}


async def test_a_name_that_no_log_can_have_is_refused(log: Log) -> None:
    with pytest.raises(ServiceError, match="InvalidArgument"):
        await log.call("readRecords", {}, log_name="a!b")


# -- trimming -------------------------------------------------------------------------------------


def record_bytes() -> int:
    """How much of the log one change of a one-letter key takes."""
    log = Log()
    log.put("a")
    return log.state.size_bytes


async def test_the_oldest_records_go_when_the_log_is_too_large() -> None:
    log = Log(size_bytes_max=3 * record_bytes())
    log.put(*"abcde")
    assert log.stored == [3, 4, 5]
    assert log.state == LogState(5, 3, 3, 3 * record_bytes(), NOW_MS)
    assert await log.names() == ["c", "d", "e"]


async def test_records_go_when_they_are_too_old() -> None:
    log = Log(age_seconds_max=DAY_MS // 1000)
    log.put("a")
    log.now_ms += DAY_MS // 2
    log.put("b", "c")
    log.now_ms += DAY_MS // 2 + 1
    log.put("d")
    assert log.stored == [2, 3, 4]
    log.now_ms += 10 * DAY_MS
    log.put("e")
    assert log.stored == [5]


def test_the_records_of_a_commit_outlive_it() -> None:
    log = Log(size_bytes_max=1)
    log.apply(Mutation(tuple(put(b"!b1!%d" % number) for number in range(10))))
    assert len(log.stored) == 10
    log.put("a")
    assert log.stored[-1] == 11


def test_a_commit_removes_a_bounded_number_of_records() -> None:
    log = Log(size_bytes_max=10**9)
    log.apply(Mutation(tuple(put(b"!b1!%d" % number) for number in range(100))))
    small = Log(log.engine, size_bytes_max=1)
    lengths = []
    while len(small.stored) > 1:
        small.put("a")
        lengths.append(len(small.stored))
    assert lengths[0] > 80
    assert lengths[-1] == 1
    assert small.state.size_bytes == sum(
        len(key) + len(record) for _, key, record in _all_records(small)
    )


def _all_records(log: Log) -> list[tuple[int, bytes, bytes]]:
    with log.engine.snapshot() as reader:
        return list(record_log.records(reader, NAME, 0, record_log.SEQUENCE_MAX))


async def test_a_reader_that_comes_too_late_is_told_so() -> None:
    log = Log(size_bytes_max=3 * record_bytes())
    log.put(*"abcde")
    with pytest.raises(ServiceError) as caught:
        await log.read(startSeq=2)
    assert (caught.value.code, caught.value.status) == ("RecordsTrimmed", 410)
    assert caught.value.fields == {"firstSeq": "3", "lastSeq": "5"}
    assert await log.names(startSeq=3) == ["c", "d", "e"]


async def test_a_reader_that_is_too_slow_is_told_so() -> None:
    log = Log(size_bytes_max=6 * record_bytes())
    log.put(*"abcdef")
    stream = await log.call("readRecords", {"startSeq": 1})
    assert len(next(stream.pages)) == 2
    log.put("g", "h")
    assert len(next(stream.pages)) == 2  # numbers 3 and 4, which are the oldest now
    log.put("i", "j", "k")
    with pytest.raises(ServiceError, match="RecordsTrimmed"):
        next(stream.pages)


async def test_the_numbers_go_on_when_all_records_are_gone(filled: Log) -> None:
    late = Log(filled.engine, age_seconds_max=1)
    late.now_ms += DAY_MS
    late.put("f")
    late.now_ms += DAY_MS
    late.put("g")
    assert late.stored == [7]
    assert await late.names(startSeq=7) == ["g"]


# -- a log that was switched off ------------------------------------------------------------------


async def test_a_reader_is_told_that_changes_were_not_logged(filled: Log) -> None:
    filled.unlogged("not logged")
    filled.start()
    assert await filled.refusal("readRecords", {"startSeq": 6}) == "RecordsTrimmed"
    filled.put("g")
    assert await filled.refusal("readRecords", {"startSeq": 5}) == "RecordsTrimmed"
    assert await filled.refusal("readRecords", {"startSeq": 6}) == "RecordsTrimmed"
    assert await filled.read() == (
        {"start": 7, "end": 7},
        [{"timestamp": NOW, "db": "b1", "entries": [{"type": "put", "key": "g", "value": "{}"}]}],
    )


def test_what_was_logged_before_is_removed_in_time(filled: Log) -> None:
    filled.unlogged("not logged")
    filled.start()
    filled.put("g")
    filled.put("h")
    assert filled.stored == [7, 8]
    assert filled.state.size_bytes == 2 * record_bytes()


async def test_a_log_that_stays_on_has_no_break(filled: Log) -> None:
    filled.start()
    filled.put("f")
    assert await filled.names(startSeq=5) == ["e", "f"]


def test_a_log_of_another_name_ends(filled: Log) -> None:
    with filled.engine.transaction() as transaction:
        record_log.settle(transaction, "other")
    assert (filled.state.first, filled.state.last) == (7, 6)


async def test_a_log_that_came_from_elsewhere_is_continued(filled: Log) -> None:
    before = filled.state
    with filled.engine.transaction() as transaction:
        transaction.delete(record_keys.LOG_STATE_PREFIX + NAME.encode())
        transaction.delete(record_log.sequence_key(NAME, 1))
        transaction.delete(record_log.sequence_key(NAME, 3))
    filled.start()
    state = filled.state
    assert (state.last, state.first, state.tail) == (5, 2, 2)
    assert state.size_bytes == before.size_bytes * 3 // 5
    filled.put("f")
    assert await filled.names(startSeq=3) == ["d", "e", "f"]
    info, _ = await filled.read(startSeq=3)
    assert info == {"start": 4, "end": 6}


# -- the other methods ----------------------------------------------------------------------------


async def test_the_manifest_is_that_of_the_original(log: Log) -> None:
    assert await log.call("getManifest") == {
        "apiVersion": "1.0",
        "api": [
            {"name": "createLogRecordOps"},
            {"name": "pruneRecords"},
            {"name": "readRecords"},
        ],
    }


async def test_pruning_is_not_implemented(log: Log) -> None:
    assert await log.refusal("pruneRecords", {}) == "NotImplemented"
    assert await log.refusal("whatever") == "InvalidArgument"


async def test_operations_are_shown_as_they_would_be_logged(filled: Log) -> None:
    operations = [
        {"type": "put", "prefix": ["b1"], "key": "foo", "value": "bar"},
        {"type": "del", "prefix": ["b1"], "key": "baz"},
        {"prefix": [], "key": "qux", "value": ""},
    ]
    shown = await filled.call("createLogRecordOps", operations)
    assert [entry["key"] for entry in shown] == [f"000000000000000{n}" for n in (6, 7, 8)]
    assert {(entry["type"], *entry["prefix"]) for entry in shown} == {("put", "..recordLogs", NAME)}
    values = [json.loads(entry["value"]) for entry in shown]
    for value in values:
        del value["timestamp"]
    assert values == [
        {"type": "put", "db": "b1", "key": "foo", "value": "bar"},
        {"type": "del", "db": "b1", "key": "baz"},
        {"type": "put", "key": "qux", "value": ""},
    ]
    filled.put("f")
    assert filled.state.last == 6


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [{}],
        [["put"]],
        [[{"key": 1}]],
        [[{"key": "k", "type": "move"}]],
        [[{"key": "k", "prefix": "b1"}]],
        [[{"key": "k", "value": 7}]],
        [[{"key": "\ud800"}]],
    ],
)
async def test_malformed_operations_are_refused(log: Log, arguments: list[Any]) -> None:
    assert await log.refusal("createLogRecordOps", *arguments) == "InvalidArgument"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("c", {"logName": "l"}), ("c", {"logName": "l", "subLevel": ["l"]})),
        (("c", {"rpcArgs": []}, 1), ("c", {"rpcArgs": [], "subLevel": []}, 1)),
        (("c", {"subLevel": ["s"]}), ("c", {"subLevel": ["s"]})),
        (("c", None), ("c", None)),
        ((), ()),
    ],
)
def test_the_name_of_a_log_is_its_sub_level(
    arguments: tuple[Any, ...], expected: tuple[Any, ...]
) -> None:
    assert with_sub_level(arguments) == expected


async def test_a_damaged_record_ends_the_stream_with_an_error(filled: Log) -> None:
    place = record_log.sequence_key(NAME, 3)
    with filled.engine.transaction() as transaction:
        value = transaction.get(place)
        assert value is not None
        transaction.put(place, value[:-1] + b"?")
    stream = await filled.call("readRecords", {})
    with pytest.raises(ServiceError, match="InternalError"):
        list(stream.pages)
