"""The Range header."""

from __future__ import annotations

import pytest

from s3front.objects.ranges import ByteRange, parse_range
from s3front.s3_errors import S3Error


@pytest.mark.parametrize(
    ("header", "size", "start", "end"),
    [
        ("bytes=0-0", 10, 0, 0),
        ("bytes=0-9", 10, 0, 9),
        ("bytes=3-5", 10, 3, 5),
        ("bytes=9-9", 10, 9, 9),
        ("bytes=5-", 10, 5, 9),
        ("bytes=5-999999999999999999999999", 10, 5, 9),
        ("bytes=-3", 10, 7, 9),
        ("bytes=-10", 10, 0, 9),
        ("bytes=-999", 10, 0, 9),
        ("bytes= 1 - 2 ", 10, 1, 2),
    ],
)
def test_a_part(header: str, size: int, start: int, end: int) -> None:
    assert parse_range(header, size) == ByteRange(start, end)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-3",
        "bytes=1-2,4-5",
        "items=0-1",
        "bytes=--1",
        "bytes=1",
        "bytes=+1-2",
        "bytes=\u0661-\u0662x",
        "bytes=" + "1" * 41 + "-",
    ],
)
def test_any_other_header_is_ignored(header: str | None) -> None:
    assert parse_range(header, 10) is None


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ("bytes=10-", 10),
        ("bytes=10-20", 10),
        ("bytes=-0", 10),
        ("bytes=0-0", 0),
        ("bytes=0-", 0),
        ("bytes=-0", 0),
    ],
)
def test_no_byte_at_all(header: str, size: int) -> None:
    with pytest.raises(S3Error) as caught:
        parse_range(header, size)
    assert caught.value.code == "InvalidRange"
    assert caught.value.fields == {"RangeRequested": header, "ActualObjectSize": str(size)}


def test_the_length() -> None:
    assert ByteRange(3, 5).length == 3


@pytest.mark.parametrize("header", ["bytes=-1", "bytes=-10"])
def test_the_last_bytes_of_nothing_are_all_of_it(header: str) -> None:
    assert parse_range(header, 0) is None
