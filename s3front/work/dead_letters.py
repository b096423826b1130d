"""Entries of queues that cannot be done, set aside with the reason.

They are records of ``..deadLetters``, for whoever runs the server to look at (docs/operation.md):
nothing else reads them, so nothing waits for them. Bytes that one names stay, as garbage collection
takes what any record names for wanted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson

from s3front.metadata import gateway
from s3front.metadata.gateway import Operation
from shared.records.names import DEAD_LETTERS, SPLITTER

_NAME_BYTES_MAX: Final = 1024
"""Queue and entry in the key of a dead letter; the longest keys of the store have no room for a
queue besides."""


def set_aside(queue: str, key: str, value: str | None, reason: str, now_ms: int) -> list[Operation]:
    """Take the entry at ``key`` out of a queue, which is a sub-level, and keep it as a dead letter.

    ``value`` is its text, None when it could not be read at all.
    """
    letter = {"queue": queue, "key": key, "entry": value, "reason": reason, "time": now_ms}
    return [
        gateway.put(DEAD_LETTERS, _name(queue, key), orjson.dumps(letter).decode()),
        gateway.delete(queue, key),
    ]


def tries_of(document: Mapping[str, Any]) -> int:
    """How often an entry has failed, as it says."""
    tries = document.get("tries")
    return max(tries, 0) if isinstance(tries, int) else 0


def _name(queue: str, key: str) -> str:
    name = f"{queue}{SPLITTER}{key}"
    if len(name.encode()) <= _NAME_BYTES_MAX:
        return name
    return hashlib.sha256(name.encode()).hexdigest()
