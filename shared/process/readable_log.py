"""Log lines for people, in the place of JSON. Pure, and of the standard library only.

A line of an event: the time of day, the process, a level that is worse than info, the event, and
its fields. One of a request is short: status, method, operation, bucket and duration, and the error
and the ID of a request that failed. Text from outside cannot break a line or move the cursor.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final

ACCESS_EVENT: Final = "access"
_OWN: Final = frozenset(("time", "level", "name", "pid", "event", "exception"))


def is_for_people(layout: str, terminal: object) -> bool:
    """Whether lines are to be readable: as ``layout`` says, or else where a terminal shows them."""
    return layout == "text" or (layout != "json" and bool(terminal))


def readable_line(seconds: float, fields: Mapping[str, Any]) -> str:
    """The line of an event, without its line break; a traceback follows in lines of its own.

    ``seconds`` is the time of the event; ``fields`` are those of the JSON line.
    """
    clock = time.strftime("%H:%M:%S", time.localtime(seconds))
    words = [f"{clock}.{int(seconds % 1 * 1000):03}", _text(fields["name"])]
    if fields["event"] == ACCESS_EVENT and "status" in fields:
        return " ".join((*words, *_access(fields)))
    level = str(fields["level"])
    if level in ("warn", "error", "fatal"):
        words.append(f"{level.upper()}:")
    words.append(_text(fields["event"], quote=False))
    words += [
        f"{_text(name)}={_text(value)}"
        for name, value in fields.items()
        if name not in _OWN and value is not None
    ]
    line = " ".join(words)
    if "exception" in fields:
        traceback = str(fields["exception"]).splitlines()
        line += "".join(f"\n    {printable(part)}" for part in traceback)
    return line


def _access(fields: Mapping[str, Any]) -> list[str]:
    words = [
        _text(fields[name])
        for name in ("status", "method", "operation", "bucket")
        if fields.get(name) is not None
    ]
    if "duration_ms" in fields:
        words.append(f"{fields['duration_ms']} ms")
    if fields.get("error") is not None:
        words += [_text(fields["error"], quote=False), _text(fields.get("request_id", ""))]
    return words


def _text(value: object, *, quote: bool = True) -> str:
    """A value as one word, in quotes when it would not be one; of JSON what is not text."""
    if not isinstance(value, str):
        value = json.dumps(value, default=str, ensure_ascii=False)
        return printable(value)
    if quote and (not value or " " in value or not value.isprintable()):
        return printable(json.dumps(value, ensure_ascii=False))
    return printable(value)


def printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )
