"""Heads as bytes. Pure, but for the clock that Date shows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_CRLF: Final = "\r\n"
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus
}


def encode_request(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """The head of a request."""
    return _encode(f"{method} {target} HTTP/1.1\r\n", headers, "")


def encode_response(status: int, headers: Mapping[str, str], framing: str) -> bytes:
    """The head of a response, with Date. ``framing``: more header lines, each with its CRLF."""
    return _encode(_STATUS_LINES[status], headers, f"Date: {_date(int(time.time()))}\r\n{framing}")


def _encode(first_line: str, headers: Mapping[str, str], more: str) -> bytes:
    """Raises ValueError when a line break in a name or value would add a line."""
    lines = _CRLF.join(map(": ".join, headers.items()))
    if lines:
        breaks = len(headers) - 1
        if lines.count("\n") != breaks or lines.count("\r") != breaks or "\0" in lines:
            raise ValueError("a header with a control character")
        lines += _CRLF
    return f"{first_line}{lines}{more}\r\n".encode("utf-8", "surrogateescape")


@lru_cache(maxsize=2)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)
