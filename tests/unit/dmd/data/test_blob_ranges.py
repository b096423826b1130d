"""The Range header, row by row (reference/dmd-wire.md, section 11)."""

from __future__ import annotations

import pytest

from dmd.data.blob_ranges import ByteRange, resolve_range
from dmd.data.errors import DataError


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", ByteRange(0, 0)),
        ("bytes=2-5", ByteRange(2, 5)),
        ("bytes=2-", ByteRange(2, 9)),
        ("bytes=9-", ByteRange(9, 9)),
        ("bytes=-3", ByteRange(7, 9)),
        ("bytes=-10", ByteRange(0, 9)),
        ("Bytes=1-2", ByteRange(1, 2)),
    ],
)
def test_one_range_of_ten_bytes(header: str, expected: ByteRange) -> None:
    assert resolve_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=4-10", "bytes=4-99999999999999999999999999"])
def test_an_end_past_the_blob_is_clamped(header: str) -> None:
    assert resolve_range(header, 10) == ByteRange(4, 9)


def test_a_suffix_longer_than_the_blob_is_all_of_it() -> None:
    assert resolve_range("bytes=-11", 10) == ByteRange(0, 9)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=5-2",
        "bytes=0-1,4-5",
        "bytes= 0-1",
        "bytes=+1-2",
        "bytes=1--2",
        "lines=0-1",
        "bytes=\u0661-\u0662",
        "bytes=" + "1" * 5000 + "-",
    ],
)
def test_what_is_not_one_range_is_ignored(header: str | None) -> None:
    assert resolve_range(header, 10) is None


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_a_range_without_a_byte_of_the_blob_is_refused(header: str) -> None:
    with pytest.raises(DataError, match=r"^InvalidRange"):
        resolve_range(header, 10)


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-0", "bytes=-0"])
def test_an_empty_blob_has_no_first_byte(header: str) -> None:
    with pytest.raises(DataError, match=r"^InvalidRange"):
        resolve_range(header, 0)


def test_the_last_byte_of_an_empty_blob_is_all_of_it() -> None:
    assert resolve_range("bytes=-1", 0) is None


def test_length_counts_both_ends() -> None:
    assert ByteRange(3, 7).length == 5
