"""Log lines for people."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from shared.process.logs import configure_logging, get_logger
from shared.process.readable_log import is_for_people, readable_line

NOON = 1_800_000_000.25


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def shown(event: str, level: str = "info", **fields: Any) -> str:
    own = {"level": level, "name": "s3front", "pid": 7, "event": event}
    return readable_line(NOON, {**own, **fields})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (shown("serving", port=8000, tls=False), "serving port=8000 tls=false"),
        (shown("lost", "warn", reason="it went away"), 'WARN: lost reason="it went away"'),
        (shown("bad", "error", code=None), "ERROR: bad"),
        (shown("odd", value=["a", 1], empty=""), 'odd value=["a", 1] empty=""'),
        (shown("grün", name_of="日本"), "grün name_of=日本"),
        (shown("debug", "debug", request_id="A"), "debug request_id=A"),
    ],
)
def test_an_event(line: str, expected: str) -> None:
    assert line == f"08:00:00.250 s3front {expected}"


def test_a_request_is_short() -> None:
    fields: dict[str, Any] = {
        "request_id": "0123456789ABCDEF",
        "method": "GET",
        "operation": "GetObject",
        "bucket": "photos",
        "status": 200,
        "error": None,
        "account": "123456789012",
        "peer": "::1",
        "bytes_received": 0,
        "bytes_sent": 5,
        "duration_ms": 1.25,
    }
    assert shown("access", **fields) == "08:00:00.250 s3front 200 GET GetObject photos 1.25 ms"
    fields |= {"status": 404, "error": "NoSuchKey"}
    assert shown("access", **fields) == (
        "08:00:00.250 s3front 404 GET GetObject photos 1.25 ms NoSuchKey 0123456789ABCDEF"
    )
    fields |= {"operation": None, "bucket": None, "status": 499, "error": "client went away"}
    assert "499 GET 1.25 ms client went away" in shown("access", **fields)


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2J", "a\rb", "\u202eabc", "\x00", "\u2028x"])
def test_nothing_breaks_a_line_or_moves_the_cursor(text: str) -> None:
    named: dict[str, Any] = {text: 1}
    for line in (
        shown(text),
        shown("event", value=text),
        shown("event", **named),
        shown("event", value=[text]),
        shown("access", status=text, method=text, error=text, bucket=text),
    ):
        assert line.isprintable(), ascii(line)


def test_a_traceback_stands_below() -> None:
    line = shown("unexpected error", "error", exception="Traceback:\n  here\nValueError: \x1b")
    first, *rest = line.split("\n")
    assert first.endswith("ERROR: unexpected error")
    assert rest == ["    Traceback:", "      here", r"    ValueError: \x1b"]


def test_who_gets_which() -> None:
    assert is_for_people("text", terminal=False)
    assert is_for_people("auto", terminal=True)
    assert not is_for_people("auto", terminal=False)
    assert not is_for_people("json", terminal=True)


class Terminal(io.BytesIO):
    """A file that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("file", "layout", "readable"),
    [
        (Terminal(), "auto", True),
        (Terminal(), "json", False),
        (io.BytesIO(), "text", True),
        (io.BytesIO(), "auto", False),
    ],
)
def test_the_log_of_a_process(file: io.BytesIO, layout: str, *, readable: bool) -> None:
    configure_logging("dmd-data", "info", file, layout=layout)
    get_logger("part").info("serving", port=1, odd="\udcff")
    line = file.getvalue().decode()
    pattern = r'[0-9:.]{12} dmd-data\.part serving port=1 odd="?\\udcff"?\n'
    assert bool(re.fullmatch(pattern, line)) is readable, line
    assert line.startswith("{") is not readable
