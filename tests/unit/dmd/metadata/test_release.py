"""Data that a record gives up is queued in the commit that takes the record away."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dmd.metadata import record_keys, stored
from dmd.metadata.commit import CommitSettings, Committer
from dmd.metadata.conditions import IsPresent
from dmd.metadata.engines.memory import MemoryEngine
from dmd.metadata.mutations import (
    Committed,
    Delete,
    Mutation,
    Operation,
    Put,
    Refused,
    Versioned,
    apply,
)
from dmd.metadata.release import queue_entry, queue_key
from dmd.metadata.versioned_writes import DeleteVersion, PutVersion
from shared.records.names import DELETIONS

KEY = record_keys.prefix(["bucket"]) + b"key"
DATA = [{"key": "00ff", "size": 4, "start": 0, "dataStoreName": "us-east-1"}]
NOW_MS = 1_700_000_000_123


def put(document: Any, *, release: bool = False) -> Put:
    return Put(KEY, json.dumps(document).encode(), stored.NO_PROJECTION, b"", release)


class Store:
    """A memory engine with mutations applied to it one by one."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self._committer = Committer(CommitSettings())

    def apply(self, *operations: Operation, required: bytes | None = None) -> Any:
        requirements = () if required is None else (IsPresent(required, present=True),)
        with self.engine.transaction() as transaction:
            commit = self._committer.begin(transaction, NOW_MS)
            outcome = apply(commit, Mutation(operations, requirements))
            commit.save()
        return outcome

    def given_up(self) -> list[str]:
        """The keys of all data in the queue."""
        return [stretch["key"] for _, entry in self.queue() for stretch in entry["location"]]

    def queue(self) -> list[tuple[bytes, Any]]:
        prefix = record_keys.prefix([DELETIONS])
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
    other = record_keys.prefix(["bucket"]) + b"other"
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


# -- versions -----------------------------------------------------------------------------------


def record(*data_keys: str, **members: Any) -> bytes:
    """A record that names data."""
    location = [{"key": key, "dataStoreName": "us-east-1"} for key in data_keys]
    return json.dumps({"location": location, **members}).encode()


def new_version(store: Store, *data_keys: str) -> str:
    """Put a version, with release; its ID."""
    outcome = store.apply(Versioned(PutVersion(KEY, record(*data_keys)), release=True))
    (version_id,) = outcome.version_ids
    assert version_id is not None
    return str(version_id)


def put_version(store: Store, version_id: str, data: bytes, **options: Any) -> None:
    store.apply(Versioned(PutVersion(KEY, data, version_id, **options), release=True))


def delete_version(store: Store, version_id: str, **options: Any) -> None:
    store.apply(Versioned(DeleteVersion(KEY, version_id, **options), release=True))


def test_a_version_that_is_no_longer_the_master_keeps_its_data(store: Store) -> None:
    new_version(store, "one")
    new_version(store, "two")
    assert store.given_up() == []


def test_a_deleted_version_gives_up_its_data_once(store: Store) -> None:
    new_version(store, "one")
    second = new_version(store, "two")
    delete_version(store, second)
    assert store.given_up() == ["two"]


def test_a_version_that_was_deleted_below_the_master_gives_up_its_data(store: Store) -> None:
    first = new_version(store, "one")
    new_version(store, "two")
    delete_version(store, first)
    assert store.given_up() == ["one"]


def test_the_last_version_gives_up_its_data(store: Store) -> None:
    delete_version(store, new_version(store, "one", "more"))
    assert store.given_up() == ["one", "more"]


def test_a_master_that_is_no_version_is_overwritten_for_good(store: Store) -> None:
    store.apply(Put(KEY, record("plain"), stored.NO_PROJECTION, b""))
    new_version(store, "one")
    assert store.given_up() == ["plain"]


def test_a_null_version_is_overwritten_by_the_next(store: Store) -> None:
    put_version(store, "", record("one", isNull=True))
    put_version(store, "", record("two", isNull=True))
    assert store.given_up() == ["one"]


def test_a_null_master_that_is_preserved_keeps_its_data(store: Store) -> None:
    store.apply(Put(KEY, record("plain"), stored.NO_PROJECTION, b""))
    put_version(store, "98204666944465999999RG001  ", record("one"), is_null=False)
    assert store.given_up() == []
    new_version(store, "two")
    assert store.given_up() == []
    delete_version(store, "null")
    assert store.given_up() == ["plain"]


def test_a_null_key_that_goes_with_the_master_gives_up_its_data(store: Store) -> None:
    put_version(store, "null", record("null"))
    put_version(store, "", record("one"), delete_null_key=True)
    assert store.given_up() == ["null"]


def test_a_change_of_a_version_that_names_the_same_data_gives_up_nothing(store: Store) -> None:
    version_id = new_version(store, "one")
    put_version(store, version_id, record("one", versionId=version_id, tags={"a": "b"}))
    assert store.given_up() == []


def test_a_change_of_a_version_gives_up_what_it_names_no_longer(store: Store) -> None:
    version_id = new_version(store, "one", "two", "three")
    new_version(store, "later")
    put_version(store, version_id, record("two", versionId=version_id))
    assert store.given_up() == ["one", "three"]


def test_versions_of_one_key_in_a_remote_store_are_different_data(store: Store) -> None:
    def remote(version: str) -> bytes:
        location = [{"key": "k", "dataStoreName": "aws", "dataStoreVersionId": version}]
        return json.dumps({"location": location}).encode()

    store.apply(Versioned(PutVersion(KEY, remote("a"), ""), release=True))
    store.apply(Versioned(PutVersion(KEY, remote("b"), ""), release=True))
    ((_, entry),) = store.queue()
    assert [stretch["dataStoreVersionId"] for stretch in entry["location"]] == ["a"]


def test_without_release_a_deleted_version_leaves_its_data(store: Store) -> None:
    version_id = new_version(store, "one")
    store.apply(Versioned(DeleteVersion(KEY, version_id)))
    assert store.queue() == []


# --- Other queues --------------------------------------------------------------------------------


def append(text: bytes) -> Put:
    return Put(record_keys.prefix(["..queue"]), text, stored.NO_PROJECTION, b"", appends=True)


def test_records_are_appended_to_a_queue_in_the_order_of_their_commits() -> None:
    store = Store()
    first = store.apply(append(b"1"), put({}), append(b"2"))
    assert isinstance(first, Committed)
    store.apply(append(b"3"))
    prefix = record_keys.prefix(["..queue"])
    with store.engine.snapshot() as reader:
        found = [
            (key.removeprefix(prefix).decode(), stored.unpack(key, value).record)
            for key, value in reader.range(prefix, prefix + b"\xff")
        ]
    assert [record for _, record in found] == [b"1", b"2", b"3"]
    assert [key for key, _ in found][:2] == [
        f"{NOW_MS:014}.{revision:020}" for revision in (first.revisions[0], first.revisions[2])
    ]


def test_a_refused_commit_appends_nothing() -> None:
    store = Store()
    assert isinstance(store.apply(append(b"1"), required=KEY), Refused)
    with store.engine.snapshot() as reader:
        assert not list(reader.range(b"!", b'"'))
