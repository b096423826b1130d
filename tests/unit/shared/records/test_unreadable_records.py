"""Stored documents with members of any form: what matters is refused, the rest is left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from s3front.objects.object_lock import DefaultRetention, Lock, default_of
from s3front.objects.object_parts import ObjectPart
from s3front.objects.object_record import Checksum, NewObject, ObjectRecord
from s3front.operations.object_headers import checksum_headers, object_headers
from shared.http1.encoding import encode_response
from shared.records.bucket import BucketRecord
from shared.records.data_location import DataLocation
from shared.records.lifecycle import lifecycle_object
from shared.records.members import (
    EPOCH,
    UnreadableRecordError,
    shown_sizes,
    shown_time,
    shown_times,
    whole_number,
)
from shared.records.projection_fields import listed_object
from shared.records.times import to_http, to_iso
from shared.records.upload import PartRecord, UploadRecord

WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)
WRONG: list[Any] = [
    *(None, True, False, -1, 0, 1.5, 10**30),
    *("", "x", "é\r\n\0", "2026-13-45T99:99:99Z", "0001-01-01T00:00:00+14:00"),
    *([], [1], ["x"], [None], [[1]], [[1, 2, 3]], {}, {"a": 1}, {"key": 5}),
    [{"key": "k", "size": "y"}],
]


def wrong(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The document with each member, also of its members, missing or of a wrong form."""
    for name, value in document.items():
        yield f"without {name}", {key: kept for key, kept in document.items() if key != name}
        for other in WRONG:
            yield f"{name}: {other!r}", {**document, name: other}
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, dict):
            for what, changed in wrong(inner):
                yield f"{name}.{what}", {**document, name: changed}
                yield f"{name}[0].{what}", {**document, name: [changed]}


def an_object() -> dict[str, Any]:
    headers = {"cache-control": "c", "expires": "e"}
    location = DataLocation("k", 2, 0, "us-east-1", "file", "1:0123")
    record = ObjectRecord.create(
        NewObject(
            key="key",
            owner_id="id",
            owner_name="name",
            size=2,
            etag="0123-1",
            content_type="text/plain",
            modified=WHEN,
            locations=[location],
            store_name="us-east-1",
            headers=headers,
            user_metadata={"m": "v"},
            checksum=Checksum("SHA256", "AAAA"),
            website_redirect="/x",
            tags={"a": "b"},
            upload_id="u",
            parts=[ObjectPart(2, "AAAA")],
            lock={"retentionMode": "GOVERNANCE", "retentionDate": to_iso(WHEN), "legalHold": True},
        )
    )
    versions = {"versionId": "98", "isNull": False, "nullVersionId": "97"}
    return {**record.document, **versions, "archive": None, "isPHD": False}


def test_an_object_is_described_whatever_is_stored() -> None:
    """Its headers can be sent, and its rows of listings be read."""
    for what, document in wrong(an_object()):
        record = ObjectRecord.parse(json.dumps(document))
        headers = {**object_headers(record), **checksum_headers(record.checksum)}
        assert encode_response(200, headers, ""), what
        assert isinstance(record.tags, dict)
        assert all(isinstance(part.size, int) for part in record.parts or []), what
        assert record.version_id is None or isinstance(record.version_id, str)
        assert record.null_version_id is None or isinstance(record.null_version_id, str)
        listed_object(json.dumps(document))
        lifecycle_object(json.dumps(document))


def test_bytes_are_never_guessed() -> None:
    known = ObjectRecord(an_object())
    for what, document in wrong(an_object()):
        record = ObjectRecord.parse(json.dumps(document))
        try:
            size, located = record.size, record.locations
        except UnreadableRecordError:
            assert "location" in what or "content-length" in what, what
            continue
        if "location" not in what:
            assert size in (0, known.size), what
            assert located == known.locations, what


def test_a_lock_that_is_not_understood_is_none_that_is_over() -> None:
    for member, values in {"retentionMode": ["x", 5, [1]], "retentionDate": ["x", 5, [1]]}.items():
        for value in values:
            with pytest.raises(UnreadableRecordError):
                Lock.of({**an_object(), member: value})


def test_a_default_retention_that_is_not_understood_is_refused() -> None:
    rule = {"mode": "GOVERNANCE", "days": 1}
    known = {"objectLockEnabled": True, "objectLockConfiguration": {"rule": rule}}
    assert default_of(known) == DefaultRetention("GOVERNANCE", 1, "days")
    for what, document in wrong(known):
        try:
            default = default_of(document)
        except UnreadableRecordError:
            assert "objectLockConfiguration" in what
            continue
        assert default is None or default.from_now(WHEN).until > WHEN, what


