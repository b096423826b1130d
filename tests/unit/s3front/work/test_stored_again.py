"""How the bytes of an object become blobs again, and what they are held against."""

from __future__ import annotations

from typing import Any, cast

import pytest

from s3front.encryption.segments import stored_size
from s3front.keys.sealing import Sealing
from s3front.locations.base import Capabilities, DataStore
from s3front.objects.object_record import ObjectRecord
from s3front.work.stored_again import known_md5, pieces

GIB = 1024**3
SEALING = cast(Sealing, object())
MD5, OTHER = "0" * 32, "1" * 32


class Place:
    def __init__(self, blob_bytes_max: int | None) -> None:
        self.capabilities = Capabilities(blob_bytes_max=blob_bytes_max)


def place(blob_bytes_max: int | None) -> DataStore:
    return cast(DataStore, Place(blob_bytes_max))


def test_what_a_place_takes_at_once_stays_whole() -> None:
    assert list(pieces(10 * GIB, place(None), SEALING)) == [(0, 10 * GIB - 1)]
    assert list(pieces(5 * GIB, place(5 * GIB), None)) == [(0, 5 * GIB - 1)]


@pytest.mark.parametrize("size", [5 * GIB, 5 * GIB + 1, 20 * GIB])
def test_else_it_becomes_several_blobs_that_fit(size: int) -> None:
    found = list(pieces(size, place(5 * GIB), SEALING))
    assert len(found) > 1
    assert [start for start, _ in found] == [0, *(end + 1 for _, end in found[:-1])]
    assert found[-1][1] == size - 1
    assert max(stored_size(end - start + 1) for start, end in found) <= 5 * GIB


def record(etag: str, *locations: dict[str, Any]) -> ObjectRecord:
    common = {"key": "a", "size": 1, "dataStoreName": "us-east-1", "dataStoreType": "file"}
    entries = [{**common, "start": number, **each} for number, each in enumerate(locations)]
    return ObjectRecord({"content-md5": etag, "content-length": len(entries), "location": entries})


def test_the_md5_of_a_part_is_known_unless_it_lies_in_several_pieces() -> None:
    parts = record(f"{OTHER}-2", {"dataStoreETag": f"1:{MD5}"}, {"dataStoreETag": f"2:{OTHER}"})
    assert [known_md5(parts, each) for each in parts.locations] == [MD5, OTHER]
    halves = record(f"{OTHER}-1", {"dataStoreETag": f"1:{MD5}"}, {"dataStoreETag": f"1:{MD5}"})
    assert [known_md5(halves, each) for each in halves.locations] == [None, None]


def test_the_etag_of_a_place_is_no_md5_but_that_of_the_object_is() -> None:
    of_place = {"dataStoreType": "aws_s3", "dataStoreETag": f"1:{OTHER}"}
    only = record(MD5, of_place)
    assert known_md5(only, only.locations[0]) == MD5
    whole = record(f"{MD5}-3", of_place)
    assert known_md5(whole, whole.locations[0]) is None
