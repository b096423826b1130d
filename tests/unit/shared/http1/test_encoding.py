"""Heads as bytes: exact, and without a way in for more lines than were meant."""

from __future__ import annotations

import pytest

from shared.http1.encoding import encode_request, encode_response


def test_a_request() -> None:
    head = encode_request("GET", "/a?b", {"Host": "h:1", "Range": "bytes=0-1"})
    assert head == b"GET /a?b HTTP/1.1\r\nHost: h:1\r\nRange: bytes=0-1\r\n\r\n"


def test_a_response_has_a_date() -> None:
    head = encode_response(206, {"A": "b"}, "Content-Length: 3\r\n")
    first, a, date, length, *end = head.decode().split("\r\n")
    assert (first, a, length) == ("HTTP/1.1 206 Partial Content", "A: b", "Content-Length: 3")
    assert (date[:6], date[-4:]) == ("Date: ", " GMT")
    assert end == ["", ""]


def test_bytes_of_no_encoding_come_out_as_they_came_in() -> None:
    value = b"\xff\xc3\xbc".decode("utf-8", "surrogateescape")
    assert b"A: \xff\xc3\xbc\r\n" in encode_response(200, {"A": value}, "")


@pytest.mark.parametrize(
    "headers", [{"A": "b\r\nC: d"}, {"A": "b\n"}, {"A": "\rb"}, {"A\r\nB": "c"}, {"A": "b\0"}]
)
def test_no_header_adds_a_line(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="control"):
        encode_response(200, headers, "")
