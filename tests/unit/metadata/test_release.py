"""Data that a record gives up is queued in the commit that takes the record away."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dmd.metadata import keys, stored
from dmd.metadata.conditions import IsPresent
from dmd.metadata.engines.memory import MemoryEngine
from dmd.metadata.mutations import Committed, Delete, Mutation, Put, Refused, apply
from dmd.metadata.release import queue_entry, queue_key
from shared.records.names import DELETIONS

KEY = keys.prefix(["bucket"]) + b"key"
DATA = [{"key": "00ff", "size": 4, "start": 0, "dataStoreName": "us-east-1"}]
NOW_MS = 1_700_000_000_123


def put(document: Any, *, release: bool = False) -> Put:
    return Put(KEY, json.dumps(document).encode(), stored.NO_PROJECTION, b"", release)


class Store:
    """A memory engine with mutations applied to it one by one."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self._revision = 0

    def _next(self) -> int:
        self._revision += 1
        return self._revision

    def apply(self, *operations: Put | Delete, required: bytes | None = None) -> Any:
        requirements = () if required is None else (IsPresent(required, present=True),)
        with self.engine.transaction() as transaction:
            return apply(transaction, Mutation(operations, requirements), self._next, NOW_MS)

    def queue(self) -> list[tuple[bytes, Any]]:
        prefix = keys.prefix([DELETIONS])
        with self.engine.snapshot() as reader:
            items = list(reader.range(prefix, prefix + b"\xff"))
        return [
            (key[len(prefix) :], json.loads(stored.unpack(key, value).record))
            for key, value in items
        ]


@pytest.fixture
def store() -> Store:
    return Store()


def test_a_replaced_record_gives_up_its_data(store: Store) -> None:
    store.apply(put({"location": DATA}))
    store.apply(put({"location": None}, release=True))
    ((key, entry),) = store.queue()
    assert key.startswith(b"01700000000123.")
    assert entry == {"location": DATA}


def test_a_removed_record_gives_up_its_data(store: Store) -> None:
    store.apply(put({"location": DATA}))
    store.apply(Delete(KEY, release=True))
    assert [entry for _, entry in store.queue()] == [{"location": DATA}]


def test_without_release_the_data_has_a_new_owner(store: Store) -> None:
    store.apply(put({"location": DATA}))
    store.apply(put({"location": DATA, "tags": {"a": "b"}}))
    store.apply(Delete(KEY))
    assert store.queue() == []


def test_a_refused_mutation_queues_nothing(store: Store) -> None:
    store.apply(put({"location": DATA}))
    assert isinstance(store.apply(Delete(KEY, release=True), required=b"!b!absent"), Refused)
    assert store.queue() == []


def test_nothing_was_there(store: Store) -> None:
    assert isinstance(store.apply(Delete(KEY, release=True)), Committed)
    assert store.queue() == []


def test_entries_of_one_commit_are_all_kept(store: Store) -> None:
    other = keys.prefix(["bucket"]) + b"other"
    record = json.dumps({"location": DATA}).encode()
    store.apply(put({"location": DATA}), Put(other, record, stored.NO_PROJECTION, b""))
    store.apply(Delete(KEY, release=True), Delete(other, release=True))
    assert len(store.queue()) == 2


def test_the_data_of_a_part() -> None:
    assert queue_entry(json.dumps({"partLocations": DATA}).encode()) is not None


@pytest.mark.parametrize(
    "record",
    [b"", b"no json", b"[]", b"{}", b'{"location":null}', b'{"location":[]}', b"\xff", b"7"],
)
def test_records_that_name_no_data(record: bytes) -> None:
    assert queue_entry(record) is None


def test_entries_are_ordered_by_time_then_revision() -> None:
    assert queue_key(9, 10) < queue_key(10, 2) < queue_key(10, 11)
