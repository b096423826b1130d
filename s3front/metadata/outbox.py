"""Outboxes: what a commit has to say to a worker, in the same transaction as what it does.

The outbox of a worker is a sub-level, ``..outbox..NAME``, and works like the queue of deletions,
which the daemon fills by itself: the keys of its entries begin with the time of their commit,
behind which comes their revision, so that they are read in the order of the commits (as long as the
daemon's clock is not set back). Neither a crash nor a lost answer can part an entry from what it is
about. A subclass of ``s3front.work.outbox_worker.OutboxWorker`` works it off.

A commit carries entries as operations: ``append`` makes one, for any ``MetadataGateway.commit``,
and for ``ObjectCommit.outbox``. A daemon without the operation is told a key that is made here, of
this process's clock and a random number; one without batches does one thing after the other, and a
crash in between may lose the entry (``s3front.metadata.foreign``).
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from shared.records.names import OUTBOXES_PREFIX

APPEND: Final = "append"
"""The type of the operation."""

_KEY: Final = re.compile(r"[0-9]{14}\.(.{1,64})", re.ASCII | re.DOTALL)


def outbox_level(worker: str) -> str:
    """The sub-level of the outbox of the worker of this name."""
    return OUTBOXES_PREFIX + worker


def append(worker: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The operation that puts ``entry``, a JSON document, behind all in a worker's outbox.

    ``tries`` and ``reason`` are members that the worker adds.
    """
    value = orjson.dumps(entry).decode()
    return {"type": APPEND, "subLevel": [outbox_level(worker)], "value": value}


def with_made_up_keys(operations: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The same operations for a daemon that cannot append."""
    return [
        {**operation, "type": "put", "key": made_up_key()}
        if operation["type"] == APPEND
        else operation
        for operation in operations
    ]


def made_up_key() -> str:
    """A key for an entry of a queue, by this process's clock."""
    return f"{time.time_ns() // 1_000_000:014}.{secrets.randbelow(10**20):020}"


def later_key(key: str, due_ms: int) -> str:
    """The key of the entry at ``key`` when it is due at another time. A key that is none of a queue
    goes into it as a hash: it may be the longest that the store takes, and nothing tells it from
    others but the whole of it."""
    known = _KEY.fullmatch(key)
    rest = hashlib.sha256(key.encode()).hexdigest() if known is None else known[1]
    return f"{max(due_ms, 0):014}.{rest}"
