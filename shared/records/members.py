"""Members of stored documents, whoever wrote them. Pure.

Other front-ends, older ones, tools and damage leave members of forms that nobody here has foreseen.
Reading never fails on them:

* What only describes (a time, a header, tags) reads as if it were not there.
* What says where the bytes are, how many, or what protects them is never guessed: then the record
  cannot be read, and the answer to a request that needs it says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeGuard, cast

import orjson

from shared.records.times import from_iso, to_iso

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The time of what says none that can be read."""

SIZE_MAX: Final = 2**63 - 1
"""The most bytes that anything may be said to have."""

_INTEGERS: Final = {int}
_ISO_CHARACTERS: Final = len("2026-01-31T12:00:00.000Z")


class UnreadableRecordError(ValueError):
    """A stored document is not of a form that is known here, in what is needed of it."""


def parse_document(stored: str) -> dict[str, Any]:
    """A stored document. Raises UnreadableRecordError."""
    try:
        document = orjson.loads(stored)
    except ValueError as error:
        raise UnreadableRecordError("it is no JSON") from error
    if not isinstance(document, dict):
        raise UnreadableRecordError("it is no document")
    return document


def text(document: Mapping[str, Any], name: str) -> str:
    """A text, also one that is written as a number; empty for anything else."""
    found = document.get(name)
    if type(found) is str:
        return found
    return str(found) if type(found) in (int, float) else ""


def texts(found: Any) -> dict[str, str]:
    """The names and texts of a document of texts, without what is none."""
    if not found or not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def moment(document: Mapping[str, Any], *names: str) -> datetime:
    """The first of some times that can be read, in UTC."""
    for name in names:
        try:
            return from_iso(document[name])
        except (KeyError, ValueError):
            continue
    return EPOCH


def shown_time(found: str | None) -> str:
    """The text of a stored time, as answers have it."""
    try:
        read = from_iso(found)
    except ValueError:
        return to_iso(EPOCH)
    assert found is not None
    ours = len(found) == _ISO_CHARACTERS and found[10] == "T" and found[-1] == "Z"
    return found if ours else to_iso(read)


def shown_times(found: Sequence[str | None]) -> Sequence[str]:
    """``shown_time`` of each. Those that are as we write them cost a fraction."""
    return found if _are_ours(found) else [shown_time(text) for text in found]


def _are_ours(found: Sequence[str | None]) -> TypeGuard[Sequence[str]]:
    """Whether all are texts that ``shown_time`` leaves as they are."""
    texts = cast("Sequence[str]", found)
    try:
        together = "".join(texts)
        deque(map(datetime.fromisoformat, texts), 0)
    except (TypeError, ValueError):
        return False
    return (
        set(map(len, texts)) <= {_ISO_CHARACTERS}
        and together[10::_ISO_CHARACTERS] == "T" * len(texts)
        and together[_ISO_CHARACTERS - 1 :: _ISO_CHARACTERS] == "Z" * len(texts)
    )


def whole_number(found: Any) -> int | None:
    """A number of bytes, also one that is written as a text; None for anything else."""
    if type(found) is str and found.isascii() and found.isdecimal() and len(found) < 20:
        found = int(found)
    return found if type(found) is int and 0 <= found <= SIZE_MAX else None


def shown_sizes(found: Sequence[Any]) -> list[int]:
    """``whole_number`` of each, 0 for what is none."""
    if set(map(type, found)) == _INTEGERS and min(found) >= 0 and max(found) <= SIZE_MAX:
        return list(found)
    return [
        number if type(number) is int and 0 <= number <= SIZE_MAX else whole_number(number) or 0
        for number in found
    ]


def size(document: Mapping[str, Any], name: str) -> int:
    """A number of bytes; 0 where nothing is said. Raises UnreadableRecordError."""
    found = document.get(name)
    if type(found) is int and 0 <= found <= SIZE_MAX:
        return found
    number = whole_number(found or 0)
    if number is None or found is False:
        raise UnreadableRecordError(f"{name} is no number of bytes")
    return number
