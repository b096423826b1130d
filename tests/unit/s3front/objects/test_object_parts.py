"""The parts of an object, from our records and from those of the original."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from s3front.objects.object_parts import ObjectPart
from s3front.objects.object_record import NewObject, ObjectRecord


def record(parts: list[ObjectPart]) -> ObjectRecord:
    new = NewObject(
        key="key",
        owner_id="id",
        owner_name="name",
        size=sum(part.size for part in parts),
        etag="d41d8cd98f00b204e9800998ecf8427e-2",
        content_type="text/plain",
        modified=datetime(2024, 5, 1, tzinfo=UTC),
        locations=[],
        store_name="us-east-1",
        headers={},
        user_metadata={},
        checksum=None,
        parts=parts,
    )
    return ObjectRecord.parse(ObjectRecord.create(new).serialise())


def test_parts_are_kept_with_their_checksums_even_empty_ones() -> None:
    parts = [ObjectPart(5, "AAAAAA=="), ObjectPart(0)]
    assert record(parts).parts == parts


def location(etag: str, size: int) -> dict[str, Any]:
    return {"key": "0" * 40, "size": size, "start": 0, "dataStoreETag": etag}


@pytest.mark.parametrize(
    ("etag", "locations", "sizes"),
    [
        ("abc", [location("1:abc", 7)], None),
        ("abc", None, None),
        ("", None, None),
        ("a-2", [location("1:a", 5), location("2:b", 6)], [5, 6]),
        # The numbers of an upload may have gaps.
        ("a-2", [location("3:a", 5), location("7:b", 6)], [5, 6]),
        # A part that was copied from an object of several locations.
        ("a-2", [location("1:a", 5), location("1:a", 4), location("2:b", 6)], [9, 6]),
        # An empty last part has no location.
        ("a-2", [location("1:a", 5)], [5, 0]),
        ("a-1", None, [0]),
    ],
)
def test_records_that_do_not_list_their_parts(
    etag: str, locations: list[dict[str, Any]] | None, sizes: list[int] | None
) -> None:
    found = ObjectRecord({"content-md5": etag, "location": locations}).parts
    assert found == (None if sizes is None else [ObjectPart(size) for size in sizes])
