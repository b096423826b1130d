"""JSON text of the RPC; also the JSON module that python-socketio is given.

orjson writes and reads several times faster than the standard library. It refuses two things that
JSON text can hold and this wire may carry, lone surrogates and integers beyond 64 bits; those fall
back, so that a strange call is answered with an error instead of breaking its connection.
"""

from __future__ import annotations

import json
from typing import Any

import orjson


def encode(value: Any) -> bytes:
    """JSON text without spaces; raises TypeError or ValueError for what JSON cannot hold."""
    try:
        return orjson.dumps(value)
    except (TypeError, orjson.JSONEncodeError):
        try:
            return json.dumps(value, separators=(",", ":")).encode()
        except RecursionError as error:
            raise ValueError("the value is nested too deeply") from error


def dumps(value: Any, **_options: Any) -> str:
    """``encode`` as a string, for python-socketio."""
    return encode(value).decode()


def loads(text: str | bytes | memoryview, **_options: Any) -> Any:
    """The value of a JSON text; raises ValueError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            # Not json's own guess at the encoding: only UTF-8 is JSON text on this wire.
            return json.loads(text if isinstance(text, str) else str(text, "utf-8"))
        except RecursionError as error:
            raise ValueError("the JSON text is nested too deeply") from error
