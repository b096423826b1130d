"""What ``dmd check`` finds in stores that are well and in such that are not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from dmd.jobs.check import check
from dmd.jobs.dump import load
from dmd.jobs.record_walk import raw_records, shown, sub_levels
from dmd.jobs.stats import BucketStats, collect
from dmd.metadata import record_keys, stored
from dmd.metadata.engines.memory import MemoryEngine
from dmd.metadata.metadata_directory import open_engine
from dmd.metadata.projection import project
from shared import version_id

OWNER = "owner-id"
Records = dict[str, Any]


@pytest.fixture
def engine() -> Iterator[MemoryEngine]:
    """A store with one bucket, as the front-ends make it."""
    made = MemoryEngine()
    put(made, ["__metastore"], {"bucket": {"owner": OWNER}, "users..bucket": {"owner": "admin"}})
    put(made, ["users..bucket"], {f"{OWNER}..|..bucket": {}})
    yield made
    made.close()


def put(engine: MemoryEngine, sub_level: list[str], records: Records) -> None:
    """Store records, each with the next revision."""
    with engine.transaction() as transaction:
        counter = transaction.get(record_keys.REVISION_KEY)
        revision = stored.unpack(record_keys.REVISION_KEY, counter).revision if counter else 0
        for name, document in records.items():
            revision += 1
            key = record_keys.physical(sub_level, name, engine.key_bytes_max)
            record = json.dumps(document).encode()
            entry = stored.Stored(revision, *project(sub_level, record), record)
            transaction.put(key, stored.pack(key, entry))
        last = stored.Stored(revision, stored.NO_PROJECTION, b"", b"")
        transaction.put(record_keys.REVISION_KEY, stored.pack(record_keys.REVISION_KEY, last))


def objects(engine: MemoryEngine, records: Records) -> None:
    put(engine, ["bucket"], records)


def problems(engine: MemoryEngine) -> list[tuple[str, str]]:
    """Kind and place of everything that is wrong."""
    return [
        (problem.kind, shown(problem.sub_level, problem.key))
        for problem in check(engine, lambda _count: None)
    ]


def test_the_originals_buckets_of_uploads_are_nobodys(engine: MemoryEngine, tmp_path: Path) -> None:
    put(engine, ["__metastore"], {"mpuShadowBucketbucket": {"owner": OWNER}})
    assert problems(engine) == []
    assert list(collect(engine, tmp_path, lambda _count: None).buckets) == ["bucket"]


def version(number: str, **members: Any) -> Records:
    return {"versionId": number, **members}


@pytest.mark.parametrize(
    "records",
    [
        {},
        {"a": {}, "b": {"content-length": 1}},
        {"a": version("1"), "a\x001": version("1")},
        {"a": version("1"), "a\x001": version("1"), "a\x002": version("2")},
        {"a": version("1", nullVersionId="9"), "a\x001": version("1"), "a\x009": version("9")},
        {"a": version("1", isNull=True), "a\x002": version("2")},
        {"a": version("1", isDeleteMarker=True), "a\x001": version("1", isDeleteMarker=True)},
        {"a": version("1"), "a\0": version("2", isNull=True), "a\x001": version("1")},
        {"a": {}, "a\x01": {}},
    ],
)
def test_what_is_well(engine: MemoryEngine, records: Records) -> None:
    objects(engine, records)
    assert problems(engine) == []


@pytest.mark.parametrize(
    ("records", "kind"),
    [
        ({"a\x001": version("1")}, "orphan-version"),
        ({"a\0": version("1", isNull=True)}, "orphan-version"),
        ({"a": {"isPHD": True, "versionId": "0"}, "a\x001": version("1")}, "placeholder"),
        ({"a": {}, "a\x001": version("1")}, "unversioned-master"),
        (
            {"a": version("2"), "a\x001": version("1"), "a\x002": version("2")},
            "old-master",
        ),
        ({"a": version("1"), "a\x002": version("2")}, "missing-version"),
        ({"a": version("1", a=1), "a\x001": version("1", a=2)}, "master-differs"),
    ],
)
def test_a_name_that_is_not_as_it_should_be(
    engine: MemoryEngine, records: Records, kind: str
) -> None:
    objects(engine, records)
    assert problems(engine) == [(kind, "bucket/a")]


def test_a_projection_that_is_not_of_its_record(engine: MemoryEngine) -> None:
    key = record_keys.physical(["bucket"], "a", engine.key_bytes_max)
    entry = stored.Stored(1, *project(["bucket"], b'{"content-length":1}'), b'{"content-length":2}')
    with engine.transaction() as transaction:
        transaction.put(key, stored.pack(key, entry))
    assert problems(engine) == [("projection", "bucket/a")]


def test_damage_is_reported_and_the_rest_is_read(engine: MemoryEngine) -> None:
    objects(engine, {"a": {}, "b\x001": version("1")})
    key = record_keys.physical(["bucket"], "a", engine.key_bytes_max)
    with engine.transaction() as transaction:
        transaction.put(key, b"x" * 40)
    assert problems(engine) == [("damaged", "bucket/a"), ("orphan-version", "bucket/b")]


def test_a_counter_that_lags(engine: MemoryEngine) -> None:
    with engine.transaction() as transaction:
        entry = stored.Stored(1, stored.NO_PROJECTION, b"", b"")
        transaction.put(record_keys.REVISION_KEY, stored.pack(record_keys.REVISION_KEY, entry))
    assert problems(engine) == [("revision-counter", "")]


NEWER = version_id.make(2 * 10**18, "RG001", "7")
OLDER = version_id.make(10**18, "RG001", "6")


@pytest.mark.parametrize(
    ("records", "counter", "found"),
    [
        ({}, 0, None),
        ({"a": version(OLDER), f"a\0{OLDER}": version(OLDER)}, 10**18, None),
        (
            {
                "a": version(NEWER),
                f"a\0{NEWER}": version(NEWER),
                f"a\0{OLDER}": version(OLDER),
            },
            2 * 10**18 - 1,
            "bucket/a",
        ),
        ({"a": version(NEWER, isNull=True)}, 10**18, "bucket/a"),
        ({"a": version(OLDER), f"a\0{OLDER}": version(OLDER)}, None, "bucket/a"),
        ({"a": version("1"), "a\x001": version("1")}, None, None),
    ],
)
def test_the_counter_of_versions(
    engine: MemoryEngine, records: Records, counter: int | None, found: str | None
) -> None:
    objects(engine, records)
    if counter is not None:
        entry = stored.Stored(0, stored.NO_PROJECTION, b"", str(counter).encode())
        with engine.transaction() as transaction:
            value = stored.pack(record_keys.VERSION_TICK_KEY, entry)
            transaction.put(record_keys.VERSION_TICK_KEY, value)
    reported = list(check(engine, lambda _count: None))
    if found is None:
        assert reported == []
        return
    (problem,) = reported
    assert problem.kind == "version-counter"
    assert f" at {found}, " in problem.text
    assert problem.text.endswith(f"counter of versions, {counter or 0}")


def test_a_loaded_store_counts_on_from_what_was_written_during_the_dump(tmp_path: Path) -> None:
    lines: list[Any] = [
        {"twofoldMetadataDump": 1, "uuid": None, "counters": {"revision": [1, ""]}},
        {"s": ["__metastore"], "k": "bucket", "v": f'{{"owner":"{OWNER}"}}', "r": 1},
        {"s": ["bucket"], "k": "a", "v": json.dumps(version(OLDER)), "r": 3},
        {"s": ["bucket"], "k": f"a\0{OLDER}", "v": json.dumps(version(OLDER)), "r": 3},
        {"s": ["users..bucket"], "k": f"{OWNER}..|..bucket", "v": "{}", "r": 2},
        {"records": 4},
    ]
    dump = "".join(f"{json.dumps(line)}\n" for line in lines)
    assert load(BytesIO(dump.encode()), tmp_path, lambda _count: None) == 4
    loaded = open_engine(tmp_path, read_only=True)
    assert list(check(loaded, lambda _count: None)) == []
    loaded.close()


def test_objects_without_a_bucket(engine: MemoryEngine) -> None:
    put(engine, ["gone"], {"a": {}})
    assert problems(engine) == [("no-bucket", "gone/")]


def test_a_bucket_that_its_owner_does_not_see(engine: MemoryEngine) -> None:
    put(engine, ["__metastore"], {"lost": {"owner": OWNER}, "odd": []})
    assert sorted(problems(engine)) == [
        ("bucket-record", "__metastore/odd"),
        ("not-in-owners-list", "__metastore/lost"),
    ]


def test_parts_belong_to_an_upload(engine: MemoryEngine) -> None:
    put(
        engine,
        ["mpuShadowBucketbucket"],
        {
            "overview..|..key..|..f1": {},
            "f1..|..00001": {},
            "closing..|..e2": {},
            "e2..|..00001": {},
            "a3..|..00001": {},
            "a3..|..00002": {},
        },
    )
    assert problems(engine) == [("orphan-part", "mpuShadowBucketbucket/a3..|..00001")]


def test_all_records_are_walked_in_slices(engine: MemoryEngine) -> None:
    objects(engine, {f"{number:05}": {} for number in range(4100)})
    assert len(list(raw_records(engine))) == 4103
    assert list(sub_levels(engine)) == [("__metastore",), ("bucket",), ("users..bucket",)]
    counted = 0

    def count(records: int) -> None:
        nonlocal counted
        counted += records

    assert list(check(engine, count)) == []
    assert counted == 4103


def test_statistics(engine: MemoryEngine, tmp_path: Any) -> None:
    objects(
        engine,
        {
            "a": {"content-length": 5},
            "b": version("1", **{"content-length": "7"}),
            "b\x001": version("1", **{"content-length": "7"}),
            "b\x002": version("2", **{"content-length": 11}),
            "c": version("3", isDeleteMarker=True),
            "c\x003": version("3", isDeleteMarker=True),
        },
    )
    put(engine, ["mpuShadowBucketbucket"], {"overview..|..k..|..f1": {}, "f1..|..00001": {}})
    put(engine, ["..deletions"], {"1": {}})
    found = collect(engine, tmp_path, lambda _count: None)
    assert found.buckets == {
        "bucket": BucketStats(objects=2, versions=4, delete_markers=1, bytes=23, uploads=1, parts=1)
    }
    assert (found.queued_deletions, found.records) == (1, 12)
