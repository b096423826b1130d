"""How the bytes of an object become blobs again."""

from __future__ import annotations

from typing import cast

import pytest

from s3front.encryption.segments import stored_size
from s3front.keys.sealing import Sealing
from s3front.locations.base import Capabilities, DataStore
from s3front.work.stored_again import pieces

GIB = 1024**3
SEALING = cast(Sealing, object())


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
