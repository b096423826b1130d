"""The JSON of a policy, read so that it means one thing to everybody who reads it. Pure."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

DEPTH_MAX: Final = 32
"""How deep a document may be nested; a policy is by five."""


class JsonError(ValueError):
    """A text is no JSON, or is JSON that different readers would read differently."""


def read_json(text: bytes) -> Any:
    """The document of a text. Raises ``JsonError`` for what is no JSON in UTF-8, for a member that
    is there twice, and for one nested too deep."""
    if _depth(text) > DEPTH_MAX:
        raise JsonError("nested too deep")
    try:
        document = orjson.loads(text)
        # The one that is fast and strict does not tell of members that are there twice.
        json.loads(text, object_pairs_hook=_once, parse_int=str, parse_float=str)
    except ValueError as error:
        raise JsonError(str(error)) from error
    return document


def _depth(text: bytes) -> int:
    """How deep brackets are nested, those inside texts left out; of what is no JSON, any number
    that is not too small."""
    deepest = depth = 0
    inside = escaped = False
    for byte in text:
        if inside:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                inside = False
        elif byte == 0x22:
            inside = True
        elif byte in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"}]":
            depth -= 1
    return deepest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise JsonError("a member is there twice")
    return members
