"""The JSON module that python-socketio is given.

orjson writes and reads several times faster than the standard library. It refuses two things that
JSON text can hold and this wire may carry, lone surrogates and integers beyond 64 bits; those fall
back, so that a strange call is answered with an error instead of breaking its connection.
"""

from __future__ import annotations

import json
from typing import Any

import orjson


def dumps(value: Any, **_options: Any) -> str:
    """JSON text without spaces."""
    try:
        return orjson.dumps(value).decode()
    except (TypeError, orjson.JSONEncodeError):
        return json.dumps(value, separators=(",", ":"))


def loads(text: str | bytes, **_options: Any) -> Any:
    """The value of a JSON text; raises ValueError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return json.loads(text)
        except RecursionError as error:
            raise ValueError("the JSON text is nested too deeply") from error
