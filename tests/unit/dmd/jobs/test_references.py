"""Which blobs records name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dmd.jobs.references import (
    Stretch,
    holds_data,
    named_blobs,
    named_data,
    still_names,
    stretches_of,
)
from dmd.metadata import record_keys, stored
from dmd.metadata.engines.memory import MemoryEngine

KEYS = [f"{number:040x}" for number in range(1, 9)]
MD5 = "0123456789abcdef0123456789abcdef"


def put(engine: MemoryEngine, sub_level: list[str], key: str, document: Any) -> None:
    record = json.dumps(document).encode()
    physical = record_keys.physical(sub_level, key, engine.key_bytes_max)
    entry = stored.Stored(1, stored.NO_PROJECTION, b"", record)
    with engine.transaction() as transaction:
        transaction.put(physical, stored.pack(physical, entry))


def named(engine: MemoryEngine) -> list[str]:
    found: list[str] = []
    named_blobs(engine, lambda key: found.append(key.hex()), lambda _count: None)
    return sorted(found)


def test_blobs_are_found_wherever_records_name_them() -> None:
    engine = MemoryEngine()
    put(engine, ["bucket"], "object", {"location": [{"key": KEYS[0]}, {"key": KEYS[1]}]})
    put(engine, ["bucket"], "old", {"location": {"key": KEYS[2]}})
    put(engine, ["bucket"], "older", {"location": KEYS[3]})
    put(engine, ["bucket"], "object\x00version", {"location": [{"key": KEYS[4]}]})
    put(engine, ["mpuShadowBucketbucket"], "id..|..00001", {"partLocations": [{"key": KEYS[5]}]})
    put(engine, ["..deletions"], "1", {"location": [{"key": KEYS[6]}]})
    put(engine, ["somebody", "else's"], "x", {"what": {"ever": f'{{"key":"{KEYS[7]}"}}'}})
    assert named(engine) == KEYS


def test_logs_of_changes_own_nothing() -> None:
    engine = MemoryEngine()
    put(engine, ["..recordLogs", "s3-recordlog"], "1", {"value": f'{{"key":"{KEYS[0]}"}}'})
    assert named(engine) == []


def test_longer_numbers_are_no_keys() -> None:
    engine = MemoryEngine()
    put(engine, ["bucket"], "object", {"owner-id": "ab" * 32, "content-md5": MD5})
    assert named(engine) == []


def test_a_damaged_record_stops_the_search() -> None:
    engine = MemoryEngine()
    put(engine, ["bucket"], "object", {})
    with engine.transaction() as transaction:
        transaction.put(b"!bucket!object", b"damaged")
    with pytest.raises(stored.CorruptRecordError):
        named(engine)


def location(key: str, **members: Any) -> dict[str, Any]:
    return {"key": key, "size": 7, "start": 0, "dataStoreType": "file", **members}


@pytest.mark.parametrize(
    ("document", "stretches"),
    [
        ({"location": None}, []),
        ({"isDeleteMarker": True}, []),
        ({"location": [location(KEYS[0])]}, [(KEYS[0], 7, None)]),
        ({"location": [location(KEYS[0])], "content-md5": MD5}, [(KEYS[0], 7, MD5)]),
        ({"location": [location(KEYS[0])], "content-md5": f"{MD5}-1"}, [(KEYS[0], 7, None)]),
        (
            {
                "location": [location(KEYS[0], dataStoreETag=f"1:{MD5}"), location(KEYS[1])],
                "content-md5": f"{MD5}-2",
            },
            [(KEYS[0], 7, MD5), (KEYS[1], 7, None)],
        ),
        # That of a part, and of a record from before location arrays.
        ({"partLocations": [location(KEYS[0])], "content-md5": MD5}, [(KEYS[0], 7, MD5)]),
        ({"location": {"key": KEYS[0]}, "content-length": 9}, [(KEYS[0], 9, None)]),
        # The digest of an encrypted object is that of what its client sent.
        (
            {"location": [location(KEYS[0], cryptoScheme=1, dataStoreETag=f"1:{MD5}")]},
            [(KEYS[0], 7, None)],
        ),
        # Bytes that lie elsewhere are none of ours.
        ({"location": [location(KEYS[0], dataStoreType="aws_s3")]}, []),
        ({"location": [location("a/b")]}, []),
        ({"location": "nonsense"}, []),
        ([], []),
    ],
)
def test_stretches(document: Any, stretches: list[tuple[str, int, str | None]]) -> None:
    expected = [Stretch(bytes.fromhex(key), size, md5) for key, size, md5 in stretches]
    assert stretches_of(json.dumps(document).encode()) == expected


def test_blobs_in_places_of_other_types_are_told_apart() -> None:
    engine = MemoryEngine()
    elsewhere = location("photos/a", dataStoreType="aws_s3", dataStoreName="aws")
    put(engine, ["bucket"], "moved", {"location": [elsewhere, elsewhere]})
    put(engine, ["bucket"], "mixed", {"location": [location(KEYS[0]), elsewhere]})
    put(engine, ["bucket"], "ours", {"location": [location(KEYS[1])]})
    put(engine, ["bucket"], "old", {"location": {"key": KEYS[2]}, "content-length": 9})
    put(engine, ["bucket"], "empty", {"location": None})
    found = {each.physical: each.elsewhere for each in named_data(engine)}
    assert found == {
        b"!bucket!moved": ["aws_s3", "aws_s3"],
        b"!bucket!mixed": ["aws_s3"],
        b"!bucket!ours": [],
        b"!bucket!old": [],
    }


def test_what_is_no_json_names_nothing() -> None:
    assert stretches_of(b"{") == []


@pytest.mark.parametrize(
    ("sub_level", "holds"),
    [
        (("bucket",), True),
        (("mpuShadowBucketbucket",), True),
        (("__metastore",), False),
        (("..deletions",), False),
        (("users..bucket",), False),
        (("a", "b"), False),
    ],
)
def test_sub_levels_that_own_data(sub_level: tuple[str, ...], holds: bool) -> None:
    assert holds_data(sub_level) is holds


def test_each_version_is_named_once() -> None:
    engine = MemoryEngine()
    old, new, null = (
        {"location": [location(key)], "versionId": number, "isNull": number == "3"}
        for key, number in zip(KEYS, "123", strict=False)
    )
    put(engine, ["bucket"], "versioned", new)
    put(engine, ["bucket"], "versioned\x002", new)
    put(engine, ["bucket"], "versioned\x001", old)
    put(engine, ["bucket"], "null", null)
    put(engine, ["bucket"], "plain", {"location": [location(KEYS[3])]})
    put(engine, ["..deletions"], "1", {"location": [location(KEYS[4])]})
    found = [named.stretches[0].key.hex() for named in named_data(engine)]
    assert sorted(found) == KEYS[:4]


def test_a_record_that_was_replaced_names_its_blob_no_longer() -> None:
    engine = MemoryEngine()
    put(engine, ["bucket"], "object", {"location": [location(KEYS[0])]})
    (named,) = named_data(engine)
    (stretch,) = named.stretches
    assert still_names(engine, named.physical, stretch)
    put(engine, ["bucket"], "object", {"location": [location(KEYS[1])]})
    assert not still_names(engine, named.physical, stretch)
    with engine.transaction() as transaction:
        transaction.delete(named.physical)
    assert not still_names(engine, named.physical, stretch)
