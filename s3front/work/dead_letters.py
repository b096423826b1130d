"""Entries of queues that cannot be done, set aside with the reason.

They are records of ``..deadLetters``, for whoever runs the server: ``s3front work`` lists them,
puts them back into their queues, and drops them (docs/operation.md). No worker reads them, so
nothing waits for them. Bytes that one names stay, as garbage collection takes what any record names
for wanted.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from s3front.metadata import gateway
from s3front.metadata.gateway import ChangedError, MetadataGateway, Operation
from s3front.metadata.outbox import later_key
from s3front.s3_errors import S3Error
from shared.records.names import DEAD_LETTERS, SPLITTER, is_outbox

_PAGE_LETTERS: Final = 200
_REQUEST_ID: Final = "dead-letters"
_GONE: Final = "it is no longer there"
_AWAY: Final = 503

REASON_CHARACTERS_MAX: Final = 1000
"""What is kept of the reason of a failure, which may quote what failed."""

OF_ONE_JOB_MAX: Final = 1000
"""How many letters a job leaves that goes over all records. One cause may concern all of them: what
comes behind is only counted."""

_NAME_BYTES_MAX: Final = 1024
"""Queue and entry in the key of a dead letter; the longest keys of the store have no room for a
queue besides."""


def set_aside(queue: str, key: str, value: str | None, reason: str, now_ms: int) -> list[Operation]:
    """Take the entry at ``key`` out of a queue, which is a sub-level, and keep it as a dead letter.

    ``value`` is its text, None when it could not be read at all, or not be kept.
    """
    return [dead_letter(queue, key, value, reason, now_ms), gateway.delete(queue, key)]


def dead_letter(queue: str, key: str, value: str | None, reason: str, now_ms: int) -> Operation:
    """The same of what is in no queue, and stays where it is."""
    reason = reason[:REASON_CHARACTERS_MAX]
    letter = {"queue": queue, "key": key, "entry": value, "reason": reason, "time": now_ms}
    return gateway.put(DEAD_LETTERS, _name(queue, key), orjson.dumps(letter).decode())


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A letter as it was read from ``name``. ``entry`` is None when nobody could read it."""

    name: str
    revision: int | None
    queue: str
    key: str
    entry: str | None
    reason: str
    time_ms: int


async def dead_letters(metadata: MetadataGateway) -> AsyncGenerator[DeadLetter, None]:
    """The letters that there are when this begins, by queue. Raises S3Error.

    One that was put back may be set aside again before the last one is read.
    """
    names = await metadata.keys(DEAD_LETTERS, {}, _REQUEST_ID)
    for begin in range(0, len(names), _PAGE_LETTERS):
        page = names[begin : begin + _PAGE_LETTERS]
        read = await metadata.get_each([(DEAD_LETTERS, name) for name in page], _REQUEST_ID)
        for name, found in zip(page, read, strict=True):
            if found is not None:
                yield _parse(name, found.text, found.revision)


async def put_back(metadata: MetadataGateway, letter: DeadLetter, now_ms: int) -> str | None:
    """Put an entry back into its queue, as if it had never been tried; why that cannot be, else
    None. Raises S3Error when the daemon is away."""
    if letter.entry is None or not letter.queue:
        return "nothing is left of the entry"
    key = later_key(letter.key, now_ms) if is_outbox(letter.queue) else letter.key
    operations = [
        gateway.put(letter.queue, key, _untried(letter.entry)),
        gateway.delete(DEAD_LETTERS, letter.name),
    ]
    try:
        requires = [*_is_unchanged(letter), gateway.is_absent(letter.queue, key)]
        await metadata.commit(operations, requires, _REQUEST_ID)
    except ChangedError as error:
        return _GONE if error.index < len(requires) - 1 else "the queue has another such entry"
    except S3Error as error:
        if error.status == _AWAY:
            raise
        return f"the metadata daemon refuses it: {error.code}"
    return None


async def drop(metadata: MetadataGateway, letter: DeadLetter) -> str | None:
    """Forget an entry; why that cannot be, else None. Raises S3Error."""
    try:
        operation = gateway.delete(DEAD_LETTERS, letter.name)
        await metadata.commit([operation], _is_unchanged(letter), _REQUEST_ID)
    except ChangedError:
        return _GONE
    return None


def _is_unchanged(letter: DeadLetter) -> list[gateway.Requirement]:
    if letter.revision is None:
        return []
    return [gateway.has_revision(DEAD_LETTERS, letter.name, letter.revision)]


def _parse(name: str, text: str | None, revision: int | None) -> DeadLetter:
    """A letter of which not much can be read is one, too."""
    try:
        document = orjson.loads(text or "")
        entry = document["entry"]
        if entry is not None and not isinstance(entry, str):
            raise TypeError
        return DeadLetter(
            name,
            revision,
            str(document["queue"]),
            str(document["key"]),
            entry,
            str(document["reason"]),
            int(document["time"]),
        )
    except (ValueError, KeyError, TypeError):
        return DeadLetter(name, revision, "", name, None, "the letter itself is damaged", 0)


def _untried(entry: str) -> str:
    """An entry without what its tries have left in it."""
    try:
        document = orjson.loads(entry)
    except ValueError:
        return entry
    if not isinstance(document, dict):
        return entry
    for member in ("tries", "reason"):
        document.pop(member, None)
    return orjson.dumps(document).decode()


def tries_of(document: Mapping[str, Any]) -> int:
    """How often an entry has failed, as it says."""
    tries = document.get("tries")
    return max(tries, 0) if isinstance(tries, int) else 0


def _name(queue: str, key: str) -> str:
    name = f"{queue}{SPLITTER}{key}"
    if len(name.encode()) <= _NAME_BYTES_MAX:
        return name
    return hashlib.sha256(name.encode()).hexdigest()
