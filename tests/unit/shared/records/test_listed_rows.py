"""The packed rows of a page of objects."""

from __future__ import annotations

import msgspec
import pytest

from shared.records.listed_rows import decode_page, runs_of
from shared.records.projection_fields import ListedObject

ONE = ListedObject("t", 1, "e", "STANDARD", "o", "n", checksum_algorithm="CRC32")
OTHER = ListedObject("u", 2, "f", "GLACIER", "o", "n")


def test_rows_that_came_one_by_one_are_runs() -> None:
    runs = runs_of([("a", ONE), ("b", ONE), ("c", OTHER), ("d", ONE)])
    assert [run.keys for run in runs] == [["a", "b"], ["c"], ["d"]]
    assert [run.common.storage_class for run in runs] == ["STANDARD", "GLACIER", "STANDARD"]
    assert runs[0].columns == (["t", "t"], [1, 1], ["e", "e"])
    assert runs_of([]) == []


@pytest.mark.parametrize(
    "rows", [b"", b"\x90\x90", [1], [[[None] * 5, ["a"], ["t", 1]]], [[[None] * 5, ["a"], []]]]
)
def test_what_are_no_rows_is_refused(rows: object) -> None:
    data = rows if isinstance(rows, bytes) else msgspec.msgpack.encode(rows)
    with pytest.raises(msgspec.DecodeError):
        decode_page(data)