def test_one_member_does_not_hide_the_others_from_listings() -> None:
    marker = {**an_object(), "isDeleteMarker": True}
    for member in ("owner-display-name", "content-length", "content-md5", "tags", "checksum"):
        for value in (5.5, [1], {"a": {"b": 1}}):
            listed = listed_object(json.dumps({**marker, member: value}))
            assert listed.is_delete_marker
            assert listed.last_modified == to_iso(WHEN)


def test_times_of_answers() -> None:
    assert shown_time("2026-01-31T12:00:00.000Z") == "2026-01-31T12:00:00.000Z"
    assert shown_time("2026-01-31T13:00:00+01:00") == "2026-01-31T12:00:00.000Z"
    for nothing in (None, "", "x", "2026-02-30T12:00:00.000Z", "0001-01-01T00:00:00+14:00"):
        assert shown_time(nothing) == to_iso(EPOCH)
    # The standard library takes any character there.
    assert shown_time("2026-01-31<12:00:00.000Z") == "2026-01-31T12:00:00.000Z"
    created = {**an_object(), "last-modified": 5}
    assert to_http(ObjectRecord(created).modified) == to_http(WHEN)


def test_a_bucket_is_read_whatever_is_stored() -> None:
    base = BucketRecord.create("bucket", "id", "name", WHEN, "us-east-1").document
    base = {**base, "versioningConfiguration": {"Status": "Enabled"}}
    for what, document in wrong(base):
        try:
            record = BucketRecord.parse(json.dumps(document))
        except UnreadableRecordError:
            assert "owner" in what
            continue
        assert record.location.isprintable()
        assert record.name in ("bucket", "") or what.startswith("name")
        assert isinstance(record.has_versions, bool)
        try:
            assert record.versioning in (None, "Enabled")
        except UnreadableRecordError:
            assert "versioningConfiguration" in what
            assert record.has_versions


def test_an_upload_and_its_parts_are_read_whatever_is_stored() -> None:
    upload = {"initiated": to_iso(WHEN), "tags": {"a": "b"}, "initiator": {"ID": "i"}}
    for _, document in wrong({**upload, "x-amz-tagging": "a=b", "acl": {}}):
        record = UploadRecord.parse(json.dumps(document))
        assert isinstance(record.tags, dict)
        assert all(isinstance(text, str) for text in (*record.initiator, *record.owner))
    location = DataLocation("k", 2, 0, "us-east-1", "file", "1:0123")
    part = PartRecord(1, 2, "0" * 32, WHEN, [location], {"SHA256": "AAAA"})
    for what, document in wrong(json.loads(part.serialise("upload"))):
        try:
            read = PartRecord.parse(1, json.dumps(document))
        except UnreadableRecordError:
            assert any(name in what for name in ("content-", "partLocations")), what
            continue
        assert read.modified in (WHEN, EPOCH)
        assert all(isinstance(text, str) for text in (read.checksum or {}).values())


@pytest.mark.parametrize("text", ["", "x", "[]", "null", "1", '"s"', "\ud800"])
def test_what_is_no_document_is_refused(text: str) -> None:
    for parse in (ObjectRecord.parse, BucketRecord.parse, UploadRecord.parse):
        with pytest.raises(UnreadableRecordError):
            parse(text)
    with pytest.raises(UnreadableRecordError):
        PartRecord.parse(1, text)


@pytest.mark.parametrize(
    "odd",
    [
        "2026-01-31T12:00:00.000Z",
        "2026-02-30T12:00:00.000Z",
        "2026-01-31T24:00:00.000Z",
        "2026-01-31<12:00:00.000Z",
        "2026-01-31T12:00:00,000Z",
        "2026-01-31T13:00:00+01:00",
        "2026-01-31T12:00:00.0000",
        "2026-01-31T12:00:00.00000Z",
        "2026-01-31T12:00:00Z",
        "0001-01-01T00:00:00.000Z",
        "",
        None,
    ],
)
def test_many_times_are_shown_as_each_of_them(odd: str | None) -> None:
    for times in ([odd], ["2026-01-31T12:00:00.001Z", odd], [odd, "2026-01-31T12:00:00.001Z"]):
        assert [*shown_times(times)] == [shown_time(time) for time in times]
    assert [*shown_times([])] == []


def test_many_sizes_are_shown_as_each_of_them() -> None:
    sizes = [0, 7, 2**63 - 1, 2**63, -1, "12", "x", 1.5, None, True]
    assert shown_sizes(sizes) == [whole_number(size) or 0 for size in sizes]
    for odd in sizes:
        assert shown_sizes([0, 7, odd]) == [0, 7, whole_number(odd) or 0]
    assert shown_sizes([]) == []
