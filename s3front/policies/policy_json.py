"""The JSON of a policy, read so that it means one thing to everybody who reads it. Pure."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import orjson

DEPTH_MAX: Final = 32
"""How deep a document may be nested; a policy is by five."""

_TEXTS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


class JsonError(ValueError):
    """A text is no JSON, or is JSON that different readers would read differently. ``twice`` is the
    name of a member that is there twice, where that is the reason."""

    def __init__(self, reason: str, twice: str | None = None) -> None:
        super().__init__(reason)
        self.twice = twice


def read_json(text: bytes) -> Any:
    """The document of a text. Raises ``JsonError`` for what is no JSON in UTF-8, for a member that
    is there twice, and for one nested too deep."""
    try:
        # First the one that is fast and strict, and stops at a depth of its own: what is looked at
        # afterwards is JSON. It does not tell of members that are there twice.
        document = orjson.loads(text)
        if _depth(text) > DEPTH_MAX:
            raise JsonError(f"It is nested deeper than {DEPTH_MAX}.")
        json.loads(text, object_pairs_hook=_once, parse_int=str, parse_float=str)
    except JsonError:
        raise
    except ValueError as error:
        raise JsonError(str(error)) from error
    return document


def _depth(text: bytes) -> int:
    """How deep brackets are nested outside texts. Of what is no JSON it may take very long."""
    deepest = depth = 0
    for bracket in _TEXTS.sub(b"", text).translate(None, _NOT_BRACKETS):
        if bracket in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise JsonError("A member is there twice.", name)
        members[name] = value
    return members
