"""The extract of an object record for listings."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from dmd.metadata.projection import project
from dmd.metadata.stored import NO_PROJECTION
from shared.records.projection_fields import SCHEMA, listed_object

NONE = (NO_PROJECTION, b"")
RECORD = {
    "last-modified": "2026-01-02T03:04:05.678Z",
    "content-length": 12345,
    "content-md5": "d41d8cd98f00b204e9800998ecf8427e",
    "x-amz-storage-class": "STANDARD",
    "owner-id": "f" * 64,
    "owner-display-name": "Zoë \U0001f600",
    "versionId": "98204666944465999999RG001  ",
    "isNull": True,
    "isDeleteMarker": True,
    "isPHD": True,
    "checksum": {"checksumAlgorithm": "crc64nvme", "checksumType": "FULL_OBJECT"},
    "location": [{"key": "ab" * 20, "size": 12345, "start": 0}],
    "x-amz-meta-anything": "else",
}
EMPTY_ROW = [None] * 7 + [False] * 3 + [None] * 2


def row(record: dict[str, Any]) -> list[Any]:
    schema, projection = project(["bucket"], json.dumps(record).encode())
    assert schema == SCHEMA
    decoded: list[Any] = msgspec.msgpack.decode(projection)
    return decoded


def test_the_row_has_the_members_that_listings_print() -> None:
    assert row(RECORD) == [
        "2026-01-02T03:04:05.678Z",
        12345,
        "d41d8cd98f00b204e9800998ecf8427e",
        "STANDARD",
        "f" * 64,
        "Zoë \U0001f600",
        "98204666944465999999RG001  ",
        True,
        True,
        True,
        "crc64nvme",
        "FULL_OBJECT",
    ]


@pytest.mark.parametrize("record", [RECORD, {}, {"content-length": 1.5}, {"isPHD": None, "a": {}}])
def test_the_row_is_what_a_listed_object_is_encoded_to(record: dict[str, Any]) -> None:
    text = json.dumps(record).encode()
    assert project(["bucket"], text)[1] == msgspec.msgpack.encode(listed_object(text))


def test_members_that_are_missing_are_empty() -> None:
    assert row({}) == EMPTY_ROW


def test_members_that_are_null_are_empty() -> None:
    assert row(dict.fromkeys(RECORD)) == EMPTY_ROW


def test_a_size_may_be_a_string_as_old_records_have_it() -> None:
    assert row({"content-length": "17"})[1] == "17"


@pytest.mark.parametrize(
    "sub_level",
    [
        [],
        ["bucket", "deeper"],
        ["__metastore"],
        ["users..bucket"],
        ["mpuShadowBucketbucket"],
        ["..recordLogs", "s3-recordlog"],
    ],
)
def test_only_the_objects_of_buckets_have_one(sub_level: list[str]) -> None:
    assert project(sub_level, json.dumps(RECORD).encode()) == NONE


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"plain text",
        b"null",
        b"17",
        b'"text"',
        b"[]",
        b"{",
        b"{} {}",
        b"\xff\xfe",
        b'{"content-md5":"\xff"}',
        rb'{"content-md5":"\ud800"}',
        b'{"content-length":1e400}',
        b'{"content-length":18446744073709551616}',
        b'{"content-length":-9223372036854775809}',
        b'{"content-length":' + b"1" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda record: repr(record[:40]),
)
def test_a_record_of_another_shape_has_none(record: bytes) -> None:
    assert project(["bucket"], record) == NONE


def test_unknown_members_of_any_size_and_depth_do_no_harm() -> None:
    record = {"content-length": 1, "deep": json.loads("[" * 500 + "]" * 500), "big": "x" * 10**6}
    assert row(record)[1] == 1
